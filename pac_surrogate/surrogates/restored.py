"""Outputs in physical units, projected onto the bounds of their variables."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.scaling import Columns
from pac_surrogate.files import Variable
from pac_surrogate.files.variables import bounds_of_columns


def restored(
    columns: Columns,
    outputs: Sequence[Variable],
    standard: Float[Tensor, "... output"],
    precision: torch.dtype = torch.float64,
) -> Float[Tensor, "*batch output"]:
    """Convert standardised outputs to physical units in a precision, and project them onto the bounds of their variables.

        v -> P(v) = min(max(v, lower), upper)

    The bounds are a convex set that contains the truth y, so the projection increases no error: |P(v) - y| <= |v - y| for
    every output. An interval whose ends are projected contains the truth wherever it did before. The gradient of a number that
    is cut off is 0. A number that is not finite stays as it is, so that it is still noticed; bounds are compared in the
    precision of the result.
    """
    values = columns.restore(standard).to(precision)
    if all(one is None for variable in outputs for one in variable.bounds):
        return values
    ends = [torch.from_numpy(end).to(values) for end in bounds_of_columns(outputs)]
    return torch.where(torch.isfinite(values), torch.clamp(values, *ends), values)
