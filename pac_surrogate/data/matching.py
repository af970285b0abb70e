"""Matching of the columns of data to the columns of a surrogate, by the names of the variables or by position.

Variables with names of their own are matched by name, in any order. Variables with the default names of `Dataset.from_arrays`
are matched by position, also to variables with names of their own, if the numbers of columns agree and the shapes do not
contradict it. One number per sample may be an array (sample,) or (sample, 1). The unit "1" is the default for arrays, and means
that the unit is unknown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from pac_surrogate.files import Coordinate, Variable

DEFAULTS = {"inputs": "input", "outputs": "output"}
DATES = "seconds since 1970-01-01"  # unit of dates, one for all, so that equal dates are equal numbers
SECONDS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
REFERENCE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.0+)?)?")
REGRID = "as data.regrid(surrogate) and transfer(..., regrid=True) do"  # the end of a remedy
SAME_POINT = 1e-6  # largest distance of equal grids, relative to the length of the axis; float32 rounds by 1e-7


def match_columns(side: str, ours: Sequence[Variable], theirs: Sequence[Variable]) -> Int[np.ndarray, " column"]:
    """Return for each column of the data the matching column of the surrogate, or -1 if there is none.

    Args:
        side: "inputs" or "outputs".
        ours: the variables of the surrogate.
        theirs: the variables of the data.

    Raises:
        ValueError: if the units of a variable, or the orders of its axes, differ.
    """
    places, width = {}, 0
    for variable in ours:
        places[variable.name] = (variable, width)
        width += variable.size
    columns = sum(variable.size for variable in theirs)
    if any(len(variables) == 1 and variables[0].name == DEFAULTS[side] for variables in (ours, theirs)):
        if columns != width or not _same_layout(ours, theirs):
            return np.full(columns, -1)
        if len(ours) == len(theirs) == 1:
            _check_axes(ours[0], theirs[0])
            _check_units(ours[0], theirs[0])
        return np.arange(columns)
    found = []
    for variable in theirs:
        known, first = places.get(variable.name, (None, 0))
        if known is not None:
            _check_axes(known, variable)
        if known is None or not same_shape(known, variable):
            found.append(np.full(variable.size, -1))
            continue
        _check_units(known, variable)
        found.append(np.arange(first, first + variable.size))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def match_all(side: str, ours: Sequence[Variable], theirs: Sequence[Variable]) -> Int[np.ndarray, " column"]:
    """Return for each column of the surrogate its column in the data, which must hold all of them, and no other inputs.

    Raises:
        ValueError: if a variable of the surrogate is missing, or has another grid or unit in the data, or if the data have an
            input that the surrogate does not have; the message names both sides.
    """
    columns = match_columns(side, ours, theirs)
    back = np.full(sum(variable.size for variable in ours), -1)
    back[columns[columns >= 0]] = np.flatnonzero(columns >= 0)
    if (back >= 0).all() and (side == "outputs" or (columns >= 0).all()):
        return back
    expected, got = (", ".join(f"{v.name} {v.shape}" for v in variables) for variables in (ours, theirs))
    line = f"the surrogate has the {side} {expected}, the data have {got}"
    names = [{v.name for v in variables} for variables in (ours, theirs)]
    if names[0] == names[1]:
        line += f": interpolate one onto the grid of the other, {REGRID}"
    elif side == "inputs" and names[0] < names[1]:
        extra = ", ".join(sorted(names[1] - names[0]))
        line += f": leave {extra} out, or give the source a constant column of that name and pretrain with it"
    elif side == "inputs" and (lacking := sorted(name for name in names[0] - names[1] if "=" in name)):
        line += f": if no sample is of the category {', '.join(lacking)}, pass the table itself, opened like the surrogate"
    raise ValueError(line)


def same_shape(one: Variable, other: Variable) -> bool:
    """Return whether two variables have the same shape; all shapes of one number, such as () and (1,), count as the same."""
    return one.shape == other.shape or one.size == other.size == 1


def strange_grids(ours: Mapping[str, Coordinate], variables: Sequence[Variable], theirs: Mapping[str, Coordinate]) -> list[str]:
    """Describe the axes of these variables whose coordinates differ between the surrogate and the data.

    Axes whose points are only numbered are not compared. Neither are axes of different lengths, because a variable of another
    shape is a different variable.
    """
    lines = []
    for axis in dict.fromkeys(axis for variable in variables for axis in variable.axes):
        one, other = ours.get(axis), theirs.get(axis)
        if one is None or other is None or is_numbered(one) or is_numbered(other) or same_points(one, other):
            continue
        if len(one.values) != len(other.values):
            continue
        lines.append(f"the axis {axis} is {_grid(one)} in the surrogate and {_grid(other)} in the data")
    return lines


def is_numbered(coordinate: Coordinate) -> bool:
    """Return whether the coordinates of an axis are only the numbers 0, 1, 2, ... of its points."""
    values = np.asarray(coordinate.values)
    return values.dtype.kind in "iu" and coordinate.units == "1" and np.array_equal(values, np.arange(len(values)))


def grid_of(variable: Variable, coordinates: Mapping[str, Coordinate]) -> str:
    """Describe a variable's grid, as in "16 points of x (0 to 1 m)"."""
    parts = []
    for axis, size in zip(variable.axes, variable.shape, strict=True):
        known = coordinates.get(axis)
        parts.append(f"{size} points of {axis}" + ("" if known is None or is_numbered(known) else f" ({_grid(known)})"))
    return " x ".join(parts) or "one number"


def _same_layout(ours: Sequence[Variable], theirs: Sequence[Variable]) -> bool:
    """Return whether equal numbers of columns match by position: the shapes agree, or one side has fewer than two axes."""
    shapes = [variables[0].shape if len(variables) == 1 else () for variables in (ours, theirs)]
    return shapes[0] == shapes[1] or any(len(shape) < 2 for shape in shapes)


def _check_units(ours: Variable, theirs: Variable) -> None:
    if "1" not in (ours.units, theirs.units) and ours.units != theirs.units:
        raise ValueError(f"{ours.name} is in {ours.units} in the surrogate and in {theirs.units} in the data: convert one")


def _check_axes(ours: Variable, theirs: Variable) -> None:
    if ours.axes != theirs.axes and set(ours.axes) == set(theirs.axes):
        axes = [f"({', '.join(variable.axes)})" for variable in (ours, theirs)]
        raise ValueError(
            f"{ours.name} has the axes {axes[0]} in the surrogate and {axes[1]} in the data: transpose one; from_xarray and "
            "open_dataset do that with like=surrogate"
        )


def same_points(one: Coordinate, other: Coordinate) -> bool:
    """Return whether two axes have the same points, up to rounding."""
    a, b = np.asarray(one.values), np.asarray(other.values)
    if a.dtype.kind == "U" or b.dtype.kind == "U":
        return np.array_equal(a, b)
    if "1" not in (one.units, other.units) and one.units != other.units:
        return False
    return a.shape == b.shape and bool((np.abs(a - b) <= SAME_POINT * max(np.ptp(a), np.ptp(b))).all())


def order_of(theirs: Coordinate, ours: Coordinate) -> Int[np.ndarray, " point"] | None:
    """Return the places of our points in their order if both axes have the same points in another order, else None."""
    orders = [np.argsort(np.asarray(one.values), kind="stable") for one in (theirs, ours)]
    ordered = [replace(one, values=one.values[order]) for one, order in zip((theirs, ours), orders, strict=True)]
    texts = [one.values.dtype.kind == "U" for one in ordered]
    repeats = len(np.unique(ordered[1].values)) < len(ordered[1].values)
    if repeats or texts[0] != texts[1] or not same_points(ordered[0], ordered[1]):
        return None
    return orders[0][np.argsort(orders[1])]


def in_seconds(coordinate: Coordinate) -> Coordinate:
    """Return dates that are numbers of days, hours, minutes or seconds since a date as seconds since 1970-01-01."""
    unit, _, date = coordinate.units.partition(" since ")
    found = REFERENCE.fullmatch(date)
    if found is None or unit not in SECONDS or coordinate.units == DATES or coordinate.values.dtype.kind == "U":
        return coordinate
    first = np.datetime64(f"{found[1]}T{found[2] or '00:00:00'}", "s").astype(np.int64)
    return replace(coordinate, values=np.asarray(coordinate.values) * float(SECONDS[unit]) + first, units=DATES)


def span(values: np.ndarray, units: str) -> str:
    """Describe the first and the last of some coordinates as text, such as "0 to 1 m", or "2020-02-01 to 2020-02-03"."""
    if units == DATES:
        ends = [str(np.datetime64(round(float(end)), "s")).removesuffix("T00:00:00") for end in (values[0], values[-1])]
        return f"{ends[0]} to {ends[1]}"
    return f"{values[0]:.6g} to {values[-1]:.6g}" + ("" if units == "1" else f" {units}")


def _grid(coordinate: Coordinate) -> str:
    values = np.asarray(coordinate.values)
    if values.dtype.kind == "U":
        return ", ".join(values[:4]) + (", ..." if len(values) > 4 else "")
    return span(values, coordinate.units)
