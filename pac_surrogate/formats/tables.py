"""Tables: CSV, and Parquet through pyarrow. A row is a sample, and a column a variable.

A CSV file holds names and numbers only. A Parquet file that is written here also holds units, roles and other attributes, where
pandas stores the `attrs` of a DataFrame.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, by_suffix, replacing
from pac_surrogate.formats.errors import need, writing
from pac_surrogate.formats.kinds import kind_of
from pac_surrogate.formats.unnamed import plain

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")
ATTRIBUTES = "variables"
MOST_COLUMNS = 2**14


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file whose first line holds the names of the columns, separated by commas, semicolons or tabs.

    A first column without a name is the index, as pandas writes it. A number is the float64 nearest to its decimals.

    Raises:
        DatasetError: if the file is not such a table.
    """
    import pandas as pd

    encoding = "utf-8-sig"
    try:
        with path.open(encoding=encoding) as file:
            while file.read(2**24):
                pass
    except UnicodeDecodeError:
        encoding = "latin-1"
    with path.open(encoding=encoding) as file:
        first = file.readline()
    separator = max(SEPARATORS, key=first.count)
    index = 0 if first.lstrip('"').startswith(('"' + separator, separator)) else None
    version = tuple(int(part) for part in pd.__version__.split(".")[:2])
    exact: dict[str, Any] = {"float_precision": "round_trip"} if version < (3, 1) else {}  # later the only one
    table = pd.read_csv(path, sep=separator, encoding=encoding, index_col=index, **exact)
    if not len(table) or not len(table.columns):
        raise DatasetError(f"a table with names in its first line is required, it has {len(table)} rows: check the file")
    return table


def read_parquet(path: Path) -> "pd.DataFrame":
    """Read a Parquet file.

    Raises:
        DatasetError: if pyarrow is not installed.
    """
    import pandas as pd

    need("pyarrow", "a Parquet file")
    return pd.read_parquet(path, engine="pyarrow")


def as_table(dataset: xr.Dataset) -> "pd.DataFrame":
    """Return the variables of a Dataset along `sample` as a table; a variable with axes becomes columns `name[i, j]`.

    The attributes `units`, `role` and so on are in the `attrs` of the table.

    Raises:
        DatasetError: if no variable has the dimension `sample`, or a table would have too many columns.
    """
    import pandas as pd

    columns: dict[str, np.ndarray] = {}
    attributes = {}
    chosen = {str(name): one for name, one in dataset.data_vars.items() if one.dims[:1] == ("sample",)}
    count = sum(math.prod(one.shape[1:]) for one in chosen.values())
    if not chosen or count > MOST_COLUMNS:
        remedy = "write netCDF or NPZ"
        raise DatasetError(f"a table needs 1 to {MOST_COLUMNS} columns along sample, the dataset has {count}: {remedy}")
    for name, one in chosen.items():
        values = np.asarray(one.values)
        for index in np.ndindex(values.shape[1:]):
            columns[f"{name}[{', '.join(map(str, index))}]" if index else name] = values[(slice(None), *index)]
        attributes[name] = plain(one.attrs)
    table = pd.DataFrame(columns)
    table.attrs = {ATTRIBUTES: attributes, **plain(dataset.attrs)}
    return table


def write_csv(path: Path | str, dataset: xr.Dataset) -> None:
    """Write the variables of a Dataset as a CSV file, with as many digits as their type holds; units and roles are lost.

    Raises:
        DatasetError: if the path must not be written to, or the variables are no table.
    """
    with writing(path):
        table = as_table(dataset)
        with replacing(path, by_suffix(".csv")) as temporary:
            table.to_csv(temporary, index=False)


def write_parquet(path: Path | str, dataset: xr.Dataset) -> None:
    """Write the variables of a Dataset as a Parquet file.

    Raises:
        DatasetError: if pyarrow is not installed, the path must not be written to, or the variables are no table.
    """
    with writing(path):
        need("pyarrow", "a Parquet file")
        table = as_table(dataset)
        with replacing(path, Kind("a Parquet file", _holds_parquet)) as temporary:
            table.to_parquet(temporary, engine="pyarrow", index=False)


def _holds_parquet(path: Path) -> bool:
    try:
        return kind_of(path) == "parquet"
    except DatasetError:
        return False
