"""The tables of the pages on the pairs of other libraries: their numbers are those of the stored curves."""

import sys

import numpy as np
import pytest
from paths import BENCHMARKS, ROOT

import pac_surrogate as pac

RESULTS = BENCHMARKS / "results" / "real_pairs"


@pytest.fixture(scope="module")
def tables():
    """Import docs/stored_real.py as the pages do."""
    pytest.importorskip("IPython")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for folder in ("docs", "benchmarks"):
            monkeypatch.syspath_prepend(ROOT / folder)
        import stored_real

        yield stored_real
    for name in ("stored_real", "stored"):
        sys.modules.pop(name, None)


def cells(table):
    """Return the rows of a table in Markdown, the head first."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [lines[0], *lines[2:]]


def test_errors_are_the_medians_of_the_curves_and_the_least_is_bold(tables):
    head, *rows = cells(tables.errors_table())
    names = sorted(path.parent.name for path in RESULTS.glob("*/curve.nc"))
    assert len(names) >= 9
    assert sorted({row[0].strip("`") for row in rows}) == names
    for name, size, *errors in rows:
        curve = pac.open_curve(RESULTS / name.strip("`"))
        median = curve[curve.attrs["headline"]].sel(size=int(size)).median("seed")
        expected = [float(median.sel(approach=method)) for method in head[2:]]
        for cell, error in zip(errors, expected, strict=True):
            assert cell.strip("*") == ("n/a" if np.isnan(error) else f"{error:.3g}")
            assert cell.startswith("**") == (error == np.nanmin(expected))


def test_every_row_is_won_once(tables):
    _, *rows = cells(tables.errors_table())
    sentence = tables.wins_sentence()
    assert f"Of the {len(rows)} rows" in sentence
    numbers = [int(word.strip(",.")) for word in sentence.split() if word.strip(",.").isdigit()]
    assert numbers[0] == sum(numbers[1:]) == len(rows)


def test_means_are_geometric(tables):
    head, *rows = cells(tables.means_table())
    (auto,) = [row for row in rows if row[0] == "auto"]
    for size, cell in zip(head[1:], auto[1:], strict=True):
        errors = [
            float(curve[curve.attrs["headline"]].sel(approach="auto", size=int(size.split()[-1])).median("seed"))
            for curve in (pac.open_curve(path.parent) for path in RESULTS.glob("*/curve.nc"))
        ]
        assert cell.split(",")[0] == f"{np.exp(np.mean(np.log(errors))):.3f}"
