"""Essential masks from the importance of weights, with exact counts, ties and floors; units that pruning disconnects."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pac_surrogate.models.weights import Mask, prunable, pruned_brief


def keep_highest(
    importance: Mapping[str, Tensor],
    sparsity: float,
    *,
    scope: str = "layer",
    exempt: Sequence[str] = (),
    min_keep_per_unit: int = 0,
) -> Mask:
    """Mark the most important weights as essential; exactly round(sparsity x N) of each tensor are pruned.

    Only weight tensors (two axes or more) are pruned; all of the biases and norm layers are essential. Of equally important
    weights the earlier is pruned first, so that the count is exact even with ties.

    Args:
        importance: importance of every weight.
        sparsity: fraction to prune, in [0, 1).
        scope: layer | global: whether the count holds for each tensor, or for all of them together.
        exempt: tensors or modules that are not pruned.
        min_keep_per_unit: least number of incoming weights to keep for every unit (row); it takes precedence over the count,
            so that the realised sparsity (`weights.sparsity`) may be lower.

    Raises:
        ValueError: if sparsity is outside [0, 1), nothing would be left, an importance is not finite, or an exempt name is
            unknown.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must be in [0, 1), got {sparsity}")
    if scope not in ("layer", "global"):
        raise ValueError(f"unknown scope {scope!r}: choose layer or global")
    if min_keep_per_unit < 0:
        raise ValueError(f"min_keep_per_unit must not be negative, got {min_keep_per_unit}")
    names = not_exempt(importance, exempt)
    mask = {name: torch.ones_like(own, dtype=torch.bool) for name, own in importance.items()}
    groups = [[name] for name in names] if scope == "layer" else [names] if names else []
    for group in groups:
        flat = torch.cat([importance[name].detach().flatten() for name in group])
        if not bool(torch.isfinite(flat).all()):
            raise ValueError(
                f"pruning needs finite weights; the importance of some of {', '.join(group)} is not: did the source diverge?"
            )
        gone = round(sparsity * len(flat))
        if gone == len(flat):
            raise ValueError(
                f"sparsity {sparsity} leaves nothing of {', '.join(group)} ({len(flat)} weights): lower sparsity or exempt it"
            )
        kept = ~_lowest(flat, gone)
        for name, part in zip(group, kept.split([importance[name].numel() for name in group]), strict=True):
            own = part.view_as(importance[name])
            mask[name] = _with_floor(own, importance[name], min_keep_per_unit) if min_keep_per_unit else own
    return mask


def not_exempt(weights: Mapping[str, Tensor], exempt: Sequence[str]) -> list[str]:
    """Return the names of the weight tensors that belong to no exempt tensor or module.

    Raises:
        ValueError: if an exempt name is unknown.
    """
    spared = {module: [n for n in weights if n == module or n.startswith(f"{module}.")] for module in exempt}
    for module, names in spared.items():
        if not names:
            raise ValueError(f"exempt names {module!r}, which holds no weights; the tensors are: {', '.join(weights)}")
    return [name for name in prunable(weights) if not any(name in held for held in spared.values())]


def _lowest(importance: Float[Tensor, " weight"], count: int) -> Bool[Tensor, " weight"]:
    """Mark the `count` least important weights, of equal ones the first, in linear time, without sorting."""
    if count == 0:
        return torch.zeros_like(importance, dtype=torch.bool)
    last = importance.kthvalue(count).values
    lowest = importance < last
    ties = torch.nonzero(importance == last)[: count - int(lowest.sum()), 0]
    lowest[ties] = True
    return lowest


def _with_floor(mask: Tensor, importance: Tensor, floor: int) -> Tensor:
    rows = importance.detach().flatten(1)
    highest = torch.argsort(rows, dim=1, descending=True, stable=True)[:, :floor]
    return mask | torch.zeros_like(rows, dtype=torch.bool).scatter_(1, highest, True).view_as(mask)


def dead_units(essential: Mapping[str, Tensor]) -> dict[str, int]:
    """Count the units of each weight tensor that have no incoming weight left, so that their output is constant."""
    return {name: int((~essential[name].flatten(1).any(1)).sum()) for name in prunable(essential)}


def report(essential: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None = None, readout: str = "readout") -> str:
    """Describe a mask with a line for each weight tensor: weights kept, realised sparsity, dead units.

    With the weights of the network, the first line states the sparsity of its body, all but the module `readout`, and how many
    of all weights are not 0.
    """
    dead = dead_units(essential)
    lines = [] if weights is None else [pruned_brief(weights, essential, readout)]
    for name, count in dead.items():
        kept, total, units = int(essential[name].sum()), essential[name].numel(), essential[name].shape[0]
        fraction = 1 - kept / total if total else math.nan
        lines.append(
            f"{name}: {kept} of {total} weights essential (sparsity {fraction:.3f}), {count} of {units} units without input"
        )
    return "\n".join(lines)
