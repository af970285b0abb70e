"""Bounds of outputs: predictions, intervals and draws stay inside, no error grows, and no interval loses the truth."""

import json
import math

import h5py
import numpy as np
import pytest
import torch
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.files import describe, validate
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.files.variables import Variable
from pac_surrogate.prepare import prepare
from pac_surrogate.surrogates.batch_prediction import predict_many
from pac_surrogate.surrogates.surrogate import Surrogate

BOUNDS = {"fraction": (0, 1), "pressure": (0, None)}
METHODS = {
    "fine-tune": pac.FineTune(),
    "linear correction": pac.LinearCorrection(),
    "GP": pac.GP(on="target"),
    "GP on the residual": pac.GP(on="residual"),
    "co-kriging": pac.CoKriging(),
    "last-layer ridge": pac.LastLayerRidge(),
    "auto": "auto",
}


def samples(count, seed, *, shift=0.0, bounds=None):
    """Return samples of a fraction and a pressure that lie on their bounds for about a third of the inputs each."""
    x = np.random.default_rng(seed).uniform(-2, 2, size=(count, 2))
    y = {
        "fraction": np.clip(0.5 + x[:, 0] + (0.3 + shift) * x[:, 1], 0, 1),
        "pressure": np.maximum(1e5 * (x[:, 1] - 0.5 - shift * x[:, 0]), 0),
    }
    return Dataset.from_arrays(x, y, bounds=bounds)


def adapted(method, bounds, *, intervals=False):
    source = samples(40, 0, bounds=bounds)
    start = initial_surrogate(pac.MLP(hidden=(6,)), source)
    target = samples(24, 1, shift=0.2, bounds=bounds)
    return pac.transfer(start, target, method=method, source=source, steps=20, source_steps=5, intervals=intervals)


NEW = samples(300, 2, shift=0.2)


def inside(values):
    fraction, pressure = values[..., 0], values[..., 1]
    return bool(((fraction >= 0) & (fraction <= 1) & (pressure >= 0)).all())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_predictions_are_projected_onto_the_bounds_and_no_error_grows(method):
    free, bounded = adapted(method, None), adapted(method, BOUNDS)
    before, after = free.predict(NEW), bounded.predict(NEW)
    assert not inside(before)  # otherwise the test would show nothing
    assert inside(after)
    # The fits are the same: only what lies outside moves, and exactly onto the bound.
    np.testing.assert_array_equal(after, np.clip(before, [0, 0], [1, np.inf]))
    truth = NEW.output_matrix
    assert (np.abs(after - truth) <= np.abs(before - truth)).all()
    assert np.abs(after - truth).mean() < np.abs(before - truth).mean()
    np.testing.assert_array_equal(predict_many([bounded], [NEW])[0], after)


@pytest.mark.parametrize("interval", ["jackknife", "posterior"])
def test_intervals_are_cut_and_cover_the_same_samples(interval):
    truth, found = NEW.output_matrix, []
    for bounds in (None, BOUNDS):
        band = adapted(METHODS["GP on the residual"], bounds, intervals=True).predict_interval(NEW, 0.8, interval=interval)
        found.append(band)
        assert (band.lower <= band.mean).all()
        assert (band.mean <= band.upper).all()
    free, cut = found
    covered = [(one.lower <= truth) & (truth <= one.upper) for one in found]
    # A truth on a bound may be gained, if all of the interval lay beyond it; elsewhere the same samples are covered.
    assert (covered[1] >= covered[0]).all()
    interior = (truth > 0) & (truth < [1, np.inf])
    np.testing.assert_array_equal(covered[0][interior], covered[1][interior])
    assert 0.3 < covered[0].mean() < 1  # both kinds of samples occur
    assert not inside(free.lower)
    assert inside(cut.lower)
    assert inside(cut.upper)
    assert (cut.upper - cut.lower).mean() < (free.upper - free.lower).mean()
    assert cut.promised == free.promised


def test_the_posterior_mean_and_the_draws_stay_inside_and_the_variance_is_that_without_bounds():
    free, bounded = (adapted(METHODS["co-kriging"], bounds).posterior(NEW.x[:40]) for bounds in (None, BOUNDS))
    assert inside(bounded.mean)
    drawn = bounded.draws(20, seed=3)
    assert inside(drawn)
    np.testing.assert_array_equal(drawn, np.clip(free.draws(20, seed=3), [0, 0], [1, np.inf]))
    np.testing.assert_array_equal(bounded.variance, free.variance)


def test_a_tensor_gets_the_gradient_inside_and_0_outside():
    free, bounded = adapted(METHODS["GP"], None), adapted(METHODS["GP"], BOUNDS)
    slopes = []
    for surrogate in (free, bounded):
        x = torch.from_numpy(NEW.x[:60]).requires_grad_()
        surrogate.predict(x)[:, 0].sum().backward()
        slopes.append(x.grad)
    cut = torch.from_numpy((free.predict(NEW.x[:60])[:, 0] < 0) | (free.predict(NEW.x[:60])[:, 0] > 1))
    assert 0 < int(cut.sum()) < 60
    assert torch.equal(slopes[1], torch.where(cut[:, None], 0.0, slopes[0]))
    low = bounded.predict(torch.from_numpy(NEW.x).float())  # the outputs are float64, so the prediction is too
    assert inside(low)


def test_bounds_in_float32_are_those_of_float32():
    """0.1 in float32 is 0.100000001: it is the bound, for data and for predictions."""
    x = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
    y = np.minimum(x[:, 0], np.float32(0.1))
    data = Dataset.from_arrays(x, y, bounds=(None, 0.1))
    start = initial_surrogate(pac.MLP(hidden=(4,)), data, torch.float32)
    found = pac.transfer(start, data, method=pac.LinearCorrection(), intervals=False).predict(torch.from_numpy(x))
    assert found.dtype == torch.float32
    assert float(found.max()) == np.float32(0.1)
    with pytest.raises(ValueError, match=r"output must lie within its bounds, at most 0.1, it is 0.1\d* at sample 11: correct"):
        Dataset.from_arrays(x, np.where(x[:, 0] < 1, y, np.nextafter(np.float32(0.1), np.float32(1))), bounds=(None, 0.1))


def test_bounds_survive_data_files_and_saved_surrogates(tmp_path):
    data = samples(30, 0, bounds=BOUNDS)
    data.save(tmp_path / "data.h5")
    opened = pac.open_dataset(tmp_path / "data.h5")
    assert [variable.bounds for variable in opened.outputs] == [(0.0, 1.0), (0.0, None)]
    assert opened.inputs[0].bounds == (None, None)
    np.testing.assert_array_equal(opened.output_matrix, data.output_matrix)
    assert "scaling standard, 0 to 1" in describe(tmp_path / "data.h5")
    assert "scaling standard, at least 0" in describe(tmp_path / "data.h5")
    validate(tmp_path / "data.h5")
    bounded = adapted(METHODS["linear correction"], BOUNDS, intervals=True)
    bounded.save(tmp_path / "bounded.safetensors")
    loaded = Surrogate.load(tmp_path / "bounded.safetensors")
    np.testing.assert_array_equal(loaded.predict(NEW), bounded.predict(NEW))
    free = adapted(METHODS["linear correction"], None)
    free.save(tmp_path / "free.safetensors")
    assert "bounds" not in json.dumps(
        load_tensors(tmp_path / "free.safetensors")[1]
    )  # a surrogate without bounds is saved as before


IMPOSSIBLE = [[1, 0], [0], "abc", [True, 2], [math.nan, 1], [math.inf, None], {"a": 1}, [[0], 1], [10**400, None]]


@pytest.mark.parametrize("bounds", IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
def test_a_file_with_impossible_bounds_is_refused(tmp_path, bounds):
    path = tmp_path / "bounded.safetensors"
    adapted(METHODS["linear correction"], BOUNDS).save(path)
    tensors, header = load_tensors(path)
    assert header["outputs"][0]["bounds"] == [0.0, 1.0]
    header["outputs"][0]["bounds"] = bounds
    save_tensors(path, tensors, header)
    with pytest.raises(pac.DatasetError, match="bounds of fraction must be two numbers") as caught:
        Surrogate.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b"zero", "bounds of fraction must be two numbers"),
        (2.0, "bounds of fraction must be two numbers"),
        (np.nan, "bounds of fraction must be two numbers"),
        (np.array([0.0, 0.5]), "bounds of fraction must be two numbers"),
        (0.5, r"fraction must lie within its bounds, 0.5 to 1, it is 0.\d* at sample \d*: correct the number or the bounds"),
    ],
    ids=["text", "above", "nan", "several", "within"],
)
def test_a_data_file_with_bounds_that_are_none_or_not_its_own_is_refused(tmp_path, value, line):
    path = tmp_path / "data.h5"
    samples(30, 0, bounds=BOUNDS).save(path)
    with h5py.File(path, "r+") as file:
        file["fraction"].attrs["lower_bound"] = value
    with pytest.raises(pac.DatasetError, match=line) as caught:
        _ = pac.open_dataset(path).y
    assert "\n" not in str(caught.value)


def test_the_target_states_the_bounds_or_else_the_source():
    source, target = samples(40, 0, bounds=BOUNDS), samples(24, 1)
    start, unbounded = initial_surrogate(pac.MLP(), source), initial_surrogate(pac.MLP(), samples(40, 0))

    def bounds(surrogate, data, source=None):
        return [variable.bounds for variable in prepare(surrogate, data, source).surrogate.outputs]

    known = [(0.0, 1.0), (0.0, None)]
    assert bounds(start, target) == known
    assert bounds(unbounded, target, source) == known
    assert bounds(unbounded, target) == [(None, None)] * 2
    assert bounds(start, samples(24, 1, bounds={"fraction": (-1, 2)})) == [(-1.0, 2.0), (0.0, None)]
    wide = Dataset.from_arrays(target.x, {"fraction": target["fraction"] * 1.5, "pressure": target["pressure"]})
    with pytest.raises(ValueError, match=r"fraction of the target must lie within the bounds of the source, 0 to 1, got 1.5"):
        prepare(start, wide, None)
    # An output that is new beside one that is known keeps the bounds of the data, and the known one those of the source.
    mixed = Dataset.from_arrays(target.x, {"fraction": target["fraction"], "new": target.x[:, 0]}, bounds={"new": (-2, 2)})
    with pytest.warns(pac.DataWarning, match="new are new"):
        found = pac.transfer(start, mixed, method=pac.LastLayerRidge(), intervals=False)
    assert [variable.bounds for variable in found.outputs] == [(0.0, 1.0), (-2.0, 2.0)]


def test_bounds_that_are_none_are_refused_in_a_line():
    x, y = np.zeros((3, 1)), {"a": np.array([0.0, 0.5, 1.5])}
    cases = {
        r"a must lie within its bounds, 0 to 1, it is 1.5 at sample 2: correct the number or the bounds": (0, 1),
        r"a must lie within its bounds, at least 0.25, it is 0.0 at sample 0": {"a": (0.25, None)},
        r"bounds must name variables \(a\), got b": {"b": (0, 1)},
        r"the bounds of a must be two numbers, the lower one first, with None for an open side": (1, 0),
    }
    for line, bounds in cases.items():
        with pytest.raises(ValueError, match=line) as caught:
            Dataset.from_arrays(x, y, bounds=bounds)
        assert "\n" not in str(caught.value)
    assert Variable("a", bounds=(0, np.inf)).bounds == (0.0, None)
    assert Variable("a", bounds=(0, 1)) == Variable("a")  # a variable is the same with other bounds


X = np.linspace(-1, 1, 40)[:, None]
RISE = 0.9 * (X[:, 0] + 1)  # 0 to 1.8


@pytest.mark.parametrize("method", [pac.FineTune(), pac.GP(on="target")], ids=["fine-tune", "GP"])
def test_another_output_than_that_of_the_source_has_none_of_its_bounds(method):
    source = Dataset.from_arrays(X, {"frac": np.clip(0.5 + X[:, 0], 0, 1)}, bounds={"frac": (0, 1)})
    target = Dataset.from_arrays(X, {"pressure": RISE}, units={"pressure": "Pa"})
    start = initial_surrogate(pac.MLP(hidden=(6,)), source)
    with pytest.warns(pac.DataWarning, match="pressure are new"):
        found = pac.transfer(start, target, method=method, source=source, steps=300, source_steps=5, intervals=False)
    assert found.outputs[0].bounds == (None, None)
    # The truth at the right end is 1.8; with the bounds of the source, no prediction would exceed 1.
    assert found.predict(X).max() > 1.2


def test_outputs_that_match_by_position_have_the_bounds_of_their_matches():
    def of(y, bounds=None):
        return Dataset.from_arrays(X, y, bounds=bounds)

    def bounds(source, target):
        return [v.bounds for v in prepare(initial_surrogate(pac.MLP(), source), target, None).surrogate.outputs]

    pair = np.stack([RISE, RISE / 2], axis=1)
    parts = {"a": RISE, "b": RISE / 2}
    assert bounds(of(RISE), of({"a": RISE}, {"a": (0, 2)})) == [(0.0, 2.0)]
    assert bounds(of({"a": RISE}, {"a": (0, 2)}), of(RISE)) == [(0.0, 2.0)]
    assert bounds(of(parts), of(pair, (0, 3))) == [(0.0, 3.0)] * 2
    # One output stands for both: its bounds contain those of both, and the side that one of them leaves open is open.
    assert bounds(of(pair), of(parts, {"a": (0, 2), "b": (-1, 1)})) == [(-1.0, 2.0)]
    assert bounds(of(pair), of(parts, {"a": (0, 2), "b": (0, None)})) == [(0.0, None)]
    with pytest.raises(ValueError, match=r"output of the target must lie within the bounds of the source, at most 1, got 1\."):
        prepare(initial_surrogate(pac.MLP(), of(pair / 2, (None, 1))), of(parts), None)
