"""Wrong command lines: one line of the library's own and exit code 2, before any long work; nothing on disk changes."""

import os
import re
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from running import command_line as call

import pac_surrogate as pac
import pac_surrogate.curves.transfer_curve  # import before a test replaces its contents
from pac_surrogate import console
from simulators import __main__ as simulators

X = np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a folder with a file of every kind."""
    folder = tmp_path_factory.mktemp("home")
    pac.Dataset.from_arrays(X, np.tanh(X), valid=0.1, test=0.2).save(folder / "d.h5")
    pac.Dataset.from_arrays(X, np.tanh(X)).save(folder / "no_splits.h5")
    (folder / "banana.h5").write_bytes((folder / "d.h5").read_bytes())
    with h5py.File(folder / "banana.h5", "r+") as file:
        file.attrs["headline"] = "banana"
    pac.pretrain(folder / "d.h5", model=pac.MLP(hidden=(4,)), steps=2).save(folder / "s")
    (folder / "empty").touch()
    (folder / "text").write_text("1,2\n" * 100)
    with (folder / "huge").open("wb") as file:
        file.truncate(2**40)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    os.link(folder / "d.h5", folder / "hard.h5")
    (folder / "link").symlink_to("d.h5")
    (folder / "dangling").symlink_to("nowhere")
    return folder


def content(folder):
    """Return everything that a command could change."""
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ino) for path in sorted(folder.rglob("*"))
    }


NO_DATA = ("missing", "empty", "text", "huge", "folder", "pipe", "dangling", "/dev/null", "s", "", "a\n\x1b[31mb", "x" * 300)
NO_SURROGATE = ("missing", "empty", "text", "huge", "folder", "pipe", "dangling", "/dev/null", "d.h5", "")
NO_OUTPUT = ("d.h5", "./d.h5", "hard.h5", "link", "dangling", "text", "pipe", "folder", "/dev/null", "d.h5/x", "x" * 300)
PRETRAIN, TRANSFER = ("pretrain", "d.h5", "--out", "o"), ("transfer", "s", "d.h5", "--out", "o", "--size", 4)
CURVE = ("curve", "d.h5", "d.h5", "--out", "o", "--size", 4, "--seeds", 1)
LINES = [
    *(line for bad in NO_DATA for line in (("validate", bad), ("pretrain", bad, "--out", "o"))),
    *(("describe", bad) for bad in NO_DATA if bad != "s"),  # which is a surrogate
    *(("transfer", "s", bad, "--out", "o", "--size", 4) for bad in NO_DATA),
    *(("predict", "s", bad, "--out", "o") for bad in NO_DATA),
    *(("curve", *pair, "--out", "o") for bad in NO_DATA for pair in ((bad, "d.h5"), ("d.h5", bad))),
    *(("transfer", bad, "d.h5", "--out", "o", "--size", 4) for bad in NO_SURROGATE),
    *(("predict", bad, "d.h5", "--out", "o") for bad in NO_SURROGATE),
    *(("pretrain", "d.h5", "--out", bad) for bad in NO_OUTPUT),
    *(("transfer", "s", "d.h5", "--size", 4, "--out", bad) for bad in (*NO_OUTPUT, "s")),
    *(("predict", "s", "d.h5", "--out", bad) for bad in (*NO_OUTPUT, "s")),
    *((*CURVE[:3], "--out", bad, *CURVE[5:]) for bad in ("d.h5", "text", "link", "dangling", "/dev/null", "x" * 300)),
    ("transfer", "s", "d.h5", "--source", "text", "--out", "text", "--size", 4),
    *((*PRETRAIN, "--hidden", bad) for bad in ("1e9", 10**9, 10**30, "9" * 5000, 0, -1, "x")),
    *((*PRETRAIN, "--seed", bad) for bad in (2**70, -1, "2^70")),
    *((*PRETRAIN, "--steps", bad) for bad in (-1, 10**13, "1e3")),
    *((*PRETRAIN, "--learning-rate", bad) for bad in ("nan", "inf", -1)),
    *((*PRETRAIN, "--batch-size", bad) for bad in (0, -1)),
    *((*PRETRAIN, *bad) for bad in (("--cnn",), ("--activation", "eval"), ("--device", "cuda:99"), ("--device", "x\n\x1b"))),
    *((*PRETRAIN, *bad) for bad in (("--bogus",), ("--hidden",))),
    ("pretrain", "banana.h5", "--out", "o"),
    ("transfer", "s", "banana.h5", "--out", "o", "--size", 4),
    ("curve", "d.h5", "banana.h5", "--out", "o"),
    *((*TRANSFER[:5], "--size", bad) for bad in (-1, 10**12, "1e12")),
    *((*TRANSFER, "--method", bad) for bad in ("", "../x", "Magic\n\x1b" * 2000)),
    *((*TRANSFER, "--method", "L2SP", *bad) for bad in (("--strength", "nan"), ("--learning-rate", "nan"), ("--steps", -1))),
    *((*TRANSFER, *bad) for bad in (("--seed", 2**70), ("--draw", -1), ("--draw", 10**20), ("--source", "missing"))),
    ("transfer", "s", "no_splits.h5", "--out", "o", "--size", 400),
    *(("predict", "s", "d.h5", "--out", "o", "--split", bad) for bad in ("bogus", "", "test\n")),
    ("predict", "s", "no_splits.h5", "--out", "o"),
    *((*CURVE[:5], "--size", bad) for bad in (-1, 10**12, "x")),
    *((*CURVE, "--size", bad) for bad in (4,)),
    *((*CURVE[:7], "--seeds", bad) for bad in (0, -1, 21, 10**12)),
    *((*CURVE, *bad) for bad in (("--steps", -1), ("--pretrain-steps", 10**13), ("--hidden", 10**9))),
    ("bogus",),
    ("--bogus",),
    ("describe",),
]


@pytest.mark.filterwarnings("ignore::pac_surrogate.DataWarning")
def test_every_wrong_command_line_gives_one_line_and_exit_code_2_and_changes_nothing(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    before = content(home)
    for line in LINES:
        began = time.perf_counter()
        code = call(monkeypatch, *line)
        shown, seconds = capsys.readouterr(), time.perf_counter() - began
        named = " ".join(map(str, line))[:150]
        assert code == 2, named
        assert shown.out == "", named
        # A warning for the user precedes the error.
        assert re.fullmatch(r"(warning: [^\n]{1,390}\n)?error: [^\n]{1,390}\n", shown.err), f"{named}: {shown.err}"
        assert shown.err.replace("\n", "").isprintable(), named
        assert seconds < 20, f"{named}: {seconds} s"
        assert content(home) == before, named


def test_sizes_beyond_memory_are_reported_with_the_memory_that_they_take(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    weights = 2 * 10**9 + 10**9 + 2 * 10**9 + 2
    call(monkeypatch, *PRETRAIN, "--hidden", 10**9)
    assert f"{weights:.2g} weights, whose training takes {weights * 24 / 1e9:.2g} GB" in capsys.readouterr().err
    monkeypatch.setattr("pac_surrogate.models.size.memory_bytes", lambda: 24 * (2 * 4 + 4 + 4 * 2 + 2))
    assert call(monkeypatch, *PRETRAIN, "--hidden", 5, "--steps", 1) == 2
    assert call(monkeypatch, *PRETRAIN[:3], home / "fits", "--hidden", 4, "--steps", 1) == 0
    (home / "fits").unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("describe", "bogus"),
        ("generate", "bogus\n\x1b"),
        ("generate", "heat_equation", "--samples", "1e12"),
        ("generate", "heat_equation", "--samples", 10**12),
        ("generate", "heat_equation", "--samples", -1),
        ("generate", "heat_equation", "--seed", 2**70),
        ("generate", "heat_equation", "--seed", -1),
        ("generate", "heat_equation", "--chunk", 0),
    ],
)
def test_wrong_command_lines_of_the_simulators_give_one_line_as_well(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments, main=lambda: console.run(lambda: simulators.app(standalone_mode=False))) == 2
    assert re.fullmatch(r"error: [^\n]{1,390}\n", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


# Errors of libraries, signals, broken pipes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            RuntimeError("[enforce fail]\n  DefaultCPUAllocator: no\tmemory"),
            "error: [enforce fail] DefaultCPUAllocator: no memory",
        ),
        (MemoryError(), "error: the memory does not suffice: ask for less at once"),
        (OSError(28, "No space left on device", "x\n.h5"), "error: x .h5: No space left on device"),
        (ValueError("\x1b[31m red"), "error: \\x1b[31m red"),
        (ValueError(), "error: ValueError"),
        (np.linalg.LinAlgError("singular"), "error: singular"),
    ],
)
def test_errors_of_libraries_are_reported_in_one_line(error, line, monkeypatch, capsys):
    monkeypatch.setattr("pac_surrogate.data.file_description.validate_file", lambda file: (_ for _ in ()).throw(error))
    assert call(monkeypatch, "validate", "x") == 2
    assert capsys.readouterr().err == line + "\n"


def test_an_internal_fault_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("pac_surrogate.data.file_description.validate_file", lambda file: {}["x"])
    with pytest.raises(KeyError):
        call(monkeypatch, "validate", "x")


@pytest.fixture(autouse=True)
def heard():
    """Handle Ctrl-C also in tests that a shell runs in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_that_was_ignored_stays_ignored_when_another_signal_stops_the_run(home, monkeypatch):
    monkeypatch.chdir(home)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    monkeypatch.setattr(pac.solvers.training, "_train", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert call(monkeypatch, *PRETRAIN, "--hidden", 4) == 143
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize(("number", "code", "how"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
@pytest.mark.filterwarnings("ignore::pac_surrogate.DataWarning")
def test_a_stopped_run_reports_what_is_kept_and_continues_from_there(home, tmp_path, monkeypatch, capsys, number, code, how):
    monkeypatch.chdir(home)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    trained, original = [], pac.solvers.training._train

    def stop_in_the_second(*arguments):
        if trained:
            os.kill(os.getpid(), number)
        trained.append(1)
        return original(*arguments)

    monkeypatch.setattr(pac.solvers.training, "_train", stop_in_the_second)
    line = [*CURVE[:4], tmp_path / "o", *CURVE[5:], "--method", "FineTune", "--hidden", 4, "--steps", 2, "--pretrain-steps", 2]
    assert call(monkeypatch, *line) == code
    kept = f"finished stacks are kept in {tmp_path / 'o' / 'stacks'}, the same command continues from there"
    assert re.fullmatch(rf"(warning: .*\n)?stopped by .*{how}.*: {re.escape(kept)}\n", capsys.readouterr().err)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert len(list((tmp_path / "o" / "stacks").iterdir())) == 1
    monkeypatch.setattr(pac.solvers.training, "_train", original)
    assert call(monkeypatch, *line) == 0
    assert len(list((tmp_path / "o" / "stacks").iterdir())) == 2


def test_a_stopped_pretraining_reports_that_nothing_is_kept(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    before = content(home)
    monkeypatch.setattr(pac.solvers.training, "_train", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert call(monkeypatch, *PRETRAIN, "--hidden", 4) == 143
    assert capsys.readouterr().err == "stopped by the system (SIGTERM): nothing is kept, the same command starts again\n"
    assert content(home) == before


def test_a_stopped_generation_keeps_its_samples_and_continues(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    from simulators import generate

    original = generate._check_finite

    def stop_in_the_second(side, first, inputs, outputs):
        if first:
            os.kill(os.getpid(), signal.SIGINT)
        original(side, first, inputs, outputs)

    def main():
        console.run(lambda: simulators.app(standalone_mode=False))

    monkeypatch.setattr(generate, "_check_finite", stop_in_the_second)
    line = ("generate", "heat_equation", "--samples", 8, "--chunk", 4)
    assert call(monkeypatch, *line, main=main) == 130
    kept = "finished files and samples are kept in data/heat_equation, the same command continues from there"
    assert capsys.readouterr().err == f"stopped by Ctrl-C: {kept}\n"
    assert [path.name for path in (tmp_path / "data" / "heat_equation").iterdir()] == ["source.h5.part"]
    monkeypatch.setattr(generate, "_check_finite", original)
    assert call(monkeypatch, *line, main=main) == 0
    assert {path.name for path in (tmp_path / "data" / "heat_equation").iterdir()} == {"source.h5", "target.h5"}


def test_a_closed_output_pipe_gives_no_traceback(home):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pac_surrogate.cli", "describe", home / "d.h5"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (1, 141)  # the code of typer, or of a process that SIGPIPE ends


def test_a_full_device_for_the_output_is_reported_in_one_line(home):
    command = [sys.executable, "-m", "pac_surrogate.cli", "describe", home / "d.h5"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert re.fullmatch(r"error: .*No space left on device\n", done.stderr)
    assert done.returncode == 2
