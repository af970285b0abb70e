"""The `Plan`: the prior on the weights by which a transfer method is defined.

    minimise  mean squared error(w)  +  1/2 sum_k strength_k (w_k - anchor_k)^2  [+ R(w)]
    from w = start, over the trainable weights; every other weight keeps `start` bit for bit

The mean runs over samples and outputs, both in the surrogate's standardised units. Three optional fields extend the problem,
each for several methods: a functional `regulariser` R adds a term that depends on what the network computes from the samples, a
`reparametrisation` computes the model's weights from the trained tensors, and a `perturbation` adds adversarial or random noise
to the inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.models.weights import Mask, Weights
from pac_surrogate.perturbation import Perturbation
from pac_surrogate.utilities.arguments import check_numbers, got
from pac_surrogate.utilities.display import Shown


@runtime_checkable
class FunctionalRegulariser(Protocol):
    """A term of the objective that depends on the predictions and features of the model for a batch.

    It is a frozen dataclass. Tensors that differ between runs are in `arrays` (a field with `compare=False, repr=False`). The
    other fields define equality, hash and repr, and runs with equal regularisers share a stack.
    """

    @property
    def arrays(self) -> Weights:
        """Tensors by name, which get a leading run axis when runs are stacked."""
        ...

    def term(
        self,
        arrays: Weights,
        model: nn.Module,
        x: Float[Tensor, "run sample input"],
        sample_weight: Float[Tensor, "run sample"],
        prediction: Float[Tensor, "run sample output"],
        features: tuple[Tensor, ...],
    ) -> Float[Tensor, " run"]:
        """Return the term of each run; rows of weight 0 are padding, on which the term must not depend."""
        ...


@runtime_checkable
class Reparametrisation(Protocol):
    """The model's weights as a function of the trained tensors.

    It is a frozen dataclass, and runs with equal reparametrisations share a stack. It works on stacks: the first axis of every
    tensor is the run axis. Fixed tensors, such as the source's weights, are among the Plan's weights but not trainable.
    """

    def __call__(self, parameters: Weights) -> Weights:
        """Return the weights of the model, with the model's names and in its order."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Shown):
    """An optimisation problem: the objective, the start, and the weights over which the objective is minimised.

    The tensors of `trainable`, `anchor` and `strength` broadcast to those of `start`: one number applies to an entire tensor.

    Attributes:
        start: weights at which training begins.
        trainable: mask of the weights that are trained.
        anchor: values towards which the penalty pulls the weights.
        strength: strength of this penalty for each weight, not negative; the penalty has the factor 1/2.
        rate: learning rate of each tensor relative to that of the run (such as fine-tuning with a slow body).
        essential: the mask that the result carries; None keeps that of the source.
        regulariser: a functional regulariser, which adds a term to the objective.
        reparametrisation: the model's weights as a function of the tensors of `start`, which then have other names and shapes.
        perturbation: the perturbation of the inputs in every step.
    """

    start: Weights
    trainable: Mask
    anchor: Weights
    strength: Weights
    rate: dict[str, float]
    essential: Mask | None = None
    regulariser: FunctionalRegulariser | None = None
    reparametrisation: Reparametrisation | None = None
    perturbation: Perturbation | None = None

    @property
    def trains(self) -> bool:
        """Whether any weight is trained."""
        return any(bool(mask.any()) for mask in self.trainable.values())

    def seen(self) -> Weights:
        """Return the weights of the model at the start."""
        if self.reparametrisation is None:
            return self.start
        return {n: w[0] for n, w in self.reparametrisation({n: w[None] for n, w in self.start.items()}).items()}


def make_plan(
    weights: Mapping[str, Tensor],
    *,
    trainable: bool | Mapping[str, Tensor] = True,
    anchor: float | Mapping[str, Tensor] = 0.0,
    strength: float | Mapping[str, float | Tensor] = 0.0,
    rate: Mapping[str, float] | None = None,
    essential: Mask | None = None,
    regulariser: FunctionalRegulariser | None = None,
    reparametrisation: Reparametrisation | None = None,
    perturbation: Perturbation | None = None,
) -> Plan:
    """Return a Plan, with default values for everything that is not given.

    Args:
        weights: the start.
        trainable: a mask, or one boolean for all weights.
        anchor: weights, or one number for all.
        strength: one number for all weights, or numbers or tensors by name (absent names: 0).
        rate: relative learning rates by name (absent names: 1).
        essential: the mask that the result carries; None keeps that of the source.
        regulariser: a functional regulariser, which adds a term to the objective.
        reparametrisation: the model's weights as a function of `weights`.
        perturbation: the perturbation of the inputs in every step.

    Raises:
        ValueError: if a strength or rate is negative or not finite, or a name is unknown or missing.
    """
    if not isinstance(weights, Mapping) or not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise ValueError(f"weights must be tensors by name, such as surrogate.weights, got {got(weights)}")
    start = {name: _detached(weight) for name, weight in weights.items()}
    check_numbers(**{n: v for n, v in (("anchor", anchor), ("strength", strength)) if not isinstance(v, Mapping)})
    for name, per_weight in (("trainable", trainable), ("rate", rate or {})):
        if not isinstance(per_weight, bool | Mapping):
            raise ValueError(f"{name} must be given by the name of each weight, as a dictionary, got {got(per_weight)}")
    for label, given in (("trainable", trainable), ("anchor", anchor), ("strength", strength), ("rate", rate or {})):
        unknown = set(given) - set(start) if isinstance(given, Mapping) else set()
        if unknown:
            raise ValueError(
                f"{label} names weights that the model lacks: {', '.join(sorted(unknown))}; it has {', '.join(start)}"
            )
    for label, whole in (("trainable", trainable), ("anchor", anchor)):
        missing = set(start) - set(whole) if isinstance(whole, Mapping) else set()
        if missing:
            raise ValueError(f"{label} must name every weight; it lacks {', '.join(sorted(missing))}")
    strengths = strength if isinstance(strength, Mapping) else dict.fromkeys(start, strength)
    plan = Plan(
        start=start,
        trainable={n: trainable[n] if isinstance(trainable, Mapping) else torch.tensor(trainable) for n in start},
        anchor={
            n: _detached(anchor[n]) if isinstance(anchor, Mapping) else torch.tensor(anchor, dtype=w.dtype)
            for n, w in start.items()
        },
        strength={n: torch.as_tensor(strengths.get(n, 0.0), dtype=torch.float64) for n in start},
        rate={n: float((rate or {}).get(n, 1.0)) for n in start},
        essential=essential,
        regulariser=regulariser,
        reparametrisation=reparametrisation,
        perturbation=perturbation,
    )
    for name, value in plan.strength.items():
        if value.numel() and not 0 <= float(value.min()) <= float(value.max()) < float("inf"):
            raise ValueError(f"strength must be finite and not negative, got {float(value.min())} for {name}")
    for name, number in plan.rate.items():
        if not 0 <= number < float("inf"):
            raise ValueError(f"rate must be finite and not negative, got {number} for {name}")
    return plan


def _detached(weight: Tensor) -> Tensor:
    """Return the tensor detached; one without gradient is returned as it is, as `weights.fingerprint` keeps its digest."""
    return weight.detach() if weight.requires_grad else weight


@dataclass(frozen=True, eq=False, repr=False)
class StackedPlan(Shown):
    """Plans stacked along a leading run axis on one device, reduced to what a solver needs.

    Attributes:
        start: (run, *shape) for every weight.
        trainable: masks that broadcast to `start`.
        live: names of the tensors in which any run trains a weight.
        free: 1 where a weight is trained and 0 where it is frozen, for the live tensors in which any weight is frozen.
        strength: strengths of the live tensors that any run penalises.
        anchor: anchors of the same tensors; for a frozen weight its start, so that it is not pulled.
    """

    start: Weights
    trainable: Mask
    live: list[str]
    free: Weights
    strength: Weights
    anchor: Weights


def stack_plans(plans: Sequence[Plan], dtype: torch.dtype, device: torch.device) -> StackedPlan:
    """Stack Plans of one model along a leading run axis.

    Raises:
        ValueError: if their weights differ in name or shape.
    """
    shapes = {name: weight.shape for name, weight in plans[0].start.items()}
    for plan in plans:
        if {name: weight.shape for name, weight in plan.start.items()} != shapes:
            raise ValueError(f"plans of one stack must be for one model with the weights {', '.join(shapes)}")

    def together(name: str, tensors: list[Tensor], kind: torch.dtype) -> Tensor:
        """Stack tensors; if they are one number in every run, the stack holds one number per run."""
        if any(tensor.ndim for tensor in tensors):
            tensors = [tensor.expand(shapes[name]) for tensor in tensors]
        stacked = torch.stack(tensors)
        return stacked.reshape(len(plans), *(stacked.shape[1:] or (1,) * len(shapes[name]))).to(device, kind)

    start = {name: together(name, [plan.start[name] for plan in plans], dtype) for name in shapes}
    trainable = {name: together(name, [plan.trainable[name] for plan in plans], torch.bool) for name in shapes}
    live = [name for name in shapes if bool(trainable[name].any())]
    free = {name: trainable[name].to(dtype) for name in live if not bool(trainable[name].all())}
    strength = {name: together(name, [plan.strength[name] for plan in plans], dtype) for name in live}
    strength = {name: pull for name, pull in strength.items() if bool(((pull > 0) & trainable[name]).any())}
    anchor = {name: together(name, [plan.anchor[name] for plan in plans], dtype) for name in strength}
    anchor = {n: torch.where(trainable[n], held, start[n]) if n in free else held for n, held in anchor.items()}
    return StackedPlan(start, trainable, live, free, strength, anchor)
