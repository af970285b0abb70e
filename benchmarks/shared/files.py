"""Write results completely or not at all, and never through a link; see `pac_surrogate.files.replacing`."""

import json
from pathlib import Path
from typing import Any

from pac_surrogate.files.replacing import Kind, by_suffix, replacing

JSON, MARKDOWN = by_suffix(".json"), by_suffix(".md")


def write_text(path: Path, text: str, kind: Kind) -> None:
    """Write a text; an existing file is replaced only if it is of the same kind."""
    with replacing(path, kind) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON; an existing file is replaced only if it is a JSON file."""
    write_text(path, json.dumps(content, indent=1) + "\n", JSON)
