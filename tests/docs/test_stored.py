"""The tables of the book: each has the rows that it should have, and one of its numbers is that of the stored file."""

import csv
import json
import re
import sys
from statistics import geometric_mean, median

import h5py
import numpy as np
import pytest
import xarray as xr
from paths import BENCHMARKS, ROOT

from simulators.pairs import PAIRS

RESULTS = BENCHMARKS / "results"


@pytest.fixture(scope="module")
def stored():
    """Import docs/stored.py as the pages do."""
    pytest.importorskip("IPython")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for folder in ("docs", "benchmarks"):
            monkeypatch.syspath_prepend(ROOT / folder)
        import stored

        yield stored
    sys.modules.pop("stored", None)


def rows(table):
    """Return the rows of a table in Markdown as dictionaries, by the heads of the columns."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def find(table, **cells):
    """Return the only row whose first cells have these values."""
    (row,) = [row for row in rows(table) if all(row[name] == value for name, value in cells.items())]
    return row


def read(name):
    return json.loads((RESULTS / name).read_text())


def read_csv(name):
    with (RESULTS / name).open() as file:
        return list(csv.DictReader(file))


def methods_of(folder):
    """Return the names of the methods of a stored curve, read without the library."""
    with h5py.File(RESULTS / folder / "curve.nc") as file:
        axis = file["method" if "method" in file else "approach"]  # the name in files of earlier versions, and the new one
        return [str(name, "utf-8") for name in axis[:]]


def errors(folder, method, size, variable="rel_l2"):
    """Return the errors of all seeds from a stored curve, read without the library."""
    with h5py.File(RESULTS / folder / "curve.nc") as file:
        return file[variable][methods_of(folder).index(method), list(file["size"][:]).index(size)]


@pytest.mark.parametrize("pair", ["heat_equation", "heat_equation_losses"])
def test_medians_and_quartiles_are_those_of_the_stored_curve(stored, pair):
    folder = f"heat_equation/{pair}"
    table, quartiles = stored.median_table(folder), stored.quartile_table(folder)
    assert [row["method"] for row in rows(table)] == [row["method"] for row in rows(quartiles)] == methods_of(folder)
    found = errors(folder, "PAC", 16)
    assert find(table, method="PAC")["n = 16"].strip("*") == f"{np.median(found):.3f}"
    assert find(table, method="PAC")["source error, n = 64"] == f"{np.median(errors(folder, 'PAC', 64, 'source_error')):.3f}"
    assert find(quartiles, method="PAC")["n = 16"] == " to ".join(f"{q:.3f}" for q in np.quantile(found, (0.25, 0.75)))
    lowest = [row["method"] for row in rows(table) if row["n = 8"].startswith("**")]
    medians = {row["method"]: np.median(errors(folder, row["method"], 8)) for row in rows(table)}
    assert lowest == [min(medians, key=medians.__getitem__)]


def test_the_table_of_budgets_states_what_each_method_received(stored, monkeypatch):
    folder = "heat_equation/heat_equation"
    early = stored.curve(folder).drop_vars(["source_steps", "allocated_error", "dense_error"], errors="ignore")
    monkeypatch.setattr(stored, "curve", lambda folder: early)
    table = stored.budget_table(folder)
    assert [row["method"] for row in rows(table)] == methods_of(folder)
    assert find(table, method="auto")["candidates"] == "1"
    assert find(table, method="PAC")["candidates"] == "8"
    budget = json.loads(early.attrs["budget"])
    for row in rows(table):
        assert row["steps on the target, at most"] == str(budget["steps"])
        assert row["steps on the source"] == row["source error, allocated"] == row["source error, pretrained"] == "-"

    steps = xr.zeros_like(early["rel_l2"], dtype=int)
    steps.loc["PAC", 64] = [1000, 0, 1000, 3000]
    allocated = xr.full_like(early["rel_l2"], np.nan)
    allocated.loc["PAC", 64] = [0.01, 0.02, 0.03, np.nan]
    dense = ("seed", [0.5, 0.1, 0.4, 0.2])
    monkeypatch.setattr(
        stored, "curve", lambda folder: early.assign(source_steps=steps, allocated_error=allocated, dense_error=dense)
    )
    table = stored.budget_table(folder)
    own, other = find(table, method="PAC"), find(table, method="L2-SP")
    assert (own["steps on the source"], other["steps on the source"]) == ("1,000", "0")
    assert (own["source error, allocated"], other["source error, allocated"]) == ("0.0200", "-")
    assert own["source error, pretrained"] == other["source error, pretrained"] == "0.3000"


def test_sentences_name_the_sizes_at_which_a_method_is_better(stored):
    folder = "heat_equation/heat_equation"
    said = stored.against_sentence(folder, "PAC", "fine-tune")
    lower = [n for n in (8, 16, 32, 64) if np.median(errors(folder, "PAC", n)) < np.median(errors(folder, "fine-tune", n))]
    higher = [n for n in (8, 16, 32, 64) if n not in lower]
    if not (lower and higher):
        assert said == f"PAC has a {'lower' if lower else 'higher'} median error than fine-tune at every n."
    else:
        for part, sizes in zip(said.split(", and a higher one at"), (lower, higher), strict=True):
            assert all(f"{n}" in part for n in sizes)
    medians = {name: np.median(errors(folder, name, 8)) for name in methods_of(folder)}
    # No other method of the sentence stands between the lowest method's name and its sizes.
    assert re.search(rf"{min(medians, key=medians.__getitem__)} at n = [\d, and]*\b8\b", stored.best_sentence(folder))


@pytest.mark.parametrize(
    ("folder", "size", "pair", "method"),
    [
        ("friedman", 30, "friedman_4", "PAC"),
        ("ablation", 16, "heat_equation", "random mask"),
        ("feature_selection", 50, "burgers", "ATL"),
    ],
)
def test_tables_of_pairs_have_the_medians_of_every_pair(stored, folder, size, pair, method):
    table = stored.pairs_table(folder, size)
    assert [row["method"] for row in rows(table)] == methods_of(f"{folder}/{pair}")
    assert list(rows(table)[0])[1:] == sorted(path.name for path in (RESULTS / folder).iterdir() if path.is_dir())
    headline = "rmse_std" if pair.startswith("friedman") else "rel_l2"
    found = np.median(errors(f"{folder}/{pair}", method, size, headline))
    assert find(table, method=method)[pair].strip("*") == f"{found:.3f}"


def test_the_tables_of_the_leaderboard_are_its_errors(stored):
    cells = read_csv("leaderboard.csv")
    ranks, sizes, kinds = stored.rank_table(), stored.ratio_table("size"), stored.ratio_table("kind")
    assert len(rows(ranks)) == len(rows(sizes)) == len(rows(kinds)) == len({cell["method"] for cell in cells})
    known = {(c["method"], c["pair"], c["size"], c["seed"]): float(c["value"]) for c in cells}
    own = {key[1:]: value for key, value in known.items() if key[0] == "PAC"}
    ratios = {key: value / known["fine-tune", *key] for key, value in own.items()}
    assert find(ranks, method="PAC")["error / fine-tune"] == f"{geometric_mean(ratios.values()):.2f}"
    of_64 = geometric_mean(value for key, value in ratios.items() if key[1] == "64")
    assert find(sizes, method="PAC")["n = 64"] == f"{of_64:.2f}"
    noisy = geometric_mean(value for key, value in ratios.items() if key[0] == "oscillator_noise")
    assert find(kinds, method="PAC")["noise"] == f"{noisy:.2f}"
    assert "\N{NO-BREAK SPACE}" not in stored.unbroken("| 1 2 | [a](b c) |")
    assert stored.unbroken("| 6 3 [4, 5] |") == "| 6 3\N{NO-BREAK SPACE}[4,\N{NO-BREAK SPACE}5] |"
    assert [row["method"] for row in rows(stored.rank_rows(["PAC", "L2-SP"]))] == ["L2-SP", "PAC"]
    assert (
        stored.rank_remarks().count("\n")
        == sum(bool(e["reason"]) for e in read("leaderboard/ranking.json")["methods"].values()) - 1
    )


def test_the_table_of_a_roll_out_has_its_medians(stored):
    found = read("oscillator/rollout.json")["oscillator_duffing"]
    for measure in ("trajectory", "energy"):
        table = stored.rollout_table("oscillator_duffing", measure)
        assert len(rows(table)) == len(found)
        assert find(table, method="L2-SP")["n = 128"] == f"{median(found['L2-SP'][measure][-1]):.3g}"
    budget, source = stored.oscillator_budget_table("oscillator_duffing"), found["PAC"]
    assert len(rows(budget)) == len(found)
    assert find(budget, method="PAC") == {
        "method": "PAC",
        "steps on the source": f"{median(source['source_steps'][-1]):,.0f}",
        "allocated": f"{median(value for row in source['allocated'] for value in row):.3g}",
        "dense": f"{median(source['dense'][0]):.3g}",
    }
    assert find(budget, method="L2-SP")["allocated"] == ""


def test_the_table_of_grids_has_the_mean_over_pairs_and_counts_the_medians_inside(stored):
    table = stored.grids_table("friedman")
    pairs = [json.loads(path.read_text()) for path in sorted((RESULTS / "friedman").glob("*/bounds.json"))]
    entries = [pair["PAC"]["sparsity"] for pair in pairs]
    row = find(table, method="PAC", **{"hyper-parameter": "sparsity"})
    assert row["grid"].split() == [f"{value:g}" for value in entries[0]["values"]]
    for head, end in (("least chosen", "least"), ("largest chosen", "largest")):
        assert row[head] == f"{np.mean([entry[end] for entry in entries]):.0%}"
    assert row["median inside"] == f"{sum(entry['inside'] for entry in entries)} of {len(pairs)}"
    assert find(table, method="L2-SP")["least chosen"] == "-"  # no pull at all
    # A benchmark with one file for all pairs, and one with several curves for each pair.
    assert set(stored.bounds("oscillator")) == set(read("oscillator/rollout.json"))
    assert len(stored.bounds("pac_study")) == len(list((RESULTS / "pac_study").glob("*/*/curve.nc")))


def test_the_study_of_pac_is_read_from_its_curves(stored):
    found = stored.study()
    known = [{**row, "error": float(row["error"])} for row in read_csv("pac_study/pac_study.csv")]
    assert len(found) == len(known)
    for row, written in zip(found, known, strict=True):
        assert (row.pair, str(row.width), row.sparsity, row.biases) == tuple(
            written[name] for name in ("pair", "width", "sparsity", "biases")
        )
        assert row.error == pytest.approx(written["error"], rel=1e-4)  # five digits are written


def test_regret_is_the_ratio_of_the_stored_errors(stored):
    cells = [cell for cell in read_csv("choice.csv") if cell["half"] == "reported" and int(cell["size"]) >= 8]
    ratios = [float(cell["error"]) / float(cell["best_error"]) for cell in cells]
    assert len(rows(stored.regret_table())) == 4
    row = find(stored.regret_table(), half="reported", n="n >= 8")
    assert (row["cells"], row["geometric mean"], row["median"]) == (
        str(len(cells)),
        f"{geometric_mean(ratios):.3f}",
        f"{median(ratios):.3f}",
    )
    against = [float(cell["error"]) < float(cell["fine_tune"]) for cell in cells if cell["fine_tune"]]
    assert row["better than fine-tune, %"] == f"{100 * np.mean(against):.0f}"
    own = [ratio for cell, ratio in zip(cells, ratios, strict=True) if (cell["pair"], cell["size"]) == ("borehole", "20")]
    assert find(stored.regret_of_pairs_table("reported"), pair="borehole")["n = 20"] == f"{geometric_mean(own):.2f}"
    halves = [len({cell["pair"] for cell in read_csv("choice.csv") if cell["half"] == half}) for half in ("tuned", "reported")]
    assert [len(rows(stored.regret_of_pairs_table(half))) for half in ("tuned", "reported")] == halves


def test_the_table_of_fixed_methods_has_the_fractions_of_better_cells(stored):
    table = stored.fixed_methods_table()
    assert len(rows(table)) == 16
    cells = [cell for cell in read_csv("choice.csv") if cell["half"] == "tuned" and cell["scratch"]]
    better = np.mean([float(cell["error"]) < float(cell["scratch"]) for cell in cells])
    assert find(table, method="scratch")["tuned, %"] == f"{100 * better:.0f}"


def test_the_table_of_coverage_has_the_stored_means(stored):
    cells = read_csv("choice/coverage.csv")
    own = [cell for cell in cells if (cell["half"], cell["size"], cell["level"]) == ("reported", "20", "0.9")]
    assert len(rows(stored.coverage_table())) == 8
    covered, width = (np.array([float(cell[name]) for cell in own]) for name in ("covered", "width"))
    row = find(stored.coverage_table(), half="reported", **{"level, %": "90"})
    assert row["n = 20"] == f"{100 * covered.mean():.1f} ({np.median(width):.2f})"
    assert row["n = 3"] == ""


def test_prices_are_medians_of_the_stored_seconds(stored):
    prices = read("choice/prices.json")
    auto = [median(found["seconds"]["auto"]) for found in prices["pairs"].values()]
    assert len(rows(stored.price_table())) == 5
    assert rows(stored.price_table())[0]["seconds"] == f"{median(auto):.3f}"
    assert len(rows(stored.field_price_table())) == 2 * len(prices["fields"])
    slowest = max(prices["fields"]["4096"]["seconds"]["fine-tune"])
    assert find(stored.field_price_table(), outputs="4096", method="fine-tune")["slowest [s]"] == f"{slowest:.1f}"


def test_the_tables_of_acquisition_have_the_ratios_of_the_stored_errors(stored):
    cells = [cell for cell in read_csv("acquisition/acquisition.csv") if cell["pair"] == "hartmann"]
    means = [geometric_mean(float(c["rmse_std"]) for c in cells if c["samples"] == side) for side in ("chosen", "random")]
    assert [len(rows(stored.acquisition_table(half))) for half in ("tuned on", "held out")] == [11, 11]
    row = find(stored.acquisition_table("held out"), pair="hartmann")
    assert (row["error"], row["seeds"]) == (f"{means[0] / means[1]:.2f}", "5")
    both = rows(stored.acquisition_table("tuned on")) + rows(stored.acquisition_table("held out"))
    assert f"lower on {sum(float(row['error']) < 0.9 for row in both)} pairs" in stored.acquisition_sentence()


@pytest.mark.parametrize(("peer", "column", "count"), [("scipy", "system", 4), ("exponax", "equation", 6)])
def test_the_tables_of_simulation_speed_have_the_stored_ratios(stored, peer, column, count):
    table = stored.peer_table(peer, "time")
    assert len(rows(table)) == len(rows(stored.peer_table(peer, "error"))) == count
    first = next(record for record in read("simulation_speed/cpu.json")[peer] if record["threads"] == 1)
    digits = 1 if peer == "scipy" else 2
    assert rows(table)[0]["ratio"].split()[0] == f"{median(first['ratios']):.{digits}f}"
    assert rows(table)[0][column].startswith(first[column])


def test_the_tables_of_trainings_have_the_stored_seconds(stored):
    seconds = read("throughput/cpu.json")["seconds"]["2 threads"]
    ratios = [loop / stack for loop, stack in zip(seconds["loop, fused Adam"], seconds["stack"], strict=True)]
    assert len(rows(stored.throughput_table())) == 2
    assert rows(stored.throughput_table())[1]["loop, fused Adam"].split()[0] == f"{median(ratios):.1f}"
    busy = read("busy_cores/cpu.json")["rows"]
    assert len(rows(stored.busy_table())) == len(busy)
    assert rows(stored.busy_table())[-1]["wall [s]"] == f"{busy[-1]['wall']:.2f}"


def test_every_pair_stands_in_the_tables_of_the_simulators_once(stored):
    kinds = rows(stored.kinds_table())
    assert len(kinds) == len({pair.shift for pair in PAIRS.values()})
    assert sorted(name.strip("` ") for row in kinds for name in row["pairs"].split(",")) == sorted(PAIRS)
    assert sum(int(row["pairs"]) for row in rows(stored.counts_table())) == len(PAIRS)
    sections = [stored.pair_sections(physics) for physics in stored.PHYSICS]
    for name in PAIRS:
        assert sum(f"### {name}\n" in text for text in sections) == 1
        assert (ROOT / "simulators" / "pictures" / f"{name}.png").is_file()
    graded = [
        row["pair"].strip("`") for physics in stored.PHYSICS for row in rows(stored.difficulty_table(stored.pairs_of(physics)))
    ]
    assert sorted(graded) == sorted(PAIRS)
    measured = {
        name for physics in stored.PHYSICS for row in rows(stored.equation_table(physics)) for name in row["pairs"].split(", ")
    }
    assert measured == set(PAIRS)


def test_difficulties_and_orders_are_those_of_the_stored_files(stored):
    graded = read("difficulty/difficulty.json")["pairs"]["burgers"]["errors"]
    row = find(stored.difficulty_table([PAIRS["burgers"]]), pair="`burgers`")
    assert [row[name] for name in ("source unchanged", "scratch", "fine-tune")] == [
        f"{graded[name][2]:.3f}" for name in ("source unchanged", "scratch", "fine-tune")
    ]
    trained = rows(stored.training_table([PAIRS["burgers"]]))
    assert [row["n = 32"] for row in trained] == [f"{graded[name][3]:.2f}" for name in ("scratch", "fine-tune")]
    sides = [side for side in read("verification/verification.json")["sides"] if side["pair"].startswith("darcy")]
    assert len(rows(stored.equation_table("porous"))) == len({side["equation"] for side in sides})
    orders = [side["order_measured"] for side in sides if side["order_measured"] is not None]
    assert rows(stored.property_table("porous"))[0]["measured"] == f"{min(orders):.2f} to {max(orders):.2f}"
    assert stored.property_table("tables") == ""


def test_provenance_states_what_the_file_states(stored):
    said = stored.provenance("heat_equation/heat_equation/config.json")
    config = read("heat_equation/heat_equation/config.json")
    assert f"Command: `{config['command']}`." in said
    for part in (config["date"], "MLP(hidden=(128, 128)", "4 seeds", "4,000 steps of pretraining", "2 cores", "2 threads"):
        assert part in said
    assert "seed 0; 200 source samples" in stored.provenance("verification/verification.json")
    assert "; yesterday.*" in stored.provenance("busy_cores/cpu.json", date="yesterday")
    listed = {row["result"].strip("`") for row in rows(stored.commands_table())}
    assert {path.relative_to(RESULTS).parts[0] for path in RESULTS.rglob("config.json")} <= listed


def test_figures_become_images_and_are_closed(stored):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure, axes = plt.subplots()
    for drawn in (figure, axes):
        assert stored.picture(drawn).data.startswith(b"\x89PNG")
    assert not plt.fignum_exists(figure.number)


def test_the_readme_shows_the_table_of_the_stored_leaderboard(stored):
    table = stored.which_table()
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")
    # Only methods with a result in every cell of the pairs are compared: co-kriging, which applies to one pair of two, is not.
    assert find(table, **{"best method": "linear correction 0.42"})["PAC"] == "1.10"
    better = [float(row["L2-SP"]) < float(row["PAC"]) for row in rows(table)]
    assert (sum(better), len(better)) == (5, 8)  # "five rows of eight"


def test_the_readme_quotes_how_often_auto_has_the_smaller_error(stored):
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    found = {row["method"]: row["reported, %"] for row in rows(stored.fixed_methods_table())}
    assert f"than that of fine-tuning in {found['fine-tune']} % of the runs" in text
    assert f"(L2-SP) in {found['L2-SP']} %, of PAC-Net (see below) in {found['PAC']} %" in text
    assert f'without the source ("scratch") in {found["scratch"]} %' in text


def test_wins_are_counted_in_the_reported_cells(stored):
    with (RESULTS / "choice.csv").open(newline="") as file:
        cells = [row for row in csv.DictReader(file) if row["half"] == "reported" and row["size"] == "8"]
    won = sum(float(row["error"]) < float(row["scratch"]) for row in cells)
    assert find(stored.wins_table(), **{"target samples": "8"})["beats scratch"] == f"{won / len(cells):.0%}"
