"""Which pruning transfers best? Six recipes at four sparsities, in the linear and the full regime.

    python benchmarks/sparse_transfer.py            8 pairs, n = 8 and 32, 3 seeds: about an hour on 2 cores
    python benchmarks/sparse_transfer.py --quick    a look at everything in a minute; its numbers mean nothing
    python benchmarks/sparse_transfer.py --full     more seeds and longer training

The question of Iofinova et al. (CVPR 2022, arXiv:2111.13445): their ranking of pruning methods turns around between the regimes
(AC/DC, STR and RigL ahead in the linear, WoodFisher and GMP in the full one). Every recipe starts from the same pretrained
source and has the same steps on the source. Unstructured zeros save no time in torch: non-zeros and FLOPs are counted instead.
Writes <out>/<pair>/curve.nc and so on, <out>/sparse_transfer.json and rankings.png.
"""

import time
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from comparison import Spending, arguments, compare, model_of, open_pair, run, sources
from outputs import write_figure, write_json
from scipy.stats import rankdata

import pac_surrogate as pac
from pac_surrogate import runner
from pac_surrogate.curves.errors import METRICS
from pac_surrogate.methods.case import Budget
from pac_surrogate.methods.pruned.ac_dc import ACDC
from pac_surrogate.methods.pruned.gmp import GMP
from pac_surrogate.methods.pruned.lth_t import LTHT
from pac_surrogate.methods.pruned.rigl import RigL
from pac_surrogate.methods.pruned.soft_threshold import STR
from pac_surrogate.methods.pruned.sparse_transfer import SparseTransfer
from pac_surrogate.methods.pruned.wood_fisher import WoodFisher
from pac_surrogate.prepare import prepare
from pac_surrogate.pruning import flops, nonzeros
from pac_surrogate.runner import Solver

RECIPES = {"GMP": GMP, "WoodFisher": WoodFisher, "AC/DC": ACDC, "STR": STR, "RigL": RigL, "LTH-T": LTHT}
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
DEFAULT = Spending(sizes=(8, 32), seeds=3, pretrain_steps=3000, source_steps=1000, steps=400)
FULL = replace(DEFAULT, sizes=(8, 16, 32, 64), seeds=10, pretrain_steps=10_000, source_steps=3000, steps=2000)


def main() -> None:
    mpl.use("Agg")
    flags = arguments(__doc__, "sparse_transfer", pairs=PAIRS, spending=DEFAULT, full=FULL, known=tuple(RECIPES))
    sparsities = SPARSITIES[:2] if flags.quick else SPARSITIES
    methods: dict[str, Any] = {
        f"{name} {sparsity} {regime}": SparseTransfer(RECIPES[name](sparsity=sparsity), regime=regime, learning_rate=3e-3)
        for regime in REGIMES
        for sparsity in sparsities
        for name in flags.methods
    }
    methods |= {"dense linear": pac.LinearProbe(learning_rate=3e-3), "dense full": pac.FineTune(learning_rate=3e-3)}
    results = {}
    for pair in flags.pairs:
        curve = compare(pair, methods, flags)
        medians = pac.summarise(curve)["median"]
        errors = {str(name): [float(v) for v in medians.loc[name]] for name in medians["approach"].values}
        results[pair] = {"errors": errors, "cost": costs(pair, flags, sparsities)}
    rankings = {
        regime: {f"{sparsity}": rank(results, regime, sparsity, flags.methods) for sparsity in sparsities} for regime in REGIMES
    }
    print_rankings(rankings, results, flags.methods, sparsities)
    write_json(flags.out / "sparse_transfer.json", {"rankings": rankings, "pairs": results})
    draw(rankings, flags.methods, flags.out / "rankings.png")


def costs(pair: str, flags: Any, sparsities: tuple[float, ...]) -> dict[str, dict[str, float]]:
    """Non-zero weights, FLOPs of a prediction and source test error of each pruned source; seed 0."""
    spending: Spending = flags.spending
    began = time.perf_counter()
    source, target = open_pair(pair, flags.data, spending.samples)
    solver = Solver(flags.device, cache=flags.out / pair / "stacks")
    dense = sources(source, model_of(target), spending, solver)[0]
    recipes = {f"{name} {sparsity}": RECIPES[name](sparsity=sparsity) for sparsity in sparsities for name in flags.methods}
    budget = Budget(spending.steps, spending.source_steps, spending.batch_size, spending.folds)
    case = prepare(dense, source.train[:0], source.train).case(budget, 0)
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
        }
    print(f"\n{pair}: the pruned sources, seed 0 ({time.perf_counter() - began:.0f} s)")
    print("| source | non-zeros | FLOPs | error |\n|---|---|---|---|")
    for name, cost in found.items():
        print(f"| {name} | {cost['nonzeros']} | {cost['flops']} | {cost['source_error']:.4f} |")
    return found


def scaled(surrogate: pac.Surrogate, data: pac.Dataset) -> Any:
    import torch

    return surrogate.scaling.inputs.standardise(torch.as_tensor(np.asarray(data.input_matrix, dtype=np.float64)))


def rank(results: dict[str, Any], regime: str, sparsity: float, names: tuple[str, ...]) -> dict[str, float]:
    """Mean rank of each recipe over pairs and sizes, 1 the best."""
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
        print(f"| recipe | {' | '.join(f'{100 * s:.0f} %' for s in sparsities)} | mean |\n|{'---|' * (len(sparsities) + 2)}")
        mean = {name: float(np.mean([by_sparsity[f"{s}"][name] for s in sparsities])) for name in names}
        for name in sorted(names, key=lambda name: mean[name]):
            cells = " | ".join(f"{by_sparsity[f'{s}'][name]:.2f}" for s in sparsities)
            print(f"| {name} | {cells} | {mean[name]:.2f} |")


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
    axes[1].legend(fontsize=7)
    write_figure(path, figure)


if __name__ == "__main__":
    run(main)
