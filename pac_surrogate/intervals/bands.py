"""Prediction intervals from residuals on samples that were left out.

    jackknife+, CV+   the interval of level 1 - alpha at x ends at order statistics of f_-i(x) -+ R_i, R_i = |y_i - f_-i(x_i)|,
                      f_-i the fit without the sample (or its fold); jackknife+ covers with probability 1 - 2 alpha or more,
                      and CV+ with a little less (see `promise`)
    studentised       f(x) -+ q sd(x), q the order statistic of R_i / sd_-i(x_i): residuals give the scale, the model the shape

Samples of equal input (see `repeats`) are left out of the fits together and count as one: in the order statistic, the weight of
each of their residuals is one over their number, and n is the number of different inputs.

Source: Barber, Candes, Ramdas & Tibshirani, "Predictive inference with the jackknife+", Annals of Statistics 49 (2021).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.labelled import is_labelled
from pac_surrogate.data.names import check_different, split_unit
from pac_surrogate.data.repeats import count_of, group_sum, sample_weights
from pac_surrogate.data.tables import is_table
from pac_surrogate.utilities.display import Shown

NAMES = "an interval (y, y_lower and y_upper of every output y, and extrapolates)"
BAND_NUMBERS = 2**24  # largest number of bounds, over all samples, in one piece of the new inputs


@dataclass(frozen=True, eq=False, repr=False)
class Interval(Shown):
    """A prediction with its interval, in physical units.

    Attributes:
        mean: the prediction.
        lower: lower bound.
        upper: upper bound.
        level: the nominal level.
        promised: coverage that is guaranteed for exchangeable samples; None if none is guaranteed.
        extrapolates: for each sample, whether its inputs leave the range of the training data.
    """

    mean: Any
    lower: Any
    upper: Any
    level: float
    promised: float | None
    extrapolates: Any

    def to_pandas(self) -> Any:
        """Return one DataFrame with the columns y, y_lower and y_upper of every output y, and `extrapolates`.

        Raises:
            ValueError: if the inputs were not a DataFrame, or an output has the name of another one's bound.
        """
        if not is_table(self.mean):
            raise ValueError("a table of an interval needs labels: pass the inputs to predict_interval as a DataFrame")
        columns: list[tuple[str, Any]] = []
        for label in self.mean.columns:
            name, unit = split_unit(label)
            unit = "" if unit is None else f" [{unit}]"
            columns += [(label, self.mean[label]), *((f"{name}{after}{unit}", ends[label]) for after, ends in self._ends())]
        columns.append(("extrapolates", self.extrapolates))
        check_different(f"the columns of {NAMES}", [label for label, _ in columns])
        return self.mean.assign(**dict(columns))[[label for label, _ in columns]]

    def to_xarray(self) -> Any:
        """Return one xarray Dataset with the variables y, y_lower and y_upper of every output y, and `extrapolates`.

        Raises:
            ValueError: if the inputs were not an xarray Dataset, or an output has the name of another one's bound.
        """
        if not is_labelled(self.mean):
            raise ValueError(
                "an interval with coordinates needs labels: pass the inputs to predict_interval as an xarray Dataset"
            )
        ends = {f"{name}{after}": ends[name].variable for name in self.mean for after, ends in self._ends()}
        ends |= {"extrapolates": self.extrapolates.variable}
        check_different(f"the variables of {NAMES}", [*map(str, self.mean.data_vars), *ends])
        found = self.mean.drop_vars(ends, errors="ignore").assign(ends)  # of coordinates of the inputs with these names
        return found.assign_attrs(level=self.level, **({} if self.promised is None else {"promised": self.promised}))

    def _ends(self) -> tuple[tuple[str, Any], ...]:
        return ("_lower", self.lower), ("_upper", self.upper)


class TooFewSamplesError(ValueError):
    """An interval whose level needs more samples than there are."""


def check_range(level: float) -> None:
    """Refuse a level that is not between 0 and 1.

    Raises:
        ValueError: if it is not.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")


def check_level(level: float, samples: int) -> int:
    """Return the rank of the order statistic, ceil((n + 1) level), which must not exceed n, the number of different inputs.

    Raises:
        ValueError: if the level is out of range.
        TooFewSamplesError: if it needs more samples; the message names their number.
    """
    check_range(level)
    # In floating point 1 - 0.9 is below 0.1: without the tolerance, ten samples would be required where nine suffice.
    needed = math.ceil(1 / (1 - level) - 1e-9) - 1
    if samples < needed:
        raise TooFewSamplesError(
            f'level {level:.6g} needs {needed} target samples, got {samples}: lower it, or use interval="posterior"'
        )
    return math.ceil((samples + 1) * level - 1e-9)


def cross_validation_band(
    left_out: Float[Tensor, "fold row output"],
    fold: Int[Tensor, " sample"],
    residual: Float[Tensor, "sample output"],
    group: Int[Tensor, " sample"],
    level: float,
    *,
    simultaneous: bool = False,
) -> tuple[Float[Tensor, "row output"], Float[Tensor, "row output"]]:
    """Return the bounds of jackknife+ (one fold for each input) or CV+.

    Args:
        left_out: predictions at the new inputs by the fit without each fold.
        fold: number of each sample's fold.
        residual: y_i - f_-i(x_i).
        group: number of each sample's input.
        level: 1 - alpha.
        simultaneous: whether the bounds hold for all outputs at once, with R_i the maximum over outputs of |residual| divided
            by its root mean square over the samples of other inputs, because a new sample does not contribute to it either.
    """
    rank, sample_weight = check_level(level, count_of(group)), sample_weights(group)
    size = residual.abs()
    if simultaneous:
        square = sample_weight[:, None] * residual.square()
        least = torch.finfo(residual.dtype).tiny
        others = (square.sum(0) - group_sum(square, group)).clamp_min(0.0) / (count_of(group) - 1)
        scale = (square.sum(0) / count_of(group)).sqrt()
        size = (size / others.sqrt().clamp_min(least)).amax(1, keepdim=True) * scale
    lower, upper = (left_out.new_empty(left_out.shape[1:], dtype=torch.result_type(left_out, size)) for _ in range(2))
    rows = max(1, BAND_NUMBERS // residual.numel())
    for i in range(0, len(lower), rows):
        around = left_out[:, i : i + rows][fold]
        lower[i : i + rows] = -order_statistic(size[:, None] - around, sample_weight, rank)
        upper[i : i + rows] = order_statistic(around + size[:, None], sample_weight, rank)
    return lower, upper


def order_statistic(
    values: Float[Tensor, "sample ..."], sample_weight: Float[Tensor, " sample"], rank: int
) -> Float[Tensor, "..."]:
    """Return the smallest value at which the total weight of all values up to it reaches the rank."""
    ordered, order = values.sort(0)
    if bool((sample_weight == 1).all()):
        return ordered[rank - 1]
    # Weights such as three thirds add up to 1 only up to rounding.
    place = (sample_weight[order].cumsum(0) < rank - 1e-6).sum(0, keepdim=True).clamp_max(len(values) - 1)
    return ordered.gather(0, place)[0]


def promise(level: float, samples: int, folds: int) -> float:
    """Return the coverage of CV+: 1 - 2 alpha, minus the smaller of the paper's two losses if folds have several samples."""
    alpha = 1 - level
    if folds >= samples:
        return max(0.0, 1 - 2 * alpha)
    size = samples / folds
    loss = min(2 * (1 - 1 / folds) / (size + 1), (1 - folds / samples) / (folds + 1))
    return max(0.0, 1 - 2 * alpha - loss)


def studentised_band(
    mean: Float[Tensor, "row output"],
    deviation: Float[Tensor, "row output"],
    studentised: Float[Tensor, "sample output"],
    group: Int[Tensor, " sample"],
    level: float,
    *,
    simultaneous: bool = False,
) -> tuple[Float[Tensor, "row output"], Float[Tensor, "row output"]]:
    """Return the bounds mean -+ q deviation.

    Args:
        mean: predictions.
        deviation: standard deviations of the predictions.
        studentised: |residual| / deviation of each sample, from the fit without it.
        group: number of each sample's input.
        level: 1 - alpha.
        simultaneous: whether one q holds for all outputs, from the largest studentised residual of each sample.
    """
    rank = check_level(level, count_of(group))
    ranked = studentised.amax(1, keepdim=True) if simultaneous else studentised
    quantile = order_statistic(ranked, sample_weights(group), rank)
    return mean - quantile * deviation, mean + quantile * deviation


def normal_band(
    mean: Float[Tensor, "row output"], deviation: Float[Tensor, "row output"], level: float, *, simultaneous: bool = False
) -> tuple[Float[Tensor, "row output"], Float[Tensor, "row output"]]:
    """Return the bounds of a normal distribution; Bonferroni's inequality makes them hold for all outputs at once."""
    check_range(level)
    tail = (1 - level) / 2 / (mean.shape[1] if simultaneous else 1)
    width = -torch.special.ndtri(torch.tensor(tail, dtype=torch.float64)) * deviation
    return mean - width, mean + width
