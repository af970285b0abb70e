"""Pruning recipes and sparse transfer: exact counts, nested masks, the ramp, thresholds, and what each regime trains."""

import dataclasses
import itertools
import math

import pytest
import torch
from adapting import case_of, outcome, outcomes, plan_of, trainings, untrained
from cases import MODELS, bits, dataset, surrogate
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pac_surrogate as pac
from pac_surrogate.methods.pruned.ac_dc import ACDC
from pac_surrogate.methods.pruned.gmp import GMP
from pac_surrogate.methods.pruned.lth_t import LTHT
from pac_surrogate.methods.pruned.rigl import RigL
from pac_surrogate.methods.pruned.soft_threshold import STR, SoftThreshold, budgets, pruned
from pac_surrogate.methods.pruned.sparse_training import cubic_ramp
from pac_surrogate.methods.pruned.sparse_transfer import SparseTransfer, kept_plan
from pac_surrogate.methods.pruned.ticket import Ticket
from pac_surrogate.methods.pruned.wood_fisher import WoodFisher
from pac_surrogate.models.weights import inside, prunable

SMALL = {"MLP": (), "CNN": ("lift", "readout")}  # tensors so small that a sparsity of 0.98 would leave no weight
RECIPES = {"GMP": GMP, "AC/DC": ACDC, "STR": STR, "WoodFisher": WoodFisher, "RigL": RigL}
TARGET = dataset("MLP", 6, 3)
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
            if name not in ("RigL", "STR"):  # whose layers differ in density
                assert int((~kept).sum()) == pruned * round(sparsity * kept.numel())
        if name in ("RigL", "STR"):
            assert gone == round(sparsity * total)
        assert not torch.equal(result.weights["readout.bias"], start.weights["readout.bias"])  # never pruned, always trained


def test_the_ramp_is_cubic_and_ends_at_the_sparsity_itself():
    # 0.8 (1 - (1 - t/4)^3) for t = 1, ..., 4.
    assert [s for s, _ in cubic_ramp(0.8, 4, 0.5)] == pytest.approx((0.4625, 0.7, 0.7875, 0.8), abs=1e-15)
    assert cubic_ramp(0.9, 7, 0.0)[-1][0] == 0.9
    for recipe in (GMP(sparsity=0.8, rounds=4, exempt=()), WoodFisher(sparsity=0.8, rounds=4, exempt=())):
        asked, _, _ = trainings(recipe, case_for(surrogate("MLP")))
        for one, (sparsity, _) in zip(asked, cubic_ramp(0.8, 4, 0.5), strict=True):
            for name in prunable(one.plan.start):
                kept = one.plan.essential[name]
                assert int((~kept).sum()) == round(sparsity * kept.numel())


@pytest.mark.parametrize("recipe", [GMP, WoodFisher])
@pytest.mark.parametrize(
    ("hold", "steps"), [(0.0, [16, 16, 16, 16]), (0.25, [12, 12, 12, 28]), (0.5, [8, 8, 8, 40]), (1.0, [0, 0, 0, 64])]
)
def test_rounds_of_the_ramp_have_equal_steps_and_the_last_sparsity_is_held_for_the_rest(recipe, hold, steps):
    asked, _, _ = trainings(recipe(rounds=4, hold=hold), case_for(surrogate("MLP"), source_steps=64), untrained)
    assert [one.steps for one in asked] == steps
    (alone,), _, _ = trainings(recipe(rounds=1, hold=hold), case_for(surrogate("MLP"), source_steps=64), untrained)
    assert alone.steps == 64


def any_name_of_the_readout(kind):
    """Return a source whose readout is named `readout`, or one of the user's, in which it has another name."""
    layers = (nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 8))
    return surrogate("MLP", model=None if kind == "MLP" else pac.Module(nn.Sequential(*layers)))


@pytest.mark.parametrize("kind", ["MLP", "user's module"])
@pytest.mark.parametrize("recipe", [GMP, ACDC, STR, RigL, WoodFisher, LTHT, Ticket])
def test_the_readout_is_pruned_only_if_asked_for_and_the_sparsity_is_that_of_the_other_tensors(recipe, kind):
    start = any_name_of_the_readout(kind)
    body = [name for name in prunable(start.weights) if not name.startswith(start.readout)]
    assert len(body) == 2
    default, everything, one = (
        solve(recipe(0.75, **options) if recipe is not Ticket else Ticket("OMP", 0.75, **options), "MLP", start, TARGET)
        for options in ({}, {"exempt": ()}, {"exempt": ("readout", body[0])})
    )
    for result, names in ((default, body), (everything, [*body, f"{start.readout}.weight"]), (one, body[1:])):
        gone = {name: int((~mask).sum()) for name, mask in result.essential.items()}
        assert {name for name, count in gone.items() if count} == set(names)
        # The body has 8 x 9 + 7 x 8 = 128 weights, the readout 56; all counts are multiples of 4.
        assert sum(gone.values()) == 0.75 * sum(start.weights[name].numel() for name in names)


@pytest.mark.parametrize("recipe", [GMP(), ACDC(), STR(), RigL(), WoodFisher()])
def test_the_trainings_of_a_recipe_share_one_budget_on_the_source(recipe):
    case = case_for(surrogate("MLP"), source_steps=1008)  # divisible by 4, 7, 9 and 16
    asked, answers, end = trainings(recipe, case, untrained)
    assert all(one.data is case.source for one in asked)
    assert sum(one.steps for one in asked) == 1008
    assert len({one.steps for one in asked}) == (1 if isinstance(recipe, ACDC | RigL) else 2)
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
    plan = plan_of(GMP(11 / weight.numel(), rounds=1, exempt=()), case_for(pruned))
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
        plan = plan_of(GMP(sparsity, rounds=1, exempt=()), case_for(equal))
        for name in prunable(equal.weights):
            gone = round(sparsity * equal.weights[name].numel())
            assert plan.essential[name].flatten().tolist() == [i >= gone for i in range(equal.weights[name].numel())]


def test_the_dense_phase_of_ac_dc_lets_all_weights_train_and_the_recipe_ends_sparse():
    _, (first, second, third), _ = trainings(ACDC(sparsity=0.8, cycles=2, exempt=()), case_for(surrogate("MLP")))
    for name in prunable(first.weights):
        assert bool(second.essential[name].all())
        assert bool((second.weights[name] != 0).all())  # pruned weights train again too, from 0
        assert int((third.weights[name] != 0).sum()) == third.essential[name].numel() - round(
            0.8 * third.essential[name].numel()
        )
    asked, _, _ = trainings(ACDC(sparsity=0.7, cycles=3, exempt=()), case_for(surrogate("MLP")))
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
    plan = plan_of(STR(sparsity=0.8, decay=0.3, exempt=()), case_for(start))
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
        _, (learned, _), _ = trainings(STR(0.5, decay, exempt=(), learning_rate=0.02), case_for(start))
        seen = learned.weights
        zeros[decay] = sum(int((seen[name] == 0).sum()) for name in names)
    assert zeros[30.0] > zeros[0.0] + 20  # out of 184 weights


def learned(counts, sizes, seed=0):
    """Return raw weights and thresholds of 0.5 (s = 0) with given numbers of weights above them, of sizes in (0, 1)."""
    generator, parameters = torch.Generator().manual_seed(seed), {}
    for name, count in counts.items():
        size = 0.05 + 0.4 * torch.rand(sizes[name], generator=generator, dtype=torch.float64)
        size[torch.randperm(sizes[name], generator=generator)[:count]] += 0.5
        sign = torch.randint(2, (sizes[name],), generator=generator).double() * 2 - 1
        parameters |= {name: (sign * size)[None], f"{name}/threshold": torch.zeros(1, dtype=torch.float64)}
    stacked = SoftThreshold(tuple(counts))({name: tensor[None] for name, tensor in parameters.items()})
    return {name: weight[0] for name, weight in stacked.items()}, parameters


@pytest.mark.parametrize(
    ("kept", "budget"), [(30, {"a": 10, "b": 20}), (15, {"a": 5, "b": 10}), (33, {"a": 11, "b": 22}), (60, {"a": 20, "b": 40})]
)
def test_the_exact_sparsity_scales_the_learned_densities_and_no_kept_weight_is_zero(kept, budget):
    weights, parameters = learned({"a": 10, "b": 20}, {"a": 40, "b": 60})
    started, mask = pruned(weights, parameters, 1 - kept / 100)
    assert {name: int(own.sum()) for name, own in mask.items()} == budget
    for name, weight in started.items():
        own, raw = mask[name], parameters[name]
        assert raw[own].abs().min() > raw[~own].abs().max()  # ranked before thresholding
        # sign(v)(|v| - t) with the learned t = 1/2, or with the largest pruned |v| for a kept weight that is below 1/2.
        threshold = torch.where(raw[own].abs() > 0.5, 0.5, raw[~own].abs().max())
        assert torch.equal(weight[own], raw[own] - raw[own].sign() * threshold)
        assert bool((weight[own] != 0).all())
        if kept == 30:  # the learned number: the learned mask and values, bit for bit
            assert torch.equal(own, weights[name] != 0)
            assert torch.equal(bits(weight), bits(weights[name]))


def test_without_sparsity_all_weights_are_kept_and_none_is_zero():
    weights, parameters = learned({"a": 10, "b": 20}, {"a": 40, "b": 60})
    started, mask = pruned(weights, parameters, 0.0)
    assert all(bool(own.all()) for own in mask.values())
    for name, weight in weights.items():
        assert torch.equal(bits(started[name]), bits(torch.where(weight != 0, weight, parameters[name])))


@pytest.mark.parametrize(
    ("nonzero", "size", "total", "expected"),
    [
        ([10, 30], [100, 100], 20, [5, 15]),
        ([5, 3, 2], [9, 9, 9], 11, [6, 3, 2]),  # 5.5, 3.3, 2.2: the largest remainder is that of 5.5
        ([10, 10, 20], [12, 100, 100], 80, [12, 23, 45]),  # 20, 20, 40: the first is full; then 22.67 and 45.33
        ([0, 10], [9, 9], 5, [1, 4]),  # no layer is empty
        ([1, 1000], [9, 1000], 500, [1, 499]),  # 0.5 and 499.5: the earlier of equal remainders is rounded up
        ([4, 7], [4, 7], 11, [4, 7]),
    ],
)
def test_budgets_are_proportional_to_the_learned_numbers_of_non_zero_weights(nonzero, size, total, expected):
    names = "abc"[: len(size)]
    dictionaries = (dict(zip(names, values, strict=True)) for values in (nonzero, size))
    assert list(budgets(*dictionaries, total).values()) == expected


@settings(deadline=None)
@given(
    layers=st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=5),
    fraction=st.floats(0, 1),
)
def test_budgets_add_up_exactly_and_are_the_learned_numbers_where_these_add_up(layers, fraction):
    size = {str(i): own for i, (own, _) in enumerate(layers)}
    nonzero = {str(i): max(1, round(density * own)) for i, (own, density) in enumerate(layers)}
    total = len(size) + round(fraction * (sum(size.values()) - len(size)))
    budget = budgets(nonzero, size, total)
    assert sum(budget.values()) == total
    assert all(1 <= budget[name] <= size[name] for name in size)
    assert budgets(nonzero, size, sum(nonzero.values())) == nonzero


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dtype", INTEGER)
def test_the_kept_weights_of_str_have_the_learned_densities_and_none_starts_at_zero(kind, dtype):
    recipe = STR(0.5, decay=1e-3, learning_rate=3e-3)
    (first, second), (learned, _), _ = trainings(recipe, case_for(surrogate(kind, dtype), kind, source_steps=40))
    names = [name for name in first.plan.start if f"{name}/threshold" in first.plan.start]
    kept = {name: int(second.plan.essential[name].sum()) for name in names}
    nonzero = {name: int((learned.weights[name] != 0).sum()) for name in names}
    size = sum(first.plan.start[name].numel() for name in names)
    assert sum(kept.values()) == size - round(0.5 * size)
    assert sum(nonzero.values()) != sum(kept.values())  # otherwise nothing would be scaled
    scale = sum(kept.values()) / sum(nonzero.values())
    assert all(abs(kept[name] - scale * nonzero[name]) < 1 for name in names)  # largest remainders
    assert len({kept[name] / first.plan.start[name].numel() for name in names}) > 1  # the densities of layers differ
    for name in names:
        own = second.plan.essential[name]
        assert bool((second.plan.start[name][own] != 0).all())
        assert not bits(second.plan.start[name])[~own].any()


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


@pytest.mark.parametrize("regime", ["full", "linear"])
@pytest.mark.parametrize(("biases", "trained", "pulled"), [("free", True, 0.0), ("pulled", True, 0.3), ("frozen", False, 0.0)])
def test_biases_of_sparse_transfer_are_free_pulled_or_frozen(biases, trained, pulled, regime):
    method = SparseTransfer(GMP(sparsity=0.8, rounds=1), regime, strength=0.3, biases=biases)
    for target, new in ((dataset("MLP", 6, 3), False), (dataset("MLP", 6, 3, name="pressure"), True)):
        _, on_target = trainings(method, case_for(surrogate("MLP"), target=target))[0]
        plan = on_target.plan
        for name, weight in plan.start.items():
            if weight.ndim >= 2:
                assert float(plan.strength[name]) == 0.3
                continue
            own = name == "readout.bias"
            # A new readout's bias starts at 0, from which it must be free to move.
            assert bool(plan.trainable[name].all()) == ((own and new) or (trained and (own or regime == "full")))
            assert float(plan.strength[name]) == (0.0 if own and new else pulled)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GMP(sparsity=1.0), r"sparsity must be in \[0, 1\), got 1.0"),
        (lambda: ACDC(sparsity=-0.1), r"sparsity must be in \[0, 1\), got -0.1"),
        (lambda: budgets({"a": 3, "b": 3}, {"a": 9, "b": 9}, 1), "the sparsity leaves 1 weights for 2 tensors: lower sparsity"),
        (lambda: GMP(hold=1.5), r"hold must be in \[0, 1\], got 1.5"),
        (lambda: GMP(exempt=("head",)).adapt(case_for(surrogate("MLP"))).send(None), "exempt names 'head'"),
        (lambda: GMP(rounds=0), "rounds must be at least 1, got 0"),
        (lambda: ACDC(cycles=0), "cycles must be at least 1, got 0"),
        (lambda: STR(decay=-1.0), "decay must be finite and not negative, got -1.0"),
        (lambda: STR(learning_rate=0.0), "learning_rate must be positive"),
        (lambda: GMP(scope="unit"), "scope must be 'layer' or 'global', got 'unit'"),
        (lambda: SparseTransfer(regime="half"), "regime must be 'full' or 'linear', got 'half'"),
        (lambda: SparseTransfer(recipe=GMP), "recipe must be a pruning recipe"),
        (lambda: SparseTransfer(strength=-1.0), "strength must be finite and not negative"),
        (
            lambda: solve(GMP(sparsity=0.9, exempt=()), "CNN"),
            "leaves nothing of readout.weight .4 weights.: lower sparsity or exempt it",
        ),
        (lambda: kept_plan(surrogate("MLP"), "full"), "no essential mask: prune it"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
