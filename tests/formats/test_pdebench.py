"""PDEBench, read and written: files as its generating programs make them, with the same names, axes and values."""

import tracemalloc

import h5py
import numpy as np
import pytest
import xarray as xr

import pac_surrogate as pac
from pac_surrogate.files import DatasetError
from pac_surrogate.formats import kind_of, open_arrays, write_pdebench

GENERATOR = np.random.default_rng(0)
T, X, Y = 5, 8, 6
TIMES, EAST, NORTH = np.linspace(0, 2, T + 1, dtype=np.float32), np.linspace(0, 1, X), np.linspace(0, 3, Y)


def random(*shape):
    return GENERATOR.normal(size=shape).astype(np.float32)


def tensor(path):
    """Burgers, advection and reaction-diffusion in one dimension: one time more than the field has."""
    found = {"tensor": random(4, T, X)}
    with h5py.File(path, "w") as file:
        file["tensor"], file["x-coordinate"], file["t-coordinate"] = found["tensor"], EAST, TIMES
        file.attrs["Nu"] = 0.01
    return found


def darcy(path):
    found = {"tensor": random(4, 1, X, Y), "nu": random(4, X, Y)}
    with h5py.File(path, "w") as file:
        file["tensor"], file["nu"], file["x-coordinate"], file["y-coordinate"] = found["tensor"], found["nu"], EAST, NORTH
        file.attrs["beta"] = 1.0
    return found


def compressible(path):
    found = {name: random(4, T, X, Y) for name in ("density", "pressure", "Vx", "Vy")}
    with h5py.File(path, "w") as file:
        for name, values in {**found, "x-coordinate": EAST, "y-coordinate": NORTH, "t-coordinate": TIMES}.items():
            file[name] = values
        file.attrs["eta"], file.attrs["zeta"], file.attrs["M"] = 0.1, 0.2, 1.0
    return found


def groups(path, *, samples=4, channels=2, first=0):
    found = {"data": random(samples, T, X, Y, channels)}
    with h5py.File(path, "w") as file:
        for sample in range(samples):
            group = file.create_group(str(sample + first).zfill(4))
            group.create_dataset("data", data=found["data"][sample], compression="lzf")
            for name, values in (("x", EAST), ("y", NORTH), ("t", TIMES[:T])):
                group.create_dataset(f"grid/{name}", data=values, dtype="f")
            group.attrs["config"] = f"sim:\n  seed: {sample}\n"
    return found


def incompressible(path):
    found = {"velocity": random(2, T, X, Y, 2), "particles": random(2, T, X, Y, 1), "force": random(2, X, Y, 2)}
    with h5py.File(path, "w") as file:
        for name, values in found.items():
            file.create_dataset(
                name, data=values, compression="lzf", shuffle=True, chunks=(1, *[1] * (values.ndim > 4), *values.shape[-3:])
            )
        file["t"] = np.tile(TIMES[:T], (2, 1))
        file.attrs["config"], file.attrs["latestIndex"] = "NU: 0.01\n", 4
    return found


LAYOUTS = {"tensor": tensor, "compressible": compressible, "groups": groups, "incompressible": incompressible}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fields_become_an_input_at_the_first_time_and_an_output_at_the_later_times(layout, tmp_path):
    stored = LAYOUTS[layout](tmp_path / "data")  # no extension
    assert kind_of(tmp_path / "data") == "pdebench"
    found = open_arrays(tmp_path / "data")
    space = ("x",) if layout == "tensor" else ("x", "y")
    for name, values in stored.items():
        values = values[..., 0] if name == "particles" else values
        channel = ("channel",) if name in ("velocity", "data", "force") else ()
        if name == "force":
            assert found[name].dims == ("sample", *space, *channel)
            assert found[name].attrs == {"role": "input"}
            np.testing.assert_array_equal(found[name], values)
            continue
        assert found[name].dims == ("sample", "time", *space, *channel)
        assert found[f"initial_{name}"].dims == ("sample", *space, *channel)
        assert (found[name].attrs, found[f"initial_{name}"].attrs) == ({"role": "output"}, {"role": "input"})
        np.testing.assert_array_equal(found[name], values[:, 1:])
        np.testing.assert_array_equal(found[f"initial_{name}"], values[:, 0])
        np.testing.assert_array_equal(found[name].variable[[1, 0, 1], ::2, 3].values, values[[1, 0, 1]][:, 1::2, 3])
        assert found[name].dtype == np.float32
        assert not isinstance(found[name].variable._data, np.ndarray)
    assert set(found.data_vars) == {*stored, *(f"initial_{name}" for name in stored if name != "force")}
    np.testing.assert_array_equal(found["time"], TIMES[1:T])  # the last of the stored times has no state
    assert found.attrs["initial_time"] == 0.0


def test_parameters_and_grids_are_kept(tmp_path):
    compressible(tmp_path / "a.hdf5")
    found = open_arrays(tmp_path / "a.hdf5")
    assert found.attrs == {"eta": 0.1, "zeta": 0.2, "M": 1.0, "initial_time": 0.0}
    np.testing.assert_array_equal(found["x"], EAST)
    np.testing.assert_array_equal(found["y"], NORTH)
    groups(tmp_path / "b.h5")
    assert open_arrays(tmp_path / "b.h5").attrs["config"] == "sim:\n  seed: 0\n"


def test_the_solution_of_darcys_equation_is_an_output_without_time(tmp_path):
    stored = darcy(tmp_path / "a.hdf5")
    found = open_arrays(tmp_path / "a.hdf5")
    assert set(found.variables) == {"nu", "tensor", "x", "y"}
    assert (found["nu"].attrs["role"], found["tensor"].attrs["role"]) == ("input", "output")
    assert found["tensor"].dims == found["nu"].dims == ("sample", "x", "y")
    np.testing.assert_array_equal(found["tensor"], stored["tensor"][:, 0])
    np.testing.assert_array_equal(found["nu"], stored["nu"])
    assert found.attrs == {"beta": 1.0}


def test_groups_follow_each_other_by_number_and_a_single_component_has_no_axis(tmp_path):
    stored = groups(tmp_path / "a.h5", samples=3, channels=1, first=9999)  # 9999, 10000, 10001: not in the order of texts
    found = open_arrays(tmp_path / "a.h5")
    assert found["data"].dims == ("sample", "time", "x", "y")
    np.testing.assert_array_equal(found["data"], stored["data"][:, 1:, ..., 0])


def test_a_group_of_another_shape_is_named_when_it_is_read(tmp_path):
    groups(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["0002/data"]
        file["0002/data"] = random(T, X, Y + 1, 2)
    found = open_arrays(tmp_path / "a.h5")
    assert found["data"].variable[:2].values.shape == (2, T - 1, X, Y, 2)
    with pytest.raises(DatasetError, match=r"a\.h5: all samples must have the shape .* of 0000/data, 0002/data has"):
        found["data"].load()


def test_times_that_differ_between_samples_are_a_coordinate_of_each(tmp_path):
    incompressible(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["t"][1] = 2 * TIMES[:T] + 1
    found = open_arrays(tmp_path / "a.h5")
    assert "time" not in found.coords
    np.testing.assert_array_equal(found["times"], [TIMES[1:T], 2 * TIMES[1:T] + 1])
    np.testing.assert_array_equal(found["initial_times"], [0, 1])


def stored_in(path):
    """Return every dataset of a file by its name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def one_component(path):
    return groups(path, channels=1)


def one_dimension(path):
    """Diffusion and sorption: groups with a single axis in space and a single component."""
    found = {"data": random(3, T, X, 1)}
    with h5py.File(path, "w") as file:
        for sample, values in enumerate(found["data"]):
            file[f"{sample:04}/data"], file[f"{sample:04}/grid/x"], file[f"{sample:04}/grid/t"] = values, EAST, TIMES[:T]
    return found


def own_times(path):
    found = incompressible(path)
    with h5py.File(path, "r+") as file:
        file["t"][1] = 2 * TIMES[:T] + 1
    return found


@pytest.mark.parametrize("make", [tensor, darcy, compressible, groups, one_component, one_dimension, incompressible, own_times])
def test_what_was_read_is_written_and_read_back_the_same_with_the_same_stored_fields(make, tmp_path):
    make(tmp_path / "a.hdf5")
    first = open_arrays(tmp_path / "a.hdf5")
    for _ in range(2):  # the second replaces the first
        write_pdebench(tmp_path / "b.hdf5", first)
    second = open_arrays(tmp_path / "b.hdf5")
    xr.testing.assert_identical(second.load(), first.load())
    given, found = stored_in(tmp_path / "a.hdf5"), stored_in(tmp_path / "b.hdf5")
    assert found.keys() == given.keys()
    for name, values in given.items():
        if name == "t-coordinate" or name.endswith("grid/t"):
            values = values[:T]  # the last of the stored times has no state
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.hdf5", "b.hdf5"]


@pytest.mark.parametrize("make", [tensor, darcy, compressible, groups, one_component, incompressible])
def test_a_dataset_keeps_the_layout_that_its_file_had(make, tmp_path):
    make(tmp_path / "a.hdf5")
    data = pac.open_dataset(tmp_path / "a.hdf5", test=0.5)
    data.save(tmp_path / "b.hdf5", "pdebench")
    found = pac.open_dataset(tmp_path / "b.hdf5")
    assert (found.inputs, found.outputs) == (data.inputs, data.outputs)
    np.testing.assert_array_equal(found.input_matrix, data.input_matrix)
    np.testing.assert_array_equal(found.output_matrix, data.output_matrix)
    for ours, theirs in zip(found.splits(), data.splits(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    given, written = stored_in(tmp_path / "a.hdf5"), stored_in(tmp_path / "b.hdf5")
    fields = [name for name in given if name.split("/")[-1] in ("tensor", "nu", "data", "velocity", "particles", "force", "Vx")]
    assert fields
    for name in fields:
        np.testing.assert_array_equal(written[name], given[name])


@pytest.mark.parametrize("name", ["u", "velocity"])
def test_components_are_written_in_groups_or_as_an_incompressible_flow_with_what_else_belongs_to_them(name, tmp_path):
    head = random(5, 3, X, Y, 2)
    variables = {
        f"initial_{name}": (("sample", "x", "y", "channel"), head[:, 0], {"units": "m/s", "role": "input"}),
        "rate": (("sample",), random(5), {"units": "1/s", "role": "input", "scaling": "log"}),
        "floor": (("sample", "x", "y"), random(5, X, Y), {"units": "m", "role": "input"}),
        name: (("sample", "time", "x", "y", "channel"), head[:, 1:], {"units": "m/s", "role": "output", "lower_bound": -9.0}),
        "subset_order": (("sample", "draw"), np.array([[0, 1], [1, 0], [-1, -1], [-1, -1], [2, 2]], np.int32)),
        "split": (("sample",), np.array([0, 0, 1, 2, 0], np.int8)),
    }
    if name == "velocity":
        smoke = random(5, 3, X, Y)
        variables["initial_particles"] = (("sample", "x", "y"), smoke[:, 0], {"role": "input"})
        variables["particles"] = (("sample", "time", "x", "y"), smoke[:, 1:], {"role": "output"})
    given = xr.Dataset(
        variables,
        coords={"time": ("time", [0.5, 1.0], {"units": "s"}), "x": ("x", EAST, {"units": "m"}), "y": ("y", NORTH)},
        attrs={"title": "channel", "initial_time": 0.25, "config": "sim: 1"},
    )
    write_pdebench(tmp_path / "a.hdf5", given)
    found = open_arrays(tmp_path / "a.hdf5").load()
    assert found.attrs.pop("pdebench_layout", "") == ("groups" if name == "u" else "")
    xr.testing.assert_identical(found, given)
    stored = stored_in(tmp_path / "a.hdf5")
    if name == "u":
        np.testing.assert_array_equal(stored["0004/data"], head[4])
        np.testing.assert_array_equal(stored["0004/grid/t"], [0.25, 0.5, 1.0])
    else:
        np.testing.assert_array_equal(stored["particles"], smoke[..., None])
        np.testing.assert_array_equal(stored["t"], [[0.25, 0.5, 1.0]] * 5)


def own():
    """Return a Dataset as this package hands it out, with names and units that PDEBench has no place for."""
    head = GENERATOR.normal(size=(5, 3, X))
    return xr.Dataset(
        {
            "initial_u": (("sample", "x"), head[:, 0], {"units": "K", "long_name": "at first", "role": "input"}),
            "rate": (("sample",), GENERATOR.normal(size=5), {"units": "1/s", "role": "input", "scaling": "log"}),
            "u": (("sample", "time", "x"), head[:, 1:], {"units": "K", "long_name": "temperature", "role": "output"}),
            "split": (("sample",), np.array([0, 0, 1, 2, 0], np.int8)),
        },
        coords={"time": ("time", [0.5, 1.0], {"units": "s"}), "x": ("x", EAST, {"units": "m"})},
        attrs={"title": "rods", "initial_time": 0.25, "seed": 3},
    )


def test_our_names_units_scalars_and_splits_survive(tmp_path):
    given = own()
    write_pdebench(tmp_path / "a.hdf5", given)
    with h5py.File(tmp_path / "a.hdf5") as file:
        np.testing.assert_array_equal(file["tensor"][:, 1:], given["u"])  # what the loader of PDEBench looks for
        np.testing.assert_array_equal(file["t-coordinate"], [0.25, 0.5, 1.0])
    xr.testing.assert_identical(open_arrays(tmp_path / "a.hdf5").load(), given)


def test_a_steady_pair_of_fields_is_written_as_darcy(tmp_path):
    given = xr.Dataset(
        {
            "permeability": (("sample", "x", "y"), random(3, X, Y), {"units": "m2", "role": "input", "scaling": "log"}),
            "head": (("sample", "x", "y"), random(3, X, Y), {"units": "m", "role": "output"}),
        },
        coords={"x": ("x", EAST), "y": ("y", NORTH)},
    )
    write_pdebench(tmp_path / "a.hdf5", given)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["tensor"].shape == (3, 1, X, Y)
        np.testing.assert_array_equal(file["nu"], given["permeability"])
    xr.testing.assert_identical(open_arrays(tmp_path / "a.hdf5").load(), given)


def test_one_field_over_time_in_two_dimensions_and_one_without_a_first_state_are_read_back(tmp_path):
    given = xr.Dataset(
        {
            "floor": (("sample", "x", "y"), random(3, X, Y), {"role": "input"}),
            "h": (("sample", "time", "x", "y"), random(3, 2, X, Y), {"role": "output"}),
        },
        coords={"time": ("time", [0.0, 1.0]), "x": ("x", EAST), "y": ("y", NORTH)},
    )
    write_pdebench(tmp_path / "a.hdf5", given)
    xr.testing.assert_identical(open_arrays(tmp_path / "a.hdf5").load(), given)


def test_a_thousand_groups_and_100_gb_are_opened_without_reading_them(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for sample in range(1000):
            file.create_dataset(f"{sample:04}/data", (101, 512, 256, 2), "f4", chunks=(1, 512, 256, 2))  # 106 GB, never written
        for name, values in (("x", np.arange(512.0)), ("y", np.arange(256.0)), ("t", np.arange(101.0))):
            file[f"0000/grid/{name}"] = values
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file.create_dataset("tensor", (100_000, 201, 1024), "f8", chunks=(1, 201, 1024))
        file["x-coordinate"], file["t-coordinate"] = np.arange(1024.0), np.arange(202.0)
    for name, variable in (("a.h5", "data"), ("b.hdf5", "tensor")):
        open_arrays(tmp_path / name)
        tracemalloc.start()
        found = open_arrays(tmp_path / name)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found[variable].nbytes > 10**11
        assert peak < 2**21
        assert not isinstance(found[variable].variable._data, np.ndarray)
        assert not found[variable].variable[[900, 3], 0].values.any()


WRONG = {
    "inputs and outputs are required": lambda given: given[["u"]],
    r"the dataset has rate \(sample\); u \(sample, time, place\)": lambda given: given.rename(x="place"),
    "names the axes x, y, z in this order": lambda given: given.rename(x="y"),
    "initial_u begins u, but there is no initial_v": lambda given: given.assign(v=given["u"]),
    "one input and one output field along x and y": lambda given: given.isel(time=0).drop_vars("time"),
    r"or velocity and particles with components": lambda given: (
        given[["initial_u", "u"]].expand_dims(channel=2, axis=-1).assign(v=given["u"], initial_v=given["initial_u"])
    ),
    "does not name the components": lambda given: given[["initial_u", "u"]].expand_dims({"channel": ["a", "b"]}, axis=-1),
    "uses the name '0009' itself": lambda given: (
        given[["initial_u", "u"]].expand_dims(channel=2, axis=-1).assign({"0009": given["rate"]})
    ),
    "uses the name 'x-coordinate' itself": lambda given: given.rename({"rate": "x-coordinate"}),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_no_layout_holds_is_one_line(message, tmp_path):
    with pytest.raises(DatasetError, match=message) as caught:
        write_pdebench(tmp_path / "a.hdf5", WRONG[message](own()))
    assert str(caught.value).startswith(f"{tmp_path / 'a.hdf5'}: ")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def wrong_grid(path):
    tensor(path)
    with h5py.File(path, "r+") as file:
        del file["x-coordinate"]
        file["x-coordinate"] = np.arange(X + 1.0)


def wrong_rank(path):
    tensor(path)
    with h5py.File(path, "r+") as file:
        file["extra"] = random(4, T, X, 2)


def cut(path):
    compressible(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong_grid, "the axis x has 8 points, its coordinates have 9"),
        (wrong_rank, "extra must have the axes sample, time, x"),
        (cut, "cannot be read"),
    ],
)
def test_a_file_that_contradicts_itself_is_one_line(make, message, tmp_path):
    make(tmp_path / "a.hdf5")
    with pytest.raises(DatasetError, match=message) as caught:
        open_arrays(tmp_path / "a.hdf5")
    assert str(caught.value).startswith(f"{tmp_path / 'a.hdf5'}: ")
