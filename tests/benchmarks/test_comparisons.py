"""The comparisons of methods: every script with --quick, and the statistics of the leaderboard."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from paths import BENCHMARKS
from running import run_script
from scipy.stats import rankdata
from shortened import shorten_searches

import pac_surrogate as pac
from pac_surrogate.curves.errors import METRICS
from pac_surrogate.curves.results import empty_curve
from simulators.tables.friedman import Friedman


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Run a script in this process, in a folder of its own; starting another process takes longer than the run.

    Searches for hyper-parameters are as short as trainings with --quick: the tests ask that tables, files and figures agree.
    """
    shorten_searches(monkeypatch)

    def execute(name, *arguments):
        run_script(monkeypatch, BENCHMARKS / f"{name}.py", tmp_path, "--quick", *arguments)
        return tmp_path / f"results/{name}_quick"

    return execute


@pytest.fixture
def ranking(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from shared import ranking

    return ranking


def median_of(folder, method, size):
    return float(pac.summarise(pac.open_curve(folder))["median"].loc[method].sel(size=size))


@pytest.mark.parametrize(
    ("name", "pair", "methods", "figure"),
    [
        ("friedman", "friedman_0", ("fine-tune", "PAC"), "dissimilarity.png"),
        ("pde_suite", "burgers", ("fine-tune", "PAC"), "burgers/curve.png"),
        ("ablation", "friedman_4", ("PAC", "random mask", "sparsity 0.3"), "friedman_4/curve.png"),
        ("forgetting", "friedman_4", ("fine-tune", "PAC", "EWC"), "friedman_4/forgetting.png"),
        ("feature_selection", "friedman_4", ("last-layer ridge", "ATL"), "friedman_4/curve.png"),
    ],
)
def test_a_comparison_prints_what_it_saves_and_draws_it(script, capsys, name, pair, methods, figure):
    folder = script(name, "--pairs", pair, "--methods", *methods)
    output = capsys.readouterr().out
    table, *_ = output.split("choices from the grids")
    for method in methods:
        rows = [line for line in table.splitlines() if line.startswith(f"  {method}  ")]
        assert len(rows) == 1
        assert f"{median_of(folder / pair, method, 8):.4f}" in rows[0]
    assert (folder / figure).stat().st_size > 5000
    config = json.loads((folder / pair / "config.json").read_text())
    assert {"command", "setting", "candidates", "versions", "hardware", "date"} <= set(config)
    bounds = json.loads((folder / pair / "bounds.json").read_text())
    assert bool(bounds) == (name != "ablation")  # in which nothing is tuned
    for method, numbers in bounds.items():
        assert all(f"{method} {number} " in " ".join(output.split()) for number in numbers)
    if name == "feature_selection":
        assert "n = 8: " in output.split("layers that ATL chose")[1]


def test_a_benchmark_names_its_model_and_a_quick_run_has_a_small_one(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.chdir(tmp_path)
    from shared.comparison import Comparison, compare
    from shared.setting import QUICK

    model = pac.MLP(hidden=(5, 4))
    comparison = Comparison("named", ("friedman_4",), ("fine-tune",), dataclasses.replace(QUICK, sizes=(8,)), model=model)

    def main(setting):
        curve = compare("friedman_4", {"fine-tune": pac.FineTune()}, setting)
        source, _, surrogates, _ = setting.pretrain("friedman_4")
        assert all(repr(one.network.architecture) == curve.attrs["model"] for one in surrogates)
        assert curve["dense_error"].values == pytest.approx([error_of(one, source.test) for one in surrogates], rel=1e-5)

    def error_of(surrogate, data):
        return METRICS["rmse_std"](surrogate.predict(data.x), data.y)

    for flags, folder, named in (([], "named", model), (["--quick"], "named_quick", pac.MLP(hidden=(64, 64)))):
        monkeypatch.setattr("sys.argv", ["named", *flags])
        comparison.run(main, "A description.")
        assert pac.open_curve(tmp_path / "results" / folder / "friedman_4").attrs["model"] == repr(named)
        config = json.loads((tmp_path / "results" / folder / "friedman_4" / "config.json").read_text())
        assert config["setting"].get("model") == (repr(model) if not flags else None)


def test_seed_k_of_a_dissimilarity_has_the_kth_draw_of_the_source_and_the_target_stays_the_same(script, tmp_path):
    folder = script("friedman", "--pairs", "friedman_0", "friedman_4", "--methods", "source unchanged")
    curve, targets = pac.open_curve(folder / "friedman_4"), []
    assert curve["seed"].values.tolist() == [0, 1]
    assert curve.attrs["pair"] == "friedman_4"
    for seed in (0, 1):
        task = pac.open_curve(folder / f"friedman_4/task_{seed}")
        assert task.equals(curve.sel(seed=[seed]))
        data = tmp_path / f"data/quick/friedman_4_task_{seed}"
        assert pac.open_dataset(data / "source.h5").attributes["equation"] == Friedman(4.0, task_seed=seed).equation
        targets.append(pac.open_dataset(data / "target.h5"))
    assert np.array_equal(*(target.input_matrix for target in targets))
    assert np.array_equal(*(target.output_matrix for target in targets))
    assert not list((folder / "friedman_0").glob("task_*"))  # without dissimilarity all draws are equal


def test_oscillators_are_rolled_out_and_the_truth_itself_has_no_error(script, capsys, monkeypatch):
    folder = script("oscillator", "--pairs", "oscillator_damped", "--methods", "source unchanged", "fine-tune")
    errors = json.loads((folder / "rollout.json").read_text())["oscillator_damped"]
    output = capsys.readouterr().out
    table = output.split("oscillator_damped: energy error")[1].split("\n\n")[0]
    assert f"| fine-tune | {np.median(errors['fine-tune']['energy'][0]):.3g} |" in table
    assert (folder / "rollout.png").stat().st_size > 5000

    import torch

    import oscillator  # its functions, with the exact change of a step in place of a surrogate's
    from simulators.odes.oscillators import Oscillators

    harmonic = Oscillators()
    start = torch.tensor([[1.0, 0.0, 0.0], [0.3, -1.2, 0.5]], dtype=torch.float64)
    truth = oscillator.flow(harmonic, start, torch.tensor([oscillator.STEP], dtype=torch.float64))[:, 0]
    angle = oscillator.STEP
    exact = [
        [np.cos(angle), -np.sin(angle)],
        [0.3 * np.cos(angle) - 1.2 * np.sin(angle), -1.2 * np.cos(angle) - 0.3 * np.sin(angle)],
    ]
    np.testing.assert_allclose(truth, exact, atol=1e-7)  # the tolerance of the solver is 1e-8 a step
    turn = np.array([[np.cos(angle) - 1, -np.sin(angle)], [np.sin(angle), np.cos(angle) - 1]])
    monkeypatch.setattr(oscillator, "predict_many", lambda surrogates, data: [d.input_matrix[:, :2] @ turn for d in data])
    found = oscillator.trajectories([None], start.numpy())[0]
    times = oscillator.STEP * torch.arange(1, oscillator.STEPS + 1, dtype=torch.float64)
    start[:, 2] = 0
    np.testing.assert_allclose(found, oscillator.flow(harmonic, start, times), atol=1e-6)


def test_sparse_transfer_ranks_recipes_in_both_regimes_and_counts_their_cost(script, capsys):
    flags = ["--pairs", "friedman_4", "--methods", "GMP", "STR", "--sizes", 8, "--seeds", 1, "--figures", "pdf"]
    folder = script("sparse_transfer", *flags)
    results = json.loads((folder / "sparse_transfer.json").read_text())
    errors, cost = results["pairs"]["friedman_4"]["errors"], results["pairs"]["friedman_4"]["cost"]
    for regime in ("linear", "full"):
        ranks = results["rankings"][regime]["0.8"]
        first, second = (errors[f"{name} 0.8 {regime}"][0] for name in ("GMP", "STR"))
        assert (ranks["GMP"] < ranks["STR"]) == (first < second)
    # An MLP 10-64-64-1: 4,800 weights and 129 biases; 80 % of each tensor but the readout are pruned.
    assert cost["dense"]["nonzeros"] == 4800 + 129
    assert cost["GMP 0.8"]["nonzeros"] == 128 + 819 + 64 + 129
    assert cost["GMP 0.8"]["flops"] == 2 * (128 + 819 + 64)
    assert cost["dense"]["agreement"] == 1.0
    assert 0.68 < cost["GMP 0.8"]["agreement"] < 1.0  # 0.68 is that of a random mask
    assert "linear regime: mean rank over 1 pairs x sizes" in capsys.readouterr().out
    assert (folder / "rankings.pdf").read_bytes().startswith(b"%PDF-")
    assert (folder / "friedman_4/curve.pdf").read_bytes().startswith(b"%PDF-")
    assert not list(folder.rglob("*.png"))


def test_robust_tickets_are_compared_with_natural_ones(script, capsys):
    folder = script("robust_tickets", "--pairs", "friedman_4", "--methods", "OMP", "--sizes", 8, "--seeds", 1)
    results = json.loads((folder / "robust_tickets.json").read_text())["friedman_4"]
    assert results["radius"] in (0.01, 0.05, 0.1)
    ratio = results["errors"]["OMP weight robust full"][0] / results["errors"]["OMP weight natural full"][0]
    assert f"| OMP | weight | full | {ratio:.3f} |" in capsys.readouterr().out
    assert (folder / "robust_tickets.png").stat().st_size > 5000


def test_the_table_of_a_curve_states_steps_on_the_source_and_the_allocated_error_beside_the_dense_one(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from shared.comparison import print_curve

    curve = empty_curve(["fine-tune", "PAC"], [4, 8], [0, 1, 2])
    budget = {"pretrain_steps": 9, "source_steps": 7, "steps": 5, "folds": 2, "candidates": {"fine-tune": 3, "PAC": 4}}
    curve.attrs = {"headline": "rel_l2", "model": "MLP()", "budget": json.dumps(budget)}
    curve["rel_l2"][:] = 0.5
    curve["source_error"].loc["PAC", 8] = [0.1, 0.2, 0.6]
    curve["source_steps"].loc["PAC", 8] = [7, 7, 0]
    curve["dense_error"][:] = [0.01, 0.03, 0.02]
    print_curve(curve)
    assert "allocated" not in capsys.readouterr().out
    curve["allocated_error"].loc["PAC", 8] = [0.04, 0.05, 0.06]
    print_curve(curve)
    head, tune, own = capsys.readouterr().out.splitlines()[-3:]
    assert head.endswith("source steps  source error  allocated (dense)")
    assert own.split()[-4:] == ["7", "0.2000", "0.0500", "(0.0200)"]
    assert tune.split()[-2:] == ["0", "n/a"]


# The target of the heat equation has another material.
@pytest.mark.filterwarnings("ignore::pac_surrogate.ExtrapolationWarning")
def test_the_leaderboard_resumes_and_says_what_is_missing(script, capsys, monkeypatch):
    methods = ("source unchanged", "scratch", "fine-tune", "co-kriging")
    monkeypatch.syspath_prepend(BENCHMARKS)
    from shared.candidates import CANDIDATES

    monkeypatch.setitem(CANDIDATES, "co-kriging", (pac.CoKriging(components=1),))
    folder = script("leaderboard", "--pairs", "heat_equation", "--methods", *methods)
    first = capsys.readouterr().out
    assert "heat_equation: fine-tune " in first
    with open(folder / "leaderboard.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["pair", "kind", "method", "size", "seed", "metric", "value"]
    assert len(rows) == 3 * 2 * 2  # one component does not describe the field
    curve = pac.open_curve(folder / "heat_equation/fine-tune")
    (value,) = [r["value"] for r in rows if (r["method"], r["size"], r["seed"]) == ("fine-tune", "8", "1")]
    assert float(value) == pytest.approx(float(curve["rel_l2"].values[0, 1, 1]), rel=1e-5)
    assert "co-kriging is n/a where: co-kriging needs components=" in first
    (folder / "heat_equation/scratch/curve.nc").unlink()
    script("leaderboard", "--pairs", "heat_equation", "--methods", *methods, "--report")
    report = capsys.readouterr().out
    assert "missing, 1 of 4: scratch on heat_equation" in report
    assert "heat_equation: fine-tune" not in report
    script("leaderboard", "--pairs", "heat_equation", "--methods", *methods)
    again = capsys.readouterr().out
    assert "heat_equation: scratch " in again
    assert "heat_equation: fine-tune" not in again
    assert (folder / "kinds.png").stat().st_size > 5000
    assert (folder / "ranks.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("leaderboard", ["--methods", "Magic"], "unknown method 'Magic': choose from source unchanged"),
        ("leaderboard", ["--report"], "nothing is finished yet: run without --report"),
        ("friedman", ["--pairs", "wave"], "there is no pair 'wave'"),
        ("oscillator", ["--pairs", "burgers"], "burgers is not a pair of oscillators"),
        ("sparse_transfer", ["--methods", "PAC"], "unknown method 'PAC': choose from GMP"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(script, capsys, name, arguments, message):
    with pytest.raises(SystemExit) as exit:
        script(name, *arguments)
    assert exit.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def cells_of(ranking, errors, kinds=("a", "b")):
    pairs, methods = ("first", "second"), ("fine-tune", "scratch", "other")
    return ranking.Cells(
        pairs,
        methods,
        (4, 8),
        tuple(range(errors.shape[3])),
        dict(zip(pairs, kinds, strict=True)),
        dict.fromkeys(pairs, "rel_l2"),
        errors,
        np.zeros(errors.shape),
        {},
    )


def test_ranks_ratios_and_win_rates_are_their_definitions(ranking):
    generator = np.random.default_rng(0)
    errors = np.exp(generator.normal(size=(2, 3, 2, 5)))
    found = ranking.rank(cells_of(ranking, errors))["methods"]
    middle = np.median(errors, axis=3).transpose(0, 2, 1).reshape(-1, 3)
    ranks = rankdata(middle, axis=1).mean(0)
    for place, name in enumerate(("fine-tune", "scratch", "other")):
        assert found[name]["mean_rank"] == pytest.approx(ranks[place], abs=1e-12)
        assert found[name]["ratio"] == pytest.approx(np.exp(np.log(errors[:, place] / errors[:, 0]).mean()), rel=1e-12)
        assert found[name]["ratio_by_kind"]["b"] == pytest.approx(np.exp(np.log(errors[1, place] / errors[1, 0]).mean()))
        assert found[name]["ratio_by_size"]["8"] == pytest.approx(np.exp(np.log(errors[:, place, 1] / errors[:, 0, 1]).mean()))
    assert found["other"]["wins_fine-tune"] == pytest.approx((errors[:, 2] < errors[:, 0]).mean(), abs=1e-12)
    low, high = found["other"]["wins_fine-tune_interval"]
    by_pair = sorted((errors[p, 2] < errors[p, 0]).mean() for p in range(2))
    assert [low, high] == pytest.approx(by_pair)  # a quarter of the resamples has the first pair twice, a quarter the second
    assert list(found) == sorted(found, key=lambda name: found[name]["mean_rank"])


def test_a_method_that_is_n_a_somewhere_is_ranked_where_it_is_and_a_tie_is_half_a_win(ranking):
    errors = np.ones((2, 3, 2, 3))
    errors[:, 1] = 2.0
    errors[1, 2] = np.nan
    errors[0, 2] = 0.5
    found = ranking.rank(cells_of(ranking, errors))["methods"]
    assert found["other"]["mean_rank"] == 1.0
    assert found["other"]["blocks"] == 2
    # Second of three in two blocks; first of two in the others, which is scaled to first of three.
    assert found["fine-tune"]["mean_rank"] == pytest.approx(1.5)
    assert found["scratch"]["mean_rank"] == 3.0
    assert found["scratch"]["wins_fine-tune"] == 0.0
    assert found["other"]["wins_fine-tune"] == 1.0
    same = np.ones((2, 3, 2, 3))
    assert ranking.rank(cells_of(ranking, same))["methods"]["other"]["wins_fine-tune"] == 0.5
    assert found["other"]["ratio_by_kind"] == {"a": pytest.approx(0.5), "b": None}


def test_the_critical_distance_is_that_of_nemenyi_s_test(ranking):
    import scikit_posthocs

    middle = np.random.default_rng(0).normal(size=(30, 5)) + np.array([0, 0.2, 0.5, 1, 3])
    ranks = rankdata(middle, axis=1).mean(0)
    different = scikit_posthocs.posthoc_nemenyi_friedman(middle).to_numpy() < 0.05
    apart = np.abs(ranks[:, None] - ranks) > ranking.critical_distance(5, 30)
    np.testing.assert_array_equal(apart, different)
    assert 0 < apart.sum() < 20
    # Table 5(a) of Demsar (2006): the quantile is 2.569 for 4 methods, which he compares on 14 data sets.
    assert ranking.critical_distance(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)


def stored(ranks, blocks=None):
    blocks = blocks or {}
    return {"methods": {name: {"mean_rank": rank, "blocks": blocks.get(name, 30)} for name, rank in ranks.items()}}


def test_the_figure_of_ranks_is_drawn_from_the_stored_ranking(ranking):
    found = stored({"PAC": 3.0, "L2-SP": 1.5, "GP": 2.5, "mine": 3.5, "co-kriging": 4.0, "none": None}, {"co-kriging": 7})
    axes = ranking.draw_ranks(found)
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["L2-SP", "GP", "PAC", "mine", "co-kriging (7 of 30 cells)"]
    dots = {rows[int(y)]: (x, face) for c in axes.collections if hasattr(c, "get_sizes") and len(c.get_sizes())
            for (x, y), face in zip(c.get_offsets(), map(tuple, c.get_facecolors()), strict=True)}  # fmt: skip
    assert [dots[name][0] for name in rows] == [1.5, 2.5, 3.0, 3.5, 4.0]
    assert dots[rows[-1]][1] == (1, 1, 1, 1)  # an open circle
    assert len({face for _, face in dots.values()}) == 5  # three kinds, an unknown one, and the open circle
    distance = ranking.critical_distance(5, 30)
    (band,) = axes.patches
    assert band.get_x() == 1.5
    assert band.get_width() == pytest.approx(distance)
    assert f"critical distance, {distance:.1f}" in [text.get_text() for text in axes.get_legend().get_texts()]
    sizes = [label.get_size() for label in (*axes.get_yticklabels(), *axes.get_xticklabels(), axes.xaxis.label)]
    assert min(sizes) >= 8
    assert axes.figure.get_figwidth() == 7
    assert ranking.draw_ranks(found, ax=axes) is axes
    with pytest.raises(ValueError, match=r"^the ranking has no method with a rank$"):
        ranking.draw_ranks(stored({"PAC": None}))


def test_every_method_of_the_leaderboard_has_a_kind(ranking):
    kinds = {name: ranking.kind_of(name) for name in ranking.CANDIDATES}
    assert set(kinds.values()) == {"around", "pruned", "pulled", "tuned"}
    assert (kinds["GP"], kinds["PAC"], kinds["EWC"], kinds["scratch"]) == ("around", "pruned", "pulled", "tuned")


def test_choice_reports_the_regret_and_the_coverage_that_it_writes(script, capsys):
    folder = script("choice", "--pairs", "forrester", "--seeds", 2, "--sizes", 4, 10)
    output = capsys.readouterr().out
    with (folder / "choice.csv").open() as file:
        rows = list(csv.DictReader(file))
    named = "pair half size seed chosen error best_method best_error fine_tune scratch source covered_90 width_90 seconds"
    assert list(rows[0]) == named.split()
    assert [(row["half"], row["size"], row["seed"]) for row in rows] == [
        ("tuned", size, seed) for seed in ("0", "1") for size in ("4", "10")
    ]
    for row in rows:
        rivals = [float(row[name]) for name in ("fine_tune", "scratch", "source")]
        assert float(row["best_error"]) <= min(rivals) * (1 + 1e-5)
        assert (row["covered_90"] == "") == (row["size"] == "4")  # intervals of 90 % need nine samples
    large = [float(row["error"]) / float(row["best_error"]) for row in rows if row["size"] == "10"]
    line = next(line for line in output.splitlines() if line.startswith("| tuned | n >= 8 |"))
    assert float(line.split("|")[4]) == pytest.approx(np.exp(np.mean(np.log(large))), abs=6e-4)
    with (folder / "coverage.csv").open() as file:
        covered = [float(row["covered"]) for row in csv.DictReader(file) if row["level"] == "0.9"]
    line = next(line for line in output.splitlines() if line.startswith("| tuned | 90 |"))
    assert float(line.split("|")[4].split("(")[0]) == pytest.approx(100 * np.mean(covered), abs=0.06)
    prices = json.loads((folder / "prices.json").read_text())
    ratio = np.median(np.divide(*(prices["pairs"]["forrester"]["seconds"][name] for name in ("fine-tune", "auto"))))
    line = next(line for line in output.splitlines() if line.startswith("| auto | 1 |"))
    assert float(line.split("|")[4].split("[")[0]) == pytest.approx(ratio, abs=0.06)
    assert all((folder / name).stat().st_size > 5000 for name in ("regret.png", "coverage.png"))


def test_regret_is_against_the_best_and_negative_transfer_against_both_references(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from shared.regret import Cell, geometric

    errors = {"scratch": 2.0, "source unchanged": 1.0, "PAC": 0.5}
    cells = [Cell("a", "tuned", "noise", {"error": error}, errors) for error in (0.5, 1.04, 1.06)]
    assert [cell.ratio() for cell in cells] == [1.0, 2.08, 2.12]
    assert cells[0].best == "PAC"
    assert [cell.negative for cell in cells] == [False, False, True]
    assert geometric(np.array([0.5, 8.0])) == pytest.approx(2.0)


def test_acquisition_writes_the_curves_from_which_its_table_is_made(script, capsys):
    folder = script("acquisition", "--pairs", "forrester", "--seeds", 1, "--sizes", 3, 6)
    assert "at least 20% fewer samples on" in capsys.readouterr().out
    with (folder / "acquisition.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["pair"] for row in rows} == {"forrester"}
    assert (folder / "acquisition.png").stat().st_size > 5000


def test_the_study_of_pac_compares_it_with_both_l2_sps_and_continues_where_it_stopped(script, capsys, monkeypatch):
    options = ("--pairs", "borehole", "--sizes", 8, "--seeds", 2)
    folder = script("pac_study", *options)
    printed = capsys.readouterr().out
    with (folder / "pac_study.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["width"], row["allocation"]) for row in rows} == {(w, s) for w in ("4", "8") for s in ("10", "20")}
    assert {(row["sparsity"], row["biases"]) for row in rows} == {
        (sparsity, biases) for sparsity in ("0.3", "0.6", "tuned") for biases in ("free", "frozen")
    }
    for row in rows:
        curve = pac.open_curve(folder / "borehole" / f"{row['width']}_{row['allocation']}")
        errors = curve[curve.attrs["headline"]].sel(size=8)
        name = f"PAC, {row['biases']}, {row['sparsity']}"
        for column, rival in (("ratio", "L2-SP"), ("ratio_longer", "L2-SP, source longer")):
            ratios = errors.sel(approach=name).values / errors.sel(approach=rival).values
            assert float(row[column]) == pytest.approx(np.sqrt(ratios.prod()), rel=1e-4)  # five digits are written
        kept = (curve["allocated_error"] / curve["dense_error"]).sel(approach=name, size=8).values
        assert float(row["kept"]) == pytest.approx(np.median(kept), rel=1e-4)
        steps = curve["source_steps"].sel(size=8)
        assert set(steps.sel(approach=name).values) == {int(row["allocation"])}
        assert set(steps.sel(approach="L2-SP").values) == {0}
        assert set(steps.sel(approach="L2-SP, source longer").values) == {int(row["allocation"])}
    assert (folder / "pac_study.png").exists()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*/curve.nc")}
    script("pac_study", *options)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*/curve.nc")} == before
    again = capsys.readouterr().out
    table = printed[printed.index("error of PAC") :]
    assert again.endswith(table)
    script("pac_study", *options, "--report")
    assert capsys.readouterr().out.endswith(table)


def test_a_diverged_training_is_left_out_of_the_study_and_named(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import pac_study

    factors = pac_study.Factors((4,), (10,), (0.3,))
    curve = empty_curve(list(pac_study.methods_of(factors)), [8, 16], [0, 1]).assign_attrs(headline="rel_l2")
    for name in ("rel_l2", "allocated_error", "dense_error"):
        curve[name][...] = 0.5
    curve["rel_l2"].loc["PAC, free, tuned", 16, 1] = np.nan
    rows = pac_study.rows_of({("borehole", 4, 10): curve}, factors)
    assert capsys.readouterr().out.split(": ")[1] == "borehole, 4 units, 10 steps, PAC, free, tuned, n = 16\n"
    assert len(rows) == 2 * 2 * 2 - 1  # biases, sparsities and sizes
    assert pac_study.winner_table(rows).splitlines()[-1] == "| borehole | 4 | 10 | 1.00 | n/a | 1.00 | 1.00 |"
    assert [line.split(" | ")[:2] for line in pac_study.size_table(rows).splitlines()[2:]] == [
        ["| free", "8"],
        ["| frozen", "8"],
        ["| frozen", "16"],
    ]
