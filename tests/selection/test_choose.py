"""The choice: weights by leave-one-out errors, exact leave-one-out residuals of the candidates, and the report."""

import dataclasses

import numpy as np
import pytest
import torch
from drawing import generator
from scipy.optimize import minimize
from scipy.stats import ttest_rel

import pac_surrogate as pac
from pac_surrogate.data.nested_cross_validation import nested_choice
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.methods.around.gaussian_process import GP
from pac_surrogate.methods.around.linear_correction import RidgeLines, fit_lines
from pac_surrogate.methods.around.source_process import source_process
from pac_surrogate.methods.tuned.atl import feature_statistics
from pac_surrogate.predictors import Correction, Linearised, Mixture, SharedKernel
from pac_surrogate.predictors.choice import Choice
from pac_surrogate.selection.auto import TRAINED, Auto
from pac_surrogate.selection.candidates import RIDGES, candidates
from pac_surrogate.selection.stacking import WEIGHED, chance_worse, weigh


def case(kind="shifted", samples=12, seed=0):
    """Return a source surrogate and a target that is a shift of the source, or unrelated to it."""
    draws = np.random.default_rng(seed)
    x = draws.uniform(-1, 1, size=(400, 2))
    low = np.stack([np.sin(3 * x[:, 0]) + x[:, 1], x[:, 0] * x[:, 1]], axis=1)
    high = low + 2.0 if kind == "shifted" else np.stack([np.cos(5 * x[:, 1]), x[:, 0] ** 2], axis=1)
    source = pac.Dataset.from_arrays(x[:300], low[:300])
    target = pac.Dataset.from_arrays(x[300 : 300 + samples], high[300 : 300 + samples])
    surrogate = pac.pretrain(source, model=pac.MLP(hidden=(16, 16)), steps=600, learning_rate=3e-3)
    return surrogate, source, target, x[340:], high[340:]


def test_weights_minimise_the_leave_one_out_error_shrunk_to_those_by_evidence():
    residuals = torch.randn(4, 9, 3, generator=generator(), dtype=torch.float64) * torch.tensor(
        [1.0, 1.2, 0.8, 2.0]
    ).double().view(-1, 1, 1)
    flat = residuals.reshape(4, -1)
    gram = (flat @ flat.T / flat.shape[1]).numpy()
    mean = np.diag(gram)
    prior = mean ** (-9 / 4) / (mean ** (-9 / 4)).sum()
    for shrinkage in (0.0, 1.0, 10.0):
        pull = shrinkage * np.sort(mean)[1] / 9  # the lower of the two middle values

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
        found = weigh(residuals, residuals.shape[1], shrinkage).numpy()
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert found.min() >= 0
        np.testing.assert_allclose(found, best, atol=1e-4)  # accuracy of SLSQP; the prior is 0.05 away
    endless = weigh(residuals, residuals.shape[1], 1e9).numpy()
    np.testing.assert_allclose(endless, prior, atol=1e-6)


def test_weights_do_not_depend_on_the_order_and_a_perfect_candidate_gets_all_the_weight():
    residuals = torch.randn(3, 8, 2, generator=generator(), dtype=torch.float64)
    order = [2, 0, 1]
    torch.testing.assert_close(weigh(residuals, 8)[order], weigh(residuals[order], 8), rtol=0, atol=1e-7)
    residuals[1] = 0.0
    assert float(weigh(residuals, 8)[1]) > 0.99


def test_the_leave_one_out_residuals_of_a_shift_are_exact():
    surrogate, _, target, _, _ = case(samples=7)
    data = surrogate.scaling.standardise(target)
    found = candidates(surrogate, data)
    x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
    before = surrogate.network.predict(x).double()
    for i in range(7):
        rest = torch.arange(7) != i
        shift = (y - before)[rest].mean(0)
        torch.testing.assert_close(found["shift"].residual[i], y[i] - before[i] - shift, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["source unchanged"].residual, y - before, rtol=0, atol=1e-12)


def test_a_shifted_source_is_recognised_and_a_useless_source_is_ignored():
    surrogate, source, target, x, y = case("shifted")
    adapted = pac.transfer(surrogate, target, source=source)
    error = np.sqrt(np.mean((adapted.predict(x) - y) ** 2))
    unchanged = np.sqrt(np.mean((surrogate.predict(x) - y) ** 2))
    assert error < 0.15 * unchanged  # the shift is 2; the error of the source is 0.03 of it
    assert adapted.choice.worse_than_source < 0.01
    surrogate, source, target, x, y = case("other", samples=40)
    adapted = pac.transfer(surrogate, target, source=source)
    scratch = pac.transfer(surrogate, target, method=pac.GP(on="target"), intervals=False)
    errors = [np.sqrt(np.mean((s.predict(x) - y) ** 2)) for s in (adapted, scratch, surrogate)]
    assert errors[0] < 1.1 * errors[1] < errors[2]  # protection against negative transfer


def test_studentised_residuals_are_those_of_the_mixture_weighed_without_the_sample():
    surrogate, source, target, x, y = case(samples=30)
    adapted = pac.transfer(surrogate, target, source=source)
    mixture, data = adapted.predictor, adapted.scaling.standardise(target.training)
    found = list(candidates(surrogate, data, *measured(surrogate, source.training)).values())
    residuals = torch.stack([candidate.residual for candidate in found])
    assert len(target) <= WEIGHED  # so the weights are computed without each sample in turn
    for i in (0, 17):
        residual, variance = 0.0, 0.0
        for weight, own in zip(weigh(residuals[:, torch.arange(30) != i], 29), found, strict=True):
            assert (own.variance is None) == (not isinstance(own.predictor, Linearised | SharedKernel))
            others = own.residual[torch.arange(30) != i].square().mean(0)
            expected = others if own.variance is None else own.variance[i]
            residual, variance = residual + weight * own.residual[i], variance + weight * expected
        torch.testing.assert_close(mixture.studentised[i], residual.abs() / variance.sqrt(), rtol=1e-6, atol=1e-9)
    band = adapted.predict_interval(x, 0.9)
    # 60 test samples and 30 for calibration: two standard errors are 0.11 (the draw of the 30) and 0.08 (of the 60).
    assert 0.75 < np.mean((band.lower <= y) & (y <= band.upper)) < 1.0


def measured(surrogate, source):
    """Return what Auto measures on the source: statistics of its features, and a Gaussian process of its samples."""
    data = surrogate.scaling.standardise(source)
    return feature_statistics(surrogate, data), source_process(surrogate, data)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("samples", "inputs"), [(9, 3), (3, 1000)])
def test_lines_without_a_sample_are_those_of_the_others(samples, inputs, linear):
    x, y, before = (torch.randn(samples, k, generator=generator(k)).double() for k in (inputs, 2, 3))
    before = before[:, :2]
    for lines, strength in zip(RidgeLines.grid(before, x, y, RIDGES, linear=linear), RIDGES, strict=True):
        slope, offset, rest = lines.lines(x, linear=linear)
        expected = fit_lines(before, x, y, strength=strength, linear=linear)
        for found, other in zip((slope, offset, rest), expected, strict=True):
            torch.testing.assert_close(found, other, rtol=0, atol=1e-5)  # condition numbers up to 1e9, never squared
        for i in range(samples):
            others = torch.arange(samples) != i
            # The ridge, strength times the number of samples, stays the same.
            own = strength * samples / (samples - 1)
            a, b, c = fit_lines(before[others], x[others], y[others], strength=own, linear=linear)
            torch.testing.assert_close(lines.left_out[i], (y - a * before - b - x @ c)[i], rtol=0, atol=1e-5)


def test_a_setting_is_chosen_for_a_sample_by_the_others():
    squares = torch.tensor([[3.0, 0.1, 0.1, 0.1], [1.0, 1.0, 1.0, 1.0], [0.2, 0.2, 0.2, 2.0]], dtype=torch.float64) ** 2
    apart = torch.arange(4)
    assert nested_choice(squares, apart).tolist() == [0, 1, 1, 2]
    # The first and the last sample are of one input: by the two samples between them, the second setting is better.
    assert nested_choice(squares, torch.tensor([0, 1, 2, 0])).tolist() == [0, 1, 1, 0]
    squares[0] = torch.nan
    assert 0 not in nested_choice(squares, apart).tolist()


def test_a_very_bad_candidate_has_little_influence_on_the_weights_of_the_others():
    noise = torch.randn(3, 40, 1, generator=generator(), dtype=torch.float64)
    residuals = torch.stack([noise[0], -2 * noise[0] + 0.1 * noise[1]])  # weights of 2/3 and 1/3 nearly cancel the errors
    alone = weigh(residuals, 40)
    assert float(alone[1]) > 0.1  # the evidence alone would give the worse candidate 4^-10
    for error in (1e2, 1e4):
        with_it = weigh(torch.cat([residuals, error * noise[2:]]), 40)
        assert float(with_it[2]) == 0.0
        assert float(with_it[1]) > 0.5 * float(alone[1])  # the median is now that of the worse candidate: more shrinkage


def test_a_target_that_is_linear_in_the_inputs_is_found_by_atl_though_the_source_is_far_from_it():
    surrogate, source, target, _, _ = case(samples=20)
    x = target.input_matrix
    linear = pac.Dataset.from_arrays(x, np.stack([x[:, 0] - x[:, 1], 2 * x[:, 1]], axis=1))
    data = surrogate.scaling.standardise(linear)
    statistics = feature_statistics(surrogate, surrogate.scaling.standardise(source))
    found = candidates(surrogate, data, statistics)
    # What is left is the weakest ridge of ATL, 1e-8; the source is wrong by about the deviation of its outputs.
    assert float(found["ATL"].residual.abs().max()) < 1e-5 < 0.3 < float(found["source unchanged"].residual.abs().max())
    assert float(pac.ATL().left_out(surrogate.network, data, statistics).residual.abs().max()) > 1e-3  # anchored at the source


def test_a_target_that_is_linear_in_the_source_is_found_by_the_process_of_the_sources_samples():
    numbers = np.random.default_rng(0)
    x = numbers.uniform(-1, 1, (400, 2))
    low = np.sin(2 * x[:, :1]) + x[:, 1:] ** 2
    source, target = pac.Dataset.from_arrays(x[:300], low[:300]), pac.Dataset.from_arrays(x[300:308], 2 * low[300:308] - 1)
    surrogate = pac.pretrain(source, model=pac.MLP(hidden=(8,)), steps=100)
    with_samples, without = (pac.transfer(surrogate, target, source=s) for s in (source, None))
    errors = [np.abs(s.predict(x[308:]) - (2 * low[308:] - 1)).max() for s in (with_samples, without)]
    assert errors[0] < 0.01 < errors[1]  # errors: 1e-3 of a process of 200 samples, 0.3 of a network of 100 steps
    assert "of the source's process" in with_samples.choice.method
    many = pac.Dataset.from_arrays(x[:300], np.repeat(low[:300], 9, axis=1))
    wide = pac.pretrain(many, model=pac.MLP(hidden=(8,)), steps=1)
    assert source_process(wide, wide.scaling.standardise(many)) is None  # more than 8 outputs


def test_nested_predictors_are_loaded_from_a_file_bit_for_bit(tmp_path):
    surrogate, source, target, x, _ = case(samples=6)
    data, path = surrogate.scaling.standardise(target), tmp_path / "a.safetensors"
    _, process = measured(surrogate, source)
    line = Correction(process, torch.ones(2).double(), torch.ones(2).double(), torch.zeros(2, 2).double())
    on_process, on_line = (GP(on="residual").solve(base, data) for base in (process, line))
    for predictor in (line, on_process, on_line):
        made = dataclasses.replace(surrogate, predictor=predictor)
        made.save(path)
        np.testing.assert_array_equal(pac.Surrogate.load(path).predict(x), made.predict(x))
    tensors, header = load_tensors(path)
    header["predictor"]["base"]["kind"] = "Mixture"
    save_tensors(path, tensors, header)
    with pytest.raises(pac.DatasetError, match="no predictor may have a base of the kind 'Mixture'"):
        pac.Surrogate.load(path)


def test_a_damaged_mixture_is_refused(tmp_path):
    surrogate, _, target, _, _ = case(samples=6)
    path = tmp_path / "a.safetensors"
    pac.transfer(surrogate, target).save(path)
    tensors, header = load_tensors(path)
    for name, wrong, said in (
        ("weights", torch.nan, "must be finite and not negative, mixture/weights is not"),
        ("weights", 1.0, "the weights of the mixture must have the sum 1"),
        ("scores", torch.nan, "must be finite and not negative"),  # the name in files of the studentised residuals
        ("squares", -1.0, "must be finite and not negative"),
    ):
        damaged = tensors | {f"mixture/{name}": torch.full_like(tensors[f"mixture/{name}"], wrong)}
        save_tensors(path, damaged, header)
        with pytest.raises(pac.DatasetError, match=said):
            pac.Surrogate.load(path)


def test_trained_candidates_are_judged_on_samples_that_they_have_not_seen():
    surrogate, source, target, _, _ = case(samples=5)
    spent = {"source": source, "steps": 7, "source_steps": 7}
    adapted = pac.transfer(surrogate, target, method=Auto(trained=True), **spent)
    errors = {one.name: one.error for one in adapted.choice.table}
    scaling = surrogate.scaling.outputs
    for name in ("PAC", "fine-tune", "scratch"):
        residuals = []
        for i in range(5):
            rest = target[np.arange(5) != i]
            one = pac.transfer(surrogate, rest, method=TRAINED[name], intervals=False, **spent)
            guess, truth = (scaling.standardise(torch.as_tensor(v)) for v in (one.predict(target.x[[i]]), target.y[[i]]))
            residuals.append(truth - guess)
        # The fits are trained in float32, once in a stack and once alone.
        assert errors[name] == pytest.approx(float(torch.cat(residuals).square().mean().sqrt()), rel=1e-3)
    assert set(TRAINED) < set(errors)
    alone = pac.transfer(surrogate, target, method=Auto(trained=True), steps=7)
    names = {one.name for one in alone.choice.table}
    assert "PAC" not in names  # it trains on the source
    assert "fine-tune" in names


def test_all_trained_candidates_and_folds_are_one_stack(monkeypatch):
    surrogate, source, target, _, _ = case(samples=12)
    stacks, original = [], pac.runner.fit
    monkeypatch.setattr(
        pac.runner, "fit", lambda model, plans, *a, **k: stacks.append(len(plans)) or original(model, plans, *a, **k)
    )
    pac.transfer(surrogate, target, method=Auto(trained=True), source=source, steps=2, source_steps=2)
    # First PAC's two sparsities on the source, together with the 10 folds and the fit of all samples of the five candidates
    # that need no source; then the 11 fits of each of PAC's two.
    assert stacks == [2 + 5 * 11, 2 * 11]


def test_the_choice_reports_its_candidates_and_is_kept_by_saving(tmp_path):
    surrogate, source, target, x, _ = case()
    adapted = pac.transfer(surrogate, target, source=source)
    choice = adapted.choice
    assert choice.table == tuple(sorted(choice.table, key=lambda one: one.error))
    assert sum(one.weight for one in choice.table) == pytest.approx(1, abs=1e-9)
    assert choice.method == max(choice.table, key=lambda one: one.weight).name
    assert choice.runner_up != choice.method
    assert choice.method in choice.reason
    assert str(choice).count("\n") == len(choice.table) + 2  # after the reason and the table, the two chances
    assert str(choice).splitlines()[-1] == f"chance of a larger error than without the source: {choice.worse_than_scratch:.0%}"
    assert Choice.from_json(choice.to_json()) == choice
    adapted.save(tmp_path / "a.safetensors")
    again = pac.Surrogate.load(tmp_path / "a.safetensors")
    assert again.choice == choice
    np.testing.assert_array_equal(again.predict(x), adapted.predict(x))
    assert pac.transfer(surrogate, target, method=pac.FineTune(), steps=1, intervals=False).choice is None


@pytest.mark.parametrize("samples", [0, 1])
def test_with_fewer_than_two_samples_the_source_is_chosen_with_a_reason(samples):
    surrogate, source, target, x, _ = case()
    adapted = pac.transfer(surrogate, target[:samples], source=source)
    np.testing.assert_allclose(adapted.predict(x), surrogate.predict(x), rtol=1e-6)
    assert adapted.choice.method == "source unchanged"
    assert ("no sample can be left out" if samples else "no target samples") in adapted.choice.reason


def test_duplicated_samples_and_constant_outputs_give_finite_predictions():
    surrogate, source, target, x, _ = case()
    twice = target[np.array([0, 0, 1, 1, 2, 2])]
    with pytest.warns(pac.DataWarning, match=r"repeat inputs.*\(0 and 1; 2 and 3; 4 and 5\)"):
        adapted = pac.transfer(surrogate, twice, source=source)
    assert np.isfinite(adapted.predict(x)).all()
    flat = pac.Dataset.from_arrays(target.x, np.ones((12, 2)))
    prediction = pac.transfer(surrogate, flat, source=source).predict(x)
    assert np.abs(prediction - 1).max() < 0.2


def test_one_sample_of_new_outputs_is_too_few_for_a_choice():
    surrogate, source, target, _, _ = case()
    new = pac.Dataset.from_arrays(target.x, {"pressure": target.y[:, 1]})
    with (
        pytest.warns(pac.DataWarning, match="are new"),
        pytest.raises(ValueError, match="samples of 2 different inputs, got 1"),
    ):
        pac.transfer(surrogate, new[:1], source=source)


def test_a_surrogate_of_new_outputs_can_be_the_source_of_the_next_transfer():
    surrogate, _, target, _, _ = case(samples=20)
    new = pac.Dataset.from_arrays(target.x, {"pressure": 5 * target.y[:, 1]})
    with pytest.warns(pac.DataWarning, match="outputs pressure are new"):
        first = pac.transfer(surrogate, new, method=pac.FineTune(), steps=5, intervals=False)
    second = pac.transfer(first, new[:8])
    assert second.choice.worse_than_source is not None
    assert {"source unchanged", "shift", "all weights"} <= {one.name for one in second.choice.table}


def test_auto_is_refused_as_a_candidate():
    surrogate, _, target, _, _ = case()
    with pytest.raises(ValueError, match="give it alone"):
        pac.transfer(surrogate, target, method=(Auto(), pac.FineTune()))


def test_the_choice_applies_to_new_outputs_too():
    surrogate, source, target, x, y = case("other", samples=30)
    new = pac.Dataset.from_arrays(target.x, {"pressure": 5 * target.y[:, 1]})
    with pytest.warns(pac.DataWarning, match="outputs pressure are new"):
        adapted = pac.transfer(surrogate, new, source=source)
    assert adapted.choice.worse_than_source is None
    spread = np.std(5 * y[:, 1])
    assert np.sqrt(np.mean((adapted.predict(x) - 5 * y[:, 1]) ** 2)) < 0.3 * spread


def test_the_probability_of_being_worse_is_that_of_students_t_test():
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
