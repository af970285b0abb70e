"""Writing and complete reading of HDF5 files that are valid netCDF-4, with h5py alone.

Every dimension is an HDF5 dimension scale attached to every variable that uses it, with or without coordinate values, so that
netCDF tools and xarray see names. The dimension `sample` is unlimited. Nothing in a file depends on the clock: the same content
gives the same bytes. Filters are shuffle and gzip, and a checksum (fletcher32) of every chunk; others are not part of netCDF.
The descriptions and the index of the chunks have the checksums of the format of HDF5 1.10; texts have one in an attribute.
Source: netCDF-4 file format specification (Unidata); CF conventions 1.11.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pac_surrogate.files.attributes import (
    ENCODING,
    TEXT_CHECKSUM,
    DatasetError,
    as_text,
    is_name,
    read_attribute,
    read_attributes,
    text_checksum,
    write_attributes,
)
from pac_surrogate.files.missing import read_encoding, without_mask
from pac_surrogate.files.netcdf_reader import (
    BARE_DIMENSION,
    dimensions,
    open_netcdf,
    open_variables,
    read_values,
    variable_names,
)
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.files.storage import StoredRows, create_hdf5
from pac_surrogate.utilities.display import Shown, one_line

if TYPE_CHECKING:
    import xarray as xr

UNLIMITED = "sample"
CHUNK_BYTES = 2**20
SMALL_BYTES = 2**16  # a fixed array below this is stored uncompressed


@dataclass(frozen=True, eq=False, repr=False)
class NetcdfVariable(Shown):
    """A variable of a file: its dimensions, values and attributes.

    `values` is an array, or any object with a shape, a dtype and slices along its first axis, such as an open HDF5 dataset,
    which is then read in blocks. Texts are stored as variable-length strings, booleans as int8. In a variable that was read
    from a file, missing numbers are NaN and packed numbers are decoded.
    """

    dims: tuple[str, ...]
    values: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)


def write_netcdf(
    path: Path | str, variables: Mapping[str, NetcdfVariable], attributes: Mapping[str, Any] | None = None
) -> None:
    """Write variables and global attributes; a call that fails or is killed leaves the old file as it was.

    Numbers have the checksum fletcher32, and their descriptions those of HDF5 1.10. Only a file of the same kind is replaced:
    a data file, a transfer curve, a prediction, or another netCDF file.

    A variable with the name of its only dimension holds the coordinates of that dimension. Floating-point variables that are
    not coordinates have `_FillValue` = NaN; no other numbers can be missing.

    Raises:
        DatasetError: if the path cannot be written to.
        ValueError: if dimensions disagree, a value is masked or has no netCDF type, or an attribute encodes numbers.
    """
    sizes = _dimension_sizes(variables)
    kind = KINDS[_kind_name({*variables, *sizes}, attributes or {})]
    with replacing(path, kind) as temporary, create_hdf5(temporary, Path(path)) as (file, check):
        for number, (dim, size) in enumerate(sizes.items()):
            bare = NetcdfVariable((dim,), np.zeros(size, "float32"))
            dataset = _create(file, dim, variables.get(dim, bare), check)
            dataset.make_scale(dim if dim in variables else f"{BARE_DIMENSION}{size:10d}")
            dataset.attrs["_Netcdf4Dimid"] = np.int32(number)
        for name, variable in variables.items():
            if name not in sizes:
                dataset = _create(file, name, variable, check)
                for axis, dim in enumerate(variable.dims):
                    dataset.dims[axis].attach_scale(file[dim])
        write_attributes(file, attributes or {})


def read_netcdf(path: Path | str) -> tuple[dict[str, NetcdfVariable], dict[str, Any]]:
    """Read every variable and the global attributes into memory; see `read_values` for missing and packed numbers.

    Raises:
        DatasetError: if the file is missing, damaged, or declares more than it stores.
    """
    with open_netcdf(path) as file:
        datasets = open_variables(file, variable_names(file))
        variables = {
            name: NetcdfVariable(dimensions(dataset), read_values(dataset), read_attributes(dataset))
            for name, dataset in datasets.items()
        }
        return variables, read_attributes(file)


def write_xarray(path: Path | str, dataset: "xr.Dataset") -> None:
    """Write an xarray Dataset of numbers and texts; see `write_netcdf`."""
    variables = {
        str(name): NetcdfVariable(tuple(map(str, variable.dims)), variable.values, variable.attrs)
        for name, variable in dataset.variables.items()
    }
    beside = " ".join(str(name) for name in dataset.coords if name not in dataset.dims)
    write_netcdf(path, variables, {**dataset.attrs, "coordinates": beside} if beside else dataset.attrs)


def read_xarray(path: Path | str) -> "xr.Dataset":
    """Read a file as an xarray Dataset in memory; see `read_netcdf`."""
    import xarray as xr

    variables, attributes = read_netcdf(path)
    beside = [name for name in str(attributes.pop("coordinates", "")).split() if name in variables]
    data = {name: (variable.dims, variable.values, variable.attributes) for name, variable in variables.items()}
    try:
        return xr.Dataset(data, attrs=attributes).set_coords(beside)
    except ValueError as error:
        reason = one_line(error)
        raise DatasetError(f"{path}: the variables must share their dimensions ({reason}): rewrite the file") from error


def _kind_name(names: Iterable[str], attributes: Mapping[str, Any]) -> str:
    """Return which of `KINDS` has these variables and global attributes."""
    if "schema_version" in attributes:
        return "data file"
    if {"size", "seed"} <= set(names) and {"approach", "method"} & set(names):  # "method" in early versions
        return "transfer curve"
    return "prediction" if str(attributes.get("title", "")).startswith("prediction of ") else "netCDF file"


def _holds(path: Path, kind: str) -> bool:
    try:
        with open_netcdf(path) as file:
            title = {"title": read_attribute(file, "title")} if "title" in file.attrs else {}
            return _kind_name(file, dict.fromkeys(file.attrs) | title) == kind
    except DatasetError:
        return False


KINDS = {
    name: Kind(f"a {name}", partial(_holds, kind=name)) for name in ("data file", "transfer curve", "prediction", "netCDF file")
}


def rows_per_chunk(shape: tuple[int, ...], itemsize: int) -> int:
    """Return how many rows of an array come nearest to a chunk of 1 MB."""
    row = max(1, math.prod(shape[1:]) * itemsize)
    return max(1, min(shape[0], round(CHUNK_BYTES / row)))


def _dimension_sizes(variables: Mapping[str, NetcdfVariable]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, variable in variables.items():
        if any(as_text(text) != text or not is_name(text) for text in (name, *variable.dims)):
            what = "valid Unicode without slashes and control characters"
            raise ValueError(f"names must be {what}, those of {name!r} {variable.dims} are not: rename them")
        encoded = sorted(ENCODING & variable.attributes.keys())
        if encoded:
            remedy = "leave it out, and give NaN where a number is missing"
            raise ValueError(f"the attribute {encoded[0]!r} of {name!r} says how a file stores numbers: {remedy}")
        shape = np.shape(variable.values)
        if len(set(variable.dims)) != len(shape) or len(variable.dims) != len(shape):
            raise ValueError(f"{name!r} of shape {shape} needs one name for each axis, it has {variable.dims}")
        for dim, size in zip(variable.dims, shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(f"dimension {dim!r} must have one length, it has {sizes[dim]} and, in {name!r}, {size}")
    for dim in sizes.keys() & variables.keys():
        if variables[dim].dims != (dim,):
            raise ValueError(f"{dim!r} names a dimension and a variable of dimensions {variables[dim].dims}: rename one")
    return sizes


def _create(file: h5py.File, name: str, variable: NetcdfVariable, check: Callable[[], None]) -> h5py.Dataset:
    values = _storable(name, variable.values)
    text = values.dtype.kind == "O"
    missing = values.dtype.kind == "f" and variable.dims != (name,)
    options: dict[str, Any] = {"dtype": h5py.string_dtype() if text else values.dtype, "track_order": True}
    step = rows_per_chunk(values.shape, values.dtype.itemsize) if values.ndim else 1
    if UNLIMITED in variable.dims or (values.nbytes and values.ndim and not text):
        options["chunks"] = (step, *values.shape[1:])
        options["maxshape"] = tuple(None if d == UNLIMITED else n for d, n in zip(variable.dims, values.shape, strict=True))
        options |= {} if text else {"fletcher32": True}
        if not text and (UNLIMITED in variable.dims or values.nbytes > SMALL_BYTES):
            options |= {"shuffle": True, "compression": "gzip", "compression_opts": 4}
    if values.ndim or text:
        dataset = file.create_dataset(name, values.shape, fillvalue=np.nan if missing else None, **options)
    else:
        dataset = _create_number(file, name, values.dtype, missing=missing)
    for start in range(0, len(values), step) if values.ndim else ():
        dataset[start : start + step] = values[start : start + step]
        check()
    if not values.ndim:
        dataset[()] = values[()]
    if text:
        dataset.attrs[TEXT_CHECKSUM] = text_checksum(values.flat)
    if missing:
        dataset.attrs["_FillValue"] = values.dtype.type(np.nan)
    write_attributes(dataset, variable.attributes)
    return dataset


def _create_number(file: h5py.File, name: str, dtype: np.dtype, *, missing: bool) -> h5py.Dataset:
    """Create a variable without axes, whose number is stored in its description, which has a checksum of its own."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    creation.set_obj_track_times(False)
    creation.set_attr_creation_order(h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED)
    if missing:
        creation.set_fill_value(np.array(np.nan, dtype))
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    return h5py.Dataset(h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, creation))


def _storable(name: str, values: Any) -> Any:
    if isinstance(values, StoredRows):
        return values
    if isinstance(values, h5py.Dataset):
        if h5py.check_string_dtype(values.dtype) is not None:
            return read_values(values).astype(object)
        if values.dtype.kind in "fiu" and not read_encoding(values).is_plain(values):
            raise ValueError(f"{name!r} must hold plain numbers, its dataset marks or packs some: decode them first")
        return values
    values = without_mask(name, values, remedy="write NaN in its place")
    if values.dtype.kind in "UTO":
        texts = values.astype(object)
        if all(isinstance(text, str) for text in texts.flat):
            return np.array([as_text(text) for text in texts.flat], object).reshape(texts.shape)
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    if values.dtype.kind in "iu" or values.dtype in (np.float32, np.float64):
        return values
    raise ValueError(f"{name!r} must hold texts, integers, float32 or float64, it holds {values.dtype}: convert it")
