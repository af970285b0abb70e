"""Random smooth fields: sums of modes on (0, 1) or its square, averaged over the cells of any grid.

A field is band-limited, so its averages over enough cells determine it: `refine` moves it to another grid exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Modes:
    """Orthonormal modes on (0, 1).

    - "sine": sqrt(2) sin(n pi x), n = 1, 2, ...; fields that vanish at both ends.
    - "cosine": 1 and sqrt(2) cos(n pi x), n = 1, 2, ...; fields without slope at both ends.
    - "fourier": 1, sqrt(2) sin(n pi x), sqrt(2) cos(n pi x), n = 2, 4, ...; periodic fields.

    Attributes:
        family: which of them.
        count: how many.
    """

    family: Literal["sine", "cosine", "fourier"]
    count: int

    def numbers(self) -> Float[Tensor, " mode"]:
        """Return n, half waves over the interval, of each mode."""
        order = torch.arange(self.count, dtype=torch.float64)
        return {"sine": order + 1, "cosine": order, "fourier": 2 * torch.ceil(order / 2)}[self.family]

    def averages(self, cells: int) -> Float[Tensor, "mode x"]:
        """Return the average of each mode over each of equal cells."""
        centres = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        numbers = self.numbers()[:, None]
        waves = torch.sinc(numbers / 2 / cells) * torch.exp(1j * torch.pi * numbers * centres)
        sines = torch.tensor([self.family == "sine" or (self.family == "fourier" and i % 2 == 1) for i in range(self.count)])
        return torch.sqrt(1 + numbers.clamp(max=1)) * torch.where(sines[:, None], waves.imag, waves.real)


def random_field(
    generator: torch.Generator, samples: int, cells: int, modes: Sequence[Modes], *, cutoff: float, power: float
) -> Float[Tensor, " sample *cells"]:
    """Draw Gaussian fields whose coefficients deviate as (1 + |n|^2 / cutoff^2)^(-power / 2), n half waves an axis.

    Args:
        generator: a CPU generator; all samples are drawn at once, so that no later batch size matters.
        samples: how many fields.
        cells: along each axis.
        modes: of each axis, one or two.
        cutoff: number of half waves from which the spectrum falls.
        power: how fast it falls.

    Returns:
        Averages over the cells, float64; the mean square of a field over the domain is 1 on average.
    """
    square = torch.zeros(())
    for axis in modes:
        square = square[..., None] + axis.numbers() ** 2
    deviations = (1 + square / cutoff**2) ** (-power / 2)
    deviations = deviations / deviations.square().sum().sqrt()
    field = torch.randn(samples, *deviations.shape, generator=generator, dtype=torch.float64) * deviations
    return _change_axes(field, [axis.averages(cells) for axis in modes])


def refine(field: Float[Tensor, " sample *cells"], cells: int, modes: Sequence[Modes]) -> Float[Tensor, " sample *fine"]:
    """Return the averages over other cells of fields made of the given modes, from averages over as many or more cells.

    Raises:
        ValueError: if there are fewer cells than modes.
    """
    for axis, known in zip(modes, field.shape[1:], strict=True):
        if known < axis.count:
            raise ValueError(f"refine needs as many cells as modes along each axis, got {known} cells for {axis.count} modes")
    pairs = zip(modes, field.shape[1:], strict=True)
    return _change_axes(field, [torch.linalg.pinv(axis.averages(known)) @ axis.averages(cells) for axis, known in pairs])


def _change_axes(field: Float[Tensor, " sample *cells"], matrices: Sequence[Float[Tensor, "_ _"]]) -> Tensor:
    for axis, matrix in enumerate(matrices, start=1):
        field = torch.movedim(torch.movedim(field, axis, -1) @ matrix.to(field), -1, axis)
    return field
