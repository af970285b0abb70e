"""Gaussian processes: agreement with scikit-learn, derivatives, many outputs, samples that are not seen, and the search."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from pac_surrogate.predictors.processes import conditioned
from pac_surrogate.processes import fits
from pac_surrogate.processes.covariance import AMPLITUDES, KERNELS, LENGTHS, NOISE, Shape, cross_covariance
from pac_surrogate.processes.evidence import log_evidence
from pac_surrogate.processes.fits import Below, Problems, fit, left_out, safe_cholesky, weights_of
from pac_surrogate.processes.maximise import maximise


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def theirs(kernel, inputs, *, optimizer="fmin_l_bfgs_b", noise=1e-2, amplitude=1.0, lengths=None):
    length = np.full(inputs, inputs**0.5) if lengths is None else lengths
    shape = RBF(length, LENGTHS) if kernel == "rbf" else Matern(length, LENGTHS, nu=2.5)
    whole = ConstantKernel(amplitude, AMPLITUDES) * shape + WhiteKernel(noise, NOISE)
    return GaussianProcessRegressor(whole, optimizer=optimizer)


def problem(shape, z, y, **options):
    return Problems(shape, z, y[None], torch.ones(1, len(z), dtype=torch.bool), **options)


@pytest.mark.parametrize("kernel", KERNELS)
def test_mean_variance_and_evidence_are_scikit_learns_at_the_same_hyper_parameters(kernel):
    """scikit-learn has no unknown mean: it is the limit of a constant covariance of great variance."""
    z, y, fresh = numbers(9, 3), numbers(9, 1, seed=1) + 5, numbers(4, 3, seed=2)
    lengths, amplitude, noise = np.array([0.7, 1.3, 2.0]), 1.7, 0.02
    shape = Shape(kernel, 3)
    point = torch.tensor([amplitude, *lengths, noise]).double().log()
    peer = theirs(kernel, 3, optimizer=None, noise=noise, amplitude=amplitude, lengths=lengths).fit(z, y)
    covariance = shape.covariance(point[None], z)
    known = float(log_evidence(covariance, y[None], basis=torch.zeros(9, 0).double()))
    assert known == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-9)  # condition numbers of some hundreds
    amplitudes, inverse, found_noise = shape.decode(point, 9)
    assert float(found_noise) == pytest.approx(noise, rel=1e-9)
    factor = safe_cholesky(covariance)
    weights, mean = weights_of(factor, y[None])
    cross = cross_covariance(kernel, amplitudes, inverse, fresh, z)
    posterior = conditioned(factor[0], cross, cross_covariance(kernel, amplitudes, inverse, fresh, fresh))
    great = 1e6
    flat = GaussianProcessRegressor(peer.kernel_ + ConstantKernel(great), optimizer=None).fit(z, y)
    expected, spread = flat.predict(fresh.numpy(), return_std=True)
    # The limit is reached up to 1 / great; rounding in their matrix, whose condition number is 1e8, adds 1e-8.
    np.testing.assert_allclose((mean[0] + cross @ weights[0])[:, 0], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(posterior.diagonal(), spread**2 - noise, rtol=0, atol=1e-4)
    # A constant of variance v adds log v for the one degree of freedom that the flat prior takes, and its own 2 pi.
    limit = flat.log_marginal_likelihood_value_ + 0.5 * np.log(2 * np.pi * great)
    assert float(log_evidence(covariance, y[None])) == pytest.approx(limit, abs=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(3))
def test_the_evidence_found_is_at_least_that_of_scikit_learns_search(kernel, seed):
    z = numbers(15, 2, seed=seed)
    y = torch.sin(2 * z[:, :1]) + z[:, 1:] ** 2 + 0.05 * numbers(15, 1, seed=seed + 10)
    y = (y - y.mean()) / y.std(correction=0)
    shape = Shape(kernel, 2)
    own = problem(shape, z, y)
    parameters, evidence = fit(own)
    searched = [theirs(kernel, 2, noise=noise).fit(z, y).kernel_.theta for noise in (1e-2, 1e-6)]
    rivals = own.evidence(torch.from_numpy(np.stack(searched)), torch.zeros(2, dtype=torch.int64))
    # Theirs maximise the evidence with the mean of the samples in place of the unknown one, so ours is higher by some tenths.
    assert float(evidence) >= float(rivals.max()) - 1e-5  # a search ends after steps that gain 1e-7
    assert float(own.evidence(parameters, torch.zeros(1, dtype=torch.int64))) == pytest.approx(float(evidence), abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("components", [0, 2])
def test_derivatives_are_those_of_differences(kernel, components):
    z, y = numbers(8, 3 + components), numbers(8, 2, seed=1)
    shape = Shape(kernel, 3, components)
    own = problem(shape, z, y)
    point = shape.starts()[0] + 0.3 * numbers(shape.count, seed=2)
    which = torch.zeros(1, dtype=torch.int64)
    variable = point.clone()[None].requires_grad_()
    (gradient,) = torch.autograd.grad(own.evidence(variable, which).sum(), variable)
    step = 1e-5
    moves = step * torch.eye(shape.count).double()
    differences = [float(own.evidence((point + m)[None], which) - own.evidence((point - m)[None], which)) for m in moves]
    # An error of second order in the step, and rounding divided by the step.
    np.testing.assert_allclose(gradient[0], np.array(differences) / (2 * step), atol=1e-6)
    assert float(gradient.abs().min()) > 1e-4


def test_derivatives_with_a_level_below_are_those_of_differences():
    z, y, root = numbers(8, 2), numbers(8, 1, seed=1), numbers(8, 8, seed=2)
    own = problem(Shape("matern", 2), z, y, below=Below(numbers(1, 8, seed=3), (0.1 * root @ root.T)[None]))
    point, which = torch.tensor([0.3, 0.2, 0.5, -3.0, 0.8]).double(), torch.zeros(1, dtype=torch.int64)
    variable = point.clone()[None].requires_grad_()
    (gradient,) = torch.autograd.grad(own.evidence(variable, which).sum(), variable)
    moves = 1e-5 * torch.eye(5).double()
    differences = [float(own.evidence((point + m)[None], which) - own.evidence((point - m)[None], which)) for m in moves]
    np.testing.assert_allclose(gradient[0], np.array(differences) / 2e-5, atol=1e-6)
    assert float(gradient.abs().min()) > 1e-3


def test_outputs_beyond_the_number_of_samples_are_replaced_by_columns_of_equal_evidence():
    z, y = numbers(6, 2), numbers(6, 20, seed=1)
    shape = Shape("rbf", 2)
    columns = y @ torch.linalg.svd(y, full_matrices=False)[2].T
    assert columns.shape == (6, 6)
    covariance = shape.covariance(shape.starts(), z)
    whole = log_evidence(covariance, y.expand(4, -1, -1))
    torch.testing.assert_close(log_evidence(covariance, columns.expand(4, -1, -1), outputs=20), whole, rtol=1e-9, atol=0)
    each = sum(log_evidence(covariance, y[:, [k]].expand(4, -1, -1)) for k in range(20))
    torch.testing.assert_close(whole, each, rtol=1e-9, atol=0)


def test_samples_that_are_not_seen_have_no_influence():
    z, y = numbers(7, 2), numbers(7, 1, seed=1)
    seen = torch.tensor([True, False, True, True, False, True, True])
    shape = Shape("matern", 2)
    point = shape.starts()[:1]
    hidden = log_evidence(shape.covariance(point, z), y[None], seen=seen[None])
    # The jitter grows with the number of samples, by 2e-15 here.
    torch.testing.assert_close(hidden, log_evidence(shape.covariance(point, z[seen]), y[None, seen]), rtol=1e-9, atol=0)
    spoilt = torch.where(seen[:, None], y, 1e3)
    one, _ = fit(Problems(shape, z, y[None], seen[None]))
    other, _ = fit(Problems(shape, z, spoilt[None], seen[None]))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2])
def test_processes_of_one_or_two_samples_have_finite_hyper_parameters(samples):
    z, y = numbers(samples, 2), numbers(samples, 1, seed=1)
    parameters, evidence = fit(problem(Shape("matern", 2), z, y))
    assert bool(torch.isfinite(parameters).all() & torch.isfinite(evidence).all())


def test_hyper_parameters_follow_the_unit_of_the_values():
    z, y = numbers(12, 2), torch.sin(numbers(12, 2).sum(1, keepdim=True))
    shape = Shape("rbf", 2)
    (one, low), (other, high) = fit(problem(shape, z, y)), fit(problem(shape, z, 1e6 * y))
    expected = one + shape.variances.double() * 2 * np.log(1e6)
    torch.testing.assert_close(other, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(high, low - 11 * np.log(1e6), rtol=1e-6, atol=0)  # eleven degrees of freedom


def test_problems_that_are_fitted_together_are_fitted_as_if_alone():
    z, values = numbers(10, 2), numbers(3, 10, 1, seed=1)
    shape, all_seen = Shape("matern", 2), torch.ones(3, 10, dtype=torch.bool)
    _, evidence = fit(Problems(shape, z, values, all_seen))
    for k in range(3):
        _, own = fit(Problems(shape, z, values[[k]], all_seen[:1]))
        # Products of many matrices at once may be rounded otherwise; the value is flat at the maximum.
        assert float(evidence[k]) == pytest.approx(float(own), abs=1e-4)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(fits, "ENTRIES", 100)  # one problem at a time
        _, apart = fit(Problems(shape, z, values, all_seen))
    torch.testing.assert_close(apart, evidence, rtol=0, atol=1e-4)


def test_left_out_residuals_are_those_of_processes_without_the_sample():
    z, y, group = numbers(7, 2), numbers(7, 2, seed=1), torch.tensor([0, 1, 2, 0, 3, 4, 1])
    shape = Shape("matern", 2)
    covariance = shape.covariance(shape.starts()[:1], z)
    found = left_out(safe_cholesky(covariance), y[None], group)[0]
    for number in range(5):
        own, rest = group == number, group != number
        factor = safe_cholesky(covariance[0][rest][:, rest])
        weights, mean = weights_of(factor, y[rest])
        expected = y[own] - mean - covariance[0][own][:, rest] @ weights
        torch.testing.assert_close(found[own], expected, rtol=0, atol=1e-9)  # condition numbers of some hundreds


def test_more_samples_refine_what_the_first_hundred_found():
    z = numbers(200, 1)
    y = torch.sin(3 * z) + 0.1 * numbers(200, 1, seed=1)
    own = problem(Shape("rbf", 1), z, y)
    (_, first), (parameters, whole) = fit(own.first(100)), fit(own)
    assert float(first) != float(whole)
    assert float(parameters[0, -1].exp()) == pytest.approx(0.01, rel=0.3)  # 200 samples: a relative deviation of 0.1
    assert float(whole) == pytest.approx(float(own.evidence(parameters, torch.zeros(1, dtype=torch.int64))), abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_covariance_that_is_singular_in_float64_gets_more_noise(kernel):
    z = torch.linspace(-1, 1, 30).double()[:, None]
    singular = cross_covariance(kernel, torch.ones(1).double(), torch.full((1, 1, 1), 1e-4).double(), z, z)
    assert torch.linalg.matrix_rank(singular) < 30
    factor = safe_cholesky(singular)
    torch.testing.assert_close(factor @ factor.T, singular, rtol=0, atol=1e-8)
    with pytest.raises(ValueError, match="not finite"):
        safe_cholesky(singular * torch.nan)


def test_the_search_finds_maxima_inside_the_box_and_on_its_sides():
    centre = torch.tensor([[0.5, -0.3], [5.0, 0.2], [-7.0, 9.0]]).double()
    matrix = torch.tensor([[100.0, 9.0], [9.0, 1.0]]).double()  # a long valley

    def function(points, which):
        d = points - centre[which]
        return -0.5 * (d @ matrix * d).sum(1), -d @ matrix

    bounds = torch.tensor([[-1.0, -1.0], [1.0, 1.0]]).double()
    found, value = maximise(function, torch.zeros(3, 2).double(), bounds)
    torch.testing.assert_close(found[0], centre[0], rtol=0, atol=1e-3)
    for k in (1, 2):  # on the side of the box the free coordinate is the maximum along it
        grid = torch.linspace(-1, 1, 2001).double()
        side = [torch.stack([torch.full_like(grid, s), grid], 1) for s in (-1.0, 1.0)]
        side += [one.flip(1) for one in side]
        best = max(float(function(one, torch.full((2001,), k))[0].max()) for one in side)
        assert float(value[k]) == pytest.approx(best, rel=1e-5)


def test_the_search_stays_where_the_function_is_finite():
    def function(points, _):
        inside = points[:, 0] < 0.4
        return torch.where(inside, points[:, 0], -torch.inf), torch.ones_like(points)

    start = torch.tensor([[0.0], [0.9]]).double()
    found, value = maximise(function, start, torch.tensor([[-1.0], [1.0]]).double())
    assert 0.35 < float(found[0, 0]) < 0.4
    assert float(found[1, 0]) == pytest.approx(0.9)  # its start is outside, so it cannot move
    assert not bool(torch.isfinite(value[1]))


def test_the_search_for_the_greatest_evidence_is_not_lost_in_another_maximum():
    """A smooth function without noise has two maxima: one explains it as noise, the other is about e^30 times as likely."""
    cases = [numbers(10, 2, seed=seed) for seed in range(6)]
    values = torch.stack([0.3 * torch.exp(0.5 * z[:, :1]) for z in cases])
    shape = Shape("matern", 2)
    evidence = []
    for z, y in zip(cases, values, strict=True):
        evidence.append(float(fit(problem(shape, z, y / y.std()))[1]))
    assert min(evidence) > 20  # 25 to 40 where the function is found, below 5 where it is explained as noise
