"""Candidates in closed form for a target, each with its residuals on samples that it has not seen.

No gradient step is taken: a choice costs a Jacobian of the samples and a few factorisations.
"""

import contextlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.nested_cross_validation import nested_choice
from pac_surrogate.data.repeats import group_sum, groups_of
from pac_surrogate.kernels.tangent import KERNEL_ROWS
from pac_surrogate.methods.around.gaussian_process import GP
from pac_surrogate.methods.around.levels import co_kriged
from pac_surrogate.methods.around.linear_correction import RidgeLines
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.methods.tuned.atl import ATL, Statistics
from pac_surrogate.models import evaluate
from pac_surrogate.models.weights import Mask, inside, prunable, redundant
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.predictors import Correction, LeftOut, Network, Predictor, Processes
from pac_surrogate.pruning import magnitude_mask
from pac_surrogate.solvers.closed_form import RATIOS, linearise
from pac_surrogate.surrogates.surrogate import Surrogate

BLOCK_ROWS = 512  # samples x outputs up to which the exact kernel is used for several outputs
SPARSITY = 0.8  # sparsity of the candidates' essential mask
LAYERS = 6  # largest number of single layers among the candidates
RIDGES = (1.0, 0.1, 0.01, 1e-4, 1e-7)  # ridge strengths of the linear corrections
PROCESS_SAMPLES = 200  # number of samples up to which Gaussian processes are among the candidates


def candidates(
    surrogate: Surrogate,
    data: Dataset,
    statistics: Sequence[Statistics] | None = None,
    process: Processes | None = None,
    others: Mapping[str, LeftOut] = MappingProxyType({}),
) -> dict[str, LeftOut]:
    """Fit all candidates that the case allows, and return them by name.

    Args:
        surrogate: the source, with the target's outputs.
        data: standardised target samples, of two different inputs or more.
        statistics: statistics of the source's features, for ATL.
        process: Gaussian processes of the source's samples.
        others: candidates that were fitted elsewhere and are added.

    Raises:
        NotApplicableError: if the case allows no candidate.
    """
    network = surrogate.network
    x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
    found: dict[str, LeftOut] = {}
    knows = not network.new_readout or any(bool(w.any()) for w in readout_weights(surrogate))
    if knows:
        found["source unchanged"] = LeftOut(network, y - _predict(network, x))
        found |= _around(network, data, x, y)
        if process is not None and not network.new_readout:
            found["the source's process"] = LeftOut(process, y - process.predict(x))
            found |= _around(process, data, x, y, of=" of the source's process")
            if len(data) <= PROCESS_SAMPLES:
                found["co-kriging"] = co_kriged(process, data)
    plans, outputs = plans_around(surrogate), y.shape[1]
    kernels = ["block"] * (y.numel() <= BLOCK_ROWS or outputs == 1) + ["shared"] * (outputs > 1)
    kernels = kernels if len(data) <= KERNEL_ROWS else []
    for kernel in kernels:
        solved = linearise(network, list(plans.values()), x, y, kernel=kernel, ratio=RATIOS)
        for name, solution in zip(plans, solved, strict=True):
            if solution.unseen is not None:  # it is None only after conjugate gradients
                found[f"{name}, {kernel} kernel" if len(kernels) > 1 else name] = solution.unseen
    if len(data) <= PROCESS_SAMPLES:
        found["GP on the target"] = GP(on="target").left_out(network, data)
    if statistics is not None:
        # Anchored at 0, it finds a target that is linear in the inputs or features however far the source is from it.
        anchor = "source" if _has_grid(network, x) else "zero"
        # ATL does not apply to a model without features.
        with contextlib.suppress(NotApplicableError):
            found["ATL"] = ATL(anchor=anchor).left_out(network, data, statistics)
    found = {name: one for name, one in {**found, **others}.items() if bool(torch.isfinite(one.residual).all())}
    if not found:
        raise NotApplicableError(f"auto has no candidate for {len(data)} samples of new outputs: name a method")
    return found


def readout_weights(surrogate: Surrogate) -> list[Tensor]:
    """Return the weights of the readout, which are all 0 if the source knows no output."""
    return [surrogate.weights[name] for name, own in inside(surrogate.weights, surrogate.readout).items() if bool(own)]


def _predict(base: Predictor, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
    with torch.no_grad():
        return base.predict(x).double()


def _has_grid(network: Network, x: Float[Tensor, "sample input"]) -> bool:
    with torch.no_grad():
        return any(feature.ndim > 2 for feature in evaluate(network.module, network.weights, x[:1].to(network.dtype))[1])


def plans_around(surrogate: Surrogate) -> dict[str, Plan]:
    """Return priors around the source: which weights may change, and with which variance."""
    weights, readout = surrogate.weights, surrogate.readout

    def plan(trainable: bool | Mask, strength: float | Mapping[str, float | Tensor] = 1.0) -> Plan:
        return make_plan(weights, trainable=trainable, anchor=weights, strength=strength)

    plans = {"readout": plan(inside(weights, readout))}
    if not any(bool(w.any()) for w in readout_weights(surrogate)):
        return plans  # with a readout of 0, no other weight changes the prediction
    names = prunable(weights)
    biases = {name: torch.tensor(name not in names) for name in weights}
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    essential = magnitude_mask(weights, SPARSITY)
    inert = redundant(essential) | {name: torch.tensor(True) for name in weights if name not in names}
    sizes = {name: 1 / weight.double().abs().clamp_min(1e-6) if name in names else 1.0 for name, weight in weights.items()}
    plans["biases"] = plan(biases)
    plans |= {f"layer {module}": plan(inside(weights, module)) for module in [m for m in modules if m != readout][:LAYERS]}
    plans |= {"essential weights": plan(essential), "redundant weights": plan(inert)}
    return plans | {"all weights": plan(True), "all weights, variance as |w|": plan(True, sizes)}


def _around(
    base: Predictor, data: Dataset, x: Float[Tensor, "sample input"], y: Float[Tensor, "sample output"], *, of: str = ""
) -> dict[str, LeftOut]:
    """Fit corrections of a predictor: a shift, linear corrections, and a Gaussian process of its residual."""
    before = _predict(base, x)
    (samples, outputs), group = y.shape, groups_of(x)
    residual, none = y - before, torch.zeros(x.shape[1], outputs, dtype=torch.float64)
    shift = Correction(base, torch.ones(outputs).double(), residual.mean(0), none)
    own = torch.bincount(group).double()[group, None]
    others = (residual.sum(0) - group_sum(residual, group)) / (samples - own)
    found = {f"shift{of}": LeftOut(shift, residual - others)}
    for name, linear in (("linear correction", False), ("linear correction with c'x", True)):
        tried = RidgeLines.grid(before, x, y, RIDGES, linear=linear)
        errors = torch.stack([lines.left_out for lines in tried])
        squares = errors.square().mean(2)
        best = tried[int(squares.mean(1).argmin())]
        corrected = Correction(base, *best.lines(x, linear=linear))
        found[name + of] = LeftOut(corrected, errors[nested_choice(squares, group), torch.arange(samples)])
    if samples <= PROCESS_SAMPLES:
        found[f"GP on the residual{of}"] = GP(on="residual").left_out(base, data)
    return found
