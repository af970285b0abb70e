"""The main functions: pretrain, prune and allocate, draw a ticket, transfer."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pac_surrogate.data.conversion import Given, as_dataset
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import is_numbered
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.methods.case import Budget, Case
from pac_surrogate.methods.folds import LeaveOut
from pac_surrogate.methods.method import Method, Outcome, check_case
from pac_surrogate.methods.pruned.exempt import READOUT
from pac_surrogate.methods.pruned.pac import Allocate
from pac_surrogate.methods.specification import Choosable, as_method, make_described
from pac_surrogate.models import Architecture, Module, as_architecture, initial_weights
from pac_surrogate.models.size import check_size
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import build_network
from pac_surrogate.prepare import prepare, warn_of, warn_of_strangers
from pac_surrogate.runner import Solver, run
from pac_surrogate.solvers.training import fit
from pac_surrogate.surrogates.saved import provenance
from pac_surrogate.surrogates.surrogate import Surrogate, as_surrogate
from pac_surrogate.utilities.arguments import check_flags, check_numbers, whole_numbers, whole_seed
from pac_surrogate.utilities.process import own_settings


@own_settings()
def pretrain(
    data: Given,
    y: Any = None,
    *,
    model: Architecture | nn.Module | type | str | None = None,
    seed: int = 0,
    steps: int = 3000,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    valid: Given | None = None,
    device: str = "auto",
) -> Surrogate:
    """Train all weights of a surrogate on source data; the learning rate falls to zero along half a cosine.

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
        valid: validation samples, by which the best weights during the training are chosen; of a dataset with splits, its valid
            split.
        device: "auto" means CUDA if it is available.

    Raises:
        ValueError: if the training diverges, or data and model do not fit.
    """
    seed, (steps,) = whole_seed(seed), whole_numbers(steps=steps)
    (batch_size,) = whole_numbers(least=1, batch_size=batch_size)
    check_numbers(learning_rate=learning_rate)
    return pretrain_seeds(
        as_dataset("data", data, y),
        model=as_architecture(model),
        seeds=(seed,),
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        valid=None if valid is None else as_dataset("valid", valid),
        solver=Solver(device=device),
    )[0]


@own_settings()
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
    data = data.training
    check_size(model, data.inputs, data.outputs, len(seeds))
    scaling = fit_scaling(data)
    network = build_network(model, data.inputs, data.outputs)
    coordinates = {name: axis for name, axis in data.coordinates.items() if not is_numbered(axis)}
    bare = Surrogate(network, scaling, data.inputs, data.outputs, coordinates=coordinates)
    scaled, scaled_valid = scaling.standardise(data), None
    if valid is not None:
        valid = valid if valid.seen is valid else valid.valid  # of a dataset with splits, its valid split
        scaled_valid = scaling.standardise(bare.arranged(valid))
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
        predictor = dataclasses.replace(network, weights=result.weights)
        surrogates.append(dataclasses.replace(bare, predictor=predictor, provenance=origin))
    return surrogates


@own_settings()
def prune_and_allocate(
    surrogate: Surrogate | Path | str,
    source: Given,
    *,
    sparsity: float = 0.8,
    seed: int = 0,
    steps: int = 1000,
    batch_size: int = 128,
    device: str = "auto",
    **options: Any,
) -> Surrogate:
    """Do only steps 1 and 2 of PAC-Net; the result carries its essential mask.

    Args:
        surrogate: a pretrained surrogate, or the path of one.
        source: the source training samples of `pretrain`.
        sparsity: fraction that is pruned.
        seed: seed of the minibatches, and of a random mask.
        steps: number of steps of Adam.
        batch_size: samples per step.
        device: "auto" means CUDA if it is available.
        options: further fields of `Allocate`.

    Raises:
        ValueError: if the training diverges, or an option is out of range.
    """
    surrogate, source = as_surrogate(surrogate), as_dataset("source", source)
    seed = whole_seed(seed)
    warn_of_strangers(surrogate, source[:0], source, stacklevel=4)
    case = prepare(surrogate, source[:0], source).case(Budget(source_steps=steps, batch_size=batch_size), seed)
    return _adapted(make_described(Allocate, sparsity=sparsity, **options), case, device)


@own_settings()
def draw_ticket(
    surrogate: Surrogate | Path | str,
    source: Given,
    *,
    scheme: str = "IMP",
    granularity: str = "weight",
    sparsity: float = 0.8,
    radius: float = 0.0,
    attack_steps: int = 3,
    exempt: tuple[str, ...] = READOUT,
    target: Given | None = None,
    seed: int = 0,
    steps: int = 1000,
    batch_size: int = 128,
    device: str = "auto",
) -> Surrogate:
    """Draw a ticket, a subnetwork of the source, without transferring it; see `Ticket`.

    Args:
        surrogate: a pretrained surrogate, or the path of one.
        source: source training samples.
        scheme: OMP (one-shot magnitude) | IMP (iterative, rewound) | LMP (a mask learned on the target).
        granularity: unit that is pruned: weight | row | kernel | channel.
        sparsity: fraction of the groups of each tensor of the body (the weight tensors that are not exempt) that is pruned.
        radius: radius of the perturbation of the standardised inputs on the source; 0 draws a natural ticket.
        attack_steps: number of steps of the adversary; 0 is plain noise.
        exempt: tensors or modules that are not pruned, by default the readout (whatever its name); () prunes it too if single
            weights are pruned.
        target: target training samples, for LMP.
        seed: seed of the minibatches and the perturbations.
        steps: number of steps of Adam of each training on the source, of which IMP has nine at a sparsity of 0.8, and on the
            target.
        batch_size: samples per step.
        device: "auto" means CUDA if it is available.

    Raises:
        ValueError: if the training diverges, target samples are missing, or an option is out of range.
    """
    from pac_surrogate.methods.pruned.ticket import DrawTicket

    method = DrawTicket(
        scheme, sparsity=sparsity, granularity=granularity, radius=radius, attack_steps=attack_steps, exempt=exempt
    )
    surrogate, source = as_surrogate(surrogate), as_dataset("source", source)
    seed = whole_seed(seed)
    samples = None if target is None else as_dataset("target", target)
    if scheme == "LMP" and not samples:
        raise ValueError("scheme LMP learns its mask on the target: pass target=<target training samples>")
    data = samples if scheme == "LMP" and samples else source[:0]
    warn_of_strangers(surrogate, data, source, stacklevel=4)
    return _adapted(method, prepare(surrogate, data, source).case(Budget(steps, steps, batch_size), seed), device)


@own_settings()
def transfer(
    surrogate: Surrogate | Path | str,
    data: Given,
    y: Any = None,
    *,
    method: Choosable | Sequence[Choosable] = "auto",
    source: Given | None = None,
    seed: int = 0,
    steps: int = 1000,
    source_steps: int = 1000,
    batch_size: int = 128,
    folds: int = 5,
    intervals: bool = True,
    device: str = "auto",
) -> Surrogate:
    """Adapt a source surrogate to a target of which few samples are available.

    Args:
        surrogate: a surrogate pretrained on the source, or the path of one.
        data: target training samples; of a dataset with valid or test samples, its train split. Instead of a dataset it may be
            the path of a data file, a pair of arrays (x, y), or an array x followed by `y`; arrays are read by
            `Dataset.from_arrays(x, y)`. Variables are matched with those of the surrogate by name, or by position if they have
            the default names. Arrays passed to the result must have the layout of the data.
        y: outputs, if `data` is the array of the inputs.
        method: "auto" chooses among closed forms in seconds and reports the reason (see `Auto` and the result's `choice`).
            Otherwise a method with its hyper-parameters, the class or name of a method ("PAC", "fine-tune"), which then has its
            defaults, or several candidates (see `grid`). Among candidates, K-fold cross-validation on `data` chooses; with
            fewer than 4 distinct inputs the first candidate is used.
        source: the source training samples of `pretrain`, for methods that train on them.
        seed: seed of initial weights, masks, minibatches and folds.
        steps: gradient steps on the target.
        source_steps: gradient steps of each training on the source, for methods that train on the source.
        batch_size: samples per step; if there are fewer samples, every step uses all of them.
        folds: number of folds of the cross-validation. A fold is a group of samples that are left out together; there are at
            most as many folds as distinct inputs.
        intervals: whether to fit also without each of at most 10 parts of the samples, in the same stacks, for
            `predict_interval`; "auto" needs no such fits.
        device: "auto" means CUDA if it is available.

    Warns:
        DataWarning: if samples repeat inputs, which are then left out together; if outputs are new to the surrogate; if a
            variable is on another grid; if the source holds a variable at a set point and the target varies it; if the target
            varies a variable too little for float64 on the source's scale; or if the surrogate's record of its own data
            contradicts `data` or `source`.
        ExtrapolationWarning: if target inputs leave the range of the source by more than its width.

    Raises:
        ValueError: if the training diverges, data do not fit the surrogate, or `source` is missing.
    """
    surrogate, data = as_surrogate(surrogate), as_dataset("data", data, y)
    source = None if source is None else as_dataset("source", source)
    seed = whole_seed(seed)
    check_flags(intervals=intervals)
    chosen = as_method(method)
    prepared = prepare(surrogate, data, source)
    case = prepared.case(Budget(steps, source_steps, batch_size, folds), seed)
    check_case(chosen, case)
    warn_of(surrogate, data, source, prepared, stacklevel=4)
    adapted = _adapted(LeaveOut(chosen) if intervals else chosen, case, device)
    return dataclasses.replace(
        adapted, given_inputs=prepared.matched.given_inputs, given_outputs=prepared.matched.given_outputs
    )


def _adapted(method: Method, case: Case, device: str) -> Surrogate:
    """Return the surrogate that a method gives for a case.

    Raises:
        ValueError: if the method diverges, or does not apply to the case.
    """
    (outcome,) = run([(method, case)], Solver(device=device))
    if outcome.refused is not None:
        raise ValueError(outcome.refused)
    if outcome.diverged is not None:
        raise ValueError(f"{outcome.method} diverged at step {outcome.diverged}: lower its learning_rate")
    return remembered(outcome, case)


def remembered(outcome: Outcome, case: Case) -> Surrogate:
    """Return the surrogate of an outcome with a record of the transfer in its provenance."""
    origin = provenance(case.target, method=repr(outcome.method), seed=case.seed, **dataclasses.asdict(case.budget))
    return dataclasses.replace(outcome.surrogate, provenance={**outcome.surrogate.provenance, "transfer": origin})
