"""Conversion of users' arrays to real numbers; labels, masks and numbers that would lose digits are refused."""

from typing import Any

import numpy as np

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.missing import without_mask
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.resolution import LARGEST_INTEGER, check_exact


def as_numbers(name: str, values: Any, *, single: bool = True) -> np.ndarray:
    """Copy an array of real numbers: float32 stays float32 if `single`, every other type becomes float64.

    Args:
        name: name of the argument, for the messages.
        values: NumPy array, torch tensor, list or number.
        single: whether float32 is kept.

    Raises:
        ValueError: if the values carry labels that an array would lose, are masked, are not real numbers, or are integers or
            long doubles that float64 does not hold exactly.
    """
    check_unlabelled(name, values)
    if hasattr(values, "detach"):
        values = as_precise(values.detach()).cpu()
        values = values.float().numpy() if str(values.dtype) == "torch.bfloat16" else values.numpy()
    try:
        array = np.asarray(without_mask(name, values))
    except ValueError as error:
        if isinstance(values, list | tuple) and not isinstance(error, DatasetError):  # NumPy's message names no argument
            raise ValueError(
                f"{name} must be one array (sample, ...), got {got(values)}, whose entries do not form one: pass a single array"
            ) from error
        raise
    if array.dtype.kind in "mM":
        raise ValueError(
            f"{name} must hold real numbers, got times ({array.dtype}): subtract a reference and divide by a unit, as in "
            "(t - t.min()) / np.timedelta64(1, 's')"
        )
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype if array.ndim else got(values)}")
    check_exact(name, array)
    if array.dtype.kind == "f" and isinstance(values, list | tuple) and bool((np.abs(array) >= LARGEST_INTEGER).any()):
        # NumPy has converted the integers of a mixed list to floating point, so the original entries are checked.
        entries = [entry for entry in np.array(values, dtype=object).flat if isinstance(entry, int | np.integer)]
        check_exact(name, np.array(list(map(int, entries)), dtype=object))
    kept = single and array.dtype.kind == "f" and array.dtype.itemsize == 4
    return np.array(array, dtype=np.float32 if kept else np.float64, order="C")


def check_unlabelled(name: str, values: Any) -> None:
    """Refuse tables and labelled arrays, whose columns or axes would be taken by position.

    Raises:
        ValueError: if the values are labelled; the message names the remedy.
    """
    kind, package = type(values).__name__, type(values).__module__.partition(".")[0]
    if package == "xarray":
        raise ValueError(
            f"{name} is an xarray {kind}, whose dimensions have names that would be lost: use Dataset.from_xarray, or "
            "pass {name: array.values} with the sample axis first"
        )
    if hasattr(values, "columns") and hasattr(values, "shape") and len(values.shape) == 2:
        raise ValueError(
            f"{name} is a {package} {kind}, whose columns would be taken by position: use Dataset.from_pandas, or "
            "pass the columns by name, {name: table[name].to_numpy() for name in table.columns}"
        )


def as_precise(tensor: Any) -> Any:
    """Return the tensor, converted to float32 if its type is a float of one byte, in which torch does not compute."""
    return tensor.float() if tensor.is_floating_point() and tensor.dtype.itemsize == 1 else tensor
