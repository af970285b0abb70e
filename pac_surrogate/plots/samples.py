"""Figures of data: samples of a source and of a target side by side."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from pac_surrogate.data.conversion import Given, as_dataset
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.files import Variable
from pac_surrogate.plots.labels import (
    LISTS,
    axis_label,
    columns_of,
    group_label,
    is_line,
    lines_of,
    numbers_of,
    short_number,
    variable_label,
    variables_of,
)
from pac_surrogate.plots.panels import add_legend, align, figure_of, panels_or_new, set_title
from pac_surrogate.plots.style import COLOURS, INPUT, SIGNED, TRUTH, in_style, small_print
from pac_surrogate.utilities.arguments import whole_numbers

DOTS = 200
LETTERS = 132  # of a heading that fit into a row of panels


@in_style()
def plot_samples(
    source: Given, target: Given, *, samples: int = 3, title: str = "", ax: np.ndarray | None = None
) -> np.ndarray:
    """Draw the inputs and outputs of the first samples of a source and of a target.

    Values along one axis are lines, with inputs in grey; fields with two axes are images; trajectories are lines with a colour
    for each sample. A table without any of these is drawn as dots, each output over the three inputs with which it is most
    correlated. All panels of a variable have the same limits. The scalar numbers of a sample with a field are its heading.

    Args:
        source: any rows of the source's data.
        target: any rows of the target's data; its outputs may differ from the source's.
        samples: number of samples of each side; for a table, up to 200 samples are shown regardless of it.
        title: title of the figure.
        ax: array of axes to draw on; those of a new figure by default. It has the shape of the array that is returned;
            dimensions of length 1 may be left out.

    Returns:
        Array of Axes with two dimensions; `plot_samples(source, target)[0, 0].figure` is the figure. A table: (output, input),
        at most (3, 3). Trajectories: (variable, 2), with the source at the left. A single field: (2, sample), with the source
        above. Several fields or lines: (variable, 2 * sample), the source's samples, then the target's. Where one side has
        fewer variables, panels are empty.

    Raises:
        ValueError: if there is no sample to draw, a variable has more axes than two and time, or `ax` has not the axes that are
            needed.
    """
    source, target = as_dataset("source", source), as_dataset("target", target)
    (samples,) = whole_numbers(samples=samples)
    count = min(samples, len(source), len(target))
    if count < 1:
        raise ValueError(
            f"each side needs a sample, got samples={samples}, a source of {len(source)} and a target of {len(target)}"
        )
    sides = {"source": source, "target": target}
    axes = {variable.axes for side in sides.values() for variable in variables_of(side)} - {(), *LISTS}
    if not axes:
        panels = _draw_table({role: side[:DOTS] for role, side in sides.items()}, ax)
    elif axes == {("time",)}:
        panels = _draw_trajectories({role: side[:count] for role, side in sides.items()}, ax)
    else:
        panels = _draw_samples({role: side[:count] for role, side in sides.items()}, count, ax)
    set_title(panels, title)
    return panels


def _draw_table(sides: Mapping[str, Dataset], ax: np.ndarray | None) -> np.ndarray:
    """Draw every output over the inputs that are most correlated with it on either side."""
    tables = {role: (columns_of(side, side.inputs), columns_of(side, side.outputs)) for role, side in sides.items()}
    outputs = list(dict.fromkeys(label for _, given in tables.values() for label in given))[:3]
    width = min(3, max(len(inputs) for inputs, _ in tables.values()))
    height = 4.5 if len(outputs) == 1 else 0.9 + 2.2 * len(outputs)
    panels = panels_or_new(ax, (len(outputs), width), figsize=(10, height), sharey="row")
    for row, output in zip(panels, outputs, strict=True):
        strength: dict[tuple[str, str], float] = {}
        for inputs, given in tables.values():
            for label in inputs if output in given else ():
                strength[label] = max(strength.get(label, 0.0), _correlation(inputs[label], given[output]))
        row[0].set_ylabel(f"{output[0]} [{output[1]}]")
        for panel, label in zip(row, sorted(strength, key=strength.__getitem__, reverse=True), strict=False):
            panel.set_xlabel(f"{label[0]} [{label[1]}]")
            panel.locator_params(axis="x", nbins=5)
            for colour, (role, (inputs, given)) in zip(COLOURS, tables.items(), strict=False):
                if label in inputs and output in given:
                    panel.plot(inputs[label], given[output], "o", color=colour, markersize=3.5, alpha=0.6, label=role)
        align(row, "y")
    add_legend(panels)
    return panels


def _draw_trajectories(sides: Mapping[str, Dataset], ax: np.ndarray | None) -> np.ndarray:
    """Draw a row for every variable and a column for every side, with a colour for every sample."""
    known = {role: {v.name: v for v in variables_of(side) if v.axes == ("time",)} for role, side in sides.items()}
    order = _side_by_side(known)
    rows = max(map(len, order.values()))
    panels = panels_or_new(ax, (rows, len(sides)), figsize=(10, 1.1 + 1.65 * max(2, rows)))
    places = {}
    for column, (role, side) in zip(panels.T, sides.items(), strict=True):
        numbers = columns_of(side, side.outputs).items()
        spread = (f"{name} {', '.join(map(short_number, values))} {units}" for (name, units), values in numbers)
        column[0].set_title("; ".join((f"{role}, {len(side)} samples", *spread)), fontsize="small")
        for panel, name in zip(column, order[role], strict=False):
            places[role, name] = panel
            for colour, values in zip(COLOURS, side[name], strict=False):
                panel.plot(side.coordinates["time"].values, values, color=colour)
            last = name == order[role][-1]
            panel.set_xlabel(axis_label(side, "time") if last else "")
            first = role == "source" or ("source", name) not in places
            panel.set_ylabel(variable_label(known[role][name]) if first else "")
            panel.tick_params(which="both", labelbottom=last, labelleft=first)
        for panel in column[len(order[role]) :]:
            panel.set_axis_off()
    for name in dict.fromkeys(name for names in order.values() for name in names):
        found = [role for role in sides if name in known[role]]
        log = all(known[role][name].scaling == "log" for role in found)
        _set_limits([places[role, name] for role in found], [sides[role][name] for role in found], log)
    return panels


@small_print()
def _draw_samples(sides: Mapping[str, Dataset], count: int, ax: np.ndarray | None) -> np.ndarray:
    """Draw a panel for every sample of every group: an image, or the variables along one axis in one unit."""
    groups: dict[str, dict[str, list[Variable]]] = {}
    known: dict[str, dict[str, None]] = {role: {} for role in sides}
    for role, side in sides.items():
        for variable in (v for v in variables_of(side) if v.axes):
            key = f"{variable.axes[0]} {variable.units}" if is_line(variable) else f"image {variable.name}"
            groups.setdefault(key, {}).setdefault(role, []).append(variable)
            known[role][key] = None
    order, single = _side_by_side(known), len(groups) == 1
    headers = {(r, i): [f"{r} {i + 1}", *numbers_of(side, i, 2 + single)] for r, side in sides.items() for i in range(count)}
    rows = max(map(len, order.values()))
    if single:
        panels = panels_or_new(ax, (len(sides), count), figsize=(10, 4.5))
        cells = {role: [list(row)] for role, row in zip(sides, panels, strict=True)}
    else:  # both sides in one row, with a gap between them
        height = 0.9 + 0.12 * max(map(len, headers.values())) + 1.35 * rows
        if ax is None:
            widths = [*[1.0] * count, 0.1, *[1.0] * count]
            panels = panels_or_new(None, (rows, len(widths)), figsize=(10, height), width_ratios=widths)
            for gap in panels[:, count]:
                gap.remove()
            panels = np.delete(panels, count, axis=1)
        else:
            panels = panels_or_new(ax, (rows, 2 * count))
        cells = {role: [list(row) for row in half] for role, half in zip(sides, np.hsplit(panels, 2), strict=True)}
    places = {role: dict(zip(order[role], cells[role], strict=False)) for role in sides}
    outputs = ((side, v) for side in sides.values() for v in side.outputs if v.axes and is_line(v))
    colours = dict(zip(dict.fromkeys(label for side, v in outputs for label, _ in lines_of(side, v)), COLOURS, strict=False))
    for key, found in groups.items():
        shown = {role: places[role][key] for role in found}
        if is_line(next(iter(found.values()))[0]):
            _draw_lines({role: sides[role] for role in found}, found, shown, colours)
        else:
            _draw_images({role: sides[role] for role in found}, found, shown)
    for panel in (panel for role in sides for row in cells[role][len(order[role]) :] for panel in row):
        panel.set_axis_off()
    for above, below in (pair for role in sides for pair in pairwise(places[role].values())):
        for upper, lower in zip(above, below, strict=True):
            if upper.get_xlabel() == lower.get_xlabel():
                upper.set_xlabel("")
                upper.tick_params(labelbottom=False)
    for (role, i), header in headers.items():
        short = single and len(", ".join(header)) <= 50
        numbers = textwrap.fill(", ".join(header[1:]), LETTERS // count) if single else "\n".join(header[1:])
        text = ", ".join(header) if short else f"{header[0]}\n{numbers}"
        cells[role][0][i].set_title(text.strip(), fontsize="medium" if single else "small")
    add_legend(panels)
    return panels


def _draw_lines(
    sides: Mapping[str, Dataset],
    found: Mapping[str, list[Variable]],
    shown: Mapping[str, list[Axes]],
    colours: Mapping[str, str],
) -> None:
    for role, side in sides.items():
        axis = found[role][0].axes[0]
        points = side.coordinates[axis].values
        for i, panel in enumerate(shown[role]):
            for variable in found[role]:
                is_input, style = variable in side.inputs, "o-" if (axis,) in LISTS else "-"
                for label, values in lines_of(side, variable):
                    colour = INPUT if is_input else colours.get(label, TRUTH)
                    width = 1.2 if is_input else 1.8
                    panel.plot(points, values[i], style, color=colour, linewidth=width, markersize=3, label=label)
            panel.set_xlabel(axis_label(side, axis))
            panel.set_ylabel(group_label(side, found[role]) if i == 0 else "")
            panel.tick_params(which="both", labelleft=i == 0)
    drawn = [sides[role][variable.name] for role in found for variable in found[role]]
    log = all(variable.scaling == "log" for variables in found.values() for variable in variables)
    _set_limits([panel for role in found for panel in shown[role]], drawn, log)


def _draw_images(sides: Mapping[str, Dataset], found: Mapping[str, list[Variable]], shown: Mapping[str, list[Axes]]) -> None:
    fields = {role: _last_time(found[role][0], side[found[role][0].name]) for role, side in sides.items()}
    low, high = min(float(field.min()) for field in fields.values()), max(float(field.max()) for field in fields.values())
    signed = min(-low, high) > max(-low, high) / 4  # small values of the other sign do not make a field signed
    if signed:
        low, high = min(low, -high), max(high, -low)
    log = low > 0 and all(variables[0].scaling == "log" for variables in found.values())
    norm = LogNorm(low, high) if log else Normalize(low, high)
    for role, side in sides.items():
        across, up = found[role][0].axes[-2:]
        for i, (panel, field) in enumerate(zip(shown[role], fields[role], strict=True)):
            # The first axis points to the right, the second upwards.
            artist = panel.imshow(
                field.T,
                origin="lower",
                extent=(*_ends(side, across), *_ends(side, up)),
                norm=norm,
                cmap=SIGNED if signed else None,
                aspect="equal" if {across, up} <= {"x", "y", "z"} else "auto",
                interpolation="nearest",
            )
            panel.set_xlabel(axis_label(side, across))
            panel.set_ylabel(axis_label(side, up) if i == 0 else "")
            panel.tick_params(labelleft=i == 0)
            panel.grid(False)
            panel.locator_params(nbins=3)
    beside = [panel for role in found for panel in shown[role]]
    bar = figure_of(np.array(beside)).colorbar(artist, ax=beside, fraction=0.02, pad=0.01)
    bar.set_label(textwrap.fill(variable_label(next(iter(found.values()))[0]), 22))
    if log:
        ticks = np.geomspace(low, high, 4)
        bar.set_ticks(list(ticks), labels=[short_number(tick, 2) for tick in ticks])
        bar.ax.minorticks_off()


def _side_by_side(known: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Order the rows of each side: first those that all sides have."""
    common = [key for key in next(iter(known.values())) if all(key in keys for keys in known.values())]
    return {role: [*common, *(key for key in keys if key not in common)] for role, keys in known.items()}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = (values.astype(float) - values.mean(dtype=float) for values in (a, b))
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return abs(float((a * b).sum())) / scale if scale else 0.0


def _last_time(variable: Variable, values: np.ndarray) -> np.ndarray:
    if len(variable.axes) == 3 and variable.axes[0] == "time":
        return values[:, -1]
    if len(variable.axes) != 2:
        raise ValueError(f"at most two axes, and time before them, can be drawn, {variable.name} has {variable.axes}")
    return values


def _ends(side: Dataset, axis: str) -> tuple[float, float]:
    """Return where the first cell of an axis begins and where the last one ends."""
    points = side.coordinates[axis].values
    first, last, cells = (
        (0.0, len(points) - 1.0, len(points)) if points.dtype.kind == "U" else (points[0], points[-1], len(points))
    )
    half = float(last - first) / (cells - 1) / 2 if cells > 1 else 0.5
    return float(first) - half, float(last) + half


def _set_limits(panels: Sequence[Axes], drawn: Sequence[np.ndarray], log: bool) -> None:
    """Give the panels the same scale and limits of the vertical axis."""
    low, high = min(float(values.min()) for values in drawn), max(float(values.max()) for values in drawn)
    marked = "25" if high < 100 * low else ""
    for panel in panels:
        if log and low > 0:
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            panel.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in marked else "")
            panel.set_ylim(low * (low / high) ** 0.05 / 1.01, high * (high / low) ** 0.05 * 1.01)
        else:
            margin = 0.05 * (high - low) or 1.0
            panel.set_ylim(low - margin, high + margin)
