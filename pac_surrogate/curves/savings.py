"""The savings of a transfer: target samples needed for an error, and samples saved against other methods."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from pac_surrogate.curves.results import as_curve, check_methods
from pac_surrogate.utilities.arguments import check_numbers, whole_numbers

if TYPE_CHECKING:
    import xarray as xr

REFERENCES = ("scratch", "fine-tune")


@dataclass(frozen=True)
class SamplesNeeded:
    """Target samples that a method needs for an error.

    Attributes:
        samples: n at which the median error first falls to the given error; infinity if no measured size suffices.
        low: lower end of the interval.
        high: upper end of the interval; infinity if too many resamples never reach the error.
    """

    samples: float
    low: float
    high: float


@dataclass(frozen=True)
class SamplesSaved:
    """Target samples that a method saves against a reference.

    If a curve does not reach the error, its n is known only to exceed the largest measured size; the interval then covers all
    values that n may have.

    Attributes:
        needed: samples needed by the method.
        reference: samples needed by the reference.
        largest: largest measured size.
        saved: n_reference - n; infinity if only the reference does not reach the error (see `at_least`), NaN if the method does
            not.
        low: lower end of the interval of `saved`.
        high: upper end of the interval of `saved`.
        factor: n_reference / n, 1 if both are 0; infinity and NaN as for `saved`.
        factor_low: lower end of the interval of `factor`.
        factor_high: upper end of the interval of `factor`.
    """

    needed: SamplesNeeded
    reference: SamplesNeeded
    largest: float
    saved: float
    low: float
    high: float
    factor: float
    factor_low: float
    factor_high: float

    @property
    def at_least(self) -> float:
        """Lower bound of the saving: `saved`, or largest - n if the reference does not reach the error."""
        return self.largest - self.needed.samples if math.isinf(self.saved) else self.saved


def samples_needed(curve: "xr.Dataset | Path | str", method: str, error: float, metric: str | None = None) -> float:
    """Return the number of target samples at which a method's median error first falls to a given one.

    Between measured sizes the error is linear in log n. Between n = 0 and the next size nothing is interpolated. The result is
    infinity if no measured size suffices.

    Raises:
        ValueError: if the curve has no such method or metric, or the metric does not fall as samples are added.
    """
    return float(first_sizes(*resampled_medians(curve, method, metric, resamples=0), error)[0])


def samples_needed_interval(
    curve: "xr.Dataset | Path | str",
    method: str,
    error: float,
    *,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
    metric: str | None = None,
) -> SamplesNeeded:
    """Return `samples_needed` with its percentile interval, from a bootstrap over the seeds of the curve.

    A resample draws the same number of seeds with replacement, the same ones for all sizes and methods. If it never reaches
    the error, it needs infinitely many samples. The ends are order statistics, rounded outwards. With few seeds there are few
    different medians, and the interval is narrower than its level states.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap (Chapman & Hall 1993), chapter 13.

    Args:
        curve: result of `transfer_curve`, or the path of a saved one.
        method: name of a method of the curve.
        error: error to be reached.
        level: fraction of the resamples within the interval.
        resamples: number of resamples.
        seed: seed of the resamples.
        metric: a variable of the curve, the headline metric by default.

    Raises:
        ValueError: as `samples_needed`, or if `level` or `resamples` is out of range.
    """
    _check_interval(level, resamples)
    return needed_of(first_sizes(*resampled_medians(curve, method, metric, resamples, seed), error), level)


def samples_saved(
    curve: "xr.Dataset | Path | str",
    method: str,
    error: float,
    *,
    against: str | Sequence[str] | None = None,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
    metric: str | None = None,
) -> dict[str, SamplesSaved]:
    """Return the target samples that a method saves against others at the same error: n_reference - n and n_reference / n.

    Intervals are paired: each resample draws the same seeds, hence the same target samples, for both methods.

    Args:
        curve: result of `transfer_curve`, or the path of a saved one.
        method: name of a method of the curve.
        error: error to be reached by both.
        against: name or names of the references; by default those of scratch and fine-tune that the curve has.
        level: fraction of the resamples within an interval.
        resamples: number of resamples.
        seed: seed of the resamples.
        metric: a variable of the curve, the headline metric by default.

    Returns:
        The savings by the name of the reference.

    Raises:
        ValueError: as `samples_needed_interval`, or if there is no reference.
    """
    _check_interval(level, resamples)
    curve = as_curve(curve)
    references = references_of(curve, against)
    sizes, medians = resampled_medians(curve, method, metric, resamples, seed)
    needed = first_sizes(sizes, medians, error)
    return {
        name: saved_of(
            needed,
            first_sizes(*resampled_medians(curve, name, metric, resamples, seed), error),
            largest=float(sizes[-1]),
            level=level,
        )
        for name in references
    }


def references_of(curve: "xr.Dataset", against: str | Sequence[str] | None) -> list[str]:
    """Return the reference methods of a curve: those that are named, or those of `REFERENCES` that the curve has.

    Raises:
        ValueError: if there is no reference, or the curve lacks one of them.
    """
    known = [str(name) for name in curve["approach"].values]
    found = [name for name in REFERENCES if name in known] if against is None else check_methods(curve, against)
    if not found:
        raise ValueError(f"a saving is measured against a reference: name one by against=, from {', '.join(known)}")
    return found


def resampled_medians(
    curve: "xr.Dataset | Path | str", method: str, metric: str | None = None, resamples: int = 1000, seed: int = 0
) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, "size resample"]]:
    """Return the sizes in order, and the median errors over all seeds (first column) and over resampled seeds.

    Seeds that are n/a or diverged are left out of a median. The draws depend only on `seed` and the number of seeds, so the
    resamples of two methods are pairs.
    """
    curve = as_curve(curve, metric)
    metric = metric or str(curve.attrs["headline"])
    if metric not in curve or metric in ("r2", "diverged", "chosen"):
        raise ValueError(f"the metric must be one of the curve's metrics that fall as samples are added, got {metric!r}")
    check_methods(curve, [method])
    errors = curve[metric].sel({"approach": method}).sortby("size").transpose("size", "seed")
    seeds = errors.sizes["seed"]
    draws = np.random.default_rng(seed).integers(seeds, size=(resamples, seeds))
    # NaN is sorted to the end, so the median is that of the first `known` values.
    ordered = np.sort(errors.values[:, np.concatenate([np.arange(seeds)[None], draws])], axis=-1)
    known = (~np.isnan(ordered)).sum(-1, keepdims=True)
    middle = [np.take_along_axis(ordered, at, -1)[..., 0] for at in ((known - 1) // 2, known // 2)]
    return errors["size"].values.astype(float), (middle[0] + middle[1]) / 2


def first_sizes(
    sizes: Float[np.ndarray, " size"], medians: Float[np.ndarray, "size resample"], error: float
) -> Float[np.ndarray, " resample"]:
    """Return the size at which each column of errors first falls to a given one, or infinity; see `samples_needed`."""
    check_numbers(error=error)
    enough = medians <= error
    at = enough.argmax(0)
    before = np.maximum(at - 1, 0)
    earlier, value = (np.take_along_axis(medians, i[None], 0)[0] for i in (before, at))
    between = enough.any(0) & (at > 0) & (sizes[before] > 0) & np.isfinite(earlier)
    fraction = np.divide(earlier - error, earlier - value, out=np.ones_like(value), where=between)
    ratio = np.divide(sizes[at], sizes[before], out=np.ones_like(value), where=between)
    return np.where(enough.any(0), np.where(between, sizes[before] * ratio**fraction, sizes[at]), math.inf)


def needed_of(needed: Float[np.ndarray, " resample"], level: float) -> SamplesNeeded:
    """Summarise a result of `first_sizes`: its first entry is the measured one, the others are resamples."""
    return SamplesNeeded(float(needed[0]), *_ends(needed[1:], needed[1:], level))


def saved_of(
    needed: Float[np.ndarray, " resample"], reference: Float[np.ndarray, " resample"], *, largest: float, level: float
) -> SamplesSaved:
    """Compare the results of `first_sizes` for a method and for a reference, resample by resample."""
    # If the error is not reached, n may lie anywhere between the largest size and infinity.
    least, least_reference = np.minimum(needed[1:], largest), np.minimum(reference[1:], largest)
    saved = (least_reference - needed[1:], reference[1:] - least)
    factor = (_ratio(least_reference, needed[1:]), _ratio(reference[1:], least))
    reached = bool(np.isfinite(needed[0]))
    return SamplesSaved(
        needed_of(needed, level),
        needed_of(reference, level),
        largest,
        float(reference[0] - needed[0]) if reached else math.nan,
        *_ends(*saved, level),
        float(_ratio(reference[:1], needed[:1])[0]) if reached else math.nan,
        *_ends(*factor, level),
    )


def _ratio(above: Float[np.ndarray, " resample"], below: Float[np.ndarray, " resample"]) -> Float[np.ndarray, " resample"]:
    """Return the quotient of two numbers of samples, one of them finite; 1 if both are 0, because no sample is saved."""
    quotient = np.where(above > 0, math.inf, 1.0)
    return np.divide(above, below, out=quotient, where=below > 0)


def _ends(lower: Float[np.ndarray, " resample"], upper: Float[np.ndarray, " resample"], level: float) -> tuple[float, float]:
    """Return the ends of an interval as order statistics, which stay defined if some values are infinite."""
    tail = (1 - level) / 2
    return float(np.quantile(lower, tail, method="lower")), float(np.quantile(upper, 1 - tail, method="higher"))


def _check_interval(level: float, resamples: int) -> None:
    check_numbers(level=level)
    whole_numbers(resamples=resamples)
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"an interval needs a level between 0 and 1 and 1 resample or more, got {level} and {resamples}")
