"""The Well, read and written: names, axes, roles and values, and its own loader on what is written here."""

import json
import tracemalloc

import h5py
import numpy as np
import pytest
import wells
import xarray as xr

from pac_surrogate.files import DatasetError
from pac_surrogate.formats import kind_of, open_arrays, write_the_well
from pac_surrogate.formats.moments import Moments


@pytest.fixture
def flow(tmp_path):
    """One file with fields of all ranks."""
    stored = wells.write(tmp_path / "flow.hdf5")
    return tmp_path / "flow.hdf5", stored


def test_fields_become_an_input_at_the_first_time_and_an_output_at_the_later_times(flow):
    path, stored = flow
    found = open_arrays(path)
    roles = {name: one.attrs["role"] for name, one in found.data_vars.items()}
    moving = ("density", "velocity", "stress", "load")
    assert roles == {
        **{f"initial_{name}": "input" for name in moving},
        **dict.fromkeys(moving, "output"),
        "permeability": "input",
        "rate": "input",
    }
    for name in moving:
        flat = stored[name].reshape(*stored[name].shape[:4], 4) if name == "stress" else stored[name]
        np.testing.assert_array_equal(found[f"initial_{name}"], flat[:, 0])
        np.testing.assert_array_equal(found[name], flat[:, 1:])
        assert found[name].dtype == stored[name].dtype
    np.testing.assert_array_equal(found["permeability"], stored["permeability"])
    np.testing.assert_array_equal(found["rate"], stored["rate"])
    assert found["density"].dims == ("sample", "time", "x", "y")
    assert found["velocity"].dims == ("sample", "time", "x", "y", "channel")
    assert found["stress"].dims == ("sample", "time", "x", "y", "component")
    assert found["load"].dims == ("sample", "time")
    assert list(found["channel"].values) == ["x", "y"]
    assert list(found["component"].values) == ["xx", "xy", "yx", "yy"]


def test_coordinates_numbers_of_all_samples_and_boundary_conditions_are_kept(flow):
    path, stored = flow
    found = open_arrays(path)
    np.testing.assert_array_equal(found["time"], wells.TIMES[1:])
    np.testing.assert_array_equal(found["x"], wells.X)
    np.testing.assert_array_equal(found["y"], wells.Y)
    assert found.attrs["initial_time"] == 0.5
    assert found.attrs["viscosity"] == 0.25
    assert "viscosity" not in found.variables
    assert found["floor"].dims == ("x",)  # the same for all samples: a coordinate
    np.testing.assert_array_equal(found["floor"], stored["floor"])
    condition = json.loads(found.attrs["boundary_conditions"])["y_periodic"]
    assert (condition["bc_type"], condition["associated_dims"], condition["mask"]) == ("PERIODIC", ["y"], [0, 4])


def test_tensors_alone_are_along_channel(tmp_path):
    wells.write(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        file["t1_fields"].attrs["field_names"] = []
    assert open_arrays(tmp_path / "a.hdf5")["stress"].dims == ("sample", "time", "x", "y", "channel")


def test_tensors_whose_components_are_stored_along_one_axis_are_the_same(flow):
    path, stored = flow
    flat = stored["stress"].reshape(3, 3, 4, 5, 4)
    with h5py.File(path, "r+") as file:
        attributes = dict(file["t2_fields/stress"].attrs)
        del file["t2_fields/stress"]
        file["t2_fields"].create_dataset("stress", data=flat).attrs.update(attributes)
    np.testing.assert_array_equal(open_arrays(path)["stress"], flat[:, 1:])


def test_every_index_of_a_tensor_is_that_of_its_two_axes(flow):
    path, stored = flow
    found = open_arrays(path)["stress"].variable
    flat = stored["stress"].reshape(3, 3, 4, 5, 4)[:, 1:]
    np.testing.assert_array_equal(found[[2, 0], 1, ::-1, [4, 1], 1:3].values, flat[[2, 0]][:, 1, ::-1][:, :, [4, 1]][..., 1:3])
    np.testing.assert_array_equal(found[..., 2].values, flat[..., 2])


@pytest.fixture
def folder(tmp_path):
    """A folder of two files in the train split, with another viscosity in the second, and one in each other split."""
    root = tmp_path / "flow"
    parts = [
        wells.write(root / "data/train/a.hdf5", 3, seed=1, viscosity=0.1, tensors=False),
        wells.write(root / "data/train/b.hdf5", 2, seed=2, viscosity=0.2, tensors=False),
        wells.write(root / "data/valid/a.hdf5", 1, seed=3, viscosity=0.1, tensors=False),
        wells.write(root / "data/test/a.h5", 2, seed=4, viscosity=0.3, tensors=False),
    ]
    return root, {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in parts[0]}


def test_the_files_of_a_folder_follow_each_other_along_the_samples(folder):
    root, stored = folder
    found = open_arrays(root)
    np.testing.assert_array_equal(found["split"], [0, 0, 0, 0, 0, 1, 2, 2])
    assert found["split"].dtype == np.int8
    np.testing.assert_array_equal(found["velocity"], stored["velocity"][:, 1:])
    np.testing.assert_array_equal(found["initial_density"], stored["density"][:, 0])
    np.testing.assert_array_equal(found["rate"], stored["rate"])
    rows = [7, 0, 4, 4, 3]
    np.testing.assert_array_equal(found["density"].variable[rows, 0].values, stored["density"][rows, 1])


def test_what_is_the_same_inside_each_file_but_differs_between_them_varies_with_the_sample(folder):
    found = open_arrays(folder[0])
    np.testing.assert_array_equal(found["viscosity"], [0.1, 0.1, 0.1, 0.2, 0.2, 0.1, 0.3, 0.3])
    assert found["viscosity"].attrs["role"] == "input"
    assert "viscosity" not in found.attrs
    floors = [np.random.default_rng(0), *(wells.fields(n, seed)["floor"] for n, seed in ((3, 1), (2, 2), (1, 3), (2, 4)))][1:]
    expected = np.repeat(floors, [3, 2, 1, 2], axis=0)
    np.testing.assert_array_equal(found["floor"], expected)
    np.testing.assert_array_equal(found["floor"].variable[[6, 1], 1:3].values, expected[[6, 1], 1:3])


def test_times_that_differ_between_files_are_a_coordinate_of_each_sample(folder):
    root, _ = folder
    with h5py.File(root / "data/test/a.h5", "r+") as file:
        file["dimensions/time"][:] = 2 * wells.TIMES
    found = open_arrays(root)
    assert "time" not in found.coords
    np.testing.assert_array_equal(found["initial_times"], [0.5] * 6 + [1.0] * 2)
    np.testing.assert_array_equal(found["times"][[0, 7]], [wells.TIMES[1:], 2 * wells.TIMES[1:]])


def test_files_that_disagree_are_named(folder):
    root, _ = folder
    wells.write(root / "data/valid/a.hdf5")
    with pytest.raises(
        DatasetError, match=r"data/valid/a\.hdf5: all files of a dataset must hold the same: a\.hdf5 has .*stress"
    ):
        open_arrays(root)


def same(found, expected):
    """Assert that two datasets hold the same names, axes, units, roles, coordinates and numbers."""
    assert set(found.data_vars) == set(expected.data_vars)
    assert set(found.coords) == set(expected.coords)
    for name in expected.variables:
        assert found[name].dims == expected[name].dims
        assert found[name].attrs.keys() == expected[name].attrs.keys()
        for key, value in expected[name].attrs.items():
            np.testing.assert_array_equal(found[name].attrs[key], value)
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(found[name].values, expected[name].values)


def test_what_was_read_is_written_and_read_back_the_same(flow, tmp_path):
    first = open_arrays(flow[0])
    for _ in range(2):  # the second replaces the first
        write_the_well(tmp_path / "again.hdf5", first)
    wells.check(tmp_path / "again.hdf5")
    second = open_arrays(tmp_path / "again.hdf5")
    same(second, first)
    assert second.attrs == first.attrs


def test_a_folder_is_written_and_read_back_the_same(folder, tmp_path):
    first = open_arrays(folder[0])
    for _ in range(2):
        write_the_well(tmp_path / "again", first)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["again", "flow"]
    files = sorted((tmp_path / "again").rglob("*.hdf5"))
    assert [str(one.relative_to(tmp_path)) for one in files] == [
        f"again/data/{split}/flow.hdf5" for split in ("test", "train", "valid")
    ]
    for one in files:
        wells.check(one)
    same(open_arrays(tmp_path / "again"), first)


def own():
    """Return a Dataset as this package hands it out: units and names, a scalar input and output, scaling, two dimensions."""
    generator = np.random.default_rng(5)
    head = generator.normal(size=(7, 3, 4, 6))
    return xr.Dataset(
        {
            "initial_h": (("sample", "x", "y"), head[:, 0], {"units": "m", "long_name": "head at first", "role": "input"}),
            "k": (("sample",), generator.uniform(size=7), {"units": "m/s", "role": "input", "scaling": "log"}),
            "h": (("sample", "time", "x", "y"), head[:, 1:], {"units": "m", "long_name": "head", "role": "output"}),
            "flow": (("sample",), generator.normal(size=7), {"units": "m3/s", "role": "output"}),
            "split": (("sample",), np.array([2, 0, 0, 1, 0, 0, 2], np.int8)),
        },
        coords={
            "time": ("time", [1.0, 3.0], {"units": "day"}),
            "x": ("x", np.arange(4.0), {"units": "m", "long_name": "east"}),
            "y": ("y", np.arange(6.0), {"units": "m"}),
        },
        attrs={"title": "wells", "pair": "aquifer", "parameters": json.dumps({"length": 2.0}), "seed": 3},
    )


def test_our_units_names_roles_and_scaling_survive(tmp_path):
    given = own()
    write_the_well(tmp_path / "aquifer", given)
    order = [1, 2, 4, 5, 3, 0, 6]  # train, valid, test
    expected = given.isel(sample=order)
    found = open_arrays(tmp_path / "aquifer")
    same(found.drop_vars("split"), expected.drop_vars("split"))
    np.testing.assert_array_equal(found["split"], [0, 0, 0, 0, 1, 2, 2])
    assert found.attrs["title"] == "wells"
    assert found.attrs["length"] == 2.0
    assert found.attrs["initial_time"] == 0.0  # a state before all times is at 0 unless the dataset says otherwise
    wells.check(tmp_path / "aquifer/data/train/aquifer.hdf5")


def test_outputs_over_time_without_a_first_state_keep_all_times(tmp_path):
    given = own().drop_vars(["initial_h", "split"])
    write_the_well(tmp_path / "a.hdf5", given)
    found = open_arrays(tmp_path / "a.hdf5")
    same(found, given)
    assert "initial_time" not in found.attrs


def test_moments_of_blocks_are_those_of_all_numbers():
    numbers = np.random.default_rng(0).normal(loc=1e6, size=(9, 5, 4, 2))
    moments = Moments(1)
    for start in (0, 2, 3):
        moments.add(numbers[start : {0: 2, 2: 3, 3: 9}[start]], time=1)
    found = moments.statistics()
    # The spread is a millionth of the mean: a sum of squares would lose 12 of 16 digits, merged blocks lose none of them.
    np.testing.assert_allclose(found["mean"], numbers.mean((0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(found["std"], numbers.std((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found["rms"], np.sqrt(np.square(numbers).mean((0, 1, 2))), rtol=1e-12)
    np.testing.assert_allclose(found["std_delta"], np.diff(numbers, axis=1).std((0, 1, 2)), rtol=1e-9)


def test_the_loader_of_the_well_reads_what_is_written_with_its_normalisation(folder, tmp_path):
    pytest.importorskip("the_well", reason="it pins an old fsspec: pip install --no-deps the_well==1.2.0 einops")
    import yaml
    from the_well.data import WellDataset
    from the_well.data.normalization import RMSNormalization

    root, stored = folder
    first = open_arrays(root)
    write_the_well(tmp_path / "again", first)
    raw = WellDataset(path=str(tmp_path / "again"), well_split_name="train")
    assert raw.metadata.field_names == {0: ["density"], 1: ["velocity_x", "velocity_y"], 2: []}
    assert raw.metadata.constant_field_names == {0: ["permeability", "floor"], 1: [], 2: []}
    assert raw.metadata.scalar_names == ["load"]
    assert len(raw) == 5 * 2  # two pairs of successive times in each of five trajectories
    item = raw[3]  # the second pair of the second trajectory
    np.testing.assert_array_equal(item["input_fields"][0, ..., 0], stored["density"][1, 1])
    np.testing.assert_array_equal(item["output_fields"][0, ..., 1:], stored["velocity"][1, 2])
    floor = np.broadcast_to(wells.fields(3, 1)["floor"][:, None], (4, 5))
    np.testing.assert_array_equal(item["constant_fields"][..., 1], floor)
    np.testing.assert_array_equal(item["space_grid"][..., 1], np.broadcast_to(wells.Y, (4, 5)))
    assert (item["boundary_conditions"] == 2).all()  # periodic
    scaled = WellDataset(
        path=str(tmp_path / "again"),
        well_split_name="train",
        use_normalization=True,
        normalization_type=RMSNormalization,
    )
    density, velocity = stored["density"][:5].astype(np.float64), stored["velocity"][:5].astype(np.float64)
    expected = density[1, 1] / np.sqrt(np.square(density).mean())
    # The loader rounds the statistics to float32, as the fields are, which are of order 1.
    np.testing.assert_allclose(scaled[3]["input_fields"][0, ..., 0], expected, rtol=0, atol=1e-6)
    statistics = yaml.safe_load((tmp_path / "again/stats.yaml").read_text())
    np.testing.assert_allclose(statistics["mean"]["velocity"], velocity.mean((0, 1, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(statistics["std_delta"]["density"], np.diff(density, axis=1).std(), rtol=1e-12)


def test_the_export_of_the_well_to_xarray_reads_what_is_written(flow, tmp_path):
    export = pytest.importorskip("the_well.utils.export", reason="it pins an old fsspec")
    path, stored = flow
    write_the_well(tmp_path / "a.hdf5", open_arrays(path))
    with h5py.File(tmp_path / "a.hdf5") as file:
        found = export.hdf5_to_xarray(file)
    np.testing.assert_array_equal(found["stress"], stored["stress"])
    np.testing.assert_array_equal(found["load"], stored["load"])
    np.testing.assert_array_equal(found["time"], wells.TIMES)


def test_the_file_that_the_well_makes_for_its_own_tests_is_read(tmp_path):
    made = pytest.importorskip("the_well.utils.dummy_data", reason="it pins an old fsspec")
    made.write_dummy_data(str(tmp_path / "a.hdf5"))
    found = open_arrays(tmp_path / "a.hdf5")
    assert {name: one.attrs["role"] for name, one in found.data_vars.items()} == {
        "constant_field": "input",
        "initial_field": "input",
        "field": "output",
    }
    assert found["field"].shape == (2, 9, 32, 32, 2)
    assert (found.attrs["a"], found.attrs["b"]) == (0.25, 0.75)
    assert found["time_varying_scalar"].shape == (9,)


def test_opening_100_gb_reads_nothing(tmp_path):
    path = tmp_path / "a.hdf5"
    wells.write(path, tensors=False)
    with h5py.File(path, "r+") as file:
        file.attrs["n_trajectories"] = 200_000_000
        for name in ("density", "velocity", "permeability", "load", "rate"):
            group = next(file[one] for one in ("t0_fields", "t1_fields", "scalars") if name in file[one])
            old = group.pop(name)
            new = group.create_dataset(name, (200_000_000, *old.shape[1:]), "f8", chunks=(1000, *old.shape[1:]))
            for key, value in old.attrs.items():
                new.attrs[key] = value
        file["scalars"].attrs["field_names"] = ["viscosity", "load"]
    open_arrays(path)
    tracemalloc.start()
    found = open_arrays(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found["velocity"].nbytes + found["density"].nbytes > 10**11
    assert peak < 2**22
    assert not isinstance(found["velocity"].variable._data, np.ndarray)
    assert not found["velocity"].variable[[199_999_999]].values.any()


WRONG = {
    "inputs and outputs are required": lambda given: given.drop_vars(["initial_h", "k"]),
    "states at two or more times": lambda given: given.drop_vars(["h", "initial_h"]).assign(
        initial=given["initial_h"].assign_attrs(role="input")
    ),
    "one to three spatial axes": lambda given: xr.Dataset(
        {"k": given["k"], "q": (("sample", "time"), np.zeros((7, 2)), {"role": "output"})}
    ),
    "but there is no initial_q": lambda given: given.assign(q=given["h"]),
    "must be the time of the first state": lambda given: given.assign_attrs(initial_time=2.0),
    "tensors of 4 components in 2 dimensions": lambda given: given.drop_vars(["h", "initial_h"]).assign(
        q=(("sample", "time", "x", "y", "channel"), np.zeros((7, 2, 4, 6, 3)), {"role": "output"})
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_the_well_cannot_hold_is_one_line(message, tmp_path):
    with pytest.raises(DatasetError, match=message) as caught:
        write_the_well(tmp_path / "a.hdf5", WRONG[message](own().drop_vars("split")))
    assert str(caught.value).startswith(f"{tmp_path / 'a.hdf5'}: ")
    assert not list(tmp_path.iterdir())


def test_another_folder_is_not_replaced(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="may replace only another one, this is another folder"):
        write_the_well(tmp_path / "notes", own())
    assert (tmp_path / "notes/mine.txt").read_text() == "mine"


def test_a_file_cut_at_half_is_named(folder):
    root, _ = folder
    path = root / "data/valid/a.hdf5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert kind_of(root) == "the_well"
    with pytest.raises(DatasetError, match=r"data/valid/a\.hdf5: ") as caught:
        open_arrays(root)
    assert "\n" not in str(caught.value)
