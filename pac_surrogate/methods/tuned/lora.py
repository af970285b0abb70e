"""LoRA: the source's weights change by matrices of low rank."""

import math

import torch

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
        names: tensors that are adapted; A and B of a tensor `w` are called `w:A` and `w:B`.
        factor: alpha / r.
    """

    names: tuple[str, ...]
    factor: float

    def __call__(self, parameters: Weights) -> Weights:
        """Give the weights that the model sees."""
        factors = {f"{name}:{letter}" for name in self.names for letter in "AB"}
        weights = {name: weight for name, weight in parameters.items() if name not in factors}
        for name in self.names:
            change = parameters[f"{name}:B"] @ parameters[f"{name}:A"]
            weights[name] = weights[name] + self.factor * change.view_as(weights[name])
        return weights


@settings
class LoRA:
    """Low-rank adaptation: W = W_S + (scale/rank) B A for every weight tensor; W_S is frozen.

    B starts at 0, so the model starts as the source; A starts random, normal of variance 1/(its columns). A convolution is
    flattened to (out, in times kernel). A readout of outputs that the source lacks trains in full instead.
    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685.

    Args:
        rank: r; cut to the smaller side of a tensor where that is less, the factor scale/rank stays.
        scale: alpha of the paper. As A is drawn, weights move about as fast at every rank.
        train_bias: train biases and norm layers too; the paper freezes them.
        learning_rate: learning rate of Adam.
    """

    rank: Count = 4
    scale: Positive = 4.0
    train_bias: bool = False
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Add A and B to the source's weights."""
        surrogate, generator = case.for_target(), case.generator()
        weights = surrogate.weights
        full = surrogate.new_readout
        names = tuple(name for name in prunable(weights) if name not in full)
        if self.train_bias:
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
