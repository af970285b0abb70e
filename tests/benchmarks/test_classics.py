"""The classic functions in two fidelities: published optima and relations, draws, tables, and a run as a user runs it."""

import csv
import json
import math
import stat
import sys
from math import cos, exp, pi

import numpy as np
import pytest
import torch
from paths import BENCHMARKS
from running import run_script

SCRIPT = BENCHMARKS / "classics.py"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def at(formula, *points):
    return formula(torch.tensor(points, dtype=torch.float64)).tolist()


def slopes(formula, *point):
    """Return the gradient at a point."""
    x = torch.tensor([point], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(formula(x).sum(), x)[0][0].tolist()


# Published optima


def test_himmelblau_vanishes_at_its_four_minima():
    from two_fidelity.formulas import himmelblau_high

    minima = (3.0, 2.0), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)
    # Six decimals: the second derivatives are at most some 140, so that the value is at most 140 (0.5e-6)^2.
    assert at(himmelblau_high, *minima) == pytest.approx([0] * 4, abs=1e-10)
    assert at(himmelblau_high, (0.0, 0.0)) == [170]


def test_bohachevsky_and_camelback_have_their_published_minima():
    from two_fidelity.formulas import bohachevsky_high, camelback_high

    assert at(bohachevsky_high, (0.0, 0.0)) == pytest.approx([0], abs=1e-15)
    assert slopes(bohachevsky_high, 0.0, 0.0) == pytest.approx([0, 0], abs=1e-15)
    assert at(bohachevsky_high, (1 / 3, 1 / 4)) == pytest.approx([1 / 9 + 1 / 8 + 1.4])  # both cosines are -1
    lowest = (0.08984201, -0.7126564), (-0.08984201, 0.7126564)
    assert at(camelback_high, *lowest) == pytest.approx([-1.0316284535] * 2, abs=1e-9)
    # Seven digits of the points, and second derivatives of at most 17.
    assert slopes(camelback_high, *lowest[0]) == pytest.approx([0, 0], abs=17 * 1e-7)


def test_hartmann_of_three_variables_has_zero_slope_at_its_published_minimum():
    from two_fidelity.formulas import hartmann_3_high

    point = 0.114614, 0.555649, 0.852547
    assert at(hartmann_3_high, point) == pytest.approx([-3.86278], abs=5e-6)
    # The second derivatives are at most 2 x 3.86 x 35 = 270, and each coordinate has an error of 0.5e-6.
    assert slopes(hartmann_3_high, *point) == pytest.approx([0] * 3, abs=3 * 270 * 0.5e-6)


def test_branin_with_a_slope_is_lowest_on_the_upper_edge_at_its_published_point():
    from two_fidelity.formulas import tilted_branin_high

    along, across = slopes(tilted_branin_high, -3.786088705282203, 15.0)
    assert along == pytest.approx(0, abs=1e-6)  # that of an optimiser; 0.01 to either side, it is 0.1
    assert across < 0


# The low levels in plain arithmetic, in the form of the papers


def branin(a, b):
    return (b - 5.1 * a**2 / (4 * pi**2) + 5 * a / pi - 6) ** 2 + 10 * (1 - 1 / (8 * pi)) * cos(a) + 10


def camelback(a, b):
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2


def himmelblau(a, b):
    return (a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2


def bohachevsky(a, b):
    return a**2 + 2 * b**2 - 0.3 * cos(3 * pi * a) - 0.4 * cos(4 * pi * b) + 0.7


def hartmann(*x, heights=(1.0, 1.2, 3.0, 3.2)):
    wells = (
        ((3, 3689), (10, 1170), (30, 2673)),
        ((0.1, 4699), (10, 4387), (35, 7470)),
        ((3, 1091), (10, 8732), (30, 5547)),
        ((0.1, 381), (10, 5743), (35, 8828)),
    )
    distances = [sum(a * (v - 1e-4 * p) ** 2 for v, (a, p) in zip(x, well, strict=True)) for well in wells]
    return -sum(height * exp(-d) for height, d in zip(heights, distances, strict=True))


PLAIN = {
    "Branin": (
        lambda a, b: branin(a, b) - 22.5 * b,
        lambda a, b: branin(0.7 * a, 0.7 * b) - 15.75 * b + 20 * (0.9 + a) ** 2 - 50,
    ),
    "camelback": (camelback, lambda a, b: camelback(0.7 * a, 0.7 * b) + a * b - 15),
    "Himmelblau": (himmelblau, lambda a, b: himmelblau(0.5 * a, 0.8 * b) + b**3 - (a + 1) ** 2),
    "Bohachevsky": (bohachevsky, lambda a, b: bohachevsky(0.7 * a, b) + a * b - 12),
    "Hartmann-3": (hartmann, lambda *x: hartmann(*x, heights=(1.02, 1.18, 2.8, 3.4))),
}


@pytest.mark.parametrize("name", PLAIN)
def test_both_levels_are_the_published_formulas(name):
    from two_fidelity.problems import PROBLEMS

    drawn = PROBLEMS[name].draw(3)
    high, low = PLAIN[name]
    # Some ten terms whose largest is near the largest value; each operation rounds by 1.1e-16 of it.
    np.testing.assert_allclose(drawn.low_y, [low(*x) for x in drawn.low_x], rtol=1e-12, atol=1e-14 * abs(drawn.low_y).max())
    np.testing.assert_allclose(drawn.high_y, [high(*x) for x in drawn.high_x], rtol=1e-12, atol=1e-14 * abs(drawn.high_y).max())


# Draws and their errors


def test_a_draw_has_a_point_in_each_slice_of_every_axis_and_belongs_to_its_number():
    from two_fidelity.problems import PROBLEMS, TEST

    for problem in PROBLEMS.values():
        drawn = problem.draw(1)
        unit = drawn.unit()
        for name, size in (("low_x", problem.low_samples), ("high_x", problem.high_samples), ("test_x", TEST)):
            slices = np.sort(np.floor(unit[name] * size), axis=0)
            assert np.array_equal(slices, np.tile(np.arange(size)[:, None], len(problem.bounds)))
        assert drawn.digest() == problem.draw(1).digest()
        assert drawn.digest() != problem.draw(2).digest()


def test_the_error_is_relative_to_the_deviation_of_the_test_values():
    from two_fidelity.problems import PROBLEMS

    drawn = PROBLEMS["Forrester"].draw(0)
    mean, deviation = drawn.test_y.mean(), drawn.test_y.std()
    assert drawn.error(np.full(1000, mean)) == pytest.approx(1, rel=1e-12)
    assert drawn.error(drawn.test_y + 0.3 * deviation) == pytest.approx(0.3, rel=1e-12)
    assert drawn.error(drawn.test_y) == 0


# Tables


def test_medians_ratios_and_counts_are_their_definitions():
    from two_fidelity import comparison
    from two_fidelity.comparison import Result

    def results(function, **errors):
        return [Result(function, i, m.replace("_", "-"), e, i) for m, own in errors.items() for i, e in enumerate(own)]

    found = results("first", emukit=(1, 9, 2), SMT=(4, 4, math.nan), co_kriging=(2.3, 2.3, 0), auto=(1, math.nan, math.nan))
    found += results("second", emukit=(5, 5, 5), SMT=(4, 4, 4), co_kriging=(3, 9, 3)) + results("third", auto=(1, 1, 1))
    medians = comparison.medians_of(found)
    assert list(medians) == ["first", "second", "third"]
    assert medians["first"] == {"emukit": (2, 1), "SMT": (4, 1), "co-kriging": (2.3, 1), "auto": (math.inf, 1)}
    assert comparison.ratios_of(medians, "co-kriging") == pytest.approx({"first": 1.15, "second": 0.75})
    assert comparison.ratios_of(medians, "auto") == {"first": math.inf}
    head, rows = comparison.cells(found, ["emukit", "SMT", "co-kriging", "auto"])
    assert head[-2:] == ("co-kriging / better peer", "auto / better peer")
    assert [row[-2:] for row in rows] == [("1.15", "inf"), ("0.75", "-"), ("-", "-")]
    assert rows[1][1:5] == ("5 (1.0 s)", "4 (1.0 s)", "3 (1.0 s)", "-")
    assert comparison.counts_of(medians, "co-kriging") == (1, 1, 2, 2)  # below, then at most 1.1, 1.2 and 1.5 times
    assert comparison.counts_of(medians, "auto") == (0, 0, 0, 0)


# The script


def read_errors(folder):
    with (folder / "errors.csv").open() as file:
        return {(row["function"], row["draw"], row["method"]): float(row["error"]) for row in csv.DictReader(file)}


def test_a_quick_run_prints_the_errors_that_it_writes_beside_the_stored_ones(monkeypatch, tmp_path, capsys):
    run_script(monkeypatch, SCRIPT, tmp_path, "--quick", "--functions", "Forrester", "Park B")
    output, folder = capsys.readouterr().out, tmp_path / "results/classics_quick"
    errors = read_errors(folder)
    stored = json.loads((BENCHMARKS / "results/classics/peers.json").read_text())["draws"]
    for function in ("Forrester", "Park B"):
        (row,) = [line for line in output.split("\n\n")[2].splitlines() if line.startswith(f"  {function}  ")]
        for method in ("emukit", "SMT", "co-kriging", "auto"):
            assert f" {errors[function, '0', method]:.2g} (" in row
        for method in ("emukit", "SMT"):
            assert errors[function, "0", method] == pytest.approx(stored[function]["0"][method]["error"], rel=1e-3)
    assert "auto: of 2 functions, " in output
    assert (folder / "classics.png").stat().st_size > 5000
    assert {"command", "versions", "hardware", "date"} <= set(json.loads((folder / "config.json").read_text()))


STAND_IN = """#!{python}
import json, sys
import numpy as np
script, draw, answers = sys.argv[1:]
arrays = dict(np.load(draw))
assert sorted(arrays) == ["high_x", "high_y", "low_x", "low_y", "test_x"]
found = {{"versions": {{"emukit": "0"}}, "emukit": {{"failed": "LinAlgError: singular", "seconds": 1.0}}}}
found["SMT"] = {{"prediction": [float(arrays["low_y"].mean())] * len(arrays["test_x"]), "seconds": 2.0}}
json.dump(found, open(answers, "w"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script that the system runs by its first line")
def test_draws_without_stored_results_are_said_to_be_missing_or_measured_once(monkeypatch, tmp_path, capsys):
    from two_fidelity.problems import PROBLEMS

    flags = ("--quick", "--functions", "Forrester", "--methods", "emukit", "SMT", "source unchanged", "--first-draw", 7000)
    run_script(monkeypatch, SCRIPT, tmp_path, *flags)
    assert "Forrester: no results of emukit and SMT for draw 7000" in capsys.readouterr().out
    folder = tmp_path / "results/classics_quick"
    assert set(read_errors(folder)) == {("Forrester", "7000", "source unchanged")}

    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    run_script(monkeypatch, SCRIPT, tmp_path, *flags, "--peers", stand_in)
    drawn = PROBLEMS["Forrester"].draw(7000)
    found = read_errors(folder)
    assert math.isnan(found["Forrester", "7000", "emukit"])
    expected = drawn.error(np.full(1000, drawn.low_y.mean()))
    assert found["Forrester", "7000", "SMT"] == pytest.approx(expected, rel=1e-3)  # four digits are written
    stand_in.unlink()
    run_script(monkeypatch, SCRIPT, tmp_path, *flags, "--peers", stand_in)  # which is not needed again
    assert read_errors(folder)["Forrester", "7000", "SMT"] == found["Forrester", "7000", "SMT"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--functions", "Ackley"), "unknown function 'Ackley': choose from borehole, Park A"),
        (("--methods", "kriging"), "unknown method 'kriging': choose from emukit, SMT, co-kriging"),
        (("--methods", "SMT", "--first-draw", "7000"), "these draws have no results of emukit and SMT: give --peers"),
        (("--first-draw", "7000", "--peers", sys.executable), "--peers must be the Python of an environment with emukit"),
        (("--first-draw", "7000", "--peers", "no/python"), "--peers must be the Python of an environment with emukit"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(monkeypatch, tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit) as end:
        run_script(monkeypatch, SCRIPT, tmp_path, "--quick", *flags)
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert message in error
    assert error.count("\n") == 1
