"""Standardisation: which values are pooled, which are logarithmic, and that the inverse restores every value."""

import math

import numpy as np
import pytest
import torch
from drawing import normal_array as draws
from hypothesis import given, settings
from hypothesis import strategies as st

import pac_surrogate as pac
from pac_surrogate.data.scaling import MARGIN, Columns, fit_new_outputs, fit_scaling, scaled_for

DOUBLE = torch.float64


def standardised(x, y, **options):
    data = pac.Dataset.from_arrays(x, y, **options)
    return fit_scaling(data).standardise(data)


def columns(mean=0.0, deviation=1.0, logarithmic=False, low=-1.0, high=1.0):
    as_column = [torch.tensor([value], dtype=DOUBLE) for value in (mean, deviation, low, high)]
    return Columns(as_column[0], as_column[1], torch.tensor([logarithmic]), as_column[2], as_column[3])


def test_each_column_of_a_table_has_mean_0_and_standard_deviation_1():
    scales = np.array([1e-6, 1.0, 1e5])
    scaled = standardised(3 * scales + scales * draws(50, 3), draws(50, 2))
    for matrix in (scaled.input_matrix, scaled.output_matrix):
        np.testing.assert_allclose(matrix.mean(0), 0, atol=1e-13)  # the float64 rounding of 50 numbers of order 1
        np.testing.assert_allclose(matrix.std(0), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("axes", "pooled"),
    [
        (("x",), (0, 1)),
        (("time", "x"), (0, 1, 2)),
        (("x", "y"), (0, 1, 2)),
        (("x", "channel"), (0, 1)),
        (("mode",), (0,)),
        (("time", "mode"), (0, 1)),
    ],
)
def test_fields_are_pooled_over_samples_time_and_space_only(axes, pooled):
    shape = (20, 4, 3)[: 1 + len(axes)]
    # Every point has its own mean and standard deviation, so that any other pooling would be noticed.
    u = np.arange(1, 1 + math.prod(shape[1:])).reshape(shape[1:]) * (1 + draws(*shape))
    scaled = standardised({"u": u}, {"scalar": draws(20)}, axes={"u": axes})["u"]
    expected = (u - u.mean(pooled, keepdims=True)) / u.std(pooled, keepdims=True)
    np.testing.assert_allclose(scaled, expected, rtol=1e-12, atol=1e-13)


def test_a_logarithmic_variable_is_standardised_by_the_moments_of_its_logarithm():
    diffusivity = np.exp(1 + 2 * draws(40))
    data = pac.Dataset.from_arrays({"a": diffusivity, "b": draws(40)}, {"y": draws(40)}, scaling={"a": "log"})
    scaling = fit_scaling(data)
    expected = (np.log(diffusivity) - np.log(diffusivity).mean()) / np.log(diffusivity).std()
    np.testing.assert_allclose(scaling.standardise(data)["a"], expected, rtol=1e-12)
    assert scaling.inputs.logarithmic.tolist() == [True, False]
    assert float(scaling.inputs.low[0]) == diffusivity.min()  # the training range stays in physical units
    assert float(scaling.inputs.high[0]) == diffusivity.max()


def test_a_logarithmic_variable_that_is_not_positive_is_refused_by_name_and_value():
    data = pac.Dataset.from_arrays({"a": np.array([1.0, -2.0])}, draws(2), scaling={"a": "log"}, units={"a": "m2 s-1"})
    with pytest.raises(ValueError, match=r"a has scaling 'log' and must be positive, got -2\.0 m2 s-1"):
        fit_scaling(data)
    with pytest.raises(ValueError, match=r"must be positive, got 0\.0; use scaling='standard'"):
        columns(logarithmic=True).standardise(torch.zeros(1, 1, dtype=DOUBLE))
    assert columns(logarithmic=True).standardise(torch.zeros(0, 1, dtype=DOUBLE)).shape == (0, 1)


@pytest.mark.parametrize("constant", [0.0, 1 / 3, -7e8, 1e-300])
def test_a_constant_has_no_scale_and_is_standardised_to_0_and_restored_to_itself(constant):
    x = np.c_[np.full(30, constant), draws(30)]
    x[::2, 0] *= 1 + 2e-16  # rounding differences of a constant computed in another order of operations
    scaling = fit_scaling(pac.Dataset.from_arrays(x, np.full((30, 2), constant)))
    assert float(scaling.inputs.deviation[0]) == 0.0
    assert scaling.outputs.deviation.tolist() == [0.0, 0.0]
    assert float(scaling.inputs.deviation[1]) == pytest.approx(x[:, 1].std(), rel=1e-12)
    new = torch.tensor([[constant, 0.0], [constant + 5.0, 0.0]], dtype=DOUBLE)
    assert scaling.inputs.standardise(new)[:, 0].tolist() == [0.0, 0.0]
    assert scaling.outputs.restore(torch.tensor([[0.1, -3.0]], dtype=DOUBLE)).tolist() == [[constant, constant]]


@pytest.mark.parametrize("offset", [1e3, 1e9, -1.7e9])
def test_an_offset_that_float64_resolves_changes_no_standardised_number(offset):
    x = 0.5 * np.arange(40.0)[:, None] ** [1, 2]  # exact when added to the offset
    moved, plain = standardised(x + offset, draws(40)), standardised(x, draws(40))
    # The mean is rounded to the spacing of float64 at the offset, 2.4e-7 at 1.7e9; the standard deviation is 5.8 or more.
    np.testing.assert_allclose(moved.input_matrix, plain.input_matrix, rtol=0, atol=1e-7)


@pytest.mark.parametrize("size", [1e-170, 1e155, 1e200])
def test_numbers_whose_squares_overflow_or_underflow_have_a_deviation(size):
    x = draws(30, 2)
    scaling = fit_scaling(pac.Dataset.from_arrays(size * x, draws(30))).inputs
    np.testing.assert_allclose(scaling.deviation / size, x.std(0), rtol=1e-12)


def test_differences_below_the_resolution_of_a_dtype_are_constant_and_larger_ones_are_not():
    """The limit is 16 roundings of the numbers' own dtype: changes of the last bit of float32 are resolved by float64."""
    x = np.full((30, 2), 101325.0) + np.c_[np.arange(30.0) % 2, 0.02 * draws(30)] * [np.spacing(np.float32(101325)), 1]
    for dtype, varies in ((np.float32, [False, False]), (np.float64, [True, True])):
        found = fit_scaling(pac.Dataset.from_arrays(x.astype(dtype), draws(30))).inputs
        assert (found.deviation > 0).tolist() == varies


def test_a_target_sets_the_scale_of_inputs_that_the_source_held_at_a_set_point():
    source = np.c_[np.full(50, 3.0), 3 + 1e-9 * draws(50), draws(50), draws(50, seed=1)]
    target = np.c_[3 + np.linspace(0, 2, 9), 3 + np.linspace(0, 2, 9), 20 + draws(9, seed=2), np.zeros(9)]
    sides = [fit_scaling(pac.Dataset.from_arrays(x, np.ones(len(x)))).inputs for x in (source, target)]
    found = scaled_for(*sides)
    away = np.sqrt(np.mean(np.linspace(0, 2, 9) ** 2))  # distance from the set point
    np.testing.assert_allclose(found.deviation[:2], away, rtol=1e-8)
    assert torch.equal(found.deviation[2:], sides[0].deviation[2:])  # a mean 20 deviations away is an extrapolation
    assert torch.equal(found.mean, sides[0].mean)
    assert scaled_for(found, sides[1]) is found
    # The rule uses only ratios within a column, so that the result is the same in other units.
    unit = torch.tensor([1e6, 1e-6, 1e3, 1.0], dtype=DOUBLE)
    other = [fit_scaling(pac.Dataset.from_arrays(x * unit.numpy(), np.ones(len(x)))).inputs for x in (source, target)]
    np.testing.assert_allclose(scaled_for(*other).deviation, found.deviation * unit, rtol=1e-7)


@pytest.mark.parametrize("unit", [1e-100, 1e-15, 1e-6, 1e12])
def test_a_change_of_units_changes_no_standardised_number(unit):
    """Permeabilities of 1e-15 m2 vary as much as their logarithms; no column is constant only because it is small."""
    x = 1 + 0.1 * draws(30, 2)
    small, plain = standardised(unit * x, draws(30)), standardised(x, draws(30))
    np.testing.assert_allclose(small.input_matrix, plain.input_matrix, rtol=1e-11, atol=1e-12)


@settings(deadline=None)  # torch imports parts of itself at their first use, which takes time
@given(
    values=st.lists(st.floats(-50, 50), min_size=1, max_size=5),
    mean=st.floats(-1e3, 1e3),
    deviation=st.floats(1e-3, 1e3),
)
def test_restoring_undoes_standardising(values, mean, deviation):
    v = torch.tensor(values, dtype=DOUBLE)[:, None]
    plain = columns(mean, deviation)
    # Two roundings of numbers as large as |v| + |mean|
    torch.testing.assert_close(plain.restore(plain.standardise(v)), v, rtol=0, atol=1e-15 * (4 * 50 + 4 * abs(mean)))
    logarithmic = columns(mean / 1e3, deviation, logarithmic=True)
    # A rounding of the logarithm, at most 51 here, is a relative error of its exponential.
    torch.testing.assert_close(logarithmic.restore(logarithmic.standardise(v.exp())), v.exp(), rtol=1e-13, atol=0)


def test_restoring_is_linear_or_exponential_by_column():
    both = Columns(
        mean=torch.tensor([300.0, 1.0], dtype=DOUBLE),
        deviation=torch.tensor([10.0, 0.5], dtype=DOUBLE),
        logarithmic=torch.tensor([False, True]),
        low=torch.zeros(2, dtype=DOUBLE),
        high=torch.ones(2, dtype=DOUBLE),
    )
    z = torch.tensor([[2.0, 3.0]], dtype=DOUBLE)
    torch.testing.assert_close(both.restore(z), torch.tensor([[320.0, math.exp(2.5)]], dtype=DOUBLE), rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_gradients_pass_through_the_scaling_for_values_of_any_size(dtype):
    """In float32, exp(300) is infinite; that branch is not taken, and infinity times 0 must not leave a NaN in the gradient."""
    z = torch.tensor([[2.0], [-1.0]], dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(columns(mean=1e3, deviation=10.0).restore(z).sum(), z)
    assert gradient.tolist() == [[10.0], [10.0]]
    v = torch.tensor([[-5.0], [0.0]], dtype=dtype, requires_grad=True)
    two = Columns(
        *(
            torch.cat([a, b])
            for a, b in zip(vars(columns(deviation=4.0)).values(), vars(columns(logarithmic=True)).values(), strict=True)
        )
    )
    (gradient,) = torch.autograd.grad(two.standardise(torch.cat([v, v + 8], dim=1)).sum(), v)
    torch.testing.assert_close(gradient, torch.tensor([[1 / 4 + 1 / 3], [1 / 4 + 1 / 8]], dtype=dtype), rtol=1e-6, atol=0)


def test_new_outputs_of_a_table_each_have_a_mean_and_a_standard_deviation():
    y = np.array([1e5, -1e-6, 100.0]) + np.array([10.0, 1e-7, 0.1]) * draws(6, 3)
    scaling = fit_new_outputs(pac.Dataset.from_arrays(draws(6, 2), y))
    np.testing.assert_allclose(scaling.mean, y.mean(0), rtol=1e-13)
    np.testing.assert_allclose(scaling.deviation, y.std(0), rtol=1e-9)  # 1e5 with a deviation of 10 loses 4 digits


def test_new_fields_have_a_mean_at_each_point_and_one_deviation_for_each_variable():
    """Ends with fixed values do not add to the deviation: a field is scaled by its variation between them."""
    u, p = np.c_[np.zeros(5), 1e-3 * draws(5, 2), np.full(5, 5.0)], 1e5 + draws(5, 2, 4, seed=1)
    axes = {"u": ("x",), "p": ("time", "x")}
    scaling = fit_new_outputs(pac.Dataset.from_arrays(draws(5, 2), {"u": u, "p": p}, axes=axes))
    np.testing.assert_allclose(scaling.mean, np.r_[u.mean(0), p.mean(0).ravel()], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scaling.deviation[:4], np.sqrt(u.var(0).mean()), rtol=1e-12)
    np.testing.assert_allclose(scaling.deviation[4:], np.sqrt(p.var(0).mean()), rtol=1e-9)


def test_new_outputs_of_one_sample_or_without_spread_have_deviation_zero():
    one = fit_new_outputs(pac.Dataset.from_arrays(draws(1, 2), np.array([[5.0, -3.0]])))
    assert one.deviation.tolist() == [0.0, 0.0]
    assert one.mean.tolist() == [5.0, -3.0]
    flat = fit_new_outputs(pac.Dataset.from_arrays(draws(3, 2), np.full((3, 2), 0.1)))
    assert flat.deviation.tolist() == [0.0, 0.0]
    assert flat.restore(torch.ones(1, 2, dtype=DOUBLE)).tolist() == [[0.1, 0.1]]


def test_a_sample_is_outside_if_any_column_leaves_the_range_by_more_than_the_margin():
    scaling = fit_scaling(pac.Dataset.from_arrays(np.array([[0.0, -1.0], [4.0, 1.0]]), draws(2))).inputs
    low, high = -4.0 * MARGIN, 4.0 + 4.0 * MARGIN
    x = torch.tensor(
        [
            [4.0, -1.0],
            [low, 1.0],
            [high, 0.0],
            [np.nextafter(low, -9), 0.0],
            [np.nextafter(high, 9), 0.0],
            [1.0, -1.0 - 2.1 * MARGIN],
        ],
        dtype=DOUBLE,
    )
    assert scaling.outside(x).tolist() == [False, False, False, True, True, True]


def test_the_margin_of_a_logarithmic_range_is_a_fraction_of_its_decades():
    x = 10.0 ** np.linspace(-6, 0, 20)
    scaling = fit_scaling(pac.Dataset.from_arrays({"k": x}, draws(20), scaling={"k": "log"})).inputs
    asked = torch.tensor(
        [1e-12, 1e-9, 10 ** (-6 - 6.1 * MARGIN), 10 ** (-6 - 5.9 * MARGIN), 1e-3, 1.9, 2.1, 10.0], dtype=DOUBLE
    )
    assert scaling.outside(asked[:, None]).tolist() == [True, True, True, False, False, False, True, True]
    assert not scaling.outside(torch.as_tensor(x)[:, None].float()).any()


def test_a_set_point_is_inside_its_range_in_either_precision_and_any_other_value_is_not():
    scaling = fit_scaling(pac.Dataset.from_arrays(np.full(9, 0.1), draws(9))).inputs
    asked = torch.tensor([[0.1], [float(np.float32(0.1))], [0.1001]], dtype=DOUBLE)
    assert scaling.outside(asked).tolist() == [False, False, True]


def test_all_points_of_a_field_have_one_range():
    u = np.array([[0.0, 1.0, 2.0], [5.0, 1.0, 3.0]])
    scaling = fit_scaling(pac.Dataset.from_arrays({"u": u}, draws(2), axes={"u": ("x",)})).inputs
    assert scaling.outside(torch.tensor([[1.0, 5.0, 0.0], [1.0, 1.0, 6.0]], dtype=DOUBLE)).tolist() == [False, True]


def test_training_data_are_never_outside_in_either_precision():
    x = draws(30, 3)
    scaling = fit_scaling(pac.Dataset.from_arrays(x, draws(30))).inputs
    assert not scaling.outside(torch.as_tensor(x)).any()
    assert not scaling.outside(torch.as_tensor(x).float()).any()


def test_a_widened_range_covers_both_and_keeps_the_scaling():
    wide = columns(mean=0.3, deviation=2.0, low=-1.0, high=1.0).widened(columns(mean=9.0, low=-0.5, high=4.0))
    assert (float(wide.low), float(wide.high)) == (-1.0, 4.0)
    assert (float(wide.mean), float(wide.deviation)) == (0.3, 2.0)


def test_scaling_needs_a_sample():
    data = pac.Dataset.from_arrays(draws(3, 2), draws(3))
    with pytest.raises(ValueError, match="scaling needs at least one sample, got none"):
        fit_scaling(data[:0])


def test_a_standardised_dataset_is_float64_and_keeps_names_and_rows_and_the_original():
    data = pac.Dataset.from_arrays({"a": draws(5).astype("float32")}, {"b": draws(5)})
    before = data["a"].copy()
    scaled = fit_scaling(data).standardise(data)
    assert scaled["a"].dtype == np.float64
    assert [v.name for v in (*scaled.inputs, *scaled.outputs)] == ["a", "b"]
    np.testing.assert_array_equal(data["a"], before)
