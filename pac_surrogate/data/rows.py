"""Selection of rows of a dataset by numbers, a slice or a mask, and an order of rows that depends only on their content."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Integer

from pac_surrogate.files.missing import without_mask

Rows: TypeAlias = int | np.integer | slice | Sequence[int] | np.ndarray


def positions(key: Rows, length: int) -> np.ndarray:
    """Return the numbers of the rows, out of `length` rows, that a key selects.

    Raises:
        ValueError: if the key is neither numbers, nor a slice, nor a mask of this length, or a number is masked.
        IndexError: if a row does not exist.
    """
    if isinstance(key, slice):
        return np.arange(length)[key]
    index = np.asarray(without_mask("rows", key, remedy="fill the mask first"))
    if index.dtype.kind == "b" and index.shape == (length,):
        return np.flatnonzero(index)
    if index.ndim > 1 or (index.dtype.kind not in "iu" and index.size):
        got = f"{index.dtype} of shape {index.shape}"
        raise ValueError(f"rows are chosen by numbers, a slice, or a mask of length {length}, got {got}")
    index = np.atleast_1d(index).astype(np.int64)
    if ((index < -length) | (index >= length)).any():
        raise IndexError(f"rows must be below {length}, the number of samples, got {index.min()} to {index.max()}")
    return index % max(1, length)


def content_order(*matrices: Float[np.ndarray, "sample _column"]) -> Integer[np.ndarray, " sample"]:
    """Return an order of rows that depends only on their content: sorted column by column, then shuffled with a fixed seed."""
    samples = len(matrices[0])
    order, rank = np.arange(samples), np.zeros(samples, dtype=np.int64)
    for column in (column for matrix in matrices for column in matrix.T):
        if len(order) == 0 or rank[order[-1]] == samples - 1:  # every row has its own rank: the order is complete
            break
        order = np.lexsort((column, rank))
        rises = (np.diff(rank[order]) > 0) | (np.diff(column[order]) > 0) | np.diff(np.isnan(column[order]))  # NaN stands last
        rank[order] = np.concatenate([[0], np.cumsum(rises)])
    return order[np.random.default_rng(0).permutation(samples)]
