"""Files of The Well for tests, written with h5py as its specification says, and the rules of its format checker.

The rules restate those of `scripts/check_thewell_formatting.py` of The Well (June 2026), which is no part of its package.
"""

import h5py
import numpy as np

TIMES = np.array([0.5, 1.0, 1.5], np.float32)
X, Y = np.linspace(0, 1, 4, dtype=np.float32), np.linspace(0, 2, 5, dtype=np.float32)


def fields(samples, seed):
    """Return a scalar, a vector, a tensor and a steady field, and numbers of each sample and of each time."""
    generator = np.random.default_rng(seed)
    shape = (samples, len(TIMES), len(X), len(Y))
    return {
        "density": generator.normal(size=shape).astype(np.float32),
        "velocity": generator.normal(size=(*shape, 2)).astype(np.float32),
        "stress": generator.normal(size=(*shape, 2, 2)).astype(np.float32),
        "permeability": generator.normal(size=(samples, *shape[2:])).astype(np.float32),
        "floor": generator.normal(size=len(X)).astype(np.float32),
        "rate": generator.normal(size=samples),
        "load": generator.normal(size=(samples, len(TIMES))),
    }


def flags(item, **values):
    for name, value in values.items():
        item.attrs[name] = np.bool_(value)


def write(path, samples=3, *, seed=0, viscosity=0.25, tensors=True):
    """Write a file, and return its fields."""
    found = fields(samples, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["dataset_name"], file.attrs["grid_type"] = "flow", "cartesian"
        file.attrs["n_spatial_dims"], file.attrs["n_trajectories"] = 2, samples
        file.attrs["simulation_parameters"], file.attrs["viscosity"] = ["viscosity"], viscosity
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        for name, values in (("time", TIMES), ("x", X), ("y", Y)):
            flags(dimensions.create_dataset(name, data=values), sample_varying=False, time_varying=name == "time")
        for name in ("x", "y"):
            condition = file.create_group(f"boundary_conditions/{name}_periodic")
            condition.attrs["associated_dims"], condition.attrs["associated_fields"] = [name], []
            condition.attrs["bc_type"] = "PERIODIC"
            flags(condition, sample_varying=False, time_varying=False)
            mask = np.zeros(len(dimensions[name]), bool)
            mask[[0, -1]] = True
            condition["mask"] = mask
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["viscosity", "rate", "load"]
        flags(scalars.create_dataset("viscosity", data=viscosity), sample_varying=False, time_varying=False)
        flags(scalars.create_dataset("rate", data=found["rate"]), sample_varying=True, time_varying=False)
        flags(scalars.create_dataset("load", data=found["load"]), sample_varying=True, time_varying=True)
        names = (["density", "permeability", "floor"], ["velocity"], ["stress"] if tensors else [])
        for order in range(3):
            group = file.create_group(f"t{order}_fields")
            group.attrs["field_names"] = names[order]
            for name in names[order]:
                stored = group.create_dataset(name, data=found[name])
                is_floor = name == "floor"
                flags(stored, sample_varying=not is_floor, time_varying=name not in ("floor", "permeability"))
                stored.attrs["dim_varying"] = [True, not is_floor]
    return found


def check(path):
    """Assert the rules of the format checker of The Well."""

    def flag(item, *names):
        assert all(isinstance(item.attrs[name], bool | np.bool_) for name in names), item

    with h5py.File(path) as file:
        assert isinstance(file.attrs["n_trajectories"], int | np.integer)
        assert isinstance(file.attrs["dataset_name"], str)
        assert isinstance(file.attrs["grid_type"], str)
        assert set(file.attrs["simulation_parameters"]) <= set(file.attrs) & set(file["scalars"])
        dimensions = file["dimensions"]
        axes = dimensions.attrs["spatial_dims"]
        assert isinstance(axes, np.ndarray)
        assert all(isinstance(axis, str) for axis in axes)
        assert len(axes) == file.attrs["n_spatial_dims"] > 0
        for axis in ("time", *axes):
            flag(dimensions[axis], "sample_varying", "time_varying")
            assert dimensions[axis].attrs["time_varying"] == (axis == "time")
            assert dimensions[axis].ndim == 1 + bool(dimensions[axis].attrs["sample_varying"])
        for order in range(3):
            group = file[f"t{order}_fields"]
            assert isinstance(group.attrs["field_names"], np.ndarray)
            for name in group.attrs["field_names"]:
                stored = group[name]
                flag(stored, "sample_varying", "time_varying")
                varying = stored.attrs["dim_varying"]
                assert isinstance(varying, np.ndarray)
                assert isinstance(varying[0], bool | np.bool_)
                sizes = [file.attrs["n_trajectories"]] * bool(stored.attrs["sample_varying"])
                sizes += [dimensions["time"].shape[-1]] * bool(stored.attrs["time_varying"])
                sizes += [dimensions[axis].shape[-1] for axis, varies in zip(axes, varying, strict=True) if varies]
                assert stored.shape == (*sizes, *[len(axes)] * order)
        scalars = file["scalars"]
        assert isinstance(scalars.attrs["field_names"], np.ndarray)
        for name in scalars.attrs["field_names"]:
            flag(scalars[name], "sample_varying", "time_varying")
            assert scalars[name].ndim == scalars[name].attrs["sample_varying"] + np.int64(scalars[name].attrs["time_varying"])
        for condition in file["boundary_conditions"].values():
            flag(condition, "sample_varying", "time_varying")
            assert condition.attrs["bc_type"] in ("WALL", "OPEN", "PERIODIC")
            assert isinstance(condition.attrs["associated_dims"], np.ndarray)
            assert "associated_fields" in condition.attrs
            along = [dimensions[axis].shape[-1] for axis in condition.attrs["associated_dims"]]
            assert condition["mask"].shape == tuple(along)
