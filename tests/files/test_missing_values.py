"""Files of other programs that mark, pack or mask numbers: missing values are missing everywhere, and every text is read."""

import fcntl
import inspect
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.opening import open_dataset
from pac_surrogate.files import (
    Coordinate,
    DatasetError,
    DatasetWriter,
    NetcdfVariable,
    Variable,
    describe,
    make_subset_order,
    read_description,
    read_netcdf,
    read_rows,
    read_xarray,
    validate,
    without_mask,
    write_netcdf,
    write_xarray,
)
from pac_surrogate.files import layout as module

SAMPLES, POINTS = 12, 4
ROWS = np.arange(SAMPLES)
GENERATOR = np.random.default_rng(0)
INPUT = GENERATOR.uniform(1, 2, SAMPLES)
FIELD = GENERATOR.uniform(270, 300, (SAMPLES, POINTS)).astype("float32")
SPLIT = np.repeat([0, 1, 2], [8, 2, 2]).astype(np.int8)
TEXTS = dict.fromkeys(("title", "pair", "simulator", "equation", "history"), "rods")
MEASURED = dict.fromkeys(("solver_order_measured", "conservation_residual", "cost_seconds_per_sample"), 1.0)
OPTIONS: dict[str, Any] = {
    "inputs": [Variable("par", dtype="float64")],
    "outputs": [Variable("temperature", ("x",), (POINTS,), "K")],
    "coordinates": [Coordinate("x", np.linspace(0, 1, POINTS), "m")],
    "samples": SAMPLES,
    "split": SPLIT,
    "subset_order": make_subset_order(SPLIT, seed=0),
    "attributes": {**TEXTS, **MEASURED, "side": "source", "parameters": {}, "headline": "rel_l2", "seed": 0},
}
READERS = (validate, describe, read_description, read_netcdf)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with DatasetWriter(tmp_path / "rods.h5", **OPTIONS) as writer:
        writer.write({"par": INPUT, "temperature": FIELD})
        writer.finish()
    return tmp_path / "rods.h5"


def store(path: Path, name: str, values: np.ndarray, attributes: dict[str, Any], **options: Any) -> None:
    """Replace the stored numbers of a variable, as another program would, without `_FillValue` unless it is passed."""
    with h5py.File(path, "r+") as file:
        kept = {key: file[name].attrs[key] for key in ("units", "long_name", "role", "scaling") if key in file[name].attrs}
        dims = [file[name].dims[axis][0].name for axis in range(file[name].ndim)]
        del file[name]
        new = file.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]), chunks=values.shape, **options)
        for axis, dim in enumerate(dims):
            new.dims[axis].attach_scale(file[dim])
        new.attrs.update(kept | attributes)


def message(read: Any, *arguments: Any) -> str:
    """Return the refusal of a reader, which is one line of moderate length."""
    with pytest.raises(DatasetError) as raised:
        read(*arguments)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300 + 100  # 100 for the path of a temporary folder
    return str(raised.value)


@pytest.mark.parametrize(
    ("attributes", "value", "present", "mark"),
    [
        ({"_FillValue": np.float32(-9999)}, -9999, -9998, "-9999.0, its _FillValue"),
        ({"missing_value": np.float32(-9999)}, -9999, -9998, "-9999.0, its missing_value"),
        ({"missing_value": np.float32([-1, -2])}, -2, -3, "-2.0, its missing_value"),
        ({"missing_value": 1e20}, np.float32(1e20), 1e21, "1e+20, its missing_value"),  # a float64 that no float32 equals
        ({"missing_value": -99}, -99, -98, "-99.0, its missing_value"),
        ({"_FillValue": np.float32("nan"), "missing_value": np.float32(-9)}, -9, -8, "-9.0, its missing_value"),
        ({"valid_min": np.float32(0)}, -1, 0, "-1.0, below the 0.0 of its valid_min"),
        ({"valid_max": np.float32(300)}, 301, 300, "301.0, above the 300.0 of its valid_max"),
        ({"valid_range": [0.0, 300.0]}, -1, 0, "-1.0, below the 0.0 of its valid_range"),
        ({"valid_range": [0.0, 300.0]}, 301, 300, "301.0, above the 300.0 of its valid_range"),
        # A bound is also compared as float32: float32(300.1) is above 300.1, and yet within the range.
        ({"valid_max": 300.1}, 301, np.float32(300.1), "301.0, above the 300.1 of its valid_max"),
    ],
)
def test_a_marked_point_is_refused_by_variable_sample_and_mark_and_the_next_number_is_not(
    path: Path, attributes: dict[str, Any], value: float, present: float, mark: str
) -> None:
    field = FIELD.copy()
    field[3, 2] = present
    store(path, "temperature", field, attributes)
    validate(path)
    np.testing.assert_array_equal(open_dataset(path)["temperature"], field)
    field[3, 2] = value
    store(path, "temperature", field, attributes)
    for read in (lambda path: open_dataset(path)["temperature"], validate):
        line = message(read, path)
        assert line.endswith(f"temperature must be finite, it is missing ({mark}) at sample 3, x 2: repair or drop this sample")
    np.testing.assert_array_equal(np.argwhere(np.isnan(read_rows(path, "temperature", ROWS))), [[3, 2]])
    np.testing.assert_array_equal(open_dataset(path)[:3]["temperature"], field[:3])  # the samples before it are read
    assert "at sample 3, x 2" in message(lambda path: open_dataset(path)[[7, 3]]["temperature"], path)


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf")])
def test_plain_nan_and_infinity_are_reported_as_such(path: Path, value: float, shown: str) -> None:
    field = FIELD.copy()
    field[3, 2] = value
    store(path, "temperature", field, {"_FillValue": np.float32("nan"), "missing_value": np.float32(-9999)})
    assert f"temperature must be finite, it is {shown} at sample 3, x 2: repair" in message(validate, path)


@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8"])
def test_rows_that_netcdf_reserved_and_that_were_never_written_are_missing(path: Path, kind: str) -> None:
    fills = {"f": 9.969209968386869e36, "i2": -32767, "i4": -2147483647, "i8": -9223372036854775806}
    fills |= {"u2": 65535, "u4": 4294967295, "u8": 18446744073709551614}
    fill = np.asarray(fills.get(kind, fills["f"])).astype(kind)
    store(path, "temperature", FIELD.astype(kind)[:9], {}, fillvalue=fill)
    with h5py.File(path, "r+") as file:
        file["temperature"].resize(SAMPLES, axis=0)
    assert f"missing ({fill[()]!s}, netCDF's default fill value) at sample 9, x 0" in message(validate, path)
    assert np.isnan(read_rows(path, "temperature", ROWS)).sum() == 3 * POINTS
    store(path, "temperature", np.full((SAMPLES, POINTS), fill), {})  # h5py alone fills with 0: this fill was written
    if kind in ("i8", "u8"):
        assert "must hold integers up to 2**53" in message(validate, path)
    else:
        assert (open_dataset(path)["temperature"] == fill).all()


def test_bytes_have_no_default_fill_and_zeros_of_h5py_are_not_missing(path: Path) -> None:
    for kind, fill in (("i1", -127), ("u1", 255), ("f4", 0)):
        store(path, "temperature", np.full((SAMPLES, POINTS), fill, kind), {}, fillvalue=fill)
        validate(path)
        assert (open_dataset(path)["temperature"] == fill).all()


@pytest.mark.parametrize(
    ("stored", "factor", "dtype"),
    [
        ("i2", np.float64, "float64"),
        ("i2", np.float32, "float32"),
        ("u1", np.float32, "float32"),
        ("i4", np.float32, "float64"),  # float32 does not represent every int32
        ("i2", np.int64, "float64"),
    ],
)
def test_packed_numbers_are_unpacked_after_the_marks_are_compared(path: Path, stored: str, factor: Any, dtype: str) -> None:
    packed = GENERATOR.integers(1, 100, (SAMPLES, POINTS)).astype(stored)
    factors = {"scale_factor": factor(2), "add_offset": factor(100), "_FillValue": np.dtype(stored).type(120)}
    store(path, "temperature", packed, factors)
    assert read_description(path).outputs[0].dtype == dtype
    found = open_dataset(path)["temperature"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, packed * 2.0 + 100)  # small integers are unpacked without rounding
    assert found.min() <= 120 * 2 + 100  # 340 is present as a decoded number and missing as a stored one
    packed[5, 1] = 120
    store(path, "temperature", packed, factors)
    assert "missing (120, its _FillValue) at sample 5, x 1" in message(validate, path)


def test_limits_of_packed_integers_are_packed_unless_they_are_floating(path: Path) -> None:
    packed = np.full((SAMPLES, POINTS), 50, "i2")
    packed[4, 1] = 90
    factors = {"scale_factor": 0.5, "add_offset": 0.0}
    for limits, shown in (
        ({"valid_max": np.int16(89)}, "90, above the 89 of its valid_max"),
        ({"valid_max": 44.0}, "45.0, above the 44.0 of its valid_max"),
        ({"valid_range": np.int16([0, 89])}, "90, above the 89 of its valid_range"),
    ):
        store(path, "temperature", packed, factors | limits)
        assert f"missing ({shown}) at sample 4, x 1" in message(validate, path)
    for limits in ({"valid_max": np.int16(90)}, {"valid_max": 45.0}):
        store(path, "temperature", packed, factors | limits)
        validate(path)


@pytest.mark.parametrize("mark", [np.int8(-1), np.uint8(255), np.int16(255)])
def test_unsigned_bytes_stored_as_signed_are_read_as_unsigned(path: Path, mark: Any) -> None:
    bytes_ = GENERATOR.integers(0, 255, (SAMPLES, POINTS)).astype("u1")
    store(path, "temperature", bytes_.view("i1"), {"_Unsigned": "true", "_FillValue": mark, "valid_range": np.int8([0, -1])})
    np.testing.assert_array_equal(open_dataset(path)["temperature"], bytes_)
    bytes_[2, 3] = 255
    store(path, "temperature", bytes_.view("i1"), {"_Unsigned": "true", "_FillValue": mark})
    assert "missing (255, its _FillValue) at sample 2, x 3" in message(validate, path)
    store(path, "temperature", bytes_.view("i1"), {"_Unsigned": "false"})
    np.testing.assert_array_equal(open_dataset(path)["temperature"], bytes_.view("i1"))


@pytest.mark.parametrize("kind", ["i1", "u2", "i4", "u8", ">i4", ">f8", "f2", ">f4"])
def test_numbers_of_any_stored_type_are_read_as_native_floating_numbers(path: Path, kind: str, tmp_path: Path) -> None:
    numbers = GENERATOR.integers(0, 100, SAMPLES).astype(kind)
    store(path, "par", numbers, {})
    data = open_dataset(path)
    wide = "float64" if np.dtype(kind).kind in "iu" or np.dtype(kind).itemsize == 8 else "float32"
    assert (data["par"].dtype, data.inputs[0].dtype) == (np.dtype(wide), wide)
    np.testing.assert_array_equal(data["par"], numbers)
    assert read_netcdf(path)[0]["par"].values.dtype.isnative
    validate(path)
    data.save(tmp_path / "saved.h5")
    np.testing.assert_array_equal(open_dataset(tmp_path / "saved.h5")["par"], numbers)


def test_an_integer_that_float64_does_not_represent_is_refused_by_name(path: Path) -> None:
    for kind, numbers in (("i8", [2**53, -(2**53)]), ("u8", [2**53, 0])):
        store(path, "par", np.resize(np.array(numbers, kind), SAMPLES), {})
        np.testing.assert_array_equal(open_dataset(path)["par"][:2], [float(number) for number in numbers])
        numbers[0] += 1
        store(path, "par", np.resize(np.array(numbers, kind), SAMPLES), {})
        assert "par must hold integers up to 2**53" in message(validate, path)
        store(path, "par", np.resize(np.array(numbers, kind), SAMPLES), {"_FillValue": np.array(2**53 + 1, kind)})
        assert "par must be finite, it is missing (9007199254740993" in message(validate, path)  # a missing value need not fit


def test_numbers_of_the_layout_stay_integers(path: Path) -> None:
    found = read_description(path)
    assert (found.split.dtype, found.subset_order.dtype) == (np.int8, np.int32)
    for name in ("sample", "split", "subset_order", "draw", "rank"):
        assert read_rows(path, name, np.array([1, 0])).dtype.kind == "i"
    with h5py.File(path, "r+") as file:
        file["split"].attrs["_FillValue"] = np.int8(2)
    assert "split must be finite, it is missing (2, its _FillValue) at point 10" in message(open_dataset, path)


BAD = [
    ("_FillValue", "-9999", "one number as its attribute _FillValue, it has '-9999'"),
    ("_FillValue", [1.0, 2.0], "one number as its attribute _FillValue, it has 2 numbers"),
    ("_FillValue", 1e300, "that float32 can hold as its attribute _FillValue, it has 1e+300"),
    ("_FillValue", 1j, "one number as its attribute _FillValue, it has 1j"),
    ("_FillValue", h5py.Empty("f4"), "one number as its attribute _FillValue, it has ''"),
    ("missing_value", "x" * 10**6, "one or more numbers as its attribute missing_value"),
    ("missing_value", np.zeros(0), "one or more numbers as its attribute missing_value"),
    ("missing_value", np.zeros(1000, "S3"), "the attribute 'missing_value' of temperature must be short"),
    ("valid_min", "low", "one number as its attribute valid_min, it has 'low'"),
    ("valid_max", np.nan, "a number as its attribute valid_max, it has nan"),
    ("valid_range", 3.0, "2 numbers as its attribute valid_range, it has 3.0"),
    ("valid_range", [3.0, 2.0], "the least and the greatest number as its attribute valid_range, it has 3.0 and 2.0: swap"),
    ("scale_factor", 0.0, "a finite number other than 0 as its attribute scale_factor, it has 0.0"),
    ("scale_factor", np.inf, "a finite number other than 0 as its attribute scale_factor, it has inf"),
    ("add_offset", np.nan, "a finite number as its attribute add_offset, it has nan"),
    ("add_offset", [1, 2], "one number as its attribute add_offset, it has 2 numbers"),
    ("_Unsigned", 1, "'true' or 'false' as its attribute _Unsigned, it has 1"),
]


@pytest.mark.parametrize(("attribute", "value", "line"), BAD)
def test_a_damaged_mark_is_named_with_its_variable_in_one_line(path: Path, attribute: str, value: Any, line: str) -> None:
    store(path, "temperature", FIELD, {attribute: value} if not isinstance(value, str) else {})
    if isinstance(value, str):
        with h5py.File(path, "r+") as file:
            kind = h5py.string_dtype() if len(value) > 10**4 else h5py.string_dtype(length=len(value))
            file["temperature"].attrs.create(attribute, value.encode(), dtype=kind)
    for read in READERS:
        found = message(read, path)
        assert line in found
        assert "temperature" in found
        assert "generate or download" not in found


@pytest.mark.parametrize("mark", [1e20, 0.5, np.nan, 40_000])
def test_a_mark_that_the_stored_integers_cannot_represent_is_refused(path: Path, mark: float) -> None:
    store(path, "temperature", np.ones((SAMPLES, POINTS), "i2"), {"missing_value": mark})
    assert f"temperature needs a number that int16 can hold as its attribute missing_value, it has {mark}" in message(
        validate, path
    )
    store(path, "temperature", np.ones((SAMPLES, POINTS), "i2"), {"missing_value": 30_000.0})
    validate(path)


def test_a_description_gives_the_range_of_present_numbers_and_counts_the_missing_ones(path: Path) -> None:
    field = np.full((SAMPLES, POINTS), 280, "f4")
    field[1, 1], field[5, 2:], field[7, 0] = 290, -9999, np.nan
    store(path, "temperature", field, {"_FillValue": np.float32(-9999)})
    lines = [" ".join(line.split()) for line in describe(path).splitlines()]
    assert "temperature (sample, x) 280 to 290 [K] temperature, float32, scaling standard, 3 missing" in lines
    assert any(line.startswith("par (sample)") and "missing" not in line for line in lines)
    store(path, "temperature", np.full_like(field, -9999), {"_FillValue": np.float32(-9999)})
    assert "no numbers [K] temperature, float32, scaling standard, 48 missing" in " ".join(describe(path).split())


def test_a_missing_or_packed_coordinate_is_refused_or_decoded(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["x"].attrs["_FillValue"] = -9999.0
    np.testing.assert_array_equal(read_description(path).coordinates["x"].values, np.linspace(0, 1, POINTS))
    with h5py.File(path, "r+") as file:
        file["x"].attrs.update({"scale_factor": 100.0, "add_offset": 5.0})
    np.testing.assert_array_equal(read_description(path).coordinates["x"].values, 100 * np.linspace(0, 1, POINTS) + 5)
    with h5py.File(path, "r+") as file:
        file["x"][2] = -9999.0
    for read in (open_dataset, validate, describe):
        assert "x must be finite, it is missing (-9999.0, its _FillValue) at point 2: repair it" in message(read, path)
    with h5py.File(path, "r+") as file:
        file["x"][2] = np.nan
    line = message(open_dataset, path)
    assert "the coordinates of x must be finite numbers or texts, point 2 is nan: repair it" in line
    assert "download" not in line


def test_files_of_the_library_are_plain_and_are_read_back_bit_for_bit(path: Path) -> None:
    with h5py.File(path) as file:
        assert np.isnan(file["temperature"].attrs["_FillValue"])
        for name in ("par", "temperature"):
            assert module.read_encoding(file[name]).is_plain(file[name])
            stored = file[name][()]
            assert module.read_encoding(file[name]).decode(stored) is stored  # no copy, and so no loss of speed
    assert read_rows(path, "temperature", ROWS).tobytes() == FIELD.tobytes()
    assert read_rows(path, "par", ROWS).tobytes() == INPUT.tobytes()


ENCODINGS: list[dict[str, Any]] = [
    {"_FillValue": np.float32(-9999)},
    {"_FillValue": None, "missing_value": np.float32(-9999)},
    {"_FillValue": np.float32(1e20), "missing_value": np.float32(1e20)},
    {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": np.int16(-32767)},
    {"dtype": "int16", "scale_factor": np.float32(0.01), "add_offset": np.float32(280), "_FillValue": np.int16(-32767)},
    {"dtype": "uint16", "scale_factor": 0.01, "_FillValue": np.uint16(65535)},
    {"dtype": "int8", "scale_factor": 1.0, "add_offset": 200.0, "_FillValue": np.int8(-1), "_Unsigned": "true"},
    {"dtype": "int32", "_FillValue": np.int32(-1)},
    {"dtype": "float64", "_FillValue": np.nan},
]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_of_xarray_reads_as_xarray_reads_it(path: Path, tmp_path: Path, encoding: dict[str, Any]) -> None:
    theirs = tmp_path / "theirs.h5"
    changed = xr.load_dataset(path, engine="h5netcdf")
    for gap in (False, True):
        changed["temperature"][3, 2] = np.nan if gap else np.float32(281)
        for name in changed.variables:
            changed[name].encoding = {}
        changed.to_netcdf(theirs, engine="h5netcdf", encoding={"temperature": encoding}, unlimited_dims=["sample"])
        expected = xr.load_dataset(theirs, engine="h5netcdf")
        found = read_rows(theirs, "temperature", ROWS)
        # xarray unpacks in the decoded type, this library in float64: they differ by rounding, of float32 if the factors are.
        bound = 1e-6 if found.dtype == np.float32 or expected["temperature"].dtype == np.float32 else 1e-15
        np.testing.assert_allclose(found, expected["temperature"].values, rtol=bound, atol=0)
        assert np.isnan(found).sum() == gap
        again = read_xarray(theirs)
        np.testing.assert_array_equal(again["temperature"].values, found)
        for name in ("par", "x", "split", "subset_order"):
            np.testing.assert_array_equal(again[name].values, expected[name].values)
            assert again[name].dtype == expected[name].dtype
        if gap:
            assert "at sample 3, x 2" in message(lambda: open_dataset(theirs)["temperature"])
        else:
            np.testing.assert_array_equal(open_dataset(theirs)["temperature"], found)


def test_decoded_values_are_written_as_decoded(path: Path, tmp_path: Path) -> None:
    packed = np.arange(SAMPLES * POINTS, dtype="i2").reshape(SAMPLES, POINTS)
    marks = {"scale_factor": 0.5, "add_offset": 100.0, "missing_value": np.int16(0), "valid_max": np.int16(40)}
    store(path, "temperature", packed, marks)
    first = read_xarray(path)
    assert first["temperature"].attrs.keys() == {"units", "long_name", "role", "scaling"}
    assert np.isnan(first["temperature"]).sum() == 1 + 7
    write_xarray(tmp_path / "again.nc", first)
    xr.testing.assert_identical(read_xarray(tmp_path / "again.nc"), first)
    for attribute, value in marks.items():
        variables = {"t": NetcdfVariable(("x",), np.ones(3), {attribute: value})}
        with pytest.raises(ValueError, match=f"'{attribute}' of 't' says how a file stores numbers: leave it out"):
            write_netcdf(tmp_path / "t.nc", variables)
    with h5py.File(path) as file:
        variables = {"t": NetcdfVariable(("sample", "x"), file["temperature"])}
        with pytest.raises(ValueError, match="'t' must hold plain numbers, its dataset marks or packs some"):
            write_netcdf(tmp_path / "t.nc", variables)
        write_netcdf(tmp_path / "t.nc", {"par": NetcdfVariable(("sample",), file["par"])})
    np.testing.assert_array_equal(read_netcdf(tmp_path / "t.nc")[0]["par"].values, INPUT)


def test_integers_stay_integers_where_none_is_missing(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "t.nc", {"count": NetcdfVariable(("x",), np.array([3, 4, 2**60], np.int64))})
    with h5py.File(tmp_path / "t.nc", "r+") as file:
        file["count"].attrs["_FillValue"] = np.int64(5)
    values = read_netcdf(tmp_path / "t.nc")[0]["count"].values
    assert (values.dtype, values.tolist()) == (np.int64, [3, 4, 2**60])
    with h5py.File(tmp_path / "t.nc", "r+") as file:
        file["count"][1:] = 5
    np.testing.assert_array_equal(read_netcdf(tmp_path / "t.nc")[0]["count"].values, [3, np.nan, np.nan])


class Lazy:
    """An array-like object as another library returns it, which NumPy reads as a masked array."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values


def test_rows_that_were_never_written_are_missing_from_integers_read_as_unsigned_too(path: Path) -> None:
    store(path, "temperature", FIELD.astype("i2")[:9], {"_Unsigned": "true"}, fillvalue=-32767)
    with h5py.File(path, "r+") as file:
        file["temperature"].resize(SAMPLES, axis=0)
    assert "missing (32769, netCDF's default fill value) at sample 9, x 0" in message(validate, path)  # 2**16 - 32767


def test_a_mask_without_masked_values_is_removed_and_a_masked_value_is_named() -> None:
    whole = np.ma.masked_less(np.arange(6.0).reshape(3, 2), -1)
    for values in (whole, list(whole), tuple(whole), [list(whole[0]), *whole[1:]], Lazy(whole), whole.data, whole.tolist()):
        plain = without_mask("field", values)
        assert type(plain) is np.ndarray
        np.testing.assert_array_equal(plain, whole.data)
    gap = np.ma.masked_equal(np.arange(6.0).reshape(3, 2), 3)
    for values in (gap, list(gap), [gap[0], [2.0, np.ma.masked], gap[2]], Lazy(gap)):
        with pytest.raises(DatasetError) as raised:
            without_mask("field", values)
        line = "field must be finite, it is missing (masked) at sample 1, component 1: repair or drop this sample"
        assert str(raised.value) == line
    with pytest.raises(DatasetError, match=r"\(masked\) at sample 11, x 1: repair or drop"):
        without_mask("field", gap, ("sample", "x"), first=10)
    assert without_mask("name", np.ma.array(["a", "b"])).tolist() == ["a", "b"]
    with pytest.raises(DatasetError, match=r"name must be finite, it is missing \(masked\) at sample 1"):
        without_mask("name", np.ma.array(["a", "b"], mask=[False, True]))
    with pytest.raises(DatasetError, match=r"number must be finite, it is missing \(masked\): repair"):
        without_mask("number", np.ma.masked)


def test_a_masked_value_is_not_written(tmp_path: Path) -> None:
    masked = np.ma.array(FIELD, mask=False)
    with DatasetWriter(tmp_path / "rods.h5", **OPTIONS) as writer:
        writer.write({"par": INPUT[:5], "temperature": masked[:5]})
        masked[6, 3] = np.ma.masked
        with pytest.raises(
            DatasetError, match=r"temperature must be finite, it is missing \(masked\) at sample 6, x 3: repair"
        ):
            writer.write({"par": INPUT[5:], "temperature": masked[5:]})
        assert writer.written == 5
        with pytest.raises(DatasetError, match="temperature must hold real numbers, got complex64: convert it"):
            writer.write({"par": INPUT[5:], "temperature": FIELD[5:] + np.complex64(1j)})
        writer.write({"par": INPUT[5:], "temperature": FIELD[5:]})
        writer.finish()
    np.testing.assert_array_equal(read_rows(tmp_path / "rods.h5", "temperature", ROWS), FIELD)
    coordinates = [Coordinate("x", np.ma.masked_equal([0.0, 1.0, 2.0, 3.0], 2.0), "m")]
    with pytest.raises(ValueError, match=r"x must be finite, it is missing \(masked\) at point 2: repair it"):
        DatasetWriter(tmp_path / "other.h5", **OPTIONS | {"coordinates": coordinates})
    variables = {"t": NetcdfVariable(("x",), np.ma.masked_equal([1, 2], 2))}
    with pytest.raises(ValueError, match=r"t must be finite, it is missing \(masked\) at sample 1: write NaN in its place"):
        write_netcdf(tmp_path / "t.nc", variables)
    with pytest.raises(ValueError, match="the attribute 'cost' must be a text or numbers"):
        write_netcdf(tmp_path / "t.nc", {}, {"cost": np.ma.masked})
    write_netcdf(tmp_path / "t.nc", {"t": NetcdfVariable(("x",), np.ma.masked_equal([1, 2], 3))})
    assert read_netcdf(tmp_path / "t.nc")[0]["t"].values.tolist() == [1, 2]


LATIN = b"\xb0C"
KINDS = {
    "fixed": h5py.string_dtype("ascii", 2),
    "fixed UTF-8": h5py.string_dtype("utf-8", 2),
    "variable": h5py.string_dtype("ascii"),
    "variable UTF-8": h5py.string_dtype("utf-8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_in_latin_1_are_read_and_written_as_utf_8(path: Path, tmp_path: Path, kind: str) -> None:
    with h5py.File(path, "r+") as file:
        for item, attribute in ((file["temperature"], "units"), (file["x"], "long_name"), (file, "title"), (file, "note")):
            item.attrs.create(attribute, LATIN, dtype=KINDS[kind])
        file.attrs.create("utf8", "°C".encode(), dtype=h5py.string_dtype("ascii", 3))
    validate(path)
    assert "[°C]" in describe(path)
    data = open_dataset(path)
    assert (data.outputs[0].units, data.coordinates["x"].long_name) == ("°C", "°C")
    assert (data.attributes["title"], data.attributes["note"], data.attributes["utf8"]) == ("°C", "°C", "°C")
    data.save(tmp_path / "saved.h5")
    with h5py.File(tmp_path / "saved.h5") as file:
        for item, attribute in ((file["temperature"], "units"), (file["x"], "long_name"), (file, "title"), (file, "note")):
            assert bytes(item.attrs[attribute]).decode() == "°C"
    assert open_dataset(tmp_path / "saved.h5").outputs[0].units == "°C"


def test_names_of_points_variables_and_axes_in_latin_1_are_read_and_written_as_utf_8(path: Path, tmp_path: Path) -> None:
    for texts in (np.array([LATIN, b"a", b"", "µ".encode()]), np.array([LATIN, b"a", b"", "µ".encode()], object)):
        with h5py.File(path, "r+") as file:
            scale = file.create_dataset(b"m\xe9thode", data=texts, dtype=None if texts.dtype.kind == "S" else KINDS["variable"])
            scale.make_scale("names")
            scale.attrs.update({"units": "1", "long_name": "names", b"\xe9tat": "1"})
            if "temperature" in file:
                file.move("temperature", b"temp\xe9rature")
            field = file[b"temp\xe9rature"]
            for earlier in field.dims[1].values():
                field.dims[1].detach_scale(earlier)
            field.dims[1].attach_scale(scale)
        validate(path)
        data = open_dataset(path)
        assert (data.outputs[0].name, data.outputs[0].axes) == ("température", ("méthode",))
        assert data.coordinates["méthode"].values.tolist() == ["°C", "a", "", "µ"]
        np.testing.assert_array_equal(data["température"], FIELD)
        variables, _ = read_netcdf(path)
        assert variables["méthode"].attributes["état"] == "1"
        write_netcdf(tmp_path / "again.nc", variables)
        with h5py.File(tmp_path / "again.nc") as file:
            assert "température" in file
            assert file["méthode"].asstr()[0] == "°C"
        data.save(tmp_path / "saved.h5")
        assert open_dataset(tmp_path / "saved.h5").coordinates["méthode"].values.tolist() == ["°C", "a", "", "µ"]
        with h5py.File(path, "r+") as file:
            file[b"temp\xe9rature"].dims[1].detach_scale(file[b"m\xe9thode"])
            del file[b"m\xe9thode"]
    with h5py.File(path, "r+") as file:
        file["température"] = 1.0
    assert "variables must have different names" in message(open_dataset, path)


def test_only_the_requested_name_is_found(tmp_path: Path) -> None:
    path = tmp_path / "names.nc"
    write_netcdf(path, {"ü": NetcdfVariable(("x",), np.ones(3)), "?": NetcdfVariable(("x",), np.ones(3))})
    for name in ("Ã¼", "Δ", "\udcfc", "", ".", "a/b", "\0"):  # the first is UTF-8 ü read as Latin-1
        assert "is required, but there is none" in message(read_rows, path, name, np.array([0]))
    assert read_rows(path, "ü", np.array([0])) == 1.0


def test_texts_that_are_not_unicode_are_read_as_h5py_gives_them_or_refused(tmp_path: Path) -> None:
    texts = {"t": NetcdfVariable(("x",), np.array(["\udcb0C"]), {"units": "\udcb0C"})}  # bytes that h5py could not decode
    write_netcdf(tmp_path / "t.nc", texts)
    found = read_netcdf(tmp_path / "t.nc")[0]["t"]
    assert (found.values.tolist(), found.attributes) == (["°C"], {"units": "°C"})
    for variables in ({"\udcb0": texts["t"]}, {"t": NetcdfVariable(("\udcb0",), np.ones(1))}):
        with pytest.raises(ValueError, match="names must be valid Unicode"):
            write_netcdf(tmp_path / "t.nc", variables)
    with pytest.raises(ValueError, match="a text must be valid Unicode"):
        write_netcdf(tmp_path / "t.nc", {}, {"title": "\ud800"})


def test_an_attribute_without_a_numpy_type_is_named(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        h5py.h5a.create(file["x"].id, b"day", h5py.h5t.UNIX_D32LE, h5py.h5s.create(h5py.h5s.SCALAR))
    for read in READERS:
        line = message(read, path)
        assert "the attribute 'day' of x must be a text or numbers" in line
        assert "rewrite or remove it" in line
        assert "download" not in line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda file: file["temperature"].attrs.__setitem__("scaling", "cube"),
            "the attribute scaling, 'standard' or 'log', it has 'cube'",
        ),
        (lambda file: file["temperature"].attrs.__setitem__("scaling", [1, 2]), "attribute scaling, it has array([1, 2])"),
        (lambda file: file["temperature"].attrs.__setitem__("role", "x" * 10**4), "xxx: correct it"),
        (lambda file: file.attrs.__setitem__("schema_version", [1, 1]), "schema_version 1 is required, got [1 1]"),
    ],
)
def test_a_fault_of_the_layout_is_not_reported_as_damage(path: Path, change: Any, line: str) -> None:
    with h5py.File(path, "r+") as file:
        change(file)
    for read in (validate, describe, read_description):
        found = message(read, path)
        assert line in found
        assert "download" not in found


def test_texts_and_single_numbers_are_not_variables_of_samples(path: Path) -> None:
    store(path, "temperature", np.array([b"a"] * SAMPLES * POINTS).reshape(SAMPLES, POINTS), {})
    assert "temperature must hold numbers, it holds texts" in message(validate, path)
    assert "temperature must hold numbers for each sample" in message(read_rows, path, "temperature", ROWS)
    write_netcdf(path.with_name("budget.nc"), {"budget": NetcdfVariable((), 3.0)})
    assert "budget must hold numbers for each sample" in message(read_rows, path.with_name("budget.nc"), "budget", ROWS)


def test_a_mask_is_not_a_list_of_sample_numbers(path: Path) -> None:
    unchecked = inspect.unwrap(read_rows)  # shapes and types are checked in tests only
    line = message(unchecked, path, "par", ROWS > 3)
    assert "samples of par must be chosen by integers, got bool" in line
    np.testing.assert_array_equal(read_rows(path, "par", np.flatnonzero(ROWS > 3)), INPUT[4:])


def test_the_remedy_fits_the_fault(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "classic.nc").write_bytes(b"CDF\x01" + bytes(100))
    assert "classic netCDF: convert it with nccopy" in message(validate, tmp_path / "classic.nc")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # HDF5 locks a file that it writes in the same way
        assert "written by another process: wait" in message(validate, path)
    validate(path)
    for fault, remedy in ((PermissionError(13, "denied"), "ask its owner"), (MemoryError(), "read fewer samples")):
        with monkeypatch.context() as patch:
            patch.setattr(h5py, "File", lambda *_, fault=fault: (_ for _ in ()).throw(fault))
            line = message(validate, path)
        assert remedy in line
        assert "download" not in line


def test_an_axis_of_very_many_names_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        names = file.create_dataset("names", (100_000,), h5py.string_dtype(), chunks=(100_000,), compression="gzip")
        names[0] = ""
        names.make_scale("names")
        names.attrs.update({"units": "1", "long_name": "names"})
    assert "must hold at most 16384 texts, with 'names' there is room for 100000" in message(open_dataset, path)


def test_other_coordinates_and_dimensions_of_xarray_are_read_or_refused(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "t.nc", {"t": NetcdfVariable(("x",), np.ones(3))}, {"coordinates": "t gone"})
    assert set(read_xarray(tmp_path / "t.nc").coords) == {"t"}
    with h5py.File(tmp_path / "t.nc", "r+") as file:
        other = file.create_dataset("u", data=np.ones(4))
        other.dims[0].attach_scale(file["x"])
    assert "the variables must share their dimensions" in message(read_xarray, tmp_path / "t.nc")


@pytest.mark.parametrize("versions", ["no JSON", "[1]", 3])
def test_versions_that_are_not_an_object_are_named_when_a_file_is_saved(path: Path, tmp_path: Path, versions: Any) -> None:
    data = open_dataset(path)
    damaged = Dataset.from_arrays(data["par"], data["temperature"], attributes={"versions": versions})
    assert "versions must be a JSON object" in message(damaged.save, tmp_path / "saved.h5")
