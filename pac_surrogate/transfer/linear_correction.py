"""Linear correction of the source's prediction, in closed form."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.dataset import Dataset
from pac_surrogate.predictors import Correction
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import Stage, check_strength


@dataclass(frozen=True)
class LinearCorrection:
    """Correct each output by a line: a f_S(x) + b, or a f_S(x) + b + c'x, by ridge regression towards the unchanged source.

        minimise  mean (a f + b + c'x - y)^2 + strength/2 ((a - 1)^2 + b^2 + ||c||^2)      for each output

    Args:
        strength: of the ridge; 0 gives the least squares solution nearest to the unchanged source.
        linear: with the term c'x.
    """

    strength: float = 0.1
    linear: bool = False

    def __post_init__(self) -> None:
        check_strength(strength=self.strength)

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def solve(self, surrogate: Surrogate, data: Dataset) -> Correction:
        """Fit the lines, float64."""
        base = surrogate.network
        x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
        prediction = base.predict(x).double() if len(x) else torch.zeros(0, y.shape[1], dtype=torch.float64)
        return Correction(base, *fit_lines(prediction, x, y, strength=self.strength, linear=self.linear))


def fit_lines(
    prediction: Float[Tensor, "sample output"],
    x: Float[Tensor, "sample input"],
    y: Float[Tensor, "sample output"],
    *,
    strength: float,
    linear: bool,
) -> tuple[Float[Tensor, " output"], Float[Tensor, " output"], Float[Tensor, "input output"]]:
    """Solve the ridge regressions of `LinearCorrection` for all outputs at once; float64.

    Returns:
        Slope a, offset b and linear term c of each output; 1, 0 and 0 without samples.
    """
    samples, outputs = y.shape
    shared = torch.cat([torch.ones(samples, 1).double(), x], dim=1) if linear else torch.ones(samples, 1).double()
    features = torch.cat([prediction.T[:, :, None], shared.expand(outputs, -1, -1)], dim=2)
    count = features.shape[2]
    # The ridge as rows of the least squares problem: no normal equations, so no squared condition number.
    ridge = (0.5 * strength * max(samples, 1)) ** 0.5 * torch.eye(count, dtype=torch.float64)
    rows = torch.cat([features, ridge.expand(outputs, -1, -1)], dim=1)
    residual = torch.cat([(y - prediction).T, torch.zeros(outputs, count, dtype=torch.float64)], dim=1)
    solution = torch.linalg.lstsq(rows, residual[:, :, None], driver="gelsd").solution[:, :, 0]
    rest = solution[:, 2:].T if linear else torch.zeros(x.shape[1], outputs, dtype=torch.float64)
    return 1 + solution[:, 0], solution[:, 1], rest
