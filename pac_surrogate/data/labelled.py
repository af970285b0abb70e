"""Variables in an xarray Dataset: their numbers and coordinates are read from it, and results become one.

Coordinates that are dates are held as numbers of seconds since 1970-01-01, so that equal dates are equal numbers, and become
dates again. Dates with fractions of a second, which float64 would round, have a unit that xarray chooses.
Source: CF conventions 1.11, section 4.4 (time coordinates).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.data.matching import DATES, in_seconds, is_numbered, order_of, same_points, strange_grids
from pac_surrogate.files import Coordinate, Description, Variable
from pac_surrogate.files.layout import BOUNDS
from pac_surrogate.files.splits import ORDER, SPLITS, ranks_of
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.display import listed

if TYPE_CHECKING:
    import xarray as xr

CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
POSITION = "position"  # attribute of a variable, its place on its side, since not every format keeps an order


def is_labelled(given: Any) -> bool:
    """Return whether this is a Dataset of xarray."""
    return type(given).__name__ == "Dataset" and type(given).__module__.partition(".")[0] == "xarray"


def arrays_in(
    dataset: "xr.Dataset", variables: Sequence[Variable], coordinates: Mapping[str, Coordinate]
) -> dict[str, np.ndarray]:
    """Return the numbers of known variables in an xarray Dataset, (sample, *axes), at the known coordinates.

    Where the data have the points of an axis in another order, they are taken in the known order.

    Warns:
        DataWarning: if the points of an axis are others.

    Raises:
        ValueError: if a variable is missing, or has other axes or another unit.
    """
    dataset = with_samples(dataset, [variable.name for variable in variables])
    sample = sample_of(dataset, variables)
    dataset = on_points(dataset, variables, coordinates)
    found = {}
    for variable in variables:
        array = dataset[variable.name]
        units = str(array.attrs.get("units", "")) or "1"
        if "1" not in (units, variable.units) and units != variable.units:
            raise ValueError(f"{variable.name} must be in {variable.units}, got {units}: convert it")
        axes = variable.axes if set(variable.axes) <= set(map(str, array.dims)) else ()
        found[variable.name] = np.asarray(array.transpose(sample, *axes).values)
    return found


def on_points(dataset: "xr.Dataset", variables: Sequence[Variable], coordinates: Mapping[str, Coordinate]) -> "xr.Dataset":
    """Return a dataset with the points of the axes of these variables in the known order, and warn if they are others."""
    theirs: dict[str, Coordinate] = {}
    for axis in dict.fromkeys(axis for variable in variables for axis in variable.axes):
        own, known = coordinate_in(dataset, axis), coordinates.get(axis)
        if own is None or known is None or is_numbered(own) or is_numbered(known) or same_points(own, known):
            continue
        order = order_of(own, known)
        if order is None:
            theirs[axis] = own
        else:
            dataset = dataset.isel({axis: order})
    for line in strange_grids(coordinates, variables, theirs):
        warnings.warn(f"{line}: interpolate the data onto the grid of the surrogate", DataWarning, stacklevel=6)
    return dataset


def with_samples(dataset: "xr.Dataset", names: Sequence[str]) -> "xr.Dataset":
    """Name the first axis of some variables `sample` if no axis of theirs has a name of its own, and these lengths agree.

    The axes of arrays in a file without names are called `<variable>_0`, `<variable>_1`, ... where it is not clear which of
    them is the sample; see `formats.unnamed`. The chosen variables tell.
    """
    dims = {name: tuple(map(str, dataset[name].dims)) for name in names if name in dataset.variables}
    # An axis that would have the name of an array ends with an underscore.
    unnamed = (dim.removesuffix("_") == f"{name}_{axis}" for name, own in dims.items() for axis, dim in enumerate(own))
    if not all(dims.values()) or not all(unnamed) or len({dataset.sizes[own[0]] for own in dims.values()}) != 1:
        return dataset
    variables = {name: dataset[name].variable.copy(deep=False) for name in dims}
    for name, own in dims.items():
        variables[name].dims = ("sample", *own[:-1])  # `<variable>_0` is the first axis after the sample
    if "sample" in dataset.dims:  # an axis of arrays that are not chosen, which has another length
        dataset = dataset.drop_vars("sample", errors="ignore").rename_dims(sample="sample_")
    return dataset.drop_vars(list(dims)).assign(variables)


def sample_of(dataset: "xr.Dataset", variables: Sequence[Variable]) -> str:
    """Return the dimension along which known variables have their samples: the one that is not an axis of theirs.

    Raises:
        ValueError: if a variable is missing, or there is no such dimension.
    """
    samples: set[str] = set()
    for variable in variables:
        if variable.name not in dataset.variables:
            held = [str(name) for name in dataset.data_vars]
            raise ValueError(f"a variable {variable.name} is required, the data have {listed(held) or 'none'}")
        rest = {str(dim) for dim in dataset[variable.name].dims} - set(variable.axes)
        samples |= rest
        if len(samples) != 1 or len(rest) != 1:
            axes = ", ".join(("the sample", *variable.axes))
            raise ValueError(f"{variable.name} needs the dimensions {axes}, the data have {with_dims(dataset, variable.name)}")
    return next(iter(samples))


def coordinate_in(dataset: "xr.Dataset", axis: str) -> Coordinate | None:
    """Return the coordinates of an axis, with times as numbers, or None if it has none.

    Raises:
        ValueError: if they are neither numbers, texts nor times.
    """
    index = dataset.indexes.get(axis)
    if axis not in dataset.variables or dataset[axis].dims != (axis,) or (index is not None and index.nlevels > 1):
        return None
    variable = dataset[axis].variable
    if variable.dtype.kind in "mM" or _is_calendar(variable):
        variable = _in_seconds(variable)
        calendar = variable.attrs.get("calendar", "standard")
        if calendar not in CALENDARS:
            raise ValueError(
                f"the times of {axis} are in the calendar {calendar}: convert them with convert_calendar('standard')"
            )
    values = np.asarray(variable.values)
    if values.dtype.kind in "OT":
        if not all(isinstance(one, str) for one in values.flat):
            raise ValueError(f"the coordinates of {axis} must be numbers, texts or times, they are {got(values.flat[0])}")
        values = values.astype(np.str_)
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    attributes = variable.attrs
    found = Coordinate(axis, values, str(attributes.get("units", "1")), str(attributes.get("long_name", "")))
    return in_seconds(found) if attributes.get("calendar", "standard") in CALENDARS else found


def without_dates(dataset: "xr.Dataset") -> "xr.Dataset":
    """Return the same dataset, in which coordinates that are dates are numbers with a unit, as netCDF files hold them."""
    from xarray.conventions import encode_cf_variable

    dates = {name: encode_cf_variable(one.variable) for name, one in dataset.coords.items() if one.dtype.kind in "mM"}
    return dataset.assign_coords(dates)


def labelled(
    arrays: "Mapping[str, np.ndarray | xr.Variable]",
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    coordinates: Mapping[str, Coordinate],
    *,
    labels: Coordinate | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> "xr.Dataset":
    """Return variables as an xarray Dataset with roles, units and coordinates.

    Args:
        arrays: numbers by the name of the variable, (sample, *axes); or xarray Variables, which may be lazy.
        inputs: the input variables.
        outputs: the output variables.
        coordinates: coordinates of their axes; an axis whose points are only numbered has none.
        labels: labels of the samples.
        attributes: global attributes.
    """
    import xarray as xr

    from pac_surrogate.formats.lazy import relabelled

    data, axes = dict[str, Any](), set[str]()
    for role, side in (("input", inputs), ("output", outputs)):
        for position, variable in enumerate(side):
            told = {"units": variable.units, "long_name": variable.long_name, "role": role, "scaling": variable.scaling}
            ends = zip(BOUNDS, variable.bounds, strict=True)
            meaning = {**told, **{name: end for name, end in ends if end is not None}, POSITION: position}
            values = arrays[variable.name]
            if isinstance(values, xr.Variable):  # whose numbers would be read by np.asarray
                data[variable.name] = relabelled(values, meaning)
            else:
                rows = np.asarray(values).reshape(-1, *variable.shape)
                data[variable.name] = (("sample", *variable.axes), rows, meaning)
            axes |= set(variable.axes)
    points = [(name, name, one) for name, one in coordinates.items() if name in axes and not is_numbered(one)]
    points += [] if labels is None else [("sample", labels.name, labels)]
    found = xr.Dataset(data, attrs=dict(attributes or {}))
    return found.assign_coords({dim: decoded(dim, one) for dim, name, one in points})


def decoded(dimension: str, coordinate: Coordinate) -> "xr.Variable":
    """Return coordinates along a dimension of an xarray Dataset; numbers of seconds or days since a date become dates."""
    import xarray as xr

    meaning = {"units": coordinate.units, "long_name": coordinate.long_name}
    meaning = {key: text for key, text in meaning.items() if text not in ("1", dimension)}
    if coordinate.units == DATES:
        del meaning["units"]
        missing = np.isnan(coordinate.values)
        dates = np.where(missing, 0, coordinate.values).round().astype(np.int64).astype("datetime64[s]")
        dates[missing] = np.datetime64("NaT")
        limit = np.iinfo(np.int64).max / 1e9
        if not (np.abs(coordinate.values) >= limit).any():  # nanoseconds, as is usual in xarray, do not overflow
            dates = dates.astype("datetime64[ns]")
        return xr.Variable((dimension,), dates, meaning)
    variable = xr.Variable((dimension,), coordinate.values, meaning)
    dated = " since " in coordinate.units
    return xr.decode_cf(xr.Dataset({dimension: variable}))[dimension].variable if dated else variable


def with_split(dataset: "xr.Dataset", described: Description) -> "xr.Dataset":
    """Add the splits to an xarray Dataset, unless the attribute `seed` and the number of the samples tell them.

    `split` (sample) is added if there are several splits, and `subset_order` (sample, draw), the ranks of the samples, if the
    orders of the train split are others than those that the seed gives.
    """
    split, order = described.split, described.subset_order
    if order is not None and not np.array_equal(order, replace(described, subset_order=None).orders()):
        meaning = {"long_name": "rank of the sample in each draw of the train split, -1 outside it"}
        dataset = dataset.assign({ORDER: (("sample", "draw"), ranks_of(order, len(split)), meaning)})
    if len(split) == 0 or (split == split[0]).all():
        return dataset
    flags = {"flag_values": np.arange(len(SPLITS), dtype=np.int8), "flag_meanings": " ".join(SPLITS)}
    return dataset.assign(split=("sample", split.copy(), flags))


def beside(given: "xr.Dataset", variables: Sequence[Variable], found: "xr.Dataset") -> "xr.Dataset":
    """Return results along `sample` with the sample dimension of the data that they were computed from, and its coordinates.

    Args:
        given: the data.
        variables: the variables of the data that were used.
        found: the results; a coordinate that has the name of one of them, such as the truth, is left out.

    Raises:
        ValueError: if the results have an axis of the name of the sample dimension.
    """
    given = with_samples(given, [variable.name for variable in variables])
    sample = sample_of(given, variables)
    if sample != "sample" and sample in found.dims:
        raise ValueError(
            f"the samples need a dimension that is no axis of an output, the data have them along {sample}: rename it, as in "
            f"data.rename({sample}='sample')"
        )
    clash = {str(other) for name in found.data_vars for other in given.xindexes.get_all_coords(name, errors="ignore")}
    clash |= set(map(str, found.data_vars))
    others = [name for name, one in given.coords.items() if one.dims != (sample,) or name in clash]
    own = given.coords.to_dataset().drop_vars(others).coords  # an index of several levels is kept as a whole
    return (found if sample == "sample" else found.rename(sample=sample)).assign_coords(own)


def with_dims(dataset: "xr.Dataset", name: str) -> str:
    """Return the name of a variable with its dimensions, for a message."""
    return f"{name} ({', '.join(map(str, dataset[name].dims))})"


def _in_seconds(variable: "xr.Variable") -> "xr.Variable":
    """Return dates as numbers of seconds since 1970-01-01 where these are whole, and durations as numbers of seconds."""
    import xarray as xr
    from xarray.conventions import encode_cf_variable

    if variable.dtype.kind == "m":
        seconds = np.where(np.isnat(variable.values), np.nan, variable.values / np.timedelta64(1, "s"))
        return xr.Variable(variable.dims, seconds, {**variable.attrs, "units": "s"})
    if variable.dtype.kind == "M":
        missing, whole = np.isnat(variable.values), variable.values.astype("datetime64[s]")
        if (missing | (variable.values == whole)).all():
            seconds = np.where(missing, np.nan, whole.astype(np.int64))
            return xr.Variable(variable.dims, seconds, {**variable.attrs, "units": DATES})
    variable = variable.copy(deep=True)
    variable.encoding = {}  # that of the file may have too few digits
    return encode_cf_variable(variable)


def _is_calendar(variable: Any) -> bool:
    return variable.dtype.kind == "O" and variable.size > 0 and hasattr(variable.values.flat[0], "calendar")
