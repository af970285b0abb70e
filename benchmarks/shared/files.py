"""How benchmarks write what they found: whole or not at all, and never through a link; see `pac_surrogate.files.replacing`."""

import json
from pathlib import Path
from typing import Any

from pac_surrogate.files.replacing import Kind, by_suffix, replacing

JSON, MARKDOWN = by_suffix(".json"), by_suffix(".md")


def write_text(path: Path, text: str, kind: Kind) -> None:
    """Write a text in the place of another file of its kind only."""
    with replacing(path, kind) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON in the place of another such file only."""
    write_text(path, json.dumps(content, indent=1) + "\n", JSON)
