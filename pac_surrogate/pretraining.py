"""Pretraining: all weights of a surrogate are trained on source samples, and its error is measured on others."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from pac_surrogate.data.conversion import Given, as_dataset
from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import is_numbered
from pac_surrogate.data.repeats import count_of, groups_of
from pac_surrogate.data.scaling import Scaling, fit_scaling
from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture, Module, as_architecture, initial_weights
from pac_surrogate.models.size import check_size
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import build_network
from pac_surrogate.runner import Solver
from pac_surrogate.solvers.training import fit
from pac_surrogate.surrogates.design import uniform_inputs
from pac_surrogate.surrogates.origin import DISTILLED, VALIDATION
from pac_surrogate.surrogates.own_error import own_error
from pac_surrogate.surrogates.saved import provenance
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import check_numbers, got, whole_numbers, whole_seed
from pac_surrogate.utilities.process import own_settings

HELD_OUT = 0.1  # fraction of the samples that validate a training if the user gives no others
ENOUGH = 100  # samples from which they are held out: ten give the error of a network to within 1 / sqrt(20), or 22%
DISTILLED_FROM = 10_000  # random inputs at which `distil` asks a surrogate, unless told otherwise
LEAST = 0.1  # fraction of the outputs' variance below which a network explains almost nothing
MARGIN = 2.0  # standard errors of that fraction which a warning grants the network


@own_settings()
def pretrain(
    data: Given,
    y: Any = None,
    *,
    model: Architecture | nn.Module | type | str | None = None,
    seed: int = 0,
    steps: int = 3000,
    learning_rate: float = 3e-3,
    batch_size: int = 128,
    valid: Given | float | None = None,
    device: str = "auto",
) -> Surrogate:
    """Train all weights of a surrogate on source data; the learning rate falls to zero along half a cosine.

    The weights are those with the least error on validation samples during the training, if there are such samples. The result
    keeps its error on them, and shows it when it is printed:

        error = sqrt(mean over samples and columns of ((f - y) / deviation)^2)

    with the deviation of each output column in the training data: 0 is perfect, and predicting the mean gives about 1. Its
    `provenance["validation"]` holds the number of samples, this error of all outputs together and of each output variable, the
    fraction of the outputs' variance that is explained with its standard error, and whether the samples are some of `data`.

    Args:
        data: source training samples, which determine the scaling; of a dataset with valid or test samples, its train split.
            Instead of a dataset it may be the path of a data file, a pair of arrays (x, y), or an array x followed by `y`;
            arrays are read by `Dataset.from_arrays(x, y)`.
        y: outputs, if `data` is the array of the inputs.
        model: architecture, `MLP()` by default; a class or a name means that architecture with its defaults, and a torch module
            is wrapped in a `Module`.
        seed: seed of the initial weights and of the minibatches.
        steps: number of steps of Adam; 0 keeps the weights of a `Module`.
        learning_rate: learning rate at the first step.
        batch_size: samples per step.
        valid: validation samples; of a dataset with splits, its valid split. Or the fraction of the samples that is held out
            for this purpose, on which the network is then not trained; samples of equal inputs are held out together, and 0
            trains on all. By default the valid split of `data`, or, if it has none, a tenth of the samples where there are 100
            or more. Rows that belong together, such as the times of one trajectory, are held out one by one,
            so that the error is too low: pass validation samples from other trajectories.
        device: "auto" means CUDA if it is available.

    Warns:
        DataWarning: if the network explains almost nothing of the validation samples, as when rows were joined wrongly: two
            standard errors above the estimate, the fraction of the outputs' variance that it explains is still below a tenth.

    Raises:
        ValueError: if the training diverges, or data and model do not fit.
    """
    seed, (steps,) = whole_seed(seed), whole_numbers(steps=steps)
    (batch_size,) = whole_numbers(least=1, batch_size=batch_size)
    check_numbers(learning_rate=learning_rate)
    data = as_dataset("data", data, y)
    validation: Dataset | float | None
    if isinstance(valid, bool | int | float | np.number):
        validation = _fraction(valid)
    elif valid is None:
        split = data.seen is not data and data.has_split("valid")
        validation = data.valid if split else HELD_OUT if steps and len(data.seen) >= ENOUGH else None
    else:
        validation = as_dataset("valid", valid)
    (surrogate,) = pretrain_seeds(
        data,
        model=as_architecture(model),
        seeds=(seed,),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        valid=validation,
        solver=Solver(device=device),
    )
    _warn_of_error(surrogate)
    return surrogate


@own_settings()
def pretrain_seeds(
    data: Dataset,
    *,
    model: Architecture,
    seeds: Sequence[int],
    steps: int,
    learning_rate: float,
    batch_size: int = 128,
    valid: Dataset | float | None = None,
    solver: Solver | None = None,
) -> list[Surrogate]:
    """Pretrain a surrogate for each seed, all as one stack; see `pretrain`. Without `valid`, all samples are trained on."""
    data = data.training
    check_size(model, data.inputs, data.outputs, len(seeds))
    bare = untrained(data, model)
    network, scaling = bare.network, bare.scaling
    trained, unseen = data, None
    if isinstance(valid, Dataset):
        unseen = valid if valid.seen is valid else valid.valid  # of a dataset with splits, its valid split
        unseen = bare.arranged(unseen)
    elif valid:
        trained, unseen = _held_out(data, scaling, valid)
    scaled = scaling.standardise(trained)
    scaled_valid = scaling.standardise(unseen) if unseen else None  # where all inputs are equal, none are held out
    # A user's module that is not to be trained keeps its weights; otherwise every seed has its own initial weights.
    kept = isinstance(model, Module) and steps == 0
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    starts = [network.weights if kept else initial_weights(network.module, generator) for generator in generators]
    plans = [make_plan(start) for start in starts]
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
        dtype=network.dtype if kept else torch.float32,
        **(solver or Solver()).options(),
    )
    surrogates = []
    for seed, result in zip(seeds, fits, strict=True):
        if result.diverged is not None:
            raise ValueError(
                f"pretraining diverged at step {result.diverged} (seed {seed}): lower learning_rate={learning_rate}"
            )
        origin = provenance(data, seed=seed, steps=steps, learning_rate=learning_rate, batch_size=batch_size)
        found = dataclasses.replace(bare, predictor=dataclasses.replace(network, weights=result.weights))
        measured = own_error(found, unseen) if unseen else None
        origin |= {VALIDATION: {**measured, "held_out": trained is not data}} if measured else {}
        surrogates.append(dataclasses.replace(found, provenance=origin))
    return surrogates


@own_settings()
def distil(
    surrogate: Surrogate,
    *,
    model: Architecture | nn.Module | type | str | None = None,
    inputs: Any = None,
    samples: int | None = None,
    seed: int = 0,
    steps: int = 3000,
    learning_rate: float = 3e-3,
    batch_size: int = 128,
    device: str = "auto",
) -> Surrogate:
    """Train a network on the predictions of a surrogate; see `Surrogate.distil`."""
    if inputs is not None and samples is not None:
        raise ValueError(
            f"the given inputs are the samples, so that samples={got(samples)} has no meaning: leave one of both out"
        )
    count = DISTILLED_FROM if samples is None else samples
    seed, (count, steps, batch_size) = (
        whole_seed(seed),
        whole_numbers(least=1, samples=count, steps=steps, batch_size=batch_size),
    )
    check_numbers(learning_rate=learning_rate)
    if inputs is None:
        rows = uniform_inputs(
            surrogate.inputs, surrogate.scaling.inputs, count + 2 * -(-count // 10), np.random.default_rng(seed)
        )
        data = _predictions(surrogate, rows)
        trained, unseen = data[:count], data[count:]
    else:
        data = _predictions(surrogate, surrogate.input_columns(inputs).detach().cpu().double().numpy())
        trained, unseen = _held_out(data, surrogate.scaling, 2 * HELD_OUT)
    if len(unseen) < 2:
        raise ValueError(
            f"inputs must hold 10 different samples or more, of which a fifth is held out, got {len(data)} samples"
        )
    # The error that is reported is measured at other inputs than those by which the best weights are chosen.
    chosen_by, measured_at = unseen[::2], unseen[1::2]
    (found,) = pretrain_seeds(
        trained,
        model=as_architecture(model),
        seeds=(seed,),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        valid=chosen_by,
        solver=Solver(device=device),
    )
    kept = {key: value for key, value in surrogate.provenance.items() if key != VALIDATION}
    ends = {"low": surrogate.scaling.inputs.low, "high": surrogate.scaling.inputs.high}
    distilled = dataclasses.replace(
        surrogate,
        predictor=found.predictor,
        scaling=Scaling(dataclasses.replace(found.scaling.inputs, **ends), found.scaling.outputs),
        folds=None,
        allocated=None,
    )
    origin = {"predictor": type(surrogate.predictor).__name__, "samples": len(trained), "steps": steps, "seed": seed}
    added = _added_error(distilled, surrogate, np.asarray(measured_at.input_matrix, dtype=np.float64))
    return dataclasses.replace(distilled, provenance={**kept, DISTILLED: {**origin, **added}})


def _predictions(surrogate: Surrogate, rows: Float[np.ndarray, "sample input"]) -> Dataset:
    """Return a surrogate's predictions at some inputs as samples of its variables."""
    predicted = surrogate.predictor.predict(surrogate.standardised(torch.from_numpy(rows))).double()
    sides = (surrogate.inputs, rows), (surrogate.outputs, surrogate.scaling.outputs.restore(predicted).numpy())
    x, y = (
        {v.name: part.reshape(-1, *v.shape) for v, part in zip(own, _split(own, matrix), strict=True)} for own, matrix in sides
    )
    variables = (*surrogate.inputs, *surrogate.outputs)
    return Dataset.from_arrays(
        x,
        y,
        axes={v.name: v.axes for v in variables},
        units={v.name: v.units for v in variables},
        scaling={v.name: v.scaling for v in variables},
    )


def _split(variables: Sequence[Variable], matrix: Float[np.ndarray, "sample column"]) -> list[np.ndarray]:
    return np.split(matrix, np.cumsum([variable.size for variable in variables])[:-1], axis=1)


def _added_error(distilled: Surrogate, surrogate: Surrogate, rows: Float[np.ndarray, "sample input"]) -> dict[str, Any]:
    """Return the root mean square of the difference of two surrogates, in deviations of the outputs of the second one."""
    columns, x = surrogate.scaling.outputs, torch.from_numpy(rows)
    ours, theirs = (
        columns.standardise(one.scaling.outputs.restore(one.predictor.predict(one.standardised(x)).double()))
        for one in (distilled, surrogate)
    )
    square, varies = (ours - theirs).square().mean(0), columns.deviation > 0
    sizes = [variable.size for variable in surrogate.outputs]
    parts = zip(surrogate.outputs, square.split(sizes), varies.split(sizes), strict=True)
    outputs = {variable.name: float(own[kept].mean().sqrt()) for variable, own, kept in parts if bool(kept.any())}
    return {"error": float(square[varies].mean().sqrt()) if bool(varies.any()) else 0.0, "outputs": outputs}


def untrained(data: Dataset, model: Architecture) -> Surrogate:
    """Return a surrogate with the variables and the scaling of data, whose network is not trained."""
    data = data.training
    coordinates = {name: axis for name, axis in data.coordinates.items() if not is_numbered(axis)}
    network = build_network(model, data.inputs, data.outputs)
    return Surrogate(network, fit_scaling(data), data.inputs, data.outputs, coordinates=coordinates)


def _fraction(valid: Any) -> float:
    """Return the fraction of the samples that the user wants to be held out.

    Raises:
        ValueError: if it is not a fraction.
    """
    if isinstance(valid, bool) or not 0 <= valid < 1:
        raise ValueError(
            f"valid must be validation samples, or the fraction of the samples that is held out, at least 0 and below 1, "
            f"got {got(valid)}"
        )
    return float(valid)


def _held_out(data: Dataset, scaling: Scaling, fraction: float) -> tuple[Dataset, Dataset]:
    """Divide samples into those that train and those that validate, at random; samples of equal inputs stay together."""
    x = torch.from_numpy(np.asarray(scaling.standardise(data).input_matrix, dtype=np.float64))
    group = groups_of(x)
    inputs = count_of(group)
    chosen = np.random.default_rng(inputs).permutation(inputs)[: min(round(fraction * inputs), inputs - 1)]
    held = np.isin(group.numpy(), chosen)
    return data[np.flatnonzero(~held)], data[np.flatnonzero(held)]


def _warn_of_error(surrogate: Surrogate) -> None:
    """Warn of a network that explains almost nothing of its own validation samples.

    The training keeps the best weights of all that it visits, so that a network which only learned the noise is not taken for
    one whose inputs explain nothing. With a fraction of 0.3, the estimate would have to lie two standard errors and 0.2 too low
    for a warning, which normal errors do in fewer than one of 40 cases, whatever the number of samples.
    """
    kept = surrogate.provenance.get(VALIDATION)
    if kept and kept["explained"] is not None and kept["explained"] + MARGIN * kept["standard_error"] < LEAST:
        warnings.warn(
            f"the inputs explain almost nothing of the outputs: the error is {kept['error']:.2f} of their deviation on "
            f"{kept['samples']} validation samples; were rows joined wrongly, or are steps={surrogate.provenance['steps']} too "
            "few?",
            DataWarning,
            stacklevel=4,
        )
