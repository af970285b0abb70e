"""Numbers, strings and tables as C."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

LONGEST = 1000  # characters of a name: compilers need not accept strings of more than 4,095 bytes


def numbers(values: ArrayLike, *, double: bool) -> list[str]:
    """Return constants that a C compiler reads as exactly these numbers, or as the floats next to them.

    They have the fewest decimal digits from which the same number is read.
    """
    with np.errstate(over="ignore"):
        kept = np.asarray(values, dtype=np.float64).astype(np.float64 if double else np.float32).ravel()
    # NumPy writes a whole array fast, and each number with a point or an exponent, without which C would read an integer.
    texts = b" ".join(kept.astype("S").tolist()).decode("ascii").split()
    texts = texts if double else [f"{text}f" for text in texts]
    for place in np.flatnonzero(~np.isfinite(kept)):
        one = kept[place]
        texts[place] = "NAN" if np.isnan(one) else "INFINITY" if one > 0 else "-INFINITY"
    return texts


def string(text: str) -> str:
    """Return a string constant of printable ASCII characters; other bytes of UTF-8 are octal escapes.

    A question mark is an escape too, because two of them may begin a trigraph. Long texts end in "...".
    """
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    plain = set(range(32, 127)) - {ord(sign) for sign in '"\\?'}
    signs = (chr(byte) if byte in plain else f"\\{byte:03o}" for byte in shown.encode(errors="backslashreplace"))
    return f'"{"".join(signs)}"'


def comment(values: Mapping[str, Any]) -> list[str]:
    """Return lines of JSON in which nothing ends a C comment."""
    text = json.dumps(values, indent=1, sort_keys=True, default=str)
    return text.replace("*", "\\u002a").replace("?", "\\u003f").splitlines()


def lines(parts: Sequence[str]) -> list[str]:
    """Return the parts of a list, separated by commas, in lines of at most 100 characters, or of one part if that is longer."""
    count = max(1, 100 // (max(map(len, parts)) + 2))
    found = [f"{', '.join(parts[first : first + count])}," for first in range(0, len(parts), count)]
    return [*found[:-1], found[-1].removesuffix(",")]


def table(kind: str, name: str, parts: Sequence[str]) -> str:
    """Return the definition of an array."""
    return "\n".join([f"static const {kind} {name}[{len(parts)}] = {{", *lines(parts), "};", ""])


def table_of(name: str, array: np.ndarray, *, double: bool) -> str:
    """Return the definition of an array of numbers, of type int, float or double."""
    if array.dtype.kind in "iu":
        return table("int", name, list(map(str, array.ravel().tolist())))
    kind = "double" if double else "float"
    if not array.any():
        return f"static const {kind} {name}[{array.size}] = {{0}};\n"
    return table(kind, name, numbers(array, double=double))
