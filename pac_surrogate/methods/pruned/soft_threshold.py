"""STR: soft thresholds that are learned together with the weights."""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.pruned.exempt import READOUT, Granularity, exempt_modules
from pac_surrogate.methods.pruned.sparse_training import masked_plan
from pac_surrogate.models.weights import Mask, Weights
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning.groups import group_importance, group_mean, keep_highest_groups
from pac_surrogate.pruning.importance import keep_highest
from pac_surrogate.utilities.arguments import settings

TRAINED = 0.75  # fraction of the steps that learn thresholds; the rest trains the kept weights at the exact sparsity
LEAST = 1e-6  # least initial value of a threshold, and of its distance from 1, which a sigmoid never reaches


@settings
class SoftThreshold:
    """The soft-thresholded weight sign(w) relu(|w| - g(s)), with g the sigmoid and one s per tensor; s -> -inf gives w itself.

    Of a group of weights, the mean magnitude m is thresholded: w relu(m - g(s)) / m, which is the same for a single weight.

    Args:
        names: names of the tensors that have a threshold; s is the parameter `<name>/threshold` of shape (1,).
        granularity: the groups of weights that are thresholded as one.
    """

    names: tuple[str, ...]
    granularity: Granularity = "weight"

    def __call__(self, parameters: Weights) -> Weights:
        """Return a stack of thresholded weights."""
        thresholds = {key(name): parameters[key(name)] for name in self.names}
        seen = {name: weight for name, weight in parameters.items() if name not in thresholds}
        for name in self.names:
            weight, s = seen[name], thresholds[key(name)]
            threshold = torch.sigmoid(s).view(-1, *(1,) * (weight.ndim - 1))
            seen[name] = thresholded(weight, threshold, _stacked_size(weight, self.granularity))
        return seen


def thresholded(weight: Tensor, threshold: Tensor, size: Tensor | None = None) -> Tensor:
    """Return w relu(size - t) / size, in a form that gives +0.0 up to the threshold and, for t = 0, the bits of the weight.

    Args:
        weight: the weights w.
        threshold: the threshold t.
        size: mean magnitude of each weight's group; None stands for |w|, so that the result is sign(w) relu(|w| - t).
    """
    if size is None:
        return torch.where(weight.abs() > threshold, weight - weight.sign() * threshold, 0.0)
    part = threshold / size.clamp_min(torch.finfo(size.dtype).tiny)  # a group of zeros has no gradient either
    return torch.where(size > threshold, weight - weight * part, 0.0)


def _stacked_size(weight: Tensor, granularity: str) -> Tensor | None:
    """Return the mean magnitude of every group of a stack; None if the groups are single weights."""
    if granularity == "weight":
        return None
    return torch.func.vmap(lambda own: group_mean(own.abs(), granularity))(weight)


def key(name: str) -> str:
    """Return the name of the parameter s of a tensor."""
    return f"{name}/threshold"


@settings
class STR:
    """Learn a soft threshold for each layer, prune to the exact sparsity at the learned densities, and train the kept weights.

    Three quarters of the steps learn thresholds. Then the numbers of non-zero weights of all layers are scaled by one factor to
    the requested sparsity, each layer keeps its largest |v|, and the last quarter of the steps trains them from their
    thresholded values (all ours: the paper controls the sparsity by the decay alone). Of groups of weights, the mean magnitude
    is thresholded and ranked instead (ours).
    Source: Kusupati, Ramanujan, Somani, Wortsman, Jain, Kakade & Farhadi, ICML 2020, arXiv:2002.03231.

    Args:
        sparsity: fraction of the body (the weight tensors that are not exempt, together) that is pruned in the end, and of each
            layer at the start.
        decay: weight decay of weights and thresholds.
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too.
        learning_rate: learning rate of Adam.
        granularity: what is pruned as one group: weight | row | kernel | channel | unit; see `keep_highest_groups`. With other
            granularities than weight, the sparsity is that of the groups, and the readout is not pruned.
    """

    sparsity: Sparsity = 0.9
    decay: NotNegative = 1e-4
    exempt: tuple[str, ...] = READOUT
    learning_rate: Positive = 1e-3
    granularity: Granularity = "weight"
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Learn thresholds, then train with the mask, both on the source."""
        exempt = exempt_modules(case.surrogate, self.exempt, self.granularity)
        learning = self.learn_thresholds(case.surrogate.weights, exempt)
        asked = case.on_source(case.surrogate, learning, self.learning_rate, TRAINED)
        learned, parameters = yield replace(asked, with_tensors=True)
        weights, mask = pruned(learned.weights, parameters, self.sparsity, self.granularity)
        return (yield case.on_source(learned, masked_plan(weights, mask), self.learning_rate, 1 - TRAINED))

    def learn_thresholds(self, weights: Weights, exempt: tuple[str, ...]) -> Plan:
        """Return the Plan that trains weights and thresholds with weight decay, starting at `sparsity` in each tensor.

            minimise  L(w(v, s)) + decay/2 (||v||^2 + ||s||^2),   w = sign(v) relu(|v| - sigmoid(s))

        Decay pulls s up to 0, which is a threshold of 1/2, and so prunes, while the loss counteracts it. The start is ours (the
        paper starts dense and from scratch): v starts at the source's weights, and sigmoid(s) at the magnitude of the largest
        weight or group to be pruned. As a sigmoid stays below 1, a tensor with larger magnitudes starts less sparse.
        """
        importance = {name: weight.abs() for name, weight in weights.items()}
        mask = keep_highest_groups(importance, self.sparsity, granularity=self.granularity, exempt=exempt)
        sizes = group_importance(importance, granularity=self.granularity, exempt=exempt)
        start = dict(weights)
        for name, size in sizes.items():
            threshold = torch.where(mask[name], 0.0, size).max().clamp(LEAST, 1 - LEAST)
            start[key(name)] = torch.logit(threshold)[None]
        decayed = [name for name, tensor in start.items() if tensor.ndim >= 2 or name not in weights]
        return make_plan(
            start,
            strength=dict.fromkeys(decayed, self.decay),
            essential={name: torch.ones_like(kept) for name, kept in mask.items()},
            reparametrisation=SoftThreshold(tuple(sizes), self.granularity),
        )


def pruned(weights: Weights, parameters: Weights, sparsity: float, granularity: str = "weight") -> tuple[Weights, Mask]:
    """Prune to the exact sparsity at the learned densities; where the learned sparsity is that one, nothing changes.

    A layer keeps its largest |v|. Those above the threshold keep their learned values, as a common shift would change what the
    network computes. Others start at sign(v)(|v| - t), where t is the largest |v| below all kept ones, so that none starts at 0
    unless its v is 0. With groups of weights, the same holds of groups and their mean |v|.

    Args:
        weights: the thresholded weights.
        parameters: the raw weights v and the thresholds s from which they were computed.
        sparsity: fraction of the weights or groups of all tensors with a threshold that is pruned.
        granularity: the groups that are pruned as one.

    Returns:
        The weights and the mask of the kept ones.
    """
    names = [name for name in weights if key(name) in parameters]
    raw = {name: group_mean(parameters[name].abs(), granularity) for name in names}
    seen = {name: group_mean(weights[name].abs(), granularity) for name in names}
    size = {name: own.numel() for name, own in raw.items()}
    nonzero = {name: int((own != 0).sum()) for name, own in seen.items()}
    total = sum(size.values())
    budget = budgets(nonzero, size, total - round(sparsity * total))
    mask = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    started = dict(weights)
    for name, count in budget.items():
        (kept,) = keep_highest({name: raw[name]}, 1 - count / size[name]).values()
        mask[name] = kept.expand_as(weights[name]).contiguous()
        least = raw[name][kept].min()
        below = torch.where(raw[name] < least, raw[name], 0.0).max()
        group = None if granularity == "weight" else raw[name]
        started[name] = torch.where(seen[name] != 0, weights[name], thresholded(parameters[name], below, group))
    return started, mask


def budgets(nonzero: Mapping[str, int], size: Mapping[str, int], total: int) -> dict[str, int]:
    """Return the number of weights that each layer keeps, `total` together, in proportion to its number of non-zero weights.

    Groups of weights may be counted instead.

    Fractions are rounded by largest remainders. A layer keeps at most all of its weights, the others taking the rest, and at
    least one, which the largest layer gives.

    Raises:
        ValueError: if there are more layers than weights to keep.
    """
    if total < len(nonzero):
        raise ValueError(f"the sparsity leaves {total} weights for {len(nonzero)} tensors: lower sparsity or exempt some")
    full: set[str] = set()
    while True:
        free = {name: max(1, count) for name, count in nonzero.items() if name not in full}
        left = total - sum(size[name] for name in full)
        exact = {name: Fraction(left * count, sum(free.values())) for name, count in free.items()}
        over = {name for name, kept in exact.items() if kept > size[name]}
        if not over:
            break
        full |= over
    budget = {name: math.floor(exact.get(name, size[name])) for name in nonzero}
    ordered = sorted(exact, key=lambda name: budget[name] - exact[name])
    for name in ordered[: total - sum(budget.values())]:
        budget[name] += 1
    for name in budget:
        if budget[name] == 0:
            budget[max(budget, key=lambda name: budget[name])] -= 1
            budget[name] = 1
    return budget
