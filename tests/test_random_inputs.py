"""Random fields: their modes, their statistics, and that they move between grids exactly."""

import math

import pytest
import torch

from simulators.random_inputs import Modes, random_field, refine

FAMILIES = ["sine", "cosine", "fourier"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


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
    assert fields["sine"][:, 0].abs().max() < 0.05  # half a cell from 0, where slopes are some 6 pi
    assert slope["cosine"] < 0.5 < slope["sine"]
    assert jump["fourier"] < 0.05 < jump["cosine"]


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_coefficients_have_the_stated_deviations_and_fields_a_mean_square_of_one(family, axes):
    modes = [Modes(family, 4)] * axes
    field = random_field(generator(), 20_000, 64, modes, cutoff=2, power=3)
    assert float(field.square().mean()) == pytest.approx(1, abs=0.03)  # 20,000 samples: 1 % is one deviation or less
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


def test_too_few_cells_to_tell_the_modes_apart_are_refused():
    with pytest.raises(ValueError, match="got 4 cells for 5 modes"):
        refine(torch.zeros(2, 4).double(), 8, [Modes("sine", 5)])


def test_a_seed_gives_one_set_of_fields():
    first, again, other = (random_field(generator(s), 5, 16, [Modes("sine", 4)], cutoff=2, power=2) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()
