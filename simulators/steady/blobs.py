"""Sources of steady fields: random blobs on a periodic square, after Subramanian et al. 2023, and what their problems share."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.quantities import Coordinate, grid_points


def random_blobs(
    generator: torch.Generator,
    samples: int,
    points: int,
    *,
    blobs: int = 12,
    width: float = 1 / 32,
    sparsities: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8),
) -> Float[Tensor, "sample x y"]:
    """Draw sums of Gaussians on a square grid of centres about the middle of the unit square, made periodic.

    Each sample draws one of the sparsities, and each of its Gaussians is left out with that probability (one always
    stays); the others have heights drawn uniformly from (0.001, 1). The sum is divided by its largest value.
    Source: Subramanian et al., NeurIPS 2023, arXiv:2306.00258, and the data generation published with it.

    Args:
        generator: a CPU generator; all samples are drawn at once, and the same fields whatever the points.
        samples: how many fields.
        points: i / points along each axis.
        blobs: Gaussians along each axis, their centres two widths apart.
        width: standard deviation of a Gaussian, as a fraction of the side.
        sparsities: probabilities that a Gaussian is left out.

    Returns:
        Values at the points, float64, the largest of them 1.

    Raises:
        ValueError: if the points do not resolve the Gaussians, or the grid of centres is wider than the square.
    """
    if points * width < 2 - 1e-9:
        least = f"{2 / width:.0f}"
        raise ValueError(f"blobs of width {width:g} need {least} points or more along each axis, got {points}: widen them")
    if 2 * width * blobs > 1:
        raise ValueError(f"{blobs} blobs two widths of {width:g} apart do not fit into a side of 1: narrow them or take fewer")
    which = torch.randint(len(sparsities), (samples, 1), generator=generator)
    chance = torch.rand(samples, blobs**2, generator=generator, dtype=torch.float64)
    heights = 0.001 + 0.999 * torch.rand(samples, blobs**2, generator=generator, dtype=torch.float64)
    threshold = torch.tensor(sparsities, dtype=torch.float64)[which]
    heights = torch.where(chance >= threshold.minimum(chance.amax(1, keepdim=True)), heights, 0).unflatten(1, (blobs, blobs))
    centres = 0.5 + 2 * width * (torch.arange(blobs, dtype=torch.float64) - (blobs - 1) / 2)
    distances = torch.arange(points, dtype=torch.float64) / points - centres[:, None]
    shapes = torch.stack([torch.exp(-((distances - image) ** 2) / (2 * width**2)) for image in (-1, 0, 1)]).sum(0)
    fields = shapes.T @ heights @ shapes
    return fields / fields.amax((1, 2), keepdim=True)


@dataclass(frozen=True, kw_only=True)
class DrivenByBlobs:
    """What the steady problems on a periodic square driven by random blobs have in common.

    Attributes:
        points: along each axis, of solver and data.
        blobs: Gaussians along each axis.
        width: standard deviation of a Gaussian, as a fraction of the side; `points` times it must be 2 or more.
        sparsities: fractions of the Gaussians that are left out, one of them drawn for each sample.
        length: of a side [m].
    """

    points: int = 64
    blobs: int = 12
    width: float = 1 / 32
    sparsities: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    length: float = 1.0

    simulator = "simulators.elliptic.solve_elliptic"
    scheme = "Fourier series, exact"
    order = float("nan")
    invariant = "the equation: the operator applied to the solution gives the source back"

    @property
    def size(self) -> int:
        """Points, of a handful of arrays."""
        return self.points**2

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The points."""
        return tuple(grid_points(axis, self.points, self.length) for axis in "xy")

    def draw_source(self, generator: torch.Generator, samples: int) -> Float[Tensor, "sample x y"]:
        """Draw right-hand sides, float64."""
        return random_blobs(generator, samples, self.points, blobs=self.blobs, width=self.width, sparsities=self.sparsities)
