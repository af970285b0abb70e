"""Variables of xarray Datasets: names, units, dimensions and coordinates, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pac_surrogate as pac


def rods(runs=6, points=5):
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "conductivity": ("run", rng.uniform(1, 2, runs), {"units": "W m-1 K-1", "long_name": "thermal conductivity"}),
            "start": (("x", "run"), rng.uniform(size=(points, runs)), {"units": "K"}),
            "temperature": (("time", "x", "run"), rng.uniform(size=(3, points, runs)).astype("float32"), {"units": "K"}),
        },
        coords={
            "x": ("x", np.linspace(1, 0, points), {"units": "m"}),
            "time": pd.date_range("2020-02-01", periods=3, freq="12h"),
            "run": ("run", [f"r{i}" for i in range(runs)]),
        },
        attrs={"title": "rods", "institution": "a laboratory", "seed": "many"},
    )


def test_names_units_dimensions_and_coordinates_come_from_the_dataset_and_go_back():
    rod = rods()
    data = pac.Dataset.from_xarray(rod, inputs=["conductivity", "start"], outputs="temp*")
    assert [(v.name, v.axes, v.units, v.dtype) for v in (*data.inputs, *data.outputs)] == [
        ("conductivity", (), "W m-1 K-1", "float64"),
        ("start", ("x",), "K", "float64"),
        ("temperature", ("time", "x"), "K", "float32"),
    ]
    assert data.inputs[0].long_name == "thermal conductivity"
    np.testing.assert_array_equal(data["temperature"], rod["temperature"].transpose("run", "time", "x"))
    np.testing.assert_array_equal(data.coordinates["x"].values, np.linspace(1, 0, 5))  # descending
    assert data.coordinates["x"].units == "m"
    # 50 years of which 12 are leap years, and January, to 2020-02-01.
    first = (50 * 365 + 12 + 31) * 86400
    assert data.coordinates["time"].values.tolist() == [first, first + 43200, first + 86400]
    assert data.coordinates["time"].units == "seconds since 1970-01-01"
    assert (data.attributes["title"], data.attributes["institution"], data.attributes["seed"]) == ("rods", "a laboratory", 0)
    back = data.to_xarray()
    for name in ("x", "time"):
        xr.testing.assert_equal(back[name].drop_attrs(), rod[name].drop_attrs())
        assert back[name].attrs.get("units") == rod[name].attrs.get("units")
    assert back["sample"].values.tolist() == rod["run"].values.tolist()
    for name in data._variables:
        np.testing.assert_array_equal(back[name], rod[name].transpose("run", *back[name].dims[1:]))
        assert back[name].attrs["units"] == rod[name].attrs["units"]
    assert data[[3, 0]].to_xarray()["sample"].values.tolist() == ["r3", "r0"]


def test_a_dataset_goes_through_xarray_with_its_roles_and_splits():
    x, y = np.arange(40.0).reshape(20, 2), np.arange(60.0).reshape(20, 3)
    data = pac.Dataset.from_arrays(
        {"a": x},
        {"b": y},
        axes={"b": ("x",)},
        units={"b": "Pa", "x": "m"},
        coordinates={"x": [0.0, 0.1, 0.4]},
        valid=0.2,
        test=0.3,
    )
    back = pac.Dataset.from_xarray(data.to_xarray())
    assert (back.inputs, back.outputs) == (data.inputs, data.outputs)
    for split in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(back, split).y, getattr(data, split).y)
    assert back.subset(3, 5).digest() == data.subset(3, 5).digest()
    np.testing.assert_array_equal(back.coordinates["x"].values, [0.0, 0.1, 0.4])
    assert back.coordinates["x"].units == "m"


def test_the_sample_is_the_one_dimension_that_all_variables_share_and_of_several_the_named_one():
    rod = rods()
    several = rod.drop_vars("conductivity")
    with pytest.raises(ValueError, match="sample= must say which dimension is the sample: x, run are common"):
        pac.Dataset.from_xarray(several, "start", "temperature")
    data = pac.Dataset.from_xarray(several, "start", "temperature", sample="run")
    assert len(data) == 6
    assert len(pac.Dataset.from_xarray(several.drop_vars("run").rename(run="realization"), "start", "temperature")) == 6
    several.encoding["unlimited_dims"] = {"run"}
    assert len(pac.Dataset.from_xarray(several, "start", "temperature")) == 6
    with pytest.raises(ValueError, match="sample= must name a dimension of all inputs and outputs, got 'time'"):
        pac.Dataset.from_xarray(rod, "start", "temperature", sample="time")
    with pytest.raises(ValueError, match="need one dimension in common"):
        pac.Dataset.from_xarray(rod.assign(other=("y", [1.0])), "start", "other")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda d: d.drop_vars("start"), r"inputs names 'start', but the data has conductivity, temperature"),
        (lambda d: d.assign(start=("run", list("abcdef"))), "start must hold real numbers, it holds"),
        (
            lambda d: d.assign(start=d.start.where(d.start > d.start.min())),
            r"start must be finite, it is nan at sample \d, x \d",
        ),
        (lambda d: d.isel(run=slice(0)), "at least one sample is required, the dimension run has none"),
        (lambda d: d["start"], "a Dataset of xarray is required, got .*: to_dataset"),
        (lambda d: d.assign_coords(x=[0, 1, 2, np.nan, 3]), "coordinates of x must be finite"),
    ],
)
def test_what_a_dataset_cannot_be_is_one_line(change, line):
    with pytest.raises(ValueError, match=line) as error:
        pac.Dataset.from_xarray(change(rods()), ["conductivity", "start"], "temperature", sample="run")
    assert "\n" not in str(error.value)


def test_dates_that_label_the_samples_are_the_index_of_a_table():
    days = pd.date_range("2024-02-28", periods=3)
    dated = rods(3).assign_coords(run=days)
    table = pac.Dataset.from_xarray(dated, "conductivity", "temperature").to_pandas()
    assert table.index.equals(pd.Index(days.astype("datetime64[ns]"), name="run"))


def test_predictions_of_a_dataset_have_its_sample_dimension_coordinates_and_units():
    rod = rods(30)
    data = pac.Dataset.from_xarray(rod, ["conductivity", "start"], "temperature")
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=5)
    adapted = pac.transfer(surrogate, rod.isel(run=slice(0, 12)), method="FineTune", steps=5)
    new = rod.isel(run=[20, 7])
    found = adapted.predict(new.drop_vars("temperature"))
    assert found["temperature"].dims == ("run", "time", "x")
    assert found["temperature"].attrs["units"] == "K"
    for name in ("run", "x", "time"):
        xr.testing.assert_equal(found[name].drop_attrs(), new[name].drop_attrs())
    np.testing.assert_array_equal(found["temperature"], adapted.predict(data[[20, 7]]))
    joined = adapted.predict_interval(new, level=0.8).to_xarray()
    assert {"temperature", "temperature_lower", "temperature_upper", "extrapolates"} == set(joined.data_vars)
    assert (joined["temperature_lower"] <= joined["temperature_upper"]).all()
    assert joined["extrapolates"].dims == ("run",)
    with pytest.raises(ValueError, match="a variable start is required, the data have conductivity, temperature"):
        adapted.predict(new.drop_vars("start"))
    with pytest.raises(ValueError, match=r"conductivity must be in W m-1 K-1, got W/\(m K\)"):
        adapted.predict(new.assign(conductivity=new.conductivity.assign_attrs(units="W/(m K)")))


def test_missing_entries_are_refused_dropped_or_kept_as_gaps(tmp_path):
    rod = rods()
    rod["temperature"][2, 1, 3] = np.nan
    path = tmp_path / "rods.nc"
    rod.to_netcdf(path, engine="h5netcdf")
    sides = ["conductivity", "start"], "temperature"
    opened = pac.open_dataset(path, *sides)  # its numbers are read later
    with pytest.raises(ValueError, match=r"rods\.nc: temperature must be finite, it is nan at sample 3, time 2, x 1"):
        opened.y  # noqa: B018
    with pytest.warns(pac.DataWarning, match="1 of 6 samples are left out, because numbers are missing: temperature in 1"):
        kept = pac.open_dataset(path, *sides, missing="drop")
    assert kept.to_xarray()["sample"].values.tolist() == ["r0", "r1", "r2", "r4", "r5"]
    np.testing.assert_array_equal(kept["start"], rod["start"].transpose("run", "x")[[0, 1, 2, 4, 5]])
    masked = pac.open_dataset(path, *sides, missing="mask")
    assert np.isnan(masked["temperature"]).sum() == 1


def test_axes_are_named_and_get_the_coordinates_of_an_array_of_that_name():
    bare = xr.Dataset(
        {"a": ("sample", np.arange(4.0)), "u": (("sample", "u_0"), np.ones((4, 3))), "x": ("x_0", [0.0, 0.5, 2.0])}
    )
    data = pac.Dataset.from_xarray(bare, "a", "u", axes={"u": ("x",)}, units={"x": "m"})
    assert data.outputs[0].axes == ("x",)
    assert data.coordinates["x"].values.tolist() == [0.0, 0.5, 2.0]
    assert data.coordinates["x"].units == "m"
    with pytest.raises(ValueError, match="u needs one name for each axis but the sample"):
        pac.Dataset.from_xarray(bare, "a", "u", axes={"u": ("x", "y")})
    with pytest.raises(ValueError, match="x must have 3 coordinates"):
        pac.Dataset.from_xarray(
            bare.assign(x=("x_0", [0.0, 1.0])).drop_vars("x").assign(x=("p", [0.0, 1.0])), "a", "u", axes={"u": "x"}
        )
