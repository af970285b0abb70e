"""Magnitude pruning: large weights are essential."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from pac_surrogate.models.weights import Mask
from pac_surrogate.pruning.groups import keep_highest_groups


def magnitude_mask(
    weights: Mapping[str, Tensor],
    sparsity: float,
    *,
    granularity: str = "weight",
    scope: str = "layer",
    exempt: Sequence[str] = (),
    min_keep_per_unit: int = 0,
) -> Mask:
    """Return the essential mask by |w| (Han et al. 2015; PAC-Net step 1); see `keep_highest_groups` for the arguments.

    `scope="global"` at high sparsity can disconnect a small network: check `dead_units`.
    """
    importance = {name: weight.abs() for name, weight in weights.items()}
    return keep_highest_groups(
        importance, sparsity, granularity=granularity, scope=scope, exempt=exempt, min_keep_per_unit=min_keep_per_unit
    )
