"""Reading of PDEBench: five layouts of HDF5 files, told apart by their content.

    tensor          tensor (sample, time, x), x-coordinate, t-coordinate
    darcy           nu (sample, x, y), tensor (sample, 1, x, y), x-coordinate, y-coordinate
    compressible    density, pressure, Vx, ... (sample, time, x, y, z), a coordinate for each axis
    groups          0000/data (time, x, y, channel), 0000/grid/x, ...: one group for each sample
    incompressible  velocity, particles (sample, time, x, y, channel), force (sample, x, y, channel), t (sample, time)

The parameters, root attributes in all of them, are attributes here. A time axis that is longer than the fields by one is cut
at its end. A single component has no axis. There are no units in PDEBench. Source: Takamoto et al., PDEBench, NeurIPS 2022,
arXiv:2210.07182, and its generating programs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from jaxtyping import Int

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.netcdf_reader import open_netcdf
from pac_surrogate.files.splits import ORDER
from pac_surrogate.formats.kinds import pdebench_layout
from pac_surrogate.formats.lazy import lazy_variable, relabelled
from pac_surrogate.formats.plain_hdf5 import (
    check_storage,
    datasets_of,
    is_told,
    lazy_hdf5,
    meaning,
    not_numbers,
    simple_attributes,
)
from pac_surrogate.formats.trajectories import AXES, INITIAL, TIMES, divide, later_times, said_of

COORDINATE = "-coordinate"
NAME = "name"  # attribute of what is written here under a name of PDEBench
SPLIT = "split"
LAYOUT = "pdebench_layout"  # attribute by which a file of groups is written as one again
INCOMPRESSIBLE = ("velocity", "particles", "force")


@dataclass(frozen=True)
class GroupSource:
    """The same dataset of one group for each sample.

    Attributes:
        path: path of the file.
        groups: names of the groups.
        shape: length of each axis.
        dtype: type of the numbers.
    """

    path: Path
    groups: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, rows: Int[np.ndarray, " row"], rest: tuple[slice, ...]) -> np.ndarray:
        """Read some samples; the other groups are not opened."""
        with open_netcdf(self.path) as file:
            found = []
            for row in rows:
                name = f"{self.groups[row]}/data"
                dataset = check_storage(file[name])
                if dataset.shape != self.shape[1:]:
                    required = f"all samples must have the shape {self.shape[1:]} of {self.groups[0]}/data"
                    raise DatasetError(f"{required}, {name} has {dataset.shape}: leave it out")
                found.append(dataset[rest])
        sizes = (len(range(size)[one]) for one, size in zip(rest, self.shape[1:], strict=True))
        return np.stack(found) if found else np.empty((0, *sizes), self.dtype)


def open_pdebench(path: Path) -> xr.Dataset:
    """Open a file of PDEBench lazily; see `kinds.pdebench_layout` for its layouts.

    Raises:
        DatasetError: if the shapes of the fields and of their axes contradict each other.
    """
    with open_netcdf(path) as file:
        layout = pdebench_layout(file)
        read = {"groups": _read_groups, "incompressible": _read_incompressible}.get(layout, _read_fields)
        variables, axes = read(path, file)
        if layout == "darcy":
            for name, one in variables.items():  # its solution has a single time
                one.attrs.setdefault("role", "output" if name == "tensor" else "input")
        attributes = simple_attributes(file)
        if layout == "groups":  # the configuration of the first sample
            attributes |= {**simple_attributes(file[next(iter(file))]), LAYOUT: layout}
        return _complete(variables, axes, attributes)


def _complete(variables: dict[str, xr.Variable], axes: dict[str, xr.Variable], attributes: dict[str, Any]) -> xr.Dataset:
    """Divide the fields at their first time, and give the axes their coordinates."""
    found: dict[str, xr.Variable] = {}
    for name, one in variables.items():
        texts, beginning = said_of(one.attrs)
        alias = one.attrs.get(NAME, name)
        found.update({alias: relabelled(one, {})} if name in (SPLIT, ORDER) else divide(alias, one, texts, beginning))
    divided = any(name.startswith(INITIAL) and name.removeprefix(INITIAL) in found for name in found)
    sizes = {dim: size for one in variables.values() for dim, size in one.sizes.items()}
    coordinates: dict[str, xr.Variable] = {}
    for name, axis in axes.items():
        size = sizes.get(name, 0)
        if name == "time" and size < 2:
            continue
        points = axis.values[..., :size] if name == "time" and axis.shape[-1] == size + 1 else axis.values
        if points.shape[-1] != size:
            raise DatasetError(f"the axis {name} has {size} points, its coordinates have {axis.shape[-1]}: repair the file")
        if name != "time":
            coordinates[name] = xr.Variable((name,), points, axis.attrs)
        elif points.ndim == 1 or (points == points[:1]).all():
            times, more = later_times(points if points.ndim == 1 else points[0], divided=divided)
            coordinates[name] = xr.Variable((name,), times, axis.attrs)
            attributes.update(more)
        else:  # the times differ between the samples
            coordinates[TIMES] = xr.Variable(("sample", name), points[:, int(divided) :])
            if divided:
                coordinates[INITIAL + TIMES] = xr.Variable(("sample",), points[:, 0])
    return xr.Dataset(found, attrs=attributes).assign_coords(coordinates)


def _read_fields(path: Path, file: h5py.File) -> tuple[dict[str, xr.Variable], dict[str, xr.Variable]]:
    """Read the layouts with fields (sample, time, x, ...) in the root, and those without time or space."""
    axes = {"time": _axis(file["t-coordinate"])} if f"t{COORDINATE}" in file else {}
    spatial = [axis for axis in AXES if axis + COORDINATE in file]
    axes |= {axis: _axis(file[axis + COORDINATE]) for axis in spatial}
    by_rank = {1: ("sample",), 1 + len(spatial): ("sample", *spatial), 2 + len(spatial): ("sample", "time", *spatial)}
    variables: dict[str, xr.Variable] = {}
    for name, dataset in datasets_of(file, {}):
        if name.endswith(COORDINATE) or not_numbers(dataset) or not dataset.shape:
            continue
        if name == ORDER:
            variables[name] = _variable(path, dataset, ("sample", "draw"))
            continue
        if dataset.ndim not in by_rank:
            required = f"{name} must have the axes {', '.join(by_rank[2 + len(spatial)])}"
            raise DatasetError(f"{required}, its shape is {dataset.shape}: rewrite the file")
        variables[name.replace("/", ".")] = _variable(path, dataset, by_rank[dataset.ndim])
    return variables, axes


def _read_groups(path: Path, file: h5py.File) -> tuple[dict[str, xr.Variable], dict[str, xr.Variable]]:
    groups = tuple(sorted((name for name in file if isinstance(name, str) and name.isdigit()), key=int))
    first = file[groups[0]]
    grid = {"time" if name == "t" else name: _axis(first["grid"][name]) for name in first["grid"]}
    dataset = check_storage(first["data"])
    dims = ("sample", "time", *(axis for axis in AXES if axis in grid), "channel")
    if dataset.ndim != len(dims) - 1:
        required = f"{groups[0]}/data must have the axes {', '.join(dims[1:])}"
        raise DatasetError(f"{required} of its grid, its shape is {dataset.shape}: rewrite the file")
    source = GroupSource(path, groups, (len(groups), *dataset.shape), dataset.dtype)
    data = relabelled(lazy_variable(dims, source), _texts(dataset))
    others = [name for name in file if name not in groups]
    return {"data": _without_single_channel(data), **_read_others(path, file, others, dims[2:-1])}, grid


def _read_incompressible(path: Path, file: h5py.File) -> tuple[dict[str, xr.Variable], dict[str, xr.Variable]]:
    spatial = AXES[: file["velocity"].ndim - 3]
    ranks = {"velocity": ("sample", "time", *spatial, "channel"), "particles": ("sample", "time", *spatial, "channel")}
    if "force" in file:
        ranks["force"] = ("sample", *spatial, "channel")
    variables = {name: _without_single_channel(_variable(path, file[name], dims)) for name, dims in ranks.items()}
    axes = {axis: _axis(file[axis + COORDINATE]) for axis in spatial if axis + COORDINATE in file}
    others = [name for name in file if name not in (*ranks, "t") and not str(name).endswith(COORDINATE)]
    return variables | _read_others(path, file, others, spatial), {"time": _axis(file["t"]), **axes}


def _read_others(path: Path, file: h5py.File, names: list[str], spatial: tuple[str, ...]) -> dict[str, xr.Variable]:
    """Read what this package writes beside the fields of PDEBench: numbers for each sample, and fields without time."""
    by_rank = {1: ("sample",), 1 + len(spatial): ("sample", *spatial), 2 + len(spatial): ("sample", *spatial, "channel")}
    found = {}
    for name in names:
        item = file[name]
        dims = ("sample", "draw") if name == ORDER else by_rank.get(getattr(item, "ndim", 0))
        if isinstance(item, h5py.Dataset) and not not_numbers(item) and dims is not None:
            found[name] = _variable(path, item, dims)
    return found


def _variable(path: Path, dataset: h5py.Dataset, dims: tuple[str, ...]) -> xr.Variable:
    if dataset.ndim != len(dims):
        required = f"{dataset.name.removeprefix('/')} must have the axes {', '.join(dims)}"
        raise DatasetError(f"{required}, its shape is {dataset.shape}: rewrite the file")
    return relabelled(lazy_hdf5(path, dataset, dims), _texts(dataset))


def _texts(dataset: h5py.Dataset) -> dict[str, Any]:
    return {name: value for name, value in simple_attributes(dataset).items() if is_told(value)}


def _without_single_channel(variable: xr.Variable) -> xr.Variable:
    return variable.isel(channel=0) if variable.sizes.get("channel") == 1 else variable


def _axis(dataset: h5py.Dataset) -> xr.Variable:
    dims = ("point",) if dataset.ndim == 1 else ("sample", "point")
    return xr.Variable(dims, np.asarray(check_storage(dataset)[()]), meaning(dataset, ("units", "long_name")))
