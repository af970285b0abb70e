"""One function per published metric; e = prediction - target, y = target, both (sample, *axes).

Every metric is one number for a complete test set, in float64. Metrics that are means over samples may be averaged over
batches, weighted by their lengths, if nothing is left out; `rmse`, `rmse_std`, `r2`, `max_error`, `crmse` and `frmse` need the
complete set at once. No function takes batches, so no value can depend on them. A prediction that is not finite, or whose error
overflows float64, gives a value that is not finite.

Samples of zero norm and outputs that do not vary have no scale to divide by. They are left out of the mean, and a
`LeftOutWarning` names the samples, and the outputs that the prediction misses. The rounding of the target's own dtype decides
which norms count as zero and which outputs as constant.

Metrics of fields take `axes`, the names of the axes after `sample`, such as axes=("time", "x", "channel"). The axes x, y and z
are space; the others number the fields of a sample. The three relative errors of fields differ: state which one a table holds.
Sources: PDEBench, Takamoto et al., NeurIPS 2022, arXiv:2210.07182; The Well, Ohana et al., NeurIPS 2024, arXiv:2412.00568.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Num

from pac_surrogate.data.undefined_metrics import UndefinedMetricError, ratios, warn_of_constants, warn_of_zeros
from pac_surrogate.utilities.resolution import check_exact, deviation, power_of_two, resolution, root_mean_square, varies

SPACE = ("x", "y", "z")
BANDS = {"low": (0, 4), "mid": (4, 12), "high": (12, None)}  # wavenumbers in periods per domain
VRMSE_EPSILON = 1e-7
LARGEST = 2.0**1020  # largest target, so that sums of a few of them do not overflow float64

_quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")


def rel_l2(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Relative L2 error: mean over samples of |e| / |y|, norms over all axes of a sample.

    No epsilon is added. Samples whose norm is zero, or at most 16 roundings of the largest norm in the set, are left out with a
    warning.

    Raises:
        UndefinedMetricError: if all samples are zero.
    """
    missed, norm, zero = _norms_of_samples(prediction, target)
    warn_of_zeros("rel_l2", "samples", zero)
    return float(ratios(missed, norm, ~zero).mean())


@_quiet
def rel_l2_per_sample(
    prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]
) -> Float[np.ndarray, " sample"]:
    """Relative L2 error of each sample, |e| / |y|, whose quantiles belong beside its mean.

    It is NaN for the samples that `rel_l2` leaves out; `np.nanquantile` leaves them out too.
    """
    missed, norm, zero = _norms_of_samples(prediction, target)
    return np.where(zero, np.nan, missed / np.where(zero, 1.0, norm))


def rmse_std(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Standardised error: sqrt(mean e^2) / std y over the samples, then the mean over outputs.

    The deviation divides by the number of samples, so that predicting the mean of the test set has an error of exactly 1.
    Outputs whose range is at most 16 roundings of their largest value have no scale and are left out of the mean; a warning
    names those that the prediction misses by more than the others.

    Raises:
        UndefinedMetricError: if no output varies.
    """
    relative, missed = _standardised("rmse_std", prediction, target)
    warn_of_constants("rmse_std", missed)
    return float(relative.mean())


@_quiet
def rmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Root mean square error: sqrt(mean e^2), the mean over samples and all axes."""
    error, _ = _error(prediction, target)
    return float(root_mean_square(error.reshape(-1), 0))


def mae(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Mean absolute error: mean |e| over samples and all axes."""
    error, _ = _error(prediction, target)
    scale = power_of_two(error, tuple(range(error.ndim)))
    return float(scale.item() * np.abs(error / scale).mean())


def r2(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Coefficient of determination: 1 - sum e^2 / sum (y - mean y)^2 over the samples, then the mean over outputs.

    Outputs that do not vary are left out of the mean, with the warning of `rmse_std`.

    Raises:
        UndefinedMetricError: if no output varies.
    """
    relative, missed = _standardised("r2", prediction, target)
    warn_of_constants("r2", missed)
    with np.errstate(over="ignore", invalid="ignore"):
        return float((1 - relative**2).mean())


def max_error(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."]) -> float:
    """Largest |e| of all samples and axes (PDEBench averages the maxima over times and channels)."""
    error, _ = _error(prediction, target)
    return float(np.abs(error).max())


def nrmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """Normalised error of PDEBench: sqrt(mean_space e^2) / sqrt(mean_space y^2), mean over samples, times and channels.

    No epsilon is added. A field is one channel of one sample at one time. Fields whose norm is zero, or at most 16 roundings of
    the largest norm of their channel in the set, are left out with a warning; a velocity, for example, is often zero at t = 0.

    Raises:
        UndefinedMetricError: if all fields are zero.
    """
    missed, norm, zero = _norms_of_fields(prediction, target, axes)
    warn_of_zeros("nrmse", "fields", zero)
    return float(ratios(missed, norm, ~zero).mean())


@_quiet
def nrmse_per_sample(
    prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]
) -> Float[np.ndarray, " sample"]:
    """`nrmse` of each sample: the mean over its times and channels that are not left out, NaN if all are left out."""
    missed, norm, zero = _norms_of_fields(prediction, target, axes)
    sums = np.where(zero, 0.0 * missed, missed / norm).sum(1)  # NaN where an error that is left out is not finite
    return sums / (~zero).sum(1)


def vrmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """Variance-scaled error of The Well: sqrt(mean_space e^2 / (var_space y + 1e-7)), mean over samples, times and channels.

    The variance divides by points - 1, as in the package `the_well` 1.2.0, where it is the square of `torch.std`. Predicting
    the mean of each field therefore has an error of sqrt((points - 1) / points).

    Raises:
        UndefinedMetricError: if there is only one point in space.
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
        raise UndefinedMetricError("vrmse needs the variance of two or more points in space, got one: use rmse_std")
    scale = np.hypot(deviation(target, space, ddof=1), np.sqrt(VRMSE_EPSILON))
    return (root_mean_square(error, space) / scale).mean(1)


@_quiet
def crmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """PDEBench's error of the conserved quantity: sqrt(mean_sample (mean_space e)^2), mean over times and channels.

    PDEBench takes the root for each batch; this is its value for the complete test set as one batch.
    """
    error = _fields(_error(prediction, target)[0], axes)
    scale = power_of_two(error, tuple(range(error.ndim)))
    return float(scale.item() * root_mean_square((error / scale).mean(_space(error)), 0).mean())


@_quiet
def brmse(prediction: Num[np.ndarray, "sample ..."], target: Num[np.ndarray, "sample ..."], *, axes: Sequence[str]) -> float:
    """PDEBench's error at the boundary: sqrt(mean_boundary e^2), mean over samples, times and channels.

    The boundary is the first and the last point of every axis of space; a corner counts once for each side it lies on.
    """
    error = _fields(_error(prediction, target)[0], axes)
    sides = [np.take(error, end, axis).reshape(*error.shape[:2], -1) for axis in _space(error) for end in (0, -1)]
    return float(root_mean_square(np.concatenate(sides, axis=2), 2).mean())


@_quiet
def frmse(
    prediction: Num[np.ndarray, "sample ..."],
    target: Num[np.ndarray, "sample ..."],
    *,
    axes: Sequence[str],
    band: Literal["low", "mid", "high"],
) -> float:
    """PDEBench's error in a band of wavenumbers: "low" 0 to 3, "mid" 4 to 11, "high" from 12 periods per domain.

        s_k = sqrt(mean_sample sum_{floor |m| = k} |E_m|^2) / points,   E the discrete Fourier transform of e in space

    followed by the mean over the k of the band, times and channels. In one dimension m = 0 ... points // 2. In several
    dimensions, as in PDEBench, the sum runs over non-negative m below points // 2 along each axis, and k ends below half of the
    shortest axis. Modes such as cos(x - y), whose m have opposite signs, are therefore not counted. The domain has length 1.
    PDEBench takes the root for each batch; this is its value for the complete test set as one batch.

    Returns:
        The error; NaN if the grid has no wavenumber in the band.
    """
    error = _fields(_error(prediction, target)[0], axes)
    space, scale = error.shape[2:], power_of_two(error, tuple(range(error.ndim)))
    error = error / scale
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
    return float(scale.item() * chosen.mean()) if chosen.size else float("nan")


@_quiet
def _error(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if prediction.shape != target.shape or target.ndim == 0 or target.size == 0:
        got = f"{prediction.shape} and {target.shape}"
        raise ValueError(f"prediction and target must have the same shape (sample, *axes) and not be empty, got {got}")
    for name, values in (("prediction", prediction), ("target", target)):
        if np.ma.is_masked(values):
            masked = np.ma.count_masked(values)
            raise ValueError(
                f"metrics need every value, got a {name} with {masked} of {values.size} masked: leave the masked ones out first"
            )
        if values.dtype.kind not in "fiub":
            raise ValueError(f"metrics need real numbers, got a {name} of {values.dtype}")
        check_exact(name, np.asarray(values))
    target = np.asarray(target, dtype=np.float64)
    if bool((np.isfinite(target) & (np.abs(target) > LARGEST)).any()):
        raise ValueError(
            f"metrics need targets of size {LARGEST:.2g} at most, so that differences stay below 1.8e308, the end of float64, "
            f"got {np.abs(target).max():.3g}: divide prediction and target by a power of ten"
        )
    return np.asarray(prediction, dtype=np.float64) - target, target


def _columns(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


@_quiet
def _norms_of_samples(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return |e| and |y| of each sample, divided by the root of its size, and which |y| are zero to within rounding."""
    missed, norm = (root_mean_square(_columns(values), 1) for values in _error(prediction, target))
    return missed, norm, norm <= resolution(norm, dtype=np.asarray(target).dtype)


@_quiet
def _norms_of_fields(
    prediction: np.ndarray, target: np.ndarray, axes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `_norms_of_samples` returns, for each (sample, field)."""
    error, values = (_fields(values, axes) for values in _error(prediction, target))
    missed, norm = (root_mean_square(part, _space(part)) for part in (error, values))
    others = [(name, size) for name, size in zip(axes, target.shape[1:], strict=True) if name not in SPACE]
    apart = norm.reshape(len(norm), *(size for _, size in others))
    # Channels have units of their own, so each has its own largest norm, over samples and times.
    together = (0, *(axis for axis, (name, _) in enumerate(others, start=1) if name == "time"))
    zero = apart <= resolution(apart, together, dtype=np.asarray(target).dtype, keepdims=True)
    return missed, norm, zero.reshape(norm.shape)


@_quiet
def _standardised(metric: str, prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sqrt(mean e^2) / std y of each output that varies, and which outputs are constant but missed."""
    error, values = (_columns(values) for values in _error(prediction, target))
    given = _columns(np.asarray(target))  # in its own dtype, which decides the rounding
    vary = varies(given)
    if not vary.any():
        raise UndefinedMetricError(f"{metric} needs an output that varies over the samples, none of {len(vary)} does: use rmse")
    missed, spread = root_mean_square(error, 0), deviation(values, (0,))
    relative = ratios(missed, spread, vary)
    # Points on the boundary of a field may be constant, and a network misses them slightly, as it does the points inside. This
    # is usual, and the mean over the other outputs represents it. It does not represent a constant that is missed by a larger
    # fraction of its size (or, if it is 0, of the median deviation) than any other output of its deviation: without a warning,
    # that error would go unnoticed.
    size = np.abs(values).max(0)
    usual = np.where(size > 0, size, np.median(spread[vary]))
    return relative, ~vary & (missed > np.maximum(relative.max() * usual, resolution(given)))


def _fields(values: np.ndarray, axes: Sequence[str]) -> np.ndarray:
    """Reshape (sample, *axes) to (sample, field, *space)."""
    space = [axis for axis, name in enumerate(axes, start=1) if name in SPACE]
    if len(axes) != values.ndim - 1 or not space:
        raise ValueError(f"axes must name the {values.ndim - 1} axes after sample and include x, y or z, got {tuple(axes)}")
    others = [axis for axis in range(1, values.ndim) if axis not in space]
    fields = np.prod([values.shape[axis] for axis in others], dtype=int)
    return values.transpose(0, *others, *space).reshape(len(values), fields, *(values.shape[axis] for axis in space))


def _space(fields: np.ndarray) -> tuple[int, ...]:
    return tuple(range(2, fields.ndim))
