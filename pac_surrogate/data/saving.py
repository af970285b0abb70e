"""Writing of datasets in the layouts of other programs, which the suffix of a path or a name tells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pac_surrogate import formats
from pac_surrogate.utilities.arguments import got

ARRAYS = {".npz": "write_npz", ".mat": "write_matlab", ".zarr": "write_zarr"}
TABLES = {".csv": "write_csv", ".parquet": "write_parquet"}
NAMED = {"the_well": "write_the_well", "pdebench": "write_pdebench"}
OURS = (".h5", ".hdf5", ".nc", "")


def writer_of(path: Path, to: str | None) -> tuple[str, Callable[[Path, Any], None]] | None:
    """Return "arrays" or "table" and the function that writes it to a path; None for our own layout.

    Raises:
        ValueError: if neither the suffix nor `to` tells a layout.
    """
    if to is not None and to not in NAMED:
        raise ValueError(f"to= must be one of {', '.join(NAMED)}, or be left out if the path tells the layout, got {got(to)}")
    if to is not None:
        return "arrays", getattr(formats, NAMED[to])
    suffix = path.suffix.lower()
    for form, names in (("arrays", ARRAYS), ("table", TABLES)):
        if suffix in names:
            return form, getattr(formats, names[suffix])
    if suffix in OURS:
        return None
    suffixes = ", ".join(filter(None, (*OURS, *ARRAYS, *TABLES)))
    raise ValueError(f"the name of a data file must end with one of {suffixes}, got {path.name!r}; or name the layout with to=")
