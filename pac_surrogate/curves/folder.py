"""The folder of a curve's results: the path of each result, and a check that it can be written."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from pac_surrogate.files.netcdf import KINDS
from pac_surrogate.files.replacing import check_output, check_own_folder
from pac_surrogate.files.tensors import KINDS as SAVED
from pac_surrogate.utilities.arguments import as_path
from pac_surrogate.utilities.display import one_line

RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}  # in Windows
LONGEST_NAME = 200  # largest number of bytes of a method's name, from which a file name is made


def surrogate_path(folder: Path, method: str) -> Path:
    """Return the path of a method's surrogate; a slash, backslash or % in its name is percent-encoded, as %2F for AC/DC."""
    name = "".join(quote(character, safe="") if character in "/\\%" else character for character in method)
    return folder / "surrogates" / f"{name}.safetensors"


def checked_folder(out: str | Path, names: Iterable[str], read: Sequence[Path]) -> Path:
    """Check, before anything is trained, that results can be written to a folder, and return its path.

    Args:
        out: the folder.
        names: names of the methods.
        read: files that are read and must not be replaced.

    Raises:
        ValueError: if a method's name cannot be a file name.
        DatasetError: if something else is at the path of a result.
    """
    folder = as_path("out", out)
    for name in names:
        length = len(name.encode(errors="replace"))
        if not name.strip() or not name.isprintable() or name.split(".")[0].strip().upper() in RESERVED:
            raise ValueError(
                f"with out=, the name of a method becomes a file name, which {one_line(name, 60)!r} cannot be: rename it"
            )
        if length > LONGEST_NAME:
            raise ValueError(f"with out=, the name of a method has at most {LONGEST_NAME} bytes, got {length}: shorten it")
        check_output(surrogate_path(folder, name), SAVED["pac_surrogate"], read)
    check_output(folder / "curve.nc", KINDS["transfer curve"], read)
    for table in ("curve.csv", "seconds.csv"):
        check_output(folder / table, None, read)
    for own in ("surrogates", "stacks"):
        check_own_folder(folder / own)
    return folder
