"""What a transfer method is.

A method is a frozen dataclass of hyper-parameters with one function, `adapt`, that takes a source surrogate to a target. Where
it needs something solved, `adapt` is a generator that yields the problem and is given the answer:

    def adapt(self, case):
        essential = magnitude_mask(case.surrogate.weights, self.sparsity)
        allocated = yield case.on_source(case.surrogate, allocate_plan(...))
        return (yield case.on_target(allocated, calibrate_plan(...)))

A problem is a Plan to be trained (`Train`), a measurement (`Measure`), or a list of other methods with their cases, which the
method waits for together and whose `Outcome`s it is given. What needs no solver need not be yielded: a closed form is ordinary
code. `runner.run` drives methods; it alone knows the solver, and no method ever trains.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.problems import Measure, Train
from pac_surrogate.surrogates.layout import same_variables
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.display import Shown


class NotApplicableError(ValueError):
    """A method cannot serve this case (co-kriging of thousands of outputs, a spectrum of two samples): n/a, with the reason."""


@runtime_checkable
class Method(Protocol):
    """A transfer method.

    Beside `adapt` it may have, as attributes or properties,

    - `needs_source`: it has no answer without source samples;
    - `needs_target`: it does not use the source, and has no answer without target samples;
    - `learns_outputs`: False if it sees no target samples, and so cannot give outputs that the source lacks;
    - `leaves_out`: True if its answer holds the residuals that intervals need, so that `LeaveOut` need not fit it again;
    - `chooses`: True if it is itself a choice among methods, and no candidate for one.
    """

    def adapt(self, case: Case) -> "Adaptation | Surrogate":
        """Take the case's surrogate to its target.

        A generator of problems, or the answer at once. The answer is a surrogate; the outcome of a method that was waited for;
        or another method, which goes on in place of this one.

        Raises:
            NotApplicableError: if the method cannot serve the case.
        """
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Outcome(Shown):
    """How a method ended.

    Attributes:
        surrogate: the adapted surrogate; the case's own where the method diverged or was refused.
        method: the method, with its hyper-parameters, that gave it: of a choice among several the chosen one.
        seconds: its part of the time that its problems took.
        diverged: the step at which a training diverged, or None.
        refused: why the method cannot serve the case, or None.
    """

    surrogate: Surrogate
    method: Method
    seconds: float = 0.0
    diverged: int | None = None
    refused: str | None = None

    @property
    def sound(self) -> bool:
        """Whether there is an adapted surrogate."""
        return self.diverged is None and self.refused is None


Problem: TypeAlias = "Train | Measure | list[tuple[Method, Case]]"
Adaptation: TypeAlias = Generator[Problem, Any, "Surrogate | Outcome | Method"]


def needs_source(method: Method) -> bool:
    """Whether the method has no answer without source samples."""
    return bool(getattr(method, "needs_source", False))


def needs_target(method: Method) -> bool:
    """Whether the method has no answer without target samples."""
    return bool(getattr(method, "needs_target", False))


def learns_outputs(method: Method) -> bool:
    """Whether the method learns from target samples, and so outputs that the source does not have."""
    return bool(getattr(method, "learns_outputs", True))


def check_case(method: Method, case: Case) -> None:
    """Refuse a case that a method cannot serve, before any work.

    Raises:
        ValueError: in one line.
    """
    candidates = getattr(method, "candidates", (method,))
    name = type(candidates[0]).__name__
    for candidate in candidates:
        if case.source is None and needs_source(candidate):
            raise ValueError(f"{type(candidate).__name__} trains on source data: pass source=<source training samples>")
    if len(case.target) == 0 and needs_target(method):
        raise ValueError(f"{name} has no answer without target samples: give at least 1")
    if not (same_variables(case.target.outputs, case.surrogate.outputs) or learns_outputs(method)):
        outputs = ", ".join(variable.name for variable in case.target.outputs)
        raise ValueError(
            f"{name} cannot give outputs that the source lacks ({outputs}): choose a method that trains on the target"
        )
