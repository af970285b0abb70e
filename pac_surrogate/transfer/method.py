"""What a transfer method is.

A method is a frozen dataclass of hyper-parameters. Its `stages()` say on which data which rule plans; the result of a stage is
the source of the next. A rule either poses a Plan (`plan`) or has its answer in closed form (`solve`). Neither trains.

A rule may also have `share`, the part of the budget's steps that its Plan may take (1 by default; methods of several
training stages divide what others spend on one), and `prepare(surrogate, data)`, which gives the surrogate that is planned for,
where that is another architecture.
"""

from typing import Literal, Protocol, runtime_checkable

import torch

from pac_surrogate.dataset import Dataset
from pac_surrogate.plan import Plan
from pac_surrogate.predictors import Predictor
from pac_surrogate.surrogate import Surrogate


class NotApplicableError(ValueError):
    """A method cannot serve this case (co-kriging of thousands of outputs, a spectrum of two samples): n/a, with the reason."""


@runtime_checkable
class PlanRule(Protocol):
    """A rule that poses a Plan for the gradient solver."""

    @property
    def learning_rate(self) -> float:
        """Of Adam, for the tensors of relative rate 1."""
        ...

    def plan(self, surrogate: Surrogate, data: Dataset, generator: torch.Generator) -> Plan:
        """Pose the Plan; `data` is in standardised units."""
        ...


@runtime_checkable
class ClosedFormRule(Protocol):
    """A rule that needs no gradient."""

    def solve(self, surrogate: Surrogate, data: Dataset) -> Predictor:
        """Give the new predictor; `data` is in standardised units."""
        ...


Stage = tuple[Literal["source", "target"], PlanRule | ClosedFormRule]


@runtime_checkable
class Method(Protocol):
    """A transfer method. One that makes nothing of the source has no answer at n = 0 and sets `needs_target`."""

    def stages(self) -> tuple[Stage, ...]:
        """Say on which data which rule plans, in order."""
        ...


def needs_target(method: Method) -> bool:
    """Whether the method has no answer without target samples."""
    return bool(getattr(method, "needs_target", False))


def learns_outputs(method: Method) -> bool:
    """Whether the method trains on target samples, and can so learn outputs that the source does not have."""
    return any(where == "target" for where, _ in method.stages())


def share_of(rule: PlanRule | ClosedFormRule) -> float:
    """The part of the budget's steps that a rule's Plan may take."""
    return float(getattr(rule, "share", 1.0))


def check_rate(learning_rate: float) -> None:
    """Refuse a learning rate that is not a positive number.

    Raises:
        ValueError: in one line.
    """
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate must be positive and finite, got {learning_rate}")


def check_strength(**strengths: float) -> None:
    """Refuse a strength that is negative or not finite.

    Raises:
        ValueError: in one line.
    """
    for name, strength in strengths.items():
        if not 0 <= strength < float("inf"):
            raise ValueError(f"{name} must be finite and not negative, got {strength}")
