"""What matters in PAC-Net? Each part is left out or changed, and sparsity and strength are swept.

    python benchmarks/ablation.py            two pairs, 3 seeds: about 10 minutes on 2 cores
    python benchmarks/ablation.py --quick    a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/ablation.py --full     four pairs, 10 seeds, longer training

Nothing is tuned: each row differs from the first only in what its name states. The learning rate on the target is 3e-3 for all.
Writes <out>/<pair>/curve.nc and further files, and sweeps.png with the error against sparsity and against strength.
"""

from collections.abc import Mapping
from dataclasses import replace

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure

import pac_surrogate as pac
from pac_surrogate.plots.style import in_style
from shared.comparison import Comparison, Methods, compare
from shared.controls import TrainedLonger
from shared.figures import write_figure
from shared.setting import Setting, Spending

BASE = pac.PAC(learning_rate=3e-3)
SPARSITIES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
STRENGTHS = (0.0, 0.0002, 0.002, 0.02, 0.2, 2.0)
PARTS: Methods = {
    "PAC": BASE,
    "prune only, no allocate": replace(BASE, allocate=False),
    "random mask": replace(BASE, criterion="random"),
    "flipped mask": replace(BASE, flip=True),
    "no mask (L2-SP, same strength)": pac.L2SP(strength=0.02, learning_rate=3e-3),
    "no mask, source longer": TrainedLonger(pac.L2SP(strength=0.02, learning_rate=3e-3)),
    "redundant weights kept (masked L2-SP)": replace(BASE, allocate=False, keep_redundant=True),
    "global scope": replace(BASE, scope="global"),
    "readout pruned too": replace(BASE, exempt=()),
    "one input a unit at least": replace(BASE, min_keep_per_unit=1),
    "frozen biases, as in the paper": replace(BASE, biases="frozen"),
    "pulled biases": replace(BASE, biases="pulled"),
    "pull in allocate (0.02)": replace(BASE, allocate_strength=0.02),
    "fine-tune": pac.FineTune(learning_rate=3e-3),
    "fine-tune, source longer": TrainedLonger(pac.FineTune(learning_rate=3e-3)),
}
SWEEPS: Methods = {f"sparsity {rho}": replace(BASE, sparsity=rho) for rho in SPARSITIES} | {
    f"strength {strength}": replace(BASE, strength=strength) for strength in STRENGTHS
}
ALL: Methods = {**PARTS, **SWEEPS}
PAIRS = ("heat_equation", "friedman_4")
SPENDING = Spending(sizes=(8, 16, 64), seeds=3, pretrain_steps=4000, source_steps=4000, steps=500)
COMPARISON = Comparison(
    "ablation",
    PAIRS,
    tuple(ALL),
    SPENDING,
    full_pairs=(*PAIRS, "burgers", "oscillator_duffing"),
    model=pac.MLP(hidden=(256, 256)),
)


def main(setting: Setting) -> None:
    curves = {name: compare(name, {method: ALL[method] for method in setting.methods}, setting) for name in setting.pairs}
    if set(SWEEPS) <= set(setting.methods):
        write_figure(setting.figure("sweeps"), draw_sweeps(curves))


@in_style()
def draw_sweeps(curves: Mapping[str, "xr.Dataset"]) -> Figure:
    """Draw median errors against sparsity and strength, a line for each number of target samples."""
    figure, axes = plt.subplots(len(curves), 2, figsize=(9, 3.2 * len(curves)), squeeze=False, layout="constrained")
    for row, (pair, curve) in zip(axes, curves.items(), strict=True):
        medians = pac.summarise(curve)["median"]
        for axis, label, values in ((row[0], "sparsity", SPARSITIES), (row[1], "strength", STRENGTHS)):
            for n in curve["size"].values:
                errors = [float(medians.loc[f"{label} {value}"].sel(size=n)) for value in values]
                axis.plot(values, errors, marker="o", label=f"n = {n}")
            axis.set(xlabel=label, ylabel=curve.attrs["headline"], title=pair, yscale="log")
        row[1].set_xscale("symlog", linthresh=1e-4)
        row[1].set_xlim(-2e-5, 3)
        row[1].set_xticks(STRENGTHS, [f"{value:g}" for value in STRENGTHS])
        row[0].legend()
    return figure


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
