"""Linear probe: only the readout is trained."""

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
        strength: strength of the pull of the readout's weights, not of its bias, towards the source's, or 0 for new outputs.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.0
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source and train the readout."""
        surrogate = case.for_target()
        return (yield case.on_target(surrogate, readout_plan(surrogate, self.strength), self.learning_rate))


def readout_plan(surrogate: Surrogate, strength: float) -> Plan:
    """Return the Plan that trains the readout, its weights pulled towards their present values, its bias free."""
    weights = surrogate.weights
    pull = dict.fromkeys(prunable(weights), strength)
    return make_plan(weights, trainable=inside(weights, surrogate.readout), anchor=weights, strength=pull)
