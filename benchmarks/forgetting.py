"""Measure how much of the source task each method forgets in a transfer.

    python benchmarks/forgetting.py            two pairs, n = 16 and 64, 5 seeds: about 15 minutes on 2 cores
    python benchmarks/forgetting.py --quick    a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/forgetting.py --full     10 seeds, longer training

Compares the error on the source's test split after transfer with the error on the target's. Writes <out>/<pair>/curve.nc and
further files, and forgetting.png, in which the best methods are low on both axes.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from pac_surrogate.plots.style import in_style
from shared.candidates import CANDIDATES
from shared.comparison import Comparison, compare
from shared.figures import write_figure
from shared.setting import Setting, Spending
from shared.tables import markdown_table

SPENDING = Spending(sizes=(16, 64), pretrain_steps=3000, source_steps=1000, steps=400)
COMPARISON = Comparison("forgetting", ("heat_equation", "oscillator_duffing"), tuple(CANDIDATES), SPENDING)


def main(setting: Setting) -> None:
    for pair in setting.pairs:
        curve = compare(pair, {name: CANDIDATES[name] for name in setting.methods}, setting)
        largest = curve.sel(size=int(curve["size"].max()))
        print_forgetting(largest)
        draw_forgetting(largest, setting.figure(f"{pair}/forgetting"))


def medians(curve: "xr.Dataset") -> tuple[np.ndarray, np.ndarray]:
    """Return the errors on the target and on the source, medians over seeds."""
    return curve[curve.attrs["headline"]].median("seed").values, curve["source_error"].median("seed").values


def print_forgetting(curve: "xr.Dataset") -> None:
    """Print the errors on the source, lowest first, and those on the target."""
    print(f"\nn = {int(curve['size'])}: source error after transfer, and target error")
    errors, kept = medians(curve)
    rows = [
        (curve["approach"].values[i], *("n/a" if np.isnan(value) else f"{value:.4f}" for value in (kept[i], errors[i])))
        for i in np.argsort(np.where(np.isfinite(kept), kept, np.inf))
    ]
    print(markdown_table(("method", "source", "target"), rows))


@in_style()
def draw_forgetting(curve: "xr.Dataset", path: Path) -> None:
    """Draw source error against target error, with a point for each method."""
    figure, axes = plt.subplots(figsize=(8, 6), layout="constrained")
    x, y = medians(curve)
    axes.scatter(x, y, s=18)
    for name, a, b in zip(curve["approach"].values, x, y, strict=True):
        if np.isfinite(a) and np.isfinite(b):
            axes.annotate(str(name), (a, b), fontsize="x-small", xytext=(3, 2), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlabel=f"target {curve.attrs['headline']}", ylabel="source error after transfer")
    axes.set_title(f"{curve.attrs['pair']}: n = {int(curve['size'])}, medians over {curve.sizes['seed']} seeds")
    write_figure(path, figure)


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
