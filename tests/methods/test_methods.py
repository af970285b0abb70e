"""The same tests for every method, then the exact properties of PAC, and methods with a closed-form solution."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of, problems, surrogate_of, trained
from cases import MODELS, dataset, same, surrogate
from every_method import METHODS
from shortened import shorten_searches
from torch import nn

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files.tensors import load_tensors
from pac_surrogate.methods.around.linear_correction import fit_lines
from pac_surrogate.methods.method import check_case, needs_source, needs_target
from pac_surrogate.methods.pruned.pac import Allocate, Calibrate
from pac_surrogate.models import initial_weights
from pac_surrogate.models.weights import masked, prunable
from pac_surrogate.predictors import Network, build_network
from pac_surrogate.prepare import match
from pac_surrogate.surrogates.surrogate import Surrogate

BUDGET = {"steps": 200, "source_steps": 60, "batch_size": 16}
SHORT = {"steps": 60, "source_steps": 40, "batch_size": 16}
SHORTEST = {"steps": 20, "source_steps": 20, "batch_size": 16}
FEWEST = {"steps": 10, "source_steps": 10, "batch_size": 16}


@pytest.fixture(autouse=True)
def short_searches(monkeypatch):
    """Cut the searches of Gaussian processes: what holds for all methods holds after any number of their steps."""
    shorten_searches(monkeypatch)


def case(kind, seed=0, samples=6, dtype=torch.float64, budget=BUDGET):
    return case_of(surrogate(kind, dtype), dataset(kind, samples, 10 + seed, 0.4), dataset(kind, 60, 1), seed=seed, **budget)


def copied(weights):
    return {name: weight.clone() for name, weight in weights.items()}


def trainings_of(name, kind, dtype, samples=6):
    """Return the trainings that a method asks for, each with its result; check that the method does not change its inputs."""
    own = case_of(surrogate(kind, dtype), dataset(kind, samples, 3, 0.4), dataset(kind, 60, 1), seed=5, **FEWEST)
    asking, current, answer, found = problems(METHODS[name], own), own.surrogate, None, []
    while True:
        before = copied(current.weights)
        try:
            asked = asking.send(answer)
        except StopIteration as end:
            return found, end.value
        finally:
            assert same(current.weights, before)
        answer = trained(asked, own)
        current = surrogate_of(answer)
        found.append((asked, current))


trainings_once = cache(trainings_of)  # two tests look at the same trainings


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_plan_and_no_method_changes_its_inputs(name, kind):
    (trainings, end), (again, same_end) = (of(name, kind, torch.float64) for of in (trainings_once, trainings_of))
    for (first, _), (second, _) in zip(trainings, again, strict=True):
        assert (first.steps, first.learning_rate) == (second.steps, second.learning_rate)
        plans = [first.plan, second.plan]
        for part in ("start", "trainable", "anchor", "strength"):
            assert same(*(getattr(plan, part) for plan in plans))
        assert plans[0].reparametrisation == plans[1].reparametrisation
        if plans[0].regulariser is not None:
            assert plans[0].regulariser == plans[1].regulariser
            assert same(*(plan.regulariser.arrays for plan in plans))
    assert same(*(surrogate.predictor.state()[0] for surrogate in (end, same_end)))
    source = surrogate(kind)
    before = copied(source.weights)
    result = outcome(METHODS[name], case_of(source, dataset(kind, 6, 3, 0.4), dataset(kind, 60, 1), **FEWEST))
    assert same(source.weights, before)
    assert source.essential is None
    assert (result.diverged, result.refused) == (None, None)


@pytest.mark.parametrize("kind", MODELS)
def test_every_method_in_one_stack_gives_the_result_of_that_method_alone(kind):
    budget = BUDGET if kind == "MLP" else FEWEST  # a convolution's step takes ten times as long
    cases = [case(kind, seed, samples, budget=budget) for seed, samples in ((0, 6), (1, 7))]
    given = [(method, one) for method in METHODS.values() for one in cases]
    together = outcomes([method for method, _ in given], *(one for _, one in given))
    x = torch.as_tensor(dataset(kind, 20, 9).input_matrix)
    for which in range(0, len(given), 2):
        which += which // 2 % 2  # the first case of one method, the second case of the next
        method, one = given[which]
        stacked, single = together[which].surrogate.predictor, outcome(method, one).surrogate.predictor
        # The bound of the specification holds for weights after 200 steps in float64. A run that its neighbours affected would
        # differ by 1e-3, also after the first steps, because Adam's steps do not depend on the size of a gradient.
        if isinstance(single, Network):
            for name, weight in single.weights.items():
                assert float((stacked.weights[name] - weight).abs().max()) < 1e-10, (method, name)
        assert float((stacked.predict(x) - single.predict(x)).abs().max()) < 1e-9, method


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", [name for name in METHODS if name != "source unchanged"])
def test_weights_that_a_plan_freezes_keep_their_bits_and_others_move(name, kind):
    for dtype, integer in ((torch.float32, torch.int32), (torch.float64, torch.int64)):
        trainings, end = trainings_once(name, kind, dtype)
        for asked, after in trainings:
            assert {weight.dtype for weight in after.weights.values()} == {dtype}
            plan, moved = asked.plan, 0
            for weight_name, before in plan.seen().items():
                if plan.reparametrisation is None:
                    frozen = ~plan.trainable[weight_name].expand_as(before)
                    now = after.weights[weight_name][frozen].view(integer)
                    assert torch.equal(before.to(dtype)[frozen].view(integer), now)
                moved += int((before.to(dtype) != after.weights[weight_name]).sum())
            assert (moved > 0) == plan.trains
        if isinstance(end.predictor, Network):
            assert {weight.dtype for weight in end.weights.values()} == {dtype}


@pytest.mark.parametrize("name", METHODS)
def test_without_target_samples_a_method_returns_the_result_of_its_source_stage_or_reports_that_it_needs_some(name):
    method = METHODS[name]
    none = case_of(surrogate("MLP"), dataset("MLP", 6, 3)[:0], dataset("MLP", 60, 1), **SHORT)
    if needs_target(method):
        with pytest.raises(ValueError, match="needs target samples"):
            check_case(method, none)
        return
    result = outcome(method, none)
    assert result.refused is None
    x = torch.as_tensor(dataset("MLP", 20, 9).input_matrix)
    prediction = result.surrogate.predictor.predict(x)
    if not needs_source(method) and name != "PAC, no allocate":
        torch.testing.assert_close(prediction, surrogate("MLP").predictor.predict(x), rtol=0, atol=1e-12)
    assert bool(torch.isfinite(prediction).all())


def allocated(kind="MLP", **options):
    none = case_of(surrogate(kind), dataset(kind, 6, 3)[:0], dataset(kind, 60, 1), **BUDGET)
    return outcome(Allocate(**options), none).surrogate


def calibrated(before, kind="MLP", budget=BUDGET, **options):
    return outcome(Calibrate(**options), case_of(before, dataset(kind, 6, 3, 0.4), **budget)).surrogate


@pytest.mark.parametrize("kind", MODELS)
def test_pac_truth_1_masking_the_calibrated_weights_gives_back_the_allocated_ones_bit_for_bit(kind):
    before = allocated(kind, sparsity=0.7)
    after = calibrated(before, kind, biases="frozen")
    assert not same(after.weights, before.weights)
    back = masked(after.weights, before.essential)
    for name, weight in before.weights.items():
        assert torch.equal(back[name].view(torch.int64), weight.view(torch.int64))
    x = dataset(kind, 20, 9).input_matrix
    old, new = (dataclasses.replace(before.network, weights=w).predict(torch.as_tensor(x)) for w in (before.weights, back))
    assert torch.equal(old, new)  # exact non-forgetting


@pytest.mark.parametrize("options", [{}, {"biases": "pulled"}, {"biases": "frozen"}, {"flip": True}], ids=str)
@pytest.mark.parametrize("output", ["temperature", "pressure"])  # kept outputs, and new ones
@pytest.mark.parametrize("kind", MODELS)
def test_the_source_task_is_the_allocated_source_bit_for_bit_also_after_saving(kind, output, options, tmp_path):
    before, data = allocated(kind, sparsity=0.7), dataset(kind, 6, 3, 0.4, output)
    after = outcome(Calibrate(**options), case_of(before, data, **SHORTEST)).surrogate
    assert not same(after.weights, before.weights)
    after.save(tmp_path / "calibrated.safetensors")
    loaded = pac.Surrogate.load(tmp_path / "calibrated.safetensors")
    x = torch.as_tensor(dataset(kind, 20, 9).input_matrix)
    for one in (after, loaded):
        source = one.source_task()
        assert same(source.weights, before.weights)
        assert same(source.essential, before.essential)
        assert source.outputs == before.outputs
        assert torch.equal(source.predictor.predict(x), before.predictor.predict(x))
    assert torch.equal(loaded.predictor.predict(x), after.predictor.predict(x))


def test_a_saved_source_task_takes_the_room_of_the_biases_and_the_range_of_the_inputs(tmp_path):
    before = allocated(sparsity=0.7)
    after = calibrated(before, budget=SHORTEST)
    sizes = []
    for name, one in (("with", after), ("without", dataclasses.replace(after, allocated=None))):
        one.save(tmp_path / name)
        tensors, _ = load_tensors(tmp_path / name)
        sizes.append({name: tensor.numel() for name, tensor in tensors.items()})
    biases = {f"allocated/weights/{n}": w.numel() for n, w in before.weights.items() if w.ndim == 1}
    inputs = len(before.scaling.inputs.low)  # a transfer widens the range of the inputs
    assert sizes[0] == sizes[1] | biases | {f"allocated/scaling/inputs/{end}": inputs for end in ("low", "high")}


def test_a_surrogate_that_was_not_calibrated_has_no_source_task():
    before = allocated(sparsity=0.7)
    again = outcome(pac.FineTune(), case_of(match(calibrated(before), dataset("MLP", 6, 3)), dataset("MLP", 6, 3), **SHORTEST))
    for one in (surrogate("MLP"), before, again.surrogate):
        with pytest.raises(ValueError, match="keeps no source task: transfer with PAC"):
            one.source_task()


def test_a_source_pruned_by_pac_and_then_trained_on_the_target_keeps_no_source_task():
    result = outcome(pac.SparseTransfer(pac.PAC(sparsity=0.5, exempt=())), case("MLP", budget=SHORTEST))
    assert result.surrogate.essential is not None
    assert result.surrogate.allocated is None


@pytest.mark.parametrize("kind", MODELS)
def test_biases_are_free_pulled_or_frozen_as_the_option_says(kind):
    pruned, data = allocated(kind, sparsity=0.7), dataset(kind, 6, 3, 0.4)
    for method, start in ((pac.L2, surrogate(kind)), (pac.L2SP, surrogate(kind)), (Calibrate, pruned)):
        for biases in ("free", "pulled", "frozen"):
            plan = plan_of(method(strength=0.3, biases=biases), case_of(start, data))
            for name, weight in start.weights.items():
                if weight.ndim == 1:
                    assert bool(plan.trainable[name].all()) == bool(plan.trainable[name].any()) == (biases != "frozen")
                    assert float(plan.strength[name]) == (0.3 if biases == "pulled" else 0.0)
                else:
                    assert float(plan.strength[name]) == 0.3


@pytest.mark.parametrize("biases", ["free", "pulled", "frozen"])
def test_the_biases_of_a_new_readout_train_without_a_pull(biases):
    data = dataset("MLP", 6, 3, 0.4, "pressure")
    for method, start in ((pac.L2SP, surrogate("MLP")), (Calibrate, allocated(sparsity=0.7))):
        plan = plan_of(method(biases=biases), case_of(start, data))
        assert bool(plan.trainable["readout.bias"].all())
        assert float(plan.strength["readout.bias"].max()) == 0.0


def test_the_readout_is_not_pruned_unless_asked():
    for criterion in ("magnitude", "random"):
        for exempt, pruned in ((("readout",), False), ((), True)):
            mask = allocated(sparsity=0.5, exempt=exempt, criterion=criterion).essential
            assert bool(mask["readout.weight"].all()) != pruned
            assert int((~mask["hidden.1.weight"]).sum()) == round(0.5 * mask["hidden.1.weight"].numel())


def test_a_network_whose_only_layer_is_the_readout_has_nothing_to_prune_unless_asked():
    data = dataset("MLP", 6, 3)
    single = pac.pretrain(data, model=pac.Module(nn.Linear(data.widths[0], data.widths[1])), steps=0)
    with pytest.raises(ValueError, match=r"every weight tensor is exempt from pruning \(readout\): give exempt=\(\)"):
        pac.prune_and_allocate(single, data, steps=1)
    assert not bool(pac.prune_and_allocate(single, data, steps=1, exempt=()).essential["module.weight"].all())


def test_pac_truth_2_an_endless_pull_or_no_redundant_weights_gives_the_allocated_model():
    before = allocated(sparsity=0.7)
    pulled, free = (calibrated(before, budget={"steps": 3000}, strength=strength) for strength in (1e9, 0.02))
    for name in prunable(before.weights):
        # The minimiser is within gradient / strength = 1e-9; the remaining difference is the size of Adam's last steps.
        assert float((pulled.weights[name] - before.weights[name]).abs().max()) < 1e-5
    assert max(float((free.weights[n] - before.weights[n]).abs().max()) for n in prunable(before.weights)) > 1e-2
    full = allocated(sparsity=0.0)
    assert same(calibrated(full, biases="frozen").weights, full.weights)


def test_pac_truth_3_without_a_pull_pac_is_packnet_with_two_tasks():
    shared = case("MLP")
    first, second = outcomes([pac.PAC(sparsity=0.6, strength=0.0), pac.PackNet(sparsity=0.6)], shared)
    assert same(first.surrogate.weights, second.surrogate.weights)
    pulled = outcome(pac.PAC(sparsity=0.6), shared)
    assert not same(first.surrogate.weights, pulled.surrogate.weights)


def test_pac_truth_4_redundant_weights_kept_at_the_source_make_a_masked_l2_sp():
    source = surrogate("MLP")
    data = dataset("MLP", 6, 3, 0.4)
    own = case_of(source, data, **BUDGET)
    kept = outcome(pac.PAC(sparsity=0.6, strength=0.3, allocate=False, keep_redundant=True, biases="frozen", exempt=()), own)
    plan = plan_of(pac.L2SP(strength=0.3), own)
    essential = kept.surrogate.essential
    l2_sp = dataclasses.replace(plan, trainable={name: ~mask for name, mask in essential.items()})
    scaled = source.scaling.standardise(data)
    (fit,) = pac.fit(
        source.network.module,
        [l2_sp],
        [scaled],
        seeds=[0],
        steps=200,
        learning_rate=1e-3,
        dtype=torch.float64,
        schedule="cosine",
    )
    assert all(float((fit.weights[n] - kept.surrogate.weights[n]).abs().max()) < 1e-12 for n in fit.weights)


def test_pac_truth_5_on_a_linear_model_calibration_is_the_closed_form():
    """D = J'(J J' + N lambda I)^-1 (y - f_A), N = n x outputs, J the Jacobian on redundant coordinates."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(7, 4)), generator.normal(size=(7, 2))
    data = pac.Dataset.from_arrays(x, y)
    model = pac.Module(nn.Linear(4, 2)).build(data.inputs, data.outputs)
    weights = {name: w.double() for name, w in initial_weights(model, torch.Generator().manual_seed(0)).items()}
    network = pac.predictors.Network(pac.Module(nn.Linear(4, 2)), model, weights)
    source = Surrogate(network, fit_scaling(data), data.inputs, data.outputs)
    pruned = outcome(Allocate(sparsity=0.5, exempt=(), train=False), case_of(source, data)).surrogate
    strength = 0.6  # 2 lambda
    plan = plan_of(Calibrate(strength=strength, biases="frozen"), case_of(pruned, data))
    (fit,) = pac.fit(model, [plan], [data], seeds=[0], steps=4000, learning_rate=1e-2, dtype=torch.float64, schedule="cosine")

    weight, bias = (pruned.weights[name].numpy() for name in ("module.weight", "module.bias"))
    free = ~pruned.essential["module.weight"].numpy().reshape(-1)
    jacobian = np.kron(np.ones((1, 1)), np.stack([np.kron(np.eye(2)[o], row) for row in x for o in range(2)]))[:, free]
    residual = (y - x @ weight.T - bias).reshape(-1)
    rows = len(residual)
    step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + rows * strength / 2 * np.eye(rows), residual)
    moved = (fit.weights["module.weight"].numpy() - weight).reshape(-1)[free]
    np.testing.assert_allclose(moved, step, atol=1e-8)  # the accuracy of Adam; a factor 2 in the pull moves d by 0.05
    assert np.abs(step).max() > 0.1


def test_the_allocated_source_solves_the_source_task_better_than_the_merely_pruned_one():
    kind, source = "MLP", dataset("MLP", 60, 1)
    trained = pac.pretrain(source, model=MODELS[kind], steps=1000, learning_rate=3e-3)
    pruned, allocated = (
        pac.prune_and_allocate(trained, source, sparsity=0.8, steps=1000, learning_rate=3e-3, train=train)
        for train in (False, True)
    )
    errors = [float(np.mean((s.predict(source.x) - source.y) ** 2)) for s in (trained, pruned, allocated)]
    assert errors[0] < errors[2] < 0.7 * errors[1]
    for name in prunable(trained.weights):
        kept = trained.essential is None and pruned.essential[name]
        assert torch.equal(pruned.weights[name], torch.where(kept, trained.weights[name], 0.0))
        spared = name.startswith("readout.")
        assert int((~allocated.essential[name]).sum()) == (0 if spared else round(0.8 * allocated.essential[name].numel()))
        assert bool((allocated.weights[name][~allocated.essential[name]] == 0).all())


def test_the_linear_correction_recovers_the_forrester_pair():
    """y_H = 2 y_L - 20 (x - 0.5) + 10 with y_L = 0.5 y_H + 10 (x - 0.5) - 5 (Forrester, Sobester & Keane 2007)."""
    x = torch.linspace(0, 1, 6, dtype=torch.float64)[:, None]
    high = (6 * x - 2) ** 2 * torch.sin(12 * x - 4)
    low = 0.5 * high + 10 * (x - 0.5) - 5
    slope, offset, linear = fit_lines(low, x, high, strength=0.0, linear=True)
    assert abs(float(slope) - 2) < 1e-10
    assert abs(float(linear) + 20) < 1e-10
    assert abs(float(offset) - 20) < 1e-10
    slope, _, linear = fit_lines(low, x, high, strength=0.0, linear=False)
    assert float((slope * low - high).std()) > 0.1  # without the term c'x the fit is not exact
    assert bool((linear == 0).all())


def test_the_linear_correction_is_ridge_towards_the_unchanged_source():
    from sklearn.linear_model import Ridge

    generator = torch.Generator().manual_seed(0)
    f, x, y = (torch.randn(9, width, generator=generator, dtype=torch.float64) for width in (2, 3, 2))
    slope, offset, linear = fit_lines(f, x, y, strength=0.3, linear=True)
    for output in range(2):
        features = torch.cat([f[:, output : output + 1], torch.ones(9, 1).double(), x], dim=1).numpy()
        # sum of squares + n strength / 2 times the squared change
        ridge = Ridge(alpha=9 * 0.3 / 2, fit_intercept=False, tol=1e-14).fit(features, (y - f)[:, output].numpy())
        found = np.r_[float(slope[output]) - 1, float(offset[output]), linear[:, output].numpy()]
        np.testing.assert_allclose(found, ridge.coef_, atol=1e-10)
    slope, offset, linear = fit_lines(f, x, y, strength=1e12, linear=True)
    np.testing.assert_allclose(slope, 1, atol=1e-9)
    slope, offset, _ = fit_lines(f[:0], x[:0], y[:0], strength=0.0, linear=False)
    assert (slope.tolist(), offset.tolist()) == ([1.0, 1.0], [0.0, 0.0])


def test_fine_tuning_with_a_slow_body_moves_it_less_and_a_probe_not_at_all():
    results = {
        name: outcome(METHODS[name], case("MLP")).surrogate for name in ("fine-tune", "fine-tune, body x 0.1", "linear probe")
    }
    start = surrogate("MLP")

    def body(result):
        return sum(float((result.weights[n] - w).abs().sum()) for n, w in start.weights.items() if not n.startswith("readout"))

    # The size of Adam's steps is close to the rate, so with a tenth of the rate weights move about a tenth as far.
    assert 0.05 < body(results["fine-tune, body x 0.1"]) / body(results["fine-tune"]) < 0.2
    assert body(results["linear probe"]) == 0.0


def test_scratch_starts_at_fresh_weights_of_its_seed():
    source, data = surrogate("MLP"), dataset("MLP", 4, 2)
    first, second = (plan_of(pac.Scratch(), case_of(source, data, seed=seed)).start for seed in (1, 2))
    assert same(first, initial_weights(source.network.module, torch.Generator().manual_seed(1)))
    for name in prunable(first):
        assert not torch.equal(first[name], second[name])
        assert not torch.equal(first[name].double(), source.weights[name])


def test_l2_pulls_towards_zero_and_l2_sp_towards_the_source():
    """On a linear model both are ridge regressions: w = (X'X + N strength/2 I)^-1 (X'y + N strength/2 anchor)."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(9, 3)), generator.normal(size=(9, 1))
    data = pac.Dataset.from_arrays(x, y)
    module = nn.Linear(3, 1, bias=False).double()
    network = build_network(pac.Module(module), data.inputs, data.outputs)
    source = Surrogate(network, fit_scaling(data), data.inputs, data.outputs)
    start = network.weights["module.weight"].numpy()[0]
    for method, anchor in ((pac.L2(strength=0.4), 0 * start), (pac.L2SP(strength=0.4), start)):
        plan = plan_of(method, case_of(source, data))
        (found,) = pac.fit(
            network.module, [plan], [data], seeds=[0], steps=4000, learning_rate=1e-2, dtype=torch.float64, schedule="cosine"
        )
        pull = 9 * 0.4 / 2
        expected = np.linalg.solve(x.T @ x + pull * np.eye(3), x.T @ y[:, 0] + pull * anchor)
        np.testing.assert_allclose(found.weights["module.weight"][0], expected, atol=1e-8)  # with the other anchor: 0.05 away


def test_l2_sp_uses_beta_on_a_new_readout_only():
    source, method = surrogate("MLP"), pac.L2SP(strength=0.1, readout_strength=0.01)
    plan = plan_of(method, case_of(source, dataset("MLP", 4, 2)))
    assert float(plan.strength["readout.weight"]) == pytest.approx(0.1)
    new = dataclasses.replace(source, predictor=dataclasses.replace(source.network, new_readout=True))
    plan = plan_of(method, case_of(new, dataset("MLP", 4, 2)))
    assert float(plan.strength["readout.weight"]) == pytest.approx(0.01)
    assert float(plan.strength["hidden.0.weight"]) == pytest.approx(0.1)
    assert float(plan.strength["hidden.0.bias"]) == 0.0


def test_a_random_mask_differs_by_seed_and_has_the_same_count():
    first, second = (outcome(METHODS["PAC, random mask"], case("MLP", seed)).surrogate for seed in (0, 1))
    magnitude = outcome(METHODS["PAC"], case("MLP")).surrogate
    name = "hidden.0.weight"
    assert not torch.equal(first.essential[name], second.essential[name])
    assert int(first.essential[name].sum()) == int(second.essential[name].sum()) == int(magnitude.essential[name].sum())


def test_the_flipped_mask_trains_exactly_the_essential_weights():
    before = allocated(sparsity=0.7)
    result = calibrated(before, flip=True)
    for name in prunable(before.weights):
        moved = result.weights[name] != before.weights[name]
        assert bool((moved <= before.essential[name]).all())
        assert bool(moved.any())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pac.PAC(sparsity=1.0), r"sparsity must be in \[0, 1\), got 1.0"),
        (lambda: pac.PAC(sparsity=-0.1), r"sparsity must be in \[0, 1\), got -0.1"),
        (lambda: pac.PackNet(sparsity=1.5), r"sparsity must be in \[0, 1\), got 1.5"),
        (lambda: pac.PAC(strength=-1.0), "strength must be finite and not negative, got -1.0"),
        (lambda: pac.PAC(allocate_strength=-1.0), "allocate_strength must be finite and not negative"),
        (lambda: pac.L2SP(strength=float("nan")), "strength must be finite and not negative, got nan"),
        (lambda: pac.L2(strength=-1.0), "strength must be finite and not negative"),
        (lambda: pac.LinearProbe(strength=-1.0), "strength must be finite and not negative"),
        (lambda: pac.LinearCorrection(strength=-1.0), "strength must be finite and not negative"),
        (lambda: pac.Scratch(strength=-1.0), "strength must be finite and not negative"),
        (lambda: pac.FineTune(body_rate=-1.0), "body_rate must be finite and not negative"),
        (lambda: pac.FineTune(learning_rate=0.0), "learning_rate must be positive"),
        (lambda: pac.PAC(criterion="luck"), "criterion must be 'magnitude' or 'random', got 'luck'"),
        (lambda: pac.PAC(keep_redundant=True), "set allocate=False"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_calibrate_needs_an_allocated_source():
    with pytest.raises(ValueError, match="no essential mask"):
        plan_of(Calibrate(), case_of(surrogate("MLP"), dataset("MLP", 4, 2)))
