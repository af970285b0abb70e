"""Conversion of what a user passes as data (a `Dataset`, the path of a data file, or a pair of arrays) to a `Dataset`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.labelled import is_labelled
from pac_surrogate.data.missing_values import names_of
from pac_surrogate.data.opening import open_dataset
from pac_surrogate.data.tables import is_table
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.display import Shown

Given: TypeAlias = Dataset | Path | str | Sequence[Any]  # what `as_dataset` takes


def as_dataset(name: str, given: Any, outputs: Any = None, *, like: Any = None, gaps: bool = False) -> Dataset:
    """Return a dataset unchanged, the dataset of a file, a table or an xarray Dataset, or one made of arrays (x, y).

    Args:
        name: name of the argument, for the message.
        given: a Dataset, the path of a data file, or a pair of arguments of `Dataset.from_arrays`.
        outputs: the outputs y, if `given` is the inputs x alone.
        like: a surrogate whose variables a table, an xarray Dataset or a file that is not our own has.
        gaps: whether outputs may be missing.

    Raises:
        ValueError: if it is none of these, or outputs are missing.
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
        if not gaps:
            check_complete(name, given)
        return given
    if isinstance(given, str | Path):
        return open_dataset(given, like=like)
    if is_table(given):
        return Dataset.from_pandas(given, like=like)
    if is_labelled(given):
        return Dataset.from_xarray(given, like=like)
    if isinstance(given, list | tuple) and len(given) == 2:
        return Dataset.from_arrays(*given)
    raise ValueError(
        f"{name} must be a Dataset, the path of a data file, or two arrays (x, y), got {got(given)}: "
        "Dataset.from_arrays(x, y) makes one, and so do from_pandas and from_xarray"
    )


def check_complete(name: str, data: Dataset) -> None:
    """Refuse a dataset of which outputs are missing.

    Raises:
        ValueError: if there are any; the message names the outputs.
    """
    if data.has_missing:
        lacking = ", ".join(variable.name for variable in data.outputs if np.isnan(data[variable.name]).any())
        raise ValueError(
            f"{name} must have all outputs of every sample, some of {lacking} are missing: only the target of transfer may "
            "lack outputs; leave these samples out with missing='drop'"
        )


def check_some_present(name: str, data: Dataset) -> None:
    """Refuse a dataset with an output that all samples of its train split lack.

    Raises:
        ValueError: if there is one; the message names it.
    """
    if data.has_missing:
        seen = data.seen.output_matrix
        none = np.flatnonzero(np.isnan(seen).all(0))
        if len(none):
            lacking = names_of([v.name for v in data.outputs], [v.size for v in data.outputs], none)
            raise ValueError(
                f"{name} must have every output in at least 1 training sample, {lacking} is missing in all {len(seen)}: leave "
                "this output out"
            )
