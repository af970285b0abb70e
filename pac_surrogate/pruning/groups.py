"""Structured pruning: rows, kernels or channels that are kept or pruned as one."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models.weights import Mask, Weights
from pac_surrogate.pruning.importance import keep_highest, not_exempt

GRANULARITIES = ("weight", "row", "kernel", "channel")


def keep_highest_groups(
    importance: Mapping[str, Tensor], sparsity: float, *, granularity: str = "weight", exempt: Sequence[str] = ()
) -> Mask:
    """Mark the most important groups as essential; exactly round(sparsity x groups) of each tensor are pruned.

    The importance of a group is the mean over its weights; for |w|, this is the L1 norm divided by the size. Among equal groups
    the earlier is pruned first; biases and norm layers are not pruned.

        weight   each weight alone
        row      the last axis: all incoming weights of a unit, or one row of a convolution's kernel
        kernel   all spatial axes of one pair of output and input channel
        channel  all weights of one output channel of a convolution

    Pruned rows or channels of the readout would make outputs constant, so exempt the readout.

    Args:
        importance: importance of every weight.
        sparsity: fraction of the groups to prune, in [0, 1).
        granularity: weight | row | kernel | channel.
        exempt: tensors or modules that are not pruned.

    Returns:
        A mask of full shape, constant on groups.

    Raises:
        ValueError: if sparsity is outside [0, 1), a tensor would have nothing left, or a tensor has no such groups.
    """
    groups = group_importance(importance, granularity=granularity, exempt=exempt)
    for name, own in groups.items():
        if 0 <= sparsity < 1 and round(sparsity * own.numel()) == own.numel():
            raise ValueError(
                f"sparsity {sparsity} leaves nothing of {name} ({own.numel()} groups of granularity {granularity!r}): "
                f"lower sparsity or exempt it"
            )
    mask = keep_highest({name: groups.get(name, own) for name, own in importance.items()}, sparsity, exempt=exempt)
    return {name: kept.expand_as(importance[name]).contiguous() for name, kept in mask.items()}


def group_importance(importance: Mapping[str, Tensor], *, granularity: str, exempt: Sequence[str] = ()) -> Weights:
    """Return the mean importance of each group of the weight tensors that are not exempt; a group's axes have length 1.

    Raises:
        ValueError: if the granularity is unknown, or a tensor has no such groups.
    """
    if granularity not in GRANULARITIES:
        raise ValueError(f"unknown granularity {granularity!r}: choose from {', '.join(GRANULARITIES)}")
    return {name: _mean(name, importance[name], granularity) for name in not_exempt(importance, exempt)}


def _mean(name: str, importance: Float[Tensor, "..."], granularity: str) -> Float[Tensor, "..."]:
    if granularity == "weight":
        return importance
    if granularity == "row":
        return importance.mean(-1, keepdim=True)
    if importance.ndim == 2:
        raise ValueError(f"granularity {granularity!r} needs convolutions, got the matrix {name}: choose row or weight")
    return importance.mean(tuple(range(2 if granularity == "kernel" else 1, importance.ndim)), keepdim=True)
