"""What tests of methods share: a case, what a method asks for on it, and what it ends with."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import pac_surrogate as pac
from pac_surrogate.methods.case import Budget, Case
from pac_surrogate.methods.method import Method, Outcome, check_case
from pac_surrogate.methods.names import as_method
from pac_surrogate.methods.problems import Measure, Train
from pac_surrogate.plan import Plan
from pac_surrogate.prepare import prepare
from pac_surrogate.runner import Solver, run


def case_of(surrogate: pac.Surrogate, target: Any, source: Any = None, *, seed: int = 0, **spent: int) -> Case:
    """A case as it stands: nothing is brought under the surrogate's variables or scales."""
    return Case(surrogate, target, source, Budget(**spent), seed)


def transferred(
    surrogate: pac.Surrogate, target: pac.Dataset, given: Any, source: Any = None, *, seed: int = 0, **spent: int
) -> Outcome:
    """How a method, or a choice among several, ends on data that are first brought under the surrogate's variables."""
    method, case = as_method(given), prepare(surrogate, target, source).case(Budget(**spent), seed)
    check_case(method, case)
    return outcome(method, case)


def outcomes(methods: list[Method], *cases: Case) -> list[Outcome]:
    """How methods end, all at once: each on its case, or all on one."""
    return run(list(zip(methods, cases * len(methods) if len(cases) == 1 else cases, strict=True)), Solver(device="cpu"))


def outcome(method: Method, case: Case) -> Outcome:
    """How a method ends."""
    return outcomes([method], case)[0]


def sound(method: Method, case: Case) -> pac.Surrogate:
    """The surrogate with which a method ends, which must be sound."""
    result = outcome(method, case)
    assert result.sound
    return result.surrogate


def problems(method: Method, case: Case) -> Generator[Any, Any, Any]:
    """The trainings that a method asks for, itself or by others for which it waits: `next(...)`, then `.send(surrogate)`.

    Measurements are answered.
    """
    asking: Any = method.adapt(case)
    if isinstance(asking, pac.Surrogate):  # a closed form
        return asking
    answer = None
    while True:
        try:
            asked = asking.send(answer)
        except StopIteration as end:
            return end.value
        if isinstance(asked, list):
            answer = []
            for other, own in asked:
                found = yield from problems(other, own)
                answer.append(Outcome(found, other))
        elif isinstance(asked, Measure):
            answer = asked.function(asked.surrogate, asked.surrogate.scaling.standardise(asked.data), *asked.settings)
        else:
            answer = yield asked


def training_of(method: Method, case: Case) -> Train:
    """The first training that a method asks for."""
    asked = next(problems(method, case))
    assert isinstance(asked, Train)
    return asked


def plan_of(method: Method, case: Case) -> Plan:
    """The Plan of the first training that a method asks for."""
    return training_of(method, case).plan


@dataclass(frozen=True, eq=False)
class Alone:
    """One problem as a method."""

    problem: Any

    def adapt(self, case: Case) -> Generator[Any, Any, Any]:
        """Wait for it."""
        return (yield self.problem)


def trained(asked: Train, case: Case) -> pac.Surrogate:
    """What comes of a training."""
    return outcome(Alone(asked), case).surrogate


def untrained(asked: Train, case: Case | None = None) -> pac.Surrogate:
    """What comes of a training without a step."""
    surrogate, plan = asked.surrogate, asked.plan
    essential = surrogate.essential if plan.essential is None else plan.essential
    return replace(surrogate, predictor=replace(surrogate.network, weights=plan.seen(), essential=essential))


def trainings(
    method: Method, case: Case, solve: Callable[[Train, Case], pac.Surrogate] = trained
) -> tuple[list[Train], list[pac.Surrogate], Any]:
    """The trainings that a method asks for one after another, what came of each, and what the method ends with."""
    asking, asked, answers = problems(method, case), [], []
    answer = None
    while True:
        try:
            asked.append(asking.send(answer))
        except StopIteration as end:
            return asked, answers, end.value
        answer = solve(asked[-1], case)
        answers.append(answer)
