"""Writing of PDEBench in the layout that holds the variables.

    tensor          one field over time along x
    darcy           one field without time along x and y that depends on another
    groups          one field over time with components, the axis channel, or whatever was read from a file of groups
    incompressible  velocity, with components, and particles over time, and perhaps a force without time
    compressible    all other fields over time, each in a dataset; the loader reads density, pressure, Vx, ... of those

What PDEBench has no place for, such as units or a number for each sample, stands in further attributes and datasets, which its
loader does not read. The layouts are described in `pdebench.py`.
"""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.files.splits import ORDER
from pac_surrogate.files.storage import create_hdf5
from pac_surrogate.formats.errors import writing
from pac_surrogate.formats.kinds import holds
from pac_surrogate.formats.pdebench import COORDINATE, INCOMPRESSIBLE, LAYOUT, NAME, SPLIT
from pac_surrogate.formats.trajectories import AXES, FIRST_TIME, INITIAL, TIMES, blocks, join, roles_of, write_texts

GENERATED = ("schema_version", FIRST_TIME, LAYOUT)
Fields = Mapping[str, list[xr.DataArray]]  # the parts of each field along time, by its name


def write_pdebench(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a Dataset as a file of PDEBench.

    Args:
        path: path of the file; only one of PDEBench is replaced.
        dataset: inputs and outputs, variables with the attribute `role` and the dimension `sample` first. `initial_u` and `u`
            (sample, time, ...) are joined along time; spatial axes are x, y and z, and the axis of components is channel.

    Raises:
        DatasetError: if the path must not be written to, or no layout holds the variables.
    """
    path = Path(path)
    with writing(path):
        fields, times = join(dataset, roles_of(dataset))
        layout, spatial = _layout(fields, wanted=dataset.attrs.get(LAYOUT))
        if layout in ("groups", "incompressible") and "channel" in dataset.coords:
            raise DatasetError("PDEBench does not name the components of a field: drop the coordinate channel, or write netCDF")
        names = _names(fields, times, spatial) if layout == "fields" else {}
        with (
            replacing(path, Kind("a file of PDEBench", holds("pdebench"))) as temporary,
            create_hdf5(temporary, path) as (file, check),
        ):
            others: Fields = fields
            if layout == "groups":
                others = _write_groups(file, fields, _axes(dataset, spatial, times), dataset)
            elif layout == "incompressible":
                others = _write_incompressible(file, fields, times, dataset)
            for name, parts in others.items():
                stored = names.get(name, name)
                # The solution of Darcy's equation has an axis of one time.
                _write_field(file, stored, name, parts, 1 if stored == "tensor" and "time" not in parts[-1].dims else None)
            if layout == "fields":
                for axis, points in _axes(dataset, spatial, times).items():
                    _write_axis(file, axis + COORDINATE, axis, points, dataset)
            for name in (SPLIT, ORDER):
                if name in dataset:
                    file[name] = np.asarray(dataset[name].values)
            for name, value in dataset.attrs.items():
                if name not in (*GENERATED, "config" if layout == "groups" else ""):
                    file.attrs[str(name)] = value
            check()


def _layout(fields: Fields, *, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """Return "groups", "incompressible" or, for the layouts with fields in the root, "fields", and the spatial axes.

    Raises:
        DatasetError: if no layout holds the axes of the fields.
    """
    axes = {name: {str(dim) for dim in parts[-1].dims} - {"sample"} for name, parts in fields.items()}
    moving = [name for name, own in axes.items() if "time" in own]
    space = set().union(*axes.values()) - {"time", "channel"}
    fits = bool(space) and space <= set(AXES) and all(own - {"time", "channel"} in (set(), space) for own in axes.values())
    fits &= all(own & space or not own for own in axes.values())
    if fits and sorted(space) != list(AXES[: len(space)]):
        got = ", ".join(sorted(space))
        raise DatasetError(f"PDEBench names the axes x, y, z in this order, the dataset has {got}: rename them")
    spatial = AXES[: len(space)]
    flow = fits and sorted(moving) == ["particles", "velocity"] and "channel" in axes["velocity"]
    if flow and axes.get("force", space) - {"channel"} == space:
        return "incompressible", spatial
    if fits and len(moving) == 1 and ("channel" in axes[moving[0]] or wanted == "groups"):
        return "groups", spatial
    if not fits or any("channel" in own for own in axes.values()):
        got = "; ".join(f"{name} ({', '.join(map(str, parts[-1].dims))})" for name, parts in fields.items())
        raise DatasetError(
            "PDEBench holds fields along time and along x, y and z, one of them or velocity and particles with components, or "
            f"one field along x and y that depends on another, the dataset has {got}: write netCDF"
        )
    return "fields", spatial


def _names(fields: Fields, times: np.ndarray | None, spatial: tuple[str, ...]) -> dict[str, str]:
    """Return the names that PDEBench gives to fields in the root, by their own names.

    Raises:
        DatasetError: if no layout holds them.
    """
    if times is not None:
        moving = [name for name, parts in fields.items() if "time" in parts[-1].dims]
        return {moving[0]: "tensor"} if len(moving) == 1 and len(spatial) == 1 else {}
    steady: dict[str, list[str]] = {"input": [], "output": []}
    for name, parts in fields.items():
        if parts[0].ndim > 1:
            steady[parts[0].attrs["role"]].append(name)
    if [len(names) for names in steady.values()] != [1, 1] or len(spatial) != 2:
        got = f"got {len(steady['input'])} and {len(steady['output'])} along {', '.join(spatial)}"
        raise DatasetError(f"PDEBench holds one input and one output field along x and y without time, {got}: write netCDF")
    return {steady["input"][0]: "nu", steady["output"][0]: "tensor"}


def _write_groups(file: h5py.File, fields: Fields, axes: Mapping[str, np.ndarray], dataset: xr.Dataset) -> Fields:
    """Write the field over time in a group for each sample, and return the other fields.

    The configuration, which belongs to the first sample, is an attribute of its group.
    """
    (name,) = (name for name, parts in fields.items() if "time" in parts[-1].dims)
    parts = _in_order(fields[name])
    for place, values in blocks(parts, np.arange(parts[-1].sizes["sample"]), moving=True, is_sampled=True):
        for row, value in enumerate(values, start=place.start):
            group = file.create_group(f"{row:04}")
            stored = group.create_dataset("data", data=value if "channel" in parts[-1].dims else value[..., None])
            if row == 0:
                _describe(stored, name, "data", parts)
            for axis, points in axes.items():
                _write_axis(group.require_group("grid"), axis, axis, points, dataset)
    if "config" in dataset.attrs:
        file["0000"].attrs["config"] = dataset.attrs["config"]
    return {other: own for other, own in fields.items() if other != name}


def _write_incompressible(file: h5py.File, fields: Fields, times: np.ndarray | None, dataset: xr.Dataset) -> Fields:
    """Write velocity, particles, force and the times of each sample, and return the other fields."""
    if TIMES in dataset.coords:
        first = [dataset[INITIAL + TIMES].values[:, None]] if INITIAL + TIMES in dataset.coords else []
        file["t"] = np.concatenate([*first, dataset[TIMES].values], axis=1)
    else:
        file["t"] = np.tile(times, (dataset.sizes["sample"], 1))  # type: ignore[arg-type]
        write_texts(file["t"], dataset["time"].attrs if "time" in dataset.coords else {})
    for name in INCOMPRESSIBLE:
        if name in fields:
            _write_field(file, name, name, fields[name], None if "channel" in fields[name][-1].dims else -1)
    for axis in AXES:
        if axis in dataset.coords:
            _write_axis(file, axis + COORDINATE, axis, dataset[axis].values, dataset)
    return {name: parts for name, parts in fields.items() if name not in INCOMPRESSIBLE}


def _in_order(parts: list[xr.DataArray]) -> list[xr.DataArray]:
    axes = [dim for dim in ("sample", "time", *AXES, "channel") if dim in parts[-1].dims]
    return [part.transpose(*axes) for part in parts]


def _write_field(file: h5py.File, stored_name: str, name: str, parts: list[xr.DataArray], extra: int | None) -> None:
    """Write a field; `extra` is the place of an axis of length 1 that PDEBench has and the field has not."""
    moving = "time" in parts[-1].dims
    parts = _in_order(parts)
    shape = list(parts[-1].shape)
    if moving:
        shape[1] = sum(part.sizes["time"] for part in parts)
    if extra is not None:
        shape.insert(extra % (len(shape) + 1), 1)
    taken = stored_name in file or stored_name in (SPLIT, ORDER) or stored_name.endswith(COORDINATE) or stored_name.isdigit()
    if taken or "/" in stored_name:
        raise DatasetError(f"PDEBench uses the name {stored_name!r} itself: rename the variable")
    stored = file.create_dataset(stored_name, tuple(shape), parts[-1].dtype)
    for place, values in blocks(parts, np.arange(shape[0]), moving=moving, is_sampled=True):
        stored[place] = values if extra is None else np.expand_dims(values, extra)
    _describe(stored, name, stored_name, parts)


def _describe(stored: h5py.Dataset, name: str, stored_name: str, parts: list[xr.DataArray]) -> None:
    """Write what a field is as attributes."""
    write_texts(stored, parts[-1].attrs)
    beginning = parts[0].attrs if len(parts) > 1 else {}
    moving = "time" in parts[-1].dims
    write_texts(stored, {**beginning, "role": "none" if moving and len(parts) == 1 else ""}, INITIAL)
    if stored_name != name:
        stored.attrs[NAME] = name


def _axes(dataset: xr.Dataset, spatial: tuple[str, ...], times: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the coordinates of the axes, by the names of PDEBench."""
    found = {
        axis: dataset[axis].values if axis in dataset.coords else np.arange(dataset.sizes[axis], dtype=np.float32)
        for axis in spatial
    }
    return found if times is None else {**found, "t": times}


def _write_axis(group: h5py.Group, stored_name: str, axis: str, points: np.ndarray, dataset: xr.Dataset) -> None:
    axis = "time" if axis == "t" else axis
    if points.dtype.kind not in "fiu":
        raise DatasetError(f"the coordinates of {axis} must be numbers, they are {points.dtype}: convert them")
    stored = group.create_dataset(stored_name, data=points)
    attributes = dataset[axis].attrs if axis in dataset.coords else {}
    write_texts(stored, {name: text for name, text in attributes.items() if name in ("units", "long_name")})
