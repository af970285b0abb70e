"""Autoregressive co-kriging of two levels, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.display import Shown
from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture
from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors.predictor import check_finite, part, shapes

ROWS = 2**22  # numbers of one piece of the correlation matrix, of the inputs or of the components
ARRAYS = ("offset", "scale", "points", "theta", "trend", "gamma", "rho", "basis", "mean")


@dataclass(frozen=True, eq=False, repr=False)
class CoKriging(Shown):
    """Two levels of kriging for each component c, the second on top of the first, and a basis that makes outputs of them.

        low_c(u)  = (1, u)' trend_0c + r_0c(u)' gamma_0c,     u = (x - offset) / scale
        high_c(u) = rho_c low_c(u) + (1, u)' trend_1c + r_1c(u)' gamma_1c
        r_lc(u)_i = exp(-sum_k theta_lck (u_k - points_lik)^2),     y = high(u) @ basis + mean

    Attributes:
        offset: (input,).
        scale: (input,).
        points: (sample, input), low and then high, scaled.
        theta: (level, component, input).
        trend: (level, component, 1 + input).
        gamma: (component, sample).
        rho: (component,).
        basis: (component, output).
        mean: (output,).
        low: how many of the samples are of the low level.
    """

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
        """Predict in batches, float64."""
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

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the arrays."""
        return {f"co-kriging/{name}": getattr(self, name) for name in ARRAYS}, {"kind": "CoKriging", "low": self.low}

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "CoKriging":
        """Rebuild from a saved state."""
        arrays, low = part(tensors, "co-kriging/"), description["low"]
        rows, columns = (sum(variable.size for variable in side) for side in (inputs, outputs))
        samples, components = len(arrays["points"]), len(arrays["rho"])
        expected = {
            "offset": (rows,),
            "scale": (rows,),
            "points": (samples, rows),
            "theta": (2, components, rows),
            "trend": (2, components, 1 + rows),
            "gamma": (components, samples),
            "rho": (components,),
            "basis": (components, columns),
            "mean": (columns,),
        }
        sound = all(tensor.dtype == torch.float64 for tensor in arrays.values()) and type(low) is int and 0 <= low <= samples
        if shapes(arrays) != expected or not sound:
            raise ValueError("the co-kriging does not fit the inputs and outputs")
        check_finite("the numbers of the co-kriging", arrays, positive=("scale",))
        if bool((arrays["theta"] < 0).any()):
            raise ValueError("the inverse squared lengths of the co-kriging must not be negative")
        return cls(**arrays, low=low)
