"""The tables and the figure of `deploy.py`, made from its stored results; the book shows the same ones."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from deployment.networks import BATCHES, DENSE, FORMS, name_of
from deployment.small import FROM_PYTHON, IN_C, ROWS, WAYS
from pac_surrogate.plots.style import COLOURS, MARKERS, in_style
from shared.tables import markdown_table

Found = Mapping[str, Any]
# How many times faster than the dense network in torch a sparse one of 4 x 1,024 units was, by batch size and sparsity.
# Measured before, on an AMD EPYC, one thread; DeepSparse 1.8 is no dependency. CSR (compressed rows) is the faster of SciPy's
# and torch's.
REFERENCES = {
    "DeepSparse": {"1": {0.9: 3.7, 0.95: 3.9}, "64": {0.9: 3.0, 0.95: 5.1}},
    "CSR": {"1": {0.9: 2.7, 0.95: 5.1}, "64": {0.9: 2.3, 0.95: 4.5}},
}
# What was aimed at: ratios of the large networks by form and batch size, and times of the small one.
RATIOS = {("unstructured", "1"): 2.7, ("unstructured", "64"): 2.3, ("structured", "1"): 8.0, ("structured", "64"): 7.0}
ERROR_RATIO = 1.1
MICROSECONDS = {("relu", IN_C): 1.5, ("gelu", IN_C): 3.0, ("relu", FROM_PYTHON): 5.0, ("gelu", FROM_PYTHON): 7.0}
SECONDS = 1.0  # of a million rows, ReLU
TICKS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.5, 2, 3, 5, 10, 20, 40)


def parts_of(name: str) -> tuple[str, float, str]:
    """Return recipe, sparsity and form of the name of a network that is not dense."""
    recipe, sparsity, form = name.rsplit(" ", 2)
    return recipe, float(sparsity), form


def error_ratio(networks: Found, name: str) -> float:
    """Return the median over seeds of the error over that of the dense network with the same seed; NaN if one is missing."""
    ratios = [a / b for a, b in zip(networks[name]["errors"], networks[DENSE]["errors"], strict=True)]
    return math.nan if any(map(math.isnan, ratios)) else statistics.median(ratios)


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(statistics.mean(logs))


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return a median with its quartiles."""
    return f"{values[0]:.{digits}f} ({values[1]:.{digits}f} to {values[2]:.{digits}f})"


def title(name: str) -> str:
    """Return the name of a network with its sparsity in percent."""
    if name == DENSE:
        return name
    recipe, sparsity, form = parts_of(name)
    return f"{recipe} {100 * sparsity:g} %, {form}"


def kilobytes(size: float) -> str:
    return f"{size / 1000:,.0f}"


# The recipes


def columns_of(pairs: Found) -> list[tuple[str, float]]:
    """Return the forms and sparsities that were measured."""
    names = [parts_of(name) for name in next(iter(pairs.values())) if name != DENSE]
    return list(dict.fromkeys((form, sparsity) for _, sparsity, form in names))


def recipes_of(pairs: Found) -> list[str]:
    return list(dict.fromkeys(parts_of(name)[0] for name in next(iter(pairs.values())) if name != DENSE))


def errors_table(pairs: Found) -> str:
    """Return the error of each recipe over that of the dense network, as geometric means over the pairs."""
    columns = columns_of(pairs)
    rows = [
        (recipe, *(f"{mean_error_ratio(pairs, name_of(recipe, sparsity, form)):.2f}" for form, sparsity in columns))
        for recipe in recipes_of(pairs)
    ]
    return markdown_table(("recipe", *(f"{form}, {100 * sparsity:g} %" for form, sparsity in columns)), rows)


def mean_error_ratio(pairs: Found, name: str) -> float:
    return geometric_mean(error_ratio(networks, name) for networks in pairs.values())


def savings_table(networks: Found) -> str:
    """Return sizes and times on a pair: those of the dense network, and medians over the recipes, with the range of ratios."""
    rows = [_savings("dense", [networks[DENSE]])]
    for form, sparsity in columns_of({"": networks}):
        own = [one for name, one in networks.items() if name != DENSE and parts_of(name)[1:] == (sparsity, form)]
        rows.append(_savings(f"{form}, {100 * sparsity:g} %", [one for one in own if "speed" in one]))
    speeds = [f"batch {batch}: {what}" for batch in BATCHES for what in ("engine", "time, us", "times as fast")]
    return markdown_table(("network", "non-zero weights", "C, kB", "ONNX, kB", *speeds), rows)


def _savings(label: str, own: Sequence[Found]) -> list[str]:
    row = [label, f"{statistics.median(one['weights'] for one in own):,.0f}"]
    row += [kilobytes(statistics.median(one[f"{format}_bytes"] for one in own)) for format in ("c", "onnx")]
    for batch in map(str, BATCHES):
        speeds = [one["speed"][batch] for one in own]
        ratios = [speed["ratio"][0] for speed in speeds]
        between = f" ({min(ratios):.1f} to {max(ratios):.1f})" if len(own) > 1 else ""
        row += [statistics.mode(speed["engine"] for speed in speeds)]
        row += [f"{statistics.median(speed['microseconds'][0] for speed in speeds):.1f}"]
        row += [f"{statistics.median(ratios):.1f}{between}"]
    return row


def networks_table(networks: Found) -> str:
    """Return every network of a pair: its error, size and times."""
    speeds = [f"batch {batch}: {what}" for batch in BATCHES for what in ("engine", "times as fast")]
    head = ("network", "error", "error / dense", "non-zero weights", "C, kB", "ONNX, kB", *speeds)
    rows = []
    for name, one in networks.items():
        row = [title(name), f"{statistics.median(one['errors']):.4f}", f"{error_ratio(networks, name):.2f}"]
        if "speed" in one:
            row += [f"{one['weights']:,}", kilobytes(one["c_bytes"]), kilobytes(one["onnx_bytes"])]
            for speed in one["speed"].values():
                row += [speed["engine"], spread(speed["ratio"])]
        rows.append(row + ["n/a"] * (len(head) - len(row)))
    return markdown_table(head, rows)


# The large networks


def engines_table(networks: Found, batch: int) -> str:
    """Return how many times faster than the dense network in torch every engine is, with quartiles."""
    measured = {name: one["speed"][str(batch)]["engines"] for name, one in networks.items() if "speed" in one}
    engines = list(dict.fromkeys(engine for own in measured.values() for engine in own))
    rows = [
        (engine, *(spread(own[engine]["ratio"], 2) if engine in own else "" for own in measured.values())) for engine in engines
    ]
    return markdown_table(("engine", *map(title, measured)), rows)


def large_aims(networks: Found) -> list[tuple[str, str, str, str]]:
    """Return what was aimed at for the large networks: what, goal, measured, and whether it is reached."""
    rows = []
    for name in networks:
        if name == DENSE:
            continue
        form = parts_of(name)[2]
        for batch in map(str, BATCHES):
            ratio = networks[name]["speed"][batch]["ratio"][0]
            what = f"{title(name)}: times as fast, batch {batch}"
            rows.append((what, f"at least {RATIOS[form, batch]:g}", f"{ratio:.2f}", reached(ratio >= RATIOS[form, batch])))
        if form == "structured":
            error = error_ratio(networks, name)
            rows.append(
                (f"{title(name)}: error / dense", f"at most {ERROR_RATIO:g}", f"{error:.2f}", reached(error <= ERROR_RATIO))
            )
    return rows


# The small network


def small_table(measured: Found) -> str:
    """Return the microseconds of one prediction in every way, by activation function."""
    names = [*WAYS, *(f"{way}, {real}" for way in (FROM_PYTHON, IN_C) for real in ("float", "double"))]
    rows = [
        (way, *(_microseconds(own[way]) if way in own else "" for own in measured.values()))
        for way in names
        if any(way in own for own in measured.values())
    ]
    return markdown_table(("way", *measured), rows)


def _microseconds(one: Found) -> str:
    least = f"{one['least']:.2f}"
    return f"{least}; {spread(one['microseconds'], 2)}" if "microseconds" in one else least


def rows_table(measured: Found) -> str:
    """Return the seconds of the table of many rows through the C export."""
    names = [f"{ROWS}, {real}" for real in ("float", "double")]
    rows = [(activation, *(f"{own[name]:.2f}" for name in names)) for activation, own in measured.items() if names[0] in own]
    return markdown_table(("activation", "float, s", "double, s"), rows)


def small_aims(measured: Found) -> list[tuple[str, str, str, str]]:
    """Return what was aimed at for the small network."""
    rows = []
    for (activation, way), goal in MICROSECONDS.items():
        name = f"{way}, float"
        if name in measured.get(activation, {}):
            least = measured[activation][name]["least"]
            rows.append((f"{activation}, {way}: us", f"at most {goal:g}", f"{least:.2f}", reached(least <= goal)))
    if f"{ROWS}, float" in measured.get("relu", {}):
        seconds = measured["relu"][f"{ROWS}, float"]
        rows.append(("relu, a million rows: s", f"at most {SECONDS:g}", f"{seconds:.2f}", reached(seconds <= SECONDS)))
    return rows


def reached(yes: bool) -> str:
    return "yes" if yes else "no"


def aims_table(large: Found, small: Found) -> str:
    """Return what was aimed at, and what was measured."""
    return markdown_table(("what", "aim", "measured", "reached"), [*large_aims(large), *small_aims(small)])


def report(found: Mapping[str, Found]) -> str:
    """Return all tables of the parts that are finished."""
    own = {part: content["results"] for part, content in found.items() if content}
    texts = []
    if pairs := own.get("recipes"):
        texts += ["Error / dense, geometric mean over the pairs", errors_table(pairs)]
        for pair, networks in pairs.items():
            texts += [f"{pair}: sizes and times", savings_table(networks), f"{pair}: every network", networks_table(networks)]
    if large := own.get("large"):
        texts += ["Large networks", networks_table(large)]
        texts += [text for batch in BATCHES for text in (f"Times as fast, batch {batch}", engines_table(large, batch))]
    if small := own.get("small"):
        texts += ["Small network, us a sample: least; median (quartiles)", small_table(small)]
        texts += ["Rows through the C export", rows_table(small)]
    return "\n\n".join(["", *texts, "Aims", aims_table(own.get("large", {}), own.get("small", {}))])


# The figure


@in_style()
def draw(recipes: Found, large: Found) -> Figure:
    """Draw error against speed: a column for each batch size, the networks of the recipes above and the large ones below."""
    whole = [(content, content is large) for content in (recipes, large) if content]
    figure, axes = plt.subplots(
        len(whole), len(BATCHES), figsize=(9, 3.7 * len(whole)), squeeze=False, layout="constrained", sharey="row"
    )
    for row, (content, is_large) in zip(axes, whole, strict=True):
        pairs = {"": content["results"]} if is_large else content["results"]
        for axis, batch in zip(row, map(str, BATCHES), strict=True):
            _draw_points(axis, pairs, batch)
            if is_large:
                _draw_references(axis, batch)
            axis.set(xscale="log", yscale="log", xlabel=f"times as fast as dense torch, batch {batch}")
            axis.set_title(_layers(content["config"]["setting"].get("model", "")), fontsize="medium")
            _plain_ticks(axis.xaxis)
            _plain_ticks(axis.yaxis)
        row[0].set_ylabel("error / dense error")
        row[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    return figure


def _layers(model: str) -> str:
    """Return the layers of an architecture in words: "3 x 256 units"."""
    widths = re.findall(r"\d+", model)
    return f"{len(widths)} x {widths[0]} units" if widths else ""


def _plain_ticks(axis: Axis) -> None:
    low, high = axis.get_view_interval()
    axis.set_ticks([tick for tick in TICKS if low <= tick <= high], [f"{tick:g}" for tick in TICKS if low <= tick <= high])
    axis.set_minor_formatter(NullFormatter())


def _draw_points(axis: Axes, pairs: Found, batch: str) -> None:
    axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    axis.plot(_mean_speed(pairs, DENSE, batch), 1, "k*", markersize=9, linestyle="", label="dense, fastest engine")
    columns = columns_of(pairs)
    for number, recipe in enumerate(recipes_of(pairs)):
        for form, filled in zip(FORMS, ("none", "full"), strict=True):
            names = [name_of(recipe, sparsity, form) for own, sparsity in columns if own == form]
            names = [name for name in names if all("speed" in networks[name] for networks in pairs.values())]
            style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number], "linestyle": ""}
            points = [(_mean_speed(pairs, name, batch), mean_error_ratio(pairs, name)) for name in names]
            if points:
                axis.plot(*zip(*points, strict=True), color=style["color"], linewidth=0.5)
            for place, point in enumerate(points):
                label = recipe if place == 0 and form == "structured" else None
                axis.plot(*point, **style, fillstyle=filled, markersize=4 + 1.5 * place, label=label)


def _mean_speed(pairs: Found, name: str, batch: str) -> float:
    return geometric_mean(networks[name]["speed"][batch]["ratio"][0] for networks in pairs.values())


def _draw_references(axis: Axes, batch: str) -> None:
    for colour, (name, ratios) in zip(("0.35", "0.65"), REFERENCES.items(), strict=True):
        for (sparsity, ratio), line in zip(ratios[batch].items(), ("--", ":"), strict=True):
            axis.axvline(ratio, color=colour, linestyle=line, linewidth=1, zorder=0, label=f"{name}, {100 * sparsity:g} %")
