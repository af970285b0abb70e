"""The readout fitted in closed form: ridge regression, and the minimiser of the linear probe's Plan."""

import dataclasses

import closed_forms
import numpy as np
import pytest
import torch
from adapting import case_of, plan_of
from cases import MODELS, dataset, surrogate
from closed_forms import solve
from sklearn.linear_model import Ridge
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.kernels.jacobian import loss_gradient
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.methods.tuned.last_layer_ridge import LastLayerRidge, last_rows, minimiser
from pac_surrogate.methods.tuned.linear_probe import readout_plan
from pac_surrogate.models import evaluate
from pac_surrogate.predictors import build_network
from pac_surrogate.surrogates.outputs import with_outputs_of
from pac_surrogate.surrogates.surrogate import Surrogate


def solved_on(source, strength, data):
    return minimiser(source, readout_plan(source, strength), data)


def standardised(kind, samples):
    source, data = closed_forms.standardised(kind, samples)
    x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
    return source, data, x, y


@pytest.mark.parametrize("kind", MODELS)
def test_the_fitted_readout_is_that_of_scikit_learns_ridge_towards_the_source(kind):
    source, data, x, y = standardised(kind, 6)
    features, target, _ = last_rows(source, x, y)
    solved = solved_on(source, 0.3, data)
    before, after = (w["readout.weight"].flatten(1).numpy() for w in (source.weights, solved.weights))
    # The mean over all of y and the penalty strength / 2 give y.numel() * strength / 2 beside the sum of squares.
    ridge = Ridge(alpha=y.numel() * 0.3 / 2, tol=1e-14).fit(features.numpy(), target.numpy() - features.numpy() @ before.T)
    np.testing.assert_allclose(after - before, np.atleast_2d(ridge.coef_), atol=1e-10)  # rounding of one small solve
    np.testing.assert_allclose(solved.weights["readout.bias"], np.atleast_1d(ridge.intercept_), atol=1e-10)
    assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("strength", [0.02, 3.0])
def test_the_slope_of_the_linear_probes_objective_is_0_at_the_fitted_readout(kind, strength):
    source, data, x, y = standardised(kind, 6)
    plan = plan_of(pac.LinearProbe(strength=strength), case_of(source, dataset(kind, 6, 10, 0.4)))
    weights = solved_on(source, strength, data).weights
    slope = loss_gradient(source.network.module, weights, x, y)
    for name in ("readout.weight", "readout.bias"):
        total = slope[name] + plan.strength[name] * (weights[name] - plan.anchor[name])
        # The objective is convex and quadratic in the readout: only the minimiser has slope 0; at the source it exceeds 0.01.
        assert float(total.abs().max()) < 1e-12
        assert float(loss_gradient(source.network.module, source.weights, x, y)[name].abs().max()) > 1e-2


@pytest.mark.parametrize("kind", MODELS)
def test_the_body_keeps_its_bits_and_dtype_and_without_samples_nothing_changes(kind):
    for dtype in (torch.float32, torch.float64):
        before = surrogate(kind, dtype).weights
        none, some = (solve(LastLayerRidge(), kind, samples, dtype).surrogate.weights for samples in (0, 5))
        for name, weight in before.items():
            assert torch.equal(none[name], weight)
            assert some[name].dtype == dtype
            assert torch.equal(some[name], weight) != name.startswith("readout")


def test_a_strong_pull_moves_only_the_bias_which_fits_one_sample_exactly():
    source, data, x, y = standardised("MLP", 1)
    solved = solved_on(source, 1e12, data)
    # The pulled weights move by residual / strength = 1e-12; the free bias takes up the whole residual.
    assert float((solved.weights["readout.weight"] - source.weights["readout.weight"]).abs().max()) < 1e-11
    np.testing.assert_allclose(solved.predict(x), y, atol=1e-10)


def test_without_a_pull_the_readout_interpolates_with_the_least_change():
    source, data, x, y = standardised("MLP", 4)
    solved = solved_on(source, 0.0, data)
    np.testing.assert_allclose(solved.predict(x), y, atol=1e-10)
    change = (solved.weights["readout.weight"] - source.weights["readout.weight"]).numpy()
    features = last_rows(source, x, y)[0].numpy()
    rows = np.linalg.svd(features - features.mean(0))[2][:3]  # 4 centred samples span 3 directions
    np.testing.assert_allclose(change - change @ rows.T @ rows, 0, atol=1e-10)


def test_a_new_readout_is_pulled_towards_zero():
    source = surrogate("MLP")
    data = dataset("MLP", 12, 10)
    new = pac.Dataset.from_arrays({v.name: data[v.name] for v in data.inputs}, {"flux": data.y[:, :2]})
    prepared = with_outputs_of(source, new)
    solved = solved_on(prepared, 1e12, prepared.scaling.standardise(new))
    assert float(solved.weights["readout.weight"].abs().max()) < 1e-11
    fitted = solved_on(prepared, 1e-6, prepared.scaling.standardise(new))
    assert float(fitted.weights["readout.weight"].abs().max()) > 0.1


def test_rows_of_a_field_on_two_axes_with_channels_match_those_of_the_readout():
    generator = np.random.default_rng(0)
    arrays = generator.normal(size=(5, 4, 8)), generator.normal(size=(5, 4, 8, 3)), generator.normal(size=(5, 2, 4, 8))
    axes = {"a": ("x", "y"), "u": ("x", "y", "channel"), "v": ("time", "x", "y")}
    data = pac.Dataset.from_arrays({"a": arrays[0]}, {"u": arrays[1], "v": arrays[2]}, axes=axes)
    network = build_network(pac.CNN(channels=3, blocks=1, levels=1), data.inputs, data.outputs)
    source = Surrogate(network, fit_scaling(data), data.inputs, data.outputs)
    x, y = (torch.as_tensor(matrix) for matrix in (data.input_matrix, data.output_matrix))
    _, target, _ = last_rows(source, x, y)  # `last_rows` checks features and prediction
    assert target.shape == (5 * 4 * 8, 3 + 2)
    solved = solved_on(dataclasses.replace(source, predictor=to_double(network)), 0.0, data)
    slope = loss_gradient(network.module, solved.weights, x, y)
    assert max(float(slope[name].abs().max()) for name in ("readout.weight", "readout.bias")) < 1e-12


def to_double(network):
    return dataclasses.replace(network, weights={name: w.double() for name, w in network.weights.items()})


class _Own(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.body, self.head, self.features = nn.Linear(9, 5), nn.Linear(5, 8), features

    def forward(self, x):
        h = torch.tanh(self.body(x))
        return self.head(h), {"right": (h,), "wrong": (2 * h,), "none": ()}[self.features]


@pytest.mark.parametrize("features", ["right", "wrong", "none"])
def test_a_module_must_return_what_its_readout_reads(features):
    data = dataset("MLP", 6, 10)
    network = to_double(build_network(pac.Module(_Own(features)), data.inputs, data.outputs))
    source = Surrogate(network, fit_scaling(data), data.inputs, data.outputs)
    scaled = source.scaling.standardise(data)
    if features == "right":
        x = torch.as_tensor(scaled.input_matrix)
        solved = solved_on(source, 0.0, scaled)
        prediction, _ = evaluate(network.module, solved.weights, x)
        np.testing.assert_allclose(prediction.detach(), scaled.output_matrix, atol=1e-9)  # 6 samples, 5 features and a bias
    else:
        with pytest.raises(NotApplicableError, match="last feature") as caught:
            solved_on(source, 0.1, scaled)
        assert "\n" not in str(caught.value)


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match=r"strength must be finite and not negative, got -1\.0"):
        LastLayerRidge(strength=-1.0)
