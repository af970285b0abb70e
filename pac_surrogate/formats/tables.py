"""Tables: CSV, and Parquet through pyarrow. A row is a sample, and a column a variable.

Both hold names and numbers only; units stand in brackets behind the names.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, by_suffix, replacing
from pac_surrogate.formats.errors import need, writing
from pac_surrogate.formats.kinds import holds

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")


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


def write_csv(path: Path | str, table: "pd.DataFrame") -> None:
    """Write a table as a CSV file, with as many digits as its numbers have; an index with labels is its first column.

    Raises:
        DatasetError: if the path must not be written to.
    """
    with writing(path), replacing(path, by_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=_has_labels(table))


def write_parquet(path: Path | str, table: "pd.DataFrame") -> None:
    """Write a table as a Parquet file; only a Parquet file is replaced.

    Raises:
        DatasetError: if pyarrow is not installed, or the path must not be written to.
    """
    with writing(path):
        need("pyarrow", "a Parquet file")
        with replacing(path, Kind("a Parquet file", holds("parquet"))) as temporary:
            table.to_parquet(temporary, engine="pyarrow", index=_has_labels(table))


def _has_labels(table: "pd.DataFrame") -> bool:
    import pandas as pd

    return not isinstance(table.index, pd.RangeIndex)
