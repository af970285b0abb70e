"""The Allen-Cahn equation on a periodic interval or square."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE, not_negative
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class AllenCahn(SemilinearPDE):
    """u_t = (e^2 lap u + u - u^3) / tau: two phases, u = -1 and u = 1, separate at interfaces of width e, which shrink.

    The free energy <e^2 |grad u|^2 / 2 + (u^2 - 1)^2 / 4> never grows. A flat interface tanh(x / (sqrt(2) e)) is stationary.
    Source: Allen & Cahn, Acta Metallurgica 27 (1979) 1085-1095.

    Attributes:
        width: range of e [m].
        bias: coefficient h of an additional term (1 - u^2) h, which favours the phase u = 1; 0 for no such term.
        time_scale: time scale tau [s].
    """

    width: tuple[float, float] = (0.02, 0.04)
    bias: float = 0.0
    time_scale: float = 1.0

    equation = "time_scale u_t = width^2 lap u + u - u^3 + bias (1 - u^2), periodic"
    invariant = "free energy, never growing"
    degree = 3
    initial = number("initial_phase", "1", "initial phase")
    evolved = (number("phase", "1", "phase, between -1 and 1"),)

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The width of an interface."""
        return ((number("width", "m", "width of an interface", "log"), self.width),)

    def __post_init__(self) -> None:
        if not self.time_scale > 0:
            raise ValueError(f"time_scale must be positive, got {self.time_scale:g} s")

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return (1 - e^2 k^2) / tau."""
        return (1 + not_negative(numbers, "width", "m") ** 2 * box.laplacian) / self.time_scale

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor]:
        """Return (-u^3 + h (1 - u^2)) / tau."""

        def rest(modes: Tensor) -> Tensor:
            u = box.to_grid(modes)
            return box.to_modes((self.bias * (1 - u.square()) - u**3) / self.time_scale)

        return rest

    def residual(self, numbers: Numbers, before: Tensor, after: Tensor, length: float) -> Float[Tensor, " sample"]:
        """Return the relative growth of the free energy, 0 if it fell."""
        start, end = (self._free_energy(numbers["width"], field, length) for field in (before, after))
        return ((end - start) / start.abs()).clamp(min=0)

    def _free_energy(self, width: Tensor, field: Tensor, length: float) -> Tensor:
        axes = field.ndim - 1
        box = PeriodicBox(field.shape[1:], [length] * axes, 1, field)
        modes = box.to_modes(field)
        slopes = sum(box.to_grid(modes * ik).square() for ik in box.derivative)
        wells = (field.square() - 1).square() / 4 - self.bias * (field - field**3 / 3)
        return width.square() / 2 * torch.as_tensor(slopes).flatten(1).mean(1) + wells.flatten(1).mean(1)
