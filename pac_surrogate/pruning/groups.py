"""Structured pruning: rows, kernels, channels or units that are kept or pruned as one."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models.weights import Mask, Weights
from pac_surrogate.pruning.importance import keep_highest, not_exempt

GRANULARITIES = ("weight", "row", "kernel", "channel", "unit")


def keep_highest_groups(
    importance: Mapping[str, Tensor],
    sparsity: float,
    *,
    granularity: str = "weight",
    scope: str = "layer",
    exempt: Sequence[str] = (),
    min_keep_per_unit: int = 0,
) -> Mask:
    """Mark the most important groups as essential; exactly round(sparsity x groups) of each tensor are pruned.

    The importance of a group is the mean over its weights; for |w|, this is the L1 norm divided by the size. Among equal groups
    the earlier is pruned first; biases and norm layers are not pruned.

        weight   each weight alone
        row      the last axis: all incoming weights of a unit, or one row of a convolution's kernel
        kernel   all spatial axes of one pair of output and input channel
        channel  all weights of one output channel of a convolution
        unit     all incoming weights of a unit, or of one output channel of a convolution

    Pruned rows, channels or units of the readout would make outputs constant, so exempt the readout.

    Args:
        importance: importance of every weight.
        sparsity: fraction of the groups to prune, in [0, 1).
        granularity: weight | row | kernel | channel | unit.
        scope: layer | global: whether the count holds for each tensor, or for all of them together.
        exempt: tensors or modules that are not pruned.
        min_keep_per_unit: least number of incoming weights to keep for every unit, if single weights are pruned.

    Returns:
        A mask of full shape, constant on groups.

    Raises:
        ValueError: if sparsity is outside [0, 1), a tensor would have nothing left, a tensor has no such groups, or a least
            number of weights is given with groups of several.
    """
    if granularity == "weight":
        return keep_highest(importance, sparsity, scope=scope, exempt=exempt, min_keep_per_unit=min_keep_per_unit)
    if min_keep_per_unit:
        raise ValueError(
            f"min_keep_per_unit keeps single weights, which granularity {granularity!r} does not prune: leave it at 0"
        )
    groups = group_importance(importance, granularity=granularity, exempt=exempt)
    for name, own in groups.items():
        if scope == "layer" and 0 <= sparsity < 1 and round(sparsity * own.numel()) == own.numel():
            raise ValueError(
                f"sparsity {sparsity} leaves nothing of {name} ({own.numel()} groups of granularity {granularity!r}): "
                f"lower sparsity or exempt it"
            )
    mask = keep_highest({name: groups.get(name, own) for name, own in importance.items()}, sparsity, scope=scope, exempt=exempt)
    if emptied := [name for name in groups if not bool(mask[name].any())]:
        raise ValueError(
            f"sparsity {sparsity} over all layers leaves nothing of {', '.join(emptied)}: choose scope 'layer', lower sparsity "
            f"or exempt it"
        )
    return {name: kept.expand_as(importance[name]).contiguous() for name, kept in mask.items()}


def group_importance(importance: Mapping[str, Tensor], *, granularity: str, exempt: Sequence[str] = ()) -> Weights:
    """Return the mean importance of each group of the weight tensors that are not exempt; a group's axes have length 1.

    Raises:
        ValueError: if the granularity is unknown, or a tensor has no such groups.
    """
    if granularity not in GRANULARITIES:
        raise ValueError(f"unknown granularity {granularity!r}: choose from {', '.join(GRANULARITIES)}")
    return {name: group_mean(importance[name], granularity, name) for name in not_exempt(importance, exempt)}


def group_mean(tensor: Float[Tensor, "..."], granularity: str, name: str = "it") -> Float[Tensor, "..."]:
    """Return the mean of each group of one weight tensor; a group's axes have length 1.

    Raises:
        ValueError: if the tensor, which the message names, has no such groups.
    """
    if granularity == "weight":
        return tensor
    if granularity == "row":
        return tensor.mean(-1, keepdim=True)
    if tensor.ndim == 2 and granularity != "unit":
        raise ValueError(f"granularity {granularity!r} needs convolutions, got the matrix {name}: choose row, unit or weight")
    return tensor.mean(tuple(range(2 if granularity == "kernel" else 1, tensor.ndim)), keepdim=True)
