"""Writing of datasets in our own layout, or in those of other programs, as the suffix of a path or a name tells."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pac_surrogate import formats
from pac_surrogate.data.labelled import without_dates
from pac_surrogate.files.writer import DatasetWriter
from pac_surrogate.utilities.arguments import got

BLOCK_BYTES = 2**26
ARRAYS = {".npz": "write_npz", ".mat": "write_matlab", ".zarr": "write_zarr"}
TABLES = {".csv": "write_csv", ".parquet": "write_parquet"}
NAMED = {"the_well": "write_the_well", "pdebench": "write_pdebench"}
OURS = (".h5", ".hdf5", ".nc", "")


def save(data: Any, path: Path, to: str | None) -> None:
    """Write a dataset; see `Dataset.save`."""
    if (other := writer_of(path, to)) is not None:
        form, write = other
        write(path, without_dates(data.to_xarray()) if form == "arrays" else data.to_pandas())
        return
    split, order = data.splits()
    inputs, outputs = ([replace(v, dtype=data[:0][v.name].dtype.name) for v in side] for side in (data.inputs, data.outputs))
    names = [variable.name for variable in (*inputs, *outputs)]
    step = max(1, BLOCK_BYTES // (8 * sum(data.widths)))
    with DatasetWriter(
        path,
        inputs=inputs,
        outputs=outputs,
        coordinates=data.coordinates,
        samples=len(data),
        split=split,
        subset_order=order,
        attributes=data.attributes,
        resume=False,
    ) as writer:
        for start in range(0, len(data), step):
            block = data[start : start + step]
            writer.write({name: block[name] for name in names})
        writer.finish()


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
