"""Autoregressive co-kriging of two levels as files of the first version hold it; `Autoregressive` took its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors.codec import Coded

ROWS = 2**22  # largest number of entries in one piece of the correlation matrix, the inputs or the components
ARRAYS = ("offset", "scale", "points", "theta", "trend", "gamma", "rho", "basis", "mean")


@dataclass(frozen=True, eq=False, repr=False)
class CoKriging(Coded):
    """Two levels of kriging for each component c, the second on top of the first; a basis maps components to outputs.

        low_c(u)  = (1, u)' trend_0c + r_0c(u)' gamma_0c,     u = (x - offset) / scale
        high_c(u) = rho_c low_c(u) + (1, u)' trend_1c + r_1c(u)' gamma_1c
        r_lc(u)_i = exp(-sum_k theta_lck (u_k - points_lik)^2),     y = high(u) @ basis + mean

    Attributes:
        offset: (input,).
        scale: (input,).
        points: scaled sample inputs (sample, input), first those of the low level, then those of the high one.
        theta: (level, component, input).
        trend: (level, component, 1 + input).
        gamma: (component, sample).
        rho: (component,).
        basis: (component, output).
        mean: (output,).
        low: number of samples of the low level.
    """

    called: ClassVar[str] = "the co-kriging"
    prefix: ClassVar[str] = "co-kriging/"
    positive: ClassVar[tuple[str, ...]] = ("scale",)
    not_negative: ClassVar[tuple[str, ...]] = ("theta",)

    offset: Float[Tensor, " input"]
    scale: Float[Tensor, " input"]
    points: Float[Tensor, "sample input"]
    theta: Float[Tensor, "2 component input"]
    trend: Float[Tensor, "2 component coefficient"]
    gamma: Float[Tensor, "component sample"]
    rho: Float[Tensor, " component"]
    basis: Float[Tensor, "component output"]
    mean: Float[Tensor, " output"]
    low: int

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, in float64."""
        arrays = {name: getattr(self, name).to(x.device) for name in ARRAYS}
        size = batch_size or max(1, ROWS // max(1, len(self.rho), *self.points.shape))

        def high(rows: Float[Tensor, "row input"]) -> list[Float[Tensor, "row output"]]:
            scaled = (rows - arrays["offset"]) / arrays["scale"]
            components = [self._component(scaled, arrays, c) for c in range(len(self.rho))]
            return [torch.stack(components, dim=1) @ arrays["basis"] + arrays["mean"]]

        return by_pieces(high, x.double(), size)[0]

    def _component(self, u: Float[Tensor, "row input"], arrays: Mapping[str, Tensor], c: int) -> Float[Tensor, " row"]:
        total = torch.zeros(len(u), dtype=torch.float64, device=u.device)
        for level, samples in enumerate((slice(0, self.low), slice(self.low, None))):
            root, trend = arrays["theta"][level, c].sqrt(), arrays["trend"][level, c]
            points = arrays["points"][samples]
            distance = torch.cdist(u * root, points * root, compute_mode="donot_use_mm_for_euclid_dist")
            total = arrays["rho"][c] * total if level else total
            total = total + trend[0] + u @ trend[1:] + torch.exp(-distance.square()) @ arrays["gamma"][c, samples]
        return total

    def check(self, sizes: Mapping[str, int]) -> None:
        """Check the length of the trend, and that the low level has no more samples than there are."""
        inputs, samples = sizes["input"], sizes["sample"]
        if sizes["coefficient"] != 1 + inputs:
            raise ValueError(f"the co-kriging does not fit: its trend must have {1 + inputs} coefficients")
        if not 0 <= self.low <= samples:
            raise ValueError(f"the co-kriging does not fit: its {samples} samples cannot include {self.low} of the low level")
