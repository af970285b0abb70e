"""WoodFisher: prune by second-order scores, then train what is kept."""

import dataclasses

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.predictors import Network
from pac_surrogate.pruning.scores import keep_highest
from pac_surrogate.pruning.wood_fisher import fisher_blocks, surgeon_update, wood_fisher_scores
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import Stage
from pac_surrogate.transfer.sparse_training import TrainMasked, check_count, check_sparsity, pruned_first
from pac_surrogate.weights import masked


@settings
class PruneWoodFisher:
    """Prune the weights of least w_i^2 / (2 [F^-1]_ii), and let the others make up for them; no training.

    Args:
        sparsity: fraction that is pruned.
        update: apply the optimal brain surgeon's step to the weights that are kept.
        damping: added to the diagonal of F, positive.
        block: weights of one tensor that share a block of F.
        samples: of the source, the first, that F is made of.
        empirical: gradients of the squared error instead of the outputs' derivatives.
        scope: the sparsity holds in each layer, or over all of them together (global).
        exempt: tensors or modules that are not pruned.
    """

    sparsity: float = 0.9
    update: bool = True
    damping: float = 1e-2
    block: int = 256
    samples: int = 400
    empirical: bool = False
    scope: str = "layer"
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity, self.scope)
        check_count(block=self.block, samples=self.samples)
        if not 0 < self.damping < float("inf"):
            raise ValueError(f"damping must be positive and finite, got {self.damping}")

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Give the pruned network."""
        weights = surrogate.weights
        x, y = (torch.as_tensor(m[: self.samples]) for m in (data.input_matrix, data.output_matrix))
        fisher = fisher_blocks(
            surrogate.network.module, weights, x, y, damping=self.damping, block=self.block, empirical=self.empirical
        )
        scores = pruned_first(wood_fisher_scores(weights, fisher), surrogate)
        mask = keep_highest(scores, self.sparsity, scope=self.scope, exempt=self.exempt)
        kept = surgeon_update(weights, mask, fisher) if self.update else masked(weights, mask)
        return dataclasses.replace(surrogate.network, weights=kept, essential=mask)


@settings
class WoodFisher:
    """Prune once by second-order scores with the surgeon's update, then train with the mask.

    F is the Gauss-Newton matrix by default (ours: the paper's empirical Fisher vanishes on a regression source that fits), and
    all weights go at once (ours; the paper also prunes gradually).
    Source: Singh & Alistarh, "WoodFisher", NeurIPS 2020, arXiv:2004.14340.

    Args:
        sparsity: fraction that is pruned.
        update: apply the optimal brain surgeon's step to the weights that are kept.
        damping: added to the diagonal of F, positive.
        block: weights of one tensor that share a block of F.
        samples: of the source, the first, that F is made of.
        empirical: the paper's empirical Fisher.
        scope: the sparsity holds in each layer, or over all of them together (global).
        exempt: tensors or modules that are not pruned.
        learning_rate: of Adam.
    """

    sparsity: float = 0.9
    update: bool = True
    damping: float = 1e-2
    block: int = 256
    samples: int = 400
    empirical: bool = False
    scope: str = "layer"
    exempt: tuple[str, ...] = ()
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self.stages()  # the rules check their own numbers

    def stages(self) -> tuple[Stage, ...]:
        """Prune, then train with the mask, both on the source."""
        prune = PruneWoodFisher(
            self.sparsity, self.update, self.damping, self.block, self.samples, self.empirical, self.scope, self.exempt
        )
        return (("source", prune), ("source", TrainMasked(learning_rate=self.learning_rate)))
