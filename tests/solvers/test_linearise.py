"""The closed form: the minimiser of a Plan, its leave-one-out errors and its evidence, compared with other computations."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import initial_network
from drawing import normal
from modules import Line
from scipy.stats import multivariate_normal

import pac_surrogate as pac
from pac_surrogate.kernels.spectrum import Spectrum
from pac_surrogate.methods.pulled.resemblance import resemble
from pac_surrogate.models import evaluate
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import Linearised
from pac_surrogate.solvers.closed_form import FALLBACK, _choose, linearise, prior_of
from pac_surrogate.solvers.training import fit

INPUTS, SAMPLES, SEVERAL = 4, 9, 3


def data_of(outputs, samples=SAMPLES):
    return pac.Dataset.from_arrays(normal(samples, INPUTS, seed=3).numpy(), normal(samples, outputs, seed=4).numpy())


def case(outputs=SEVERAL, model=None, samples=SAMPLES, dtype=torch.float64):
    """A network, its inputs and outputs."""
    data = data_of(outputs, samples)
    network = initial_network(model or pac.Module(Line(INPUTS, outputs)), data, dtype)
    return network, normal(samples, INPUTS, seed=3), normal(samples, outputs, seed=4)


def around(weights, seed, size=1.0):
    return {name: weight + size * normal(*weight.shape, seed=seed) for name, weight in weights.items()}


def uneven(weights):
    """Return a different strength for each weight."""
    return {name: 0.1 + normal(*weight.shape, seed=7).square() for name, weight in weights.items()}


def flat(weights):
    return torch.cat([weight.flatten() for weight in weights.values()])


def design(network, x):
    """Return the derivatives (sample, output, weight) of all samples at once."""
    found = torch.func.jacrev(lambda w: evaluate(network.module, w, x)[0])(dict(network.weights))
    return torch.cat([rows.flatten(2) for rows in found.values()], 2)


def solved(results):
    return flat(results.predictor.base.weights) + flat(results.predictor.change)


def ridge(jacobian, residual, strength, anchor, ratio):
    """Minimise |r - J d|^2 + ratio sum strength (d - anchor)^2."""
    rows = jacobian.flatten(0, 1)
    matrix = rows.T @ rows + ratio * torch.diag(strength)
    return torch.linalg.solve(matrix, rows.T @ residual.flatten() + ratio * strength * anchor)


def test_the_closed_form_of_a_linear_model_is_ridge_regression_and_the_limit_of_long_training():
    network, x, y = case()
    strength, anchor = uneven(network.weights), around(network.weights, 11)
    plan = make_plan(network.weights, anchor=anchor, strength=strength)
    (found,) = linearise(network, [plan], x, y, kernel="block")
    start = flat(network.weights)
    residual = y - evaluate(network.module, network.weights, x)[0]
    step = ridge(design(network, x), residual, flat(strength), flat(anchor) - start, y.numel() / 2)
    assert float((solved(found) - start - step).abs().max()) < 1e-10  # condition number below 1e3
    assert float(step.abs().max()) > 0.1
    assert float((flat(found.predictor.change) - flat(anchor) + start).abs().max()) > 0.1  # the data have an effect too
    (trained,) = fit(
        network.module, [plan], [data_of(SEVERAL)], seeds=[0], steps=3000, learning_rate=1e-2, dtype=torch.float64, device="cpu"
    )
    assert float((flat(trained.weights) - solved(found)).abs().max()) < 1e-8  # Adam's last steps, at vanishing gradients


@pytest.mark.parametrize("kernel", ["block", "shared"])
@pytest.mark.parametrize("outputs", [1, SEVERAL])
@pytest.mark.parametrize("ratio", [0.3, None])
def test_leaving_one_out_gives_the_fit_without_that_sample(outputs, kernel, ratio):
    network, x, y = case(outputs, pac.MLP(hidden=(5,)))
    plan = make_plan(network.weights, anchor=around(network.weights, 2, 0.3), strength=uneven(network.weights))
    (whole,) = linearise(network, [plan], x, y, kernel=kernel, ratio=ratio)
    for i in range(SAMPLES):
        rest = [j for j in range(SAMPLES) if j != i]
        (without,) = linearise(network, [plan], x[rest], y[rest], kernel=kernel, ratio=whole.ratio)
        expected = y[i] - without.predictor.predict(x[[i]]).detach()[0]
        assert float((whole.left_out[i] - expected).abs().max()) < 1e-10  # condition number below 1e4
        # The scale too is that of the other samples.
        believed = without.predictor.variance(x[[i]])[0] + without.predictor.noise
        torch.testing.assert_close(whole.left_out_variance[i], believed, rtol=1e-8, atol=0)
    seen = (y - whole.predictor.predict(x)).square().mean()
    assert float(whole.left_out.square().mean()) > 1.05 * float(seen)


@pytest.mark.parametrize("kernel", ["block", "shared"])
def test_the_evidence_is_the_density_of_the_residuals_at_the_scale_of_greatest_density(kernel):
    network, x, y = case(model=pac.MLP(hidden=(5,)))
    strength = uneven(network.weights)
    plan = make_plan(network.weights, anchor=network.weights, strength=strength)
    (found,) = linearise(network, [plan], x, y, kernel=kernel, ratio=0.7)
    jacobian, residual = design(network, x), y - evaluate(network.module, network.weights, x)[0]
    if kernel == "block":
        gram = torch.einsum("iow,w,jpw->iojp", jacobian, 1 / flat(strength), jacobian).reshape(y.numel(), -1)
        columns = residual.reshape(-1, 1)
    else:
        gram, columns = torch.einsum("iow,w,jow->ij", jacobian, 1 / flat(strength), jacobian) / SEVERAL, residual
    cover, scale = (gram + 0.7 * torch.eye(len(gram), dtype=torch.float64)).numpy(), found.predictor.scale[: columns.shape[1]]

    def density(factor):
        pairs = zip(columns.T.numpy(), factor * scale, strict=True)
        return sum(multivariate_normal.logpdf(r, cov=float(s) * cover) for r, s in pairs)

    assert found.evidence == pytest.approx(density(1.0), abs=1e-9)
    assert found.evidence > max(density(0.9), density(1.1)) + 0.01
    assert len(set(found.predictor.scale.tolist())) == (1 if kernel == "block" else SEVERAL)


@pytest.mark.parametrize("by", ["leave-one-out", "evidence"])
@pytest.mark.parametrize("kernel", ["block", "shared"])
def test_a_free_ratio_is_the_best_of_its_grid_in_any_order(kernel, by):
    network, x, y = case(model=pac.MLP(hidden=(5,)))
    plan = make_plan(network.weights, anchor=network.weights, strength=0.5)
    unit = linearise(network, [plan], x, y, kernel=kernel, ratio=[1.0])[0].ratio
    grid = [1.0, 1e-3, 10.0, 0.1]
    chosen = linearise(network, [plan], x, y, kernel=kernel, ratio=grid, by=by)[0]
    each = [linearise(network, [plan], x, y, kernel=kernel, ratio=unit * value)[0] for value in grid]
    worth = [-float(e.left_out.square().mean()) if by == "leave-one-out" else e.evidence for e in each]
    assert chosen.ratio == pytest.approx(unit * grid[int(np.argmax(worth))])
    assert torch.equal(chosen.left_out, linearise(network, [plan], x, y, kernel=kernel, ratio=grid[::-1], by=by)[0].left_out)
    assert np.ptp(worth) > 0.01


@pytest.mark.parametrize("shared", [False, True])
def test_a_ratio_judges_no_sample_that_has_chosen_it(shared):
    draws = torch.Generator().manual_seed(0)
    rows = 7 if shared else 14
    root = torch.randn(rows, 5, generator=draws, dtype=torch.float64)
    gram, noise = root @ root.T, torch.randn(7, 2, generator=draws, dtype=torch.float64)
    signal = gram @ torch.randn(rows, 2 if shared else 1, generator=draws, dtype=torch.float64)
    spectrum = Spectrum.of(gram, 0.2 * signal.reshape(7, 2) + 0.5 * noise, torch.arange(7), shared=shared)
    ratios = [10.0 ** (k / 4) for k in range(8, -12, -1)]
    solutions = [spectrum.solve(ratio) for ratio in ratios]
    best, (residual, variance) = _choose(spectrum, ratios, "leave-one-out")
    assert best.ratio == min(solutions, key=lambda s: s.error).ratio
    taken = set()
    for i in range(7):
        others = torch.arange(7) != i
        own = min(solutions, key=lambda s: float(s.left_out[others].square().mean()))
        assert torch.equal(residual[i], own.left_out[i])
        assert torch.equal(variance[i], own.left_out_variance[i])
        taken.add(own.ratio)
    assert len(taken) > 1  # otherwise the test would also pass with the best ratio over all samples


def test_conjugate_gradients_find_the_direct_solution():
    network, x, y = case(model=pac.MLP(hidden=(6, 5)))
    plan = make_plan(network.weights, anchor=around(network.weights, 2, 0.1), strength=uneven(network.weights))
    (direct,), (by_steps,) = (linearise(network, [plan], x, y, kernel=kernel) for kernel in ("block", "cg"))
    assert by_steps.kernel == "conjugate gradients"
    assert float((solved(direct) - solved(by_steps)).abs().max()) < 1e-6  # it stops at a residual of 1e-10
    torch.testing.assert_close(direct.predictor.scale, by_steps.predictor.scale, rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="conjugate gradients solve for one ratio"):
        linearise(network, [plan], x, y, kernel="cg", ratio=[0.1, 1.0])


def test_many_plans_solved_together_give_the_result_of_each_alone():
    network, x, y = case(model=pac.MLP(hidden=(6, 5)))
    mask = {name: normal(*w.shape, seed=5) > 0 for name, w in network.weights.items()}
    plans = [
        make_plan(network.weights, anchor=network.weights, strength=0.1),
        make_plan(network.weights, trainable=mask, anchor=around(network.weights, 1), strength=uneven(network.weights)),
        make_plan(network.weights),
    ]
    for kernel in ("block", "shared", "auto"):
        for plan, found in zip(plans, linearise(network, plans, x, y, kernel=kernel), strict=True):
            (alone,) = linearise(network, [plan], x, y, kernel=kernel)
            assert found.ratio == pytest.approx(alone.ratio, rel=1e-12)
            torch.testing.assert_close(found.predictor.predict(x), alone.predictor.predict(x), rtol=0, atol=1e-11)
    with pytest.raises(ValueError, match="must have one start"):
        linearise(network, [plans[0], make_plan(around(network.weights, 1))], x, y)


@pytest.mark.parametrize("kernel", ["block", "cg"])
def test_frozen_weights_keep_their_bits(kernel):
    network, x, y = case(model=pac.MLP(hidden=(6, 5)), dtype=torch.float32)
    network.weights["readout.bias"].fill_(-0.0)
    mask = {name: normal(*w.shape, seed=5) > 0 for name, w in network.weights.items()} | {"readout.bias": torch.tensor(False)}
    plan = make_plan(network.weights, trainable=mask, anchor=0.0, strength=0.1)
    found = linearise(network, [plan], x, y, kernel=kernel)[0].predictor
    for name, weight in network.weights.items():
        kept = ~mask[name].expand_as(weight)
        ends = found.base.weights[name]
        assert torch.equal(ends[kept].view(torch.int64), weight.double()[kept].view(torch.int64))
        assert not found.change[name][kept].any()
        assert bool((ends + found.change[name] != weight)[~kept].all())


def test_calibration_follows_the_formula_of_pac_truth_5():
    """For small d, d = J' (J J' + N lambda I)^-1 (y - f_A), J over the redundant weights."""
    network, x, y = case(model=pac.MLP(hidden=(6, 5)))
    essential = {name: normal(*w.shape, seed=5) > 0 if w.ndim > 1 else w == w for name, w in network.weights.items()}
    weights = {name: torch.where(essential[name], w, 0.0) for name, w in network.weights.items()}
    network = dataclasses.replace(network, weights=weights, essential=essential)
    plan = make_plan(weights, trainable={n: ~m for n, m in essential.items()}, anchor=weights, strength=2 * 0.01)
    (found,) = linearise(network, [plan], x, y, kernel="block")
    redundant = ~flat(essential)
    rows = design(network, x).flatten(0, 1)[:, redundant]
    residual = (y - evaluate(network.module, weights, x)[0]).flatten()
    d = rows.T @ torch.linalg.solve(rows @ rows.T + y.numel() * 0.01 * torch.eye(len(rows), dtype=torch.float64), residual)
    assert float((flat(found.predictor.change)[redundant] - d).abs().max()) < 1e-10  # condition number below 1e4
    assert float(d.abs().max()) > 0.1


def test_missing_strengths_are_filled_in_and_the_note_reports_them():
    network, x, y = case(model=pac.MLP(hidden=(5,)))
    part = make_plan(network.weights, anchor=0.0, strength={"readout.weight": 0.2})
    prior = prior_of(part)
    assert prior.note == f"weights without a pull have strength {0.2 * FALLBACK:g} towards the start"
    assert torch.equal(prior.variance["readout.bias"], torch.full((SEVERAL,), 1 / (0.2 * FALLBACK), dtype=torch.float64))
    assert torch.equal(prior.offset["readout.weight"], -network.weights["readout.weight"])
    assert not prior.offset["readout.bias"].any()
    none, ones = make_plan(network.weights), make_plan(network.weights, anchor=network.weights, strength=1.0)
    (free,) = linearise(network, [none], x, y)
    assert free.note == "no weight is pulled: strength 1 towards the start, free ratio"
    (same,) = linearise(network, [ones], x, y, ratio=free.ratio)
    assert torch.equal(free.left_out, same.left_out)


@pytest.mark.parametrize("kernel", ["block", "shared", "cg"])
def test_a_plan_that_freezes_every_weight_predicts_as_the_start_without_variance(kernel):
    network, x, y = case(model=pac.MLP(hidden=(5,)), dtype=torch.float32)
    (found,) = linearise(network, [make_plan(network.weights, trainable=False)], x, y, kernel=kernel)
    assert found.note == "every weight is frozen: the start unchanged"
    start = {name: weight.double() for name, weight in network.weights.items()}
    assert torch.equal(found.predictor.predict(x), evaluate(network.module, start, x)[0])
    assert not found.predictor.variance(x).any()
    spread = (y - evaluate(network.module, start, x)[0]).square().mean()
    assert float(found.predictor.noise.mean()) == pytest.approx(float(spread))


@pytest.mark.parametrize("kernel", ["block", "shared"])
@pytest.mark.parametrize("strength", [0.0, 0.1])
@pytest.mark.parametrize("what", ["one sample", "twins", "nothing left"])
def test_degenerate_data_give_finite_numbers(what, strength, kernel):
    network, x, y = case(model=pac.MLP(hidden=(5,)), dtype=torch.float32)
    if what == "one sample":
        x, y = x[:1], y[:1]
    elif what == "twins":
        x, y = x[[0, 0, 0, 1]], y[[0, 0, 2, 1]]
    else:
        y = evaluate(network.module, {n: w.double() for n, w in network.weights.items()}, x)[0]
    plan = make_plan(network.weights, anchor=network.weights, strength=strength)
    for by in ("leave-one-out", "evidence"):
        (found,) = linearise(network, [plan], x, y, kernel=kernel, by=by)
        predictor = found.predictor
        for tensor in (predictor.predict(x), predictor.variance(x), predictor.noise, found.left_out):
            assert bool(torch.isfinite(tensor).all())
        assert np.isfinite(found.evidence)
    if what == "one sample":  # without this sample only the start remains
        start = {name: weight.double() for name, weight in network.weights.items()}
        assert float((found.left_out - y + evaluate(network.module, start, x)[0]).abs().max()) < 1e-12
    if what == "nothing left":
        assert float(predictor.noise.max()) < 1e-300


def test_plans_without_a_closed_form_are_refused_in_one_line():
    network, x, y = case()
    pulled = make_plan(network.weights, strength=0.1)
    wrong = [
        ("a plan with a perturbation", dataclasses.replace(pulled, perturbation=Perturbation(0.1, 1)), {}),
        ("a plan with a regulariser", dataclasses.replace(pulled, regulariser=resemble(network.weights, prediction=0.1)), {}),
        ("a plan with a reparametrisation", dataclasses.replace(pulled, reparametrisation=dict), {}),
        ("unknown kernel 'full'", pulled, {"kernel": "full"}),
        ("got 'luck'", pulled, {"by": "luck"}),
        ("positive and finite", pulled, {"ratio": 0.0}),
        ("positive and finite", pulled, {"ratio": []}),
        ("projections must be at least 1", pulled, {"projections": 0}),
        ("shape", pulled, {"y": y[:, :1]}),
        ("finite", pulled, {"y": y / 0}),
        ("at least one sample", pulled, {"x": x[:0], "y": y[:0]}),
        ("block kernel takes at most 4000", pulled, {"x": x.repeat(200, 1), "y": y.repeat(200, 1), "kernel": "block"}),
        ("shared kernel takes at most 4000", pulled, {"x": x.repeat(500, 1), "y": y.repeat(500, 1), "kernel": "shared"}),
    ]
    for message, plan, options in wrong:
        with pytest.raises(ValueError, match=message) as caught:
            linearise(network, [plan], options.pop("x", x), options.pop("y", y), **options)
        assert "\n" not in str(caught.value)
    assert linearise(network, [], x, y) == []
    assert isinstance(linearise(network, [pulled], x, y)[0].predictor, Linearised)
