"""Incompressible flow in two dimensions: the Navier-Stokes equations in vorticity, on a periodic square."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.fourier import PeriodicBox
from simulators.periodic.semilinear import Numbers, SemilinearPDE, not_negative
from simulators.quantities import Quantity, number


@dataclass(frozen=True)
class NavierStokes(SemilinearPDE):
    """w_t + (u w)_x + (v w)_y = nu lap w - mu w - A q cos(q y), with u = psi_y, v = -psi_x, lap psi = -w, q = 2 pi n / L.

    The transport is evaluated as (d_xx - d_yy)(u v) + d_xy (v^2 - u^2), which takes four transforms instead of five. The
    forcing is that of Kolmogorov flow, a force A sin(q y) along x. Without it the energy <u^2 + v^2> / 2 and the enstrophy
    <w^2> / 2 never grow, and for nu = mu = 0 both are conserved up to the scheme's error in time.
    Source: Canuto et al., Spectral Methods in Fluid Dynamics (1988), chapter 7; Basdevant, J. Comput. Phys. 50 (1983) 209-214.

    Attributes:
        viscosity: range of nu, not negative [m^2/s].
        drag: drag coefficient mu, not negative [1/s].
        forcing: amplitude A of the force [m/s^2].
        forced_waves: number n of waves of the force over the box.
    """

    viscosity: tuple[float, float] = (1e-3, 3e-3)
    drag: float = 0.0
    forcing: float = 0.0
    forced_waves: int = 4

    equation = (
        "w_t + div(velocity w) = viscosity lap w - drag w + curl(forcing sin(2 pi forced_waves y / length) e_x), periodic"
    )
    degree = 2
    initial = number("initial_vorticity", "s-1", "initial vorticity")
    evolved = (number("vorticity", "s-1", "vorticity"),)

    @property
    def invariant(self) -> str:  # type: ignore[override]
        """The enstrophy; "" for forced flows, which have no invariant."""
        return "" if self.forcing else "enstrophy, never growing"

    @property
    def numbers(self) -> tuple[tuple[Quantity, tuple[float, float]], ...]:
        """The viscosity."""
        return ((number("viscosity", "m2 s-1", "kinematic viscosity", "log"), self.viscosity),)

    def __post_init__(self) -> None:
        if self.drag < 0:
            raise ValueError(f"drag must not be negative, got {self.drag:g} 1/s")

    def linear(self, box: PeriodicBox, numbers: Numbers) -> Tensor:
        """Return -nu k^2 - mu."""
        return not_negative(numbers, "viscosity", "m^2/s") * box.laplacian - self.drag

    def nonlinear(self, box: PeriodicBox, numbers: Numbers) -> Callable[[Tensor], Tensor]:
        """Return the negative transport plus the curl of the force."""
        along_x, along_y = box.derivative
        inverse = torch.where(box.laplacian == 0, 0, -1 / box.laplacian)
        to_u, to_v = along_y * inverse, -along_x * inverse
        shear, stretch = along_y**2 - along_x**2, along_x * along_y
        force = torch.zeros_like(stretch)
        if self.forcing:
            if not 1 <= self.forced_waves <= box.highest[1]:
                most = box.highest[1]
                raise ValueError(f"forced_waves must be 1 to {most} on {box.points[1]} points, got {self.forced_waves}")
            wave = 2 * math.pi * self.forced_waves / box.lengths[1]
            force[0, self.forced_waves] = -self.forcing * wave / 2

        def rest(modes: Tensor) -> Tensor:
            u, v = box.to_grid(to_u * modes), box.to_grid(to_v * modes)
            product = u * v
            difference = u.square_().sub_(v.square_())
            return torch.addcmul(force, box.to_modes(product), shear).addcmul_(box.to_modes(difference), stretch)

        return rest

    def residual(self, numbers: Numbers, before: Tensor, after: Tensor, length: float) -> Float[Tensor, " sample"]:
        """Return the relative growth of the enstrophy, 0 if it fell; NaN for a forced flow."""
        start, end = (field.square().flatten(1).mean(1) for field in (before, after))
        return torch.full_like(end, math.nan) if self.forcing else ((end - start) / start).clamp(min=0)
