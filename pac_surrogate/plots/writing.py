"""Figures as files: PNG, PDF or SVG, by the ending of the file's name."""

from pathlib import Path

from matplotlib.figure import Figure

from pac_surrogate.files.replacing import Kind, by_suffix, check_output, replacing
from pac_surrogate.plots.style import in_style
from pac_surrogate.utilities.display import one_line

UNDATED = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}  # the same figure gives the same file


def check_figure(path: Path | str) -> Kind:
    """Refuse, before long work, a path to which no figure can be written; return the kind of its file.

    Raises:
        ValueError: if its ending is not .png, .pdf or .svg.
        DatasetError: if the file must not be replaced; see `check_output`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in UNDATED:
        raise ValueError(f"{one_line(path)}: a figure is a {', '.join(UNDATED)} file: give its name one of these endings")
    check_output(path, by_suffix(suffix))
    return by_suffix(suffix)


def save_figure(path: Path | str, figure: Figure, *, dpi: float = 150) -> None:
    """Write a figure completely or not at all, in the format of the ending of its name.

    Args:
        path: file that ends with .png, .pdf or .svg.
        figure: figure, which stays open.
        dpi: pixels per inch of a PNG, and of the images in other formats.

    Raises:
        ValueError: as `check_figure`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    with replacing(path, check_figure(path)) as temporary, in_style():
        figure.savefig(temporary, dpi=dpi, format=suffix[1:], metadata=UNDATED[suffix])
