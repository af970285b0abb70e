"""EWC, elastic weight consolidation: each weight is pulled towards its source value in proportion to its Fisher information."""

from typing import ClassVar

import torch

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.kernels.jacobian import fisher_diagonal
from pac_surrogate.methods.biases import Biases, pulled_tensors, trained_tensors
from pac_surrogate.methods.case import Case, widened
from pac_surrogate.methods.hyper_parameters import Count, NotNegative, Positive
from pac_surrogate.methods.method import Adaptation, NotApplicableError
from pac_surrogate.methods.problems import Measure
from pac_surrogate.models.weights import Weights
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings


@settings
class EWC:
    """Elastic weight consolidation: a pull towards the source, weighted by the Fisher information of each weight there.

        + strength/2 sum_i (F_i + epsilon) (w_i - w_S,i)^2,   F_i = E_S sum_o (df_o/dw_i)^2 normalised to mean 1

    F is the diagonal of the Fisher information of outputs with Gaussian errors of one variance. A new readout is pulled to 0 as
    in L2-SP.
    Source: Kirkpatrick et al., PNAS 2017 (arXiv:1612.00796); L2-SP-Fisher in Li, Grandvalet & Davoine, ICML 2018
    (arXiv:1802.01483).

    Args:
        strength: alpha.
        readout_strength: beta, for the weight tensors of a new readout, which has no Fisher information on the source.
        epsilon: least pull as a fraction of the mean one; ours.
        samples: number of source samples from which F is estimated, from the first on.
        biases: whether biases and norm layers are free, pulled by their own Fisher information as in the paper, or frozen.
            With F = 1 and epsilon = 0 the method is L2-SP.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.1
    readout_strength: NotNegative = 0.01
    epsilon: NotNegative = 0.01
    samples: Count = 256
    biases: Biases = "free"
    learning_rate: Positive = 1e-3
    needs_source: ClassVar[bool] = True

    def adapt(self, case: Case) -> Adaptation:
        """Measure F on the source, then start and anchor at the source; a new readout starts, and is anchored, at 0."""
        fisher = yield Measure(fisher_information, case.surrogate, case.source_samples(), (self.samples,))
        surrogate = case.for_target()
        adapted = yield case.on_target(surrogate, self.pull(surrogate, fisher), self.learning_rate)
        return widened(adapted, case.source_samples())

    def pull(self, surrogate: Surrogate, fisher: Weights) -> Plan:
        """Return the Plan, given the Fisher information of the source's weights."""
        weights, new = surrogate.weights, surrogate.new_readout
        strength: dict[str, float | torch.Tensor] = {
            name: self.readout_strength if name in new else self.strength * (fisher[name] + self.epsilon)
            for name in pulled_tensors(surrogate, self.biases)
        }
        return make_plan(weights, trainable=trained_tensors(surrogate, self.biases), anchor=weights, strength=strength)


def fisher_information(surrogate: Surrogate, data: Dataset, samples: int) -> Weights:
    """Return the diagonal Fisher information of the weights in float64, normalised to a mean of 1 over all weights.

        F_i = E_S sum_o (df_o/dw_i)^2 / mean_i of the same

    The mean of 1 makes the strength of a pull comparable to that of L2-SP.

    Args:
        surrogate: a network.
        data: source samples, standardised.
        samples: number of samples that are used, from the first on.

    Raises:
        NotApplicableError: if there are no samples, or no output depends on any weight.
    """
    network = surrogate.network
    x = torch.as_tensor(data[:samples].input_matrix, dtype=torch.float64)
    if len(x) == 0:
        raise NotApplicableError("EWC needs source samples to measure Fisher information on, got none: use L2SP")
    fisher = fisher_diagonal(network.module, {name: weight.double() for name, weight in network.weights.items()}, x)
    mean = float(torch.cat([information.flatten() for information in fisher.values()]).mean())
    if not 0 < mean < float("inf"):
        raise NotApplicableError(f"EWC needs outputs that depend on weights, got a mean Fisher information of {mean}: use L2SP")
    return {name: information / mean for name, information in fisher.items()}
