"""Linear probe: only the readout trains."""

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.method import Adaptation, check_rate, check_strength
from pac_surrogate.models.weights import inside, prunable
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


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

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source, the readout free."""
        surrogate = case.for_target()
        weights = surrogate.weights
        strength = dict.fromkeys(prunable(weights), self.strength)
        plan = make_plan(weights, trainable=inside(weights, surrogate.readout), anchor=weights, strength=strength)
        return (yield case.on_target(surrogate, plan, self.learning_rate))
