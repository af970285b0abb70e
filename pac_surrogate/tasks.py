"""Transfers as tasks: any number of them at once, tuned by cross-validation, with the fits that intervals need."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Int

from pac_surrogate.arguments import got
from pac_surrogate.case import Cases
from pac_surrogate.choose import TRAINED, Auto, Candidate, Choose
from pac_surrogate.dataset import Dataset
from pac_surrogate.display import Shown
from pac_surrogate.method_names import resolve_name
from pac_surrogate.predictors import Folds
from pac_surrogate.repeats import count_of
from pac_surrogate.stages import Budget, Request, Session, Solver, Stages, parts_of
from pac_surrogate.surrogate import Surrogate, predict_many, provenance, same_variables
from pac_surrogate.transfer import Method, learns_outputs, make_method, needs_target

FEWEST_TO_TUNE = 4  # below this many inputs of target samples the first candidate serves
FOLDS = 10  # fits without a part of the samples, which intervals and choices need; at most one an input

Choosable: TypeAlias = Method | type | str  # a method, or the class or name of one
Parts = Sequence[tuple[np.ndarray, np.ndarray]]  # samples that stay and samples that are held out, of each fold


@dataclass(frozen=True, eq=False, repr=False)
class Task(Shown):
    """One transfer: a source surrogate, target samples, and a method or candidates to choose from by cross-validation.

    Attributes:
        surrogate, data, source: see `case.Case`; `source` is None where there is none.
        candidates: methods.
        seed: of initial weights, minibatches and folds.
        group: number of each target sample's input; None until the task is prepared.
    """

    surrogate: Surrogate
    data: Dataset
    candidates: tuple[Method, ...]
    source: Dataset | None
    seed: int
    group: Int[torch.Tensor, " sample"] | None = None

    def inputs(self) -> int:
        """How many different inputs the target samples have."""
        return count_of(_group_of(self))


@dataclass(frozen=True, eq=False, repr=False)
class Transferred(Shown):
    """The result of one transfer.

    Attributes:
        surrogate: the adapted surrogate.
        method: the method used, with its hyper-parameters.
        diverged: the step at which a stage diverged, or None.
        scores: mean squared error of each candidate in cross-validation, in standardised units; empty if none was needed.
        seconds: this transfer's share of the time of its stacks, cross-validation included.
        refused: why the method cannot serve this case, or None; then the surrogate is not adapted.
    """

    surrogate: Surrogate
    method: Method
    diverged: int | None
    scores: tuple[float, ...]
    seconds: float
    refused: str | None = None


def transfer_many(tasks: Sequence[Task], budget: Budget, solver: Solver) -> list[Transferred]:
    """Solve any number of transfers together: stage j of all of them is one list of runs, folds and candidates included.

    Raises:
        ValueError: if data do not fit a surrogate, or source data are missing.
    """
    tasks = _prepared(tasks)
    for task in tasks:
        check_task(task)
    session = Session(budget, solver)
    scores, spent = _cross_validate(session, tasks)
    chosen = [
        task.candidates[int(np.nanargmin(score)) if score and np.isfinite(score).any() else 0]
        for task, score in zip(tasks, scores, strict=True)
    ]
    others, trained = _train_candidates(session, tasks, chosen)
    finals = session.solve(
        [
            Request(task.surrogate, _joined(method, more), task.data, task.source, task.seed)
            for task, method, more in zip(tasks, chosen, others, strict=True)
        ]
    )
    return [
        Transferred(
            _remember(answer.surrogate, method, task, budget),
            method,
            answer.diverged,
            score,
            answer.seconds + sum(seconds),
            answer.refused,
        )
        for answer, method, task, score, *seconds in zip(finals, chosen, tasks, scores, spent, trained, strict=True)
    ]


def _prepared(tasks: Sequence[Task]) -> list[Task]:
    """Bring the data of each task under its surrogate's variables, and the surrogate's scales to the target."""
    cases, prepared = Cases(), []
    for task in tasks:
        _ = task.surrogate.network  # only a network can be the source of a transfer
        case = cases.prepare(task.surrogate, task.data, task.source)
        prepared.append(
            dataclasses.replace(task, surrogate=case.surrogate, data=case.data, source=case.source, group=case.group)
        )
    return prepared


def _group_of(task: Task) -> Int[torch.Tensor, " sample"]:
    assert task.group is not None
    return task.group


def _cross_validate(session: Session, tasks: Sequence[Task]) -> tuple[list[tuple[float, ...]], list[float]]:
    """Mean squared errors of each task's candidates on samples held out, standardised, and seconds."""
    trials = [
        (position, Request(task.surrogate, candidate, training, task.source, task.seed), held_out)
        for position, task in enumerate(tasks)
        if len(task.candidates) > 1 and task.inputs() >= FEWEST_TO_TUNE
        for candidate in task.candidates
        for training, held_out in session.folds(task.data, _group_of(task), task.seed)
    ]
    solved = session.solve([request for _, request, _ in trials])
    sound = [i for i, answer in enumerate(solved) if answer.diverged is None and answer.refused is None]
    held_out = [trials[i][2] for i in sound]
    squared = [float("inf")] * len(trials)
    predictions = predict_many([solved[i].surrogate for i in sound], held_out)
    for i, prediction, data in zip(sound, predictions, held_out, strict=True):
        outputs = solved[i].surrogate.scaling.outputs
        truth, guess = (
            outputs.standardise(torch.as_tensor(np.asarray(values, dtype=np.float64)))
            for values in (data.output_matrix, prediction)
        )
        squared[i] = float((guess - truth).square().mean(1).sum())
    errors: list[dict[Method, list[float]]] = [{} for _ in tasks]
    seconds = [0.0] * len(tasks)
    for (position, request, _), answer, error in zip(trials, solved, squared, strict=True):
        errors[position].setdefault(request.method, []).append(error)
        seconds[position] += answer.seconds
    scores = [
        tuple(sum(e[c]) / len(task.data) for c in task.candidates) if e else () for task, e in zip(tasks, errors, strict=True)
    ]
    return scores, seconds


def _train_candidates(
    session: Session, tasks: Sequence[Task], methods: Sequence[Method]
) -> tuple[list[tuple[Candidate, ...]], list[float]]:
    """Trained candidates of each task whose `Auto` asks for them, and seconds; candidates and folds are solved together."""
    requests: list[Request] = []
    parts: Parts
    cases: list[tuple[int, str, Parts, slice]] = []
    for position, (task, method) in enumerate(zip(tasks, methods, strict=True)):
        if not (isinstance(method, Auto) and method.trained and task.inputs() > 1):
            continue
        parts = parts_of(_group_of(task), task.seed, FOLDS)
        pieces = [task.data, *(task.data[rest] for rest, _ in parts)]
        for name, candidate in TRAINED.items():
            if task.source is None and any(where == "source" for where, _ in candidate.stages()):
                continue
            cases.append((position, name, parts, slice(len(requests), len(requests) + len(pieces))))
            requests += [Request(task.surrogate, candidate, piece, task.source, task.seed) for piece in pieces]
    answers = session.solve(requests)
    found: list[list[Candidate]] = [[] for _ in tasks]
    seconds = [0.0] * len(tasks)
    for position, name, parts, place in cases:
        whole, *rest = answers[place]
        seconds[position] += sum(answer.seconds for answer in answers[place])
        if all(answer.diverged is None and answer.refused is None for answer in (whole, *rest)):
            own = tasks[position]
            fitted = with_folds(whole.surrogate, own.data, _group_of(own), parts, [answer.surrogate for answer in rest])
            assert fitted.folds is not None
            found[position].append(Candidate(name, fitted.predictor, fitted.folds.residual))
    return [tuple(candidates) for candidates in found], seconds


def _joined(method: Method, others: tuple[Candidate, ...]) -> Method:
    """A method that chooses, with candidates beyond its own."""
    if not others:
        return method
    return Stages(tuple((where, Choose(others) if isinstance(rule, Choose) else rule) for where, rule in method.stages()))


def as_candidates(method: Any, *, on_source: bool = True) -> tuple[Method, ...]:
    """One method or several, as a tuple; "auto" is `Auto`, with or without source samples.

    Raises:
        ValueError: if there is none, or one is no method.
    """
    single = isinstance(method, str | type | Mapping) or not isinstance(method, Iterable)
    candidates = tuple(_as_method(one, on_source) for one in ((method,) if single else method))
    if not candidates:
        raise ValueError("method must name at least one candidate")
    if len(candidates) > 1 and any(isinstance(candidate, Auto) for candidate in candidates):
        raise ValueError("auto chooses by itself: give it alone, and other methods without it")
    return tuple(dict.fromkeys(candidates))  # equal ones would be one, tried twice


def _as_method(given: Any, on_source: bool) -> Method:
    """A method as it is, or the one of a class or a name, with its defaults."""
    if given is Auto or (isinstance(given, str) and resolve_name(given) == "auto"):
        return Auto(on_source=on_source)
    if isinstance(given, str | type):
        return make_method(given)
    if not hasattr(given, "stages"):
        raise ValueError(f"method must be a method such as pac.PAC(), its name, or a sequence of them, got {got(given)}")
    return given


def as_methods(methods: Any) -> dict[str, tuple[Method, ...]]:
    """Methods by name: a dictionary of them, or a list, in which each goes by its own name or that of its class.

    Raises:
        ValueError: if two have one name, or one is no method.
    """
    if not isinstance(methods, Mapping):
        listed = [methods] if isinstance(methods, str | type) or not isinstance(methods, Iterable) else list(methods)
        names = [_label(method) for method in listed]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"each method needs a name of its own, got {twice[0]} twice: give a dictionary by name, whose values may be "
                "several candidates of one method"
            )
        methods = dict(zip(names, listed, strict=True))
    return {name: as_candidates(method) for name, method in methods.items()}


def _label(method: Any) -> str:
    """What a method goes by that is given without a name."""
    while isinstance(method, list | tuple) and method:
        method = method[0]
    return method if isinstance(method, str) else (method if isinstance(method, type) else type(method)).__name__


def with_folds(
    adapted: Surrogate, data: Dataset, group: Int[torch.Tensor, " sample"], parts: Parts, others: Sequence[Surrogate]
) -> Surrogate:
    """Attach the fits without a part of the samples, and the residuals that they leave there."""
    outputs = adapted.scaling.outputs
    fold = torch.zeros(len(data), dtype=torch.int64)
    for place, (_, held_out) in enumerate(parts):
        fold[torch.as_tensor(held_out)] = place
    scaled = adapted.scaling.standardise(data)
    x, y = (torch.as_tensor(np.asarray(m, dtype=np.float64)) for m in (scaled.input_matrix, scaled.output_matrix))
    varies = outputs.deviation > 0  # what does not is restored to its mean, whatever stands here
    unit = torch.where(varies, outputs.deviation, 1.0)
    slope = torch.stack([torch.where(varies, other.scaling.outputs.deviation / unit, 1.0) for other in others])
    offset = torch.stack([torch.where(varies, (other.scaling.outputs.mean - outputs.mean) / unit, 0.0) for other in others])
    folds = Folds(tuple(other.predictor for other in others), fold, y, group, slope, offset)
    predicted = folds.predict(x)[fold, torch.arange(len(data))]
    return dataclasses.replace(adapted, folds=dataclasses.replace(folds, residual=y - predicted))


def _remember(surrogate: Surrogate, method: Method, task: Task, budget: Budget) -> Surrogate:
    """Add the transfer to what the surrogate remembers of its making."""
    origin = provenance(task.data, method=repr(method), seed=task.seed, **dataclasses.asdict(budget))
    return dataclasses.replace(surrogate, provenance={**surrogate.provenance, "transfer": origin})


def check_task(task: Task) -> None:
    """Refuse a task that its first method cannot serve; the task is a prepared one.

    Raises:
        ValueError: in one line.
    """
    for method in task.candidates:
        if task.source is None and any(where == "source" for where, _ in method.stages()):
            raise ValueError(f"{type(method).__name__} trains on source data: pass source=<source training samples>")
    if len(task.data) == 0 and needs_target(task.candidates[0]):
        raise ValueError(f"{type(task.candidates[0]).__name__} has no answer without target samples: give at least 1")
    if not (same_variables(task.data.outputs, task.surrogate.outputs) or learns_outputs(task.candidates[0])):
        name, outputs = type(task.candidates[0]).__name__, ", ".join(variable.name for variable in task.data.outputs)
        raise ValueError(
            f"{name} cannot give outputs that the source lacks ({outputs}): choose a method that trains on the target"
        )
