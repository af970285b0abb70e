"""Samples needed, samples saved and costs: exact curves, bootstraps of known distribution, and unreached errors."""

import math

import numpy as np
import pytest
import xarray as xr

import pac_surrogate as pac
from pac_surrogate.curves.savings import first_sizes, resampled_medians

SIZES = (4, 8, 16, 32, 64)


def curve_of(errors, sizes=SIZES):
    """Return a curve of {method: errors (size, seed)}; errors of shape (size,) are the same for 5 seeds."""
    values = np.stack([np.broadcast_to(np.asarray(e, float).reshape(len(sizes), -1), (len(sizes), 5)) for e in errors.values()])
    coordinates = {"approach": list(errors), "size": list(sizes), "seed": list(range(5))}
    variables = {"rel_l2": (("approach", "size", "seed"), values), "r2": (("approach", "size", "seed"), 1 - values)}
    return xr.Dataset(variables, coordinates, {"headline": "rel_l2", "pair": "exact"})


def power_law(factors=1.0, exponent=1.0, sizes=SIZES):
    return np.multiply.outer(np.asarray(sizes, float) ** -exponent, np.atleast_1d(factors))


SCATTER = np.array([1.0, 1.1, 1.25, 1.4, 1.6])


def test_a_power_law_needs_its_inverse_at_measured_sizes_and_the_chord_in_between():
    curve = curve_of({"a": power_law(2.0, 0.5)})
    for size in SIZES:
        # The only difference is rounding: the error equals that of the size, or is one rounding above or below it.
        assert pac.samples_needed(curve, "a", 2 * size**-0.5) == pytest.approx(size, rel=1e-12)
    # One third of the way down from the error at 16 to the one at 32 is one third of the way in log n.
    error = 2 / 3 * 2 / math.sqrt(16) + 1 / 3 * 2 / math.sqrt(32)
    assert pac.samples_needed(curve, "a", error) == pytest.approx(16 * 2 ** (1 / 3), rel=1e-12)


def test_nothing_is_interpolated_between_a_size_and_one_without_an_error_or_without_a_logarithm():
    for first in (math.nan, math.inf):
        assert pac.samples_needed(curve_of({"a": np.array([first, 0.1, 0.05])}, (4, 8, 16)), "a", 0.2) == 8.0
    assert pac.samples_needed(curve_of({"a": np.array([0.4, 0.1, 0.05])}, (0, 8, 16)), "a", 0.2) == 8.0


def test_seeds_that_agree_give_an_interval_of_width_zero():
    curve = curve_of({"a": power_law()})
    needed = pac.samples_needed_interval(curve, "a", 0.1, resamples=50)
    assert needed.low == needed.samples == needed.high == pac.samples_needed(curve, "a", 0.1)


def test_resampled_medians_have_the_distribution_of_a_median_of_draws_with_replacement():
    errors = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    sizes, medians = resampled_medians(curve_of({"a": errors}, (8,)), "a", resamples=20000)
    assert medians[0, 0] == 3.0
    for value in range(1, 6):
        below = [sum(math.comb(5, k) * p**k * (1 - p) ** (5 - k) for k in (3, 4, 5)) for p in ((value - 1) / 5, value / 5)]
        fraction = float((medians[0, 1:] == value).mean())
        assert fraction == pytest.approx(below[1] - below[0], abs=0.015)  # four standard errors of a fraction in 20000
    reached = float(np.isfinite(first_sizes(sizes, medians, 4.0)[1:]).mean())
    assert reached == pytest.approx(0.942, abs=0.007)  # P(median <= 4) = 0.94208
    curve = curve_of({"a": errors}, (8,))
    inside = pac.samples_needed_interval(curve, "a", 4.0, level=0.86, resamples=20000)
    outside = pac.samples_needed_interval(curve, "a", 4.0, level=0.90, resamples=20000)
    assert (inside.samples, inside.low, inside.high) == (8.0, 8.0, 8.0)  # 0.942 reach it: above 0.93, below 0.95
    assert (outside.samples, outside.low, outside.high) == (8.0, 8.0, math.inf)


def test_a_resample_uses_the_same_seeds_at_all_sizes_and_for_all_methods():
    curve = curve_of({"a": power_law(SCATTER), "b": power_law(3 * SCATTER)})
    (sizes, a), (_, b) = (resampled_medians(curve, name, resamples=200) for name in "ab")
    assert len(np.unique(a[0])) > 2
    np.testing.assert_allclose(a * sizes[:, None], np.broadcast_to(a[0] * sizes[0], a.shape), rtol=1e-14)
    np.testing.assert_allclose(b, 3 * a, rtol=1e-14)


def test_medians_are_those_of_the_summary_and_leave_out_missing_values():
    errors = power_law(SCATTER)
    errors[0, :] = np.nan
    errors[1, 0] = errors[2, :3] = errors[3, 1:] = np.nan
    curve = curve_of({"a": errors}).isel(size=[3, 0, 4, 2, 1]).transpose("seed", "approach", "size")  # any order
    sizes, medians = resampled_medians(curve, "a", resamples=1)
    np.testing.assert_array_equal(sizes, SIZES)
    np.testing.assert_allclose(medians[:, 0], pac.summarise(curve)["median"].loc["a"].sortby("size"), rtol=1e-15)


def test_a_paired_comparison_resolves_a_factor_of_two_that_unpaired_intervals_do_not():
    # For every seed, the error of the reference at 2n is that of the method at n, and sizes double: every resample doubles n.
    curve = curve_of({"PAC": power_law(SCATTER), "scratch": power_law(2 * SCATTER)})
    (saved,) = pac.samples_saved(curve, "PAC", 0.09, against=("scratch",)).values()
    assert saved.needed.high / saved.needed.low > 1.2
    for factor in (saved.factor, saved.factor_low, saved.factor_high):
        assert factor == pytest.approx(2.0, rel=1e-12)
    assert saved.saved == saved.at_least == pytest.approx(saved.needed.samples)
    assert (saved.low, saved.high) == pytest.approx((saved.needed.low, saved.needed.high))
    assert saved.reference == pac.samples_needed_interval(curve, "scratch", 0.09)


def test_the_savings_of_one_method_are_the_losses_of_the_other():
    generator = np.random.default_rng(0)
    noise = generator.uniform(0.8, 1.25, size=(2, 5, 5))
    curve = curve_of({"a": power_law() * noise[0], "b": power_law(1.5) * noise[1]})
    there = pac.samples_saved(curve, "a", 0.1, against=("b",))["b"]
    back = pac.samples_saved(curve, "b", 0.1, against=("a",))["a"]
    assert there.low < there.saved < there.high
    assert (there.saved, there.low, there.high) == (-back.saved, -back.high, -back.low)
    expected = (1 / back.factor, 1 / back.factor_high, 1 / back.factor_low)
    assert (there.factor, there.factor_low, there.factor_high) == pytest.approx(expected, rel=1e-12)


def test_more_samples_are_saved_than_measured_if_the_reference_never_reaches_the_error():
    curve = curve_of({"PAC": power_law(), "scratch": power_law(9.0)})
    saved = pac.samples_saved(curve, "PAC", 1 / 16, against=("scratch",))["scratch"]
    assert (saved.saved, saved.low, saved.high, saved.at_least) == (math.inf, 48.0, math.inf, 48.0)  # 64 - 16
    assert (saved.factor, saved.factor_low, saved.factor_high) == (math.inf, 4.0, math.inf)
    assert saved.reference.samples == math.inf


def test_a_method_that_never_reaches_the_error_has_no_savings():
    curve = curve_of({"PAC": power_law(9.0), "scratch": power_law(), "fine-tune": power_law(8.0)})
    saved = pac.samples_saved(curve, "PAC", 1 / 16)
    assert list(saved) == ["scratch", "fine-tune"]
    for each in saved.values():
        assert np.isnan([each.saved, each.factor, each.at_least]).all()
        assert (each.low, each.factor_low) == (-math.inf, 0.0)
    assert saved["scratch"].high == 16 - 64  # PAC needs more than 64
    assert saved["scratch"].factor_high == 16 / 64
    assert saved["fine-tune"].high == saved["fine-tune"].factor_high == math.inf  # neither reaches it: no bound


def test_a_resample_that_never_reaches_the_error_counts_with_its_whole_range():
    # The reference reaches 1/16 at n = 64 for three seeds of five; the method reaches it at n = 16 for all seeds.
    reference = power_law(4.0) * np.array([1.0, 1.0, 1.0, 2.0, 2.0])
    curve = curve_of({"PAC": power_law(), "scratch": reference})
    saved = pac.samples_saved(curve, "PAC", 1 / 16, against=("scratch",))["scratch"]
    assert (saved.saved, saved.low, saved.high) == (48.0, 48.0, math.inf)
    assert (saved.factor, saved.factor_low, saved.factor_high) == (4.0, 4.0, math.inf)
    back = pac.samples_saved(curve, "scratch", 1 / 16, against=("PAC",))["PAC"]
    assert (back.saved, back.low, back.high) == (-48.0, -math.inf, -48.0)
    assert (back.factor, back.factor_low, back.factor_high) == (0.25, 0.0, 0.25)


def test_a_method_that_needs_no_sample_saves_all_samples():
    sizes = (0, 4, 8, 16, 32)
    flat, steep = np.full(5, 0.1), np.array([0.9, 0.8, 0.1, 0.05, 0.01])
    curve = curve_of({"a": flat, "same": flat, "b": steep}, sizes)
    saved = pac.samples_saved(curve, "a", 0.1, against=("same", "b"))
    assert (saved["same"].saved, saved["same"].factor, saved["same"].factor_high) == (0.0, 1.0, 1.0)
    assert (saved["b"].saved, saved["b"].factor, saved["b"].factor_low) == (8.0, math.inf, math.inf)


def test_a_larger_error_never_needs_more_samples_and_a_larger_level_is_never_narrower():
    generator = np.random.default_rng(1)
    curve = curve_of({"a": power_law(SCATTER) * generator.uniform(0.5, 2.0, size=(5, 5))})  # not monotonic
    found = [pac.samples_needed_interval(curve, "a", error) for error in np.geomspace(0.005, 0.5, 60)]
    for name in ("samples", "low", "high"):
        values = np.array([getattr(needed, name) for needed in found])
        assert (values[1:] <= values[:-1]).all()
        assert values[-1] < values[0] == math.inf
    narrow, wide = (pac.samples_needed_interval(curve, "a", 0.06, level=level) for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_same_seed_draws_the_same_resamples_and_another_seed_draws_others():
    curve = curve_of({"a": power_law(SCATTER)})
    medians = [resampled_medians(curve, "a", resamples=30, seed=seed)[1] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(medians[0], medians[1])
    assert (medians[0] != medians[2]).any()


def test_a_surrogate_breaks_even_when_it_costs_as_much_as_the_runs_that_it_replaces():
    curve = curve_of({"PAC": power_law()})
    costs = {"source_samples": 1000, "source_cost": 0.01, "target_cost": 10.0, "training_cost": 30.0}
    paid = pac.break_even(curve, "PAC", 1 / 16, **costs, predictions=50)
    assert (paid.source, paid.target, paid.training) == (10.0, 160.0, 30.0)
    assert paid.total == 200.0
    assert paid.predictions == paid.low == paid.high == 20.0
    assert paid.direct == 500.0
    assert pac.break_even(curve, "PAC", 1 / 16, **costs).direct is None
    never = pac.break_even(curve, "PAC", 0.001, **costs)
    assert never.predictions == never.total == math.inf


def test_the_interval_of_a_break_even_is_that_of_the_samples_needed():
    curve = curve_of({"PAC": power_law(SCATTER)})
    paid = pac.break_even(curve, "PAC", 0.09, source_samples=100, source_cost=0.5, target_cost=2.0, level=0.8)
    needed = pac.samples_needed_interval(curve, "PAC", 0.09, level=0.8)
    assert paid.needed == needed
    assert needed.low < needed.samples < needed.high
    expected = (25 + needed.samples, 25 + needed.low, 25 + needed.high)
    assert (paid.predictions, paid.low, paid.high) == pytest.approx(expected)


def data(cost, **splits):
    x = np.arange(20.0)[:, None]
    return pac.Dataset.from_arrays(x, x, attributes={"cost_seconds_per_sample": cost}, **splits)


def test_costs_are_read_from_the_data():
    found = pac.simulation_costs(data(0.5, valid=0.1, test=0.2), data(40.0, test=0.5))
    assert found == {"source_samples": 16, "source_cost": 0.5, "target_cost": 40.0}  # without the 4 of the test split
    with pytest.raises(ValueError, match="by hand"):
        pac.simulation_costs(data(0.5), data(math.nan))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_cost": 0.0}, "target_cost must be above 0"),
        ({"source_cost": math.nan}, "source_cost must be at least 0"),
        ({"training_cost": -1.0}, "training_cost must be at least 0"),
        ({"predictions": math.inf}, "predictions must be"),
        ({"method": "PAQ"}, "has the methods PAC, got 'PAQ'"),
        ({"metric": "r2"}, "fall as samples are added, got 'r2'"),
        ({"metric": "mae"}, "got 'mae'"),
        ({"level": 1.0}, "level between 0 and 1"),
        ({"resamples": 0}, "1 resample or more"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    arguments = {"method": "PAC", "error": 0.1, "source_samples": 1, "source_cost": 1.0, "target_cost": 1.0}
    with pytest.raises(ValueError, match=message) as caught:
        pac.break_even(curve_of({"PAC": power_law()}), **(arguments | change))
    assert "\n" not in str(caught.value)


def test_the_figure_shows_the_samples_needed_and_the_least_savings():
    curve = curve_of({"PAC": power_law(SCATTER), "scratch": power_law(4 * SCATTER)})
    errors = [0.03, 0.05, 0.12, 0.3]
    panels = pac.plot_savings(curve, errors)
    above, below = panels[:, 0]  # fine-tune has no panel, because the curve does not contain it
    lines = {line.get_label(): line for line in above.lines}
    for name in ("PAC", "scratch"):
        needed = [pac.samples_needed(curve, name, error) for error in errors]
        np.testing.assert_allclose(lines[name].get_ydata(), [n if n < math.inf else math.nan for n in needed])
    saved = [pac.samples_saved(curve, "PAC", error, against=("scratch",))["scratch"] for error in errors]
    line, triangles = below.lines[:2]
    assert [math.isinf(each.saved) for each in saved] == [True, True, False, False]
    np.testing.assert_allclose(line.get_ydata(), [math.nan, math.nan, *(each.saved for each in saved[2:])])
    np.testing.assert_allclose(triangles.get_ydata(), [*(each.at_least for each in saved[:2]), math.nan, math.nan])
    assert len(above.collections) == 2  # one band for each method
    with pytest.raises(ValueError, match="errors must be positive"):
        pac.plot_savings(curve, 0.0)


def test_the_figure_shows_single_errors_default_errors_and_n_zero():
    curve = curve_of({"PAC": np.array([0.4, 0.3, 0.2, 0.1, 0.05])}, (0, 4, 8, 16, 32))
    ((axes,),) = pac.plot_savings(curve)
    goals = axes.lines[0].get_xdata()
    assert (goals.min(), goals.max()) == pytest.approx((0.05, 0.4))
    assert axes.lines[0].get_ydata()[-1] == 0.0
    assert axes.get_ylim()[0] < 0 < 32 < axes.get_ylim()[1]
    assert pac.plot_savings(curve, 0.1)[0, 0].lines[0].get_ydata() == pytest.approx([16.0])
