"""RigL: sparse training that moves connections to where the gradient is large."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.kernels.jacobian import loss_gradient
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, Fraction, Positive, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity, exempt_modules
from pac_surrogate.methods.pruned.sparse_training import masked_plan, pruned_first
from pac_surrogate.models.weights import Mask, prunable
from pac_surrogate.pruning.erk import erk_mask
from pac_surrogate.pruning.groups import group_mean
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings

SAMPLES = 512  # number of source samples, from the first on, for the gradient that decides which connections grow


@settings
class RigL:
    """Train sparse from a mask of Erdős–Rényi-kernel densities, and move connections between segments of the training.

    The training has T segments of equal length. After segment t, except the last, an update drops the fraction
    drop/2 (1 + cos(pi t / T)) of each layer's kept weights and grows as many. The first mask keeps the largest weights of the
    pretrained source (ours; the paper starts at random). Of groups of weights, those of smallest mean |w| are dropped, and
    those of largest mean |dL/dw| grown (ours).
    Source: Evci, Gale, Menick, Castro & Elsen, ICML 2020, arXiv:1911.11134.

    Args:
        sparsity: fraction of the body (the weight tensors that are not exempt, together) that is pruned.
        updates: number of updates, T - 1.
        drop: fraction of the kept weights that would be moved at t = 0.
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too.
        learning_rate: learning rate of Adam.
        granularity: what is pruned as one group: weight | row | kernel | channel | unit; see `keep_highest_groups`. With other
            granularities than weight, the sparsity is that of the groups, and the readout is not pruned.
    """

    sparsity: Sparsity = 0.9
    updates: Count = 8
    drop: Fraction = 0.3
    exempt: tuple[str, ...] = READOUT
    learning_rate: Positive = 1e-3
    granularity: Granularity = "weight"
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Prune, then alternately train and move connections, all on the source."""
        trained, segments = case.surrogate, self.updates + 1
        exempt = exempt_modules(trained, self.exempt, self.granularity)
        sizes = {name: weight.abs() for name, weight in trained.weights.items()}
        importance = pruned_first(sizes, trained, self.granularity, exempt)
        mask = erk_mask(importance, self.sparsity, granularity=self.granularity, exempt=exempt)
        for update in range(1, segments + 1):
            plan = masked_plan(trained.weights, mask)
            trained = yield case.on_source(trained, plan, self.learning_rate, 1 / segments)
            if update < segments:
                fraction = self.drop / 2 * (1 + math.cos(math.pi * update / segments))
                mask = yield Measure(moved, trained, case.source_samples(), (fraction, self.granularity))
        return trained


def moved(surrogate: Surrogate, data: Dataset, fraction: float, granularity: str = "weight") -> Mask:
    """Return the mask after dropping, in each tensor, the kept weights of smallest |w| and growing as many of largest |dL/dw|.

    Candidates for growth are all weights that are not kept after the drop. Grown weights start at 0; a weight that is dropped
    and grown in the same update keeps its value, as in the authors' code. L is the mean squared error of the first 512 samples.

    Args:
        surrogate: a pruned network.
        data: source samples, standardised.
        fraction: fraction of the kept weights that is dropped.
        granularity: the groups of weights that are moved together, by their means of |w| and |dL/dw|.
    """
    essential, network = surrogate.essential, surrogate.network
    if essential is None:
        raise ValueError("connections are moved in a pruned source; this one has no essential mask: prune it first")
    if len(data) == 0:
        return essential
    x, y = (torch.as_tensor(m[:SAMPLES]).to(network.dtype) for m in (data.input_matrix, data.output_matrix))
    gradient = loss_gradient(network.module, network.weights, x, y)
    return essential | {
        name: regrow(network.weights[name], gradient[name], essential[name], fraction, granularity)
        for name in prunable(essential)
    }


def regrow(weight: Tensor, gradient: Tensor, kept: Tensor, fraction: float, granularity: str = "weight") -> Tensor:
    """Return the new mask of one tensor, which is constant on groups like `kept`, and keeps as many groups as before."""
    if bool(kept.all()):  # nothing can grow, and a tensor that is exempt need not have such groups
        return kept.clone()
    groups = group_mean(kept.double(), granularity) > 0
    mask = groups.flatten()
    count = round(fraction * int(mask.sum()))
    smallest = torch.where(mask, group_mean(weight.abs(), granularity).flatten(), torch.inf)
    mask[torch.argsort(smallest, stable=True)[:count]] = False
    largest = torch.where(mask, -1.0, group_mean(gradient.abs(), granularity).flatten())
    mask[torch.argsort(largest, descending=True, stable=True)[:count]] = True
    return mask.view_as(groups).expand_as(kept).contiguous()
