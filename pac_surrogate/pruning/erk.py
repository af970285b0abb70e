"""Erdős–Rényi-kernel densities: small layers stay denser than large ones."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from pac_surrogate.models.weights import Mask
from pac_surrogate.pruning.groups import keep_highest_groups
from pac_surrogate.pruning.importance import keep_highest, not_exempt


def erk_sparsities(weights: Mapping[str, Tensor], sparsity: float, *, exempt: Sequence[str] = ()) -> dict[str, float]:
    """Return the sparsity of each weight tensor for a given sparsity of all of them together.

        1 - s_l = e (sum of the dimensions of l) / (product of them),  at most 1

    where e is such that the densities, weighted by size, average to 1 - sparsity; a layer that reaches density 1 is full, and
    the other layers take the rest.
    Source: Evci, Gale, Menick, Castro & Elsen, ICML 2020, arXiv:1911.11134.

    Args:
        weights: weights by name; biases and norm layers are ignored.
        sparsity: sparsity of all weight tensors together.
        exempt: tensors or modules that are not pruned and do not count.

    Raises:
        ValueError: if sparsity is outside [0, 1).
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must be in [0, 1), got {sparsity}")
    names = not_exempt(weights, exempt)
    size = {name: weights[name].numel() for name in names}
    odds = {name: sum(weights[name].shape) / math.prod(weights[name].shape) for name in names}
    full: set[str] = set()
    while len(full) < len(names):
        left = (1 - sparsity) * sum(size.values()) - sum(size[name] for name in full)
        scale = left / sum(size[name] * odds[name] for name in names if name not in full)
        over = {name for name in names if name not in full and scale * odds[name] > 1}
        if not over:
            return {name: 0.0 if name in full else 1 - scale * odds[name] for name in names}
        full |= over
    return dict.fromkeys(names, 0.0)


def erk_mask(
    importance: Mapping[str, Tensor], sparsity: float, *, granularity: str = "weight", exempt: Sequence[str] = ()
) -> Mask:
    """Mark the most important weights of each tensor as essential, at Erdős–Rényi-kernel densities.

    Counts are rounded so that exactly round(sparsity x N) of all N weights are pruned, and the count of each layer differs by
    at most one from that of its own sparsity. Of larger groups (see `keep_highest_groups`), each layer prunes its own sparsity,
    rounded to whole groups.

    Raises:
        ValueError: if a layer would have no weights left, or a tensor has no such groups.
    """
    mask = keep_highest(importance, 0.0, exempt=exempt)
    if granularity != "weight":
        for name, pruned in erk_sparsities(importance, sparsity, exempt=exempt).items():
            mask |= keep_highest_groups({name: importance[name]}, pruned, granularity=granularity)
        return mask
    total, gone = 0.0, 0
    for name, pruned in erk_sparsities(importance, sparsity, exempt=exempt).items():
        size = importance[name].numel()
        total += pruned * size
        count = round(round(total, 6)) - gone  # the last total is sparsity x N up to rounding of floats
        gone += count
        if count >= size:
            raise ValueError(
                f"sparsity {sparsity} at Erdős–Rényi-kernel densities leaves nothing of {name} ({size} weights): "
                f"lower sparsity or exempt it"
            )
        mask |= keep_highest({name: importance[name]}, count / size)
    return mask
