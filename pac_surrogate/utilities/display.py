"""Display of results: a few lines, regardless of their contents, and a small table in a notebook.

Results hold arrays, so a result is equal only to itself: `==` and `hash` compare identities.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

LINE = 110  # characters of a line
MESSAGE = 300  # characters that a message quotes from a file or from another library's error
ENTRIES = 6  # entries of a list that are shown


class Shown:
    """A frozen dataclass (eq=False, repr=False) whose repr has a line for each field; a class may override `_shown`."""

    def _shown(self) -> dict[str, Any]:
        """Return the values that are shown, by label."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def __repr__(self) -> str:
        lines = {label: brief(value) for label, value in self._shown().items() if value is not None}
        width = max(map(len, lines), default=0)
        return "\n".join([f"{type(self).__name__}:", *(f"  {label:{width}}  {line}" for label, line in lines.items())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(brief(value))}</td></tr>"
            for label, value in self._shown().items()
            if value is not None
        )
        return f"<table><caption>{html.escape(type(self).__name__)}</caption>{rows}</table>"


def brief(value: Any) -> str:
    """Describe a value in one short line: arrays by shape and range, lists by their first entries, results by their class."""
    if isinstance(value, Shown):
        return cut(value._brief() if hasattr(value, "_brief") else f"a {type(value).__name__}")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value)
    if isinstance(value, Mapping):
        if value and all(hasattr(one, "numel") for one in value.values()):
            return f"{len(value)} tensors, {sum(one.numel() for one in value.values()):,} numbers"
        return cut(listed([f"{key}: {brief(one)}" for key, one in value.items()]) or "none")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return cut(listed([brief(one) for one in value]) or "none")
    if isinstance(value, float):
        return f"{value:.6g}"
    return cut(value if isinstance(value, str) else repr(value))


def _array(array: Any) -> str:
    """Describe the shape, precision and range of a NumPy array or a tensor."""
    shape, dtype = tuple(array.shape), str(array.dtype).removeprefix("torch.")
    size = 1
    for length in shape:
        size *= length
    if size == 0:
        return f"{shape} {dtype}"
    if dtype == "bool":
        return f"{shape}, true for {int(array.sum())} of {size}" if size > 1 else f"{shape} {bool(array.any())}"
    if not dtype.startswith(("float", "int", "uint", "bfloat")):
        return f"{shape} {dtype}"
    low, high = float(array.min()), float(array.max())
    one = f"{low:.6g}" if size == 1 else f"all {low:.6g}"
    return f"{shape} {dtype}, {f'{low:.6g} to {high:.6g}' if low != high else one}"


def listed(texts: Sequence[str]) -> str:
    """Join texts with commas; if there are many, give their number and the first few."""
    return ", ".join(texts) if len(texts) <= ENTRIES else f"{len(texts)}: {', '.join(texts[:ENTRIES])}, ..."


def cut(text: str) -> str:
    """Shorten a text to one line of at most `LINE` characters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= LINE else f"{text[: LINE - 3]}..."


def one_line(text: object, most: int = MESSAGE) -> str:
    """Turn a text from elsewhere, such as a file or another library's error, into one printable line for a message.

    Args:
        text: a path, an error, or any other object with a text.
        most: number of characters that are kept, at the beginning and the end together.
    """
    line = printable(" ".join(str(text).split())[: 100 * most])
    return line if len(line) <= most else f"{line[: most // 2 - 2]} ... {line[len(line) - most // 2 + 3 :]}"


def printable(text: str) -> str:
    r"""Replace characters that would control a terminal or break the line by escapes such as \x1b."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
