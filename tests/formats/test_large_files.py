"""Files of 100 GB are opened without reading their numbers, and an index reads only what it selects."""

import resource
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from foreign_files import hdf5_of_matlab

import pac_surrogate as pac
from pac_surrogate.files import DatasetError
from pac_surrogate.formats import kind_of, open_arrays, trajectories


def large_hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("u", (100_000, 500, 250), "f8", chunks=(1, 500, 250))  # 100 GB, never written
        file["rate"] = np.zeros(100_000, np.float32)


def large_matlab(path):
    hdf5_of_matlab(path, {"rate": (np.zeros(100_000, np.float32), "single")})
    with h5py.File(path, "r+") as file:
        file.create_dataset("u", (250, 500, 100_000), "f8", chunks=(250, 500, 1)).attrs["MATLAB_class"] = np.bytes_("double")


def large_netcdf(path):
    large_hdf5(path)
    with h5py.File(path, "r+") as file:
        for axis, name in enumerate(("sample", "x", "y")):
            file.create_dataset(name, data=np.arange(file["u"].shape[axis], dtype=np.float32)).make_scale(name)
            file["u"].dims[axis].attach_scale(file[name])
        file["rate"].dims[0].attach_scale(file["sample"])


def large_npz(path):
    """Write the directory of an NPZ file with an array of 2 GB whose numbers are a hole in the file."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("u.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2000, 500, 250)})
        row = bytes(500 * 250 * 8)
        for _ in range(20):  # the rest is missing, which shows only when it is read
            file.write(row)


@pytest.mark.parametrize(("name", "make"), [("a.h5", large_hdf5), ("a.mat", large_matlab), ("a.nc", large_netcdf)])
def test_opening_100_gb_takes_no_memory_and_reads_only_what_is_asked_for(name, make, tmp_path):
    path = tmp_path / name
    make(path)
    kind_of(path)
    open_arrays(path)  # once before, so that what the libraries import does not count
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = open_arrays(path)
    assert found["u"].nbytes == 100_000 * 500 * 250 * 8
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23  # 8 MB: the coordinates of a netCDF file are 0.4 MB, one sample of u is 1 MB
    assert not isinstance(found["u"].variable._data, np.ndarray)
    rows = found["u"].variable[[70_000, 3]]
    assert rows.shape == (2, 500, 250)
    assert not rows.values.any()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10  # KiB: 200 MB of 100 GB


def test_an_npz_file_is_opened_from_its_headers_and_a_missing_row_is_named_when_it_is_read(tmp_path):
    large_npz(tmp_path / "a.npz")
    tracemalloc.start()
    found = open_arrays(tmp_path / "a.npz")["u"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.shape == (2000, 500, 250)
    assert peak < 2**22
    assert not found[:3].values.any()
    with pytest.raises(DatasetError, match=r"a\.npz: the array 'u' ends early"):
        found[1000:1001].load()


@pytest.mark.parametrize("to", ["the_well", "pdebench"])
@pytest.mark.parametrize("own", [True, False], ids=["our own", "HDF5"])
def test_a_file_is_converted_without_being_read_as_a_whole(to, own, tmp_path, monkeypatch):
    """Of 16 MB, blocks of 1 MB are held, with a few copies: at least one block, and at most half of the file."""
    rng = np.random.default_rng(0)
    fields = {"initial_u": rng.normal(size=(500, 16, 16)), "u": rng.normal(size=(500, 15, 16, 16))}
    options = {"axes": {"initial_u": ("x", "y"), "u": ("time", "x", "y")}}
    if own:
        data = pac.Dataset.from_arrays({"initial_u": fields["initial_u"]}, {"u": fields["u"]}, **options)
        data.save(tmp_path / "a.h5")
        options = {}
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.update(fields)
        options |= {"inputs": "initial_u", "outputs": "u"}
    monkeypatch.setattr(trajectories, "BLOCK_BYTES", 2**20)
    pac.open_dataset(tmp_path / "a.h5", **options)[:2].save(tmp_path / "warm.h5", to)  # imports are not measured
    data = pac.open_dataset(tmp_path / "a.h5", **options)
    tracemalloc.start()
    data.save(tmp_path / "b.h5", to)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 2**20 < peak < 8 * 2**20
    found = pac.open_dataset(tmp_path / "b.h5")
    for name, values in fields.items():
        np.testing.assert_array_equal(found[name], values)
