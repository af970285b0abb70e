"""Splits of the samples: for training, for the choice of a model and for the measurement of errors.

The train split also has several orders; the first n samples of an order are a subset of size n.
"""

import numpy as np
from jaxtyping import Int, Int8, Int32, Integer

from pac_surrogate.files.attributes import DatasetError

SPLITS = ("train", "valid", "test")
DRAWS = 20
ORDER = "subset_order"  # name of the variable that holds the orders


def make_split(samples: int, *, valid: int, test: int, seed: int) -> Int8[np.ndarray, " sample"]:
    """Choose `valid` and `test` samples at random; the others are for training.

    Raises:
        ValueError: if nothing is left to train on.
    """
    if min(valid, test) < 0 or valid + test >= samples:
        raise ValueError(f"{samples} samples must leave one to train on, got valid {valid} and test {test}: ask for fewer")
    split = np.zeros(samples, np.int8)
    order = np.random.default_rng((seed, 0)).permutation(samples)
    split[order[:valid]] = 1
    split[order[valid : valid + test]] = 2
    return split


def make_subset_order(split: Int8[np.ndarray, " sample"], draws: int = DRAWS, *, seed: int) -> Int[np.ndarray, "draw rank"]:
    """Return random permutations of the train split; a draw does not depend on the number of draws."""
    train = np.flatnonzero(split == 0)
    return np.stack([np.random.default_rng((seed, 1, draw)).permutation(train) for draw in range(draws)])


def ranks_of(order: Integer[np.ndarray, "draw rank"], samples: int) -> Int32[np.ndarray, "sample draw"]:
    """Return the rank of each sample in each order of the train split; it is -1 outside the train split."""
    ranks = np.full((samples, len(order)), -1, np.int32)
    np.put_along_axis(ranks, order.T, np.arange(order.shape[1], dtype=np.int32)[:, None], axis=0)
    return ranks


def order_by(ranks: Integer[np.ndarray, "sample draw"], split: Int8[np.ndarray, " sample"]) -> Int[np.ndarray, "draw rank"]:
    """Return the orders in which the samples of the train split have rising ranks."""
    train = np.flatnonzero(split == 0)
    return train[np.argsort(ranks[train], axis=0, kind="stable")].T


def check_splits(split: np.ndarray, order: np.ndarray, samples: int) -> None:
    """Refuse splits that do not cover the samples, and orders that are not permutations of the train split.

    Raises:
        DatasetError: if there are any; the message names the first fault.
    """
    if split.shape != (samples,) or split.dtype != np.int8 or not np.isin(split, range(len(SPLITS))).all():
        raise DatasetError(f"split must be int8 with 0, 1 or 2 for each of {samples} samples, got {split.dtype} {split.shape}")
    train = np.flatnonzero(split == 0)
    if order.ndim != 2 or order.dtype.kind not in "iu" or order.shape[1] != len(train):
        raise DatasetError(f"subset_order must order the {len(train)} samples of the train split, its shape is {order.shape}")
    is_train = split == 0
    for draw, row in enumerate(order):
        inside = (row >= 0) & (row < samples)
        strangers = row[~(inside & is_train[np.where(inside, row, 0)])]
        if len(strangers):
            raise DatasetError(f"subset_order must hold samples of the train split only, draw {draw} holds {strangers[0]}")
        if np.bincount(row.astype(np.int64), minlength=1).max() > 1:
            raise DatasetError(f"subset_order must hold each sample once in a draw, draw {draw} repeats one")
