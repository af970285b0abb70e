"""MFNN: a linear and a nonlinear correlation between source and target."""

import torch

from pac_surrogate.methods.around.delta_net import around_source, fresh_start, plan_small_network
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models import MultiFidelity
from pac_surrogate.models.mlp import Widths
from pac_surrogate.utilities.arguments import settings


@settings
class MFNN:
    """Train F_linear(x, f_S(x)) + tanh(a) F_nonlinear(x, f_S(x)) around the frozen source.

        + strength/2 ||F_linear - its start||^2 + strength/2 ||F_nonlinear||^2    weight tensors only

    Training starts with a = 0, so that the model is linear: it equals f_S if the outputs are the source's, else 0. The first
    step changes a, and only then is the gradient with respect to F_nonlinear different from 0.
    Source: Meng & Karniadakis, J. Comput. Phys. 401, 109020 (2020), arXiv:1903.00104.

    Args:
        hidden: widths of F_nonlinear.
        strength: strength of both penalties.
        learning_rate: learning rate of Adam.
    """

    hidden: Widths = (32, 32)
    strength: NotNegative = 0.01
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start as the frozen source, or at 0, with a random F_nonlinear that has a factor of 0."""
        source = case.surrogate
        architecture = MultiFidelity(source.network.architecture, source.outputs, self.hidden)
        surrogate = around_source(source, case.target, architecture)
        start = fresh_start(surrogate, case.generator())
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
        plan = plan_small_network(start, anchor=anchor, strength=self.strength)
        return (yield case.on_target(surrogate, plan, self.learning_rate))
