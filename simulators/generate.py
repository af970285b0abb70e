"""Write the data files of a pair; only this file and `__main__` import pac_surrogate, this one for its file writer."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from pac_surrogate.files import (
    Coordinate,
    DatasetError,
    DatasetWriter,
    Variable,
    make_split,
    make_subset_order,
    read_description,
)
from pac_surrogate.utilities.memory import memory_bytes
from simulators.ensemble import Pair, Side
from simulators.numerics.step_error import LostSolutionError

Arrays = Mapping[str, Float[Tensor, "sample ..."]]

CHUNK_CELLS = {"cpu": 25_000, "cuda": 4_000_000}  # what fits into a core's cache; what fills a GPU
TIMED = 64  # samples on which cost and conservation are measured
REFINED = 2  # samples on which the order is measured
ORDER_BYTES = 400  # memory per sample while the order of the stored subsets is drawn
TEST = 2  # number of the test split, whose samples get no noise


def generate(
    pair: Pair,
    out: Path | str = "data",
    *,
    samples: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    chunk: int | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> dict[str, Path]:
    """Write `<out>/<pair>/source.h5` and `target.h5`, except files that are complete and have the same configuration.

    All inputs are drawn before the first is solved, so that they are bitwise the same for any `chunk` and any device. After
    an interruption, the same call continues where the run stopped.

    Args:
        pair: an entry of `pairs.PAIRS`.
        out: folder in which each pair has its own folder.
        samples: number of source samples, train, valid and test together; also the most that the target gets.
        seed: seed of the random inputs, splits and subsets.
        device: where the solver runs.
        chunk: number of samples solved at once; by default as many as fill a core's cache or a GPU.
        say: function that is called with one line for each file.

    Returns:
        The path of each side.

    Raises:
        ValueError: if there are too few samples, the device is missing, or a solution is lost or not finite.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be 1 or more, got {chunk}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to {2**63 - 1}, got {seed!r:.60}")
    place = _find_device(device)
    target_samples = None if samples is None else min(samples, sum(pair.target.counts()))
    totals = {"source": (pair.source, samples), "target": (pair.target, target_samples)}
    paths = {}
    for side, total in totals.values():
        numbers = sum(math.prod(quantity.shape) for quantity in (*side.ensemble.inputs, *side.ensemble.outputs))
        needed = sum(side.counts(total)) * (4.0 * numbers + ORDER_BYTES)
        if needed > memory_bytes():
            raise ValueError(f"{sum(side.counts(total)):.2g} samples of {side.name} take {needed / 1e9:.2g} GB: ask for fewer")
    for role, (side, total) in totals.items():
        paths[role] = Path(out) / pair.name / f"{role}.h5"
        description = _describe(pair, role, side, side.counts(total), seed)
        if _stands(paths[role], description):
            say(f"{paths[role]} exists with this configuration: left unchanged")
        else:
            seconds = _write(paths[role], side, description, seed, place, chunk)
            say(f"{paths[role]}: {description['samples']} samples in {seconds:.1f} s")
    return paths


def _write(path: Path, side: Side, description: dict[str, Any], seed: int, device: torch.device, chunk: int | None) -> float:
    """Solve the samples that are not yet in the file, measure the solver and finish the file; return the seconds taken."""
    begin, samples = time.perf_counter(), description["samples"]
    inputs = side.draw(seed, samples)
    chunk = chunk or max(1, CHUNK_CELLS[device.type] // side.ensemble.size)
    console = Console(stderr=True)
    with (
        DatasetWriter(path, **description) as writer,
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
    ):
        task = progress.add_task(str(path), total=samples, completed=writer.written)
        while writer.written < samples:
            first = writer.written
            some = {name: values[first : first + chunk] for name, values in inputs.items()}
            try:
                outputs, _ = side.ensemble.solve({name: values.to(device) for name, values in some.items()})
            except LostSolutionError as error:
                raise ValueError(f"{side.name}: {error.move(first)}") from error
            except ValueError as error:
                last, given = first + len(next(iter(some.values()))) - 1, json.dumps(side.parameters)
                counted = f" (sample 0 below is sample {first})" if first else ""
                raise ValueError(f"{side.name}, samples {first} to {last}{counted} of {given}: {error}") from error
            outputs = {name: values.cpu() for name, values in outputs.items()}
            _check_finite(side, first, some, outputs)
            measured = description["split"][first : first + chunk] != TEST
            outputs = side.add_noise(outputs, seed, first, measured.tolist())
            writer.write({name: values.numpy() for name, values in {**some, **outputs}.items()})
            progress.update(task, completed=writer.written)
        when = f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"
        writer.finish({**_measure(side, inputs, device, chunk), "history": f"{when} python -m simulators generate"})
    return time.perf_counter() - begin


def _describe(pair: Pair, role: str, side: Side, counts: tuple[int, int, int], seed: int) -> dict[str, Any]:
    """Return the arguments that the writer needs before the first sample."""
    train, valid, test = counts
    split = make_split(train + valid + test, valid=valid, test=test, seed=seed)
    ensemble = side.ensemble
    return {
        "inputs": tuple(Variable(**asdict(quantity)) for quantity in ensemble.inputs),
        "outputs": tuple(Variable(**asdict(quantity)) for quantity in ensemble.outputs),
        "coordinates": [Coordinate(c.name, np.array(c.values), c.units, c.long_name) for c in ensemble.coordinates],
        "samples": len(split),
        "split": split,
        "subset_order": make_subset_order(split, seed=seed),
        "attributes": {
            "title": f"{pair.name}, {role}: {pair.title}",
            "pair": pair.name,
            "side": role,
            "simulator": ensemble.simulator,
            "equation": ensemble.equation,
            "parameters": side.parameters,
            "headline": pair.headline,
            "seed": seed,
            "versions": {"torch": metadata.version("torch")},
        },
    }


def _stands(path: Path, description: dict[str, Any]) -> bool:
    """Return whether the file is complete and was written from this description; versions and title may differ."""
    try:
        found = read_description(path)
    except DatasetError:
        return False
    wanted = {name: value for name, value in description["attributes"].items() if name not in ("title", "versions")}
    wanted["parameters"] = json.dumps(wanted["parameters"], sort_keys=True)
    return (
        (found.inputs, found.outputs) == (description["inputs"], description["outputs"])
        and all(np.array_equal(found.coordinates[c.name].values, c.values) for c in description["coordinates"])
        and np.array_equal(found.split, description["split"])
        and np.array_equal(found.orders(), description["subset_order"])
        and all(found.attributes.get(name) == value for name, value in wanted.items())
    )


def _check_finite(side: Side, first: int, inputs: Arrays, outputs: Arrays) -> None:
    """Check that the solution is finite; the error states the inputs and parameters of the first sample that is not."""
    for name, values in outputs.items():
        broken = (~torch.isfinite(values)).reshape(len(values), -1).any(1).nonzero().flatten().tolist()
        if broken:
            rows = {key: array[broken[0]] for key, array in inputs.items()}
            given = ", ".join(f"{key} {float(row.min()):.6g} to {float(row.max()):.6g}" for key, row in rows.items())
            raise ValueError(
                f"{side.name}: {name} of sample {first + broken[0]} is not finite; it was computed from {given} and"
                f" {json.dumps(side.parameters)}: refine the solver"
            )


def _measure(side: Side, inputs: Arrays, device: torch.device, chunk: int) -> dict[str, float]:
    """Measure cost and conservation on `TIMED` samples, and the order of convergence on `REFINED`, which are refined twice."""
    some = {name: values[:TIMED].to(device) for name, values in inputs.items()}
    begin, residuals, samples = time.perf_counter(), [], len(next(iter(some.values())))
    for first in range(0, samples, chunk):
        _, residual = side.ensemble.solve({name: values[first : first + chunk] for name, values in some.items()})
        residuals.append(residual.cpu())  # waits for the device
    seconds = time.perf_counter() - begin
    return {
        "solver_order_measured": _measure_order(side, some),
        "conservation_residual": float(torch.cat(residuals).max()),
        "cost_seconds_per_sample": seconds / samples,
    }


def _measure_order(side: Side, inputs: Arrays) -> float:
    """Return the order at which the outputs converge under refinement; NaN if the ensemble declares no order."""
    if math.isnan(side.ensemble.order):
        return math.nan
    changes = [0.0, 0.0]
    for i in range(min(REFINED, len(next(iter(inputs.values()))))):
        one = {name: values[i : i + 1] for name, values in inputs.items()}
        answers = [side.ensemble.solve(one, side.resolved * factor)[0] for factor in (1, 2, 4)]
        for level, (coarse, fine) in enumerate(pairwise(answers)):
            changes[level] += sum(float((coarse[name] - fine[name]).square().sum()) for name in coarse)
    return math.log2(changes[0] / changes[1]) / 2 if min(changes) > 0 else math.nan


def _find_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in CHUNK_CELLS:
        raise ValueError(f"device must be cpu or cuda, got {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name} needs a GPU, none is visible: use cpu")
    return device
