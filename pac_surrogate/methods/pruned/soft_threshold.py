"""STR: soft thresholds that are learned together with the weights."""

from typing import ClassVar

import torch

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive, Scope, Sparsity
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.methods.pruned.sparse_training import largest, masked_plan
from pac_surrogate.models.weights import Weights
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning.importance import keep_highest
from pac_surrogate.utilities.arguments import settings

TRAINED = 0.75  # fraction of the steps that learn thresholds; the rest trains the kept weights at the exact sparsity
LEAST = 1e-6  # least initial value of a threshold, and of its distance from 1, which a sigmoid never reaches


@settings
class SoftThreshold:
    """The soft-thresholded weight sign(w) relu(|w| - g(s)), with g the sigmoid and one s per tensor; s -> -inf gives w itself.

    Args:
        names: names of the tensors that have a threshold; s is the parameter `<name>/threshold` of shape (1,).
    """

    names: tuple[str, ...]

    def __call__(self, parameters: Weights) -> Weights:
        """Return a stack of thresholded weights."""
        thresholds = {key(name): parameters[key(name)] for name in self.names}
        seen = {name: weight for name, weight in parameters.items() if name not in thresholds}
        for name in self.names:
            weight, s = seen[name], thresholds[key(name)]
            threshold = torch.sigmoid(s).view(-1, *(1,) * (weight.ndim - 1))
            # This form of the formula gives +0.0 below the threshold and, for a threshold of 0, the exact bits of the weight.
            seen[name] = torch.where(weight.abs() > threshold, weight - weight.sign() * threshold, 0.0)
        return seen


def key(name: str) -> str:
    """Return the name of the parameter s of a tensor."""
    return f"{name}/threshold"


@settings
class STR:
    """Learn a soft threshold for each layer, prune to the exact sparsity by thresholded magnitude, and train the kept weights.

    Three quarters of the steps learn thresholds; the last quarter trains the pruned network (both ours: the paper controls the
    sparsity by the decay alone).
    Source: Kusupati, Ramanujan, Somani, Wortsman, Jain, Kakade & Farhadi, ICML 2020, arXiv:2002.03231.

    Args:
        sparsity: fraction that is pruned in the end, and in each layer at the start.
        decay: weight decay of weights and thresholds.
        scope: scope of the exact sparsity; global keeps the distribution over layers that the thresholds have learned.
        exempt: tensors or modules that are not pruned.
        learning_rate: learning rate of Adam.
    """

    sparsity: Sparsity = 0.9
    decay: NotNegative = 1e-4
    scope: Scope = "layer"
    exempt: tuple[str, ...] = ()
    learning_rate: Positive = 1e-3
    needs_source: ClassVar[bool] = True
    learns_outputs: ClassVar[bool] = False

    def adapt(self, case: Case) -> Adaptation:
        """Learn thresholds, then train with the mask, both on the source."""
        learning = self.learn_thresholds(case.surrogate.weights)
        learned = yield case.on_source(case.surrogate, learning, self.learning_rate, TRAINED)
        mask = largest(learned, self.sparsity, self.scope, self.exempt)
        return (yield case.on_source(learned, masked_plan(learned.weights, mask), self.learning_rate, 1 - TRAINED))

    def learn_thresholds(self, weights: Weights) -> Plan:
        """Return the Plan that trains weights and thresholds with weight decay, starting at `sparsity` in each tensor.

            minimise  L(w(v, s)) + decay/2 (||v||^2 + ||s||^2),   w = sign(v) relu(|v| - sigmoid(s))

        Decay pulls s up to 0, which is a threshold of 1/2, and so prunes, while the loss counteracts it. The start is ours (the
        paper starts dense and from scratch): v starts at the source's weights, and sigmoid(s) at the magnitude of the largest
        weight to be pruned. As a sigmoid stays below 1, a tensor with larger magnitudes starts less sparse.
        """
        importance = {name: weight.abs() for name, weight in weights.items()}
        mask = keep_highest(importance, self.sparsity, exempt=self.exempt)
        names = tuple(name for name, kept in mask.items() if not bool(kept.all()))
        start = dict(weights)
        for name in names:
            threshold = importance[name][~mask[name]].max().clamp(LEAST, 1 - LEAST)
            start[key(name)] = torch.logit(threshold)[None]
        decayed = [name for name, tensor in start.items() if tensor.ndim >= 2 or name not in weights]
        return make_plan(
            start,
            strength=dict.fromkeys(decayed, self.decay),
            essential={name: torch.ones_like(kept) for name, kept in mask.items()},
            reparametrisation=SoftThreshold(names),
        )
