"""Standardisation of inputs and outputs, kept with the surrogate.

    z = (g(v) - mean) / deviation        g = identity ("standard") or the natural logarithm ("log")

Statistics are pooled over the grid axes of a field (time, x, y), so that a convolution sees one scale everywhere, and are
separate for each column of other variables, because the features of a table have different scales.

A column that is constant to within rounding (see `resolution`) has no scale: its deviation is 0, it is standardised to 0 and
restored to its mean. No result therefore depends on the unit or the offset of a column. Numbers above LARGEST are refused, and
so are columns that vary only among the numbers nearest to 0, which lack digits. If the target varies a column that the source
held at a set point, the target gives the scale (`scaled_for`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.files import Variable
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.resolution import RESOLVED, centre, deviation, resolution, varies

GRID_AXES = ("time", "x", "y")
TINY = float(np.finfo(np.float64).tiny)
LARGEST = 2.0**1000  # 1.07e301: sums and multiples of the variables' numbers stay below 1.8e308, the end of float64
FARTHEST = 2.0**63  # 9.2e18 deviations, whose squares float32, the precision of training, still holds
MARGIN = 0.05  # the extremes of a few samples lie inside those of the distribution that they come from
SET_POINT = 30.0  # distance of the data from the source's mean, in its deviations, above which these are only jitter


@dataclass(frozen=True, eq=False, repr=False)
class Columns(Shown):
    """Scaling of the inputs or of the outputs, one number for each column of the data matrix; float64 on the CPU.

    Attributes:
        mean: mean of the column; of its logarithms on a logarithmic scale.
        deviation: standard deviation likewise; 0 if the column is constant to within rounding.
        logarithmic: whether the scale is logarithmic.
        low: smallest number in the training data [physical units].
        high: largest number in the training data [physical units].
    """

    mean: Float[Tensor, " column"]
    deviation: Float[Tensor, " column"]
    logarithmic: Bool[Tensor, " column"]
    low: Float[Tensor, " column"]
    high: Float[Tensor, " column"]

    def standardise(self, values: Float[Tensor, "sample column"]) -> Float[Tensor, "sample column"]:
        """Convert physical to standardised units.

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
            # The logarithms of the other columns may be infinite; their gradient, infinity times 0, would be NaN.
            values = torch.where(logarithmic, torch.where(logarithmic, values, 1.0).log(), values)
        deviation = self.deviation.to(values)
        # A constant column has no scale: divided by infinity, it becomes 0, and so does its gradient.
        return (values - self.mean.to(values)) / torch.where(deviation > 0, deviation, torch.inf)

    def restore(self, values: Float[Tensor, "... column"]) -> Float[Tensor, "*batch column"]:
        """Convert standardised to physical units."""
        values = values * self.deviation.to(values) + self.mean.to(values)
        logarithmic = self.logarithmic.to(values.device)
        # Exponentials of the other columns may be infinite; their gradient, infinity times 0, would be NaN.
        return torch.where(logarithmic, torch.where(logarithmic, values, 0.0).exp(), values)

    def outside(self, values: Float[Tensor, "sample column"], margin: float = MARGIN) -> Bool[Tensor, " sample"]:
        """Return which samples lie outside the range of the training data in any column; see `ends`.

        Args:
            values: samples in physical units.
            margin: tolerated distance from the range.
        """
        low, high = (end.to(values.device) for end in self.ends(margin))
        # Compared in float64: rounded to the precision of the values, a bound may fall inside the range.
        return ((values.double() < low) | (values.double() > high)).any(1)

    def ends(self, margin: float = MARGIN) -> tuple[Float[Tensor, " column"], Float[Tensor, " column"]]:
        """Return the numbers below and above which a column leaves the range of the training data [physical units].

        Args:
            margin: tolerated distance from the range as a fraction of its width; in a logarithmic column, of the logarithms.
        """
        width = self.high - self.low
        # The value of a constant column may also be given rounded to float32.
        still = RESOLVED * torch.finfo(torch.float32).eps * torch.maximum(self.low.abs(), self.high.abs())
        slack = torch.where(width > _rounding(self.low, self.high), margin * width, still)
        low, high = self.low - slack, self.high + slack
        if bool(self.logarithmic.any()):
            ratio = (self.high.clamp_min(TINY) / self.low.clamp_min(TINY)) ** margin
            ratio = torch.where(ratio > 1, ratio, 1 + RESOLVED * torch.finfo(torch.float32).eps)
            low = torch.where(self.logarithmic, self.low / ratio, low)
            high = torch.where(self.logarithmic, self.high * ratio, high)
        return low, high

    def drawn(self, samples: int, generator: np.random.Generator) -> Float[np.ndarray, "sample column"]:
        """Draw samples evenly from the range of the training data, or of its logarithms in a logarithmic column."""
        logarithmic, low, high = (one.numpy() for one in (self.logarithmic, self.low, self.high))
        with np.errstate(all="ignore"):
            first, last = (np.where(logarithmic, np.log(np.where(logarithmic, end, 1.0)), end) for end in (low, high))
            values = first + (last - first) * generator.random((samples, len(low)))
            values = np.where(logarithmic, np.exp(np.where(logarithmic, values, 0.0)), values)
        return np.clip(values, low, high)  # the exponential of a logarithm is rounded

    def pick(self, columns: Int[Tensor, " picked"]) -> "Columns":
        """Return the scaling of some of the columns."""
        return Columns(*(getattr(self, field.name)[columns] for field in fields(self)))

    def where(self, mask: Bool[Tensor, " column"], other: "Columns") -> "Columns":
        """Take this scaling where the mask is true, another elsewhere."""
        return Columns(*(torch.where(mask, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))

    def widened(self, other: "Columns") -> "Columns":
        """Return the same scaling, with a training range that covers both."""
        return replace(self, low=torch.minimum(self.low, other.low), high=torch.maximum(self.high, other.high))


@dataclass(frozen=True, eq=False, repr=False)
class Scaling(Shown):
    """Scaling of inputs and outputs.

    Attributes:
        inputs: scaling of the columns of the input matrix.
        outputs: scaling of the columns of the output matrix.
    """

    inputs: Columns
    outputs: Columns

    def standardise(self, data: Dataset) -> Dataset:
        """Return the same dataset in standardised units, in float64.

        Raises:
            ValueError: if a number is farther from the mean than FARTHEST, or not positive on a logarithmic scale.
        """
        matrices = (data.input_matrix, data.output_matrix)
        scaled = [
            columns.standardise(torch.as_tensor(np.asarray(matrix, dtype=np.float64)))
            for columns, matrix in zip((self.inputs, self.outputs), matrices, strict=True)
        ]
        for variables, columns in zip((data.inputs, data.outputs), scaled, strict=True):
            check_reach(variables, columns)
        return data.with_matrices(*(columns.numpy() for columns in scaled))


def check_reach(variables: Sequence[Variable], scaled: Float[Tensor, "sample column"]) -> None:
    """Refuse standardised numbers whose squares are infinite in float32, the precision of training.

    Raises:
        ValueError: if there are any; the message names the variable.
    """
    far = ~(scaled.detach().abs() <= FARTHEST)
    if bool(far.any()):
        sample, column = torch.nonzero(far)[0].tolist()
        raise ValueError(
            f"{name_of_column(variables, column)} must lie within {FARTHEST:.2g} deviations of the mean of the data that the "
            f"surrogate is scaled by, got {float(scaled[sample, column]):.3g} at sample {sample}: check its unit"
        )


def name_of_column(variables: Sequence[Variable], column: int) -> str:
    """Return the name of the variable to which a column of the data matrix belongs."""
    return next(v.name for v, end in zip(variables, np.cumsum([v.size for v in variables]), strict=True) if column < end)


def fit_scaling(data: Dataset) -> Scaling:
    """Fit a scaling to the data that a surrogate is pretrained on.

    Raises:
        ValueError: if the dataset is empty, a variable on a logarithmic scale is not positive, or numbers are too large or too
            small for floating point to hold their scale.
    """
    if len(data) == 0:
        raise ValueError("scaling needs at least one sample, got none")
    return Scaling(_fit_columns(data, data.inputs), _fit_columns(data, data.outputs))


def fit_new_outputs(data: Dataset) -> Columns:
    """Fit a scaling of outputs that the source does not have to a few target samples.

    Each column has its own mean. The deviation is separate for each column of a table, but common to all points of a field,
    because ten samples do not determine the deviations of a thousand points. A single sample has deviation 0, and is then the
    prediction.
    """
    separate = _fit_columns(data, data.outputs, pool=False)
    deviations, first = [], 0
    for variable in data.outputs:
        own = separate.deviation[first : first + variable.size].reshape(variable.shape)
        first += variable.size
        axes = [i for i, axis in enumerate(variable.axes) if axis in GRID_AXES]
        if axes:
            largest = own.max().clamp_min(TINY)  # squares of 1e200 would be infinite
            own = (largest * (own / largest).square().mean(axes, keepdim=True).sqrt()).expand(variable.shape)
        deviations.append(own.reshape(-1))
    return replace(separate, deviation=torch.cat(deviations))


def scaled_for(columns: Columns, seen: Columns) -> Columns:
    """Adapt the scaling of a source to data that vary a column which the source held at a set point.

    A column is at a set point in the source if it never varied there, or if the root mean square distance of the data from the
    source's mean is more than SET_POINT of the source's deviations. The source's variation is then the jitter of the set point,
    and has no information about how the data vary. The mean is kept; the deviation becomes the root mean square distance of the
    data from it. The rule compares numbers of the same column, so it does not depend on units or offsets.

    Args:
        columns: the scaling of the source.
        seen: mean, deviation and range of the data, on the same scale.

    Returns:
        The adapted scaling; `columns` itself if no column changes.
    """
    away = torch.hypot(seen.mean - columns.mean, seen.deviation)
    floor = _rounding(columns.mean, seen.mean)
    moved = (away > SET_POINT * columns.deviation) & (away > floor)
    return replace(columns, deviation=torch.where(moved, away, columns.deviation)) if bool(moved.any()) else columns


def _rounding(low: Float[Tensor, " column"], high: Float[Tensor, " column"]) -> Float[Tensor, " column"]:
    """Return the largest differences of numbers of this size that rounding explains."""
    return torch.as_tensor(resolution(torch.stack([low, high]).numpy()))


def _fit_columns(data: Dataset, variables: Sequence[Variable], *, pool: bool = True) -> Columns:
    """Compute the statistics of each column, with deviation 0 where it varies only by rounding."""
    parts = []
    for variable in variables:
        stored = data[variable.name].reshape(len(data), *variable.shape)
        axes = (0, *(1 + i for i, axis in enumerate(variable.axes) if pool and axis in GRID_AXES))
        gaps = data.has_missing and bool(np.isnan(stored).any())
        statistics = (_statistics_of_present if gaps else _statistics)(variable, stored, axes)
        parts.append([np.broadcast_to(statistic, (1, *variable.shape)).reshape(-1) for statistic in statistics])
    return Columns(*(torch.as_tensor(np.concatenate(column)) for column in zip(*parts, strict=True)))


def _statistics(variable: Variable, stored: Float[np.ndarray, "sample ..."], axes: tuple[int, ...]) -> list[np.ndarray]:
    """Return mean, deviation, whether the scale is logarithmic, least and greatest number, over axes that are kept."""
    values = stored.astype(np.float64)
    if variable.scaling == "log" and (values <= 0).any():
        raise ValueError(f"{variable.name} has scaling 'log' and must be positive, got {values.min()} {variable.units}")
    _check_size(variable, stored)
    scaled = np.log(values) if variable.scaling == "log" else values
    mean = centre(scaled, axes)
    vary = varies(stored, axes, keepdims=True)
    if variable.scaling == "log":  # a relative rounding of v is an absolute one of its logarithm
        rounding = resolution(np.maximum(np.abs(scaled), 1.0), axes, dtype=stored.dtype, keepdims=True)
        vary = np.ptp(scaled, axes, keepdims=True) > rounding
    return [
        mean,
        np.where(vary, deviation(scaled, axes).reshape(mean.shape), 0.0),
        np.array(variable.scaling == "log"),
        values.min(axes, keepdims=True),
        values.max(axes, keepdims=True),
    ]


def _statistics_of_present(
    variable: Variable, stored: Float[np.ndarray, "sample ..."], axes: tuple[int, ...]
) -> list[np.ndarray]:
    """Return the statistics of the numbers that are not NaN, of each column by itself."""
    single = replace(variable, axes=(), shape=())
    pooled = np.moveaxis(stored, axes, range(len(axes)))
    columns = pooled.reshape(math.prod(pooled.shape[: len(axes)]), -1).T
    found = [_statistics(single, column[~np.isnan(column)], (0,)) for column in columns]
    shape = [1 if axis in axes else length for axis, length in enumerate(stored.shape)]
    return [np.stack([np.broadcast_to(one, 1) for one in each]).reshape(shape) for each in zip(*found, strict=True)]


def _check_size(variable: Variable, stored: Float[np.ndarray, "sample ..."]) -> None:
    """Refuse numbers that are too large to compute with, or so small that floating point holds few of their digits or none.

    All points of a field are checked together: beside numbers of order 1, the small numbers in its tails count as 0.
    """
    axes = (0, *(1 + i for i, axis in enumerate(variable.axes) if axis in GRID_AXES))
    low, high = (end(axis=axes).astype(np.float64) for end in (stored.min, stored.max))
    size = np.maximum(np.abs(low), np.abs(high))
    if size.max() > LARGEST:
        raise ValueError(
            f"{variable.name} must hold numbers of size {LARGEST:.2g} at most, because float64 ends at 1.8e308, got "
            f"{size.max():.3g}: give it in a larger unit"
        )
    if variable.scaling == "log":
        if low.min() < TINY:
            raise ValueError(
                f"{variable.name} must hold numbers of {TINY:.2g} at least, below which float64 lacks digits, got "
                f"{low.min():.3g}: give it in a smaller unit"
            )
        return
    kind, width = np.finfo(stored.dtype), high - low
    least = TINY if stored.dtype == np.float64 else RESOLVED * float(kind.eps) * float(kind.tiny)
    lost = (width > RESOLVED * float(kind.eps) * size) & (width <= least)
    if lost.any():
        raise ValueError(
            f"{variable.name} must be constant or vary by more than {least:.2g}, below which {stored.dtype} lacks digits, got "
            f"{width[lost].max():.3g}: give it in a smaller unit, or give 0 where zero is meant"
        )
