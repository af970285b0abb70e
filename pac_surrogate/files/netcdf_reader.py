"""Reading of netCDF-4 files with h5py alone, which trusts nothing that a file declares.

A size that the stored bytes cannot hold, a link out of the file, or a filter that would load foreign code is refused before
memory is allocated.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pac_surrogate.files.attributes import TEXT_CHECKSUM, DatasetError, as_text, is_name, name_of, read_attribute, text_checksum
from pac_surrogate.files.missing import read_encoding
from pac_surrogate.files.storage import read_hdf5
from pac_surrogate.utilities.display import one_line

MOST_VARIABLES = 2**9
MOST_CHUNKS = 2**18
LARGEST_CHUNK = 2**28
LARGEST_TEXT = 2**24
MOST_TEXTS = 2**14  # in all variables together
TEXT_BLOCK = 2**26  # bytes that the texts of one read can have
DEFLATE_RATIO = 1100  # gzip shrinks at most 1032-fold
FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}
BARE_DIMENSION = "This is a netCDF dimension but not a netCDF variable."


@contextmanager
def open_netcdf(path: Path | str) -> Iterator[h5py.File]:
    """Open a file for reading; every fault that is found in it raises a DatasetError of one line that starts with its path."""
    path = Path(path)
    try:
        if not path.is_file():
            raise DatasetError("a data file is required here, but there is none: check the path, or generate the file")
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
        raise DatasetError(f"{path}: the memory cannot hold what is read: read fewer samples, or free memory") from error
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise DatasetError(f"{path}: the file cannot be read ({one_line(error)}): generate or download it again") from error


def variable_names(file: h5py.File) -> list[str]:
    """Return the variables of a file in the order of their creation, without dimensions that have no coordinate values."""
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
    """Open a dataset of a file after checking that its declared size, storage and type are harmless."""
    stored = _stored_name(file, name)
    if stored is None:
        raise DatasetError(f"the variable {name!r} is required, but there is none")
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
    """Open the datasets of these names with `open_variable`, after checking that they hold few texts."""
    datasets = {name: open_variable(file, name) for name in names}
    texts = 0
    for name, dataset in datasets.items():
        texts += _room_for_texts(dataset)
        if texts > MOST_TEXTS:
            got = f"with {name!r} there is room for {texts}: number them"
            raise DatasetError(f"the variables of a file must hold at most {MOST_TEXTS} texts, {got}")
    return datasets


def _room_for_texts(dataset: h5py.Dataset) -> int:
    """Return how many texts a read of a dataset, which reads complete chunks, must hold; 0 if it holds numbers."""
    return 0 if h5py.check_string_dtype(dataset.dtype) is None else max(dataset.size, math.prod(dataset.chunks or ()))


def _check_chunks(name: str, dataset: h5py.Dataset, filters: list[int]) -> None:
    """Refuse an index of chunks that cannot be right; in older files it has no checksum.

    Every chunk must lie at a place of its own. Only gzip may be left out, as it is for chunks that it does not shrink.
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
    """Return the names of a dataset's axes, from its dimension scales."""
    own = name_of(dataset)
    if dataset.is_scale and dataset.ndim == 1:
        return (own,)
    for axis in range(dataset.ndim):
        if len(dataset.dims[axis]) != 1:
            raise DatasetError(f"axis {axis} of {own!r} needs one dimension scale, it has {len(dataset.dims[axis])}")
    return tuple(name_of(dataset.dims[axis][0]) for axis in range(dataset.ndim))


def read_values(dataset: h5py.Dataset) -> np.ndarray:
    """Read all values of a dataset from `open_variable`; texts become an array of strings.

    Missing numbers are NaN and packed numbers are decoded. Integers that are not packed stay integers if none is missing.
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
        if length > LARGEST_TEXT or longest * room > LARGEST_TEXT:  # in NumPy every text takes the room of the longest
            raise DatasetError(f"{name_of(dataset)!r} must hold at most {LARGEST_TEXT} characters, it holds more")
    if TEXT_CHECKSUM in dataset.attrs and read_attribute(dataset, TEXT_CHECKSUM) != text_checksum(texts):
        raise DatasetError(f"the texts of {name_of(dataset)!r} are damaged: generate or download the file again")
    return np.array(texts, dtype=np.str_).reshape(dataset.shape)


def _text_blocks(dataset: h5py.Dataset, step: int) -> Iterator[Iterable[bytes | str]]:
    """Yield the texts of a dataset in C order, about `step` at a time."""
    if dataset.size <= step:
        yield dataset[()].ravel() if dataset.ndim else [dataset[()]]
        return
    for index in np.ndindex(dataset.shape[:-1]):
        for start in range(0, dataset.shape[-1], step):
            yield dataset[(*index, slice(start, start + step))]


def _stored_name(file: h5py.File, name: str) -> bytes | None:
    """Return the bytes of the name under which a file stores a dataset: UTF-8 or Latin-1, as `as_text` reads them."""
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
