"""The inputs to run next: each minimises the mean posterior variance over the pool, given all earlier inputs."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import Matern
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import Columns, Scaling
from pac_surrogate.files import Variable
from pac_surrogate.models import evaluate
from pac_surrogate.predictors import Correction, build_network
from pac_surrogate.selection.acquisition import NOISE, choose_rows, next_samples
from pac_surrogate.surrogates.surrogate import Surrogate

MEAN, DEVIATION = 2.0, 2.5  # of the inputs: physical units differ from standardised units
NAMES = ("pressure", "angle")


def uniform(rows, seed=0):
    return np.random.default_rng(seed).uniform(-2.0, 6.0, size=(rows, 2))


def columns(size, mean, deviation):
    ones = torch.ones(size, dtype=torch.float64)
    return Columns(mean * ones, deviation * ones, torch.zeros(size, dtype=torch.bool), -2.0 * ones, 6.0 * ones)


def surrogate(model=None, outputs=3, inputs=(("input", 2),), seed=0):
    """A network with random weights: the choice of inputs needs no training."""
    sides = [[Variable(n, (f"{n}_0",), (size,), "1") for n, size in side] for side in (inputs, [("output", outputs)])]
    network = build_network(model or pac.MLP(hidden=(8, 8)), *map(tuple, sides))
    draws = torch.Generator().manual_seed(seed)
    weights = {
        name: 0.7 * torch.randn(weight.shape, generator=draws, dtype=torch.float64)
        for name, weight in network.module.named_parameters()
    }
    scaling = Scaling(columns(2, MEAN, DEVIATION), columns(outputs, 1.0, 3.0))
    return Surrogate(dataclasses.replace(network, weights=weights), scaling, *map(tuple, sides))


def data_at(x, outputs=0.0):
    return pac.Dataset.from_arrays({"input": x}, {"output": np.full((len(x), 3), outputs)})


def kernel_of(source, x, pool):
    """Return the mean of three kernels: the tangents of all weights and of the readout, written out, and a Matern kernel."""
    z, start = torch.as_tensor((x - MEAN) / DEVIATION), source.weights
    jacobian = torch.func.jacrev(lambda weights: evaluate(source.network.module, weights, z)[0])(start)
    tangents = torch.zeros(2, len(x), len(x), dtype=torch.float64)
    for name, rows in jacobian.items():
        deviation = start[name].abs().sqrt() if start[name].ndim == 2 else torch.ones_like(start[name])
        for kernel, scale in zip(tangents, (deviation, float(name.startswith("readout"))), strict=True):
            scaled = (rows * scale).flatten(2)
            kernel += torch.einsum("iow,jow->ij", scaled, scaled)
    matern = Matern(length_scale=2**0.5, nu=2.5)(z.numpy())
    return sum(kernel / kernel.diagonal()[:pool].mean() for kernel in (*tangents, torch.as_tensor(matern))) / 3


def mean_variance(kernel, pool, run, noise=NOISE):
    """Return the mean posterior variance over the pool after runs at some rows, by the inverse of their kernel."""
    seen = kernel[run][:, run] + noise * torch.eye(len(run), dtype=torch.float64)
    cross = kernel[run, :pool]
    return float((kernel.diagonal()[:pool] - (cross * (torch.linalg.inv(seen) @ cross)).sum(0)).mean())


@pytest.mark.parametrize("noise", [NOISE, 1.0])
@pytest.mark.parametrize("samples", [0, 5])
def test_each_proposal_minimises_the_mean_variance_over_the_pool_given_all_earlier_proposals(samples, noise):
    source, pool, done = surrogate(), uniform(30), 3 * uniform(samples, seed=1)  # the variance of the pool alone sets the unit
    rows = next_samples(source, data_at(done) if samples else None, pool, 6, noise=noise)
    kernel = kernel_of(source, np.concatenate([pool, done]), 30)
    run = list(range(30, 30 + samples))
    for row in rows:
        left = {j: mean_variance(kernel, 30, [*run, j], noise) for j in range(30) if j not in run}
        assert min(left, key=left.get) == row
        # An inverse of 11 rows with this noise has an error of 1e-13, so that no choice depends on rounding.
        assert sorted(left.values())[1] - left[row] > 1e-9
        run.append(int(row))


def test_for_a_linear_model_the_choice_is_the_greedy_v_optimal_design():
    # y = v x with v ~ N(0, D) has the posterior covariance t^2 M^-1, M = t^2 D^-1 + X'X: the mean variance over the pool is
    # t^2 tr(M^-1 S), S the second moments of the pool. This is V-optimal design; it needs no kernel.
    design, prior, noise = uniform(40), np.diag([2.0, 0.5]), 0.3
    moments, information = design.T @ design / 40, noise * np.linalg.inv(prior)
    covariance = torch.as_tensor(design @ prior @ design.T)
    rest = list(range(40))
    for row in choose_rows(covariance, 6, noise, np.arange(40), np.zeros(40, dtype=bool)):
        left = [np.trace(np.linalg.inv(information + np.outer(design[j], design[j])) @ moments) for j in rest]
        assert rest.pop(int(np.argmin(left))) == row
        information = information + np.outer(design[row], design[row])


def test_fewer_proposals_are_the_first_of_more_proposals():
    eight = next_samples(surrogate(), None, uniform(50), 8)
    assert np.array_equal(next_samples(surrogate(), None, uniform(50), 5), eight[:5])
    assert len(set(eight.tolist())) == 8


def test_samples_that_were_run_count_as_earlier_proposals():
    pool = uniform(50)
    eight = next_samples(surrogate(), None, pool, 8)
    assert np.array_equal(next_samples(surrogate(), data_at(pool[eight[:3]]), pool, 5), eight[3:])
    assert not np.array_equal(next_samples(surrogate(), None, pool, 5), eight[3:])


def test_an_input_is_proposed_once_even_if_the_pool_holds_it_several_times():
    pool = np.tile(uniform(6), (3, 1))
    for noise in (NOISE, 100.0):  # with the larger noise a repeat of the middle would lower the variance most
        rows = next_samples(surrogate(), data_at(pool[[7]]), pool, 5, noise=noise)
        assert sorted(rows % 6) == [0, 2, 3, 4, 5]  # 7 is a copy of 1


def test_the_order_of_the_pool_does_not_matter():
    pool, order = uniform(50), np.random.default_rng(3).permutation(50)
    assert np.array_equal(
        pool[order][next_samples(surrogate(), None, pool[order], 6)], pool[next_samples(surrogate(), None, pool, 6)]
    )


def test_outputs_are_not_used_and_inputs_may_have_any_layout():
    pool, done = uniform(40), uniform(4, seed=1)
    expected = next_samples(surrogate(), data_at(done), pool, 4)
    for same in (data_at(done, 7.0), done, torch.as_tensor(done)):
        assert np.array_equal(next_samples(surrogate(), same, pool, 4), expected)
    assert np.array_equal(next_samples(surrogate(), data_at(done), data_at(pool), 4), expected)
    named = surrogate(inputs=[(name, 1) for name in NAMES])
    layout = [{name: x[:, [i]] for i, name in enumerate(NAMES)} for x in (done, pool)]
    assert np.array_equal(next_samples(named, *layout, 4), expected)
    assert np.array_equal(next_samples(surrogate(), data_at(done)[:0], pool, 4), next_samples(surrogate(), None, pool, 4))


def test_single_precision_and_zero_derivatives_give_a_valid_choice():
    source = surrogate()
    single = {name: weight.float() for name, weight in source.weights.items()}
    dead = {name: torch.zeros_like(weight) for name, weight in source.weights.items()}  # only the readout's bias has an effect
    for weights in (single, dead):
        network = dataclasses.replace(source.network, weights=weights)
        rows = next_samples(dataclasses.replace(source, predictor=network), None, uniform(20).astype(np.float32), 20)
        assert sorted(rows) == list(range(20))


def test_a_noise_below_rounding_still_gives_different_rows():
    flat = torch.ones(20, 20, dtype=torch.float64)  # after one row only rounding is left
    rows = choose_rows(flat, 20, 1e-20, np.arange(20), np.zeros(20, dtype=bool))
    assert sorted(rows) == list(range(20))
    rounded = torch.diag(torch.tensor([1.0, -1e-3], dtype=torch.float64))  # -1e-3 + noise is 0: the gain has no bound
    assert choose_rows(rounded, 2, 1e-3, np.arange(2), np.zeros(2, dtype=bool)).tolist() == [0, 1]
    twice = np.tile(uniform(6, seed=1), (2, 1))
    with pytest.raises(ValueError, match="no inverse in float64 at noise 1e-20: use a larger noise"):
        next_samples(surrogate(), twice, uniform(20), 4, noise=1e-20)


def test_weights_of_zero_give_the_choice_of_any_equal_weights():
    plain = surrogate(pac.Module(nn.Sequential(nn.Linear(2, 3, bias=False))))

    def chosen(value):
        weights = {name: torch.full_like(weight, value) for name, weight in plain.weights.items()}
        network = dataclasses.replace(plain.network, weights=weights)
        return next_samples(dataclasses.replace(plain, predictor=network), None, uniform(20), 6)

    assert np.array_equal(chosen(0.0), chosen(1.0))
    with pytest.raises(ValueError, match="derivatives must be finite and not all 0, got a mean variance of"):
        chosen(float("nan"))


BROKEN = np.where(np.arange(20)[:, None] == 3, np.nan, uniform(20))
REFUSALS = {
    "at most the 20 different inputs .* got 21: .* enlarge the pool": {"k": 21},
    "k must be at least 1 .* got 0": {"k": 0},
    "at most the 16 different inputs .* got 17": {"k": 17, "data": uniform(20)[:4]},
    "at most the 15 different inputs .* got 16": {"k": 16, "data": uniform(20)[:5].astype(np.float32)},
    "at most the 0 different inputs .* got 4": {"pool": uniform(0)},
    "x must hold 2 numbers a sample .* shape \\(20, 3\\)": {"pool": np.ones((20, 3))},
    "x must hold 2 numbers a sample .* shape \\(4, 1\\)": {"data": np.ones((4, 1))},
    "inputs must be finite, got nan at sample 3": {"pool": BROKEN},
    "at most 4000 inputs, got 4001: pass a part of the pool": {"pool": uniform(4000), "data": uniform(1)},
    "noise must be positive and finite.* got 0": {"noise": 0.0},
    "noise must be positive and finite.* got nan": {"noise": float("nan")},
}


@pytest.mark.parametrize(("message", "wrong"), REFUSALS.items(), ids=[*REFUSALS])
def test_invalid_requests_are_refused_in_one_line(message, wrong):
    arguments = {"data": None, "pool": uniform(20), "k": 4} | wrong
    with pytest.raises(ValueError, match=message) as refusal:
        next_samples(surrogate(), **arguments)
    assert "\n" not in str(refusal.value)


def test_a_surrogate_that_is_not_a_network_is_refused():
    source = surrogate()
    shifted = Correction(source.network, torch.ones(3).double(), torch.zeros(3).double(), torch.zeros(2, 3).double())
    with pytest.raises(ValueError, match="this surrogate is a Correction: use its source"):
        next_samples(dataclasses.replace(source, predictor=shifted), None, uniform(20), 4)
