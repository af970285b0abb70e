"""Conversion of square fields between the grid of the data and the coarser or finer grid of a solver."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from simulators.numerics.random_inputs import Modes, refine


def to_solver(field: Float[Tensor, "sample x y"], modes: Modes, cells: int) -> Float[Tensor, "sample i j"]:
    """Return a field made of modes on `cells` cells per axis: block averages on fewer cells, the exact averages on more."""
    if cells < field.shape[1]:
        return avg_pool2d(field, field.shape[1] // cells)
    return refine(field, cells, [modes, modes])


def to_reported(field: Float[Tensor, "sample i j"], reported: int) -> Float[Tensor, "sample x y"]:
    """Return a solution on `reported` cells per axis: interpolated linearly from fewer cells, averaged over more."""
    cells = field.shape[1]
    if cells < reported:
        return interpolate(field[:, None], size=(reported, reported), mode="bilinear", align_corners=False)[:, 0]
    return avg_pool2d(field, cells // reported)
