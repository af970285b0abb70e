"""WoodFisher: prune by second-order importance, then train the kept weights."""

from typing import ClassVar

import torch

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, Positive, Scope, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pruned.sparse_training import masked_plan, pruned_first
from pac_surrogate.models.weights import Mask, Weights, masked
from pac_surrogate.pruning.importance import keep_highest
from pac_surrogate.pruning.wood_fisher import fisher_blocks, surgeon_update, wood_fisher_importance
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings


@settings
class WoodFisher:
    """Prune once by second-order importance with the optimal brain surgeon's update, then train with the mask.

    F is the Gauss-Newton matrix by default (ours: the paper's empirical Fisher matrix vanishes if a regression source fits its
    data), and all weights are pruned at once (ours; the paper also prunes gradually).
    Source: Singh & Alistarh, "WoodFisher", NeurIPS 2020, arXiv:2004.14340.

    Args:
        sparsity: fraction that is pruned.
        update: apply the optimal brain surgeon's step to the weights that are kept.
        damping: positive number that is added to the diagonal of F.
        block: number of weights of one tensor in a block of F.
        samples: number of source samples from which F is computed, from the first on.
        empirical: whether F is the paper's empirical Fisher matrix.
        scope: layer (the sparsity holds in each layer) or global (over all layers together).
        exempt: tensors or modules that are not pruned.
        learning_rate: learning rate of Adam.
    """

    sparsity: Sparsity = 0.9
    update: bool = True
    damping: Positive = 1e-2
    block: Count = 256
    samples: Count = 400
    empirical: bool = False
    scope: Scope = "layer"
    exempt: tuple[str, ...] = ()
    learning_rate: Positive = 1e-3
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Prune, then train with the mask, both on the source."""
        fisher = (self.damping, self.block, self.samples, self.empirical)
        options = (self.sparsity, self.update, *fisher, self.scope, self.exempt)
        weights, mask = yield Measure(pruned, case.surrogate, case.source_samples(), options)
        return (yield case.on_source(case.surrogate, masked_plan(weights, mask), self.learning_rate))


def pruned(
    surrogate: Surrogate,
    data: Dataset,
    sparsity: float,
    update: bool,
    damping: float,
    block: int,
    samples: int,
    empirical: bool,
    scope: str,
    exempt: tuple[str, ...],
) -> tuple[Weights, Mask]:
    """Prune the weights of least w_i^2 / (2 [F^-1]_ii), and update the others to compensate; see `WoodFisher` for the options.

    Returns:
        The weights, +0.0 where pruned, and the mask of the kept ones; F is not returned, as it takes much memory.
    """
    weights = surrogate.weights
    x, y = (torch.as_tensor(m[:samples]) for m in (data.input_matrix, data.output_matrix))
    fisher = fisher_blocks(surrogate.network.module, weights, x, y, damping=damping, block=block, empirical=empirical)
    importance = pruned_first(wood_fisher_importance(weights, fisher), surrogate)
    mask = keep_highest(importance, sparsity, scope=scope, exempt=exempt)
    return surgeon_update(weights, mask, fisher) if update else masked(weights, mask), mask
