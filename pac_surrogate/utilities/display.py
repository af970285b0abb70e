"""How results show themselves: a few lines, whatever they hold; in a notebook, a small table.

Results hold arrays, so they are equal to themselves alone: `==` and `hash` go by identity.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

LINE = 110  # characters of a line
MESSAGE = 300  # characters that a message quotes of a file, or of another library's error
ENTRIES = 6  # of a list that is shown


class Shown:
    """A frozen dataclass (eq=False, repr=False) whose repr is a line for each field; see `_shown` for what a class may say."""

    def _shown(self) -> dict[str, Any]:
        """What is shown, by label."""
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
    """A value in one short line: arrays by shape and range, lists by their first entries, results by their kind."""
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
    """Shape, precision and range of a NumPy array or a tensor."""
    shape, dtype = tuple(array.shape), str(array.dtype).removeprefix("torch.")
    size = 1
    for length in shape:
        size *= length
    if size == 0:
        return f"{shape} {dtype}"
    if dtype == "bool":
        return f"{shape}, true for {int(array.sum())} of {size}"
    if not dtype.startswith(("float", "int", "uint", "bfloat")):
        return f"{shape} {dtype}"
    low, high = float(array.min()), float(array.max())
    return f"{shape} {dtype}, {f'{low:.6g} to {high:.6g}' if low != high else f'all {low:.6g}'}"


def listed(texts: Sequence[str]) -> str:
    """Texts with commas; of many, their number and the first."""
    return ", ".join(texts) if len(texts) <= ENTRIES else f"{len(texts)}: {', '.join(texts[:ENTRIES])}, ..."


def cut(text: str) -> str:
    """One line of at most `LINE` characters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= LINE else f"{text[: LINE - 3]}..."


def one_line(text: object, most: int = MESSAGE) -> str:
    """A text from elsewhere, such as a file or another library's error, for a message: one line, nothing that a terminal obeys.

    Args:
        text: a path, an error, or anything else with a text.
        most: how many characters are kept, of the beginning and of the end.
    """
    line = printable(" ".join(str(text).split())[: 100 * most])
    return line if len(line) <= most else f"{line[: most // 2 - 2]} ... {line[len(line) - most // 2 + 3 :]}"


def printable(text: str) -> str:
    r"""A text of a file or a user with escapes, as \x1b, in place of what would steer a terminal or break the line."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
