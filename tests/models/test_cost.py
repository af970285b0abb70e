"""The cost of a network: equal to torch's counter where it is dense, proportional to the nonzero weights where it is sparse."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import pac_surrogate as pac
from pac_surrogate.models.weights import masked, prunable
from pac_surrogate.predictors import build_network
from pac_surrogate.pruning import flops, magnitude_mask, nonzeros

MODELS = {
    "MLP": (pac.MLP(hidden=(16, 9)), ("x",)),
    "CNN on a line": (pac.CNN(channels=3, blocks=2, levels=2), ("x",)),
    "CNN on a plane": (pac.CNN(channels=3, blocks=1, levels=1, kernel=5), ("x", "y")),
}


def build(name):
    architecture, axes = MODELS[name]
    field = np.zeros((2, *(16, 8)[: len(axes)]))
    data = pac.Dataset.from_arrays({"a": field, "k": np.zeros(2)}, {"b": field}, axes={"a": axes, "b": axes})
    network = build_network(architecture, data.inputs, data.outputs)
    weights = {n: torch.randn(w.shape, generator=torch.Generator().manual_seed(0)) for n, w in network.weights.items()}
    return network.module, weights, data.input_matrix.shape[1]


@pytest.mark.parametrize("name", MODELS)
def test_dense_networks_cost_as_much_as_torchs_counter_reports(name):
    module, weights, width = build(name)
    with FlopCounterMode(display=False) as counter:
        torch.func.functional_call(module, weights, (torch.zeros(5, width),))
    assert 5 * flops(module, weights) == counter.get_total_flops()


@pytest.mark.parametrize("name", MODELS)
def test_each_weight_set_to_zero_saves_the_operations_that_use_it(name):
    module, weights, _ = build(name)
    mask = magnitude_mask(weights, 0.5)
    dense = flops(module, weights)
    saved = 0
    for layer in prunable(weights):
        one = flops(module, {**weights, layer: torch.where(mask[layer], weights[layer], 0.0)})
        assert (dense - one) * mask[layer].numel() == (dense - flops(module, {**weights, layer: 0 * weights[layer]})) * int(
            (~mask[layer]).sum()
        )
        saved += dense - one
    assert flops(module, masked(weights, mask)) == dense - saved
    assert 0 < saved < dense


def test_nonzeros_are_counted_and_with_a_mask_only_inside_it():
    weights = {"w": torch.tensor([[1.0, 0.0], [-2.0, -0.0]]), "b": torch.tensor([3.0, 0.0])}
    mask = {"w": torch.tensor([[True, True], [False, True]]), "b": torch.tensor([True, True])}
    assert nonzeros(weights) == 3
    assert nonzeros(weights, mask) == 2


def test_a_users_module_is_refused_in_one_line():
    data = pac.Dataset.from_arrays(np.zeros((2, 4)), np.zeros((2, 2)))
    module = pac.Module(nn.Linear(4, 2)).build(data.inputs, data.outputs)
    with pytest.raises(ValueError, match="flops are counted for MLP and CNN, got Module") as caught:
        flops(module, dict(module.named_parameters()))
    assert "\n" not in str(caught.value)
