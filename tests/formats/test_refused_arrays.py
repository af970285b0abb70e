"""Damaged and foreign files of arrays: nothing is unpickled, and every fault is one line that starts with the path."""

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr
from foreign_files import FIELD, RATE, UNNAMED

from pac_surrogate.files import DatasetError
from pac_surrogate.formats import open_arrays


def pickled(path):
    np.savez(path, u=np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("name", UNNAMED)
def test_a_file_cut_at_half_is_refused_when_it_is_opened(name, tmp_path):
    path = tmp_path / name
    UNNAMED[name](path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError) as caught:
        open_arrays(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_pickled_array_is_never_read(tmp_path):
    pickled(tmp_path / "a.npz")
    with pytest.raises(DatasetError, match=r"a\.npz: arrays of numbers are required, 'u' holds Python objects, which are pick"):
        open_arrays(tmp_path / "a.npz")


class Touching:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_a_pickled_zarr_array_is_never_read(place, tmp_path):
    xr.Dataset({"u": (("sample",), RATE)}).to_zarr(tmp_path / "a.zarr", zarr_format=2, consolidated=False)
    described = json.loads((tmp_path / "a.zarr/u/.zarray").read_text())
    codec = {"id": "pickle", "protocol": 5}
    described |= {"filters": None, "compressor": None, place: [codec] if place == "filters" else codec}
    (tmp_path / "a.zarr/u/.zarray").write_text(json.dumps(described))
    (tmp_path / "a.zarr/u/0").write_bytes(pickle.dumps(Touching(tmp_path / "unpickled")))
    with pytest.raises(DatasetError, match="pickle"):
        open_arrays(tmp_path / "a.zarr").load()
    assert not (tmp_path / "unpickled").exists()


def test_a_file_without_numbers_says_what_it_holds(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"note": "a text"})
    with pytest.raises(DatasetError, match=r"are required: it holds note \(a text\)"):
        open_arrays(tmp_path / "a.mat")


def test_an_array_in_another_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("u", (6, 2), "f8", external=[(str(tmp_path / "other"), 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(DatasetError, match="'u' must be stored in this file"):
        open_arrays(tmp_path / "a.h5")


@pytest.mark.parametrize("name", UNNAMED)
def test_damaged_bytes_are_harmless_or_one_line(name, tmp_path):
    path = tmp_path / name
    UNNAMED[name](path)
    whole, generator = path.read_bytes(), np.random.default_rng(1)
    lines = []
    for _ in range(60):
        damaged = bytearray(whole)
        for place in generator.integers(0, [len(whole), min(len(whole), 400)]):  # half of them where the file begins
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            open_arrays(path).load()
        except DatasetError as error:
            lines.append(str(error))
    assert len(lines) > 5
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (128, 9, "must hold matrices only"),
        (132, 255, "must end inside it"),
        (145, 8, "must have 4 parts after its flags, one has others"),  # the flag of complex numbers, which SciPy believes
        (184, 14, "generate or download it again"),  # the type of the numbers: a matrix
    ],
)
def test_a_damaged_type_or_length_in_a_mat_file_is_refused_before_scipy_reads_it(place, value, message, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"u": FIELD})
    data = bytearray((tmp_path / "a.mat").read_bytes())
    data[place] = value
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        open_arrays(tmp_path / "a.mat")
