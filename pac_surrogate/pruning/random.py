"""Random pruning, the control experiment that shows whether the choice of weights matters."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pac_surrogate.models.weights import Mask
from pac_surrogate.pruning.groups import keep_highest_groups


def random_mask(
    weights: Mapping[str, Tensor],
    sparsity: float,
    *,
    generator: torch.Generator,
    granularity: str = "weight",
    scope: str = "layer",
    exempt: Sequence[str] = (),
    min_keep_per_unit: int = 0,
) -> Mask:
    """Draw an essential mask uniformly, with the same exact count as `magnitude_mask`."""
    importance = {name: torch.rand(weight.shape, generator=generator) for name, weight in weights.items()}
    return keep_highest_groups(
        importance, sparsity, granularity=granularity, scope=scope, exempt=exempt, min_keep_per_unit=min_keep_per_unit
    )
