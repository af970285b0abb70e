"""Writing of PDEBench in that of three of its layouts that holds the variables.

One field over time along x is `tensor`; one field without time along x and y that depends on another is `darcy`; all other
fields over time have a dataset each, as the compressible flows do. The loader of PDEBench reads `density`, `pressure`, `Vx`,
... of those. What PDEBench has no place for, such as units or a number for each sample, stands in further attributes and
datasets, which its loader does not read.
"""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.files.storage import create_hdf5
from pac_surrogate.formats.errors import writing
from pac_surrogate.formats.kinds import kind_of
from pac_surrogate.formats.pdebench import COORDINATE, NAME, SPLIT
from pac_surrogate.formats.trajectories import AXES, FIRST_TIME, INITIAL, blocks, join, roles_of, write_texts

GENERATED = ("schema_version", FIRST_TIME)


def write_pdebench(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a Dataset as a file of PDEBench.

    Args:
        path: path of the file; only one of PDEBench is replaced.
        dataset: inputs and outputs, variables with the attribute `role` and the dimension `sample` first. `initial_u` and `u`
            (sample, time, ...) are joined along time; spatial axes are x, y and z.

    Raises:
        DatasetError: if the path must not be written to, or no layout holds the variables.
    """
    path = Path(path)
    with writing(path):
        fields, times = join(dataset, roles_of(dataset))
        names = _names(fields, times)
        spatial = [axis for axis in AXES if any(axis in parts[-1].dims for parts in fields.values())]
        with (
            replacing(path, Kind("a file of PDEBench", _holds)) as temporary,
            create_hdf5(temporary, path) as (file, check),
        ):
            for name, parts in fields.items():
                _write_field(file, names.get(name, name), name, parts)
            if SPLIT in dataset:
                file[SPLIT] = np.asarray(dataset[SPLIT].values, np.int8)
            for axis in spatial:
                points = dataset[axis].values if axis in dataset.coords else np.arange(dataset.sizes[axis], dtype=np.float32)
                _write_axis(file, axis, points, dataset)
            if times is not None:
                _write_axis(file, "time", times, dataset)
            for name, value in dataset.attrs.items():
                if name not in GENERATED:
                    file.attrs[str(name)] = value
            check()


def _holds(path: Path) -> bool:
    try:
        return kind_of(path) == "pdebench"
    except DatasetError:
        return False


def _names(fields: Mapping[str, list[xr.DataArray]], times: np.ndarray | None) -> dict[str, str]:
    """Return the names that PDEBench gives to the fields, by their own names.

    Raises:
        DatasetError: if no layout holds them.
    """
    moving = [name for name, parts in fields.items() if "time" in parts[-1].dims]
    space = {str(dim) for parts in fields.values() for dim in parts[-1].dims} - {"sample", "time"}
    shapes = [set(parts[-1].dims) - {"sample", "time"} for parts in fields.values()]
    known = "fields along time and along x, y and z, or one field along x and y that depends on another"
    if not space or not space <= set(AXES) or any(shape not in (set(), space) for shape in shapes):
        got = "; ".join(f"{name} ({', '.join(map(str, parts[-1].dims))})" for name, parts in fields.items())
        raise DatasetError(f"PDEBench holds {known}, the dataset has {got}: write netCDF")
    if sorted(space) != list(AXES[: len(space)]):
        got = ", ".join(sorted(space))
        raise DatasetError(f"PDEBench names the axes x, y, z in this order, the dataset has {got}: rename them")
    if times is not None:
        if any(not set(fields[name][-1].dims) & space for name in moving):
            raise DatasetError(f"PDEBench holds {known}, {moving[0]} has no axis in space: write netCDF")
        return {moving[0]: "tensor"} if len(moving) == 1 and len(space) == 1 else {}
    steady: dict[str, list[str]] = {"input": [], "output": []}
    for name, parts in fields.items():
        if parts[0].ndim > 1:
            steady[parts[0].attrs["role"]].append(name)
    if [len(names) for names in steady.values()] != [1, 1] or len(space) != 2:
        got = f"got {len(steady['input'])} and {len(steady['output'])} along {', '.join(sorted(space))}"
        raise DatasetError(f"PDEBench holds one input and one output field along x and y without time, {got}: write netCDF")
    return {steady["input"][0]: "nu", steady["output"][0]: "tensor"}


def _write_field(file: h5py.File, stored_name: str, name: str, parts: list[xr.DataArray]) -> None:
    moving = "time" in parts[-1].dims
    axes = [dim for dim in ("sample", "time", *AXES) if dim in parts[-1].dims]
    parts = [part.transpose(*axes) for part in parts]
    single = stored_name == "tensor" and not moving  # the solution of Darcy's equation has an axis of one time
    shape = list(parts[-1].shape)
    if moving:
        shape[1] = sum(part.sizes["time"] for part in parts)
    if single:
        shape.insert(1, 1)
    if stored_name in file or stored_name.endswith(COORDINATE) or "/" in stored_name:
        raise DatasetError(f"PDEBench uses the name {stored_name!r} itself: rename the variable")
    stored = file.create_dataset(stored_name, tuple(shape), parts[-1].dtype)
    for place, values in blocks(parts, np.arange(shape[0]), moving=moving, is_sampled=True):
        stored[place] = values[:, None] if single else values
    write_texts(stored, parts[-1].attrs)
    beginning = parts[0].attrs if len(parts) > 1 else {}
    write_texts(stored, {**beginning, "role": "none" if moving and len(parts) == 1 else ""}, INITIAL)
    if stored_name != name:
        stored.attrs[NAME] = name


def _write_axis(file: h5py.File, axis: str, points: np.ndarray, dataset: xr.Dataset) -> None:
    if points.dtype.kind not in "fiu":
        raise DatasetError(f"the coordinates of {axis} must be numbers, they are {points.dtype}: convert them")
    stored = file.create_dataset(("t" if axis == "time" else axis) + COORDINATE, data=points)
    attributes = dataset[axis].attrs if axis in dataset.coords else {}
    write_texts(stored, {name: text for name, text in attributes.items() if name in ("units", "long_name")})
