"""Interpolation onto another grid: exact for affine fields, of second order, and with an estimate of its error."""

from dataclasses import replace

import numpy as np
import pytest
from cases import initial_surrogate

import pac_surrogate as pac
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.matching import in_seconds
from pac_surrogate.files import Coordinate

GENERATOR = np.random.default_rng(0)
PLACES = GENERATOR.uniform(0, 1, 12)


def on_grid(fields, units="1", axes=None, bounds=None, missing=None, **points):
    """Return samples of fields on a grid of named points; the inputs are the phases of the samples."""
    axes = axes or {name: tuple(points) for name in fields}
    data = Dataset.from_arrays({"phase": PLACES}, fields, axes=axes, bounds=bounds, missing=missing)
    coordinates = {name: Coordinate(name, values, units) for name, values in points.items()}
    return Dataset(data._origin, replace(data._description, coordinates={**data.coordinates, **coordinates}))


def sine(x, frequency=2 * np.pi):
    return np.sin(frequency * x + PLACES[:, None])


def waves(points, **options):
    return on_grid({"u": sine(points)}, x=points, **options)


def regridded(data, onto):
    """Return the interpolated data and the error that the warning names, None if it is not known."""
    with pytest.warns(pac.DataWarning, match="interpolated linearly") as caught:
        found = data.regrid(onto)
    number = str(caught[0].message).split(" of u ")[1].split(" ")[0].rstrip(":,")
    return found, None if number == "not" else float(number)


FINE = np.linspace(0, 1, 61) ** 1.2


@pytest.mark.parametrize("falling", [False, True])
def test_affine_fields_are_exact_on_any_points(falling):
    old = np.sort(GENERATOR.uniform(0, 1, 9))
    old = np.concatenate([[0], old, [1]])[:: -1 if falling else 1]
    t = np.linspace(2, 5, 7)

    def affine(t, x):
        return 3 + PLACES[:, None, None] * t[:, None] - 2 * x

    data = on_grid({"u": affine(t, old)}, time=t, x=old)
    new_t = np.array([5, 2.3, 4.4, 2.0])
    found, error = regridded(data, on_grid({"u": affine(new_t, FINE)}, time=new_t, x=FINE))
    # Each value is a weighted mean of four numbers of size 6, each rounded to 1e-16 of it.
    np.testing.assert_allclose(found["u"], affine(new_t, FINE), rtol=0, atol=1e-14)
    assert error < 1e-14
    np.testing.assert_array_equal(found.coordinates["x"].values, FINE)
    assert found.outputs[0].shape == (4, 61)
    np.testing.assert_array_equal(found.x, data.x)


def test_the_error_is_of_second_order_in_the_spacing():
    errors = []
    for points in (21, 41, 81, 161):
        with pytest.warns(pac.DataWarning, match="interpolated"):
            found = waves(np.linspace(0, 1, points)).regrid(waves(FINE))
        errors.append(np.sqrt(np.mean((found["u"] - sine(FINE)) ** 2)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((orders > 1.8) & (orders < 2.2)).all(), orders


@pytest.mark.parametrize("points", [9, 10, 25, 100])
@pytest.mark.parametrize("onto", [FINE, np.linspace(0.01, 0.99, 40)], ids=["uneven", "even"])
def test_the_estimate_of_the_error_is_within_a_factor_of_two(points, onto):
    old = np.linspace(0, 1, points)
    found, estimate = regridded(waves(old), waves(onto))
    true = np.sqrt(np.mean((found["u"] - sine(onto)) ** 2)) / sine(old).std()
    assert true / 2 < estimate < 2 * true, (estimate, true)


def test_the_errors_of_two_axes_are_added():
    """For a product of sines the errors of the axes have the same sign everywhere, so that their sum is the error."""
    t, x = np.linspace(0, 1, 15), np.linspace(0, 1, 21)

    def product(t, x):
        return np.sin(3 * t[:, None] + PLACES[:, None, None]) * np.sin(6 * x)

    new_t, new_x = np.linspace(0.02, 0.97, 30), np.linspace(0.01, 0.98, 50)
    data, other = on_grid({"u": product(t, x)}, time=t, x=x), on_grid({"u": product(new_t, new_x)}, time=new_t, x=new_x)
    found, estimate = regridded(data, other)
    true = np.sqrt(np.mean((found["u"] - product(new_t, new_x)) ** 2)) / product(t, x).std()
    assert true / 2 < estimate < 2 * true, (estimate, true)


def test_points_of_the_own_grid_are_kept_to_rounding_and_without_a_warning(recwarn):
    points = np.linspace(0, 1, 17)
    found = waves(points).regrid(waves(points[::2]))
    np.testing.assert_allclose(found["u"], sine(points[::2]), rtol=0, atol=1e-15)
    same = waves(points)
    assert same.regrid(waves(points + 1e-9)) is same
    assert not recwarn.list


def test_equal_dates_are_equal_points_and_others_are_interpolated_whatever_their_unit(recwarn):
    hours, days = np.arange(0, 240, 24.0), np.arange(20.0)
    in_hours = in_seconds(Coordinate("time", hours, "hours since 2024-02-25"))
    in_days = in_seconds(Coordinate("time", days, "days since 2024-02-20 00:00:00"))
    # 54 years of which 13 are leap years before 2024, and 55 days, to 2024-02-25; the fifth day of the other is this one.
    assert in_hours.values[0] == (54 * 365 + 13 + 55) * 86400 == in_days.values[5]
    assert in_hours.units == in_days.units == "seconds since 1970-01-01"
    sub_second = Coordinate("time", hours, "milliseconds since 2024-02-25")
    assert in_seconds(sub_second) is sub_second
    coarse, fine = (on_grid({"u": PLACES[:, None] * np.arange(n)}, time=np.arange(n)) for n in (20, 10))
    coarse, fine = (with_points(data, one) for data, one in ((coarse, in_days), (fine, in_hours)))
    found = coarse.regrid(fine)
    # Days 5 to 14 of an affine field that grows by the place each day; seconds of 1.7e9 are exact in float64.
    np.testing.assert_allclose(found["u"], PLACES[:, None] * np.arange(5, 15), rtol=0, atol=1e-12)
    assert not recwarn.list
    late = with_points(fine, replace(in_hours, values=in_hours.values + 86400 * 30))
    with pytest.raises(ValueError, match="must cover the other grid, 2024-03-26 to 2024-04-04, it reaches from 2024-02-20 to"):
        coarse.regrid(late)


def with_points(data, coordinate):
    return Dataset(data._origin, replace(data._description, coordinates={coordinate.name: coordinate}))


def test_of_few_points_the_error_is_not_known():
    few = np.linspace(0, 1, 4)
    _, error = regridded(waves(few), waves(FINE))
    assert error is None
    _, error = regridded(waves(np.linspace(0, 1, 5)), waves(FINE))
    assert error is not None


def test_texts_and_axes_that_the_other_grid_does_not_have_stay():
    names, x = np.array(["left", "right"]), np.linspace(0, 1, 30)
    fields = np.stack([sine(x), sine(x)], axis=2)
    data = on_grid({"u": fields, "v": np.ones((12, 6))}, axes={"u": ("x", "channel"), "v": ("y",)}, x=x, channel=names)
    other = on_grid({"u": np.zeros((12, 61, 2))}, x=FINE, channel=names[::-1].copy())
    found, _ = regridded(data, other)
    assert list(found.coordinates["channel"].values) == ["left", "right"]
    assert found["u"].shape == (12, 61, 2)
    np.testing.assert_array_equal(found["v"], data["v"])


def test_the_type_the_bounds_the_splits_and_missing_fields_are_kept():
    x = np.linspace(0, 1, 30)
    u = np.clip(sine(x), 0, 0.7).astype(np.float32)
    u[3] = np.nan
    data = on_grid({"u": u}, x=x, bounds=(0, 0.7), missing="mask")
    found, _ = regridded(data, waves(FINE))
    assert found["u"].dtype == np.float32
    assert np.nanmax(found["u"]) == np.float32(0.7)
    np.testing.assert_array_equal(np.isnan(found["u"]).all(1), np.arange(12) == 3)
    assert np.isnan(found["u"]).any(1).sum() == 1
    whole = Dataset.from_arrays({"phase": PLACES}, {"u": sine(x)}, axes={"u": ("x",)}, test=0.25)
    coordinates = {"x": Coordinate("x", x)}
    whole = Dataset(whole._origin, replace(whole._description, coordinates=coordinates))
    found, _ = regridded(whole, waves(FINE))
    np.testing.assert_array_equal(found.test.x, whole.test.x)
    np.testing.assert_array_equal(found.subset(2, 5).x, whole.subset(2, 5).x)


def test_what_cannot_be_interpolated_is_refused_in_a_line():
    inner, numbered = np.linspace(0.1, 0.9, 30), Dataset.from_arrays(PLACES, {"u": np.zeros((12, 16))}, axes={"u": ("x",)})
    x = np.linspace(0, 1, 30)
    cases = {
        "the axis x of the data must cover the other grid, 0 to 1, it reaches from 0.1 to 0.9: nothing is extrapolated": (
            *(waves(inner), waves(FINE)),
        ),
        "the other grid, 0 to 1, it reaches from 0 to 0.9": (waves(np.linspace(0, 0.9, 30)), waves(FINE)),
        "the axis x is in m in the data and in mm on the grid: convert one": (waves(x, units="m"), waves(FINE, units="mm")),
        "the coordinates of x must rise or fall over at least 2 points": (waves(x[np.r_[0, 2, 1, 3:30]]), waves(FINE)),
        "the axis x needs coordinates on both sides to be interpolated, it has 30 points in the data and 16 on": (
            *(waves(x), numbered),
        ),
    }
    for line, (data, onto) in cases.items():
        with pytest.raises(ValueError, match=line) as caught:
            data.regrid(onto)
        assert "\n" not in str(caught.value)
    slightly = waves(np.concatenate([[1e-8], x[1:-1], [1 - 1e-8]]))
    found, _ = regridded(slightly, waves(FINE))  # beyond by rounding
    np.testing.assert_allclose(found["u"][:, 0], slightly["u"][:, 0], rtol=1e-12)


def test_a_transfer_interpolates_the_target_and_predicts_on_the_grid_of_the_source():
    x = np.linspace(0, 1, 30)
    source, target = waves(FINE), on_grid({"u": 1.1 * sine(x[::-1])}, x=x[::-1].copy())
    start = replace(initial_surrogate(pac.MLP(hidden=(6,)), source), coordinates={"x": source.coordinates["x"]})
    with pytest.warns(pac.DataWarning, match="interpolated linearly onto another grid, with an estimated error.* of u 0.00"):
        found = pac.transfer(start, target, method=pac.LinearCorrection(), regrid=True)
    with pytest.warns(pac.DataWarning, match="interpolated linearly"):
        before = target.regrid(start)
    expected = pac.transfer(start, before, method=pac.LinearCorrection())
    np.testing.assert_array_equal(found.predict(PLACES), expected.predict(PLACES))
    assert found.predict(PLACES).shape == (12, 61)
    assert found.predict_interval(PLACES, 0.8).lower.shape == (12, 61)
    with pytest.warns(pac.DataWarning, match=r"so it gets a new readout .*: interpolate .* transfer\(..., regrid=True\) do"):
        pac.transfer(start, target, method=pac.LastLayerRidge())
    shifted = on_grid({"u": sine(FINE)}, x=FINE**1.1)
    with pytest.warns(pac.DataWarning, match=r"taken point by point; interpolate .* transfer\(..., regrid=True\) do, if that"):
        pac.transfer(start, shifted, method=pac.LinearCorrection())


def test_the_same_points_in_another_order_are_put_into_that_of_the_surrogate():
    """A target that counts from the other end, or names its channels in another order, is the same target."""
    rng = np.random.default_rng(0)
    points, names = np.linspace(0, 1, 5), np.array(["p", "T"])
    power = rng.uniform(1, 2, 30)
    fields = power[:, None, None] * np.stack([np.exp(points), 1e3 * points], axis=-1)

    def rods(rows, order=slice(None), channels=slice(None)):
        options = {"axes": {"u": ("x", "channel")}, "coordinates": {"x": points[order], "channel": names[channels]}}
        return pac.Dataset.from_arrays({"power": power[rows]}, {"u": fields[rows][:, order][:, :, channels]}, **options)

    turned, back = slice(None, None, -1), [1, 0]
    surrogate = pac.pretrain(rods(slice(0, 20)), model=pac.MLP(hidden=(8,)), steps=20)
    few = slice(20, 28)
    expected = pac.transfer(surrogate, rods(few), method="LinearCorrection")
    found = pac.transfer(surrogate, rods(few, turned, back), method="LinearCorrection")
    np.testing.assert_array_equal(found.predict(rods(few)), expected.predict(rods(few)))
    np.testing.assert_array_equal(rods(few, turned, back).aligned(surrogate)["u"], rods(few)["u"])
    same = rods(few)
    assert same.aligned(surrogate) is same
