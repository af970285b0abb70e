"""Figures of transfer curves and of predicted fields."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from pac_surrogate.curves.results import as_curve, check_methods, summarise
from pac_surrogate.data.arrays import as_numbers
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.plots.panels import add_legend, align, figure_of, panel_or_new, panels_or_new, set_title
from pac_surrogate.plots.style import BAND, COLOURS, GUIDE, MARKERS, SIGNED, TRUTH, ZERO, in_style, line_style, small_print
from pac_surrogate.utilities.arguments import got

if TYPE_CHECKING:
    import xarray as xr

LABELS = {
    "rel_l2": "relative L2 error",
    "rmse_std": "RMSE / standard deviation",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "source_error": "error on the source task",
}


@in_style()
def plot_curve(
    curve: "xr.Dataset | Path | str",
    *,
    metric: str | None = None,
    methods: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    highlight: str | None = "PAC",
) -> Axes:
    """Draw error against the number of target samples: medians over seeds and interquartile bands, both axes logarithmic.

    n = 0 is drawn apart at the left. A method that uses no target samples, whose error is constant in n, is drawn too.

    Args:
        curve: result of `transfer_curve`, or the path of a saved one.
        metric: a variable of the curve, the headline metric by default.
        methods: name or names of the methods to draw, in this order; all by default.
        ax: axes to draw on; those of a new figure by default.
        highlight: name of the method that is drawn thicker and on top.

    Returns:
        The axes; `plot_curve(curve).figure.savefig("curve.png")` writes the figure.

    Raises:
        ValueError: if the curve lacks the metric or a method, or `ax` is not axes of a figure.
    """
    curve = as_curve(curve, metric)
    metric = metric or str(curve.attrs["headline"])
    names = check_methods(curve, methods)
    axes = panel_or_new(ax, (7.6, 4.8))
    summary = summarise(curve, metric)
    sizes = np.sort(curve["size"].values).astype(float)
    positive = sizes[sizes > 0]
    ratio = 2.0 if len(positive) < 2 else float((positive[-1] / positive[0]) ** (1 / (len(positive) - 1)))
    zero = positive[0] / ratio**1.5 if len(positive) else 0.5
    for i, name in enumerate(names):
        line = summary.sel({"approach": name}).sortby("size")
        broken = int(line["diverged"].sum()) if "diverged" in line else 0
        label = f"{name} ({broken} runs diverged)" if broken else name
        marker, style = MARKERS[i % len(MARKERS)], line_style(i, highlighted=name == highlight)
        for subset, linked in ((line["size"].values > 0, True), (line["size"].values == 0, False)):
            # At n = 0 many methods equal the source, so their markers stand side by side and none hides another.
            beside = zero * ratio ** (0.8 * (i - (len(names) - 1) / 2) / max(1, len(names) - 1))
            x = np.where(line["size"].values[subset] > 0, line["size"].values[subset].astype(float), beside)
            low, median, high = (line[part].values[subset] for part in ("low", "median", "high"))
            if linked:
                axes.plot(x, median, label=label, marker=marker, **style)
                axes.fill_between(x, low, high, color=style["color"], **BAND)
            else:
                spread = np.abs(np.stack([median - low, high - median]))
                axes.errorbar(x, median, spread, fmt=marker, color=style["color"], zorder=style["zorder"])
    axes.set_xscale("log")
    axes.set_yscale("log")
    if (sizes == 0).any() and len(positive):
        axes.axvline(zero * ratio**0.75, **GUIDE)
    ticks = [zero if size == 0 else size for size in sizes]
    axes.set_xticks(ticks, [f"{size:.0f}" for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "25" else "")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.set_xlabel("target samples n")
    axes.set_ylabel(f"{LABELS.get(metric, metric)} on the target test split" if metric != "source_error" else LABELS[metric])
    axes.set_title(f"{curve.attrs.get('pair', '')}: median and quartiles over {curve.sizes['seed']} seeds".lstrip(": "))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return axes


@in_style()
def plot_fields(
    truth: Any,
    predictions: Any,
    *,
    x: Float[np.ndarray, " x"] | None = None,
    name: str = "",
    units: str = "",
    axis: str = "x",
    title: str = "",
    ax: np.ndarray | None = None,
) -> np.ndarray:
    """Draw truth, predictions and errors of a few samples: lines for 1-D fields, images for 2-D ones.

    Args:
        truth: true fields, (sample, x) or (sample, x, y); 1-D fields have a column of panels for each sample, 2-D fields a row.
        predictions: predicted fields of the same shape, by label, or one array.
        x: coordinates of a 1-D field.
        name: name of the quantity.
        units: unit of the quantity.
        axis: label of the coordinate, with its unit.
        title: title of the figure.
        ax: array of axes to draw on; those of a new figure by default. It has the shape of the array that is returned;
            dimensions of length 1 may be left out.

    Returns:
        Array of Axes with two dimensions. 1-D fields: (2, sample), the fields above their errors. 2-D fields: (sample, 1 + 2 *
        prediction), the truth, then each prediction with its error. `plot_fields(...)[0, 0].figure` is the figure.

    Raises:
        ValueError: if there is no field to draw, shapes differ, or `ax` has not the axes that are needed.
    """
    table = hasattr(truth, "columns")
    if isinstance(truth, Dataset):
        table = not any({"time", "x", "y"} & set(variable.axes) for variable in truth.outputs)
        truth = truth.y
    field = None if table else as_numbers("truth", truth, single=False)
    if field is None or field.ndim not in (2, 3) or 0 in field.shape or 1 in field.shape[1:]:
        raise ValueError(
            f"plot_fields draws fields, arrays (sample, x) or (sample, x, y), got {got(truth)}: "
            "pac.plot_samples draws tables and trajectories"
        )
    truth = field
    given = predictions if isinstance(predictions, Mapping) else {"prediction": predictions}
    predictions = {str(label): as_numbers(str(label), field, single=False) for label, field in given.items()}
    for label, field in predictions.items():
        if field.shape != truth.shape:
            raise ValueError(
                f"predictions must have the shape of the truth, {truth.shape}, got {field.shape} as {label}: "
                "give arrays by label, as {'PAC': adapted.predict(x)}"
            )
    if not predictions:
        raise ValueError("predictions must be one array or more, by label, as {'PAC': adapted.predict(x)}, got none")
    if truth.ndim == 2:
        x = np.arange(truth.shape[1]) if x is None else as_numbers("x", x)
        if x.shape != truth.shape[1:]:
            raise ValueError(f"x must hold the {truth.shape[1]} coordinates of the points, got an array of shape {x.shape}")
        panels = _plot_lines(truth, predictions, x, name, units, axis, ax)
    else:
        panels = _plot_images(truth, predictions, name, units, ax)
    set_title(panels, title)
    return panels


def _plot_lines(
    truth: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    x: np.ndarray,
    name: str,
    units: str,
    axis: str,
    ax: np.ndarray | None,
) -> np.ndarray:
    samples = len(truth)
    panels = panels_or_new(ax, (2, samples), figsize=(3.4 * samples + 1.2, 5.2), sharex=True, sharey="row")
    for column in range(samples):
        above, below = panels[0, column], panels[1, column]
        above.plot(x, truth[column], color=TRUTH, linewidth=2.5, alpha=0.75, label="truth")
        for i, (label, prediction) in enumerate(predictions.items()):
            color = COLOURS[i % len(COLOURS)]
            above.plot(x, prediction[column], "--", color=color, label=label)
            below.plot(x, prediction[column] - truth[column], color=color, label=label)
        below.axhline(0, **ZERO)
        above.set_title(f"test sample {column}")
        below.set_xlabel(axis)
    panels[0, 0].set_ylabel(f"{name} [{units}]" if units else name)
    panels[1, 0].set_ylabel(f"error [{units}]" if units else "error")
    align(panels.flat, "x")
    for row in panels:
        align(row, "y")
    add_legend(panels)
    return panels


@small_print()
def _plot_images(
    truth: np.ndarray, predictions: Mapping[str, np.ndarray], name: str, units: str, ax: np.ndarray | None
) -> np.ndarray:
    samples, columns = len(truth), 1 + 2 * len(predictions)
    panels = panels_or_new(ax, (samples, columns), figsize=(2.3 * columns, 2.4 * samples))
    largest = max(float(np.abs(prediction - truth).max()) for prediction in predictions.values())
    low, high = float(truth.min()), float(truth.max())
    for row in range(samples):
        images = [("truth", truth[row], True)]
        for label, prediction in predictions.items():
            images += [(label, prediction[row], True), (f"{label}: error", prediction[row] - truth[row], False)]
        for panel, (label, image, is_field) in zip(panels[row], images, strict=True):
            limits = (low, high) if is_field else (-largest, largest)
            # The first axis, x, points to the right, and the second, y, upwards.
            shown = panel.imshow(image.T, origin="lower", cmap=None if is_field else SIGNED, vmin=limits[0], vmax=limits[1])
            panel.grid(False)
            panel.set_xticks([])
            panel.set_yticks([])
            if row == 0:
                panel.set_title(label)
            if is_field:
                field_image = shown
            else:
                error_image = shown
    figure, every = figure_of(panels), list(panels.flat)
    field_label, error_label = (f"{label} [{units}]" if units else label for label in (name, "error"))
    figure.colorbar(field_image, ax=every, location="bottom", shrink=0.35, label=field_label, pad=0.02)
    figure.colorbar(error_image, ax=every, location="right", shrink=0.6, label=error_label)
    return panels
