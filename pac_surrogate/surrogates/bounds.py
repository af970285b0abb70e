"""Bounds of an interval, in standardised units, from the residuals or the variances that a surrogate holds."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.repeats import count_of, group_mean
from pac_surrogate.intervals.bands import (
    BAND_NUMBERS,
    TooFewSamplesError,
    check_range,
    cross_validation_band,
    normal_band,
    promise,
    studentised_band,
)
from pac_surrogate.models.network import by_pieces
from pac_surrogate.predictors import Folds, Mixture, OutputGroups, Predictor
from pac_surrogate.predictors.posterior import variance_of


def bounds_of(
    predictor: Predictor,
    folds: Folds | None,
    x: Float[Tensor, "sample input"],
    mean: Float[Tensor, "sample output"],
    level: float,
    *,
    interval: str,
    simultaneous: bool,
) -> tuple[Sequence[Float[Tensor, "sample output"]], float | None]:
    """Return lower and upper bounds, and the guaranteed coverage; see `Surrogate.predict_interval`.

    Args:
        predictor: predictor of the surrogate.
        folds: fits of the surrogate without parts of the target samples.
        x: standardised inputs.
        mean: prediction at these inputs.
        level: nominal coverage.
        interval: "jackknife" or "posterior".
        simultaneous: whether the bounds hold for all outputs of a sample together.

    Raises:
        ValueError: if the samples are too few for the level, or no samples were left out.
    """
    if isinstance(predictor, OutputGroups):
        return _bounds_of_groups(predictor, x, mean, level, interval=interval, simultaneous=simultaneous)
    piece = max(1, BAND_NUMBERS // (mean.shape[1] * (1 if folds is None else len(folds.members))))
    if interval == "jackknife" and folds is not None:
        calibration = folds.fold, folds.residual, folds.group

        def band(z: Float[Tensor, "row input"]) -> Sequence[Tensor]:
            return cross_validation_band(folds.predict(z), *calibration, level=level, simultaneous=simultaneous)

        return by_pieces(band, x, piece), promise(level, count_of(folds.group), len(folds.members))
    if interval == "posterior" and (variance := variance_of(predictor, x, noise=True)) is not None:
        return normal_band(mean, variance.sqrt(), level, simultaneous=simultaneous), None
    if isinstance(predictor, Mixture) and predictor.studentised is not None and predictor.group is not None:
        deviation = predictor.deviation(x)
        if interval == "posterior":
            return normal_band(mean, deviation, level, simultaneous=simultaneous), None
        studentised = studentised_band(
            mean, deviation, predictor.studentised, predictor.group, level, simultaneous=simultaneous
        )
        return studentised, None
    if folds is not None:
        (spread,) = by_pieces(lambda z: [folds.predict(z).var(0)], x, piece)
        noise = group_mean(folds.residual.square(), folds.group).mean(0)
        return normal_band(mean, (spread + noise).sqrt(), level, simultaneous=simultaneous), None
    raise ValueError(
        "an interval needs fits without parts of the target samples: transfer samples of 2 different inputs or more with "
        "intervals=True"
    )


def _bounds_of_groups(
    predictor: OutputGroups,
    x: Float[Tensor, "sample input"],
    mean: Float[Tensor, "sample output"],
    level: float,
    *,
    interval: str,
    simultaneous: bool,
) -> tuple[Sequence[Float[Tensor, "sample output"]], float | None]:
    """Return the bounds of every group of outputs by its own samples.

    A band for all outputs together holds by Bonferroni's inequality: each of G groups has the level 1 - (1 - level) / G, and
    the probabilities by which they may miss add up.

    Raises:
        ValueError: under the conditions of `bounds_of`; a message about the level of a group names the level of the band too.
    """
    check_range(level)
    groups = len(predictor.members)
    own_level = 1 - (1 - level) / groups if simultaneous else level
    try:
        found = [
            bounds_of(member, folds, x, mean[:, columns], own_level, interval=interval, simultaneous=simultaneous)
            for member, folds, columns in zip(predictor.members, predictor.folds, predictor.columns, strict=True)
        ]
    except TooFewSamplesError as error:
        if not simultaneous:
            raise
        divided = f"a band of level {level} for all outputs together has level {own_level:.6g} for each of the {groups} groups"
        raise TooFewSamplesError(f"{divided} of outputs that have the same samples: {error}") from error
    bounds = [predictor.placed([own[side] for own, _ in found]) for side in (0, 1)]
    promises = [promised for _, promised in found if promised is not None]
    if len(promises) < groups:
        return bounds, None
    return bounds, max(0.0, 1 - sum(1 - one for one in promises)) if simultaneous else min(promises)
