"""A mask that is learned on the target with frozen weights: the scheme LMP of `Ticket`."""

import torch
from torch import Tensor

from pac_surrogate.methods.hyper_parameters import Sparsity
from pac_surrogate.methods.pruned.drawing import exempt_of, highest
from pac_surrogate.models.weights import Mask, Weights
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning.groups import group_importance
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings


@settings
class TopImportance:
    """The weights times the mask of the highest |s| of each tensor, with a straight-through gradient for the importance s.

    The mask is exactly 0 or 1 in the forward pass and is differentiated as if it were |s| in the backward pass:
    dL/ds = sign(s) sum over the group of w dL/d(w mask).
    The importance of a tensor is named `<weight>/importance`; a tensor without one is returned unchanged.

    Args:
        sparsity: fraction of masked groups; exactly round(sparsity x groups) in each tensor, the first among equal ones.
    """

    sparsity: Sparsity

    def __call__(self, parameters: Weights) -> Weights:
        """Return the masked weights of a stack."""
        weights = {name: tensor for name, tensor in parameters.items() if not name.endswith("/importance")}
        return {
            name: weight * self.mask(parameters[f"{name}/importance"]) if f"{name}/importance" in parameters else weight
            for name, weight in weights.items()
        }

    def mask(self, importance: Tensor) -> Tensor:
        """Return the mask of a stack, 0 or 1 for each group."""
        size = importance.abs()
        flat = size.detach().flatten(1)
        gone = torch.argsort(flat, dim=1, stable=True)[:, : round(self.sparsity * flat.shape[1])]
        mask = torch.ones_like(flat).scatter_(1, gone, 0.0).view_as(importance)
        return mask + (size - size.detach())


def mask_plan(surrogate: Surrogate, sparsity: float, granularity: str, exempt: tuple[str, ...], readout_rate: float) -> Plan:
    """Return the Plan that learns on the target which weights to keep (LMP): it trains their importance, and freezes them.

    The importance starts at the group's mean |w| relative to that of its tensor. A new readout starts at 0, through which no
    gradient would reach the importance, so it is trained as well, and not masked.

    Args:
        surrogate: the source, with the target's outputs.
        sparsity: fraction of the groups of each tensor that is masked.
        granularity: weight | row | kernel | channel | unit.
        exempt: tensors or modules that are not masked.
        readout_rate: learning rate of a new readout, relative to that of the importance.
    """
    weights = surrogate.weights
    sizes = {name: weight.abs() for name, weight in weights.items()}
    mask = highest(surrogate, sizes, sparsity, granularity, exempt)
    groups = group_importance(sizes, granularity=granularity, exempt=exempt_of(surrogate, granularity, exempt))
    importance = {f"{n}/importance": g / g.mean().clamp_min(torch.finfo(g.dtype).tiny) for n, g in groups.items()}
    trained = importance.keys() | surrogate.new_readout
    return make_plan(
        {**weights, **importance},
        trainable={name: torch.tensor(name in trained) for name in (*weights, *importance)},
        rate=dict.fromkeys(weights, readout_rate),
        essential=mask,
        reparametrisation=TopImportance(sparsity),
    )


def learned_mask(weights: Weights, parameters: Weights, sparsity: float) -> Mask:
    """Return the mask of the highest learned importance of each tensor that has one; all other weights are kept."""
    kept = {name: torch.tensor(True) for name in weights}
    for name in weights:
        if f"{name}/importance" in parameters:
            kept[name] = TopImportance(sparsity).mask(parameters[f"{name}/importance"][None])[0] > 0
    return {name: group.expand_as(weights[name]).contiguous() for name, group in kept.items()}
