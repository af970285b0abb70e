"""Autoregressive co-kriging: Gaussian processes of the source's samples, and on top of them those of the target's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.predictor import check_groups
from pac_surrogate.predictors.processes import ROWS, Processes, check_kernels, conditioned
from pac_surrogate.processes.covariance import cross_covariance
from pac_surrogate.processes.fits import safe_cholesky


@dataclass(frozen=True, eq=False, repr=False)
class Autoregressive(Coded):
    """The posterior of y_m(x) = rho_m f_m(x) + b_m + delta_m(x), where f is the base, itself a posterior, for each member m.

        k_m(x, x') = rho_m^2 C_m(x, x') + delta's prior covariance,   C_m posterior covariance of f_m
        mean of y_m(x) = rho_m m_m(x) + b_m + k_m(x, points) weights_m
        y = sum_m shares_m mean_m basis_m + offset

    The members of one component differ in the kernel of the discrepancy. They are averaged in the ratio of their evidence.
    With C(x, points) weights = k_f(x, points) weights + k_f(x, base points) base_weights + a constant, the mean takes no
    factorisation.
    Source: Kennedy & O'Hagan, Biometrika 87 (2000).

    Attributes:
        base: f, the processes of the source's samples, one for each member; members of one component have the same row of the
            basis.
        offset: (output,); it includes the mean of what the components leave out of the target.
        points: the inputs of the target's samples, standardised (sample, input).
        weights: (sample, member).
        mean: b and the constant (member,).
        rho: (member,).
        amplitudes: variances of delta (member,).
        inverse_lengths: (member, input).
        noise: noise variances (member,).
        kernels: rbf | matern | quadratic for the delta of each member.
        base_weights: weights of the source's samples, rho times those of f included (low, member).
        fractions: weights of the members, with the sum 1 over those of each component (member,).
        component: number of each member's component (member,).
    """

    called: ClassVar[str] = "the autoregressive co-kriging"
    prefix: ClassVar[str] = "autoregressive/"
    positive: ClassVar[tuple[str, ...]] = ("amplitudes", "noise")
    not_negative: ClassVar[tuple[str, ...]] = ("inverse_lengths", "fractions", "component")

    base: Processes
    offset: Float[Tensor, " output"]
    points: Float[Tensor, "sample input"]
    weights: Float[Tensor, "sample member"]
    mean: Float[Tensor, " member"]
    rho: Float[Tensor, " member"]
    amplitudes: Float[Tensor, " member"]
    inverse_lengths: Float[Tensor, "member input"]
    noise: Float[Tensor, " member"]
    kernels: tuple[str, ...]
    base_weights: Float[Tensor, "low member"]
    fractions: Float[Tensor, " member"]
    component: Int[Tensor, " member"]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        size = batch_size or max(1, ROWS // max(1, len(self.base.points) + len(self.points), self.points.shape[1]))
        (means,) = by_pieces(lambda rows: [self.components(rows)], x.double(), size)
        return means @ (self.fractions[:, None] * self.base.basis).to(x.device) + self.offset.to(x.device)

    def components(self, x: Float[Tensor, "row input"]) -> Float[Tensor, "row member"]:
        """Return the posterior mean of every member."""
        points = torch.cat([self.base.points, self.points])
        return torch.stack([self._mean(m, x, points) for m in range(len(self.rho))], 1)

    def _mean(self, m: int, x: Float[Tensor, "row input"], points: Float[Tensor, "all input"]) -> Float[Tensor, " row"]:
        own = self.weights[:, m].to(x.device)
        lower = torch.cat([self.base_weights[:, m].to(x.device), self.rho[m].to(x.device) ** 2 * own])
        return self.mean[m].to(x.device) + self.base.kernel(m, x, points) @ lower + self._delta(m, x, self.points) @ own

    def _delta(
        self, m: int, x: Float[Tensor, "row input"], points: Float[Tensor, "sample input"]
    ) -> Float[Tensor, "row sample"]:
        scale = self.inverse_lengths[m, None, None].to(x.device)
        return cross_covariance(self.kernels[m], self.amplitudes[m, None].to(x.device), scale, x, points.to(x.device))

    def covariance(
        self, m: int, x: Float[Tensor, "row input"], factor: Float[Tensor, "low low"] | None = None
    ) -> Float[Tensor, "row row"]:
        """Return the posterior covariance of a member at some inputs, without noise; see `Processes.covariance`."""
        samples = len(self.points)
        both = torch.cat([self.points.to(x.device), x])
        prior = self.rho[m].to(x.device) ** 2 * self.base.covariance(m, both, factor) + self._delta(m, both, both)
        noisy = prior[:samples, :samples] + self.noise[m].to(x.device) * torch.eye(samples, dtype=x.dtype, device=x.device)
        return conditioned(safe_cholesky(noisy), prior[samples:, :samples], prior[samples:, samples:])

    def factor(self, m: int) -> Float[Tensor, "low low"]:
        """Return the Cholesky factor of the covariance of a member's source samples."""
        return self.base.factor(m)

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check the kernels, and that the members and the source's samples are those of the base."""
        check_kernels(self.called, self.kernels, sizes["member"])
        if not sizes["sample"] or tuple(self.base.weights.shape) != (sizes["low"], sizes["member"]):
            raise ValueError(f"{self.called} does not fit: it has no samples, or its base has others or other members")
        check_groups(self.component)
        for number in torch.unique(self.component):
            own = self.component == number
            rows = self.base.basis[own]
            if abs(float(self.fractions[own].sum()) - 1) > 1e-6 or not torch.equal(rows, rows[:1].expand_as(rows)):
                raise ValueError(
                    f"{self.called} does not fit: members of a component need one basis, and fractions with the sum 1"
                )
