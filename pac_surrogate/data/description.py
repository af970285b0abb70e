"""Descriptions of datasets of arrays, with the contents of a data file's description: variables, splits and origin."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pac_surrogate.data.arrays import as_numbers
from pac_surrogate.data.missing_values import Missing, check_missing, complete_samples, numbers_or_nan
from pac_surrogate.files.layout import Description
from pac_surrogate.files.missing import REPAIR
from pac_surrogate.files.splits import make_split, order_by
from pac_surrogate.files.variables import (
    Bounds,
    Coordinate,
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
    coordinates: Mapping[str, Any] | None,
    bounds: Mapping[str, Bounds] | Bounds | None,
    missing: Missing | None,
) -> tuple[dict[str, np.ndarray], Description]:
    """Return copies of the arrays by the names of their variables, and their description; see `Dataset.from_arrays`.

    Args:
        x: inputs.
        y: outputs.
        valid: fraction of the validation samples.
        test: fraction of the test samples.
        seed: seed of the splits and orders.
        axes: names of the axes of each variable.
        units: units of variables and axes.
        scaling: scaling of each variable.
        attributes: global attributes.
        coordinates: coordinates of the axes.
        bounds: bounds of the outputs.
        missing: what is done where numbers are missing.

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
    axes, scaling = as_options("axes", axes, arrays, ("x",)), as_options("scaling", scaling, arrays, "log")
    named = {
        name: as_axes(name, axes.get(name, default_axes(name, values.ndim - 1)), values.ndim - 1)
        for name, values in arrays.items()
    }
    points = list(dict.fromkeys(axis for own in named.values() for axis in own))
    units = as_options("units", units, [*points, *arrays], "K")
    coordinates = as_options("coordinates", coordinates, points or ["x"], (0.0, 0.5, 1.0))
    if not isinstance(attributes or {}, Mapping):
        raise ValueError(f"attributes must be a dictionary, such as {{'headline': 'rel_l2'}}, got {got(attributes)}")
    variables = {
        name: Variable(
            name,
            named[name],
            values.shape[1:],
            units.get(name, "1"),
            scaling=scaling.get(name, "standard"),
            dtype=values.dtype.name,
        )
        for name, values in arrays.items()
    }
    inputs, outputs = ([variables[name] for name in side] for side in sides)
    found = [_coordinate(axis, given, units.get(axis, "1")) for axis, given in coordinates.items()]
    options: dict[str, Any] = {"valid": valid, "test": test, "seed": seed, "attributes": attributes, "missing": missing}
    return describe_variables(arrays, inputs, bounded(outputs, bounds), found, **options)


def bounded(outputs: Sequence[Variable], bounds: Mapping[str, Bounds] | Bounds | None) -> list[Variable]:
    """Return output variables with bounds: those of a dictionary by name, or the same for all.

    Raises:
        ValueError: if they are not bounds, or name no output.
    """
    if bounds is not None and not isinstance(bounds, Mapping):
        bounds = dict.fromkeys((variable.name for variable in outputs), bounds)
    given = as_options("bounds", bounds, [variable.name for variable in outputs], (0, 1))
    return [replace(v, bounds=as_bounds(v.name, given[v.name])) if v.name in given else v for v in outputs]


def describe_variables(
    arrays: Mapping[str, np.ndarray],
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    coordinates: Sequence[Coordinate],
    *,
    missing: Missing | None,
    valid: float,
    test: float,
    seed: int,
    attributes: Mapping[str, Any] | None,
    labels: Coordinate | None = None,
    split: np.ndarray | None = None,
    ranks: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], Description]:
    """Return arrays whose variables are known, after a check of their numbers, and their description.

    Args:
        arrays: the numbers by the name of the variable.
        inputs: the input variables.
        outputs: the output variables.
        coordinates: coordinates of the axes.
        missing: what is done where numbers are missing; see `Dataset.from_arrays`.
        valid: fraction of the validation samples.
        test: fraction of the test samples.
        seed: seed of the splits and orders.
        attributes: global attributes.
        labels: labels of the samples.
        split: the split of each sample, if it is not drawn.
        ranks: the rank of each sample in each order of the train split (sample, draw), if the orders are not drawn.

    Raises:
        ValueError: if a number is missing or not finite, the fractions leave nothing to train on, or coordinates do not fit.
    """
    check_missing(missing)
    if missing == "drop":
        kept = complete_samples(arrays)
        arrays = {name: values[kept] for name, values in arrays.items()}
        labels = labels and replace(labels, values=labels.values[kept])
        split, ranks = (None if one is None else one[kept] for one in (split, ranks))
    samples = len(next(iter(arrays.values())))
    for variable in (*inputs, *outputs):
        of_outputs = variable in outputs
        remedy = f"{REPAIR}, or pass missing='drop'{' or missing=' + repr('mask') if of_outputs else ''}"
        gaps = missing == "mask" and of_outputs
        check_finite(variable, arrays[variable.name], np.arange(samples), gaps=gaps, remedy=remedy)
    options: dict[str, Any] = {"valid": valid, "test": test, "seed": seed, "attributes": attributes}
    found = complete_description(inputs, outputs, samples, coordinates, **options)
    split = found.split if split is None else split
    order = None if ranks is None else order_by(ranks, split)
    return dict(arrays), replace(found, labels=labels, split=split, subset_order=order)


def complete_description(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    samples: int,
    coordinates: Sequence[Coordinate],
    *,
    valid: float,
    test: float,
    seed: int,
    attributes: Mapping[str, Any] | None,
) -> Description:
    """Return a description with splits that are drawn, and with all attributes that a data file needs.

    Raises:
        ValueError: if the fractions leave nothing to train on, or the coordinates do not fit.
    """
    (seed,) = whole_numbers(seed=seed)
    split = make_split(samples, valid=_fraction("valid", valid, samples), test=_fraction("test", test, samples), seed=seed)
    headline = "rel_l2" if any({"x", "y"} & set(variable.axes) for variable in outputs) else "rmse_std"
    described = {**UNKNOWN, "headline": headline, "seed": seed, **(attributes or {})}
    complete = complete_coordinates([*inputs, *outputs], coordinates)
    return Description(tuple(inputs), tuple(outputs), complete, described, split, None)


def _coordinate(axis: str, given: Any, units: str) -> Coordinate:
    if isinstance(given, Coordinate):
        return given
    values = np.asarray(given)
    return Coordinate(axis, values if values.dtype.kind == "U" else as_numbers(axis, given), units)


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
