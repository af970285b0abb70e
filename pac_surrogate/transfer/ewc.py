"""EWC, elastic weight consolidation: each weight is pulled back as hard as the source task knows it."""

import dataclasses

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.jacobian import fisher_diagonal
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.predictors import Network
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import NotApplicableError, Stage, check_rate, check_strength
from pac_surrogate.weights import inside, prunable


@settings
class Fisher:
    """Measure the Fisher information of the source's weights on source data; the network carries it as `fisher`.

        F_i = E_S sum_o (df_o/dw_i)^2 / mean_i of the same

    The mean of 1 over all weights makes the strength of the pull comparable to that of L2-SP.

    Args:
        samples: the first so many source samples serve.
    """

    samples: int = 256

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, got {self.samples}")

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Give the network as it is, with its Fisher information in float64.

        Raises:
            NotApplicableError: if there are no samples, or no output depends on any weight.
        """
        network = surrogate.network
        x = torch.as_tensor(data[: self.samples].input_matrix, dtype=torch.float64)
        if len(x) == 0:
            raise NotApplicableError("EWC needs source samples to measure Fisher information on, got none: use L2SP")
        weights = {name: weight.double() for name, weight in network.weights.items()}
        fisher = fisher_diagonal(network.module, weights, x)
        mean = float(torch.cat([information.flatten() for information in fisher.values()]).mean())
        if not 0 < mean < float("inf"):
            raise NotApplicableError(
                f"EWC needs outputs that depend on weights, got a mean Fisher information of {mean}: use L2SP"
            )
        fisher = {name: information / mean for name, information in fisher.items()}
        return dataclasses.replace(network, carried={**network.carried, "fisher": fisher})


@settings
class FisherPull:
    """Train all weights from the source's, each pulled back by the Fisher information that the network carries.

        + strength/2 sum_i (F_i + epsilon) (w_i - w_S,i)^2 + readout_strength/2 ||w_readout||^2

    Args:
        strength: alpha.
        readout_strength: beta, on the weight tensors of a new readout, whose Fisher information no source knows.
        epsilon: least pull, as a part of the mean one.
        biases: pull biases and norm layers too.
        learning_rate: of Adam.
    """

    strength: float = 0.1
    readout_strength: float = 0.01
    epsilon: float = 0.01
    biases: bool = True
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_strength(strength=self.strength, readout_strength=self.readout_strength, epsilon=self.epsilon)
        check_rate(self.learning_rate)

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start and anchor at the source; a new readout starts, and is anchored, at 0.

        Raises:
            ValueError: if the network carries no Fisher information.
        """
        weights, network = surrogate.weights, surrogate.network
        if "fisher" not in network.carried:
            raise ValueError(
                "FisherPull needs a network that carries its Fisher information: solve Fisher on source data first"
            )
        fisher = network.carried["fisher"]
        new = inside(weights, surrogate.readout) if network.new_readout else dict.fromkeys(weights, torch.tensor(False))
        names = prunable(weights)
        strength: dict[str, float | torch.Tensor] = {
            name: self.strength * (fisher[name] + self.epsilon)
            for name in weights
            if not bool(new[name]) and (self.biases or name in names)
        }
        strength |= {name: self.readout_strength for name in names if bool(new[name])}
        return make_plan(weights, anchor=weights, strength=strength)


@settings
class EWC:
    """Elastic weight consolidation: a pull to the source, each weight by its Fisher information there.

        + strength/2 sum_i (F_i + epsilon) (w_i - w_S,i)^2,   F_i = E_S sum_o (df_o/dw_i)^2 normalised to mean 1

    F is the diagonal of the Fisher information of outputs with Gaussian errors of one variance. A new readout is pulled to 0 as
    in L2-SP.
    Source: Kirkpatrick et al., PNAS 2017 (arXiv:1612.00796); L2-SP-Fisher in Li, Grandvalet & Davoine, ICML 2018
    (arXiv:1802.01483).

    Args:
        strength: alpha.
        readout_strength: beta, of a new readout.
        epsilon: least pull, as a part of the mean one; ours.
        samples: the first so many source samples tell F.
        biases: pull biases and norm layers too; without them F = 1 and epsilon = 0 are L2-SP.
        learning_rate: of Adam.
    """

    strength: float = 0.1
    readout_strength: float = 0.01
    epsilon: float = 0.01
    samples: int = 256
    biases: bool = True
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self.stages()  # the rules check their own numbers

    def stages(self) -> tuple[Stage, ...]:
        """Measure on the source, train on the target."""
        pull = FisherPull(self.strength, self.readout_strength, self.epsilon, self.biases, self.learning_rate)
        return (("source", Fisher(self.samples)), ("target", pull))
