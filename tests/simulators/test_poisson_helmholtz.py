"""Steady equations on a periodic box against closed forms, differentiation matrices and symmetries, and their ensembles."""

import json
import math
from dataclasses import asdict, replace

import jaxtyping
import numpy as np
import pytest
import torch
from drawing import generator
from scipy.linalg import toeplitz
from solving import tensor
from torch import pi

from simulators.ensemble import Ensemble
from simulators.steady.blobs import random_blobs
from simulators.steady.helmholtz_ensemble import Helmholtz, ScreenedPoisson
from simulators.steady.poisson_ensemble import AnisotropicPoisson, SteadyAdvectionDiffusion, speed_of_ratio
from simulators.steady.poisson_helmholtz import apply_elliptic, solve_elliptic

LENGTHS = [1.5, 0.8]  # neither is 1, so that a factor forgotten shows


def relative(found, exact):
    """Return the norm of the difference of each row over that of the exact row."""
    return ((found - exact).abs().flatten(1).norm(dim=1) / exact.abs().flatten(1).norm(dim=1)).max()


DIFFUSION = tensor([[2.0, 0.7], [0.7, 1.0]], [[0.5, -0.3], [-0.3, 0.4]])
VELOCITY = tensor([3.0, -8.0], [-20.0, 5.0])
REACTION = tensor(1.5, -7.0)  # the first absorbs; the second makes the operator indefinite
CASES = {
    "diffusion": {},
    "advection": {"velocity": VELOCITY},
    "reaction": {"reaction": REACTION},
    "all terms": {"velocity": VELOCITY, "reaction": REACTION},
    "absorption": {"velocity": VELOCITY, "reaction": REACTION - 2j},
}


def noise(*shape, seed=0):
    """Return random fields with zero mean that contain every wave of the grid, also those of half as many periods as points."""
    field = torch.randn(*shape, generator=generator(seed), dtype=torch.float64)
    return field - field.flatten(1).mean(1).reshape(-1, *(1,) * (len(shape) - 1))


# Closed forms


def waves(x, y):
    """Return a sum of three waves with zero mean: one along each axis and an oblique one."""
    x, y = 2 * pi * x / LENGTHS[0], 2 * pi * y / LENGTHS[1]
    return torch.cos(2 * x - y + 0.3) + 0.5 * torch.sin(3 * y) + 0.25 * torch.cos(x + 0.1)


@pytest.mark.parametrize("case", CASES)
def test_waves_are_solved_to_round_off(case):
    x = (torch.arange(12).double() * LENGTHS[0] / 12)[:, None].expand(12, 10).clone().requires_grad_()
    y = (torch.arange(10).double() * LENGTHS[1] / 10)[None].expand(12, 10).clone().requires_grad_()
    u = waves(x, y)
    u_x, u_y = torch.autograd.grad(u.sum(), [x, y], create_graph=True)
    u_xx, u_xy = torch.autograd.grad(u_x.sum(), [x, y], retain_graph=True)
    (u_yy,) = torch.autograd.grad(u_y.sum(), y)
    none = torch.zeros(2)
    (k, v, w) = DIFFUSION[..., None, None], CASES[case].get("velocity", torch.zeros(2, 2)), CASES[case].get("reaction", none)
    source = -(k[:, 0, 0] * u_xx + 2 * k[:, 0, 1] * u_xy + k[:, 1, 1] * u_yy)
    source = source + v[:, 0, None, None] * u_x + v[:, 1, None, None] * u_y + w[:, None, None] * u
    found = solve_elliptic(source.detach(), diffusion=DIFFUSION, lengths=LENGTHS, **CASES[case])
    torch.testing.assert_close(found, u.detach().expand(2, 12, 10).to(found), rtol=0, atol=1e-13)


def test_a_wave_on_a_circle_is_solved_to_round_off():
    k, v, w, length = tensor(0.5, 2.0), tensor(1.0, -3.0), tensor(0.0, 4.0), 1.5
    x = torch.arange(8).double() * length / 8
    q = 2 * pi * 3 / length
    source = (k * q**2 + w)[:, None] * torch.cos(q * x) - (v * q)[:, None] * torch.sin(q * x)
    found = solve_elliptic(source, diffusion=k[:, None, None], velocity=v[:, None], reaction=w, lengths=[length])
    torch.testing.assert_close(found, torch.cos(q * x).expand(2, 8), rtol=0, atol=1e-13)


# Differentiation matrices of the trigonometric interpolant


def differentiation(points, length):
    """First and second derivative at equidistant points (Trefethen, Spectral Methods in MATLAB, equations 3.10 and 3.12)."""
    h, j = 2 * np.pi / points, np.arange(1, points)
    first = np.concatenate([[0], 0.5 * (-1.0) ** j / np.tan(j * h / 2)])
    second = np.concatenate([[-(np.pi**2) / (3 * h**2) - 1 / 6], -((-1.0) ** j) / (2 * np.sin(j * h / 2) ** 2)])
    scale = 2 * np.pi / length
    return torch.from_numpy(scale * toeplitz(first, -first)), torch.from_numpy(scale**2 * toeplitz(second))


def differentiate(u, diffusion, velocity=None, reaction=None):
    """Apply the operator by matrices, without a Fourier transform."""
    (d_x, d_xx), (d_y, d_yy) = (differentiation(n, length) for n, length in zip(u.shape[1:], LENGTHS, strict=True))
    k = diffusion[..., None, None]
    d_x, d_xx, d_y, d_yy = (d.to(u) for d in (d_x, d_xx, d_y, d_yy))
    result = -(k[:, 0, 0] * (d_xx @ u) + 2 * k[:, 0, 1] * (d_x @ u @ d_y.T) + k[:, 1, 1] * (u @ d_yy.T))
    if velocity is not None:
        result = result + velocity[:, 0, None, None] * (d_x @ u) + velocity[:, 1, None, None] * (u @ d_y.T)
    return result if reaction is None else result + reaction[:, None, None] * u


@pytest.mark.parametrize("case", CASES)
def test_the_operator_applied_to_the_solution_gives_the_source_back(case):
    source = noise(2, 24, 16)
    found = solve_elliptic(source, diffusion=DIFFUSION, lengths=LENGTHS, **CASES[case])
    assert relative(differentiate(found, DIFFUSION, **CASES[case]), source) < 1e-11  # derivatives amplify round-off by 1e4
    assert relative(apply_elliptic(found, diffusion=DIFFUSION, lengths=LENGTHS, **CASES[case]), source) < 1e-11
    assert found.is_complex() == (case == "absorption")


@pytest.mark.parametrize("case", CASES)
def test_the_operator_is_that_of_the_differentiation_matrices(case):
    field = noise(2, 24, 16, seed=1)
    found = apply_elliptic(field, diffusion=DIFFUSION, lengths=LENGTHS, **CASES[case])
    assert relative(found, differentiate(field, DIFFUSION, **CASES[case])) < 1e-12


def test_a_complex_source_is_solved_part_by_part():
    real, imaginary = noise(2, 8, 8), noise(2, 8, 8, seed=1)
    settings = {"diffusion": DIFFUSION, "velocity": VELOCITY, "lengths": LENGTHS}
    found = solve_elliptic(torch.complex(real, imaginary), **settings)
    torch.testing.assert_close(found.real, solve_elliptic(real, **settings), rtol=0, atol=1e-14)
    torch.testing.assert_close(found.imag, solve_elliptic(imaginary, **settings), rtol=0, atol=1e-14)


# Means, symmetries and rows


def test_the_mean_is_zero_without_reaction_and_follows_it_otherwise():
    settings = {"diffusion": DIFFUSION, "lengths": LENGTHS}
    source = noise(2, 8, 8) + 0.3
    mixed = solve_elliptic(source - tensor(0.3, 0)[:, None, None], reaction=tensor(0.0, 2.0), **settings)
    torch.testing.assert_close(mixed.mean((1, 2)), tensor(0, 0.15), rtol=0, atol=1e-14)
    stored = noise(2, 8, 8).float()  # in float32 its mean is about 1e-8
    assert stored.double().mean((1, 2)).abs().min() > 1e-11
    assert solve_elliptic(stored, **settings).mean((1, 2)).abs().max() < 1e-15


def test_a_shifted_mirrored_or_transposed_source_has_the_corresponding_solution():
    source = noise(2, 12, 8)
    settings = {"velocity": VELOCITY, "reaction": REACTION}
    found = solve_elliptic(source, diffusion=DIFFUSION, lengths=LENGTHS, **settings)
    same = {"rtol": 0, "atol": 1e-13}
    moved = solve_elliptic(source.roll((5, 3), (1, 2)), diffusion=DIFFUSION, lengths=LENGTHS, **settings)
    torch.testing.assert_close(moved, found.roll((5, 3), (1, 2)), **same)
    flip = tensor(-1.0, 1.0)
    mirrored = solve_elliptic(
        source.flip(1),
        diffusion=flip[:, None] * DIFFUSION * flip,
        velocity=flip * VELOCITY,
        reaction=REACTION,
        lengths=LENGTHS,
    )
    torch.testing.assert_close(mirrored, found.flip(1), **same)
    turned = solve_elliptic(
        source.mT, diffusion=DIFFUSION.flip(1, 2), velocity=VELOCITY.flip(1), reaction=REACTION, lengths=LENGTHS[::-1]
    )
    torch.testing.assert_close(turned, found.mT, **same)


def test_a_batch_equals_its_rows():
    source = noise(2, 12, 8)
    settings = {"diffusion": DIFFUSION, "velocity": VELOCITY, "reaction": REACTION - 1j}
    together = solve_elliptic(source, lengths=LENGTHS, **settings)
    for i in range(2):
        row = {name: values[i : i + 1] for name, values in settings.items()}
        alone = solve_elliptic(source[i : i + 1], lengths=LENGTHS, **row)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-14)


# Refused arguments

GOOD = {"source": noise(2, 8, 6), "diffusion": DIFFUSION, "lengths": LENGTHS}
RESONANT = tensor(1.0, -(0.5 * (2 * pi / 1.5) ** 2) * (1 + 1e-12))  # in the second sample, one period along x nearly cancels
REFUSED = {
    r"a field needs an even number of points along each axis, got \(8, 5\): add or drop one": {"source": noise(2, 8, 5)},
    r"source must have mean 0 where reaction is 0, got a mean of 0\.5 .* in sample 1: subtract it": {
        "source": noise(2, 8, 6) + tensor(0, 0.5)[:, None, None]
    },
    r"vanishes for the wave of \(1, 0\) periods along the axes in sample 1 \(resonance\): change": {"reaction": RESONANT},
    r"diffusion must be symmetric and positive definite, got \[\[1\.0, 2\.0\], \[2\.0, 1\.0\]\] m\^2/s in sample 1": {
        "diffusion": torch.stack([DIFFUSION[0], tensor([1.0, 2.0], [2.0, 1.0])])
    },
    "diffusion must be symmetric and positive definite, got .* in sample 0": {
        "diffusion": tensor([[1.0, 0.1], [0.0, 1.0]]).expand(2, 2, 2)
    },
    r"diffusion must have shape \(2, 2, 2\) for fields \(2, 8, 6\), got \(1, 2, 2\)": {"diffusion": DIFFUSION[:1]},
    r"velocity must have shape \(2, 2\)": {"velocity": VELOCITY[:1]},
    r"reaction must have shape \(2,\)": {"reaction": tensor(1.0)},
    "velocity must be finite, it is not in sample 1": {"velocity": tensor([0.0, 1.0], [math.nan, 0.0])},
    "reaction must be finite, it is not in sample 0": {"reaction": tensor(math.inf, 0.0)},
    "the field must be finite, it is not in sample 0": {"source": torch.full((2, 8, 6), math.nan)},
    "lengths must be 2 positive": {"lengths": [1.0]},
    r"lengths must be 2 positive number\(s\) \[m\], one per axis, got \(1\.0, -1\.0\)": {"lengths": [1.0, -1.0]},
}


@pytest.mark.parametrize("message", REFUSED)
def test_unsolvable_equations_are_refused_in_one_line(message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its type checks would come before ours
    with pytest.raises(ValueError, match=message) as refusal:
        solve_elliptic(**{**GOOD, **REFUSED[message]})
    assert "\n" not in str(refusal.value)


def test_absorption_makes_a_resonant_equation_solvable():
    found = solve_elliptic(**GOOD, reaction=RESONANT + 1e-3j)
    # Absorption limits the resonant wave to a thousand times its source. The second derivatives by matrices have rounding
    # errors of eps times the largest one, and differ by some roundings between processors.
    steepest = sum((math.pi * n / length) ** 2 for n, length in zip(GOOD["source"].shape[1:], LENGTHS, strict=True))
    raised = float(found.abs().norm() / GOOD["source"].abs().norm())
    bound = 16 * torch.finfo(torch.float64).eps * float(DIFFUSION.abs().max()) * steepest * raised
    assert bound < 1e-8  # without the absorption, round-off would hide the wave
    assert relative(differentiate(found, DIFFUSION, reaction=RESONANT + 1e-3j), GOOD["source"]) < bound


@pytest.mark.parametrize(("least", "refused"), [(0.0, True), (1e-15, True), (1e-12, False)])
def test_a_diffusion_tensor_without_a_second_direction_is_refused_at_every_angle(least, refused):
    """Round-off makes its smaller eigenvalue positive or negative by chance; at 1e-12 of the larger one, 3 digits are known."""
    angle = torch.linspace(0.01, 3.13, 200, dtype=torch.float64)
    along = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    across = torch.stack([-torch.sin(angle), torch.cos(angle)], 1)
    diffusion = along[:, :, None] * along[:, None, :] + least * across[:, :, None] * across[:, None, :]
    for row in diffusion:
        if refused:
            with pytest.raises(ValueError, match="diffusion must be symmetric and positive definite"):
                apply_elliptic(torch.zeros(1, 2, 2), diffusion=row[None], lengths=LENGTHS)
        else:
            apply_elliptic(torch.zeros(1, 2, 2), diffusion=row[None], lengths=LENGTHS)


def test_a_nearly_undamped_wave_is_a_resonance_only_where_terms_cancel():
    """Along an axis a diffusivity of 1e-11 is one number; across the diagonal it is a difference of terms 1e11 times larger."""
    wave = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 1.0, 0.0]]).double()
    along_axes = torch.diag(torch.tensor([1.0, 1e-11]).double())
    turn = torch.tensor([[1.0, 1.0], [-1.0, 1.0]]).double() / 2**0.5
    assert torch.isfinite(solve_elliptic(wave[None], diffusion=along_axes[None], lengths=(1.0, 1.0))).all()
    for least, refused in ((1e-11, True), (1e-9, False)):
        oblique = turn @ torch.diag(torch.tensor([1.0, least]).double()) @ turn.T
        if refused:
            with pytest.raises(ValueError, match=r"in sample 0 \(resonance\)"):
                solve_elliptic(wave[None], diffusion=oblique[None], lengths=(1.0, 1.0))
        else:
            found = solve_elliptic(wave[None], diffusion=oblique[None], lengths=(1.0, 1.0))
            # sin(2 pi x) cos(2 pi y) has waves along both diagonals, of which the second is damped by `least` alone.
            assert float(found.abs().max()) == pytest.approx(float(wave.abs().max()) / 2 / (8 * pi**2 * least), rel=1e-6)


# Sources


def test_blobs_are_gaussians_on_a_grid_of_centres_made_periodic():
    points, blobs, width = 32, 6, 1 / 16
    field = random_blobs(generator(), 1, points, blobs=blobs, width=width, sparsities=(0.5,))[0]
    position = torch.arange(points).double() / points
    distance = (position[:, None] - (0.5 + 2 * width * (torch.arange(blobs) - 2.5))).abs()
    shapes = torch.exp(
        -(torch.minimum(distance, 1 - distance) ** 2) / (2 * width**2)
    )  # the nearest image; the next one has a weight of e^-32
    heights = torch.linalg.pinv(shapes) @ field @ torch.linalg.pinv(shapes).T
    torch.testing.assert_close(shapes @ heights @ shapes.T, field, rtol=0, atol=1e-6)
    assert field.max() == 1
    silent = heights.abs() < 1e-5 * heights.max()
    assert 10 <= int(silent.sum()) <= 26  # each of 36 is absent with probability 1/2: three standard deviations
    assert (heights[~silent] > 0).all()


def test_every_sparsity_is_drawn_and_one_blob_stays():
    def loudness(*sparsities):
        return random_blobs(generator(), 400, 16, blobs=4, width=1 / 8, sparsities=sparsities).mean((1, 2))

    lone = loudness(1.0)
    assert float(lone.max()) == pytest.approx(2 * pi / 64, rel=1e-3)  # of one Gaussian; a little less off the points
    assert float(lone.min()) == pytest.approx(2 * pi / 64, rel=1e-3)
    mixed = loudness(0.0, 1.0)
    alone = (mixed < 1.01 * 2 * pi / 64).sum()
    assert 160 < int(alone) < 240  # half of 400, four standard deviations


def test_blobs_that_the_points_do_not_resolve_or_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"blobs of width 0\.03125 need 64 points or more along each axis, got 32: widen"):
        random_blobs(generator(), 1, 32)
    with pytest.raises(ValueError, match=r"17 blobs two widths of 0\.03125 apart do not fit into a side of 1"):
        random_blobs(generator(), 1, 64, blobs=17)


# Ensembles

SMALL = {"points": 32, "blobs": 6, "width": 1 / 16}
ENSEMBLES = {
    "Poisson": AnisotropicPoisson(),
    "advection-diffusion": SteadyAdvectionDiffusion(),
    "advection neglected": SteadyAdvectionDiffusion(advected=False),
    "screened": ScreenedPoisson(),
    "Helmholtz": Helmholtz(),
    "receivers": Helmholtz(receivers=8),
    "small": AnisotropicPoisson(**SMALL),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_an_ensemble_returns_what_it_declares(name):
    ensemble = ENSEMBLES[name]
    assert isinstance(ensemble, Ensemble)
    assert math.isnan(ensemble.order)
    assert json.loads(json.dumps(asdict(ensemble), allow_nan=False))["points"] == ensemble.points
    inputs = ensemble.draw(generator(), 3)
    outputs, residual = ensemble.solve(inputs)
    for quantities, arrays, precision in ((ensemble.inputs, inputs, torch.float32), (ensemble.outputs, outputs, torch.float64)):
        assert [(q.name, (3, *q.shape), precision) for q in quantities] == [
            (key, tuple(array.shape), array.dtype) for key, array in arrays.items()
        ]
    lengths = {c.name: len(c.values) for c in ensemble.coordinates}
    for quantity in (*ensemble.inputs, *ensemble.outputs):
        assert quantity.shape == tuple(lengths[axis] for axis in quantity.axes)
    assert residual.shape == (3,)
    assert 0 < residual.max() < 1e-11  # the largest wave number amplifies round-off by 1e3
    again = ensemble.draw(generator(), 3)
    other = ensemble.draw(generator(1), 3)
    for key, values in inputs.items():
        assert torch.equal(values, again[key])
        assert not torch.equal(values, other[key])
    alone, _ = ensemble.solve({key: values[1:2] for key, values in inputs.items()})
    for key, values in outputs.items():
        torch.testing.assert_close(values[1:2], alone[key], rtol=1e-12, atol=1e-12 * float(values.abs().max()))


@pytest.mark.parametrize("name", ["Poisson", "screened", "Helmholtz"])
def test_doubling_the_points_changes_nothing(name):
    ensemble = ENSEMBLES[name]
    fine = replace(ensemble, points=128)
    drawn, refined = ensemble.draw(generator(), 2), fine.draw(generator(), 2)
    coarse, exact = ensemble.solve(drawn)[0], fine.solve(refined)[0]
    for key, values in coarse.items():
        # The fields are divided by their largest value at a point, which depends on the points: compare their shapes.
        found, wanted = (field / field.flatten(1).norm(dim=1)[:, None, None] for field in (values, exact[key][:, ::2, ::2]))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-7)  # stored inputs have seven digits


def test_the_diffusion_tensors_have_the_eigenvalues_of_the_range_in_every_direction():
    inputs = AnisotropicPoisson(eigenvalue=(5.0, 10.0)).draw(generator(), 2000)
    xx, xy, yy = (inputs[f"diffusion_{axes}"].double() for axes in ("xx", "xy", "yy"))
    weak, strong = torch.linalg.eigvalsh(torch.stack([xx, xy, xy, yy], 1).unflatten(1, (2, 2))).T
    torch.testing.assert_close(weak, torch.full_like(weak, 0.01), rtol=1e-5, atol=0)
    assert (float(strong.min()), float(strong.max())) == pytest.approx((0.05, 0.1), rel=0.005)
    assert float(strong.mean()) == pytest.approx(0.075, rel=0.02)
    angles = torch.atan2(2 * xy, xx - yy)  # twice the angle of the strong axis
    assert np.histogram(angles, 4, (-np.pi, np.pi))[0] == pytest.approx([500] * 4, rel=0.2)
    assert inputs["source"].mean((1, 2)).abs().max() < 1e-7


def test_the_ratio_of_advection_to_diffusion_is_the_one_drawn():
    ensemble = SteadyAdvectionDiffusion(ratio=(0.5, 0.9), **SMALL)
    inputs = ensemble.draw(generator(), 100)
    u = ensemble.solve(inputs)[0]["solution"]
    xx, xy, yy = (inputs[f"diffusion_{axes}"].double() for axes in ("xx", "xy", "yy"))
    velocity = torch.stack([inputs["velocity_x"], inputs["velocity_y"]], 1).double()
    diffused = apply_elliptic(u, diffusion=torch.stack([xx, xy, xy, yy], 1).unflatten(1, (2, 2)), lengths=[1, 1])
    advected = inputs["source"].double() - diffused
    ratio = advected.flatten(1).norm(dim=1) / diffused.flatten(1).norm(dim=1)
    assert (float(ratio.min()), float(ratio.max())) == pytest.approx((0.5, 0.9), abs=0.02)
    assert float(ratio.mean()) == pytest.approx(0.7, abs=0.04)
    d_x, _ = differentiation(32, 1.0)
    by_matrices = velocity[:, 0, None, None] * (d_x @ u) + velocity[:, 1, None, None] * (u @ d_x.T)
    torch.testing.assert_close(by_matrices, advected, rtol=0, atol=1e-6)
    assert np.histogram(torch.atan2(velocity[:, 1], velocity[:, 0]), 4, (-np.pi, np.pi))[0].min() >= 12  # in all four quadrants


def test_the_speed_for_a_given_ratio_is_found_to_nine_digits():
    wanted, direction = tensor(0.01, 0.9), tensor([0.6, 0.8], [0.0, -1.0])
    source = random_blobs(generator(), 2, 32, blobs=6, width=1 / 16)
    source = source - source.mean((1, 2), keepdim=True)
    speed = speed_of_ratio(wanted, direction, source, DIFFUSION, 2.0)
    settings = {"diffusion": DIFFUSION, "lengths": [2.0, 2.0]}
    diffused = apply_elliptic(solve_elliptic(source, velocity=speed[:, None] * direction, **settings), **settings)
    found = (source - diffused).flatten(1).norm(dim=1) / diffused.flatten(1).norm(dim=1)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
    with pytest.raises(ValueError, match="no speed makes advection 3 times diffusion in sample 1: lower the ratio"):
        speed_of_ratio(tensor(0.01, 3.0), direction, source, DIFFUSION, 2.0)


def test_a_square_of_twice_the_side_has_the_solution_of_a_quarter_of_the_diffusivity():
    inputs = AnisotropicPoisson(**SMALL).draw(generator(), 2)
    once, twice = (AnisotropicPoisson(length=length, **SMALL).solve(inputs)[0]["solution"] for length in (1.0, 2.0))
    torch.testing.assert_close(twice, 4 * once, rtol=0, atol=1e-12)
    inputs = ScreenedPoisson(**SMALL).draw(generator(), 2)
    weak, wide = (ScreenedPoisson(diffusivity=d, length=n, **SMALL).solve(inputs)[0] for d, n in ((0.01, 1.0), (0.04, 2.0)))
    torch.testing.assert_close(weak["solution"], wide["solution"], rtol=0, atol=1e-13)


def test_neglected_advection_leaves_the_poisson_equation_and_the_same_inputs():
    full = SteadyAdvectionDiffusion(**SMALL)
    neglecting = replace(full, advected=False)
    assert (full.inputs, full.outputs, full.coordinates) == (neglecting.inputs, neglecting.outputs, neglecting.coordinates)
    inputs = full.draw(generator(), 4)
    found = neglecting.solve(inputs)[0]["solution"]
    poisson = AnisotropicPoisson(**SMALL).solve({key: inputs[key] for key in list(inputs)[:4]})[0]["solution"]
    assert torch.equal(found, poisson)
    assert relative(found, full.solve(inputs)[0]["solution"]) > 0.1
    assert neglecting.equation != full.equation


def test_screened_diffusion_loses_what_the_source_gives():
    ensemble = ScreenedPoisson(reaction=(2.0, 4.0), diffusivity=0.03, **SMALL)
    inputs = ensemble.draw(generator(), 200)
    reaction, source = inputs["reaction"].double(), inputs["source"].double()
    assert (float(reaction.min()), float(reaction.max())) == pytest.approx((2, 4), abs=0.05)
    u = ensemble.solve(inputs)[0]["solution"]
    torch.testing.assert_close(reaction * u.mean((1, 2)), source.mean((1, 2)), rtol=1e-12, atol=0)
    assert (u > 0).all()  # the maximum principle: sources are positive
    _, d_xx = differentiation(32, 1.0)
    back = -0.03 * (d_xx @ u + u @ d_xx.T) + reaction[:, None, None] * u
    assert relative(back, source) < 1e-11


def test_absorbed_waves_satisfy_helmholtz_equation():
    ensemble = Helmholtz(wave_number=(10.0, 15.0), absorption=0.3, **SMALL)
    inputs = ensemble.draw(generator(), 100)
    k, source = inputs["wave_number"].double(), inputs["source"].double()
    assert (float(k.min()), float(k.max())) == pytest.approx((10, 15), abs=0.2)
    outputs, _ = ensemble.solve(inputs)
    u = torch.complex(outputs["real_pressure"], outputs["imaginary_pressure"])
    _, d_xx = differentiation(32, 1.0)
    d_xx = d_xx.to(u)
    assert relative(d_xx @ u + u @ d_xx.T + ((k**2)[:, None, None] * (1 + 0.3j)) * u, -source.to(u)) < 1e-11
    absorbed = 0.3 * k**2 * (u.abs() ** 2).mean((1, 2))
    torch.testing.assert_close((u.imag * source).mean((1, 2)), absorbed, rtol=1e-11, atol=0)  # the source's work is absorbed


def test_receivers_report_the_field_at_their_positions():
    field, heard = Helmholtz(), Helmholtz(receivers=8)
    inputs = field.draw(generator(), 2)
    everywhere, there = field.solve(inputs)[0], heard.solve(inputs)[0]
    for name, values in there.items():
        east, north, west, south = ((56, 32), (32, 56), (8, 32), (32, 8))  # of 64 points, 3/8 of the side from the centre
        at_points = torch.stack([everywhere[name][:, i, j] for i, j in (east, north, west, south)], 1)
        scale = float(at_points.abs().max())
        torch.testing.assert_close(values[:, ::2], at_points, rtol=0, atol=1e-13 * scale)
        i = 32 + 24 * math.sqrt(0.5)  # north-east, between points: the polynomial through six on the diagonal
        nodes = [round(i) - 1 + n for n in range(-2, 4)]
        values_at = np.stack([everywhere[name][:, n, n].numpy() for n in nodes], 1)
        weights = [math.prod((i - m) / (n - m) for m in nodes if m != n) for n in nodes]
        np.testing.assert_allclose(values[:, 1].numpy(), values_at @ weights, rtol=0, atol=1e-3 * scale)
    assert heard.coordinates[2].values == tuple(range(0, 360, 45))
