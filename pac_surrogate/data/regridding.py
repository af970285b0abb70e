"""Linear interpolation of fields onto another grid, with an estimate of its error.

Along one axis, with spacing h, the error of linear interpolation at a fraction t of the way between two points is

    t (1 - t) / 2  h^2 u'' + O(h^3)

It is largest in the middle of the two points. If every other point is left out and the field is interpolated there, the spacing
is twice as large and the error four times: a quarter of it estimates the error in the middle, and 4 t (1 - t) of that the error
at t. Along several axes the fields are interpolated one axis after the other, and the errors of the axes are added.
Source: de Boor, A Practical Guide to Splines (Springer 2001), chapter III.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import make_interp_spline

from pac_surrogate.data.matching import SAME_POINT, is_numbered, order_of, same_points, span
from pac_surrogate.files import Coordinate, Variable
from pac_surrogate.utilities.arguments import got

FEWEST = 5  # points along an axis by which the error can be estimated


@runtime_checkable
class Gridded(Protocol):
    """What has variables on a grid: a `Dataset` or a `Surrogate`."""

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """The input variables."""
        ...

    @property
    def outputs(self) -> tuple[Variable, ...]:
        """The output variables."""
        ...

    @property
    def coordinates(self) -> Mapping[str, Coordinate]:
        """Coordinates of the points of each axis."""
        ...


def orders_of(ours: Mapping[str, Coordinate], theirs: Mapping[str, Coordinate]) -> dict[str, Int[np.ndarray, " point"]]:
    """Return, for each axis whose points are known on both sides in another order, the places of their points in ours."""
    found = {}
    for axis, one in ours.items():
        other = theirs.get(axis)
        if other is None or is_numbered(one) or is_numbered(other) or same_points(one, other):
            continue
        order = order_of(one, other)
        if order is not None:
            found[axis] = order
    return found


def in_points(
    variable: Variable, values: Float[np.ndarray, "sample ..."], orders: Mapping[str, Int[np.ndarray, " point"]]
) -> Float[np.ndarray, "sample ..."]:
    """Return the numbers of a variable with the points of some of its axes in another order."""
    for place, axis in enumerate(variable.axes, start=1):
        if axis in orders:
            values = np.take(values, orders[axis], place)
    return values


def axes_to_regrid(data: Gridded, onto: Gridded) -> dict[str, Coordinate]:
    """Return the coordinates of the axes of the data along which the other grid has other points.

    Axes of texts, such as names of channels, are not interpolated, and neither are axes that the other grid does not have.

    Raises:
        ValueError: if lengths differ and coordinates are not known, units differ, coordinates of the data neither rise nor
            fall, or points lie outside the range of the data.
    """
    if not isinstance(onto, Gridded):
        raise ValueError(f"regrid takes the Dataset or the Surrogate whose grid is wanted, got {got(onto)}")
    found = {}
    for axis, points in _lengths(data).items():
        ours, theirs = data.coordinates.get(axis), onto.coordinates.get(axis)
        wanted = _lengths(onto).get(axis, points)
        if ours is None or theirs is None or is_numbered(ours) or is_numbered(theirs):
            if wanted != points:
                raise ValueError(
                    f"the axis {axis} needs coordinates on both sides to be interpolated, it has {points} points in the data "
                    f"and {wanted} on the other grid, of which only the numbers are known: give both sides coordinates"
                )
            continue
        values, others = np.asarray(ours.values), np.asarray(theirs.values)
        if "U" in (values.dtype.kind, others.dtype.kind):
            continue
        if "1" not in (ours.units, theirs.units) and ours.units != theirs.units:
            raise ValueError(f"the axis {axis} is in {ours.units} in the data and in {theirs.units} on the grid: convert one")
        if not same_points(ours, theirs):
            _check_range(axis, values.astype(np.float64), others.astype(np.float64), ours.units)
            found[axis] = replace(theirs, units=ours.units if theirs.units == "1" else theirs.units)
    return found


def on_grid(
    arrays: Mapping[str, Float[np.ndarray, "..."]], data: Gridded, points: Mapping[str, Coordinate]
) -> tuple[dict[str, np.ndarray], list[tuple[Variable, ...]], str | None]:
    """Interpolate the variables of a dataset onto new points of some axes.

    Args:
        arrays: the numbers by the name of the variable.
        data: the dataset.
        points: new coordinates of the axes; see `axes_to_regrid`.

    Returns:
        The numbers, the input and the output variables, and a warning that states the estimated errors, or None.
    """
    found, errors, ours = dict(arrays), {}, data.coordinates
    for variable in (*data.inputs, *data.outputs):
        if set(variable.axes) & points.keys():
            errors[variable.name] = error_of(variable, arrays[variable.name], ours, points)
            found[variable.name] = interpolated(variable, arrays[variable.name], ours, points)
    sides = [tuple(regridded(one, points) for one in side) for side in (data.inputs, data.outputs)]
    return found, sides, described_errors(errors)


def regridded(variable: Variable, points: Mapping[str, Coordinate]) -> Variable:
    """Return a variable with the lengths of its new axes."""
    lengths = zip(variable.axes, variable.shape, strict=True)
    return replace(variable, shape=tuple(len(points[a].values) if a in points else n for a, n in lengths))


def interpolated(
    variable: Variable,
    values: Float[np.ndarray, "sample ..."],
    ours: Mapping[str, Coordinate],
    points: Mapping[str, Coordinate],
) -> Float[np.ndarray, "_sample ..."]:
    """Interpolate a variable linearly onto these points of its axes; it keeps its type, and stays within its bounds."""
    found = values
    for place, old, new in _along(variable, ours, points):
        found = _interpolate(found, old, new, place)
    low, high = (end if one is None else one for one, end in zip(variable.bounds, (-np.inf, np.inf), strict=True))
    return np.clip(found, low, high).astype(values.dtype) if found is not values else values


def error_of(
    variable: Variable,
    values: Float[np.ndarray, "sample ..."],
    ours: Mapping[str, Coordinate],
    points: Mapping[str, Coordinate],
) -> float | None:
    """Estimate the root mean square error of `interpolated` as a fraction of the deviation of all numbers of the variable.

    It is None if there are too few points along an axis, and 0 if all new points are old ones, or the variable is constant.
    """
    total = 0.0
    for place, old, new in _along(variable, ours, points):
        factor = _distance_factor(old, new)
        if factor and len(old) < FEWEST:
            return None
        if factor:
            kept = np.arange(0, len(old), 2)
            left_out = kept[:-1] + 1
            found = _interpolate(np.take(values, kept, place), old[kept], old[left_out], place)
            error = found - np.take(values, left_out, place)
            total += factor * float(np.sqrt(np.nanmean(np.square(error)))) / 4
    return total / deviation if total and (deviation := float(np.nanstd(values.astype(np.float64)))) else 0.0


def described_errors(errors: Mapping[str, float | None]) -> str | None:
    """Return the warning about the errors of interpolated variables; None if there are none."""
    shown = [f"{name} {'not known' if one is None else f'{one:.2g}'}" for name, one in errors.items() if one != 0]
    few = f" (not known for fewer than {FEWEST} points along an axis)" if None in errors.values() else ""
    return (
        f"fields were interpolated linearly onto another grid, with an estimated error, as a fraction of the deviation of each "
        f"field, of {', '.join(shown)}{few}: give both sides one grid if that is too much"
        if shown
        else None
    )


def _lengths(gridded: Gridded) -> dict[str, int]:
    """Return the number of points of each axis."""
    variables: Sequence[Variable] = (*gridded.inputs, *gridded.outputs)
    return {axis: size for variable in variables for axis, size in zip(variable.axes, variable.shape, strict=True)}


def _check_range(axis: str, old: Float[np.ndarray, " old"], new: Float[np.ndarray, " new"], units: str) -> None:
    steps = np.diff(old)
    if len(old) < 2 or not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(
            f"the coordinates of {axis} must rise or fall over at least 2 points to be interpolated: sort the data"
        )
    slack = SAME_POINT * np.ptp(old)
    if new.min() < old.min() - slack or new.max() > old.max() + slack:
        new_span, old_span = (span(np.array([ends.min(), ends.max()]), units) for ends in (new, old))
        raise ValueError(
            f"the axis {axis} of the data must cover the other grid, {new_span}, it reaches from {old_span}: nothing is "
            "extrapolated; leave the points outside out of the other data"
        )


def _along(
    variable: Variable, ours: Mapping[str, Coordinate], points: Mapping[str, Coordinate]
) -> Iterator[tuple[int, Float[np.ndarray, " _old"], Float[np.ndarray, " _new"]]]:
    """Yield for each axis to interpolate its place in the array (sample, *axes), and its old and new points."""
    for place, axis in enumerate(variable.axes, start=1):
        if axis in points:
            old, new = (np.asarray(one[axis].values, dtype=np.float64) for one in (ours, points))
            yield place, old, new


def _interpolate(
    values: Float[np.ndarray, "..."], old: Float[np.ndarray, " old"], new: Float[np.ndarray, " new"], place: int
) -> Float[np.ndarray, "..."]:
    order = np.argsort(old)
    # Missing fields are NaN, and stay so.
    spline = make_interp_spline(old[order], np.take(values, order, place), k=1, axis=place, check_finite=False)
    return np.asarray(spline(np.clip(new, old.min(), old.max())))


def _distance_factor(old: Float[np.ndarray, " old"], new: Float[np.ndarray, " new"]) -> float:
    """Return the root mean square of 4 t (1 - t) over the new points: 1 in the middle of two old points, 0 at an old one."""
    rising = np.sort(old)
    cell = np.clip(np.searchsorted(rising, new) - 1, 0, len(rising) - 2)
    t = np.clip((new - rising[cell]) / (rising[cell + 1] - rising[cell]), 0, 1)
    near = np.minimum(t, 1 - t) * (rising[cell + 1] - rising[cell]) <= SAME_POINT * np.ptp(old)
    return float(np.sqrt(np.mean(np.square(np.where(near, 0.0, 4 * t * (1 - t))))))
