"""Drawing a ticket without training: the mask of the groups of weights that are kept, and the surrogate of those weights."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.methods.pruned.exempt import READOUT, exempt_modules
from pac_surrogate.models.weights import Mask, masked
from pac_surrogate.pruning.groups import keep_highest_groups
from pac_surrogate.surrogates.surrogate import Surrogate


def keep(surrogate: Surrogate, weights: Mapping[str, Tensor], mask: Mask) -> Surrogate:
    """Return the ticket of these weights and this mask; pruned weights are +0.0."""
    return replace(surrogate, predictor=replace(surrogate.network, weights=masked(weights, mask), essential=mask))


def highest(
    surrogate: Surrogate, importance: Mapping[str, Tensor], sparsity: float, granularity: str, exempt: tuple[str, ...]
) -> Mask:
    """Return the mask of the groups of highest importance.

    Raises:
        NotApplicableError: if the network has none, because of too few groups, no convolutions, or a diverged source.
    """
    exempt = exempt_of(surrogate, granularity, exempt)
    try:
        return keep_highest_groups(importance, sparsity, granularity=granularity, exempt=exempt)
    except ValueError as error:
        raise NotApplicableError(str(error)) from error


def exempt_of(surrogate: Surrogate, granularity: str, exempt: tuple[str, ...]) -> tuple[str, ...]:
    """Return the modules that are not pruned: the given ones, and a readout that would lose entire outputs, or that is new."""
    exempt = (*exempt, *(READOUT if surrogate.network.new_readout else ()))
    return exempt_modules(surrogate, exempt, granularity)
