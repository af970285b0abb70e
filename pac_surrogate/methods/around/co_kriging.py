"""Autoregressive co-kriging of source and target samples."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import groups_of
from pac_surrogate.methods.around.source_process import OUTPUTS, processes_of
from pac_surrogate.methods.case import Case, widened
from pac_surrogate.methods.hyper_parameters import Count
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.predictors import Autoregressive, LeftOut, Network, Processes
from pac_surrogate.processes.covariance import KERNELS, Shape
from pac_surrogate.processes.fits import Below, Problems, fit, left_out, matrix, safe_cholesky, weights_of
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings
from pac_surrogate.utilities.process import threads_for

SAMPLES = 1000  # largest number of target samples; the time of the fit grows with the cube of this number
FOLDS = 5  # the hyper-parameters are fitted again without each of these parts, for the residuals of its samples
FEWEST = 3  # smallest number of samples on each side
TRUNCATION = 0.1  # largest truncation error of the components, relative to the error of the unchanged source
ENTIRE = 1e-3  # a smaller source error, relative to the deviation of the outputs, is replaced by this one


@settings
class CoKriging:
    """Autoregressive co-kriging of first order: y_T(x) = rho y_S(x) + b + delta(x), with Gaussian processes y_S and delta.

    The process of the source's samples comes first. Given it, the slope rho and the discrepancy delta are fitted together, by
    the restricted likelihood of the target's samples, in which the source's process has its own uncertainty. Kernels are RBF or
    Matern 5/2, whichever has the greater evidence on each level. Up to 8 outputs have processes of their own. More outputs are
    expanded in principal components of the source's, of which the fewest are used whose truncation error on the target samples
    is at most a tenth of the error of the unchanged source.
    Sources: Kennedy & O'Hagan, Biometrika 87 (2000); Le Gratiet & Garnier, Int. J. Uncertain. Quantif. 4 (2014).

    Args:
        source_samples: number of source samples that are used, from the first on; the time of the fit grows with its cube, and
            the hyper-parameters are fitted to at most 250 of them.
        components: largest number of components.
    """

    source_samples: Count = 2000
    components: Count = 32
    needs_source: ClassVar[bool] = True

    def adapt(self, case: Case) -> Surrogate:
        """Fit the processes to samples of both; see `solve`."""
        source, surrogate = case.source_samples(), case.for_target()
        if len(case.target) == 0:
            return widened(surrogate, source)
        low = case.surrogate.scaling.standardise(source[: self.source_samples])
        predictor = self.solve(surrogate.network, low, surrogate.scaling.standardise(case.target))
        return case.answer(surrogate, predictor, source)

    def solve(self, network: Network, source: Dataset, data: Dataset) -> Autoregressive:
        """Fit the processes to standardised samples, in float64.

        Args:
            network: the source, whose error determines how many components are needed.
            source: samples of the source.
            data: samples of the target.

        Raises:
            NotApplicableError: if source or target have fewer than 3 samples, the target has more than 1,000, outputs are new,
                or too many components are needed.
        """
        low_x, low_y, x, y = (matrix(m) for one in (source, data) for m in (one.input_matrix, one.output_matrix))
        if network.new_readout or low_y.shape[1] != y.shape[1]:
            raise NotApplicableError(
                "co-kriging relates outputs of the source to the same outputs of the target; these are new"
            )
        if min(len(x), len(low_x)) < FEWEST or len(x) > SAMPLES:
            raise NotApplicableError(
                f"co-kriging needs {FEWEST} samples on each side and at most {SAMPLES} of the target, "
                f"got {len(low_x)} and {len(x)}"
            )
        with torch.no_grad():
            error = y - network.predict(x).double()
        return around(processes_of(low_x, low_y, *self._basis(low_y, y, float(error.square().mean().sqrt()))), x, y)

    def _basis(
        self, low: Float[Tensor, "low output"], high: Float[Tensor, "high output"], error: float
    ) -> tuple[Float[Tensor, "component output"], Float[Tensor, " output"]]:
        """Return the orthonormal rows of the basis in which the outputs are expanded, and the origin."""
        outputs = low.shape[1]
        if outputs <= OUTPUTS:
            return torch.eye(outputs, dtype=torch.float64), torch.zeros(outputs, dtype=torch.float64)
        mean = low.mean(0)
        right = torch.linalg.svd(low - mean, full_matrices=False)[2]
        # The rows are orthonormal, so the truncation error is the sum of squares less that of the coefficients. Constants are not
        # lost: `around` keeps the mean of what the components leave out.
        varying = high - high.mean(0)
        lost = varying.square().sum() - (varying @ right.T).square().sum(0).cumsum(0)
        limit = TRUNCATION * max(error, ENTIRE * float(high.std(correction=0)))
        enough = torch.nonzero(lost <= high.numel() * limit**2)
        if not len(enough):
            raise NotApplicableError(
                "co-kriging expands the target in components of the source's outputs, "
                f"which leave out more than {TRUNCATION} of the source's error"
            )
        needed = int(enough[0]) + 1
        if needed > self.components:
            raise NotApplicableError(
                f"co-kriging needs components={needed} to leave out at most {TRUNCATION} of the source's error, "
                f"got {self.components}"
            )
        return right[:needed].contiguous(), mean


def around(base: Processes, x: Float[Tensor, "sample input"], y: Float[Tensor, "sample output"]) -> Autoregressive:
    """Return the co-kriging of standardised target samples on top of the source's processes."""
    level = _fit(base, x, y, torch.ones(1, len(x), dtype=torch.bool))
    weights, mean = weights_of(safe_cholesky(level.covariance), level.residual)
    base_weights, constants = [], []
    for c, rho in enumerate(level.rho):
        # C(x, points) w = k(x, points) w - k(x, base points) [R^-1 k w + R^-1 1 u] + u, u = (1 - 1'R^-1 k) w / 1'R^-1 1
        cross = base.kernel(c, base.points, x) @ weights[c]
        solved = torch.cholesky_solve(torch.cat([cross, torch.ones_like(cross)], 1), base.factor(c))
        unknown = (weights[c].sum() - solved[:, 0].sum()) / solved[:, 1].sum()
        base_weights.append(rho * base.weights[:, c] - rho**2 * (solved[:, 0] + unknown * solved[:, 1]))
        constants.append(rho * base.mean[c] + mean[c, 0] + rho**2 * unknown)
    left = y - base.offset
    left = left - left @ base.basis.T @ base.basis
    return Autoregressive(
        base=base,
        offset=base.offset + left.mean(0),
        points=x,
        weights=weights[:, :, 0].T.contiguous(),
        mean=torch.stack(constants),
        rho=level.rho,
        amplitudes=level.amplitudes,
        inverse_lengths=level.inverse_lengths,
        noise=level.noise,
        kernels=level.kernels,
        base_weights=torch.stack(base_weights, 1),
    )


def co_kriged(base: Processes, data: Dataset) -> LeftOut:
    """Return the co-kriging of standardised target samples on top of the source's processes, and its leave-one-out residuals.

    A sample is left out of the level's mean and process, and its fold (every fifth input) is left out of the fit of slope,
    hyper-parameters and kernel, as those that have seen a sample predict it far too well.
    """
    x, y = matrix(data.input_matrix), matrix(data.output_matrix)
    group, components = groups_of(x), len(base.basis)
    fold = group % FOLDS
    seen = torch.stack([fold != held_out for held_out in range(int(fold.max()) + 1)])
    level = _fit(base, x, y, seen)
    errors = left_out(safe_cholesky(level.covariance), level.residual, group)[:, :, 0].view(len(seen), components, len(x))
    return LeftOut(around(base, x, y), errors[fold, :, torch.arange(len(x))] @ base.basis)


@dataclass(frozen=True, eq=False)
class _Level:
    """The fits of the upper level to some sets of samples; a run is a component of one of them."""

    kernels: tuple[str, ...]
    amplitudes: Float[Tensor, " run"]
    inverse_lengths: Float[Tensor, "run input"]
    noise: Float[Tensor, " run"]
    rho: Float[Tensor, " run"]
    covariance: Float[Tensor, "run sample sample"]
    residual: Float[Tensor, "run sample 1"]


def _fit(
    base: Processes, x: Float[Tensor, "sample input"], y: Float[Tensor, "sample output"], seen: Bool[Tensor, "set sample"]
) -> _Level:
    """Fit the upper level to each set of samples, with the kernel of the greater evidence."""
    sets, components = len(seen), len(base.basis)
    values = ((y - base.offset) @ base.basis.T).T[:, :, None]
    with threads_for(float(len(base.points)) ** 3):
        covariance = torch.stack([base.covariance(c, x) for c in range(components)])
    below = Below(base.components(x).T.repeat(sets, 1), covariance.repeat(sets, 1, 1))
    which, parts, evidence = torch.arange(sets * components), [], []
    for kernel in KERNELS:
        shape = Shape.suited(kernel, x.shape[1], len(x))
        problems = Problems(shape, x, values.repeat(sets, 1, 1), seen.repeat_interleave(components, 0), below=below)
        with threads_for(float(len(x)) ** 3):
            parameters, reached = fit(problems)
        amplitudes, inverse, noise = shape.decode(parameters[:, :-1], len(x))
        evidence.append(reached)
        total, residual = problems.covariance(parameters, which), problems.residual(parameters, which)
        parts.append((amplitudes[:, 0], inverse[:, 0, 0], noise, parameters[:, -1], total, residual))
    best = torch.stack(evidence).argmax(0)
    chosen = (torch.stack(both)[best, which] for both in zip(*parts, strict=True))
    return _Level(tuple(KERNELS[int(one)] for one in best), *chosen)
