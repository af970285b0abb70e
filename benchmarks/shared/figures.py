"""Figures, which are drawn without a screen: importing this module selects a Matplotlib backend that draws into files."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from pac_surrogate.plots.writing import save_figure

mpl.use("Agg")


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as the PNG, PDF or SVG that the ending of its name says, and close it."""
    save_figure(path, figure, dpi=130)
    plt.close(figure)
