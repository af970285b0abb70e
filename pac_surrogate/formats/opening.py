"""Opening of files in other layouts than that of this package: arrays as an xarray Dataset, tables as a pandas DataFrame."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.formats.errors import reading
from pac_surrogate.formats.kinds import TABLES, kind_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

HERE = "pac_surrogate.formats"
READERS = {
    "netcdf": ("named", "open_netcdf_file"),
    "zarr": ("named", "open_zarr"),
    "hdf5": ("plain_hdf5", "open_hdf5"),
    "matlab": ("matlab", "open_matlab"),
    "npz": ("npz", "open_npz"),
    "the_well": ("the_well", "open_the_well"),
    "pdebench": ("pdebench", "open_pdebench"),
    "csv": ("tables", "read_csv"),
    "parquet": ("tables", "read_parquet"),
}


def open_file(path: Path | str) -> "xr.Dataset | pd.DataFrame":
    """Open a file or folder in another layout than that of this package; see `kind_of` for the kinds.

    Arrays are an xarray Dataset whose numbers are read when they are indexed, except for those of MAT-files before version 7.3.
    A table is read as a whole.

    Raises:
        DatasetError: if the file is missing, damaged, of an unknown kind or in the layout of this package, or a package that
            its kind needs is not installed.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "native":
        raise DatasetError(
            f"{path}: a file in another layout is required, this one is in that of this package: open_dataset reads it"
        )
    module, function = READERS[kind]
    with reading(path):
        return getattr(importlib.import_module(f"{HERE}.{module}"), function)(path)


def open_arrays(path: Path | str) -> "xr.Dataset":
    """Open a file or folder of arrays; see `open_file`.

    Raises:
        DatasetError: if it cannot be opened, or is a table.
    """
    if kind_of(path) in TABLES:
        raise DatasetError(f"{path}: a file of arrays is required, this is a table: open_table reads it")
    return open_file(path)


def open_table(path: Path | str) -> "pd.DataFrame":
    """Read a CSV or Parquet file; see `open_file`.

    Raises:
        DatasetError: if it cannot be read, or holds arrays.
    """
    if kind_of(path) not in TABLES:
        raise DatasetError(f"{path}: a table (CSV or Parquet) is required, this is a file of arrays: open_arrays reads it")
    return open_file(path)
