"""Pretrain, prune and allocate, transfer: the only file that joins methods and solvers."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pac_surrogate.choose import Auto
from pac_surrogate.dataset import Dataset
from pac_surrogate.models import MLP, Architecture, initial_weights
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import Folds, Network, build_network
from pac_surrogate.scaling import Columns, Scaling, fit_scaling
from pac_surrogate.surrogate import Surrogate, check_variables, predict_many, provenance, same_variables, with_outputs_of
from pac_surrogate.training import STACK_MEMORY, fit
from pac_surrogate.transfer import ClosedFormRule, Method, NotApplicableError, learns_outputs, needs_target, share_of
from pac_surrogate.transfer.pac import Allocate
from pac_surrogate.transfer.ticket import draw_stages

INTERVAL_FOLDS = 10  # fits by which intervals are calibrated, at most one a sample
FEWEST_TO_TUNE = 4  # below this many target samples the first candidate serves


@dataclass(frozen=True)
class Budget:
    """What every method may spend, the same for all.

    Attributes:
        steps: gradient steps of a stage on the target.
        source_steps: gradient steps of a stage on the source (PAC's allocate).
        batch_size: samples a step; fewer samples are used whole.
        folds: of the cross-validation that chooses among candidates, at most one a sample.
    """

    steps: int = 1000
    source_steps: int = 1000
    batch_size: int = 128
    folds: int = 5

    def __post_init__(self) -> None:
        if min(self.steps, self.source_steps) < 0 or self.batch_size < 1 or self.folds < 2:
            raise ValueError(f"a budget needs steps >= 0, batch_size >= 1 and folds >= 2, got {self}")


@dataclass(frozen=True)
class Solver:
    """Where and how stages are solved; no result depends on it but by rounding.

    Attributes:
        device: "auto" means CUDA where there is one.
        stack_memory: bytes that one stack may take.
        cache: folder of finished stacks, for resuming.
        progress: show a progress bar; by default on a terminal.
    """

    device: str = "auto"
    stack_memory: int = STACK_MEMORY
    cache: Path | None = None
    progress: bool | None = None

    def options(self) -> dict[str, Any]:
        """Give these as arguments of `fit`."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


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


def pretrain(
    data: Dataset,
    *,
    model: Architecture | None = None,
    seed: int = 0,
    steps: int = 3000,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    valid: Dataset | None = None,
    device: str = "auto",
) -> Surrogate:
    """Train a surrogate on source data, all weights free, learning rate down half a cosine.

    Args:
        data: source training samples; they fix the scaling.
        model: architecture, `MLP()` by default.
        seed: of the initial weights and of the minibatches.
        steps: of Adam.
        learning_rate: at the first step.
        batch_size: samples a step.
        valid: samples that choose the best weights along the way.
        device: "auto" means CUDA where there is one.

    Raises:
        ValueError: if the training diverges, or data and model do not fit.
    """
    return pretrain_seeds(
        data,
        model=model or MLP(),
        seeds=(seed,),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        valid=valid,
        solver=Solver(device=device),
    )[0]


def pretrain_seeds(
    data: Dataset,
    *,
    model: Architecture,
    seeds: Sequence[int],
    steps: int,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    valid: Dataset | None = None,
    solver: Solver | None = None,
) -> list[Surrogate]:
    """Pretrain a surrogate for each seed, all as one stack; see `pretrain`."""
    scaling = fit_scaling(data)
    if valid is not None:
        check_variables("inputs", valid.inputs, data.inputs)
        check_variables("outputs", valid.outputs, data.outputs)
    scaled, scaled_valid = scaling.standardise(data), scaling.standardise(valid) if valid is not None else None
    network = build_network(model, data.inputs, data.outputs)
    plans = [make_plan(initial_weights(network.module, _generator(seed))) for seed in seeds]
    fits = fit(
        network.module,
        plans,
        [scaled] * len(plans),
        seeds=list(seeds),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        valid=None if scaled_valid is None else [scaled_valid] * len(plans),
        schedule="cosine",
        **(solver or Solver()).options(),
    )
    surrogates = []
    for seed, result in zip(seeds, fits, strict=True):
        if result.diverged is not None:
            raise ValueError(
                f"pretraining diverged at step {result.diverged} (seed {seed}): lower learning_rate={learning_rate}"
            )
        origin = provenance(data, seed=seed, steps=steps, learning_rate=learning_rate, batch_size=batch_size)
        predictor = dataclasses.replace(network, weights=result.weights)
        surrogates.append(Surrogate(predictor, scaling, data.inputs, data.outputs, origin))
    return surrogates


def prune_and_allocate(
    surrogate: Surrogate,
    source: Dataset,
    *,
    sparsity: float = 0.8,
    seed: int = 0,
    steps: int = 1000,
    batch_size: int = 128,
    device: str = "auto",
    **options: Any,
) -> Surrogate:
    """PAC-Net's steps 1 and 2 by themselves: the result carries its essential mask.

    Args:
        surrogate: pretrained.
        source: source training samples.
        sparsity: fraction that is pruned.
        seed: of the minibatches, and of a random mask.
        steps: of Adam.
        batch_size: samples a step.
        device: "auto" means CUDA where there is one.
        options: further fields of `Allocate`.

    Raises:
        ValueError: if the training diverges, or an option is out of range.
    """
    method = _Stages((("source", Allocate(sparsity=sparsity, **options)),))
    task = Task(surrogate, source[:0], (method,), source, seed)
    (result,) = transfer_many([task], Budget(source_steps=steps, batch_size=batch_size), Solver(device=device))
    return _checked(result)


def draw_ticket(
    surrogate: Surrogate,
    source: Dataset,
    *,
    scheme: str = "IMP",
    granularity: str = "weight",
    sparsity: float = 0.8,
    robust: float = 0.0,
    attack_steps: int = 3,
    target: Dataset | None = None,
    seed: int = 0,
    steps: int = 1000,
    batch_size: int = 128,
    device: str = "auto",
) -> Surrogate:
    """Draw a ticket, a subnetwork of the source, without transferring it; see `Ticket`.

    Args:
        surrogate: pretrained.
        source: source training samples.
        scheme: OMP (one-shot magnitude) | IMP (iterative, rewound) | LMP (a mask learned on the target).
        granularity: what is pruned together: weight | row | kernel | channel.
        sparsity: fraction that is pruned.
        robust: radius of the disturbed inputs on the source, standardised; 0 draws a natural ticket.
        attack_steps: of the adversary; 0 is plain noise.
        target: target training samples, for LMP.
        seed: of the minibatches and the disturbances.
        steps: of Adam on the source, and on the target.
        batch_size: samples a step.
        device: "auto" means CUDA where there is one.

    Raises:
        ValueError: if the training diverges, target samples are missing, or an option is out of range.
    """
    rules = draw_stages(scheme, sparsity=sparsity, granularity=granularity, radius=robust, attack_steps=attack_steps)
    if scheme == "LMP" and not target:
        raise ValueError("scheme LMP learns its mask on the target: pass target=<target training samples>")
    data = target if scheme == "LMP" and target else source[:0]
    task = Task(surrogate, data, (_Stages(rules),), source, seed)
    (result,) = transfer_many([task], Budget(steps, steps, batch_size), Solver(device=device))
    return _checked(result)


def transfer(
    surrogate: Surrogate,
    data: Dataset,
    *,
    method: Method | Sequence[Method] | str = "auto",
    source: Dataset | None = None,
    seed: int = 0,
    steps: int = 1000,
    source_steps: int = 1000,
    batch_size: int = 128,
    folds: int = 5,
    intervals: bool = True,
    device: str = "auto",
) -> Surrogate:
    """Adapt a source surrogate to a target, of which there are few samples.

    Args:
        surrogate: pretrained on the source.
        data: target training samples.
        method: "auto" chooses among closed forms in seconds and says why (see `Auto` and the result's `choice`); or a method
            with its hyper-parameters; or several candidates (see `grid`): then K-fold cross-validation on `data` chooses, and
            below 4 samples the first one serves.
        source: source training samples, for methods that train on them.
        seed: of initial weights, masks, minibatches and folds.
        steps: gradient steps on the target.
        source_steps: gradient steps on the source, for methods with such a stage.
        batch_size: samples a step; fewer are used whole.
        folds: of the cross-validation, at most one a sample.
        intervals: also fit without each of at most 10 parts of the samples, in the same stacks, for `predict_interval`; "auto"
            needs no such fits.
        device: "auto" means CUDA where there is one.

    Raises:
        ValueError: if the training diverges, data do not fit the surrogate, or `source` is missing.
    """
    chosen = Auto(features=source is not None) if method == "auto" else method
    task = Task(surrogate, data, as_candidates(chosen), source, seed)
    budget = Budget(steps, source_steps, batch_size, folds)
    left_out = intervals and len(data) > 1 and not isinstance(task.candidates[0], Auto)
    parts = _parts(data, seed, INTERVAL_FOLDS) if left_out else []
    tasks = [Task(surrogate, data[rest], task.candidates, source, seed) for rest, _ in parts]
    result, *others = transfer_many([task, *tasks], budget, Solver(device=device))
    adapted = _checked(result)
    sound = all(other.diverged is None and other.refused is None for other in others)
    return _with_folds(adapted, data, parts, [other.surrogate for other in others]) if parts and sound else adapted


def _parts(data: Dataset, seed: int, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Samples that stay and samples that are held out, of each fold."""
    order = np.random.default_rng((seed, len(data))).permutation(len(data))
    return [(np.sort(np.setdiff1d(order, part)), np.sort(part)) for part in np.array_split(order, min(folds, len(data)))]


def _with_folds(
    adapted: Surrogate, data: Dataset, parts: Sequence[tuple[np.ndarray, np.ndarray]], others: Sequence[Surrogate]
) -> Surrogate:
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


def transfer_many(tasks: Sequence[Task], budget: Budget, solver: Solver) -> list[Transferred]:
    """Solve any number of transfers together: stage j of all of them is one list of runs, folds and candidates included.

    Raises:
        ValueError: if data do not fit a surrogate, or source data are missing.
    """
    for task in tasks:
        _check_task(task)
    session = _Session(budget, solver)
    trials: list[tuple[int, _Request]] = []
    for position, task in enumerate(tasks):
        if len(task.candidates) > 1 and len(task.data) >= FEWEST_TO_TUNE:
            trials += [
                (position, _Request(task.surrogate, candidate, training, task.source, task.seed, held_out))
                for candidate in task.candidates
                for training, held_out in session.folds(task.data, task.seed)
            ]
    solved = session.solve([request for _, request in trials])
    sound = [i for i, answer in enumerate(solved) if answer.diverged is None and answer.refused is None]
    held_out = [_held_out(trials[i][1]) for i in sound]
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
    for (position, request), answer, error in zip(trials, solved, squared, strict=True):
        errors[position].setdefault(request.method, []).append(error)
        seconds[position] += answer.seconds
    scores = [
        tuple(sum(e[c]) / len(task.data) for c in task.candidates) if e else () for task, e in zip(tasks, errors, strict=True)
    ]
    chosen = [
        task.candidates[int(np.nanargmin(score)) if score and np.isfinite(score).any() else 0]
        for task, score in zip(tasks, scores, strict=True)
    ]
    finals = session.solve(
        [
            _Request(task.surrogate, method, task.data, task.source, task.seed)
            for task, method in zip(tasks, chosen, strict=True)
        ]
    )
    return [
        Transferred(
            _remember(answer.surrogate, method, task, budget),
            method,
            answer.diverged,
            score,
            answer.seconds + spent,
            answer.refused,
        )
        for answer, method, task, score, spent in zip(finals, chosen, tasks, scores, seconds, strict=True)
    ]


def as_candidates(method: Method | Sequence[Method] | str) -> tuple[Method, ...]:
    """One method or several, as a tuple.

    Raises:
        ValueError: if there is none, or one is no method.
    """
    single = isinstance(method, str) or not isinstance(method, Sequence)
    candidates: tuple[Any, ...] = (method,) if single else tuple(method)  # type: ignore[arg-type]
    for candidate in candidates:
        if not hasattr(candidate, "stages") or isinstance(candidate, type):
            raise ValueError(f"method must be a method such as pac.PAC(), or a sequence of them, got {candidate!r}")
    if not candidates:
        raise ValueError("method must name at least one candidate")
    return tuple(dict.fromkeys(candidates))  # equal ones would be one, tried twice


@dataclass(frozen=True)
class _Stages:
    """A bare sequence of stages as a method."""

    rules: tuple[Any, ...]

    def stages(self) -> tuple[Any, ...]:
        return self.rules


@dataclass(frozen=True)
class _Request:
    surrogate: Surrogate
    method: Method
    data: Dataset
    source: Dataset | None
    seed: int
    held_out: Dataset | None = None


@dataclass(frozen=True)
class _Answer:
    surrogate: Surrogate
    diverged: int | None = None
    seconds: float = 0.0
    refused: str | None = None


class _Session:
    """Solves lists of requests; what several of them share (folds, scaled data, allocated sources) is made once."""

    def __init__(self, budget: Budget, solver: Solver) -> None:
        self.budget, self.solver = budget, solver
        self._folds: dict[tuple[int, int], list[tuple[Dataset, Dataset]]] = {}
        # Keys hold identities; each entry holds the objects too, so that no identity is ever reused.
        self._scaled: dict[tuple[int, ...], tuple[Dataset, Any]] = {}
        self._ranges: dict[int, tuple[Columns, Dataset]] = {}
        self._answers: dict[tuple[Any, ...], tuple[_Answer, Any]] = {}

    def folds(self, data: Dataset, seed: int) -> list[tuple[Dataset, Dataset]]:
        """Training and held-out part of each fold, the same for every method."""
        key = (id(data), seed)
        if key not in self._folds:
            self._folds[key] = [(data[rest], data[part]) for rest, part in _parts(data, seed, self.budget.folds)]
        return self._folds[key]

    def solve(self, requests: Sequence[_Request]) -> list[_Answer]:
        answers = [_Answer(request.surrogate) for request in requests]
        stages = [request.method.stages() for request in requests]
        for stage in range(max(map(len, stages), default=0)):
            due: dict[tuple[Any, ...], list[int]] = {}
            for i, request in enumerate(requests):
                if stage < len(stages[i]) and answers[i].refused is None:
                    where, rule = stages[i][stage]
                    data = request.source if where == "source" else request.data
                    due.setdefault((where, rule, id(answers[i].surrogate), id(data), request.seed), []).append(i)
            new = {key: members[0] for key, members in due.items() if key not in self._answers}
            self._solve_stage({key: (requests[i], answers[i].surrogate) for key, i in new.items()})
            for key, members in due.items():
                for i in members:
                    done, _ = self._answers[key]
                    broken = answers[i].diverged if answers[i].diverged is not None else done.diverged
                    # What several share costs each its part, and what was solved before costs nothing now.
                    share = done.seconds / len(members) if key in new else 0.0
                    answers[i] = _Answer(done.surrogate, broken, answers[i].seconds + share, done.refused)
        return answers

    def _solve_stage(self, due: Mapping[tuple[Any, ...], tuple[_Request, Surrogate]]) -> None:
        posed: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        for key, (request, surrogate) in due.items():
            where, rule = key[0], key[1]
            data = _data_of(request, where)
            began = time.perf_counter()
            try:
                adapted = getattr(rule, "prepare", with_outputs_of)(surrogate, data)
                scaled = self.scaled(adapted.scaling, data)
                if isinstance(rule, ClosedFormRule):
                    solved = dataclasses.replace(adapted, predictor=rule.solve(adapted, scaled))
                    self._keep(key, due[key], _Answer(solved, seconds=time.perf_counter() - began))
                else:
                    plan = rule.plan(adapted, scaled, _generator(request.seed))
                    posed.setdefault((where, adapted.network.shape_key, share_of(rule)), []).append(
                        (key, adapted, scaled, plan)
                    )
            except NotApplicableError as error:
                self._answers[key] = (_Answer(surrogate, refused=str(error)), due[key])
        for (where, _, share), runs in posed.items():
            keys, surrogates, scaled_data, plans = zip(*runs, strict=True)
            fits = fit(
                surrogates[0].model,
                plans,
                scaled_data,
                seeds=[due[key][0].seed for key in keys],
                steps=round(share * (self.budget.source_steps if where == "source" else self.budget.steps)),
                learning_rate=[key[1].learning_rate for key in keys],
                batch_size=self.budget.batch_size,
                dtype=surrogates[0].network.dtype,
                schedule="cosine",
                **self.solver.options(),
            )
            for key, surrogate, plan, result in zip(keys, surrogates, plans, fits, strict=True):
                network: Network = surrogate.network
                essential = plan.essential if plan.essential is not None else network.essential
                predictor = dataclasses.replace(network, weights=result.weights, essential=essential)
                adapted = dataclasses.replace(surrogate, predictor=predictor)
                self._keep(key, due[key], _Answer(adapted, result.diverged, result.seconds))

    def _keep(self, key: tuple[Any, ...], origin: tuple[_Request, Surrogate], answer: _Answer) -> None:
        """Remember an answer, its range of inputs widened by the data that it has now seen."""
        data = _data_of(origin[0], key[0])
        if len(data):
            if id(data) not in self._ranges:
                self._ranges[id(data)] = (fit_scaling(data).inputs, data)
            scaling = answer.surrogate.scaling
            inputs = scaling.inputs.widened(self._ranges[id(data)][0])
            surrogate = dataclasses.replace(answer.surrogate, scaling=Scaling(inputs, scaling.outputs))
            answer = dataclasses.replace(answer, surrogate=surrogate)
        self._answers[key] = (answer, origin)

    def scaled(self, scaling: Scaling, data: Dataset) -> Dataset:
        """Standardise each dataset once for each scaling."""
        statistics = (scaling.inputs.mean, scaling.inputs.deviation, scaling.outputs.mean, scaling.outputs.deviation)
        key = (*(id(tensor) for tensor in statistics), id(data))
        if key not in self._scaled:
            self._scaled[key] = (scaling.standardise(data), (statistics, data))
        return self._scaled[key][0]


def _data_of(request: _Request, where: str) -> Dataset:
    if where == "target":
        return request.data
    if request.source is None:
        raise ValueError(f"{type(request.method).__name__} trains on source data: pass source=<source training samples>")
    return request.source


def _held_out(request: _Request) -> Dataset:
    return request.held_out if request.held_out is not None else request.data[:0]


def _remember(surrogate: Surrogate, method: Method, task: Task, budget: Budget) -> Surrogate:
    """Add the transfer to what the surrogate remembers of its making."""
    origin = provenance(task.data, method=repr(method), seed=task.seed, **dataclasses.asdict(budget))
    return dataclasses.replace(surrogate, provenance={**surrogate.provenance, "transfer": origin})


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _check_task(task: Task) -> None:
    _ = task.surrogate.network  # only a network can be the source of a transfer
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


def _checked(result: Transferred) -> Surrogate:
    if result.refused is not None:
        raise ValueError(result.refused)
    if result.diverged is not None:
        raise ValueError(f"{result.method} diverged at step {result.diverged}: lower its learning_rate")
    return result.surrogate
