"""Random inputs: smooth fields with a given spectrum, and numbers spread over a box.

Fields are sums of modes on (0, 1) or its square: either averages over the cells of a grid (`random_field`), or periodic fields
at grid points (`random_periodic_field`). A field is band-limited, so that its averages over enough cells determine it: `refine`
converts it to another grid exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
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
        family: one of the three families.
        count: number of modes.
    """

    family: Literal["sine", "cosine", "fourier"]
    count: int

    def numbers(self) -> Float[Tensor, " mode"]:
        """Return the number n of half waves over the interval, for each mode."""
        order = torch.arange(self.count, dtype=torch.float64)
        return {"sine": order + 1, "cosine": order, "fourier": 2 * torch.ceil(order / 2)}[self.family]

    def averages(self, cells: int) -> Float[Tensor, "mode x"]:
        """Return the average of each mode over each of `cells` equal cells."""
        centres = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        numbers = self.numbers()[:, None]
        waves = torch.sinc(numbers / 2 / cells) * torch.exp(1j * torch.pi * numbers * centres)
        sines = torch.tensor([self.family == "sine" or (self.family == "fourier" and i % 2 == 1) for i in range(self.count)])
        return torch.sqrt(1 + numbers.clamp(max=1)) * torch.where(sines[:, None], waves.imag, waves.real)


def random_field(
    generator: torch.Generator, samples: int, cells: int, modes: Sequence[Modes], *, cutoff: float, power: float
) -> Float[Tensor, " sample *cells"]:
    """Draw Gaussian fields; for n half waves per axis, coefficients deviate as (1 + |n|^2 / cutoff^2)^(-power / 2).

    Args:
        generator: a CPU generator; all samples are drawn at once, so that the fields do not depend on later batch sizes.
        samples: number of fields.
        cells: number of cells along each axis.
        modes: modes along each of the one or two axes.
        cutoff: number of half waves from which the spectrum falls.
        power: exponent with which it falls.

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
    """Return averages over other cells of fields made of the given modes, from averages over at least as many cells as modes.

    Raises:
        ValueError: if there are fewer cells than modes.
    """
    for axis, known in zip(modes, field.shape[1:], strict=True):
        if known < axis.count:
            raise ValueError(f"refine needs as many cells as modes along each axis, got {known} cells for {axis.count} modes")
    pairs = zip(modes, field.shape[1:], strict=True)
    return _change_axes(field, [torch.linalg.pinv(axis.averages(known)) @ axis.averages(cells) for axis, known in pairs])


def random_periodic_field(
    generator: torch.Generator, samples: int, points: Sequence[int], *, modes: int, cutoff: float, power: float
) -> Float[Tensor, " sample *points"]:
    """Draw periodic Gaussian fields of mean 0: |m| waves over the box deviate as (1 + |m|^2 / cutoff^2)^(-power / 2).

    Args:
        generator: a CPU generator; all samples are drawn at once, and the fields do not depend on the grid.
        samples: number of fields.
        points: number of points along each axis, more than twice `modes`.
        modes: largest number of waves along an axis.
        cutoff: number of waves from which the spectrum falls.
        power: exponent with which it falls.

    Returns:
        Values at the points i / points, float64; the mean square of a field over the box is 1 on average.

    Raises:
        ValueError: if the grid is too coarse for the modes.
    """
    if min(points) <= 2 * modes:
        raise ValueError(f"a grid for {modes} waves needs more than {2 * modes} points per axis, got {min(points)}")
    waves = torch.cat([torch.arange(modes + 1), torch.arange(-modes, 0)]).double()
    square = torch.zeros(())
    for _ in points:
        square = square[..., None] + waves**2
    deviations = torch.where(square > 0, (1 + square / cutoff**2) ** (-power / 2), 0)
    deviations = deviations / (deviations.square().sum() / 2).sqrt()  # the real part of a unit complex normal has variance 1/2
    field = torch.randn(samples, *deviations.shape, generator=generator, dtype=torch.complex128) * deviations
    for axis, count in enumerate(points, start=1):
        gap = field.new_zeros([count - 2 * modes - 1 if i == axis else n for i, n in enumerate(field.shape)])
        field = torch.cat([field.narrow(axis, 0, modes + 1), gap, field.narrow(axis, modes + 1, modes)], axis)
    return torch.fft.ifftn(field, dim=tuple(range(1, field.ndim)), norm="forward").real


def random_numbers(
    generator: torch.Generator,
    samples: int,
    bounds: Sequence[tuple[float, float]],
    design: Literal["uniform", "latin hypercube", "sobol"] = "uniform",
) -> Float[Tensor, "sample number"]:
    """Spread points over a box.

    Args:
        generator: a CPU generator; the designs of scipy.stats.qmc take their seed from it.
        samples: number of points.
        bounds: (low, high) of each number.
        design: "uniform" draws the points independently; "latin hypercube" puts one point into each of `samples` equal slices
            of every axis; "sobol" takes the first points of a scrambled Sobol sequence.

    Returns:
        The points, float64.

    Raises:
        ValueError: if a bound is not finite or a low one is above its high one, or the design is unknown.
    """
    for low, high in bounds:
        if not -float("inf") < low <= high < float("inf"):
            raise ValueError(f"a range must be finite with its low end first, got ({low}, {high})")
    if design == "uniform":
        unit = torch.rand(samples, len(bounds), generator=generator, dtype=torch.float64)
    else:
        from scipy.stats import qmc  # imported here because loading it takes longer than drawing a small ensemble

        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        if design == "latin hypercube":
            points = qmc.LatinHypercube(len(bounds), rng=rng).random(samples)
        elif design == "sobol":
            points = qmc.Sobol(len(bounds), rng=rng).random_base2((max(samples, 1) - 1).bit_length())[:samples]
        else:
            raise ValueError(f'design must be "uniform", "latin hypercube" or "sobol", got "{design}"')
        unit = torch.from_numpy(points)
    lows, highs = torch.tensor(bounds, dtype=torch.float64).unbind(1)
    return lows + (highs - lows) * unit


def _change_axes(field: Float[Tensor, " sample *cells"], matrices: Sequence[Float[Tensor, "_ _"]]) -> Tensor:
    for axis, matrix in enumerate(matrices, start=1):
        field = torch.movedim(torch.movedim(field, axis, -1) @ matrix.to(field), -1, axis)
    return field
