"""RigL: a sparse network that moves its connections where the gradient is large."""

import dataclasses
import math

import torch
from torch import Tensor

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.jacobian import loss_gradient
from pac_surrogate.predictors import Network
from pac_surrogate.pruning.erk import erk_mask
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import Stage
from pac_surrogate.transfer.sparse_training import TrainMasked, check_count, check_sparsity, pruned_first
from pac_surrogate.weights import masked, prunable

SAMPLES = 512  # of the source, the first, for the gradient that decides what grows


@settings
class PruneERK:
    """Prune by magnitude at Erdős–Rényi-kernel densities; no training.

    Args:
        sparsity: fraction that is pruned, of all weight tensors together.
        exempt: tensors or modules that are not pruned.
    """

    sparsity: float = 0.9
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Give the pruned network."""
        scores = pruned_first({name: weight.abs() for name, weight in surrogate.weights.items()}, surrogate)
        mask = erk_mask(scores, self.sparsity, exempt=self.exempt)
        return dataclasses.replace(surrogate.network, weights=masked(surrogate.weights, mask), essential=mask)


@settings
class Regrow:
    """In each tensor drop the kept weights of smallest |w| and grow as many where |dL/dw| is largest.

    Candidates for growth are all weights that are not kept after the drop. Grown weights start at 0; one that is dropped and
    grown at once keeps its value, as in the authors' code. L is the mean squared error of the first 512 samples.

    Args:
        fraction: of the kept weights that is dropped.
    """

    fraction: float

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Give the network with its new mask."""
        essential, weights = surrogate.essential, surrogate.weights
        if essential is None:
            raise ValueError("Regrow needs a pruned source; this one has no essential mask: prune it first")
        if len(data) == 0:
            return surrogate.network
        dtype = surrogate.network.dtype
        x, y = (torch.as_tensor(m[:SAMPLES]).to(dtype) for m in (data.input_matrix, data.output_matrix))
        gradient = loss_gradient(surrogate.network.module, weights, x, y)
        mask = dict(essential)
        for name in prunable(weights):
            mask[name] = regrow(weights[name], gradient[name], essential[name], self.fraction)
        return dataclasses.replace(surrogate.network, weights=masked(weights, mask), essential=mask)


def regrow(weight: Tensor, gradient: Tensor, kept: Tensor, fraction: float) -> Tensor:
    """New mask of one tensor; as many are kept as before."""
    mask = kept.flatten().clone()
    count = round(fraction * int(mask.sum()))
    smallest = torch.where(mask, weight.flatten().abs(), torch.inf)
    mask[torch.argsort(smallest, stable=True)[:count]] = False
    largest = torch.where(mask, -1.0, gradient.flatten().abs())
    mask[torch.argsort(largest, descending=True, stable=True)[:count]] = True
    return mask.view_as(kept)


@settings
class RigL:
    """Train sparse from a mask at Erdős–Rényi-kernel densities, and move connections between segments of the training.

    Update t of T - 1 drops, and regrows, the fraction drop/2 (1 + cos(pi t / T)) of each layer's weights; T segments of equal
    length, the last of them without an update after it. The first mask is by magnitude, from the pretrained source (ours; the
    paper starts at random).
    Source: Evci, Gale, Menick, Castro & Elsen, ICML 2020, arXiv:1911.11134.

    Args:
        sparsity: fraction that is pruned, of all weight tensors together.
        updates: T - 1.
        drop: fraction of the kept weights that would be moved at t = 0.
        exempt: tensors or modules that are not pruned.
        learning_rate: of Adam.
    """

    sparsity: float = 0.9
    updates: int = 8
    drop: float = 0.3
    exempt: tuple[str, ...] = ()
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_count(updates=self.updates)
        if not 0 <= self.drop <= 1:
            raise ValueError(f"drop must be in [0, 1], got {self.drop}")
        self.stages()  # the rules check the other numbers

    def stages(self) -> tuple[Stage, ...]:
        """The first mask, then training and updates in turn, all on the source."""
        segments = self.updates + 1
        train: Stage = ("source", TrainMasked(share=1 / segments, learning_rate=self.learning_rate))
        stages: list[Stage] = [("source", PruneERK(self.sparsity, self.exempt)), train]
        for update in range(1, segments):
            fraction = self.drop / 2 * (1 + math.cos(math.pi * update / segments))
            stages += [("source", Regrow(fraction)), train]
        return tuple(stages)
