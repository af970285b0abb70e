"""The posterior mean of a Gaussian process, alone or on top of another predictor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.predictor import Predictor
from pac_surrogate.predictors.processes import conditioned
from pac_surrogate.processes.covariance import cross_covariance
from pac_surrogate.processes.fits import safe_cholesky

ROWS = 2**22  # largest number of entries in one piece of the kernel matrix, or of the scaled inputs behind it
ARRAYS = ("points", "alpha", "mean", "projection")


@dataclass(frozen=True, eq=False, repr=False)
class GaussianProcess(Coded):
    """The posterior mean k(z, Z) alpha + mean [+ f(x)], where z is x, or (x, f(x) @ projection).

    k is the covariance function of `processes.covariance`.

    Attributes:
        base: the predictor f, or None.
        on: "target" (no f), "residual" (f(x) is added) or "augmented" (f(x) is an input).
        kernel: rbf | matern.
        points: Z, (sample, dimension).
        alpha: (sample, output).
        mean: (output,).
        amplitudes: (term,).
        inverse_lengths: (term, factor, dimension); 0 where a factor does not depend on a dimension.
        projection: principal components of the base's prediction, (output, component); zero components unless augmented.
        noise: variance of the noise, (1,); None in a file of the first version.
    """

    called: ClassVar[str] = "the Gaussian process"
    prefix: ClassVar[str] = "process/"
    positive: ClassVar[tuple[str, ...]] = ("amplitudes", "noise")
    not_negative: ClassVar[tuple[str, ...]] = ("inverse_lengths",)

    base: Predictor | None
    on: str
    kernel: str
    points: Float[Tensor, "sample dimension"]
    alpha: Float[Tensor, "sample output"]
    mean: Float[Tensor, " output"]
    amplitudes: Float[Tensor, " term"]
    inverse_lengths: Float[Tensor, "term factor dimension"]
    projection: Float[Tensor, "output component"]
    noise: Float[Tensor, "1"] | None = None

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        arrays = {name: getattr(self, name).to(x.device) for name in ARRAYS}
        base = self.base.predict(x, batch_size=batch_size).double() if self.base is not None else None
        z = x.double() if self.on != "augmented" or base is None else torch.cat([x.double(), base @ arrays["projection"]], 1)
        size = batch_size or max(1, ROWS // max(1, *self.points.shape))
        (weighted,) = by_pieces(lambda rows: [self._kernel(rows, arrays["points"]) @ arrays["alpha"]], z, size)
        prediction = weighted + arrays["mean"]
        return prediction + base if self.on == "residual" and base is not None else prediction

    def factor(self) -> Float[Tensor, "sample sample"]:
        """Return the Cholesky factor of the covariance of the samples.

        Raises:
            ValueError: if the process was saved by the first version, without its noise.
        """
        if self.noise is None:
            raise ValueError("this process was saved without the variance of its noise: fit it again for a posterior")
        return safe_cholesky(self._kernel(self.points, self.points) + self.noise * torch.eye(len(self.points)).double())

    def covariance(
        self, x: Float[Tensor, "sample input"], factor: Float[Tensor, "known known"] | None = None
    ) -> Float[Tensor, "sample sample"]:
        """Return the posterior covariance at some inputs, without noise; it is the same for every output.

        Args:
            x: standardised inputs.
            factor: `factor()`, if it is known.
        """
        z, points = x.double(), self.points.to(x.device)
        if self.on == "augmented" and self.base is not None:
            z = torch.cat([z, self.base.predict(x).double() @ self.projection.to(x.device)], 1)
        known = (self.factor() if factor is None else factor).to(x.device)
        return conditioned(known, self._kernel(z, points), self._kernel(z, z))

    def _kernel(
        self, z: Float[Tensor, "row dimension"], points: Float[Tensor, "sample dimension"]
    ) -> Float[Tensor, "row sample"]:
        scales = self.amplitudes.to(z.device), self.inverse_lengths.to(z.device)
        return cross_covariance(self.kernel, *scales, z, points)

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that the kernel is known, and that the components and the base fit `on`."""
        on, kernel, inputs, components = self.on, self.kernel, sizes["input"], sizes["component"]
        known = on in ("target", "residual", "augmented") and kernel in ("matern", "rbf")
        if not known or (on == "target") != (self.base is None):
            raise ValueError(f"a Gaussian process on {on!r} with kernel {kernel!r} is unknown, or its base is missing")
        if sizes["dimension"] != inputs + components or (on == "augmented") != (components > 0):
            raise ValueError(f"the Gaussian process on {on} does not fit: points must have {inputs} inputs and the components")
        if self.noise is not None and not sizes["sample"]:
            raise ValueError(f"the Gaussian process on {on} does not fit: it has no samples")
