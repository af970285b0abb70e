"""Variables, the inputs and outputs of a dataset, each with a name, a unit, and axes whose points have coordinates.

The descriptions of variables, and the numbers that they hold, are checked here.
"""

import contextlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Integer, Num, Shaped

from pac_surrogate.files.attributes import DatasetError, is_name
from pac_surrogate.files.missing import REPAIR, place_of, without_mask
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.display import Shown

LAYOUT = ("sample", "split", "subset_order", "draw", "rank")  # names that no variable may take
Scaling = Literal["standard", "log"]
Bounds = tuple[float | None, float | None]
UNBOUNDED: Bounds = (None, None)


@dataclass(frozen=True)
class Variable:
    """One input or output: its axes without `sample`, and the meaning of its numbers.

    Attributes:
        name: name of the variable.
        axes: names of its axes, without `sample`; a scalar has none.
        shape: length of each axis.
        units: unit; "1", the default, means unknown or none.
        long_name: description; the name by default.
        scaling: how a surrogate standardises the variable: "standard", or "log" where only ratios matter.
        dtype: type in which a file stores or unpacks the variable; it is ignored when variables are compared.
        bounds: least and greatest possible number, None for an open side; ignored when variables are compared. Predictions of a
            bounded output are projected onto its bounds.
    """

    name: str
    axes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    units: str = "1"
    long_name: str = ""
    scaling: Scaling = "standard"
    dtype: str = field(default="float32", compare=False)
    bounds: Bounds = field(default=UNBOUNDED, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", self.units or "1")
        object.__setattr__(self, "long_name", self.long_name or self.name)
        if not (isinstance(self.name, str) and isinstance(self.units, str) and isinstance(self.long_name, str)):
            raise ValueError(f"the name and the unit of a variable must be texts, got {got(self.name)} and {got(self.units)}")
        for name in (self.name, *self.axes):
            if not isinstance(name, str) or not is_name(name):
                raise ValueError(f"variables and axes need names without slashes and control characters, got {got(name)}")
        if not self.name or self.name in (*LAYOUT, *self.axes):
            raise ValueError(f"a variable needs a name other than {', '.join(LAYOUT)} and its axes, got {self.name!r}")
        if len(self.axes) != len(self.shape) or len(set(self.axes)) != len(self.axes) or set(self.axes) & set(LAYOUT):
            raise ValueError(f"{self.name} of shape {self.shape} needs one axis name for each axis, got {self.axes}")
        if min(self.shape, default=1) < 1:
            raise ValueError(f"{self.name} needs axes of length 1 or more, got shape {self.shape}")
        if self.scaling not in get_args(Scaling) or self.dtype not in ("float32", "float64"):
            raise ValueError(
                f"{self.name} needs scaling 'standard' or 'log' and dtype 'float32' or 'float64', "
                f"got {self.scaling!r} and {self.dtype!r}"
            )
        object.__setattr__(self, "bounds", as_bounds(self.name, self.bounds))

    @property
    def size(self) -> int:
        """Number of values in one sample."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Coordinate(Shown):
    """Coordinates of the points of an axis: numbers, or names such as those of channels.

    Attributes:
        name: name of the axis.
        values: coordinate of each point; the array cannot be written to.
        units: unit; "1", the default, means unknown or none.
        long_name: description; the name by default.
    """

    name: str
    values: Shaped[np.ndarray, " point"]
    units: str = "1"
    long_name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", self.units or "1")
        object.__setattr__(self, "long_name", self.long_name or self.name)
        values = np.array(self.values, subok=True)  # a copy that cannot be written to, because datasets share it
        values.flags.writeable = False
        object.__setattr__(self, "values", values)


def as_bounds(name: str, given: Any) -> Bounds:
    """Return the lower and the upper bound of a variable; an infinite bound is an open side, None.

    Raises:
        ValueError: if they are not two numbers, the lower one first.
    """
    pair = tuple(given) if isinstance(given, list | tuple) else ()
    real = [one is None or (isinstance(one, int | float | np.number) and not isinstance(one, bool)) for one in pair]
    with contextlib.suppress(OverflowError, TypeError):  # of an integer beyond float64, and of a complex number
        if len(pair) == 2 and all(real):
            low, high = (end if one is None else float(one) for one, end in zip(pair, (-math.inf, math.inf), strict=True))
            if low < high:  # false for NaN
                return None if low == -math.inf else low, None if high == math.inf else high
    raise ValueError(
        f"the bounds of {name} must be two numbers, the lower one first, with None for an open side, such as (0, 1) or "
        f"(0, None), got {got(given)}"
    )


def bounds_of_columns(variables: Sequence[Variable]) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Return the lower and the upper bound of each column of a data matrix; an open side is infinite."""
    sizes = [variable.size for variable in variables]
    lower, upper = (
        np.repeat(np.array([end if (one := variable.bounds[side]) is None else one for variable in variables], float), sizes)
        for side, end in enumerate((-math.inf, math.inf))
    )
    return lower, upper


def bounds_text(bounds: Bounds) -> str:
    """Describe bounds as text, such as `0 to 1` or `at least 0`."""
    low, high = bounds
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else "unbounded"


def state_of(variable: Variable) -> dict[str, Any]:
    """Return the fields of a variable as JSON; bounds only if it has some, so that other descriptions are as they were."""
    state = asdict(variable)
    return state if variable.bounds != UNBOUNDED else {name: value for name, value in state.items() if name != "bounds"}


def variable_of(entry: Mapping[str, Any]) -> Variable:
    """Make a variable from its fields as JSON, as `state_of` returns them."""
    axes, shape = tuple(entry["axes"]), tuple(map(operator.index, entry["shape"]))
    bounds = as_bounds(entry["name"], entry.get("bounds", UNBOUNDED))  # files of earlier versions have none
    return Variable(**{**entry, "axes": axes, "shape": shape, "bounds": bounds})


def default_axes(name: str, count: int) -> tuple[str, ...]:
    """Return the default names of a variable's axes: `output_0`, `output_1`, ..."""
    return tuple(f"{name}_{axis}" for axis in range(count))


def variables_of_columns(variables: Sequence[Variable], columns: Sequence[int]) -> tuple[Variable, ...]:
    """Return the variables that some columns of a data matrix form, in their order.

    A variable of which all columns are chosen stays as it is; some of its columns form a variable of its name with one axis.
    """
    found, first = [], 0
    for variable in variables:
        count = sum(first <= column < first + variable.size for column in columns)
        first += variable.size
        if count == variable.size:
            found.append(variable)
        elif count:
            found.append(replace(variable, axes=default_axes(variable.name, 1), shape=(count,)))
    return tuple(found)


def as_axes(name: str, given: Any, count: int) -> tuple[str, ...]:
    """Return the names of a variable's axes; a text is the name of a single axis, or one letter for each of several axes.

    Raises:
        ValueError: if they are not names.
    """
    single = isinstance(given, str) and count == 1
    axes = (given,) if single else tuple(given) if isinstance(given, str | list | tuple) else (None,)
    if not all(isinstance(axis, str) for axis in axes):
        raise ValueError(f"the axes of {name} must be names, such as ('time', 'x'), got {got(given)}")
    return axes


def described(variable: Variable) -> str:
    """Return name, shape and unit of a variable as text, such as `temperature (time 3, x 32) [K]`."""
    named = variable.axes != default_axes(variable.name, len(variable.axes))
    sizes = [f"{axis} {n}" if named else str(n) for axis, n in zip(variable.axes, variable.shape, strict=True)]
    shape = f" ({', '.join(sizes)})" if sizes else ""
    return f"{variable.name}{shape}{f' [{variable.units}]' if variable.units != '1' else ''}"


def complete_coordinates(
    variables: Sequence[Variable], coordinates: Sequence[Coordinate] | Mapping[str, Coordinate] = ()
) -> dict[str, Coordinate]:
    """Return the coordinates of every axis of the variables; the points of an axis without coordinates are numbered from 0.

    Raises:
        ValueError: if lengths disagree, coordinates are not one row of finite numbers or texts, one is masked, or names clash.
    """
    given = coordinates.values() if isinstance(coordinates, Mapping) else coordinates
    known = {coordinate.name: coordinate for coordinate in given}
    complete: dict[str, Coordinate] = {}
    checked: set[str] = set()
    for variable in variables:
        for axis, size in zip(variable.axes, variable.shape, strict=True):
            numbered = Coordinate(axis, np.arange(size, dtype=np.int32), "1", f"number along {axis}")
            complete[axis] = known.get(axis) or complete.get(axis) or numbered
            if complete[axis].values.shape == (size,) and axis in checked:
                continue
            checked.add(axis)
            values = without_mask(axis, complete[axis].values, ("point",), remedy="repair it")
            if values.shape != (size,):
                raise ValueError(f"axis {axis} of {variable.name} has {size} points, its coordinates have shape {values.shape}")
            if values.dtype.kind not in "fiuU":
                raise ValueError(f"the coordinates of {axis} must be finite numbers or texts, they are {values.dtype}")
            for point in np.flatnonzero(~np.isfinite(values))[:1] if values.dtype.kind == "f" else ():
                got = f"point {point} is {values[point]}: repair it"
                raise ValueError(f"the coordinates of {axis} must be finite numbers or texts, {got}")
    clash = complete.keys() & {variable.name for variable in variables}
    if clash:
        raise ValueError(f"axes and variables must have different names, both have {', '.join(clash)}: rename the axis")
    return complete


def check_finite(
    variable: Variable,
    values: Num[np.ndarray, "sample ..."],
    samples: Integer[np.ndarray, " sample"],
    mark_at: Callable[[tuple[int, ...]], str] = lambda place: "",
    *,
    gaps: bool = False,
    remedy: str = REPAIR,
) -> None:
    """Refuse the first value that is NaN or infinite, or outside the bounds of its variable.

    Bounds are compared in the type of the values, so that 0.1 as float32 is not above 0.1.

    Args:
        variable: variable to which the values belong.
        values: values of some samples.
        samples: number of the sample in each row.
        mark_at: function that returns what marks the value at a place (sample, *axes) as missing, empty if nothing does.
        gaps: whether NaN is allowed, as a missing value.
        remedy: advice at the end of the message about a value that is NaN.

    Raises:
        DatasetError: if there is one; the message names the variable and the place of the value.
    """
    finite = ~np.isinf(values) if gaps else np.isfinite(values)
    if not finite.all():
        index = _first(~finite)
        mark = mark_at((int(samples[index[0]]), *index[1:]))
        what = f"missing ({mark})" if mark else values[index]
        advice = remedy if np.isnan(values[index]) else REPAIR
        raise DatasetError(f"{variable.name} must be finite, it is {what} at {_place(variable, samples, index)}: {advice}")
    for bound, is_beyond in zip(variable.bounds, (np.less, np.greater), strict=True):
        beyond = is_beyond(values, values.dtype.type(bound)) if bound is not None else np.zeros(0, bool)
        if beyond.any():
            index = _first(beyond)
            raise DatasetError(
                f"{variable.name} must lie within its bounds, {bounds_text(variable.bounds)}, it is {values[index]} at "
                f"{_place(variable, samples, index)}: correct the number or the bounds"
            )


def _first(mask: Bool[np.ndarray, "sample ..."]) -> tuple[int, ...]:
    return tuple(int(number) for number in np.unravel_index(int(mask.argmax()), mask.shape))


def _place(variable: Variable, samples: Integer[np.ndarray, " sample"], index: tuple[int, ...]) -> str:
    """Describe the place of a number of a variable."""
    named = variable.axes != default_axes(variable.name, len(variable.axes))
    inside = index[1:] if named or variable.size > 1 else ()
    return place_of(("sample", *(variable.axes if named else ())), [int(samples[index[0]]), *inside])
