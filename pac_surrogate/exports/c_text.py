"""Numbers, strings and tables as C."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LONGEST = 1000  # characters of a name: compilers need not accept strings of more than 4,095 bytes


def number(value: float, *, double: bool) -> str:
    """Return a constant that a C compiler reads as exactly this number, or as the float next to it."""
    if not double:
        with np.errstate(over="ignore"):
            value = float(np.float32(value))
    if not np.isfinite(value):
        return "NAN" if np.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.17g}" if double else f"{value:.9g}"
    text = text if set(text) & set(".e") else f"{text}.0"
    return text if double else f"{text}f"


def string(text: str) -> str:
    """Return a string constant of printable ASCII characters; other bytes of UTF-8 are octal escapes.

    A question mark is an escape too, because two of them may begin a trigraph. Long texts end in "...".
    """
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    plain = set(range(32, 127)) - {ord(sign) for sign in '"\\?'}
    signs = (chr(byte) if byte in plain else f"\\{byte:03o}" for byte in shown.encode(errors="backslashreplace"))
    return f'"{"".join(signs)}"'


def comment(values: Mapping[str, Any]) -> list[str]:
    """Return lines of JSON that cannot end a comment or continue it on another line."""
    text = json.dumps(values, indent=1, sort_keys=True, default=str)
    return text.replace("*", "\\u002a").replace("?", "\\u003f").splitlines()


def lines(parts: Sequence[str]) -> list[str]:
    """Return the parts of a list, with commas, in lines of at most 100 characters where parts are shorter."""
    found, line = [], ""
    for part in parts:
        if line and len(line) + len(part) > 98:
            found.append(line)
            line = ""
        line = f"{line} {part}," if line else f"{part},"
    return [*found, line.removesuffix(",")]


def table(kind: str, name: str, parts: Sequence[str]) -> str:
    """Return the definition of an array."""
    return "\n".join([f"static const {kind} {name}[{len(parts)}] = {{", *lines(parts), "};", ""])


def table_of(name: str, array: np.ndarray, *, double: bool) -> str:
    """Return the definition of an array of numbers, of type int, float or double."""
    if array.dtype.kind in "iu":
        return table("int", name, [str(one) for one in array.ravel().tolist()])
    kind = "double" if double else "float"
    if not array.any():
        return f"static const {kind} {name}[{array.size}] = {{0}};\n"
    return table(kind, name, [number(one, double=double) for one in array.ravel().tolist()])
