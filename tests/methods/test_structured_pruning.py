"""Structured pruning: PAC and the recipes prune whole groups, exact in number, and what they make compacts to what is left."""

import math
from dataclasses import replace

import pytest
import torch
from adapting import case_of, outcomes, sound, trainings, untrained
from cases import MODELS, bits, dataset, initial_surrogate, surrogate
from granularities import grouped

import pac_surrogate as pac
from pac_surrogate.methods.pruned.ac_dc import ACDC
from pac_surrogate.methods.pruned.gmp import GMP
from pac_surrogate.methods.pruned.lth_t import LTHT
from pac_surrogate.methods.pruned.pac import Allocate
from pac_surrogate.methods.pruned.rigl import RigL, regrow
from pac_surrogate.methods.pruned.soft_threshold import STR, SoftThreshold, pruned
from pac_surrogate.methods.pruned.wood_fisher import WoodFisher
from pac_surrogate.models.weights import prunable
from pac_surrogate.pruning import erk_mask, erk_sparsities, fisher_blocks, magnitude_mask, wood_fisher_importance

RECIPES = {
    **{"GMP": GMP(0.5, rounds=3), "AC/DC": ACDC(0.5, cycles=2), "STR": STR(0.5), "RigL": RigL(0.5, updates=2)},
    **{"WoodFisher": WoodFisher(0.5, rounds=2, samples=20), "LTH-T": LTHT(0.5), "allocate": Allocate(0.5)},
    **{"allocate at random": Allocate(0.5, criterion="random"), "global": GMP(0.5, rounds=3, scope="global")},
}
GRANULARITIES = {"MLP": ("row", "unit"), "CNN": ("row", "kernel", "channel", "unit")}


def with_groups(recipe, granularity, sparsity=0.5):
    return type(recipe)(**{**vars(recipe), "granularity": granularity, "sparsity": sparsity})


def results(recipes, case):
    """Yield the name and the pruned source of each recipe; all run together."""
    for name, result in zip(recipes, outcomes(list(recipes.values()), case), strict=True):
        assert result.sound, name
        yield name, result.surrogate


def case_for(start, kind="MLP", source_steps=12):
    source = dataset(kind, 60, 1)
    return case_of(start, source[:0], source, steps=4, source_steps=source_steps, batch_size=16)


def wide(hidden=(32, 32, 32)):
    return initial_surrogate(pac.MLP(hidden=hidden), dataset("MLP", 60, 1))


def pruned_groups(mask, granularity):
    """Return how many groups of each tensor of the body are pruned, after a check that the mask is constant on groups."""
    gone = {}
    for name in prunable(mask):
        if not name.startswith("readout"):
            kept = grouped(mask[name], granularity)
            assert torch.equal(kept.any(1), kept.all(1))
            gone[name] = int((~kept[:, 0]).sum()), len(kept)
    return gone


def assert_same(small, result, kind):
    """Sums in float64 of some dozen terms as large as the predictions round by a few units of 1e-16 of them."""
    x = 0.3 * dataset(kind, 20, 4).x
    expected = result.predict(x)
    assert float(abs(small.predict(x) - expected).max()) < 1e-13 * float(abs(expected).max())


@pytest.mark.parametrize(("kind", "granularity"), [(kind, each) for kind, all_ in GRANULARITIES.items() for each in all_])
def test_exactly_the_fraction_asked_for_of_the_groups_is_pruned_and_the_readout_and_the_biases_stay(kind, granularity):
    start = surrogate(kind)
    asked = {name: 0.2 if name == "global" else 0.5 for name in RECIPES}  # a global one of 0.5 would prune a whole layer
    for name, result in results({n: with_groups(RECIPES[n], granularity, s) for n, s in asked.items()}, case_for(start, kind)):
        gone, sparsity = pruned_groups(result.essential, granularity), asked[name]
        assert bool(result.essential["readout.weight"].all())
        assert all(bool(mask.all()) for mask in result.essential.values() if mask.ndim == 1)
        assert not any(bits(weight)[~result.essential[tensor]].any() for tensor, weight in result.weights.items())  # +0.0
        if name in ("STR", "global"):  # whose layers differ in density
            assert sum(count for count, _ in gone.values()) == round(sparsity * sum(groups for _, groups in gone.values()))
        elif name == "RigL":
            sparsities = erk_sparsities(start.weights, sparsity, exempt=("readout",))
            assert gone == {tensor: (round(sparsities[tensor] * groups), groups) for tensor, (_, groups) in gone.items()}
        else:
            assert gone == {tensor: (round(sparsity * groups), groups) for tensor, (_, groups) in gone.items()}


def test_what_a_recipe_makes_compacts_to_the_units_that_are_left():
    """Of square layers, 1 - sqrt(0.1) of the units leaves a tenth of the weights: here 10 of 32 units."""
    asked = {name: 0.5 if name == "global" else 1 - math.sqrt(0.1) for name in RECIPES}
    for name, result in results({n: with_groups(RECIPES[n], "unit", s) for n, s in asked.items()}, case_for(wide())):
        small = result.compact()
        left = tuple(groups - count for count, groups in pruned_groups(result.essential, "unit").values())
        assert small.network.architecture.hidden == left
        assert_same(small, result, "MLP")
        if name not in ("STR", "RigL", "global"):
            assert left == (10, 10, 10)
            assert small.weights["hidden.1.weight"].numel() / result.weights["hidden.1.weight"].numel() == 100 / 1024


@pytest.mark.parametrize("granularity", ["channel", "unit"])
def test_pruned_channels_of_a_cnn_leave_its_blocks_narrower_inside(granularity):
    recipes = {name: RECIPES[name] for name in ("GMP", "AC/DC", "WoodFisher", "LTH-T", "allocate")}
    case = case_for(surrogate("CNN"), "CNN")
    for _, result in results({name: with_groups(recipe, granularity) for name, recipe in recipes.items()}, case):
        small = result.compact()
        assert small.network.architecture == pac.CNN(channels=4, blocks=1, levels=1, inner=(2, 4, 2))  # of 4, 8 and 4
        assert_same(small, result, "CNN")


@pytest.mark.parametrize("granularity", ["weight", "row", "unit"])
def test_what_pac_allocates_compacts_and_what_it_calibrates_is_dense(granularity):
    source, target = dataset("MLP", 60, 1), dataset("MLP", 6, 2)
    method = pac.PAC(sparsity=0.5, granularity=granularity)
    case = case_of(wide((32, 32)), target, source, steps=4, source_steps=4)
    result = sound(method, case)
    (allocate, _) = method.stages
    assert torch.equal(result.essential["hidden.1.weight"], allocate.mask(case.surrogate, case.generator())["hidden.1.weight"])
    assert result.compact().network.architecture.hidden == (32, 32)
    left = (32, 32) if granularity == "weight" else (16, 16)
    assert result.source_task().compact().network.architecture.hidden == left


@pytest.mark.parametrize("recipe", [GMP(0.4, rounds=1), ACDC(0.4, cycles=1), WoodFisher(0.4, rounds=1, samples=20)])
def test_a_pruned_group_is_pruned_again_before_a_kept_group_that_is_zero(recipe):
    start = wide((10, 10))
    zeros = {name: torch.zeros_like(weight) for name, weight in start.weights.items()}
    essential = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in zeros.items()}
    essential["hidden.0.weight"][7:] = False  # all groups are 0, and those that are pruned already are the last
    start = replace(start, predictor=replace(start.network, weights=zeros, essential=essential))
    (asked, *_), _, _ = trainings(with_groups(recipe, "unit", 0.4), case_for(start), untrained)
    gone = {name: torch.nonzero(~asked.plan.essential[name][:, 0])[:, 0].tolist() for name in prunable(zeros)}
    assert gone == {"hidden.0.weight": [0, 7, 8, 9], "hidden.1.weight": [0, 1, 2, 3], "readout.weight": []}


# What the idea of each paper becomes for groups -------------------------------------------------------------------------


def test_rigl_drops_groups_of_smallest_mean_size_and_grows_those_of_largest_mean_gradient():
    weight = torch.tensor([[5.0, -1.0], [2.0, 0.5], [0.0, 0.0], [0.0, 0.0]])
    kept = torch.tensor([[True, True], [True, True], [False, False], [False, False]])
    gradient = torch.tensor([[9.0, 9.0], [0.1, 0.1], [3.0, 0.0], [-1.0, -1.2]])  # mean sizes 9, 0.1, 1.5 and 1.1
    assert regrow(weight, gradient, kept, 0.5, "unit")[:, 0].tolist() == [True, False, True, False]
    gradient[3, 1] = -2.2
    assert regrow(weight, gradient, kept, 0.5, "unit").tolist() == [[True, True], [False, False], [False, False], [True, True]]
    gradient[1] = 7.0  # the dropped group has the largest gradient, so it is grown again
    assert torch.equal(regrow(weight, gradient, kept, 0.5, "row"), kept)


def test_groups_at_erdos_renyi_densities_are_rounded_in_each_layer():
    weights = {"wide": torch.rand(40, 30), "narrow": torch.rand(10, 30), "bias": torch.rand(40)}
    sparsities, mask = erk_sparsities(weights, 0.7), erk_mask(weights, 0.7, granularity="unit")
    for name, units in (("wide", 40), ("narrow", 10)):
        assert int((~mask[name][:, 0]).sum()) == round(sparsities[name] * units)
    assert sparsities["wide"] > 0.7 > sparsities["narrow"]
    assert bool(mask["bias"].all())


def test_a_soft_threshold_of_a_group_thresholds_its_mean_size_and_keeps_its_direction():
    draws = torch.Generator().manual_seed(0)
    w = torch.randn(2, 3, 4, dtype=torch.float64, generator=draws)
    w[0, 0] *= 0.1
    w[1, 2] *= 0.1
    s = torch.tensor([[-1.0], [0.5]], dtype=torch.float64)
    seen = SoftThreshold(("a",), "row")({"a": w, "a/threshold": s})["a"]
    mean, threshold = w.abs().mean(2), torch.sigmoid(s)
    # Products and quotients of numbers of order 1.
    torch.testing.assert_close(seen.abs().mean(2), torch.relu(mean - threshold), rtol=0, atol=1e-14)
    assert 0 < int((seen == 0).all(2).sum()) < 6
    kept = mean > threshold
    torch.testing.assert_close((seen / w)[kept], ((mean - threshold) / mean)[kept][:, None].expand(-1, 4), rtol=1e-13, atol=0)
    single = {"a": w[..., :1], "a/threshold": s}  # of groups of one weight it is the threshold of the paper
    torch.testing.assert_close(
        SoftThreshold(("a",), "row")(single)["a"], SoftThreshold(("a",))(single)["a"], rtol=0, atol=1e-14
    )
    zero = torch.zeros(1, 2, 4, dtype=torch.float64, requires_grad=True)
    found = SoftThreshold(("a",), "row")({"a": zero, "a/threshold": s[:1]})["a"]
    (slope,) = torch.autograd.grad(found.sum(), zero)
    assert not slope.any()  # and not NaN


def test_groups_that_a_soft_threshold_keeps_beyond_the_learned_ones_do_not_start_at_zero():
    raw = torch.tensor([[4.0, 4.0], [0.6, 0.2], [3.0, -3.0], [0.1, 0.1]], dtype=torch.float64)
    parameters = {"a": raw, "a/threshold": torch.zeros(1, dtype=torch.float64)}  # a threshold of 1/2
    stacked = {name: tensor[None] for name, tensor in parameters.items()}
    weights = {"a": SoftThreshold(("a",), "unit")(stacked)["a"][0]}
    assert (weights["a"] != 0).any(1).tolist() == [True, False, True, False]
    started, mask = pruned(weights, parameters, 0.5, "unit")
    assert mask["a"][:, 0].tolist() == [True, False, True, False]
    assert torch.equal(started["a"], weights["a"])  # the learned sparsity is the one asked for
    started, mask = pruned(weights, parameters, 0.25, "unit")
    assert mask["a"][:, 0].tolist() == [True, True, True, False]
    # The third group starts at its mean size of 0.4 less that of the group below, 0.1.
    torch.testing.assert_close(started["a"][1], raw[1] * 0.75, rtol=1e-14, atol=0)
    started, mask = pruned(weights, parameters, 0.75, "unit")
    assert mask["a"][:, 0].tolist() == [True, False, False, False]


def test_the_importance_of_a_group_by_wood_fisher_is_the_sum_of_its_weights_over_all_layers():
    start = wide((40, 10))  # units of 9 and of 40 incoming weights, which their means would not rank alike
    case = case_for(start)
    (asked, *_), _, _ = trainings(WoodFisher(0.5, rounds=1, scope="global", granularity="unit", samples=60), case)
    scaled = start.scaling.standardise(case.source)
    x, y = torch.as_tensor(scaled.input_matrix), torch.as_tensor(scaled.output_matrix)
    fisher = fisher_blocks(start.network.module, start.weights, x, y)
    importance = wood_fisher_importance(start.weights, fisher)
    layers = ("hidden.0.weight", "hidden.1.weight")
    sums, means, kept = (
        torch.cat([of(name) for name in layers])
        for of in (
            lambda name: importance[name].sum(1),
            lambda name: importance[name].mean(1),
            lambda name: asked.plan.essential[name][:, 0],
        )
    )
    assert int((~kept).sum()) == round(0.5 * len(sums))
    assert float(sums[~kept].max()) < float(sums[kept].min())
    assert float(means[~kept].max()) > float(means[kept].min())


# Refusals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["kernel", "channel"])
def test_a_network_without_such_groups_is_not_applicable(granularity):
    recipes = [with_groups(recipe, granularity) for recipe in RECIPES.values()]
    for result in outcomes(recipes, case_for(surrogate("MLP"))):
        assert result.refused == (
            f"granularity {granularity!r} needs convolutions, got the matrix hidden.0.weight: choose row, unit or weight"
        )


def test_a_global_sparsity_that_leaves_nothing_of_a_layer_is_refused_as_the_network_would_be_a_constant():
    message = r"sparsity 0.9 over all layers leaves nothing of hidden\.1\.weight: choose scope 'layer'"
    with pytest.raises(ValueError, match=message):
        magnitude_mask(wide((32, 32)).weights, 0.9, granularity="unit", scope="global", exempt=("readout",))


def test_a_least_number_of_weights_needs_single_weights():
    with pytest.raises(ValueError, match="min_keep_per_unit keeps single weights, which granularity 'unit' does not prune"):
        pac.PAC(granularity="unit", min_keep_per_unit=1)
    with pytest.raises(ValueError, match="min_keep_per_unit keeps single weights"):
        magnitude_mask(surrogate("MLP").weights, 0.5, granularity="row", min_keep_per_unit=2)


@pytest.mark.parametrize("kind", MODELS)
def test_an_empty_list_of_exempt_modules_spares_the_readout_of_groups_nevertheless(kind):
    result = sound(GMP(0.5, rounds=1, exempt=(), granularity="row"), case_for(surrogate(kind), kind))
    assert bool(result.essential["readout.weight"].all())
