"""The panels of a figure: new ones, or those that the caller gives, and what belongs to all of them together."""

import textwrap
from collections.abc import Iterable
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pac_surrogate.utilities.arguments import got


def panel_or_new(ax: Any, figsize: tuple[float, float]) -> Axes:
    """Return the given axes, or those of a new figure of this size [inch].

    Raises:
        ValueError: if they are no Axes of Matplotlib, or belong to no figure.
    """
    if ax is None:
        return plt.subplots(figsize=figsize, layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be axes of Matplotlib, as plt.subplots()[1] gives them, got {got(ax)}")
    if ax.get_figure() is None:
        raise ValueError("ax must belong to a figure, and was removed from it")
    return ax


def panels_or_new(ax: Any, shape: tuple[int, int], **new: Any) -> np.ndarray:
    """Return the given axes as an array of this shape, or those of a new figure.

    Args:
        ax: array of Axes; dimensions of length 1 may be left out, as plt.subplots leaves them out. None for a new figure.
        shape: numbers of rows and of columns.
        new: arguments of plt.subplots for a new figure.

    Raises:
        ValueError: if there are not as many different Axes in this arrangement, or they belong to several figures.
    """
    if ax is None:
        return plt.subplots(*shape, layout="constrained", squeeze=False, **new)[1]
    panels = np.array(ax, dtype=object)
    right = panels.squeeze().shape == tuple(length for length in shape if length > 1)
    if not right or not all(isinstance(panel, Axes) for panel in panels.flat) or len(set(panels.flat)) < panels.size:
        wanted = f"plt.subplots({shape[0]}, {shape[1]})[1]"
        raise ValueError(f"ax must be the array of different axes that {wanted} gives, for this figure's panels, got {got(ax)}")
    panels = panels.reshape(shape)
    if len({panel.get_figure() for panel in panels.flat}) > 1 or figure_of(panels) is None:
        raise ValueError("the axes in ax must belong to one figure, or to one SubFigure of it")
    return panels


def figure_of(panels: np.ndarray) -> Figure | SubFigure:
    """Return the Figure or SubFigure that panels belong to."""
    return panels.flat[0].get_figure()


def whole_figure(ax: Axes) -> Figure:
    """Return the figure that axes belong to, directly or within a SubFigure."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def set_title(panels: np.ndarray, title: str) -> None:
    """Write a title above the panels: above the figure, or in the first panel if the figure has others too."""
    if title and _alone(panels):
        figure_of(panels).suptitle(textwrap.fill(title, 125))
    elif title:
        first = panels.flat[0]
        first.set_title("\n".join(filter(None, (title, first.get_title()))))


def add_legend(panels: np.ndarray) -> None:
    """Add one legend for all panels, in which each label appears once; a single label needs none.

    It stands below the panels, or in the first panel with lines if the figure has other panels, or makes no room below them.
    """
    found: dict[Any, Artist] = {}
    for panel in panels.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if len(found) < 2:
        return
    figure, handles, labels = figure_of(panels), list(found.values()), list(found)
    if _alone(panels) and isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.legend(handles, labels, loc="outside lower center", ncols=len(found))
    else:
        next(panel for panel in panels.flat if panel.get_legend_handles_labels()[1]).legend(handles, labels, loc="best")


def align(panels: Iterable[Axes], axis: Literal["x", "y"]) -> None:
    """Give panels the same limits, the widest ones; of a new figure, panels share them already."""
    panels = list(panels)
    shared = getattr(panels[0], f"get_shared_{axis}_axes")()
    if not all(shared.joined(panels[0], panel) for panel in panels):
        limits = np.array([getattr(panel, f"get_{axis}lim")() for panel in panels])
        for panel in panels:
            getattr(panel, f"set_{axis}lim")(limits.min(), limits.max())


def _alone(panels: np.ndarray) -> bool:
    """Whether their Figure or SubFigure has no panels but these."""
    return all(panel in panels or panel.get_label() == "<colorbar>" for panel in figure_of(panels).axes)
