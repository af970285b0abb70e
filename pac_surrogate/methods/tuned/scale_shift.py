"""Scale-shift: only a scale and a shift of each unit of the source are trained."""

import torch

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models.weights import Weights
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class Scaled:
    """W = s W_S, where s has as many axes as W, of length 1 along those that share a scale.

    Args:
        names: names of the tensors that are scaled; s of a tensor `w` is named `w:scale`.
    """

    names: tuple[str, ...]

    def __call__(self, parameters: Weights) -> Weights:
        """Return the weights of the model."""
        scales = {f"{name}:scale" for name in self.names}
        weights = {name: weight for name, weight in parameters.items() if name not in scales}
        return weights | {name: parameters[f"{name}:scale"] * weights[name] for name in self.names}


@settings
class ScaleShift:
    """Train a scale and a shift of each unit: W = s W_S and b = b_S + t, with W_S and b_S frozen.

        + strength/2 ||s - 1||^2 + strength/2 ||t||^2

    A matrix has one scale for each row, a convolution one for each pair of channels (out, in), and the gain of a norm layer one
    for each channel. A readout of outputs that the source lacks is trained in full instead, without a penalty.
    Source: arXiv:2512.17969 (NLT).

    Args:
        strength: strength of both penalties.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.1
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start with scales of 1; the bias b itself is trained, anchored at the source's, so that b - b_S is t."""
        surrogate = case.for_target()
        weights = surrogate.weights
        free = surrogate.new_readout
        shifted = {name for name, w in weights.items() if w.ndim == 1 and name.endswith("bias") and name not in free}
        names = tuple(name for name in weights if name not in free | shifted)
        scales = {f"{name}:scale": scales_of(weights[name]) for name in names}
        trainable = {name: torch.tensor(name not in names) for name in (*weights, *scales)}
        start = weights | scales
        strength = dict.fromkeys((*scales, *sorted(shifted)), self.strength)
        plan = make_plan(start, trainable=trainable, anchor=start, strength=strength, reparametrisation=Scaled(names))
        return (yield case.on_target(surrogate, plan, self.learning_rate))


def scales_of(weight: torch.Tensor) -> torch.Tensor:
    """Return ones that broadcast to a weight: one for each row of a matrix or each (out, in) of a convolution."""
    own = 1 if weight.ndim == 2 else 2
    return weight.new_ones(*weight.shape[:own], *(1,) * (weight.ndim - own))
