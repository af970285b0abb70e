"""How benchmarks write what they found: whole or not at all, and never through a link; see `pac_surrogate.files.replacing`."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pac_surrogate.files.replacing import Kind, by_suffix, replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

JSON, MARKDOWN = by_suffix(".json"), by_suffix(".md")


def write_text(path: Path, text: str, kind: Kind) -> None:
    """Write a text in the place of another file of its kind only."""
    with replacing(path, kind) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON in the place of another such file only."""
    write_text(path, json.dumps(content, indent=1) + "\n", JSON)


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write CSV, a row a line."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_table(path: Path, table: "pd.DataFrame", **options: Any) -> None:
    """Write a table of pandas as CSV, without its index."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, **options)


def write_figure(path: Path, figure: "Figure", dpi: int = 130) -> None:
    """Write a figure as a PNG."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")
