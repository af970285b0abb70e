"""The checked arguments of `fit`, as options that all runs share and one `Run` each, and the result of a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.data.conversion import as_dataset
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.models import check_model, evaluate
from pac_surrogate.models.weights import Weights, unstack
from pac_surrogate.plan import Plan
from pac_surrogate.utilities.arguments import check_numbers, got, whole_numbers
from pac_surrogate.utilities.device import resolve_device
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.memory import memory_bytes


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Shown):
    """The result of one run of `fit`.

    Attributes:
        weights: the last weights, or those of the least validation error if validation data were given; on the CPU. They are
            the weights of the model, even if the Plan trained a reparametrisation of them.
        tensors: the trained tensors from which the reparametrisation computes the weights; without one, the weights.
        objective: the Plan's objective before each step (on the step's minibatch, if there are minibatches).
        diverged: the first step whose objective was not finite, or None.
        valid_error: the least mean squared error on the validation data, or None.
        seconds: the run's part of the time of its stack.
    """

    weights: Weights
    tensors: Weights
    objective: Float[Tensor, " step"]
    diverged: int | None = None
    valid_error: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """The options that all runs of a call share."""

    steps: int
    batch_size: int | None
    dtype: torch.dtype
    schedule: str
    device: torch.device

    @classmethod
    def of(cls, steps: int, batch_size: int | None, dtype: torch.dtype, schedule: str, device: str | torch.device) -> "Options":
        """Check the options of a user.

        Raises:
            ValueError: if an option is out of range.
        """
        (steps,) = whole_numbers(None, steps=steps)
        if steps < 0 or (batch_size is not None and batch_size < 1):
            raise ValueError(f"fit needs steps >= 0 and batch_size >= 1, got steps={steps}, batch_size={batch_size}")
        if schedule not in ("constant", "cosine"):
            raise ValueError(f"unknown schedule {schedule!r}: choose constant or cosine")
        return cls(steps, batch_size, dtype, schedule, resolve_device(device))

    def factor(self, step: int) -> float:
        """Return the learning rate of a step relative to that of the first."""
        return 1.0 if self.schedule == "constant" else 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True, eq=False, repr=False)
class Run(Shown):
    """The training of one Plan; `rows` is the number of samples per step."""

    index: int
    plan: Plan
    data: Dataset
    rows: int
    seed: int
    learning_rate: float
    valid: Dataset | None

    @property
    def idle(self) -> bool:
        """Whether no step would change anything."""
        return not (self.plan.trains and len(self.data))

    def start(self, dtype: torch.dtype) -> Fit:
        """Return the result of the run if it takes no step."""
        start = {name: tensor[None].to(dtype) for name, tensor in self.plan.start.items()}
        return fits_of([self], start, torch.zeros(1, 0, dtype=dtype), [{}])[0]


def fits_of(
    runs: Sequence[Run], trained: Weights, objective: Float[Tensor, "run step"], results: Sequence[dict[str, Any]]
) -> list[Fit]:
    """Return the results of a stack of runs from its trained tensors, and the further attributes of each run's `Fit`."""
    reparametrisation, tensors = runs[0].plan.reparametrisation, unstack(trained)
    weights = tensors if reparametrisation is None else unstack(reparametrisation(trained))
    return [Fit(w, t, objective[i].clone(), **results[i]) for i, (w, t) in enumerate(zip(weights, tensors, strict=True))]


def runs_of(
    model: Any,
    plans: Any,
    datasets: Any,
    seeds: Sequence[int],
    learning_rate: float | Sequence[float],
    valid: Sequence[Dataset] | None,
    options: Options,
) -> list[Run]:
    """Check the arguments of `fit`, which are explained there, and return its runs.

    Raises:
        ValueError: if lengths disagree, widths do not fit the model, or a number is out of range.
    """
    plans, datasets = _as_lists(model, plans, datasets)
    check_model(model)
    rates: list[Any] = list(learning_rate) if isinstance(learning_rate, list | tuple) else [learning_rate] * len(plans)
    check_numbers(**{f"learning_rate {run}": rate for run, rate in enumerate(rates)})
    for label, given in (("datasets", datasets), ("seeds", seeds), ("learning_rate", rates), ("valid", valid)):
        if given is not None and len(given) != len(plans):
            raise ValueError(f"fit needs one entry of {label} for each of the {len(plans)} plans, got {len(given)}")
    if any(not 0 <= rate < math.inf for rate in rates):
        raise ValueError(f"learning_rate must be finite and not negative, got {rates}")
    _check_widths(model, plans, [*datasets, *(valid or ())])
    if (held := 4 * options.steps * len(plans)) > memory_bytes():  # the history of the objective alone
        raise ValueError(
            f"steps={options.steps} of {len(plans)} runs would take {held:.1e} bytes, more than the memory: use fewer"
        )
    rows = [min(len(data), options.batch_size or len(data)) for data in datasets]
    validation: Sequence[Dataset | None] = valid or [None] * len(plans)
    return [Run(*run) for run in zip(range(len(plans)), plans, datasets, rows, seeds, rates, validation, strict=True)]


def _as_lists(model: Any, plans: Any, datasets: Any) -> tuple[list[Plan], list[Dataset]]:
    """Return the runs' Plans and datasets as lists, after a check of their types."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"fit trains a torch.nn.Module, such as surrogate.model, got {got(model)}")
    if isinstance(plans, Plan) or not isinstance(datasets, list | tuple):
        raise ValueError("fit takes lists, with an entry for each run, as in fit(model, [plan], [data], seeds=[0], ...)")
    if strange := [plan for plan in plans if not isinstance(plan, Plan)]:
        raise ValueError(f"fit follows Plans, as make_plan gives them, got {got(strange[0])}: transfer takes methods")
    return list(plans), [as_dataset("a run's dataset", data) for data in datasets]


def _check_widths(model: nn.Module, plans: Sequence[Plan], datasets: Sequence[Dataset]) -> None:
    """Check shapes that would otherwise fail inside the solver, or be broadcast without an error."""
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    for plan in plans:
        if {name: weight.shape for name, weight in plan.seen().items()} != shapes:
            raise ValueError(f"a plan is for other weights than the model's: {', '.join(shapes)}")
    widths = {data.widths for data in datasets}
    for inputs, outputs in widths:
        weights = dict(model.named_parameters())
        try:
            with torch.no_grad():
                predicted = evaluate(model, weights, torch.zeros(1, inputs, dtype=next(iter(weights.values())).dtype))[0].shape[
                    1
                ]
        except RuntimeError as error:
            raise ValueError(f"the model does not take the {inputs} input columns of the data") from error
        if predicted != outputs:
            raise ValueError(f"the model predicts {predicted} output columns, the data have {outputs}")
