"""Data files: netCDF-4 in the layout of `native` for datasets, safetensors for weights. Nothing is ever unpickled."""

from typing import TYPE_CHECKING, Any

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.layout import Description, describe, read_description, read_rows, validate
from pac_surrogate.files.missing import without_mask
from pac_surrogate.files.netcdf import NetcdfVariable, read_netcdf, read_xarray, write_netcdf, write_xarray
from pac_surrogate.files.replacing import replacing
from pac_surrogate.files.splits import make_split, make_subset_order
from pac_surrogate.files.variables import Coordinate, Variable
from pac_surrogate.files.writer import DatasetWriter

if TYPE_CHECKING:
    from pac_surrogate.files.tensors import load_tensors, save_tensors

__all__ = [
    "Coordinate",
    "DatasetError",
    "DatasetWriter",
    "Description",
    "NetcdfVariable",
    "Variable",
    "describe",
    "load_tensors",
    "make_split",
    "make_subset_order",
    "read_description",
    "read_netcdf",
    "read_rows",
    "read_xarray",
    "replacing",
    "save_tensors",
    "validate",
    "without_mask",
    "write_netcdf",
    "write_xarray",
]


def __getattr__(name: str) -> Any:
    if name in ("load_tensors", "save_tensors"):  # torch takes seconds to import, and data files do not need it
        from pac_surrogate.files import tensors

        return getattr(tensors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
