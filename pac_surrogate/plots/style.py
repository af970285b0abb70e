"""The style of all figures: `pac.mplstyle` beside this file, and what a style file of Matplotlib cannot say."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib import style

STYLE = Path(__file__).with_name("pac.mplstyle")
_PALETTE = mpl.rc_params_from_file(STYLE, use_default_template=False)["axes.prop_cycle"]
COLOURS: tuple[str, ...] = tuple(_PALETTE.by_key()["color"])
MARKERS = "osD^vP*X<>hp"
SIGNED = "RdBu_r"  # the colour map of errors, and of fields that change their sign
INPUT, TRUTH = "0.6", "black"  # colours of a sample's inputs, and of the values that a prediction should have
BAND: dict[str, Any] = {"alpha": 0.13, "linewidth": 0, "zorder": 1}
GUIDE: dict[str, Any] = {"color": "0.8", "linewidth": 0.8, "zorder": 0}
ZERO: dict[str, Any] = {"color": "black", "linewidth": 0.8, "zorder": 0}

# Within it, for figures of many small panels.
small_print = partial(
    mpl.rc_context, {"font.size": 8, "axes.labelpad": 1, "xtick.labelsize": "small", "ytick.labelsize": "small"}
)


@contextmanager
def in_style() -> Iterator[None]:
    """Give new figures the style, in a `with` or as a decorator; those of the user, and the user's rcParams, are left alone."""
    # The backend is loaded before: that of notebooks turns the interactive mode on, which the end of the context would undo.
    plt.draw_if_interactive()
    with style.context(STYLE):
        yield


def line_style(number: int, *, highlighted: bool = False) -> dict[str, Any]:
    """Return the colour, dashes, width and order of the line of the method with this number.

    Args:
        number: place of the method among those drawn, from 0; colours repeat, with dashed lines.
        highlighted: whether it is drawn thicker and on top.
    """
    width = {"linewidth": 2.6, "zorder": 5} if highlighted else {"zorder": 3}
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": "-" if number < len(COLOURS) else "--", **width}
