"""Arrays of files that are read when they are indexed, as variables of xarray.

A source is a stored array with a shape, a dtype and one method, `read(rows, rest)`: the rows along the first axis, in
increasing order, and a slice of each other axis. A file is open only while it is read, hence no file handle is left behind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import h5py
import numpy as np
import xarray as xr
from jaxtyping import Int
from xarray.backends import BackendArray
from xarray.core import indexing

from pac_surrogate.files.netcdf_reader import open_netcdf


@runtime_checkable
class Source(Protocol):
    """A stored array of at least one axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        ...

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read some rows in increasing order, and a slice with a positive step of each other axis."""
        ...


@dataclass(frozen=True)
class Hdf5Source:
    """A dataset of an HDF5 file.

    Attributes:
        path: path of the file.
        name: path of the dataset in the file.
        shape: length of each axis.
        dtype: type of the numbers.
        reverse: whether the file stores the axes in reverse order, as MATLAB does.
        merge: whether the last two stored axes are one axis here, in C order.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    reverse: bool = False
    merge: bool = False

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read some rows; rows in neighbouring chunks are read together."""
        with open_netcdf(self.path) as file:
            return self._read(file[self.name], rows, rest)

    def _read(self, dataset: h5py.Dataset, rows: np.ndarray, rest: tuple[slice, ...]) -> np.ndarray:
        last: tuple[slice, ...] = ()
        if self.merge:
            rest, last = (*rest[:-1], slice(None), slice(None)), (rest[-1],)
        step = dataset.chunks[-1 if self.reverse else 0] if dataset.chunks else 1

        def block(first: int, stop: int) -> np.ndarray:
            key = (slice(first, stop), *rest)
            found = dataset[key[::-1]].transpose() if self.reverse else dataset[key]
            return found.reshape(*found.shape[:-2], -1)[..., *last] if self.merge else found

        return read_blocks(rows, step, block)


def read_blocks(rows: Int[np.ndarray, " row"], step: int, block: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Read rows in increasing order by calls of `block(first, stop)`; rows that are `step` apart or less are read together."""
    parts = []
    for some in np.split(rows, np.flatnonzero(np.diff(rows) > step) + 1):
        first, stop = (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)
        found = block(first, stop)
        parts.append(found if stop - first == len(some) else found[some - first])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True)
class Stacked:
    """Sources of several files, one after the other along the first axis."""

    sources: Sequence[Source]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return (sum(source.shape[0] for source in self.sources), *self.sources[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type that holds the numbers of all sources."""
        return np.result_type(*(source.dtype for source in self.sources))

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read some rows; a file that holds none of them is not opened."""
        ends = np.cumsum([source.shape[0] for source in self.sources])
        parts = []
        for source, end in zip(self.sources, ends, strict=True):
            first = end - source.shape[0]
            some = rows[(rows >= first) & (rows < end)] - first
            if len(some):
                parts.append(source.read(some, rest))
        return np.concatenate(parts).astype(self.dtype, copy=False) if parts else self.sources[0].read(rows, rest)


class LazyArray(BackendArray):
    """A source as an array of xarray, which reads what an index selects and nothing else."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape, self.dtype = source.shape, np.dtype(source.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Read by whole numbers, slices and rows of whole numbers; the last two are taken along each axis apart."""
        rows, order = _rows(key[0], self.shape[0])
        others = [_slice(one, size) for one, size in zip(key[1:], self.shape[1:], strict=True)]
        found = self.source.read(rows, tuple(one for one, _ in others))
        for axis, back in enumerate((order, *(back for _, back in others))):
            if back is not None:
                found = found[(slice(None),) * axis + (back,)]
        return found[tuple(0 if isinstance(one, int | np.integer) else slice(None) for one in key)]


def _rows(key: Any, size: int) -> tuple[np.ndarray, Any]:
    """Return the rows to be read in increasing order, and the index of what was asked for in them, None if it is the same."""
    if isinstance(key, np.ndarray):
        rows, order = np.unique(key % max(size, 1), return_inverse=True)
        return rows, None if np.array_equal(order, np.arange(len(rows))) else order
    part, _ = _slice(key, size)
    return np.arange(part.start, part.stop, part.step), None


def _slice(key: Any, size: int) -> tuple[slice, Any]:
    """Return the part of an axis to be read, and the index of what was asked for in it, None if it is the same.

    A slice comes with a positive step, because xarray reverses the others itself.
    """
    if isinstance(key, slice):
        return slice(*key.indices(size)), None
    wanted = np.atleast_1d(key) % max(size, 1)
    if not len(wanted):
        return slice(0, 0, 1), None
    least = int(wanted.min())
    return slice(least, int(wanted.max()) + 1, 1), None if len(wanted) == 1 else wanted - least


def lazy_variable(dims: Sequence[str], source: Source, attributes: dict[str, Any] | None = None) -> xr.Variable:
    """Return a source as a variable of xarray with these dimensions; an index of it is lazy too."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(LazyArray(source)), attributes)


def relabelled(variable: xr.Variable, attributes: Mapping[Any, Any], dims: Sequence[str] | None = None) -> xr.Variable:
    """Return a variable with other attributes, and other names of its dimensions if given, which stays lazy."""
    found = variable.copy(deep=False)
    found.attrs = {**attributes}
    if dims is not None:
        found.dims = tuple(dims)
    return found
