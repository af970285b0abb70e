"""What is left of the source task after a transfer, for every method.

    python benchmarks/forgetting.py            two pairs, n = 16 and 64, 5 seeds: about 15 minutes on 2 cores
    python benchmarks/forgetting.py --quick    a look at everything in seconds; its numbers mean nothing
    python benchmarks/forgetting.py --full     10 seeds, longer training

The error on the source's own test split, after transfer, beside the error on the target's. Writes <out>/<pair>/curve.nc and so
on and forgetting.png: the best methods are low on both axes.
"""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from candidates import CANDIDATES
from comparison import Spending, arguments, compare, run
from outputs import write_figure

DEFAULT = Spending(sizes=(16, 64), pretrain_steps=3000, source_steps=1000, steps=400)
FULL = replace(DEFAULT, seeds=10, pretrain_steps=10_000, source_steps=3000, steps=2000)
PAIRS = ("heat_equation", "oscillator_duffing")


def main() -> None:
    mpl.use("Agg")
    flags = arguments(__doc__, "forgetting", pairs=PAIRS, spending=DEFAULT, full=FULL, known=tuple(CANDIDATES))
    for pair in flags.pairs:
        curve = compare(pair, {name: CANDIDATES[name] for name in flags.methods}, flags)
        print_forgetting(curve)
        draw_forgetting(curve, flags.out / pair / "forgetting.png")


def print_forgetting(curve: "xr.Dataset") -> None:
    """Print source errors, least first, beside those on the target."""
    largest = int(curve["size"].max())
    middle = curve[[curve.attrs["headline"], "source_error"]].sel(size=largest).median("seed")
    errors, kept = middle[curve.attrs["headline"]].values, middle["source_error"].values
    print(f"\n  n = {largest}: source error after transfer, and target error\n  | method | source | target |\n  |---|---|---|")
    for i in np.argsort(np.where(np.isfinite(kept), kept, np.inf)):
        shown = ("n/a" if np.isnan(value) else f"{value:.4f}" for value in (kept[i], errors[i]))
        print(f"  | {curve['approach'].values[i]} | {' | '.join(shown)} |")


def draw_forgetting(curve: "xr.Dataset", path: Path) -> None:
    """Draw source error against target error, a point a method."""
    largest = int(curve["size"].max())
    middle = curve[[curve.attrs["headline"], "source_error"]].sel(size=largest).median("seed")
    figure, axes = plt.subplots(figsize=(8, 6), layout="constrained")
    x, y = middle[curve.attrs["headline"]].values, middle["source_error"].values
    axes.scatter(x, y, s=18)
    for name, a, b in zip(curve["approach"].values, x, y, strict=True):
        if np.isfinite(a) and np.isfinite(b):
            axes.annotate(str(name), (a, b), fontsize=6.5, xytext=(3, 2), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlabel=f"target {curve.attrs['headline']}", ylabel="source error after transfer")
    axes.set_title(f"{curve.attrs['pair']}: n = {largest}, medians over {curve.sizes['seed']} seeds")
    write_figure(path, figure)
    plt.close(figure)


if __name__ == "__main__":
    run(main)
