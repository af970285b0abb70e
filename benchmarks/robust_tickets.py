"""Compare robust with natural tickets, against the distance between source and target.

    python benchmarks/robust_tickets.py            8 pairs, n = 16, 3 seeds: about five hours on 2 cores
    python benchmarks/robust_tickets.py --quick    a short run of every part, in a minute; its numbers mean nothing
    python benchmarks/robust_tickets.py --full     more seeds and longer training

Fu et al. (DAC 2023, arXiv:2304.11834) ask this question; their evidence is image classification. Compared are the schemes OMP,
IMP and LMP; single weights and rows (units; a CNN would add kernels and channels); natural tickets, robust ones (PGD), and a
control with plain noise of the same size; linear and full regime. The radius of the perturbation is the largest of 0.01, 0.05,
0.1 at which robust training increases the source's validation error by less than 20 %. Writes <out>/<pair>/curve.nc and further
files, robust_tickets.json, and robust_tickets.png with the ratio of robust to natural error against the distance between source
and target, which is the error of the unchanged source.
"""

from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

import pac_surrogate as pac
from pac_surrogate import runner
from pac_surrogate.methods.case import Budget
from pac_surrogate.methods.pruned.ticket import DrawTicket
from pac_surrogate.plots.style import ZERO, in_style
from pac_surrogate.prepare import prepare
from pac_surrogate.surrogates.batch_prediction import predict_many
from shared.comparison import Comparison, compare
from shared.figures import write_figure
from shared.files import write_json
from shared.setting import Setting, Spending
from shared.tables import markdown_table

SCHEMES = ("OMP", "IMP", "LMP")
GRANULARITIES = ("weight", "row")
RADII = (0.01, 0.05, 0.1)
RISE = 1.2
KINDS = {"natural": (0.0, 3), "robust": (1.0, 3), "noise": (1.0, 0)}  # radius relative to that of the pair, steps of the attack
REGIMES = ("linear", "full")
PAIRS = (
    "heat_equation",
    "heat_equation_losses",
    "burgers",
    "burgers_sharp",
    "advection_diffusion_rough",
    "oscillator_duffing",
    "lotka_volterra",
    "oscillator_stiff",
)
SPENDING = Spending(sizes=(16,), seeds=3, pretrain_steps=3000, source_steps=1000, steps=400)
COMPARISON = Comparison("robust_tickets", PAIRS, SCHEMES, SPENDING, full_sizes=(8, 16, 32))


def main(setting: Setting) -> None:
    results: dict[str, Any] = {}
    for pair in setting.pairs:
        radius, rises = capped_radius(pair, setting)
        methods: dict[str, Any] = {
            f"{scheme} {granularity} {kind} {regime}": pac.Ticket(
                scheme=scheme,
                granularity=granularity,
                sparsity=0.8 if granularity == "weight" else 0.5,
                radius=part * radius,
                attack_steps=steps,
                regime=regime,
                learning_rate=3e-3,
            )
            for scheme in setting.methods
            for granularity in GRANULARITIES
            for regime in REGIMES
            for kind, (part, steps) in KINDS.items()
        }
        curve = compare(pair, {"source unchanged": pac.SourceUnchanged(), **methods}, setting)
        middle = pac.summarise(curve)["median"]
        results[pair] = {
            "radius": radius,
            "rises": rises,
            "distance": float(middle.loc["source unchanged"][0]),
            "errors": {name: [float(v) for v in middle.loc[name]] for name in methods},
        }
    print_ratios(results, setting.methods)
    write_json(setting.out / "robust_tickets.json", results)
    draw(results, setting.methods, setting.figure("robust_tickets"))


def capped_radius(pair: str, setting: Setting) -> tuple[float, dict[str, float]]:
    """Return the largest radius at which robust training increases the source's validation error by less than 20 %; seed 0.

    If the increase is larger at every radius, the smallest radius is returned. The second result is the ratio at each radius.
    """
    source, _, (dense, *_), solver = setting.pretrain(pair)
    case = prepare(dense, source.train[:0], source.train).case(Budget(source_steps=setting.spending.source_steps), 0)
    trained = runner.run([(DrawTicket("OMP", sparsity=0.0, radius=radius), case) for radius in (0.0, *RADII)], solver)
    predictions = predict_many([outcome.surrogate for outcome in trained], [source.valid] * len(trained))
    errors = [
        float(np.mean((prediction - source.valid.output_matrix) ** 2)) ** 0.5 if outcome.sound else float("inf")
        for outcome, prediction in zip(trained, predictions, strict=True)
    ]
    rises = {str(radius): error / errors[0] for radius, error in zip(RADII, errors[1:], strict=True)}
    allowed = [radius for radius in RADII if rises[str(radius)] < RISE] or [RADII[0]]
    shown = ", ".join(f"{radius}: x {rise:.2f}" for radius, rise in rises.items())
    print(f"\n{pair}: source validation error after robust training, {shown}; radius {max(allowed)}")
    return max(allowed), rises


def ratios(results: dict[str, Any], scheme: str, granularity: str, regime: str, kind: str) -> list[float]:
    """Return the error of one kind of ticket over that of the natural one for each pair (geometric mean over sizes)."""
    found = []
    for pair in results.values():
        own, natural = (np.array(pair["errors"][f"{scheme} {granularity} {k} {regime}"]) for k in (kind, "natural"))
        found.append(float(np.exp(np.log(own / natural).mean())))
    return found


def print_ratios(results: dict[str, Any], schemes: tuple[str, ...]) -> None:
    print(
        "\nerror / error of the natural ticket, geometric mean over pairs; rank correlation of robust / natural with distance"
    )
    rows = []
    distance = [pair["distance"] for pair in results.values()]
    for way in product(schemes, GRANULARITIES, REGIMES):
        robust, noise = (ratios(results, *way, kind) for kind in ("robust", "noise"))
        means = (f"{float(np.exp(np.mean(np.log(values)))):.3f}" for values in (robust, noise))
        tied = len(robust) < 3 or len(set(robust)) == 1
        rows.append((*way, *means, "n/a" if tied else f"{float(spearmanr(distance, robust).statistic):.2f}"))
    print(markdown_table(("scheme", "granularity", "regime", "robust", "noise", "correlation"), rows))


@in_style()
def draw(results: dict[str, Any], schemes: tuple[str, ...], path: Any) -> None:
    figure, axes = plt.subplots(1, len(REGIMES), figsize=(10, 4), sharey=True, layout="constrained")
    distance = np.array([pair["distance"] for pair in results.values()])
    order = np.argsort(distance)
    for axis, regime in zip(axes, REGIMES, strict=True):
        for scheme in schemes:
            for granularity, style in zip(GRANULARITIES, ("-", "--"), strict=True):
                values = np.array(ratios(results, scheme, granularity, regime, "robust"))
                axis.plot(distance[order], values[order], style, marker="o", label=f"{scheme}, {granularity}")
        axis.axhline(1, **ZERO)
        axis.set(xlabel="error of the unchanged source", title=f"{regime} regime", yscale="log")
    axes[0].set_ylabel("error, robust / natural ticket")
    axes[1].legend()
    write_figure(path, figure)


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
