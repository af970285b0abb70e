"""HDF5 files without dimension scales, and the checks of stored arrays that all kinds of HDF5 files share.

Every dataset of numbers, in any group, is a variable; a variable of a group is named `group.name`. Links, texts and compound
types are left out and named in the attribute `left_out`.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import FORMAT, MOST_ATTRIBUTES, DatasetError, as_text, read_attribute
from pac_surrogate.files.netcdf_reader import FILTERS, open_netcdf
from pac_surrogate.formats.lazy import Hdf5Source, lazy_variable
from pac_surrogate.formats.unnamed import collect, is_numeric

BUILT_IN = FILTERS | {h5py.h5z.FILTER_LZF, h5py.h5z.FILTER_SZIP, h5py.h5z.FILTER_SCALEOFFSET, h5py.h5z.FILTER_NBIT}
MOST_DATASETS = 2**12
DEEPEST = 32
MOST_ENTRIES = 2**10
MEANING = ("units", "long_name", "role", "scaling", "lower_bound", "upper_bound", "position")


def open_hdf5(path: Path) -> xr.Dataset:
    """Open a plain HDF5 file.

    Raises:
        DatasetError: if it has no dataset of real numbers with an axis, or too many datasets.
    """
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    with open_netcdf(path) as file:
        for name, dataset in datasets_of(file, left_out):
            dotted = name.replace("/", ".")
            what = not_numbers(dataset)
            if what:
                left_out[dotted] = what
            elif dataset.shape:
                found[dotted] = lazy_hdf5(path, dataset, tuple(map(str, range(dataset.ndim))))
            else:
                found[dotted] = np.asarray(dataset[()])
        return collect(found, left_out, simple_attributes(file))


def datasets_of(file: h5py.Group, left_out: dict[str, str], above: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the datasets of a group and of the groups in it, with their paths; links are only named in `left_out`."""
    if above.count("/") > DEEPEST:
        raise DatasetError(f"groups must be nested at most {DEEPEST} deep, {above[:60]!r} is deeper: flatten the file")
    count = 0
    for stored in file:
        raw = stored if isinstance(stored, bytes) else stored.encode()
        name = above + as_text(raw)
        count += 1
        if count > MOST_DATASETS:
            raise DatasetError(
                f"a group must have at most {MOST_DATASETS} members, {above or 'the root'!r} has more: stack them"
            )
        if file.id.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
            left_out[name.replace("/", ".")] = "a link"
            continue
        item = file[raw]
        if isinstance(item, h5py.Dataset):
            yield name, item
        elif isinstance(item, h5py.Group):
            yield from datasets_of(item, left_out, f"{name}/")


def not_numbers(dataset: h5py.Dataset) -> str:
    """Return what a dataset holds if it is not real numbers, an empty text if it is."""
    try:
        dtype = dataset.dtype
    except TypeError:
        return "of a type that NumPy lacks"
    if dataset.shape is None:
        return "empty"
    if h5py.check_string_dtype(dtype) is not None:
        return "texts"
    if not is_numeric(dtype):
        return "complex numbers" if dtype.kind == "c" else "no numbers"
    return ""


def check_storage(dataset: h5py.Dataset) -> h5py.Dataset:
    """Refuse a dataset that lies in another file, or has a filter that HDF5 would have to load from elsewhere.

    Raises:
        DatasetError: if it does; the message names the dataset.
    """
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
    if dataset.is_virtual or dataset.external or not filters <= BUILT_IN:
        name = as_text(dataset.name).removeprefix("/")
        raise DatasetError(f"{name!r} must be stored in this file, with filters that HDF5 itself has: copy it with h5repack")
    return dataset


def lazy_hdf5(path: Path, dataset: h5py.Dataset, dims: tuple[str, ...], **options: bool) -> xr.Variable:
    """Return a dataset as a lazy variable with its units and other texts; see `Hdf5Source` for the options."""
    check_storage(dataset)
    shape = dataset.shape[::-1] if options.get("reverse") else dataset.shape
    if options.get("merge"):
        shape = (*shape[:-2], shape[-2] * shape[-1])
    return lazy_variable(dims, Hdf5Source(path, dataset.name, shape, dataset.dtype, **options), meaning(dataset))


def simple_attributes(item: h5py.File | h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """Return the attributes that are numbers, short rows of numbers, or texts; several texts become a JSON list."""
    found: dict[str, Any] = {}
    for name, _ in zip(item.attrs, range(MOST_ATTRIBUTES["file"]), strict=False):
        shape = item.attrs.get_id(name).shape
        if as_text(name) in FORMAT or shape is None or math.prod(shape) > MOST_ENTRIES:
            continue
        try:
            value = np.asarray(item.attrs[name])
        except TypeError:  # of a type that NumPy lacks
            continue
        if value.dtype.kind in "OSU":
            texts = [as_text(one) for one in value.ravel() if isinstance(one, bytes | str)]
            found[as_text(name)] = texts[0] if value.ndim == 0 and texts else json.dumps(texts)
        elif is_numeric(value.dtype):
            found[as_text(name)] = value.item() if value.size == 1 else value
    return found


def meaning(item: h5py.Dataset | h5py.Group, names: tuple[str, ...] = MEANING) -> dict[str, Any]:
    """Return those attributes that this package gives to a variable, such as units and role, if they are texts or numbers."""
    found = {name: read_attribute(item, name) for name in names if name in item.attrs}
    return {name: value for name, value in found.items() if is_told(value)}


def is_told(value: Any) -> bool:
    """Return whether an attribute says something: a number, or a text that is not empty."""
    return isinstance(value, str | int | float | np.number) and value != ""
