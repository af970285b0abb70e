"""Plans in closed form: the network is linearised at the start, and the Plan is read as a Gaussian prior on the weights.

    f(x) = f(x; start) + J(x)(w - start),   w ~ N(anchor, s^2 D), D = diag(1/strength),   y = f + N(0, t^2)

With r = y - f(x; start) - J (anchor - start), K = J D J' and the ratio t^2/s^2:

    prediction      f(x; start) + J(x)(anchor - start) + k(x)' (K + ratio I)^-1 r
    variance        s^2 [k(x, x) - k(x)' (K + ratio I)^-1 k(x)]
    leave one out   e_i = [A]_ii^-1 [A r]_i,  A = (K + ratio I)^-1, in blocks of all outputs of a sample and of all samples
                    of equal input (see `repeats`)
    evidence        log N(r; 0, s^2 (K + ratio I)) with s^2 = r' A r / N

A Plan's own ratio is N/2 with N = samples x outputs, for which the prediction is that of the Plan's minimiser. A free ratio,
chosen by leave-one-out error or evidence, gives a different estimator. For the kernels see `tangent`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.nested_cross_validation import nested_choice
from pac_surrogate.data.repeats import groups_of
from pac_surrogate.kernels.spectrum import Solution, Spectrum
from pac_surrogate.kernels.tangent import KERNEL_ROWS, PROJECTIONS, Tangent
from pac_surrogate.models.weights import Weights
from pac_surrogate.plan import Plan
from pac_surrogate.predictors import LeftOut, Linearised, Network, SharedKernel
from pac_surrogate.utilities.display import Shown

RATIOS = tuple(10.0 ** (exponent / 2) for exponent in range(-16, 5))  # grid of a free ratio, over the kernel's mean diagonal
FALLBACK = 1e-3  # strength of weights that have none, relative to the least positive strength


@dataclass(frozen=True, eq=False, repr=False)
class Prior(Shown):
    """A Plan as a Gaussian prior: the variance of each weight (0 where frozen), and its mean minus the start.

    Attributes:
        variance: variance of each weight in float64, in the weights' shapes.
        offset: anchor - start of the pulled weights; None if all of it is 0.
        free: whether weights are trained but none is pulled, so that the Plan has no ratio of its own.
        note: the substitute for missing strengths, or "".
    """

    variance: Weights
    offset: Weights | None
    free: bool
    note: str


def prior_of(plan: Plan) -> Prior:
    """Read a Plan as a prior.

    If no weight is pulled, all have strength 1 towards the start. If some are pulled, the others have 1e-3 of the least
    positive strength, towards the start.

    Raises:
        ValueError: if the Plan has a term that is not a Gaussian prior on the weights.
    """
    for name in ("regulariser", "reparametrisation", "perturbation"):
        if getattr(plan, name) is not None:
            raise ValueError(f"a plan with a {name} has no closed form: train it instead")
    start = {name: weight.double() for name, weight in plan.start.items()}
    trainable = {name: plan.trainable[name].expand_as(weight) for name, weight in start.items()}
    strength = {name: plan.strength[name].double().expand_as(weight) for name, weight in start.items()}
    pulled = {name: trainable[name] & (strength[name] > 0) for name in start}
    least = min((float(strength[name][mask].min()) for name, mask in pulled.items() if bool(mask.any())), default=None)
    missing, note = 1.0 if least is None else FALLBACK * least, ""
    if not plan.trains:
        note = "every weight is frozen: the start unchanged"
    elif least is None:
        note = "no weight is pulled: strength 1 towards the start, free ratio"
    elif any(bool((trainable[name] & ~pulled[name]).any()) for name in start):
        note = f"weights without a pull have strength {missing:g} towards the start"
    variance = {
        name: torch.where(trainable[name], 1 / torch.where(pulled[name], strength[name], missing), 0.0) for name in start
    }
    offset = {name: torch.where(pulled[name], plan.anchor[name].double() - weight, 0.0) for name, weight in start.items()}
    moved = any(bool(tensor.any()) for tensor in offset.values())
    return Prior(variance, offset if moved else None, plan.trains and least is None, note)


@dataclass(frozen=True, eq=False, repr=False)
class Linearisation(Shown):
    """A Plan solved in closed form.

    Attributes:
        predictor: the predictor, which also gives its variance.
        kernel: block | shared | conjugate gradients.
        ratio: t^2 / s^2.
        left_out: leave-one-out residuals y_i - f_-i(x_i) at this ratio; None for conjugate gradients.
        left_out_variance: variance of these residuals as predicted by the other samples, with noise; None for conjugate
            gradients.
        unseen: the predictor with residuals and variances at the ratio that the other samples choose; None for conjugate
            gradients.
        evidence: log evidence of the residuals; None for conjugate gradients.
        note: the substitute for missing strengths, or "".
    """

    predictor: Linearised | SharedKernel
    kernel: str
    ratio: float
    left_out: Float[Tensor, "sample output"] | None
    left_out_variance: Float[Tensor, "sample output"] | None
    unseen: LeftOut | None
    evidence: float | None
    note: str


def linearise(
    network: Network,
    plans: Sequence[Plan],
    x: Float[Tensor, "sample input"],
    y: Float[Tensor, "sample output"],
    *,
    kernel: str = "auto",
    ratio: float | Sequence[float] | None = None,
    by: str = "leave-one-out",
    block_rows: int = KERNEL_ROWS,
    projections: int = PROJECTIONS,
    seed: int = 0,
) -> list[Linearisation]:
    """Solve Plans with the same start in closed form, in float64 on the device of x; derivatives are computed once for all.

    Args:
        network: the network whose module the Plans are for.
        plans: Plans, all with the same start.
        x: standardised inputs, one sample or more.
        y: standardised outputs.
        kernel: block, shared, cg (block, matrix-free), or auto: block up to `block_rows` rows, shared beyond.
        ratio: t^2/s^2; None is the Plan's own (a free ratio if the Plan pulls no weight); a sequence is a grid of ratios,
            relative to the mean diagonal of the kernel, from which `by` chooses.
        by: criterion for the choice of a ratio, leave-one-out or evidence.
        block_rows: largest number of rows (samples x outputs) for which `kernel="auto"` is the block kernel.
        projections: number of random projections of the outputs in the shared kernel.
        seed: seed of the projections.

    Raises:
        ValueError: if there are no samples or too many, starts differ, a Plan has no closed form, or an option is unknown.
    """
    if kernel not in ("auto", "block", "shared", "cg"):
        raise ValueError(f"unknown kernel {kernel!r}: choose auto, block, shared or cg")
    if by not in ("leave-one-out", "evidence"):
        raise ValueError(f"choose a ratio by leave-one-out or evidence, got {by!r}")
    if projections < 1:
        raise ValueError(f"projections must be at least 1, got {projections}")
    if len(x) == 0:
        raise ValueError("a closed form needs at least one sample, got none")
    if not plans:
        return []
    if any(not _same(plan.start, plans[0].start) for plan in plans):
        raise ValueError("plans that are linearised together must have one start: linearise them one by one")
    priors = [prior_of(plan) for plan in plans]
    kernel = kernel if kernel != "auto" else "block" if y.numel() <= block_rows else "shared"
    ratios = [_ratios(prior, ratio, y.numel()) for prior in priors]
    case = _Case(replace(network, weights={n: w.double() for n, w in plans[0].start.items()}), x.double(), y.double())
    return case.solve(priors, ratios, kernel, by, projections, seed)


@dataclass(frozen=True, eq=False, repr=False)
class _Case(Shown):
    """Samples, and a network with the weights at which it is linearised, all in float64."""

    base: Network
    x: Float[Tensor, "sample input"]
    y: Float[Tensor, "sample output"]

    @property
    def tangent(self) -> Tangent:
        start = {name: weight.to(self.x.device) for name, weight in self.base.weights.items()}
        return Tangent(self.base.module, start, str(self.base.module.readout_name))

    def solve(
        self,
        priors: Sequence[Prior],
        ratios: Sequence[float | tuple[float, ...]],
        kernel: str,
        by: str,
        projections: int,
        seed: int,
    ) -> list[Linearisation]:
        """Solve several priors of this start."""
        x, tangent = self.x, self.tangent
        residual = self.y - self._prediction()
        rows = residual.numel() if kernel == "block" else len(x)
        if kernel != "cg" and rows > KERNEL_ROWS:
            what, remedy = ("samples x outputs", "shared or cg") if kernel == "block" else ("samples", "cg")
            raise ValueError(f"the {kernel} kernel takes at most {KERNEL_ROWS} rows ({what}), got {rows}: use {remedy}")
        priors = [_on(prior, x) for prior in priors]
        residuals = [residual if p.offset is None else residual - tangent.along(x, p.offset) for p in priors]
        if kernel == "cg":
            return [self._by_gradients(*case) for case in zip(priors, residuals, ratios, strict=True)]
        variances = [prior.variance for prior in priors]
        if kernel == "block":
            kernels = tangent.block(variances, x)
        else:
            kernels = tangent.shared(variances, x, projections=projections, seed=seed)
        results, group = [], groups_of(x).to(x.device)
        for prior, gram, r, tried in zip(priors, kernels, residuals, ratios, strict=True):
            spectrum = Spectrum.of(gram, r, group, shared=kernel == "shared")
            grid = (tried,) if isinstance(tried, float) else tuple(spectrum.mean_diagonal * value for value in tried)
            best, unseen = _choose(spectrum, grid[::-1], by)
            predictor: Linearised | SharedKernel
            if kernel == "block":
                predictor = self._linearised(prior, best.coefficients, best.ratio, best.scale)
            else:
                fitted = (x.cpu(), best.coefficients.cpu(), _cpu(prior.variance), best.ratio, best.scale.cpu())
                offset = None if prior.offset is None else _cpu(prior.offset)
                predictor = SharedKernel(self.base, offset, *fitted, projections, seed)
            found = (best.left_out, best.left_out_variance, LeftOut(predictor, *unseen), best.evidence)
            results.append(Linearisation(predictor, kernel, best.ratio, *found, prior.note))
        return results

    def _prediction(self) -> Float[Tensor, "sample output"]:
        with torch.no_grad():
            prediction = self.tangent.predict(self.x)
        if prediction.shape != self.y.shape:
            raise ValueError(f"outputs must have the shape {tuple(prediction.shape)}, got {tuple(self.y.shape)}")
        if not bool(torch.isfinite(prediction - self.y).all()):
            raise ValueError("a closed form needs finite outputs and predictions, got some that are not: check data and source")
        return prediction

    def _linearised(self, prior: Prior, coefficients: Tensor, ratio: float, scale: Tensor) -> Linearised:
        """Return the predictor whose change of the weights is the posterior mean minus the start: offset + D J' a."""
        pulled = self.tangent.back(self.x, coefficients)
        change = {n: prior.variance[n] * w + (prior.offset[n] if prior.offset else 0.0) for n, w in pulled.items()}
        return Linearised(self.base, _cpu(change), self.x.cpu(), _cpu(prior.variance), ratio, scale.cpu())

    def _by_gradients(
        self, prior: Prior, residual: Float[Tensor, "sample output"], ratio: float | tuple[float, ...]
    ) -> Linearisation:
        """Solve (J D J' + ratio I) a = r by conjugate gradients, using only products with J and J'."""
        from scipy.sparse.linalg import LinearOperator, cg

        if not isinstance(ratio, float):
            raise ValueError("conjugate gradients solve for one ratio: give ratio=, or a plan with a strength")
        shape, size, tangent = residual.shape, residual.numel(), self.tangent

        def product(vector: Any) -> Any:
            a = torch.as_tensor(vector).reshape(shape).to(residual)
            pulled = tangent.back(self.x, a)
            moved = tangent.along(self.x, {name: prior.variance[name] * pulled[name] for name in pulled})
            return (moved + ratio * a).flatten().cpu().numpy()

        flat = residual.flatten().cpu().numpy()
        found, failed = cg(LinearOperator((size, size), matvec=product, dtype=float), flat, rtol=1e-10, maxiter=10 * size)
        if failed:
            raise ValueError(f"conjugate gradients did not converge in {10 * size} steps: raise the ratio, it is {ratio:g}")
        coefficients = torch.as_tensor(found).reshape(shape).to(residual)
        scale = (residual * coefficients).mean().clamp_min(torch.finfo(torch.float64).tiny).expand(shape[1])
        predictor = self._linearised(prior, coefficients, ratio, scale)
        return Linearisation(predictor, "conjugate gradients", ratio, None, None, None, None, prior.note)


def _choose(
    spectrum: Spectrum, ratios: Sequence[float], by: str
) -> tuple[Solution, tuple[Float[Tensor, "sample output"], Float[Tensor, "sample output"]]]:
    """Return the solution at the best ratio (the first among equals), and residuals and variances by nested cross-validation.

    The latter are taken, for each sample, at the ratio that the other samples choose.
    """

    def loss(solution: Solution) -> float:
        return solution.error if by == "leave-one-out" else -solution.evidence

    best = spectrum.solve(ratios[0])
    squares = [best.left_out.square().mean(1)]
    for ratio in ratios[1:]:  # one solution at a time: fields of many outputs are large
        solution = spectrum.solve(ratio)
        squares.append(solution.left_out.square().mean(1))
        if loss(solution) < loss(best):
            best = solution
    chosen = nested_choice(torch.stack(squares), spectrum.group)
    residual, variance = torch.empty_like(best.left_out), torch.empty_like(best.left_out_variance)
    for place in chosen.unique().tolist():
        solution, own = best if ratios[place] == best.ratio else spectrum.solve(ratios[place]), chosen == place
        residual[own], variance[own] = solution.left_out[own], solution.left_out_variance[own]
    return best, (residual, variance)


def _ratios(prior: Prior, given: float | Sequence[float] | None, rows: int) -> float | tuple[float, ...]:
    """Return one ratio as it is, or a sorted grid of ratios relative to the kernel's mean diagonal."""
    if given is None:
        return RATIOS if prior.free else rows / 2
    values = (float(given),) if isinstance(given, Real) else tuple(sorted(map(float, given)))  # type: ignore[arg-type]
    if not values or not all(0 < value < math.inf for value in values):
        raise ValueError(f"the ratio of noise to prior variance must be positive and finite, got {given}")
    return values[0] if isinstance(given, Real) else values


def _on(prior: Prior, x: Tensor) -> Prior:
    variance, offset = ({n: t.to(x.device) for n, t in (given or {}).items()} for given in (prior.variance, prior.offset))
    return replace(prior, variance=variance, offset=offset or None)


def _cpu(weights: Weights) -> Weights:
    return {name: weight.cpu() for name, weight in weights.items()}


def _same(a: Weights, b: Weights) -> bool:
    return a is b or (a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in b))
