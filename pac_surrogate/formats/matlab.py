"""MAT-files of MATLAB: versions 4 and 5 through SciPy, version 7.3, which is HDF5, through h5py.

Row and column vectors (1 x n, n x 1) have one axis here, and a 1 x 1 matrix is an attribute. The fields of a structure are
named `structure.field`. The numbers of a cell array of equal shapes are one array, with the cells along its first axis. Texts,
complex and sparse matrices, arrays of structures and other objects are left out and named in the attribute `left_out`.

A file of version 4 or 5 is read as a whole when it is opened, since its numbers are usually compressed together with their
names; a matrix in it has at most 2 GB. The numbers of version 7.3 are read when they are indexed.
"""

import re
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import DatasetError, as_text, read_attribute
from pac_surrogate.files.netcdf_reader import open_netcdf
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.formats.errors import writing
from pac_surrogate.formats.kinds import holds
from pac_surrogate.formats.matlab_elements import check_elements
from pac_surrogate.formats.plain_hdf5 import check_storage, lazy_hdf5
from pac_surrogate.formats.unnamed import METADATA, collect, is_numeric, metadata_of, restore, texts_apart

VERSION_7 = b"MATLAB 7.3 MAT-file"
LONGEST_NAME = 63
LARGEST_MATRIX = 2**31 - 1
REFERENCES = "#refs#"
SYSTEM = "#subsystem#"
TYPES = {"double": np.float64, "single": np.float32}
MOST_CELLS = 2**16
CELLS = "a cell array that does not hold numbers of equal shapes"


def open_matlab(path: Path) -> xr.Dataset:
    """Open a MAT-file of version 4, 5 or 7.3.

    Raises:
        DatasetError: if it holds no matrix of real numbers.
    """
    with path.open("rb") as file:
        modern = file.read(len(VERSION_7)) == VERSION_7
    return _open_7(path) if modern else _open_5(path)


def _open_5(path: Path) -> xr.Dataset:
    from scipy.io import loadmat, whosmat

    check_elements(path)
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("error")  # SciPy warns of a damaged or repeated variable and goes on
        kinds = {name: kind for name, _, kind in whosmat(file)}
        file.seek(0)
        stored = loadmat(file, struct_as_record=True)  # mat_dtype=True would drop imaginary parts
    found: dict[str, np.ndarray] = {}
    left_out: dict[str, str] = {}
    text = "".join(np.ravel(stored.pop(METADATA, "")))
    for name, value in stored.items():
        if not name.startswith("__"):
            _flatten(name, value, found, left_out)
    for name in found.keys() & kinds.keys():  # MATLAB stores whole numbers of type double as small integers
        if kinds[name] in TYPES:
            found[name] = found[name].astype(TYPES[kinds[name]], copy=False)
    return restore(text, found) if text else collect({name: _squeezed(one) for name, one in found.items()}, left_out)


def _flatten(name: str, value: Any, found: dict[str, np.ndarray], left_out: dict[str, str]) -> None:
    """Add the numbers of a value of SciPy to `found`, and the names of what is not numbers to `left_out`."""
    if not isinstance(value, np.ndarray):
        left_out[name] = "a sparse matrix" if hasattr(value, "tocsc") else "an object"
    elif value.dtype.names and type(value) is np.ndarray:
        if value.size != 1:
            left_out[name] = "an array of structures"
            return
        for field in value.dtype.names:
            _flatten(f"{name}.{field}", value.ravel()[0][field], found, left_out)
    elif value.dtype == object and type(value) is np.ndarray:
        cells = [_squeezed(cell) for cell in value.ravel(order="F") if isinstance(cell, np.ndarray) and is_numeric(cell.dtype)]
        if not value.size or len(cells) < value.size or len({cell.shape for cell in cells}) > 1:
            left_out[name] = CELLS
        else:
            found[name] = np.stack(cells)
    elif is_numeric(value.dtype):
        found[name] = value
    else:
        left_out[name] = {"U": "a text", "c": "complex numbers"}.get(value.dtype.kind, "an object")


def _squeezed(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix of MATLAB, a row or column as a vector and a 1 x 1 matrix as a number."""
    return matrix.reshape(_shape(matrix.shape))


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == 2 and 1 in shape:
        return () if shape == (1, 1) else (max(shape) if min(shape) else 0,)
    return shape


def _open_7(path: Path) -> xr.Dataset:
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    with open_netcdf(path) as file:
        _walk(path, file, "", found, left_out)
    return collect(found, left_out)


def _walk(path: Path, group: h5py.Group, above: str, found: dict[str, Any], left_out: dict[str, str]) -> None:
    for stored in group:
        raw = stored if isinstance(stored, bytes) else stored.encode()
        name = above + as_text(raw)
        if name in (REFERENCES, SYSTEM):
            continue
        if group.id.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
            left_out[name] = "a link"
            continue
        item = group[raw]
        if isinstance(item, h5py.Dataset):
            value = _read_7(path, item)
            if isinstance(value, str):
                left_out[name] = value
            else:
                found[name] = value
        elif "MATLAB_sparse" in item.attrs:
            left_out[name] = "a sparse matrix"
        else:
            _walk(path, item, f"{name}.", found, left_out)


def _read_7(path: Path, dataset: h5py.Dataset) -> Any:
    """Return a matrix of version 7.3 as an array or a lazy variable, and a text that says what it is if it holds no numbers.

    The file stores the axes in reverse order.
    """
    kind = read_attribute(dataset, "MATLAB_class")
    if "MATLAB_empty" in dataset.attrs:
        return "empty"
    if kind == "cell":
        return _read_cells(dataset)
    if kind in ("char", "string") or h5py.check_string_dtype(dataset.dtype) is not None:
        return "a text"
    if h5py.check_ref_dtype(dataset.dtype) is not None:
        return "an array of structures"
    if not is_numeric(dataset.dtype) or not dataset.shape:
        return "complex numbers" if dataset.dtype.names == ("real", "imag") else "an object"
    shape = dataset.shape[::-1]
    if len(shape) != 2 or 1 not in shape:
        return lazy_hdf5(path, dataset, tuple(map(str, range(len(shape)))), reverse=True)
    if _shape(shape):  # a vector: the axis of length 1 is indexed away
        return lazy_hdf5(path, dataset, ("row", "column"), reverse=True).isel({"row" if shape[0] == 1 else "column": 0})
    return np.asarray(check_storage(dataset)[()]).reshape(())


def _read_cells(dataset: h5py.Dataset) -> Any:
    if dataset.size > MOST_CELLS or h5py.check_ref_dtype(dataset.dtype) is None:
        return CELLS
    cells = []
    for reference in np.ravel(dataset[()]):  # reversed axes in C order: MATLAB's own order of the cells
        item = dataset.file[reference] if reference else None
        if not isinstance(item, h5py.Dataset) or not is_numeric(item.dtype) or "MATLAB_empty" in item.attrs:
            return CELLS
        if read_attribute(item, "MATLAB_class") in ("char", "cell", "string"):
            return CELLS
        cells.append(_squeezed(np.transpose(check_storage(item)[()])))
    return np.stack(cells) if cells and len({cell.shape for cell in cells}) == 1 else CELLS


def write_matlab(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a Dataset as a MAT-file of version 5; only a MAT-file is replaced.

    A name that MATLAB does not allow is stored with underscores, and reading restores it.

    Raises:
        DatasetError: if the path must not be written to, a matrix has more than 2 GB, or a variable holds neither numbers nor
            texts.
    """
    from scipy.io import savemat

    with writing(path):
        numbers, _ = texts_apart(dataset)
        stored: dict[str, str] = {}
        for name in numbers:
            if dataset[name].nbytes > LARGEST_MATRIX:
                got = f"{name} has {dataset[name].nbytes}: write netCDF, or fewer samples"
                raise DatasetError(f"a matrix of a MAT-file of version 5 has at most {LARGEST_MATRIX} bytes, {got}")
            stored[name] = _matlab_name(name, {*stored.values(), METADATA})
        arrays = {stored[name]: np.asarray(dataset[name].values) for name in numbers}
        with replacing(path, Kind("a MAT-file", holds("matlab"))) as temporary, temporary.open("wb") as file:
            savemat(file, {**arrays, METADATA: metadata_of(dataset, stored)}, long_field_names=True, oned_as="column")


def _matlab_name(name: str, taken: set[str]) -> str:
    safe = re.sub(r"\W", "_", name, flags=re.ASCII)[: LONGEST_NAME - 4]
    safe = safe if re.match(r"[A-Za-z]", safe) else f"v{safe}"
    return next(one for one in (safe, *(f"{safe}_{number}" for number in range(999))) if one not in taken)
