"""The figure of the target samples that a transfer needs and saves, against the error."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from pac_surrogate.curves.results import as_curve, check_methods
from pac_surrogate.curves.savings import REFERENCES, first_sizes, needed_of, resampled_medians, saved_of
from pac_surrogate.plots.curves import LABELS
from pac_surrogate.plots.panels import align, panels_or_new
from pac_surrogate.plots.style import BAND, GUIDE, ZERO, in_style, line_style

if TYPE_CHECKING:
    import xarray as xr


@in_style()
def plot_savings(
    curve: "xr.Dataset | Path | str",
    errors: float | Sequence[float] | None = None,
    *,
    methods: str | Sequence[str] | None = None,
    against: str | Sequence[str] = REFERENCES,
    metric: str | None = None,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
    ax: np.ndarray | None = None,
    highlight: str | None = "PAC",
) -> np.ndarray:
    """Draw the target samples that methods need against the error, and below them those saved against references.

    Bands are bootstrap intervals over seeds. If a reference never reaches the error, triangles show a lower bound of the saved
    samples; if a method does not reach it, its line ends.

    Args:
        curve: result of `transfer_curve`, or the path of a saved one.
        errors: error or errors at which to draw; by default 40 from the smallest to the largest median error of the methods.
        methods: name or names of the methods to draw, in this order; all by default.
        against: name or names of the references, with a panel for each; those that the curve lacks are left out.
        metric: a variable of the curve, the headline metric by default.
        level: fraction of the resamples within a band.
        resamples: number of resamples.
        seed: seed of the resamples.
        ax: array of axes to draw on, one above the other: one and one more for each reference that the curve has; those of a
            new figure by default.
        highlight: name of the method that is drawn thicker and on top.

    Returns:
        Array of Axes, (1 + reference, 1); `plot_savings(curve)[0, 0].figure` is the figure.

    Raises:
        ValueError: as `samples_needed_interval`, or if there is no positive error at which to draw, or `ax` has not the axes
            that are needed.
    """
    curve = as_curve(curve)
    names = check_methods(curve, methods)
    asked = (against,) if isinstance(against, str) else against
    references = [name for name in asked if name in curve["approach"].values]
    medians = {name: resampled_medians(curve, name, metric, resamples, seed) for name in (*names, *references)}
    if errors is None:
        measured = np.concatenate([medians[name][1][:, 0] for name in names])
        known = measured[np.isfinite(measured) & (measured > 0)]
        errors = np.geomspace(known.min(), known.max(), 40).tolist() if len(known) else []
    goals = np.sort(np.atleast_1d(errors))
    if goals.dtype.kind not in "fiu" or not (len(goals) and (goals > 0).all()):
        raise ValueError(f"errors must be positive, and at least one is needed, got {errors}: is the curve empty?")
    needed = {name: [first_sizes(*both, float(goal)) for goal in goals] for name, both in medians.items()}
    sizes = next(iter(medians.values()))[0]
    largest = float(sizes[-1])

    rows = 1 + len(references)
    panels = panels_or_new(ax, (rows, 1), figsize=(7.6, 1.4 + 2.8 * rows), sharex=True)
    above, *below = panels[:, 0]
    for i, name in enumerate(names):
        style = {"label": name, **line_style(i, highlighted=name == highlight)}
        found = [needed_of(n, level) for n in needed[name]]
        _draw(above, goals, [(n.samples, n.low, n.high) for n in found], largest, style)
        for panel, reference in zip(below, references, strict=True):
            if name == reference:
                continue
            pairs = zip(needed[name], needed[reference], strict=True)
            saved = [saved_of(*pair, largest=largest, level=level) for pair in pairs]
            _draw(panel, goals, [(s.saved, s.low, s.high) for s in saved], largest, style)
            open_ended = np.array([s.at_least if np.isinf(s.saved) else np.nan for s in saved])
            panel.plot(goals, open_ended, "^", markersize=4, color=style["color"], zorder=style["zorder"])

    above.axhline(largest, **GUIDE)
    positive = sizes[sizes > 0]
    if len(positive):
        above.set_yscale("symlog", linthresh=positive[0], linscale=0.5)  # logarithmic, but linear near n = 0
        above.set_yticks(sizes, [f"{size:.0f}" for size in sizes])
        above.minorticks_off()
        above.set_ylim(-0.1 * positive[0] if len(positive) < len(sizes) else 0.8 * positive[0], 1.3 * largest)
    above.set_ylabel("target samples needed")
    for panel, reference in zip(below, references, strict=True):
        panel.axhline(0, **ZERO)
        shown = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in panel.lines])
        margin = 0.2 * max(float(np.nanmax(shown) - np.nanmin(shown)), 1.0)
        panel.set_ylim(np.nanmin(shown) - margin, np.nanmax(shown) + margin)  # of the lines only: bands may be infinite
        panel.set_ylabel(f"samples saved\nagainst {reference}")
    for panel in panels.flat:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        panel.xaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    align(panels.flat, "x")
    name = metric or str(curve.attrs["headline"])
    panels[-1, 0].set_xlabel(LABELS.get(name, name))
    above.set_title(
        f"{curve.attrs.get('pair', '')}: medians and {level:.0%} intervals over {curve.sizes['seed']} seeds".lstrip(": ")
    )
    above.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return panels


def _draw(
    axes: Axes, goals: np.ndarray, values: list[tuple[float, float, float]], largest: float, style: dict[str, Any]
) -> None:
    """Draw a line with its band; where an end of the band is infinite, the band leaves the panel."""
    middle, low, high = np.array(values).T
    outside = 4 * largest
    known = np.isfinite(middle)
    axes.plot(goals, np.where(known, middle, np.nan), **style, marker="o" if len(goals) == 1 else None)
    low, high = np.clip(low, -outside, outside), np.clip(high, -outside, outside)
    axes.fill_between(goals, low, high, where=known, color=style["color"], **BAND)
