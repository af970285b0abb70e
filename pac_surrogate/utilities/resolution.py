"""Resolution of floating point: whether values vary by more than rounding, which numbers are exact, moments that keep digits.

Rounding to a dtype changes a number by at most eps / 2 of its size, where eps is the distance from 1 to the next number.
Results of some operations on equal numbers therefore differ by some roundings, and a difference below RESOLVED eps of the
largest value is not significant: 16 eps cover 16 roundings up and 16 down, which is about a dozen operations on either side.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Num

RESOLVED = 16
LARGEST_INTEGER = 2**53  # float64 holds all integers up to it

Axes = int | tuple[int, ...]


def resolution(
    values: Num[np.ndarray, "..."], axis: Axes = 0, *, dtype: Any = None, keepdims: bool = False
) -> Float[np.ndarray, "..."]:
    """Return the largest difference that rounding explains: 16 eps max |v| along one axis or several, in float64.

    Below the smallest normal number of the dtype, the spacing of numbers is constant, and so is the resolution.

    Args:
        values: the numbers; integers are taken as float64.
        axis: axis or axes along which the maximum is taken.
        dtype: original dtype of the numbers, if they have been converted since or were computed from others.
        keepdims: whether the axes are kept with length 1.

    Returns:
        The resolution; where a value is not finite it is NaN, which no number is below.
    """
    limits = [np.asarray(end(axis=axis, keepdims=keepdims), dtype=np.float64) for end in (values.max, values.min)]
    largest = np.maximum(*np.abs(limits))
    given = np.dtype(values.dtype if dtype is None else dtype)
    given = given if given.kind == "f" and given.itemsize < 8 else np.dtype(np.float64)
    kind = np.finfo(given)
    largest = np.where(np.isfinite(largest), np.maximum(largest, float(kind.tiny)), np.nan)
    return np.asarray(RESOLVED * float(kind.eps) * largest)


def varies(values: Num[np.ndarray, "..."], axis: Axes = 0, *, keepdims: bool = False) -> Bool[np.ndarray, "..."]:
    """Return whether max v - min v along one axis or several is more than rounding explains; see `resolution`.

    Values that are not finite count as varying, so that later steps see them and do not leave them out.
    """
    high, low = (np.asarray(end(axis=axis, keepdims=keepdims), dtype=np.float64) for end in (values.max, values.min))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(~(high - low <= resolution(values, axis, keepdims=keepdims)))


def check_exact(name: str, numbers: np.ndarray) -> None:
    """Refuse integers that float64 would round, such as nanoseconds since 1970, and long doubles that it would round.

    Raises:
        ValueError: if there is one; the message names the remedy.
    """
    if numbers.dtype.kind == "f" and numbers.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # numbers that overflow float64 become infinite
            rounded = numbers[(numbers != numbers.astype(np.float64)) & ~np.isnan(numbers)]
        if rounded.size:
            raise ValueError(
                f"{name} holds the long double {rounded.flat[0]!s}, which float64 would round: round it yourself, as in "
                f"{name}.astype(np.float64)"
            )
    if numbers.dtype.kind not in "iuO":
        return
    large = numbers[(numbers > LARGEST_INTEGER) | (numbers < -LARGEST_INTEGER)]
    # Compared as integers of Python, because a float64 near 2**63 cannot be converted back to int64.
    lost = next((int(number) for number in large.flat if int(float(number)) != int(number)), None)
    if lost is not None:
        raise ValueError(
            f"{name} holds the integer {lost}, and float64 holds integers exactly only up to 2**53: subtract a reference "
            "first, in integers and the same one everywhere, as in t - t_start"
        )


def root_mean_square(values: Float[np.ndarray, "..."], axes: Axes) -> Float[np.ndarray, "..."]:
    """Compute sqrt(mean v^2) such that the squares of 1e200 do not overflow and those of 1e-170 do not vanish."""
    scale = power_of_two(values, axes)
    scaled = values / scale
    return np.asarray(np.squeeze(scale, axes) * np.sqrt(np.square(scaled, out=scaled).mean(axes)))


def centre(values: Float[np.ndarray, "..."], axes: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Compute mean v = v_first + mean (v - v_first), keeping the axes; an offset costs no digits, and no sum overflows."""
    first = _first(values, axes)
    moved = values - first
    scale = power_of_two(moved, axes)
    moved /= scale
    return np.asarray(first + scale * moved.mean(axes, keepdims=True))


def deviation(values: Float[np.ndarray, "..."], axes: tuple[int, ...], *, ddof: int = 0) -> Float[np.ndarray, "..."]:
    """Compute the standard deviation of v - v_first; an offset costs no digits, and no square overflows or vanishes."""
    moved = values - _first(values, axes)
    scale = power_of_two(moved, axes)
    moved /= scale
    return np.asarray(np.squeeze(scale, axes) * moved.std(axes, ddof=ddof))


def power_of_two(values: Float[np.ndarray, "..."], axes: Axes) -> Float[np.ndarray, "..."]:
    """Return the power of two at or below the largest |v|, by which division is exact; 1 if v is not finite; keep the axes."""
    largest = np.maximum(values.max(axes, keepdims=True), -values.min(axes, keepdims=True))
    return np.ldexp(1.0, np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1] - 1)


def _first(values: Float[np.ndarray, "..."], axes: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Return the first values along the axes, which are kept with length 1."""
    return values[tuple(slice(1) if axis in axes else slice(None) for axis in range(values.ndim))]
