"""Docstrings as reStructuredText: in this project they are plain text with indented equations and names between backticks."""

import re
from typing import Any

SECTIONS = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Warns|Example|Examples|Note|Notes|References):$")


def as_restructured_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place: indented blocks become literal, and no character of the prose is markup.

    The sections Args, Attributes, Returns, Raises and Warns are left to napoleon.
    """
    changed: list[str] = []
    section = literal = False
    for line in lines:
        indented = line.startswith("    ")
        if line and not indented:
            section, literal = bool(SECTIONS.match(line)), False
        if indented and not section:
            if not literal:
                # The mark stands alone: the paragraph before it is shown as it was written.
                changed += ["", "::", ""]
                literal = True
            changed.append(line)
        else:
            changed.append(escaped(line))
    lines[:] = changed


def escaped(line: str) -> str:
    """Escape the characters of a line that reStructuredText would read as markup, but for text between backticks."""
    pieces = re.split(r"(`[^`]*`)", line)
    return "".join(piece if piece.startswith("`") else re.sub(r"(\*|\||_(?=\W|$)|\\)", r"\\\1", piece) for piece in pieces)
