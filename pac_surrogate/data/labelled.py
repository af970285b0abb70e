"""Variables in an xarray Dataset: their numbers and coordinates are read from it, and results become one.

Coordinates that are dates are held as numbers with a unit such as "days since 2020-01-01", and become dates again.
Source: CF conventions 1.11, section 4.4 (time coordinates).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pac_surrogate.data.matching import is_numbered
from pac_surrogate.files import Coordinate, Description, Variable
from pac_surrogate.files.layout import BOUNDS
from pac_surrogate.files.splits import ORDER, SPLITS, ranks_of
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.display import listed

if TYPE_CHECKING:
    import xarray as xr

POSITION = "position"  # attribute of a variable, its place on its side, since not every format keeps an order


def is_labelled(given: Any) -> bool:
    """Return whether this is a Dataset of xarray."""
    return type(given).__name__ == "Dataset" and type(given).__module__.partition(".")[0] == "xarray"


def arrays_in(dataset: "xr.Dataset", variables: Sequence[Variable]) -> dict[str, np.ndarray]:
    """Return the numbers of known variables in an xarray Dataset, (sample, *axes).

    Raises:
        ValueError: if a variable is missing, or has other axes or another unit.
    """
    sample = sample_of(dataset, variables)
    found = {}
    for variable in variables:
        array = dataset[variable.name]
        units = str(array.attrs.get("units", "1"))
        if "1" not in (units, variable.units) and units != variable.units:
            raise ValueError(f"{variable.name} must be in {variable.units}, got {units}: convert it")
        axes = variable.axes if set(variable.axes) <= set(map(str, array.dims)) else ()
        found[variable.name] = np.asarray(array.transpose(sample, *axes).values)
    return found


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
    if axis not in dataset.variables or dataset[axis].dims != (axis,) or dataset.indexes[axis].nlevels > 1:
        return None
    variable = dataset[axis].variable
    if variable.dtype.kind in "mM" or _is_calendar(variable):
        from xarray.conventions import encode_cf_variable

        variable = encode_cf_variable(variable.copy(deep=True))
        calendar = variable.attrs.get("calendar", "standard")
        if calendar not in ("standard", "gregorian", "proleptic_gregorian"):
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
    return Coordinate(axis, values, str(attributes.get("units", "1")), str(attributes.get("long_name", "")))


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
    """Return coordinates along a dimension of an xarray Dataset; numbers of days since a date become dates."""
    import xarray as xr

    meaning = {"units": coordinate.units, "long_name": coordinate.long_name}
    meaning = {key: text for key, text in meaning.items() if text not in ("1", dimension)}
    variable = xr.Variable((dimension,), coordinate.values, meaning)
    dates = " since " in coordinate.units
    return xr.decode_cf(xr.Dataset({dimension: variable}))[dimension].variable if dates else variable


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
        found: the results.
    """
    sample = sample_of(given, variables)
    own = {name: one for name, one in given.coords.items() if one.dims == (sample,)}
    return (found if sample == "sample" else found.rename(sample=sample)).assign_coords(own)


def with_dims(dataset: "xr.Dataset", name: str) -> str:
    """Return the name of a variable with its dimensions, for a message."""
    return f"{name} ({', '.join(map(str, dataset[name].dims))})"


def _is_calendar(variable: Any) -> bool:
    return variable.dtype.kind == "O" and variable.size > 0 and hasattr(variable.values.flat[0], "calendar")
