"""Tables: in Markdown, as text in columns, and as CSV."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from pac_surrogate.files.replacing import replacing

Row = Sequence[object]


def markdown_row(cells: Row) -> str:
    """Return a line of a Markdown table; a vertical bar in a cell is escaped, since it would end the cell."""
    escaped = (str(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def markdown_table(head: Row, rows: Iterable[Row]) -> str:
    """Return a table in Markdown."""
    return "\n".join([markdown_row(head), "|" + "---|" * len(head), *map(markdown_row, rows)])


def text_table(head: Row, rows: Iterable[Row]) -> str:
    """Return a table as plain text: the first column is aligned to the left, all others to the right.

    Raises:
        ValueError: if a row has more or fewer cells than the head.
    """
    lines = [[str(cell) for cell in line] for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "\n".join(("  " + "  ".join(line)).rstrip() for line in aligned)


def write_csv(path: Path, head: Row, rows: Iterable[Row], digits: int | None = None) -> None:
    """Write a table as CSV: floats with `digits` significant digits, by default with all, and None as an empty cell."""

    def written(value: object) -> object:
        return f"{value:.{digits}g}" if digits and isinstance(value, float) else value

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *([written(value) for value in row] for row in rows)])
