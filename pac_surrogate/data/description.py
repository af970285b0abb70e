"""Descriptions of datasets of arrays, with the contents of a data file's description: variables, splits and origin."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pac_surrogate.data.arrays import as_numbers
from pac_surrogate.data.missing_values import Missing, check_missing, numbers_or_nan, without_gaps
from pac_surrogate.files.layout import Description
from pac_surrogate.files.missing import REPAIR
from pac_surrogate.files.splits import make_split, make_subset_order
from pac_surrogate.files.variables import (
    UNBOUNDED,
    Bounds,
    Scaling,
    Variable,
    as_axes,
    as_bounds,
    check_finite,
    complete_coordinates,
    default_axes,
)
from pac_surrogate.utilities.arguments import as_options, check_numbers, got, whole_numbers

UNKNOWN = {
    **dict.fromkeys(("title", "pair"), "arrays"),
    **dict.fromkeys(("simulator", "equation"), "unknown"),
    **dict.fromkeys(("solver_order_measured", "conservation_residual", "cost_seconds_per_sample"), float("nan")),
    **{"side": "unspecified", "parameters": "{}", "history": "from arrays"},
}


def describe_arrays(
    x: Any,
    y: Any,
    *,
    valid: float,
    test: float,
    seed: int,
    axes: Mapping[str, tuple[str, ...]] | None,
    units: Mapping[str, str] | None,
    scaling: Mapping[str, Scaling] | None,
    attributes: Mapping[str, Any] | None,
    bounds: Mapping[str, Bounds] | Bounds | None = None,
    missing: Missing | None = None,
) -> tuple[dict[str, np.ndarray], Description]:
    """Return copies of the arrays by the names of their variables, and their description; see `Dataset.from_arrays`.

    Raises:
        ValueError: under the conditions that `Dataset.from_arrays` lists.
    """
    given = (x if isinstance(x, Mapping) else {"input": x}, y if isinstance(y, Mapping) else {"output": y})
    check_missing(missing)
    sides = [{name: _numbers(name, values, missing) for name, values in side.items()} for side in given]
    arrays = sides[0] | sides[1]
    if not all(sides) or len(arrays) < len(sides[0]) + len(sides[1]):
        raise ValueError(f"inputs and outputs of different names are required, got {[*sides[0]]} and {[*sides[1]]}")
    samples = len(next(iter(arrays.values())))
    for name, values in arrays.items():
        if len(values) != samples or samples == 0:
            raise ValueError(f"variables must have the same number of samples, at least 1; {name} has {len(values)}")
    if missing == "drop":
        arrays = without_gaps(arrays)
        samples = len(next(iter(arrays.values())))
    axes, units, scaling = (
        as_options(label, option, arrays, example)
        for label, option, example in (("axes", axes, ("x",)), ("units", units, "K"), ("scaling", scaling, "log"))
    )
    if bounds is not None and not isinstance(bounds, Mapping):
        bounds = dict.fromkeys(sides[1], bounds)
    bounds = as_options("bounds", bounds, sides[1], (0, 1))
    if not isinstance(attributes or {}, Mapping):
        raise ValueError(f"attributes must be a dictionary, such as {{'headline': 'rel_l2'}}, got {got(attributes)}")
    variables = {
        name: Variable(
            name,
            as_axes(name, axes.get(name, default_axes(name, values.ndim - 1)), values.ndim - 1),
            values.shape[1:],
            units.get(name, "1"),
            scaling=scaling.get(name, "standard"),
            dtype=values.dtype.name,
            bounds=as_bounds(name, bounds.get(name, UNBOUNDED)),
        )
        for name, values in arrays.items()
    }
    for name, values in arrays.items():
        remedies = ["missing='drop'", *(["missing='mask'"] if name in sides[1] else [])]
        remedy = f"{REPAIR}, or pass {' or '.join(remedies)}"
        gaps = missing == "mask" and name in sides[1]
        check_finite(variables[name], values, np.arange(samples), gaps=gaps, remedy=remedy)
    inputs, outputs = (tuple(variables[name] for name in side) for side in sides)
    (seed,) = whole_numbers(seed=seed)
    split = make_split(samples, valid=_fraction("valid", valid, samples), test=_fraction("test", test, samples), seed=seed)
    headline = "rel_l2" if any({"x", "y"} & set(variable.axes) for variable in outputs) else "rmse_std"
    described = {**UNKNOWN, "headline": headline, "seed": seed, **(attributes or {})}
    coordinates = complete_coordinates([*inputs, *outputs])
    order = make_subset_order(split, seed=seed)
    return arrays, Description(inputs, outputs, coordinates, described, split, order)


def _numbers(name: str, values: Any, missing: Missing | None) -> np.ndarray:
    array = as_numbers(name, values) if missing is None else numbers_or_nan(name, values)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array (sample, ...) of real numbers, got one number")
    return array


def _fraction(name: str, fraction: float, samples: int) -> int:
    check_numbers(**{name: fraction})
    if not 0 <= fraction < 1:
        raise ValueError(f"valid and test are fractions of the samples, at least 0 and below 1, got {fraction}")
    return max(1, round(fraction * samples)) if fraction else 0
