"""Descriptions and checks of files of every kind, which read a bounded part of a large file, or all of it to check it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pac_surrogate.data.names import split_unit
from pac_surrogate.data.opening import from_file
from pac_surrogate.data.tables import as_table, column_numbers
from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.layout import DESCRIBED_BYTES, LONGEST_LINE, describe, evenly_spaced, validate
from pac_surrogate.formats import kind_of, open_arrays, open_table
from pac_surrogate.formats.kinds import TABLES
from pac_surrogate.utilities.display import printable

READ_AT_ONCE = 2**20  # bytes of a variable
MOST_LINES = 200


def describe_file(path: Path | str) -> str:
    """Describe the variables of a file as text: dimensions, units, types and ranges, and the splits of our own files.

    The ranges of a large variable are those of a part of it, as the text says.

    Raises:
        DatasetError: if the file is missing, damaged or of no known kind.
    """
    kind = kind_of(path)
    if kind == "native":
        return describe(path)
    with from_file(path):
        lines = _table_lines(open_table(path)) if kind in TABLES else _array_lines(open_arrays(path))
    lines = [f"{path}: {kind}", *lines]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} more lines"]
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..." for line in map(printable, lines))


def validate_file(path: Path | str) -> None:
    """Check a file: our own completely, any other for damage and for numbers that are missing or not finite.

    Raises:
        DatasetError: if the file has a fault; the message names the first one.
    """
    kind = kind_of(path)
    if kind == "native":
        validate(path)
        return
    with from_file(path):
        if kind in TABLES:
            table = as_table(open_table(path))
            for label in table.columns:
                numbers = column_numbers(label, table[label])
                found = table[label].notna().to_numpy(dtype=bool) if numbers is None else np.isfinite(numbers)
                _refuse(label, found, ("row",))
            return
        dataset = open_arrays(path)
        for name, array in dataset.variables.items():
            for place, block in _blocks(array, array.nbytes):
                _refuse(str(name), np.isfinite(block) if block.dtype.kind in "fc" else ~_missing(block), array.dims, place)


def _table_lines(table: Any) -> list[str]:
    """Describe the columns of a table: name, unit, range, and how many entries are missing."""
    lines = [f"{len(table):,} rows", "", "columns"]
    for label in table.columns:
        (name, unit), column = split_unit(str(label)), table[label]
        missing = int(column.isna().sum())
        present = column.dropna()
        if column.dtype.kind in "fiub" and len(present):
            what = f"{present.min():.6g} to {present.max():.6g} [{unit or 1}]  {column.dtype}"
        else:
            different = [str(one) for one in present.unique()[:4]]
            what = f"{column.dtype}, such as {', '.join(different) or 'nothing'}"
        lines.append(f"  {name:24}{what}" + (f", {missing} missing" if missing else ""))
    return lines


def _array_lines(dataset: Any) -> list[str]:
    """Describe the dimensions and variables of an xarray Dataset."""
    lines = ["", "dimensions", *(f"  {dim!s:24}{size:>10,}" for dim, size in dataset.sizes.items())]
    sides = {"coordinates": list(dataset.coords), "variables": list(dataset.data_vars)}
    most = DESCRIBED_BYTES // max(1, len(dataset.variables))
    for title, names in sides.items():
        lines += ["", title] if names else []
        for name in names:
            array = dataset[name].variable
            role = {"input": ", input", "output": ", output"}.get(str(array.attrs.get("role")), "")
            span, rest = _span(array, most)
            what = f"{span} [{array.attrs.get('units', 1)}]  {array.dtype}{role}{rest}"
            lines.append(f"  {name!s:24}({', '.join(map(str, array.dims))})  {what}")
    lines += ["", "attributes"] if dataset.attrs else []
    return [*lines, *(f"  {name!s:24}{value}" for name, value in dataset.attrs.items())]


def _span(array: Any, most: int) -> tuple[str, str]:
    """Describe the range of a variable, and how much of it was read and is missing; at most `most` bytes are read."""
    if array.dtype.kind not in "fiub":
        first: Any = np.asarray(array[(slice(0, 4),) * array.ndim].values).ravel()[:4] if array.size else []
        return ", ".join(str(one) for one in first) + (", ..." if array.size > len(first) else ""), ""
    low, high, missing, read = np.nan, np.nan, 0, 0
    for _, block in _blocks(array, most):
        low, high = np.fmin(low, np.fmin.reduce(block, axis=None)), np.fmax(high, np.fmax.reduce(block, axis=None))
        missing, read = missing + int(np.isnan(block).sum()), read + block.size
    span = f"{low:.6g} to {high:.6g}" if low <= high else "no numbers"
    part = f" (of {read:,} of {array.size:,} numbers)" if read < array.size else ""
    return span, (f", {missing} missing" if missing else "") + part


def _blocks(array: Any, most: int) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Yield parts of an array of about 1 MB, evenly spaced along its first axis, at most `most` bytes together.

    Where a single entry of the first axis is larger than this, only the middle of its own first axis is read, and so on.
    """
    if array.ndim == 0:
        yield (), np.asarray(array.values)
        return
    row = max(1, array.nbytes // max(1, array.shape[0]))
    inner, held = [], row
    for size in array.shape[1:]:
        if held <= most:
            inner.append(slice(None))
            continue
        held = max(1, held // size)
        kept = int(max(1, min(size, most // held)))
        inner.append(slice((size - kept) // 2, (size - kept) // 2 + kept))
        held *= kept
    step = max(1, min(array.shape[0], READ_AT_ONCE // held))
    for start in evenly_spaced(array.shape[0], step, max(1, most // (held * step))):
        block = np.asarray(array[(slice(start, start + step), *inner)].values)
        yield (start, *(part.start or 0 for part in inner)), block


def _missing(block: np.ndarray) -> np.ndarray:
    return np.isnat(block) if block.dtype.kind in "mM" else np.zeros(block.shape, bool)


def _refuse(name: str, present: np.ndarray, dims: tuple[Any, ...], first: tuple[int, ...] = (0,)) -> None:
    """Refuse the first number that is not present."""
    if not present.all():
        index = np.unravel_index(int((~present).argmax()), present.shape)
        place = ", ".join(f"{dim} {start + int(i)}" for dim, start, i in zip(dims, first, index, strict=True))
        raise DatasetError(f"{name} must be finite, it is missing or not finite{f' at {place}' if place else ''}")
