"""The heat solver: exact and manufactured solutions, its energy balance, and its symmetries."""

import math

import jaxtyping
import pytest
import torch
from solving import LENGTH, centres, orders, refusal_of, root_mean_square, tensor
from torch import pi

from simulators import Dirichlet, Neumann, Periodic, Robin, solve_heat
from simulators.numerics.step_error import LostSolutionError, tolerate

CAPACITY = 3.0  # not 1, so that a missing factor is noticed


def rod(initial, conductivity, times, boundaries, step, **options):
    options = {"capacity": CAPACITY, "lengths": [LENGTH], **options}
    return solve_heat(initial, conductivity, tensor(*times), boundaries=[boundaries], step=step, **options)


# Exact solutions. A mode of wave number w decays as exp(-k w^2 t / c). On cell centres all modes but Robin's are also
# eigenvectors of the difference operator, and decay with (2 / h sin(w h / 2))^2 instead of w^2.

ROBIN = 1.3  # w of the first even mode cos(w (x - L/2)); it solves k w tan(w L/2) = heat transfer
CONDUCTIVITIES = tensor(0.7, 2.0)
MODES = {
    "Dirichlet": (1.5 * pi, lambda x, w: torch.sin(w * x), Dirichlet()),
    "Neumann": (pi, lambda x, w: torch.cos(w * x), Neumann()),
    "periodic": (pi, lambda x, w: torch.cos(w * x + 0.4), Periodic()),
    "Robin": (ROBIN, lambda x, w: torch.cos(w * (x - 1)), Robin(CONDUCTIVITIES * ROBIN * math.tan(ROBIN))),
}


def solve_mode(kind, cells, end, steps, **options):
    wave, mode, side = MODES[kind]
    initial = mode(centres(cells), wave).expand(2, -1)
    heat = rod(initial, CONDUCTIVITIES, [0.0, 0.3 * end, end], (side, side), end / steps, **options)
    torch.testing.assert_close(heat.temperature[:, 0], initial, rtol=0, atol=0)
    return initial, heat.temperature[:, -1]


@pytest.mark.parametrize("kind", MODES)
def test_modes_decay_at_their_rates_with_order_two_in_space(kind):
    wave, end, errors = MODES[kind][0], 0.2, []
    for cells in (32, 64, 128):
        initial, found = solve_mode(kind, cells, end, steps=200)
        decay = torch.exp(-CONDUCTIVITIES * wave**2 * end / CAPACITY)[:, None]
        errors.append(root_mean_square(found - decay * initial))
    assert orders(errors) == pytest.approx([2, 2], abs=0.05)
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("kind", ["Dirichlet", "Neumann", "periodic"])
@pytest.mark.parametrize(("scheme", "order", "steps"), [("legendre", 2, 16), ("euler", 1, 400)])
def test_modes_of_the_grid_decay_with_the_order_of_the_scheme_in_time(kind, scheme, order, steps):
    # With 128 cells a Legendre step takes 20 stages or more. The number of stages changes as the step is halved, but from 20
    # stages on the error constant changes by less than 1 %.
    cells, end, errors = {"legendre": 128, "euler": 16}[scheme], 0.5, []
    h, wave = LENGTH / cells, MODES[kind][0]
    for count in (steps, 2 * steps):
        initial, found = solve_mode(kind, cells, end, count, scheme=scheme)
        decay = torch.exp(-CONDUCTIVITIES * (2 / h * math.sin(wave * h / 2)) ** 2 * end / CAPACITY)[:, None]
        errors.append(root_mean_square(found - decay * initial))
    assert orders(errors) == pytest.approx([order], abs=0.05)
    assert errors[-1] < 1e-2


def estimated(*body, **options):
    return refusal_of(rod, *body, **options)


# Legendre: the error constant of 3 stages, 1/10, is 1.8 times that of many stages, 1/18; the differences refer to a time 1.5
# steps earlier, when a mode was larger by a factor of exp(1.5 z), with z = 0.6 in the longest steps here. Euler: one step
# earlier, z below 0.01. With fewer steps than the differences need, the estimate is the change when the step is halved, which
# is the error up to the next power of z.
@pytest.mark.parametrize("kind", ["Dirichlet", "Neumann", "periodic"])
@pytest.mark.parametrize(
    ("scheme", "cells", "steps", "bounds"),
    [
        ("legendre", 128, (4, 8, 16, 32), (1.5, 1.8 * math.exp(0.9))),
        ("legendre", 128, (2,), (0.8, 1.4)),
        ("euler", 16, (220, 400), (0.99, 1.02)),
    ],
)
def test_the_estimated_error_is_that_of_the_exact_decay_within_known_factors(kind, scheme, cells, steps, bounds):
    (wave, mode, side), end, h = MODES[kind], 0.2, LENGTH / cells
    initial = mode(centres(cells), wave)[None]
    for count in steps:
        for k in CONDUCTIVITIES:
            body = (initial, k[None], [end], (side, side), end / count)
            with tolerate(math.inf):
                found = rod(*body, scheme=scheme).temperature[0, 0]
            exact = torch.exp(-k * (2 / h * math.sin(wave * h / 2)) ** 2 * end / CAPACITY) * initial[0]
            error = float((found - exact).norm() / initial.norm())
            assert bounds[0] * error < estimated(*body, scheme=scheme).error < bounds[1] * error


def test_steps_that_are_too_long_for_one_rod_are_refused_with_its_number():
    x = centres(64)
    # 64 cells resolve these modes, 3 steps do not.
    initial = torch.stack([torch.cos(pi * x / 2), torch.cos(8 * pi * x), torch.cos(pi * x)])
    body = (initial, tensor(0.1, 1.0, 0.1), [0.1, 0.2], (Neumann(), Neumann()))
    with pytest.raises(
        LostSolutionError, match=r"sample 1 is lost by time t = 0\.1: .* take time steps shorter than 0\.1 s"
    ) as refusal:
        rod(*body, 0.1)
    assert len(str(refusal.value)) < 400
    rod(*body, 0.004)
    rod(initial[::2], tensor(0.1, 0.1), *body[2:], 0.1)


def test_a_steady_state_has_no_error():
    heat = rod(torch.zeros(1, 16).double(), tensor(1.0), [100.0, 200.0], (Dirichlet(0.0), Dirichlet(1.0)), 1.0)
    torch.testing.assert_close(heat.temperature[0, 1], centres(16) / LENGTH, rtol=0, atol=1e-12)
    with tolerate(1e-12):
        rod(heat.temperature[:, 1], tensor(1.0), [100.0], (Dirichlet(0.0), Dirichlet(1.0)), 1.0)


def test_a_source_that_overflows_is_refused_with_the_sample_and_the_time():
    def source(time):
        return torch.where(time > 0.5, tensor([0.0], [1e308]), 0.0) * 1e10

    with pytest.raises(LostSolutionError, match="sample 1 is lost by time t = 1: what the time steps return is not finite"):
        rod(torch.ones(2, 8).double(), tensor(1.0, 1.0), [0.4, 1.0], (Neumann(), Neumann()), 0.1, source=source)


# Manufactured solutions: the source is the residual of the equation, computed by automatic differentiation.


def left_over(solution, conductivity):
    """Return F = c u_t - div(k grad u) as a function of time and positions."""

    def source(time, *positions):
        time = time.expand(torch.broadcast_shapes(time.shape, *(p.shape for p in positions))).clone().requires_grad_()
        positions = [p.expand(time.shape).clone().requires_grad_() for p in positions]
        u = solution(time, *positions)
        rate, *slopes = torch.autograd.grad(u.sum(), [time, *positions], create_graph=True)
        k, divergence = conductivity(u, *positions), 0
        for position, slope in zip(positions, slopes, strict=True):
            divergence = divergence + torch.autograd.grad((k * slope).sum(), position, retain_graph=True)[0]
        return (CAPACITY * rate - divergence).detach()

    return source


COEFFICIENTS = tensor([0.4, 0.15])


def rises_with_temperature(u):
    return 1 + 0.4 * u + 0.15 * u**2


def varies_in_space(u, x):
    return 1 + 0.5 * torch.sin(2 * x + 1)


def varies_with_both(u, x):
    return varies_in_space(u, x) * rises_with_temperature(u)


def wavy(t, x):
    return (1 + t) * torch.sin(pi * x) + 0.5 + 0.3 * x


def hot(t, x):
    return 0.8 + 0.5 * torch.cos(2 * x) + 0 * t  # steady, so that the surroundings are steady as well


def ambient_of_hot(conductivity, coefficient, at, outwards):
    """Return the surroundings that make the heat loss of `hot` equal to the heat that it conducts to an end."""
    x = tensor(at).requires_grad_()
    u = hot(tensor(0.0), x)
    (slope,) = torch.autograd.grad(u.sum(), x)
    return float((u + outwards * conductivity(u, x) * slope / coefficient).detach())


ROBIN_ENDS = tuple(Robin(2.0, ambient_of_hot(varies_with_both, 2.0, at, out)) for at, out in ((0.0, -1), (LENGTH, 1)))
HELD_ENDS = (Dirichlet(0.5), Dirichlet(0.5 + 0.3 * LENGTH))
RODS = {
    "k(x), Dirichlet": (wavy, varies_in_space, varies_in_space, None, HELD_ENDS),
    "k(u), Dirichlet": (wavy, lambda u, x: rises_with_temperature(u), None, COEFFICIENTS, HELD_ENDS),
    "k(x, u), Robin": (hot, varies_with_both, varies_in_space, COEFFICIENTS, ROBIN_ENDS),
}


@pytest.mark.parametrize("case", RODS)
def test_manufactured_rods_are_solved_with_order_two(case):
    solution, conductivity, in_space, coefficients, ends = RODS[case]
    source, errors = left_over(solution, conductivity), []
    for cells in (32, 64, 128):
        x = centres(cells)[None]
        heat = rod(
            solution(tensor(0.0), x),
            tensor(1.0) if in_space is None else in_space(0 * x, x),
            [0.2],
            ends,
            step=0.4 / cells,  # refine time and space together
            source=lambda time, x=x: source(time, x),
            temperature_coefficients=coefficients,
        )
        errors.append(root_mean_square(heat.temperature[:, 0] - solution(tensor(0.2), x)))
    assert orders(errors) == pytest.approx([2, 2], abs=0.05)
    assert errors[-1] < 1e-3


def cosy(t, x, y):
    """Return a field held at 0.5 along the sides in x and insulated along those in y."""
    return 0.5 + torch.exp(-t) * torch.sin(pi / 2 * x) * torch.cos(2 * pi * y)


def turning(t, x, y):
    """Return a field that is periodic in x and insulated in y."""
    return 0.5 + 0.4 * torch.sin(pi * x - t) * torch.cos(2 * pi * y)


PLATES = {
    "k(x, y)": (
        cosy,
        lambda u, x, y: torch.exp(0.5 * torch.sin(2 * x + 3 * y)),
        None,
        [(Dirichlet(0.5), Dirichlet(0.5)), (Neumann(), Neumann())],
    ),
    "k(u)": (
        turning,
        lambda u, x, y: rises_with_temperature(u),
        COEFFICIENTS,
        [(Periodic(), Periodic()), (Neumann(), Neumann())],
    ),
}


@pytest.mark.parametrize("case", PLATES)
def test_manufactured_plates_are_solved_with_order_two(case):
    solution, conductivity, coefficients, boundaries = PLATES[case]
    source, errors = left_over(solution, conductivity), []
    for cells in (12, 24, 48):
        x, y = centres(cells)[None, :, None], centres(cells, 1.0)[None, None, :]
        initial = solution(tensor(0.0), x, y)
        heat = solve_heat(
            initial,
            conductivity(0 * initial, x, y).expand_as(initial),
            tensor(0.1),
            lengths=[LENGTH, 1.0],
            boundaries=boundaries,
            step=0.6 / cells,
            source=lambda time, x=x, y=y: source(time, x, y),
            temperature_coefficients=coefficients,
            capacity=CAPACITY,
        )
        errors.append(root_mean_square(heat.temperature[:, 0] - solution(tensor(0.1), x, y)))
    assert orders(errors) == pytest.approx([2, 2], abs=0.05)
    assert errors[-1] < 1e-3


# Steady states that the scheme reproduces exactly


def test_layers_that_meet_at_a_face_conduct_as_resistances_in_series():
    conductivity = torch.where(centres(10) < LENGTH / 2, 1.0, 4.0)[None]
    heat = rod(torch.zeros(1, 10).double(), conductivity, [120.0], (Dirichlet(1.0), Robin(2.0)), step=1.0)
    flow = 1 / (1 / 1 + 1 / 4 + 1 / 2)  # two layers and a surface film
    x = centres(10)
    exact = torch.where(x < 1, 1 - flow * x, 1 - flow - flow / 4 * (x - 1))
    torch.testing.assert_close(heat.temperature[0, 0], exact, rtol=0, atol=1e-12)


def test_a_layer_that_does_not_conduct_lets_no_heat_through():
    conductivity = torch.ones(1, 12).double()
    conductivity[:, 6] = 0
    heat = rod(torch.zeros(1, 12).double(), conductivity, [50.0], (Dirichlet(1.0), Dirichlet(0.0)), step=0.5)
    assert heat.temperature[0, 0, :6].min() > 0.99
    assert heat.temperature[0, 0, 6:].abs().max() == 0


def test_steady_flow_under_a_conductivity_that_rises_with_temperature_has_a_linear_kirchhoff_transform():
    heat = rod(
        torch.zeros(1, 8).double(),
        tensor(2.0),
        [400.0],
        (Dirichlet(0.0), Dirichlet(3.0)),
        2.0,
        temperature_coefficients=COEFFICIENTS,
    )
    u = heat.temperature[0, 0]
    transform = u + 0.4 * u**2 / 2 + 0.15 * u**3 / 3
    end = 3 + 0.4 * 3**2 / 2 + 0.15 * 3**3 / 3
    torch.testing.assert_close(transform, end * centres(8) / LENGTH, rtol=0, atol=1e-12)


# Energy


def test_energy_through_the_boundaries_and_from_the_source_agrees_with_their_settings():
    source = torch.full((2, 12), 0.7, dtype=torch.float64)
    for scheme in ("legendre", "euler"):
        ends = (Neumann(tensor(5.0, -1.0)), Neumann(2.0))
        heat = rod(torch.zeros(2, 12).double(), tensor(1.0, 2.0), [0.5, 1.0], ends, 0.005, source=source, scheme=scheme)
        torch.testing.assert_close(
            heat.boundary_energy[:, :, 0], tensor(5.0, -1.0)[:, None] * tensor(0.5, 1.0), rtol=1e-13, atol=0
        )
        torch.testing.assert_close(heat.boundary_energy[:, :, 1], 2 * tensor(0.5, 1.0).expand(2, 2), rtol=1e-13, atol=0)
        torch.testing.assert_close(heat.source_energy, 0.7 * LENGTH * tensor(0.5, 1.0).expand(2, 2), rtol=1e-13, atol=0)
        torch.testing.assert_close(heat.content[:, 1:], CAPACITY * LENGTH * heat.temperature.mean(2), rtol=1e-13, atol=0)


BALANCED = {
    "Dirichlet": (Dirichlet(2.0), Dirichlet(-1.0)),
    "Neumann": (Neumann(3.0), Neumann(0.0)),
    "Robin": (Robin(5.0, 1.0), Robin(0.5, -2.0)),
    "periodic": (Periodic(), Periodic()),
    "mixed": (Dirichlet(1.0), Robin(2.0, 0.0)),
}


def random_case(axes, boundaries, samples=3, seed=0):
    """Return rough fields and conductivities over four decades: rows differ in their numbers of stages."""
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, 12, 9)[: axes + 1]
    uniform = torch.rand(3, *shape, generator=generator, dtype=torch.float64)
    arrays = {
        "initial": 4 * uniform[0] - 2,
        "conductivity": (1 + uniform[1]) * 10.0 ** torch.linspace(-2, 2, samples).double().reshape(-1, *(1,) * axes),
        "source": 10 * uniform[2],
        "temperature_coefficients": torch.tensor([0.1, 0.05]).double().expand(samples, -1),
    }
    settings = {"lengths": [1.5, 1.0][:axes], "boundaries": [boundaries, BALANCED["mixed"]][:axes], "capacity": CAPACITY}
    return arrays, {**settings, "times": tensor(0.1, 0.3), "step": 0.02}


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("boundaries", BALANCED.values(), ids=BALANCED)
def test_energy_is_balanced_to_round_off(axes, boundaries):
    arrays, settings = random_case(axes, boundaries)
    heat = solve_heat(**arrays, **settings)
    assert heat.magnitude.min() > 0.1
    assert heat.residual().max() < 1e-12  # some 1e3 stages, each of which rounds sums of 1e2 cells
    assert (heat.content[:, -1] - heat.content[:, 0]).abs().min() > 1e-3  # the energy changes, so the balance is not trivial


def test_an_insulated_body_keeps_its_heat():
    arrays, settings = random_case(2, BALANCED["periodic"])
    del arrays["source"]
    heat = solve_heat(**arrays, **{**settings, "boundaries": [(Neumann(), Neumann())] * 2})
    torch.testing.assert_close(heat.content, heat.content[:, :1].expand(-1, 3), rtol=1e-12, atol=1e-12)
    assert heat.boundary_energy.abs().max() == 0


# Euler's maximum principle


def test_euler_never_leaves_the_range_of_initial_and_surrounding_temperatures():
    arrays, settings = random_case(2, (Dirichlet(2.5), Robin(1e3, -3.0)))
    del arrays["source"]
    settings["step"] = 1e-6
    with pytest.raises(ValueError, match="Euler needs a step of at most") as refusal:
        solve_heat(**arrays, **{**settings, "step": 1.0}, scheme="euler")
    limit = float(str(refusal.value).split("at most ")[1].split(" s")[0])
    times = 0.9 * limit * torch.arange(1, 200)  # k(u) grows with u, which lowers the limit
    with tolerate(math.inf):  # the data are rough, and the bounds hold for any error
        heat = solve_heat(**arrays, **{**settings, "step": 0.9 * limit, "times": times}, scheme="euler")
    assert heat.temperature.min() >= -3
    assert heat.temperature.max() <= 2.5


@pytest.mark.parametrize(("ends", "factor"), [((Periodic(), Periodic()), 2), ((Dirichlet(0.0), Neumann(0.0)), 3)])
def test_the_limit_of_euler_is_the_stated_one_and_sharp(ends, factor):
    h, k = LENGTH / 10, 0.7
    limit = CAPACITY * h**2 / (factor * k)
    spike = torch.zeros(1, 10).double()
    spike[0, 0] = 1
    with tolerate(math.inf):  # a single step for a spike is far from its solution
        heat = rod(spike, tensor(k), [limit], ends, limit, scheme="euler")
    assert heat.temperature[0, 0, 0] == pytest.approx(0, abs=1e-14)  # all heat of the cell has left it
    with pytest.raises(ValueError, match=f"at most {limit:.6g} s in sample 0, got {1.01 * limit:.6g} s"):
        rod(spike, tensor(k), [1.01 * limit], ends, 1.01 * limit, scheme="euler")


def test_legendre_steps_do_not_obey_a_maximum_principle():
    spike = torch.zeros(1, 64).double()
    spike[0, 0] = 1
    with tolerate(math.inf):
        heat = rod(spike, tensor(1.0), [0.1], (Dirichlet(), Dirichlet()), 0.1)
    assert -0.1 < heat.temperature.min() < -0.01


# Symmetries, and independence of the rows


def test_a_mirrored_plate_has_the_mirrored_solution():
    arrays, settings = random_case(2, BALANCED["Robin"])
    ends, others = settings["boundaries"]
    heat = solve_heat(**arrays, **settings)
    mirrored = {name: value.flip(1) if value.ndim == 3 else value for name, value in arrays.items()}
    mirror = solve_heat(**mirrored, **{**settings, "boundaries": [ends[::-1], others]})
    torch.testing.assert_close(mirror.temperature.flip(2), heat.temperature, rtol=1e-12, atol=1e-12)


def test_a_transposed_plate_has_the_transposed_solution():
    arrays, settings = random_case(2, BALANCED["Dirichlet"])
    heat = solve_heat(**arrays, **settings)
    turned = {name: value.transpose(1, 2) if value.ndim == 3 else value for name, value in arrays.items()}
    swapped = {name: settings[name][::-1] for name in ("lengths", "boundaries")}
    transpose = solve_heat(**turned, **{**settings, **swapped})
    torch.testing.assert_close(transpose.temperature.transpose(2, 3), heat.temperature, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(transpose.boundary_energy[:, :, [2, 3, 0, 1]], heat.boundary_energy, rtol=1e-12, atol=1e-12)


def test_a_periodic_solution_moves_with_its_data():
    arrays, settings = random_case(2, BALANCED["periodic"])
    heat = solve_heat(**arrays, **settings)
    moved = {name: value.roll(5, 1) if value.ndim == 3 else value for name, value in arrays.items()}
    torch.testing.assert_close(solve_heat(**moved, **settings).temperature, heat.temperature.roll(5, 2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2])
def test_a_batch_equals_its_rows_regardless_of_their_numbers_of_stages(axes):
    arrays, settings = random_case(
        axes, (Robin(tensor(1.0, 20.0, 300.0), tensor(0.0, 1.0, 2.0)), Dirichlet(tensor(3.0, 2.0, 1.0)))
    )
    together = solve_heat(**arrays, **settings)
    film, held = settings["boundaries"][0]
    for i in range(3):
        one = slice(i, i + 1)
        ends = (Robin(film.coefficient[one], film.ambient[one]), Dirichlet(held.temperature[one]))
        alone = solve_heat(
            **{name: value[one] for name, value in arrays.items()},
            **{**settings, "boundaries": [ends, *settings["boundaries"][1:]]},
        )
        for name in ("temperature", "boundary_energy", "source_energy", "content"):
            torch.testing.assert_close(getattr(together, name)[one], getattr(alone, name), rtol=1e-12, atol=1e-13)


# Refused arguments

GOOD = {"initial": torch.zeros(2, 4).double(), "conductivity": tensor(1.0, 2.0), "times": tensor(1.0), "lengths": [1.0]}
GOOD |= {"boundaries": [(Dirichlet(), Dirichlet())], "step": 0.1}
REFUSED = {
    "conductivity must not be negative, got -2": {"conductivity": tensor(1.0, -2.0)},
    "conductivity must be finite, it is not in sample 1": {"conductivity": tensor(1.0, math.nan)},
    r"conductivity must have shape \(2,\) or \(2, 4\), got \(3,\)": {"conductivity": tensor(1.0, 1.0, 1.0)},
    "conductivity must stay positive, but .* is -1 at u = 2 K in sample 1": {
        "initial": tensor([0.0] * 4, [2.0] * 4),
        "temperature_coefficients": tensor([0.0], [-1.0]),
    },
    r"temperature_coefficients must be \(sample, degree\) with 2 samples, got \(1, 1\)": {
        "temperature_coefficients": tensor([1.0])
    },
    "times must be finite and not negative, got -1 s": {"times": tensor(-1.0, 1.0)},
    "times must be in order: sort them": {"times": tensor(2.0, 1.0)},
    "two cells or more per axis": {"initial": torch.zeros(2, 1).double()},
    "initial must be finite": {"initial": torch.full((2, 4), math.inf).double()},
    "lengths must be 1 positive": {"lengths": [1.0, 1.0]},
    r"boundaries must be 1 pair\(s\)": {"boundaries": []},
    "both boundaries along x must be periodic, or neither": {"boundaries": [(Periodic(), Dirichlet())]},
    "coefficient of a Robin boundary must not be negative, got -1": {"boundaries": [(Robin(-1.0), Dirichlet())]},
    r"temperature of a Dirichlet boundary must be one number or one per sample \(2\), got shape \(3,\)": {
        "boundaries": [(Dirichlet(tensor(1.0, 2.0, 3.0)), Dirichlet())]
    },
    "flux of a Neumann boundary must be finite": {"boundaries": [(Neumann(math.nan), Dirichlet())]},
    r"source must have the shape of initial, \(2, 4\), got \(2, 5\)": {"source": torch.zeros(2, 5).double()},
    "source must be finite": {"source": torch.full((2, 4), math.nan).double()},
    "step must be positive and finite, got 0": {"step": 0.0},
    "capacity must be positive and finite, got -1": {"capacity": -1.0},
    "Euler needs a step of at most 0.0104167 s in sample 1, got 0.1 s": {"scheme": "euler"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_invalid_arguments_are_refused_in_one_line(message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its type checks would come before ours
    with pytest.raises(ValueError, match=message) as refusal:
        solve_heat(**{**GOOD, **REFUSED[message]})
    assert "\n" not in str(refusal.value)
