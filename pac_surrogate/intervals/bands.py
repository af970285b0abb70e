"""Prediction intervals from residuals on samples that were left out.

    jackknife+, CV+   the interval of level 1 - alpha at x ends at order statistics of f_-i(x) -+ R_i, R_i = |y_i - f_-i(x_i)|,
                      f_-i the fit without the sample (or its fold); it covers with probability 1 - 2 alpha or more
    studentised       f(x) -+ q sd(x), q the order statistic of R_i / sd_-i(x_i): residuals give the scale, the model the shape

Samples of equal input (see `repeats`) leave the fits together, and count once: each of their residuals has a weight of one over
their number in the order statistic, and n is the number of different inputs.

Source: Barber, Candes, Ramdas & Tibshirani, "Predictive inference with the jackknife+", Annals of Statistics 49 (2021).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import count_of, group_sum, sample_weights
from pac_surrogate.utilities.display import Shown

BAND_NUMBERS = 2**24  # bounds of the samples at one piece of the new inputs


@dataclass(frozen=True, eq=False, repr=False)
class Interval(Shown):
    """A prediction with its interval, in physical units.

    Attributes:
        mean: the prediction.
        lower: lower end.
        upper: upper end.
        level: the nominal level.
        promised: coverage that is guaranteed for exchangeable samples; None where nothing is.
        extrapolates: per sample, whether its inputs leave the range of the training data.
    """

    mean: Any
    lower: Any
    upper: Any
    level: float
    promised: float | None
    extrapolates: Any


def check_level(level: float, samples: int) -> int:
    """Rank of the order statistic, ceil((n + 1) level), which must not exceed n, the number of different inputs.

    Raises:
        ValueError: if the level is out of range, or needs more samples: it names how many.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    # 1 - 0.9 is not 0.1: without the tolerance ten samples would be asked for where nine do.
    needed = math.ceil(1 / (1 - level) - 1e-9) - 1
    if samples < needed:
        raise ValueError(f'level {level} needs {needed} target samples, got {samples}: lower it, or use interval="posterior"')
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
    """Jackknife+ (a fold for each input) or CV+ bounds.

    Args:
        left_out: predictions at the new inputs by the fit without each fold.
        fold: of each sample.
        residual: y_i - f_-i(x_i).
        group: number of each sample's input.
        level: 1 - alpha.
        simultaneous: bounds that hold for all outputs at once: R_i = max over outputs of |residual| / its root mean square over
            the other samples, as a new sample has no part in it either.
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
    """The least of the values at which the weights of those that are no larger add up to the rank."""
    ordered, order = values.sort(0)
    if bool((sample_weight == 1).all()):
        return ordered[rank - 1]
    # Shares such as three thirds add up to 1 but for rounding.
    place = (sample_weight[order].cumsum(0) < rank - 1e-6).sum(0, keepdim=True).clamp_max(len(values) - 1)
    return ordered.gather(0, place)[0]


def promise(level: float, samples: int, folds: int) -> float:
    """What CV+ guarantees: 1 - 2 alpha for one sample a fold, else less by the lesser of the paper's two bounds."""
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
    """Bounds mean -+ q deviation.

    Args:
        mean: predictions.
        deviation: their standard deviations.
        studentised: |residual| / deviation of the samples, each left out.
        group: number of each sample's input.
        level: 1 - alpha.
        simultaneous: one q for all outputs, of the largest studentised residual of each sample.
    """
    rank = check_level(level, count_of(group))
    ranked = studentised.amax(1, keepdim=True) if simultaneous else studentised
    quantile = order_statistic(ranked, sample_weights(group), rank)
    return mean - quantile * deviation, mean + quantile * deviation


def normal_band(
    mean: Float[Tensor, "row output"], deviation: Float[Tensor, "row output"], level: float, *, simultaneous: bool = False
) -> tuple[Float[Tensor, "row output"], Float[Tensor, "row output"]]:
    """Bounds of a normal distribution; for all outputs at once by Bonferroni's inequality."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    tail = (1 - level) / 2 / (mean.shape[1] if simultaneous else 1)
    width = -torch.special.ndtri(torch.tensor(tail, dtype=torch.float64)) * deviation
    return mean - width, mean + width
