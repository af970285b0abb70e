"""Linear correction of the source's prediction, in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import groups_of, repeated
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative
from pac_surrogate.predictors import Correction
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings
from pac_surrogate.utilities.display import Shown


@settings
class LinearCorrection:
    """Correct each output linearly, a f_S(x) + b or a f_S(x) + b + c'x, by ridge regression towards the unchanged source.

        minimise  mean (a f + b + c'x - y)^2 + strength/2 ((a - 1)^2 + b^2 + ||c||^2)      for each output

    Args:
        strength: strength of the ridge; 0 gives the least squares solution nearest to the unchanged source.
        linear: whether the correction has the term c'x.
    """

    strength: NotNegative = 0.1
    linear: bool = False

    def adapt(self, case: Case) -> Surrogate:
        """Fit the lines in float64."""
        surrogate = case.for_target()
        base, data = surrogate.network, surrogate.scaling.standardise(case.target)
        x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
        prediction = base.predict(x).double() if len(x) else torch.zeros(0, y.shape[1], dtype=torch.float64)
        lines = fit_lines(prediction, x, y, strength=self.strength, linear=self.linear)
        return case.answer(surrogate, Correction(base, *lines))


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
        Slope a, offset b and linear term c of each output; without samples these are 1, 0 and 0.
    """
    samples, outputs = y.shape
    shared = torch.cat([torch.ones(samples, 1).double(), x], dim=1) if linear else torch.ones(samples, 1).double()
    features = torch.cat([prediction.T[:, :, None], shared.expand(outputs, -1, -1)], dim=2)
    count = features.shape[2]
    # The ridge enters as rows of the least squares problem: normal equations would square the condition number.
    ridge = (0.5 * strength * max(samples, 1)) ** 0.5 * torch.eye(count, dtype=torch.float64)
    rows = torch.cat([features, ridge.expand(outputs, -1, -1)], dim=1)
    residual = torch.cat([(y - prediction).T, torch.zeros(outputs, count, dtype=torch.float64)], dim=1)
    solution = torch.linalg.lstsq(rows, residual[:, :, None], driver="gelsd").solution[:, :, 0]
    rest = solution[:, 2:].T if linear else torch.zeros(x.shape[1], outputs, dtype=torch.float64)
    return 1 + solution[:, 0], solution[:, 1], rest


@dataclass(frozen=True, eq=False, repr=False)
class RidgeLines(Shown):
    """The lines of `LinearCorrection` for every output and one ridge, in the dual form, with matrices of samples by samples.

    Let f be the prediction of an output and G = 1 1' [+ x x'] + ridge, which all outputs share. The Sherman-Morrison formula
    gives A = (G + f f')^-1 from the inverse of G. The coefficients are (f, 1, x)' A r and the leave-one-out residuals
    [A r]_i / A_ii, in blocks of the samples of equal input (see `repeats`). No cost grows with the square of the number of
    inputs or outputs, and nothing is lost if inputs outnumber samples.
    """

    before: Float[Tensor, "sample output"]
    residual: Float[Tensor, "sample output"]
    inverse: Float[Tensor, "sample sample"]
    ridge: float
    group: Int[Tensor, " sample"]

    @classmethod
    def grid(
        cls,
        before: Float[Tensor, "sample output"],
        x: Float[Tensor, "sample input"],
        y: Float[Tensor, "sample output"],
        strengths: Sequence[float],
        *,
        linear: bool,
    ) -> "list[RidgeLines]":
        """Return the lines of several ridges, strength times samples / 2, from one eigendecomposition."""
        samples = len(y)
        values, vectors = torch.linalg.eigh(torch.ones(samples, samples).double() + (x @ x.T if linear else 0.0))
        ridges, group = [0.5 * strength * samples for strength in strengths], groups_of(x)
        return [cls(before, y - before, (vectors / (values.clamp_min(0.0) + r)) @ vectors.T, r, group) for r in ridges]

    def apply(self, residual: Float[Tensor, "sample output"]) -> Float[Tensor, "sample output"]:
        """Return A r of each output."""
        seen, own = self.inverse @ self.before, self.inverse @ residual
        return own - seen * ((self.before * own).sum(0) / (1 + (self.before * seen).sum(0)))

    @cached_property
    def left_out(self) -> Float[Tensor, "sample output"]:
        """The exact leave-one-out residuals."""
        seen = self.inverse @ self.before
        factor = 1 / (1 + (self.before * seen).sum(0))
        applied = self.apply(self.residual)
        left_out = applied / (self.inverse.diagonal()[:, None] - seen.square() * factor)
        for members in repeated(self.group):
            own = seen[members].T
            blocks = self.inverse[members][:, members] - factor[:, None, None] * own[:, :, None] * own[:, None, :]
            left_out[members] = torch.linalg.solve(blocks, applied[members].T[..., None])[..., 0].T
        return left_out

    def lines(
        self, x: Float[Tensor, "sample input"], *, linear: bool
    ) -> tuple[Float[Tensor, " output"], Float[Tensor, " output"], Float[Tensor, "input output"]]:
        """Return slope, offset and linear term of each output."""
        coefficients = self.apply(self.residual)
        rest = x.T @ coefficients if linear else torch.zeros(x.shape[1], coefficients.shape[1], dtype=torch.float64)
        return 1 + (self.before * coefficients).sum(0), coefficients.sum(0), rest
