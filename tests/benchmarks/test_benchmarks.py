"""The benchmark scripts, run as a user runs them, with --quick."""

import json
import subprocess
import sys

import pytest
import torch
from paths import BENCHMARKS
from running import exit_status, run_script
from shortened import shorten_searches

import pac_surrogate as pac


@pytest.fixture
def script(monkeypatch, tmp_path, capsys):
    """Run a script with short searches in this process; return its exit status, what it printed, and its messages."""
    shorten_searches(monkeypatch)
    threads = torch.get_num_threads()

    def execute(name, *arguments):
        status = exit_status(run_script, monkeypatch, BENCHMARKS / f"{name}.py", tmp_path, *arguments)
        return status, *capsys.readouterr()

    yield execute
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Run the heat benchmark in a process of its own."""
    folder = tmp_path_factory.mktemp("benchmark")
    command = [sys.executable, BENCHMARKS / "heat_equation.py", "--quick"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    (folder / "output.txt").write_text(done.stdout)
    return folder


def test_the_heat_benchmark_prints_a_table_and_writes_all_its_results(results):
    written = {path.name for path in (results / "results/heat_equation_quick/heat_equation").iterdir()}
    assert {"curve.nc", "curve.csv", "curve.png", "fields.png", "config.json", "bounds.json"} <= written
    output, _ = (results / "output.txt").read_text().split("choices from the grids")
    curve = pac.open_curve(results / "results/heat_equation_quick/heat_equation")
    medians = pac.summarise(curve)["median"]
    assert curve.sizes["approach"] >= 9
    for name in curve["approach"].values:
        (row,) = [line for line in output.splitlines() if line.startswith(f"  {name}  ")]
        assert f"{float(medians.loc[name].sel(size=8)):.4f}" in row
    config = json.loads((results / "results/heat_equation_quick/heat_equation/config.json").read_text())
    assert config["setting"]["seeds"] == 2
    assert {"command", "versions", "hardware", "date"} <= set(config)


@pytest.mark.filterwarnings("ignore::pac_surrogate.DataWarning", "ignore::pac_surrogate.ExtrapolationWarning")
def test_the_same_seed_gives_the_same_results_file_in_another_process(results, monkeypatch):
    again = results / "again"
    run_script(monkeypatch, BENCHMARKS / "heat_equation.py", results, "--quick", "--out", again)
    for name in ("curve.nc", "curve.csv"):
        assert (again / "heat_equation" / name).read_bytes() == (
            results / "results/heat_equation_quick/heat_equation" / name
        ).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "Magic"], "unknown method 'Magic': choose from auto, source unchanged, linear correction"),
        (["--sizes", "4", "4000"], "the size of the train split, got 4000"),
        (["--pairs", "wave"], "there is no pair 'wave'"),
        (["--pairs", "burgers"], "unknown pair 'burgers': choose from heat_equation"),
        (["--seeds", "21"], "draw must be 0 to 19"),
        (["--device", "nonsense"], "device 'nonsense' is not available"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(results, arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run_script(monkeypatch, BENCHMARKS / "heat_equation.py", results, "--quick", "--out", "bad", *arguments)
    assert end.value.code == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not list(results.glob("bad/**/curve.nc"))


def test_the_throughput_benchmark_finds_the_loop_and_the_stack_equal(script, tmp_path):
    _, printed, _ = script("throughput", "--quick", "--threads", 1, "--out", "throughput.json")
    content = json.loads((tmp_path / "throughput.json").read_text())
    assert content["differences"]["torch.float64"] < 1e-12  # five steps; a wrong gradient moves weights by 1e-2
    assert content["differences"]["torch.float32"] < 1e-4
    assert printed.count("loop, fused Adam / stack") == 1


def test_the_benchmark_of_busy_cores_prints_every_case(script, tmp_path):
    _, output, _ = script("busy_cores", "--quick", "--threads", 2, "--busy", 1, "--out", "busy.json")
    rows = json.loads((tmp_path / "busy.json").read_text())["rows"]
    assert {(row["call"], row["threads"], row["busy"]) for row in rows} == {
        (call, 2, busy) for call in ("pretrain", "PAC", "auto") for busy in (0, 1)
    }
    printed = [line.split() for line in output.splitlines()]
    for row in rows:
        assert [row["call"], "2", str(row["busy"]), f"{row['wall']:.2f}", f"{row['cpu']:.2f}"] in printed


@pytest.mark.parametrize("name", ["throughput", "busy_cores", "simulation_speed", "step_errors", "verification"])
def test_a_benchmark_overwrites_nothing_of_the_users(script, name, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    # The file is refused at once, so that --quick is not needed.
    status, printed, message = script(name, "--out", tmp_path / "notes.txt")
    assert (status, printed, message.count("\n")) == (2, "", 1)
    assert "may replace only another one, which this is not: choose another name" in message
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"README.md": "mine", "notes.txt": "mine"}


@pytest.mark.filterwarnings("ignore::pac_surrogate.DataWarning", "ignore::pac_surrogate.ExtrapolationWarning")
def test_the_grading_of_pairs_prints_and_writes_every_error(script, tmp_path):
    flags = ("--quick", "--pairs", "forrester", "oscillator_energy", "--seeds", 2, "--out", "graded")
    _, printed, _ = script("difficulty", *flags)
    written = json.loads((tmp_path / "graded/difficulty.json").read_text())["pairs"]
    assert list(written) == ["forrester", "oscillator_energy"]
    (row,) = [line for line in printed.splitlines() if line.startswith("| forrester ")]
    errors = written["forrester"]["errors"]
    assert f" {errors['source unchanged'][0]:.3f} " in row
    assert ", ".join(f"{error:.3f}" for error in errors["fine-tune"][1:]) in row
    assert written["oscillator_energy"]["errors"]["source unchanged"] == [None] * 4  # the source lacks the output
    assert written["oscillator_energy"]["difficulty"] == "hard"
    status, _, message = script("difficulty", "--pairs", "nonsense")
    assert (status, message.count("\n")) == (2, 1)
    assert "there is no pair 'nonsense'" in message
