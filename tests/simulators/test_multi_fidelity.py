"""Closed-form functions in two fidelities: published optima, values by plain arithmetic, scaling laws and limits."""

import itertools
import json
import math
from dataclasses import asdict
from math import cos, exp, log, pi, sin, sqrt

import pytest
import torch
from drawing import generator

from pac_surrogate.files import Variable
from simulators.ensemble import Ensemble
from simulators.tables.multi_fidelity import MultiFidelity, solve_multi_fidelity
from simulators.tables.multi_fidelity_families import FAMILIES

LEVELS = ("high", "low")


def at(function, fidelity, *points):
    return solve_multi_fidelity(torch.tensor(points, dtype=torch.float64), function, fidelity)


def inside(function, samples, seed=0):
    """Return points spread uniformly over the bounds."""
    bounds = torch.tensor([(b.low, b.high) for b in FAMILIES[function].bounds], dtype=torch.float64)
    unit = torch.rand(samples, len(bounds), generator=generator(seed), dtype=torch.float64)
    return bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * unit


def changed(points, **factors):
    """Return the points of a family with some columns multiplied."""
    points = points.clone()
    for column, factor in factors.items():
        points[:, int(column[1:])] *= factor
    return points


# Published optima


def test_forrester_has_its_published_minimum():
    x = torch.linspace(0, 1, 100_001).double()[:, None]
    y = solve_multi_fidelity(x, "forrester")
    assert float(y.min()) == pytest.approx(-6.020740, abs=1e-6)
    assert float(x[y.argmin(), 0]) == pytest.approx(0.757249, abs=1e-5)  # the step of the grid is 1e-5


def test_branin_has_its_three_equal_minima():
    minima = at("branin", "high", (-pi, 12.275), (pi, 2.275), (3 * pi, 2.475))
    torch.testing.assert_close(minima, torch.full_like(minima, 5 / (4 * pi)), rtol=0, atol=1e-12)
    assert float(minima[0]) == pytest.approx(0.397887, abs=1e-6)
    assert solve_multi_fidelity(inside("branin", 100_000), "branin").min() > 5 / (4 * pi)


def test_currin_has_its_published_maximum():
    grid = torch.cartesian_prod(torch.linspace(0, 1, 601), torch.linspace(0, 1, 401)).double()
    peak = at("currin", "high", (0.216667, 0.023105))
    assert float(peak) == pytest.approx(13.7987, abs=1e-4)
    assert float(solve_multi_fidelity(grid, "currin").max()) == pytest.approx(float(peak), abs=1e-4)


def test_hartmann_has_zero_slope_at_its_minimum():
    x = torch.tensor([[0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]], dtype=torch.float64, requires_grad=True)
    y = solve_multi_fidelity(x, "hartmann")
    assert float(y.detach()) == pytest.approx(-3.32237, abs=5e-6)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope.abs().max() < 1e-3  # second derivatives are about 60, and x has six digits
    assert solve_multi_fidelity(inside("hartmann", 100_000), "hartmann").min() > -3.32237


# The same formulas in plain arithmetic, in the form of the papers


def forrester(x):
    return (6 * x - 2) ** 2 * sin(12 * x - 4)


def branin(x1, x2):
    b, c, r, s, t = 5.1 / (4 * pi**2), 5 / pi, 6, 10, 1 / (8 * pi)
    return (x2 - b * x1**2 + c * x1 - r) ** 2 + s * (1 - t) * cos(x1) + s


def currin(x1, x2):
    rising = 1 if x2 == 0 else 1 - exp(-1 / (2 * x2))
    return rising * (2300 * x1**3 + 1900 * x1**2 + 2092 * x1 + 60) / (100 * x1**3 + 500 * x1**2 + 4 * x1 + 20)


def smoothed_currin(x1, x2, step=0.05):
    right = currin(x1 + step, x2 + step) + currin(x1 + step, max(0, x2 - step))
    left = currin(x1 - step, x2 + step) + currin(x1 - step, max(0, x2 - step))
    return right / 4 + left / 4


def park_a(x1, x2, x3, x4):
    return x1 / 2 * (sqrt(1 + (x2 + x3**2) * x4 / x1**2) - 1) + (x1 + 3 * x4) * exp(1 + sin(x3))


def park_b(x1, x2, x3, x4):
    return 2 / 3 * exp(x1 + x2) - x4 * sin(x3) + x3


def borehole(rw, r, tu, hu, tl, hl, length, kw, factor=2 * pi, one=1.0):
    return factor * tu * (hu - hl) / (log(r / rw) * (one + 2 * length * tu / (log(r / rw) * rw**2 * kw) + tu / tl))


def hartmann(*x, alpha=(1.0, 1.2, 3.0, 3.2), fall=lambda d: exp(-d)):
    wells = (
        ((10, 1312), (3, 1696), (17, 5569), (3.5, 124), (1.7, 8283), (8, 5886)),
        ((0.05, 2329), (10, 4135), (17, 8307), (0.1, 3736), (8, 1004), (14, 9991)),
        ((3, 2348), (3.5, 1451), (1.7, 3522), (10, 2883), (17, 3047), (8, 6650)),
        ((17, 4047), (8, 8828), (0.05, 8732), (10, 5743), (0.1, 1091), (14, 381)),
    )
    distances = [sum(a * (v - 1e-4 * p) ** 2 for v, (a, p) in zip(x, well, strict=True)) for well in wells]
    return -sum(a * fall(d) for a, d in zip(alpha, distances, strict=True))


def flat_hartmann(*x):
    return hartmann(*x, alpha=(0.5, 0.5, 2.0, 4.0), fall=lambda d: (exp(-4 / 9) + exp(-4 / 9) * (4 - d) / 9) ** 9)


def piston(m, s, v0, k, p0, ta, t0):
    a = p0 * s + 19.62 * m - k * v0 / s
    v = s / (2 * k) * (sqrt(a**2 + 4 * k * p0 * v0 / t0 * ta) - a)
    return 2 * pi * sqrt(m / (k + s**2 * p0 * v0 / t0 * ta / v**2))


def unsprung_piston(m, s, v0, k, p0, ta, t0):
    v = p0 * v0 / t0 * ta * s / (p0 * s + 19.62 * m)
    return 2 * pi * sqrt(m / (k + s**2 * p0 * v0 / t0 * ta / v**2))


def circuit(rb1, rb2, rf, rc1, rc2, beta):
    vb, g = 12 * rb2 / (rb1 + rb2), beta * (rc2 + 9)
    return (vb + 0.74) * g / (g + rf) + 11.35 * rf / (g + rf) + 0.74 * rf * g / ((g + rf) * rc1)


def wing(s, wfw, a, sweep, q, taper, tc, nz, wdg, wp, power=0.758):
    c = cos(sweep * pi / 180)
    bare = 0.036 * s**power * wfw**0.0035 * (a / c**2) ** 0.6 * q**0.006 * taper**0.04
    return bare * (100 * tc / c) ** -0.3 * (nz * wdg) ** 0.49 + (s if power == 0.758 else 1) * wp


PLAIN = {
    "forrester": (forrester, lambda x: 0.5 * forrester(x) + 10 * (x - 0.5) - 5),
    "branin": (branin, lambda a, b: 10 * sqrt(branin(a - 2, b - 2)) + 2 * (a - 0.5) - 3 * (3 * b - 1) - 1),
    "currin": (currin, smoothed_currin),
    "park_a": (park_a, lambda a, b, c, d: (1 + sin(a) / 10) * park_a(a, b, c, d) - 2 * a + b**2 + c**2 + 0.5),
    "park_b": (park_b, lambda *x: 1.2 * park_b(*x) - 1),
    "borehole": (borehole, lambda *x: borehole(*x, factor=5, one=1.5)),
    "hartmann": (hartmann, flat_hartmann),
    "piston": (piston, unsprung_piston),
    "circuit": (circuit, lambda rb1, rb2, rf, rc1, rc2, beta: 12 * rb2 / (rb1 + rb2) + 0.74),
    "wing": (wing, lambda *x: wing(*x, power=0.8)),
}


def test_every_family_is_checked_here():
    assert set(PLAIN) == set(FAMILIES) == set(CORRELATIONS)
    assert all(family.name == name for name, family in FAMILIES.items())


@pytest.mark.parametrize("function", FAMILIES)
def test_values_are_those_of_plain_arithmetic(function):
    bounds = FAMILIES[function].bounds
    centre = torch.tensor([[(b.low + b.high) / 2 for b in bounds]], dtype=torch.float64)
    points = torch.cat([centre, inside(function, 20)])
    for fidelity, formula in zip(LEVELS, PLAIN[function], strict=True):
        expected = torch.tensor([formula(*row) for row in points.tolist()], dtype=torch.float64)
        torch.testing.assert_close(solve_multi_fidelity(points, function, fidelity), expected, rtol=1e-12, atol=1e-12)


def test_values_at_the_ends_where_a_formula_divides_by_zero_are_its_limits():
    assert float(at("currin", "high", (0.3, 0.0))) == pytest.approx(currin(0.3, 1e-9), rel=1e-14)
    assert float(at("currin", "low", (0.3, 0.02))) == pytest.approx(smoothed_currin(0.3, 0.02), rel=1e-14)
    assert float(at("park_a", "high", (0.0, 0.3, 0.4, 0.5))) == pytest.approx(park_a(1e-9, 0.3, 0.4, 0.5), rel=1e-8)


@pytest.mark.parametrize("function", FAMILIES)
def test_values_are_finite_at_every_corner_after_rounding_to_float32(function):
    corners = torch.tensor(list(itertools.product(*((b.low, b.high) for b in FAMILIES[function].bounds)))).float()
    for fidelity in LEVELS:
        values = solve_multi_fidelity(corners, function, fidelity)
        assert values.dtype == torch.float64
        assert values.shape == (2 ** len(FAMILIES[function].bounds),)


def test_the_low_hartmann_stays_small_within_its_bounds():
    corners = torch.tensor(list(itertools.product((0.1, 1.0), repeat=6))).double()
    values = solve_multi_fidelity(corners, "hartmann", "low")
    assert 3.4 < values.max() < 3.5  # distances are convex, so that the farthest point is a corner


# Relation of the low and the high fidelity

CORRELATIONS = {  # over 65,536 uniform points, and RMSE of the low values over the standard deviation of the high ones
    "forrester": (0.736, 1.36),
    "branin": (0.174, 1.61),
    "currin": (0.997, 0.081),
    "park_a": (0.994, 0.185),
    "park_b": (1, 0.683),
    "borehole": (1, 0.403),
    "hartmann": (0.911, 0.582),
    "piston": (0.976, 0.713),
    "circuit": (0.952, 0.713),
    "wing": (0.998, 1.145),
}


@pytest.mark.parametrize("function", FAMILIES)
def test_low_and_high_differ_by_the_stated_amount(function):
    points = inside(function, 20_000, seed=1)
    high, low = (solve_multi_fidelity(points, function, fidelity) for fidelity in LEVELS)
    correlation, error = CORRELATIONS[function]
    # 20,000 points: the standard deviation of a correlation is (1 - r^2) / 141 or less, that of an RMSE 1 % or less
    assert float(torch.corrcoef(torch.stack([high, low]))[0, 1]) == pytest.approx(correlation, abs=0.03 * (1.03 - correlation))
    assert float((high - low).square().mean().sqrt() / high.std()) == pytest.approx(error, rel=0.04)


@pytest.mark.parametrize(
    ("function", "slope", "rest"), [("forrester", 0.5, lambda x: 10 * x - 10), ("park_b", 1.2, lambda x: -1)]
)
def test_the_low_version_is_a_linear_function_of_the_high_one(function, slope, rest):
    points = inside(function, 50)
    high, low = (solve_multi_fidelity(points, function, fidelity) for fidelity in LEVELS)
    torch.testing.assert_close(low, slope * high + rest(points[:, 0]), rtol=0, atol=1e-13)


# Scaling laws and limits of the physical functions


@pytest.mark.parametrize("fidelity", LEVELS)
def test_flow_through_a_borehole_scales_with_the_units_of_length_and_time(fidelity):
    points = inside("borehole", 50)
    flow = solve_multi_fidelity(points, "borehole", fidelity)
    longer = changed(points, c0=3, c1=3, c2=9, c3=3, c4=9, c5=3, c6=3, c7=3)
    torch.testing.assert_close(solve_multi_fidelity(longer, "borehole", fidelity), 27 * flow, rtol=1e-13, atol=0)
    faster = changed(points, c2=7, c4=7, c7=7)
    torch.testing.assert_close(solve_multi_fidelity(faster, "borehole", fidelity), 7 * flow, rtol=1e-13, atol=0)


@pytest.mark.parametrize("fidelity", LEVELS)
def test_flow_through_a_borehole_grows_with_what_drives_it_and_falls_with_what_hinders_it(fidelity):
    points = inside("borehole", 500).requires_grad_()
    (slopes,) = torch.autograd.grad(solve_multi_fidelity(points, "borehole", fidelity).sum(), points)
    signs = torch.tensor([1, -1, 1, 1, 1, -1, -1, 1])  # radii, Tu, Hu, Tl, Hl, length, conductivity
    assert bool((slopes.sign() == signs).all())


def test_the_volume_behind_the_cycle_time_balances_the_forces_on_the_piston():
    points = inside("piston", 50)
    m, s, v0, k, p0, ta, t0 = points.unbind(1)
    time, gas = solve_multi_fidelity(points, "piston"), p0 * v0 * ta / t0
    volume = s * torch.sqrt(gas / (m * (2 * pi / time) ** 2 - k))
    carried = p0 * s + 19.62 * m - k * v0 / s
    torch.testing.assert_close(gas * s / volume, carried + k * volume / s, rtol=1e-9, atol=0)


def test_a_piston_on_a_soft_spring_is_carried_by_gas_alone():
    differences = []
    for softer in (1e-4, 1e-5):
        points = changed(inside("piston", 50), c3=softer)
        high, low = (solve_multi_fidelity(points, "piston", fidelity) for fidelity in LEVELS)
        differences.append(float((high / low - 1).abs().max()))
    assert 1e-4 < differences[0] < 1e-2  # k V / S over the load is some 2e-3
    assert differences[0] / differences[1] == pytest.approx(10, rel=0.02)


def test_a_circuit_without_feedback_is_its_low_version_and_much_gain_adds_the_drop_at_the_collector():
    points = inside("circuit", 50)
    open_loop = changed(points, c2=0)
    low = solve_multi_fidelity(open_loop, "circuit", "low")
    torch.testing.assert_close(solve_multi_fidelity(open_loop, "circuit"), low, rtol=1e-14, atol=0)
    driven = solve_multi_fidelity(changed(points, c5=1e12), "circuit")
    torch.testing.assert_close(driven, low + 0.74 * points[:, 2] / points[:, 3], rtol=1e-12, atol=0)
    dead = solve_multi_fidelity(changed(points, c5=0), "circuit")
    torch.testing.assert_close(dead, torch.full_like(dead, 11.35), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("fidelity", "power"), [("high", 0.758), ("low", 0.8)])
def test_a_wing_without_paint_scales_with_its_area_and_its_sweep(fidelity, power):
    points = changed(inside("wing", 50), c9=0)
    weight = solve_multi_fidelity(points, "wing", fidelity)
    torch.testing.assert_close(
        solve_multi_fidelity(changed(points, c0=3), "wing", fidelity), 3**power * weight, rtol=1e-13, atol=0
    )
    torch.testing.assert_close(solve_multi_fidelity(changed(points, c3=-1), "wing", fidelity), weight, rtol=0, atol=0)
    straight, swept = changed(points, c3=0), changed(points, c3=0)
    swept[:, 3] = 60  # the cosine is 1/2
    ratio = solve_multi_fidelity(swept, "wing", fidelity) / solve_multi_fidelity(straight, "wing", fidelity)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2 ** (1.2 - 0.3)), rtol=1e-13, atol=0)


def test_the_weight_of_paint_is_proportional_to_the_area_in_the_high_version_alone():
    points = inside("wing", 50)
    for fidelity, painted in (("high", points[:, 0]), ("low", torch.ones(50).double())):
        bare = solve_multi_fidelity(changed(points, c9=0), "wing", fidelity)
        torch.testing.assert_close(
            solve_multi_fidelity(points, "wing", fidelity) - bare, painted * points[:, 9], rtol=1e-10, atol=0
        )


# Errors, and the interface of a pair


def test_rows_do_not_affect_each_other():
    for function, fidelity in itertools.product(FAMILIES, LEVELS):
        points = inside(function, 7)
        together = solve_multi_fidelity(points, function, fidelity)
        alone = torch.cat([solve_multi_fidelity(row[None], function, fidelity) for row in points])
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rastrigin", "high"), 'there is no function "rastrigin": choose one of forrester, branin,'),
        (("branin", "medium"), 'fidelity must be "high" or "low", got "medium"'),
        (("currin", "high"), r"currin needs 2 columns \(x1, x2\), got 1"),
    ],
)
def test_unknown_functions_and_fidelities_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message) as refusal:
        solve_multi_fidelity(torch.zeros(3, 1), *arguments)
    assert "\n" not in str(refusal.value)


def test_a_formula_is_evaluated_beyond_its_bounds_until_it_gives_no_number():
    assert float(at("forrester", "high", (1.2,))) == pytest.approx(forrester(1.2), rel=1e-14)
    points = inside("borehole", 3)
    points[1, 1] = -5
    with pytest.raises(ValueError, match=r"borehole has no finite value at sample 1 \(.*influence_radius -5 m, .*\): keep"):
        solve_multi_fidelity(points, "borehole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"function": "ackley"}, 'there is no function "ackley"'),
        ({"fidelity": "mid"}, 'fidelity must be "high" or "low", got "mid"'),
        ({"design": "grid"}, 'design must be "uniform", "latin hypercube" or "sobol", got "grid"'),
    ],
)
def test_an_impossible_ensemble_is_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        MultiFidelity(**options)


@pytest.mark.parametrize("function", FAMILIES)
def test_both_fidelities_share_inputs_and_outputs(function):
    high, low = (MultiFidelity(function, fidelity) for fidelity in LEVELS)
    assert isinstance(high, Ensemble)
    assert (high.inputs, high.outputs, high.coordinates) == (low.inputs, low.outputs, low.coordinates)
    assert len({Variable(**asdict(quantity)).name for quantity in (*high.inputs, *high.outputs)}) == high.size
    assert json.loads(json.dumps(asdict(low))) == {"function": function, "fidelity": "low", "design": "uniform"}
    assert high.equation != low.equation
    assert low.equation.endswith(f"; high: {high.equation}")
    inputs = high.draw(generator(), 9)
    points = torch.stack([inputs[quantity.name] for quantity in high.inputs], 1)
    for ensemble in (high, low):
        outputs, residual = ensemble.solve(inputs)
        expected = solve_multi_fidelity(points, function, ensemble.fidelity)
        torch.testing.assert_close(outputs, {ensemble.outputs[0].name: expected}, rtol=0, atol=0)
        assert residual.shape == (9,)
        assert residual.isnan().all()
        torch.testing.assert_close(ensemble.solve(inputs, 4)[0], outputs, rtol=0, atol=0)
    assert math.isnan(high.order)


@pytest.mark.parametrize("design", ["uniform", "latin hypercube", "sobol"])
def test_draws_fill_the_bounds_and_belong_to_their_seed(design):
    ensemble = MultiFidelity("wing", "low", design)
    first, again, other = (ensemble.draw(generator(seed), 256) for seed in (1, 1, 2))
    for bound in FAMILIES["wing"].bounds:
        values, width = first[bound.name], bound.high - bound.low
        assert values.dtype == torch.float32
        assert bound.low - 1e-6 * width < values.min() < bound.low + 0.05 * width  # fails with a probability of 2e-6
        assert bound.high - 0.05 * width < values.max() < bound.high + 1e-6 * width
        assert torch.equal(values, again[bound.name])
        assert not torch.equal(values, other[bound.name])


def test_the_design_changes_how_the_points_are_spread():
    draws = [
        MultiFidelity("forrester", "high", design).draw(generator(), 64)["x1"] for design in ("uniform", "latin hypercube")
    ]
    slices = [len((values * 64).floor().unique()) for values in draws]
    assert 30 < slices[0] < 55  # a fraction of 1/e of the 64 slices stays empty, up to about 3 more or fewer
    assert slices[1] == 64
