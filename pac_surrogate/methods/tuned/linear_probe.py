"""Linear probe: only the readout trains."""

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models.weights import inside, prunable
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings


@settings
class LinearProbe:
    """Train the readout on the source's last hidden features.

    Args:
        strength: pulls the readout's weights, not its bias, towards the source's (towards 0 if the outputs are new).
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.0
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source, the readout free."""
        surrogate = case.for_target()
        return (yield case.on_target(surrogate, readout_plan(surrogate, self.strength), self.learning_rate))


def readout_plan(surrogate: Surrogate, strength: float) -> Plan:
    """Let the readout move, its weights pulled towards where they are, its bias free."""
    weights = surrogate.weights
    pull = dict.fromkeys(prunable(weights), strength)
    return make_plan(weights, trainable=inside(weights, surrogate.readout), anchor=weights, strength=pull)
