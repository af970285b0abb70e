"""L2: fine-tuning with weight decay."""

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import Stage, check_rate, check_strength
from pac_surrogate.weights import prunable


@settings
class L2:
    """Train all weights from the source's, pulled towards 0: + strength/2 ||w||^2, weight tensors only.

    Source: the baseline of Li, Grandvalet & Davoine, ICML 2018 (arXiv:1802.01483).

    Args:
        strength: alpha of the paper.
        learning_rate: of Adam.
    """

    strength: float = 0.1
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_strength(strength=self.strength)
        check_rate(self.learning_rate)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start at the source, anchored at 0."""
        return make_plan(surrogate.weights, strength=dict.fromkeys(prunable(surrogate.weights), self.strength))
