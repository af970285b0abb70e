"""The choice: weights by leave-one-out, candidates that are left out exactly, and what is said of it."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import ttest_rel

import pac_surrogate as pac
from pac_surrogate.choice import Choice
from pac_surrogate.choose import Auto, Candidate, Choose, _onto_simplex, candidates, chance_worse, weigh
from pac_surrogate.predictors import Linearised, Mixture, SharedKernel
from pac_surrogate.transfer.atl import MeasureFeatures


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def case(kind="shifted", samples=12, seed=0):
    """A source surrogate and a target that is its shift, or knows nothing of it."""
    draws = np.random.default_rng(seed)
    x = draws.uniform(-1, 1, size=(400, 2))
    low = np.stack([np.sin(3 * x[:, 0]) + x[:, 1], x[:, 0] * x[:, 1]], axis=1)
    high = low + 2.0 if kind == "shifted" else np.stack([np.cos(5 * x[:, 1]), x[:, 0] ** 2], axis=1)
    source = pac.Dataset.from_arrays(x[:300], low[:300])
    target = pac.Dataset.from_arrays(x[300 : 300 + samples], high[300 : 300 + samples])
    surrogate = pac.pretrain(source, model=pac.MLP(hidden=(16, 16)), steps=600, learning_rate=3e-3)
    return surrogate, source, target, x[320:], high[320:]


def named(residuals):
    return [Candidate(str(i), None, residual) for i, residual in enumerate(residuals)]


def test_weights_minimise_the_leave_one_out_error_shrunk_to_those_by_evidence():
    residuals = torch.randn(4, 9, 3, generator=generator(), dtype=torch.float64) * torch.tensor(
        [1.0, 1.2, 0.8, 2.0]
    ).double().view(-1, 1, 1)
    flat = residuals.reshape(4, -1)
    gram = (flat @ flat.T / flat.shape[1]).numpy()
    mean = np.diag(gram)
    prior = mean ** (-9 / 4) / (mean ** (-9 / 4)).sum()
    for shrinkage in (0.0, 1.0, 10.0):
        pull = shrinkage * mean.mean() / 9

        def objective(w, pull=pull):
            return w @ gram @ w + pull * np.sum((w - prior) ** 2)

        best = minimize(
            objective,
            prior,
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            method="SLSQP",
            tol=1e-14,
        ).x
        found = weigh(named(residuals), shrinkage).numpy()
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert found.min() >= 0
        np.testing.assert_allclose(found, best, atol=1e-4)  # of SLSQP; the prior itself is 0.05 away
    endless = weigh(named(residuals), 1e9).numpy()
    np.testing.assert_allclose(endless, prior, atol=1e-6)


def test_weights_do_not_depend_on_the_order_and_a_perfect_candidate_takes_all():
    residuals = torch.randn(3, 8, 2, generator=generator(), dtype=torch.float64)
    order = [2, 0, 1]
    torch.testing.assert_close(weigh(named(residuals))[order], weigh(named(residuals[order])), rtol=0, atol=1e-7)
    residuals[1] = 0.0
    assert float(weigh(named(residuals))[1]) > 0.99


def test_the_projection_onto_the_simplex_is_the_nearest_point():
    for seed in range(20):
        point = torch.randn(5, generator=generator(seed), dtype=torch.float64)
        found = _onto_simplex(point)
        assert float(found.sum()) == pytest.approx(1, abs=1e-12)
        assert float(found.min()) >= 0
        for other in range(50):  # variational inequality: (p - x)'(y - x) <= 0 for all y in the simplex
            y = torch.rand(5, generator=generator(other), dtype=torch.float64)
            y = y / y.sum()
            assert float((point - found) @ (y - found)) < 1e-12


def test_corrections_are_left_out_exactly():
    surrogate, _, target, _, _ = case(samples=7)
    data = surrogate.scaling.standardise(target)
    found = {candidate.name: candidate for candidate in candidates(surrogate, data)}
    x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
    before = surrogate.network.predict(x).double()
    for i in range(7):
        rest = torch.arange(7) != i
        shift = (y - before)[rest].mean(0)
        torch.testing.assert_close(found["shift"].left_out[i], y[i] - before[i] - shift, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["source unchanged"].left_out, y - before, rtol=0, atol=1e-12)
    # The linear correction at one of its ridges, which stays what it is when a sample is left out.
    errors = []
    for strength in (1.0, 0.1, 0.01, 1e-4):
        ridge, one = 0.5 * strength * 7, torch.zeros_like(y)
        for i in range(7):
            rest = torch.arange(7) != i
            for output in range(2):
                design = torch.stack([before[:, output], torch.ones(7).double()], dim=1)
                inverse = torch.linalg.inv(design[rest].T @ design[rest] + ridge * torch.eye(2).double())
                one[i, output] = (y - before)[i, output] - design[i] @ inverse @ design[rest].T @ (y - before)[rest, output]
        errors.append(one)
    best = min(errors, key=lambda e: float(e.square().mean()))
    torch.testing.assert_close(found["linear correction"].left_out, best, rtol=0, atol=1e-9)


def test_a_shifted_source_is_recognised_and_a_useless_one_left_behind():
    surrogate, source, target, x, y = case("shifted")
    adapted = pac.transfer(surrogate, target, source=source)
    error = np.sqrt(np.mean((adapted.predict(x) - y) ** 2))
    unchanged = np.sqrt(np.mean((surrogate.predict(x) - y) ** 2))
    assert error < 0.15 * unchanged  # the shift is 2; the source's own error is 0.03 of that
    assert adapted.choice.worse_than_source < 0.01
    surrogate, source, target, x, y = case("other", samples=40)
    adapted = pac.transfer(surrogate, target, source=source)
    scratch = pac.transfer(surrogate, target, method=pac.GP(on="target"), intervals=False)
    errors = [np.sqrt(np.mean((s.predict(x) - y) ** 2)) for s in (adapted, scratch, surrogate)]
    assert errors[0] < 1.1 * errors[1] < errors[2]  # the guard against negative transfer


def test_scores_are_left_out_residuals_over_what_the_members_expect():
    surrogate, source, target, x, y = case(samples=30)
    adapted = pac.transfer(surrogate, target, source=source)
    mixture, data = adapted.predictor, adapted.scaling.standardise(target)
    found = {candidate.name: candidate for candidate in candidates(with_features(surrogate, source), data)}
    members = sorted((score for score in adapted.choice.table if score.weight), key=lambda score: -score.weight)
    residual = sum(score.weight * found[score.name].left_out for score in members)
    variance = 0.0
    for score in members:
        own = found[score.name]
        constant = own.left_out.square().mean(0).expand(30, 2)
        assert (own.variance is None) == (not isinstance(own.predictor, Linearised | SharedKernel))
        variance = variance + score.weight * (constant if own.variance is None else own.variance)
    torch.testing.assert_close(mixture.scores, residual.abs() / variance.sqrt(), rtol=1e-6, atol=1e-9)
    band = adapted.predict_interval(x, 0.9)
    # 300 test samples, 30 to calibrate by: two standard errors are 0.11 (the draw of the 30) and 0.03.
    assert 0.78 < np.mean((band.lower <= y) & (y <= band.upper)) <= 1.0


def with_features(surrogate, source):
    network = MeasureFeatures().solve(surrogate, surrogate.scaling.standardise(source))
    return dataclasses.replace(surrogate, predictor=network)


def test_the_choice_says_what_it_weighed_and_survives_saving(tmp_path):
    surrogate, source, target, x, _ = case()
    adapted = pac.transfer(surrogate, target, source=source)
    choice = adapted.choice
    assert choice.table == tuple(sorted(choice.table, key=lambda score: score.error))
    assert sum(score.weight for score in choice.table) == pytest.approx(1, abs=1e-9)
    assert choice.method == max(choice.table, key=lambda score: score.weight).name
    assert choice.runner_up != choice.method
    assert choice.method in choice.reason
    assert str(choice).count("\n") == len(choice.table)
    assert Choice.from_json(choice.to_json()) == choice
    adapted.save(tmp_path / "a.safetensors")
    again = pac.Surrogate.load(tmp_path / "a.safetensors")
    assert again.choice == choice
    np.testing.assert_array_equal(again.predict(x), adapted.predict(x))
    assert pac.transfer(surrogate, target, method=pac.FineTune(), steps=1, intervals=False).choice is None


@pytest.mark.parametrize("samples", [0, 1])
def test_with_less_than_two_samples_the_source_answers_and_says_why(samples):
    surrogate, source, target, x, _ = case()
    adapted = pac.transfer(surrogate, target[:samples], source=source)
    np.testing.assert_allclose(adapted.predict(x), surrogate.predict(x), rtol=1e-6)
    assert adapted.choice.method == "source unchanged"
    assert ("no sample can be left out" if samples else "no target samples") in adapted.choice.reason


def test_duplicated_samples_and_constant_outputs_have_an_answer():
    surrogate, source, target, x, _ = case()
    twice = target[np.array([0, 0, 1, 1, 2, 2])]
    assert np.isfinite(pac.transfer(surrogate, twice, source=source).predict(x)).all()
    flat = pac.Dataset.from_arrays(target.x, np.ones((12, 2)))
    prediction = pac.transfer(surrogate, flat, source=source).predict(x)
    assert np.abs(prediction - 1).max() < 0.2


def test_new_outputs_are_chosen_for_too():
    surrogate, source, target, x, y = case("other", samples=30)
    new = pac.Dataset.from_arrays(target.x, {"pressure": 5 * target.y[:, 1]})
    adapted = pac.transfer(surrogate, new, source=source)
    assert adapted.choice.worse_than_source is None
    spread = np.std(5 * y[:, 1])
    assert np.sqrt(np.mean((adapted.predict(x) - 5 * y[:, 1]) ** 2)) < 0.3 * spread


def test_the_chance_of_being_worse_is_that_of_student_s_test():
    ours, theirs = torch.rand(9, generator=generator(1)).double(), torch.rand(9, generator=generator(2)).double()
    expected = ttest_rel(ours.numpy(), theirs.numpy(), alternative="less").pvalue
    assert chance_worse(ours, theirs) == pytest.approx(expected, rel=1e-9)
    assert chance_worse(theirs, ours) == pytest.approx(1 - expected, rel=1e-9)
    assert chance_worse(ours, ours) == 0.5
    assert chance_worse(ours, None) is None


def test_a_mixture_is_the_weighted_mean_of_its_members():
    surrogate, _, _, x, _ = case()
    scaled = surrogate.scaling.inputs.standardise(torch.as_tensor(x))
    first, second = (
        surrogate.network,
        dataclasses.replace(surrogate.network, weights={n: 2 * w for n, w in surrogate.weights.items()}),
    )
    mixture = Mixture(torch.tensor([0.25, 0.75], dtype=torch.float64), (first, second))
    expected = 0.25 * first.predict(scaled).double() + 0.75 * second.predict(scaled).double()
    torch.testing.assert_close(mixture.predict(scaled), expected, rtol=0, atol=1e-12)
    assert [where for where, _ in Auto().stages()] == ["source", "target"]
    assert Auto(features=False).stages() == (("target", Choose()),)
