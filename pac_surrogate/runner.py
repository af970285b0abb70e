"""The runner, the only module where methods and solvers meet: it drives any number of methods and solves their problems.

The problems for which all methods wait at the same time are collected in one list, and the Plans among them are one list of
runs for the trainer. Problems of equal content are solved once, regardless of which methods pose them. A method that waits for
other methods continues when all of them have ended; the problems of methods for which others wait are solved first.
"""

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.weak import WeakTensorKeyDictionary

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.case import Case, widened
from pac_surrogate.methods.method import Method, NotApplicableError, Outcome
from pac_surrogate.methods.problems import Measure, Train
from pac_surrogate.models.weights import fingerprint
from pac_surrogate.plan import Plan
from pac_surrogate.solvers.training import Fit, fit
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import got


@dataclass(frozen=True)
class Solver:
    """The settings of the trainer; they affect results by rounding only.

    Attributes:
        device: "auto" means CUDA if it is available.
        stack_memory: approximate number of bytes that one stack may take.
        cache: folder of finished stacks, from which an interrupted computation continues.
        progress: whether to show a progress bar; by default only on a terminal.
    """

    device: str = "auto"
    stack_memory: int | None = None
    cache: Path | None = None
    progress: bool | None = None

    def options(self) -> dict[str, Any]:
        """Return the settings as arguments of `fit`."""
        return dataclasses.asdict(self)


def run(given: Sequence[tuple[Method, Case]], solver: Solver) -> list[Outcome]:
    """Run each method on its case and return the outcomes.

    If a training diverges or a method does not apply, only that method ends, and its outcome states the reason.

    Raises:
        ValueError: if a method raises it, or methods wait for each other in a circle.
    """
    runner, caller = _Runner(solver), _Waiter(())
    runner.wait(caller, given)
    while runner.ready or runner.waiting:
        while runner.ready:
            runner.advance(*runner.ready.popleft())
        if runner.waiting:
            runner.solve()
    if not all(caller.answers):
        raise ValueError("a method must not wait for itself on its own case: change one of them")
    return [outcome for outcome in caller.answers if outcome is not None]


@dataclass(eq=False)
class _Waiter:
    """An object that waits for methods: another method, or the caller, whose place is ()."""

    place: tuple[int, ...]  # the place of the first waiter for this method, followed by the position in that waiter's list
    answers: list[Outcome | None] = field(default_factory=list)
    seconds: float = 0.0
    source_steps: int = 0


@dataclass(eq=False)
class _Work(_Waiter):
    """A method that is running on a case."""

    method: Method = field(kw_only=True)
    case: Case = field(kw_only=True)
    waiters: list[tuple[_Waiter, int]] = field(default_factory=list)
    generator: Generator[Any, Any, Any] | None = None
    outcome: Outcome | None = None

    def result(self, surrogate: Surrogate | None = None, **failure: Any) -> Outcome:
        """Return the outcome with a surrogate, or with the case's own after a failure."""
        surrogate = self.case.surrogate if surrogate is None else surrogate
        return Outcome(surrogate, self.method, source_steps=self.source_steps, **failure)


class _Runner:
    def __init__(self, solver: Solver) -> None:
        self.solver = solver
        self.ready: deque[tuple[_Work, Any]] = deque()  # methods with the results with which they continue
        self.waiting: list[tuple[_Work, Train | Measure]] = []
        self.works: dict[Hashable, _Work] = {}
        self.known: dict[Hashable, Any] = {}
        # Digests are computed once for each object.
        self._tensors: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._contents: dict[Dataset, Hashable] = {}
        self._networks: dict[Surrogate, Hashable] = {}
        self._scaled: dict[Hashable, Dataset] = {}

    # Methods ---------------------------------------------------------------------------------------------------------------

    def wait(self, waiter: _Waiter, asked: Sequence[tuple[Method, Case]]) -> None:
        """Start methods on their cases, equal ones once; the waiter receives their outcomes."""
        waiter.answers = [None] * len(asked)
        for number, (method, case) in enumerate(asked):
            key = (method, self._case(case))
            work = self.works.get(key)
            if work is None:
                work = self.works[key] = _Work((*waiter.place, number), method=method, case=case, waiters=[(waiter, number)])
                self._adapt(work, method)
            elif work.outcome is None:
                work.waiters.append((waiter, number))
            else:  # a method that has already ended takes no further time
                self._hear(waiter, number, dataclasses.replace(work.outcome, seconds=0.0))
        if not asked and isinstance(waiter, _Work):
            self.ready.append((waiter, []))

    def _adapt(self, work: _Work, method: Method) -> None:
        """Start a method, in place of the previous one of this work, whose steps on the source its result does not take."""
        work.method, work.source_steps = method, 0
        _, found = self._step(work, lambda: method.adapt(work.case))
        if isinstance(found, Generator):
            work.generator = found
            self.ready.append((work, None))
        else:
            self._end(work, found)

    def advance(self, work: _Work, answer: Any) -> None:
        """Give a method the result that it waits for, and receive its next problem or its own result."""
        generator: Any = work.generator
        ended, asked = self._step(work, lambda: generator.send(answer))
        if ended:
            self._end(work, asked)
        elif isinstance(asked, list):
            self.wait(work, asked)
        elif isinstance(asked, Train | Measure):
            self.waiting.append((work, asked))
        else:
            raise ValueError(f"adapt of {work.method} must yield Train, Measure or a list of (method, case), got {got(asked)}")

    def _step(self, work: _Work, act: Callable[[], Any]) -> tuple[bool, Any]:
        """Run a method up to its next problem; return whether it has ended, and its result or that problem."""
        began = time.perf_counter()
        try:
            return False, act()
        except StopIteration as end:
            return True, end.value
        except NotApplicableError as error:
            return True, work.result(refused=str(error))
        finally:
            work.seconds += time.perf_counter() - began

    def _end(self, work: _Work, found: Any) -> None:
        """Record the outcome of a method and pass it to the waiters, among which its seconds are divided."""
        if isinstance(found, Surrogate):
            found = work.result(found)
        if not isinstance(found, Outcome):
            if not hasattr(found, "adapt"):
                raise ValueError(f"adapt of {work.method} must return a surrogate, an outcome or a method, got {got(found)}")
            self._adapt(work, found)
            return
        if work.generator is not None:
            work.generator.close()
        work.outcome = dataclasses.replace(found, seconds=work.seconds / len(work.waiters))
        for waiter, number in work.waiters:
            self._hear(waiter, number, work.outcome)

    def _hear(self, waiter: _Waiter, number: int, outcome: Outcome) -> None:
        waiter.answers[number] = outcome
        waiter.seconds += outcome.seconds
        waiter.source_steps += outcome.source_steps
        if isinstance(waiter, _Work) and all(answer is not None for answer in waiter.answers):
            self.ready.append((waiter, waiter.answers))

    # Problems --------------------------------------------------------------------------------------------------------------

    def solve(self) -> None:
        """Solve the problems of the most deeply nested methods, so that these can continue, in their order."""
        depth = max(len(work.place) for work, _ in self.waiting)
        due = [(work, problem) for work, problem in self.waiting if len(work.place) == depth]
        self.waiting = [(work, problem) for work, problem in self.waiting if len(work.place) < depth]
        due.sort(key=lambda one: one[0].place)
        keys = [self._key(work, problem) for work, problem in due]
        seconds, asked = dict.fromkeys(keys, 0.0), Counter(keys)
        new: dict[Hashable, tuple[_Work, Train | Measure]] = {}
        for key, one in zip(keys, due, strict=True):
            if key not in self.known:
                new.setdefault(key, one)
        stacks: dict[Hashable, list[Hashable]] = {}
        for key, (work, problem) in new.items():
            if isinstance(problem, Measure):
                began = time.perf_counter()
                self.known[key] = self._measure(problem)
                seconds[key] = time.perf_counter() - began
            else:
                group = (problem.surrogate.network.shape_key, problem.steps, work.case.budget.batch_size)
                stacks.setdefault(group, []).append(key)
        for members in stacks.values():
            problems = [problem for _, problem in (new[key] for key in members) if isinstance(problem, Train)]
            fits = self._train(problems, [new[key][0].case for key in members])
            for key, result in zip(members, fits, strict=True):
                self.known[key] = result
                seconds[key] = result.seconds
        for key, (work, problem) in zip(keys, due, strict=True):
            work.seconds += seconds[key] / asked[key]  # the time of a shared problem is divided equally
            self._deliver(work, problem, self.known[key])

    def _deliver(self, work: _Work, problem: Train | Measure, answer: Any) -> None:
        if isinstance(problem, Train):
            work.source_steps += problem.steps if problem.data is work.case.source else 0
            if answer.diverged is not None:
                self._end(work, work.result(diverged=answer.diverged))
            else:
                trained = self._trained(problem, answer)
                self.ready.append((work, (trained, answer.tensors) if problem.with_tensors else trained))
        elif isinstance(answer, NotApplicableError):
            self._end(work, work.result(refused=str(answer)))
        else:
            self.ready.append((work, answer))

    def _measure(self, problem: Measure) -> Any:
        try:
            return problem.function(problem.surrogate, self._in_scales(problem), *problem.settings)
        except NotApplicableError as error:
            return error

    def _train(self, problems: Sequence[Train], cases: Sequence[Case]) -> list[Fit]:
        network = problems[0].surrogate.network
        return fit(
            network.module,
            [problem.plan for problem in problems],
            [self._in_scales(problem) for problem in problems],
            seeds=[case.seed for case in cases],
            steps=problems[0].steps,
            learning_rate=[problem.learning_rate for problem in problems],
            batch_size=cases[0].budget.batch_size,
            dtype=network.dtype,
            schedule="cosine",
            **self.solver.options(),
        )

    def _trained(self, problem: Train, result: Fit) -> Surrogate:
        """Return the surrogate with the trained weights, and with its range of inputs widened by the data."""
        surrogate, essential = problem.surrogate, problem.plan.essential
        network = surrogate.network
        kept = network.essential if essential is None else essential
        predictor = dataclasses.replace(network, weights=result.weights, essential=kept)
        return widened(dataclasses.replace(surrogate, predictor=predictor, allocated=None), problem.data)

    # Content ---------------------------------------------------------------------------------------------------------------

    def _key(self, work: _Work, problem: Train | Measure) -> Hashable:
        """Return the key of a problem; problems of equal content have equal keys and are solved once."""
        network, data = self._network(problem.surrogate), self._content(problem.data)
        if isinstance(problem, Measure):
            return (problem.function, problem.settings, network, data)
        spent = (problem.steps, problem.learning_rate, work.case.budget.batch_size, work.case.seed)
        return (*spent, self._plan(problem.plan), network, data)

    def _network(self, surrogate: Surrogate) -> Hashable:
        if surrogate not in self._networks:
            network, sides = surrogate.network, (surrogate.scaling.inputs, surrogate.scaling.outputs)
            columns = [{f.name: getattr(side, f.name) for f in dataclasses.fields(side)} for side in sides]
            content = fingerprint(network.weights, network.essential or {}, *columns, known=self._tensors)
            told = (surrogate.inputs, surrogate.outputs, surrogate.given_inputs, surrogate.given_outputs)
            key = (network.shape_key, network.essential is None, network.new_readout, content, told)
            self._networks[surrogate] = key
        return self._networks[surrogate]

    def _case(self, case: Case) -> Hashable:
        """Return the key of a case, including everything that a surrogate passes on to surrogates made from it."""
        surrogate, source = case.surrogate, None if case.source is None else self._content(case.source)
        points = [(name, axis.values.tobytes(), axis.units) for name, axis in surrogate.coordinates.items()]
        handed_on = (repr(surrogate.provenance), surrogate.folds, surrogate.allocated, tuple(points))
        return (self._network(surrogate), handed_on, self._content(case.target), source, case.budget, case.seed)

    def _content(self, data: Dataset) -> Hashable:
        if data not in self._contents:
            self._contents[data] = (data.digest(), data.inputs, data.outputs)
        return self._contents[data]

    def _in_scales(self, problem: Train | Measure) -> Dataset:
        """Return the data of a problem in its surrogate's scales; equal data are one object, which a stack holds once."""
        scaling = problem.surrogate.scaling
        sides = [
            {"mean": side.mean, "deviation": side.deviation, "log": side.logarithmic}
            for side in (scaling.inputs, scaling.outputs)
        ]
        key = (fingerprint(*sides, known=self._tensors), self._content(problem.data))
        if key not in self._scaled:
            self._scaled[key] = scaling.standardise(problem.data)
        return self._scaled[key]

    def _plan(self, plan: Plan) -> Hashable:
        regulariser = plan.regulariser
        tensors = [plan.start, plan.trainable, plan.anchor, plan.strength, plan.essential or {}]
        content = fingerprint(*tensors, {} if regulariser is None else regulariser.arrays, known=self._tensors)
        return (
            content,
            plan.essential is None,
            tuple(plan.rate.items()),
            regulariser,
            plan.reparametrisation,
            plan.perturbation,
        )
