"""Numbers near the limits of floating point: results scale with their variables; numbers out of range are refused by name.

Multiplication by a power of two changes only the exponent of a number. Where nothing overflows or falls below the smallest
normal number, every standardised number therefore keeps its bits, and every result is multiplied by exactly the same power.
"""

import dataclasses
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import pac_surrogate as pac
from pac_surrogate.data import metrics
from pac_surrogate.data.arrays import as_numbers
from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.data.scaling import LARGEST, TINY, fit_new_outputs, fit_scaling
from pac_surrogate.files import DatasetError, DatasetWriter, Variable
from pac_surrogate.predictors import Correction
from pac_surrogate.utilities.resolution import centre

POWERS = (-1000, -560, 515, 664, 996)  # 1e-301, 1e-169, 1e155, 1e200, 1e300
X = np.random.default_rng(0).normal(size=(40, 2))
Y = np.tanh(X @ [[1.0, 0.3], [0.5, -1.0]]) + np.array([0.2, 0.0])
NEW = X[:8] / 2
METHODS = {
    "PAC": pac.PAC(),
    "linear correction": pac.LinearCorrection(linear=True),
    "last layer": pac.LastLayerRidge(),
    "target": pac.GP(on="target"),
    "residual": pac.GP(),
    "augmented": pac.GP(on="augmented"),
    "co-kriging": pac.CoKriging(source_samples=20),
    "ATL": pac.ATL(),
    "auto": "auto",
}
needs_long_double = pytest.mark.skipif(np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="no longer than float64")


def pretrained(x=X, y=Y, **options):
    data = pac.Dataset.from_arrays(x, y, **options)
    return pac.pretrain(data, model=pac.MLP(hidden=(4,)), steps=5, learning_rate=1e-2)


def refused(call, *words, error=ValueError):
    """Check that the call ends in one line of the library's own with these words."""
    with pytest.raises(error) as caught:
        call()
    assert not isinstance(caught.value, np.linalg.LinAlgError)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def results():
    """Return the predictions of every method at scale 1."""
    return {name: answers(name, 1.0, 1.0) for name in METHODS}


def answers(name, x_scale, y_scale):
    surrogate = pretrained(X * x_scale, Y * y_scale)
    source = pac.Dataset.from_arrays(X * x_scale, Y * y_scale)
    target = pac.Dataset.from_arrays(X[:12] * x_scale, (1.2 * Y[:12] + 0.1) * y_scale)
    adapted = pac.transfer(surrogate, target, method=METHODS[name], source=source, steps=3, source_steps=3, intervals=False)
    prediction = adapted.predict(NEW * x_scale)
    if name != "auto":
        return (prediction,)
    interval = adapted.predict_interval(NEW * x_scale)
    return prediction, interval.lower, interval.upper


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_a_power_of_two_changes_no_bit_of_a_standardised_number(power, offset):
    plain, scaled = (pac.Dataset.from_arrays((X + offset) * 2.0**p, (Y + offset) * 2.0**p) for p in (0, power))
    one, other = (fit_scaling(data).standardise(data) for data in (plain, scaled))
    np.testing.assert_array_equal(other.input_matrix, one.input_matrix)
    np.testing.assert_array_equal(other.output_matrix, one.output_matrix)
    new, moved = (fit_new_outputs(data) for data in (plain, scaled))
    np.testing.assert_array_equal(moved.deviation, new.deviation * 2.0**power)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("power", [-600, 600])
def test_predictions_and_intervals_of_every_method_scale_with_the_outputs_and_not_with_the_inputs(name, power, results):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for found, plain in zip(answers(name, 2.0 ** (power // 2), 2.0**power), results[name], strict=True):
            np.testing.assert_array_equal(found, plain * 2.0**power)


@pytest.mark.parametrize("power", POWERS)
def test_the_next_samples_are_the_same_in_any_unit(power):
    plain, scaled = (pac.next_samples(pretrained(X * s), X[:3] * s, X * s, 5) for s in (1.0, 2.0**power))
    np.testing.assert_array_equal(scaled, plain)


def test_relative_errors_of_a_curve_have_no_unit_and_the_other_errors_have_one():
    def curve(scale):
        sides = [pac.Dataset.from_arrays(X, Y * s * scale, test=0.3, valid=0.1) for s in (1.0, 1.2)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            return pac.transfer_curve(
                *sides, methods=["auto", "PAC"], sizes=(0, 6), seeds=1, model=pac.MLP(hidden=(4,)), steps=3, source_steps=3,
                pretrain_steps=5,
            )  # fmt: skip

    plain, scaled = curve(1.0), curve(2.0**900)
    for name in ("rel_l2", "rmse_std", "r2", "source_error"):
        np.testing.assert_array_equal(scaled[name], plain[name])
    for name in ("rmse", "mae", "max_error"):
        np.testing.assert_array_equal(scaled[name], plain[name] * 2.0**900)


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("scaling", ["standard", "log"])
def test_numbers_above_the_limit_are_refused_and_the_limit_itself_is_accepted(side, scaling):
    def fit(largest):
        values = np.geomspace(largest / 8, largest, 5)
        sides = {"input": np.arange(1.0, 6), "output": np.arange(1.0, 6)} | {side: values}
        return fit_scaling(pac.Dataset.from_arrays(*sides.values(), scaling={side: scaling}))

    found = getattr(fit(LARGEST), f"{side}s")
    assert bool(torch.isfinite(found.mean).all() and torch.isfinite(found.deviation).all())
    refused(lambda: fit(np.nextafter(LARGEST, np.inf)), f"{side} must hold numbers of size 1.1e+301 at most", "larger unit")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_that_varies_only_among_the_numbers_nearest_to_0_is_refused_and_not_treated_as_constant(dtype):
    kind = np.finfo(dtype)
    least = float(kind.tiny) if dtype == np.float64 else 16 * float(kind.eps) * float(kind.tiny)  # digits are lost below

    def fit(width):
        x = np.zeros((3, 2), dtype)
        x[:, 1], x[1, 0] = [1, 2, 3], width  # the other column is regular
        return fit_scaling(pac.Dataset.from_arrays(x, np.arange(3.0))).inputs

    width = 1.5 * least
    assert float(fit(width).deviation[0]) == pytest.approx(width * 2**0.5 / 3, rel=1e-6)  # of 0, 0, w; rounded to 16 spacings
    refused(lambda: fit(least), "input must be constant or vary by more than", "smaller unit")
    assert float(fit(0.0).deviation[0]) == 0.0


def test_the_tails_of_a_field_may_be_negligible_beside_its_other_values():
    u = np.array([1.0, 1e-310, 5e-324]) * np.arange(1.0, 9)[:, None]
    for names in (("x",), ("time",)):
        data = pac.Dataset.from_arrays(np.arange(8.0), {"u": u}, axes={"u": names})
        assert float(fit_scaling(data).outputs.deviation[0]) == pytest.approx(u.std(), rel=1e-12)
        assert bool(torch.isfinite(fit_new_outputs(data).deviation).all())
    refused(lambda: fit_scaling(pac.Dataset.from_arrays(np.arange(8.0), {"u": u})), "u must be constant or vary")


def test_numbers_on_a_logarithmic_scale_that_lack_digits_are_refused():
    def fit(least):
        return fit_scaling(pac.Dataset.from_arrays(np.array([1.0, least]), np.arange(2.0), scaling={"input": "log"})).inputs

    assert float(fit(TINY).mean[0]) == pytest.approx(np.log(TINY) / 2, rel=1e-15)
    refused(lambda: fit(np.nextafter(TINY, 0)), "input must hold numbers of 2.2e-308 at least", "smaller unit")


def test_a_new_number_of_any_size_has_its_own_logarithm():
    data = pac.Dataset.from_arrays(np.exp(X[:, 0]), Y, scaling={"input": "log"})
    columns = fit_scaling(data).inputs
    small = torch.tensor([[1e-310], [4e-310]], dtype=torch.float64)
    step = columns.standardise(small).diff(dim=0)
    assert float(step) == pytest.approx(np.log(4) / float(columns.deviation), rel=1e-9)  # 1e-310 has 13 digits


def test_the_sum_within_a_mean_does_not_overflow():
    values = 2.0**1020 * np.r_[0.0, 3 * np.ones(15)][:, None]  # their sum is 45 x 2^1020, above the limit of 16 x 2^1020
    np.testing.assert_array_equal(centre(values, (0,)), [[45 / 16 * 2.0**1020]])


@pytest.mark.parametrize("side", ["input", "output"])
def test_validation_samples_of_another_magnitude_are_refused_by_name(side):
    scales = {"input": 1.0, "output": 1.0} | {side: 1e30}
    valid = pac.Dataset.from_arrays(X * scales["input"], Y * scales["output"])
    refused(lambda: pac.pretrain((X, Y), model=pac.MLP(hidden=(4,)), steps=5, valid=valid), f"{side} must lie within")


@pytest.mark.parametrize("ask", [lambda s, x: s.predict(x), lambda s, x: pac.next_samples(s, None, x, 1)])
def test_inputs_whose_squared_standardised_values_overflow_float32_are_refused_by_name(ask):
    surrogate = pretrained({"a": X[:, 0], "b": X[:, 1]})
    for far in (2e19, -1e300, 1.7e308):
        pool = {"a": np.array([0.0, 0.1]), "b": np.array([0.0, far])}
        refused(lambda pool=pool: ask(surrogate, pool), "b must lie within 9.2e+18 deviations", "at sample 1")
    with pytest.warns(pac.ExtrapolationWarning):
        assert np.isfinite(surrogate.predict({"a": np.zeros(1), "b": np.array([1e18])})["output"]).all()


def corrected(surrogate, slope):
    """Return a surrogate whose standardised predictions are multiplied by `slope`."""
    outputs, inputs = len(surrogate.scaling.outputs.mean), len(surrogate.scaling.inputs.mean)
    base, zeros = surrogate.predictor, torch.zeros(inputs, outputs, dtype=torch.float64)
    ones = torch.ones(outputs, dtype=torch.float64)
    return dataclasses.replace(surrogate, predictor=Correction(base, slope * ones, 0 * ones, zeros))


def test_predictions_that_floating_point_cannot_hold_are_refused_by_name():
    plain, logarithmic = pretrained(y={"u": Y}), pretrained(y={"u": np.exp(Y[:, 0])}, scaling={"u": "log"})
    assert np.isfinite(corrected(plain, 1e300).predict(NEW)).all()
    refused(lambda: corrected(plain, np.inf).predict(NEW), "the prediction of u must be a number that float64 holds")
    sign = np.sign(float(logarithmic.predictor.predict(logarithmic.standardised(torch.as_tensor(NEW[:1])))))
    for slope, got in ((1e6, "inf"), (-1e6, "0")):  # the exponentials of about 1e5 and -1e5
        refused(lambda slope=slope: corrected(logarithmic, sign * slope).predict(NEW[:1]), "prediction of u", f"got {got} at")
    single = pretrained(y={"u": Y.astype(np.float32)})
    tensor = torch.as_tensor(NEW, dtype=torch.float32)
    assert corrected(single, 1e37).predict(tensor).dtype == torch.float32
    refused(lambda: corrected(single, 1e42).predict(tensor), "the prediction of u must be a number that float32 holds")


def test_bounds_that_floating_point_cannot_hold_are_refused_and_a_lower_bound_of_0_is_accepted():
    surrogate = pretrained(y={"u": np.exp(Y[:, 0])}, scaling={"u": "log"})
    target = pac.Dataset.from_arrays(X[:12], {"u": np.exp(Y[:12, 0])}, scaling={"u": "log"})
    adapted = pac.transfer(surrogate, target, method=pac.LinearCorrection())
    assert adapted.folds is not None
    wide = dataclasses.replace(adapted, folds=dataclasses.replace(adapted.folds, residual=1e4 * adapted.folds.residual))
    refused(lambda: wide.predict_interval(NEW), "a bound of u must be a number that float64 holds")
    low = dataclasses.replace(adapted, folds=dataclasses.replace(adapted.folds, residual=0 * adapted.folds.residual))
    folds = low.folds
    assert folds is not None
    lowered = dataclasses.replace(low, folds=dataclasses.replace(folds, offset=folds.offset - 1e4))
    assert lowered.predict_interval(NEW).lower.max() == 0.0


@needs_long_double
def test_long_doubles_that_float64_holds_exactly_are_accepted_and_others_are_refused():
    third = np.ones((2, 2), np.longdouble) / 3
    surrogate = pretrained()
    for call in (
        lambda values: as_numbers("x", values),
        lambda values: pac.Dataset.from_arrays(values, Y[:2]),
        lambda values: pac.Dataset.from_arrays(Y[:2], values),
        surrogate.predict,
        lambda values: pac.next_samples(surrogate, None, values, 1),
        lambda values: metrics._error(values, Y[:2]),  # bypasses the type check of the tests
        lambda values: metrics._error(Y[:2], values),
    ):
        for kind in (np.asarray, np.ma.asarray):
            refused(lambda call=call, kind=kind: call(kind(third)), "the long double 0.3333333333333333333")
        call(third.astype(np.float64).astype(np.longdouble))
    refused(lambda: as_numbers("x", [np.longdouble(1) / 3, 1.0]), "x holds the long double")
    refused(lambda: as_numbers("x", np.array([np.longdouble("1e400")])), "x holds the long double 1e+400")
    refused(lambda: as_numbers("x", third.astype(np.clongdouble)), "x must hold real numbers")


@pytest.mark.parametrize(
    "values",
    [
        [2**53 + 1, 0.5],
        [[1, 2], [0.5, -(2**53) - 1]],
        [np.uint64(2**53 + 1), np.int64(-1)],
        [2**64 - 1, -1],
        np.array([2**64 - 1], np.uint64),
        torch.tensor([2**53 + 1]),
    ],
    ids=str,
)
def test_integers_that_float64_rounds_are_refused_also_beside_other_numbers(values):
    refused(lambda: as_numbers("x", values), "x holds the integer", "2**53")


def test_integers_that_float64_holds_are_accepted_beside_other_numbers():
    np.testing.assert_array_equal(as_numbers("x", [2**53, 2**60, 0.5, 1e300]), [2.0**53, 2.0**60, 0.5, 1e300])


@pytest.mark.parametrize("entry", [Decimal("0.1"), Fraction(1, 3), 2**70 + 1, 1j], ids=str)
def test_numbers_of_other_types_are_refused(entry):
    for values in ([entry], np.array([entry])):
        refused(lambda values=values: as_numbers("x", values), "x must hold real numbers")


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16])
def test_tensors_of_short_floating_types_are_accepted_with_their_values(kind):
    rows = torch.tensor([[0.5, -1.25], [1.0, 1.5]]).to(kind)
    exact = rows.float().double().numpy()
    np.testing.assert_array_equal(as_numbers("x", rows), exact)
    surrogate = pretrained()
    np.testing.assert_array_equal(surrogate.predict(rows), surrogate.predict(exact))


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_float32_values_whose_squares_overflow_or_underflow_give_the_same_predictions(scale):
    """The squares 1e60 and 1e-60 are not representable in float32; the values are rounded to 6e-8 of their size."""
    one, other = (pretrained(y=(Y * s).astype(np.float32)).predict(NEW) / s for s in (1.0, scale))
    np.testing.assert_allclose(other, one, atol=1e-5)


def test_co_kriging_learns_outputs_that_hardly_vary_in_the_source_from_the_target_alone():
    """In the target's scale the source's values are constant, so that its process has no part in the answer."""
    target = pac.Dataset.from_arrays(X[:12], Y[:12] * 2.0**300)
    with pytest.warns(DataWarning, match="holds the output output at a set point"):
        adapted = pac.transfer(pretrained(), target, method=METHODS["co-kriging"], source=pac.Dataset.from_arrays(X, Y))
    error = adapted.predict(X[12:40]) / 2.0**300 - Y[12:40]
    assert np.sqrt(np.mean(error**2)) < 0.3 * Y.std()  # 12 samples of a smooth function of two inputs: 0.05 is typical


@pytest.mark.parametrize("ratio", [1e100, 1e160, 1e300])
def test_a_target_of_another_magnitude_is_learned_from_its_samples(ratio):
    target = pac.Dataset.from_arrays(X[:20], Y[:20] * ratio)
    with pytest.warns(DataWarning, match="holds the output output at a set point"):
        adapted = pac.transfer(pretrained(), target)
    error = adapted.predict(NEW) / ratio - np.tanh(NEW @ [[1.0, 0.3], [0.5, -1.0]]) - np.array([0.2, 0.0])
    assert np.sqrt(np.mean(error**2)) < 0.2 * Y.std()  # 20 samples of a smooth function of two inputs: 0.02 is typical


@pytest.mark.parametrize(("ratio", "lost"), [(2.0**-50, True), (2.0**-45, False), (1e-160, True), (0.0, False)])
def test_a_target_that_float64_does_not_resolve_on_the_scale_of_the_source_gives_a_warning(ratio, lost):
    """The limit, 16 roundings, is 2^-48 of the standard deviation."""
    source = pretrained(X - X.mean(0), Y - Y.mean(0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pac.transfer(source, pac.Dataset.from_arrays(X[:6], Y[:6] * ratio), method=pac.LinearCorrection(), intervals=False)
    assert [str(w.message) for w in caught if "is treated as constant" in str(w.message)] == lost * [
        "the target varies the output output by so much less than the source that float64 does not resolve it on the source's "
        "scale: it is treated as constant; check its unit"
    ]


def write(path, values, axes, dtype="float32", batches=1):
    data = pac.Dataset.from_arrays(np.arange(float(len(values))), np.arange(float(len(values))))
    described = data._description
    with DatasetWriter(
        path,
        inputs=[Variable("t", dtype="float64")],
        outputs=[Variable("u", axes, values.shape[1:], dtype=dtype)],
        samples=len(values),
        split=described.split,
        subset_order=described.orders(),
        attributes=data.attributes,
        resume=False,
    ) as writer:
        for rows in np.split(np.arange(len(values)), batches):
            writer.write({"t": rows.astype(float), "u": values[rows]})
        writer.finish()
    return pac.open_dataset(path)["u"]


@pytest.mark.parametrize("size", [1e-40, 1e-50])
def test_a_column_that_float32_cannot_hold_is_not_stored_without_an_error(tmp_path, size):
    u, tail = np.arange(1.0, 13), np.array([1.0, size])
    refused(lambda: write(tmp_path / "a.h5", size * u, ()), "u must have numbers of 1.2e-38 at least", error=DatasetError)
    refused(lambda: write(tmp_path / "b.h5", u[:, None] * tail, ("mode",)), "u must have numbers", error=DatasetError)
    assert not (tmp_path / "a.h5").exists()
    # Values that are small beside others of their field or column may become 0; values passed as float32 are stored unchanged.
    assert write(tmp_path / "c.h5", u[:, None] * tail, ("x",)).shape == (12, 2)
    assert write(tmp_path / "d.h5", np.where(u > 6, u, size * u), (), batches=2)[-1] == 12.0
    given = (np.float32(1e-40) * u).astype(np.float32)
    np.testing.assert_array_equal(write(tmp_path / "e.h5", given, ()), given)
    np.testing.assert_array_equal(write(tmp_path / "f.h5", size * u, (), "float64"), size * u)
    assert not write(tmp_path / "g.h5", 0 * u, ()).any()


def test_the_writer_rounds_neither_integers_nor_long_doubles(tmp_path):
    refused(lambda: write(tmp_path / "a.h5", np.full(4, 2**53 + 1), (), "float64"), "u holds the integer", error=DatasetError)
    if np.finfo(np.longdouble).eps < np.finfo(float).eps:
        third = np.ones(4, np.longdouble) / 3
        refused(lambda: write(tmp_path / "b.h5", third, (), "float64"), "u holds the long double", error=DatasetError)


@pytest.mark.parametrize("power", [-960, -540, 540, 1017])
def test_metrics_scale_with_the_values(power):
    target = np.random.default_rng(1).normal(size=(6, 8, 2))
    prediction, scale, axes = target + 0.1 * np.random.default_rng(2).normal(size=target.shape), 2.0**power, ("x", "channel")
    relative = {"rel_l2": {}, "rmse_std": {}, "r2": {}, "nrmse": {"axes": axes}}
    in_units = {"rmse": {}, "mae": {}, "max_error": {}, "crmse": {"axes": axes}, "brmse": {"axes": axes}}
    for names, factor in ((relative, 1.0), (in_units, scale)):
        for name, options in names.items():
            metric = getattr(metrics, name)
            assert metric(prediction * scale, target * scale, **options) == factor * metric(prediction, target, **options), name


def test_metrics_refuse_targets_whose_differences_overflow_and_numbers_that_are_not_real():
    edge = np.array([1.0, -1.0])
    assert metrics.rmse_std(0 * edge, edge * metrics.LARGEST) == 1.0
    refused(lambda: metrics.rmse_std(0 * edge, edge * 1.1 * metrics.LARGEST), "targets of size 1.1e+307 at most")
    refused(lambda: metrics.rmse(edge + 1j, edge), "real numbers", "prediction of complex128")
