"""Stages of many transfers, solved together: the only place where methods and the trainer meet."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from pac_surrogate.arguments import settings
from pac_surrogate.dataset import Dataset
from pac_surrogate.display import Shown
from pac_surrogate.predictors import Network
from pac_surrogate.repeats import count_of
from pac_surrogate.scaling import Columns, Scaling, fit_scaling
from pac_surrogate.surrogate import Surrogate, with_outputs_of
from pac_surrogate.training import fit
from pac_surrogate.transfer import ClosedFormRule, Method, NotApplicableError, share_of


@settings
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
    stack_memory: int | None = None
    cache: Path | None = None
    progress: bool | None = None

    def options(self) -> dict[str, Any]:
        """Give these as arguments of `fit`."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class Stages:
    """A bare sequence of stages as a method."""

    rules: tuple[Any, ...]

    def stages(self) -> tuple[Any, ...]:
        """Give them."""
        return self.rules


@dataclass(frozen=True, eq=False, repr=False)
class Request(Shown):
    """A method to be followed from a surrogate on data; see `tasks.Task`."""

    surrogate: Surrogate
    method: Method
    data: Dataset
    source: Dataset | None
    seed: int


@dataclass(frozen=True, eq=False, repr=False)
class Answer(Shown):
    """What came of a request; see `tasks.Transferred`."""

    surrogate: Surrogate
    diverged: int | None = None
    seconds: float = 0.0
    refused: str | None = None


class Session:
    """Solves lists of requests; what several of them share (folds, scaled data, allocated sources) is made once."""

    def __init__(self, budget: Budget, solver: Solver) -> None:
        self.budget, self.solver = budget, solver
        self._folds: dict[tuple[int, int], list[tuple[Dataset, Dataset]]] = {}
        # Keys hold identities; each entry holds the objects too, so that no identity is ever reused.
        self._scaled: dict[tuple[int, ...], tuple[Dataset, Any]] = {}
        self._ranges: dict[int, tuple[Columns, Dataset]] = {}
        self._answers: dict[tuple[Any, ...], tuple[Answer, Any]] = {}

    def folds(self, data: Dataset, group: Int[torch.Tensor, " sample"], seed: int) -> list[tuple[Dataset, Dataset]]:
        """Training and held-out part of each fold, the same for every method."""
        key = (id(data), seed)
        if key not in self._folds:
            self._folds[key] = [(data[rest], data[part]) for rest, part in parts_of(group, seed, self.budget.folds)]
        return self._folds[key]

    def solve(self, requests: Sequence[Request]) -> list[Answer]:
        """Solve stage after stage; a stage of all requests is one list of runs."""
        answers = [Answer(request.surrogate) for request in requests]
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
                    answers[i] = Answer(done.surrogate, broken, answers[i].seconds + share, done.refused)
        return answers

    def _solve_stage(self, due: Mapping[tuple[Any, ...], tuple[Request, Surrogate]]) -> None:
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
                    self._keep(key, due[key], Answer(solved, seconds=time.perf_counter() - began))
                else:
                    plan = rule.plan(adapted, scaled, generator(request.seed))
                    posed.setdefault((where, adapted.network.shape_key, share_of(rule)), []).append(
                        (key, adapted, scaled, plan)
                    )
            except NotApplicableError as error:
                self._answers[key] = (Answer(surrogate, refused=str(error)), due[key])
        for (where, _, share), runs in posed.items():
            keys, surrogates, scaled_data, plans = zip(*runs, strict=True)
            fits = fit(
                surrogates[0].network.module,
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
                self._keep(key, due[key], Answer(adapted, result.diverged, result.seconds))

    def _keep(self, key: tuple[Any, ...], origin: tuple[Request, Surrogate], answer: Answer) -> None:
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


def _data_of(request: Request, where: str) -> Dataset:
    if where == "target":
        return request.data
    assert request.source is not None
    return request.source


def parts_of(group: Int[torch.Tensor, " sample"], seed: int, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Samples that stay and samples that are held out, of each fold; those of one input are in one fold."""
    inputs = count_of(group)
    order = np.random.default_rng((seed, inputs)).permutation(inputs)
    held_out = [np.isin(group.numpy(), part) for part in np.array_split(order, min(folds, inputs))]
    return [(np.flatnonzero(~part), np.flatnonzero(part)) for part in held_out]


def generator(seed: int) -> torch.Generator:
    """Random numbers of a seed."""
    return torch.Generator().manual_seed(seed)
