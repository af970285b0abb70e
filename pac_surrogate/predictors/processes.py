"""Gaussian processes of a few components, each with hyper-parameters of its own: a source as its own samples describe it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors.codec import Coded
from pac_surrogate.processes.covariance import KERNELS, QUADRATIC, cross_covariance
from pac_surrogate.processes.fits import safe_cholesky

ROWS = 2**22  # largest number of entries in one piece of the covariance, or of the scaled inputs behind it


@dataclass(frozen=True, eq=False, repr=False)
class Processes(Coded):
    """Independent Gaussian processes of components, which a basis maps to outputs.

        component_c(x) = mean_c + k_c(x, points) weights_c,     y = component(x) @ basis + offset
        k_c(x, x') = amplitude_c kappa_c(x * inverse_lengths_c, x' * inverse_lengths_c), see `processes.covariance`

    Attributes:
        points: the inputs of the samples, standardised (sample, input).
        weights: (sample, component).
        mean: (component,), estimated with a flat prior.
        amplitudes: variances (component,).
        inverse_lengths: (component, input).
        noise: noise variances (component,).
        kernels: rbf | matern | quadratic for each component.
        basis: a row for each component (component, output).
        offset: (output,).
    """

    called: ClassVar[str] = "the set of Gaussian processes"
    prefix: ClassVar[str] = "processes/"
    positive: ClassVar[tuple[str, ...]] = ("amplitudes", "noise")
    not_negative: ClassVar[tuple[str, ...]] = ("inverse_lengths",)

    points: Float[Tensor, "sample input"]
    weights: Float[Tensor, "sample component"]
    mean: Float[Tensor, " component"]
    amplitudes: Float[Tensor, " component"]
    inverse_lengths: Float[Tensor, "component input"]
    noise: Float[Tensor, " component"]
    kernels: tuple[str, ...]
    basis: Float[Tensor, "component output"]
    offset: Float[Tensor, " output"]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        size = batch_size or max(1, ROWS // max(1, *self.points.shape))
        (components,) = by_pieces(lambda rows: [self.components(rows)], x.double(), size)
        return components @ self.basis.to(x.device) + self.offset.to(x.device)

    def components(self, x: Float[Tensor, "row input"]) -> Float[Tensor, "row component"]:
        """Return the posterior mean of every component."""
        weights, mean = self.weights.to(x.device), self.mean.to(x.device)
        return torch.stack([self.kernel(c, x, self.points) @ weights[:, c] + mean[c] for c in range(len(mean))], 1)

    def kernel(
        self, c: int, x: Float[Tensor, "row input"], points: Float[Tensor, "sample input"]
    ) -> Float[Tensor, "row sample"]:
        """Return the prior covariance of a component."""
        scale = self.inverse_lengths[c, None, None].to(x.device)
        return cross_covariance(self.kernels[c], self.amplitudes[c, None].to(x.device), scale, x, points.to(x.device))

    def members(self, which: Int[Tensor, " member"]) -> "Processes":
        """Return processes that are some of these, or several times the same."""
        kernels = tuple(self.kernels[int(one)] for one in which)
        columns = {"weights": self.weights[:, which].contiguous(), "kernels": kernels}
        rows = {name: getattr(self, name)[which] for name in ("mean", "amplitudes", "inverse_lengths", "noise", "basis")}
        return dataclasses.replace(self, **columns, **rows)  # type: ignore[arg-type]

    def values(self) -> Float[Tensor, "component sample 1"]:
        """Return the values of the samples to which the processes were fitted: R weights + mean."""
        rows = [
            self.kernel(c, self.points, self.points) @ self.weights[:, [c]] + self.noise[c] * self.weights[:, [c]] + mean
            for c, mean in enumerate(self.mean)
        ]
        return torch.stack(rows)

    def factor(self, c: int) -> Float[Tensor, "sample sample"]:
        """Return the Cholesky factor of the covariance of a component's samples."""
        covariance = self.kernel(c, self.points, self.points)
        return safe_cholesky(covariance + self.noise[c] * torch.eye(len(covariance), dtype=torch.float64))

    def covariance(
        self, c: int, x: Float[Tensor, "row input"], factor: Float[Tensor, "sample sample"] | None = None
    ) -> Float[Tensor, "row row"]:
        """Return the posterior covariance of a component at some inputs, without noise.

        Args:
            c: number of the component.
            x: standardised inputs.
            factor: `factor(c)`, if it is known.
        """
        factor = self.factor(c) if factor is None else factor
        return conditioned(factor.to(x.device), self.kernel(c, x, self.points), self.kernel(c, x, x))

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that the kernels are known, that there is one for each component, and that there are samples."""
        check_kernels(self.called, self.kernels, sizes["component"])
        if not sizes["sample"] or not sizes["component"]:
            raise ValueError(f"{self.called} does not fit: it has no samples or no components")


def conditioned(
    factor: Float[Tensor, "sample sample"], cross: Float[Tensor, "row sample"], prior: Float[Tensor, "row row"]
) -> Float[Tensor, "row row"]:
    """Return the posterior covariance k(x, x') - k(x)'R^-1 k(x') + u(x) u(x') / 1'R^-1 1, u = 1 - 1'R^-1 k(x).

    The last term is due to the unknown mean.

    Args:
        factor: Cholesky factor of R, the covariance of the noisy samples.
        cross: k(x), the prior covariance of the rows and the samples.
        prior: k(x, x').
    """
    ones = torch.ones(len(factor), 1, dtype=factor.dtype, device=factor.device)
    seen, mean = (torch.linalg.solve_triangular(factor, one, upper=False) for one in (cross.T, ones))
    unknown = 1 - mean.T @ seen
    return prior - seen.T @ seen + unknown.T @ unknown / (mean.T @ mean)


def check_kernels(called: str, kernels: tuple[str, ...], components: int) -> None:
    """Check the kernels of a saved predictor.

    Raises:
        ValueError: if one is unknown, or their number is wrong; the message is one line.
    """
    known = (*KERNELS, QUADRATIC)
    if len(kernels) != components or not set(kernels) <= set(known):
        raise ValueError(f"{called} does not fit: each of its {components} components needs a kernel of {', '.join(known)}")
