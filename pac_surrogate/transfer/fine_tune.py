"""Fine-tuning: start at the source, train everything."""

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import Stage, check_rate
from pac_surrogate.weights import inside


@settings
class FineTune:
    """Train all weights from the source's on the target.

    Args:
        learning_rate: of Adam, on the readout.
        body_rate: rate of all other layers relative to that; 0.1 is the custom of the Transfer Learning Library (TLlib).
    """

    learning_rate: float = 1e-3
    body_rate: float = 1.0

    def __post_init__(self) -> None:
        check_rate(self.learning_rate)
        if not 0 <= self.body_rate < float("inf"):
            raise ValueError(f"body_rate must be finite and not negative, got {self.body_rate}")

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start at the source, all weights free."""
        readout = inside(surrogate.weights, surrogate.readout)
        rate = {name: 1.0 if bool(is_readout) else self.body_rate for name, is_readout in readout.items()}
        return make_plan(surrogate.weights, rate=rate)
