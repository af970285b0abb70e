"""Files with named axes, read through xarray: netCDF classic, netCDF-4 and Zarr, and the writer of Zarr.

Missing and packed numbers are decoded by the CF conventions, and dates become `datetime64`. A duration, such as a time in s,
stays a number with its unit. A variable of a group is named `group.name`. A Zarr store that needs pickle to be read is
refused.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from pac_surrogate.files.attributes import TEXT_CHECKSUM, DatasetError
from pac_surrogate.files.netcdf_reader import open_netcdf
from pac_surrogate.formats.errors import need, writing
from pac_surrogate.formats.folders import replacing_folder
from pac_surrogate.formats.kinds import holds
from pac_surrogate.formats.plain_hdf5 import check_storage, datasets_of
from pac_surrogate.formats.unnamed import plain, texts_apart

PICKLING = "pickle"


def open_netcdf_file(path: Path) -> xr.Dataset:
    """Open a netCDF file, classic or netCDF-4, lazily.

    Raises:
        DatasetError: if a variable lies in another file or has a filter that HDF5 does not have.
    """
    if not h5py.is_hdf5(path):
        return _flat({"/": xr.open_dataset(path, engine="scipy", decode_timedelta=False)})
    left_out: dict[str, str] = {}
    with open_netcdf(path) as file:
        for _, dataset in datasets_of(file, left_out):
            check_storage(dataset)
    if left_out:
        raise DatasetError(f"variables must be stored in the file, {next(iter(left_out))!r} is a link: copy what it points to")
    return _flat(xr.open_groups(path, engine="h5netcdf", decode_timedelta=False))


def open_zarr(path: Path) -> xr.Dataset:
    """Open a Zarr store, of version 2 or 3, lazily.

    Raises:
        DatasetError: if zarr is not installed, or an array can be read only by unpickling.
    """
    zarr = need("zarr", "a Zarr store")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that may change; what cannot be read is an error
        root = zarr.open(str(path), mode="r")
        if not isinstance(root, zarr.Group):
            raise DatasetError("a Zarr group of named arrays is required, this is a single array: put it into a group")
        for name, array in root.members(max_depth=None):
            if isinstance(array, zarr.Array):
                _check_codecs(name, array.metadata.to_dict())
        groups = xr.open_groups(path, engine="zarr", consolidated=False, decode_timedelta=False, chunks=None)
        return _flat(groups)


def _check_codecs(name: str, metadata: Mapping[str, Any]) -> None:
    """Refuse an array whose numbers pickle would have to decode."""
    codecs = {key: metadata[key] for key in ("codecs", "filters", "compressor") if key in metadata}
    if PICKLING in json.dumps(codecs, default=str).lower():
        raise DatasetError(f"arrays of numbers are required, {name!r} is pickled and never read: store numbers")


def _flat(groups: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Merge the groups of a file; a dimension that has another length or other values above is renamed like a variable."""
    for group in groups.values():
        for variable in group.variables.values():
            variable.attrs.pop(TEXT_CHECKSUM, None)
    root, *others = ((name, groups[name]) for name in sorted(groups))
    merged, sizes = root[1], dict(root[1].sizes)
    for path, group in others:
        prefix = path.strip("/").replace("/", ".")
        names = {name: f"{prefix}.{name}" for name in group.variables if name not in group.sizes}
        for dim, size in group.sizes.items():
            if sizes.setdefault(dim, size) != size or (dim in group.variables and not _same(merged, group, dim)):
                names[dim] = f"{prefix}.{dim}"
        renamed = group.rename(names)
        merged = merged.assign_coords({name: renamed[name].variable for name in renamed.coords if name not in merged.variables})
        merged = merged.assign({name: renamed[name].variable for name in renamed.data_vars})
        sizes = dict(merged.sizes)
        merged.attrs.update({f"{prefix}.{name}": value for name, value in group.attrs.items()})
    return merged


def _same(merged: xr.Dataset, group: xr.Dataset, dim: Any) -> bool:
    return dim not in merged.variables or merged[dim].variable.equals(group[dim].variable)


def write_zarr(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a Dataset as a Zarr store of version 2, which all versions of zarr read; only another Zarr store is replaced.

    Raises:
        DatasetError: if zarr is not installed, or the path must not be written to.
    """
    with writing(path):
        need("zarr", "a Zarr store")
        _, texts = texts_apart(dataset)
        stored = dataset.copy()
        for name, variable in stored.variables.items():
            variable.attrs, variable.encoding = plain(variable.attrs), {}
            if name in texts:
                stored = stored.assign({name: stored[name].astype("U")})
        stored.attrs = plain(stored.attrs)
        with replacing_folder(path, "a Zarr store", holds("zarr")) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored.to_zarr(temporary, mode="w", zarr_format=2, consolidated=True)
