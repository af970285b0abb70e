"""Training with a mask: the stage that the pruning recipes are made of.

The recipes (GMP, AC/DC, STR, RigL, WoodFisher) prune a pretrained source on source data; their papers train from scratch. All
of them leave exactly the sparsity asked for, +0.0 on what is pruned, and the mask of what is kept in `essential`. Biases and
norm layers are never pruned.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning.scores import keep_highest
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import check_rate
from pac_surrogate.weights import Weights, masked


@settings
class TrainMasked:
    """Prune by magnitude, then train what is kept; what is pruned stays at +0.0.

        minimise  L(w)  over the kept weights, from m * w

    Weights that an earlier stage pruned go first, so the masks of rising sparsities are nested.

    Args:
        sparsity: fraction that is pruned; 0 trains all weights (a dense phase), None keeps the mask that is there.
        share: part of the step budget.
        learning_rate: of Adam.
        scope: the sparsity holds in each layer, readout included, or over all of them together (global).
        exempt: tensors or modules that are not pruned.

    Raises:
        ValueError: if a number is out of range.
    """

    sparsity: float | None = None
    share: float = 1.0
    learning_rate: float = 1e-3
    scope: str = "layer"
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sparsity is not None:
            check_sparsity(self.sparsity, self.scope)
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be in (0, 1], got {self.share}")
        check_rate(self.learning_rate)

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start at the pruned weights, the kept ones free."""
        weights, mask = surrogate.weights, surrogate.essential
        if self.sparsity is not None:
            # A run that diverged in an earlier segment goes on with a mask of no meaning, for its neighbours go on too.
            scores = {name: weight.abs().nan_to_num() for name, weight in weights.items()}
            mask = keep_highest(pruned_first(scores, surrogate), self.sparsity, scope=self.scope, exempt=self.exempt)
        if mask is None:
            raise ValueError("training with the source's own mask needs one; this source has none: give a sparsity")
        return make_plan(masked(weights, mask), trainable=mask, essential=mask)


def pruned_first(scores: Mapping[str, Tensor], surrogate: Surrogate) -> Weights:
    """Scores (not negative) with -1 for the weights that were pruned before: they are the first to go again."""
    essential = surrogate.essential
    if essential is None:
        return dict(scores)
    # A weight that is not essential but not zero either was trained since, on a target or in a new readout.
    alive = {name: essential[name] | (weight != 0) for name, weight in surrogate.weights.items()}
    return {name: torch.where(alive[name], score, -1.0) for name, score in scores.items()}


def check_sparsity(sparsity: float, scope: str = "layer") -> None:
    """Refuse a sparsity outside [0, 1) and an unknown scope.

    Raises:
        ValueError: in one line.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must be in [0, 1), got {sparsity}")
    if scope not in ("layer", "global"):
        raise ValueError(f"unknown scope {scope!r}: choose layer or global")


def check_count(**counts: int) -> None:
    """Refuse a number of rounds, cycles, updates below 1.

    Raises:
        ValueError: in one line.
    """
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
