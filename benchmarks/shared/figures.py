"""Figures, which are drawn without a screen: importing this module selects a Matplotlib backend that draws into files."""

import io
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from pac_surrogate.files.replacing import replacing
from pac_surrogate.plots.style import COLOURS
from pac_surrogate.plots.writing import save_figure

mpl.use("Agg")


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as the PNG, PDF or SVG that the ending of its name says, and close it."""
    save_figure(path, figure, dpi=130)
    plt.close(figure)


def write_small_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG with a palette of 256 colours, and close it.

    The palette saves two thirds of the bytes; without metadata, the same data give the same file.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    image = Image.open(drawn).convert("RGB").quantize(palette=palette(), dither=Image.Dither.NONE)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)


def palette() -> Image.Image:
    """Return the colours of our figures: both colour maps, greys, and lines with their antialiased edges."""
    maps = [mpl.colormaps[name](np.linspace(0, 1, count))[:, :3] for name, count in (("viridis", 88), ("RdBu_r", 89))]
    greys = np.linspace(0, 1, 32)[:, None].repeat(3, 1)
    edges = [1 - np.linspace(0.1, 1, 9)[:, None] * (1 - np.array(mpl.colors.to_rgb(colour))) for colour in COLOURS[:5]]
    colours = np.concatenate([*maps, greys, *edges])
    image = Image.new("P", (1, 1))
    image.putpalette((255 * colours).round().astype(np.uint8).tobytes())
    return image
