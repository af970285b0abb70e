"""Transfer curves: error against the number of target samples, for many methods and seeds, in one batched run."""

import csv
import dataclasses
import itertools
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from jaxtyping import Float
from torch import nn

from pac_surrogate import metrics
from pac_surrogate.arguments import as_path, got, whole_numbers
from pac_surrogate.case import Cases, warn_of
from pac_surrogate.dataset import Dataset, Given, as_dataset
from pac_surrogate.display import one_line
from pac_surrogate.files import DatasetError
from pac_surrogate.files.netcdf import KINDS, read_xarray, write_xarray
from pac_surrogate.files.replacing import check_output, check_own_folder, replacing
from pac_surrogate.files.tensors import KINDS as SAVED
from pac_surrogate.left_out import LeftOutWarning, UndefinedMetricError
from pac_surrogate.matching import match_all, match_columns
from pac_surrogate.models import Architecture, as_architecture
from pac_surrogate.pipeline import pretrain_seeds
from pac_surrogate.process import own_settings
from pac_surrogate.stages import Budget, Solver
from pac_surrogate.surrogate import DataWarning, Surrogate, as_surrogate, predict_many
from pac_surrogate.tasks import Choosable, Task, as_methods, transfer_many
from pac_surrogate.transfer import learns_outputs, needs_target

if TYPE_CHECKING:
    import xarray as xr

METRICS = {
    "rel_l2": metrics.rel_l2,
    "rmse_std": metrics.rmse_std,
    "rmse": metrics.rmse,
    "mae": metrics.mae,
    "r2": metrics.r2,
    "max_error": metrics.max_error,
}
FIELD_METRICS = {"nrmse": metrics.nrmse, "vrmse": metrics.vrmse}  # means over space; n/a where outputs have no grid
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}  # by Windows
LONGEST_NAME = 200  # bytes of a method's name, from which that of a file is made
PREDICTED_AT_ONCE = 64  # surrogates whose predictions are held in memory together


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

    Seed k means its own source surrogate, target subset (draw k of the file), initial weights, folds and minibatches, the same
    for every method, so methods are compared in pairs. A method given as several candidates is tuned by cross-validation on the
    target training samples alone. Test data are predicted once, at the end; before anything is trained, only their outputs are
    read, to see that the headline metric is defined. One warning a metric names the test samples or outputs that it leaves out.

    Args:
        source: with train, test and, if there is one, valid split; a Dataset, or the path of a data file.
        target: likewise.
        methods: by name: a method, its class or name, or candidates (see `grid`); or a list, as ["auto", "PAC", pac.L2SP()],
            in which each goes by its own name or that of its class.
        sizes: numbers of target samples, or one; 0 is allowed.
        seeds: how many, or which; at most 20 draws are stored.
        model: architecture, as for `pretrain`; `MLP()` by default.
        surrogates: source surrogates or their paths, one for each seed, if they are there already; then nothing is pretrained.
        steps: gradient steps on the target.
        source_steps: gradient steps of a method's stage on the source.
        pretrain_steps: gradient steps of pretraining.
        batch_size: samples a step.
        folds: of the cross-validation.
        device: "auto" means CUDA where there is one.
        stack_memory: bytes that one stack of runs may take, by default 64 MB on the CPU and 512 MB on a GPU.
        out: folder for results: curve.nc, curve.csv, seconds.csv, and in its folder surrogates those of the largest size and
            first seed. They take the place of earlier results by the same names; no other file is changed or deleted.
            Finished stacks are kept in its folder stacks, which may be deleted, and an interrupted curve goes on from there.
            A stack that is damaged is trained anew, with a warning.
        progress: show a progress bar; by default on a terminal.

    Returns:
        Dimensions (method, size, seed). Variables: the metrics, `source_error` (the headline metric on the source's test
        split: what is forgotten), `diverged` (training, or a prediction of the test split, was not finite), `seconds` (share
        of the batched time) and `chosen` (the method with its hyper-parameters). n/a is NaN, also for all cells of a metric
        that the test split leaves undefined. What a metric leaves out is its attribute `comment`.

    Raises:
        ValueError: if sizes exceed the data, seeds the stored draws, data or surrogates do not fit together, or the headline
            metric is undefined on a test split, as where all fields are zero.
    """
    read = _paths(surrogates)
    source, target = as_dataset("source", source), as_dataset("target", target)
    read += [data.file for data in (source, target) if data.file is not None]
    chosen_seeds = _several("seeds", seeds)
    if not isinstance(seeds, Sequence | np.ndarray):
        chosen_seeds = list(range(min(chosen_seeds[0], 1 + 2**16)))  # far more than there are draws
    sizes, candidates = _several("sizes", sizes), as_methods(methods)
    (pretrain_steps,) = whole_numbers(pretrain_steps=pretrain_steps)
    if not candidates or not sizes or not chosen_seeds:
        raise ValueError("a transfer curve needs at least one method, one size and one seed")
    match_all("inputs", source.inputs, target.inputs)
    for label, data in (("source", source), ("target", target)):
        if not data.has_split("test"):
            raise ValueError(f"the {label} needs a test split: Dataset.from_arrays(..., test=0.2) makes one")
    headline = str(target.attributes.get("headline", "rel_l2"))
    if headline not in METRICS:
        raise ValueError(f"unknown headline metric {one_line(headline, 60)!r} of the target: choose from {', '.join(METRICS)}")
    for label, values in (("sizes", sizes), ("seeds", chosen_seeds)):
        if len(set(values)) < len(values):
            raise ValueError(f"{label} must differ from each other, got {list(values)}")
    subsets = {(size, seed): target.subset(seed, size) for size in sizes for seed in chosen_seeds}
    folder = as_path("out", out) if out is not None else None
    if folder is not None:
        _check_results(folder, list(candidates), read)
    solver = Solver(device, stack_memory, folder / "stacks" if folder else None, progress)
    budget = Budget(steps, source_steps, batch_size, folds)
    given = None if surrogates is None else _surrogates(surrogates)
    if given is not None and (model is not None or len(given) != len(chosen_seeds)):
        raise ValueError(f"give a model to pretrain, or {len(chosen_seeds)} surrogates, one for each seed")
    known = match_columns("outputs", given[0].outputs if given else source.outputs, target.outputs)
    same_outputs = bool((known >= 0).all())
    source_test = _under_variables_of(target, source.test) if same_outputs else None
    comments = _check_metrics(headline, target.test, source_test)
    for comment in comments.values():
        warnings.warn(LeftOutWarning(comment), stacklevel=2)
    announced = set(comments)

    if given is None:
        given = pretrain_seeds(
            source.train,
            model=as_architecture(model),
            seeds=chosen_seeds,
            steps=pretrain_steps,
            batch_size=batch_size,
            valid=source.valid if source.has_split("valid") else None,
            solver=solver,
        )
    training = source.train
    warn_of(given[0], target.train, training, Cases().prepare(given[0], target.train, training), stacklevel=4)
    cells, tasks = [], []
    for name, options in candidates.items():
        if not (same_outputs or learns_outputs(options[0])):
            continue
        for size in sizes:
            for seed, surrogate in zip(chosen_seeds, given, strict=True):
                if size == 0 and (needs_target(options[0]) or not same_outputs):
                    continue
                cells.append((name, size, seed))
                tasks.append(Task(surrogate, subsets[size, seed], options, training, seed))
    results = transfer_many(tasks, budget, solver)

    curve = _empty_curve(list(candidates), list(sizes), chosen_seeds)
    numbers = {name: variable.data for name, variable in curve.variables.items()}  # arrays, which take a number at once
    shape = (len(candidates), len(sizes), len(chosen_seeds))
    places = dict(zip(itertools.product(candidates, sizes, chosen_seeds), np.ndindex(shape), strict=True))
    sound = []
    for cell, result in zip(cells, results, strict=True):
        at = places[cell]
        numbers["seconds"][at] = result.seconds
        numbers["diverged"][at] = result.diverged is not None
        numbers["chosen"][at] = repr(result.method) if result.refused is None else f"n/a: {result.refused}"
        if result.diverged is None and result.refused is None:
            sound.append((cell, at, result))
    for first in range(0, len(sound), PREDICTED_AT_ONCE):
        part = sound[first : first + PREDICTED_AT_ONCE]
        adapted = [result.surrogate for _, _, result in part]
        for (_, at, _), prediction in zip(part, predict_many(adapted, [target.test] * len(part)), strict=True):
            if not np.isfinite(prediction).all():
                numbers["diverged"][at] = True
                continue
            for name, error in _noted(comments, "target", score, prediction, target.test).items():
                numbers[name][at] = error
        if source_test is None:
            continue
        for (_, at, _), prediction in zip(part, predict_many(adapted, [source_test] * len(part)), strict=True):
            if np.isfinite(prediction).all() and not numbers["diverged"][at]:
                truth = source_test.output_matrix
                numbers["source_error"][at] = _noted(comments, "source", METRICS[headline], prediction, truth)
    for name, comment in comments.items():
        curve[name].attrs["comment"] = comment
    pair = str(target.attributes.get("pair", ""))
    spent = {"pretrain_steps": given[0].provenance.get("steps"), **dataclasses.asdict(budget)}
    spent["candidates"] = {name: len(options) for name, options in candidates.items()}
    curve.attrs = {"title": f"transfer curve {pair}".strip(), "pair": pair, "headline": headline}
    curve.attrs |= {"model": repr(given[0].network.architecture), "budget": json.dumps(spent)}
    if folder is not None:
        largest, first_seed = max(sizes), chosen_seeds[0]
        last = {name: result.surrogate for (name, *cell), _, result in sound if cell == [largest, first_seed]}
        for name in candidates:
            path = _surrogate_path(folder, name)
            if name in last:
                last[name].save(path)
            elif path.exists():
                line = f"{one_line(path)} is of an earlier curve: in this one {one_line(name, 60)} has none to save"
                warnings.warn(DataWarning(line), stacklevel=2)
        save_curve(curve, folder)
    for name, comment in comments.items():
        if name not in announced:
            warnings.warn(LeftOutWarning(comment), stacklevel=2)
    return curve


def _several(name: str, given: Any) -> list[int]:
    """Whole numbers, or one, as a list."""
    several = given if isinstance(given, Sequence | np.ndarray | range) and not isinstance(given, str) else [given]
    return [number for one in several for number in whole_numbers(**{name: one})]


def _surrogates(given: Any) -> list[Surrogate]:
    """Surrogates or their paths, or one, as a list of surrogates."""
    single = isinstance(given, str) or not isinstance(given, Sequence)
    return [as_surrogate(one) for one in ([given] if single else given)]


def _paths(given: Any) -> list[Path]:
    """The files among surrogates or their paths."""
    several = [given] if isinstance(given, str) or not isinstance(given, Sequence) else given
    return [Path(one) for one in several if isinstance(one, str | Path)]


def _surrogate_path(folder: Path, method: str) -> Path:
    """Where the surrogate of a method lies; a slash of its name, as in AC/DC, is written as in addresses, %2F."""
    name = "".join(quote(character, safe="") if character in "/\\%" else character for character in method)
    return folder / "surrogates" / f"{name}.safetensors"


def _check_results(folder: Path, methods: Sequence[str], read: Sequence[Path]) -> None:
    """Refuse a folder to which the results cannot be written, before anything is trained."""
    for name in methods:
        length = len(name.encode(errors="replace"))
        if not name.strip() or not name.isprintable() or name.split(".")[0].strip().upper() in RESERVED:
            raise ValueError(
                f"with out=, the name of a method becomes that of a file, {one_line(name, 60)!r} cannot: rename it"
            )
        if length > LONGEST_NAME:
            raise ValueError(f"with out=, the name of a method has at most {LONGEST_NAME} bytes, got {length}: shorten it")
        check_output(_surrogate_path(folder, name), SAVED["pac_surrogate"], read)
    check_output(folder / "curve.nc", KINDS["transfer curve"], read)
    for table in ("curve.csv", "seconds.csv"):
        check_output(folder / table, None, read)
    for own in ("surrogates", "stacks"):
        check_own_folder(folder / own)


def _under_variables_of(target: Dataset, source: Dataset) -> Dataset:
    """Source samples with the outputs of the target, in its order, where the source has them all."""
    if source.outputs == target.outputs:
        return source
    places = match_all("outputs", target.outputs, source.outputs)
    return source.as_variables(source.inputs, np.arange(source.widths[0]), target.outputs, places)


def _check_metrics(headline: str, target: Dataset, source: Dataset | None) -> dict[str, str]:
    """Refuse test splits that leave the headline undefined; give what the metrics leave out, by variable of the curve."""
    comments: dict[str, str] = {}
    for side, data in (("target", target), ("source", source)):
        if data is None:
            continue
        try:
            _noted(comments, side, METRICS[headline], data.output_matrix, data.output_matrix)
        except UndefinedMetricError as error:
            remedy = "as the headline in the target's attributes"
            raise ValueError(f"the headline metric must be defined on the {side}'s test split: {error}, {remedy}") from None
    _noted(comments, "target", score, target.output_matrix, target)
    return comments


def _noted(comments: dict[str, str], side: str, measure: Callable[..., Any], *arguments: Any) -> Any:
    """Measure, and note what is left out once for each variable of the curve, where the metrics would warn for every cell."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LeftOutWarning)
        found = measure(*arguments)
    for warning in caught:
        if isinstance(warning.message, LeftOutWarning):
            variable = "source_error" if side == "source" else warning.message.metric
            comments.setdefault(variable, f"{warning.message}, in the {side}'s test split")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return found


def score(prediction: Float[np.ndarray, "sample output"], data: Dataset) -> dict[str, float]:
    """Score a prediction of a dataset's output matrix by every metric that applies to it.

    NaN where the data leave a metric undefined. `nrmse` and `vrmse` are means over the variables with a grid that define them.
    """
    truth = data.output_matrix
    scores = {name: _defined(metric, prediction, truth) for name, metric in METRICS.items()}
    last = np.cumsum([variable.size for variable in data.outputs])
    for name, metric in FIELD_METRICS.items():
        values = [
            _defined(metric, prediction[:, end - v.size : end].reshape(-1, *v.shape), data[v.name], axes=v.axes)
            for v, end in zip(data.outputs, last, strict=True)
            if {"x", "y"} & set(v.axes)
        ]
        defined = [value for value in values if value is not None]
        if 0 < len(defined) < len(values):
            line = f"{name} leaves out {len(values) - len(defined)} of {len(values)} variables, for which it is undefined"
            warnings.warn(LeftOutWarning(line, name), stacklevel=2)
        scores[name] = float(np.mean(defined)) if defined else None
    return {name: math.nan if value is None else value for name, value in scores.items()}


def _defined(metric: Callable[..., float], *arguments: Any, **options: Any) -> float | None:
    """Value of a metric, None where the target leaves it undefined."""
    try:
        return float(metric(*arguments, **options))
    except UndefinedMetricError:
        return None


def _empty_curve(methods: list[str], sizes: list[int], seeds: list[int]) -> "xr.Dataset":
    import xarray as xr

    shape = (len(methods), len(sizes), len(seeds))
    units = dict.fromkeys((*METRICS, *FIELD_METRICS, "source_error"), "1") | {"seconds": "s"}
    units |= dict.fromkeys(("rmse", "mae", "max_error"), "units of the outputs")
    variables = {name: (("method", "size", "seed"), np.full(shape, math.nan), {"units": unit}) for name, unit in units.items()}
    variables["diverged"] = (("method", "size", "seed"), np.zeros(shape, dtype=bool), {})
    variables["chosen"] = (("method", "size", "seed"), np.full(shape, "", dtype=object), {})
    return xr.Dataset(variables, coords={"method": methods, "size": sizes, "seed": seeds})


def save_curve(curve: "xr.Dataset", folder: str | Path) -> None:
    """Write curve.nc and the tidy curve.csv; the same results give the same bytes.

    What a clock measured (`seconds`) differs from run to run and goes to seconds.csv instead.
    """
    folder, curve = as_path("folder", folder), as_curve(curve)
    write_xarray(folder / "curve.nc", curve.drop_vars("seconds", errors="ignore"))
    numeric = [name for name in curve.data_vars if name not in ("seconds", "chosen")]
    _write_tidy(folder / "curve.csv", curve, [str(name) for name in numeric])
    if "seconds" in curve:
        _write_tidy(folder / "seconds.csv", curve, ["seconds"])


def open_curve(path: str | Path) -> "xr.Dataset":
    """Read a curve.nc, or the one in a folder.

    Raises:
        DatasetError: if it is missing, damaged, or no transfer curve.
    """
    path = as_path("path", path)
    curve = read_xarray(path / "curve.nc" if path.is_dir() else path)
    if set(curve.dims) != {"method", "size", "seed"}:
        found = one_line(", ".join(map(str, curve.dims)), 100)
        raise DatasetError(f"{one_line(path)} is no transfer curve: it has the dimensions {found}")
    return curve


def as_curve(given: Any, metric: str | None = None) -> "xr.Dataset":
    """A transfer curve as it is, or the one in a file or folder.

    Args:
        given: from `transfer_curve`, or a path of what it saved.
        metric: a variable that the curve must have.

    Raises:
        ValueError: if it is no curve, or has no such metric.
    """
    import xarray as xr

    if isinstance(given, str | Path):
        given = open_curve(given)
    whole = isinstance(given, xr.Dataset) and {"method", "size", "seed"} <= set(given.dims)
    if not whole or (metric is None and str(given.attrs.get("headline")) not in given.data_vars):
        raise ValueError(
            "curve must be what transfer_curve gives, with its dimensions method, size and seed, or the path of a saved one, "
            f"got {got(given)}"
        )
    if metric is not None and (metric not in given.data_vars or given[metric].dtype.kind != "f"):
        numeric = [str(name) for name, variable in given.data_vars.items() if variable.dtype.kind == "f"]
        raise ValueError(f"metric must be one of the curve's, {', '.join(numeric)}, got {got(metric)}")
    return given


def check_methods(curve: "xr.Dataset", methods: Any) -> list[str]:
    """Names of methods of a curve, or one, as a list; None means all.

    Raises:
        ValueError: if the curve does not have one of them.
    """
    known = [str(name) for name in curve["method"].values]
    if methods is None:
        return known
    names = list(methods) if isinstance(methods, Sequence) and not isinstance(methods, str) else [methods]
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"the curve has the methods {', '.join(known)}, got {got(name)}")
    return names


def _write_tidy(path: Path, curve: "xr.Dataset", names: Sequence[str]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "size", "seed", "metric", "value"))
        for name in names:
            labels = itertools.product(*(curve[axis].values for axis in curve[name].dims))
            for cell, value in zip(labels, curve[name].values.flat, strict=True):
                writer.writerow((*cell, name, repr(float(value))))


def summarise(curve: "xr.Dataset | Path | str", metric: str | None = None) -> "xr.Dataset":
    """Median and quartiles over seeds of a metric (the headline by default), and how many seeds diverged.

    Seeds that are n/a or diverged are left out of the quartiles. A quartile between two seeds, one of them
    infinite, is infinite.
    """
    curve = as_curve(curve, metric)
    errors = curve[metric or curve.attrs["headline"]]
    shares = [0.25, 0.5, 0.75]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, for cells that are n/a in every seed
        quartiles = errors.quantile(shares, dim="seed", skipna=True)
        if np.isinf(errors).any():  # between infinities NumPy interpolates to NaN, which would read as n/a
            below, above = (errors.quantile(shares, dim="seed", skipna=True, method=side) for side in ("lower", "higher"))
            quartiles = quartiles.where(np.isfinite(below + above), below + above).where(below != above, below)
    named = {name: quartiles.sel(quantile=q, drop=True) for name, q in (("low", 0.25), ("median", 0.5), ("high", 0.75))}
    summary = named["median"].to_dataset(name="median").assign(low=named["low"], high=named["high"])
    return summary.assign(diverged=curve["diverged"].astype(int).sum("seed")) if "diverged" in curve else summary
