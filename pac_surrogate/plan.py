"""A transfer method is a prior on the weights; its `Plan` says which.

    minimise  mean squared error(w)  +  1/2 sum_k strength_k (w_k - anchor_k)^2  [+ R(w)]
    from w = start, over the trainable weights; every other weight keeps `start` bit for bit

The mean runs over samples and outputs, both in the surrogate's standardised units. Three optional fields widen this, each for
several methods: a functional `regulariser` R adds a term that depends on what the network computes from the samples, a
`reparametrisation` makes the model's weights of those that train, and a `perturbation` adds adversarial or random noise to the
inputs.
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
    """A term of the objective that looks at what the model does with a batch.

    A frozen dataclass. What differs from run to run is in `arrays` (a field with `compare=False, repr=False`); what is left of
    it compares, hashes and has a repr, and runs of equal regularisers share a stack.
    """

    @property
    def arrays(self) -> Weights:
        """Tensors by name, all put on a run axis when runs are stacked."""
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
        """Return the term of each run; a row of weight 0 is padding and must not count."""
        ...


@runtime_checkable
class Reparametrisation(Protocol):
    """The model's weights as a function of the tensors that train; a frozen dataclass, equal ones share a stack.

    It works on stacks: every tensor leads with a run axis. What stays fixed (the source's weights) is among the Plan's weights,
    not trainable.
    """

    def __call__(self, parameters: Weights) -> Weights:
        """Give the weights that the model sees, in the model's names and order."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Shown):
    """What to minimise, from where, over which weights.

    Every field but `start` holds tensors that broadcast to those of `start`: one number serves a whole tensor.

    Attributes:
        start: weights at which training begins.
        trainable: which weights may move.
        anchor: where the penalty pulls them.
        strength: how hard, not negative; it carries the factor 1/2.
        rate: learning rate of a tensor relative to the run's (fine-tuning with a slow body).
        essential: the mask that the result carries; None passes on that of the source.
        regulariser: a functional regulariser, a further term of the objective.
        reparametrisation: the model's weights as a function of `start`'s tensors, whose names and shapes are then its own.
        perturbation: how the inputs of every step are perturbed.
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
        """Whether any weight may move at all."""
        return any(bool(mask.any()) for mask in self.trainable.values())

    def seen(self) -> Weights:
        """The weights that the model sees at the start."""
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
    """Fill in a Plan from the little that a method has to say.

    Args:
        weights: the start.
        trainable: a mask, or one boolean for all weights.
        anchor: weights, or one number for all.
        strength: one number for all weights, or numbers or tensors by name (absent names: 0).
        rate: relative learning rates by name (absent names: 1).
        essential: the mask that the result carries; None passes on that of the source.
        regulariser: a functional regulariser, a further term of the objective.
        reparametrisation: the model's weights as a function of these.
        perturbation: of the inputs.

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
    """The tensor itself where it has no gradient, so that its digest, once taken, is known; see `weights.fingerprint`."""
    return weight.detach() if weight.requires_grad else weight


@dataclass(frozen=True, eq=False, repr=False)
class StackedPlan(Shown):
    """Many Plans on a leading run axis, on one device, cut down to what a solver needs.

    Attributes:
        start: (run, *shape) for every weight.
        trainable: masks that broadcast to `start`.
        live: names of the tensors in which any run trains anything.
        free: 1 where a weight trains and 0 where it is frozen, of the live tensors in which any weight is frozen.
        strength: of the live tensors that any run penalises.
        anchor: of the same tensors; of a frozen weight its start, so that nothing pulls it.
    """

    start: Weights
    trainable: Mask
    live: list[str]
    free: Weights
    strength: Weights
    anchor: Weights


def stack_plans(plans: Sequence[Plan], dtype: torch.dtype, device: torch.device) -> StackedPlan:
    """Put Plans of one model on a leading run axis.

    Raises:
        ValueError: if their weights differ in name or shape.
    """
    shapes = {name: weight.shape for name, weight in plans[0].start.items()}
    for plan in plans:
        if {name: weight.shape for name, weight in plan.start.items()} != shapes:
            raise ValueError(f"plans of one stack must be for one model with the weights {', '.join(shapes)}")

    def together(name: str, tensors: list[Tensor], kind: torch.dtype) -> Tensor:
        """Stack; what is one number in every run stays one number (and memory for one) in each."""
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
