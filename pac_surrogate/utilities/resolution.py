"""What floating point resolves: when values vary by more than rounding, which numbers it holds, moments that keep their digits.

Rounding to a dtype moves a number by at most eps / 2 of its size, where eps is the distance from 1 to the next number. Results
of some operations on equal numbers therefore differ by some roundings, and a difference below RESOLVED eps of the largest
value says nothing: 16 eps cover 16 roundings up and 16 down, which is about a dozen operations on either side.
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
    """Largest difference that rounding explains: 16 eps max |v| along one axis or several, in float64.

    Below the smallest normal number of the dtype the distance of numbers no longer shrinks with them, nor does the resolution.

    Args:
        values: the numbers; integers are taken as float64.
        axis: along which the largest is taken.
        dtype: in which the numbers were given, where they have been converted since or were computed from others.
        keepdims: keep the axes with length 1.

    Returns:
        The resolution; NaN, which nothing is below, where a value is not finite.
    """
    limits = [np.asarray(end(axis=axis, keepdims=keepdims), dtype=np.float64) for end in (values.max, values.min)]
    largest = np.maximum(*np.abs(limits))
    given = np.dtype(values.dtype if dtype is None else dtype)
    given = given if given.kind == "f" and given.itemsize < 8 else np.dtype(np.float64)
    kind = np.finfo(given)
    largest = np.where(np.isfinite(largest), np.maximum(largest, float(kind.tiny)), np.nan)
    return np.asarray(RESOLVED * float(kind.eps) * largest)


def varies(values: Num[np.ndarray, "..."], axis: Axes = 0, *, keepdims: bool = False) -> Bool[np.ndarray, "..."]:
    """Whether max v - min v along one axis or several is more than rounding explains; see `resolution`.

    Values that are not finite count as varying, so that they are seen in what follows and not left out.
    """
    high, low = (np.asarray(end(axis=axis, keepdims=keepdims), dtype=np.float64) for end in (values.max, values.min))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(~(high - low <= resolution(values, axis, keepdims=keepdims)))


def check_exact(name: str, numbers: np.ndarray) -> None:
    """Refuse integers that float64 rounds, as nanoseconds since 1970, and long doubles that it rounds; let all else pass.

    Raises:
        ValueError: with the remedy.
    """
    if numbers.dtype.kind == "f" and numbers.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # what float64 cannot hold becomes infinite
            rounded = numbers[(numbers != numbers.astype(np.float64)) & ~np.isnan(numbers)]
        if rounded.size:
            raise ValueError(
                f"{name} holds the long double {rounded.flat[0]!s}, which float64 would round: round it yourself, as in "
                f"{name}.astype(np.float64)"
            )
    if numbers.dtype.kind not in "iuO":
        return
    large = numbers[(numbers > LARGEST_INTEGER) | (numbers < -LARGEST_INTEGER)]
    # By Python's integers: a float64 near 2**63 does not go back into int64.
    lost = next((int(number) for number in large.flat if int(float(number)) != int(number)), None)
    if lost is not None:
        raise ValueError(
            f"{name} holds the integer {lost}, and float64 holds integers exactly up to 2**53 only: subtract a reference "
            "first, in integers and the same one everywhere, as in t - t_start"
        )


def root_mean_square(values: Float[np.ndarray, "..."], axes: Axes) -> Float[np.ndarray, "..."]:
    """Compute sqrt(mean v^2) so that the squares of 1e200 do not overflow and those of 1e-170 do not vanish."""
    scale = power_of_two(values, axes)
    scaled = values / scale
    return np.asarray(np.squeeze(scale, axes) * np.sqrt(np.square(scaled, out=scaled).mean(axes)))


def centre(values: Float[np.ndarray, "..."], axes: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Compute mean v = v_first + mean (v - v_first), with axes of length 1; an offset costs no digits, and no sum overflows."""
    first = _first(values, axes)
    moved = values - first
    scale = power_of_two(moved, axes)
    moved /= scale
    return np.asarray(first + scale * moved.mean(axes, keepdims=True))


def deviation(values: Float[np.ndarray, "..."], axes: tuple[int, ...], *, ddof: int = 0) -> Float[np.ndarray, "..."]:
    """Compute the standard deviation of v - v_first, so that an offset costs no digits; safe as `root_mean_square` is."""
    moved = values - _first(values, axes)
    scale = power_of_two(moved, axes)
    moved /= scale
    return np.asarray(np.squeeze(scale, axes) * moved.std(axes, ddof=ddof))


def power_of_two(values: Float[np.ndarray, "..."], axes: Axes) -> Float[np.ndarray, "..."]:
    """Power of two at or just below the largest |v|, with axes of length 1: division by it is exact; 1 if v is not finite."""
    largest = np.maximum(values.max(axes, keepdims=True), -values.min(axes, keepdims=True))
    return np.ldexp(1.0, np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1] - 1)


def _first(values: Float[np.ndarray, "..."], axes: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """The first of the values along the axes, which keep length 1."""
    return values[tuple(slice(1) if axis in axes else slice(None) for axis in range(values.ndim))]
