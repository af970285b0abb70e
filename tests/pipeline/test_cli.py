"""The command line as a user types it; bad input gives one line and exit code 2, and leaves no file behind."""

import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from running import command_line

import pac_surrogate as pac
import pac_surrogate.curves.transfer_curve  # imported before a test replaces its imports
from pac_surrogate import cli
from simulators.generate import generate
from simulators.pairs import find_pair

# The target of the heat equation has another material than its source.
pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate(find_pair("heat_equation"), folder, samples=60)
    return folder / "heat_equation"


@pytest.fixture(scope="module")
def source_surrogate(files):
    path = files / "source.safetensors"
    run(["pretrain", files / "source.h5", "--out", path, "--hidden", 8, "--steps", 20])
    return path


def run(arguments):
    """Call the command line in this process; return the exit code."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        return command_line(monkeypatch, *arguments)


def test_describe_and_validate_a_generated_file(files, capsys):
    assert run(["describe", files / "source.h5"]) == 0
    text = capsys.readouterr().out
    for word in ("initial_temperature", "conductivity", "temperature", "W m-1 K-1", "train"):
        assert word in text
    assert run(["validate", files / "target.h5"]) == 0
    assert "valid" in capsys.readouterr().out


def test_describe_shows_the_own_error_of_a_saved_surrogate(source_surrogate, capsys):
    capsys.readouterr()
    assert run(["describe", source_surrogate]) == 0
    kept = pac.Surrogate.load(source_surrogate).provenance["validation"]
    assert f"  validated on  {kept['samples']} samples, error {kept['error']:.3g} of the deviation\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("headline", "factor", "line"),
    [
        ("rmse", 2.0, "rmse 1.0000 on 4 test samples"),
        ("rel_l2", 0.0, "not measured: rel_l2 divides by the norm of the target, which is zero in all 4 samples: use rmse"),
    ],
)
def test_an_undefined_error_is_reported_in_one_line_after_the_surrogate_is_saved(headline, factor, line, monkeypatch):
    data = pac.Dataset.from_arrays(np.ones((20, 1)), factor * np.ones((20, 1)), test=0.2, attributes={"headline": headline})
    monkeypatch.setattr(
        "pac_surrogate.surrogates.batch_prediction.predict_many", lambda surrogates, datasets: [np.ones((4, 1))]
    )
    assert re.fullmatch(line, cli._error_line(None, data))


@pytest.mark.filterwarnings("ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning")
def test_pretrain_transfer_and_predict(files, source_surrogate, tmp_path, capsys):
    adapted, prediction = tmp_path / "adapted.safetensors", tmp_path / "prediction.nc"
    target = files / "target.h5"
    options = ["--method", "PAC", "--size", 5, "--source", files / "source.h5", "--steps", 5, "--source-steps", 5]
    assert run(["transfer", source_surrogate, target, "--out", adapted, *options, "--sparsity", 0.5]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"sparsity=0.5.*n = 5, rel_l2 \d\.\d+ on \d+ test samples", printed)
    # PAC's redundant weights are trained on the target, so they are not 0.
    assert re.search(r"\nsparsity 0\.50 of the body, ([\d,]+) of \1 weights not zero\nhidden\.0\.weight: \d+ of ", printed)
    assert run(["predict", adapted, target, "--out", prediction]) == 0
    import xarray as xr

    test = pac.open_dataset(target).test
    with xr.open_dataset(prediction, engine="h5netcdf") as written:
        assert written["temperature"].dims == ("sample", "x")
        assert written["temperature"].attrs["units"] == "K"
        inputs = {name: test[name] for name in ("initial_temperature", "conductivity")}
        expected = pac.Surrogate.load(adapted).predict(inputs)["temperature"]
        np.testing.assert_array_equal(written["temperature"].values, expected)


@pytest.mark.parametrize("with_source", [False, True])
def test_without_a_method_the_choice_is_made_and_shown(with_source, files, source_surrogate, tmp_path, capsys):
    adapted = tmp_path / "adapted.safetensors"
    options = ["--source", files / "source.h5"] if with_source else []
    assert run(["transfer", source_surrogate, files / "target.h5", "--out", adapted, "--size", 6, *options]) == 0
    shown = capsys.readouterr().out
    assert pac.Surrogate.load(adapted).choice.reason in shown
    assert ("ATL" in shown) == with_source


def test_curve_writes_results_and_a_figure(files, tmp_path, capsys):
    sizes = [argument for size in (0, 4) for argument in ("--size", size)]
    methods = ["--method", "FineTune", "--method", "SourceUnchanged"]
    arguments = ["curve", files / "source.h5", files / "target.h5", "--out", tmp_path, *sizes, *methods]
    assert run([*arguments, "--seeds", 2, "--steps", 5, "--pretrain-steps", 5, "--hidden", 8]) == 0
    assert "FineTune" in capsys.readouterr().out
    assert {"curve.nc", "curve.csv", "curve.png"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(("name", "start"), [("mine.pdf", b"%PDF-"), ("mine.SVG", b"<?xml"), ("new/mine.png", b"\x89PNG")])
def test_the_figure_of_a_curve_has_the_format_of_its_ending(name, start, files, tmp_path, capsys):
    methods = ["--method", "SourceUnchanged", "--size", 4, "--seeds", 1, "--steps", 5, "--pretrain-steps", 5]
    data = [files / "source.h5", files / "target.h5", "--out", tmp_path / "o"]
    assert run(["curve", *data, *methods, "--figure", tmp_path / name]) == 0
    assert (tmp_path / name).read_bytes().startswith(start)
    assert not (tmp_path / "o/curve.png").exists()


@pytest.mark.parametrize("name", ["mine.gif", "mine", "mine.eps"])
def test_a_figure_with_another_ending_is_refused_before_any_work(name, files, tmp_path, capsys):
    data = [files / "source.h5", files / "target.h5", "--method", "PAC", "--size", 4, "--out", tmp_path / "o"]
    assert run(["curve", *data, "--figure", tmp_path / name]) == 2
    said = f"error: {tmp_path / name}: a figure is a .png, .pdf, .svg file: give its name one of these endings\n"
    assert capsys.readouterr().err == said
    assert not list(tmp_path.iterdir())


def truncated(files, tmp_path):
    path = tmp_path / "truncated.h5"
    path.write_bytes((files / "source.h5").read_bytes()[:5000])
    return path


def with_nan(files, tmp_path):
    path = tmp_path / "nan.h5"
    path.write_bytes((files / "target.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        sample = int(file["subset_order"][0, 0])
        file["temperature"][sample, 3] = np.nan
    return path, sample


def text(files, tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("not HDF5 at all\n" * 100)
    return path


def wrong_widths(files, tmp_path):
    path = tmp_path / "wide.h5"
    generator = np.random.default_rng(0)
    pac.Dataset.from_arrays(generator.normal(size=(30, 3)), generator.normal(size=(30, 2)), test=0.3).save(path)
    return path


TRANSFER = ["--method", "FineTune", "--size", 4, "--steps", 2]


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda files, tmp: tmp / "missing.h5", TRANSFER, r"missing\.h5"),
        (text, TRANSFER, r"text\.h5.*HDF5"),
        (truncated, TRANSFER, r"truncated\.h5"),
        (wrong_widths, TRANSFER, r"the surrogate has the inputs .*\(32,\).*the data have input \(3,\)"),
        (None, ["--method", "FineTune", "--size", 4000], r"the size of the train split, got 4000"),
        (
            None,
            ["--method", "Magic", "--size", 4],
            r"unknown method 'Magic': choose from auto, SourceUnchanged, .*PAC, .*Ticket",
        ),
        (None, ["--method", "L2SP", "--size", 4, "--strength", -1], "strength must be finite and not negative, got -1.0"),
        (None, ["--method", "PAC", "--size", 4, "--sparsity", 1.0], r"sparsity must be in \[0, 1\), got 1.0"),
        (None, ["--method", "PAC", "--size", 4], "pass source="),
        (None, ["--size", 4, "--strength", 0.1], "auto chooses the method and takes no strength: name a method"),
        (None, ["--method", "FineTune", "--size", 4, "--sparsity", 0.5], "FineTune has no sparsity"),
        (None, [*TRANSFER, "--draw", 20], "draw must be 0 to 19"),
        (None, [*TRANSFER, "--device", "nonsense"], "device 'nonsense' is not available"),
        (None, [*TRANSFER, "--learning-rate", 1e30], "diverged at step"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2_and_leaves_no_file_behind(
    files, source_surrogate, tmp_path, capsys, make, options, message
):
    target = make(files, tmp_path) if make else files / "target.h5"
    before = sorted(tmp_path.iterdir())
    assert run(["transfer", source_surrogate, target, "--out", tmp_path / "out.safetensors", *options]) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(rf"error: .*{message}.*\n", captured.err)
    assert captured.out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_nan_in_a_file_is_reported_with_its_variable_and_index(files, source_surrogate, tmp_path, capsys):
    path, sample = with_nan(files, tmp_path)
    assert run(["validate", path]) == 2
    assert re.fullmatch(rf"error: .*temperature.*\b{sample}\b.*\n", capsys.readouterr().err)
    arguments = [
        "transfer",
        source_surrogate,
        path,
        "--out",
        tmp_path / "out.safetensors",
        "--method",
        "FineTune",
        "--size",
        30,
    ]
    assert run(arguments) == 2
    assert "temperature" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_that_is_not_a_surrogate_is_refused(files, tmp_path, capsys):
    assert run(["predict", files / "target.h5", files / "target.h5", "--out", tmp_path / "x.nc"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_shows_an_example_and_starts_quickly_because_torch_is_not_imported():
    code = (
        "import sys; sys.argv = ['pac-surrogate', 'transfer', '--help']\n"
        "from pac_surrogate import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print('torch imported:', 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "torch imported: False" in out
    assert "pac-surrogate transfer source.safetensors" in " ".join(out.split())


def test_the_installed_command_runs(files):
    command = [sys.executable, "-m", "pac_surrogate.cli", "validate", str(files / "missing.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_warning_is_one_line_without_our_file_and_line(files, source_surrogate, tmp_path):
    """The target of the heat equation has another material, whose conductivity is outside the range of the source."""
    command = [sys.executable, "-m", "pac_surrogate.cli", "transfer", source_surrogate, files / "target.h5", "--size", "6"]
    done = subprocess.run([*map(str, command), "--out", str(tmp_path / "s")], capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert [line.startswith("warning: the inputs of ") for line in lines] == [True, False]
    assert lines[1].startswith("warning: the source network is the bottleneck: ")  # it was trained for 20 steps
    assert ".py" not in done.stderr
