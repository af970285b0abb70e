"""Autoregressive co-kriging: Gaussian processes of the source's samples, and on top of them those of the target's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.processes import ROWS, Processes, check_kernels, conditioned
from pac_surrogate.processes.covariance import cross_covariance
from pac_surrogate.processes.fits import safe_cholesky


@dataclass(frozen=True, eq=False, repr=False)
class Autoregressive(Coded):
    """The posterior of y_c(x) = rho_c f_c(x) + b_c + delta_c(x), where f is the base, itself a posterior, for each component c.

        k_c(x, x') = rho_c^2 C_c(x, x') + amplitude_c kappa_c(||(x - x') * inverse_lengths_c||),   C_c posterior covariance of f_c
        mean of y_c(x) = rho_c m_c(x) + b_c + k_c(x, points) weights_c,     y = mean @ basis + offset

    With C(x, points) weights = k_f(x, points) weights + k_f(x, base points) base_weights + a constant, the mean takes no
    factorisation.
    Source: Kennedy & O'Hagan, Biometrika 87 (2000).

    Attributes:
        base: f, the processes of the source's samples, with the basis of the components.
        offset: (output,); it includes the mean of what the components leave out of the target.
        points: the inputs of the target's samples, standardised (sample, input).
        weights: (sample, component).
        mean: b and the constant (component,).
        rho: (component,).
        amplitudes: variances of delta (component,).
        inverse_lengths: (component, input).
        noise: noise variances (component,).
        kernels: rbf | matern for each component of delta.
        base_weights: weights of the source's samples, rho times those of f included (low, component).
    """

    called: ClassVar[str] = "the autoregressive co-kriging"
    prefix: ClassVar[str] = "autoregressive/"
    positive: ClassVar[tuple[str, ...]] = ("amplitudes", "noise")
    not_negative: ClassVar[tuple[str, ...]] = ("inverse_lengths",)

    base: Processes
    offset: Float[Tensor, " output"]
    points: Float[Tensor, "sample input"]
    weights: Float[Tensor, "sample component"]
    mean: Float[Tensor, " component"]
    rho: Float[Tensor, " component"]
    amplitudes: Float[Tensor, " component"]
    inverse_lengths: Float[Tensor, "component input"]
    noise: Float[Tensor, " component"]
    kernels: tuple[str, ...]
    base_weights: Float[Tensor, "low component"]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        basis, offset = self.base.basis.to(x.device), self.offset.to(x.device)
        points = torch.cat([self.base.points, self.points])
        size = batch_size or max(1, ROWS // max(1, *points.shape))

        def outputs(rows: Float[Tensor, "row input"]) -> list[Float[Tensor, "row output"]]:
            components = [self._mean(c, rows, points) for c in range(len(self.rho))]
            return [torch.stack(components, 1) @ basis + offset]

        return by_pieces(outputs, x.double(), size)[0]

    def _mean(self, c: int, x: Float[Tensor, "row input"], points: Float[Tensor, "all input"]) -> Float[Tensor, " row"]:
        own = self.weights[:, c].to(x.device)
        lower = torch.cat([self.base_weights[:, c].to(x.device), self.rho[c].to(x.device) ** 2 * own])
        return self.mean[c].to(x.device) + self.base.kernel(c, x, points) @ lower + self._delta(c, x, self.points) @ own

    def _delta(
        self, c: int, x: Float[Tensor, "row input"], points: Float[Tensor, "sample input"]
    ) -> Float[Tensor, "row sample"]:
        scale = self.inverse_lengths[c, None, None].to(x.device)
        return cross_covariance(self.kernels[c], self.amplitudes[c, None].to(x.device), scale, x, points.to(x.device))

    def covariance(
        self, c: int, x: Float[Tensor, "row input"], factor: Float[Tensor, "low low"] | None = None
    ) -> Float[Tensor, "row row"]:
        """Return the posterior covariance of a component at some inputs, without noise; see `Processes.covariance`."""
        samples = len(self.points)
        both = torch.cat([self.points.to(x.device), x])
        prior = self.rho[c].to(x.device) ** 2 * self.base.covariance(c, both, factor) + self._delta(c, both, both)
        noisy = prior[:samples, :samples] + self.noise[c].to(x.device) * torch.eye(samples, dtype=x.dtype, device=x.device)
        return conditioned(safe_cholesky(noisy), prior[samples:, :samples], prior[samples:, samples:])

    def factor(self, c: int) -> Float[Tensor, "low low"]:
        """Return the Cholesky factor of the covariance of a component's source samples."""
        return self.base.factor(c)

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check the kernels, and that the components and the source's samples are those of the base."""
        check_kernels(self.called, self.kernels, sizes["component"])
        if tuple(self.base.weights.shape) != (sizes["low"], sizes["component"]):
            raise ValueError(f"{self.called} does not fit: its base has other samples or components")
