"""Arrays of NPZ, MATLAB, HDF5, netCDF and Zarr files, made by the tools of their fields: names, axes, units and values."""

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr
from foreign_files import FIELD, GRID, RATE, UNNAMED, hdf5_of_matlab

from pac_surrogate.files import DatasetError
from pac_surrogate.formats import open_arrays, write_matlab, write_npz, write_zarr
from pac_surrogate.formats.unnamed import named_dimensions


@pytest.mark.parametrize("name", UNNAMED)
def test_arrays_without_named_axes_share_the_samples_along_their_first_axis(name, tmp_path):
    UNNAMED[name](tmp_path / name)
    found = open_arrays(tmp_path / name)
    assert set(found.variables) == {"u", "rate", "grid"}
    assert found["u"].dims == ("sample", "u_0", "u_1")
    assert found["rate"].dims == ("sample",)
    assert found["grid"].dims == ("grid_0",)  # as long as an axis of u, which says nothing
    for stored, values in (("u", FIELD), ("rate", RATE), ("grid", GRID)):
        assert found[stored].dtype == np.float64
        np.testing.assert_array_equal(found[stored].values, values)
    assert found.attrs["step"] == 0.5
    assert found.attrs["left_out"].startswith("note (") or found.attrs["note"] == "a text"


KEYS = (
    *(3, -1, slice(None), slice(1, 5, 2), slice(None, None, -1), slice(5, 1, -2), slice(2, 2)),
    *(np.array([4, 0, 4, -1]), np.array([], dtype=int), np.array([1])),
)


@pytest.mark.parametrize("name", UNNAMED)
@pytest.mark.parametrize("axis", range(3))
def test_an_index_reads_what_numpy_would_select(name, axis, tmp_path):
    UNNAMED[name](tmp_path / name)
    found = open_arrays(tmp_path / name)["u"].variable
    for key in KEYS:
        if isinstance(key, np.ndarray):
            key = key % FIELD.shape[axis]
        elif isinstance(key, int):
            key = min(key, FIELD.shape[axis] - 1)
        index = [slice(None), slice(None), slice(None)]
        index[axis] = key
        np.testing.assert_array_equal(found[tuple(index)].values, FIELD[tuple(index)])
    np.testing.assert_array_equal(found[{"sample": slice(1, None)}][:, 2, ::-1][[3, 1]].values, FIELD[1:][:, 2, ::-1][[3, 1]])
    outer = found[[5, 0, 3], [1, 3], 1:4]
    np.testing.assert_array_equal(outer.values, FIELD[np.ix_([5, 0, 3], [1, 3], [1, 2, 3])])


def test_the_number_of_samples_is_the_first_length_that_holds_most_numbers():
    mesh = {"X": (64, 64), "Y": (64, 64), "u": (10, 64, 64), "rate": (10,)}
    assert named_dimensions(mesh) == {
        "X": ("X_0", "X_1"),
        "Y": ("Y_0", "Y_1"),
        "u": ("sample", "u_0", "u_1"),
        "rate": ("sample",),
    }


def test_an_array_named_like_an_axis_keeps_its_name(tmp_path):
    np.savez(tmp_path / "a.npz", u=FIELD, u_0=RATE)
    found = open_arrays(tmp_path / "a.npz")
    assert found["u"].dims == ("sample", "u_0_", "u_1")
    assert found["u_0"].dims == ("sample",)


def test_version_4_of_matlab_is_read(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"u": FIELD[:, 0], "rate": RATE}, format="4")
    found = open_arrays(tmp_path / "a.mat")
    np.testing.assert_array_equal(found["u"], FIELD[:, 0])
    np.testing.assert_array_equal(found["rate"], RATE)


def test_fields_of_structures_are_named_with_dots_and_cells_of_equal_shapes_are_one_array(tmp_path):
    cells = np.empty((1, 3), dtype=object)
    cells[0, :] = [np.arange(4.0), np.arange(4.0) + 1, np.arange(4.0) + 2]
    uneven = np.empty((1, 2), dtype=object)
    uneven[0, :] = [np.arange(2.0), np.arange(5.0)]
    stored = {"run": {"x": np.ones((3, 2)), "inner": {"y": np.arange(3.0)}, "name": "a text"}, "cells": cells, "uneven": uneven}
    scipy.io.savemat(tmp_path / "a.mat", {**stored, "wave": np.ones((3, 2)) * 1j})
    found = open_arrays(tmp_path / "a.mat")
    assert set(found.variables) == {"run.x", "run.inner.y", "cells"}
    np.testing.assert_array_equal(found["run.inner.y"], np.arange(3.0))
    np.testing.assert_array_equal(found["cells"], np.arange(3.0)[:, None] + np.arange(4.0))
    left_out = found.attrs["left_out"]
    assert all(name in left_out for name in ("run.name (a text)", "uneven (a cell array", "wave (complex numbers)"))


def test_version_7_of_matlab_has_structures_cells_and_flags_too(tmp_path):
    path = tmp_path / "a.mat"
    hdf5_of_matlab(path, {"flag": (np.array([1, 0, 1], np.uint8), "logical")})
    with h5py.File(path, "r+") as file:
        file["run/x"] = np.arange(6.0).reshape(2, 3)
        file["run/x"].attrs["MATLAB_class"] = np.bytes_("double")
        references = []
        for number in range(2):
            file[f"#refs#/{number}"] = np.arange(3.0)[:, None] + number  # stored reversed: 1 x 3 in MATLAB
            file[f"#refs#/{number}"].attrs["MATLAB_class"] = np.bytes_("double")
            references.append(file[f"#refs#/{number}"].ref)
        file.create_dataset("cells", data=np.array([references], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
        file["cells"].attrs["MATLAB_class"] = np.bytes_("cell")
        file["empty"] = np.array([0, 0], np.uint64)
        file["empty"].attrs["MATLAB_empty"] = np.uint8(1)
    found = open_arrays(path)
    assert set(found.variables) == {"flag", "run.x", "cells"}
    np.testing.assert_array_equal(found["flag"], [1, 0, 1])
    np.testing.assert_array_equal(found["run.x"], np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(found["cells"], [[0, 1, 2], [1, 2, 3]])
    assert found.attrs["left_out"] == "empty (empty)"


def test_a_group_of_a_plain_hdf5_file_is_part_of_the_name_and_links_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["runs/inputs/rate"] = RATE
        file["runs/inputs/rate"].attrs["units"] = "m/s"
        file["elsewhere"] = h5py.ExternalLink("secret.h5", "/u")
        file["again"] = h5py.SoftLink("/runs")
        file.attrs["title"] = "rods"
    found = open_arrays(tmp_path / "a.h5")
    assert list(found.variables) == ["runs.inputs.rate"]
    assert found["runs.inputs.rate"].attrs == {"units": "m/s"}
    assert found.attrs == {"title": "rods", "left_out": "again (a link), elsewhere (a link)"}


def packed():
    """Return a field with names, units and a missing number, and how netCDF packs it."""
    field = np.round(FIELD, 2)
    field[2, 1, 3] = np.nan
    dataset = xr.Dataset(
        {"u": (("sample", "time", "x"), field, {"units": "K", "long_name": "temperature"})},
        coords={"time": ("time", [0.0, 0.5, 1.0, 1.5], {"units": "days"}), "x": ("x", GRID, {"units": "m"})},
        attrs={"title": "rods"},
    )
    return dataset, {"u": {"dtype": "i2", "scale_factor": 0.01, "add_offset": 1.0, "_FillValue": -9999}}


NAMED = {
    "a.nc": lambda dataset, path, encoding: dataset.to_netcdf(path, engine="scipy", encoding=encoding),
    "b.nc": lambda dataset, path, encoding: dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding),
    "a.zarr": lambda dataset, path, encoding: dataset.to_zarr(path, encoding=encoding, zarr_format=2, consolidated=False),
    "b.zarr": lambda dataset, path, encoding: dataset.to_zarr(path, encoding=encoding, zarr_format=3, consolidated=False),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_axes_units_coordinates_and_packed_numbers_are_decoded(name, tmp_path):
    dataset, encoding = packed()
    NAMED[name](dataset, tmp_path / name, encoding)
    found = open_arrays(tmp_path / name)
    assert found["u"].dims == ("sample", "time", "x")
    assert found["u"].attrs == {"units": "K", "long_name": "temperature"}
    # half the step of the packed numbers is 0.005, and they were rounded to full steps: what is left is rounding of float64
    np.testing.assert_allclose(found["u"].values, dataset["u"].values, rtol=0, atol=1e-12)
    assert np.isnan(found["u"].values[2, 1, 3])
    for axis, units in (("time", "days"), ("x", "m")):  # a unit of time does not turn numbers into durations
        np.testing.assert_array_equal(found[axis].values, dataset[axis].values)
        assert found[axis].attrs["units"] == units
    assert found.attrs["title"] == "rods"
    assert not isinstance(found["u"].variable._data, np.ndarray)  # nothing is read yet


def test_dates_are_left_as_xarray_decodes_them(tmp_path):
    dates = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    xr.Dataset({"u": (("time",), [1.0, 2.0])}, coords={"time": dates}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    np.testing.assert_array_equal(open_arrays(tmp_path / "a.nc")["time"].values.astype("datetime64[ns]"), dates)


def test_groups_of_netcdf_are_part_of_the_name(tmp_path):
    path = tmp_path / "a.nc"
    xr.Dataset({"u": (("sample", "x"), np.ones((2, 3)))}, coords={"x": [0.0, 1.0, 2.0]}).to_netcdf(path, engine="h5netcdf")
    fine = xr.Dataset({"u": (("sample", "x"), np.full((2, 5), 2.0))}, coords={"x": GRID})
    fine.to_netcdf(path, engine="h5netcdf", mode="a", group="fine")
    found = open_arrays(path)
    assert found["u"].dims == ("sample", "x")
    assert found["fine.u"].dims == ("sample", "fine.x")
    np.testing.assert_array_equal(found["fine.x"], GRID)
    np.testing.assert_array_equal(found["fine.u"], np.full((2, 5), 2.0))


def complete():
    """Return a Dataset as this package hands it out, in float32 and float64, with texts as coordinates of channels."""
    return xr.Dataset(
        {
            "initial.u": (("sample", "x"), FIELD[:, 0].astype(np.float32), {"units": "K", "role": "input"}),
            "rate": (("sample",), RATE, {"units": "m/s", "role": "input", "scaling": "log"}),
            "u": (("sample", "x", "channel"), FIELD[:, :2].swapaxes(1, 2), {"units": "K", "role": "output"}),
            "split": (("sample",), np.array([0, 0, 0, 1, 1, 2], np.int8)),
        },
        coords={"x": ("x", GRID, {"units": "m"}), "channel": ("channel", ["up", "down"])},
        attrs={"title": "rods", "seed": 3},
    )


WRITERS = {"a.npz": write_npz, "a.mat": write_matlab, "a.zarr": write_zarr}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_is_read_back_bit_for_bit_and_may_be_replaced(name, tmp_path):
    dataset, path = complete(), tmp_path / name
    WRITERS[name](path, dataset.assign(rate=-dataset["rate"]))
    WRITERS[name](path, dataset)  # which replaces the first
    found = open_arrays(path)
    assert set(found.data_vars) == set(dataset.data_vars)
    for variable, expected in dataset.variables.items():
        assert found[variable].dims == expected.dims
        assert found[variable].attrs == expected.attrs
        np.testing.assert_array_equal(found[variable].values.astype(expected.dtype), expected.values)
        assert found[variable].dtype.kind in "UTO" or found[variable].dtype == expected.dtype
    assert found.attrs == dataset.attrs
    assert sorted(one.name for one in tmp_path.iterdir()) == [name]  # no temporary file is left


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_another_kind_is_not_replaced(name, tmp_path):
    path = tmp_path / name
    path.write_text("my notes")
    with pytest.raises(DatasetError, match="may replace only another one"):
        WRITERS[name](path, complete())
    assert path.read_text() == "my notes"


def test_numpy_and_scipy_read_what_is_written(tmp_path):
    write_npz(tmp_path / "a.npz", complete())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["rate"], RATE)
    write_matlab(tmp_path / "a.mat", complete())
    stored = scipy.io.loadmat(tmp_path / "a.mat")
    np.testing.assert_array_equal(stored["rate"].ravel(), RATE)
    np.testing.assert_array_equal(stored["initial_u"], FIELD[:, 0].astype(np.float32))  # MATLAB allows no dot in a name


def test_one_sample_keeps_its_axis_in_a_mat_file(tmp_path):
    one = xr.Dataset({"x": (("sample", "x_0"), np.ones((1, 3))), "y": (("sample",), [2.0])})
    write_matlab(tmp_path / "a.mat", one)
    xr.testing.assert_identical(open_arrays(tmp_path / "a.mat").load(), one)
