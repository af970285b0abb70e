"""The report on grids of candidates: choices at the ends, medians, natural bounds, and methods within methods."""

import numpy as np
import pytest
from paths import BENCHMARKS

import pac_surrogate as pac
from pac_surrogate.curves.results import empty_curve

GRID = pac.grid(pac.L2SP, learning_rate=3e-3, strength=(0.0, 0.01, 0.1, 1.0))


@pytest.fixture
def grids(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from shared import grids

    return grids


def curve_of(**chosen):
    """Return a curve in which the methods have chosen these candidates at n = 4, 8 and 16, one for each seed."""
    curve = empty_curve(list(chosen), [4, 8, 16], list(range(len(next(iter(chosen.values()))[0]))))
    for name, rows in chosen.items():
        for place, row in enumerate(rows):
            curve["chosen"].loc[name][place] = np.array([repr(one) for one in row], dtype=object)
    return curve


def test_fractions_medians_and_inside_are_those_of_the_choices_from_eight_samples(grids):
    none, weak, middle, strong = GRID
    curve = curve_of(a=[[strong] * 5, [none, none, none, weak, strong], [weak, middle, middle, strong, strong]])
    (own,) = grids.bounds_of(curve, {"a": GRID})["a"].values()
    assert own == {
        "values": [0.0, 0.01, 0.1, 1.0],
        "least": None,  # no pull at all is a natural bound
        "largest": pytest.approx(3 / 10),
        "median": {"8": [0.0, 0.0], "16": [0.1, 0.1]},
        "inside": True,
    }
    curve = curve_of(a=[[weak] * 5, [middle] * 5, [weak, weak, strong, strong, strong]])
    assert not grids.bounds_of(curve, {"a": GRID})["a"]["strength"]["inside"]


@pytest.mark.parametrize(("seeds", "inside"), [([0.8, 0.8, 0.5, 0.5], False), ([0.5, 0.8, 0.8, 0.9], True)])
def test_the_sparsity_has_no_natural_bound_and_both_middle_choices_count(grids, seeds, inside):
    candidates = pac.grid(pac.PackNet, sparsity=(0.8, 0.5, 0.9))
    by_value = {one.sparsity: one for one in candidates}
    row = [by_value[sparsity] for sparsity in seeds]
    own = grids.bounds_of(curve_of(a=[row, row, row]), {"a": candidates})["a"]["sparsity"]
    assert own["values"] == [0.5, 0.8, 0.9]
    assert (own["least"], own["largest"]) == (seeds.count(0.5) / 4, seeds.count(0.9) / 4)
    assert own["median"]["16"] == sorted(seeds)[1:3]
    assert own["inside"] == inside


def test_only_what_varies_is_listed_and_what_is_inside_a_method_too(grids, monkeypatch):
    from shared.controls import TrainedLonger

    methods = {
        "single": pac.PAC(),
        "texts": pac.grid(pac.PAC, scope=("layer", "global"), biases=("free", "frozen")),
        "recipe": [pac.SparseTransfer(pac.GMP(sparsity=s), learning_rate=r) for s in (0.8, 0.9) for r in (1e-3, 3e-3)],
        "control": [TrainedLonger(method) for method in GRID],
        "twice": [TrainedLonger(pac.SparseTransfer(pac.GMP(sparsity=s))) for s in (0.5, 0.8, 0.9)],
    }
    first = {name: given[0] if name != "single" else given for name, given in methods.items()}
    found = grids.bounds_of(curve_of(**{name: [[one] * 2] * 3 for name, one in first.items()}), methods)
    listed = {name: list(own) for name, own in found.items()}
    assert listed == {
        "recipe": ["recipe.sparsity", "learning_rate"],
        "control": ["method.strength"],
        "twice": ["method.recipe.sparsity"],
    }
    assert found["control"]["method.strength"]["least"] is None
    assert found["control"]["method.strength"]["inside"]
    assert found["recipe"]["learning_rate"]["least"] == 1.0


def test_cells_without_a_result_do_not_count(grids):
    _, weak, middle, strong = GRID
    curve = curve_of(a=[[weak] * 3, [strong, middle, middle], [weak] * 3])
    curve["chosen"].loc["a", 8, 0] = "n/a: for a reason"
    curve["chosen"].loc["a", 16] = ""
    own = grids.bounds_of(curve, {"a": GRID})["a"]["strength"]
    assert (own["largest"], own["median"], own["inside"]) == (0.0, {"8": [0.1, 0.1]}, True)
    empty = grids.bounds_of(curve.sel(size=[4]), {"a": GRID})
    assert empty["a"]["strength"] == {
        "values": [0.0, 0.01, 0.1, 1.0],
        "least": None,
        "largest": None,
        "median": {},
        "inside": None,
    }
    assert " ".join(grids.bounds_table(empty).splitlines()[1].split()) == "a strength 0 0.01 0.1 1 - - -"


def test_the_table_shows_the_numbers(grids):
    none, weak, middle, strong = GRID
    curve = curve_of(a=[[weak] * 4, [none, weak, middle, strong], [middle] + [strong] * 3])
    head, row = grids.bounds_table(grids.bounds_of(curve, {"a": GRID})).splitlines()
    assert " ".join(head.split()) == "method hyper-parameter values least largest n = 8 n = 16 inside"
    assert " ".join(row.split()) == "a strength 0 0.01 0.1 1 - 50% 0.01 to 0.1 1 no"
