"""Compaction: the same function with fewer units; what must go goes, and what must stay stays."""

import pytest
import torch
from drawing import generator, normal

import pac_surrogate as pac
from pac_surrogate.files import Variable
from pac_surrogate.models import DeltaNet, InputAugmentation, MultiFidelity, evaluate
from pac_surrogate.models.activations import ACTIVATIONS, activation
from pac_surrogate.pruning import compact_network

NUMBERS = (Variable("a", ("component",), (3,)),), (Variable("y", ("component",), (2,)),)
ROD = (Variable("initial", ("x",), (8,)), Variable("conductivity")), (Variable("temperature", ("x",), (8,)),)
PLATE = (Variable("initial", ("x", "y"), (8, 4)),), (Variable("velocity", ("x", "y", "channel"), (8, 4, 2)),)
# Relative to the standard deviation of the outputs: sums of some dozen terms of order 1, in another order, round by a few units
# of 1e-16 in float64 and of 1e-7 in float32.
BOUND = {torch.float64: 1e-12, torch.float32: 1e-5}
both_precisions = pytest.mark.parametrize("dtype", BOUND)
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def drawn(architecture, sides, dtype=torch.float64, seed=0):
    """Return weights of a network whose biases are as large as the rest, so that a misplaced bias is noticed."""
    draws, parameters = generator(seed), architecture.build(*sides).named_parameters()
    return {name: (0.5 * torch.randn(w.shape, generator=draws, dtype=torch.float64)).to(dtype) for name, w in parameters}


def predicted(architecture, sides, weights):
    x = normal(40, sum(variable.size for variable in sides[0]), seed=7)
    module = architecture.build(*sides)
    assert {name: w.shape for name, w in module.named_parameters()} == {name: w.shape for name, w in weights.items()}
    with torch.no_grad():
        return evaluate(module, weights, x.to(next(iter(weights.values())).dtype))[0].double()


def compacted(architecture, sides, weights):
    """Compact a network, check that it computes the same, and that compacting it again changes nothing."""
    before = {name: weight.clone() for name, weight in weights.items()}
    smaller, found, _ = compact_network(architecture, weights)
    assert all(torch.equal(weights[name], before[name]) for name in before)
    dtype = weights["readout.bias" if "readout.bias" in weights else "small.readout.bias"].dtype
    assert {weight.dtype for weight in found.values()} == {dtype}
    expected = predicted(architecture, sides, weights)
    difference = predicted(smaller, sides, found) - expected
    assert float(difference.abs().max()) < BOUND[dtype] * float(expected.std(0).max().clamp_min(1.0))
    again, same, _ = compact_network(smaller, found)
    assert again == smaller
    assert all(torch.equal(same[name], found[name]) for name in found)
    return smaller, found


# Multilayer perceptrons ---------------------------------------------------------------------------------------------------


@both_precisions
@every_activation
def test_units_that_read_nothing_or_are_not_read_go_and_all_others_stay(name, dtype):
    architecture = pac.MLP(hidden=(7, 6), activation=name)
    weights = drawn(architecture, NUMBERS, dtype)
    weights["hidden.0.weight"][[1, 4]] = 0.0  # constants
    weights["hidden.1.weight"][:, 2] = 0.0  # a unit that nothing reads
    weights["readout.weight"][:, 5] = 0.0
    weights["hidden.1.weight"][3] = -0.0  # zeros of either sign
    smaller, found = compacted(architecture, NUMBERS, weights)
    assert smaller == pac.MLP(hidden=(4, 4), activation=name)
    stay = [0, 3, 5, 6]
    assert torch.equal(found["hidden.0.weight"], weights["hidden.0.weight"][stay])
    assert torch.equal(found["hidden.1.weight"], weights["hidden.1.weight"][[0, 1, 2, 4]][:, stay])
    constants = activation(name)(weights["hidden.0.bias"][[1, 4]].double())
    bias = weights["hidden.1.bias"].double() + weights["hidden.1.weight"][:, [1, 4]].double() @ constants
    # The sums are those of two products in float64, rounded once.
    torch.testing.assert_close(found["hidden.1.bias"].double(), bias[[0, 1, 2, 4]], rtol=BOUND[dtype], atol=BOUND[dtype])


@both_precisions
@every_activation
def test_a_network_without_such_units_keeps_every_bit(name, dtype):
    architecture = pac.MLP(hidden=(7, 6), activation=name)
    weights = drawn(architecture, NUMBERS, dtype)
    weights["hidden.0.weight"][:, 1] = 0.0  # an input that is not read, and units with a single weight in and out
    weights["hidden.0.weight"][0, 1:] = weights["hidden.1.weight"][1:, 0] = 0.0
    weights["hidden.0.bias"][2] = -100.0  # for these samples it never fires, but for others it does
    smaller, found = compacted(architecture, NUMBERS, weights)
    assert smaller == architecture
    assert all(torch.equal(found[n], weights[n]) for n in weights)


def test_constants_propagate_forwards_and_removals_backwards():
    architecture = pac.MLP(hidden=(5, 5, 5))
    weights = drawn(architecture, NUMBERS)
    weights["hidden.0.weight"][0] = 0.0
    weights["hidden.1.weight"][2, 1:] = 0.0  # reads only the constant
    weights["hidden.2.weight"][3, [0, 1, 3, 4]] = 0.0  # reads only that one
    weights["readout.weight"][:, 4] = 0.0
    weights["hidden.2.weight"][:4, 1] = 0.0  # only the unit that nothing reads reads this one
    weights["hidden.1.weight"][[0, 2, 3, 4], 4] = 0.0  # and this one only the former
    assert compacted(architecture, NUMBERS, weights)[0].hidden == (3, 3, 3)


@both_precisions
@pytest.mark.parametrize("layer", ["hidden.0", "hidden.1", "hidden.2", "readout"])
def test_a_layer_without_weights_leaves_one_unit_in_every_layer_and_the_constant_prediction(layer, dtype):
    architecture = pac.MLP(hidden=(6, 5, 4), activation="silu")
    weights = drawn(architecture, NUMBERS, dtype)
    weights[f"{layer}.weight"] = torch.zeros_like(weights[f"{layer}.weight"])
    smaller, found = compacted(architecture, NUMBERS, weights)
    assert smaller.hidden == (1, 1, 1)
    assert not any(bool(found[name].any()) for name in found if name != "readout.bias")


def test_the_mask_loses_the_same_rows_and_columns_and_weights_that_only_the_mask_calls_pruned_stay():
    architecture = pac.MLP(hidden=(4, 3))
    weights = drawn(architecture, NUMBERS)
    essential = {name: torch.rand(w.shape, generator=generator(3)) < 0.5 for name, w in weights.items()}
    essential["hidden.0.weight"][0] = False
    assert compact_network(architecture, weights, essential)[0] == architecture
    weights["hidden.0.weight"][1] = 0.0
    _, found, mask = compact_network(architecture, weights, essential)
    assert {name: m.shape for name, m in mask.items()} == {name: w.shape for name, w in found.items()}
    assert torch.equal(mask["hidden.0.bias"], essential["hidden.0.bias"][[0, 2, 3]])
    assert torch.equal(mask["hidden.1.weight"], essential["hidden.1.weight"][:, [0, 2, 3]])
    assert torch.equal(mask["hidden.1.bias"], essential["hidden.1.bias"])


# Convolutional networks ---------------------------------------------------------------------------------------------------


@both_precisions
@pytest.mark.parametrize(("kernel", "levels", "sides"), [(3, 0, ROD), (1, 0, ROD), (3, 1, PLATE), (5, 2, ROD)])
@pytest.mark.parametrize("padding", ["periodic", "zero", "replicate"])
def test_the_inner_channels_of_every_block_are_removed_one_by_one(padding, kernel, levels, sides, dtype):
    architecture = pac.CNN(channels=5, blocks=2, kernel=kernel, padding=padding, levels=levels, activation="silu")
    weights = drawn(architecture, sides, dtype)
    scale = {name: 0.3 if weight.ndim > 1 else 1.0 for name, weight in weights.items()}  # so that fields stay of order 1
    weights = {name: weight * scale[name] for name, weight in weights.items()}
    weights["down.0.0.0.weight"][[0, 2, 3]] = 0.0
    weights["down.0.1.1.weight"][:, 1] = 0.0
    last = f"{'up' if levels else 'down'}.0.1"
    weights[f"{last}.0.weight"][4] = 0.0
    smaller, found = compacted(architecture, sides, weights)
    merged = int(padding == "zero" and kernel > 1)  # the constants become one, as zero padding lets them vary at the sides
    first, expected = 2 + merged, [5 * 2**level for level in range(levels + 1) for _ in range(2)]
    expected += [5 * 2**level for level in range(levels) for _ in range(2)]
    expected[0], expected[1] = first, 4
    if levels:
        expected[2 * (levels + 1) + 1] = 4 + merged
    else:
        expected[1] = 3 + merged
    assert smaller.inner == tuple(expected)
    assert torch.equal(found["lift.weight"], weights["lift.weight"])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_with_zero_padding_a_channel_that_is_zero_goes(name):
    architecture = pac.CNN(channels=4, blocks=1, padding="zero", activation=name)
    weights = drawn(architecture, ROD)
    weights["down.0.0.0.weight"][[1, 3]] = 0.0
    weights["down.0.0.0.bias"][[1, 3]] = 0.0
    assert compacted(architecture, ROD, weights)[0].inner == (2,)
    weights["down.0.0.0.bias"][1] = 0.7
    assert compacted(architecture, ROD, weights)[0].inner == (3,)


def test_a_block_that_adds_a_constant_keeps_one_channel_and_an_unpruned_network_has_no_inner_widths():
    architecture = pac.CNN(channels=4, blocks=2)
    weights = drawn(architecture, ROD)
    assert compacted(architecture, ROD, weights)[0] == architecture
    weights["down.0.1.1.weight"] = torch.zeros_like(weights["down.0.1.1.weight"])
    assert compacted(architecture, ROD, weights)[0].inner == (4, 1)


# Composites ---------------------------------------------------------------------------------------------------------------


@both_precisions
@pytest.mark.parametrize("kind", [DeltaNet, InputAugmentation, MultiFidelity])
def test_the_base_and_the_small_network_of_a_composite_are_both_compacted(kind, dtype):
    architecture = kind(pac.MLP(hidden=(6, 5), activation="tanh"), NUMBERS[1], hidden=(5, 4))
    weights = drawn(architecture, NUMBERS, dtype)
    assert compacted(architecture, NUMBERS, weights)[0] == architecture
    weights["base.hidden.0.weight"][2] = 0.0
    weights["small.hidden.0.weight"][[0, 4]] = 0.0
    weights["small.hidden.1.weight"][1] = 0.0
    smaller, found = compacted(architecture, NUMBERS, weights)
    assert smaller == kind(pac.MLP(hidden=(5, 5), activation="tanh"), NUMBERS[1], hidden=(3, 3))
    before = weights["small.readout.weight"].shape[1] - 4  # inputs that the readout of a `MultiFidelity` reads directly
    assert torch.equal(found["small.readout.weight"][:, :before], weights["small.readout.weight"][:, :before])


def test_a_multi_fidelity_network_that_is_linear_loses_its_nonlinear_part():
    architecture = MultiFidelity(pac.MLP(hidden=(3,)), NUMBERS[1], hidden=(5, 4))
    weights = drawn(architecture, NUMBERS) | {"small.mix.a": torch.zeros(1, dtype=torch.float64)}
    assert compacted(architecture, NUMBERS, weights)[0].hidden == (1, 1)


def test_a_module_of_the_users_own_keeps_its_weights():
    architecture = pac.Module(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)))
    weights = {name: torch.zeros_like(weight) for name, weight in architecture.build(*NUMBERS).named_parameters()}
    same, found, _ = compact_network(architecture, weights)
    assert same is architecture
    assert all(torch.equal(found[name], weights[name]) for name in weights)
