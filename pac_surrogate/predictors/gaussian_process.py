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

ROWS = 2**22  # largest number of entries in one piece of the kernel matrix, or of the scaled inputs behind it
ARRAYS = ("points", "alpha", "mean", "amplitudes", "inverse_lengths", "projection")


@dataclass(frozen=True, eq=False, repr=False)
class GaussianProcess(Coded):
    """The posterior mean k(z, Z) alpha + mean [+ f(x)], where z is x, or (x, f(x) @ projection).

        k(z, z') = sum_t amplitude_t prod_j kappa(||(z - z') * inverse_lengths_tj||)
        kappa(r) = exp(-r^2/2)  or  (1 + s + s^2/3) exp(-s) with s = sqrt(5) r  (Matern 5/2)

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
    """

    called: ClassVar[str] = "the Gaussian process"
    prefix: ClassVar[str] = "process/"
    positive: ClassVar[tuple[str, ...]] = ("amplitudes",)
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

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        arrays = {name: getattr(self, name).to(x.device) for name in ARRAYS}
        base = self.base.predict(x, batch_size=batch_size).double() if self.base is not None else None
        z = x.double() if self.on != "augmented" or base is None else torch.cat([x.double(), base @ arrays["projection"]], 1)
        size = batch_size or max(1, ROWS // max(1, *self.points.shape))
        (weighted,) = by_pieces(lambda rows: [self._kernel(rows, arrays) @ arrays["alpha"]], z, size)
        prediction = weighted + arrays["mean"]
        return prediction + base if self.on == "residual" and base is not None else prediction

    def _kernel(self, z: Float[Tensor, "row dimension"], arrays: Mapping[str, Tensor]) -> Float[Tensor, "row sample"]:
        total = torch.zeros(len(z), len(arrays["points"]), dtype=torch.float64, device=z.device)
        for amplitude, factors in zip(arrays["amplitudes"], arrays["inverse_lengths"], strict=True):
            term = amplitude
            for scale in factors:
                # From differences of coordinates: distances from a matrix product would lose half of the digits.
                r = torch.cdist(z * scale, arrays["points"] * scale, compute_mode="donot_use_mm_for_euclid_dist")
                s = 5**0.5 * r
                term = term * (torch.exp(-0.5 * r.square()) if self.kernel == "rbf" else (1 + s + s**2 / 3) * torch.exp(-s))
            total = total + term
        return total

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check that the kernel is known, and that the components and the base fit `on`."""
        on, kernel, inputs, components = self.on, self.kernel, sizes["input"], sizes["component"]
        known = on in ("target", "residual", "augmented") and kernel in ("matern", "rbf")
        if not known or (on == "target") != (self.base is None):
            raise ValueError(f"a Gaussian process on {on!r} with kernel {kernel!r} is unknown, or its base is missing")
        if sizes["dimension"] != inputs + components or (on == "augmented") != (components > 0):
            raise ValueError(f"the Gaussian process on {on} does not fit: points must have {inputs} inputs and the components")
