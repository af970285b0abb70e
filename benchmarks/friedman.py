"""Compare methods on Friedman #1 for growing dissimilarity of source and target.

    python benchmarks/friedman.py            d in {0, 1, 2, 4, 8}, n = 10 to 200, 5 seeds: about 10 minutes on 2 cores
    python benchmarks/friedman.py --quick    a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/friedman.py --full     10 seeds, longer training

The transfer problem of Pardoe & Stone (ICML 2010) in PAC-Net's setting (Myung et al., ICML 2022): the source's coefficients are
drawn with dissimilarity d; half of the 20,000 source samples are for training. Writes <out>/<pair>/curve.nc and further files,
and <out>/dissimilarity.png.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure

import pac_surrogate as pac
from pac_surrogate.plots.style import in_style
from shared.candidates import CANDIDATES, RIVALS
from shared.comparison import Comparison, compare
from shared.figures import write_figure
from shared.setting import Setting, Spending

PAIRS = tuple(f"friedman_{d}" for d in (0, 1, 2, 4, 8))
SPENDING = Spending(sizes=(10, 20, 50, 100, 200), pretrain_steps=4000, source_steps=1000, steps=500)
COMPARISON = Comparison("friedman", PAIRS, RIVALS, SPENDING)


def main(setting: Setting) -> None:
    methods = {method: CANDIDATES[method] for method in setting.methods}
    curves = {name: compare(name, methods, setting) for name in setting.pairs}
    write_figure(setting.figure("dissimilarity"), draw(curves))


@in_style()
def draw(curves: Mapping[str, "xr.Dataset"]) -> Figure:
    """Draw median errors against the number of target samples, with a panel for each pair."""
    figure, axes = plt.subplots(
        1, len(curves), figsize=(3.2 * len(curves), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (name, curve) in zip(axes[0], curves.items(), strict=True):
        medians = pac.summarise(curve)["median"]
        for method in curve["approach"].values:
            axis.plot(curve["size"], medians.loc[method], marker="o", label=str(method))
        axis.set(title=f"d = {name.removeprefix('friedman_')}", xscale="log", yscale="log", xlabel="target samples n")
    axes[0, 0].set_ylabel("RMSE / standard deviation")
    axes[0, -1].legend()
    return figure


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
