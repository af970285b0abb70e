"""From a CSV file to predictions in a CSV file, on the command line alone; and conversion, description and checks of files."""

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr
from running import command_line

import pac_surrogate as pac
from pac_surrogate.files import read_netcdf

pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")


def beams(rows, shear, seed):
    rng = np.random.default_rng(seed)
    length, load = rng.uniform(0.3, 1, rows), rng.uniform(1, 9, rows)
    steel = rng.integers(0, 2, rows)
    tip = load * (length**3 / 3 + shear * length) * np.where(steel, 1.0, 1.7)
    material = np.where(steel, "steel", "copper")
    return pd.DataFrame({"length [m]": length, "load [kN]": load, "material": material, "tip [mm]": tip, "note": "ok"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    beams(200, 0.0, 0).to_csv(folder / "source.csv", index=False)
    beams(20, 0.05, 1).to_csv(folder / "target.csv", index=False)
    beams(7, 0.05, 2).drop(columns=["tip [mm]", "note"]).to_csv(folder / "new.csv", index=False)
    return folder


def run(*arguments):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return command_line(monkeypatch, *arguments)


INPUTS = ("--inputs", "length", "--inputs", "load", "--inputs", "material", "--outputs", "tip")


@pytest.fixture(scope="module")
def adapted(folder):
    source, path = folder / "source.safetensors", folder / "adapted.safetensors"
    assert run("pretrain", folder / "source.csv", *INPUTS, "--hidden", 16, "--steps", 200, "--out", source) == 0
    assert run("transfer", source, folder / "target.csv", "--out", path) == 0
    return path


def test_from_csv_files_to_predictions_with_intervals_in_a_csv_file(folder, adapted, tmp_path, capsys):
    capsys.readouterr()
    out = tmp_path / "predictions.csv"
    assert run("predict", adapted, folder / "new.csv", "--level", 0.8, "--out", out) == 0
    assert f"{out}: 7 samples" in capsys.readouterr().out
    new, found = pd.read_csv(folder / "new.csv"), pd.read_csv(out)
    assert list(found.columns) == [*new.columns, "tip [mm]", "tip_lower [mm]", "tip_upper [mm]", "extrapolates"]
    pd.testing.assert_frame_equal(found[list(new.columns)], new)
    expected = pac.Surrogate.load(adapted).predict_interval(new, 0.8)
    np.testing.assert_array_equal(found["tip [mm]"], expected.mean["tip [mm]"])
    np.testing.assert_array_equal(found["tip_lower [mm]"], expected.lower["tip [mm]"])
    truth = beams(7, 0.05, 2)["tip [mm]"]
    # 20 samples of a smooth function of three inputs: the relative error is a few hundredths, a wrong column gives about 1.
    assert np.linalg.norm(found["tip [mm]"] - truth) < 0.3 * np.linalg.norm(truth)


def test_a_table_of_predictions_keeps_all_columns_but_the_truth(folder, adapted, tmp_path):
    new = beams(7, 0.05, 2).assign(id=[f"s{i}" for i in range(7)])[
        ["id", "tip [mm]", "material", "load [kN]", "note", "length [m]"]
    ]
    new.to_csv(tmp_path / "new.csv", index=False)
    assert run("predict", adapted, tmp_path / "new.csv", "--out", tmp_path / "out.csv") == 0
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found.columns) == ["id", "material", "load [kN]", "note", "length [m]", "tip [mm]", "extrapolates"]
    pd.testing.assert_frame_equal(found.iloc[:, :5], new.drop(columns="tip [mm]"))
    np.testing.assert_array_equal(found["tip [mm]"], pac.Surrogate.load(adapted).predict(new)["tip [mm]"])


@pytest.mark.parametrize("name", ["predictions.parquet", "predictions.nc"])
def test_predictions_in_other_files_hold_the_same_numbers(name, folder, adapted, tmp_path):
    assert run("predict", adapted, folder / "new.csv", "--level", 0.8, "--out", tmp_path / name) == 0
    expected = pac.Surrogate.load(adapted).predict_interval(pd.read_csv(folder / "new.csv"), 0.8)
    if name.endswith("nc"):
        found, _ = read_netcdf(tmp_path / name)
        assert found["tip"].attributes["units"] == "mm"
        values = [found[column].values for column in ("tip", "tip_lower", "tip_upper")]
    else:
        table = pd.read_parquet(tmp_path / name)
        values = [table[f"tip{after} [mm]"] for after in ("", "_lower", "_upper")]
    for one, side in zip(values, (expected.mean, expected.lower, expected.upper), strict=True):
        np.testing.assert_array_equal(one, side["tip [mm]"])


def test_netcdf_inputs_with_dates_give_netcdf_and_tables(adapted, tmp_path):
    new = beams(5, 0.05, 3)
    arrays = xr.Dataset(
        {
            "length": ("run", new["length [m]"], {"units": "m"}),
            "load": ("run", new["load [kN]"], {"units": "kN"}),
            "material=copper": ("run", (new["material"] == "copper").astype(float)),
            "material=steel": ("run", (new["material"] == "steel").astype(float)),
        },
        coords={"run": pd.date_range("2024-01-01", periods=5)},
    )
    arrays.to_netcdf(tmp_path / "new.nc", engine="h5netcdf")
    expected = pac.Surrogate.load(adapted).predict(new)["tip [mm]"]
    assert run("predict", adapted, tmp_path / "new.nc", "--out", tmp_path / "found.nc") == 0
    found = xr.open_dataset(tmp_path / "found.nc", engine="h5netcdf")
    np.testing.assert_array_equal(found["run"], arrays["run"])
    np.testing.assert_array_equal(found["tip"], expected)
    assert run("predict", adapted, tmp_path / "new.nc", "--out", tmp_path / "found.csv") == 0
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "found.csv")["tip [mm]"], expected)


WRONG = {
    "target.csv: a CSV file with the columns length [m]": ["predict", "adapted.safetensors", "new.csv", "--out", "target.csv"],
    "target.parquet: a Parquet file with": ["predict", "adapted.safetensors", "new.csv", "--out", "target.parquet"],
    "a saved surrogate is required here, before the data": ["predict", "new.csv", "adapted.safetensors", "--out", "x.csv"],
    "did you mean 'length'": ["pretrain", "source.csv", "--inputs", "lenght", "--outputs", "tip", "--out", "x.safetensors"],
    "material must be given in every row, it is missing in row": [
        "predict",
        "adapted.safetensors",
        "none.csv",
        "--out",
        "x.csv",
    ],
    "outputs names 'tp'": ["pretrain", "source.csv", "--inputs", "length", "--outputs", "tp", "--out", "x.safetensors"],
    "--inputs must name columns": ["pretrain", "source.csv", "--out", "x.safetensors"],
    "predictions are written to .csv, .parquet, .nc": ["predict", "adapted.safetensors", "new.csv", "--out", "x.txt"],
    "a column length [m] is required": ["predict", "adapted.safetensors", "short.csv", "--out", "x.csv"],
    "only our own files have splits": ["predict", "adapted.safetensors", "new.csv", "--split", "test", "--out", "x.csv"],
    "must end with one of": ["convert", "source.csv", "x.txt", *INPUTS],
    "would replace": ["convert", "source.csv", "source.csv", *INPUTS],
    "load [kN] must hold numbers, it holds 'x'": ["validate", "text.csv"],
    "length [m] must be finite": ["validate", "gap.csv"],
    "--units must be NAME=UNIT": ["convert", "source.csv", "x.h5", *INPUTS, "--units", "load"],
    "--axes must be NAME=AXES": ["convert", "source.csv", "x.h5", *INPUTS, "--axes", "tip="],
    "--bounds must be NAME=LOW,HIGH": ["convert", "source.csv", "x.h5", *INPUTS, "--bounds", "tip=low,1"],
    "got 'tip=0'": ["pretrain", "source.csv", *INPUTS, "--bounds", "tip=0", "--out", "x.safetensors"],
    "--units names 'tip' twice": ["convert", "source.csv", "x.h5", *INPUTS, "--units", "tip=m", "--units", "tip=mm"],
    "bounds of tip must be two numbers": ["convert", "source.csv", "x.h5", *INPUTS, "--bounds", "tip=1,0"],
    "units must name chosen columns": ["convert", "source.csv", "x.h5", *INPUTS, "--units", "note=m"],
    "columns have no axes": ["convert", "source.csv", "x.h5", *INPUTS, "--axes", "tip=x"],
    "--missing must be drop or mask": ["curve", "source.csv", "target.csv", *INPUTS, "--missing", "all", "--out", "x"],
    "'tip_lower [mm]' occurs twice": ["predict", "adapted.safetensors", "clash.csv", "--level", 0.8, "--out", "x.csv"],
    "target.csv: a CSV file with the columns": ["predict", "adapted.safetensors", "new.csv", "--out", "target.csv"],
    "material must be one of copper, steel, got 'glass'": ["predict", "adapted.safetensors", "glass.csv", "--out", "x.nc"],
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_call_is_one_line_and_leaves_no_file(line, folder, adapted, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    beams(3, 0.0, 0).drop(columns="length [m]").to_csv("short.csv", index=False)
    beams(3, 0.0, 0).assign(**{"load [kN]": ["1", "x", "2"]}).to_csv("text.csv", index=False)
    beams(3, 0.0, 0).assign(**{"length [m]": [1, None, 2]}).to_csv("gap.csv", index=False)
    beams(3, 0.0, 0).assign(**{"tip_lower [mm]": 1.0}).to_csv("clash.csv", index=False)
    beams(3, 0.0, 0).assign(material="glass").to_csv("glass.csv", index=False)
    beams(3, 0.0, 0).assign(material=["steel", None, "copper"]).to_csv("none.csv", index=False)
    beams(3, 0.0, 0).to_parquet("target.parquet")
    before = sorted(folder.iterdir())
    capsys.readouterr()
    assert run(*WRONG[line]) == 2
    error = capsys.readouterr().err.strip()
    assert line in error
    assert len(error.splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_only_faults_of_a_file_carry_its_path_and_they_carry_it_once(folder, adapted, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    beams(3, 0.0, 0).assign(**{"length [m]": [1, None, 2]}).to_csv("gap.csv", index=False)
    capsys.readouterr()
    lines = []
    for call in (("new.csv", "--level", 1.5), ("gap.csv", "--level", 0.8), ("none.csv", "--level", 0.8)):
        assert run("predict", adapted, *call, "--out", "x.csv") == 2
        lines.append(capsys.readouterr().err.strip())
    assert "level must be between 0 and 1" in lines[0]
    assert [line.count(".csv") for line in lines] == [0, 1, 1]


@pytest.mark.parametrize("name", ["a.h5", "a.nc", "a.npz", "a.mat", "a.zarr", "a.csv", "a.parquet"])
def test_convert_describe_and_validate_every_layout(name, folder, tmp_path, capsys):
    out = tmp_path / name
    assert run("convert", folder / "target.csv", out, *INPUTS, "--test", 0.25) == 0
    assert run("validate", out) == 0
    capsys.readouterr()
    assert run("describe", out) == 0
    text = capsys.readouterr().out
    given = pd.read_csv(folder / "target.csv")
    assert f"{given['tip [mm]'].min():.6g} to {given['tip [mm]'].max():.6g} [mm]" in text
    sides = ("length", "load", "material=*"), "tip"
    data = pac.open_dataset(out, *(sides if name in ("a.csv", "a.parquet") else ()))
    assert [(v.name, v.units) for v in (*data.inputs, *data.outputs)] == [
        ("length", "m"),
        ("load", "kN"),
        ("material=copper", "1"),
        ("material=steel", "1"),
        ("tip", "mm"),
    ]
    np.testing.assert_array_equal(data["tip"], given["tip [mm]"])
    if name not in ("a.csv", "a.parquet"):
        assert (len(data.train), len(data.test)) == (15, 5)


@pytest.mark.filterwarnings("ignore::pac_surrogate.DataWarning")
def test_missing_outputs_are_dropped_or_learned_from_the_samples_that_have_them(folder, adapted, tmp_path, capsys):
    table = beams(20, 0.05, 1)
    table.loc[::4, "tip [mm]"] = np.nan
    table.to_csv(tmp_path / "gaps.csv", index=False)
    call = ("transfer", folder / "source.safetensors", tmp_path / "gaps.csv", "--method", "LinearCorrection")
    capsys.readouterr()
    assert run(*call, "--out", tmp_path / "a.safetensors") == 2
    assert "or pass --missing drop or --missing mask" in capsys.readouterr().err
    predictions = []
    for missing in ("drop", "mask"):
        assert run(*call, "--missing", missing, "--out", tmp_path / f"{missing}.safetensors") == 0
        predictions.append(pac.Surrogate.load(tmp_path / f"{missing}.safetensors").predict(folder / "new.csv"))
    np.testing.assert_array_equal(*predictions)  # with a single output both use the 15 samples that have it


def test_a_target_on_another_grid_is_interpolated_on_request(tmp_path, capsys):
    def rods(points, rows):
        power = np.linspace(1, 2, rows)
        fields = power[:, None] * np.sin(np.pi * points)
        options = {"axes": {"u": ("x",)}, "coordinates": {"x": points}, "test": 0.2}
        return pac.Dataset.from_arrays({"power": power}, {"u": fields}, **options)

    rods(np.linspace(0, 1, 9), 40).save(tmp_path / "source.h5")
    rods(np.linspace(0, 1, 41), 15).save(tmp_path / "target.h5")
    source = tmp_path / "source.safetensors"
    assert run("pretrain", tmp_path / "source.h5", "--hidden", 8, "--steps", 100, "--out", source) == 0
    call = ("transfer", source, tmp_path / "target.h5", "--method", "LinearCorrection", "--out", tmp_path / "a.safetensors")
    assert run(*call, "--regrid") == 0
    assert pac.Surrogate.load(tmp_path / "a.safetensors").outputs[0].shape == (9,)
    assert "on 3 test samples" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.npz", "a.mat", "a.h5"])
def test_arrays_without_names_get_units_axes_and_bounds(name, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"load": rng.uniform(size=(12, 1)), "fraction": rng.uniform(size=(12, 3, 5)), "x": np.linspace(0, 2, 5)}
    if name == "a.npz":
        np.savez(tmp_path / name, **arrays)
    elif name == "a.mat":
        scipy.io.savemat(tmp_path / name, arrays)
    else:
        with h5py.File(tmp_path / name, "w") as file:
            file.update(arrays)
    call = ("--inputs", "load", "--outputs", "fraction", "--axes", "fraction=time,x", "--units", "load=kN", "--units", "x=m")
    assert run("convert", tmp_path / name, tmp_path / "b.h5", *call, "--bounds", "fraction=0,") == 0
    found = pac.open_dataset(tmp_path / "b.h5")
    (load,), (fraction,) = found.inputs, found.outputs
    assert (load.units, fraction.axes, fraction.bounds) == ("kN", ("time", "x"), (0.0, None))
    assert found.coordinates["x"].units == "m"
    np.testing.assert_array_equal(found.coordinates["x"].values, arrays["x"])
    np.testing.assert_array_equal(found["fraction"], arrays["fraction"])


@pytest.mark.filterwarnings("ignore::pac_surrogate.DataWarning")
def test_a_curve_has_the_categories_of_the_source_and_leaves_out_incomplete_samples(folder, tmp_path, capsys):
    """A target that has no copper beams is a target of the source with both materials."""
    table = beams(40, 0.05, 1).query("material == 'steel'").iloc[:12].reset_index(drop=True)
    table.loc[3, "tip [mm]"] = np.nan
    table.to_csv(tmp_path / "steel.csv", index=False)
    call = ("curve", folder / "source.csv", tmp_path / "steel.csv", *INPUTS, "--test", 0.25, "--bounds", "tip=0,")
    few = ("--method", "LinearCorrection", "--size", 2, "--seeds", 1, "--hidden", 4, "--steps", 2, "--pretrain-steps", 2)
    capsys.readouterr()
    assert run(*call, *few, "--out", tmp_path / "curve") == 2
    assert "tip must be finite" in capsys.readouterr().err
    assert run(*call, *few, "--missing", "drop", "--out", tmp_path / "curve") == 0
    curve = pd.read_csv(tmp_path / "curve" / "curve.csv")
    assert set(curve["size"].dropna()) == {2}


def test_a_converted_target_without_a_category_is_refused_with_a_remedy(folder, adapted, tmp_path, capsys):
    table = beams(40, 0.05, 1).query("material == 'steel'")
    table.to_csv(tmp_path / "steel.csv", index=False)
    assert run("convert", tmp_path / "steel.csv", tmp_path / "steel.h5", *INPUTS) == 0
    capsys.readouterr()
    call = ("--method", "LinearCorrection", "--out", tmp_path / "a.safetensors")
    assert run("transfer", folder / "source.safetensors", tmp_path / "steel.h5", *call) == 2
    error = capsys.readouterr().err.strip()
    assert "if no sample is of the category material=copper, pass the table itself, opened like the surrogate" in error
    assert len(error.splitlines()) == 1
    assert run("transfer", folder / "source.safetensors", tmp_path / "steel.csv", *call) == 0
