"""Random inputs: modes and statistics of fields, their exact transfer between grids, and how designs fill a box."""

import math

import pytest
import torch
from drawing import generator

from simulators.numerics.random_inputs import Modes, random_field, random_numbers, random_periodic_field, refine

FAMILIES = ["sine", "cosine", "fourier"]


@pytest.mark.parametrize("family", FAMILIES)
def test_modes_are_orthonormal(family):
    averages = Modes(family, 7).averages(4096)
    torch.testing.assert_close(averages @ averages.T / 4096, torch.eye(7).double(), rtol=0, atol=1e-4)  # (n pi h)^2 / 12


def test_modes_are_averages_over_cells():
    # the average of sin(3 pi x) over (1/4, 1/2), and so on
    exact = (math.cos(3 * math.pi / 4) - math.cos(3 * math.pi / 2)) / (3 * math.pi / 4)
    assert float(Modes("sine", 3).averages(4)[2, 1]) == pytest.approx(math.sqrt(2) * exact, rel=1e-14)
    exact = (math.sin(math.pi) - math.sin(math.pi / 2)) / (2 * math.pi / 4)
    assert float(Modes("cosine", 3).averages(4)[2, 1]) == pytest.approx(math.sqrt(2) * exact, rel=1e-14)
    assert float(Modes("fourier", 3).averages(4)[2, 1]) == pytest.approx(math.sqrt(2) * exact, rel=1e-14)
    assert Modes("fourier", 5).numbers().tolist() == [0, 2, 2, 4, 4]


def test_fields_fit_their_boundaries():
    points = 2000
    fields = {family: random_field(generator(), 20, points, [Modes(family, 6)], cutoff=4, power=2) for family in FAMILIES}
    jump = {name: (field[:, 0] - field[:, -1]).abs().max() for name, field in fields.items()}
    slope = {name: (points * (field[:, 1] - field[:, 0])).abs().max() for name, field in fields.items()}
    assert fields["sine"][:, 0].abs().max() < 0.05  # half a cell from 0, where slopes are about 6 pi
    assert slope["cosine"] < 0.5 < slope["sine"]
    assert jump["fourier"] < 0.05 < jump["cosine"]


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_coefficients_have_the_stated_deviations_and_fields_a_mean_square_of_one(family, axes):
    modes = [Modes(family, 4)] * axes
    field = random_field(generator(), 20_000, 64, modes, cutoff=2, power=3)
    assert float(field.square().mean()) == pytest.approx(1, abs=0.03)  # 20,000 samples: one standard deviation is 1 % or less
    coefficients = field
    for axis in range(axes):
        coefficients = torch.movedim(torch.movedim(coefficients, axis + 1, -1) @ modes[0].averages(64).T / 64, -1, axis + 1)
    numbers = modes[0].numbers()
    square = numbers**2 if axes == 1 else numbers[:, None] ** 2 + numbers**2
    expected = (1 + square / 4) ** -1.5
    found = coefficients.std(0)
    torch.testing.assert_close(found / found.flatten()[0], expected / expected.flatten()[0], rtol=0.05, atol=0)
    assert coefficients.mean(0).abs().max() < 0.03


@pytest.mark.parametrize("family", FAMILIES)
def test_refined_fields_are_the_same_fields(family):
    modes = [Modes(family, 5), Modes("cosine", 4)]
    coarse = random_field(generator(), 3, 8, modes, cutoff=2, power=1)
    fine = random_field(generator(), 3, 24, modes, cutoff=2, power=1)
    torch.testing.assert_close(refine(coarse, 24, modes), fine, rtol=0, atol=1e-12)
    torch.testing.assert_close(fine.unflatten(1, (8, 3)).unflatten(3, (8, 3)).mean((2, 4)), coarse, rtol=0, atol=1e-12)


def test_too_few_cells_to_distinguish_the_modes_are_refused():
    with pytest.raises(ValueError, match="got 4 cells for 5 modes"):
        refine(torch.zeros(2, 4).double(), 8, [Modes("sine", 5)])


def test_a_seed_gives_one_set_of_fields():
    first, again, other = (random_field(generator(s), 5, 16, [Modes("sine", 4)], cutoff=2, power=2) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()


# Periodic fields. With 2 M + 1 points or more along an axis, the discrete Fourier transform recovers every coefficient exactly.


def periodic(samples, points, seed=0, modes=3, cutoff=2.0, power=2.0):
    return random_periodic_field(generator(seed), samples, points, modes=modes, cutoff=cutoff, power=power)


@pytest.mark.parametrize("points", [(16,), (8, 12), (8, 7, 9)])
def test_periodic_fields_are_real_and_have_mean_zero_and_a_mean_square_of_one(points):
    field = periodic(4000, points)
    assert field.shape == (4000, *points)
    assert field.dtype == torch.float64
    assert field.flatten(1).mean(1).abs().max() < 1e-14
    # The mean square of a field is a weighted sum of squares of a dozen normal variables or more: its standard deviation is
    # below 1, that of the average over 4,000 fields below 0.016.
    assert float(field.square().mean()) == pytest.approx(1, abs=0.05)
    assert field.mean(0).abs().max() < 5 / math.sqrt(4000)  # every point has variance 1


@pytest.mark.parametrize("points", [(16,), (16, 8)])
def test_the_spectrum_of_periodic_fields_is_the_stated_one_and_isotropic(points):
    modes, cutoff, power, samples = 3, 2.0, 3.0, 20_000
    field = periodic(samples, points, modes=modes, cutoff=cutoff, power=power)
    axes = tuple(range(1, field.ndim))
    energy = torch.fft.fftn(field, dim=axes, norm="forward").abs().square().mean(0)
    square = torch.zeros(())
    for count in points:
        square = square[..., None] + torch.fft.fftfreq(count, 1 / count, dtype=torch.float64) ** 2
    inside = torch.ones(points, dtype=torch.bool)
    for axis, count in enumerate(points):
        shape = [-1 if i == axis else 1 for i in range(len(points))]
        inside &= (torch.fft.fftfreq(count, 1 / count).abs() <= modes).reshape(shape)
    inside &= square > 0
    expected = torch.where(inside, (1 + square / cutoff**2) ** -power, 0)
    expected = expected / expected.sum()  # Parseval: the mean square is 1
    assert energy[~inside].abs().max() < 1e-28
    # Each energy is exponentially distributed: its mean over 20,000 samples has a standard deviation of 0.7 %, and the largest
    # of 48 deviations is less than 5 times that.
    torch.testing.assert_close(energy[inside], expected[inside], rtol=0.035, atol=0)


def test_periodic_fields_have_equal_statistics_at_every_point_and_along_both_axes():
    field = periodic(20_000, (12, 12))
    deviations = field.std(0)
    assert (deviations - 1).abs().max() < 5 * math.sqrt(0.5 / 20_000)  # standard error of a standard deviation: 1 / sqrt(2 n)
    along = [(field * field.roll(2, axis)).mean() for axis in (1, 2)]
    assert float(along[0] - along[1]) == pytest.approx(0, abs=0.015)  # standard errors of 0.002: a dozen waves share the energy


@pytest.mark.parametrize(("coarse", "fine"), [((8,), (24,)), ((8, 7), (24, 21))])
def test_periodic_fields_are_the_same_on_every_grid(coarse, fine):
    some, more = periodic(5, coarse), periodic(5, fine)
    picked = more[:, ::3] if len(fine) == 1 else more[:, ::3, ::3]
    torch.testing.assert_close(picked, some, rtol=0, atol=1e-13)


def test_periodic_fields_belong_to_their_seed():
    assert torch.equal(periodic(3, (8,), seed=1), periodic(3, (8,), seed=1))
    assert not torch.isclose(periodic(3, (8,), seed=1), periodic(3, (8,), seed=2)).any()


def test_a_grid_too_coarse_for_its_waves_is_refused():
    periodic(1, (7, 9), modes=3)
    with pytest.raises(ValueError, match="a grid for 3 waves needs more than 6 points per axis, got 6"):
        periodic(1, (9, 6), modes=3)


# Numbers spread over a box

DESIGNS = ["uniform", "latin hypercube", "sobol"]
BOX = [(0.0, 1.0), (-3.0, 5.0), (1e4, 1e6)]


def spread(samples, design, seed=0, bounds=BOX):
    return random_numbers(generator(seed), samples, bounds, design)


def unit(points):
    lows, highs = torch.tensor(BOX, dtype=torch.float64).unbind(1)
    return (points - lows) / (highs - lows)


@pytest.mark.parametrize("design", DESIGNS)
def test_numbers_stay_in_their_ranges_and_belong_to_their_seed(design):
    points = spread(500, design)
    assert points.shape == (500, 3)
    assert points.dtype == torch.float64
    assert (unit(points) >= 0).all()
    assert (unit(points) <= 1).all()
    assert unit(points).amin(0).max() < 0.03 < 0.97 < unit(points).amax(0).min()  # uniform: fails with probability 2e-6
    assert torch.equal(points, spread(500, design))
    assert not torch.isclose(points, spread(500, design, seed=1)).all(1).any()
    assert spread(0, design).shape == (0, 3)
    assert torch.equal(spread(4, design, bounds=[(2.0, 2.0)]), torch.full((4, 1), 2.0).double())


@pytest.mark.parametrize(("design", "deviation"), [("uniform", 0.29), ("latin hypercube", 0.29 / 256), ("sobol", 0.29 / 256)])
def test_averages_over_a_spread_are_as_accurate_as_the_design_promises(design, deviation):
    # A number has a standard deviation of 0.29 of its range; with one point in each of 256 slices, of 0.29 slices. 12 averages
    # are compared to 5 standard deviations.
    averages = torch.stack([unit(spread(256, design, seed)).mean(0) for seed in range(4)])
    assert (averages - 0.5).abs().max() < 5 * deviation / math.sqrt(256)


@pytest.mark.parametrize("samples", [1, 7, 100])
def test_a_latin_hypercube_has_one_point_in_each_slice_of_each_axis(samples):
    slices = (unit(spread(samples, "latin hypercube")) * samples).floor().long()
    for axis in slices.T:
        assert sorted(axis.tolist()) == list(range(samples))
    if samples > 1:
        assert not torch.equal(slices[:, 0], slices[:, 1])  # the axes are shuffled independently


@pytest.mark.parametrize("power", range(8))
def test_the_first_points_of_a_sobol_sequence_fill_the_dyadic_slices_of_each_axis(power):
    slices = (unit(spread(200, "sobol"))[: 2**power] * 2**power).floor().long()
    for axis in slices.T:
        assert sorted(axis.tolist()) == list(range(2**power))


def test_a_larger_draw_begins_with_the_smaller_one_where_the_points_are_a_sequence():
    for design in ("uniform", "sobol"):
        assert torch.equal(spread(200, design)[:37], spread(37, design))
    assert not torch.isclose(spread(200, "latin hypercube")[:37], spread(37, "latin hypercube")).all()


@pytest.mark.parametrize(
    ("bounds", "design", "message"),
    [
        ([(0.0, 1.0), (2.0, 1.0)], "uniform", r"a range must be finite with its low end first, got \(2.0, 1.0\)"),
        ([(0.0, math.inf)], "sobol", r"a range must be finite with its low end first, got \(0.0, inf\)"),
        ([(-math.inf, 0.0)], "sobol", r"got \(-inf, 0.0\)"),
        ([(math.nan, 1.0)], "uniform", r"got \(nan, 1.0\)"),
    ],
)
def test_invalid_ranges_are_refused(bounds, design, message):
    with pytest.raises(ValueError, match=message):
        spread(3, design, bounds=bounds)
