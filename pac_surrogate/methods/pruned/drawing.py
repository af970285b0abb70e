"""What drawing a ticket takes beside training: which groups of weights are kept, and a surrogate of those alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, TypeAlias

from torch import Tensor

from pac_surrogate.methods.hyper_parameters import one_of
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.models.weights import Mask, masked
from pac_surrogate.pruning.groups import GRANULARITIES, keep_highest_groups
from pac_surrogate.surrogates.surrogate import Surrogate

Granularity: TypeAlias = Annotated[str, one_of(*GRANULARITIES)]


def keep(surrogate: Surrogate, weights: Mapping[str, Tensor], mask: Mask) -> Surrogate:
    """The ticket of these weights and this mask; what is pruned is +0.0."""
    return replace(surrogate, predictor=replace(surrogate.network, weights=masked(weights, mask), essential=mask))


def highest(surrogate: Surrogate, importance: Mapping[str, Tensor], sparsity: float, granularity: str) -> Mask:
    """The essential mask, or the reason why this network has none: too few groups, no convolutions, a diverged source."""
    try:
        return keep_highest_groups(importance, sparsity, granularity=granularity, exempt=exempt_of(surrogate, granularity))
    except ValueError as error:
        raise NotApplicableError(str(error)) from error


def exempt_of(surrogate: Surrogate, granularity: str) -> tuple[str, ...]:
    """What is not pruned: a readout that would lose whole outputs, or that is new."""
    return (surrogate.readout,) if granularity != "weight" or surrogate.network.new_readout else ()
