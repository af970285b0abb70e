"""The layout of arrays: one row for each sample, with the columns of its variables side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.arrays import as_numbers, as_precise, check_unlabelled
from pac_surrogate.files import Variable
from pac_surrogate.utilities.resolution import check_exact


def same_variables(some: Sequence[Variable], others: Sequence[Variable]) -> bool:
    """Whether two lists of variables describe the same columns: equal names and shapes in the same order."""
    return [(v.name, v.shape) for v in some] == [(v.name, v.shape) for v in others]


def laid_out(values: Float[Tensor, "sample output"], outputs: Sequence[Variable], x: Any) -> Any:
    """Return outputs in the form of the inputs x: an array or a dictionary, NumPy or torch."""
    named = isinstance(x, Mapping)
    given = next(iter(x.values())) if named and x else x
    array: Any = values if isinstance(given, Tensor) else values.numpy()
    last = np.cumsum([variable.size for variable in outputs])
    arrays = {
        variable.name: array[:, end - variable.size : end].reshape(len(values), *variable.shape)
        for variable, end in zip(outputs, last, strict=True)
    }
    if named:
        return arrays
    return next(iter(arrays.values())) if len(arrays) == 1 else array


def columns_of_arrays(x: Any, inputs: Sequence[Variable]) -> Float[Tensor, "sample input"]:
    """Return inputs as a matrix, from one array with all columns or from a dictionary with an array of each variable.

    Raises:
        ValueError: if names, shapes or lengths do not fit, or numbers are not real.
    """
    if not isinstance(x, Mapping):
        return _rows(x, "x", inputs)
    for name, values in (("x", x), *x.items()):
        check_unlabelled(str(name), values)
    names = [variable.name for variable in inputs]
    if set(x) != set(names):
        raise ValueError(f"predict needs the inputs {', '.join(names)}, got {', '.join(map(str, x)) or 'none'}")
    parts = [_rows(x[variable.name], variable.name, (variable,)) for variable in inputs]
    if len({len(part) for part in parts}) > 1:
        lengths = ", ".join(f"{name} {len(part)}" for name, part in zip(names, parts, strict=True))
        raise ValueError(f"the inputs must have the same number of samples, got {lengths}")
    return torch.cat(parts, dim=1)


def _rows(values: Any, name: str, variables: Sequence[Variable]) -> Float[Tensor, "sample column"]:
    """Return inputs as a matrix; they are given as flat rows, or in the shape of the variable if there is only one."""
    if not isinstance(values, Tensor):
        # Copied, because torch does not accept read-only memory, negative strides or a foreign byte order.
        values = torch.from_numpy(as_numbers(name, values, single=False))
    values = as_precise(values)
    if values.is_complex():
        raise ValueError(f"{name} must hold real numbers, got {values.dtype}")
    if not values.is_floating_point():
        check_exact(name, values.detach().cpu().numpy())
    width = sum(variable.size for variable in variables)
    layouts = {(width,), variables[0].shape} if len(variables) == 1 else {(width,)}
    if values.ndim == 0 or tuple(values.shape[1:]) not in layouts:
        layout = ", ".join(f"{variable.name} {variable.shape}" for variable in variables)
        raise ValueError(f"{name} must hold {width} numbers a sample ({layout}), got an array of shape {tuple(values.shape)}")
    values = values.reshape(len(values), width)
    return values if values.is_floating_point() else values.double()
