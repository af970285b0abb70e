"""One function per published metric; e = prediction - target, y = target, both (sample, *axes).

Every metric is a number for a whole test set, in float64. Those that are means over samples may be joined from batches,
weighted by their lengths; `rmse`, `rmse_std`, `r2`, `max_error`, `crmse` and `frmse` need the whole set at once. Nothing here
takes batches, so no value can depend on them. A prediction that is not finite gives a value that is not finite.

Metrics of fields take `axes`, the names of the axes after `sample`, as axes=("time", "x", "channel"): x, y and z are space, the
others count the fields of a sample. The three relative errors of fields differ: say which one a table holds.
Sources: PDEBench, Takamoto et al., NeurIPS 2022, arXiv:2210.07182; The Well, Ohana et al., NeurIPS 2024, arXiv:2412.00568.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Num

SPACE = ("x", "y", "z")
BANDS = {"low": (0, 4), "mid": (4, 12), "high": (12, None)}  # wavenumbers in periods per domain
VRMSE_EPSILON = 1e-7
CONSTANT = 1e-6  # a standard deviation below this share of the largest value is rounding in float32

_quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")


def rel_l2(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Relative L2 error: mean over samples of |e| / |y|, norms over all axes of a sample.

    No epsilon: a target that is zero everywhere counts 0 if it is met exactly, else infinity.
    """
    return float(rel_l2_per_sample(prediction, target).mean())


@_quiet
def rel_l2_per_sample(
    prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]
) -> Float[np.ndarray, " sample"]:
    """Relative L2 error of each sample, |e| / |y|: quantiles of it belong beside its mean."""
    error, target = _error(prediction, target)
    return _ratio(np.linalg.norm(_columns(error), axis=1), np.linalg.norm(_columns(target), axis=1))


@_quiet
def rmse_std(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Standardised error: sqrt(mean e^2) / std y over the samples, then the mean over outputs.

    The deviation divides by the number of samples, so that predicting the mean of the test set scores exactly 1. Outputs that
    are the same for all samples have no scale and are left out of the mean.

    Raises:
        ValueError: if no output varies.
    """
    error, target = (_columns(values) for values in _error(prediction, target))
    vary = _varying("rmse_std", target)
    return float((np.sqrt((error[:, vary] ** 2).mean(0)) / target[:, vary].std(0)).mean())


@_quiet
def rmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Root mean square error: sqrt(mean e^2), the mean over samples and all axes."""
    error, _ = _error(prediction, target)
    return float(np.sqrt((error**2).mean()))


def mae(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Mean absolute error: mean |e| over samples and all axes."""
    error, _ = _error(prediction, target)
    return float(np.abs(error).mean())


@_quiet
def r2(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Coefficient of determination: 1 - sum e^2 / sum (y - mean y)^2 over the samples, then the mean over outputs.

    Outputs that are the same for all samples are left out of the mean.

    Raises:
        ValueError: if no output varies.
    """
    error, target = (_columns(values) for values in _error(prediction, target))
    vary = _varying("r2", target)
    return float((1 - (error[:, vary] ** 2).mean(0) / target[:, vary].var(0)).mean())


def max_error(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Largest |e| of all samples and axes (PDEBench's averages the maxima of times and channels)."""
    error, _ = _error(prediction, target)
    return float(np.abs(error).max())


def nrmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """Normalised error of PDEBench: sqrt(mean_space e^2) / sqrt(mean_space y^2), mean over samples, times and channels.

    No epsilon: a field that is zero everywhere counts 0 if it is met exactly, else infinity.
    """
    return float(nrmse_per_sample(prediction, target, axes=axes).mean())


@_quiet
def nrmse_per_sample(
    prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]
) -> Float[np.ndarray, " sample"]:
    """`nrmse` of each sample: the mean over its times and channels."""
    error, target = (_fields(values, axes) for values in _error(prediction, target))
    space = _space(error)
    return _ratio(np.sqrt((error**2).mean(space)), np.sqrt((target**2).mean(space))).mean(1)


def vrmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """Variance-scaled error of The Well: sqrt(mean_space e^2 / (var_space y + 1e-7)), mean over samples, times and channels.

    The variance divides by points - 1, as in the package `the_well` 1.2.0, where it is the square of `torch.std`: predicting
    the mean of each field scores sqrt((points - 1) / points).

    Raises:
        ValueError: if there is only one point in space.
    """
    return float(vrmse_per_sample(prediction, target, axes=axes).mean())


@_quiet
def vrmse_per_sample(
    prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]
) -> Float[np.ndarray, " sample"]:
    """`vrmse` of each sample: the mean over its times and channels."""
    error, target = (_fields(values, axes) for values in _error(prediction, target))
    space = _space(error)
    if error[0, 0].size < 2:
        raise ValueError("vrmse needs the variance of two or more points in space, got one: use rmse_std")
    return np.sqrt((error**2).mean(space) / (target.var(space, ddof=1) + VRMSE_EPSILON)).mean(1)


@_quiet
def crmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """Error of the conserved quantity, of PDEBench: sqrt(mean_sample (mean_space e)^2), mean over times and channels.

    PDEBench takes the root for each batch; this is its value for the whole test set in one batch.
    """
    error = _fields(_error(prediction, target)[0], axes)
    return float(np.sqrt((error.mean(_space(error)) ** 2).mean(0)).mean())


@_quiet
def brmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """Error at the boundary, of PDEBench: sqrt(mean_boundary e^2), mean over samples, times and channels.

    The boundary is the first and the last point of every axis of space; a corner counts once for each side it lies on.
    """
    error = _fields(_error(prediction, target)[0], axes)
    sides = [np.take(error, end, axis).reshape(*error.shape[:2], -1) for axis in _space(error) for end in (0, -1)]
    return float(np.sqrt((np.concatenate(sides, axis=2) ** 2).mean(2)).mean())


@_quiet
def frmse(
    prediction: Num[np.ndarray, "sample ..."],
    target: Num[np.ndarray, "sample ..."],
    *,
    axes: Sequence[str],
    band: Literal["low", "mid", "high"],
) -> float:
    """Error in a band of wavenumbers, of PDEBench: "low" 0 to 3, "mid" 4 to 11, "high" from 12 periods per domain.

        s_k = sqrt(mean_sample sum_{floor |m| = k} |E_m|^2) / points,   E the discrete Fourier transform of e in space

    then the mean over the k of the band, times and channels. In one dimension m = 0 ... points // 2. In more, as PDEBench has
    it, the sum runs over non-negative m below points // 2 along each axis, k stops below half of the shortest axis, and modes
    such as cos(x - y), which has m of both signs only, are not seen. The domain has length 1.
    PDEBench takes the root for each batch; this is its value for the whole test set in one batch.

    Returns:
        The error; NaN if the grid has no wavenumber in the band.
    """
    error = _fields(_error(prediction, target)[0], axes)
    space = error.shape[2:]
    if len(space) == 1:
        power = np.abs(np.fft.rfft(error, axis=2)) ** 2
    else:
        quadrant: tuple[Any, ...] = tuple(slice(size // 2) for size in space)
        modes = np.abs(np.fft.fftn(error, axes=_space(error))[(..., *quadrant)]) ** 2
        wavenumber = np.sqrt(sum(m**2 for m in np.ogrid[quadrant])).astype(int)
        bins = np.arange(min(space) // 2)
        power = modes.reshape(*modes.shape[:2], -1) @ (wavenumber.reshape(-1, 1) == bins)
    spectrum = np.sqrt(power.mean(0)) / np.prod(space)
    chosen = spectrum[:, slice(*BANDS[band])]
    return float(chosen.mean()) if chosen.size else float("nan")


@_quiet
def _error(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if prediction.shape != target.shape or target.ndim == 0 or target.size == 0:
        got = f"{prediction.shape} and {target.shape}"
        raise ValueError(f"prediction and target must have the same shape (sample, *axes) and not be empty, got {got}")
    target = np.asarray(target, dtype=np.float64)
    return np.asarray(prediction, dtype=np.float64) - target, target


def _columns(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _ratio(error: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.where(error == 0, 0.0, error / scale)


def _varying(metric: str, target: np.ndarray) -> np.ndarray:
    vary = target.std(0) > CONSTANT * np.abs(target).max(0)
    if not vary.any():
        raise ValueError(f"{metric} needs an output that varies over the samples, none of {target.shape[1]} does: use rmse")
    return vary


def _fields(values: np.ndarray, axes: Sequence[str]) -> np.ndarray:
    """(sample, *axes) as (sample, field, *space)."""
    space = [axis for axis, name in enumerate(axes, start=1) if name in SPACE]
    if len(axes) != values.ndim - 1 or not space:
        raise ValueError(f"axes must name the {values.ndim - 1} axes after sample, x, y or z among them, got {tuple(axes)}")
    others = [axis for axis in range(1, values.ndim) if axis not in space]
    fields = np.prod([values.shape[axis] for axis in others], dtype=int)
    return values.transpose(0, *others, *space).reshape(len(values), fields, *(values.shape[axis] for axis in space))


def _space(fields: np.ndarray) -> tuple[int, ...]:
    return tuple(range(2, fields.ndim))
