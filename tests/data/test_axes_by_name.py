"""Axes and their points are matched by name and coordinate: another order changes no prediction, and no number is exchanged."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import order_of
from pac_surrogate.files import Coordinate

X, NAMES = np.linspace(0, 1, 4), ["u", "v", "p"]


def states(samples=12, seed=0):
    """Return samples of an input state (x, name) and of an output flux (x) on named points."""
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "state": (("sample", "x", "name"), rng.uniform(size=(samples, 4, 3)), {"units": "K"}),
            "flux": (("sample", "x"), rng.uniform(size=(samples, 4)), {"units": "W"}),
        },
        coords={"x": ("x", X, {"units": "m"}), "name": NAMES},
    )


def surrogate_of(dataset, inputs="state", outputs="flux"):
    data = Dataset.from_xarray(dataset, inputs, outputs)
    return replace(initial_surrogate(pac.MLP(hidden=(6,)), data), coordinates=data.coordinates)


SURROGATE = surrogate_of(states())


@pytest.mark.parametrize("order", [{"x": [3, 2, 1, 0]}, {"name": [2, 0, 1]}, {"x": [1, 3, 0, 2], "name": [1, 0, 2]}])
def test_points_in_another_order_change_no_prediction(order, tmp_path):
    data = states(seed=1)
    other = data.isel(order)
    expected = SURROGATE.predict(data)
    xr.testing.assert_identical(SURROGATE.predict(other), expected)
    xr.testing.assert_identical(SURROGATE.posterior(other).mean, SURROGATE.posterior(data).mean)
    other.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    np.testing.assert_array_equal(SURROGATE.predict(tmp_path / "other.nc"), expected["flux"])


def test_an_order_is_found_up_to_rounding_and_only_if_the_points_are_the_same():
    ours, theirs = Coordinate("x", X, "m"), Coordinate("x", X[[2, 0, 3, 1]].astype(np.float32), "m")
    np.testing.assert_array_equal(theirs.values[order_of(theirs, ours)], X.astype(np.float32))
    assert order_of(Coordinate("x", 2 * X[::-1], "m"), ours) is None
    assert order_of(Coordinate("x", X[::-1], "mm"), ours) is None
    assert order_of(Coordinate("x", np.array(["a", "b", "c", "d"])), ours) is None
    twice = Coordinate("x", np.array(["a", "b", "a", "c"]))
    assert order_of(twice, Coordinate("x", np.array(["b", "a", "a", "c"]))) is None  # which of the two is not known


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"x": np.linspace(0, 50, 4)}, "the axis x is 0 to 1 m in the surrogate and 0 to 50 in the data"),
        ({"name": ["u", "v", "w"]}, "the axis name is u, v, p in the surrogate and u, v, w in the data"),
    ],
)
def test_other_points_are_a_warning(change, line):
    with pytest.warns(pac.DataWarning, match=line):
        SURROGATE.predict(states().assign_coords(change))


def maps(*axes):
    """Return samples of a field on a square grid of latitudes and longitudes, in any order of its axes."""
    field = np.random.default_rng(0).uniform(size=(9, 3, 3))
    data = xr.Dataset({"a": ("sample", np.arange(9.0)), "u": (("sample", "lat", "lon"), field, {"units": "K"})})
    return data.assign_coords(lat=[10.0, 20, 30], lon=[0.0, 5, 9]).transpose("sample", *axes)


def test_axes_in_another_order_are_transposed_by_like_and_refused_without_it():
    source, turned = maps("lat", "lon"), maps("lon", "lat")
    data = Dataset.from_xarray(source, "a", "u")
    for known in (data, surrogate_of(source, "a", "u")):
        found = Dataset.from_xarray(turned, like=known)
        assert found.outputs == data.outputs
        np.testing.assert_array_equal(found["u"], data["u"])
    other = Dataset.from_xarray(turned, "a", "u")
    line = r"u has the axes \(lat, lon\) in the surrogate and \(lon, lat\) in the data: transpose one"
    with pytest.raises(ValueError, match=line):
        pac.transfer(surrogate_of(source, "a", "u"), other, method=pac.LinearCorrection())
    with pytest.raises(ValueError, match=line):
        surrogate_of(source, "u", "a").predict(Dataset.from_xarray(turned, "u", "a"))


def test_a_prediction_is_not_replaced_by_a_coordinate_of_its_name():
    data = states(seed=2).isel(x=0, drop=True).rename(flux="load")
    surrogate = surrogate_of(data, outputs="load")
    given = data.assign_coords(load=data["load"], run=("sample", np.arange(12) + 5))
    found = surrogate.predict(given)
    np.testing.assert_array_equal(found["load"], surrogate.predict(data)["load"])
    assert "load" in found.data_vars
    np.testing.assert_array_equal(found["run"], np.arange(12) + 5)


def test_samples_along_the_axis_of_an_output_are_refused():
    data = states().isel(x=0, drop=True).rename(sample="x")[["state"]]
    with pytest.raises(
        ValueError, match=r"no axis of an output, the data have them along x: rename it, as in data\.rename\(x="
    ):
        SURROGATE_OF_POINTS.predict(data)


SURROGATE_OF_POINTS = surrogate_of(states().assign(state=states()["state"].isel(x=0, drop=True)))


def test_samples_with_an_index_of_two_levels_keep_it():
    index = pd.MultiIndex.from_product([[1, 2, 3], list("abcd")], names=["run", "kind"])
    given = states().assign_coords(xr.Coordinates.from_pandas_multiindex(index, "sample"))
    given = given.assign_coords(flux_lower=("sample", np.arange(12.0)))  # a name that a bound takes
    surrogate = pac.pretrain(Dataset.from_xarray(given, "state", "flux"), model=pac.MLP(hidden=(4,)), steps=2)
    target = given.copy(deep=True)
    target["flux"].values[:] *= 2
    adapted = pac.transfer(surrogate, target, method="FineTune", steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = adapted.predict_interval(given, level=0.8).to_xarray()
    assert found.indexes["sample"].equals(index)
    assert found["extrapolates"].dims == ("sample",)
    assert {"flux", "flux_lower", "flux_upper", "extrapolates"} == set(found.data_vars)


def test_a_coordinate_of_the_samples_can_be_an_input_if_it_is_named():
    data = xr.Dataset({"y": ("a", np.arange(5.0) ** 2)}, coords={"a": np.arange(5.0)})
    found = Dataset.from_xarray(data, "a", "y")
    np.testing.assert_array_equal(found["a"], np.arange(5.0))
    assert [v.axes for v in (*found.inputs, *found.outputs)] == [(), ()]
    np.testing.assert_array_equal(surrogate_of(data, "a", "y").predict(data)["y"], surrogate_of(data, "a", "y").predict(found))
    np.testing.assert_array_equal(Dataset.from_xarray(found.to_xarray())["a"], found["a"])
    assert list(found.to_pandas().index.names) == [None]  # the numbers are a column, and no labels too
    with pytest.raises(ValueError, match="inputs must name at least one variable that is not on the other side"):
        Dataset.from_xarray(data, "*", "y")


def test_an_empty_unit_and_a_dimension_without_an_index_are_accepted():
    data = states()
    data["state"].attrs["units"] = ""
    np.testing.assert_array_equal(SURROGATE.predict(data)["flux"], SURROGATE.predict(states())["flux"])
    bare = states().drop_indexes(["x", "name"])
    assert Dataset.from_xarray(bare, "state", "flux").coordinates["name"].values.tolist() == NAMES
    np.testing.assert_array_equal(SURROGATE.predict(bare)["flux"], SURROGATE.predict(states())["flux"])


def test_like_gives_what_the_data_do_not_tell():
    told = maps("lat", "lon")
    told["u"].attrs |= {"scaling": "log", "lower_bound": 0.0, "long_name": "a temperature"}
    like = Dataset.from_xarray(told, "a", "u")
    bare = maps("lat", "lon").drop_attrs()
    (found,) = Dataset.from_xarray(bare, like=like).outputs
    assert (found, found.bounds) == (like.outputs[0], (0.0, None))
    bare["u"].attrs = {"scaling": "standard", "upper_bound": 2.0, "units": "K"}
    (found,) = Dataset.from_xarray(bare, like=like).outputs
    assert (found.scaling, found.bounds) == ("standard", (None, 2.0))
    bare["u"].attrs["units"] = "degC"
    with pytest.raises(ValueError, match="u must be in K, as in like=, got degC: convert it"):
        Dataset.from_xarray(bare, like=like)
