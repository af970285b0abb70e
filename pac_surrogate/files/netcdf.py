"""HDF5 files that are valid netCDF-4, written and read with h5py alone.

Every dimension is an HDF5 dimension scale attached to every variable that uses it, with or without coordinate values, so that
netCDF tools and xarray see names. The dimension `sample` is unlimited. Nothing in a file depends on the clock: the same content
gives the same bytes. Filters are shuffle and gzip only; others are no part of netCDF.

Reading trusts nothing: a size that the stored bytes cannot hold, a link out of the file, or a filter that would load foreign
code is refused before memory is taken.
Source: netCDF-4 file format specification (Unidata); CF conventions 1.11.
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    import xarray as xr

UNLIMITED = "sample"
CHUNK_BYTES = 2**20
SMALL_BYTES = 2**16  # a fixed array below this is stored in one piece, uncompressed
LARGEST_CHUNK = 2**30
LARGEST_TEXT = 2**24
LONG_TEXT = 2**15  # HDF5 keeps attributes up to twice this length in place
DEFLATE_RATIO = 1100  # gzip shrinks at most 1032-fold
FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}
BARE_DIMENSION = "This is a netCDF dimension but not a netCDF variable."
HIDDEN = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS", "_FillValue", "_NCProperties"}


class DatasetError(ValueError):
    """A data file that is missing, damaged or not laid out as required; the message is one line."""


@dataclass(frozen=True, eq=False)
class NetcdfVariable:
    """A variable of a file: its dimensions, values and attributes.

    `values` is an array, or anything with a shape, a dtype and slices along its first axis: an open HDF5 dataset streams.
    Texts are stored as variable-length strings, booleans as int8.
    """

    dims: tuple[str, ...]
    values: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside `path`; its file takes the place of `path` if the block succeeds, and vanishes if not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_netcdf(
    path: Path | str, variables: Mapping[str, NetcdfVariable], attributes: Mapping[str, Any] | None = None
) -> None:
    """Write variables and global attributes; a call that fails or is killed leaves the old file as it was.

    A variable named as its only dimension holds that dimension's coordinates. Floating variables that are not coordinates carry
    `_FillValue` = NaN; nothing else can be missing.

    Raises:
        ValueError: if dimensions disagree or a value has no netCDF type.
    """
    sizes = _dimension_sizes(variables)
    with replacing(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        for number, (dim, size) in enumerate(sizes.items()):
            bare = NetcdfVariable((dim,), np.zeros(size, "float32"))
            dataset = _create(file, dim, variables.get(dim, bare))
            dataset.make_scale(dim if dim in variables else f"{BARE_DIMENSION}{size:10d}")
            dataset.attrs["_Netcdf4Dimid"] = np.int32(number)
        for name, variable in variables.items():
            if name not in sizes:
                dataset = _create(file, name, variable)
                for axis, dim in enumerate(variable.dims):
                    dataset.dims[axis].attach_scale(file[dim])
        _write_attributes(file, attributes or {})
        file.flush()


def read_netcdf(path: Path | str) -> tuple[dict[str, NetcdfVariable], dict[str, Any]]:
    """Read every variable and the global attributes into memory.

    Raises:
        DatasetError: if the file is missing, damaged, or declares more than it stores.
    """
    with open_netcdf(path) as file:
        datasets = {name: open_variable(file, name) for name in variable_names(file)}
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
    beside = str(attributes.pop("coordinates", "")).split()
    data = {name: (variable.dims, variable.values, variable.attributes) for name, variable in variables.items()}
    return xr.Dataset(data, attrs=attributes).set_coords(beside)


@contextmanager
def open_netcdf(path: Path | str) -> Iterator[h5py.File]:
    """Open a file for reading; whatever turns out wrong with it is a DatasetError of one line that starts with its path."""
    path = Path(path)
    try:
        if not path.is_file():
            raise DatasetError("a data file is required here, there is none: check the path, or generate the file")
        path.open("rb").close()  # so that a missing permission is reported as one
        if not h5py.is_hdf5(path):
            raise DatasetError("a netCDF-4 (HDF5) file is required, this is another kind of file: check the path")
        with h5py.File(path, "r") as file:
            yield file
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path}: the file cannot be read ({reason}): generate or download it again") from error


def variable_names(file: h5py.File) -> list[str]:
    """The variables of a file in the order of their creation; dimensions without coordinate values are none."""
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise DatasetError(f"variables must be stored in the file, {name!r} is a link: copy what it points to")
    names = [name for name in file if file.get(name, getclass=True) is h5py.Dataset]
    return [name for name in names if not str(_read_attribute(file[name], "NAME")).startswith(BARE_DIMENSION)]


def open_variable(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset of a file, once its declared size, storage and type are found harmless."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or file.get(name, getclass=True) is not h5py.Dataset:
        raise DatasetError(f"the variable {name!r} is required, there is none")
    dataset = file[name]
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
    if dataset.is_virtual or dataset.external or not filters <= FILTERS:
        raise DatasetError(f"{name!r} must be stored in this file, with shuffle and gzip only: rewrite the file")
    if dataset.shape is None or (dataset.dtype.kind not in "fiu" and h5py.check_string_dtype(dataset.dtype) is None):
        raise DatasetError(f"{name!r} must hold numbers or texts, it holds {dataset.dtype}: rewrite the file")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if stored > file.id.get_filesize() or declared > DEFLATE_RATIO * stored or chunk > LARGEST_CHUNK:
        sizes = f"declares {declared} bytes in chunks of {chunk}, and {stored} are stored"
        raise DatasetError(f"{name!r} must hold what it declares; it {sizes}: generate or download the file again")
    return dataset


def dimensions(dataset: h5py.Dataset) -> tuple[str, ...]:
    """The names of a dataset's axes, from its dimension scales."""
    own = dataset.name.removeprefix("/")
    if dataset.is_scale and dataset.ndim == 1:
        return (own,)
    for axis in range(dataset.ndim):
        if len(dataset.dims[axis]) != 1:
            raise DatasetError(f"axis {axis} of {own!r} needs one dimension scale, it has {len(dataset.dims[axis])}")
    return tuple(dataset.dims[axis][0].name.removeprefix("/") for axis in range(dataset.ndim))


def read_values(dataset: h5py.Dataset) -> np.ndarray:
    """All values of a dataset from `open_variable`; texts as an array of strings."""
    if h5py.check_string_dtype(dataset.dtype) is None:
        return np.asarray(dataset[()])
    texts: list[str] = []
    length = 0
    for index in np.ndindex(dataset.shape):  # one at a time: many entries may refer to one long text
        texts.append(dataset.asstr()[index])
        length += len(texts[-1])
        if length > LARGEST_TEXT:
            raise DatasetError(f"{dataset.name!r} must hold at most {LARGEST_TEXT} characters, it holds more")
    return np.array(texts, dtype=np.str_).reshape(dataset.shape)


def read_attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    """The attributes of a file or dataset, without those that only encode the format."""
    return {name: _read_attribute(item, name) for name in item.attrs if name not in HIDDEN and "_Netcdf4" not in name}


def rows_per_chunk(shape: tuple[int, ...], itemsize: int) -> int:
    """How many whole rows of an array come nearest to a chunk of 1 MB."""
    row = max(1, math.prod(shape[1:]) * itemsize)
    return max(1, min(shape[0], round(CHUNK_BYTES / row)))


def _read_attribute(item: h5py.File | h5py.Dataset, name: str) -> Any:
    if name not in item.attrs or item.attrs.get_id(name).shape is None:
        return ""
    shape, text = item.attrs.get_id(name).shape, h5py.check_string_dtype(item.attrs.get_id(name).dtype)
    if math.prod(shape) > (2**16 if text is None else 1):
        raise DatasetError(f"the attribute {name!r} must be short, its shape is {shape}: rewrite the file")
    value = item.attrs[name]
    if isinstance(value, np.generic | np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode() if isinstance(value, bytes) else value


def _dimension_sizes(variables: Mapping[str, NetcdfVariable]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, variable in variables.items():
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


def _create(file: h5py.File, name: str, variable: NetcdfVariable) -> h5py.Dataset:
    values = _storable(name, variable.values)
    text = values.dtype.kind == "O"
    missing = values.dtype.kind == "f" and variable.dims != (name,)
    options: dict[str, Any] = {"dtype": h5py.string_dtype() if text else values.dtype, "track_order": True}
    step = rows_per_chunk(values.shape, values.dtype.itemsize) if values.ndim else 1
    if UNLIMITED in variable.dims or (values.nbytes > SMALL_BYTES and not text):
        options["chunks"] = (step, *values.shape[1:])
        options["maxshape"] = tuple(None if d == UNLIMITED else n for d, n in zip(variable.dims, values.shape, strict=True))
        options |= {} if text else {"shuffle": True, "compression": "gzip", "compression_opts": 4}
    dataset = file.create_dataset(name, values.shape, fillvalue=np.nan if missing else None, **options)
    for start in range(0, len(values), step) if values.ndim else ():
        dataset[start : start + step] = values[start : start + step]
    if not values.ndim:
        dataset[()] = values[()]
    if missing:
        dataset.attrs["_FillValue"] = values.dtype.type(np.nan)
    _write_attributes(dataset, variable.attributes)
    return dataset


def _storable(name: str, values: Any) -> Any:
    if isinstance(values, h5py.Dataset):
        return values
    values = np.asarray(values)
    if values.dtype.kind in "UT" or (values.dtype.kind == "O" and all(isinstance(text, str) for text in values.flat)):
        return values.astype(object)
    if values.dtype.kind == "b":
        return values.astype(np.int8)
    if values.dtype.kind in "iu" or values.dtype in (np.float32, np.float64):
        return values
    raise ValueError(f"{name!r} must hold texts, integers, float32 or float64, it holds {values.dtype}: convert it")


def _write_attributes(item: h5py.File | h5py.Dataset, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        if isinstance(value, str):  # of fixed length, stored in place, where damage cannot lead the HDF5 library astray
            length = max(1, len(value.encode()))
            kind = h5py.string_dtype(length=length if length <= LONG_TEXT else None)
            item.attrs.create(name, value.encode(), dtype=kind)
            continue
        numbers = np.asarray(value, dtype=np.int8 if isinstance(value, bool | np.bool_) else None)
        if numbers.dtype.kind not in "fiu" or numbers.ndim > 1:
            raise ValueError(f"the attribute {name!r} must be a text or numbers, it is {value!r}: write it as JSON text")
        item.attrs[name] = numbers
