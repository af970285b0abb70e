"""The interface of a transfer method.

A method is a frozen dataclass of hyper-parameters with one function, `adapt`, which adapts a source surrogate to a target. If a
problem has to be solved on the way, `adapt` is a generator that yields the problem and receives the solution:

    def adapt(self, case):
        essential = magnitude_mask(case.surrogate.weights, self.sparsity)
        allocated = yield case.on_source(case.surrogate, allocate_plan(...))
        return (yield case.on_target(allocated, calibrate_plan(...)))

A problem is a Plan to be trained (`Train`), a measurement (`Measure`), or a list of other methods with their cases. The method
waits for all methods of such a list together and receives their `Outcome`s. What needs no solver need not be yielded: a closed
form is ordinary code. `runner.run` drives methods; only the runner calls the solver, and no method ever trains.
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
    """The error of a method that does not apply to a case (such as co-kriging of thousands of outputs), with the reason."""


@runtime_checkable
class Method(Protocol):
    """A transfer method.

    Besides `adapt` it may have the following attributes or properties:

    - `needs_source`: it cannot give a result without source samples;
    - `needs_target`: it does not use the source, and cannot give a result without target samples;
    - `learns_outputs`: False if it sees no target samples, and so cannot give outputs that the source lacks;
    - `leaves_out`: True if its result holds the residuals that intervals need, so that `LeaveOut` need not refit it;
    - `chooses`: True if it is itself a choice among methods, and so cannot be a candidate in another choice.
    """

    def adapt(self, case: Case) -> "Adaptation | Surrogate":
        """Adapt the case's surrogate to its target.

        Returns:
            The result, or a generator of problems that returns the result. The result is a surrogate, the outcome of a method
            that was waited for, or another method, which then takes the place of this one.

        Raises:
            NotApplicableError: if the method does not apply to the case.
        """
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Outcome(Shown):
    """The outcome of a method on a case.

    Attributes:
        surrogate: the adapted surrogate; the case's own if the method diverged or does not apply.
        method: the method, with its hyper-parameters, that gave the surrogate; after a choice, the method that was chosen.
        seconds: the method's part of the time that its problems took.
        diverged: the step at which a training diverged, or None.
        refused: the reason why the method does not apply to the case, or None.
        source_steps: gradient steps on the source samples that the result took, including those of methods that were waited
            for. The runner counts them. Steps that several methods share count for each of them, and trials that only led to a
            choice count for none.
    """

    surrogate: Surrogate
    method: Method
    seconds: float = 0.0
    diverged: int | None = None
    refused: str | None = None
    source_steps: int = 0

    @property
    def sound(self) -> bool:
        """Whether the method gave an adapted surrogate."""
        return self.diverged is None and self.refused is None


Problem: TypeAlias = "Train | Measure | list[tuple[Method, Case]]"
Adaptation: TypeAlias = Generator[Problem, Any, "Surrogate | Outcome | Method"]


def needs_source(method: Method) -> bool:
    """Return whether the method requires source samples."""
    return bool(getattr(method, "needs_source", False))


def needs_target(method: Method) -> bool:
    """Return whether the method requires target samples."""
    return bool(getattr(method, "needs_target", False))


def learns_outputs(method: Method) -> bool:
    """Return whether the method learns from target samples, and so can learn outputs that the source does not have."""
    return bool(getattr(method, "learns_outputs", True))


def check_case(method: Method, case: Case) -> None:
    """Check, before any work, that a case has what a method needs.

    Raises:
        ValueError: if source samples or target samples are missing, or the outputs are new and the method cannot learn them.
    """
    candidates = getattr(method, "candidates", (method,))
    name = type(candidates[0]).__name__
    for candidate in candidates:
        if case.source is None and needs_source(candidate):
            raise ValueError(f"{type(candidate).__name__} trains on source data: pass source=<source training samples>")
    if len(case.target) == 0 and needs_target(method):
        raise ValueError(f"{name} needs target samples: give at least 1")
    if not (same_variables(case.target.outputs, case.surrogate.outputs) or learns_outputs(method)):
        outputs = ", ".join(variable.name for variable in case.target.outputs)
        raise ValueError(
            f"{name} cannot give outputs that the source lacks ({outputs}): choose a method that trains on the target"
        )
