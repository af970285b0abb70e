"""Figures, which are drawn without a screen: importing this module selects a Matplotlib backend that draws into files."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from pac_surrogate.files.replacing import replacing

mpl.use("Agg")


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG, and close it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    plt.close(figure)
