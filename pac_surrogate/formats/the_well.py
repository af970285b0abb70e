"""Reading of The Well: one HDF5 file, or a folder with the files of each split, whose samples follow each other.

    /                       dataset_name, grid_type, n_spatial_dims, n_trajectories, simulation_parameters
    /dimensions             time, x, y, z; spatial_dims
    /boundary_conditions    kept as JSON in the attribute boundary_conditions
    /scalars                a number, or numbers (sample), (sample, time)
    /t0_fields, /t1_fields, /t2_fields    scalars, vectors and tensors of rank 2 (sample, time, x, y, z, D, D)

The components of a vector are along `channel`, and those of a tensor too, in row-major order. Where a file has both, those of
the tensors are along `component`. What varies neither with the sample nor between the files is an attribute if it is a number,
and else a coordinate; it is no input, since it does not tell samples apart.
Source: Ohana et al., The Well, NeurIPS 2024; the package the_well 1.2.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import DatasetError, as_text
from pac_surrogate.files.netcdf_reader import open_netcdf
from pac_surrogate.files.splits import SPLITS
from pac_surrogate.formats.errors import reading
from pac_surrogate.formats.kinds import well_files
from pac_surrogate.formats.lazy import Hdf5Source, Source, Stacked, lazy_variable, relabelled
from pac_surrogate.formats.plain_hdf5 import check_storage, meaning, simple_attributes
from pac_surrogate.formats.trajectories import INITIAL, REPEATED, TIMES, Repeated, divide, later_times, said_of
from pac_surrogate.utilities.display import Shown

DERIVED = ("n_spatial_dims", "n_trajectories")
LARGEST_MASK = 2**20
MOST_VALUES = 2**10


@dataclass(eq=False, repr=False)
class Stored(Shown):
    """A field or scalar of a file: the names of its axes, its numbers, and what the file says of it."""

    dims: tuple[str, ...]
    source: Source
    texts: dict[str, Any]
    beginning: dict[str, Any]
    repeated: tuple[str, ...] = ()  # axes along which the file repeats it

    @property
    def sizes(self) -> list[tuple[str, int]]:
        """The axes with their lengths."""
        return list(zip(self.dims, self.source.shape, strict=True))


@dataclass(eq=False, repr=False)
class WellFile(Shown):
    """The contents of a file."""

    path: Path
    samples: int
    attributes: dict[str, Any]
    axes: dict[str, np.ndarray] = field(default_factory=dict)  # coordinates (axis) or (sample, axis)
    axis_texts: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, np.ndarray] = field(default_factory=dict)  # of all samples () or (sample)
    stored: dict[str, Stored] = field(default_factory=dict)
    number_texts: dict[str, dict[str, Any]] = field(default_factory=dict)
    spatial: tuple[str, ...] = ()


def open_the_well(path: Path) -> xr.Dataset:
    """Open a file of The Well, or the folder `<name>` with `data/{train,valid,test}/*.hdf5`, lazily.

    A folder gives a variable `split` (sample): 0 train, 1 valid, 2 test.

    Raises:
        DatasetError: if a file lacks a part, or the files disagree; the message names the file.
    """
    if not path.is_dir():
        return _combine([_read(path)])
    files, split = [], []
    for number, paths in enumerate(well_files(path).values()):
        for one in paths:
            with reading(one):
                files.append(_read(one))
            split.append(np.full(files[-1].samples, number, np.int8))
    flags = {
        "long_name": "what the sample is for",
        "flag_values": np.arange(3, dtype=np.int8),
        "flag_meanings": " ".join(SPLITS),
    }
    return _combine(files).assign(split=("sample", np.concatenate(split), flags))


def _read(path: Path) -> WellFile:
    with open_netcdf(path) as file:
        attributes = simple_attributes(file)
        found = WellFile(path, int(attributes["n_trajectories"]), attributes)
        dimensions = file["dimensions"]
        found.spatial = tuple(_texts(dimensions.attrs["spatial_dims"]))
        for name in ("time", *found.spatial):
            found.axes[name] = np.asarray(check_storage(dimensions[name])[()])
            found.axis_texts[name] = meaning(dimensions[name], ("units", "long_name"))
        orders = {order: file[f"t{order}_fields"] for order in range(3) if f"t{order}_fields" in file}
        both = all(len(_names(orders[order])) for order in (1, 2) if order in orders) and {1, 2} <= set(orders)
        for order, group in orders.items():
            for name in _names(group):
                _add_field(found, name, group[name], order, "component" if both and order == 2 else "channel")
        for name in _names(file["scalars"]) if "scalars" in file else ():
            _add_scalar(found, name, file["scalars"][name])
        if len(file.get("boundary_conditions", ())):
            conditions = {as_text(name): _condition(group) for name, group in file["boundary_conditions"].items()}
            found.attributes["boundary_conditions"] = json.dumps(conditions, sort_keys=True)
    return found


def _names(group: h5py.Group) -> list[str]:
    return [name for name in _texts(group.attrs.get("field_names", list(group))) if name in group]


def _texts(value: Any) -> list[str]:
    """Return the texts of an attribute, which some files store as a single text."""
    return [as_text(one) for one in np.atleast_1d(np.asarray(value, dtype=object))]


def _flag(item: h5py.Dataset | h5py.Group, name: str) -> bool:
    return bool(np.all(item.attrs.get(name, False)))


def _add_field(found: WellFile, name: str, dataset: h5py.Dataset, order: int, channel: str) -> None:
    check_storage(dataset)
    varying = np.atleast_1d(dataset.attrs.get("dim_varying", np.ones(len(found.spatial), bool)))
    dims = [
        axis for axis, has in (("sample", _flag(dataset, "sample_varying")), ("time", _flag(dataset, "time_varying"))) if has
    ]
    dims += [axis for axis, has in zip(found.spatial, varying, strict=True) if has]
    merged = order == 2 and dataset.ndim == len(dims) + 1  # the specification has D^2 components, the checker D x D
    if dataset.ndim != len(dims) + order and not merged:
        required = f"{name!r} must have the axes {', '.join(dims)} and {order} of components"
        raise DatasetError(f"{required}, its shape is {dataset.shape}: rewrite the file")
    merge = order == 2 and not merged
    shape = (*dataset.shape[:-2], dataset.shape[-2] * dataset.shape[-1]) if merge else dataset.shape
    source = Hdf5Source(found.path, dataset.name, shape, dataset.dtype, merge=merge)
    if order:
        components = found.spatial if order == 1 else tuple(a + b for a in found.spatial for b in found.spatial)
        dims.append(channel)
        if len(components) == shape[-1]:
            found.axes[channel] = np.array(components)
    repeated = json.loads(str(dataset.attrs.get(REPEATED, "[]")))
    found.stored[name] = Stored(tuple(dims), source, *said_of(simple_attributes(dataset)), tuple(repeated))


def _add_scalar(found: WellFile, name: str, dataset: h5py.Dataset) -> None:
    check_storage(dataset)
    if _flag(dataset, "time_varying"):
        dims = ("sample", "time") if _flag(dataset, "sample_varying") else ("time",)
        source = Hdf5Source(found.path, dataset.name, dataset.shape, dataset.dtype)
        found.stored[name] = Stored(dims, source, *said_of(simple_attributes(dataset)))
    else:
        value = np.asarray(dataset[()])
        found.numbers[name] = value.reshape(()) if value.size == 1 and not _flag(dataset, "sample_varying") else value
        found.number_texts[name] = meaning(dataset)


def _condition(group: h5py.Group) -> dict[str, Any]:
    """Return a boundary condition as plain values: `mask` holds the places, in C order, to which it applies."""
    told: dict[str, Any] = {"bc_type": as_text(group.attrs.get("bc_type", ""))}
    for name in ("associated_dims", "associated_fields"):
        value = np.asarray(group.attrs.get(name, []))
        told[name] = _texts(value) if value.size and value.dtype.kind in "OSU" else []
    for name in ("sample_varying", "time_varying"):
        told[name] = _flag(group, name)
    if "mask" in group and group["mask"].size <= LARGEST_MASK:
        places = np.flatnonzero(check_storage(group["mask"])[()])
        if len(places) <= MOST_VALUES:
            told |= {"mask": places.tolist(), "shape": list(group["mask"].shape)}
    if "values" in group and group["values"].size <= MOST_VALUES:
        told["values"] = np.asarray(check_storage(group["values"])[()]).tolist()
    return told


def _combine(files: list[WellFile]) -> xr.Dataset:
    first = files[0]
    for other in files[1:]:
        for what in ("spatial", "stored", "numbers"):
            held, there = tuple(getattr(first, what)), tuple(getattr(other, what))
            if held != there:
                got = f"{first.path.name} has {', '.join(held) or 'none'}, this one {', '.join(there) or 'none'}"
                raise DatasetError(f"{other.path}: all files of a dataset must hold the same: {got}")
        for name, one in first.stored.items():
            ours, theirs = ({axis: size for axis, size in s.sizes if axis != "sample"} for s in (one, other.stored[name]))
            if one.dims != other.stored[name].dims or ours != theirs:
                raise DatasetError(f"{other.path}: {name} must have the axes {ours} of {first.path.name}, it has {theirs}")
    variables: dict[str, xr.Variable] = {}
    coordinates: dict[str, xr.Variable] = {}
    shared: dict[str, xr.Variable] = {}
    for name, stored in first.stored.items():
        whole, is_sampled = _stack([file.stored[name] for file in files], [file.samples for file in files])
        if is_sampled:
            variables.update(divide(name, whole, stored.texts, stored.beginning))
        else:
            shared[name] = whole
    is_divided = any(name.startswith(INITIAL) and name.removeprefix(INITIAL) in variables for name in variables)
    for name, whole in shared.items():
        parts = divide(name, whole, first.stored[name].texts, {} if is_divided else {"role": "none"})
        for part, variable in parts.items():
            coordinates[part] = relabelled(variable, {key: text for key, text in variable.attrs.items() if key != "role"})
    attributes = {name: value for name, value in first.attributes.items() if name not in DERIVED}
    if attributes.get("simulation_parameters") == "[]":
        del attributes["simulation_parameters"]
    for name, value in first.numbers.items():
        if all(file.numbers[name].ndim == 0 and file.numbers[name] == value for file in files):
            attributes[name] = value.item()
        else:
            values = np.concatenate([np.broadcast_to(file.numbers[name], file.samples) for file in files])
            variables[name] = xr.Variable(("sample",), values, {"role": "input", **first.number_texts[name]})
            attributes.pop(name, None)
    has_time = is_divided or any("time" in one.dims for one in variables.values())
    for name in first.axes:
        if name != "time" or has_time:
            found, more = _coordinate(name, files, divided=is_divided)
            coordinates.update(found)
            attributes.update(more)
    return xr.Dataset(variables, attrs=attributes).assign_coords(coordinates)


def _stack(parts: list[Stored], samples: list[int]) -> tuple[xr.Variable, bool]:
    """Return the variable of all files, and whether it varies with the sample."""
    dims = parts[0].dims
    one = dict.fromkeys(parts[0].repeated, 0)
    if dims[:1] == ("sample",):
        return lazy_variable(dims, Stacked(tuple(part.source for part in parts))).isel(one), True
    if len(parts) == 1:
        return lazy_variable(dims, parts[0].source).isel(one), False
    repeated = [Repeated(part.source, count) for part, count in zip(parts, samples, strict=True)]
    return lazy_variable(("sample", *dims), Stacked(tuple(repeated))).isel(one), True


def _coordinate(name: str, files: list[WellFile], *, divided: bool) -> tuple[dict[str, xr.Variable], dict[str, float]]:
    """Return the coordinates of an axis, and its first time; points that differ between samples are a coordinate beside it."""
    texts = files[0].axis_texts.get(name, {})
    values = [file.axes[name] for file in files]
    if values[0].ndim == 1 and all(np.array_equal(one, values[0]) for one in values):
        shared = values[0]
    else:
        rows = np.concatenate(
            [np.broadcast_to(one, (file.samples, one.shape[-1])) for one, file in zip(values, files, strict=True)]
        )
        shared = rows[0]
        if not (rows == shared).all():
            beside = TIMES if name == "time" else f"{name}_points"
            if name == "time" and divided:
                first = xr.Variable(("sample",), rows[:, 0], texts)
                return {INITIAL + beside: first, beside: xr.Variable(("sample", name), rows[:, 1:], texts)}, {}
            return {beside: xr.Variable(("sample", name), rows, texts)}, {}
    if name != "time":
        return {name: xr.Variable((name,), shared, texts)}, {}
    times, more = later_times(shared, divided=divided)
    return {name: xr.Variable((name,), times, texts)}, more
