"""`Surrogate.export`: paths, names, what is refused, and that the files agree with the surrogate."""

import ctypes
import dataclasses
import importlib.util
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from export_cases import INPUTS, NEW, inputs_of, source, surrogates, table, transferred
from typer.testing import CliRunner

import pac_surrogate as pac
from pac_surrogate.cli import app
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.files import DatasetError

pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning")
NEEDS_CC = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler with the name cc")
FORMATS = [pytest.param("c", marks=NEEDS_CC), "numpy", "onnx", "torch"]
PATHS = {"c": "out", "numpy": "out", "onnx": "out.onnx", "torch": "out.pt2"}


def module():
    return pac.Module(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)))


def answers(format, path, x, result="y", name="surrogate"):
    """Predict by what was exported, in float64 where the format has it."""
    match format:
        case "torch":
            return torch.export.load(path).module()(torch.from_numpy(x))[result].numpy()
        case "onnx":
            runtime = pytest.importorskip("onnxruntime")
            return runtime.InferenceSession(path).run([result], {"x": x.astype(np.float32)})[0]
        case "numpy":
            specification = importlib.util.spec_from_file_location(name, path / f"{name}.py")
            loaded = importlib.util.module_from_spec(specification)
            specification.loader.exec_module(loaded)
            return loaded.predict(x) if result == "y" else loaded.std(x)
        case "c":
            command = ["cc", f"-D{name.upper()}_FUNCTION=", "-std=c99", "-shared", "-fPIC", "-x", "c", f"{name}.h"]
            subprocess.run([*command, "-o", "library.so", "-lm"], cwd=path, check=True)
            library = ctypes.CDLL(str(path / "library.so"))
            outputs = [np.empty((len(x), 2)) for _ in range(2)]
            arrays = np.ascontiguousarray(x), *outputs
            rows, pointer = ctypes.c_size_t(len(x)), [ctypes.c_void_p(array.ctypes.data) for array in arrays]
            if result == "y":
                getattr(library, f"{name}_double_rows")(rows, *pointer[:2])
                return outputs[0]
            getattr(library, f"{name}_std_double_rows")(rows, *pointer)
            return outputs[1]


def described_by(path, name="surrogate"):
    """Return what the arrays of a module of NumPy say of its columns."""
    with np.load(path / f"{name}.npz") as arrays:
        return json.loads(arrays["description"].tobytes())


def assert_agrees(found, expected, surrogate):
    """1e-5 of each output's deviation, and float32's rounding of its magnitude."""
    allowed = 1e-5 * surrogate.scaling.outputs.deviation.numpy() + 1e-7 * np.abs(expected)
    assert (np.abs(found - expected) <= allowed).all()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["Network", "Mixture", "OutputGroups"])
def test_what_was_exported_agrees_with_predict(format, kind, tmp_path):
    surrogate = surrogates()[kind]
    x = inputs_of(surrogate).astype(np.float32).astype(float)  # the interface of ONNX is in float32
    path = tmp_path / PATHS[format]
    exported = surrogate.export(path, format)
    assert_agrees(answers(format, path, x), surrogate.predict(x), surrogate)
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.name in exported.files)
    assert exported.size == sum(file.stat().st_size for file in files if file.name != "library.so")
    assert exported.numbers > 100


def test_the_number_of_numbers_is_that_of_the_weights_that_are_not_zero_and_of_the_scaling(tmp_path):
    surrogate = source()
    weights = {name: torch.where(weight.abs() > 0.1, weight, 0.0) for name, weight in surrogate.weights.items()}
    pruned = dataclasses.replace(surrogate, predictor=dataclasses.replace(surrogate.network, weights=weights))
    counts = [one.export(tmp_path / "n", "numpy").numbers for one in (surrogate, pruned)]
    nonzero = [sum(int(w.count_nonzero()) for w in one.values()) for one in (surrogate.weights, weights)]
    assert counts[0] - counts[1] == nonzero[0] - nonzero[1] > 0
    assert counts[0] - nonzero[0] == 2 * (3 + 2) + 1  # means and deviations, and a factor of 1


@pytest.mark.parametrize("format", FORMATS)
def test_the_deviation_of_the_posterior_is_a_second_result(format, tmp_path):
    surrogate = transferred(pac.GP(on="target"))
    path = tmp_path / PATHS[format]
    surrogate.export(path, format, interval=True)
    expected = np.sqrt(surrogate.posterior(NEW.astype(np.float32)).variance)
    np.testing.assert_allclose(answers(format, path, NEW.astype(np.float32).astype(float), "std"), expected, rtol=1e-4)


@pytest.mark.parametrize("format", FORMATS)
def test_columns_are_those_of_the_arrays_of_predict(format, tmp_path):
    """The target lists its variables in another order than the source, and arrays follow the target."""
    data = table(2.5)[:12]
    x = {"load": data["load"], "angle": data["angle"]}
    y = {"stress": data["stress"], "force": data["force"]}
    swapped = pac.Dataset.from_arrays(x, y, units={"load": "N", "stress": "Pa"})
    given = pac.pretrain(
        pac.Dataset.from_arrays(
            {n: table(2.0)[n] for n in ("angle", "load")},
            {n: table(2.0)[n] for n in ("force", "stress")},
            units={"load": "N", "stress": "Pa"},
        ),
        model=pac.MLP(hidden=(4,)),
        steps=20,
    )
    surrogate = pac.transfer(given, swapped, method=pac.FineTune(), intervals=False, steps=5)
    assert [variable.name for variable in surrogate.layout[0]] != [variable.name for variable in surrogate.inputs]
    path, rows = tmp_path / PATHS[format], NEW[:, [2, 0, 1]].astype(np.float32).astype(float)
    surrogate.export(path, format)
    expected = surrogate.predict(rows)
    allowed = 1e-5 * surrogate.scaling.outputs.deviation.numpy()[[1, 0]] + 1e-7 * np.abs(expected)
    assert (np.abs(answers(format, path, rows) - expected) <= allowed).all()
    if format == "numpy":
        columns = described_by(path)
        assert [(one["name"], one["unit"]) for one in columns["inputs"]] == [
            ("load", "N"),
            ("angle[0]", "1"),
            ("angle[1]", "1"),
        ]
        assert [(one["name"], one["unit"]) for one in columns["outputs"]] == [("stress", "Pa"), ("force", "1")]
        low, high = INPUTS[:, [2, 0, 1]].min(0), INPUTS[:, [2, 0, 1]].max(0)
        for side, ends in (("low", low), ("high", high)):
            np.testing.assert_array_equal([one[side] for one in columns["inputs"]], ends)
        least = [min(table(shift)[name].min() for shift in (2.0, 2.5)) for name in ("stress", "force")]
        assert [one["low"] for one in columns["outputs"]] == pytest.approx(least, rel=0.5)


def test_a_module_of_the_users_own_is_exported_where_torch_converts_it(tmp_path):
    surrogate = pac.pretrain(table(2.0, scaling={"load": "log"}), model=module(), steps=20)
    x = NEW.astype(np.float32).astype(float)
    for format in ("torch", "onnx"):
        path = tmp_path / PATHS[format]
        surrogate.export(path, format)
        assert_agrees(answers(format, path, x), surrogate.predict(x), surrogate)
        bad = x.copy()
        bad[0, 2], bad[1, 0] = -1.0, np.nan
        assert np.isnan(answers(format, path, bad)[:2]).all()
        assert np.isfinite(answers(format, path, bad)[2:]).all()
    for format in ("numpy", "c"):
        with pytest.raises(NotExportableError, match=r"Sequential is a module of your own.*surrogate\.distil\("):
            surrogate.export(tmp_path / "refused", format)
        assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    ("path", "format", "options", "message"),
    [
        ("a", "csv", {}, "unknown format 'csv': choose onnx, numpy, c, torch"),
        ("a.h", "onnx", {}, r"format='onnx' writes one file, whose name ends with \.onnx, got a\.h"),
        ("a.onnx", "torch", {}, r"format='torch' writes one file, whose name ends with \.pt2"),
        ("a", "c", {"name": "my model"}, "name must be at most 40 letters, digits and underscores"),
        ("a", "c", {"name": "int\n"}, "name must be at most 40 letters"),
        ("a", "numpy", {"name": "a" * 41}, "name must be at most 40 letters"),
        ("a", "c", {"name": "Math"}, r"math\.h is a header of the C library, .*: choose another name="),
        ("a", "numpy", {"name": "math"}, "Python itself uses the name math"),
        ("a", "numpy", {"interval": True}, "a Network has no posterior variance"),
    ],
)
def test_wrong_calls_are_refused_in_one_line_and_nothing_is_written(path, format, options, message, tmp_path):
    with pytest.raises(ValueError, match=message) as refused:
        source().export(tmp_path / path, format, **options)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_another_one_and_no_other_file(tmp_path):
    surrogate = source()
    for format in ("c", "numpy"):
        first = surrogate.export(tmp_path, format)
        again = surrogate.export(tmp_path, format)
        assert first == again
    kept = "def predict(x):\n    return 'mine'\n"
    (tmp_path / "surrogate.py").write_text(kept)
    before = (tmp_path / "surrogate.npz").read_bytes()
    with pytest.raises(DatasetError, match="an exported surrogate may replace only another one"):
        surrogates()["Correction"].export(tmp_path, "numpy")
    assert (tmp_path / "surrogate.py").read_text() == kept
    assert (tmp_path / "surrogate.npz").read_bytes() == before, "nothing is written if one file is refused"
    mine = tmp_path / "mine"
    mine.mkdir()
    np.savez(mine / "surrogate.npz", mine=np.arange(3))
    (mine / "a.onnx").write_text("my text")
    (mine / "a.pt2").write_text("my text")
    contents = {file: file.read_bytes() for file in mine.iterdir()}
    for path, format in ((mine, "numpy"), (mine / "a.onnx", "onnx"), (mine / "a.pt2", "torch")):
        with pytest.raises(DatasetError, match="an exported surrogate may replace only another one"):
            surrogate.export(path, format)
    assert {file: file.read_bytes() for file in mine.iterdir()} == contents
    for format in ("onnx", "torch"):
        first = surrogate.export(tmp_path / f"again{PATHS[format][3:]}", format)
        assert surrogate.export(tmp_path / f"again{PATHS[format][3:]}", format) == first
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match="writes a folder, and this is a file"):
        surrogate.export(tmp_path / "file", "c")
    left = ["again.onnx", "again.pt2", "file", "mine", "surrogate.h", "surrogate.npz", "surrogate.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left, "no temporary file or folder remains"


@pytest.mark.parametrize("path", ["/proc/none/here", "x" * 300, "nul\0"])
def test_a_path_where_nothing_can_be_written_is_refused_in_one_line(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for format in ("c", "onnx"):
        with pytest.raises(ValueError, match="path") as refused:
            source().export(f"{path}{PATHS[format][3:]}", format)
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_name_leaves_no_folder(tmp_path):
    with pytest.raises(NotExportableError):
        source().export(tmp_path / "new", "numpy", name="json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("scaling", "low", "holds"), [("standard", 1e-60, True), ("log", 1e-60, False), ("log", 1e-30, True)])
def test_float32_holds_small_numbers_beside_large_ones_on_a_linear_scale_only(scaling, low, holds, tmp_path):
    y = np.geomspace(low, 1.0, 30)
    data = pac.Dataset.from_arrays({"x": np.linspace(0, 1, 30)}, {"y": y}, scaling={"y": scaling})
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(3,)), steps=5)
    surrogate.export(tmp_path, "c")
    assert ("surrogate_float(" in (tmp_path / "surrogate.h").read_text()) == holds
    if holds:
        surrogate.export(tmp_path / "a.onnx", "onnx")
    else:
        with pytest.raises(NotExportableError, match="the output y reaches 1e-60"):
            surrogate.export(tmp_path / "a.onnx", "onnx")


def test_a_provenance_that_holds_anything_is_no_obstacle(tmp_path):
    strange = dataclasses.replace(source(), provenance={"transfer": 3, "versions": "x", "samples": None})
    strange.export(tmp_path, "numpy")
    assert described_by(tmp_path)["about"] == {"predictor": "Network"}


def test_a_module_with_a_branch_on_numbers_is_refused_with_the_remedy(tmp_path):
    class Branching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x) if x.sum() > 0 else self.layer(-x)

    surrogate = pac.pretrain(table(2.0), model=pac.Module(Branching()), steps=0)
    with pytest.raises(NotExportableError, match=r"torch\.export cannot convert this module.*surrogate\.distil") as refused:
        surrogate.export(tmp_path / "a.pt2", "torch")
    assert "\n" not in str(refused.value)
    with pytest.raises(NotExportableError, match="a module of your own has no posterior"):
        surrogate.export(tmp_path / "a.pt2", "torch", interval=True)


def test_the_command_line_exports(tmp_path):
    source().save(tmp_path / "s.safetensors")
    run = CliRunner().invoke(app, ["export", str(tmp_path / "s.safetensors"), "--format", "c", "--out", str(tmp_path / "o")])
    assert run.exit_code == 0, run.output
    size = (tmp_path / "o" / "surrogate.h").stat().st_size
    assert f"c, surrogate.h, {size:,} bytes" in run.output
