"""The way from physical to standardised units and back in NumPy, without the checks of `Surrogate.predict`."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from pac_surrogate.data.scaling import Scaling
from pac_surrogate.engines.layers import Map
from pac_surrogate.files import Variable
from pac_surrogate.files.variables import bounds_of_columns


def in_units(standard: Map, scaling: Scaling, outputs: Sequence[Variable]) -> Map:
    """Return the map from physical inputs to physical outputs around a map of standardised numbers, in float64.

    The caller has checked the inputs. A number that floating point does not hold stays infinite or NaN.

    Args:
        standard: map from standardised inputs to standardised outputs.
        scaling: scaling of both sides.
        outputs: the output variables, onto whose bounds the results are projected.
    """
    mean, deviation = scaling.inputs.mean.numpy(), scaling.inputs.deviation.numpy()
    deviation = np.where(deviation > 0, deviation, np.inf)  # a constant column becomes 0
    offset, factor = scaling.outputs.mean.numpy(), scaling.outputs.deviation.numpy()
    logarithms, exponentials = (np.flatnonzero(side.logarithmic.numpy()) for side in (scaling.inputs, scaling.outputs))
    lower, upper = bounds_of_columns(outputs)
    bounded = bool(np.isfinite(lower).any() or np.isfinite(upper).any())

    def predict(x: np.ndarray) -> np.ndarray:
        if len(logarithms):
            x = x.copy()
            x[:, logarithms] = np.log(x[:, logarithms])
        y = standard((x - mean) / deviation) * factor
        y += offset
        if len(exponentials):
            y[:, exponentials] = np.exp(y[:, exponentials])
        return np.where(np.isfinite(y), np.clip(y, lower, upper), y) if bounded else y

    return predict


def trial_inputs(scaling: Scaling, rows: int) -> Float[np.ndarray, "sample input"]:
    """Draw inputs on which engines are measured and checked; see `Columns.drawn`."""
    return scaling.inputs.drawn(rows, np.random.default_rng(0))


def largest_deviation(
    scaling: Scaling, expected: Float[np.ndarray, "sample output"], found: Float[np.ndarray, "sample output"]
) -> float:
    """Return the largest difference in standard deviations of its output; infinity if a number is missing.

    An engine in float32 may round a number on a logarithmic scale to 0, which has no logarithm.
    """
    if not (found > 0)[:, scaling.outputs.logarithmic.numpy()].all():
        return float("inf")
    one, other = (scaling.outputs.standardise(torch.from_numpy(values)) for values in (expected, found))
    difference = (one - other).abs().max().item() if one.numel() else 0.0
    return difference if difference >= 0 else float("inf")
