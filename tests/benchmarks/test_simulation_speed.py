"""The benchmark of the simulators' speed, with --quick."""

import contextlib
import importlib
import importlib.util
import io
import json
import statistics
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from paths import BENCHMARKS, ROOT
from running import run_script

SCRIPT = BENCHMARKS / "simulation_speed.py"
INSTALLED = importlib.util.find_spec("exponax") is not None


def execute(monkeypatch, folder, *arguments):
    run_script(monkeypatch, SCRIPT, folder, "--quick", *arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, threads, printed = tmp_path_factory.mktemp("speed"), torch.get_num_threads(), io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stdout(printed):
        execute(monkeypatch, folder, "--device", "cpu", "--threads", "1")
    torch.set_num_threads(threads)
    return printed.getvalue(), json.loads((folder / "results/simulation_speed.json").read_text())


@pytest.fixture
def module(monkeypatch):
    """Return the function that imports a module as the script does, from the script's folder."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module


def records(content):
    return [*content["scipy"], *content.get("exponax", ())]


def cells(output, record):
    """Return the cells of a record's row."""
    starts = (
        [record["system"], f"{record['method']}, {record['tolerance']:.0e}"]
        if "system" in record
        else [f"{record['equation']}, {' x '.join(map(str, record['points']))}", record["precision"]]
    )
    (line,) = [line for line in output.splitlines() if line.startswith(f"| {' | '.join(starts)} | {record['threads']} |")]
    return line.strip("| ").split(" | ")


def test_every_system_and_equation_has_a_row(run):
    output, content = run
    assert [record["system"] for record in content["scipy"]] == ["Duffing", "Lotka-Volterra", "Lorenz 63", "Burgers"]
    assert all(cells(output, record) for record in records(content))
    if INSTALLED:
        assert len(content["exponax"]) == 6  # three equations in two precisions
    else:
        assert "exponax" not in content
        assert "exponax is not installed, so its table is left out: pip install -e '.[benchmarks]' -c constraints.txt" in output


def test_printed_errors_rates_and_ratios_are_those_of_the_file(run):
    output, content = run
    for record in records(content):
        row = cells(output, record)
        for kind in ("largest", "relative"):
            ours, theirs = (error[kind] for error in record["errors"].values())
            assert f"{ours:.1e} / {theirs:.1e}" in row
        digits, names = (1, ["ours", "SciPy"]) if "system" in record else (2, ["ours", "exponax"])
        assert any(cell.startswith(f"{statistics.median(record['ratios']):.{digits}f} [") for cell in row)
        assert list(record["seconds"]) == names
        for name, seconds in record["seconds"].items():
            rate = record["samples"][name] / statistics.median(seconds)
            assert f"{rate if 'system' in record else 1e3 * statistics.median(seconds) / record['steps']:.3g}" in row


def test_a_ratio_is_their_time_for_a_sample_over_ours(run):
    for record in records(run[1]):
        (ours, mine), (theirs, others) = ((record["samples"][name], record["seconds"][name]) for name in record["seconds"])
        expected = [(b / theirs) / (a / ours) for a, b in zip(mine, others, strict=True)]
        np.testing.assert_allclose(record["ratios"], expected, rtol=1e-12)
        assert len(expected) == run[1]["rounds"] == 1
        assert min(*mine, *others) > 0


def test_both_sides_err_alike_and_little(run):
    for record in records(run[1]):
        ours, theirs = (error["relative"] for error in record["errors"].values())
        assert 1e-11 < ours < 1e-4  # of a tolerance of 1e-8 a system, of the scheme a field; 0 would be its own reference
        assert theirs < 20 * ours


def test_the_file_says_with_what_it_was_made(run):
    _, content = run
    assert {"command", "versions", "hardware", "date", "quick", "rounds"} <= set(content)
    assert content["quick"] is True
    assert content["versions"]["torch"] == torch.__version__
    assert content["hardware"]["cores"] >= 1


def test_the_user_of_scipy_writes_the_equations_that_the_simulators_solve(module):
    peer = module("speed.scipy_peer")
    for ensemble, system in peer.SYSTEMS.values():
        inputs = ensemble.draw(torch.Generator().manual_seed(1), 3)
        given = {name: values.double() for name, values in inputs.items()}
        start = ensemble._start(given)
        state = torch.cat([start, start.new_zeros(len(start), 1)], 1)
        slopes = ensemble._field(given)(start.new_zeros(len(start)), state)[:, :-1]
        for row, values in enumerate(torch.stack(list(given.values()), 1).tolist()):
            slope, begin = system(*values)
            expected = np.array(slope(0.0, np.array(begin)))
            if system is peer.lotka_volterra:  # ours evolves logarithms
                expected = expected / begin
                begin = np.log(begin)
            np.testing.assert_allclose(start[row], begin, rtol=1e-15, atol=1e-15)
            np.testing.assert_allclose(slopes[row], expected, rtol=1e-13, atol=1e-15)


def test_errors_are_the_largest_difference_and_the_relative_norm(module):
    found = module("shared.measurement").errors(np.float32([[1.0, 2.0], [5.0, -4.0]]), np.array([[1.0, 2.0], [5.0, -1.0]]))
    assert found == {"largest": 3.0, "relative": pytest.approx(3 / np.sqrt(31))}


def test_traffic_counts_what_is_read_and_written_but_no_views(module):
    a, b = torch.zeros(10, dtype=torch.float64), torch.zeros(10, dtype=torch.float64)
    with module("speed.bandwidth").Traffic() as traffic:
        (a + b)[2:].reshape(2, 4)
    assert traffic.bytes == 3 * 80


def test_the_table_of_a_gpu_is_made_on_any_device(module):
    evolution = replace(module("speed.evolutions").EVOLUTIONS["Burgers"], steps=20, batch=2, crowd=6)
    found = module("speed.bandwidth").use_of_bandwidth({"Burgers": evolution}, "cpu", rounds=2, checked=1, copied=2**16)
    tables = module("speed.columns")
    assert [record["precision"] for record in found] == ["float64", "float32"]
    for record in found:
        assert record["samples"] == 6
        expected = [20 * record["bytes_per_step"] / seconds / record["copy_bandwidth"] for seconds in record["seconds"]]
        np.testing.assert_allclose(record["fraction_of_copy"], expected, rtol=1e-12)
        # A step of ETDRK4 takes 8 transforms of 160 values, each read and written; the rest takes as much again or more.
        itemsize = {"float64": 8, "float32": 4}[record["precision"]]
        assert 6 * 8 * 2 * 160 * itemsize < record["bytes_per_step"] < 6 * 8 * 20 * 160 * itemsize
        assert f"| {record['errors']['ours']['largest']:.1e} |" in tables.record_table(found, tables.DEVICE)


@pytest.mark.parametrize(
    ("difference", "ours", "message"),
    [(2e-3, 1e-4, "are not the same"), (1e-3, 0.02, "take shorter steps"), (float("nan"), 1e-4, "are not the same")],
)
def test_solutions_that_disagree_end_the_run(module, difference, ours, message):
    agree = module("shared.measurement").agree
    agree("waves", 9e-4, 1e-4, 1e-9)
    agree("waves", 9e-10, 0.0, 1e-9)
    with pytest.raises(ValueError, match=message):
        agree("waves", difference, ours, 1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "rounds and threads must be 1 or more, got 0 and 1"),
        (["--threads", "0"], "rounds and threads must be 1 or more, got 1 and 0"),
        (["--rounds", "many"], "Invalid value for '--rounds': "),
        (["--device", "nonsense"], "unknown device 'nonsense': choose from auto, cpu, cuda"),
        (["--against", "matlab"], "unknown library 'matlab': choose from scipy, exponax"),
        pytest.param(
            ["--device", "cuda"],
            "device 'cuda' is not available",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is available"),
        ),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(monkeypatch, capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit) as ended:
        execute(monkeypatch, tmp_path, *arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_process_that_runs_exponax_starts_without_torch():
    question = "import sys; import speed.exponax_peer; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", question], cwd=SCRIPT.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_end_of_the_process_that_runs_exponax_is_told_by_its_last_words(module):
    child = module("speed.exponax_peer").Exponax("float64", 1)
    with (
        contextlib.closing(child),
        pytest.raises(ValueError, match=r"has ended: (KeyError: 'axes'|.*No module named 'exponax')"),
    ):
        child.prepare(np.zeros((1, 4)), name="Burgers")


def test_no_benchmark_hides_a_package():
    """Python looks for modules in the script's own folder first."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {"pac_surrogate", "simulators"} <= packages
    assert not packages & {path.stem for path in SCRIPT.parent.iterdir()}
