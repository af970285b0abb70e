"""No transfer: the target alone."""

from typing import ClassVar

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.models import initial_weights
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import Stage, check_rate, check_strength
from pac_surrogate.weights import prunable


@settings
class Scratch:
    """Train all weights from fresh initial ones on the target alone.

    Args:
        strength: weight decay towards 0, on weight tensors only.
        learning_rate: of Adam.
    """

    strength: float = 0.0
    learning_rate: float = 1e-3
    needs_target: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_strength(strength=self.strength)
        check_rate(self.learning_rate)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start at random, all weights free."""
        fresh = initial_weights(surrogate.network.module, generator)
        return make_plan(fresh, strength=dict.fromkeys(prunable(fresh), self.strength))
