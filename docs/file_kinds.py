"""Files of every kind, made by the tools of their own field, and the lines of code that open each, as a page shows them.

All hold the same rods: the conductivity of each rod, and its temperature at five points. A table holds one number of these.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.io
import xarray as xr

import pac_surrogate as pac

RODS = 12
POINTS = np.array([1.0, 0.75, 0.5, 0.25, 0.0])  # m, from the hot end: descending coordinates are allowed
CONDUCTIVITY = np.linspace(10.0, 65.0, RODS)
TEMPERATURE = 300 + 1000 * POINTS / CONDUCTIVITY[:, None]
TIMES = np.array([0.0, 1.0, 3.0])
HISTORY = np.stack([TEMPERATURE + 10 * time for time in TIMES], axis=1)  # (sample, time, x)


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        write: function that writes a file of it to a folder, or returns an object by the name that the code uses.
        code: the lines that make a dataset `data` of it.
        units: whether the kind holds units.
    """

    write: Callable[[Path], dict[str, Any] | None]
    code: str
    units: bool = True


def table() -> pd.DataFrame:
    """Return one number of every rod, and its material."""
    columns = {"conductivity [W m-1 K-1]": CONDUCTIVITY, "material": ["steel", "brass"] * (RODS // 2)}
    return pd.DataFrame({**columns, "hot end [K]": TEMPERATURE[:, 0]})


def rods() -> xr.Dataset:
    """Return the rods with units and coordinates."""
    return xr.Dataset(
        {
            "conductivity": ("rod", CONDUCTIVITY, {"units": "W m-1 K-1"}),
            "temperature": (("rod", "x"), TEMPERATURE, {"units": "K"}),
        },
        coords={"x": ("x", POINTS, {"units": "m"})},
    )


def _hdf5(path: Path, user_block: bytes = b"", flip: bool = False) -> None:
    """Write plain HDF5, or the file that MATLAB's `save -v7.3` writes: a header, a class and reversed axes for every matrix."""
    with h5py.File(path, "w", userblock_size=512 if user_block else 0) as file:
        for name, values in (("conductivity", CONDUCTIVITY[:, None]), ("temperature", TEMPERATURE), ("x", POINTS[None])):
            stored = values.T if flip else values
            file.create_dataset(name, data=stored if flip or name == "temperature" else stored.ravel())
            if flip:
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
    if user_block:
        with path.open("r+b") as raw:
            raw.write(user_block.ljust(512, b"\0"))


def _the_well(path: Path) -> None:
    """Write a file of The Well with h5py, as its documentation describes it."""
    with h5py.File(path, "w") as file:
        file.attrs.update(dataset_name="rods", grid_type="cartesian", n_spatial_dims=1, n_trajectories=RODS)
        file.attrs["simulation_parameters"] = ["conductivity"]
        axes = file.create_group("dimensions")
        axes.attrs["spatial_dims"] = ["x"]
        for name, values in (("time", TIMES), ("x", POINTS[::-1])):
            axes[name] = values.astype(np.float32)
            axes[name].attrs.update(sample_varying=False, time_varying=name == "time")
        file.create_group("boundary_conditions")
        file.create_group("scalars").attrs["field_names"] = ["conductivity"]
        file["scalars"]["conductivity"] = CONDUCTIVITY.astype(np.float32)
        file["scalars/conductivity"].attrs.update(sample_varying=True, time_varying=False)
        for order in range(3):
            file.create_group(f"t{order}_fields").attrs["field_names"] = ["temperature"] if order == 0 else np.zeros(0, "S1")
        file["t0_fields"]["temperature"] = HISTORY[:, :, ::-1].astype(np.float32)
        file["t0_fields/temperature"].attrs.update(dim_varying=[True], sample_varying=True, time_varying=True)


def _tensor(path: Path) -> None:
    """Write the layout `tensor` of PDEBench, whose times may be one longer than the field's."""
    with h5py.File(path, "w") as file:
        file["tensor"] = HISTORY.astype(np.float32)
        file["x-coordinate"], file["t-coordinate"] = POINTS.astype(np.float32), np.append(TIMES, 4.0).astype(np.float32)
        file.attrs["nu"] = 0.1


def _darcy(path: Path) -> None:
    with h5py.File(path, "w") as file:
        fields = TEMPERATURE[:, :, None] + np.arange(4)
        file["tensor"], file["nu"] = fields[:, None].astype(np.float32), (fields / 100).astype(np.float32)
        file["x-coordinate"], file["y-coordinate"] = POINTS.astype(np.float32), np.arange(4, dtype=np.float32)


def _compressible(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, factor in (("density", 1), ("pressure", 2), ("Vx", 3)):
            file[name] = (factor * HISTORY).astype(np.float32)
        file["x-coordinate"], file["t-coordinate"] = POINTS.astype(np.float32), TIMES.astype(np.float32)


def _groups(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(RODS):
            group = file.create_group(f"{number:04}")
            group["data"] = HISTORY[number][:, :, None].astype(np.float32)
            group["grid/x"], group["grid/t"] = POINTS.astype(np.float32), TIMES.astype(np.float32)
            group.attrs["config"] = "sim:\n  seed: 1\n"


def _incompressible(path: Path) -> None:
    with h5py.File(path, "w") as file:
        velocity = np.stack([HISTORY, 2 * HISTORY], axis=-1)[:, :, :, None].repeat(2, axis=3)
        file["velocity"], file["particles"] = velocity.astype(np.float32), velocity[..., :1].astype(np.float32)
        file["force"] = velocity[:, 0].astype(np.float32)
        file["t"] = np.tile(TIMES, (RODS, 1)).astype(np.float32)


TABLE = '["conductivity", "material"], "hot end"'
AXES = 'axes={"temperature": ("x",)}'
ARRAYS = '"conductivity", "temperature"'
KINDS: dict[str, Kind] = {
    "arrays of NumPy or torch": Kind(
        lambda folder: {"conductivity": CONDUCTIVITY, "temperature": TEMPERATURE, "x": POINTS},
        'data = pac.Dataset.from_arrays({"conductivity": conductivity}, {"temperature": temperature}, '
        'axes={"temperature": ("x",)}, coordinates={"x": x})',
        units=False,
    ),
    "pandas DataFrame": Kind(lambda folder: {"table": table()}, f"data = pac.Dataset.from_pandas(table, {TABLE})"),
    "CSV": Kind(
        lambda folder: table().to_csv(folder / "rods.csv", index=False), f'data = pac.open_dataset("rods.csv", {TABLE})'
    ),
    "Parquet": Kind(
        lambda folder: table().to_parquet(folder / "rods.parquet"), f'data = pac.open_dataset("rods.parquet", {TABLE})'
    ),
    "xarray Dataset": Kind(lambda folder: {"rods": rods()}, f"data = pac.Dataset.from_xarray(rods, {ARRAYS})"),
    "netCDF-4": Kind(
        lambda folder: rods().to_netcdf(folder / "rods.nc", engine="h5netcdf"), f'data = pac.open_dataset("rods.nc", {ARRAYS})'
    ),
    "netCDF classic": Kind(
        lambda folder: rods().to_netcdf(folder / "old.nc", engine="scipy"), f'data = pac.open_dataset("old.nc", {ARRAYS})'
    ),
    "Zarr": Kind(
        lambda folder: rods().to_zarr(folder / "rods.zarr", consolidated=False) and None,
        f'data = pac.open_dataset("rods.zarr", {ARRAYS})',
    ),
    "plain HDF5": Kind(
        lambda folder: _hdf5(folder / "rods.hdf5"),
        f'data = pac.open_dataset("rods.hdf5", {ARRAYS}, {AXES}, units={{"temperature": "K", "x": "m"}})',
        units=False,
    ),
    "MATLAB 5 to 7.2": Kind(
        lambda folder: scipy.io.savemat(
            folder / "rods.mat", {"conductivity": CONDUCTIVITY, "temperature": TEMPERATURE, "x": POINTS}
        ),
        f'data = pac.open_dataset("rods.mat", {ARRAYS}, {AXES})',
        units=False,
    ),
    "MATLAB 7.3": Kind(
        lambda folder: _hdf5(folder / "large.mat", b"MATLAB 7.3 MAT-file, Platform: GLNXA64", flip=True),
        f'data = pac.open_dataset("large.mat", {ARRAYS}, {AXES})',
        units=False,
    ),
    "NPZ": Kind(
        lambda folder: np.savez(folder / "rods.npz", conductivity=CONDUCTIVITY, temperature=TEMPERATURE, x=POINTS),
        f'data = pac.open_dataset("rods.npz", {ARRAYS}, {AXES})',
        units=False,
    ),
    "The Well": Kind(lambda folder: _the_well(folder / "well.hdf5"), 'data = pac.open_dataset("well.hdf5")', units=False),
    "PDEBench, tensor": Kind(lambda folder: _tensor(folder / "tensor.h5"), 'data = pac.open_dataset("tensor.h5")', units=False),
    "PDEBench, Darcy": Kind(lambda folder: _darcy(folder / "darcy.h5"), 'data = pac.open_dataset("darcy.h5")', units=False),
    "PDEBench, compressible": Kind(
        lambda folder: _compressible(folder / "gas.h5"), 'data = pac.open_dataset("gas.h5")', units=False
    ),
    "PDEBench, a group a sample": Kind(
        lambda folder: _groups(folder / "groups.h5"), 'data = pac.open_dataset("groups.h5")', units=False
    ),
    "PDEBench, incompressible": Kind(
        lambda folder: _incompressible(folder / "flow.h5"), 'data = pac.open_dataset("flow.h5")', units=False
    ),
    "our own HDF5": Kind(
        lambda folder: pac.Dataset.from_xarray(rods(), "conductivity", "temperature").save(folder / "own.h5"),
        'data = pac.open_dataset("own.h5")',
    ),
}


def opened(kind: Kind, folder: Path) -> pac.Dataset:
    """Write a file of a kind to a folder, run the lines that open it, and return the dataset."""
    scope: dict[str, Any] = {"pac": pac, **(kind.write(folder) or {})}
    exec(kind.code.replace('open_dataset("', f'open_dataset("{folder.as_posix()}/'), scope)
    data: pac.Dataset = scope["data"]
    return data


def kinds_table(folder: Path) -> str:
    """Return a table in Markdown: each kind, the code, and what comes out."""
    lines = ["| kind | the line that makes a dataset | inputs | outputs | coordinates |", "|---|---|---|---|---|"]
    for name, kind in KINDS.items():
        data = opened(kind, folder)
        sides = ["; ".join(_told(v) for v in side) for side in (data.inputs, data.outputs)]
        axes = [
            f"{one.name} {one.values[0]:g} to {one.values[-1]:g}"
            for one in data.coordinates.values()
            if one.values.dtype.kind == "f"
        ]
        code = "<br>".join(f"`{line}`" for line in kind.code.splitlines())
        lines.append(f"| {name} | {code} | {sides[0]} | {sides[1]} | {', '.join(axes) or 'none'} |")
    return "\n".join(lines)


def _told(variable: Any) -> str:
    shape = f" ({', '.join(map(str, variable.axes))})" if variable.axes else ""
    return f"{variable.name}{shape}" + (f" [{variable.units}]" if variable.units != "1" else "")
