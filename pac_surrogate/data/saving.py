"""Writing of datasets in our own layout, or in those of other programs, as the suffix of a path or a name tells."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from pac_surrogate import formats
from pac_surrogate.data.labelled import without_dates
from pac_surrogate.files.layout import BLOCK_BYTES
from pac_surrogate.files.variables import Variable
from pac_surrogate.files.writer import DatasetWriter
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.display import Shown

ARRAY_WRITERS = {".npz": "write_npz", ".mat": "write_matlab", ".zarr": "write_zarr"}
TABLE_WRITERS = {".csv": "write_csv", ".parquet": "write_parquet"}
NAMED_WRITERS = {"the_well": "write_the_well", "pdebench": "write_pdebench"}
OURS = (".h5", ".hdf5", ".nc", "")


@dataclass(frozen=True, eq=False, repr=False)
class Samples(Shown):
    """A variable of a dataset, which reads its numbers when it is indexed.

    Attributes:
        data: the dataset.
        variable: the variable.
    """

    data: Any
    variable: Variable

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return (len(self.data), *self.variable.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.data[:0][self.variable.name].dtype

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read some samples."""
        return self.data[rows][self.variable.name][(slice(None), *rest)]


def lazy_arrays(data: Any) -> Any:
    """Return a dataset as `to_xarray` does, but with numbers that are read from its file when they are indexed."""
    if data.file is None:
        return data.to_xarray()
    from pac_surrogate.formats.lazy import lazy_variable

    variables = (*data.inputs, *data.outputs)
    return data._to_xarray({v.name: lazy_variable(("sample", *v.axes), Samples(data, v)) for v in variables})


def save(data: Any, path: Path, to: str | None) -> None:
    """Write a dataset; see `Dataset.save`."""
    if (other := writer_of(path, to)) is not None:
        form, write = other
        write(path, without_dates(lazy_arrays(data)) if form == "arrays" else data.to_pandas())
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
    if to is not None and to not in NAMED_WRITERS:
        known = ", ".join(NAMED_WRITERS)
        raise ValueError(f"to= must be one of {known}, or be left out if the path tells the layout, got {got(to)}")
    if to is not None:
        return "arrays", getattr(formats, NAMED_WRITERS[to])
    suffix = path.suffix.lower()
    for form, names in (("arrays", ARRAY_WRITERS), ("table", TABLE_WRITERS)):
        if suffix in names:
            return form, getattr(formats, names[suffix])
    if suffix in OURS:
        return None
    suffixes = ", ".join(filter(None, (*OURS, *ARRAY_WRITERS, *TABLE_WRITERS)))
    raise ValueError(f"the name of a data file must end with one of {suffixes}, got {path.name!r}; or name the layout with to=")
