"""The kind of a file is told by its content; what is no data file is refused in one line."""

import os

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from pac_surrogate.files import DatasetError
from pac_surrogate.formats import kind_of, open_arrays, open_table
from pac_surrogate.formats.opening import open_file


def well(path):
    with h5py.File(path, "w") as file:
        file.attrs["n_trajectories"] = 1
        for name in ("dimensions", "t0_fields"):
            file.create_group(name)


def pdebench(path):
    with h5py.File(path, "w") as file:
        file["tensor"], file["x-coordinate"] = np.zeros((2, 3, 4)), np.arange(4.0)


def groups(path):
    with h5py.File(path, "w") as file:
        file["0000/data"], file["0000/grid/x"] = np.zeros((2, 3, 1)), np.arange(3.0)


def native(path):
    with h5py.File(path, "w") as file:
        file.attrs["schema_version"] = 1


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["u"] = np.zeros((2, 3))


def npz(path):
    with path.open("wb") as file:
        np.savez(file, u=np.zeros(3))


DATASET = xr.Dataset({"u": (("sample",), np.arange(3.0))})
TABLE = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
# The names have no extension on purpose, except where only the extension tells.
KINDS = {
    "the_well": well,
    "pdebench": pdebench,
    "native": native,
    "hdf5": hdf5,
    "netcdf": lambda path: DATASET.to_netcdf(path, engine="h5netcdf"),
    "zarr": lambda path: DATASET.to_zarr(path, consolidated=False),
    "npz": npz,
    "parquet": lambda path: TABLE.to_parquet(path),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_tells_the_kind(kind, tmp_path):
    KINDS[kind](tmp_path / "data")
    assert kind_of(tmp_path / "data") == kind


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv"])
def test_the_extension_tells_that_a_text_is_a_table(name, tmp_path):
    TABLE.to_csv(tmp_path / name)
    assert kind_of(tmp_path / name) == "csv"


def test_classic_netcdf_and_one_group_for_each_sample_are_known(tmp_path):
    DATASET.to_netcdf(tmp_path / "a", engine="scipy")
    assert kind_of(tmp_path / "a") == "netcdf"
    groups(tmp_path / "b")
    assert kind_of(tmp_path / "b") == "pdebench"


def test_a_folder_with_files_of_splits_is_a_dataset_of_the_well(tmp_path):
    (tmp_path / "data/train").mkdir(parents=True)
    well(tmp_path / "data/train/a.hdf5")
    assert kind_of(tmp_path) == "the_well"


def empty(path):
    path.touch()


def text(path):
    path.write_text("not HDF5 at all")


def truncated(path):
    hdf5(path)
    path.write_bytes(path.read_bytes()[:1000])


def cdf5(path):
    path.write_bytes(b"CDF\x05" + bytes(100))


def zipped(path):
    import zipfile

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "text")


WRONG = {
    "there is none: check the path": ("a.h5", lambda path: None),
    "this one is empty": ("a.h5", empty),
    "this is a text": ("a.h5", text),
    "cannot be read": ("a.h5", truncated),
    "this is CDF-5: convert": ("a.nc", cdf5),
    "holds one array: save both with numpy.savez": ("a.npy", lambda path: np.save(path, np.zeros(3))),
    "must be an NPZ file": ("a.zip", zipped),
    "if it is a table, name it .csv": ("a.txt", text),
    "another kind of file": ("a.bin", lambda path: path.write_bytes(bytes(range(256)))),
    "this is neither: check the path": ("folder", lambda path: path.mkdir()),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_data_file_is_refused_in_one_line_that_starts_with_the_path(message, tmp_path):
    name, make = WRONG[message]
    make(tmp_path / name)
    with pytest.raises(DatasetError) as caught:
        kind_of(tmp_path / name)
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / name}: ")
    assert message in line
    assert "\n" not in line


def test_a_file_of_this_package_a_table_and_arrays_are_sent_to_the_right_function(tmp_path):
    native(tmp_path / "a.h5")
    TABLE.to_csv(tmp_path / "a.csv", index=False)
    hdf5(tmp_path / "b.h5")
    with pytest.raises(DatasetError, match="open_dataset reads it"):
        open_file(tmp_path / "a.h5")
    with pytest.raises(DatasetError, match="open_table reads it"):
        open_arrays(tmp_path / "a.csv")
    with pytest.raises(DatasetError, match="open_arrays reads it"):
        open_table(tmp_path / "b.h5")


@pytest.mark.parametrize(("package", "kind"), [("pyarrow", "parquet"), ("zarr", "zarr")])
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(package, kind, tmp_path, monkeypatch):
    import importlib

    KINDS[kind](tmp_path / "data")
    original = importlib.import_module

    def missing(name, *rest):
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return original(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(DatasetError, match=rf"needs the package {package}, .*: pip install {package}$"):
        open_file(tmp_path / "data")


def test_a_pipe_is_refused_and_not_read_for_ever(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetError, match="pipe: a data file is required, this is a pipe or a device"):
        kind_of(tmp_path / "pipe")
