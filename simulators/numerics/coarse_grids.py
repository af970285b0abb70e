"""Square fields between the grid of the data and that of a solver with fewer cells or more."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from simulators.numerics.random_inputs import Modes, refine


def to_solver(field: Float[Tensor, "sample x y"], modes: Modes, cells: int) -> Float[Tensor, "sample i j"]:
    """Return a field made of modes along each axis on `cells` cells an axis: block averages on fewer, itself on more."""
    if cells < field.shape[1]:
        return avg_pool2d(field, field.shape[1] // cells)
    return refine(field, cells, [modes, modes])


def to_reported(field: Float[Tensor, "sample i j"], reported: int) -> Float[Tensor, "sample x y"]:
    """Return an answer on `reported` cells an axis: interpolated linearly from fewer, averages of more."""
    cells = field.shape[1]
    if cells < reported:
        return interpolate(field[:, None], size=(reported, reported), mode="bilinear", align_corners=False)[:, 0]
    return avg_pool2d(field, cells // reported)
