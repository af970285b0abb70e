"""Standardisation of inputs and outputs, kept with the surrogate.

    z = (g(v) - mean) / deviation        g = identity ("standard") or the natural logarithm ("log")

Statistics are pooled over the grid axes of a field (time, x, y), so that a convolution sees one scale everywhere, and are
separate for each column of anything else: the features of a table have scales of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pac_surrogate.dataset import Dataset
from pac_surrogate.files import Variable

GRID_AXES = ("time", "x", "y")
MARGIN = 0.05  # the extremes of a few samples lie inside those of the distribution that they come from


@dataclass(frozen=True)
class Columns:
    """Scaling of one side, a number for each column of the data matrix; float64 on the CPU."""

    mean: Float[Tensor, " column"]
    deviation: Float[Tensor, " column"]
    logarithmic: Bool[Tensor, " column"]
    low: Float[Tensor, " column"]
    high: Float[Tensor, " column"]

    def standardise(self, values: Float[Tensor, "sample column"]) -> Float[Tensor, "sample column"]:
        """Physical to standardised units.

        Raises:
            ValueError: if a value on a logarithmic scale is not positive.
        """
        if bool(self.logarithmic.any()):
            logarithmic = self.logarithmic.to(values.device)
            least = float(values.detach()[:, logarithmic].min()) if len(values) else 1.0
            if least <= 0:
                raise ValueError(
                    f"values on a logarithmic scale must be positive, got {least}; use scaling='standard' for this variable"
                )
            values = torch.where(logarithmic, values.clamp_min(torch.finfo(values.dtype).tiny).log(), values)
        return (values - self.mean.to(values)) / self.deviation.to(values)

    def restore(self, values: Float[Tensor, "... column"]) -> Float[Tensor, "*batch column"]:
        """Standardised to physical units."""
        values = values * self.deviation.to(values) + self.mean.to(values)
        logarithmic = self.logarithmic.to(values.device)
        # Exponentials of the other columns may be infinite, and infinity times 0 is the NaN of their gradient.
        return torch.where(logarithmic, torch.where(logarithmic, values, 0.0).exp(), values)

    def outside(self, values: Float[Tensor, "sample column"]) -> Bool[Tensor, " sample"]:
        """Which samples leave the range of the training data in any column, by more than MARGIN of its width."""
        margin = MARGIN * (self.high - self.low)
        return ((values < (self.low - margin).to(values)) | (values > (self.high + margin).to(values))).any(1)

    def widened(self, other: "Columns") -> "Columns":
        """The same scaling, with a training range that covers both."""
        return replace(self, low=torch.minimum(self.low, other.low), high=torch.maximum(self.high, other.high))


@dataclass(frozen=True)
class Scaling:
    """Scaling of inputs and outputs."""

    inputs: Columns
    outputs: Columns

    def standardise(self, data: Dataset) -> Dataset:
        """The same dataset in standardised units, float64."""
        matrices = (data.input_matrix, data.output_matrix)
        scaled = [
            columns.standardise(torch.as_tensor(np.asarray(matrix, dtype=np.float64))).numpy()
            for columns, matrix in zip((self.inputs, self.outputs), matrices, strict=True)
        ]
        return data.with_matrices(*scaled)


def fit_scaling(data: Dataset) -> Scaling:
    """Scaling from the data that a surrogate is pretrained on.

    A column (or field) that never varies keeps deviation 1: it carries no information and must not be amplified.

    Raises:
        ValueError: if the dataset is empty, or a variable on a logarithmic scale is not positive.
    """
    if len(data) == 0:
        raise ValueError("scaling needs at least one sample, got none")
    sides = _fit_columns(data.input_matrix, data.inputs), _fit_columns(data.output_matrix, data.outputs)
    return Scaling(*(replace(side, deviation=torch.where(side.deviation > 0, side.deviation, 1.0)) for side in sides))


def fit_new_outputs(data: Dataset) -> Columns:
    """Scaling of outputs that the source never had, from few target samples.

    A mean per column and one pooled standard deviation (1 if there is one sample or no spread): ten samples cannot tell
    the deviations of a thousand outputs apart.
    """
    separate = _fit_columns(data.output_matrix, data.outputs, pool=False)
    pooled = float(separate.deviation.square().mean().sqrt())
    return replace(separate, deviation=torch.full_like(separate.deviation, pooled or 1.0))


def _fit_columns(matrix: np.ndarray, variables: Sequence[Variable], *, pool: bool = True) -> Columns:
    """Statistics of each column, with deviation 0 where nothing varies but by rounding."""
    parts, first = [], 0
    for variable in variables:
        values = np.asarray(matrix[:, first : first + variable.size], dtype=np.float64)
        first += variable.size
        if variable.scaling == "log" and (values <= 0).any():
            raise ValueError(f"{variable.name} has scaling 'log' and must be positive, got {values.min()} {variable.units}")
        field = values.reshape(len(values), *variable.shape)
        axes = (0, *(1 + i for i, axis in enumerate(variable.axes) if pool and axis in GRID_AXES))
        scaled = np.log(field) if variable.scaling == "log" else field
        mean, deviation = scaled.mean(axes, keepdims=True), scaled.std(axes, keepdims=True)
        constant = deviation <= 1e-12 * np.abs(scaled).max(axes, keepdims=True)
        statistics = (
            mean,
            np.where(constant, 0.0, deviation),
            field.min(axes, keepdims=True),
            field.max(axes, keepdims=True),
        )
        columns = [np.broadcast_to(s, (1, *variable.shape)).reshape(-1) for s in statistics]
        parts.append([*columns, np.full(variable.size, variable.scaling == "log")])
    mean, deviation, low, high, logarithmic = (torch.as_tensor(np.concatenate(column)) for column in zip(*parts, strict=True))
    return Columns(mean, deviation, logarithmic, low, high)
