"""Files in the layouts of other programs, read as xarray Datasets and pandas DataFrames and written from Datasets.

Every format is read by the library of its field; nothing is ever unpickled. xarray and pandas are imported when they are
needed.
"""

import importlib
from typing import TYPE_CHECKING, Any

from pac_surrogate.formats.kinds import Kind, kind_of
from pac_surrogate.formats.opening import open_arrays, open_table

if TYPE_CHECKING:
    from pac_surrogate.formats.matlab import write_matlab
    from pac_surrogate.formats.named import write_zarr
    from pac_surrogate.formats.npz import write_npz
    from pac_surrogate.formats.pdebench_writer import write_pdebench
    from pac_surrogate.formats.tables import write_csv, write_parquet
    from pac_surrogate.formats.the_well_writer import write_the_well

__all__ = [
    "Kind",
    "kind_of",
    "open_arrays",
    "open_table",
    "write_csv",
    "write_matlab",
    "write_npz",
    "write_parquet",
    "write_pdebench",
    "write_the_well",
    "write_zarr",
]

WRITERS = {
    "write_csv": "tables",
    "write_matlab": "matlab",
    "write_npz": "npz",
    "write_parquet": "tables",
    "write_pdebench": "pdebench_writer",
    "write_the_well": "the_well_writer",
    "write_zarr": "named",
}


def __getattr__(name: str) -> Any:
    if name in WRITERS:
        return getattr(importlib.import_module(f"{__name__}.{WRITERS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
