"""Delta net: the source is frozen, and a small network learns the difference between source and target."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.scaling import Scaling, fit_new_outputs
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive
from pac_surrogate.methods.method import Adaptation, NotApplicableError
from pac_surrogate.models import DeltaNet, InputAugmentation, MultiFidelity, initial_weights
from pac_surrogate.models.mlp import Widths
from pac_surrogate.models.weights import Weights, inside, prunable
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.predictors import build_network
from pac_surrogate.surrogates.layout import same_variables
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings


@settings
class DeltaNetwork:
    """Add a small network g to the frozen source, f_S(x) + g(x), with the penalty strength/2 ||weight tensors of g||^2.

    g starts at zero, so the sum starts as the source. The target's outputs must be those of the source.
    Source: the additive correction of Lu, Pestourie, Johnson & Romano, Phys. Rev. Research 4, 023210 (2022), arXiv:2204.06684.

    Args:
        hidden: widths of g.
        strength: weight decay of g.
        learning_rate: learning rate of Adam.
    """

    hidden: Widths = (16, 16)
    strength: NotNegative = 0.01
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start g at random, except for a readout of zeros, and train it beside the frozen source.

        Raises:
            NotApplicableError: if the target has outputs that the source lacks.
        """
        source, outputs = case.surrogate, case.target.outputs
        if not same_variables(source.outputs, outputs):
            names = [", ".join(f"{v.name} {v.shape}" for v in side) for side in (source.outputs, outputs)]
            raise NotApplicableError(f"a delta net gives the source's outputs {names[0]}, not {names[1]}: use MFNN")
        architecture = DeltaNet(source.network.architecture, source.outputs, self.hidden)
        surrogate = around_source(source, case.target, architecture)
        start = fresh_start(surrogate, case.generator())
        start |= {name: torch.zeros_like(start[name]) for name in start if name.startswith(f"{surrogate.readout}.")}
        plan = plan_small_network(start, anchor=0.0, strength=self.strength)
        return (yield case.on_target(surrogate, plan, self.learning_rate))


def around_source(surrogate: Surrogate, data: Dataset, architecture: DeltaNet | InputAugmentation | MultiFidelity) -> Surrogate:
    """Put a small network of zero weights around the source, for the outputs of the data.

    The essential mask of a pruned source is kept; all weights of the small network are essential.

    Raises:
        ValueError: if outputs are new and there are no samples from which to compute their scales.
    """
    kept = same_variables(surrogate.outputs, data.outputs)
    if not kept and len(data) == 0:
        raise ValueError("outputs that the source lacks need at least one target sample")
    network, outputs = surrogate.network, surrogate.outputs if kept else data.outputs
    fresh = build_network(architecture, surrogate.inputs, outputs)
    base = {f"base.{name}": weight for name, weight in network.weights.items()}
    weights = {name: base.get(name, torch.zeros_like(weight, dtype=network.dtype)) for name, weight in fresh.weights.items()}
    essential = None
    if network.essential is not None:
        mask = {f"base.{name}": part for name, part in network.essential.items()}
        essential = {name: mask.get(name, torch.ones_like(weight, dtype=torch.bool)) for name, weight in weights.items()}
    predictor = dataclasses.replace(fresh, weights=weights, essential=essential, new_readout=not kept)
    scaling = surrogate.scaling if kept else Scaling(surrogate.scaling.inputs, fit_new_outputs(data))
    return dataclasses.replace(surrogate, predictor=predictor, scaling=scaling, outputs=outputs)


def fresh_start(surrogate: Surrogate, generator: torch.Generator) -> Weights:
    """Return the weights of the composite, those of the small network newly drawn."""
    fresh = initial_weights(surrogate.network.module.get_submodule("small"), generator)
    return surrogate.weights | {f"small.{name}": weight.to(surrogate.network.dtype) for name, weight in fresh.items()}


def plan_small_network(start: Weights, *, anchor: float | Mapping[str, Tensor], strength: float) -> Plan:
    """Return the Plan that trains the small network alone, its weight tensors pulled towards the anchor."""
    pulled = [name for name in prunable(start) if name.startswith("small.")]
    return make_plan(start, trainable=inside(start, "small"), anchor=anchor, strength=dict.fromkeys(pulled, strength))
