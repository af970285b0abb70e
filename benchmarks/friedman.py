"""Friedman #1 as source and target grow apart.

    python benchmarks/friedman.py            d in {0, 1, 2, 4, 8}, n = 10 to 200, 5 seeds: about 10 minutes on 2 cores
    python benchmarks/friedman.py --quick    a look at everything in seconds; its numbers mean nothing
    python benchmarks/friedman.py --full     10 seeds, longer training

The transfer problem of Pardoe & Stone (ICML 2010) in PAC-Net's setting (Myung et al., ICML 2022): the source's coefficients are
drawn with dissimilarity d; 20,000 source samples, half of them for training. Writes <out>/<pair>/curve.nc and so on, and
<out>/dissimilarity.png.
"""

from dataclasses import replace

import matplotlib as mpl
import matplotlib.pyplot as plt
from candidates import CANDIDATES
from comparison import Spending, arguments, compare, run
from outputs import write_figure

import pac_surrogate as pac

METHODS = (
    "source unchanged",
    "scratch",
    "fine-tune",
    "linear probe",
    "last-layer ridge",
    "L2-SP",
    "PackNet",
    "PAC",
    "PAC, open biases",
)
PAIRS = tuple(f"friedman_{d}" for d in (0, 1, 2, 4, 8))
DEFAULT = Spending(sizes=(10, 20, 50, 100, 200), pretrain_steps=4000, source_steps=1000, steps=500)
FULL = replace(DEFAULT, seeds=10, pretrain_steps=10_000, source_steps=3000, steps=2000)


def main() -> None:
    mpl.use("Agg")
    flags = arguments(__doc__, "friedman", pairs=PAIRS, spending=DEFAULT, full=FULL, known=METHODS)
    curves = {name: compare(name, {method: CANDIDATES[method] for method in flags.methods}, flags) for name in flags.pairs}
    figure, axes = plt.subplots(
        1, len(curves), figsize=(3.2 * len(curves), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (name, curve) in zip(axes[0], curves.items(), strict=True):
        medians = pac.summarise(curve)["median"]
        for method in curve["approach"].values:
            axis.plot(curve["size"], medians.loc[method], marker="o", label=str(method))
        axis.set(title=f"d = {name.removeprefix('friedman_')}", xscale="log", yscale="log", xlabel="target samples n")
    axes[0, 0].set_ylabel("RMSE / standard deviation")
    axes[0, -1].legend(fontsize=7)
    write_figure(flags.out / "dissimilarity.png", figure)


if __name__ == "__main__":
    run(main)
