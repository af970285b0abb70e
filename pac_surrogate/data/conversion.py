"""Conversion of what a user passes as data (a `Dataset`, the path of a data file, or a pair of arrays) to a `Dataset`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pac_surrogate.data.dataset import Dataset, open_dataset
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.display import Shown

Given: TypeAlias = Dataset | Path | str | Sequence[Any]  # what `as_dataset` takes


def as_dataset(name: str, given: Any, outputs: Any = None) -> Dataset:
    """Return a dataset unchanged, the dataset of a file, or a dataset made of arrays (x, y).

    Args:
        name: name of the argument, for the message.
        given: a Dataset, the path of a data file, or a pair of arguments of `Dataset.from_arrays`.
        outputs: the outputs y, if `given` is the inputs x alone.

    Raises:
        ValueError: if it is none of these.
    """
    if outputs is not None:
        if any(
            isinstance(one, Dataset | Shown | str | Path | bool | int | float | type) or hasattr(one, "adapt")
            for one in (given, outputs)
        ):
            raise ValueError(
                f"the value after {name} must be the outputs y of an array x of inputs, got {got(given)} and {got(outputs)}: "
                "pass other arguments by name, as in source=..., method=..."
            )
        given = (given, outputs)
    if isinstance(given, Dataset):
        return given
    if isinstance(given, str | Path):
        return open_dataset(given)
    if isinstance(given, list | tuple) and len(given) == 2:
        return Dataset.from_arrays(*given)
    raise ValueError(
        f"{name} must be a Dataset, the path of a data file, or two arrays (x, y), got {got(given)}: "
        "Dataset.from_arrays(x, y) makes one"
    )
