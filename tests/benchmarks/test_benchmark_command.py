"""The modules that all benchmarks share: command line, tables and pool."""

import contextlib
import csv
import os
from pathlib import Path

import pytest
from imports import graph, imported, layers
from paths import BENCHMARKS

SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py"))


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Find the shared modules as the scripts do."""
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def comparison(monkeypatch, capsys):
    """Run a small comparison with some flags; return its setting, or the exit status and the message."""
    from shared.comparison import Comparison
    from shared.setting import Spending

    def execute(*flags, without=()):
        found = []
        small = Comparison("small", ("burgers", "poisson"), ("PAC", "GP"), Spending(), full_sizes=(4, 64), full_methods=("L2",))
        monkeypatch.setattr("sys.argv", ["small.py", *map(str, flags)])
        try:
            small.run(lambda setting: found.append(setting), "Say what it does.", without=without)
        except SystemExit as stop:
            return stop.code, capsys.readouterr().err
        return found[0] if found else capsys.readouterr().out

    return execute


def test_all_values_that_follow_a_list_flag_are_its_values(comparison):
    setting = comparison("--pairs", "poisson", "burgers", "--sizes", 8, 4, "--methods", "GP", "--seeds", 3)
    assert setting.pairs == ("poisson", "burgers")
    assert setting.methods == ("GP",)
    assert setting.spending.sizes == (4, 8)  # sorted: the last is the largest
    assert setting.spending.seeds == 3


def test_a_flag_of_a_benchmark_replaces_the_common_flag_of_its_name(monkeypatch):
    from shared.command import Out
    from shared.comparison import Comparison
    from shared.setting import Spending

    found = []

    def main(setting, out: Out = Path("elsewhere"), extra: int = 1):
        found.append((setting.out, out, extra))

    for flags in ([], ["--out", "here"], ["--extra", "2"]):
        monkeypatch.setattr("sys.argv", ["small.py", *flags])
        with contextlib.suppress(SystemExit):
            Comparison("small", ("burgers",), ("PAC",), Spending()).run(main, "Say what it does.")
    own = Path("results/small")
    assert found == [(own, Path("elsewhere"), 1), (own, Path("here"), 1), (own, Path("elsewhere"), 2)]


def test_a_value_after_an_equals_sign_and_a_flag_that_is_given_twice_are_read_too(comparison):
    setting = comparison("--pairs=poisson", "--pairs", "burgers", "--sizes=16", "--seeds=2", "--out=-folder")
    assert setting.pairs == ("poisson", "burgers")
    assert (setting.spending.sizes, setting.spending.seeds) == ((16,), 2)
    assert setting.out == Path("-folder")  # the only way to name a file that begins with a dash


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sizes", 4, -1), "Invalid value for '--sizes'"),  # a number, which the flag rejects
        (("--seeds", -1), "Invalid value for '--seeds'"),
        (("--pairs", "burgers", "-x"), "No such option: -x"),
        (("--pairs", "--quick"), "--pairs needs a value, got the flag --quick: give one after it"),
        (("--out", "--quick"), "--out needs a value, got the flag --quick: give one after it"),
        (("--methods",), "--methods needs a value: give one after it"),
        (("--seeds", 1, 2), "unexpected extra argument"),  # the flag takes one value
        (("--pairs=poisson", "burgers"), "unexpected extra argument"),
        (("--pairs", "nonsense"), "there is no pair 'nonsense'"),
        (("--methods", "PAC", "nonsense"), "unknown method 'nonsense': choose from PAC, GP, L2"),
        (("--quick", "--full"), "--quick and --full exclude each other: give one of them"),
        (("--workers", 2), "No such option: --workers"),
        (("--figures", "gif"), "unknown format 'gif': choose from png, pdf, svg"),
    ],
)
def test_a_mistake_in_the_flags_is_one_line_and_exit_2(comparison, flags, message):
    code, error = comparison(*flags)
    assert code == 2
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_quick_and_full_change_what_was_not_asked_for(comparison):
    usual, quick, full = comparison(), comparison("--quick"), comparison("--full")
    assert (usual.pairs, usual.methods, str(usual.out)) == (("burgers", "poisson"), ("PAC", "GP"), "results/small")
    assert (quick.pairs, quick.methods, str(quick.out)) == (("burgers",), ("PAC", "GP"), "results/small_quick")
    assert (full.pairs, full.methods, str(full.out)) == (("burgers", "poisson"), ("PAC", "GP", "L2"), "results/small_full")
    assert quick.spending.samples == 120
    assert full.spending.sizes == (4, 64)
    assert full.spending.steps > usual.spending.steps > quick.spending.steps
    asked = comparison("--full", "--sizes", 8, "--seeds", 1)
    assert (asked.spending.sizes, asked.spending.seeds) == ((8,), 1)
    assert asked.allow(usual.spending).spending.sizes == (8,)  # another spending, such as that of plates, keeps these
    assert asked.allow(usual.spending).spending.steps == usual.spending.steps


def test_a_flag_that_a_benchmark_has_not_is_refused(comparison):
    assert comparison("--full", without=("full",)) == (2, "error: No such option: --full\n")


def test_the_help_prints_the_docstring_as_it_stands_and_every_flag(monkeypatch, capsys):
    from shared.command import Pairs, run

    def main(pairs: Pairs = None, *, number: int = 7) -> None:
        raise AssertionError("the help runs nothing")

    long = "A line " + "that is longer than a terminal is wide, " * 3 + "on"
    monkeypatch.setattr("sys.argv", ["small.py", "--help"])
    run(main, f"A title.\n\n    python small.py      spaces     stay\n\n{long}\nand the next.\n")
    output = capsys.readouterr().out
    assert "      python small.py      spaces     stay\n" in output
    assert f"  {long}\n  and the next.\n" in output
    assert "--pairs NAME ..." in output
    assert "[default: 7]" in output


def test_a_markdown_cell_keeps_its_bars_and_columns_of_text_are_aligned():
    from shared.tables import markdown_table, text_table

    head, rows = ("method", "n = 4"), [("|w| twice", 0.25), ("PAC", "0.5 [0.25, 1]")]
    assert markdown_table(head, rows).splitlines() == [
        "| method | n = 4 |",
        "|---|---|",
        "| \\|w\\| twice | 0.25 |",
        "| PAC | 0.5 [0.25, 1] |",
    ]
    assert text_table(head, rows).splitlines() == [
        "  method             n = 4",
        "  |w| twice           0.25",
        "  PAC        0.5 [0.25, 1]",
    ]
    with pytest.raises(ValueError, match="shorter"):
        text_table(head, [("PAC",)])


def test_csv_rounds_floats_only_where_it_is_told_to_and_leaves_none_empty(tmp_path):
    from shared.tables import write_csv

    row = ("a, b", 1234567, 1 / 3, None)
    for digits, number in ((None, str(1 / 3)), (6, "0.333333")):
        write_csv(tmp_path / "table.csv", ("name", "whole", "part", "none"), [row], digits)
        with (tmp_path / "table.csv").open(newline="") as file:
            head, read = csv.reader(file)
        assert head == ["name", "whole", "part", "none"]
        assert read == ["a, b", "1234567", number, ""]


def process_of(pair):
    return [f"{pair} {os.getpid()} {os.environ.get('OMP_NUM_THREADS')}"]


def test_the_pool_keeps_the_order_and_gives_each_worker_one_thread(monkeypatch):
    from shared.pool import work_through

    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # set and deleted, so that the value set by the pool is undone after the test
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert work_through(process_of, ["a", "b"], workers=1) == [f"{pair} {os.getpid()} None" for pair in "ab"]
    found = [line.split() for line in work_through(process_of, list("abcd"), workers=2)]
    assert [pair for pair, _, _ in found] == list("abcd")
    assert all(int(process) != os.getpid() and threads == "1" for _, process, threads in found)


def test_benchmarks_share_one_command_and_no_script_imports_another():
    for path in BENCHMARKS.rglob("*.py"):
        names = {name.split(".")[0] for name in imported(path)}
        assert "argparse" not in names, path
        assert names.isdisjoint(SCRIPTS), path
    for folder in ("shared", "speed"):
        parts = graph(BENCHMARKS / folder)
        assert sum(map(len, layers(parts))) == len(parts), f"imports in {folder} go round"
    assert "speed" not in {name.split(".")[0] for path in (BENCHMARKS / "shared").glob("*.py") for name in imported(path)}
