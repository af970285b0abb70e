"""Helpers for tests of methods: a case, the problems that a method poses on it, and its outcome."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import pac_surrogate as pac
from pac_surrogate.methods.case import Budget, Case
from pac_surrogate.methods.method import Method, Outcome, check_case
from pac_surrogate.methods.problems import Measure, Train
from pac_surrogate.methods.specification import as_method
from pac_surrogate.plan import Plan
from pac_surrogate.prepare import prepare
from pac_surrogate.runner import Solver, run


def case_of(surrogate: pac.Surrogate, target: Any, source: Any = None, *, seed: int = 0, **spent: int) -> Case:
    """Return a case with the data as given: they are not converted to the surrogate's variables or scales."""
    return Case(surrogate, target, source, Budget(**spent), seed)


def transferred(
    surrogate: pac.Surrogate, target: pac.Dataset, given: Any, source: Any = None, *, seed: int = 0, **spent: int
) -> Outcome:
    """Return the outcome of a method, or of a choice among several, on data first converted to the surrogate's variables."""
    method, case = as_method(given), prepare(surrogate, target, source).case(Budget(**spent), seed)
    check_case(method, case)
    return outcome(method, case)


def outcomes(methods: list[Method], *cases: Case) -> list[Outcome]:
    """Return the outcomes of methods that run together: each on its own case, or all on the same one."""
    return run(list(zip(methods, cases * len(methods) if len(cases) == 1 else cases, strict=True)), Solver(device="cpu"))


def outcome(method: Method, case: Case) -> Outcome:
    """Return the outcome of a method."""
    return outcomes([method], case)[0]


def sound(method: Method, case: Case) -> pac.Surrogate:
    """Return the adapted surrogate of a method, which must neither diverge nor be refused."""
    result = outcome(method, case)
    assert result.sound
    return result.surrogate


def problems(method: Method, case: Case) -> Generator[Any, Any, Any]:
    """Yield the trainings that a method requests, itself or through methods on which it waits; `.send` takes the results.

    Measurements are carried out here.
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
    """Return the first training that a method requests."""
    asked = next(problems(method, case))
    assert isinstance(asked, Train)
    return asked


def plan_of(method: Method, case: Case) -> Plan:
    """Return the Plan of the first training that a method requests."""
    return training_of(method, case).plan


@dataclass(frozen=True, eq=False)
class Alone:
    """A method that poses a single problem, and records its solution."""

    problem: Any
    solutions: list[Any] = field(default_factory=list)

    def adapt(self, case: Case) -> Generator[Any, Any, Any]:
        """Wait for the solution of the problem."""
        solution = yield self.problem
        self.solutions.append(solution)
        return surrogate_of(solution)


def surrogate_of(solution: Any) -> pac.Surrogate:
    """Return the surrogate of the solution of a training, which may include the trained tensors."""
    return solution[0] if isinstance(solution, tuple) else solution


def trained(asked: Train, case: Case) -> Any:
    """Return the solution of a training."""
    method = Alone(asked)
    assert outcome(method, case).sound
    return method.solutions[0]


def untrained(asked: Train, case: Case | None = None) -> Any:
    """Return the solution of a training of no steps."""
    surrogate, plan = asked.surrogate, asked.plan
    essential = surrogate.essential if plan.essential is None else plan.essential
    surrogate = replace(surrogate, predictor=replace(surrogate.network, weights=plan.seen(), essential=essential))
    return (surrogate, plan.start) if asked.with_tensors else surrogate


def trainings(
    method: Method, case: Case, solve: Callable[[Train, Case], Any] = trained
) -> tuple[list[Train], list[pac.Surrogate], Any]:
    """Return the trainings that a method requests in turn, the surrogate after each, and the result of the method."""
    asking, asked, answers = problems(method, case), [], []
    answer = None
    while True:
        try:
            asked.append(asking.send(answer))
        except StopIteration as end:
            return asked, answers, end.value
        answer = solve(asked[-1], case)
        answers.append(surrogate_of(answer))
