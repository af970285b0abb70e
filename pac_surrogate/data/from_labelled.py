"""Datasets of xarray Datasets: which variables are inputs and outputs, which dimension is the sample, and what they mean.

    role         attribute of a variable, "input" or "output": its side, where names are not given
    position     attribute of a variable, its place on its side
    split        variable along the sample: 0 train, 1 valid, 2 test
    subset_order variable (sample, draw): rank of the sample in each order of the train split

Units, long names, bounds and scaling are attributes too, as in our own files (see `files.layout`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pac_surrogate.data.arrays import as_numbers
from pac_surrogate.data.description import UNKNOWN, bounded, complete_description, describe_variables
from pac_surrogate.data.labelled import POSITION, coordinate_in, is_labelled, with_dims, with_samples
from pac_surrogate.data.missing_values import Missing
from pac_surrogate.data.names import check_unit, choose, named_exactly
from pac_surrogate.data.origins import Arrays, Labelled, file_state
from pac_surrogate.files import Description, Variable
from pac_surrogate.files.layout import AXIS_ORDER, BOUNDS
from pac_surrogate.files.splits import ORDER, SPLITS, order_by
from pac_surrogate.files.variables import UNBOUNDED, Bounds, Scaling, as_axes
from pac_surrogate.utilities.arguments import as_options, got
from pac_surrogate.utilities.display import listed

if TYPE_CHECKING:
    import xarray as xr

SAMPLES = ("sample", "realization")  # names of the sample dimension, where several dimensions may be it


def describe_labelled(
    dataset: Any,
    inputs: Any,
    outputs: Any,
    like: Any,
    sample: str | None,
    *,
    axes: Mapping[str, Sequence[str]] | None,
    units: Mapping[str, str] | None,
    scaling: Mapping[str, Scaling] | None,
    bounds: Mapping[str, Bounds] | Bounds | None,
    missing: Missing | None,
    attributes: Mapping[str, Any] | None,
    path: Path | None = None,
    **options: Any,
) -> tuple[Arrays | Labelled, Description]:
    """Return the numbers of an xarray Dataset and their description; see `Dataset.from_xarray`.

    Args:
        dataset: the Dataset.
        inputs: names or patterns of the input variables.
        outputs: likewise, of the output variables.
        like: whatever has the same variables; properties that the dataset does not state are taken from it.
        sample: the dimension of the samples.
        axes: names of the axes of a variable, without the sample, by its name.
        units: units by the name of the variable.
        scaling: scaling by the name of the variable.
        bounds: bounds of the outputs.
        missing: what is done where numbers are missing; then all are read into memory.
        attributes: global attributes.
        path: the file from which the numbers are read when they are needed; None if they are in memory.
        options: fractions and seed of the splits.
    """
    names = labelled_sides(dataset, inputs, outputs, like)
    every = [*names[0], *names[1]]
    dataset = with_samples(dataset, every)
    sample = sample_dimension(dataset, every, sample)
    dataset = with_axes(dataset, as_options("axes", axes, every, ("x",)), sample)
    named = [*dict.fromkeys(str(dim) for name in every for dim in dataset[name].dims), *every]
    units, scaling = as_options("units", units, named, "K"), as_options("scaling", scaling, every, "log")
    known = {} if like is None else {variable.name: variable for variable in (*like.inputs, *like.outputs)}
    sides = []
    for side in names:
        found = [variable_in(dataset, name, sample) for name in side]
        for v in found:
            check_unit(v.name, v.units, units.get(v.name, v.units))
        found = [replace(v, units=units.get(v.name, v.units), scaling=scaling.get(v.name, v.scaling)) for v in found]
        scaled = scaling.keys() | {name for name in side if "scaling" in dataset[name].attrs}
        sides.append([informed(v, known[v.name], scaled=v.name in scaled) if v.name in known else v for v in found])
    sides[1] = bounded(sides[1], bounds)
    points = dict.fromkeys(axis for side in sides for variable in side for axis in variable.axes)
    stored = [one for axis in points if (one := coordinate_in(dataset, axis)) is not None]
    coordinates = [replace(one, units=units.get(one.name, one.units)) for one in stored]
    told = {**plain_attributes(dataset.attrs, {**UNKNOWN, "seed": 0}), **(attributes or {})}
    samples = dataset.sizes[sample]
    if samples == 0:
        raise ValueError(f"at least one sample is required, the dimension {sample} has none")
    split, ranks = split_in(dataset, sample), ranks_in(dataset, sample)
    labels = None if sample in every else coordinate_in(dataset, sample)
    if split is not None and (options["valid"] or options["test"]):
        raise ValueError("valid and test cannot be drawn, the data have a variable split: leave them out, or drop it")
    options |= {"attributes": told}
    if missing is None and path is not None:
        described = complete_description(sides[0], sides[1], samples, coordinates, **options)
        split = described.split if split is None else split
        order = None if ranks is None else order_by(ranks, split)
        described = replace(described, labels=labels, split=split, subset_order=order)
        return Labelled(dataset, sample, path, file_state(path)), described
    arrays = {v.name: as_numbers(v.name, dataset[v.name].transpose(sample, *v.axes).values) for side in sides for v in side}
    sides = [[replace(v, dtype=arrays[v.name].dtype.name) for v in side] for side in sides]
    options |= {"labels": labels, "split": split, "ranks": ranks, "missing": missing}
    arrays, described = describe_variables(arrays, sides[0], sides[1], coordinates, **options)
    return Arrays(arrays, path), described


def labelled_sides(dataset: "xr.Dataset", inputs: Any, outputs: Any, like: Any) -> tuple[list[str], list[str]]:
    """Return the names of the input and output variables, as names, patterns, another dataset or their roles choose them.

    Raises:
        ValueError: if a side is missing, or a name does not exist.
    """
    if not is_labelled(dataset):
        remedy = ": to_dataset(name=...) makes one" if hasattr(dataset, "to_dataset") else ""
        raise ValueError(f"a Dataset of xarray is required, got {got(dataset)}{remedy}")
    points = [str(name) for name in dataset.variables if name in dataset.dims]
    # Coordinates of a dimension are variables only if they are named, so that patterns do not choose them.
    hidden = set(points) - {name for wanted in (inputs, outputs) for name in named_exactly(wanted, points)}
    names = [str(name) for name in dataset.variables if name not in hidden]
    sides: list[Any] = []
    for side, role, wanted in (("inputs", "input", inputs), ("outputs", "output", outputs)):
        known = [variable.name for variable in getattr(like, side)] if like is not None else []
        marked = [name for name in names if dataset[name].attrs.get("role") == role]
        marked = sorted(marked, key=lambda name: _position(dataset[name].attrs))
        if wanted is None and not (known or marked):
            raise ValueError(
                f"{side}= must name variables of the data, which have {listed([with_dims(dataset, n) for n in names])}"
            )
        sides.append(known or marked if wanted is None else wanted)
    chosen = choose("inputs", sides[0], names, "the data", taken=named_exactly(sides[1], names))
    return chosen, choose("outputs", sides[1], names, "the data", taken=chosen)


def sample_dimension(dataset: "xr.Dataset", names: Sequence[str], sample: str | None) -> str:
    """Return the dimension of the samples: the one that all variables of these names share.

    Of several it is `sample`, `realization` or the unlimited one.

    Raises:
        ValueError: if there is none, or it cannot be told; the message asks for `sample=`.
    """
    shared = [str(dim) for dim in dataset[names[0]].dims if all(dim in dataset[name].dims for name in names)]
    shown = listed([with_dims(dataset, name) for name in names])
    if sample is not None:
        if sample not in shared:
            raise ValueError(f"sample= must name a dimension of all inputs and outputs, got {got(sample)}; they are {shown}")
        return sample
    if len(shared) == 1:
        return shared[0]
    if not shared:
        raise ValueError(f"inputs and outputs need one dimension in common, the sample; they are {shown}")
    unlimited = [dim for dim in shared if dim in dataset.encoding.get("unlimited_dims", ())]
    for some in ([dim for dim in SAMPLES if dim in shared][:1], unlimited):
        if len(some) == 1:
            return some[0]
    raise ValueError(f"sample= must say which dimension is the sample: {listed(shared)} are common to all inputs and outputs")


def with_axes(dataset: "xr.Dataset", axes: Mapping[str, Sequence[str]], sample: str) -> "xr.Dataset":
    """Return a dataset in which the axes of some variables have other names, and coordinates if a variable has their name.

    Raises:
        ValueError: if the numbers of axes or of points disagree.
    """
    for name, given in axes.items():
        variable = dataset[name].variable.copy(deep=False)
        before = [dim for dim in variable.dims if dim != sample]
        own = as_axes(name, given, len(before))
        if len(own) != len(before) or len(set(own)) < len(own):
            raise ValueError(
                f"{name} needs one name for each axis but the sample, {with_dims(dataset, name)}, got {got(given)}"
            )
        new = dict(zip(before, own, strict=True))
        variable.dims = tuple(new.get(dim, dim) for dim in variable.dims)
        points = {}
        for old, axis in new.items():
            if axis in dataset.variables and axis != old:
                point = dataset[axis].variable.squeeze()
                if point.shape != (dataset.sizes[old],):
                    raise ValueError(f"{axis} must have {dataset.sizes[old]} coordinates, it is {with_dims(dataset, axis)}")
                points[axis] = ((axis,), point.values, point.attrs)
        dataset = dataset.drop_vars([name, *points]).assign({name: variable}).assign_coords(points)
    return dataset


def variable_in(dataset: "xr.Dataset", name: str, sample: str) -> Variable:
    """Return the description of a variable, whose known axes are put into our order.

    Raises:
        ValueError: if it does not hold numbers.
    """
    array = dataset[name]
    if array.dtype.kind not in "fiub":
        remedy = "subtract a reference and divide by a unit" if array.dtype.kind in "mM" else "number them, or leave it out"
        raise ValueError(f"{name} must hold real numbers, it holds {array.dtype}: {remedy}")
    sizes = {str(dim): size for dim, size in array.sizes.items() if dim != sample}
    axes = in_order(list(sizes))
    attributes: Any = {key: array.attrs[key] for key in ("units", "long_name", "scaling") if key in array.attrs}
    return Variable(
        name,
        axes,
        tuple(sizes[axis] for axis in axes),
        str(attributes.get("units", "1")),
        str(attributes.get("long_name", "")),
        scaling=attributes.get("scaling", "standard"),
        dtype="float32" if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else "float64",
        bounds=(array.attrs.get(BOUNDS[0]), array.attrs.get(BOUNDS[1])),
    )


def informed(variable: Variable, known: Variable, *, scaled: bool) -> Variable:
    """Return a variable with the axes in the order of a known variable of this name, and with its unknown properties.

    Args:
        variable: the variable.
        known: the known variable.
        scaled: whether the scaling of the variable is known.

    Raises:
        ValueError: if the units differ.
    """
    if "1" not in (variable.units, known.units) and variable.units != known.units:
        raise ValueError(f"{variable.name} must be in {known.units}, as in like=, got {variable.units}: convert it")
    sizes = dict(zip(variable.axes, variable.shape, strict=True))
    axes = known.axes if set(known.axes) == set(variable.axes) else variable.axes
    return replace(
        variable,
        axes=axes,
        shape=tuple(sizes[axis] for axis in axes),
        units=known.units if variable.units == "1" else variable.units,
        long_name=known.long_name if variable.long_name == variable.name else variable.long_name,
        scaling=variable.scaling if scaled else known.scaling,
        bounds=known.bounds if variable.bounds == UNBOUNDED else variable.bounds,
    )


def in_order(axes: Sequence[str]) -> tuple[str, ...]:
    """Return axes with time, x, y, z and channel in this order, at the places that they have together."""
    known = iter(sorted((axis for axis in axes if axis in AXIS_ORDER), key=AXIS_ORDER.index))
    return tuple(next(known) if axis in AXIS_ORDER else axis for axis in axes)


def split_in(dataset: "xr.Dataset", sample: str) -> np.ndarray | None:
    """Return the variable `split` as int8, or None if there is none along the sample.

    Raises:
        ValueError: if it holds anything but 0, 1 and 2.
    """
    if "split" not in dataset.variables or dataset["split"].dims != (sample,):
        return None
    values = np.asarray(dataset["split"].values)
    if not np.isin(values, range(len(SPLITS))).all():
        raise ValueError(f"split must hold 0 (train), 1 (valid) and 2 (test), got {values[~np.isin(values, range(3))][0]}")
    return values.astype(np.int8)


def ranks_in(dataset: "xr.Dataset", sample: str) -> np.ndarray | None:
    """Return the variable `subset_order` along the sample, or None if there is none.

    Raises:
        ValueError: if it does not hold whole numbers.
    """
    if ORDER not in dataset.variables or dataset[ORDER].dims != (sample, "draw") or not dataset.sizes["draw"]:
        return None
    values = np.asarray(dataset[ORDER].values)
    if values.dtype.kind not in "iu":
        raise ValueError(f"{ORDER} must hold the rank of each sample in each draw, whole numbers, it holds {values.dtype}")
    return values


def plain_attributes(attributes: Mapping[Any, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts and numbers among attributes, without those that are not of the kind that a data file needs."""
    plain = {str(key): value for key, value in attributes.items() if isinstance(value, str | int | float | np.number)}
    return {
        key: value
        for key, value in plain.items()
        if key not in expected or isinstance(value, str) is isinstance(expected[key], str)
    }


def _position(attributes: Mapping[str, Any]) -> float:
    found = attributes.get(POSITION)
    return float(found) if isinstance(found, int | float | np.number) else 0.0
