"""Which column of some data is which column of a surrogate: by the names of the variables, or by position.

Variables of real names are matched by name, in whatever order they come. The default names of `Dataset.from_arrays` mean
position, also against real names, where the widths agree. One number a sample is one number a sample, as an array (sample,) and
as one (sample, 1). The unit "1" is that of arrays, and means unknown.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from pac_surrogate.files import Coordinate, Variable

DEFAULTS = {"inputs": "input", "outputs": "output"}
SAME_POINT = 1e-6  # of an axis: how far two grids may lie apart, relative to its length; float32 rounds by 1e-7


def match_columns(side: str, ours: Sequence[Variable], theirs: Sequence[Variable]) -> Int[np.ndarray, " column"]:
    """For each column of their variables, the column of ours that it is, or -1 where we have none.

    Args:
        side: "inputs" or "outputs".
        ours: the variables of the surrogate.
        theirs: those of the data.

    Raises:
        ValueError: if a variable is in another unit.
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
            _check_units(ours[0], theirs[0])
        return np.arange(columns)
    found = []
    for variable in theirs:
        known, first = places.get(variable.name, (None, 0))
        if known is None or not same_shape(known, variable):
            found.append(np.full(variable.size, -1))
            continue
        _check_units(known, variable)
        found.append(np.arange(first, first + variable.size))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def match_all(side: str, ours: Sequence[Variable], theirs: Sequence[Variable]) -> Int[np.ndarray, " column"]:
    """For each column of ours the column of theirs; every one of ours must be there, and nothing else of the same name.

    Raises:
        ValueError: naming both sides, if a variable is missing, or on another grid, or in another unit; of inputs also, if
            there is one that the surrogate does not have.
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
        line += ": interpolate one onto the grid of the other"
    elif side == "inputs" and names[0] < names[1]:
        extra = ", ".join(sorted(names[1] - names[0]))
        line += f": leave {extra} out, or give the source a constant column of that name and pretrain it with this"
    raise ValueError(line)


def same_shape(one: Variable, other: Variable) -> bool:
    """Whether two variables have the same shape; one number is one number, whether as () or (1,)."""
    return one.shape == other.shape or one.size == other.size == 1


def strange_grids(ours: Mapping[str, Coordinate], variables: Sequence[Variable], theirs: Mapping[str, Coordinate]) -> list[str]:
    """Say which axes of these variables have other coordinates in the data.

    Axes that are only numbered are not compared, nor those of another length: a variable of another shape is another one.
    """
    lines = []
    for axis in dict.fromkeys(axis for variable in variables for axis in variable.axes):
        one, other = ours.get(axis), theirs.get(axis)
        if one is None or other is None or is_numbered(one) or is_numbered(other) or _same_points(one, other):
            continue
        if len(one.values) != len(other.values):
            continue  # another shape is another variable
        lines.append(f"the axis {axis} is {_grid(one)} in the surrogate and {_grid(other)} in the data")
    return lines


def is_numbered(coordinate: Coordinate) -> bool:
    """Whether an axis has no coordinates but the numbers 0, 1, 2, ... of its points."""
    values = np.asarray(coordinate.values)
    return values.dtype.kind in "iu" and np.array_equal(values, np.arange(len(values)))


def grid_of(variable: Variable, coordinates: Mapping[str, Coordinate]) -> str:
    """A variable's grid in words, as "16 points of x from 0 to 1 m"."""
    parts = []
    for axis, size in zip(variable.axes, variable.shape, strict=True):
        known = coordinates.get(axis)
        parts.append(f"{size} points of {axis}" + ("" if known is None or is_numbered(known) else f" ({_grid(known)})"))
    return " x ".join(parts) or "one number"


def _same_layout(ours: Sequence[Variable], theirs: Sequence[Variable]) -> bool:
    """Whether columns of equal number mean the same by position: one side has no shape to speak of, or both have the same."""
    shapes = [variables[0].shape if len(variables) == 1 else () for variables in (ours, theirs)]
    return shapes[0] == shapes[1] or any(len(shape) < 2 for shape in shapes)


def _check_units(ours: Variable, theirs: Variable) -> None:
    if "1" not in (ours.units, theirs.units) and ours.units != theirs.units:
        raise ValueError(f"{ours.name} is in {ours.units} in the surrogate and in {theirs.units} in the data: convert one")


def _same_points(one: Coordinate, other: Coordinate) -> bool:
    a, b = np.asarray(one.values), np.asarray(other.values)
    if a.dtype.kind == "U" or b.dtype.kind == "U":
        return np.array_equal(a, b)
    if "1" not in (one.units, other.units) and one.units != other.units:
        return False
    return a.shape == b.shape and bool((np.abs(a - b) <= SAME_POINT * max(np.ptp(a), np.ptp(b))).all())


def _grid(coordinate: Coordinate) -> str:
    values = np.asarray(coordinate.values)
    if values.dtype.kind == "U":
        return ", ".join(values[:4]) + (", ..." if len(values) > 4 else "")
    units = "" if coordinate.units == "1" else f" {coordinate.units}"
    return f"{values[0]:.6g} to {values[-1]:.6g}{units}"
