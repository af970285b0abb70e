"""Plans in closed form: the network linearised at the start, the Plan read as a Gaussian prior on the weights.

    f(x) = f(x; start) + J(x)(w - start),   w ~ N(anchor, s^2 D), D = diag(1/strength),   y = f + N(0, t^2)

With r = y - f(x; start) - J (anchor - start), K = J D J' and the ratio t^2/s^2:

    prediction      f(x; start) + J(x)(anchor - start) + k(x)' (K + ratio I)^-1 r
    variance        s^2 [k(x, x) - k(x)' (K + ratio I)^-1 k(x)]
    leave one out   e_i = [A]_ii^-1 [A r]_i,  A = (K + ratio I)^-1, in blocks of all outputs of a sample
    evidence        log N(r; 0, s^2 (K + ratio I)) with s^2 = r' A r / N

A Plan's own ratio is N/2, N = samples x outputs: then the prediction is the minimiser of the Plan. A free ratio is another
estimator, chosen by leave-one-out error or evidence. Kernels: see `tangent`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.plan import Plan
from pac_surrogate.predictors import Linearised, Network, SharedKernel
from pac_surrogate.tangent import COMBINATIONS, Tangent
from pac_surrogate.weights import Weights

BLOCK_ROWS = 4000  # beyond, the block kernel does not fit or takes minutes
RATIOS = tuple(10.0 ** (exponent / 2) for exponent in range(-16, 5))  # of a free ratio, relative to the kernel's mean diagonal
FALLBACK = 1e-3  # strength of weights without one, relative to the least positive strength


@dataclass(frozen=True)
class Prior:
    """A Plan as a Gaussian prior: the variance of each weight (0 where frozen), and its mean less the start.

    Attributes:
        variance: float64, of the weights' shapes.
        offset: anchor - start on trainable weights, or None where that is 0.
        free: the Plan pulls nothing, so that no ratio is its own.
        note: what was put in the place of missing strengths.
    """

    variance: Weights
    offset: Weights | None
    free: bool
    note: str


def prior_of(plan: Plan) -> Prior:
    """Read a Plan as a prior.

    Raises:
        ValueError: if the Plan has a term that is no prior on the weights.
    """
    for name in ("behaviour", "reparametrisation", "perturbation"):
        if getattr(plan, name) is not None:
            raise ValueError(f"a plan with a {name} has no closed form: train it instead")
    start = {name: weight.double() for name, weight in plan.start.items()}
    trainable = {name: plan.trainable[name].expand_as(weight) for name, weight in start.items()}
    strength = {name: plan.strength[name].double().expand_as(weight) for name, weight in start.items()}
    pulled = [strength[n][trainable[n] & (strength[n] > 0)] for n in start]
    least = min((float(s.min()) for s in pulled if s.numel()), default=0.0)
    bare = any(bool((trainable[n] & (strength[n] == 0)).any()) for n in start)
    note = ""
    if least == 0:
        strength = {name: torch.ones_like(weight) for name, weight in start.items()}
        note = "no weight is pulled: strength 1 towards the start, free ratio" if bare else ""
    elif bare:
        strength = {name: torch.where(s > 0, s, FALLBACK * least) for name, s in strength.items()}
        note = f"weights without a pull have strength {FALLBACK * least:g}"
    variance = {name: torch.where(trainable[name], 1 / strength[name], 0.0) for name in start}
    offset = None
    if least > 0:
        moved = {
            name: torch.where(trainable[name] & (plan.strength[name] > 0), plan.anchor[name].double() - weight, 0.0)
            for name, weight in start.items()
        }
        offset = moved if any(bool((tensor != 0).any()) for tensor in moved.values()) else None
    return Prior(variance, offset, least == 0, note)


@dataclass(frozen=True)
class Linearisation:
    """A Plan solved in closed form.

    Attributes:
        predictor: what predicts, with its variance.
        kernel: block | shared | conjugate gradients.
        ratio: t^2 / s^2.
        left_out: leave-one-out residuals y_i - f_-i(x_i) at this ratio; None by conjugate gradients.
        evidence: log evidence of the residuals; None by conjugate gradients.
        note: what was put in the place of missing strengths, or "".
    """

    predictor: Linearised | SharedKernel
    kernel: str
    ratio: float
    left_out: Float[Tensor, "sample output"] | None
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
    block_rows: int = BLOCK_ROWS,
    combinations: int = COMBINATIONS,
    seed: int = 0,
) -> list[Linearisation]:
    """Solve Plans of one start in closed form; they share the derivatives of the samples.

    Args:
        network: whose module the Plans are for.
        plans: all with the same start.
        x: standardised inputs, one sample or more.
        y: standardised outputs.
        kernel: block, shared, cg (block, matrix-free), or auto: block up to `block_rows` rows, shared beyond.
        ratio: t^2/s^2; None is the Plan's own (free where it pulls nothing); several, relative to the mean diagonal of the
            kernel, are a grid from which `by` chooses.
        by: leave-one-out, or evidence.
        block_rows: see `kernel`.
        combinations: of the outputs, in the shared kernel.
        seed: of the combinations.

    Raises:
        ValueError: if there are no samples, starts differ, a Plan has no closed form, or an option is unknown.
    """
    if kernel not in ("auto", "block", "shared", "cg"):
        raise ValueError(f"unknown kernel {kernel!r}: choose auto, block, shared or cg")
    if by not in ("leave-one-out", "evidence"):
        raise ValueError(f"choose a ratio by leave-one-out or evidence, got {by!r}")
    if len(x) == 0:
        raise ValueError("a closed form needs at least one sample, got none")
    if any(not _same(plan.start, plans[0].start) for plan in plans):
        raise ValueError("plans that are linearised together must have one start: linearise them one by one")
    priors = [prior_of(plan) for plan in plans]
    start = {name: weight.double() for name, weight in plans[0].start.items()}
    base = replace(network, weights=start)
    tangent = Tangent(network.module, start, str(network.module.readout_name))
    x, y = x.double(), y.double()
    residual = y - tangent.predict(x)
    residuals = [residual if p.offset is None else residual - tangent.along(x, p.offset) for p in priors]
    rows = y.numel()
    if kernel == "auto":
        kernel = "block" if rows <= block_rows else "shared"
    if kernel == "block" and rows > BLOCK_ROWS:
        raise ValueError(f"the block kernel serves {BLOCK_ROWS} rows (samples x outputs), got {rows}: use shared or cg")
    ratios = [_ratios(prior, ratio, rows) for prior in priors]
    if kernel == "cg":
        return [_by_gradients(base, tangent, *case, x) for case in zip(priors, residuals, ratios, strict=True)]
    variances = [prior.variance for prior in priors]
    if kernel == "block":
        kernels = tangent.block(variances, x)
    else:
        kernels = tangent.shared(variances, x, combinations=combinations, seed=seed)
    results = []
    for prior, gram, r, tried in zip(priors, kernels, residuals, ratios, strict=True):
        spectrum = Spectrum.of(gram, r, shared=kernel == "shared")
        scale = 1.0 if isinstance(tried, float) else spectrum.mean_diagonal
        solutions = [spectrum.solve(scale * value) for value in ((tried,) if isinstance(tried, float) else tried)]
        # Of equal ones the largest ratio, the one nearest to the prior, wins.
        best = min(reversed(solutions), key=lambda s: s.error if by == "leave-one-out" else -s.evidence)
        predictor: Linearised | SharedKernel
        if kernel == "block":
            change = _change(tangent, prior, x, best.coefficients)
            predictor = Linearised(base, change, x, prior.variance, best.ratio, best.scale)
        else:
            predictor = SharedKernel(
                base, prior.offset, x, best.coefficients, prior.variance, best.ratio, best.scale, combinations, seed
            )
        results.append(Linearisation(predictor, kernel, best.ratio, best.left_out, best.evidence, prior.note))
    return results


def _by_gradients(
    base: Network,
    tangent: Tangent,
    prior: Prior,
    residual: Float[Tensor, "sample output"],
    ratio: float | tuple[float, ...],
    x: Float[Tensor, "sample input"],
) -> Linearisation:
    """Solve (J D J' + ratio I) a = r by conjugate gradients, with products by J and J' alone."""
    from scipy.sparse.linalg import LinearOperator, cg

    if not isinstance(ratio, float):
        raise ValueError("conjugate gradients solve one ratio: give ratio=, or a plan with a strength")
    shape, size = residual.shape, residual.numel()

    def product(vector: Any) -> Any:
        pulled = tangent.back(x, torch.as_tensor(vector).reshape(shape))
        moved = tangent.along(x, {name: prior.variance[name] * pulled[name] for name in pulled})
        return (moved.reshape(-1) + ratio * torch.as_tensor(vector).reshape(-1)).numpy()

    flat = residual.reshape(-1)
    operator = LinearOperator((size, size), matvec=product, dtype=float)
    found, failed = cg(operator, flat.numpy(), rtol=1e-10, maxiter=10 * size)
    if failed:
        raise ValueError(f"conjugate gradients did not converge in {10 * size} steps: raise the ratio, it is {ratio:g}")
    coefficients = torch.as_tensor(found).reshape(shape)
    scale = (flat @ coefficients.reshape(-1) / size).clamp_min(torch.finfo(torch.float64).tiny).expand(shape[1])
    predictor = Linearised(base, _change(tangent, prior, x, coefficients), x, prior.variance, ratio, scale)
    return Linearisation(predictor, "conjugate gradients", ratio, None, None, prior.note)


def _change(tangent: Tangent, prior: Prior, x: Tensor, coefficients: Float[Tensor, "sample output"]) -> Weights:
    """Posterior mean of the weights, less the start: offset + D J' a."""
    pulled = tangent.back(x, coefficients)
    return {n: prior.variance[n] * w + (prior.offset[n] if prior.offset else 0.0) for n, w in pulled.items()}


@dataclass(frozen=True)
class Solution:
    """What a ratio gives.

    Attributes:
        ratio: t^2 / s^2.
        coefficients: (K + ratio I)^-1 r.
        left_out: leave-one-out residuals.
        scale: s^2, one number for each output (all the same for the block kernel).
        evidence: log evidence.
    """

    ratio: float
    coefficients: Float[Tensor, "sample output"]
    left_out: Float[Tensor, "sample output"]
    scale: Float[Tensor, " output"]
    evidence: float

    @property
    def error(self) -> float:
        """Mean squared leave-one-out error."""
        value = float(self.left_out.square().mean())
        return value if math.isfinite(value) else math.inf


@dataclass(frozen=True)
class Spectrum:
    """The eigendecomposition of a kernel: every ratio from one factorisation.

    Attributes:
        values: eigenvalues, not negative.
        vectors: (sample, row of it, eigenvector): one row a sample in a shared kernel, one an output in a block kernel.
        rotated: the residuals in the eigenvectors' coordinates.
        residual: (sample, output).
        mean_diagonal: of the kernel.
    """

    values: Float[Tensor, " row"]
    vectors: Float[Tensor, "sample own row"]
    rotated: Float[Tensor, "row column"]
    residual: Float[Tensor, "sample output"]
    mean_diagonal: float

    @classmethod
    def of(cls, gram: Float[Tensor, "row row"], residual: Float[Tensor, "sample output"], *, shared: bool) -> "Spectrum":
        """Decompose a kernel."""
        values, vectors = torch.linalg.eigh(gram)
        columns = residual if shared else residual.reshape(-1, 1)
        mean = max(float(gram.diagonal().mean()), torch.finfo(gram.dtype).tiny)
        return cls(values.clamp_min(0.0), vectors.unflatten(0, (len(residual), -1)), vectors.T @ columns, residual, mean)

    def solve(self, ratio: float) -> Solution:
        """Solve for one ratio t^2 / s^2, positive."""
        if not 0 < ratio < math.inf:
            raise ValueError(f"the ratio of noise to prior variance must be positive and finite, got {ratio}")
        samples, outputs = self.residual.shape
        inverse = 1 / (self.values + ratio)
        flat = self.vectors.flatten(0, 1)
        coefficients = (flat @ (inverse[:, None] * self.rotated)).reshape(samples, outputs)
        if self.vectors.shape[1] == 1:
            own = (self.vectors[:, 0].square() * inverse).sum(-1, keepdim=True)
            left_out = coefficients / own
        else:
            blocks = (self.vectors * inverse) @ self.vectors.mT
            left_out = torch.linalg.solve(blocks, coefficients[..., None])[..., 0]
        shared = self.rotated.shape[1] == outputs and self.vectors.shape[1] == 1
        product = self.residual * coefficients
        energy = product.mean(0) if shared else product.mean().expand(outputs)
        # A residual of nothing has no scale: the prior's own, then.
        scale = torch.where(energy > 0, energy, torch.finfo(energy.dtype).tiny)
        logs = (self.values + ratio).log().sum() * (outputs if shared else 1)
        count = self.residual.numel()
        evidence = -0.5 * (logs + samples * (2 * math.pi * scale).log().sum() + count)
        return Solution(ratio, coefficients, left_out, scale, float(evidence))


def _ratios(prior: Prior, given: float | Sequence[float] | None, rows: int) -> float | tuple[float, ...]:
    """One ratio as it is, or a grid relative to the kernel's mean diagonal."""
    if given is None:
        return RATIOS if prior.free else rows / 2
    return float(given) if isinstance(given, int | float) else tuple(given)


def _same(a: Weights, b: Weights) -> bool:
    return a is b or all(torch.equal(a[name], b[name]) for name in b)
