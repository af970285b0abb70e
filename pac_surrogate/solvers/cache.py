"""Finished stacks on disk, each in a file whose name is a digest of everything that determines its result."""

import os
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.files import DatasetError
from pac_surrogate.files.attributes import LONGEST_MESSAGE
from pac_surrogate.files.replacing import check_output, check_own_folder
from pac_surrogate.files.tensors import UncheckedError, load_tensors, save_tensors
from pac_surrogate.models import CNN, MLP, Composite
from pac_surrogate.models.weights import Weights, digest
from pac_surrogate.solvers.runs import Fit, Options, Run, fits_of
from pac_surrogate.utilities.display import one_line

TRAINER = 4  # increase it when the content of a stack changes: stacks from an older trainer are then not used


def check_cache(folder: Path | None, model: nn.Module) -> Path | None:
    """Return the folder, or None for a user's module: a digest cannot cover its code, so a stored stack might be outdated.

    Raises:
        DatasetError: if there is a link or a file instead of the folder.
    """
    architecture = getattr(model, "architecture", None)
    while isinstance(architecture, Composite):
        architecture = architecture.base
    if folder is None or not isinstance(architecture, MLP | CNN):
        return None
    check_own_folder(folder)
    return folder


def cache_path(folder: Path, model: nn.Module, runs: list[Run], options: Options) -> Path:
    """Return the path of a stack, whose name is a digest of everything that determines its result."""
    distinct = dict.fromkeys(data for run in runs for data in (run.data, run.valid) if data is not None)
    digests = {data: data.digest() for data in distinct}
    settings = [
        (
            run.seed,
            run.learning_rate,
            run.plan.rate,
            run.plan.regulariser,
            run.plan.reparametrisation,
            run.plan.perturbation,
            digests[run.data],
            None if run.valid is None else digests[run.valid],
        )
        for run in runs
    ]
    plans = [part for run in runs for part in (run.plan.start, run.plan.trainable, run.plan.anchor, run.plan.strength)]
    plans += [run.plan.regulariser.arrays for run in runs if run.plan.regulariser is not None]
    name = digest((TRAINER, version("pac_surrogate"), model.architecture, options, settings), plans)
    return folder / f"{name}.safetensors"


def save_stack(path: Path, fits: list[Fit]) -> None:
    """Save the results of the runs of a stack, with the trained tensors, from which their weights follow."""
    tensors = {f"tensors/{name}": torch.stack([result.tensors[name] for result in fits]) for name in fits[0].tensors}
    results = [{"diverged": f.diverged, "valid_error": f.valid_error, "seconds": f.seconds} for f in fits]
    objective = torch.stack([f.objective for f in fits])
    header = {"stack": path.stem, "runs": results, "order": list(fits[0].tensors)}
    save_tensors(path, tensors | {"objective": objective}, header, cache=True)


def load_stack(path: Path, runs: list[Run], options: Options) -> list[Fit] | None:
    """Load the finished stack of these runs; return None if it does not exist, or, with a warning, if it is damaged.

    A stack of an earlier version, without a checksum, counts as one that does not exist.
    """
    if not os.path.lexists(path):
        return None
    check_output(path)
    try:
        tensors, header = load_tensors(path, checked=True)
        if header.get("stack") != path.stem:
            raise DatasetError(f"{path} holds another stack than its name states")
        return _fits(tensors, header, runs, options)
    except UncheckedError:
        return None
    except DatasetError as error:
        reason = error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = DatasetError(f"{path} is not a complete stack ({one_line(error)})")
    warnings.warn(DataWarning(one_line(f"{reason}: it is trained again", LONGEST_MESSAGE)), stacklevel=2)
    return None


def _fits(tensors: Weights, header: dict[str, Any], runs: list[Run], options: Options) -> list[Fit]:
    """Return the results in a stack, after checking that they belong to these runs."""
    expected = {n: (len(runs), *w.shape) for n, w in runs[0].plan.start.items()}
    # safetensors sorts names; the order of weights is the order in which penalties are added, which affects rounding.
    stacked = {name: tensors[f"tensors/{name}"] for name in header["order"]}
    objective, results = tensors["objective"], header["runs"]
    if {name: tuple(w.shape) for name, w in stacked.items()} != expected or len(results) != len(runs):
        raise ValueError("its weights are not those of the runs")
    if objective.shape != (len(runs), options.steps) or {t.dtype for t in (objective, *stacked.values())} != {options.dtype}:
        raise ValueError("its history is not that of the runs")
    return fits_of(runs, stacked, objective, results)
