"""Structured pruning: which groups are pruned, how many, and which tensors have no groups."""

import pytest
import torch
from granularities import AXES, grouped

from pac_surrogate.pruning.groups import group_importance, keep_highest_groups

SHAPES = {"a.weight": (6, 5), "b.weight": (4, 3, 5), "c.weight": (4, 3, 3, 5), "readout.weight": (2, 4, 1), "b.bias": (4,)}


def random_weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("sparsity", [0.0, 0.34, 0.6])
@pytest.mark.parametrize("granularity", AXES)
def test_exactly_the_groups_of_smallest_mean_size_are_pruned_and_masks_are_constant_on_groups(granularity, sparsity):
    weights = random_weights()
    if granularity in ("kernel", "channel"):
        del weights["a.weight"]
    importance = {name: weight.abs() for name, weight in weights.items()}
    mask = keep_highest_groups(importance, sparsity, granularity=granularity, exempt=("readout",))
    for name, weight in weights.items():
        assert mask[name].shape == weight.shape
        if name in ("readout.weight", "b.bias"):
            assert bool(mask[name].all())
            continue
        kept = grouped(mask[name], granularity)
        assert torch.equal(kept.any(1), kept.all(1))
        assert int((~kept[:, 0]).sum()) == round(sparsity * len(kept))
        size = torch.linalg.vector_norm(grouped(weight, granularity), ord=1, dim=1) / kept.shape[1]
        if sparsity:
            assert float(size[~kept[:, 0]].max()) < float(size[kept[:, 0]].min())


def test_the_importance_of_a_group_is_its_l1_norm_over_its_size():
    importance = {"w": torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])}
    for granularity, expected in (("row", [1.5, 3.5, 5.5, 7.5]), ("kernel", [1.5, 3.5, 5.5, 7.5]), ("channel", [2.5, 6.5])):
        assert group_importance(importance, granularity=granularity)["w"].flatten().tolist() == expected


def test_among_equal_groups_the_earlier_is_pruned_first():
    mask = keep_highest_groups({"w": torch.ones(4, 2, 3)}, 0.5, granularity="channel")["w"]
    assert mask[:, 0, 0].tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("granularity", "sparsity", "message"),
    [
        ("kernel", 0.5, "granularity 'kernel' needs convolutions, got the matrix a.weight: choose row, unit or weight"),
        ("channel", 0.5, "granularity 'channel' needs convolutions, got the matrix a.weight: choose row, unit or weight"),
        ("column", 0.5, "unknown granularity 'column': choose from weight, row, kernel, channel, unit"),
        ("row", 0.95, r"sparsity 0.95 leaves nothing of a.weight \(6 groups of granularity 'row'\): lower sparsity or exempt"),
        ("row", 1.0, r"sparsity must be in \[0, 1\), got 1.0"),
    ],
)
def test_tensors_without_groups_and_sparsities_that_leave_nothing_are_refused_in_one_line(granularity, sparsity, message):
    with pytest.raises(ValueError, match=message) as caught:
        keep_highest_groups(random_weights(), sparsity, granularity=granularity)
    assert "\n" not in str(caught.value)


def test_an_exempt_matrix_needs_no_kernels():
    mask = keep_highest_groups(random_weights(), 0.5, granularity="kernel", exempt=("a", "readout"))
    assert bool(mask["a.weight"].all())
    assert int((~mask["b.weight"][..., 0]).sum()) == 6
