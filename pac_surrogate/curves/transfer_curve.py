"""Transfer curves: error against the number of target samples, for many methods and seeds, in one batched run."""

import dataclasses
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from pac_surrogate.curves.errors import METRICS, check_metrics, errors_of, noted, under_variables_of
from pac_surrogate.curves.folder import checked_folder, surrogate_path
from pac_surrogate.curves.results import SOURCE_ERRORS, empty_curve, save_curve
from pac_surrogate.data.conversion import Given, as_dataset
from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import match_all, match_columns
from pac_surrogate.data.undefined_metrics import LeftOutWarning
from pac_surrogate.files import Variable
from pac_surrogate.methods.case import Budget, Case
from pac_surrogate.methods.method import Method, Outcome, check_case, learns_outputs, needs_target
from pac_surrogate.methods.specification import Choosable, as_methods
from pac_surrogate.models import Architecture, as_architecture
from pac_surrogate.pipeline import remembered
from pac_surrogate.prepare import prepare, warn_of
from pac_surrogate.pretraining import pretrain_seeds
from pac_surrogate.runner import Solver, run
from pac_surrogate.surrogates.batch_prediction import predict_many
from pac_surrogate.surrogates.surrogate import Surrogate, as_surrogate
from pac_surrogate.utilities.arguments import whole_numbers
from pac_surrogate.utilities.display import Shown, one_line
from pac_surrogate.utilities.process import own_settings

if TYPE_CHECKING:
    import xarray as xr

PREDICTED_AT_ONCE = 64  # surrogates whose predictions are held in memory together
PRETRAINING_RATE = 1e-3  # not that of `pretrain`: all stored curves were measured with it


@own_settings()
def transfer_curve(
    source: Given,
    target: Given,
    *,
    methods: Mapping[str, Choosable | Sequence[Choosable]] | Sequence[Choosable] | Choosable,
    sizes: int | Sequence[int],
    seeds: int | Sequence[int] = 5,
    model: Architecture | nn.Module | type | str | None = None,
    surrogates: Sequence[Surrogate | Path | str] | Surrogate | Path | str | None = None,
    steps: int = 1000,
    source_steps: int = 1000,
    pretrain_steps: int = 3000,
    batch_size: int = 128,
    folds: int = 5,
    device: str = "auto",
    stack_memory: int | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> "xr.Dataset":
    """Measure methods against the number of target samples on the target's test split.

    Seed k has its own source surrogate, target subset (draw k of the file), initial weights, folds and minibatches. They are
    the same for every method, so methods are compared in pairs. A method given as several candidates is tuned by
    cross-validation on the target training samples alone. Test data are predicted once, at the end. Before anything is trained,
    only their outputs are read, to check that the headline metric is defined. For each metric, one warning names the test
    samples or outputs that it leaves out.

    Args:
        source: data with a train, a test and optionally a valid split: a Dataset, or the path of a data file.
        target: likewise.
        methods: dictionary of methods by name, each a method, its class or name, or candidates (see `grid`); or a list, such as
            ["auto", "PAC", pac.L2SP()], in which each method is named by its own name or that of its class.
        sizes: number or numbers of target samples; 0 is allowed.
        seeds: number of seeds, or a list of them; at most 20 draws are stored.
        model: architecture, as for `pretrain`; `MLP()` by default.
        surrogates: pretrained source surrogates or their paths, one for each seed; nothing is pretrained if they are given.
        steps: gradient steps on the target.
        source_steps: gradient steps of a method's stage on the source.
        pretrain_steps: gradient steps of pretraining, at a first learning rate of 1e-3.
        batch_size: samples per step.
        folds: number of folds of the cross-validation.
        device: device for training; "auto" is CUDA if it is available.
        stack_memory: bytes that one stack of runs may take, by default 64 MB on the CPU and 512 MB on a GPU.
        out: folder for the results: curve.nc, curve.csv, seconds.csv, and in its folder surrogates the surrogates of the
            largest size and the first seed. They replace earlier results with the same names; no other file is changed or
            deleted. Finished stacks are kept in its folder stacks, from which an interrupted curve continues; this folder may
            be deleted. A damaged stack is trained again, with a warning.
        progress: whether to show a progress bar; by default only on a terminal.

    Returns:
        A dataset with the dimensions (approach, size, seed); an approach is a method under its name. Variables: the metrics,
        `source_error` (the headline metric on the source's test split, which shows forgetting), `allocated_error` (the same of
        the allocated source of PAC, before its calibration), `dense_error` (the same of the pretrained source, with the
        dimension seed alone), `diverged` (training diverged, or a prediction of a test sample was not finite), `source_steps`
        (gradient steps on the source that the result took after pretraining), `seconds` (the method's part of the time of its
        batches) and `chosen` (the method with its hyper-parameters). NaN means n/a, also in all cells of a metric that the test
        split leaves undefined. The attribute `comment` of a metric describes what it leaves out.

    Raises:
        ValueError: if sizes exceed the data, seeds exceed the stored draws, data or surrogates do not fit together, or the
            headline metric is undefined on a test split, as it is if all fields are zero.
    """
    study = _study(source, target, methods, sizes, seeds)
    read = [*_paths(surrogates), *(data.file for data in (study.source, study.target) if data.file is not None)]
    folder = None if out is None else checked_folder(out, study.methods, read)
    solver = Solver(device, stack_memory, folder / "stacks" if folder else None, progress)
    budget = Budget(steps, source_steps, batch_size, folds)
    (pretrain_steps,) = whole_numbers(pretrain_steps=pretrain_steps)
    given = _given(study, surrogates, model)
    test = _source_test(study, given[0].outputs if given else study.source.outputs)
    comments = check_metrics(study.headline, study.target.test, test)
    for comment in comments.values():
        warnings.warn(LeftOutWarning(comment), stacklevel=2)
    announced = set(comments)
    if given is None:
        given = _pretrained(study, as_architecture(model), pretrain_steps, batch_size, solver)
    source, target = study.source.train, study.target.train
    prepared = [prepare(surrogate, target, source) for surrogate in given]
    warn_of(given[0], target, source, prepared[0], stacklevel=4)
    cells = _cells(study, given, [one.source for one in prepared], budget, new_outputs=test is None)
    outcomes = run([(cell.method, cell.case) for cell in cells], solver)
    curve = _measured(study, [one.surrogate for one in prepared], cells, outcomes, test, comments)
    curve.attrs |= {"model": repr(given[0].network.architecture), "budget": _spent(study, given[0], budget)}
    if folder is not None:
        _write(study, cells, outcomes, curve, folder)
    for name, comment in comments.items():
        if name not in announced:
            warnings.warn(LeftOutWarning(comment), stacklevel=2)
    return curve


@dataclass(frozen=True, eq=False, repr=False)
class _Study(Shown):
    """The data, methods, sizes and seeds of a transfer curve."""

    source: Dataset
    target: Dataset
    methods: dict[str, Method]
    sizes: list[int]
    seeds: list[int]
    headline: str


@dataclass(frozen=True, eq=False, repr=False)
class _Cell(Shown):
    """A method, under its name in the curve, on the samples of one size and seed; `place` is its index in the curve."""

    name: str
    method: Method
    case: Case
    size: int
    place: tuple[int, ...]


def _study(source: Given, target: Given, methods: Any, sizes: Any, seeds: Any) -> _Study:
    """Check data, methods, sizes and seeds before anything is trained."""
    source, target = as_dataset("source", source), as_dataset("target", target)
    target = target.aligned(source)
    chosen = _several("seeds", seeds)
    if not isinstance(seeds, Sequence | np.ndarray):
        chosen = list(range(min(chosen[0], 1 + 2**16)))  # a bound far above the number of stored draws
    sizes, named = _several("sizes", sizes), as_methods(methods)
    if not named or not sizes or not chosen:
        raise ValueError("a transfer curve needs at least one method, one size and one seed")
    match_all("inputs", source.inputs, target.inputs)
    for label, data in (("source", source), ("target", target)):
        if not data.has_split("test"):
            raise ValueError(f"the {label} needs a test split: Dataset.from_arrays(..., test=0.2) makes one")
    headline = str(target.attributes.get("headline", "rel_l2"))
    if headline not in METRICS:
        raise ValueError(f"unknown headline metric {one_line(headline, 60)!r} of the target: choose from {', '.join(METRICS)}")
    for label, values in (("sizes", sizes), ("seeds", chosen)):
        if len(set(values)) < len(values):
            raise ValueError(f"{label} must differ from each other, got {list(values)}")
    for seed in chosen:
        target.subset(seed, max(sizes))  # raises if there are too few samples or draws
    return _Study(source, target, named, sizes, chosen, headline)


def _given(study: _Study, surrogates: Any, model: Any) -> list[Surrogate] | None:
    """Return the given source surrogates, one for each seed; None if they are to be pretrained."""
    if surrogates is None:
        return None
    single = isinstance(surrogates, str) or not isinstance(surrogates, Sequence)
    given = [as_surrogate(one) for one in ([surrogates] if single else surrogates)]
    if model is not None or len(given) != len(study.seeds):
        raise ValueError(f"give a model to pretrain, or {len(study.seeds)} surrogates, one for each seed")
    return given


def _source_test(study: _Study, outputs: Sequence[Variable]) -> Dataset | None:
    """Return the source's test samples with the outputs of the target; None if some outputs are new to the source."""
    known = match_columns("outputs", outputs, study.target.outputs)
    return under_variables_of(study.target, study.source.test) if bool((known >= 0).all()) else None


def _pretrained(study: _Study, model: Architecture, steps: int, batch_size: int, solver: Solver) -> list[Surrogate]:
    source = study.source
    valid = source.valid if source.has_split("valid") else None
    options = {"seeds": study.seeds, "steps": steps, "batch_size": batch_size, "valid": valid, "solver": solver}
    return pretrain_seeds(source.train, model=model, learning_rate=PRETRAINING_RATE, **options)  # type: ignore[arg-type]


def _cells(
    study: _Study, given: Sequence[Surrogate], sources: Sequence[Dataset | None], budget: Budget, *, new_outputs: bool
) -> list[_Cell]:
    """Plan the cells in which a method applies: every method on the same case of each size and seed.

    `sources` are the source samples already converted to the variables of each surrogate, so that no case holds its own copy.
    """
    cases = {
        (j, k): prepare(given[k], study.target.subset(seed, size), sources[k]).case(budget, seed)
        for j, size in enumerate(study.sizes)
        for k, seed in enumerate(study.seeds)
    }
    cells = [
        _Cell(name, method, case, study.sizes[j], (i, j, k))
        for i, (name, method) in enumerate(study.methods.items())
        for (j, k), case in cases.items()
        if (learns_outputs(method) if new_outputs else study.sizes[j] > 0 or not needs_target(method))
        and (study.sizes[j] > 0 or not new_outputs)
    ]
    for cell in cells:
        check_case(cell.method, cell.case)
    return cells


def _measured(
    study: _Study,
    dense: Sequence[Surrogate],
    cells: Sequence[_Cell],
    outcomes: Sequence[Outcome],
    test: Dataset | None,
    comments: dict[str, str],
) -> "xr.Dataset":
    """Predict the test samples of the target and the source, and measure the errors.

    `dense` are the pretrained sources, one for each seed.
    """
    curve = empty_curve(list(study.methods), study.sizes, study.seeds)
    numbers = {name: variable.data for name, variable in curve.variables.items()}  # arrays, in which a number is set directly
    for cell, outcome in zip(cells, outcomes, strict=True):
        numbers["seconds"][cell.place] = outcome.seconds
        numbers["diverged"][cell.place] = outcome.diverged is not None
        numbers["source_steps"][cell.place] = outcome.source_steps
        refused = outcome.refused is not None
        numbers["chosen"][cell.place] = f"n/a: {outcome.refused}" if refused else repr(outcome.method)
    sound = [(cell.place, one.surrogate) for cell, one in zip(cells, outcomes, strict=True) if one.sound]
    samples = study.target.test
    for first in range(0, len(sound), PREDICTED_AT_ONCE):
        places, adapted = zip(*sound[first : first + PREDICTED_AT_ONCE], strict=True)
        for place, prediction in zip(places, predict_many(adapted, [samples] * len(adapted)), strict=True):
            if not np.isfinite(prediction).all():
                numbers["diverged"][place] = True
                continue
            for name, error in noted(comments, "target", errors_of, prediction, samples).items():
                numbers[name][place] = error
    if test is not None:
        on_source = partial(_errors_on_source, test=test, headline=study.headline, comments=comments)
        numbers["dense_error"][:] = on_source(dense)
        allocated = {place: adapted.allocated for place, adapted in sound}
        distinct = list(dict.fromkeys(one for one in allocated.values() if one is not None))
        known = dict(zip(distinct, on_source(distinct), strict=True)) | {None: math.nan}
        for (place, _), error in zip(sound, on_source([adapted for _, adapted in sound]), strict=True):
            if not numbers["diverged"][place]:
                numbers["source_error"][place] = error
                numbers["allocated_error"][place] = known[allocated[place]]
    for name, comment in comments.items():
        for variable in SOURCE_ERRORS if name == "source_error" else (name,):
            curve[variable].attrs["comment"] = comment
    pair = str(study.target.attributes.get("pair", ""))
    curve.attrs = {"title": f"transfer curve {pair}".strip(), "pair": pair, "headline": study.headline}
    return curve


def _errors_on_source(surrogates: Sequence[Surrogate], test: Dataset, headline: str, comments: dict[str, str]) -> list[float]:
    """Return the headline error of each surrogate on the source's test samples; NaN where a prediction is not finite."""
    found = []
    for first in range(0, len(surrogates), PREDICTED_AT_ONCE):
        some = surrogates[first : first + PREDICTED_AT_ONCE]
        for prediction in predict_many(some, [test] * len(some)):
            finite = bool(np.isfinite(prediction).all())
            metric = METRICS[headline]
            found.append(noted(comments, "source", metric, prediction, test.output_matrix) if finite else math.nan)
    return found


def _spent(study: _Study, surrogate: Surrogate, budget: Budget) -> str:
    """Return the budget of every method as JSON."""
    trials = {name: len(getattr(method, "candidates", (method,))) for name, method in study.methods.items()}
    steps = surrogate.provenance.get("steps")
    return json.dumps({"pretrain_steps": steps, **dataclasses.asdict(budget), "candidates": trials})


def _write(study: _Study, cells: Sequence[_Cell], outcomes: Sequence[Outcome], curve: "xr.Dataset", folder: Path) -> None:
    """Save the surrogates of the largest size and the first seed, and the curve."""
    last = {
        cell.name: remembered(outcome, cell.case)
        for cell, outcome in zip(cells, outcomes, strict=True)
        if outcome.sound and cell.size == max(study.sizes) and cell.place[2] == 0
    }
    for name in study.methods:
        path = surrogate_path(folder, name)
        if name in last:
            last[name].save(path)
        elif path.exists():
            line = f"{one_line(path)} is from an earlier curve: in this curve {one_line(name, 60)} has no surrogate to save"
            warnings.warn(DataWarning(line), stacklevel=3)
    save_curve(curve, folder)


def _several(name: str, given: Any) -> list[int]:
    """Return one or several whole numbers as a list."""
    several = given if isinstance(given, Sequence | np.ndarray | range) and not isinstance(given, str) else [given]
    return [number for one in several for number in whole_numbers(**{name: one})]


def _paths(given: Any) -> list[Path]:
    """Return the paths among surrogates that are given as objects or paths."""
    several = [given] if isinstance(given, str) or not isinstance(given, Sequence) else given
    return [Path(one) for one in several if isinstance(one, str | Path)]
