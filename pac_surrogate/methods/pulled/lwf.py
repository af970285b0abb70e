"""LwF, learning without forgetting: predictions at target inputs are held near the source's."""

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation, NotApplicableError
from pac_surrogate.methods.pulled.resemblance import resemble
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class LwF:
    """Train all weights from the source's; predictions on the target samples are held near the source's.

        + strength/2 mean_x mean_o |f_o(x; w) - f_o(x; w_S)|^2

    The paper keeps the source's readout beside the target's. A network here has one readout, which both tasks share, so the
    method trains towards (y + strength/2 f(x; w_S)) / (1 + strength/2), a compromise between the target and the source.
    Source: Li & Hoiem, ECCV 2016 (arXiv:1606.09282).

    Args:
        strength: twice the paper's lambda; 2 gives target and source equal weight, as in the paper.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 2.0
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source and train all weights.

        Raises:
            NotApplicableError: if the outputs are not the source's.
        """
        surrogate = case.for_target()
        if surrogate.network.new_readout:
            raise NotApplicableError(
                "LwF needs the source's outputs, got others, and a network has one readout: use DELTA or L2SP"
            )
        plan = make_plan(surrogate.weights, regulariser=resemble(surrogate.weights, prediction=0.5 * self.strength))
        return (yield case.on_target(surrogate, plan, self.learning_rate))
