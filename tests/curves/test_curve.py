"""Transfer curves: which samples each method sees, reproducible bits, and continuation after an interruption."""

import csv
import dataclasses
import math

import numpy as np
import pytest
import xarray as xr

import pac_surrogate as pac
from pac_surrogate.curves.errors import METRICS, errors_of
from pac_surrogate.curves.transfer_curve import PRETRAINING_RATE
from pac_surrogate.data import metrics
from pac_surrogate.data.undefined_metrics import LeftOutWarning

GENERATOR = np.random.default_rng(0)
X = GENERATOR.uniform(-1, 1, size=(200, 3))


def field(shift):
    grid = np.linspace(0, 1, 6)
    return np.sin(3 * X[:, :1] + grid) * X[:, 1:2] + shift * X[:, 2:]


AXES = {"temperature": ("x",)}
SOURCE = pac.Dataset.from_arrays({"inputs": X}, {"temperature": field(0.2)}, valid=0.1, test=0.2, axes=AXES)
TARGET = pac.Dataset.from_arrays({"inputs": X}, {"temperature": field(0.8)}, test=0.3, seed=3, axes=AXES)
METHODS = {
    "source unchanged": pac.SourceUnchanged(),
    "scratch": pac.Scratch(),
    "linear correction": pac.LinearCorrection(),
    "fine-tune": pac.grid(pac.FineTune, learning_rate=(1e-3, 1e-2)),
    "PAC": pac.PAC(),
}
ARGUMENTS = {
    "methods": METHODS,
    "sizes": (0, 3, 6),
    "seeds": 3,
    "model": pac.MLP(hidden=(8, 8)),
    "steps": 30,
    "source_steps": 20,
    "pretrain_steps": 100,
    "folds": 3,
    "device": "cpu",
}
PRETRAINED = {"steps": 100, "learning_rate": PRETRAINING_RATE, "device": "cpu"}  # as a curve pretrains


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("curve")
    pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=path)
    return path


def test_a_curve_has_the_metrics_over_method_size_and_seed(folder):
    curve = pac.open_curve(folder)
    assert curve.sizes == {"approach": 5, "size": 3, "seed": 3}
    assert {"rel_l2", "rmse_std", "rmse", "mae", "r2", "max_error", "nrmse", "vrmse", "source_error", "diverged"} <= set(curve)
    assert {name for name, variable in curve.items() if variable.dims == ("seed",)} == {"dense_error"}
    assert curve.attrs["headline"] == "rel_l2"
    scratch = curve["rel_l2"].loc["scratch"]
    assert np.isnan(scratch.sel(size=0)).all()  # scratch has no samples to train on and does not use the source
    assert np.isfinite(scratch.sel(size=[3, 6])).all()
    unchanged = curve["rel_l2"].loc["source unchanged"]
    np.testing.assert_array_equal(unchanged.sel(size=0), unchanged.sel(size=6))
    for name in ("linear correction", "fine-tune"):  # without samples these methods return the source
        # The products are float32 and are added in the order of another stack.
        np.testing.assert_allclose(curve["rel_l2"].loc[name].sel(size=0), unchanged.sel(size=0), rtol=1e-6)
    assert str(curve["chosen"].loc["PAC", 6, 0].values).startswith("PAC(sparsity=0.8")


def test_every_number_of_a_curve_is_that_of_the_corresponding_transfer(folder):
    curve = pac.open_curve(folder)
    surrogate = pac.pretrain(SOURCE.train, model=ARGUMENTS["model"], seed=1, **PRETRAINED, valid=SOURCE.valid)
    adapted = pac.transfer(
        surrogate, TARGET.subset(1, 6), method=pac.PAC(), source=SOURCE.train, seed=1, steps=30, source_steps=20, device="cpu"
    )
    cell = {"approach": "PAC", "size": 6, "seed": 1}
    x = adapted.scaling.inputs.standardise(np_to_torch(TARGET.test.input_matrix))
    prediction = adapted.scaling.outputs.restore(adapted.predictor.predict(x).double()).numpy()
    for name, value in errors_of(prediction, TARGET.test).items():
        # The training is in float32, and another stack adds in another order.
        assert float(curve[name].loc[cell]) == pytest.approx(value, rel=1e-3), name
    assert not bool(curve["diverged"].loc[cell])


def test_a_curve_states_the_steps_on_the_source_of_every_cell(folder):
    steps = pac.open_curve(folder)["source_steps"]
    assert (steps.loc["PAC"] == 20).all()
    assert (steps.drop_sel(approach="PAC") == 0).all()


def test_the_errors_of_the_dense_and_of_the_allocated_source_stand_beside_each_other(tmp_path):
    """They are the source errors of the methods that return these sources."""
    pair = {"PAC": pac.PAC(), "broken": pac.PAC(learning_rate=1e30)}
    methods = {"dense": pac.SourceUnchanged(), "allocated": pac.PAC().stages[0], **pair}
    curve = pac.transfer_curve(SOURCE, TARGET, **{**ARGUMENTS, "methods": methods, "sizes": (3, 6)}, out=tmp_path)
    errors = curve["source_error"]
    for size in (3, 6):
        # The predictions are those of float32 networks in other stacks.
        np.testing.assert_allclose(curve["dense_error"], errors.loc["dense", size], rtol=1e-5)
        np.testing.assert_allclose(curve["allocated_error"].loc["PAC", size], errors.loc["allocated", size], rtol=1e-5)
    assert (abs(errors.loc["allocated"] / errors.loc["dense"] - 1) > 1e-3).all()
    assert (abs(errors.loc["PAC"] / errors.loc["allocated"] - 1) > 1e-3).all()
    assert np.isnan(curve["allocated_error"].drop_sel(approach="PAC")).all()
    assert curve["diverged"].loc["broken"].all()
    saved = pac.open_curve(tmp_path)
    for name in ("dense_error", "allocated_error", "source_steps"):
        assert saved[name].equals(curve[name])
    with pytest.raises(ValueError, match=r"metric must be one of the curve's, .* got 'dense_error'"):
        pac.summarise(curve, "dense_error")  # it has no methods


def test_an_allocated_source_that_several_cells_share_is_predicted_once(given, monkeypatch):
    shared = dataclasses.replace(given[0])  # an object of its own, as the dense source is predicted too

    @dataclasses.dataclass(frozen=True)
    class Sharing:
        def adapt(self, case):
            return dataclasses.replace(case.surrogate, allocated=shared)

    counts, original = [], pac.curves.transfer_curve.predict_many
    monkeypatch.setattr(
        pac.curves.transfer_curve,
        "predict_many",
        lambda surrogates, data: counts.append(surrogates.count(shared)) or original(surrogates, data),
    )
    curve = pac.transfer_curve(SOURCE, TARGET, methods={"a": Sharing()}, sizes=(4, 8), seeds=2, surrogates=given)
    assert np.unique(curve["allocated_error"]).size == 1
    assert sum(counts) == 1


def np_to_torch(matrix):
    import torch

    return torch.as_tensor(np.asarray(matrix, dtype=np.float64))


def test_all_methods_see_the_same_samples_and_each_seed_is_a_separate_draw(monkeypatch):
    seen = []
    original = pac.curves.transfer_curve.run
    monkeypatch.setattr(
        pac.curves.transfer_curve, "run", lambda given, *rest: seen.extend(case for _, case in given) or original(given, *rest)
    )
    pac.transfer_curve(SOURCE, TARGET, **{**ARGUMENTS, "steps": 1, "source_steps": 1, "pretrain_steps": 1})
    by_cell = {}
    for case in seen:
        by_cell.setdefault((len(case.target), case.seed), []).append(case)
    for (size, seed), cases in by_cell.items():
        assert len(cases) == (4 if size == 0 else 5)
        order = TARGET.subset(seed, 6).x[:size]  # the first samples of size 6 are those of size 3
        for case in cases:
            assert sorted(map(tuple, case.target.x)) == sorted(map(tuple, order))
            assert case.surrogate is cases[0].surrogate
    assert by_cell[6, 0][0].target.x.tolist() != by_cell[6, 1][0].target.x.tolist()
    assert by_cell[6, 0][0].surrogate is not by_cell[6, 1][0].surrogate


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=tmp_path)
    for name in ("curve.nc", "curve.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_stopped_curve_continues_to_the_same_bytes_and_repeats_no_finished_stack(folder, tmp_path, monkeypatch):
    trained, original = [], pac.solvers.training._train

    def stop_after_three(*arguments):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(pac.solvers.training, "_train", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=tmp_path)
    assert not (tmp_path / "curve.nc").exists()
    assert len(list((tmp_path / "stacks").iterdir())) == 3
    monkeypatch.setattr(pac.solvers.training, "_train", lambda *arguments: trained.append(arguments) or original(*arguments))
    pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=tmp_path)
    assert len(trained) == len(list((tmp_path / "stacks").iterdir())) == len(list((folder / "stacks").iterdir()))
    assert (tmp_path / "curve.nc").read_bytes() == (folder / "curve.nc").read_bytes()


def test_another_stack_size_changes_medians_by_less_than_a_percent(folder):
    small = pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, stack_memory=2**17)
    reference = pac.summarise(pac.open_curve(folder))["median"]
    np.testing.assert_allclose(pac.summarise(small)["median"], reference, rtol=0.01)


def test_the_tidy_table_holds_every_number_of_the_curve(folder):
    curve = pac.open_curve(folder)
    with open(folder / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["approach", "size", "seed", "metric", "value"]
    assert len(rows) == 12 * 45 + 3
    for row in rows:
        whole = {"seed": int(row["seed"])} | ({"size": int(row["size"])} if row["size"] else {})
        value = float(curve[row["metric"]].loc[whole | ({"approach": row["approach"]} if row["approach"] else {})])
        assert bool(row["size"]) == bool(row["approach"]) == (row["metric"] != "dense_error")
        assert float(row["value"]) == value or (math.isnan(value) and row["value"] == "nan")


def test_surrogates_of_the_largest_size_are_saved(folder):
    names = {path.stem for path in (folder / "surrogates").iterdir()}
    assert names == set(METHODS)
    surrogate = pac.Surrogate.load(folder / "surrogates" / "PAC.safetensors")
    assert surrogate.essential is not None


def test_a_run_that_diverges_is_shown_and_left_out_of_averages():
    methods = {"sound": pac.FineTune(), "broken": pac.FineTune(learning_rate=1e30)}
    curve = pac.transfer_curve(SOURCE, TARGET, **{**ARGUMENTS, "methods": methods, "sizes": (6,)})
    assert curve["diverged"].loc["broken"].all()
    assert not curve["diverged"].loc["sound"].any()
    assert np.isnan(curve["rel_l2"].loc["broken"]).all()
    assert np.isfinite(curve["rel_l2"].loc["sound"]).all()


def test_with_other_outputs_the_source_and_n_zero_have_no_result_and_the_others_have_one():
    target = pac.Dataset.from_arrays({"inputs": X}, {"flux": field(0.8)[:, :5] ** 2}, test=0.3, seed=3)
    with pytest.warns(pac.DataWarning, match="outputs flux are new to the surrogate"):
        curve = pac.transfer_curve(SOURCE, target, **{**ARGUMENTS, "sizes": (0, 6), "seeds": 2})
    errors = curve["rel_l2"]
    assert np.isnan(errors.loc["source unchanged"]).all()
    assert np.isnan(errors.sel(size=0)).all()
    assert np.isfinite(errors.sel(size=6).drop_sel(approach="source unchanged")).all()
    assert all(np.isnan(curve[name]).all() for name in ("source_error", "allocated_error", "dense_error"))


def curve_of(errors, sizes):
    values = np.asarray(errors, dtype=float).reshape(1, len(sizes), 1).repeat(3, axis=2)
    variables = {"rel_l2": (("approach", "size", "seed"), values)}
    return xr.Dataset(variables, {"approach": ["a"], "size": list(sizes), "seed": [0, 1, 2]}, {"headline": "rel_l2"})


def test_samples_needed_are_interpolated_between_sizes_in_log_n():
    curve = curve_of((1.0, 0.8, 0.4, 0.2), (0, 4, 16, 64))
    assert pac.samples_needed(curve, "a", 0.6) == pytest.approx(8.0)  # halfway in log n
    assert pac.samples_needed(curve, "a", 0.4) == pytest.approx(16.0)
    assert pac.samples_needed(curve, "a", 1.5) == 0.0
    assert pac.samples_needed(curve, "a", 0.9) == 4.0  # log n cannot interpolate between 0 and 4
    assert pac.samples_needed(curve, "a", 0.1) == math.inf


def test_quartiles_leave_out_missing_values():
    curve = curve_of((1.0, 2.0), (0, 4))
    curve["rel_l2"].loc["a", 4] = [1.0, 3.0, np.nan]
    curve["rel_l2"].loc["a", 0] = np.nan
    summary = pac.summarise(curve)
    assert float(summary["median"].loc["a", 4]) == 2.0
    assert float(summary["low"].loc["a", 4]) == 1.5
    assert np.isnan(summary["median"].loc["a", 0])


def test_quartiles_of_infinite_errors_are_infinite_and_not_n_a():
    curve = curve_of((1.0, 2.0), (0, 4)).isel(seed=[0, 1, 2, 2, 2])
    curve["rel_l2"].loc["a", 0] = [1.0, 2.0, np.inf, np.nan, np.nan]  # the median is one seed, the upper quartile lies between
    curve["rel_l2"].loc["a", 4] = [np.inf, np.inf, np.inf, -np.inf, np.nan]
    summary = pac.summarise(curve)
    assert [float(summary[name].loc["a", 0]) for name in ("low", "median", "high")] == [1.5, 2.0, np.inf]
    assert [float(summary[name].loc["a", 4]) for name in ("median", "high")] == [np.inf, np.inf]
    curve["rel_l2"].loc["a", 4] = [1.0, 2.0, -np.inf, np.nan, np.nan]
    assert [float(pac.summarise(curve)[name].loc["a", 4]) for name in ("low", "median", "high")] == [-np.inf, 1.0, 1.5]
    assert pac.samples_needed(curve_of((np.inf, 0.5), (2, 4)), "a", 0.6) == 4.0  # nothing is interpolated from infinity


TEST = {"test": 0.3, "seed": 3}
FIXED = {"methods": {"source": pac.SourceUnchanged(), "line": pac.LinearCorrection()}, "sizes": (4,), "seeds": 2}
IN_TEST = pac.Dataset.from_arrays(np.arange(200.0)[:, None], X, **TEST).test.x[:, 0].astype(int)


@pytest.fixture(scope="module")
def given():
    return [pac.pretrain(SOURCE.train, model=ARGUMENTS["model"], seed=seed, steps=100, device="cpu") for seed in (0, 1)]


def said_of(caught):
    return [str(warning.message) for warning in caught if isinstance(warning.message, LeftOutWarning)]


def test_a_zero_field_in_the_test_split_is_named_once_for_the_curve_and_left_out(given, tmp_path):
    fields = field(0.8)
    fields[IN_TEST[[2, 5]]] = 0.0
    target = pac.Dataset.from_arrays({"inputs": X}, {"temperature": fields}, **TEST, axes=AXES)
    with pytest.warns(LeftOutWarning) as caught:
        curve = pac.transfer_curve(SOURCE, target, **FIXED, surrogates=given, out=tmp_path)
    said = dict(zip(("rel_l2", "nrmse"), said_of(caught), strict=True))  # one each, not one for each of four cells
    assert all("samples 2, 5, counted from 0, in the target's test split" in line for line in said.values())
    others = np.delete(np.arange(60), [2, 5])
    expected = metrics.rel_l2(given[0].predict(target.test.x)[others], target.test.y[others])
    # The prediction is that of a float32 network in a stack.
    assert float(curve["rel_l2"].loc["source", 4, 0]) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(curve["rel_l2"]).all()
    assert np.isfinite(curve["nrmse"]).all()
    saved = pac.open_curve(tmp_path)
    assert {name: saved[name].attrs["comment"] for name in said} == said
    assert not any("comment" in saved[name].attrs for name in saved if name not in said)


def test_a_source_with_zero_load_is_named_once_as_the_source(given):
    fields, rows = field(0.2), pac.Dataset.from_arrays(np.arange(200.0)[:, None], X, valid=0.1, test=0.2).test.x[:, 0]
    fields[rows[3].astype(int)] = 0.0
    source = pac.Dataset.from_arrays({"inputs": X}, {"temperature": fields}, valid=0.1, test=0.2, axes=AXES)
    with pytest.warns(LeftOutWarning) as caught:
        curve = pac.transfer_curve(source, TARGET, **FIXED, surrogates=given)
    (line,) = said_of(caught)
    assert "rel_l2 leaves out 1 of 40 samples" in line
    assert line.endswith("sample 3, counted from 0, in the source's test split")
    assert all(curve[name].attrs["comment"] == line for name in ("source_error", "allocated_error", "dense_error"))
    assert np.isfinite(curve["source_error"]).all()


def table(pressure, headline="rmse_std", **splits):
    outputs = {"temperature": X[:, 0], "pressure": pressure}
    return pac.Dataset.from_arrays(X, outputs, attributes={"headline": headline}, **splits)


def test_a_constant_output_with_an_error_is_named_once_for_the_curve_after_it_is_saved(tmp_path):
    source = table(3 + X[:, 1], valid=0.1, test=0.2)
    constant = 3 + np.where(np.isin(np.arange(200), IN_TEST), 0.0, X[:, 1])
    surrogate = pac.pretrain(source.train, model=pac.MLP(hidden=(32, 32)), steps=800, device="cpu")
    target = table(constant, **TEST)
    with pytest.warns(LeftOutWarning) as caught:
        curve = pac.transfer_curve(source, target, **FIXED, surrogates=[surrogate] * 2, out=tmp_path)
    assert [line.split()[0] for line in said_of(caught)] == ["rmse_std", "r2"]
    assert all("output 1, counted from 0; see max_error, in the target's test split" in line for line in said_of(caught))
    temperature = metrics.rmse_std(surrogate.predict(target.test.x)[:, :1], target.test.y[:, :1])
    assert float(curve["rmse_std"].loc["source", 4, 0]) == pytest.approx(temperature, rel=1e-5)
    with pytest.raises(LeftOutWarning):  # warnings are errors here
        pac.transfer_curve(source, target, **FIXED, surrogates=[surrogate] * 2, out=tmp_path / "strict")
    assert (tmp_path / "strict" / "curve.nc").read_bytes() == (tmp_path / "curve.nc").read_bytes()


def test_a_metric_that_is_undefined_on_the_test_split_is_n_a_and_the_others_are_measured(given):
    flat = pac.Dataset.from_arrays({"inputs": X}, {"temperature": field(0.8)}, test=1 / 200, seed=3, axes=AXES)
    curve = pac.transfer_curve(SOURCE, flat, **FIXED, surrogates=given)  # one sample has no standard deviation
    assert len(flat.test) == 1
    undefined = {name for name in (*METRICS, "nrmse", "vrmse") if np.isnan(curve[name]).all()}
    assert undefined == {"rmse_std", "r2"}
    assert np.isfinite(curve.drop_vars([*undefined, "chosen", "allocated_error"]).to_array()).all()
    zero = table(np.zeros(200), **TEST).with_matrices(X, np.zeros((200, 2)))
    errors = errors_of(np.full((60, 2), 0.5), zero.test)
    assert {name for name, value in errors.items() if math.isnan(value)} == {"rel_l2", "rmse_std", "r2", "nrmse", "vrmse"}
    assert errors["rmse"] == errors["mae"] == errors["max_error"] == 0.5


def test_a_variable_with_an_undefined_metric_is_left_out_of_the_mean_over_variables():
    outputs = {"rest": np.zeros((200, 6)), "temperature": field(0.8), "point": X[:, :1]}
    axes = {"rest": ("x",), "temperature": ("x",), "point": ("y",)}
    data = pac.Dataset.from_arrays({"inputs": X}, outputs, **TEST, axes=axes)
    prediction = data.test.output_matrix * np.repeat([1.0, 1.2, 1.4], [6, 6, 1])
    with pytest.warns(LeftOutWarning) as caught:
        errors = errors_of(prediction, data.test)
    left_out = "leaves out 1 of 3 variables, for which it is undefined"
    assert said_of(caught) == [f"nrmse {left_out}", f"vrmse {left_out}"]
    assert errors["nrmse"] == pytest.approx((0.2 + 0.4) / 2, rel=1e-12)
    temperature = metrics.vrmse(1.2 * data.test["temperature"], data.test["temperature"], axes=("x",))
    assert errors["vrmse"] == pytest.approx((0.0 + temperature) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("source", "target", "line"),
    [
        (
            SOURCE,
            {"temperature": np.zeros((200, 6))},
            "target's test split: rel_l2 divides by the norm .* all 60 samples: use rmse",
        ),
        (
            {"temperature": np.zeros((200, 6))},
            TARGET,
            "source's test split: rel_l2 divides by the norm .* all 60 samples: use rmse",
        ),
        ("rmse_std", "rmse_std", "target's test split: rmse_std needs an output that varies .* none of 6 does: use rmse"),
    ],
)
def test_a_headline_that_is_undefined_on_a_test_split_is_refused_before_any_training(source, target, line, monkeypatch):
    def make(side):
        if isinstance(side, dict):
            return pac.Dataset.from_arrays({"inputs": X}, side, **TEST, axes=AXES)
        flat = {"temperature": np.ones((200, 6))}
        options = {**TEST, "axes": AXES, "attributes": {"headline": side}}
        return pac.Dataset.from_arrays({"inputs": X}, flat, **options) if isinstance(side, str) else side

    trained = []
    monkeypatch.setattr(pac.solvers.training, "_train", lambda *arguments: trained.append(arguments))
    with pytest.raises(ValueError, match=f"^the headline metric must be defined on the {line}, as the headline in") as caught:
        pac.transfer_curve(make(source), make(target), **ARGUMENTS)
    assert "\n" not in str(caught.value)
    assert not trained


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_counts_as_diverged_and_is_left_out_of_medians(bad, given, monkeypatch):
    original = pac.curves.transfer_curve.predict_many

    def spoiled(surrogates, datasets):
        found = original(surrogates, datasets)
        if len(datasets[0]) == len(TARGET.test):
            found[0][7, 2] = bad
        return found

    monkeypatch.setattr(pac.curves.transfer_curve, "predict_many", spoiled)
    curve = pac.transfer_curve(SOURCE, TARGET, **FIXED, surrogates=given)
    sound = [[[False, True]], [[True, True]]]  # only the first of the four cells is not finite
    np.testing.assert_array_equal(~curve["diverged"].values, sound)
    for name in (*METRICS, "nrmse", "vrmse", "source_error"):
        np.testing.assert_array_equal(np.isfinite(curve[name].values), sound)
        assert not np.isinf(curve[name]).any()
    assert pac.summarise(curve)["diverged"].values.tolist() == [[1], [0]]
    assert float(pac.summarise(curve)["median"].loc["source", 4]) == float(curve["rel_l2"].loc["source", 4, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": (500,)}, "the size of the train split, got 500"),
        ({"seeds": 21}, "draw must be 0 to 19"),
        ({"methods": {}}, "at least one method"),
        ({"sizes": ()}, "at least one"),
        ({"methods": {"PAC": 3}}, "method must be a method"),
        ({"methods": {"PAC": "Magic"}}, "unknown method 'Magic'"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        pac.transfer_curve(SOURCE, TARGET, **{**ARGUMENTS, **change})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_a_curve_is_refused(tmp_path):
    with pytest.raises(pac.DatasetError, match=r"curve\.nc"):
        pac.open_curve(tmp_path)


def test_the_figure_shows_medians_and_bands_and_n_zero_separately(folder):
    curve = pac.open_curve(folder)
    axes = pac.plot_curve(curve)
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(lines) == set(METHODS)
    np.testing.assert_array_equal(lines["PAC"].get_xdata(), [3, 6])
    np.testing.assert_allclose(lines["PAC"].get_ydata(), pac.summarise(curve)["median"].loc["PAC"].sel(size=[3, 6]))
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "3", "6"]


def test_a_method_that_does_not_apply_is_n_a_with_its_reason_and_the_others_have_results():
    other = pac.Dataset.from_arrays({"inputs": X}, {"pressure": field(0.8)[:, :4]}, test=0.3, axes={"pressure": ("x",)})
    methods = {"LwF": pac.grid(pac.LwF, strength=(1.0, 0.1)), "BSS": pac.BSS(), "fine-tune": METHODS["fine-tune"]}
    with pytest.warns(pac.DataWarning, match="outputs pressure are new to the surrogate"):
        curve = pac.transfer_curve(SOURCE, other, **{**ARGUMENTS, "methods": methods, "sizes": (2, 6), "seeds": 2})
    assert np.isnan(curve["rel_l2"].loc["LwF"]).all()
    assert set(np.unique(curve["chosen"].loc["LwF"])) == {
        "n/a: LwF needs the source's outputs, got others, and a network has one readout: use DELTA or L2SP"
    }
    assert np.isnan(curve["rel_l2"].loc["BSS"].sel(size=2)).all()
    assert "n/a: BSS with count=1 needs at least 3 target samples" in str(curve["chosen"].loc["BSS", 2, 0].values)
    assert np.isfinite(curve["rel_l2"].loc["BSS"].sel(size=6)).all()
    assert np.isfinite(curve["rel_l2"].loc["fine-tune"]).all()
    surrogate = pac.pretrain(SOURCE.train, model=ARGUMENTS["model"], steps=5)
    new = pytest.warns(pac.DataWarning, match="outputs pressure are new")
    with new, pytest.raises(ValueError, match="LwF needs the source's outputs"):
        pac.transfer(surrogate, other.train[:6], method=methods["LwF"], source=SOURCE.train)
    given = [surrogate, surrogate]
    again = pac.transfer_curve(SOURCE, TARGET, methods={"a": pac.SourceUnchanged()}, sizes=(4,), seeds=2, surrogates=given)
    assert float(again["rel_l2"][0, 0, 0]) == float(again["rel_l2"][0, 0, 1])  # one source for both seeds, and none trained
    with pytest.raises(ValueError, match="give a model to pretrain, or 2 surrogates, one for each seed"):
        pac.transfer_curve(SOURCE, TARGET, methods={"a": pac.SourceUnchanged()}, sizes=(4,), seeds=2, surrogates=given[:1])


def test_weights_that_were_changed_in_place_are_another_source_although_the_folder_holds_stacks(tmp_path):
    start = pac.pretrain(SOURCE.train, model=pac.MLP(hidden=(40, 40)), steps=2)
    weight = start.weights["hidden.1.weight"]
    assert weight.numel() == 1600  # so large that a runner remembers the digest
    options = {"methods": {"FT": pac.FineTune()}, "sizes": (6,), "seeds": 1, "surrogates": [start], "steps": 5, "device": "cpu"}
    before = pac.transfer_curve(SOURCE, TARGET, **options, out=tmp_path)
    weight.data.mul_(3)
    after = pac.transfer_curve(SOURCE, TARGET, **options, out=tmp_path)
    np.testing.assert_array_equal(after["rmse"], pac.transfer_curve(SOURCE, TARGET, **options)["rmse"])
    assert (after["rmse"] != before["rmse"]).all()
    assert len(list((tmp_path / "stacks").iterdir())) == 2
