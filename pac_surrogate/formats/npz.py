"""NPZ files of NumPy, read with `allow_pickle=False`: an array of Python objects is refused.

NumPy cannot map an array inside a zip file to memory. An array that is not compressed is read row by row, from the place where
it begins; a compressed one is decompressed as far as its last row that is asked for.
"""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Int
from numpy.lib import format as npy

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.formats.errors import reading, writing
from pac_surrogate.formats.kinds import holds
from pac_surrogate.formats.lazy import lazy_variable
from pac_surrogate.formats.unnamed import METADATA, collect, is_numeric, metadata_of, restore, texts_apart

SUFFIX = ".npy"
TAKEN = ("file", "allow_pickle", METADATA)  # parameters of numpy.savez


@dataclass(frozen=True)
class NpzSource:
    """An array of an NPZ file.

    Attributes:
        path: path of the file.
        name: name of the array.
        shape: length of each axis.
        dtype: type of the numbers.
        fortran: whether the file stores the array in Fortran order; it is then read as a whole.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool = False

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read all rows from the first to the last of `rows`."""
        with reading(self.path):
            first, stop = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
            if self.fortran or (first, stop) == (0, self.shape[0]):
                with np.load(self.path, allow_pickle=False) as file:
                    index: tuple[Any, ...] = (rows, *rest)
                    return np.asarray(file[self.name])[index]
            row = math.prod(self.shape[1:]) * self.dtype.itemsize
            with zipfile.ZipFile(self.path) as archive, archive.open(self.name + SUFFIX) as file:
                _header(file)
                file.seek(first * row, 1)
                data = file.read((stop - first) * row)
            if len(data) < (stop - first) * row:
                raise DatasetError(f"the array {self.name!r} ends early: generate or download the file again")
            block = np.frombuffer(data, self.dtype).reshape(stop - first, *self.shape[1:])
            inside: tuple[Any, ...] = (rows - first, *rest)
            return block[inside]


def open_npz(path: Path) -> xr.Dataset:
    """Open an NPZ file; texts and complex numbers are left out and named in the attribute `left_out`.

    Raises:
        DatasetError: if an array holds Python objects, or no array holds real numbers.
    """
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    text = ""
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(SUFFIX)
            if name == member:
                left_out[name] = "no array"
                continue
            with archive.open(member) as file:
                shape, fortran, dtype = _header(file)
            if dtype.hasobject:
                required = "arrays of numbers are required"
                raise DatasetError(
                    f"{required}, {name!r} holds Python objects, which are pickled and never read: store numbers"
                )
            if name == METADATA:
                with np.load(path, allow_pickle=False) as opened:
                    text = str(opened[name][()])
            elif not is_numeric(dtype):
                left_out[name] = {"U": "texts", "S": "texts", "c": "complex numbers"}.get(dtype.kind, str(dtype))
            elif shape:
                found[_dotted(name)] = lazy_variable(
                    list(map(str, range(len(shape)))), NpzSource(path, name, shape, dtype, fortran)
                )
            else:
                with np.load(path, allow_pickle=False) as opened:
                    found[_dotted(name)] = opened[name]
    return restore(text, found) if text else collect(found, left_out)


def _dotted(name: str) -> str:
    return name.replace("/", ".")


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    if version > (2, 0):
        raise DatasetError(
            f"an array of NumPy's format 1 or 2 is required, got {version[0]}: store numbers without field names"
        )
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(file)


def write_npz(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a Dataset as an NPZ file that NumPy reads; only an NPZ file is replaced.

    Raises:
        DatasetError: if the path must not be written to, or a variable holds neither numbers nor texts.
    """
    with writing(path):
        numbers, _ = texts_apart(dataset)
        stored = {name: f"{name}_" if name in TAKEN else name for name in numbers}
        arrays = {stored[name]: np.asarray(dataset[name].values) for name in numbers}
        with replacing(path, Kind("an NPZ file", holds("npz"))) as temporary, temporary.open("wb") as file:
            named: dict[str, Any] = {**arrays, METADATA: np.array(metadata_of(dataset, stored))}
            np.savez(file, **named)
