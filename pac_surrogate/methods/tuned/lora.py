"""LoRA: the source's weights are changed by matrices of low rank."""

import math

import torch

from pac_surrogate.methods.biases import UnpulledBiases
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models.weights import Weights, prunable
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class LowRank:
    """W = W_S + factor B A, with B (run, out, rank) and A (run, rank, rest) for W (run, out, *rest).

    Args:
        names: names of the tensors that are adapted; A and B of a tensor `w` are named `w:A` and `w:B`.
        factor: alpha / r.
    """

    names: tuple[str, ...]
    factor: float

    def __call__(self, parameters: Weights) -> Weights:
        """Return the weights of the model."""
        factors = {f"{name}:{letter}" for name in self.names for letter in "AB"}
        weights = {name: weight for name, weight in parameters.items() if name not in factors}
        for name in self.names:
            change = parameters[f"{name}:B"] @ parameters[f"{name}:A"]
            weights[name] = weights[name] + self.factor * change.view_as(weights[name])
        return weights


@settings
class LoRA:
    """Low-rank adaptation: W = W_S + (scale/rank) B A for every weight tensor; W_S is frozen.

    B starts at 0, so the model starts as the source; A starts with normal random numbers of variance 1/(its columns). A
    convolution is flattened to (out, in times kernel). A readout of outputs that the source lacks is trained in full instead.
    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685.

    Args:
        rank: r; limited to the smaller side of a tensor, where the factor scale/rank is nevertheless kept.
        scale: alpha of the paper. With this distribution of A, weights move about equally fast at every rank.
        biases: whether biases and norm layers are free or frozen; the paper freezes them.
        learning_rate: learning rate of Adam.
    """

    rank: Count = 4
    scale: Positive = 4.0
    biases: UnpulledBiases = "free"
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Add the factors A and B to the source's tensors and train them."""
        surrogate, generator = case.for_target(), case.generator()
        weights = surrogate.weights
        full = surrogate.new_readout
        names = tuple(name for name in prunable(weights) if name not in full)
        if self.biases == "free":
            full |= {name for name, weight in weights.items() if weight.ndim < 2}
        factors: Weights = {}
        for name in names:
            out, rest = weights[name].flatten(1).shape
            rank = min(self.rank, out, rest)
            drawn = torch.randn(rank, rest, generator=generator, dtype=torch.float64) / math.sqrt(rest)
            factors |= {f"{name}:A": drawn.to(weights[name]), f"{name}:B": weights[name].new_zeros(out, rank)}
        trainable = {name: torch.tensor(name in factors or name in full) for name in (*weights, *factors)}
        plan = make_plan(weights | factors, trainable=trainable, reparametrisation=LowRank(names, self.scale / self.rank))
        return (yield case.on_target(surrogate, plan, self.learning_rate))
