"""Transfer curves: who sees what, the same bits again, and going on after an interruption."""

import csv
import math

import numpy as np
import pytest
import xarray as xr

import pac_surrogate as pac
from pac_surrogate.curve import score

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("curve")
    pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=path)
    return path


def test_a_curve_has_the_metrics_over_method_size_and_seed(folder):
    curve = pac.open_curve(folder)
    assert curve.sizes == {"method": 5, "size": 3, "seed": 3}
    assert {"rel_l2", "rmse_std", "rmse", "mae", "r2", "max_error", "nrmse", "vrmse", "source_error", "diverged"} <= set(curve)
    assert curve.attrs["headline"] == "rel_l2"
    scratch = curve["rel_l2"].loc["scratch"]
    assert np.isnan(scratch.sel(size=0)).all()  # nothing to train on, and nothing from the source
    assert np.isfinite(scratch.sel(size=[3, 6])).all()
    unchanged = curve["rel_l2"].loc["source unchanged"]
    np.testing.assert_array_equal(unchanged.sel(size=0), unchanged.sel(size=6))
    for name in ("linear correction", "fine-tune"):  # without samples they are the source
        # float32 products, added in the order of another stack
        np.testing.assert_allclose(curve["rel_l2"].loc[name].sel(size=0), unchanged.sel(size=0), rtol=1e-6)
    assert str(curve["chosen"].loc["PAC", 6, 0].values).startswith("PAC(sparsity=0.8")


def test_every_number_of_a_curve_is_that_of_the_transfer_it_stands_for(folder):
    curve = pac.open_curve(folder)
    surrogate = pac.pretrain(SOURCE.train, model=ARGUMENTS["model"], seed=1, steps=100, valid=SOURCE.valid, device="cpu")
    adapted = pac.transfer(
        surrogate, TARGET.subset(1, 6), method=pac.PAC(), source=SOURCE.train, seed=1, steps=30, source_steps=20, device="cpu"
    )
    cell = {"method": "PAC", "size": 6, "seed": 1}
    x = adapted.scaling.inputs.standardise(np_to_torch(TARGET.test.input_matrix))
    prediction = adapted.scaling.outputs.restore(adapted.predictor.predict(x).double()).numpy()
    for name, value in score(prediction, TARGET.test).items():
        # float32 training; another stack adds in another order.
        assert float(curve[name].loc[cell]) == pytest.approx(value, rel=1e-3), name
    assert not bool(curve["diverged"].loc[cell])


def np_to_torch(matrix):
    import torch

    return torch.as_tensor(np.asarray(matrix, dtype=np.float64))


def test_all_methods_see_the_same_samples_and_a_seed_is_a_draw_of_its_own(monkeypatch):
    seen = []
    original = pac.curve.transfer_many
    monkeypatch.setattr(pac.curve, "transfer_many", lambda tasks, *rest: seen.extend(tasks) or original(tasks, *rest))
    pac.transfer_curve(SOURCE, TARGET, **{**ARGUMENTS, "steps": 1, "source_steps": 1, "pretrain_steps": 1})
    by_cell = {}
    for task in seen:
        by_cell.setdefault((len(task.data), task.seed), []).append(task)
    for (size, seed), tasks in by_cell.items():
        assert len(tasks) == (4 if size == 0 else 5)
        order = np.stack([TARGET.subset(seed, 6).x[:size]])
        for task in tasks:
            np.testing.assert_array_equal(task.data.x, order[0])  # size 6 begins with size 3
            assert task.surrogate is tasks[0].surrogate
    assert by_cell[6, 0][0].data.x.tolist() != by_cell[6, 1][0].data.x.tolist()
    assert by_cell[6, 0][0].surrogate is not by_cell[6, 1][0].surrogate


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=tmp_path)
    for name in ("curve.nc", "curve.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_curve_that_was_stopped_goes_on_with_the_same_bytes_and_redoes_no_finished_stack(folder, tmp_path, monkeypatch):
    trained, original = [], pac.training._train

    def stop_after_three(*arguments):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(pac.training, "_train", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=tmp_path)
    assert not (tmp_path / "curve.nc").exists()
    assert len(list((tmp_path / "stacks").iterdir())) == 3
    monkeypatch.setattr(pac.training, "_train", lambda *arguments: trained.append(arguments) or original(*arguments))
    pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, out=tmp_path)
    assert len(trained) == len(list((tmp_path / "stacks").iterdir())) == len(list((folder / "stacks").iterdir()))
    assert (tmp_path / "curve.nc").read_bytes() == (folder / "curve.nc").read_bytes()


def test_another_stack_size_moves_medians_by_less_than_a_percent(folder):
    small = pac.transfer_curve(SOURCE, TARGET, **ARGUMENTS, stack_memory=2**17)
    reference = pac.summarise(pac.open_curve(folder))["median"]
    np.testing.assert_allclose(pac.summarise(small)["median"], reference, rtol=0.01)


def test_the_tidy_table_holds_every_number_of_the_curve(folder):
    curve = pac.open_curve(folder)
    with open(folder / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["method", "size", "seed", "metric", "value"]
    assert len(rows) == 10 * 45
    for row in rows:
        value = float(curve[row["metric"]].loc[row["method"], int(row["size"]), int(row["seed"])])
        assert float(row["value"]) == value or (math.isnan(value) and row["value"] == "nan")


def test_surrogates_of_the_largest_size_are_saved(folder):
    names = {path.stem for path in (folder / "surrogates").iterdir()}
    assert names == set(METHODS)
    surrogate = pac.Surrogate.load(folder / "surrogates" / "PAC.safetensors")
    assert surrogate.essential is not None


def test_a_run_that_diverges_is_shown_and_not_averaged_in():
    methods = {"sound": pac.FineTune(), "broken": pac.FineTune(learning_rate=1e30)}
    curve = pac.transfer_curve(SOURCE, TARGET, **{**ARGUMENTS, "methods": methods, "sizes": (6,)})
    assert curve["diverged"].loc["broken"].all()
    assert not curve["diverged"].loc["sound"].any()
    assert np.isnan(curve["rel_l2"].loc["broken"]).all()
    assert np.isfinite(curve["rel_l2"].loc["sound"]).all()


def test_with_other_outputs_the_source_and_n_zero_have_no_answer_and_the_rest_has():
    target = pac.Dataset.from_arrays({"inputs": X}, {"flux": field(0.8)[:, :5] ** 2}, test=0.3, seed=3)
    curve = pac.transfer_curve(SOURCE, target, **{**ARGUMENTS, "sizes": (0, 6), "seeds": 2})
    errors = curve["rel_l2"]
    assert np.isnan(errors.loc["source unchanged"]).all()
    assert np.isnan(errors.sel(size=0)).all()
    assert np.isfinite(errors.sel(size=6).drop_sel(method="source unchanged")).all()
    assert np.isnan(curve["source_error"]).all()


def curve_of(errors, sizes):
    values = np.asarray(errors, dtype=float).reshape(1, len(sizes), 1).repeat(3, axis=2)
    variables = {"rel_l2": (("method", "size", "seed"), values)}
    return xr.Dataset(variables, {"method": ["a"], "size": list(sizes), "seed": [0, 1, 2]}, {"headline": "rel_l2"})


def test_samples_needed_are_read_off_between_sizes_in_log_n():
    curve = curve_of((1.0, 0.8, 0.4, 0.2), (0, 4, 16, 64))
    assert pac.samples_needed(curve, "a", 0.6) == pytest.approx(8.0)  # half way in log n
    assert pac.samples_needed(curve, "a", 0.4) == pytest.approx(16.0)
    assert pac.samples_needed(curve, "a", 1.5) == 0.0
    assert pac.samples_needed(curve, "a", 0.9) == 4.0  # nothing lies between 0 and 4 in log n
    assert pac.samples_needed(curve, "a", 0.1) == math.inf


def test_quartiles_leave_out_what_is_not_available():
    curve = curve_of((1.0, 2.0), (0, 4))
    curve["rel_l2"].loc["a", 4] = [1.0, 3.0, np.nan]
    curve["rel_l2"].loc["a", 0] = np.nan
    summary = pac.summarise(curve)
    assert float(summary["median"].loc["a", 4]) == 2.0
    assert float(summary["low"].loc["a", 4]) == 1.5
    assert np.isnan(summary["median"].loc["a", 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": (500,)}, "size 500"),
        ({"seeds": 21}, "draw must be 0 to 19"),
        ({"methods": {}}, "at least one method"),
        ({"sizes": ()}, "at least one"),
        ({"methods": {"PAC": "PAC"}}, "method must be a method"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        pac.transfer_curve(SOURCE, TARGET, **{**ARGUMENTS, **change})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_curve_is_refused(tmp_path):
    with pytest.raises(pac.DatasetError, match=r"curve\.nc"):
        pac.open_curve(tmp_path)


def test_the_figure_shows_medians_bands_and_n_zero_apart(folder):
    curve = pac.open_curve(folder)
    figure = pac.plot_curve(curve)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(lines) == set(METHODS)
    np.testing.assert_array_equal(lines["PAC"].get_xdata(), [3, 6])
    np.testing.assert_allclose(lines["PAC"].get_ydata(), pac.summarise(curve)["median"].loc["PAC"].sel(size=[3, 6]))
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "3", "6"]


def test_what_a_method_cannot_serve_is_n_a_with_its_reason_and_its_neighbours_have_their_answers():
    other = pac.Dataset.from_arrays({"inputs": X}, {"pressure": field(0.8)[:, :4]}, test=0.3, axes={"pressure": ("x",)})
    methods = {"LwF": pac.grid(pac.LwF, strength=(1.0, 0.1)), "BSS": pac.BSS(), "fine-tune": METHODS["fine-tune"]}
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
    with pytest.raises(ValueError, match="LwF needs the source's outputs"):
        pac.transfer(surrogate, other.train[:6], method=methods["LwF"], source=SOURCE.train)
    given = [surrogate, surrogate]
    again = pac.transfer_curve(SOURCE, TARGET, methods={"a": pac.SourceUnchanged()}, sizes=(4,), seeds=2, surrogates=given)
    assert float(again["rel_l2"][0, 0, 0]) == float(again["rel_l2"][0, 0, 1])  # one source for both seeds, and none trained
    with pytest.raises(ValueError, match="give a model to pretrain, or 2 surrogates, one for each seed"):
        pac.transfer_curve(SOURCE, TARGET, methods={"a": pac.SourceUnchanged()}, sizes=(4,), seeds=2, surrogates=given[:1])
