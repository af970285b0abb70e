"""Structured pruning: rows, kernels or channels that are kept or go as one."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models.weights import Mask, Weights, prunable
from pac_surrogate.pruning.scores import keep_highest

GRANULARITIES = ("weight", "row", "kernel", "channel")


def keep_highest_groups(
    scores: Mapping[str, Tensor], sparsity: float, *, granularity: str = "weight", exempt: Sequence[str] = ()
) -> Mask:
    """Mark the groups of highest score as essential; exactly round(sparsity x groups) of each tensor go.

    A group's score is the mean of its weights' scores: of |w|, the L1 norm over the size. Among equal groups the earlier goes
    first; biases and norm layers stay.

        weight   each weight by itself
        row      the last axis: all incoming weights of a unit, or one row of a convolution's kernel
        kernel   all spatial axes of one pair of output and input channel
        channel  all weights of one output channel of a convolution

    Pruned rows or channels of the readout would silence outputs: exempt it.

    Args:
        scores: a score for every weight.
        sparsity: fraction of the groups to prune, in [0, 1).
        granularity: weight | row | kernel | channel.
        exempt: tensors or modules that are not pruned.

    Returns:
        A mask of full shape, constant on groups.

    Raises:
        ValueError: if sparsity is outside [0, 1), nothing would be left, or a tensor has no such groups.
    """
    groups = group_scores(scores, granularity=granularity, exempt=exempt)
    for name, score in groups.items():
        if 0 <= sparsity < 1 and round(sparsity * score.numel()) == score.numel():
            raise ValueError(
                f"sparsity {sparsity} leaves nothing of {name} ({score.numel()} groups of granularity {granularity!r}): "
                f"lower it or exempt it"
            )
    mask = keep_highest({name: groups.get(name, score) for name, score in scores.items()}, sparsity, exempt=exempt)
    return {name: kept.expand_as(scores[name]).contiguous() for name, kept in mask.items()}


def group_scores(scores: Mapping[str, Tensor], *, granularity: str, exempt: Sequence[str] = ()) -> Weights:
    """Mean score of each group of the weight tensors that are not exempt; a group's axes have length 1.

    Raises:
        ValueError: if the granularity is unknown, or a tensor has no such groups.
    """
    if granularity not in GRANULARITIES:
        raise ValueError(f"unknown granularity {granularity!r}: choose from {', '.join(GRANULARITIES)}")
    spared = {name for name in scores for module in exempt if name == module or name.startswith(f"{module}.")}
    return {name: _mean(name, scores[name], granularity) for name in prunable(scores) if name not in spared}


def _mean(name: str, score: Float[Tensor, "..."], granularity: str) -> Float[Tensor, "..."]:
    if granularity == "weight":
        return score
    if granularity == "row":
        return score.mean(-1, keepdim=True)
    if score.ndim == 2:
        raise ValueError(f"granularity {granularity!r} needs convolutions, got the matrix {name}: choose row or weight")
    return score.mean(tuple(range(2 if granularity == "kernel" else 1, score.ndim)), keepdim=True)
