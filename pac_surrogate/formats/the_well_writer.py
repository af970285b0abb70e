"""Writing of The Well, as its loader and its format checker both accept it.

The checker wants all flags as HDF5 booleans, lists of texts, three groups of fields, even empty ones, and every simulation
parameter as an attribute too. The loader wants at least two times, a type of boundary in capitals, and every spatial axis of a
field. The names, units and roles of this package are further attributes, which both ignore.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from pac_surrogate.files.attributes import DatasetError
from pac_surrogate.files.replacing import Kind, replacing
from pac_surrogate.files.splits import SPLITS
from pac_surrogate.files.storage import create_hdf5
from pac_surrogate.formats.errors import writing
from pac_surrogate.formats.folders import replacing_folder
from pac_surrogate.formats.kinds import holds
from pac_surrogate.formats.moments import Moments, write_stats
from pac_surrogate.formats.trajectories import FIRST_TIME, INITIAL, REPEATED, blocks, expanded, join, roles_of, write_texts
from pac_surrogate.utilities.display import Shown

COMPONENTS = ("channel", "component")
GENERATED = ("n_spatial_dims", "n_trajectories", "schema_version", "boundary_conditions", "simulation_parameters", FIRST_TIME)


@dataclass(frozen=True, eq=False, repr=False)
class Layout(Shown):
    """What a file of The Well will hold.

    Attributes:
        name: name of the dataset.
        spatial: names of the spatial axes.
        times: the times.
        fields: the parts along time of each field or scalar, in the order sample, time, spatial axes, components.
        orders: number of component axes of each field; None for a scalar.
        texts: attributes of each field, and of its first time.
        constants: numbers that are the same for all samples.
        attributes: other global attributes.
    """

    name: str
    spatial: tuple[str, ...]
    times: np.ndarray
    fields: Mapping[str, list[xr.DataArray]]
    orders: Mapping[str, int | None]
    texts: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    constants: Mapping[str, float]
    attributes: Mapping[str, Any]


def write_the_well(path: Path | str, dataset: xr.Dataset) -> None:
    """Write a Dataset in the layout of The Well.

    A Dataset with a variable `split` (sample) becomes a folder with `data/train`, `data/valid`, `data/test` and `stats.yaml`,
    the moments of the fields of the train split; any other becomes one file. The samples keep their order inside each split.

    Args:
        path: path of the folder or of the .hdf5 file; only one in this layout is replaced.
        dataset: inputs and outputs, variables with the attribute `role` and the dimension `sample` first. `initial_u` and `u`
            (sample, time, ...) are joined along time. An axis `channel` holds the components of a vector or tensor.

    Raises:
        DatasetError: if the path must not be written to, or The Well cannot hold the variables.
    """
    path = Path(path)
    with writing(path):
        layout = _layout(path, dataset)
        if "split" not in dataset:
            with (
                replacing(path, Kind("a file of The Well", holds("the_well"))) as temporary,
                create_hdf5(temporary, path) as (file, check),
            ):
                _write(file, layout, dataset, np.arange(dataset.sizes["sample"]), {})
                check()
            return
        split = np.asarray(dataset["split"].values)
        moments = {name: Moments(order) for name, order in layout.orders.items() if order is not None}
        with replacing_folder(path, "a dataset of The Well", holds("the_well")) as folder:
            for number, part in enumerate(SPLITS):
                rows = np.flatnonzero(split == number)
                inner = folder / "data" / part
                inner.mkdir(parents=True)
                if len(rows):
                    shown = path / "data" / part / f"{layout.name}.hdf5"
                    with create_hdf5(inner / shown.name, shown) as (file, check):
                        _write(file, layout, dataset, rows, moments if part == "train" else {})
                        check()
            write_stats(folder / "stats.yaml", moments)


def _layout(path: Path, dataset: xr.Dataset) -> Layout:
    variables = roles_of(dataset)
    fields, times = join(dataset, variables)
    if times is None or len(times) < 2:
        raise DatasetError("The Well holds states at two or more times, the dataset has none along time: write netCDF")
    dims = dict.fromkeys(dim for one in variables.values() for dim in one.dims)
    spatial = tuple(str(dim) for dim in dims if dim not in ("sample", "time", *COMPONENTS))
    if not 1 <= len(spatial) <= 3:
        got = f"the dataset has {', '.join(map(str, spatial)) or 'none'}"
        raise DatasetError(f"The Well holds fields along one to three spatial axes, {got}: write netCDF")
    for name, one in dataset.coords.items():  # fields that are the same for all samples
        known = {"time", *COMPONENTS, *spatial}
        if name not in one.dims and set(one.dims) <= known and set(one.dims) & set(spatial) and one.dtype.kind in "fiub":
            first = dataset.coords.get(f"{INITIAL}{name}")
            if not str(name).startswith(INITIAL):
                fields[str(name)] = [one] if first is None else [first.expand_dims("time"), one]
    orders: dict[str, int | None] = {}
    ordered, texts = {}, {}
    for name, parts in fields.items():
        orders[name] = _order(name, parts[-1], spatial)
        repeated = {} if orders[name] is None else {dim: dataset.sizes[dim] for dim in spatial if dim not in parts[-1].dims}
        axes = [dim for dim in ("sample", "time", *spatial, *COMPONENTS) if dim in parts[-1].dims or dim in repeated]
        own = [part.transpose(*(dim for dim in axes if dim in part.dims)) for part in parts]
        for axis, dim in enumerate(axes):
            own = [part if dim in part.dims else expanded(part, str(dim), repeated[dim], axis) for part in own]
        ordered[name] = own
        begin = {**parts[0].attrs, "role": ""} if len(parts) > 1 else {"role": "none"} if "time" in axes else {}
        texts[name] = ({**parts[-1].attrs, REPEATED: json.dumps(list(repeated)) if repeated else ""}, begin)
    constants = _constants(dataset.attrs, set(fields))
    kept = {str(name): value for name, value in dataset.attrs.items() if name not in (*GENERATED, *constants)}
    kept["boundary_conditions"] = dataset.attrs.get("boundary_conditions", "{}")
    name = str(dataset.attrs.get("dataset_name") or dataset.attrs.get("pair") or path.stem)
    return Layout(name.replace("/", "_"), spatial, times, ordered, orders, texts, constants, kept)


def _order(name: str, variable: xr.DataArray, spatial: tuple[Any, ...]) -> int | None:
    """Return the number of component axes of a field; None for a scalar."""
    components = [dim for dim in variable.dims if dim in COMPONENTS]
    if not set(variable.dims) & set(spatial):
        if components:
            raise DatasetError(f"The Well holds components of fields only, {name} has the axes {variable.dims}: write netCDF")
        return None
    if not components:
        return 0
    count, size = variable.sizes[components[0]], len(spatial)
    if len(components) > 1 or count not in (size, size**2):
        required = f"vectors of {size} and tensors of {size**2} components in {size} dimensions"
        raise DatasetError(f"The Well holds {required}, {name} has {count}: give each its own variable, or write netCDF")
    return 2 if count == size**2 and (size > 1 or components[0] == "component") else 1


def _constants(attributes: Mapping[Any, Any], taken: set[str]) -> dict[str, float]:
    """Return the simulation parameters: those that the attribute of this name lists, and else the numbers of `parameters`."""
    listed, parameters = (_json(attributes.get(name)) for name in ("simulation_parameters", "parameters"))
    if isinstance(listed, list):
        found = {name: attributes.get(name) for name in listed}
    else:
        found = {**parameters} if isinstance(parameters, dict) else {}
    numbers = (int, float, np.number)
    return {
        str(name): value  # type: ignore[misc]
        for name, value in found.items()
        if isinstance(value, numbers) and not isinstance(value, bool) and str(name) not in taken and "/" not in str(name)
    }


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _write(file: h5py.File, layout: Layout, dataset: xr.Dataset, rows: np.ndarray, moments: Mapping[str, Moments]) -> None:
    for name, value in layout.attributes.items():
        if name != "boundary_conditions":
            file.attrs[name] = value
    file.attrs["dataset_name"] = layout.name
    file.attrs.setdefault("grid_type", "cartesian")
    file.attrs["n_spatial_dims"], file.attrs["n_trajectories"] = len(layout.spatial), len(rows)
    listed = _json(dataset.attrs.get("simulation_parameters"))
    parameters = [name for name in listed if name in layout.constants] if isinstance(listed, list) else list(layout.constants)
    file.attrs["simulation_parameters"] = _list(parameters)
    for name, value in layout.constants.items():
        file.attrs[name] = value
    _write_dimensions(file.create_group("dimensions"), layout, dataset)
    _write_conditions(file.create_group("boundary_conditions"), layout, dataset)
    groups: dict[int | None, h5py.Group] = {None: file.create_group("scalars")}
    for order in range(3):
        groups[order] = file.create_group(f"t{order}_fields")
    for kind, group in groups.items():
        names = [name for name, one in layout.orders.items() if one == kind]
        group.attrs["field_names"] = _list([*layout.constants, *names] if kind is None else names)
    for name, value in layout.constants.items():
        _flags(groups[None].create_dataset(name, data=value), sample_varying=False, time_varying=False)
    for name, parts in layout.fields.items():
        dataset_ = _write_field(groups[layout.orders[name]], name, layout, parts, rows, moments.get(name))
        texts, beginning = layout.texts[name]
        write_texts(dataset_, texts)
        write_texts(dataset_, beginning, INITIAL)


def _write_field(
    group: h5py.Group, name: str, layout: Layout, parts: list[xr.DataArray], rows: np.ndarray, moments: Moments | None
) -> h5py.Dataset:
    is_sampled, moving = "sample" in parts[-1].dims, "time" in parts[-1].dims
    order, size = layout.orders[name], len(layout.spatial)
    shape = [len(rows) if dim == "sample" else parts[-1].sizes[dim] for dim in parts[-1].dims]
    if moving:
        shape[int(is_sampled)] = sum(part.sizes["time"] for part in parts)
    if order == 2:
        shape[-1:] = [size, size]
    stored = group.create_dataset(name, tuple(shape), parts[-1].dtype)
    for place, values in blocks(parts, rows, moving=moving, is_sampled=is_sampled):
        block = values.reshape(*values.shape[:-1], size, size) if order == 2 else values
        stored[place] = block
        if moments is not None:
            moments.add(block, time=int(is_sampled) if moving else None)
    _flags(stored, sample_varying=is_sampled, time_varying=moving)
    if order is not None:
        stored.attrs["dim_varying"] = np.ones(len(layout.spatial), dtype=bool)
        if layout.texts[name][0][REPEATED]:
            stored.attrs[REPEATED] = layout.texts[name][0][REPEATED]
        stored.attrs["symmetric"] = stored.attrs["antisymmetric"] = np.bool_(False)
    return stored


def _write_dimensions(group: h5py.Group, layout: Layout, dataset: xr.Dataset) -> None:
    group.attrs["spatial_dims"] = _list(list(layout.spatial))
    for axis in ("time", *layout.spatial):
        attributes: Mapping[Any, Any] = dataset[axis].attrs if axis in dataset.coords else {}
        if axis == "time":
            points = layout.times
        else:
            points = dataset[axis].values if axis in dataset.coords else np.arange(dataset.sizes[axis], dtype=np.float32)
        if points.dtype.kind not in "fiu":
            raise DatasetError(f"the coordinates of {axis} must be numbers, they are {points.dtype}: convert them")
        stored = group.create_dataset(str(axis), data=points)
        _flags(stored, sample_varying=False, time_varying=axis == "time")
        write_texts(stored, {name: text for name, text in attributes.items() if name in ("units", "long_name")})


def _write_conditions(group: h5py.Group, layout: Layout, dataset: xr.Dataset) -> None:
    """Write the boundary conditions of the attribute of this name, JSON; the loader takes boundaries without any for open."""
    told = _json(layout.attributes["boundary_conditions"])
    for name, one in (told if isinstance(told, dict) else {}).items():
        dims = [dim for dim in one.get("associated_dims", []) if dim in layout.spatial]
        if not dims or "mask" not in one:
            continue
        shape = tuple(one.get("shape", [dataset.sizes[dim] for dim in dims]))
        mask = np.zeros(shape, bool)
        mask.reshape(-1)[np.asarray(one["mask"], dtype=np.int64)] = True
        inner = group.create_group(name)
        inner.attrs["associated_dims"] = _list(dims)
        inner.attrs["associated_fields"] = _list(one.get("associated_fields", []))
        inner.attrs["bc_type"] = str(one.get("bc_type", "OPEN")).upper()
        _flags(inner, sample_varying=bool(one.get("sample_varying")), time_varying=bool(one.get("time_varying")))
        inner.create_dataset("mask", data=mask)
        if "values" in one:
            inner.create_dataset("values", data=np.asarray(one["values"]))


def _flags(item: h5py.Dataset | h5py.Group, **flags: bool) -> None:
    for name, value in flags.items():
        item.attrs[name] = np.bool_(value)


def _list(texts: list[str]) -> np.ndarray:
    return np.array(texts, dtype=h5py.string_dtype())
