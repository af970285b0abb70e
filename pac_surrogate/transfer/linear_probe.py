"""Linear probe: only the readout trains."""

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import Stage, check_rate, check_strength
from pac_surrogate.weights import inside, prunable


@settings
class LinearProbe:
    """Train the readout on the source's last hidden features.

    Args:
        strength: pulls the readout's weights, not its bias, towards the source's (towards 0 if the outputs are new).
        learning_rate: of Adam.
    """

    strength: float = 0.0
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_strength(strength=self.strength)
        check_rate(self.learning_rate)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start at the source, the readout free."""
        trainable = inside(surrogate.weights, surrogate.readout)
        strength = dict.fromkeys(prunable(surrogate.weights), self.strength)
        return make_plan(surrogate.weights, trainable=trainable, anchor=surrogate.weights, strength=strength)
