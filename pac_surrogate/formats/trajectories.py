"""What The Well and PDEBench share: fields over time become an input, the first time, and an output, the later times.

A field `u` (sample, time, ...) with more than one time is two variables, `initial_u` (sample, ...) with role "input" and `u`
with role "output" and the later times only, so that a surrogate can be trained without naming variables. Its first time is the
global attribute `initial_time`. Fields without time are inputs unless the file says otherwise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import xarray as xr
from jaxtyping import Int, Num

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.layout import BLOCK_BYTES
from pac_surrogate.formats.lazy import Source, lazy_variable, relabelled
from pac_surrogate.formats.plain_hdf5 import MEANING, is_told

INITIAL = "initial_"
FIRST_TIME = "initial_time"
REPEATED = "repeated_along"  # attribute of a field that is written along axes along which it does not vary
AXES = ("x", "y", "z")
TIMES = "times"  # coordinate of times that differ from sample to sample


@dataclass(frozen=True)
class Repeated:
    """A stored array that is the same for several samples.

    Attributes:
        source: the array of one sample, with one axis or more.
        samples: number of samples.
    """

    source: Source
    samples: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return (self.samples, *self.source.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.source.dtype

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read some rows, which are all the same."""
        one = self.source.read(np.arange(*rest[0].indices(self.source.shape[0])), rest[1:])
        return np.broadcast_to(one, (len(rows), *one.shape))


@dataclass(frozen=True)
class Expanded:
    """An array, perhaps lazy, with one more axis, along which it is the same.

    Attributes:
        variable: the array; its first axis stays the first.
        axis: place of the new axis, 1 or more.
        size: length of the new axis.
    """

    variable: xr.Variable
    axis: int
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        own = self.variable.shape
        return (*own[: self.axis], self.size, *own[self.axis :])

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.variable.dtype

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read some rows."""
        own = [one for axis, one in enumerate(rest, start=1) if axis != self.axis]
        values = np.expand_dims(np.asarray(self.variable[(rows, *own)].values), self.axis)
        return np.repeat(values, len(range(self.size)[rest[self.axis - 1]]), axis=self.axis)


def expanded(array: xr.DataArray, dim: str, size: int, axis: int) -> xr.DataArray:
    """Return an array with one more dimension, as its `expand_dims` does, without reading an array that is lazy."""
    dims = [*map(str, array.dims[:axis]), dim, *map(str, array.dims[axis:])]
    variable = lazy_variable(dims, Expanded(array.variable, axis, size), dict(array.attrs))
    return xr.Dataset({"expanded": variable})["expanded"]


def divide(name: str, variable: xr.Variable, texts: Mapping[str, Any], beginning: Mapping[str, Any]) -> dict[str, xr.Variable]:
    """Divide a field at its first time.

    Args:
        name: name of the field.
        variable: the field, lazy or not.
        texts: what the file says of it: units, long_name, role, scaling.
        beginning: what the file says of its first time, with the role "none" if the first time belongs to the others.

    Returns:
        The variables by name, whose numbers are still read when they are indexed.
    """
    times = dict(zip(variable.dims, variable.shape, strict=True)).get("time", 0)
    if times == 1:
        variable = variable.isel(time=0)
    if times < 2 or beginning.get("role") == "none":
        default = "output" if times > 1 else "input"
        return {name: relabelled(variable, {"role": default, **texts})}
    inherited = {key: value for key, value in texts.items() if key in ("units", "scaling")}
    first = {**inherited, "long_name": f"{texts['long_name']} at the first time"} if "long_name" in texts else inherited
    return {
        INITIAL + name: relabelled(variable.isel(time=0), {**first, **beginning, "role": "input"}),
        name: relabelled(variable.isel(time=slice(1, None)), {"role": "output", **texts}),
    }


def said_of(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the attributes of a stored field say of it, and of its first time."""
    said = {name: attributes[name] for name in MEANING if is_told(attributes.get(name))}
    return said, {name: attributes[INITIAL + name] for name in MEANING if is_told(attributes.get(INITIAL + name))}


def later_times(times: Num[np.ndarray, " time"], *, divided: bool) -> tuple[Num[np.ndarray, " later"], dict[str, float]]:
    """Return the times of the outputs, and the first time as an attribute; `divided` says whether any field was divided."""
    return (times[1:], {FIRST_TIME: float(times[0])}) if divided else (times, {})


def roles_of(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the variables of a Dataset that have a role, with the samples along their first axis.

    Raises:
        DatasetError: if there are no inputs or no outputs, or the samples are along another axis.
    """
    found = {str(name): one for name, one in dataset.data_vars.items() if one.attrs.get("role") in ("input", "output")}
    if len({one.attrs["role"] for one in found.values()}) < 2:
        required = "inputs and outputs are required, variables with the attribute role = 'input' or 'output'"
        got = ", ".join(f"{name} ({one.attrs['role']})" for name, one in found.items()) or "none"
        raise DatasetError(f"{required}, got {got}")
    for name, one in found.items():
        if one.dims[:1] != ("sample",) or one.dtype.kind not in "fiub":
            raise DatasetError(
                f"{name} must hold real numbers with the samples along its first axis, it has {one.dtype} {one.dims}"
            )
    return found


def join(dataset: xr.Dataset, variables: Mapping[str, xr.DataArray]) -> tuple[dict[str, list[xr.DataArray]], np.ndarray | None]:
    """Join the first time and the later times of each field again.

    Returns:
        For each field its parts along time, one part for a field without time, and the times, None if no field has any.

    Raises:
        DatasetError: if only some of the variables along time have a first time.
    """
    moving = [name for name, one in variables.items() if "time" in one.dims]
    first = [name for name in moving if INITIAL + name in variables]
    if not moving:
        return {name: [one] for name, one in variables.items()}, None
    if first and len(first) < len(moving):
        lacking = next(name for name in moving if name not in first)
        example = f"{INITIAL}{first[0]} begins {first[0]}"
        raise DatasetError(
            f"all variables along time must begin at the same time: {example}, but there is no {INITIAL}{lacking}"
        )
    parts = {}
    for name, one in variables.items():
        if name in first:
            begin = expanded(variables[INITIAL + name], "time", 1, 1)
            if begin.dims != one.dims:
                got = f"{INITIAL}{name} has {variables[INITIAL + name].dims}, {name} has {one.dims}"
                raise DatasetError(f"the first time of a field must have the same axes as the later ones: {got}")
            parts[name] = [begin, one]
        elif name.removeprefix(INITIAL) not in first:
            parts[name] = [one]
    return parts, _times(dataset, begins=bool(first))


def _times(dataset: xr.Dataset, *, begins: bool) -> np.ndarray:
    size = dataset.sizes["time"]
    times = np.asarray(dataset["time"].values) if "time" in dataset.variables else np.arange(begins, size + begins)
    if times.dtype.kind not in "fiu":
        raise DatasetError(f"the coordinates of time must be numbers, they are {times.dtype}: convert them")
    if not begins:
        return times
    start = dataset.attrs.get(FIRST_TIME, 0 if times[0] > 0 else None)
    if start is None or not start < times[0]:
        got = f"it is {start!r}, and the next time is {times[0]}"
        raise DatasetError(f"the global attribute {FIRST_TIME} must be the time of the first state: {got}")
    return np.concatenate([np.array([start]).astype(times.dtype if times.dtype.kind == "f" else "f8"), times])


def blocks(
    parts: list[xr.DataArray], rows: np.ndarray, *, moving: bool, is_sampled: bool
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the values of some samples at a time, with their place; the parts of a moving field are joined along time."""
    if not is_sampled:
        yield slice(None), np.concatenate([part.values for part in parts], axis=0) if moving else parts[0].values
        return
    sample = max(1, sum(part.nbytes // max(1, part.sizes["sample"]) for part in parts))
    step = max(1, BLOCK_BYTES // sample)
    for start in range(0, len(rows), step):
        some = [part.isel(sample=rows[start : start + step]).values for part in parts]
        values = np.concatenate(some, axis=1) if moving else some[0]
        yield slice(start, start + len(values)), values


def write_texts(item: h5py.Dataset | h5py.Group, attributes: Mapping[str, Any], prefix: str = "") -> None:
    """Write units, names, roles and so on as attributes, which the loaders of other programs ignore."""
    for name in MEANING:
        if is_told(attributes.get(name)):
            item.attrs[prefix + name] = attributes[name]
