"""Training with a mask, the common part of the pruning recipes.

The recipes (GMP, AC/DC, STR, RigL, WoodFisher) prune a pretrained source on source data; their papers train from scratch. Each
recipe gives exactly the requested sparsity, sets pruned weights to +0.0, and returns the mask of the kept weights in
`essential`. Biases and norm layers are never pruned.

With another granularity than "weight", each recipe prunes groups of weights (see `pruning.groups`): the sparsity is that of the
groups, and the magnitude of a group is the mean |w| over its weights. The papers prune single weights.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pac_surrogate.models.weights import Mask, Weights, masked
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning.groups import group_importance, keep_highest_groups
from pac_surrogate.surrogates.surrogate import Surrogate


def masked_plan(weights: Weights, mask: Mask) -> Plan:
    """Return the Plan that trains the kept weights, while pruned weights stay at +0.0.

    minimise  L(w)  over the kept weights, from m * w
    """
    return make_plan(masked(weights, mask), trainable=mask, essential=mask)


def cubic_ramp(sparsity: float, rounds: int, hold: float) -> tuple[tuple[float, float], ...]:
    """Return the sparsity of each round t = 1 to N, and the fraction of the steps for which it is trained.

        s_t = s_f + (s_0 - s_f)(1 - t / N)^3,  s_0 = 0

    A round takes (1 - hold) / N of the steps; the last one takes the fraction `hold` too.
    """
    part = (1 - hold) / rounds
    ramp = tuple((sparsity - sparsity * (1 - t / rounds) ** 3, part) for t in range(1, rounds))
    return (*ramp, (sparsity, part + hold))


def largest(surrogate: Surrogate, sparsity: float, scope: str, exempt: tuple[str, ...], granularity: str) -> Mask:
    """Return the mask of the largest groups; those pruned earlier are pruned first, so masks of rising sparsity are nested."""
    importance = {name: weight.abs() for name, weight in surrogate.weights.items()}
    ranked = pruned_first(importance, surrogate, granularity, exempt)
    return keep_highest_groups(ranked, sparsity, granularity=granularity, scope=scope, exempt=exempt)


def pruned_first(
    importance: Mapping[str, Tensor], surrogate: Surrogate, granularity: str = "weight", exempt: tuple[str, ...] = ()
) -> Weights:
    """Return the importance (not negative), with -1 for groups that are already pruned, so that they are pruned first."""
    alive = alive_mask(surrogate)
    if granularity != "weight":  # a group is alive if any of its weights is; the others are 0
        part = group_importance({n: a.double() for n, a in alive.items()}, granularity=granularity, exempt=exempt)
        alive |= {name: own > 0 for name, own in part.items()}
    return {name: torch.where(alive[name], size, -1.0) for name, size in importance.items()}


def alive_mask(surrogate: Surrogate) -> Mask:
    """Return the mask of the weights that have not been pruned yet."""
    # A weight that is neither essential nor zero was trained after the pruning, on a target or in a new readout.
    essential = surrogate.essential
    return {
        name: torch.ones_like(weight, dtype=torch.bool) if essential is None else essential[name] | (weight != 0)
        for name, weight in surrogate.weights.items()
    }
