"""A dataset that is written in the layout of another program comes back with every number, name, unit, coordinate and split."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import pac_surrogate as pac

RNG = np.random.default_rng(0)
INPUTS = {"zeta": RNG.uniform(1, 2, 12), "alpha": RNG.uniform(size=12), "mid": RNG.uniform(size=(12, 5))}
OUTPUTS = {"press": RNG.uniform(size=(12, 3, 5)), "area": RNG.uniform(size=12), "den": RNG.uniform(size=(12, 5))}


def dataset():
    return pac.Dataset.from_arrays(
        INPUTS,
        OUTPUTS,
        axes={"mid": ("x",), "press": ("time", "x"), "den": ("x",)},
        units={"press": "Pa", "zeta": "m", "x": "cm", "time": "s", "mid": "K"},
        coordinates={"x": [5.0, 4.0, 3.0, 2.0, 1.0], "time": [1.0, 2.0, 4.0]},
        bounds={"press": (0, None), "den": (None, 2)},
        scaling={"zeta": "log"},
        valid=0.2,
        test=0.2,
    )


LAYOUTS = {
    **{name: None for name in ("a.h5", "a.nc", "a.npz", "a.mat", "a.zarr")},
    "rods": "the_well",
    "rods.h5": "pdebench",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_come_back_in_their_order_with_units_bounds_coordinates_and_splits(name, tmp_path):
    given = dataset()
    given.save(tmp_path / name, LAYOUTS[name])
    found = pac.open_dataset(tmp_path / name)
    # Arrays are passed to a surrogate by position, so the order of the variables is a part of what must come back.
    assert (found.inputs, found.outputs) == (given.inputs, given.outputs)
    assert [v.bounds for v in found.outputs] == [v.bounds for v in given.outputs]
    for axis in ("x", "time"):
        np.testing.assert_array_equal(found.coordinates[axis].values, given.coordinates[axis].values)
        assert found.coordinates[axis].units == given.coordinates[axis].units
    for split in ("train", "valid", "test"):
        ours, theirs = (np.sort(getattr(data, split)["area"]) for data in (found, given))
        np.testing.assert_array_equal(ours, theirs)  # The Well has a file for each split, so its samples come in their order
    order = np.argsort(found["area"])[np.argsort(np.argsort(given["area"]))]
    for variable in (*given.inputs, *given.outputs):
        np.testing.assert_array_equal(found[variable.name][order], given[variable.name])


@pytest.mark.parametrize("name", ["a.h5", "a.nc", "a.npz", "a.mat", "a.zarr"])
def test_dates_come_back_as_the_same_dates(name, tmp_path):
    # A leap day, dates before 1970, whose numbers are negative, and dates that nanoseconds in 64 bits do not reach.
    for texts in (
        ["1850-01-01T00:00:00", "1969-12-31T23:59:59", "2024-02-29T12:00:01"],
        ["1500-01-01T00:00:00", "1969-12-31T00:00:01", "2500-07-01T00:00:00"],
    ):
        dates = np.array(texts, dtype="datetime64[s]")
        data = pac.Dataset.from_xarray(dataset().to_xarray().assign_coords(time=dates))
        assert data.coordinates["time"].values.tolist() == dates.astype(np.int64).tolist()
        if name == "a.zarr" and texts[0].startswith("1500"):
            continue  # xarray reads such dates of a Zarr store only with cftime
        data.save(tmp_path / name)
        found = pac.open_dataset(tmp_path / name)
        assert found.coordinates["time"].units == "seconds since 1970-01-01"
        assert found.to_xarray()["time"].values.astype("datetime64[s]").astype(str).tolist() == texts


def test_dates_with_parts_of_a_second_and_missing_dates():
    dates = np.datetime64("2024-02-29T00:00:00.000000001") + np.arange(3)
    given = dataset().to_xarray().assign_coords(time=dates)
    np.testing.assert_array_equal(pac.Dataset.from_xarray(given).to_xarray()["time"].values, dates)
    dates[1] = np.datetime64("NaT")
    with pytest.raises(ValueError, match="the coordinates of time must be finite numbers or texts, point 1 is nan"):
        pac.Dataset.from_xarray(given.assign_coords(time=dates.astype("datetime64[s]")))


@pytest.mark.parametrize("name", ["own.csv", "own.npz", "own.nc", "own.zarr"])
def test_a_dataset_is_not_saved_onto_the_file_that_it_was_read_from(name, tmp_path):
    """The file may hold more than the chosen variables, which would be lost."""
    pac.Dataset.from_arrays({"a": INPUTS["zeta"], "b": INPUTS["alpha"]}, {"y": OUTPUTS["area"]}).save(tmp_path / name)
    data = pac.open_dataset(tmp_path / name, "a", "y")
    for some in (data, data[:5], data.training):
        with pytest.raises(ValueError, match=r"a dataset must be saved to another file than .*own.*, from which it is read"):
            some.save(tmp_path / "." / name)
    np.testing.assert_array_equal(pac.open_dataset(tmp_path / name, "b", "y")["b"], INPUTS["alpha"])
    data.save(tmp_path / f"other.{name.partition('.')[2]}")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_table_comes_back_with_its_labels_and_units(name, tmp_path):
    index = pd.Index([f"run {i}" for i in range(12)], name="run")
    table = pd.DataFrame({"zeta [m]": INPUTS["zeta"], "alpha": INPUTS["alpha"], "area [m2]": OUTPUTS["area"]}, index=index)
    data = pac.Dataset.from_pandas(table, ["zeta", "alpha"], "area")
    data.save(tmp_path / name)
    found = pac.open_dataset(tmp_path / name, like=data)
    assert (found.inputs, found.outputs) == (data.inputs, data.outputs)
    np.testing.assert_array_equal(found.input_matrix, data.input_matrix)
    np.testing.assert_array_equal(found["area"], OUTPUTS["area"])


def with_other_orders():
    """Return a dataset whose train split has three orders, which its seed does not give."""
    given = dataset()
    split, order = given.splits()
    other = np.stack([np.sort(order[0]), np.sort(order[0])[::-1], np.roll(np.sort(order[0]), 2)])
    assert not np.array_equal(other, order[:3])
    return pac.Dataset(given._origin, replace(given._description, subset_order=other)), split, other


@pytest.mark.parametrize("name", ["a.h5", "a.npz", "a.mat", "a.zarr", "rods.h5"])
def test_subsets_come_back_if_they_are_not_those_of_the_seed(name, tmp_path):
    given, split, order = with_other_orders()
    given.save(tmp_path / name, LAYOUTS[name])
    found = pac.open_dataset(tmp_path / name)
    np.testing.assert_array_equal(found.splits()[0], split)
    np.testing.assert_array_equal(found.splits()[1], order)
    np.testing.assert_array_equal(found.train[:3]["area"], OUTPUTS["area"][order[0, :3]])


def test_ranks_belong_to_the_samples_and_survive_their_selection():
    given, _, order = with_other_orders()
    labelled = given.to_xarray()
    assert labelled["subset_order"].dims == ("sample", "draw")
    assert "subset_order" not in dataset().to_xarray()  # the seed gives the orders
    kept = np.flatnonzero(np.arange(12) != order[0, 1])[::-1]
    found = pac.Dataset.from_xarray(labelled.isel(sample=kept))
    for draw, own in enumerate(order):
        expected = OUTPUTS["area"][own[own != order[0, 1]]]
        np.testing.assert_array_equal(found.subset(draw, len(order[0]) - 1)["area"], expected)
    labelled["zeta"][order[0, 2]] = np.nan
    with pytest.warns(pac.DataWarning, match="left out"):
        found = pac.Dataset.from_xarray(labelled, missing="drop")
    np.testing.assert_array_equal(found.train["area"], OUTPUTS["area"][np.delete(order[0], 2)])
    with pytest.raises(ValueError, match="subset_order must hold the rank of each sample in each draw"):
        pac.Dataset.from_xarray(labelled.assign(subset_order=labelled["subset_order"] / 2))
