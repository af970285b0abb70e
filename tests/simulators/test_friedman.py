"""Friedman's function: agreement with scikit-learn, mean and variance in closed form, and sources of a stated dissimilarity."""

import itertools
import json
import math
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch
from drawing import generator
from scipy.special import sici
from sklearn.datasets import make_friedman1

from pac_surrogate.files import Variable
from simulators.ensemble import Ensemble
from simulators.tables.friedman import Friedman, solve_friedman


def uniform(samples, features=10, seed=0):
    return torch.rand(samples, features, generator=generator(seed), dtype=torch.float64)


def test_without_dissimilarity_it_is_the_function_of_scikit_learn():
    features, expected = make_friedman1(200, noise=0.0, random_state=0)
    found, _ = Friedman().solve({"features": torch.from_numpy(features)})
    np.testing.assert_allclose(found["y"], expected, rtol=1e-13)


def moments(*coefficients):
    """Return mean and variance over the unit cube: the parts of y share no feature; each is integrated by Gauss-Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    nodes, weights = torch.from_numpy(nodes / 2 + 0.5), torch.from_numpy(weights / 2)
    mean = variance = 0.0
    for varying in ((0, 1), (2,), (3,), (4,)):
        grid = torch.cartesian_prod(*[nodes] * len(varying)).reshape(-1, len(varying))
        weight = torch.cartesian_prod(*[weights] * len(varying)).reshape(len(grid), -1).prod(1)
        points = torch.full((len(grid), 5), 0.5, dtype=torch.float64)
        points[:, list(varying)] = grid
        values = solve_friedman(points, *coefficients) - solve_friedman(torch.full((1, 5), 0.5).double(), *coefficients)
        part = float((weight * values).sum())
        mean, variance = mean + part, variance + float((weight * (values - part) ** 2).sum())
    return mean + float(solve_friedman(torch.full((1, 5), 0.5).double(), *coefficients)), variance


def test_mean_and_variance_are_those_of_sine_and_cosine_integrals():
    cin = np.euler_gamma + math.log(math.pi) - sici(math.pi)[1]  # the integral of (1 - cos t) / t to pi
    square = 0.5 - sici(2 * math.pi)[0] / (4 * math.pi)  # the mean of sin(pi x1 x2)^2
    mean = 10 * cin / math.pi + 20 / 12 + 5 + 2.5
    variance = 100 * (square - (cin / math.pi) ** 2) + 400 * (1 / 80 - 1 / 144) + 100 / 12 + 25 / 12
    assert moments() == pytest.approx((mean, variance), rel=1e-12)
    assert (mean, variance) == pytest.approx((14.4133, 23.8256), abs=1e-3)


@pytest.mark.parametrize(("dissimilarity", "task_seed"), [(0.0, 0), (2.0, 1), (8.0, 5)])
def test_draws_have_the_mean_and_variance_of_the_integrals(dissimilarity, task_seed):
    ensemble = Friedman(dissimilarity, task_seed)
    mean, variance = moments(*ensemble.coefficients())
    values = ensemble.solve(ensemble.draw(generator(), 40_000))[0]["y"]
    assert float(values.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / 40_000))
    assert float(values.var()) == pytest.approx(variance, rel=0.04)  # one standard deviation is 0.7 % if the tails are Gaussian


def test_every_coefficient_acts_at_its_place_in_the_equation():
    amplitudes, slopes, offsets = (1.1, 0.8, -1.3, 0.7), (0.9, 1.2, 0.7, 1.4, -0.6), (0.05, -0.1, 0.2, 0.15, -0.3)
    for x in uniform(5).tolist():
        u = [b * v + c for b, v, c in zip(slopes, x, offsets, strict=False)]
        expected = 10 * 1.1 * math.sin(math.pi * u[0] * u[1]) + 20 * 0.8 * (u[2] - 0.5) ** 2 - 10 * 1.3 * u[3] + 5 * 0.7 * u[4]
        found = solve_friedman(torch.tensor([x]).double(), amplitudes, slopes, offsets)
        assert float(found) == pytest.approx(expected, rel=1e-6)


def test_features_beyond_the_fifth_do_not_matter_and_the_first_two_may_change_places():
    features = uniform(20)
    other = features.clone()
    other[:, 5:] = uniform(20, 5, seed=1)
    torch.testing.assert_close(solve_friedman(other), solve_friedman(features), rtol=0, atol=0)
    torch.testing.assert_close(solve_friedman(features[:, [1, 0, 2, 3, 4]]), solve_friedman(features), rtol=1e-14, atol=0)
    mirrored = features.clone()
    mirrored[:, 2] = 1 - mirrored[:, 2]
    torch.testing.assert_close(solve_friedman(mirrored), solve_friedman(features), rtol=1e-13, atol=0)


def test_rows_do_not_affect_each_other():
    ensemble = Friedman(4.0)
    inputs = ensemble.draw(generator(), 7)
    together = ensemble.solve(inputs)[0]["y"]
    alone = torch.cat([ensemble.solve({"features": row[None]})[0]["y"] for row in inputs["features"]])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0)


# Sources


def test_coefficients_have_the_stated_means_and_deviations():
    rows = [list(itertools.chain(*Friedman(2.0, seed).coefficients())) for seed in range(3000)]
    table = torch.tensor(rows, dtype=torch.float64)
    means = torch.tensor([1.0] * 9 + [0.0] * 5).double()
    deviations = torch.tensor([0.2] * 9 + [0.1] * 5).double()
    assert ((table.mean(0) - means) / deviations).abs().max() < 4 / math.sqrt(3000)
    torch.testing.assert_close(table.std(0), deviations, rtol=0.055, atol=0)  # one standard deviation is 1.3 %
    correlations = torch.corrcoef(table.T) - torch.eye(14)
    assert correlations.abs().max() < 0.08  # 91 pairs, each with a standard deviation of 0.018


def test_tasks_of_one_seed_lie_along_one_line():
    for none, one, four in zip(*(Friedman(d, 3).coefficients() for d in (0.0, 1.0, 4.0)), strict=True):
        assert [f - n for f, n in zip(four, none, strict=True)] == pytest.approx(
            [4 * (o - n) for o, n in zip(one, none, strict=True)], rel=1e-12
        )
    assert Friedman(0.0, 3).coefficients() == ([1] * 4, [1] * 5, [0] * 5)
    assert Friedman(1.0, 3).coefficients() != Friedman(1.0, 4).coefficients()
    assert Friedman(1.0, 3).coefficients() == Friedman(1.0, 3).coefficients()


def distance(source, samples=10_000):
    """Return the RMSE over the standard deviation of the target, and the correlation."""
    inputs = Friedman().draw(generator(), samples)
    target, found = (ensemble.solve(inputs)[0]["y"] for ensemble in (Friedman(), source))
    correlation = float(torch.corrcoef(torch.stack([target, found]))[0, 1])
    return float((found - target).square().mean().sqrt() / target.std()), correlation


def test_sources_move_away_from_the_target_as_their_dissimilarity_grows():
    errors = [[distance(Friedman(d, seed), 2000)[0] for seed in range(21)] for d in (0.0, 1.0, 2.0, 4.0, 8.0)]
    medians = [float(np.median(row)) for row in errors]
    # Measured medians of 21 tasks; a missing factor of 2 in a standard deviation changes them by more than a third.
    assert medians == pytest.approx([0, 0.32, 0.61, 1.16, 2.46], rel=0.1)


def test_a_source_with_other_features_is_uncorrelated_with_the_target():
    error, correlation = distance(Friedman(relevant=(10, 9, 8, 7, 6)))
    assert error == pytest.approx(math.sqrt(2), rel=0.03)  # two independent responses with the same variance
    assert abs(correlation) < 0.04  # four standard deviations of 10,000 samples
    features = uniform(5)
    found = Friedman(relevant=(3, 1, 10, 2, 7)).solve({"features": features})[0]["y"]
    torch.testing.assert_close(found, solve_friedman(features[:, [2, 0, 9, 1, 6]]), rtol=0, atol=0)


# The interface of a pair


def test_every_source_shares_inputs_and_outputs_with_the_target():
    target, source = Friedman(), Friedman(4.0, 2, (6, 7, 8, 9, 10))
    assert isinstance(target, Ensemble)
    assert (source.inputs, source.outputs, source.coordinates) == (target.inputs, target.outputs, target.coordinates)
    assert Variable(**asdict(source.inputs[0])).size == len(source.coordinates[0].values) == 10
    assert json.loads(json.dumps(asdict(source))) == {"dissimilarity": 4.0, "task_seed": 2, "relevant": [6, 7, 8, 9, 10]}


def test_draws_are_uniform_and_belong_to_their_seed():
    ensemble = Friedman(1.0)
    first, again, other = (ensemble.draw(generator(seed), 20_000)["features"] for seed in (1, 1, 2))
    assert first.shape == (20_000, 10)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.isclose(first[:50], other[:50], rtol=0, atol=1e-7).any()
    fractions = torch.stack([((first >= k / 4) & (first < (k + 1) / 4)).double().mean(0) for k in range(4)])
    assert (fractions - 0.25).abs().max() < 0.014  # 40 fractions, each with a standard deviation of 0.003
    outputs, residual = ensemble.solve({"features": first[:3]}, refinement=4)
    torch.testing.assert_close(outputs, ensemble.solve({"features": first[:3]})[0], rtol=0, atol=0)
    assert outputs["y"].shape == residual.shape == (3,)
    assert outputs["y"].dtype == torch.float64
    assert residual.isnan().all()
    assert math.isnan(ensemble.order)


@pytest.mark.parametrize("ensemble", [Friedman(), Friedman(4.0, 7, (10, 1, 3, 8, 2))])
def test_the_equation_of_a_file_can_be_evaluated(ensemble):
    features = ensemble.draw(generator(), 1)["features"]
    names = {f"x{i + 1}": float(v) for i, v in enumerate(features[0])} | {"sin": math.sin, "pi": math.pi}
    text = ensemble.equation.removeprefix("y = ").replace("^", "**")
    found = eval(re.sub(r"(?<=[\w)]) (?=[\w(])", "*", text), {}, names)
    assert found == pytest.approx(float(ensemble.solve({"features": features})[0]["y"]), rel=1e-4)  # six digits are printed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solve_friedman(uniform(3, 4)), "needs 5 features or more, got 4"),
        (lambda: solve_friedman(uniform(3), (1, 1, 1)), r"4 amplitudes, 5 slopes and 5 offsets are required, got \(3, 5, 5\)"),
        (lambda: solve_friedman(uniform(3), slopes=(1,)), r"required, got \(4, 1, 5\)"),
        (lambda: solve_friedman(uniform(3), offsets=(1,)), r"required, got \(4, 5, 1\)"),
        (lambda: Friedman(-1.0), "dissimilarity must be finite and not negative, got -1.0"),
        (lambda: Friedman(math.inf), "dissimilarity must be finite and not negative, got inf"),
        (lambda: Friedman(math.nan), "dissimilarity must be finite and not negative, got nan"),
        (lambda: Friedman(relevant=(1, 2, 3, 4)), r"relevant must be 5 different numbers from 1 to 10, got \(1, 2, 3, 4\)"),
        (lambda: Friedman(relevant=(1, 2, 3, 4, 4, 5)), "relevant must be 5 different numbers"),
        (lambda: Friedman(relevant=(0, 2, 3, 4, 5)), "relevant must be 5 different numbers"),
        (lambda: Friedman(relevant=(1, 2, 3, 4, 11)), "relevant must be 5 different numbers"),
    ],
)
def test_bad_settings_are_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
