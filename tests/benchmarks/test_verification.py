"""The verification of the simulators: its numbers are those in the files, and a difference from a declared one is a fault."""

import json
import math
import runpy
import shutil

import h5py
import numpy as np
import pytest
from paths import BENCHMARKS
from PIL import Image
from running import exit_status, run_script

from pac_surrogate.files import read_description
from simulators.pairs import PAIRS

SCRIPT = BENCHMARKS / "verification.py"
CHOSEN = ("heat_equation", "burgers", "forrester")
FLAGS = ("--quick", "--pairs", *CHOSEN, "--out", "out/verification.json")


def run(folder, *flags, monkeypatch):
    """Run the script as a user does, but in this process; return its exit status."""
    return exit_status(run_script, monkeypatch, SCRIPT, folder, *flags)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with the results of three pairs, which are made once."""
    folder = tmp_path_factory.mktemp("verification")
    with pytest.MonkeyPatch.context() as monkeypatch:
        code = run(folder, *FLAGS, monkeypatch=monkeypatch)
    assert code == 0
    return folder


@pytest.fixture
def again(made, tmp_path):
    """Return a copy of the folder that a test may change."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def data(folder, pair, side):
    return folder / "data/verification/quick" / pair / f"{side}.h5"


def rows(table):
    """Return the cells of a table in Markdown below its head."""
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_nothing_is_written_but_the_numbers_the_pictures_and_the_data(made):
    written = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert written == {
        "out/verification.json",
        *(f"out/pictures/{pair}.png" for pair in CHOSEN),
        *(f"data/verification/quick/{pair}/{side}.h5" for pair in CHOSEN for side in ("source", "target")),
    }
    for pair in CHOSEN:
        with Image.open(made / f"out/pictures/{pair}.png") as picture:
            assert picture.width == 1000
        assert (made / f"out/pictures/{pair}.png").stat().st_size < 150_000


def test_the_numbers_of_the_tables_are_those_in_the_files(made, script):
    records = json.loads((made / "out/verification.json").read_text())["sides"]
    equations, properties = (rows(script[table](records)) for table in ("equation_table", "property_table"))
    seen = {}
    for pair in CHOSEN:
        for role in ("source", "target"):
            ensemble = getattr(PAIRS[pair], role).ensemble
            attributes = read_description(data(made, pair, role)).attributes
            seen.setdefault((ensemble.equation, ensemble.scheme), []).append((ensemble, attributes))
    assert [(cells[1].strip("`"), cells[2]) for cells in equations] == list(seen)
    assert [cells[3] for cells in equations] == [*("heat_equation", "burgers", "burgers", "forrester", "forrester")]
    assert [cells[0] for cells in properties] == ["1", "2", "3"]  # a closed form has neither an order nor an invariant
    for cells, sides in zip(properties, seen.values(), strict=False):
        _, order, measured, invariant, residual, cost = cells
        assert order == ("n/a" if math.isnan(sides[0][0].order) else f"{sides[0][0].order:g}")
        assert invariant == (sides[0][0].invariant or "none")
        for cell, attribute, written, factor in (
            (measured, "solver_order_measured", ".2f", 1),
            (residual, "conservation_residual", ".0e", 1),
            (cost, "cost_seconds_per_sample", ".2f", 1000),
        ):
            values = [f"{factor * attributes[attribute]:{written}}" for _, attributes in sides]
            ends = sorted((value for value in values if value != "nan"), key=float)
            assert cell == (" to ".join(dict.fromkeys((ends[0], ends[-1]))) if ends else "n/a")


def test_the_json_has_every_number_and_null_where_there_is_none(made):
    content = json.loads((made / "out/verification.json").read_text())
    assert [(side["pair"], side["side"]) for side in content["sides"]] == [(p, s) for p in CHOSEN for s in ("source", "target")]
    for side in content["sides"]:
        attributes = read_description(data(made, side["pair"], side["side"])).attributes
        for name, attribute in (
            ("order_measured", "solver_order_measured"),
            ("residual", "conservation_residual"),
            ("seconds", "cost_seconds_per_sample"),
        ):
            value = attributes[attribute]
            assert side[name] == (None if np.isnan(value) else value)
    assert content["faults"] == []
    assert {"date", "seed", "samples", "hardware", "command", "torch"} <= set(content)


def test_the_section_of_a_pair_has_its_equations_and_what_differs_between_its_sides(script):
    heat, burgers, forrester = (script["section"](PAIRS[pair]) for pair in CHOSEN)
    assert heat.startswith("- both: `capacity u_t")
    assert heat.count("->") == 1
    assert "- conductivity: (5, 15) -> (15, 45)" in heat
    assert burgers.count("->") == 1
    assert "- steepening: 0 -> 1" in burgers
    assert forrester.startswith("- source: `Value")
    assert "- target: `Value" in forrester
    assert "- fidelity: low -> high" in forrester


def test_the_same_data_give_the_same_results_and_the_tables_are_printed(again, script, monkeypatch, capsys):
    before = {path: path.read_bytes() for path in (again / "out").rglob("*.*")}
    capsys.readouterr()
    assert run(again, *FLAGS, monkeypatch=monkeypatch) == 0
    assert {path: path.read_bytes() for path in (again / "out").rglob("*.*")} == before
    records = json.loads((again / "out/verification.json").read_text())["sides"]
    assert capsys.readouterr().out == f"{script['equation_table'](records)}\n\n{script['property_table'](records)}\n"


def test_an_order_other_than_declared_and_a_broken_file_are_listed_and_exit_1(again, monkeypatch, capsys):
    with h5py.File(data(again, "heat_equation", "target"), "r+") as file:
        file.attrs["solver_order_measured"] = 1.84
    with h5py.File(data(again, "heat_equation", "source"), "r+") as file:
        file.attrs["solver_order_measured"] = 2.14
    with h5py.File(data(again, "burgers", "source"), "r+") as file:
        file["velocity"][0, 3] = np.nan
    with h5py.File(data(again, "burgers", "target"), "r+") as file:
        file.attrs["solver_order_measured"] = np.nan
    assert run(again, *FLAGS, monkeypatch=monkeypatch) == 1
    listed = capsys.readouterr().err.split("3 faults\n")[1].splitlines()
    assert listed[0] == "heat_equation, target: order 2 is declared, 1.84 was measured"
    assert listed[1].startswith("burgers, source: ")
    assert "velocity must be finite, it is nan at sample 0, x 3" in listed[1]
    assert listed[2] == "burgers, target: order 4 is declared, nan was measured"
    assert not (again / "out/pictures/burgers.png").exists()
    assert json.loads((again / "out/verification.json").read_text())["faults"] == listed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--pairs", "nonsense"], "there is no pair 'nonsense'"),
        (["--nonsense"], "No such option: --nonsense"),
        (["--samples", "many"], "Invalid value for '--samples': "),
        (["--pairs", "forrester", "--samples", "2"], "needs 3 samples or more"),
        (["--pairs", "forrester", "--device", "tpu"], "device must be cpu or cuda"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(flags, message, tmp_path, monkeypatch, capsys):
    assert run(tmp_path, *flags, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_help_shows_the_commands(tmp_path, monkeypatch, capsys):
    assert run(tmp_path, "--help", monkeypatch=monkeypatch) == 0
    assert "python benchmarks/verification.py --quick" in capsys.readouterr().out


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(SCRIPT.parent)
        return runpy.run_path(str(SCRIPT))


def test_differences_are_found_at_any_depth_and_nothing_else_is_listed(script):
    before = {"same": 1, "law": {"growth": 0.0, "rate": [1.0, 2.0]}, "noise": 0.2}
    after = {"same": 1, "law": {"growth": 1.0, "rate": [1.0, 2.0]}, "cells": 64}
    assert list(script["differences"](before, after)) == [
        ("law.growth", 0.0, 1.0),
        ("noise", 0.2, None),
        ("cells", None, 64),
    ]
    written = {0.5: "0.5", (15.0, 45.0): "(15, 45)", None: "none", "low": "low", 64: "64"}
    assert {value: script["write_value"](value) for value in written} == written
    assert script["write_value"]({"bias": 0.0}) == "bias 0"


def test_sides_with_equal_declarations_share_a_row(script):
    declared = {"equation": "u = 0 | 1", "scheme": "exact", "order": 2.0, "invariant": ""}
    first = {"pair": "a", "order_measured": 2.04, "residual": None, "seconds": 0.001, **declared}
    second = {"pair": "b", "order_measured": 1.96, "residual": None, "seconds": 0.002, **declared}
    other = {**second, "pair": "c", "order": None, "order_measured": None}
    equations, properties = (
        script[table]([first, second, other]).splitlines()[2:] for table in ("equation_table", "property_table")
    )
    assert equations == ["| 1 | `u = 0 \\| 1` | exact | a, b |", "| 2 | `u = 0 \\| 1` | exact | c |"]
    assert properties == ["| 1 | 2 | 1.96 to 2.04 | none | n/a | 1.00 to 2.00 |"]
