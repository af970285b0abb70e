"""Metrics against closed forms: constant errors, single sines, and the definitions of other libraries."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import r2_score

from pac_surrogate.data import metrics
from pac_surrogate.data.undefined_metrics import LeftOutWarning, UndefinedMetricError

EXACT = 1e-13  # a few hundred roundings of float64
FIELD = ("time", "x", "y", "channel")
BANDS = ("low", "mid", "high")


def wave(points: int, periods: int) -> np.ndarray:
    return np.sin(2 * np.pi * periods * np.arange(points) / points)


def random_fields(samples: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target = 1.0 + generator.normal(size=(samples, 3, 26, 28, 2))
    return target + 0.3 * generator.normal(size=target.shape), target


def all_metrics(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    plain = ("rel_l2", "rmse_std", "rmse", "mae", "r2", "max_error")
    fields = ("nrmse", "vrmse", "crmse", "brmse")
    values = {name: getattr(metrics, name)(prediction, target) for name in plain}
    values |= {name: getattr(metrics, name)(prediction, target, axes=FIELD) for name in fields}
    return values | {f"frmse_{band}": metrics.frmse(prediction, target, axes=FIELD, band=band) for band in BANDS}


def test_a_constant_error_on_a_constant_field_has_its_closed_form() -> None:
    target = np.full((2, 3, 8, 8, 2), 4.0)
    prediction = target - 1.0
    assert metrics.rel_l2(prediction, target) == pytest.approx(0.25, rel=EXACT)
    assert metrics.rmse(prediction, target) == pytest.approx(1.0, rel=EXACT)
    assert metrics.mae(prediction, target) == pytest.approx(1.0, rel=EXACT)
    assert metrics.max_error(prediction, target) == pytest.approx(1.0, rel=EXACT)
    assert metrics.nrmse(prediction, target, axes=FIELD) == pytest.approx(0.25, rel=EXACT)
    assert metrics.crmse(prediction, target, axes=FIELD) == pytest.approx(1.0, rel=EXACT)
    assert metrics.brmse(prediction, target, axes=FIELD) == pytest.approx(1.0, rel=EXACT)
    # The variance is zero: only the epsilon of The Well remains in the denominator.
    assert metrics.vrmse(prediction, target, axes=FIELD) == pytest.approx(1e-7**-0.5, rel=EXACT)


def test_rel_l2_is_the_mean_of_ratios_not_the_ratio_of_means() -> None:
    target = np.array([[3.0, 4.0], [30.0, 40.0]])
    prediction = target + np.array([[5.0, 0.0], [0.0, 5.0]])
    np.testing.assert_allclose(metrics.rel_l2_per_sample(prediction, target), [1.0, 0.1], rtol=EXACT)
    assert metrics.rel_l2(prediction, target) == pytest.approx(0.55, rel=EXACT)


def test_rel_l2_takes_all_axes_and_channels_of_a_sample_together() -> None:
    prediction, target = random_fields()
    flat = metrics.rel_l2_per_sample(prediction.reshape(5, -1), target.reshape(5, -1))
    expected = [np.sqrt(((p - t) ** 2).sum() / (t**2).sum()) for p, t in zip(prediction, target, strict=True)]
    np.testing.assert_allclose(flat, expected, rtol=EXACT)
    np.testing.assert_array_equal(metrics.rel_l2_per_sample(prediction, target), flat)


def test_samples_of_zero_norm_are_left_out_and_named_and_the_others_are_averaged() -> None:
    target = np.ones((20, 4))
    target[[1, 3, 6, 8, 11, 15, 19]] = 0.0
    prediction = target + 0.5
    with pytest.warns(LeftOutWarning, match=r"^rel_l2 leaves out 7 of 20 samples.* samples 1, 3, 6, 8, 11 and 2 more, "):
        assert metrics.rel_l2(prediction, target) == pytest.approx(0.5, rel=EXACT)
    with pytest.warns(LeftOutWarning, match=r"^nrmse leaves out 7 of 20 fields.* samples 1, 3, 6, 8, 11 and 2 more, "):
        assert metrics.nrmse(prediction, target, axes=("x",)) == pytest.approx(0.5, rel=EXACT)
    expected = np.where(target[:, 0] == 0, np.nan, 0.5)
    np.testing.assert_allclose(metrics.rel_l2_per_sample(prediction, target), expected, rtol=EXACT)
    np.testing.assert_allclose(metrics.nrmse_per_sample(prediction, target, axes=("x",)), expected, rtol=EXACT)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_norm_is_zero_up_to_sixteen_roundings_of_the_largest_in_the_dtype_of_the_target(dtype: type) -> None:
    eps = np.finfo(dtype).eps
    target = np.outer([8.0, 15 * 8 * eps, 17 * 8 * eps, 8.0], wave(32, 2)).astype(dtype)
    prediction, expected = 1.5 * target.astype(float), [0.5, np.nan, 0.5, 0.5]
    np.testing.assert_allclose(metrics.rel_l2_per_sample(prediction, target), expected, rtol=EXACT)
    np.testing.assert_allclose(metrics.nrmse_per_sample(prediction, target, axes=("x",)), expected, rtol=EXACT)


def test_a_velocity_that_is_initially_at_rest_is_left_out_and_a_velocity_in_small_units_is_not() -> None:
    velocity, pressure = 1e-20, 1e5  # the velocity is far below the rounding of the pressure
    target = np.array([velocity, pressure]) * np.ones((3, 4, 8, 2))
    target[:, 0, :, 0] = 1e-17 * velocity
    prediction = target + np.array([0.2 * velocity, 0.4 * pressure])
    with pytest.warns(LeftOutWarning, match="^nrmse leaves out 3 of 24 fields, .* samples 0, 1, 2, counted from 0"):
        value = metrics.nrmse(prediction, target, axes=("time", "x", "channel"))
    assert value == pytest.approx((9 * 0.2 + 12 * 0.4) / 21, rel=EXACT)
    per_sample = metrics.nrmse_per_sample(prediction, target, axes=("time", "x", "channel"))
    np.testing.assert_allclose(per_sample, (3 * 0.2 + 4 * 0.4) / 7, rtol=EXACT)
    prediction[1, 0, 5, 0] = np.nan  # within a field that is left out
    per_sample = metrics.nrmse_per_sample(prediction, target, axes=("time", "x", "channel"))
    np.testing.assert_array_equal(np.isnan(per_sample), [False, True, False])


def test_without_any_nonzero_norm_the_relative_errors_are_undefined_and_name_the_remedy() -> None:
    zero = np.zeros((3, 4))
    for value in (lambda: metrics.rel_l2(zero + 1, zero), lambda: metrics.nrmse(zero + 1, zero, axes=("x",))):
        with pytest.raises(UndefinedMetricError, match=r"norm of the target, which is zero in all 3 \w+: use rmse$"):
            value()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_of_samples_that_are_left_out_must_be_finite_as_well(bad: float) -> None:
    target = np.random.default_rng(5).normal(size=(6, 4))
    prediction = target + 0.1
    empty, constant = target.copy(), target.copy()
    empty[2], constant[:, 1] = 0.0, 3.0
    prediction[2, 1] = bad
    with pytest.warns(LeftOutWarning):
        assert not np.isfinite(metrics.rel_l2(prediction, empty))
    with pytest.warns(LeftOutWarning):
        assert not np.isfinite(metrics.nrmse(prediction, empty, axes=("x",)))
    assert not np.isfinite(metrics.nrmse_per_sample(prediction, empty, axes=("x",))[2])
    prediction = np.where(np.arange(4) == 1, prediction, target + 0.1)
    assert not np.isfinite(metrics.rmse_std(prediction, constant))
    assert not np.isfinite(metrics.r2(prediction, constant))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_target_that_is_not_finite_gives_no_finite_error(bad: float) -> None:
    target = np.random.default_rng(6).normal(size=(6, 4))
    prediction = target + 0.1
    target[2, 1] = bad
    values = [metrics.rel_l2, metrics.rmse_std, metrics.r2, metrics.rmse, metrics.mae, metrics.max_error]
    assert not np.isfinite([value(prediction, target) for value in values]).any()
    assert not np.isfinite([value(prediction, target, axes=("x",)) for value in (metrics.nrmse, metrics.vrmse)]).any()


def test_the_mean_of_the_test_set_has_rmse_std_one_and_r2_zero() -> None:
    target = np.random.default_rng(0).normal(loc=7.0, scale=[0.1, 1.0, 10.0], size=(40, 3))
    prediction = np.broadcast_to(target.mean(0), target.shape)
    assert metrics.rmse_std(prediction, target) == pytest.approx(1.0, rel=EXACT)
    assert metrics.r2(prediction, target) == pytest.approx(0.0, abs=EXACT)


def test_rmse_std_is_the_mean_over_outputs_of_different_scale() -> None:
    target = np.array([[-1.0, -100.0], [1.0, 100.0]])  # standard deviations 1 and 100
    assert metrics.rmse_std(target + np.array([0.5, 10.0]), target) == pytest.approx((0.5 + 0.1) / 2, rel=EXACT)


def test_rmse_std_does_not_depend_on_offset_or_units() -> None:
    generator = np.random.default_rng(1)
    target, error = generator.normal(size=(30, 4)), generator.normal(size=(30, 4))
    value = metrics.rmse_std(target + error, target)
    moved = 1e3 * target + 5e3
    assert metrics.rmse_std(moved + 1e3 * error, moved) == pytest.approx(value, rel=1e-11)  # 5e3 / 1e3 costs a digit


def test_r2_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(2)
    target = generator.normal(size=(30, 4)) * [1, 2, 3, 4]
    prediction = target + generator.normal(size=(30, 4))
    assert metrics.r2(prediction, target) == pytest.approx(r2_score(target, prediction), rel=EXACT)


def test_outputs_without_spread_are_left_out_of_the_mean() -> None:
    generator = np.random.default_rng(3)
    target = generator.normal(size=(30, 2))
    prediction = target + generator.normal(size=(30, 2))
    rounding = 293.15 * (1 + 7.5 * np.finfo(float).eps * generator.uniform(-1, 1, size=(30, 1)))
    wide = np.hstack([target, rounding, np.zeros((30, 1))]), np.hstack([prediction, rounding + 1.0, np.full((30, 1), 0.1)])
    for metric in (metrics.rmse_std, metrics.r2):
        assert metric(wide[1], wide[0]) == pytest.approx(metric(prediction, target), rel=EXACT)
        with pytest.raises(UndefinedMetricError, match=r"an output that varies .* none of 2 does"):
            metric(wide[1][:, 2:], wide[0][:, 2:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_output_varies_where_its_dtype_resolves_its_range(dtype: type) -> None:
    eps = np.finfo(dtype).eps
    up = np.arange(16) % 2
    target = np.stack([2.0 * up - 1, 16 * eps * up - 1, 17 * eps * up - 1], axis=1).astype(dtype)
    prediction = target + np.array([0.3, 0.0, 6.0 * eps])  # standard deviations 1 and 8.5 eps; 6 eps is exact beside 1
    assert metrics.rmse_std(prediction, target) == pytest.approx((0.3 + 6 / 8.5) / 2, rel=EXACT)
    assert metrics.r2(prediction, target) == pytest.approx(1 - (0.3**2 + (6 / 8.5) ** 2) / 2, rel=EXACT)


def test_an_atmospheric_pressure_that_varies_by_a_fiftieth_of_a_pascal_is_not_constant() -> None:
    angle = np.arange(40) * 2 * np.pi / 40
    target = np.stack([np.cos(angle), 101325 + 0.02 * np.sin(angle)], axis=1)  # standard deviations sqrt(1/2), 0.02 sqrt(1/2)
    prediction = target + np.sqrt(0.5) * np.array([0.1, 1.5 * 0.02])
    # 101325 is rounded by 7e-12, so that the standard deviation of 0.014 and the error are accurate to 1e-9.
    assert metrics.rmse_std(prediction, target) == pytest.approx(0.8, rel=1e-9)
    assert metrics.r2(prediction, target) == pytest.approx(1 - (0.01 + 2.25) / 2, rel=1e-9)


def test_an_offset_does_not_lower_the_accuracy_of_a_standard_deviation() -> None:
    step = 2.0**-47  # 32 roundings of 1, and exact when added to 1.1
    target = np.repeat(1.1 + step * (np.arange(1000) % 2)[:, None], 2, axis=1)  # standard deviation step / 2
    assert metrics.rmse_std(target + step, target) == 2.0
    assert metrics.r2(target + step, target) == -3.0


def test_a_constant_output_is_named_where_its_relative_error_exceeds_those_of_the_others() -> None:
    varying = np.random.default_rng(4).normal(scale=100.0, size=(30, 3))
    target = np.hstack([varying, np.full((30, 1), 293.0), np.zeros((30, 1))])
    relative = np.array([0.02, 0.1, 0.06])
    error, usual = relative * varying.std(0), np.median(varying.std(0))  # the scale of a zero output
    assert metrics.rmse_std(target, target) == 0.0  # all outputs are predicted exactly
    for constant, zero, named in (
        (0.09 * 293, 0.09 * usual, ""),
        (-0.11 * 293, 0.09 * usual, "output 3, counted from 0"),
        (0.09 * 293, -0.11 * usual, "output 4, counted from 0"),
        (0.11 * 293, 0.11 * usual, "outputs 3, 4, counted from 0"),
    ):
        prediction = target + np.array([*error, constant, zero])
        for metric, expected in ((metrics.rmse_std, relative.mean()), (metrics.r2, 1 - (relative**2).mean())):
            line = f"^{metric.__name__} leaves out outputs that do not vary, .*: {named}; see max_error$"
            with pytest.warns(LeftOutWarning, match=line) if named else nullcontext():
                assert metric(prediction, target) == pytest.approx(expected, rel=EXACT)


def test_a_field_with_fixed_values_on_its_boundary_gives_no_warning() -> None:
    x = np.linspace(0, 1, 17)
    amplitude = np.random.default_rng(7).uniform(0.5, 1.5, size=(20, 1))
    target = 2.0 * (1 - x) + amplitude * x * (1 - x)  # fixed at 2 and at 0 at the ends
    prediction = target + 0.02 * np.cos(9 * x)  # a smooth error, equally large at the ends and inside
    inside = metrics.rmse_std(prediction[:, 1:-1], target[:, 1:-1])
    assert metrics.rmse_std(prediction, target) == pytest.approx(inside, rel=EXACT)  # a warning is an error here
    assert metrics.r2(prediction, target) == pytest.approx(metrics.r2(prediction[:, 1:-1], target[:, 1:-1]), rel=EXACT)


def test_masked_values_are_refused_in_one_line() -> None:
    values = np.random.default_rng(8).normal(size=(4, 3))
    masked, whole = np.ma.masked_less(values, 0.0), np.ma.masked_array(values)
    for arguments, name in (((masked, values), "prediction"), ((values, masked), "target")):
        with pytest.raises(ValueError, match=rf"a {name} with {(values < 0).sum()} of 12 masked: leave the masked ones out"):
            metrics.rmse(*arguments)
    assert metrics.rmse(values + 1, whole) == pytest.approx(1.0, rel=EXACT)  # nothing is masked


def test_max_error_is_the_largest_error_of_all_values() -> None:
    prediction, target = random_fields()
    prediction = prediction.copy()
    prediction[3, 1, 4, 9, 1] = target[3, 1, 4, 9, 1] - 77.0
    assert metrics.max_error(prediction, target) == pytest.approx(77.0, rel=EXACT)


def test_nrmse_normalises_each_time_and_channel_separately() -> None:
    space = wave(32, 3)
    size = np.array([[1.0, 10.0], [100.0, 1000.0]])  # time, channel
    target = (space[None, :, None] * size[:, None, :])[None]
    prediction = target * (1 + np.array([[0.1, 0.2], [0.3, 0.4]])[None, :, None, :])
    assert metrics.nrmse(prediction, target, axes=("time", "x", "channel")) == pytest.approx(0.25, rel=EXACT)
    assert metrics.rel_l2(prediction, target) == pytest.approx(0.4, rel=0.01)  # the largest values dominate


def test_vrmse_divides_by_points_minus_one() -> None:
    points = 32
    target = 5.0 + 2.0 * wave(points, 2)[None, :]
    mean_of_field = np.full_like(target, 5.0)
    variance = 2.0 * points / (points - 1)  # sum of sin^2 over the period is points / 2
    expected = np.sqrt(2.0 / (variance + 1e-7))
    assert metrics.vrmse(mean_of_field, target, axes=("x",)) == pytest.approx(expected, rel=EXACT)
    assert abs(expected - 1.0) > 0.01  # so that another divisor would be noticed
    with pytest.raises(ValueError, match="two or more points"):
        metrics.vrmse(target[:, :1], target[:, 1:2], axes=("x",))


def test_crmse_depends_only_on_the_mean_over_space() -> None:
    target = np.zeros((2, 16, 16))
    ripple = np.outer(wave(16, 2), wave(16, 5))
    prediction = ripple + np.array([0.3, -0.4])[:, None, None]
    assert metrics.crmse(prediction, target, axes=("x", "y")) == pytest.approx(np.sqrt((0.09 + 0.16) / 2), rel=EXACT)
    assert metrics.crmse(np.stack([ripple, ripple]), target, axes=("x", "y")) == pytest.approx(0.0, abs=EXACT)


def test_brmse_depends_only_on_the_boundary_and_counts_a_corner_twice() -> None:
    target = np.zeros((1, 4, 6))
    inside = target.copy()
    inside[0, 1:-1, 1:-1] = 9.0
    assert metrics.brmse(inside, target, axes=("x", "y")) == 0.0
    side, corner = target.copy(), target.copy()
    side[0, 2, 0], corner[0, 3, 5] = 1.0, 1.0
    count = 2 * 4 + 2 * 6
    assert metrics.brmse(side, target, axes=("x", "y")) == pytest.approx(np.sqrt(1 / count), rel=EXACT)
    assert metrics.brmse(corner, target, axes=("x", "y")) == pytest.approx(np.sqrt(2 / count), rel=EXACT)
    line = np.zeros((1, 7))
    line[0, -1] = 2.0
    assert metrics.brmse(line, np.zeros((1, 7)), axes=("x",)) == pytest.approx(np.sqrt(2.0), rel=EXACT)


@pytest.mark.parametrize(("periods", "band"), [(0, 0), (3, 0), (4, 1), (11, 1), (12, 2), (15, 2)])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_single_cosine_lies_in_one_band(periods: int, band: int, dimensions: int) -> None:
    points = 32
    line = np.cos(2 * np.pi * periods * np.arange(points) / points)
    error = line if dimensions == 1 else np.broadcast_to(line, (points, points))  # along y
    error, axes = np.stack([error, error]), ("x", "y")[:dimensions]
    amplitude = 1.0 if periods == 0 else 0.5  # the other half is at the negative wavenumber
    last = 17 if dimensions == 1 else 16  # 0 ... 16; the two-dimensional spectrum stops below the half
    wavenumbers = (4, 8, last - 12)[band]
    values = [metrics.frmse(error, np.zeros_like(error), axes=axes, band=name) for name in BANDS]
    expected = [0.0, 0.0, 0.0]
    expected[band] = amplitude / wavenumbers
    np.testing.assert_allclose(values, expected, atol=EXACT)


def test_an_oblique_wave_is_counted_in_the_bin_of_its_radius() -> None:
    points = 64
    x, y = np.meshgrid(*[2 * np.pi * np.arange(points) / points] * 2, indexing="ij")
    slanted = np.cos(9 * x + 9 * y)[None]  # radius 12.7, although each wavenumber is below 12
    zero = np.zeros_like(slanted)
    assert metrics.frmse(slanted, zero, axes=("x", "y"), band="high") == pytest.approx(0.5 / 20, rel=EXACT)
    assert metrics.frmse(slanted, zero, axes=("x", "y"), band="mid") == pytest.approx(0.0, abs=EXACT)
    unseen = np.cos(3 * x - 3 * y)[None]
    assert metrics.frmse(unseen, zero, axes=("x", "y"), band="low") == pytest.approx(0.0, abs=EXACT)


def test_frmse_takes_the_root_after_the_mean_over_samples() -> None:
    error = np.stack([3.0 * np.ones(32), 4.0 * np.ones(32)])
    value = metrics.frmse(error, np.zeros_like(error), axes=("x",), band="low")
    assert value == pytest.approx(np.sqrt(12.5) / 4, rel=EXACT)


def test_a_coarse_grid_has_no_high_band() -> None:
    error = np.ones((1, 16))
    assert np.isnan(metrics.frmse(error, 0 * error, axes=("x",), band="high"))
    assert np.isfinite(metrics.frmse(error, 0 * error, axes=("x",), band="mid"))


def test_the_order_of_axes_on_disk_does_not_matter() -> None:
    prediction, target = random_fields()
    turned = [np.moveaxis(values, (1, 4), (4, 1)) for values in (prediction, target)]
    for name in ("nrmse", "vrmse", "crmse", "brmse"):
        metric = getattr(metrics, name)
        value = metric(*turned, axes=("channel", "x", "y", "time"))
        assert value == pytest.approx(metric(prediction, target, axes=FIELD), rel=EXACT)


@pytest.mark.parametrize("first", [2, 3])
def test_no_value_depends_on_the_batches(first: int) -> None:
    prediction, target = random_fields()
    whole = all_metrics(prediction, target)
    batches = slice(first), slice(first, None)
    parts = [all_metrics(prediction[rows], target[rows]) for rows in batches]
    for name in ("rel_l2", "mae", "nrmse", "vrmse", "brmse"):
        assert (first * parts[0][name] + (5 - first) * parts[1][name]) / 5 == pytest.approx(whole[name], rel=EXACT)
    assert max(part["max_error"] for part in parts) == whole["max_error"]
    for name in ("rel_l2_per_sample", "nrmse_per_sample", "vrmse_per_sample"):
        options = {} if name.startswith("rel") else {"axes": FIELD}
        metric = getattr(metrics, name)
        joined = np.concatenate([metric(prediction[rows], target[rows], **options) for rows in batches])
        np.testing.assert_allclose(joined, metric(prediction, target, **options), rtol=EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_a_test_set_taken_twice_and_shuffled_has_the_same_errors(seed: int) -> None:
    prediction, target = random_fields(seed=seed)
    order = np.random.default_rng(seed).permutation(np.tile(np.arange(5), 2))
    twice = all_metrics(prediction[order], target[order])
    for name, value in all_metrics(prediction, target).items():
        assert twice[name] == pytest.approx(value, rel=1e-12), name


SMALL = arrays.arrays(np.float64, (3, 4), elements=st.floats(-10, 10))


@settings(deadline=None)
@given(SMALL, SMALL)
def test_the_mean_error_never_exceeds_the_root_mean_square_nor_the_latter_the_maximum(
    prediction: np.ndarray, target: np.ndarray
) -> None:
    slack = 1 + EXACT
    assert metrics.mae(prediction, target) <= slack * metrics.rmse(prediction, target) + 1e-150  # squares may underflow
    assert metrics.rmse(prediction, target) <= slack * metrics.max_error(prediction, target)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_gives_no_finite_error_and_no_warning(bad: float) -> None:
    prediction, target = random_fields()
    prediction = prediction.copy()
    prediction[2, 1, 0, 3, 0] = bad
    assert not np.isfinite(list(all_metrics(prediction, target).values())).any()


@pytest.mark.parametrize("exponent", [664, -565])  # 1e200 and 1e-170, whose squares overflow and underflow
def test_a_change_of_units_scales_errors_by_its_power_for_any_magnitude(exponent: int) -> None:
    prediction, target = random_fields()
    before, after = all_metrics(prediction, target), all_metrics(np.ldexp(prediction, exponent), np.ldexp(target, exponent))
    for name in before.keys() - {"vrmse"}:
        unit = 1.0 if name in ("rel_l2", "rmse_std", "r2", "nrmse") else np.ldexp(1.0, exponent)
        assert after[name] == pytest.approx(unit * before[name], rel=EXACT, abs=0), name
    # Compared with 1e200, as with 1e12, the epsilon of vrmse is negligible; compared with 1e-170 it dominates.
    large = metrics.vrmse(np.ldexp(prediction, 40), np.ldexp(target, 40), axes=FIELD)
    small = np.ldexp(metrics.vrmse(prediction - target, 0 * target, axes=FIELD), exponent)
    assert after["vrmse"] == pytest.approx(large if exponent > 0 else small, rel=EXACT, abs=0)


def test_float32_is_summed_in_float64() -> None:
    target = np.full((1, 20_000), 1.0, np.float32)
    prediction = target.copy()
    prediction[0, 0] = 4097.0  # 4096^2 absorbs ones in float32
    assert metrics.rmse(prediction - 1 + target, target) == pytest.approx(4096 / np.sqrt(20_000), rel=EXACT)
    assert metrics.mae(prediction, target) == pytest.approx(4096 / 20_000, rel=EXACT)


@pytest.mark.parametrize("name", ["rel_l2", "rmse_std", "rmse", "mae", "r2", "max_error"])
def test_different_shapes_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=r"same shape .* got \(4, 3\) and \(4, 1\)") as raised:
        getattr(metrics, name)(np.ones((4, 3)), np.ones((4, 1)))  # NumPy would broadcast
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="not be empty"):
        getattr(metrics, name)(np.ones((0, 3)), np.ones((0, 3)))


@pytest.mark.parametrize("axes", [("x",), ("time", "channel"), ("time", "x", "y")])
def test_axes_must_name_every_axis_and_space(axes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="axes must name the 2 axes after sample and include x, y or z"):
        metrics.nrmse(np.ones((4, 3, 5)), np.ones((4, 3, 5)), axes=axes)
