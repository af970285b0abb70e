"""The resolution of a dtype at its limits, and moments of numbers of any magnitude."""

import numpy as np
import pytest

from pac_surrogate.utilities.resolution import deviation, resolution, root_mean_square, varies

EXACT = 1e-13  # a few hundred roundings of float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_resolution_is_sixteen_roundings_of_the_largest_size_of_each_column(dtype):
    values = np.array([[1.0, -8.0, 0.5], [-2.0, 4.0, 0.25]], dtype=dtype)
    expected = 16 * float(np.finfo(dtype).eps) * np.array([2.0, 8.0, 0.5])
    np.testing.assert_array_equal(resolution(values), expected)
    np.testing.assert_array_equal(resolution(values.astype(float), dtype=dtype), expected)
    np.testing.assert_array_equal(resolution(values, (0, 1), keepdims=True), [[expected[1]]])
    assert resolution(values).dtype == np.float64


def test_integers_are_resolved_as_float64_which_holds_them():
    values = np.array([[-128, 5], [127, 5]], dtype=np.int8)  # |-128| is not representable in int8
    np.testing.assert_array_equal(resolution(values), 16 * np.finfo(float).eps * np.array([128.0, 5.0]))
    np.testing.assert_array_equal(varies(values), [True, False])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_varies_where_its_range_is_above_sixteen_roundings(dtype):
    eps = np.finfo(dtype).eps
    values = np.array([[-1.0, -1.0, 0.0, 3.0], [16 * eps - 1, 17 * eps - 1, 0.0, 3.0]], dtype=dtype)
    np.testing.assert_array_equal(varies(values), [False, True, False, False])
    # float64 resolves a range that float32 does not
    np.testing.assert_array_equal(varies(values.astype(float)), [dtype == np.float32, True, False, False])


def test_below_the_smallest_normal_number_the_rounding_stays_constant():
    smallest = np.array([[4.0, 4.0], [20.0, 21.0]]) * 2.0**-1074  # numbers are 2^-1074 apart there
    np.testing.assert_array_equal(varies(smallest), [False, True])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_column_that_is_not_finite_varies_and_has_no_resolution(bad):
    values = np.array([[bad, 1.0], [bad, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(varies(values), [True, False])
    np.testing.assert_array_equal(varies(values[:2]), [True, False])
    np.testing.assert_array_equal(np.isnan(resolution(values)), [True, False])


def test_a_range_that_overflows_varies():
    np.testing.assert_array_equal(varies(np.array([[-1.7e308], [1.7e308]])), [True])


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1.0, 1e200, 1e307])
def test_moments_have_their_closed_form_at_any_magnitude(size):
    values = size * np.array([[3.0, 1.0], [-4.0, 5.0], [0.0, 0.0]])
    np.testing.assert_allclose(root_mean_square(values, 0), size * np.sqrt([25 / 3, 26 / 3]), rtol=EXACT)
    np.testing.assert_allclose(root_mean_square(values, (0, 1)), size * np.sqrt(51 / 6), rtol=EXACT)
    np.testing.assert_allclose(deviation(values, (0,)), size * np.sqrt([25 / 3 - 1 / 9, 26 / 3 - 4]), rtol=EXACT)
    np.testing.assert_allclose(deviation(values, (0,), ddof=1), size * np.sqrt([12.5 - 1 / 6, 13 - 6]), rtol=EXACT)


def test_the_moments_of_zeros_are_zero():
    assert root_mean_square(np.zeros(3), 0) == 0.0
    assert deviation(np.zeros(3), (0,)) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_moments_of_values_that_are_not_finite_are_not_finite(bad):
    values = np.array([[1.0, 1.0], [bad, 2.0], [1.0, 3.0]])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.isfinite(root_mean_square(values, 0)), [False, True])
        np.testing.assert_array_equal(np.isfinite(deviation(values, (0,))), [False, True])
