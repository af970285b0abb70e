"""Random blobs on a periodic square as sources, after Subramanian et al. 2023, and the base class of their problems."""

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
    """Draw periodic sums of Gaussians whose centres form a square grid in the middle of the unit square.

    Each sample draws one of the sparsities, and each of its Gaussians is left out with that probability, except that at least
    one remains. The others have heights drawn uniformly from (0.001, 1). The sum is divided by its largest value.
    Source: Subramanian et al., NeurIPS 2023, arXiv:2306.00258, and the data generation published with it.

    Args:
        generator: a CPU generator; all samples are drawn at once, and the fields do not depend on the number of points.
        samples: number of fields.
        points: number of points i / points along each axis.
        blobs: number of Gaussians along each axis, with centres two widths apart.
        width: standard deviation of a Gaussian, as a fraction of the side.
        sparsities: probabilities that a Gaussian is left out.

    Returns:
        Values at the points, float64; the largest value is 1.

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
    """The common part of the steady problems on a periodic square whose sources are random blobs.

    Attributes:
        points: number of points along each axis, in the solver and in the data.
        blobs: number of Gaussians along each axis.
        width: standard deviation of a Gaussian, as a fraction of the side; `points` times `width` must be 2 or more.
        sparsities: probabilities that a Gaussian is left out; one of them is drawn for each sample.
        length: length of a side [m].
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
        """Number of points of one field."""
        return self.points**2

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The points."""
        return tuple(grid_points(axis, self.points, self.length) for axis in "xy")

    def draw_source(self, generator: torch.Generator, samples: int) -> Float[Tensor, "sample x y"]:
        """Draw right-hand sides in float64."""
        return random_blobs(generator, samples, self.points, blobs=self.blobs, width=self.width, sparsities=self.sparsities)
