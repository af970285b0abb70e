"""Types of hyper-parameters, checked by `settings`: numbers in a range, and strings from a list of choices."""

from math import inf
from typing import Annotated, TypeAlias

from pac_surrogate.utilities.arguments import Range


def one_of(*choices: str) -> Range:
    """Return the range of strings that are one of these."""
    listed = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
    return Range(listed, lambda value: isinstance(value, str) and value in choices)


Positive: TypeAlias = Annotated[float, Range("positive and finite", lambda value: 0 < value < inf)]
NotNegative: TypeAlias = Annotated[float, Range("finite and not negative", lambda value: 0 <= value < inf)]
Sparsity: TypeAlias = Annotated[float, Range("in [0, 1)", lambda value: 0 <= value < 1)]
Fraction: TypeAlias = Annotated[float, Range("in [0, 1]", lambda value: 0 <= value <= 1)]
Scope: TypeAlias = Annotated[str, one_of("layer", "global")]  # within which a sparsity holds
Count: TypeAlias = Annotated[int, Range("at least 1", lambda value: value >= 1)]
