"""WoodFisher: prune by second-order importance, then train the kept weights."""

from typing import ClassVar

import torch

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, Fraction, Positive, Scope, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity, exempt_modules
from pac_surrogate.methods.pruned.sparse_training import alive_mask, cubic_ramp, masked_plan, pruned_first
from pac_surrogate.models.weights import Mask, Weights, masked
from pac_surrogate.pruning.groups import group_importance, keep_highest_groups
from pac_surrogate.pruning.wood_fisher import fisher_blocks, surgeon_update, wood_fisher_importance
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings


@settings
class WoodFisher:
    """Prune by second-order importance with the optimal brain surgeon's update, and train with the mask, once or in rounds.

    F is the Gauss-Newton matrix by default (ours: the paper's empirical Fisher matrix vanishes if a regression source fits its
    data). The paper prunes at once, as one round does here, or gradually. Several rounds follow the cubic ramp of `GMP`, with
    its `hold` (ours), and each measures F anew, over the weights that are left. The importance of a group of weights is the sum
    of theirs (ours), which takes the effects of its weights on the loss for independent.
    Source: Singh & Alistarh, "WoodFisher", NeurIPS 2020, arXiv:2004.14340.

    Args:
        sparsity: fraction of the body (the weight tensors that are not exempt) that is pruned.
        rounds: number of rounds.
        hold: fraction of the steps in which the last sparsity is trained after the ramp.
        update: apply the optimal brain surgeon's step to the weights that are kept.
        damping: positive number that is added to the diagonal of F.
        block: number of weights of one tensor in a block of F.
        samples: number of source samples from which F is computed, from the first on.
        empirical: whether F is the paper's empirical Fisher matrix.
        scope: layer (the sparsity holds in each layer) or global (over all layers together).
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too.
        learning_rate: learning rate of Adam.
        granularity: what is pruned as one group: weight | row | kernel | channel | unit; see `keep_highest_groups`. With other
            granularities than weight, the sparsity is that of the groups, and the readout is not pruned.
    """

    sparsity: Sparsity = 0.9
    rounds: Count = 8
    hold: Fraction = 0.5
    update: bool = True
    damping: Positive = 1e-2
    block: Count = 256
    samples: Count = 400
    empirical: bool = False
    scope: Scope = "layer"
    exempt: tuple[str, ...] = READOUT
    learning_rate: Positive = 1e-3
    granularity: Granularity = "weight"
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Prune and train with the mask in each round, both on the source."""
        trained = case.surrogate
        exempt = exempt_modules(trained, self.exempt, self.granularity)
        options = (self.update, self.damping, self.block, self.samples, self.empirical, self.scope, exempt, self.granularity)
        for sparsity, fraction in cubic_ramp(self.sparsity, self.rounds, self.hold):
            weights, mask = yield Measure(pruned, trained, case.source_samples(), (sparsity, *options))
            trained = yield case.on_source(trained, masked_plan(weights, mask), self.learning_rate, fraction)
        return trained


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
    granularity: str,
) -> tuple[Weights, Mask]:
    """Prune the groups of least sum of w_i^2 / (2 [F^-1]_ii), and update the others to compensate; see `WoodFisher`.

    Returns:
        The weights, +0.0 where pruned, and the mask of the kept ones; F is not returned, as it takes much memory.
    """
    weights, alive = surrogate.weights, alive_mask(surrogate)
    x, y = (torch.as_tensor(m[:samples]) for m in (data.input_matrix, data.output_matrix))
    module = surrogate.network.module
    fisher = fisher_blocks(module, weights, x, y, alive=alive, damping=damping, block=block, empirical=empirical)
    importance = wood_fisher_importance(weights, fisher)
    for name, groups in group_importance(importance, granularity=granularity, exempt=exempt).items():
        importance[name] = importance[name] * (weights[name].numel() // groups.numel())  # whose mean is the sum
    importance = pruned_first(importance, surrogate, granularity, exempt)
    mask = keep_highest_groups(importance, sparsity, granularity=granularity, scope=scope, exempt=exempt)
    return surgeon_update(weights, mask, fisher) if update else masked(weights, mask), mask
