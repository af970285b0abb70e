"""Which pruning method transfers best? Six recipes at four sparsities, in the linear and the full regime.

    python benchmarks/sparse_transfer.py            8 pairs, n = 8 and 32, 3 seeds: about three hours on 2 cores
    python benchmarks/sparse_transfer.py --quick    a short run of every part, in a minute; its numbers mean nothing
    python benchmarks/sparse_transfer.py --full     more seeds and longer training

Iofinova et al. (CVPR 2022, arXiv:2111.13445) ask this question; their ranking of pruning methods is reversed between regimes
(AC/DC, STR and RigL lead in the linear regime, WoodFisher and GMP in the full one). Every recipe starts from the same
pretrained source. LTH-T takes eight trainings on the source at 80 % and eighteen at 98 %, the others one; the dense source is
shown as it is, and after one further training (*source longer*). Unstructured zeros save no time in torch, so non-zeros and
FLOPs are counted instead. Writes <out>/<pair>/curve.nc and further files, <out>/sparse_transfer.json and rankings.png.
"""

import time
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import rankdata

import pac_surrogate as pac
from pac_surrogate import runner
from pac_surrogate.curves.errors import METRICS
from pac_surrogate.models.weights import sparsity
from pac_surrogate.plots.style import in_style
from pac_surrogate.prepare import prepare
from pac_surrogate.pruning import flops, magnitude_mask, nonzeros
from pac_surrogate.pruning.importance import not_exempt
from shared.comparison import Comparison, compare
from shared.controls import TrainedLonger
from shared.figures import write_figure
from shared.files import write_json
from shared.setting import Setting, Spending
from shared.tables import markdown_table

RECIPES = {
    **{"GMP": pac.GMP, "WoodFisher": pac.WoodFisher, "AC/DC": pac.ACDC},
    **{"STR": pac.STR, "RigL": pac.RigL, "LTH-T": pac.LTHT},
}
SPARSITIES = (0.8, 0.9, 0.95, 0.98)
REGIMES = ("linear", "full")
PAIRS = (
    "heat_equation",
    "heat_equation_losses",
    "burgers",
    "advection_diffusion_rough",
    "kuramoto_sivashinsky",
    "oscillator_duffing",
    "lotka_volterra",
    "borehole",
)
SPENDING = Spending(sizes=(8, 32), seeds=3, pretrain_steps=3000, source_steps=1000, steps=400)
COMPARISON = Comparison("sparse_transfer", PAIRS, tuple(RECIPES), SPENDING, full_sizes=(8, 16, 32, 64))


def main(setting: Setting) -> None:
    sparsities = SPARSITIES[:2] if setting.quick else SPARSITIES
    methods: dict[str, Any] = {
        f"{name} {sparsity} {regime}": pac.SparseTransfer(RECIPES[name](sparsity=sparsity), regime=regime, learning_rate=3e-3)
        for regime in REGIMES
        for sparsity in sparsities
        for name in setting.methods
    }
    dense: dict[str, Any] = {
        "dense linear": pac.LinearProbe(learning_rate=3e-3),
        "dense full": pac.FineTune(learning_rate=3e-3),
    }
    methods |= dense | {f"{name}, source longer": TrainedLonger(method) for name, method in dense.items()}
    results = {}
    for pair in setting.pairs:
        curve = compare(pair, methods, setting)
        medians = pac.summarise(curve)["median"]
        errors = {str(name): [float(v) for v in medians.loc[name]] for name in medians["approach"].values}
        results[pair] = {"errors": errors, "cost": costs(pair, setting, sparsities)}
    rankings = {
        regime: {f"{sparsity}": rank(results, regime, sparsity, setting.methods) for sparsity in sparsities}
        for regime in REGIMES
    }
    print_rankings(rankings, results, setting.methods, sparsities)
    write_json(setting.out / "sparse_transfer.json", {"rankings": rankings, "pairs": results})
    draw(rankings, setting.methods, setting.figure("rankings"))


def costs(pair: str, setting: Setting, sparsities: tuple[float, ...]) -> dict[str, dict[str, float]]:
    """Return non-zero weights, FLOPs, source test error and agreement with magnitude of each pruned source, for seed 0."""
    began = time.perf_counter()
    source, target, (dense, *_), solver = setting.pretrain(pair)
    recipes = {f"{name} {sparsity}": RECIPES[name](sparsity=sparsity) for sparsity in sparsities for name in setting.methods}
    case = prepare(dense, source.train[:0], source.train).case(setting.spending.budget, 0)
    outcomes = runner.run([(recipe, case) for recipe in recipes.values()], solver)
    pruned = {"dense": dense} | {name: o.surrogate for name, o in zip(recipes, outcomes, strict=True) if o.sound}
    truth, metric = source.test.output_matrix, METRICS[str(target.attributes["headline"])]
    found = {}
    for name, surrogate in pruned.items():
        prediction = surrogate.predictor.predict(scaled(surrogate, source.test))
        error = float(metric(surrogate.scaling.outputs.restore(prediction.double()).numpy(), truth))
        found[name] = {
            "nonzeros": nonzeros(surrogate.weights),
            "flops": flops(surrogate.network.module, surrogate.weights),
            "source_error": error,
            "agreement": agreement(surrogate, dense),
        }
    print(f"\n{pair}: the pruned sources, seed 0 ({time.perf_counter() - began:.0f} s)")
    rows = [
        (name, cost["nonzeros"], cost["flops"], f"{cost['source_error']:.4f}", f"{100 * cost['agreement']:.0f} %")
        for name, cost in found.items()
    ]
    print(markdown_table(("source", "non-zeros", "FLOPs", "error", "agreement with magnitude"), rows))
    return found


def agreement(surrogate: pac.Surrogate, dense: pac.Surrogate) -> float:
    """Return the fraction of the body's weights that are kept or pruned as magnitude pruning of the dense source would do."""
    essential = surrogate.essential or {name: torch.ones_like(w, dtype=torch.bool) for name, w in dense.weights.items()}
    body = not_exempt(dense.weights, [dense.readout])
    own = {name: essential[name] for name in body}
    magnitude = magnitude_mask({name: dense.weights[name] for name in body}, sparsity(own))
    return sum(int((own[name] == magnitude[name]).sum()) for name in body) / sum(own[name].numel() for name in body)


def scaled(surrogate: pac.Surrogate, data: pac.Dataset) -> Any:
    return surrogate.scaling.inputs.standardise(torch.as_tensor(np.asarray(data.input_matrix, dtype=np.float64)))


def rank(results: dict[str, Any], regime: str, sparsity: float, names: tuple[str, ...]) -> dict[str, float]:
    """Return the mean rank of each recipe over pairs and sizes; 1 is the best."""
    rows = [
        [pair["errors"][f"{name} {sparsity} {regime}"][n] for name in names]
        for pair in results.values()
        for n in range(len(next(iter(pair["errors"].values()))))
    ]
    return dict(zip(names, rankdata(np.array(rows), axis=1).mean(0).tolist(), strict=True))


def print_rankings(rankings: Any, results: dict[str, Any], names: tuple[str, ...], sparsities: tuple[float, ...]) -> None:
    count = len(results) * len(next(iter(next(iter(results.values()))["errors"].values())))
    for regime, by_sparsity in rankings.items():
        print(f"\n{regime} regime: mean rank over {count} pairs x sizes (1 is best of {len(names)})")
        ranks = {name: [by_sparsity[f"{s}"][name] for s in sparsities] for name in names}
        rows = [
            (name, *(f"{rank:.2f}" for rank in (*ranks[name], np.mean(ranks[name]))))
            for name in sorted(names, key=lambda name: float(np.mean(ranks[name])))
        ]
        print(markdown_table(("recipe", *(f"{100 * s:.0f} %" for s in sparsities), "mean"), rows))


@in_style()
def draw(rankings: Any, names: tuple[str, ...], path: Any) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, (regime, by_sparsity) in zip(axes, rankings.items(), strict=True):
        for name in names:
            axis.plot(
                [100 * float(s) for s in by_sparsity], [ranks[name] for ranks in by_sparsity.values()], marker="o", label=name
            )
        axis.set(xlabel="sparsity [%]", title=f"{regime} regime")
    axes[0].set_ylabel("mean rank, 1 is best")
    axes[0].invert_yaxis()
    axes[1].legend()
    write_figure(path, figure)


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
