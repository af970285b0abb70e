"""WoodFisher: importance and step of the optimal brain surgeon on models where both are known, and random projections."""

import itertools

import pytest
import torch
from adapting import case_of, training_of, trainings, untrained
from drawing import normal
from field_cases import MODELS, dataset, surrogate
from torch import nn

from pac_surrogate.kernels.jacobian import output_jacobian
from pac_surrogate.methods.pruned.wood_fisher import WoodFisher
from pac_surrogate.models.weights import prunable
from pac_surrogate.pruning import fisher_blocks, surgeon_update, wood_fisher_importance


class Line(nn.Module):
    """A linear model without bias, in the form that `evaluate` accepts."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, dtype=torch.float64))

    def forward(self, x):
        return x @ self.weight.T, ()


def tensors(data):
    return torch.as_tensor(data.input_matrix), torch.as_tensor(data.output_matrix)


@pytest.mark.parametrize("block", [4, 8])
def test_the_importance_in_a_linear_model_is_that_of_the_optimal_brain_surgeon(block):
    x, y, weight = normal(30, 4), normal(30, 2, seed=1), normal(2, 4, seed=2)
    fisher = fisher_blocks(Line(4, 2), {"weight": weight}, x, y, damping=0.03, block=block)
    inverse = torch.linalg.inv(x.T @ x / 30 + 0.03 * torch.eye(4, dtype=torch.float64))
    by_hand = weight.square() / (2 * inverse.diagonal())
    importance = wood_fisher_importance({"weight": weight}, fisher)["weight"]
    assert float((importance - by_hand).abs().max()) < 1e-12  # condition number below 100
    # The importance of a weight is the rise of the damped loss at the minimiser with that weight held at 0.
    hessian = torch.block_diag(*[x.T @ x / 30 + 0.03 * torch.eye(4, dtype=torch.float64)] * 2)
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[1, 2] = False
    step = (surgeon_update({"weight": weight}, {"weight": mask}, fisher)["weight"] - weight).flatten()
    assert float(0.5 * step @ hessian @ step - importance[1, 2]) == pytest.approx(0, abs=1e-12)


def test_the_surgeons_step_is_the_constrained_minimiser_and_blocks_do_not_see_each_other():
    root, weight = normal(2, 5, 9, seed=3), normal(2, 4, seed=4)  # blocks of 5: the last is padded with 2
    blocks = root @ root.mT + 0.1 * torch.eye(5, dtype=torch.float64)
    blocks[1, 3:] = blocks[1, :, 3:] = 0.0
    blocks[1] += torch.diag(torch.tensor([0.0, 0.0, 0.0, 0.1, 0.1], dtype=torch.float64))
    mask = torch.tensor([[True, False, False, True], [True, False, False, True]])
    new = surgeon_update({"w": weight}, {"w": mask}, {"w": blocks})["w"].flatten()
    gone = (~mask).flatten()
    assert not new[gone].view(torch.int64).any()  # +0.0
    for matrix, part in ((blocks[0], slice(0, 5)), (blocks[1][:3, :3], slice(5, 8))):
        pruned = torch.nonzero(gone[part])[:, 0]
        # Stationarity and constraint together: [F E; E' 0] (dw, multipliers) = (0, -w_Q).
        select = torch.eye(len(matrix), dtype=torch.float64)[:, pruned]
        system = torch.cat([torch.cat([matrix, select], 1), torch.cat([select.T, torch.zeros(len(pruned), len(pruned))], 1)])
        right = torch.cat([torch.zeros(len(matrix), dtype=torch.float64), -weight.flatten()[part][pruned]])
        step = torch.linalg.solve(system, right)[: len(matrix)]
        assert float((new[part] - weight.flatten()[part] - step).abs().max()) < 1e-12  # condition number below 1e3
        # The form of the paper.
        inverse = torch.linalg.inv(matrix)
        paper = -inverse[:, pruned] @ torch.linalg.solve(inverse[pruned][:, pruned], weight.flatten()[part][pruned])
        assert float((step - paper).abs().max()) < 1e-12
        assert float(step.abs().max()) > 0.1


def test_a_weight_that_is_already_pruned_does_not_compensate_for_others():
    """In a linear model whose third input is pruned, the importance of the others is that in the model without this input."""
    x, y, weight = normal(30, 4), normal(30, 2, seed=1), normal(2, 4, seed=2)
    left = [0, 1, 3]
    alive = torch.ones(2, 4, dtype=torch.bool)
    alive[:, 2] = False
    weight[:, 2] = 0.0
    fisher = fisher_blocks(Line(4, 2), {"weight": weight}, x, y, alive={"weight": alive}, damping=0.03, block=8)
    small = fisher_blocks(Line(3, 2), {"weight": weight[:, left]}, x[:, left], y, damping=0.03, block=6)
    importance = wood_fisher_importance({"weight": weight}, fisher)["weight"]
    without = wood_fisher_importance({"weight": weight[:, left]}, small)["weight"]
    assert float((importance[:, left] - without).abs().max()) < 1e-12  # condition number below 100
    whole = wood_fisher_importance(
        {"weight": weight}, fisher_blocks(Line(4, 2), {"weight": weight}, x, y, damping=0.03, block=8)
    )
    assert float((whole["weight"][:, left] - without).abs().max()) > 1e-3  # otherwise the mask would not matter


@pytest.mark.parametrize("kind", MODELS)
def test_each_round_measures_importance_in_the_network_of_the_round_before_and_masks_are_nested(kind):
    source, data = surrogate(kind), dataset(kind)
    x, y = tensors(source.scaling.standardise(data))
    case = case_of(source, data[:0], data, source_steps=30)
    asked, answers, _ = trainings(WoodFisher(sparsity=0.6, rounds=3, samples=len(data)), case)
    assert len(asked) == 3
    for before, after in itertools.pairwise(answers):
        mask = after.essential
        fisher = fisher_blocks(source.network.module, before.weights, x, y, alive=before.essential)
        importance = wood_fisher_importance(before.weights, fisher)
        for name in prunable(mask):
            assert bool((mask[name] <= before.essential[name]).all())
            gone = before.essential[name] & ~mask[name]
            if bool(gone.any()):
                assert importance[name][mask[name]].min() >= importance[name][gone].max()


@pytest.mark.parametrize("kind", MODELS)
def test_blocks_are_the_diagonal_of_the_whole_gauss_newton_matrix_of_each_tensor(kind):
    source = surrogate(kind)
    x, y = tensors(dataset(kind))
    fisher = fisher_blocks(source.network.module, source.weights, x, y, damping=0.2, block=10)
    assert list(fisher) == prunable(source.weights)
    for name, blocks in fisher.items():
        rows = torch.cat(
            [piece[name].flatten(2) for piece in output_jacobian(source.network.module, source.weights, x, [name])]
        )
        whole = torch.einsum("sow,sov->wv", rows, rows) / len(x)
        whole += 0.2 * torch.eye(len(whole), dtype=torch.float64)
        assert len(blocks) == -(-len(whole) // 10)
        for i, block in enumerate(blocks):
            part = whole[i * 10 : (i + 1) * 10, i * 10 : (i + 1) * 10]
            # The scale is of order 1, and rows number 480.
            assert float((block[: len(part), : len(part)] - part).abs().max()) < 1e-12


def test_the_empirical_matrix_is_made_of_gradients_of_the_squared_error_and_vanishes_where_the_source_fits():
    x, y, weight = normal(30, 4), normal(30, 2, seed=1), normal(2, 4, seed=2)
    gradients = torch.einsum("so,si->soi", x @ weight.T - y, x).flatten(1)
    (block,) = fisher_blocks(Line(4, 2), {"weight": weight}, x, y, damping=0.5, block=8, empirical=True)["weight"]
    eye = torch.eye(8, dtype=torch.float64)
    assert float((block - gradients.T @ gradients / 30 - 0.5 * eye).abs().max()) < 1e-12
    (block,) = fisher_blocks(Line(4, 2), {"weight": weight}, x, x @ weight.T, damping=0.5, block=8, empirical=True)["weight"]
    assert float((block - 0.5 * eye).abs().max()) < 1e-12


def test_many_outputs_are_mixed_at_random_and_keep_the_expectation():
    """A model with many outputs has few rows per sample; their mean over samples is close to F and reproducible."""
    samples, outputs = 1000, 50  # 2 rows per sample represent 50 outputs
    x, y, weight = normal(samples, 2), normal(samples, outputs, seed=1), normal(outputs, 2, seed=2)
    first, second = (fisher_blocks(Line(2, outputs), {"weight": weight}, x, y, damping=1e-6, block=100) for _ in range(2))
    assert torch.equal(first["weight"], second["weight"])
    exact = torch.block_diag(*[x.T @ x / samples] * outputs)
    error = first["weight"][0] - exact
    # An entry outside the blocks is a mean of 2,000 products of variance at most 3: standard deviation 0.04, six of which
    # are the bound.
    assert float(error.abs().max()) < 0.24
    assert 0.01 < float(error.std()) < 0.04
    assert float((error.diagonal()).abs().max()) < 2e-6  # squared signs are 1: the diagonal is exact up to damping


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pruning_takes_the_least_important_weights_at_the_exact_count_and_the_update_lowers_the_damage(kind, dtype):
    source = surrogate(kind, dtype)
    data = source.scaling.standardise(dataset(kind))
    x, _ = tensors(data)
    before, errors = source.predictor.predict(x), {}
    fisher = fisher_blocks(source.network.module, source.weights, *tensors(data))
    importance = wood_fisher_importance(source.weights, fisher)
    for update in (False, True):
        asked = training_of(
            WoodFisher(sparsity=0.3, rounds=1, update=update, exempt=()), case_of(source, dataset(kind)[:0], dataset(kind))
        )
        pruned = untrained(asked).network
        for name in prunable(source.weights):
            kept, weight = pruned.essential[name], pruned.weights[name]
            assert weight.dtype == dtype
            assert int((~kept).sum()) == round(0.3 * kept.numel())
            assert importance[name][kept].min() >= importance[name][~kept].max()
            assert not weight[~kept].signbit().any()
            assert not weight[~kept].any()
            assert torch.equal(weight[kept], source.weights[name][kept]) == (not update)
        errors[update] = float((pruned.predict(x) - before).square().mean())
    # Each layer is updated on its own, which is not the joint optimum; the error must still decrease.
    assert errors[True] < errors[False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WoodFisher(sparsity=1.0), r"sparsity must be in \[0, 1\), got 1.0"),
        (lambda: WoodFisher(damping=0.0), "damping must be positive and finite, got 0.0"),
        (lambda: WoodFisher(block=0), "block must be at least 1, got 0"),
        (lambda: WoodFisher(samples=0), "samples must be at least 1, got 0"),
        (lambda: WoodFisher(scope="unit"), "scope must be 'layer' or 'global', got 'unit'"),
        (lambda: wood_fisher_importance({"w": torch.ones(1, 2)}, {"w": torch.ones(1, 2, 2).double()}), "no inverse in float64"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
