"""Gaussian processes: agreement with scikit-learn, residuals of left-out samples, and the relations that each form recovers."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import MODELS, dataset, surrogate
from closed_forms import solve, standardised
from sklearn.gaussian_process.kernels import RBF, Matern
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files import DatasetError
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.methods.around.gaussian_process import GP
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.predictors import GaussianProcess, build_network
from pac_surrogate.processes.fits import safe_cholesky, weights_of
from pac_surrogate.surrogates.surrogate import Surrogate


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("kernel", ["matern", "rbf"])
@pytest.mark.parametrize("on", ["target", "residual", "augmented"])
@pytest.mark.parametrize("samples", [5, 12])  # fewer than the 8 outputs, and more
def test_predictions_are_scikit_learns(on, kernel, kind, samples):
    """With its kernels and the same hyper-parameters; the unknown mean is that of generalised least squares."""
    source, data = standardised(kind, samples)
    fitted = GP(on=on, kernel=kernel).solve(source.network, data)
    fresh = torch.as_tensor(source.scaling.standardise(dataset(kind, 60, 1)).input_matrix)
    with torch.no_grad():
        before, after = (source.network.predict(x).numpy() for x in (torch.as_tensor(data.input_matrix), fresh))
    values = data.output_matrix - (before if on == "residual" else 0.0)
    components = fitted.projection.numpy()
    z, fresh_z = np.c_[data.input_matrix, before @ components], np.c_[fresh.numpy(), after @ components]

    def covariance(a, b):
        total = np.zeros((len(a), len(b)))
        for amplitude, factors in zip(fitted.amplitudes.numpy(), fitted.inverse_lengths.numpy(), strict=True):
            shape = RBF() if kernel == "rbf" else Matern(nu=2.5)
            total += amplitude * np.prod([shape(a * scale, b * scale) for scale in factors], axis=0)
        return total

    noisy = covariance(z, z) + float(fitted.noise) * np.eye(len(z))
    solved = np.linalg.solve(noisy, np.c_[values, np.ones(len(z))])
    mean = solved[:, :-1].sum(0) / solved[:, -1].sum()
    weights = solved[:, :-1] - solved[:, -1:] * mean
    theirs = mean + covariance(fresh_z, z) @ weights + (after if on == "residual" else 0.0)
    # Condition numbers up to 1e12 leave four digits of the weights; the prediction is far less sensitive.
    np.testing.assert_allclose(fitted.predict(fresh).detach(), theirs, atol=1e-4)
    assert float(np.std(theirs - values.mean(0))) > 1e-6  # by the evidence, five samples may be mostly noise, but not all
    assert (on == "augmented") == (components.shape[1] > 0)


@pytest.mark.parametrize("on", ["target", "residual"])
def test_a_sample_left_out_has_no_part_in_process_mean_and_hyper_parameters(on):
    source, data = standardised("MLP", 7)
    left_out = GP(on=on).left_out(source.network, data).residual
    changed = np.array(data.output_matrix)
    changed[2] += 10.0
    again = GP(on=on).left_out(source.network, data.with_matrices(data.input_matrix, changed)).residual
    # Its own residual grows by as much as the sample, and that of its fold's other sample does not see it in the fit.
    np.testing.assert_allclose(again[2], left_out[2] + 10.0, atol=1e-6)
    for fold in range(5):
        rest = torch.arange(7) % 5 != fold
        posed = GP(on=on)._pose(source.network, data)
        parameters = GP(on=on)._fitted(posed, rest[None])[0]
        covariance = posed.shape.covariance(parameters[None], posed.z)[0]
        for i in torch.nonzero(~rest)[:, 0].tolist():
            others = torch.arange(7) != i
            weights, mean = weights_of(safe_cholesky(covariance[others][:, others]), posed.values[others])
            expected = posed.values[i] - mean - covariance[i, others] @ weights
            np.testing.assert_allclose(left_out[i], expected, atol=1e-3)  # where two searches end


def test_many_inputs_share_a_length_scale_unless_there_are_ten_samples_for_each():
    generator = np.random.default_rng(0)
    for samples, inputs, lengths in ((10, 13, 1), (10, 12, 12), (130, 13, 13)):
        x, y = generator.normal(size=(samples, inputs)), generator.normal(size=(samples, 2))
        found = GP(on="target").solve(surrogate("MLP").network, pac.Dataset.from_arrays(x, y)).inverse_lengths
        assert len(torch.unique(found)) <= lengths
        assert (len(torch.unique(found)) == 1) == (lengths == 1)


@pytest.mark.parametrize("kind", MODELS)
def test_a_shifted_source_is_recovered_from_the_residual(kind):
    source, data = standardised(kind, 6)
    fresh = torch.as_tensor(source.scaling.standardise(dataset(kind, 60, 1)).input_matrix)
    with torch.no_grad():
        before, after = (source.network.predict(x) for x in (torch.as_tensor(data.input_matrix), fresh))
        shifted = GP(on="residual").solve(source.network, data.with_matrices(data.input_matrix, (before + 1.5).numpy()))
        np.testing.assert_allclose(shifted.predict(fresh), after + 1.5, atol=1e-12)


class _Wave(nn.Module):
    """The low-fidelity model of Perdikaris et al. (2017), section 3(a), on (0, 1): sin(8 pi x)."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(1, 1)

    def forward(self, x):
        return torch.sin(self.scale(x))


def test_the_augmented_process_recovers_a_nonlinear_relation():
    x = np.linspace(0, 1, 101)[:, None]
    low = np.sin(8 * np.pi * x)
    high = (x - 2**0.5) * low**2
    data = pac.Dataset.from_arrays(x, high)
    network = build_network(pac.Module(_Wave()), data.inputs, data.outputs)
    exact = {"module.scale.weight": torch.full((1, 1), 8 * np.pi), "module.scale.bias": torch.zeros(1)}
    network = dataclasses.replace(network, weights={name: weight.double() for name, weight in exact.items()})
    source = Surrogate(network, fit_scaling(data), data.inputs, data.outputs)
    some = data[np.random.default_rng(0).permutation(101)[:14]]
    error = {}
    for on in ("target", "residual", "augmented"):
        with torch.no_grad():
            prediction = GP(on=on, kernel="rbf").solve(source.network, some).predict(torch.as_tensor(x)).numpy()
        error[on] = np.sqrt(np.mean((prediction - high) ** 2)) / high.std()
    # 14 points are too few for four periods, but enough for a parabola in f_S whose coefficient is linear in x.
    assert error["augmented"] < 0.03
    assert min(error["target"], error["residual"]) > 0.3


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("on", ["target", "residual", "augmented"])
def test_a_loaded_process_predicts_the_same_bits_and_batches_do_not_matter(on, kind, tmp_path):
    result = solve(GP(on=on), kind, 9, torch.float32).surrogate
    result.save(tmp_path / "gp")
    loaded, x = pac.Surrogate.load(tmp_path / "gp"), dataset(kind, 60, 1)
    assert np.array_equal(loaded.predict(x), result.predict(x))
    np.testing.assert_allclose(result.predict(x, batch_size=7), result.predict(x), atol=1e-6)  # the network is in float32
    again = solve(GP(on=on), kind, 9, torch.float32).surrogate.predictor
    assert torch.equal(again.alpha, result.predictor.alpha)


@pytest.mark.parametrize(("key", "value"), [("on", "best"), ("kernel", "flat"), ("base", None), ("on", "target")])
def test_hostile_descriptions_are_refused(key, value, tmp_path):
    solve(GP(on="augmented"), "MLP", 6).surrogate.save(tmp_path / "gp")
    tensors, header = load_tensors(tmp_path / "gp")
    header["predictor"][key] = value
    save_tensors(tmp_path / "gp", tensors, header)
    with pytest.raises(DatasetError, match="Gaussian process"):
        pac.Surrogate.load(tmp_path / "gp")


@pytest.mark.parametrize("name", ["points", "alpha", "mean", "amplitudes", "inverse_lengths", "projection"])
def test_damaged_arrays_are_refused(name, tmp_path):
    solve(GP(on="augmented"), "MLP", 6).surrogate.save(tmp_path / "gp")
    tensors, header = load_tensors(tmp_path / "gp")
    whole = tensors[f"process/{name}"]
    for broken in (whole[..., 1:], whole.float(), torch.tensor(1.0).double()):
        save_tensors(tmp_path / "gp", {**tensors, f"process/{name}": broken}, header)
        with pytest.raises(DatasetError, match="not a complete surrogate"):
            pac.Surrogate.load(tmp_path / "gp")


@pytest.mark.parametrize("kind", MODELS)
def test_no_samples_give_the_source_and_too_few_are_refused(kind):
    before = surrogate(kind).weights
    for on in ("residual", "augmented"):
        none = solve(GP(on=on), kind, 0).surrogate
        assert all(torch.equal(none.weights[name], weight) for name, weight in before.items())
    with pytest.raises(ValueError, match="needs target samples: give at least 1"):
        solve(GP(on="target"), kind, 0)
    for on in ("target", "residual", "augmented"):
        assert "takes 2 to 1000 target samples, got 1" in solve(GP(on=on), kind, 1).refused
        two = solve(GP(on=on), kind, 2).surrogate
        assert isinstance(two.predictor, GaussianProcess)
        assert np.isfinite(two.predict(dataset(kind, 60, 1))).all()


def test_outputs_that_never_vary_are_predicted_as_they_are():
    source, data = standardised("MLP", 5)
    constant = data.with_matrices(data.input_matrix, np.full((5, 8), 0.25))
    fitted = GP(on="target").solve(source.network, constant)
    np.testing.assert_allclose(fitted.predict(torch.as_tensor(data.input_matrix)), 0.25, atol=1e-12)


@pytest.mark.parametrize(("option", "value"), [("on", "source"), ("kernel", "periodic")])
def test_wrong_settings_are_refused_in_one_line(option, value):
    with pytest.raises(ValueError, match=f"{option} must be .*{value}") as caught:
        GP(**{option: value})
    assert "\n" not in str(caught.value)


def test_too_many_samples_are_not_applicable():
    with pytest.raises(NotApplicableError, match="got 1001"):
        GP().solve(surrogate("MLP").network, dataset("MLP", 1001, 1))
