"""Samples, fields and outputs without a scale, which metrics that divide by it leave out with a warning."""

import warnings

import numpy as np
from jaxtyping import Bool, Float

NAMED = 5  # number of samples or outputs that a warning names


class UndefinedMetricError(ValueError):
    """Error that a target leaves a metric undefined, regardless of the prediction."""


class LeftOutWarning(UserWarning):
    """Warning that a metric leaves out samples, fields or outputs that have no scale.

    Attributes:
        metric: name of the metric, if the warning concerns a single one.
    """

    def __init__(self, line: str, metric: str = "") -> None:
        super().__init__(line)
        self.metric = metric


@np.errstate(over="ignore", invalid="ignore")
def ratios(
    missed: Float[np.ndarray, "*scaled"], scale: Float[np.ndarray, "*scaled"], kept: Bool[np.ndarray, "*scaled"]
) -> Float[np.ndarray, " kept"]:
    """Return the kept errors divided by their scales; all are NaN if an error that is left out is not finite."""
    found = missed[kept] / scale[kept]
    return found if np.isfinite(missed[~kept]).all() else np.full_like(found, np.nan)


def warn_of_zeros(metric: str, noun: str, zero: Bool[np.ndarray, "sample ..."]) -> None:
    """Warn the caller of a metric of samples whose norm is zero, or the norm of one of their fields.

    Raises:
        UndefinedMetricError: if all norms are zero.
    """
    if zero.all():
        raise UndefinedMetricError(
            f"{metric} divides by the norm of the target, which is zero in all {zero.size} {noun}: use rmse"
        )
    if zero.any():
        rows = _numbered("sample", np.flatnonzero(zero.reshape(len(zero), -1).any(1)))
        line = f"{metric} leaves out {zero.sum()} of {zero.size} {noun}, whose norm is zero to rounding: {rows}"
        warnings.warn(LeftOutWarning(line, metric), stacklevel=3)


def warn_of_constants(metric: str, missed: Bool[np.ndarray, " output"]) -> None:
    """Warn the caller of a metric of outputs that are left out although the prediction misses them."""
    if missed.any():
        columns = _numbered("output", np.flatnonzero(missed))
        line = f"{metric} leaves out outputs that do not vary, although the prediction misses them by more than the others"
        warnings.warn(LeftOutWarning(f"{line}: {columns}; see max_error", metric), stacklevel=3)


def _numbered(noun: str, numbers: np.ndarray) -> str:
    """Return the first few numbers as text, as in "samples 0, 3, 4, 5, 8 and 7 more, counted from 0"."""
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"{noun}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:NAMED]))}{more}, counted from 0"
