"""The error of a network on samples of its own source that it was not trained on, as its provenance keeps it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.surrogates.origin import VALIDATION
from pac_surrogate.surrogates.surrogate import Surrogate


def own_error(surrogate: Surrogate, unseen: Dataset) -> dict[str, Any] | None:
    """Measure a network on samples that it was not trained on, as plain JSON values.

        error = sqrt(mean over samples and columns of ((f - y) / deviation)^2)
        R^2   = 1 - a / b,   a = mean_i |f_i - y_i|^2,   b = mean_i |y_i|^2,   standardised, so that the training mean is 0

    The deviation is that of the column in the training data (of its logarithms on a logarithmic scale), so that predicting the
    mean has an error of about 1. Columns that do not vary in the training data are left out. The standard error of R^2 is that
    of a ratio of means: the deviation over the samples of |f_i - y_i|^2 - (a / b) |y_i|^2, divided by b and by the root of
    their number.
    Source: Cochran, Sampling Techniques (Wiley 1977), section 2.11.

    Returns:
        The number of samples, the error of all outputs together, the error of each output variable, and R^2 (`explained`) with
        its standard error; the last two are None for a single sample, or if all outputs are at the mean. None if there are no
        samples, no output varies, or a prediction is not finite.
    """
    scaled = surrogate.scaling.standardise(surrogate.arranged(unseen))
    x, y = (torch.as_tensor(np.asarray(matrix, dtype=np.float64)) for matrix in (scaled.input_matrix, scaled.output_matrix))
    with torch.no_grad():
        square = (surrogate.predictor.predict(x).double() - y).square()
    varies = surrogate.scaling.outputs.deviation > 0
    if not len(unseen) or not bool(varies.any()) or not bool(torch.isfinite(square[:, varies]).all()):
        return None
    sizes = [variable.size for variable in surrogate.outputs]
    parts = zip(surrogate.outputs, square.split(sizes, 1), varies.split(sizes), strict=True)
    outputs = {variable.name: float(own[:, kept].mean().sqrt()) for variable, own, kept in parts if bool(kept.any())}
    ours, means = square[:, varies].mean(1), y[:, varies].square().mean(1)
    ratio = ours.mean() / means.mean()
    deviation = (ours - ratio * means).std() / (means.mean() * len(ours) ** 0.5) if len(ours) > 1 else torch.tensor(math.nan)
    known = bool(torch.isfinite(ratio) & torch.isfinite(deviation))
    return {
        "samples": len(unseen),
        "error": float(ours.mean().sqrt()),
        "outputs": outputs,
        "explained": float(1 - ratio) if known else None,
        "standard_error": float(deviation) if known else None,
    }


def known_error(surrogate: Surrogate, source: Dataset | None = None) -> Mapping[str, float]:
    """Return the error of each output variable of a network on unseen samples of its own source; empty if it is not known.

    A network that was transferred since it was pretrained is another one, of which nothing is known. The provenance of a loaded
    file may hold anything, and what is not an error is ignored.

    Args:
        surrogate: a network.
        source: source data; if the network keeps no error, it is measured on their valid or test split, if they have one.
    """
    if "transfer" in surrogate.provenance:
        return {}
    kept: Any = surrogate.provenance.get(VALIDATION)
    if kept is None and source is not None and source.seen is not source:
        kept = own_error(surrogate, source.valid if source.has_split("valid") else source.test)
    outputs = kept.get("outputs") if isinstance(kept, Mapping) else None
    known = outputs.items() if isinstance(outputs, Mapping) else ()
    return {name: error for name, error in known if isinstance(error, float) and math.isfinite(error)}
