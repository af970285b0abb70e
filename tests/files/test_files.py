"""Data files: contents are read back unchanged, damage is named, and no file is ever incomplete."""

import contextlib
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pac_surrogate.files import (
    Coordinate,
    DatasetError,
    DatasetWriter,
    NetcdfVariable,
    Variable,
    describe,
    load_tensors,
    make_split,
    make_subset_order,
    read_description,
    read_netcdf,
    read_rows,
    read_xarray,
    replacing,
    save_tensors,
    validate,
    write_netcdf,
    write_xarray,
)

SAMPLES, TIMES, POINTS = 60, 3, 500
GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "conductivity": GENERATOR.uniform(1, 2, SAMPLES),
    "initial": GENERATOR.normal(size=(SAMPLES, POINTS)),
    "temperature": GENERATOR.normal(size=(SAMPLES, TIMES, POINTS)),
}
SPLIT = make_split(SAMPLES, valid=6, test=9, seed=3)
ATTRIBUTES: dict[str, Any] = {
    "title": "Rods",
    "pair": "rods",
    "side": "source",
    "simulator": "none",
    "equation": "u_t = a u_xx",
    "parameters": {"length": 1.0},
    "headline": "rel_l2",
    "seed": 3,
    "history": "made by a test",
}
MEASURED = {"solver_order_measured": 2.0, "conservation_residual": 1e-12, "cost_seconds_per_sample": float("nan")}


def options() -> dict[str, Any]:
    inputs = [
        Variable("conductivity", units="W/(m K)", scaling="log", dtype="float64"),
        Variable("initial", ("x",), (POINTS,), "K", "temperature at t = 0"),
    ]
    return {
        "inputs": inputs,
        "outputs": [Variable("temperature", ("time", "x"), (TIMES, POINTS), "K")],
        "coordinates": [Coordinate("x", np.linspace(0, 1, POINTS), "m", "position along the rod")],
        "samples": SAMPLES,
        "split": SPLIT,
        "subset_order": make_subset_order(SPLIT, seed=3),
        "attributes": ATTRIBUTES,
    }


def start(path: Path, **changes: Any) -> DatasetWriter:
    return DatasetWriter(path, **(options() | changes))


def write_on(writer: DatasetWriter, batch: int, until: int = SAMPLES) -> None:
    while writer.written < until:
        rows = slice(writer.written, min(until, writer.written + batch))
        writer.write({name: values[rows] for name, values in ARRAYS.items()})


def write(path: Path, batch: int = SAMPLES, **changes: Any) -> Path:
    with start(path, **changes) as writer:
        write_on(writer, batch)
        writer.finish(MEASURED)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("files") / "rods.h5")


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    (tmp_path / "rods.h5").write_bytes(written.read_bytes())
    return tmp_path / "rods.h5"


def curve() -> dict[str, NetcdfVariable]:
    error = np.arange(12.0).reshape(2, 3, 2)
    error[1, 2, 0] = np.nan
    return {
        "method": NetcdfVariable(("method",), np.array(["PAC", "Müller & Söhne"])),
        "size": NetcdfVariable(("size",), np.array([0, 4, 8]), {"long_name": "target samples", "units": "1"}),
        "rel_l2": NetcdfVariable(("method", "size", "seed"), error, {"units": "1"}),
        "diverged": NetcdfVariable(("method", "size", "seed"), (error > 5).astype(np.int8), {"flag_values": np.int8([0, 1])}),
        "budget": NetcdfVariable((), np.float64(600.0)),
    }


def test_variables_and_attributes_are_read_back(tmp_path: Path) -> None:
    attributes = {
        "title": "Kurve ü",
        "long": "ü" * 40_000,
        "empty": "",
        "seed": 3,
        "cost": 0.25,
        "unknown": float("nan"),
        "sizes": [4, 8],
    }
    write_netcdf(tmp_path / "curve.nc", curve(), attributes)
    variables, found = read_netcdf(tmp_path / "curve.nc")
    assert list(variables) == list(curve())
    for name, variable in curve().items():
        assert variables[name].dims == variable.dims
        np.testing.assert_array_equal(variables[name].values, variable.values)
        assert np.asarray(variables[name].values).dtype.kind == np.asarray(variable.values).dtype.kind
        np.testing.assert_equal(variables[name].attributes, dict(variable.attributes))
    np.testing.assert_equal(found, attributes | {"sizes": np.array([4, 8])})


def test_the_same_content_gives_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "a.nc", curve(), {"title": "a"})
    time.sleep(1.1)  # HDF5 time stamps count seconds
    write_netcdf(tmp_path / "b.nc", curve(), {"title": "a"})
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_xarray_reads_names_and_coordinates_and_gaps(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "curve.nc", curve(), {"title": "a"})
    with xr.open_dataset(tmp_path / "curve.nc", engine="h5netcdf") as found:
        assert found["rel_l2"].dims == ("method", "size", "seed")  # seed has a name but no coordinates
        assert set(found.coords) == {"method", "size"}
        assert found["rel_l2"].sel({"method": "Müller & Söhne", "size": 4}).values.tolist() == [8.0, 9.0]
        assert np.isnan(found["rel_l2"].sel({"method": "Müller & Söhne", "size": 8}).values).tolist() == [True, False]
        assert found["diverged"].dtype == np.int8
        assert found["size"].attrs == {"long_name": "target samples", "units": "1"}


def test_an_xarray_dataset_is_read_back_identical(tmp_path: Path) -> None:
    variables = {name: (variable.dims, variable.values, dict(variable.attributes)) for name, variable in curve().items()}
    dataset = xr.Dataset(variables, attrs={"title": "a"}).assign_coords(seed=[0, 1], cost=("method", [0.5, 2.0]))
    write_xarray(tmp_path / "curve.nc", dataset)
    xr.testing.assert_identical(read_xarray(tmp_path / "curve.nc"), dataset)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (NetcdfVariable(("size",), np.arange(4)), "'size' must have one length, it has 3 and, in 'new', 4"),
        (NetcdfVariable(("size", "size"), np.ones((3, 3))), "one name for each axis"),
        (NetcdfVariable(("new", "size"), np.ones((2, 3))), "rename one"),
        (NetcdfVariable(("size",), np.ones(3, complex)), "complex128: convert it"),
        (NetcdfVariable(("size",), np.array([1, "a", None], object)), "object: convert it"),
        (NetcdfVariable(("size",), np.ones(3), {"note": {"a": 1}}), "'note' must be a text or numbers"),
    ],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, variable: NetcdfVariable, message: str) -> None:
    write_netcdf(tmp_path / "curve.nc", curve())
    old = (tmp_path / "curve.nc").read_bytes()
    with pytest.raises(ValueError, match=message):
        write_netcdf(tmp_path / "curve.nc", curve() | {"new": variable})
    assert os.listdir(tmp_path) == ["curve.nc"]
    assert (tmp_path / "curve.nc").read_bytes() == old


def test_a_replaced_file_is_either_complete_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "note.txt"
    with replacing(path) as temporary:
        temporary.write_text("first")
    with path.open() as reader:  # a reader of the old file can continue to read it
        with replacing(path) as temporary:
            temporary.write_text("second")
        assert reader.read() == "first"
    assert path.read_text() == "second"
    with contextlib.suppress(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "second"
    assert os.listdir(path.parent) == ["note.txt"]


def test_the_written_data_are_read_back(written: Path) -> None:
    rows = np.arange(SAMPLES)
    np.testing.assert_array_equal(read_rows(written, "conductivity", rows), ARRAYS["conductivity"])
    np.testing.assert_array_equal(read_rows(written, "temperature", rows), ARRAYS["temperature"].astype(np.float32))
    found = read_description(written)
    assert found.inputs == (
        Variable("conductivity", units="W/(m K)", scaling="log"),
        Variable("initial", ("x",), (POINTS,), "K", "temperature at t = 0"),
    )
    assert found.outputs == (Variable("temperature", ("time", "x"), (TIMES, POINTS), "K"),)
    assert [variable.dtype for variable in (*found.inputs, *found.outputs)] == ["float64", "float32", "float32"]
    np.testing.assert_array_equal(found.split, SPLIT)
    np.testing.assert_array_equal(found.subset_order, make_subset_order(SPLIT, seed=3))
    np.testing.assert_array_equal(found.coordinates["x"].values, np.linspace(0, 1, POINTS))
    np.testing.assert_array_equal(found.coordinates["time"].values, [0, 1, 2])
    assert (found.coordinates["x"].units, found.coordinates["x"].long_name) == ("m", "position along the rod")
    assert found.attributes["parameters"] == '{"length": 1.0}'
    assert found.attributes["solver_order_measured"] == 2.0
    assert not written.with_name("rods.h5.part").exists()
    validate(written)


def test_xarray_opens_it_with_axes_units_and_an_unlimited_sample(written: Path) -> None:
    with xr.open_dataset(written, engine="h5netcdf") as found:
        assert found["temperature"].dims == ("sample", "time", "x")
        assert found["temperature"].attrs == {"units": "K", "long_name": "temperature", "role": "output", "scaling": "standard"}
        assert set(found.coords) == {"sample", "time", "x", "draw", "rank"}
        assert found["x"].attrs["units"] == "m"
        assert found.encoding["unlimited_dims"] == {"sample"}
        assert found["split"].attrs["flag_meanings"] == "train valid test"
        np.testing.assert_array_equal(found["initial"].values, ARRAYS["initial"].astype(np.float32))


@pytest.mark.parametrize("batch", [1, 7, 59])
def test_the_bytes_do_not_depend_on_the_batches(written: Path, tmp_path: Path, batch: int) -> None:
    assert write(tmp_path / "rods.h5", batch).read_bytes() == written.read_bytes()


def test_chunks_are_complete_samples_near_a_megabyte(written: Path) -> None:
    with h5py.File(written) as file:
        for name in ("initial", "temperature"):
            dataset = file[name]
            row = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
            assert dataset.chunks == (min(SAMPLES, round(2**20 / row)), *dataset.shape[1:])
            assert (dataset.shuffle, dataset.compression, dataset.scaleoffset) == (True, "gzip", None)
            assert np.isnan([dataset.fillvalue, dataset.attrs["_FillValue"]]).all()  # netCDF requires the two to be equal
    large = Variable("temperature", ("x",), (100_000,))
    assert 0.9 < large.size * 4 * round(2**20 / (large.size * 4)) / 2**20 < 1.2


def test_a_stopped_run_continues_to_the_same_bytes(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "rods.h5"
    with start(path) as writer:
        write_on(writer, 7, until=14)
    assert os.listdir(tmp_path) == ["rods.h5.part"]
    with start(path) as writer:
        assert writer.written == 14
        write_on(writer, 20)
        writer.finish(MEASURED)
    assert path.read_bytes() == written.read_bytes()
    assert os.listdir(tmp_path) == ["rods.h5"]


KILLED = """
import pickle, sys, time
from pac_surrogate.files import DatasetWriter
path, options, arrays = pickle.load(sys.stdin.buffer)
writer = DatasetWriter(path, **options)
for start in range(0, 25, 5):
    writer.write({name: values[start : start + 5] for name, values in arrays.items()})
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_is_resumed_and_a_living_one_is_left_alone(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "rods.h5"
    with subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            pickle.dump((path, options(), ARRAYS), process.stdin)
            process.stdin.flush()
            assert process.stdout.readline() == b"ready\n"
            for changes in ({}, {"resume": False}, {"attributes": ATTRIBUTES | {"seed": 4}}):
                with pytest.raises(DatasetError, match=r"cannot be written .* another process"):
                    start(path, **changes)
        finally:
            process.kill()
    with start(path) as writer:
        assert writer.written == 25
        write_on(writer, 50)
        writer.finish(MEASURED)
    assert path.read_bytes() == written.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": ATTRIBUTES | {"seed": 4}},
        {"attributes": ATTRIBUTES | {"parameters": {"length": 2.0}}},
        {"subset_order": make_subset_order(SPLIT, seed=4)},
        {"coordinates": [Coordinate("x", np.linspace(0, 2, POINTS), "m")]},
        {"outputs": [Variable("temperature", ("time", "x"), (TIMES, POINTS), "degC")]},
        {"resume": False},
    ],
)
def test_another_configuration_starts_again(tmp_path: Path, changes: dict[str, Any]) -> None:
    with start(tmp_path / "rods.h5") as writer:
        write_on(writer, 7, until=14)
    warned = pytest.warns(UserWarning, match=r"rods\.h5\.part is damaged or has another configuration: .* computed anew")
    with contextlib.nullcontext() if "resume" in changes else warned, start(tmp_path / "rods.h5", **changes) as writer:
        assert writer.written == 0


def test_attributes_that_describe_the_run_do_not_start_it_again(tmp_path: Path) -> None:
    with start(tmp_path / "rods.h5") as writer:
        write_on(writer, 7, until=14)
    with start(tmp_path / "rods.h5", attributes=ATTRIBUTES | MEASURED | {"history": "later"}) as writer:
        assert writer.written == 14


@pytest.mark.parametrize("damage", [lambda whole: b"no HDF5", lambda whole: whole[:1000], lambda whole: b""])
def test_a_part_that_cannot_be_read_is_started_again(tmp_path: Path, damage: Any) -> None:
    with start(tmp_path / "rods.h5") as writer:
        write_on(writer, 7, until=14)
    part = tmp_path / "rods.h5.part"
    part.write_bytes(damage(part.read_bytes()))
    warned = pytest.warns(UserWarning, match="damaged or has another configuration")
    with warned if part.stat().st_size else contextlib.nullcontext(), start(tmp_path / "rods.h5") as writer:
        assert writer.written == 0


def test_a_value_that_is_not_finite_is_refused_by_name_and_place(tmp_path: Path) -> None:
    with start(tmp_path / "rods.h5") as writer:
        write_on(writer, 5, until=10)
        bad = {name: values[10:15].copy() for name, values in ARRAYS.items()}
        bad["temperature"][2, 1, 40] = np.nan
        with pytest.raises(DatasetError, match="temperature must be finite, it is nan at sample 12, time 1, x 40"):
            writer.write(bad)
        bad["temperature"][2, 1, 40] = 1e39  # more than float32 holds
        with pytest.raises(DatasetError, match="temperature must be finite, it is inf at sample 12, time 1, x 40"):
            writer.write(bad)
        assert writer.written == 10


def test_a_batch_must_be_complete_and_fit(tmp_path: Path) -> None:
    batch = {name: values[:5] for name, values in ARRAYS.items()}
    with start(tmp_path / "rods.h5") as writer:
        with pytest.raises(DatasetError, match=r"every variable .* got initial, temperature"):
            writer.write({name: batch[name] for name in ("initial", "temperature")})
        with pytest.raises(DatasetError, match=r"temperature must be 5 samples of shape \(3, 500\).* got .*\(4, 3, 500\)"):
            writer.write(batch | {"temperature": batch["temperature"][:4]})
        with pytest.raises(DatasetError, match=r"initial must be 5 samples of shape \(500,\)"):
            writer.write(batch | {"initial": batch["initial"][:, :-1]})
        write_on(writer, 58, until=58)
        with pytest.raises(DatasetError, match="conductivity must be 2 samples"):
            writer.write(batch)
        with pytest.raises(DatasetError, match="needs 60 samples, 58 are written"):
            writer.finish(MEASURED)
        write_on(writer, 2)
        with pytest.raises(DatasetError, match="cost_seconds_per_sample must be a number, got 'none'"):
            writer.finish({name: MEASURED[name] for name in ("solver_order_measured", "conservation_residual")})
    assert os.listdir(tmp_path) == ["rods.h5.part"]


def test_a_description_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    order = make_subset_order(SPLIT, seed=3)
    stranger, repeated = order.copy(), order.copy()
    stranger[4, 0] = np.flatnonzero(SPLIT == 2)[0]
    repeated[4, 0] = repeated[4, 1]
    for changes, message in (
        ({"subset_order": stranger}, f"train split only, draw 4 holds {stranger[4, 0]}"),
        ({"subset_order": repeated}, "once in a draw, draw 4 repeats one"),
        ({"split": SPLIT[:-1]}, "0, 1 or 2 for each of 60 samples"),
        ({"coordinates": [Coordinate("x", np.arange(4.0))]}, r"axis x of initial has 500 points.*\(4,\)"),
        ({"outputs": []}, "inputs and outputs of different names"),
        ({"outputs": [Variable("x", ("time",), (3,))]}, "axes and variables must have different names, both have x"),
    ):
        with pytest.raises(ValueError, match=message):
            start(tmp_path / "rods.h5", **changes)
    assert os.listdir(tmp_path) == []
    for arguments in (("split",), ("x", ("x",), (3,)), ("u", ("x",), ()), ("u", ("x",), (0,)), ("u", ("sample",), (3,))):
        with pytest.raises(ValueError, match="needs"):
            Variable(*arguments)
    with pytest.raises(ValueError, match=r"dtype 'float32' or 'float64', got .* 'float16'"):
        Variable("u", dtype="float16")


@given(samples=st.integers(1, 60), held=st.tuples(st.integers(0, 20), st.integers(0, 20)), seed=st.integers(0, 9))
def test_a_split_has_the_requested_counts_and_an_order_holds_the_train_split(
    samples: int, held: tuple[int, int], seed: int
) -> None:
    valid, test = held
    if valid + test >= samples:
        with pytest.raises(ValueError, match=f"{samples} samples must leave one to train on"):
            make_split(samples, valid=valid, test=test, seed=seed)
        return
    split = make_split(samples, valid=valid, test=test, seed=seed)
    assert np.bincount(split, minlength=3).tolist() == [samples - valid - test, valid, test]
    train = np.flatnonzero(split == 0)
    for row in make_subset_order(split, 3, seed=seed):
        np.testing.assert_array_equal(np.sort(row), train)


def test_draws_differ_and_one_draw_does_not_depend_on_the_number_of_draws() -> None:
    orders = make_subset_order(SPLIT, seed=3)
    assert orders.shape == (20, 45)
    assert len({tuple(row[:4]) for row in orders}) == 20
    np.testing.assert_array_equal(make_subset_order(SPLIT, 5, seed=3), orders[:5])
    assert not np.array_equal(make_subset_order(SPLIT, seed=4), orders)
    assert not np.array_equal(make_split(SAMPLES, valid=6, test=9, seed=4), SPLIT)


@given(rows=st.lists(st.integers(0, SAMPLES - 1), max_size=70))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_read_in_the_requested_order(written: Path, rows: list[int]) -> None:
    values = read_rows(written, "temperature", np.array(rows, dtype=np.int64))
    np.testing.assert_array_equal(values, ARRAYS["temperature"].astype(np.float32)[rows])


def test_rows_read_no_chunk_that_they_do_not_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = np.arange(12.0)[:, None] + np.zeros(70_000)  # in float64 one chunk holds two samples
    split = np.zeros(12, np.int8)
    with DatasetWriter(
        tmp_path / "wide.h5",
        inputs=[Variable("u", ("x",), (70_000,), dtype="float64")],
        outputs=[Variable("v")],
        samples=12,
        split=split,
        subset_order=make_subset_order(split, seed=0),
        attributes=ATTRIBUTES | MEASURED,
    ) as writer:
        writer.write({"u": wide, "v": np.ones(12)})
        writer.finish()
    asked, read = [], h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, key: (asked.append(key), read(self, key))[1])
    values = read_rows(tmp_path / "wide.h5", "u", np.array([9, 2, 3, 2]))
    assert asked == [slice(2, 4), slice(9, 10)]
    assert values[:, 0].tolist() == [9.0, 2.0, 3.0, 2.0]


def test_rows_and_variables_that_do_not_exist_are_named(written: Path) -> None:
    with pytest.raises(DatasetError, match="initial has 60 samples, 3 to 60 were asked for"):
        read_rows(written, "initial", np.array([60, 3]))
    with pytest.raises(DatasetError, match="'pressure' is required, but there is none"):
        read_rows(written, "pressure", np.array([0]))


def test_a_description_shows_axes_ranges_splits_and_attributes(written: Path) -> None:
    lines = [" ".join(line.split()) for line in describe(written).splitlines()]
    low, high = ARRAYS["conductivity"].min(), ARRAYS["conductivity"].max()
    assert lines[0] == f"{written}: Rods"
    assert "sample 60" in lines
    assert "x 500 0 to 1 [m] position along the rod" in lines
    assert f"conductivity (sample) {low:.6g} to {high:.6g} [W/(m K)] conductivity, float64, scaling log" in lines
    assert "train 45, valid 6, test 9" in lines
    assert "headline rel_l2" in lines


def spoil(path: Path, change: Any) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def put(name: str, key: Any, value: Any) -> Any:
    return lambda file: file[name].__setitem__(key, value)


def drop(name: str, attribute: str) -> Any:
    return lambda file: file[name].attrs.__delitem__(attribute)


def replace_by(name: str, **options: Any) -> Any:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return change


def temperature_as(*dims: str, **storage: Any) -> Any:
    def change(file: h5py.File) -> None:
        del file["temperature"]
        shape = [len(file[dim]) for dim in dims]
        new = file.create_dataset("temperature", data=np.ones(shape, np.float32), **storage)
        for axis, dim in enumerate(dims):
            new.dims[axis].attach_scale(file[dim])
        new.attrs.update({"role": "output", "units": "K", "long_name": "temperature"})

    return change


TEST_SAMPLE = int(np.flatnonzero(SPLIT == 2)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__delitem__("schema_version"), "schema_version 1 is required, got none"),
        (lambda file: file.attrs.__setitem__("schema_version", 2), "schema_version 1 is required, got 2: .*update"),
        (lambda file: file.__delitem__("split"), "'split' is required, but there is none"),
        (lambda file: file.__delitem__("subset_order"), "'subset_order' is required, but there is none"),
        (drop("initial", "role"), "initial needs the attribute role, it has None"),
        (drop("initial", "units"), "initial needs the attribute units, it has None"),
        (drop("initial", "long_name"), "initial needs the attribute long_name"),
        (drop("x", "units"), "x needs the attribute units"),
        (lambda file: file["initial"].attrs.__setitem__("role", "result"), "'input' or 'output', it has 'result'"),
        (drop("temperature", "DIMENSION_LIST"), "axis 0 of 'temperature' needs one dimension scale, it has 0"),
        (temperature_as("sample", "x", "time"), "order sample, time, x, y, z, channel, it has sample, x, time"),
        (temperature_as("time", "x"), "order sample, time, x, y, z, channel, it has time, x"),
        (temperature_as("sample", "time", "x"), "temperature must be stored in whole samples along an unlimited axis"),
        (
            temperature_as("sample", "time", "x", chunks=(60, 1, 500), maxshape=(None, 3, 500)),
            "temperature must be stored in whole samples along an unlimited axis",
        ),
        (put("initial", (17, 3), np.nan), "initial must be finite, it is nan at sample 17, x 3"),
        (put("temperature", (59, 2, 499), -np.inf), "temperature must be finite, it is -inf at sample 59, time 2, x 499"),
        (put("subset_order", (19, 7), TEST_SAMPLE), f"train split only, draw 19 holds {TEST_SAMPLE}"),
        (put("subset_order", (0, 7), 10**9), "train split only, draw 0 holds 1000000000"),
        (lambda file: put("subset_order", (3, 7), file["subset_order"][3, 8])(file), "draw 3 repeats one"),
        (put("split", 5, 3), "split must be int8 with 0, 1 or 2"),
        (lambda file: file["initial"].resize(59, axis=0), "initial has 59 points along sample, its coordinates have 60"),
        (lambda file: file["sample"].resize(59, axis=0), "60 points along sample, its coordinates have 59"),
        (lambda file: file.attrs.__delitem__("equation"), "global attribute equation must be a text, got 'none'"),
        (lambda file: file.attrs.__delitem__("seed"), "global attribute seed must be a number, got 'none'"),
        (lambda file: file.attrs.__setitem__("side", "left"), "side must be one of source, target, unspecified, got 'left'"),
        (lambda file: file.attrs.__setitem__("headline", "mse"), "headline must be one of rel_l2, rmse_std, got 'mse'"),
        (lambda file: file.attrs.__setitem__("parameters", "{"), "parameters must be JSON"),
    ],
)
def test_the_first_fault_is_named_in_one_line(copied: Path, change: Any, message: str) -> None:
    spoil(copied, change)
    with pytest.raises(DatasetError, match=message) as raised:
        validate(copied)
    assert str(raised.value).startswith(f"{copied}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            replace_by("initial", shape=(10**6, 10**7), dtype="f4", chunks=(1, 1000), compression="gzip"),
            "declares 40000000000000 bytes",
        ),
        (replace_by("initial", shape=(10**9, 10**9), dtype="i1", chunks=(1, 1000)), "declares 10{18} bytes"),
        (replace_by("split", shape=(2**60,), dtype="i1", chunks=(1000,)), "'split' must hold what it declares"),
        (replace_by("initial", shape=(10**5, 10**5), dtype="f8"), "and 0 are stored"),
        (replace_by("initial", data=np.zeros(3, np.dtype("f4,i4"))), "'initial' must hold numbers or texts"),
        (replace_by("initial", data=np.ones((60, 500)), compression="lzf"), "shuffle and gzip only"),
        (lambda file: file.__setitem__("other", h5py.ExternalLink("/etc/passwd", "/a")), "'other' is a link"),
        (lambda file: file.__setitem__("other", h5py.SoftLink("/initial")), "'other' is a link"),
        (
            lambda file: (
                file.__delitem__("initial"),
                file.create_dataset("initial", (60,), "f8", external=[("/etc/passwd", 0, 480)]),
            ),
            "must be stored in this file",
        ),
    ],
)
def test_hostile_files_are_refused_before_memory_is_allocated(copied: Path, change: Any, message: str) -> None:
    spoil(copied, change)
    for read in (validate, read_description, describe, read_netcdf):
        with pytest.raises(DatasetError, match=message) as raised:
            read(copied)
        assert "\n" not in str(raised.value)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fraction=st.floats(0, 0.999))
def test_a_truncated_file_is_refused_in_one_line(written: Path, tmp_path: Path, fraction: float) -> None:
    whole = written.read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: int(fraction * len(whole))])
    for read in (validate, read_description, describe, read_netcdf):
        with pytest.raises(DatasetError, match=r"cut\.h5: ") as raised:
            read(tmp_path / "cut.h5")
        assert "\n" not in str(raised.value)


def test_a_file_that_is_not_a_data_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.h5").write_text("a text\nof two lines")
    for path, message in (
        (tmp_path / "absent.h5", "a data file is required here, but there is none"),
        (tmp_path, "a data file is required here, but there is none"),
        (tmp_path / "notes.h5", "this is another kind of file"),
    ):
        for read in (validate, read_description, describe, read_netcdf, read_xarray):
            with pytest.raises(DatasetError, match=message) as raised:
                read(path)
            assert str(raised.value).startswith(f"{path}: ")
            assert "\n" not in str(raised.value)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_tensor_of_one_number_is_saved_whatever_its_strides(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A column of one row, cut from a matrix, is contiguous with any stride, with which its bytes cannot be viewed."""
    strided = torch.as_strided(torch.arange(60.0, dtype=torch.float64), shape, (52,) * len(shape), 7)
    assert strided.is_contiguous()
    save_tensors(tmp_path / "one", {"strength": strided})
    found = load_tensors(tmp_path / "one", checked=True)[0]["strength"]
    assert found.shape == shape
    assert found.item() == 7
