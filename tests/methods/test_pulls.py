"""LP-FT, surgical fine-tuning and EWC, and the Fisher information: which weights train, for how long, and what pulls them."""

import dataclasses

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of, problems
from cases import MODELS, dataset, same, surrogate
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.kernels.jacobian import fisher_diagonal
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pulled.ewc import EWC, fisher_information
from pac_surrogate.methods.tuned.lp_ft import LPFT
from pac_surrogate.methods.tuned.surgical import Surgical
from pac_surrogate.models import evaluate
from pac_surrogate.predictors import build_network
from pac_surrogate.surrogates.outputs import with_outputs_of
from pac_surrogate.surrogates.surrogate import Surrogate


def case(kind, output="temperature", start=None, steps=60):
    data = dataset(kind, 6, 10, 0.4, output)
    return case_of(start or surrogate(kind), data, dataset(kind, 60, 1), steps=steps, source_steps=20, batch_size=16)


def solve(kind, *methods, output="temperature", steps=60):
    return [result.surrogate for result in outcomes(list(methods), case(kind, output, steps=steps))]


def scaled(kind, samples=6, output="temperature"):
    start, data = surrogate(kind), dataset(kind, samples, 10, 0.4, output)
    start = with_outputs_of(start, data)
    return start, start.scaling.standardise(data)


# LP-FT ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_lp_ft_is_the_probe_then_fine_tuning_each_with_its_part_of_the_steps(kind):
    (both,) = solve(kind, LPFT(probe_fraction=0.3, learning_rate=2e-3, probe_learning_rate=5e-3))
    (probed,) = solve(kind, pac.LinearProbe(learning_rate=5e-3), steps=18)
    tuned = outcome(pac.FineTune(learning_rate=2e-3), case(kind, start=probed, steps=42))
    assert same(both.weights, tuned.surrogate.weights)
    assert not same(both.weights, probed.weights)


def test_lp_ft_lies_between_fine_tuning_and_the_probe_and_ends_in_both():
    none, tuned, all_of_it, probed = solve(
        "MLP", LPFT(probe_fraction=0.0), pac.FineTune(), LPFT(probe_fraction=1.0), pac.LinearProbe()
    )
    assert same(none.weights, tuned.weights)
    assert same(all_of_it.weights, probed.weights)
    assert not same(tuned.weights, probed.weights)


def test_both_trainings_of_lp_ft_together_use_one_budget():
    for fraction in (0.0, 0.25, 0.5, 1.0):
        asking = problems(LPFT(probe_fraction=fraction), case("MLP"))
        probe = next(asking)
        assert (probe.steps, asking.send(probe.surrogate).steps) == (60 * fraction, 60 * (1 - fraction))


def test_lp_ft_learns_new_outputs():
    (result,) = solve("MLP", LPFT(), output="pressure", steps=40)
    moved = {name for name, weight in surrogate("MLP").weights.items() if not torch.equal(weight, result.weights[name])}
    assert moved == set(result.weights)


# Surgical ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "block", "names"),
    [
        ("MLP", "first", {"hidden.0.weight", "hidden.0.bias"}),
        ("MLP", "hidden.1", {"hidden.1.weight", "hidden.1.bias"}),
        ("MLP", "last", {"readout.weight", "readout.bias"}),
        ("CNN", "first", {"lift.weight", "lift.bias"}),
        ("CNN", "down.0", {f"down.0.0.{part}.{kind}" for part in (0, 1) for kind in ("weight", "bias")}),
        ("CNN", "last", {"readout.weight", "readout.bias"}),
    ],
)
def test_surgical_trains_one_block_and_nothing_else(kind, block, names):
    (result,) = solve(kind, Surgical(block=block))
    moved = {name for name, weight in surrogate(kind).weights.items() if not torch.equal(weight, result.weights[name])}
    assert moved == names


def test_surgical_on_the_last_block_is_the_linear_probe():
    last, probe, first = solve("CNN", Surgical(block="last"), pac.LinearProbe(), Surgical())
    assert same(last.weights, probe.weights)
    assert not same(first.weights, probe.weights)


def test_a_new_readout_trains_with_the_block():
    (result,) = solve("MLP", Surgical(), output="pressure")
    moved = {name for name, weight in surrogate("MLP").weights.items() if not torch.equal(weight, result.weights[name])}
    assert moved == {"hidden.0.weight", "hidden.0.bias", "readout.weight", "readout.bias"}


def test_a_block_that_does_not_exist_is_reported_with_the_existing_blocks():
    with pytest.raises(ValueError, match=r"no weights belong to a module named 'hidden.9'; the tensors are: hidden.0.weight"):
        plan_of(Surgical(block="hidden.9"), case("MLP"))


# The Fisher information ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_the_fisher_diagonal_equals_an_explicit_loop_over_samples_and_outputs(kind, monkeypatch):
    start, data = scaled(kind, 5)
    x = torch.as_tensor(data.input_matrix)
    weights = {name: weight.clone().requires_grad_() for name, weight in start.weights.items()}
    expected = {name: torch.zeros_like(weight) for name, weight in start.weights.items()}
    for row in x:
        for output in evaluate(start.network.module, weights, row[None])[0][0]:
            for name, slope in zip(
                weights, torch.autograd.grad(output, list(weights.values()), retain_graph=True), strict=True
            ):
                expected[name] += slope**2 / len(x)
    found = fisher_diagonal(start.network.module, start.weights, x)
    monkeypatch.setattr("pac_surrogate.kernels.jacobian.NUMBERS", 1)  # one piece per sample
    for pieces in (found, fisher_diagonal(start.network.module, start.weights, x)):
        for name, value in expected.items():
            torch.testing.assert_close(pieces[name], value, rtol=1e-10, atol=1e-14)  # rounding of sums of 40 terms


def linear_source(rows):
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(rows, 3)))
    data = pac.Dataset.from_arrays(x.numpy(), np.zeros((rows, 2)))
    network = build_network(pac.Module(nn.Linear(3, 2)), data.inputs, data.outputs)
    network = dataclasses.replace(network, weights={name: weight.double() for name, weight in network.weights.items()})
    return Surrogate(network, fit_scaling(data), data.inputs, data.outputs), data, x


def test_on_a_linear_model_the_fisher_diagonal_is_that_of_the_mean_of_x_x():
    source, _, x = linear_source(11)
    fisher = fisher_diagonal(source.network.module, source.weights, x)
    for output in range(2):
        np.testing.assert_allclose(fisher["module.weight"][output], np.diag(x.T @ x) / 11, rtol=1e-13)
    np.testing.assert_allclose(fisher["module.bias"], 1.0, rtol=1e-13)


def test_the_fisher_information_has_mean_1_over_all_weights_and_uses_only_the_first_samples():
    source, data, x = linear_source(11)
    fisher = fisher_information(source, data, 4)
    diagonal = np.diag(x[:4].T @ x[:4]) / 4
    mean = (2 * diagonal.sum() + 2) / 8
    np.testing.assert_allclose(fisher["module.weight"][0], diagonal / mean, rtol=1e-12)
    np.testing.assert_allclose(fisher["module.bias"], 1 / mean, rtol=1e-12)


def test_a_source_without_samples_or_with_an_undefined_fisher_information_is_refused():
    source, data, _ = linear_source(5)
    with pytest.raises(NotApplicableError, match="needs source samples to measure Fisher information on, got none"):
        fisher_information(source, data[:0], 256)
    start, data = scaled("MLP")
    dead = {name: torch.zeros_like(weight) if "weight" in name else weight for name, weight in start.weights.items()}
    dead["readout.bias"] = torch.full_like(dead["readout.bias"], torch.inf)
    broken = dataclasses.replace(
        start,
        predictor=dataclasses.replace(start.network, weights=dead | {"hidden.0.weight": dead["hidden.0.weight"] * torch.nan}),
    )
    with pytest.raises(NotApplicableError, match="got a mean Fisher information of nan"):
        fisher_information(broken, data, 256)


# EWC -----------------------------------------------------------------------------------------------------------------------


def constant(start, value):
    return {name: torch.full_like(weight, value) for name, weight in start.weights.items()}


@dataclasses.dataclass(frozen=True)
class ConstantFisher:
    """EWC with a Fisher information of 1 for every weight."""

    ewc: EWC

    def adapt(self, case):
        start = case.for_target()
        return (yield case.on_target(start, self.ewc.pull(start, constant(start, 1.0)), self.ewc.learning_rate))


@pytest.mark.parametrize("output", ["temperature", "pressure"])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("biases", ["free", "pulled", "frozen"])
def test_ewc_with_fisher_1_and_epsilon_0_is_l2_sp(kind, output, biases):
    pull = EWC(strength=0.7, readout_strength=0.2, epsilon=0.0, biases=biases)
    methods = (
        ConstantFisher(pull),
        pac.L2SP(strength=0.7, readout_strength=0.2, biases=biases),
        ConstantFisher(dataclasses.replace(pull, epsilon=0.5)),
    )
    ewc, l2_sp, other = solve(kind, *methods, output=output)
    assert same(ewc.weights, l2_sp.weights)
    assert not same(ewc.weights, other.weights)


def test_the_pull_is_strength_times_fisher_plus_epsilon_and_beta_on_a_new_readout():
    start, _ = scaled("MLP")
    method = EWC(strength=0.3, readout_strength=0.02, epsilon=0.1, biases="pulled")
    plan = method.pull(start, constant(start, 2.0))
    for name, weight in start.weights.items():
        assert torch.equal(plan.anchor[name], weight)
        np.testing.assert_allclose(plan.strength[name], 0.3 * 2.1, rtol=1e-15)
    start, _ = scaled("MLP", output="pressure")
    plan = method.pull(start, constant(start, 2.0))
    strengths = {name: float(strength.flatten()[0]) for name, strength in plan.strength.items()}
    assert strengths["readout.weight"] == 0.02
    assert strengths["readout.bias"] == 0.0
    assert strengths["hidden.1.bias"] == pytest.approx(0.63)
    assert not plan.anchor["readout.weight"].any()


def test_on_a_linear_model_ewc_is_generalised_ridge_towards_the_source():
    # d = (X'X / n + strength (diag F + epsilon))^-1 X'r / n: the mean over 2 outputs gives a factor 1/2, the derivative of
    # the square a factor 2.
    source, data, x = linear_source(9)
    target = pac.Dataset.from_arrays(x.numpy(), np.random.default_rng(1).normal(size=(9, 2)))
    plan = EWC(strength=0.8, epsilon=0.3, biases="pulled").pull(source, fisher_information(source, data, 256))
    (fit,) = pac.fit(
        source.network.module,
        [plan],
        [target],
        seeds=[0],
        steps=1200,
        learning_rate=2e-2,
        dtype=torch.float64,
        schedule="cosine",
    )
    ones = np.c_[x.numpy(), np.ones(9)]
    fisher = np.mean(ones**2, axis=0) / np.mean(ones**2)  # each output of a linear model depends only on its own row
    for output in range(2):
        start, end = (np.r_[w["module.weight"][output], w["module.bias"][output]] for w in (source.weights, fit.weights))
        residual = target.output_matrix[:, output] - ones @ start
        move = np.linalg.solve(ones.T @ ones / 9 + 0.8 * np.diag(fisher + 0.3), ones.T @ residual / 9)
        np.testing.assert_allclose(end - start, move, atol=1e-8)  # the accuracy of Adam; a factor 2 in the pull: 0.05
        assert np.abs(move).max() > 0.1


def test_an_endless_pull_of_ewc_gives_the_source():
    held, free = solve("MLP", EWC(strength=1e9, biases="pulled"), pac.FineTune())
    start = surrogate("MLP")
    # Even epsilon alone gives a pull of 1e7; the remaining difference is the size of Adam's last steps.
    assert max(float((held.weights[n] - w).abs().max()) for n, w in start.weights.items()) < 1e-4
    assert max(float((free.weights[n] - w).abs().max()) for n, w in start.weights.items()) > 1e-2


def test_ewc_computes_the_fisher_information_of_the_source_once_for_all_strengths(monkeypatch):
    measured = []

    def counted(*arguments):
        measured.append(arguments)
        return fisher_information(*arguments)

    monkeypatch.setattr("pac_surrogate.methods.pulled.ewc.fisher_information", counted)
    first, second = solve("MLP", EWC(strength=0.1), EWC(strength=1.0))
    assert not same(first.weights, second.weights)
    ((_, data, samples),) = measured
    assert (len(data), samples) == (60, 256)
    asked = next(EWC().adapt(case("MLP")))
    assert isinstance(asked, Measure)
    assert asked.data.digest() == dataset("MLP", 60, 1).digest()


def test_ewc_works_in_single_precision_and_returns_the_source_without_samples():
    for dtype in (torch.float32, torch.float64):
        for samples in (0, 6):
            data = dataset("MLP", 6, 10, 0.4)[:samples]
            result = outcome(EWC(), case_of(surrogate("MLP", dtype), data, dataset("MLP", 60, 1), steps=60, batch_size=16))
            assert result.surrogate.network.dtype == dtype
            assert same(result.surrogate.weights, surrogate("MLP", dtype).weights) == (samples == 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LPFT(probe_fraction=1.2), r"probe_fraction must be in \[0, 1\], got 1.2"),
        (lambda: LPFT(probe_fraction=float("nan")), r"probe_fraction must be in \[0, 1\], got nan"),
        (lambda: LPFT(learning_rate=0.0), "learning_rate must be positive"),
        (lambda: LPFT(probe_learning_rate=-1.0), "learning_rate must be positive"),
        (lambda: Surgical(learning_rate=float("inf")), "learning_rate must be positive"),
        (lambda: EWC(strength=-1.0), "strength must be finite and not negative, got -1.0"),
        (lambda: EWC(readout_strength=float("nan")), "readout_strength must be finite and not negative, got nan"),
        (lambda: EWC(epsilon=-1.0), "epsilon must be finite and not negative, got -1.0"),
        (lambda: EWC(samples=0), "samples must be at least 1, got 0"),
        (lambda: EWC(learning_rate=0.0), "learning_rate must be positive"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", MODELS)
def test_each_method_in_a_stack_with_others_gives_the_result_of_that_method_alone(kind):
    methods = (
        LPFT(),
        LPFT(probe_fraction=0.2),
        Surgical(),
        Surgical("last"),
        EWC(),
        EWC(strength=2.0, biases="pulled"),
        pac.FineTune(),
    )
    for method, together in zip(methods, solve(kind, *methods, steps=20), strict=True):
        (alone,) = solve(kind, method, steps=20)
        for name, weight in alone.weights.items():
            # Weights after 20 steps in float64; a run that its neighbours affected would differ by 1e-3.
            assert float((together.weights[name] - weight).abs().max()) < 1e-10, (method, name)
