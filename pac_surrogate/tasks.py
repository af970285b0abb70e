"""Transfers as tasks: any number of them at once, tuned by cross-validation, with the fits that intervals need."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pac_surrogate.choose import TRAINED, Auto, Candidate, Choose
from pac_surrogate.dataset import Dataset
from pac_surrogate.predictors import Folds
from pac_surrogate.stages import Budget, Request, Session, Solver, Stages, parts_of
from pac_surrogate.surrogate import Surrogate, check_variables, predict_many, provenance, same_variables
from pac_surrogate.transfer import Method, learns_outputs, needs_target

FEWEST_TO_TUNE = 4  # below this many target samples the first candidate serves
FOLDS = 10  # fits without a part of the samples, which intervals and choices need; at most one a sample

Parts = Sequence[tuple[np.ndarray, np.ndarray]]  # samples that stay and samples that are held out, of each fold


@dataclass(frozen=True)
class Task:
    """One transfer: a source surrogate, target samples, and a method or candidates to choose from by cross-validation."""

    surrogate: Surrogate
    data: Dataset
    candidates: tuple[Method, ...]
    source: Dataset | None
    seed: int


@dataclass(frozen=True)
class Transferred:
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
    for task in tasks:
        _check_task(task)
    tasks = _settled(tasks)
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


def _settled(tasks: Sequence[Task]) -> list[Task]:
    """Where a surrogate has the target's outputs already its readout is a source's, also if an earlier transfer made it."""
    found: dict[int, Surrogate] = {}
    settled = []
    for task in tasks:
        network = task.surrogate.network
        if network.new_readout and same_variables(task.surrogate.outputs, task.data.outputs):
            known = dataclasses.replace(task.surrogate, predictor=dataclasses.replace(network, new_readout=False))
            task = dataclasses.replace(task, surrogate=found.setdefault(id(task.surrogate), known))
        settled.append(task)
    return settled


def _cross_validate(session: Session, tasks: Sequence[Task]) -> tuple[list[tuple[float, ...]], list[float]]:
    """Mean squared errors of each task's candidates on samples held out, standardised, and seconds."""
    trials = [
        (position, Request(task.surrogate, candidate, training, task.source, task.seed), held_out)
        for position, task in enumerate(tasks)
        if len(task.candidates) > 1 and len(task.data) >= FEWEST_TO_TUNE
        for candidate in task.candidates
        for training, held_out in session.folds(task.data, task.seed)
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
        if not (isinstance(method, Auto) and method.trained and len(task.data) > 1):
            continue
        parts = parts_of(task.data, task.seed, FOLDS)
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
            fitted = with_folds(whole.surrogate, tasks[position].data, parts, [answer.surrogate for answer in rest])
            assert fitted.folds is not None
            found[position].append(Candidate(name, fitted.predictor, fitted.folds.residual))
    return [tuple(candidates) for candidates in found], seconds


def _joined(method: Method, others: tuple[Candidate, ...]) -> Method:
    """A method that chooses, with candidates beyond its own."""
    if not others:
        return method
    return Stages(tuple((where, Choose(others) if isinstance(rule, Choose) else rule) for where, rule in method.stages()))


def as_candidates(method: Method | Sequence[Method] | str, *, on_source: bool = True) -> tuple[Method, ...]:
    """One method or several, as a tuple; "auto" is `Auto`, with or without source samples.

    Raises:
        ValueError: if there is none, or one is no method.
    """
    method = Auto(on_source=on_source) if method == "auto" else method
    single = isinstance(method, str) or not isinstance(method, Sequence)
    candidates: tuple[Any, ...] = (method,) if single else tuple(method)  # type: ignore[arg-type]
    for candidate in candidates:
        if not hasattr(candidate, "stages") or isinstance(candidate, type):
            raise ValueError(f"method must be a method such as pac.PAC(), or a sequence of them, got {candidate!r}")
        if isinstance(candidate, Auto) and len(candidates) > 1:
            raise ValueError("auto chooses by itself: give it alone, and other methods without it")
    if not candidates:
        raise ValueError("method must name at least one candidate")
    return tuple(dict.fromkeys(candidates))  # equal ones would be one, tried twice


def with_folds(adapted: Surrogate, data: Dataset, parts: Parts, others: Sequence[Surrogate]) -> Surrogate:
    """Attach the fits without a part of the samples, and the residuals that they leave there."""
    outputs = adapted.scaling.outputs
    fold = torch.zeros(len(data), dtype=torch.int64)
    for place, (_, held_out) in enumerate(parts):
        fold[torch.as_tensor(held_out)] = place
    scaled = adapted.scaling.standardise(data)
    x, y = (torch.as_tensor(np.asarray(m, dtype=np.float64)) for m in (scaled.input_matrix, scaled.output_matrix))
    slope = torch.stack([other.scaling.outputs.deviation / outputs.deviation for other in others])
    offset = torch.stack([(other.scaling.outputs.mean - outputs.mean) / outputs.deviation for other in others])
    folds = Folds(tuple(other.predictor for other in others), fold, y, slope, offset)
    predicted = folds.predict(x)[fold, torch.arange(len(data))]
    return dataclasses.replace(adapted, folds=dataclasses.replace(folds, residual=y - predicted))


def _remember(surrogate: Surrogate, method: Method, task: Task, budget: Budget) -> Surrogate:
    """Add the transfer to what the surrogate remembers of its making."""
    origin = provenance(task.data, method=repr(method), seed=task.seed, **dataclasses.asdict(budget))
    return dataclasses.replace(surrogate, provenance={**surrogate.provenance, "transfer": origin})


def _check_task(task: Task) -> None:
    _ = task.surrogate.network  # only a network can be the source of a transfer
    for method in task.candidates:
        if task.source is None and any(where == "source" for where, _ in method.stages()):
            raise ValueError(f"{type(method).__name__} trains on source data: pass source=<source training samples>")
    if len(task.data) == 0 and needs_target(task.candidates[0]):
        raise ValueError(f"{type(task.candidates[0]).__name__} has no answer without target samples: give at least 1")
    check_variables("inputs", task.data.inputs, task.surrogate.inputs)
    if same_variables(task.data.outputs, task.surrogate.outputs):
        check_variables("outputs", task.data.outputs, task.surrogate.outputs)
    elif not learns_outputs(task.candidates[0]):
        name, outputs = type(task.candidates[0]).__name__, ", ".join(variable.name for variable in task.data.outputs)
        raise ValueError(
            f"{name} cannot give outputs that the source lacks ({outputs}): choose a method that trains on the target"
        )
    if task.source is not None:
        check_variables("inputs", task.source.inputs, task.surrogate.inputs)
        check_variables("outputs", task.source.outputs, task.surrogate.outputs)
