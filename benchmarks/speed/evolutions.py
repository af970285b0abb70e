"""Evolutions of periodic fields, whose speed is measured."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from simulators.numerics.fourier import resample
from simulators.periodic.burgers import Burgers
from simulators.periodic.field_ensemble import Waves
from simulators.periodic.kuramoto_sivashinsky import KuramotoSivashinsky
from simulators.periodic.navier_stokes import NavierStokes
from simulators.periodic.semilinear import SemilinearPDE, solve_periodic


@dataclass(frozen=True)
class Evolution:
    """Fields that evolve by a PDE in equal steps; all rows have the same viscosity."""

    pde: SemilinearPDE
    waves: Waves
    length: float
    viscosity: float
    step: float
    steps: int
    points: tuple[int, ...] = (160,)
    batch: int = 64
    crowd: int = 2**16  # rows on a GPU

    def shorten(self) -> "Evolution":
        """Return the same with few rows and steps, and no more than 64 points along each axis of a plane."""
        points = (64, 64) if len(self.points) == 2 else self.points
        return replace(self, steps=10, batch=4, crowd=4, points=points)

    def draw(self) -> Tensor:
        """Draw fields of a few waves in float64."""
        return self.waves.draw(torch.Generator().manual_seed(0), self.batch, self.points)

    def refer(self, initial: Tensor) -> np.ndarray:
        """Return a reference with negligible error: 8 times the steps, twice the points along each axis."""
        fine = self.solve(resample(initial, [2 * n for n in self.points]), refinement=8)
        return fine[(slice(None), *(slice(None, None, 2),) * len(self.points))].numpy()

    def solve(self, initial: Tensor, refinement: int = 1) -> Tensor:
        """Return the final fields of our solver."""
        name = self.pde.numbers[0][0].name
        return solve_periodic(
            self.pde,
            initial,
            {name: initial.new_full((len(initial),), self.viscosity)},
            torch.tensor([self.steps * self.step], dtype=torch.float64),
            lengths=[self.length] * len(self.points),
            steps=self.steps * refinement,
        )[:, 0]


EVOLUTIONS = {
    "Burgers": Evolution(Burgers(), Waves(modes=6), length=1.0, viscosity=0.02, step=2e-3, steps=200),
    "Kuramoto-Sivashinsky": Evolution(KuramotoSivashinsky(), Waves(modes=5), length=32.0, viscosity=1.0, step=0.02, steps=200),
    "Navier-Stokes": Evolution(
        NavierStokes(),
        Waves(deviation=6.0, modes=6),
        length=1.0,
        viscosity=1e-3,
        step=5e-3,
        steps=20,
        points=(128, 128),
        crowd=1024,
    ),
}
