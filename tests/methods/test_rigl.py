"""RigL: Erdős–Rényi-kernel densities that sum to the given total, and connections that move at a constant number."""

import math

import pytest
import torch
from adapting import case_of, problems, training_of, trainings, untrained
from field_cases import MODELS, dataset, surrogate

import pac_surrogate as pac
from pac_surrogate.kernels.jacobian import loss_gradient
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pruned.rigl import RigL, moved, regrow
from pac_surrogate.models.weights import prunable
from pac_surrogate.pruning import erk_mask, erk_sparsities

SHAPES = {"lift": (24, 3, 3, 3), "block": (24, 24, 3, 3), "wide": (64, 32), "bias": (64,), "readout": (2, 64)}
WEIGHTS = {
    name: torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(i))
    for i, (name, shape) in enumerate(SHAPES.items())
}


def case_for(kind, start, samples=60):
    return case_of(start, dataset(kind)[:0], dataset(kind, samples), source_steps=60, batch_size=16)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.8, 0.9, 0.95, 0.98])
def test_densities_weighted_by_size_sum_to_the_target(sparsity):
    sparsities = erk_sparsities(WEIGHTS, sparsity)
    sizes = {name: WEIGHTS[name].numel() for name in prunable(WEIGHTS)}
    assert list(sparsities) == list(sizes)
    kept = sum((1 - sparsities[name]) * size for name, size in sizes.items())
    assert kept == pytest.approx((1 - sparsity) * sum(sizes.values()), rel=1e-13)  # rounding of four terms
    assert all(0 <= value <= 1 for value in sparsities.values())
    # Below the cap the density is a constant times the sum over the product of the dimensions; capped layers would exceed 1.
    ratio = {n: (1 - sparsities[n]) / (sum(SHAPES[n]) / math.prod(SHAPES[n])) for n in sizes}
    free = [ratio[name] for name in sizes if sparsities[name] > 0]
    assert max(free, default=0.0) == pytest.approx(min(free, default=0.0), rel=1e-12)
    assert all(ratio[name] <= max(free, default=math.inf) for name in sizes)
    if sparsity == 0.8:
        assert sparsities["readout"] == 0.0  # the smallest is full; the others share the excess
    gone = {name: int((~kept).sum()) for name, kept in erk_mask(WEIGHTS, sparsity).items()}
    assert sum(gone.values()) == round(sparsity * sum(sizes.values()))
    assert all(abs(gone[name] - sparsities[name] * size) < 1 for name, size in sizes.items())
    assert gone["bias"] == 0


def test_rounding_does_not_add_up_over_layers():
    weights = {str(i): torch.ones(3, 3) for i in range(6)}  # half of each is 4.5, which rounds to 4
    assert [int((~kept).sum()) for kept in erk_mask(weights, 0.5).values()] == [4, 5, 5, 4, 4, 5]


def test_an_exempt_tensor_is_dense_and_does_not_count():
    spared = {name: weight for name, weight in WEIGHTS.items() if name != "block"}
    assert erk_sparsities(WEIGHTS, 0.8, exempt=("block",)) == erk_sparsities(spared, 0.8)
    assert bool(erk_mask(WEIGHTS, 0.8, exempt=("block",))["block"].all())


def test_the_smallest_kept_weights_are_dropped_and_those_with_the_largest_gradients_are_grown():
    weight = torch.tensor([[5.0, -1.0, 0.0, 0.0], [2.0, 0.0, -3.0, 0.0]])
    kept = torch.tensor([[True, True, False, False], [True, False, True, False]])
    gradient = torch.tensor([[9.0, 0.0, 0.1, -0.3], [0.1, 0.2, 9.0, 0.0]])
    # Half of 4: the weights -1 and 2 are dropped, those with gradients -0.3 and 0.2 are grown; the 9s belong to kept weights.
    assert regrow(weight, gradient, kept, 0.5).tolist() == [[True, False, False, True], [False, True, True, False]]
    # The dropped weight has the largest gradient of those not kept, so it is grown again.
    gradient[0, 1] = 8.0
    assert regrow(weight, gradient, kept, 0.25).tolist() == kept.tolist()
    assert torch.equal(regrow(weight, gradient, kept, 0.0), kept)
    assert bool(regrow(weight, gradient, torch.ones_like(kept), 0.9).all())  # a full layer has no weight to grow


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_keeps_every_count_and_starts_grown_weights_at_zero(kind, dtype):
    start = surrogate(kind, dtype)
    data = start.scaling.standardise(dataset(kind, 600))
    asking = problems(RigL(0.8, updates=1, drop=0.8), case_for(kind, start, 600))  # the update moves 40 %
    pruned = untrained(next(asking))
    after_update = asking.send(pruned).plan
    x, y = (torch.as_tensor(m[:512]).to(dtype) for m in (data.input_matrix, data.output_matrix))
    slope = loss_gradient(start.network.module, pruned.weights, x, y)  # at the first 512 samples
    changed = 0
    for name, weight in after_update.start.items():
        before, after = pruned.essential[name], after_update.essential[name]
        assert weight.dtype == dtype
        assert int(after.sum()) == int(before.sum())
        assert torch.equal(weight, torch.where(before & after, start.weights[name], 0.0))
        grown, passed = after & ~before, ~after & ~before
        if bool(grown.any()) and bool(passed.any()):
            assert slope[name].abs()[grown].min() >= slope[name].abs()[passed].max()
        changed += int(grown.sum())
    assert changed > 3
    assert pruned.essential["readout.weight"] is not after_update.essential["readout.weight"]


def test_an_update_uses_only_the_first_512_samples():
    start, data = surrogate("MLP"), dataset("MLP", 600)
    x, y = data.input_matrix, data.output_matrix.copy()
    pruned = untrained(training_of(RigL(0.8), case_for("MLP", start)))
    masks = []
    for first in (600, 512, 511):
        y[first:] = -50.0
        masks.append(moved(pruned, pac.Dataset.from_arrays(x, y), 0.6))
    same = [all(torch.equal(masks[0][name], mask[name]) for name in mask) for mask in masks]
    assert same == [True, True, False]


@pytest.mark.parametrize("kind", MODELS)
def test_the_number_of_kept_weights_stays_the_same_and_the_mask_moves(kind):
    asked, _, end = trainings(RigL(sparsity=0.8, updates=2, drop=0.6), case_for(kind, surrogate(kind)))
    masks = [*(one.plan.essential for one in asked), end.essential]
    counts = [{name: int(kept.sum()) for name, kept in mask.items()} for mask in masks]
    assert all(count == counts[0] for count in counts)
    assert any(not torch.equal(masks[0][name], masks[-1][name]) for name in masks[0])
    assert all(torch.equal(masks[-1][name], masks[-2][name]) for name in masks[0])  # no update after the last training


def test_fractions_follow_half_a_cosine():
    asking, fractions = RigL(0.8, updates=3, drop=0.4).adapt(case_for("MLP", surrogate("MLP"))), []
    asked = next(asking)
    while len(fractions) < 3:
        if isinstance(asked, Measure):
            fractions += asked.settings[:1]
        asked = asking.send(asked.surrogate.essential if isinstance(asked, Measure) else untrained(asked))
    with pytest.raises(StopIteration):
        asking.send(untrained(asked))
    root = math.sqrt(0.5)
    assert fractions == pytest.approx([0.2 * (1 + root), 0.2, 0.2 * (1 - root)], abs=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RigL(sparsity=1.0), r"sparsity must be in \[0, 1\), got 1.0"),
        (lambda: RigL(updates=0), "updates must be at least 1, got 0"),
        (lambda: RigL(drop=1.5), r"drop must be in \[0, 1\], got 1.5"),
        (lambda: erk_sparsities(WEIGHTS, 1.0), r"sparsity must be in \[0, 1\), got 1.0"),
        (lambda: erk_mask({"w": torch.ones(3, 3)}, 0.95), "leaves nothing of w .9 weights.: lower sparsity or exempt it"),
        (lambda: moved(surrogate("MLP"), dataset("MLP"), 0.3), "no essential mask: prune it first"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
