"""HDF5 files that are valid netCDF-4, written and read with h5py alone.

Every dimension is an HDF5 dimension scale attached to every variable that uses it, with or without coordinate values, so that
netCDF tools and xarray see names. The dimension `sample` is unlimited. Nothing in a file depends on the clock: the same content
gives the same bytes. Filters are shuffle and gzip, and a checksum (fletcher32) of every chunk; others are no part of netCDF.
What describes and locates the chunks has checksums in the format of HDF5 1.10, and texts have one in an attribute.

Reading trusts nothing: a size that the stored bytes cannot hold, a link out of the file, or a filter that would load foreign
code is refused before memory is taken.
Source: netCDF-4 file format specification (Unidata); CF conventions 1.11.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
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
    name_of,
    read_attribute,
    read_attributes,
    write_attributes,
)
from pac_surrogate.files.missing import read_encoding, without_mask
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.files.storage import StoredRows, create_hdf5, read_hdf5
from pac_surrogate.utilities.display import Shown, one_line

if TYPE_CHECKING:
    import xarray as xr

UNLIMITED = "sample"
CHUNK_BYTES = 2**20
SMALL_BYTES = 2**16  # a fixed array below this is stored uncompressed
MOST_VARIABLES = 2**9
MOST_CHUNKS = 2**18
LARGEST_CHUNK = 2**28
LARGEST_TEXT = 2**24
MOST_TEXTS = 2**14  # entries of all variables
TEXT_BLOCK = 2**26  # bytes that the entries of one read can have
DEFLATE_RATIO = 1100  # gzip shrinks at most 1032-fold
FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}
BARE_DIMENSION = "This is a netCDF dimension but not a netCDF variable."


@dataclass(frozen=True, eq=False, repr=False)
class NetcdfVariable(Shown):
    """A variable of a file: its dimensions, values and attributes.

    `values` is an array, or anything with a shape, a dtype and slices along its first axis: an open HDF5 dataset streams.
    Texts are stored as variable-length strings, booleans as int8. Missing numbers of a file are NaN here, packed ones decoded.
    """

    dims: tuple[str, ...]
    values: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)


def write_netcdf(
    path: Path | str, variables: Mapping[str, NetcdfVariable], attributes: Mapping[str, Any] | None = None
) -> None:
    """Write variables and global attributes; a call that fails or is killed leaves the old file as it was.

    Numbers carry the checksum fletcher32, and what describes them those of HDF5 1.10. Only a file of the same kind is replaced:
    a data file, a transfer curve, a prediction, or another netCDF file.

    A variable named as its only dimension holds that dimension's coordinates. Floating variables that are not coordinates carry
    `_FillValue` = NaN; nothing else can be missing.

    Raises:
        DatasetError: if the path is none to write to.
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
    """Read every variable and the global attributes into memory; see `read_values` for numbers that are missing or packed.

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


@contextmanager
def open_netcdf(path: Path | str) -> Iterator[h5py.File]:
    """Open a file for reading; whatever turns out wrong with it is a DatasetError of one line that starts with its path."""
    path = Path(path)
    try:
        if not path.is_file():
            raise DatasetError("a data file is required here, there is none: check the path, or generate the file")
        path.open("rb").close()  # so that a missing permission is reported as one
        if not h5py.is_hdf5(path):
            with path.open("rb") as other:
                classic = other.read(3) == b"CDF"
            if classic:
                raise DatasetError("a netCDF-4 file is required, this is classic netCDF: convert it with nccopy -k netCDF-4")
            raise DatasetError("a netCDF-4 (HDF5) file is required, this is another kind of file: check the path")
        with read_hdf5(path) as file:
            yield file
    except DatasetError as error:
        raise DatasetError(f"{path}: {one_line(error)}") from None
    except PermissionError as error:
        raise DatasetError(f"{path}: a file that you may read is required: ask its owner for the permission") from error
    except BlockingIOError as error:
        raise DatasetError(f"{path}: the file is being written by another process: wait until that ends") from error
    except MemoryError as error:
        raise DatasetError(f"{path}: the memory does not hold what is read: read fewer samples, or free memory") from error
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise DatasetError(f"{path}: the file cannot be read ({one_line(error)}): generate or download it again") from error


def variable_names(file: h5py.File) -> list[str]:
    """The variables of a file in the order of their creation; dimensions without coordinate values are none."""
    names: list[str] = []
    if len(file) > MOST_VARIABLES:
        raise DatasetError(f"a file must have at most {MOST_VARIABLES} variables, this one has {len(file)}: split the file")
    for stored in map(_as_bytes, file):
        name = as_text(stored)
        if file.id.links.get_info(stored).type != h5py.h5l.TYPE_HARD:
            raise DatasetError(f"variables must be stored in the file, {name!r} is a link: copy what it points to")
        is_dataset = h5py.h5o.get_info(file.id, stored).type == h5py.h5o.TYPE_DATASET
        if is_dataset and not str(read_attribute(file[stored], "NAME")).startswith(BARE_DIMENSION):
            if not is_name(name):
                raise DatasetError(f"names of variables must be printable, {name!r} is not: rename it")
            names.append(name)
    if len(set(names)) < len(names):
        raise DatasetError(f"variables must have different names, they have {', '.join(names)}: rename one")
    return names


def open_variable(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset of a file, once its declared size, storage and type are found harmless."""
    stored = _stored_name(file, name)
    if stored is None:
        raise DatasetError(f"the variable {name!r} is required, there is none")
    dataset = file[stored]
    try:
        kind = dataset.dtype
    except TypeError as error:
        raise DatasetError(f"{name!r} must hold numbers or texts, it holds neither ({error}): remove it") from error
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
    if dataset.is_virtual or dataset.external or not filters <= FILTERS:
        raise DatasetError(f"{name!r} must be stored in this file, with shuffle and gzip only: rewrite the file")
    if dataset.shape is None or (kind.kind not in "fiu" and h5py.check_string_dtype(kind) is None):
        raise DatasetError(f"{name!r} must hold numbers or texts, it holds {kind}: rewrite the file")
    declared = math.prod(dataset.shape) * kind.itemsize
    chunk = math.prod(dataset.chunks or ()) * kind.itemsize
    stored = dataset.id.get_storage_size()
    if stored > file.id.get_filesize() or declared > DEFLATE_RATIO * stored or chunk > LARGEST_CHUNK:
        sizes = f"declares {declared} bytes in chunks of {chunk}, and {stored} are stored"
        raise DatasetError(f"{name!r} must hold what it declares; it {sizes}: generate or download the file again")
    steps = dataset.chunks or dataset.shape
    chunks = math.prod(-(-size // step) for size, step in zip(dataset.shape, steps, strict=True) if step)
    if chunks > MOST_CHUNKS:
        raise DatasetError(f"{name!r} must be stored in at most {MOST_CHUNKS} chunks, it declares {chunks}: store larger ones")
    if dataset.chunks:
        _check_chunks(name, dataset, [creation.get_filter(number)[0] for number in range(creation.get_nfilters())])
    return dataset


def open_variables(file: h5py.File, names: Iterable[str]) -> dict[str, h5py.Dataset]:
    """The datasets of these names, see `open_variable`, once their texts are found to be few."""
    datasets = {name: open_variable(file, name) for name in names}
    texts = 0
    for name, dataset in datasets.items():
        texts += _room_for_texts(dataset)
        if texts > MOST_TEXTS:
            got = f"with {name!r} there is room for {texts}: number them"
            raise DatasetError(f"the variables of a file must hold at most {MOST_TEXTS} texts, {got}")
    return datasets


def _room_for_texts(dataset: h5py.Dataset) -> int:
    """How many texts are read with the texts of a dataset, of which whole chunks are read; 0 if it holds numbers."""
    return 0 if h5py.check_string_dtype(dataset.dtype) is None else max(dataset.size, math.prod(dataset.chunks or ()))


def _check_chunks(name: str, dataset: h5py.Dataset, filters: list[int]) -> None:
    """Refuse an index of chunks that cannot be right: in older files it has no checksum.

    Every chunk lies at a place of its own, and only gzip, which gives up where it gains nothing, may have been left out.
    """
    deflate = sum(1 << number for number, code in enumerate(filters) if code == h5py.h5z.FILTER_DEFLATE)
    whole = math.prod(dataset.chunks) * dataset.dtype.itemsize + (4 if h5py.h5z.FILTER_FLETCHER32 in filters else 0)
    places: set[tuple[int, ...]] = set()

    def check(chunk: Any) -> None:
        places.add(chunk.chunk_offset)
        inside = all(
            start < size and start % step == 0
            for start, size, step in zip(chunk.chunk_offset, dataset.shape, dataset.chunks, strict=True)
        )
        packed = deflate & ~chunk.filter_mask
        if not inside or chunk.filter_mask & ~deflate or not (packed or chunk.size == whole):
            raise DatasetError(f"the index of chunks of {name!r} is damaged: generate or download the file again")

    dataset.id.chunk_iter(check)
    if len(places) < dataset.id.get_num_chunks():
        raise DatasetError(f"the index of chunks of {name!r} is damaged: generate or download the file again")


def dimensions(dataset: h5py.Dataset) -> tuple[str, ...]:
    """The names of a dataset's axes, from its dimension scales."""
    own = name_of(dataset)
    if dataset.is_scale and dataset.ndim == 1:
        return (own,)
    for axis in range(dataset.ndim):
        if len(dataset.dims[axis]) != 1:
            raise DatasetError(f"axis {axis} of {own!r} needs one dimension scale, it has {len(dataset.dims[axis])}")
    return tuple(name_of(dataset.dims[axis][0]) for axis in range(dataset.ndim))


def read_values(dataset: h5py.Dataset) -> np.ndarray:
    """All values of a dataset from `open_variable`; texts as an array of strings.

    Missing numbers are NaN and packed ones decoded. Integers that are not packed stay integers where none is missing.
    """
    if h5py.check_string_dtype(dataset.dtype) is None:
        return read_encoding(dataset).decode(dataset[()], keep_integers=True)
    room = _room_for_texts(dataset)
    texts: list[str] = []
    length = longest = 0
    step = max(1, TEXT_BLOCK // dataset.file.id.get_filesize())  # many entries may refer to one text as long as the file
    for stored in _text_blocks(dataset, step):
        block = [as_text(text) for text in stored]
        texts += block
        length, longest = length + sum(map(len, block)), max(longest, *map(len, block))
        if length > LARGEST_TEXT or longest * room > LARGEST_TEXT:  # NumPy gives every text the room of the longest
            raise DatasetError(f"{name_of(dataset)!r} must hold at most {LARGEST_TEXT} characters, it holds more")
    if TEXT_CHECKSUM in dataset.attrs and read_attribute(dataset, TEXT_CHECKSUM) != _text_checksum(texts):
        raise DatasetError(f"the texts of {name_of(dataset)!r} are damaged: generate or download the file again")
    return np.array(texts, dtype=np.str_).reshape(dataset.shape)


def _kind_name(names: Iterable[str], attributes: Mapping[str, Any]) -> str:
    """Which of `KINDS` has these variables and global attributes."""
    if "schema_version" in attributes:
        return "data file"
    if {"size", "seed"} <= set(names) and {"approach", "method"} & set(names):  # the second in early versions
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


def _text_checksum(texts: Iterable[str]) -> int:
    return zlib.crc32("\0".join(texts).encode())


def _text_blocks(dataset: h5py.Dataset, step: int) -> Iterator[Iterable[bytes | str]]:
    """The texts of a dataset in C order, about `step` at a time."""
    if dataset.size <= step:
        yield dataset[()].ravel() if dataset.ndim else [dataset[()]]
        return
    for index in np.ndindex(dataset.shape[:-1]):
        for start in range(0, dataset.shape[-1], step):
            yield dataset[(*index, slice(start, start + step))]


def rows_per_chunk(shape: tuple[int, ...], itemsize: int) -> int:
    """How many whole rows of an array come nearest to a chunk of 1 MB."""
    row = max(1, math.prod(shape[1:]) * itemsize)
    return max(1, min(shape[0], round(CHUNK_BYTES / row)))


def _stored_name(file: h5py.File, name: str) -> bytes | None:
    """The name under which a file stores a dataset: `as_text` reads UTF-8, else Latin-1."""
    if name in ("", ".") or "/" in name or "\0" in name:
        return None
    for encoding in ("utf-8", "latin-1"):
        stored = name.encode(encoding, "ignore")
        if as_text(stored) != name or not file.id.links.exists(stored):
            continue
        if file.id.links.get_info(stored).type == h5py.h5l.TYPE_HARD:
            return stored if h5py.h5o.get_info(file.id, stored).type == h5py.h5o.TYPE_DATASET else None
    return None


def _as_bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


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
        dataset.attrs[TEXT_CHECKSUM] = _text_checksum(values.flat)
    if missing:
        dataset.attrs["_FillValue"] = values.dtype.type(np.nan)
    write_attributes(dataset, variable.attributes)
    return dataset


def _create_number(file: h5py.File, name: str, dtype: np.dtype, *, missing: bool) -> h5py.Dataset:
    """A variable without axes, whose number is stored with its description, which has a checksum of its own."""
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
