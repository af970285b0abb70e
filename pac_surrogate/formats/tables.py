"""Tables: CSV, and Parquet through pyarrow. A row is a sample, and a column a variable.

Both hold names and numbers only; units stand in brackets behind the names.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.formats.errors import need, writing
from pac_surrogate.formats.kinds import holds
from pac_surrogate.utilities.display import listed, one_line

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t")
SURPLUS = "fields without a name"


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file whose first line holds the names of the columns, separated by commas, semicolons or tabs.

    A first column without a name is the index, as pandas writes it. A last column without a name and entries, which separators
    at the ends of the lines make, is left out. A number is the float64 nearest to its decimals.

    Raises:
        DatasetError: if the file is not such a table.
    """
    import pandas as pd

    encoding = encoding_of(path)
    separator = separator_of(path, encoding)
    try:
        lines = _lines(path, encoding, separator)
        (_, header), (line, fields) = next(lines, (0, [])), next(lines, (0, []))
        if not fields:
            raise DatasetError("a table with names in its first line is required, it has 0 rows: check the file")
        twice = [name for name in header if name and header.count(name) > 1]
        if twice:
            raise DatasetError(f"the columns of a table need different names, {twice[0]!r} occurs twice: rename one")
        surplus = len(fields) - len(header)
        if surplus > 1 or (surplus == 1 and fields[-1]):
            raise DatasetError(_ragged(f"line {line} has {len(fields)}, and the first line {len(header)}"))
        names: dict[str, Any] = {}
        if surplus == 1:  # without names, pandas takes the first of the fields as an index, and moves all others by a column
            names = {"header": 0, "names": [*(name or f"Unnamed: {i}" for i, name in enumerate(header)), SURPLUS]}
        version = tuple(int(part) for part in pd.__version__.split(".")[:2])
        exact: dict[str, Any] = {"float_precision": "round_trip"} if version < (3, 1) else {}  # later the only one
        table = pd.read_csv(path, sep=separator, encoding=encoding, index_col=None if header[0] else 0, **names, **exact)
    except (csv.Error, pd.errors.ParserError) as error:
        raise DatasetError(_ragged(one_line(error))) from error
    if surplus == 1 and table[SURPLUS].notna().any():
        row = int(table[SURPLUS].notna().to_numpy(dtype=bool).argmax())
        raise DatasetError(_ragged(f"row {row} has {len(fields)}, and the first line {len(header)}"))
    if surplus == 1 or (len(header) > 1 and not header[-1] and table.iloc[:, -1].isna().all()):
        table = table.iloc[:, :-1]
    if names and not header[0]:
        table.index.name = None
    if not len(table) or not len(table.columns):
        raise DatasetError(f"a table with names in its first line is required, it has {len(table)} rows: check the file")
    return table


def encoding_of(path: Path) -> str:
    """Return the encoding of a text: UTF-8, or Latin-1 where it is none."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            while file.read(2**24):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def separator_of(path: Path, encoding: str) -> str:
    """Return the separator that occurs most often in the first line of a file."""
    with path.open(encoding=encoding) as file:
        first = next((line for line in file if line.strip()), "")
    return max(SEPARATORS, key=first.count)


def _lines(path: Path, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of every line that is not blank, and its fields without blanks around them."""
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        for fields in reader:
            if "".join(fields).strip() or len(fields) > 1:
                yield reader.line_num, [field.strip() for field in fields]


def _ragged(what: str) -> str:
    return (
        f"every line of a table must have as many fields as the first ({what}): name all columns, put texts that contain the "
        "separator in quotation marks, and write 1.5 for 1,5"
    )


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

    Only a CSV file with the same columns is replaced, in whatever order: another one may hold somebody's data.

    Raises:
        DatasetError: if the path must not be written to.
    """
    labels = [str(table.index.name or "")] if _has_labels(table) else []
    kind = csv_of([*labels, *(str(label) for label in table.columns)])
    with writing(path), replacing(path, kind) as temporary:
        table.to_csv(temporary, index=_has_labels(table))


def csv_of(columns: Sequence[str]) -> Kind:
    """Return the kind of the CSV files with these columns."""

    def same_columns(path: Path) -> bool:
        try:
            encoding = encoding_of(path)
            _, header = next(_lines(path, encoding, separator_of(path, encoding)), (0, []))
        except (OSError, csv.Error):
            return False
        return sorted(header) == sorted(column.strip() for column in columns)

    return Kind(f"a CSV file with the columns {listed(list(columns))}", same_columns)


def write_parquet(path: Path | str, table: "pd.DataFrame") -> None:
    """Write a table as a Parquet file; only one with the same columns is replaced.

    Raises:
        DatasetError: if pyarrow is not installed, or the path must not be written to.
    """
    with writing(path):
        need("pyarrow", "a Parquet file")
        with replacing(path, parquet_of([str(label) for label in table.columns])) as temporary:
            table.to_parquet(temporary, engine="pyarrow", index=_has_labels(table))


def parquet_of(columns: Sequence[str]) -> Kind:
    """Return the kind of the Parquet files with these columns, beside the labels of the rows."""

    def same_columns(path: Path) -> bool:
        from pyarrow import parquet

        if not holds("parquet")(path):
            return False
        names = [name for name in parquet.read_schema(path).names if not name.startswith("__index_level_")]
        return set(columns) <= set(names) and len(names) <= len(columns) + 1

    return Kind(f"a Parquet file with the columns {listed(list(columns))}", same_columns)


def _has_labels(table: "pd.DataFrame") -> bool:
    import pandas as pd

    return not isinstance(table.index, pd.RangeIndex)
