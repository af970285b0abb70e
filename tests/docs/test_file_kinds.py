"""The table of the kinds of files: names, units, coordinates and numbers of what comes out, by value."""

import sys

import numpy as np
import pytest
from paths import ROOT

import pac_surrogate as pac


@pytest.fixture(scope="module")
def kinds():
    """Import docs/file_kinds.py as the page does."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(ROOT / "docs")
        import file_kinds

        yield file_kinds
    sys.modules.pop("file_kinds", None)


TABLES = ("pandas DataFrame", "CSV", "Parquet")
WITH_UNITS = ("xarray Dataset", "netCDF-4", "netCDF classic", "Zarr", "our own HDF5")
ARRAYS = ("arrays of NumPy or torch", "plain HDF5", "MATLAB 5 to 7.2", "MATLAB 7.3", "NPZ")
COLLECTIONS = {
    "The Well": (("initial_temperature", "conductivity"), ("temperature",)),
    "PDEBench, tensor": (("initial_tensor",), ("tensor",)),
    "PDEBench, Darcy": (("nu",), ("tensor",)),
    "PDEBench, compressible": (("initial_Vx", "initial_density", "initial_pressure"), ("Vx", "density", "pressure")),
    "PDEBench, a group a sample": (("initial_data",), ("data",)),
    "PDEBench, incompressible": (("initial_velocity", "initial_particles", "force"), ("velocity", "particles")),
}


def test_every_kind_is_tested_here_and_needs_one_line(kinds):
    assert sorted(kinds.KINDS) == sorted((*TABLES, *WITH_UNITS, *ARRAYS, *COLLECTIONS))
    assert {len(kind.code.splitlines()) for kind in kinds.KINDS.values()} == {1}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_names_units_categories_and_numbers(name, kinds, tmp_path):
    data = kinds.opened(kinds.KINDS[name], tmp_path)
    assert [(v.name, v.units) for v in data.inputs] == [
        ("conductivity", "W m-1 K-1"),
        ("material=brass", "1"),
        ("material=steel", "1"),
    ]
    assert [(v.name, v.units) for v in data.outputs] == [("hot end", "K")]
    np.testing.assert_array_equal(data["conductivity"], kinds.CONDUCTIVITY)
    np.testing.assert_array_equal(data["material=brass"], [0, 1] * 6)
    np.testing.assert_array_equal(data["hot end [K]"], kinds.TEMPERATURE[:, 0])


@pytest.mark.parametrize("name", [*WITH_UNITS, *ARRAYS])
def test_arrays_give_names_axes_coordinates_and_numbers_and_units_where_the_kind_holds_them(name, kinds, tmp_path):
    data = kinds.opened(kinds.KINDS[name], tmp_path)
    expected = ("W m-1 K-1", "K", "m") if name in WITH_UNITS else ("1", "K", "m") if name == "plain HDF5" else ("1", "1", "1")
    assert [(v.name, v.axes) for v in (*data.inputs, *data.outputs)] == [("conductivity", ()), ("temperature", ("x",))]
    assert (data.inputs[0].units, data.outputs[0].units, data.coordinates["x"].units) == expected
    np.testing.assert_array_equal(data.coordinates["x"].values, kinds.POINTS)
    np.testing.assert_array_equal(data["conductivity"], kinds.CONDUCTIVITY)
    np.testing.assert_array_equal(data["temperature"], kinds.TEMPERATURE)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_collections_give_first_and_later_times_with_coordinates(name, kinds, tmp_path):
    data = kinds.opened(kinds.KINDS[name], tmp_path)
    inputs, outputs = COLLECTIONS[name]
    assert (tuple(v.name for v in data.inputs), tuple(v.name for v in data.outputs)) == (inputs, outputs)
    history = kinds.HISTORY.astype(np.float32)
    if name == "The Well":
        np.testing.assert_array_equal(data["temperature"], history[:, 1:, ::-1])
        np.testing.assert_array_equal(data["conductivity"], kinds.CONDUCTIVITY.astype(np.float32))
    elif name == "PDEBench, Darcy":
        fields = (kinds.TEMPERATURE[:, :, None] + np.arange(4)).astype(np.float32)
        np.testing.assert_array_equal(data["tensor"], fields)
        np.testing.assert_array_equal(data.coordinates["y"].values, np.arange(4))
    elif name == "PDEBench, incompressible":
        np.testing.assert_array_equal(data["velocity"][:, :, :, 0, 1], 2 * history[:, 1:])
    else:
        first, later = inputs[0], outputs[0]
        factor = 3 if name == "PDEBench, compressible" else 1  # its first variable is Vx
        expected = (factor * kinds.HISTORY).astype(np.float32)
        np.testing.assert_array_equal(data[first], expected[:, 0])
        np.testing.assert_array_equal(data[later], expected[:, 1:])
    if "time" in data.coordinates:
        np.testing.assert_array_equal(data.coordinates["time"].values, kinds.TIMES[1:])


def test_a_collection_is_transferred_in_two_lines(kinds, tmp_path):
    kinds.KINDS["PDEBench, tensor"].write(tmp_path)
    surrogate = pac.pretrain(tmp_path / "tensor.h5", model=pac.MLP(hidden=(4,)), steps=5)
    assert surrogate.predict(tmp_path / "tensor.h5").shape == (kinds.RODS, 2, 5)


def test_the_table_has_a_row_for_each_kind(kinds, tmp_path):
    table = kinds.kinds_table(tmp_path)
    assert len(table.splitlines()) == 2 + len(kinds.KINDS)
    assert "| conductivity [W m-1 K-1] | temperature (x) [K] | x 1 to 0 |" in table
