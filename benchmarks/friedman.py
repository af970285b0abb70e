"""Compare methods on Friedman #1 for growing dissimilarity of source and target.

    python benchmarks/friedman.py            d in {0, 1, 2, 4, 8}, n = 10 to 100, 3 source tasks: about 10 minutes on 2 cores
    python benchmarks/friedman.py --quick    a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/friedman.py --full     10 seeds, longer training

The transfer problem of Pardoe & Stone (ICML 2010) in PAC-Net's setting (Myung et al., ICML 2022): the source's coefficients
are drawn at random with dissimilarity d; half of the 20,000 source samples are for training. One draw says little about d, so
seed k has the k-th draw of the coefficients, at every d, and its own network and target samples: medians and quartiles over
seeds are over source tasks. For d = 0 all draws are equal. Writes <out>/<pair>/curve.nc and further files, and
<out>/dissimilarity.png.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure

import pac_surrogate as pac
from pac_surrogate.plots.style import in_style
from shared.candidates import CANDIDATES, RIVALS
from shared.comparison import Comparison, compare
from shared.figures import write_figure
from shared.setting import Setting, Spending
from simulators.ensemble import Pair
from simulators.pairs import find_pair
from simulators.tables.friedman import Friedman

PAIRS = tuple(f"friedman_{d}" for d in (0, 1, 2, 4, 8))
SPENDING = Spending(sizes=(10, 30, 100), seeds=3, pretrain_steps=4000, source_steps=4000, steps=400)
COMPARISON = Comparison("friedman", PAIRS, RIVALS, SPENDING, model=pac.MLP(hidden=(128, 128)))


def main(setting: Setting) -> None:
    methods = {method: CANDIDATES[method] for method in setting.methods}
    curves = {name: compare(name, methods, setting, tasks=tasks_of(name, setting.spending.seeds)) for name in setting.pairs}
    write_figure(setting.figure("dissimilarity"), draw(curves))


def tasks_of(name: str, count: int) -> list[Pair]:
    """Return pairs that differ from a registered one in the draw of the source's coefficients; none if all draws are equal."""
    pair = find_pair(name)
    source = pair.source.ensemble
    if not isinstance(source, Friedman) or not source.dissimilarity:
        return []
    names = [f"{name}_task_{seed}" for seed in range(count)]
    return [
        replace(pair, name=task, source=replace(pair.source, name=f"{task} source", ensemble=replace(source, task_seed=seed)))
        for seed, task in enumerate(names)
    ]


@in_style()
def draw(curves: Mapping[str, "xr.Dataset"]) -> Figure:
    """Draw median errors against the number of target samples, with a panel for each pair."""
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    size = (3.2 * columns, 3.2 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained")
    for axis, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        medians = pac.summarise(curve)["median"]
        for method in curve["approach"].values:
            axis.plot(curve["size"], medians.loc[method], marker="o", label=str(method))
        axis.set(title=f"d = {name.removeprefix('friedman_')}", xscale="log", yscale="log", xlabel="target samples n")
    for axis in axes[:, 0]:
        axis.set_ylabel("RMSE / standard deviation")
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
