"""The layout of arrays: one row for each sample, with the columns of its variables side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.arrays import as_numbers, as_precise, check_unlabelled
from pac_surrogate.data.categories import check_categories
from pac_surrogate.data.labelled import arrays_in, beside, is_labelled, labelled
from pac_surrogate.data.matching import match_all
from pac_surrogate.data.names import find_variable
from pac_surrogate.data.tables import as_table, is_table, read_variable, table_of
from pac_surrogate.files import Coordinate, Variable
from pac_surrogate.utilities.resolution import check_exact


def same_variables(some: Sequence[Variable], others: Sequence[Variable]) -> bool:
    """Whether two lists of variables describe the same columns: equal names and shapes in the same order."""
    return [(v.name, v.shape) for v in some] == [(v.name, v.shape) for v in others]


def places_of_columns(surrogate: Any) -> tuple[Int[np.ndarray, " input"], Int[np.ndarray, " output"]]:
    """Return the places of a surrogate's inputs in its arrays, and of the arrays' outputs among its own; see `layout`."""
    inputs, outputs = surrogate.layout
    return match_all("inputs", surrogate.inputs, inputs), match_all("outputs", outputs, surrogate.outputs)


def laid_out(
    values: Float[Tensor, "sample output"],
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    x: Any,
    coordinates: Mapping[str, Coordinate],
) -> Any:
    """Return outputs in the form of the inputs x: an array or a dictionary (NumPy or torch), a DataFrame, an xarray Dataset."""
    given = first_of(x)
    array: Any = values if isinstance(given, Tensor) else values.numpy()
    last = np.cumsum([variable.size for variable in outputs])
    arrays = {
        variable.name: array[:, end - variable.size : end].reshape(len(values), *variable.shape)
        for variable, end in zip(outputs, last, strict=True)
    }
    if is_table(x):
        return table_of(arrays, outputs, x.index)
    if is_labelled(x):
        return beside(x, inputs, labelled(arrays, (), outputs, coordinates))
    if isinstance(x, Mapping):
        return arrays
    return next(iter(arrays.values())) if len(arrays) == 1 else array


def first_of(x: Any) -> Any:
    """Return the first array of a dictionary, or anything else as it is."""
    return next(iter(x.values())) if isinstance(x, dict) and x else x


def per_sample(values: Tensor, inputs: Sequence[Variable], x: Any) -> Any:
    """Return a value for each sample in the form of the inputs x: an array or tensor, or a Series or DataArray with labels."""
    if isinstance(first_of(x), Tensor):
        return values
    if is_table(x):
        import pandas as pd

        return pd.Series(values.numpy(), x.index)
    if is_labelled(x):
        import xarray as xr

        return beside(x, inputs, xr.Dataset({"value": ("sample", values.numpy())}))["value"].rename(None)
    return values.numpy()


def columns_of_arrays(
    x: Any, inputs: Sequence[Variable], coordinates: Mapping[str, Coordinate]
) -> Float[Tensor, "sample input"]:
    """Return inputs as a matrix: of one array with all columns, or of variables in a dictionary, a table or an xarray Dataset.

    Points of an xarray Dataset are taken in the order of the coordinates.

    Raises:
        ValueError: if names, shapes, lengths or units do not fit, or numbers are not real.
    """
    if is_table(x):
        table = as_table(x)
        check_categories(table, inputs)
        x = {variable.name: read_variable(table, variable) for variable in inputs}
        for name, values in x.items():
            gaps = np.isnan(values).reshape(len(values), -1).any(1)
            if gaps.any():
                raise ValueError(
                    f"{name.partition('=')[0]} must be given in every row, it is missing in row {int(gaps.argmax())}"
                )
    elif is_labelled(x):
        x = arrays_in(x, inputs, coordinates)
    if not isinstance(x, Mapping):
        return _rows(x, "x", inputs)
    for name, values in (("x", x), *x.items()):
        check_unlabelled(str(name), values)
    found = {key: find_variable(str(key), inputs) for key in x}
    names = [variable.name for variable in inputs]
    if sorted(v.name if v else "" for v in found.values()) != sorted(names):
        raise ValueError(f"predict needs the inputs {', '.join(names)}, got {', '.join(map(str, x)) or 'none'}")
    given = {v.name: x[key] for key, v in found.items() if v}
    parts = [_rows(given[variable.name], variable.name, (variable,)) for variable in inputs]
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
        layout = ", ".join(f"{v.name} {v.shape}" if v.shape else v.name for v in variables)
        remedy = ": pass [x] for a single sample" if values.ndim == 1 and len(values) == width else ""
        raise ValueError(
            f"{name} must hold {width} numbers a sample ({layout}), got an array of shape {tuple(values.shape)}{remedy}"
        )
    values = values.reshape(len(values), width)
    return values if values.is_floating_point() else values.double()
