"""The error of a prediction in every metric, and comments on the samples and outputs that metrics leave out of a curve."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from pac_surrogate.data import metrics
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import match_all
from pac_surrogate.data.undefined_metrics import LeftOutWarning, UndefinedMetricError

METRICS = {
    "rel_l2": metrics.rel_l2,
    "rmse_std": metrics.rmse_std,
    "rmse": metrics.rmse,
    "mae": metrics.mae,
    "r2": metrics.r2,
    "max_error": metrics.max_error,
}
FIELD_METRICS = {"nrmse": metrics.nrmse, "vrmse": metrics.vrmse}  # means over space; n/a where outputs have no grid


def under_variables_of(target: Dataset, source: Dataset) -> Dataset:
    """Return source samples with the outputs of the target, in its order; the source must have all of them."""
    if source.outputs == target.outputs:
        return source
    places = match_all("outputs", target.outputs, source.outputs)
    return source.as_variables(source.inputs, np.arange(source.widths[0]), target.outputs, places)


def check_metrics(headline: str, target: Dataset, source: Dataset | None) -> dict[str, str]:
    """Check that test splits define the headline metric; return comments on what metrics leave out, by variable."""
    comments: dict[str, str] = {}
    for side, data in (("target", target), ("source", source)):
        if data is None:
            continue
        try:
            noted(comments, side, METRICS[headline], data.output_matrix, data.output_matrix)
        except UndefinedMetricError as error:
            remedy = "as the headline in the target's attributes"
            raise ValueError(f"the headline metric must be defined on the {side}'s test split: {error}, {remedy}") from None
    noted(comments, "target", errors_of, target.output_matrix, target)
    return comments


def noted(comments: dict[str, str], side: str, measure: Callable[..., Any], *arguments: Any) -> Any:
    """Measure, and collect warnings of what is left out: one comment for each variable instead of a warning for each cell."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LeftOutWarning)
        found = measure(*arguments)
    for warning in caught:
        if isinstance(warning.message, LeftOutWarning):
            variable = "source_error" if side == "source" else warning.message.metric
            comments.setdefault(variable, f"{warning.message}, in the {side}'s test split")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return found


def errors_of(prediction: Float[np.ndarray, "sample output"], data: Dataset) -> dict[str, float]:
    """Measure the error of a prediction of a dataset's output matrix in every metric.

    A metric that the data leave undefined is NaN. `nrmse` and `vrmse` are means over the variables with a grid for which they
    are defined.
    """
    truth = data.output_matrix
    errors = {name: _defined(metric, prediction, truth) for name, metric in METRICS.items()}
    last = np.cumsum([variable.size for variable in data.outputs])
    for name, metric in FIELD_METRICS.items():
        values = [
            _defined(metric, prediction[:, end - v.size : end].reshape(-1, *v.shape), data[v.name], axes=v.axes)
            for v, end in zip(data.outputs, last, strict=True)
            if {"x", "y"} & set(v.axes)
        ]
        defined = [value for value in values if value is not None]
        if 0 < len(defined) < len(values):
            line = f"{name} leaves out {len(values) - len(defined)} of {len(values)} variables, for which it is undefined"
            warnings.warn(LeftOutWarning(line, name), stacklevel=2)
        errors[name] = float(np.mean(defined)) if defined else None
    return {name: math.nan if value is None else value for name, value in errors.items()}


def _defined(metric: Callable[..., float], *arguments: Any, **options: Any) -> float | None:
    """Return the value of a metric, or None if the target leaves it undefined."""
    try:
        return float(metric(*arguments, **options))
    except UndefinedMetricError:
        return None
