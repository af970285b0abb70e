"""L2-SP: fine-tuning that is pulled back to the starting point."""

from pac_surrogate.methods.biases import Biases, pulled_tensors, trained_tensors
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class L2SP:
    """Train all weights from the source's; weight tensors are pulled back to their source values.

        + strength/2 ||w - w_S||^2 + readout_strength/2 ||w_readout||^2

    The second term is for a new readout, of outputs that the source lacks; a readout that is kept is pulled to the source's.
    Source: Li, Grandvalet & Davoine, ICML 2018 (arXiv:1802.01483).

    Args:
        strength: alpha of the paper.
        readout_strength: beta of the paper.
        biases: whether biases and norm layers are free, pulled back too, or frozen.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.1
    readout_strength: NotNegative = 0.01
    biases: Biases = "free"
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start and anchor at the source; a new readout starts, and is anchored, at 0."""
        surrogate = case.for_target()
        weights, new = surrogate.weights, surrogate.new_readout
        pulled = pulled_tensors(surrogate, self.biases)
        strength = {name: self.readout_strength if name in new else self.strength for name in pulled}
        trainable = trained_tensors(surrogate, self.biases)
        plan = make_plan(weights, trainable=trainable, anchor=weights, strength=strength)
        return (yield case.on_target(surrogate, plan, self.learning_rate))
