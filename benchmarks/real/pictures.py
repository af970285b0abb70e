"""A picture of each pair: what source and target say at the same inputs."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import pac_surrogate as pac
from pac_surrogate.plots.labels import axis_label, lines_of, variable_label
from pac_surrogate.plots.panels import whole_figure
from pac_surrogate.plots.style import COLOURS, INPUT, in_style
from real.pair import RealPair
from real.stored import DATA, common_outputs, open_pair

SHOWN = 3  # samples of curves and fields
MARGIN = 4.6  # inch, the least width of a figure, for its title


def draw_pair(pair: RealPair) -> Figure:
    """Draw the target's numbers against the source's, or curves and fields of both, from the stored test split."""
    axes = max(len(variable.axes) for variable in pair.outputs)
    if axes == 0:
        return draw_numbers(pair)
    if axes == 1 or pair.outputs[0].axes[-1] == "channel":
        return draw_curves(pair)
    source, target = (side.test[list(range(SHOWN))] for side in open_pair(pair.name, DATA))
    return whole_figure(pac.plot_samples(source, target, title=pair.title)[0, 0])


@in_style()
def draw_numbers(pair: RealPair) -> Figure:
    """Draw each output of the target against that of the source, a dot for each sample of the common test split."""
    source, target = common_outputs(pair.name)
    columns = min(3, len(pair.outputs))
    rows = math.ceil(len(pair.outputs) / columns)
    size = (max(MARGIN, 3.4 * columns), 3.3 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis, variable in zip(axes.flat, pair.outputs, strict=False):
        x, y = source[variable.name], target[variable.name]
        ends = [float(np.min([x, y])), float(np.max([x, y]))]
        axis.plot(ends, ends, color=INPUT, linewidth=1)
        axis.plot(x, y, "o", color=COLOURS[0], markersize=3.5, alpha=0.6)
        axis.set(xlabel=f"source: {variable_label(variable)}", ylabel=f"target: {variable_label(variable)}")
    for axis in axes.flat[len(pair.outputs) :]:
        axis.set_axis_off()
    figure.suptitle(pair.title, wrap=True)
    return figure


@in_style()
def draw_curves(pair: RealPair) -> Figure:
    """Draw the curves of the first samples of the common test split: those of the source dashed, those of the target solid."""
    source, target = open_pair(pair.name, DATA)
    (variable,) = pair.outputs
    points = target.coordinates[variable.axes[0]].values
    figure, axes = plt.subplots(1, SHOWN, figsize=(10, 3.2), sharey=True, layout="constrained")
    for number, axis in enumerate(axes):
        for style, side, role in (("--", source, "source"), ("-", target, "target")):
            for (label, values), colour in zip(lines_of(side.test[[number]], variable), COLOURS, strict=False):
                axis.plot(points, values[0], style, color=colour, label=f"{role}, {label.rpartition('channel ')[2]}")
        axis.set(xlabel=axis_label(target, variable.axes[0]), title=f"sample {number + 1}")
    axes[0].set_ylabel(variable_label(variable))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2 * len(lines_of(target, variable)))
    figure.suptitle(pair.title, wrap=True)
    return figure
