"""Pruning recipes and sparse transfer: exact counts, nested masks, the ramp, thresholds, and what each regime trains."""

import dataclasses
import itertools
import math

import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of, trainings, untrained
from cases import MODELS, bits, dataset, surrogate

from pac_surrogate.methods.pruned.ac_dc import ACDC
from pac_surrogate.methods.pruned.gmp import GMP, cubic_ramp
from pac_surrogate.methods.pruned.rigl import RigL
from pac_surrogate.methods.pruned.soft_threshold import STR, SoftThreshold
from pac_surrogate.methods.pruned.sparse_transfer import SparseTransfer, kept_plan
from pac_surrogate.methods.pruned.wood_fisher import WoodFisher
from pac_surrogate.models.weights import inside, prunable

SMALL = {"MLP": (), "CNN": ("lift", "readout")}  # tensors so small that a sparsity of 0.98 would leave no weight
RECIPES = {"GMP": GMP, "AC/DC": ACDC, "STR": STR, "WoodFisher": WoodFisher, "RigL": RigL}
INTEGER = {torch.float32: torch.int32, torch.float64: torch.int64}


def with_network(start, **changes):
    return dataclasses.replace(start, predictor=dataclasses.replace(start.network, **changes))


def case_for(start, kind="MLP", target=None, source_steps=20):
    source = dataset(kind, 60, 1)
    target = source[:0] if target is None else target
    return case_of(start, target, source, steps=16, source_steps=source_steps, batch_size=16)


def solve_all(methods, kind, starts, target=None):
    results = outcomes(methods, *(case_for(start, kind, target) for start in starts))
    assert all(result.sound for result in results)
    return [result.surrogate for result in results]


def solve(method, kind, start=None, target=None):
    return solve_all([method], kind, [surrogate(kind) if start is None else start], target)[0]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_leaves_exactly_the_sparsity_asked_for_and_plus_zero_elsewhere(name, kind):
    cases = [(0.8, torch.float32), (0.9, torch.float64), (0.95, torch.float32), (0.98, torch.float64)]
    starts = [surrogate(kind, dtype) for _, dtype in cases]
    results = solve_all([RECIPES[name](sparsity=s, exempt=SMALL[kind]) for s, _ in cases], kind, starts)
    for (sparsity, dtype), start, result in zip(cases, starts, results, strict=True):
        gone = total = 0
        for tensor, weight in result.weights.items():
            kept = result.essential[tensor]
            assert weight.dtype == dtype
            assert not bits(weight)[~kept].any()
            pruned = weight.ndim >= 2 and tensor.split(".")[0] not in SMALL[kind]
            gone, total = gone + int((~kept).sum()), total + pruned * kept.numel()
            if name != "RigL":  # the layers of RigL differ in density
                assert int((~kept).sum()) == pruned * round(sparsity * kept.numel())
        if name == "RigL":
            assert gone == round(sparsity * total)
        assert not torch.equal(result.weights["readout.bias"], start.weights["readout.bias"])  # never pruned, always trained


def test_the_ramp_is_cubic_and_ends_at_the_sparsity_itself():
    # 0.8 (1 - (1 - t/4)^3) for t = 1, ..., 4.
    assert cubic_ramp(0.8, 4) == pytest.approx((0.4625, 0.7, 0.7875, 0.8), abs=1e-15)
    assert cubic_ramp(0.9, 7)[-1] == 0.9
    asked, _, _ = trainings(GMP(sparsity=0.8, rounds=4), case_for(surrogate("MLP")))
    for one, sparsity in zip(asked, cubic_ramp(0.8, 4), strict=True):
        for name in prunable(one.plan.start):
            kept = one.plan.essential[name]
            assert int((~kept).sum()) == round(sparsity * kept.numel())


@pytest.mark.parametrize("recipe", [GMP(), ACDC(), STR(), RigL(), WoodFisher()])
def test_the_trainings_of_a_recipe_share_one_budget_on_the_source(recipe):
    case = case_for(surrogate("MLP"), source_steps=504)  # divisible by 4, 7, 8 and 9
    asked, answers, end = trainings(recipe, case, untrained)
    assert all(one.data is case.source for one in asked)
    assert sum(one.steps for one in asked) == 504
    assert len({one.steps for one in asked}) == (2 if isinstance(recipe, STR) else 1)
    assert end is answers[-1]  # nothing is pruned or regrown after the last training
    assert end.essential is asked[-1].plan.essential
    assert hash(recipe) == hash(dataclasses.replace(recipe))


@pytest.mark.parametrize("kind", MODELS)
def test_the_masks_of_a_ramp_are_nested(kind):
    _, answers, _ = trainings(GMP(sparsity=0.9, rounds=4, exempt=SMALL[kind]), case_for(surrogate(kind), kind))
    masks = [answer.essential for answer in answers]
    for before, after in itertools.pairwise(masks):
        assert all(bool((after[name] <= before[name]).all()) for name in after)
        assert any(bool((after[name] < before[name]).any()) for name in after)


def test_a_pruned_weight_is_pruned_again_before_a_kept_weight_that_is_zero():
    start = surrogate("MLP")
    name = "readout.weight"
    weight, mask = torch.ones_like(start.weights[name]), torch.ones_like(start.weights[name], dtype=torch.bool)
    weight.view(-1)[:30] = 0.0  # kept although zero, and the earliest of the equal weights
    weight.view(-1)[30:40], mask.view(-1)[30:40] = 0.0, False
    essential = {n: torch.ones_like(w, dtype=torch.bool) for n, w in start.weights.items()} | {name: mask}
    pruned = with_network(start, weights={**start.weights, name: weight}, essential=essential)
    plan = plan_of(GMP(11 / weight.numel(), rounds=1), case_for(pruned))
    assert (~plan.essential[name].view(-1)).nonzero()[:, 0].tolist() == [0, *range(30, 40)]


def test_a_source_that_was_entirely_redundant_is_pruned_by_magnitude():
    start = surrogate("MLP")
    nothing = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in start.weights.items()}
    plan = plan_of(GMP(0.8, rounds=1), case_for(with_network(start, essential=nothing)))
    fresh = plan_of(GMP(0.8, rounds=1), case_for(start))
    assert all(torch.equal(plan.essential[name], fresh.essential[name]) for name in start.weights)


def test_among_equal_weights_the_earlier_is_pruned_first_and_the_count_is_exact():
    start = surrogate("MLP")
    equal = with_network(start, weights={name: torch.full_like(weight, -0.5) for name, weight in start.weights.items()})
    for sparsity in (0.8, 0.9, 0.95, 0.98):
        plan = plan_of(GMP(sparsity, rounds=1), case_for(equal))
        for name in prunable(equal.weights):
            gone = round(sparsity * equal.weights[name].numel())
            assert plan.essential[name].flatten().tolist() == [i >= gone for i in range(equal.weights[name].numel())]


def test_the_dense_phase_of_ac_dc_lets_all_weights_train_and_the_recipe_ends_sparse():
    _, (first, second, third), _ = trainings(ACDC(sparsity=0.8, cycles=2), case_for(surrogate("MLP")))
    for name in prunable(first.weights):
        assert bool(second.essential[name].all())
        assert bool((second.weights[name] != 0).all())  # pruned weights train again too, from 0
        assert int((third.weights[name] != 0).sum()) == third.essential[name].numel() - round(
            0.8 * third.essential[name].numel()
        )
    asked, _, _ = trainings(ACDC(sparsity=0.7, cycles=3), case_for(surrogate("MLP")))
    for name in prunable(first.weights):
        kept = [one.plan.essential[name] for one in asked]
        gone = round(0.7 * kept[0].numel())
        assert [int((~mask).sum()) for mask in kept] == [gone, 0, gone, 0, gone]


def test_a_soft_threshold_is_its_formula_with_its_derivative_and_minus_infinity_is_dense():
    w = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    s = torch.tensor([[-1.0], [0.5]], dtype=torch.float64, requires_grad=True)
    bias = torch.ones(2, 3, dtype=torch.float64)
    apply = SoftThreshold(("a.weight",))
    seen = apply({"a.weight": w, "a.bias": bias, "a.weight/threshold": s})
    assert list(seen) == ["a.weight", "a.bias"]
    g = torch.sigmoid(s.detach())[:, :, None]
    assert torch.equal(seen["a.weight"], w.sign() * torch.relu(w.abs() - g))
    (slope,) = torch.autograd.grad(seen["a.weight"].sum(), s)
    by_hand = -(w.sign() * (w.abs() > g)).sum((1, 2)) * (g * (1 - g))[:, 0, 0]
    assert float((slope[:, 0] - by_hand).abs().max()) < 1e-14  # sums of a dozen numbers below 1
    dense = apply({"a.weight": w, "a.bias": bias, "a.weight/threshold": torch.full((2, 1), -math.inf, dtype=torch.float64)})
    assert torch.equal(bits(dense["a.weight"]), bits(w))


@pytest.mark.parametrize("dtype", INTEGER)
def test_thresholds_start_at_the_quantile_of_each_layer_and_decay_prunes(dtype):
    start = surrogate("MLP", dtype)
    names = prunable(start.weights)
    plan = plan_of(STR(sparsity=0.8, decay=0.3), case_for(start))
    for name in names:
        magnitude = start.weights[name].abs().flatten().sort().values
        quantile = magnitude[round(0.8 * len(magnitude)) - 1]
        # Rounding in logit and sigmoid: a few units in the last place.
        assert float(torch.sigmoid(plan.start[f"{name}/threshold"])[0] - quantile) == pytest.approx(
            0, abs=4 * torch.finfo(dtype).eps
        )
    decayed = {name for name, strength in plan.strength.items() if bool(strength > 0)}
    assert decayed == {*names, *(f"{name}/threshold" for name in names)}
    zeros = {}
    for decay in (0.0, 30.0):
        _, (learned, _), _ = trainings(STR(0.5, decay, learning_rate=0.02), case_for(start))
        seen = learned.weights
        zeros[decay] = sum(int((seen[name] == 0).sum()) for name in names)
    assert zeros[30.0] > zeros[0.0] + 20  # out of 184 weights


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("output", ["temperature", "pressure"])
@pytest.mark.parametrize("dtype", INTEGER)
def test_the_full_regime_trains_all_kept_weights_and_the_linear_one_the_readout_alone(kind, output, dtype):
    recipe = GMP(sparsity=0.8, rounds=2, exempt=SMALL[kind])
    target = dataset(kind, 6, 3, name=output)
    start = surrogate(kind, dtype)
    before = solve(recipe, kind, start)
    regimes = ("full", "linear")
    results = solve_all([SparseTransfer(recipe, regime) for regime in regimes], kind, [start, start], target)
    for regime, after in zip(regimes, results, strict=True):
        readout, moved = inside(after.weights, after.readout), 0
        for name, weight in after.weights.items():
            kept = before.essential[name]
            if bool(readout[name]):
                dense = regime == "linear" or output == "pressure"
                assert bool((weight != 0).all()) == (dense or bool(kept.all()))
                assert torch.equal(after.essential[name], kept | dense)  # masking must not set trained weights to 0
                assert bool((weight != before.weights[name])[kept].all())
                continue
            assert torch.equal(after.essential[name], kept)
            if regime == "linear":
                assert torch.equal(bits(weight), bits(before.weights[name]))
            else:
                assert not bits(weight)[~kept].any()
                moved += int((weight != before.weights[name]).sum())
        assert (moved > 20) == (regime == "full")  # not all move: units whose output is not used have no gradient


@pytest.mark.parametrize("kind", MODELS)
def test_all_kept_weights_train_in_the_full_regime_and_none_of_the_body_in_the_linear_one(kind):
    before = solve(GMP(sparsity=0.8, rounds=1, exempt=SMALL[kind]), kind)
    full, linear = (kept_plan(before, regime).trainable for regime in ("full", "linear"))
    assert all(torch.equal(full[name], kept) for name, kept in before.essential.items())
    assert all(bool(linear[name]) == name.startswith("readout.") for name in before.weights)


def test_without_target_samples_the_pruned_source_comes_back():
    recipe = ACDC(sparsity=0.8, cycles=2)
    before, after = solve(recipe, "MLP"), solve(SparseTransfer(recipe), "MLP")
    assert all(torch.equal(before.weights[name], after.weights[name]) for name in before.weights)


def test_strength_pulls_weight_tensors_towards_the_pruned_source():
    asking = SparseTransfer(GMP(sparsity=0.8, rounds=1), strength=0.3).adapt(case_for(surrogate("MLP")))
    ((recipe, case),) = next(asking)
    pruned = outcome(recipe, case)
    before, plan = pruned.surrogate, asking.send([pruned]).plan
    for name, weight in before.weights.items():
        assert torch.equal(plan.anchor[name], weight)
        assert float(plan.strength[name]) == (0.3 if weight.ndim >= 2 else 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GMP(sparsity=1.0), r"sparsity must be in \[0, 1\), got 1.0"),
        (lambda: ACDC(sparsity=-0.1), r"sparsity must be in \[0, 1\), got -0.1"),
        (lambda: GMP(rounds=0), "rounds must be at least 1, got 0"),
        (lambda: ACDC(cycles=0), "cycles must be at least 1, got 0"),
        (lambda: STR(decay=-1.0), "decay must be finite and not negative, got -1.0"),
        (lambda: STR(learning_rate=0.0), "learning_rate must be positive"),
        (lambda: GMP(scope="unit"), "scope must be 'layer' or 'global', got 'unit'"),
        (lambda: SparseTransfer(regime="half"), "regime must be 'full' or 'linear', got 'half'"),
        (lambda: SparseTransfer(recipe=GMP), "recipe must be a pruning recipe"),
        (lambda: SparseTransfer(strength=-1.0), "strength must be finite and not negative"),
        (lambda: solve(GMP(sparsity=0.9), "CNN"), "leaves nothing of readout.weight .4 weights.: lower sparsity or exempt it"),
        (lambda: kept_plan(surrogate("MLP"), "full"), "no essential mask: prune it"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
