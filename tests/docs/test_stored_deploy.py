"""The tables of the page on pruned networks in use: their numbers are those of the stored files."""

import json
import sys
from statistics import geometric_mean, median

import pytest
from paths import BENCHMARKS, ROOT


@pytest.fixture(scope="module")
def page():
    """Import docs/stored_deploy.py as the page does."""
    pytest.importorskip("IPython")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for folder in ("docs", "benchmarks"):
            monkeypatch.syspath_prepend(ROOT / folder)
        import stored_deploy

        yield stored_deploy
    for name in ("stored_deploy", "stored"):
        sys.modules.pop(name, None)


def read(part):
    return json.loads((BENCHMARKS / "results" / "deploy" / f"{part}.json").read_text())["results"]


def rows(table):
    """Return the rows of a table in Markdown by their first cell, as dictionaries by the heads of the columns."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}


def test_errors_are_paired_ratios_averaged_over_the_pairs(page):
    pairs, table = read("recipes"), rows(page.tables.errors_table(read("recipes")))
    assert len(table) == 6
    for recipe, form, sparsity in (("GMP", "structured", 0.9), ("LTH-T", "unstructured", 0.95)):
        ratios = [
            median(a / b for a, b in zip(own[f"{recipe} {sparsity} {form}"]["errors"], own["dense"]["errors"], strict=True))
            for own in pairs.values()
        ]
        assert table[recipe][f"{form}, {100 * sparsity:g} %"] == f"{geometric_mean(ratios):.2f}"


def test_sizes_and_times_are_those_of_the_files(page):
    for networks in read("recipes").values():
        table, savings = rows(page.tables.networks_table(networks)), rows(page.tables.savings_table(networks))
        assert len(table) == len(networks) == 37
        dense, own = networks["dense"], networks["RigL 0.8 structured"]
        assert savings["dense"]["non-zero weights"] == f"{dense['weights']:,}"
        assert savings["dense"]["batch 64: times as fast"] == f"{dense['speed']['64']['ratio'][0]:.1f}"
        row = table["RigL 80 %, structured"]
        assert row["C, kB"] == f"{own['c_bytes'] / 1000:,.0f}"
        assert row["batch 1: times as fast"].startswith(f"{own['speed']['1']['ratio'][0]:.1f} (")
        assert row["batch 1: engine"] == own["speed"]["1"]["engine"]


def test_the_kept_engine_is_the_fastest_of_those_measured(page):
    for one in read("large").values():
        for speed in one["speed"].values():
            assert speed["microseconds"][0] == min(engine["microseconds"][0] for engine in speed["engines"].values())
    table = rows(page.tables.engines_table(read("large"), 64))
    ratio = read("large")["GMP 0.95 structured"]["speed"]["64"]["engines"]["torch, compacted"]["ratio"][0]
    assert table["torch, compacted"]["GMP 95 %, structured"].startswith(f"{ratio:.2f} (")


def test_the_aims_are_judged_by_what_was_measured(page):
    table, large = rows(page.aims_table()), read("large")
    ratio = large["GMP 0.9 unstructured"]["speed"]["1"]["ratio"][0]
    row = table["GMP 90 %, unstructured: times as fast, batch 1"]
    assert (row["measured"], row["reached"]) == (f"{ratio:.2f}", "yes" if ratio >= 2.7 else "no")
    error = large["GMP 0.95 structured"]["errors"][0] / large["dense"]["errors"][0]
    row = table["GMP 95 %, structured: error / dense"]
    assert (row["measured"], row["reached"]) == (f"{error:.2f}", "yes" if error <= 1.1 else "no")
    assert len(table) == 10 + 5


def test_both_forms_are_compared_by_their_weights(page):
    ratios = [
        networks[f"{recipe} {s} structured"]["weights"] / networks[f"{recipe} {s} unstructured"]["weights"]
        for networks in read("recipes").values()
        for recipe in ("GMP", "WoodFisher", "AC/DC", "STR", "RigL", "LTH-T")
        for s in (0.8, 0.9, 0.95)
    ]
    assert len(ratios) == 54
    assert f"has {median(ratios):.2f} in the median" in page.counts_sentence()
    assert f"all are {min(ratios):.2f} to {max(ratios):.2f}." in page.counts_sentence()


def test_the_conclusions_hold_in_the_stored_results(page):
    pairs = read("recipes")
    means = {
        (recipe, form, sparsity): page.tables.mean_error_ratio(pairs, f"{recipe} {sparsity} {form}")
        for recipe in page.tables.recipes_of(pairs)
        for form, sparsity in page.tables.columns_of(pairs)
    }
    assert all(means[recipe, "structured", 0.9] < 1.125 for recipe in ("GMP", "WoodFisher", "RigL", "AC/DC"))
    for recipe in ("GMP", "WoodFisher", "AC/DC"):
        assert all(means[recipe, "unstructured", s] > means[recipe, "structured", s] for s in (0.9, 0.95))
    for networks in pairs.values():
        for name, one in networks.items():
            if name.endswith(" structured"):
                other = networks[name.replace("structured", "unstructured")]
                assert all(one["speed"][batch]["ratio"][0] > other["speed"][batch]["ratio"][0] for batch in ("1", "64"))
        assert networks["dense"]["speed"]["1"]["ratio"][0] > 1.7
    for ratios in page.tables.REFERENCES.values():
        for batch, by_sparsity in ratios.items():
            for sparsity, ratio in by_sparsity.items():
                assert read("large")[f"GMP {sparsity} unstructured"]["speed"][batch]["ratio"][0] > ratio
    for own in read("small").values():
        least = own["C export from Python, float"]["least"]
        assert own["ONNX Runtime"]["least"] > 5 * least
        assert own["torch, the module alone"]["least"] > 30 * least


def test_the_figure_is_an_image(page):
    assert page.figure().data.startswith(b"\x89PNG")
