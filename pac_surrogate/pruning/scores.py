"""From scores to an essential mask: exactly how many weights go, ties, floors, and what pruning cut off."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pac_surrogate.models.weights import Mask, prunable


def keep_highest(
    scores: Mapping[str, Tensor],
    sparsity: float,
    *,
    scope: str = "layer",
    exempt: Sequence[str] = (),
    min_keep_per_unit: int = 0,
) -> Mask:
    """Mark the weights of highest score as essential; exactly round(sparsity x N) of each tensor go.

    Only weight tensors (two axes or more) are pruned; everything is essential on biases and norm layers. Among equal scores the
    earlier weight goes first, so the count is exact with ties.

    Args:
        scores: a score for every weight.
        sparsity: fraction to prune, in [0, 1).
        scope: the count holds for each tensor, or for all of them together.
        exempt: tensors or modules that are not pruned.
        min_keep_per_unit: keep at least this many incoming weights of every unit (row); a floor wins over the count, so the
            realised sparsity (`weights.sparsity`) may be lower.

    Raises:
        ValueError: if sparsity is outside [0, 1), nothing would be left, or an exempt name is unknown.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must be in [0, 1), got {sparsity}")
    if scope not in ("layer", "global"):
        raise ValueError(f"unknown scope {scope!r}: choose layer or global")
    if min_keep_per_unit < 0:
        raise ValueError(f"min_keep_per_unit must not be negative, got {min_keep_per_unit}")
    spared = {module: [n for n in scores if n == module or n.startswith(f"{module}.")] for module in exempt}
    for module, names in spared.items():
        if not names:
            raise ValueError(f"exempt names {module!r}, which holds no weights; the tensors are: {', '.join(scores)}")
    names = [name for name in prunable(scores) if not any(name in held for held in spared.values())]
    mask = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    groups = [[name] for name in names] if scope == "layer" else [names] if names else []
    for group in groups:
        flat = torch.cat([scores[name].detach().flatten() for name in group])
        if not bool(torch.isfinite(flat).all()):
            raise ValueError(f"pruning needs finite scores; those of {', '.join(group)} are not: did the source diverge?")
        gone = round(sparsity * len(flat))
        if gone == len(flat):
            raise ValueError(
                f"sparsity {sparsity} leaves nothing of {', '.join(group)} ({len(flat)} weights): lower it or exempt it"
            )
        kept = ~_lowest(flat, gone)
        for name, part in zip(group, kept.split([scores[name].numel() for name in group]), strict=True):
            own = part.view_as(scores[name])
            mask[name] = _with_floor(own, scores[name], min_keep_per_unit) if min_keep_per_unit else own
    return mask


def _lowest(scores: Float[Tensor, " weight"], count: int) -> Bool[Tensor, " weight"]:
    """Mark so many of the lowest scores, of equal ones the first; in linear time, which sorting is not."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    last = scores.kthvalue(count).values
    lowest = scores < last
    ties = torch.nonzero(scores == last)[: count - int(lowest.sum()), 0]
    lowest[ties] = True
    return lowest


def _with_floor(mask: Tensor, score: Tensor, floor: int) -> Tensor:
    rows = score.detach().flatten(1)
    highest = torch.argsort(rows, dim=1, descending=True, stable=True)[:, :floor]
    return mask | torch.zeros_like(rows, dtype=torch.bool).scatter_(1, highest, True).view_as(mask)


def dead_units(essential: Mapping[str, Tensor]) -> dict[str, int]:
    """How many units of each weight tensor have no incoming weight left: what they pass on is constant."""
    return {name: int((~essential[name].flatten(1).any(1)).sum()) for name in prunable(essential)}


def report(essential: Mapping[str, Tensor]) -> str:
    """Describe a mask, a line for each weight tensor: weights kept, realised sparsity, dead units."""
    dead = dead_units(essential)
    lines = []
    for name, count in dead.items():
        kept, total, units = int(essential[name].sum()), essential[name].numel(), essential[name].shape[0]
        share = 1 - kept / total if total else math.nan
        lines.append(
            f"{name}: {kept} of {total} weights essential (sparsity {share:.3f}), {count} of {units} units without input"
        )
    return "\n".join(lines)
