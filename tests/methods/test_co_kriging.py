"""Co-kriging: the Forrester pair, agreement with smt, components, and refusals."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
from adapting import transferred
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.files import DatasetError
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.methods.around import co_kriging
from pac_surrogate.methods.around.co_kriging import CoKriging, fit_levels
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.predictors import CoKriging as CoKrigingPredictor

pytest.importorskip("smt", reason="co-kriging is fitted by smt, which is an extra")


def forrester(x):
    high = (6 * x - 2) ** 2 * np.sin(12 * x - 4)
    return high, 0.5 * high + 10 * (x - 0.5) - 5


def surrogate(data, model=None):
    """A source of known weights, not trained: co-kriging uses the samples, and of the network only the size of its error."""
    return initial_surrogate(model or pac.MLP(hidden=(4,)), data, torch.float32)


def solve(method, source, target, model=None):
    return transferred(surrogate(source, model), target, method, source)


def forrester_pair():
    x = np.linspace(0, 1, 20)[:, None]
    some = np.linspace(0, 1, 7)[:, None]
    return pac.Dataset.from_arrays(x, forrester(x)[1]), pac.Dataset.from_arrays(some, forrester(some)[0])


def test_the_forrester_pair_is_recovered(tmp_path):
    """y_H = 2 y_L - 20 (x - 0.5) + 10 (Forrester, Sobester & Keane 2007)."""
    source, target = forrester_pair()
    result = solve(CoKriging(), source, target).surrogate
    # Both levels have one scaling, so rho has its value in physical units.
    assert abs(float(result.predictor.rho) / 2 - 1) < 0.05
    fresh = np.linspace(0, 1, 101)[:, None]
    high = forrester(fresh)[0]
    prediction = result.predict(fresh)
    assert np.linalg.norm(prediction - high) / np.linalg.norm(high) < 1e-2
    result.save(tmp_path / "co-kriging")
    assert np.array_equal(pac.Surrogate.load(tmp_path / "co-kriging").predict(fresh), prediction)
    # Twenty points on a smooth curve are nearly dependent: coefficients of 1e9 cause rounding errors of 1e-7.
    np.testing.assert_allclose(result.predict(fresh, batch_size=7), prediction, atol=1e-5)


@pytest.mark.parametrize("samples", [8, 4])  # linear trends, and constant ones
def test_the_prediction_of_smts_model_is_reproduced(samples, monkeypatch):
    generator = np.random.default_rng(0)
    low_x, high_x, fresh = (generator.uniform(size=(count, 2)) for count in (25, samples, 30))

    def low(x):
        return 5 + np.sin(4 * x[:, 0]) + x[:, 1] ** 2

    kept = []
    train = co_kriging._train
    monkeypatch.setattr(co_kriging, "_train", lambda *a, **k: kept.append(train(*a, **k)) or kept[-1])
    source = pac.Dataset.from_arrays(low_x, low(low_x))
    target = pac.Dataset.from_arrays(high_x, 1.5 * low(high_x) + high_x[:, 0] - 2)
    network = surrogate(source).network
    fitted = CoKriging(starts=1).solve(network, source, target)  # in physical units, whose mean is far from 0
    (model,) = kept
    assert model.options["poly"] == ("linear" if samples == 8 else "constant")
    np.testing.assert_allclose(fitted.predict(torch.as_tensor(fresh)), model.predict_values(fresh), atol=1e-10)


def fields(samples, seed, rank=2):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, size=(samples, 2))
    shapes = np.random.default_rng(7).normal(size=(3, 12))
    modes = np.stack([np.sin(2 * x[:, 0]), x[:, 1] ** 2, x[:, 0] * x[:, 1]], axis=1)[:, :rank]
    return x, modes @ shapes[:rank]


def test_fields_need_as_many_components_as_they_have_modes():
    x, low = fields(30, 0)
    some, high = fields(8, 1)
    fresh, truth = fields(50, 2)
    source, target = pac.Dataset.from_arrays(x, low), pac.Dataset.from_arrays(some, 2 * high + 1)
    result = solve(CoKriging(components=6, starts=1), source, target).surrogate
    # Two modes of the source, and one more direction of the target, its shift by 1.
    assert result.predictor.basis.shape == (3, 12)
    prediction = result.predict(fresh.clip(-0.8, 0.8))
    truth = 2 * fields_at(fresh.clip(-0.8, 0.8)) + 1
    assert np.sqrt(np.mean((prediction - truth) ** 2)) / truth.std() < 0.05  # smooth modes, 30 samples, a linear relation


def fields_at(x):
    shapes = np.random.default_rng(7).normal(size=(3, 12))
    return np.stack([np.sin(2 * x[:, 0]), x[:, 1] ** 2], axis=1) @ shapes[:2]


def test_components_leave_out_at_most_a_tenth_of_the_sources_error():
    generator = np.random.default_rng(0)
    low, high = generator.normal(size=(40, 12)), generator.normal(size=(6, 12))
    for error in (0.5, 2.0, 8.0):
        mean, basis = CoKriging(components=12)._basis(low, high, error)
        np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
        lost = [float(np.sqrt(np.mean(((high - mean) - (high - mean) @ rows.T @ rows) ** 2))) for rows in (basis, basis[:-1])]
        assert lost[0] <= 0.1 * error < lost[1]
        with pytest.raises(NotApplicableError, match=f"components={len(basis)}") as caught:
            CoKriging(components=len(basis) - 1)._basis(low, high, error)
        assert "\n" not in str(caught.value)


def test_many_outputs_without_components_are_not_applicable():
    x, low = fields(30, 0)
    data = pac.Dataset.from_arrays(x, low)
    assert "at most 8, got 12: set components" in solve(CoKriging(), data, data[:5]).refused


def test_co_kriging_applies_to_a_cnn_as_well_as_to_an_mlp():
    generator = np.random.default_rng(0)
    field = generator.normal(size=(20, 4))
    axes = {"a": ("x",), "u": ("x",)}
    source = pac.Dataset.from_arrays({"a": field}, {"u": np.outer(np.tanh(field[:, 0]), np.ones(4))}, axes=axes)
    model = pac.CNN(channels=2, blocks=1, levels=1)
    result = solve(CoKriging(components=2, starts=1), source, source[:7], model).surrogate
    assert result.predictor.basis.shape == (1, 4)
    np.testing.assert_allclose(result.predict(source[:7]), source[:7].y, atol=1e-6)  # kriging interpolates


def test_no_samples_give_the_source_and_too_few_are_refused():
    source, target = forrester_pair()
    none = solve(CoKriging(), source, target[:0]).surrogate
    assert all(torch.equal(none.weights[name], weight) for name, weight in surrogate(source).weights.items())
    for samples in (1, 2):
        assert f"3 samples on each side, got 20 and {samples}" in solve(CoKriging(), source, target[:samples]).refused
    assert solve(CoKriging(), source, target[:3]).refused is None


def test_new_outputs_are_not_applicable():
    source, target = forrester_pair()
    new = pac.Dataset.from_arrays({"input": target.x}, {"flux": target.y})
    assert solve(CoKriging(), source, new).refused is None  # the source has a default name: outputs are matched by position
    named = pac.Dataset.from_arrays(source.x, {"drag": source.y})
    assert "these are new" in solve(CoKriging(), named, new).refused


def test_only_the_first_source_samples_are_used_and_the_result_is_reproducible():
    source, target = forrester_pair()
    first, second = (solve(CoKriging(source_samples=9), source, target).surrogate.predictor for _ in range(2))
    assert first.low == 9
    assert torch.equal(first.gamma, second.gamma)


def test_a_missing_smt_is_reported_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "smt.applications", None)
    x = np.linspace(0, 1, 6)
    with pytest.raises(ValueError, match=r"pip install 'smt>=2\.13'") as caught:
        fit_levels(x[:, None], x, x[:, None], x, starts=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["points", "theta", "trend", "gamma", "rho", "basis", "mean", "offset", "scale"])
def test_damaged_files_are_refused(name, tmp_path):
    numbers = {"offset": (1,), "scale": (1,), "points": (9, 1), "theta": (2, 1, 1), "trend": (2, 1, 2), "gamma": (1, 9)}
    numbers |= {"rho": (1,), "basis": (1, 1), "mean": (1,)}
    arrays = {key: torch.ones(shape, dtype=torch.float64) for key, shape in numbers.items()}
    source, _ = forrester_pair()
    whole = dataclasses.replace(surrogate(source), predictor=CoKrigingPredictor(**arrays, low=5))
    whole.save(tmp_path / "whole")
    tensors, header = load_tensors(tmp_path / "whole")
    array = tensors[f"co-kriging/{name}"]
    for broken in (array[..., 1:], array.float(), torch.tensor(1.0).double()):
        save_tensors(tmp_path / "broken", {**tensors, f"co-kriging/{name}": broken}, header)
        with pytest.raises(DatasetError, match="not a complete surrogate"):
            pac.Surrogate.load(tmp_path / "broken")
    for low in (-1, 10, 2.0):
        save_tensors(tmp_path / "broken", tensors, {**header, "predictor": {**header["predictor"], "low": low}})
        with pytest.raises(DatasetError, match="does not fit"):
            pac.Surrogate.load(tmp_path / "broken")


@pytest.mark.parametrize("option", ["source_samples", "components", "starts"])
def test_wrong_settings_are_refused_in_one_line(option):
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        CoKriging(**{option: 0})
