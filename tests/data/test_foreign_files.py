"""Files of other programs: which axis is the sample, whole numbers that float64 would round, and files that change."""

import os

import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.io import savemat

import pac_surrogate as pac

RNG = np.random.default_rng(0)
ARRAYS = {"a": RNG.uniform(size=20), "u": RNG.uniform(size=(20, 3)), "mesh": RNG.uniform(size=(500, 3))}


def write(path):
    if path.suffix == ".npz":
        np.savez(path, **ARRAYS)
    elif path.suffix == ".mat":
        savemat(path, {**ARRAYS, "a": ARRAYS["a"][:, None]})  # MATLAB has no arrays of one axis
    else:
        with h5py.File(path, "w") as file:
            file.update(ARRAYS)
    return path


@pytest.mark.parametrize("name", ["a.npz", "a.mat", "a.h5"])
@pytest.mark.parametrize("sample", [None, "sample"])
def test_the_inputs_and_outputs_tell_the_samples_of_arrays_without_named_axes(name, sample, tmp_path):
    """A mesh that holds more numbers than the samples has another first axis."""
    data = pac.open_dataset(write(tmp_path / name), "u", "a", sample=sample)
    assert len(data) == 20
    assert data.inputs[0].axes == ("u_0",)  # as in a file without a mesh
    for variable in ("a", "u"):
        np.testing.assert_array_equal(data[variable], ARRAYS[variable])
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=2)
    np.testing.assert_array_equal(surrogate.predict(tmp_path / name), surrogate.predict(ARRAYS["u"]))
    with pytest.raises(ValueError, match="inputs and outputs need one dimension in common, the sample"):
        pac.open_dataset(tmp_path / name, "mesh", "a")


@pytest.mark.parametrize("name", ["a.nc", "a.npz"])
def test_integers_that_float64_would_round_are_refused_when_they_are_read(name, tmp_path):
    values = {"a": 2**60 + np.arange(20), "b": 2**53 - np.arange(20)}
    path = tmp_path / name
    if name.endswith("nc"):
        xr.Dataset({key: ("sample", one) for key, one in values.items()}).to_netcdf(path, engine="h5netcdf")
    else:
        np.savez(path, **values)
    data = pac.open_dataset(path, "a", "b")
    np.testing.assert_array_equal(data["b"].astype(np.int64), values["b"])  # exact: at most 2**53
    with pytest.raises(ValueError, match=r"a holds the integer 1152921504606846977, and float64 holds integers exactly only"):
        data["a"]


def test_a_change_of_one_file_in_a_folder_is_noticed(tmp_path):
    path = tmp_path / "a.zarr"
    xr.Dataset({name: ("sample", ARRAYS["a"]) for name in ("a", "b")}).to_zarr(path, zarr_format=2)
    data = pac.open_dataset(path, "a", "b")
    np.testing.assert_array_equal(data["a"], ARRAYS["a"])
    chunk = path / "b" / "0"
    before = path.stat().st_mtime_ns
    os.utime(chunk, ns=(0, chunk.stat().st_mtime_ns + 1))
    assert path.stat().st_mtime_ns == before  # the time of the folder itself does not tell
    with pytest.raises(ValueError, match="the file has changed since it was opened: open it again"):
        data["b"]
