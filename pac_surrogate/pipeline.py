"""The main functions beside `pretrain`: prune and allocate, draw a ticket, transfer."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pac_surrogate.data.conversion import Given, as_dataset, check_some_present
from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import group_mean
from pac_surrogate.data.scaling import Scaling
from pac_surrogate.methods.by_outputs import ByOutputs
from pac_surrogate.methods.case import Budget, Case
from pac_surrogate.methods.folds import LeaveOut
from pac_surrogate.methods.method import Method, Outcome, check_case, needs_target
from pac_surrogate.methods.pruned.exempt import READOUT
from pac_surrogate.methods.pruned.pac import Allocate
from pac_surrogate.methods.specification import Choosable, as_method, make_described
from pac_surrogate.predictors import OutputGroups
from pac_surrogate.prepare import Prepared, prepare, warn_of, warn_of_strangers
from pac_surrogate.runner import Solver, run
from pac_surrogate.surrogates.layout import same_variables
from pac_surrogate.surrogates.own_error import known_error
from pac_surrogate.surrogates.saved import provenance
from pac_surrogate.surrogates.surrogate import Surrogate, as_surrogate
from pac_surrogate.utilities.arguments import check_flags, whole_seed
from pac_surrogate.utilities.process import own_settings

PART = 0.5  # of the squared error that is left on the target: smaller errors of the source network are not worth a warning
OVERCOME = 4.0  # multiple of it: the result does not inherit an error of the source network that is larger than this


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
    regrid: bool = False,
    device: str = "auto",
) -> Surrogate:
    """Adapt a source surrogate to a target of which few samples are available.

    Outputs that the target lacks in some samples (`Dataset.from_arrays(..., missing="mask")`) are divided into groups that have
    the same samples. Each group is fitted by itself, with every method, as a transfer of its outputs and samples alone: no
    information passes between groups, a trained network is trained once for each of them, and `source_task` is not kept.

    The warning about the source network compares mean squares over the outputs, in the same units. One is its error on samples
    of its own source: that which `pretrain` measured, or else that on the valid or test split of `source`. The other is the
    error of the result on target samples that were left out (by the folds of `intervals`, or by "auto"). There is a warning if
    the first is more than half of the second plus its standard error, since a better source network may remove it. If it is
    more than four times the second, the target samples have overcome it, and there is none.

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
        regrid: whether to interpolate the fields of `data` linearly onto the grid of the surrogate, see `Dataset.regrid`. The
            result predicts on the surrogate's grid, and its intervals and errors are those on this grid.
        device: "auto" means CUDA if it is available.

    Warns:
        DataWarning: if samples repeat inputs, which are then left out together; if outputs are new to the surrogate; if a
            variable is on another grid, or is interpolated; if the source holds a variable at a set point and the target varies
            it; if the target varies a variable too little for float64 on the source's scale; if the surrogate's record of its
            own data contradicts `data` or `source`; or if the source network's own error makes up more than half of the squared
            error that is left on the target (see above).
        ExtrapolationWarning: if target inputs leave the range of the source by more than its width.

    Raises:
        ValueError: if the training diverges, data do not fit the surrogate, or `source` is missing.
    """
    surrogate = as_surrogate(surrogate)
    data = as_dataset("data", data, y, like=surrogate, gaps=True)
    check_some_present("data", data)
    source = None if source is None else as_dataset("source", source, like=surrogate)
    seed = whole_seed(seed)
    check_flags(intervals=intervals, regrid=regrid)
    data = data.aligned(surrogate)
    source = source and source.aligned(surrogate)
    data = data.regrid(surrogate) if regrid else data
    chosen = as_method(method)
    prepared = prepare(surrogate, data, source)
    case = prepared.case(Budget(steps, source_steps, batch_size, folds), seed)
    check_case(chosen, case)
    warn_of(surrogate, data, source, prepared, stacklevel=4)
    fitted: Method = LeaveOut(chosen) if intervals else chosen
    outcome = _outcome(ByOutputs((fitted,)) if case.target.has_missing else fitted, case, device)
    adapted = remembered(outcome, case)
    if not needs_target(outcome.method):
        _warn_of_source(surrogate, source, prepared, adapted)
    return dataclasses.replace(
        adapted, given_inputs=prepared.matched.given_inputs, given_outputs=prepared.matched.given_outputs
    )


def _adapted(method: Method, case: Case, device: str) -> Surrogate:
    """Return the surrogate that a method gives for a case; see `_outcome`."""
    return remembered(_outcome(method, case, device), case)


def _outcome(method: Method, case: Case, device: str) -> Outcome:
    """Return the outcome of a method on a case.

    Raises:
        ValueError: if the method diverges, or does not apply to the case.
    """
    (outcome,) = run([(method, case)], Solver(device=device))
    if outcome.refused is not None:
        raise ValueError(outcome.refused)
    if outcome.diverged is not None:
        raise ValueError(f"{outcome.method} diverged at step {outcome.diverged}: lower its learning_rate")
    return outcome


def remembered(outcome: Outcome, case: Case) -> Surrogate:
    """Return the surrogate of an outcome with a record of the transfer in its provenance."""
    origin = provenance(case.target, method=repr(outcome.method), seed=case.seed, **dataclasses.asdict(case.budget))
    return dataclasses.replace(outcome.surrogate, provenance={**outcome.surrogate.provenance, "transfer": origin})


def _warn_of_source(surrogate: Surrogate, source: Dataset | None, prepared: Prepared, adapted: Surrogate) -> None:
    """Warn if the source network's own error makes up more than half of what is left on the target; see `transfer`."""
    matched = prepared.matched
    if not same_variables(matched.outputs, adapted.outputs):  # of new outputs the source has no error
        return
    for whose, own, columns in _groups(adapted):
        left = _left(own)
        if left is None:
            continue
        known, before, outputs = known_error(surrogate, source), matched.scaling.outputs.pick(columns), own.scaling.outputs
        scale = outputs.deviation
        varies = (scale > 0) & (before.deviation > 0)
        error = torch.cat([torch.full((v.size,), known.get(v.name, 0.0), dtype=torch.float64) for v in adapted.outputs])
        part = float((error[columns] * before.deviation / scale)[varies].square().mean())
        given = torch.as_tensor(np.asarray(prepared.target.output_matrix, dtype=np.float64))[:, columns]
        y = outputs.standardise(given[~torch.isnan(given[:, 0])])  # all outputs of a group have the same samples
        spread = float(y[:, varies].var(0, correction=0).mean())
        mean, deviation = left
        if PART * (mean + deviation) < part < OVERCOME * mean and spread > 0:
            warnings.warn(
                f"the source network is the bottleneck{whose}: its error on samples of its own source is "
                f"{(part / spread) ** 0.5:.2g} of the target's deviation, and the result's on target samples left out is "
                f"{(mean / spread) ** 0.5:.2g}: pretrain it with more steps, a wider network or more samples",
                DataWarning,
                stacklevel=4,
            )


def _groups(adapted: Surrogate) -> list[tuple[str, Surrogate, torch.Tensor]]:
    """Return the surrogate of each group of outputs that was fitted by itself, its name for a message, and its columns."""
    scaling, predictor = adapted.scaling, adapted.predictor
    if not isinstance(predictor, OutputGroups):
        return [("", adapted, torch.arange(len(scaling.outputs.mean)))]
    found = []
    for label, member, folds, columns in zip(
        predictor.labels, predictor.members, predictor.folds, predictor.columns, strict=True
    ):
        picked = Scaling(scaling.inputs, scaling.outputs.pick(columns))
        found.append((f" of {label}", dataclasses.replace(adapted, predictor=member, folds=folds, scaling=picked), columns))
    return found


def _left(adapted: Surrogate) -> tuple[float, float] | None:
    """Return the mean square of the standardised residuals on target samples that were left out, and its standard error.

    For a mixture it is the weighted mean over its members, which is never below that of the mixture. None if no samples were
    left out, or if most of the mixture's weight lies on members that do not use the source network.
    """
    if adapted.folds is not None:
        varies = adapted.scaling.outputs.deviation > 0
        square = group_mean(adapted.folds.residual[:, varies].square().mean(1), adapted.folds.group)
        return float(square.mean()), float(square.std()) / len(square) ** 0.5
    choice = adapted.choice
    if choice is None or choice.weight_of_network <= 0.5 or not choice.table:
        return None
    rows = [(one.weight, one.error, one.standard_error) for one in choice.table]
    return sum(w * e**2 for w, e, _ in rows), sum(2 * w * e * s for w, e, s in rows)
