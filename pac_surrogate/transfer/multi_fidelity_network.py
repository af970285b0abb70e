"""MFNN: a linear and a nonlinear correlation between source and target."""

import torch

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.models import MLP, MultiFidelity
from pac_surrogate.plan import Plan
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.delta_net import around_source, fresh_start, plan_small_network
from pac_surrogate.transfer.method import Stage, check_rate, check_strength


@settings
class MFNN:
    """Train F_linear(x, f_S(x)) + tanh(a) F_nonlinear(x, f_S(x)) around the frozen source.

        + strength/2 ||F_linear - its start||^2 + strength/2 ||F_nonlinear||^2    weight tensors only

    It starts linear, a = 0: as f_S itself where the outputs are the source's, else as 0. The first step moves a, and only then
    does F_nonlinear feel a gradient.
    Source: Meng & Karniadakis, J. Comput. Phys. 401, 109020 (2020), arXiv:1903.00104.

    Args:
        hidden: widths of F_nonlinear.
        strength: of both pulls.
        learning_rate: of Adam.
    """

    hidden: tuple[int, ...] = (32, 32)
    strength: float = 0.01
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        MLP(self.hidden)  # refuses widths that cannot be
        check_strength(strength=self.strength)
        check_rate(self.learning_rate)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def prepare(self, surrogate: Surrogate, data: Dataset) -> Surrogate:
        """Put the two correlations, of zero weights, behind the source."""
        return around_source(surrogate, data, MultiFidelity(surrogate.network.architecture, surrogate.outputs, self.hidden))

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Start as the source, or at 0, with a random F_nonlinear that is switched off; the source is frozen."""
        start = fresh_start(surrogate, generator)
        weight, bias = f"{surrogate.readout}.weight", f"{surrogate.readout}.bias"
        readout = start[weight].clone()  # columns (x, f_S, hidden): see `models.composite.LinearAndNonlinear`
        inputs = sum(variable.size for variable in surrogate.inputs)
        linear = readout.shape[1] - self.hidden[-1]
        readout[:, :linear] = 0.0
        if not surrogate.network.new_readout:
            readout[:, inputs:linear] = torch.eye(len(readout), dtype=readout.dtype)
        start |= {weight: readout, bias: torch.zeros_like(start[bias])}
        anchor = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
        anchor[weight] = torch.cat([readout[:, :linear], torch.zeros_like(readout[:, linear:])], dim=1)
        return plan_small_network(start, anchor=anchor, strength=self.strength)
