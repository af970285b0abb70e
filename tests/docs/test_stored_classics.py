"""The tables of the page on the classic functions: their numbers are those of the stored files."""

import csv
import json
import sys
from statistics import median

import pytest
from paths import BENCHMARKS, ROOT

RESULTS = BENCHMARKS / "results" / "classics"


@pytest.fixture(scope="module")
def tables():
    """Import docs/stored_classics.py as the page does."""
    pytest.importorskip("IPython")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for folder in ("docs", "benchmarks"):
            monkeypatch.syspath_prepend(ROOT / folder)
        import stored_classics

        yield stored_classics
    for name in ("stored_classics", "stored"):
        sys.modules.pop(name, None)


def rows(table, cells=1):
    """Return the rows of a table in Markdown by their first cells, as dictionaries by the heads of the columns."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {" ".join(line[:cells]): dict(zip(lines[0], line, strict=True)) for line in lines[2:]}


@pytest.fixture(scope="module")
def errors():
    """Return the median errors by function and method, read without the library."""
    found = {}
    with (RESULTS / "errors.csv").open() as file:
        for row in csv.DictReader(file):
            found.setdefault((row["function"], row["method"]), []).append(float(row["error"]))
    return {key: median(values) for key, values in found.items()}


def test_errors_and_ratios_are_medians_of_the_stored_fits(tables, errors):
    table = rows(tables.error_table())
    assert list(table) == list(rows(tables.functions_table())) == list(rows(tables.seconds_table()))
    for function, row in table.items():
        for method in ("emukit", "SMT", "co-kriging", "auto"):
            assert row[method].strip("*") == f"{errors[function, method]:.2g}"
        better = min(errors[function, "emukit"], errors[function, "SMT"])
        assert row["auto / better"] == f"{errors[function, 'auto'] / better:.2f}"
        least = min(error for (own, _), error in errors.items() if own == function)
        assert all(f"**{least:.2g}**" == cell for cell in row.values() if cell.startswith("**"))


def test_the_counts_are_those_of_the_ratios(tables, errors):
    functions = list(dict.fromkeys(function for function, _ in errors))
    for method in ("co-kriging", "auto"):
        ratios = [errors[name, method] / min(errors[name, "emukit"], errors[name, "SMT"]) for name in functions]
        row = rows(tables.counts_table(), cells=2)[f"{method} all eight"]
        assert (row["functions"], row["lower"]) == (str(len(functions)), str(sum(ratio < 1 for ratio in ratios)))
        assert row["at most 1.2 times"] == str(sum(ratio <= 1.2 for ratio in ratios))
    assert len(rows(tables.counts_table(), cells=2)) == 6  # and two groups of the draws


def test_the_versions_are_those_of_the_environment_that_measured(tables):
    versions = json.loads((RESULTS / "peers.json").read_text())["config"]["versions"]
    assert f"emukit {versions['emukit']}, " in tables.versions_sentence()
