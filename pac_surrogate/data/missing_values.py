"""Missing numbers in users' arrays: they are refused, their samples are left out, or outputs keep them as NaN."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from pac_surrogate.data.arrays import as_numbers, check_unlabelled
from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.files.missing import split_mask
from pac_surrogate.utilities.arguments import got

Missing = Literal["drop", "mask"]


def check_missing(missing: Any) -> None:
    """Refuse an unknown way to treat missing numbers.

    Raises:
        ValueError: if it is unknown.
    """
    if missing not in (None, "drop", "mask"):
        raise ValueError(f"missing must be None, 'drop' or 'mask', got {got(missing)}")


def numbers_or_nan(name: str, values: Any) -> np.ndarray:
    """Convert an array as `as_numbers` does, with NaN where it is masked or NaN, always of the same bits."""
    check_unlabelled(name, values)
    data, mask = split_mask(values)
    array = as_numbers(name, data)
    gaps = np.isnan(array) if mask is None else np.isnan(array) | mask
    array[gaps] = np.nan
    return array


def complete_samples(arrays: Mapping[str, np.ndarray]) -> Bool[np.ndarray, " sample"]:
    """Return which samples lack no number, with a warning that says how many do and whose numbers are missing.

    Raises:
        ValueError: if no sample is left.
    """
    gaps = {name: np.isnan(values).reshape(len(values), -1).any(1) for name, values in arrays.items()}
    lacking = np.any(list(gaps.values()), axis=0)
    counts = ", ".join(f"{name} in {int(own.sum())}" for name, own in gaps.items() if own.any())
    if lacking.all():
        raise ValueError(f"at least 1 sample without a missing number is required, got none of {len(lacking)} ({counts})")
    if lacking.any():
        line = f"{int(lacking.sum())} of {len(lacking)} samples are left out, because numbers are missing: {counts}"
        warnings.warn(line, DataWarning, stacklevel=5)
    return ~lacking


def groups_of_outputs(
    present: Bool[np.ndarray, "sample output"],
) -> list[tuple[Int[np.ndarray, " _column"], Int[np.ndarray, " _row"]]]:
    """Divide outputs into groups that have the same samples: the columns and the samples of each, ordered by the columns."""
    patterns: dict[bytes, list[int]] = {}
    for column in range(present.shape[1]):
        patterns.setdefault(present[:, column].tobytes(), []).append(column)
    return [(np.array(own), np.flatnonzero(present[:, own[0]])) for own in patterns.values()]


def names_of(names: Sequence[str], sizes: Sequence[int], columns: Int[np.ndarray, " _column"]) -> str:
    """Name columns of a data matrix by their variables, as `pressure, velocity[0, 2]`, with at most 3 places of a variable."""
    found, first = [], 0
    for name, size in zip(names, sizes, strict=True):
        own = columns[(columns >= first) & (columns < first + size)] - first
        first += size
        places = ", ".join(map(str, own[:3].tolist())) + (", ..." if len(own) > 3 else "")
        found += [name if len(own) == size else f"{name}[{places}]"] if len(own) else []
    return ", ".join(found)
