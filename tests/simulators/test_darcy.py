"""Darcy flow through squares: exact and manufactured solutions, the mass balance, holes, symmetries, and the ensemble."""

import json
import math
from dataclasses import asdict, replace
from itertools import pairwise

import jaxtyping
import numpy as np
import pytest
import torch
from drawing import generator
from scipy.sparse import diags_array
from scipy.sparse.linalg import spsolve
from solving import centres, orders, tensor
from torch import pi
from torch.nn.functional import avg_pool2d

from simulators.ensemble import Ensemble
from simulators.numerics.block_tridiagonal import solve_five_point
from simulators.porous.darcy import solve_darcy
from simulators.porous.darcy_ensemble import Darcy

LENGTHS = [1.5, 0.8]  # neither length is 1, so that a missing factor is noticed
CLOSED = [(0.0, 0.0), (0.0, 0.0)]
THROUGH = [(2.0, -1.0), (None, None)]


def rough(samples, x, y, decades=2.0, seed=0):
    """Return permeabilities that jump from cell to cell over `decades` decades, and positive sources."""
    uniform = torch.rand(2, samples, x, y, generator=generator(seed), dtype=torch.float64)
    return 10 ** (decades * uniform[0]), uniform[1]


# The direct solver


def five_point(samples, x, y, decades=2.0):
    """Return random diagonally dominant systems; the dominance is strict only in the cells of the first row."""
    along_x, along_y = rough(samples, x, y, decades)[0][:, 1:], rough(samples, x, y, decades, seed=1)[0][:, :, 1:]
    centre = torch.zeros(samples, x, y).double()
    centre[:, 1:] += along_x
    centre[:, :-1] += along_x
    centre[:, :, 1:] += along_y
    centre[:, :, :-1] += along_y
    centre[:, 0] += 1
    return centre, along_x, along_y, rough(samples, x, y, seed=2)[1]


def sparse(centre, along_x, along_y):
    """Return the system of one sample as a scipy matrix; cells are numbered along y first."""
    y = centre.shape[1]
    beside = np.pad(along_y.numpy(), ((0, 0), (0, 1))).ravel()[:-1]  # the end of one row is no neighbour of the next row
    ahead = along_x.numpy().ravel()
    return diags_array([centre.numpy().ravel(), -beside, -beside, -ahead, -ahead], offsets=[0, 1, -1, y, -y], format="csc")


@pytest.mark.parametrize("cells", [(12, 12), (9, 17), (17, 9), (2, 2)])
def test_the_block_solver_agrees_with_a_sparse_one(cells):
    *matrix, right = five_point(3, *cells)
    found = solve_five_point(*matrix, right)
    for i in range(3):
        system = sparse(*(part[i] for part in matrix))
        torch.testing.assert_close(
            found[i].flatten(), torch.from_numpy(spsolve(system, right[i].numpy().ravel())), rtol=1e-11, atol=0
        )


def test_the_block_solver_has_a_residual_of_round_off_at_a_contrast_of_a_million():
    *matrix, right = five_point(2, 32, 32, decades=6.0)
    found = solve_five_point(*matrix, right)
    for i in range(2):
        system, p = sparse(*(part[i] for part in matrix)), found[i].numpy().ravel()
        terms = abs(system) @ abs(p)  # round-off is proportional to the sum of these magnitudes
        assert (abs(right[i].numpy().ravel() - system @ p) / terms).max() < 1e-14


def test_a_lens_a_billion_times_more_permeable_is_solved_and_has_one_pressure():
    permeability = torch.ones(1, 12, 12).double()
    permeability[0, 3:8, 4:9] = 1e9
    flow = solve_darcy(permeability, torch.ones(1, 12, 12), lengths=LENGTHS, pressures=CLOSED)
    lens = flow.pressure[0, 3:8, 4:9]
    assert lens.max() - lens.min() < 1e-8 * lens.max()
    assert 0.02 < lens.mean() < 0.08  # in a square with k = 1 the pressure in the middle is 0.07 times its area


def test_a_system_without_a_held_value_is_refused():
    centre, along_x, along_y, right = five_point(3, 8, 8)
    centre[1, 0] -= 1
    with pytest.raises(
        ValueError, match="the system of sample 1 is singular to double precision: every cell must be connected"
    ):
        solve_five_point(centre, along_x, along_y, right)
    centre[1, 0] -= 1
    with pytest.raises(ValueError, match="the system of sample 1 is singular"):  # this system is indefinite
        solve_five_point(centre, along_x, along_y, right)


def test_no_system_without_a_held_value_is_accepted_because_of_round_off():
    """The last pivot of such a system is slightly above or below 0 by chance; a system with a held value is solved."""
    centre, along_x, along_y, right = five_point(20, 8, 8)
    held = centre.clone()
    centre[:, 0] -= 1
    for i in range(20):
        with pytest.raises(ValueError, match="the system of sample 0 is singular"):
            solve_five_point(centre[i : i + 1], along_x[i : i + 1], along_y[i : i + 1], right[i : i + 1])
    assert torch.isfinite(solve_five_point(held, along_x, along_y, right)).all()


def test_a_part_that_is_disconnected_from_every_held_value_is_refused():
    centre, along_x, along_y, right = five_point(20, 8, 8)
    centre[:, 3] -= along_x[:, 3]  # disconnects the fourth column of cells from the fifth
    centre[:, 4] -= along_x[:, 3]
    along_x[:, 3] = 0.0
    for i in range(20):
        with pytest.raises(ValueError, match="the system of sample 0 is singular"):
            solve_five_point(centre[i : i + 1], along_x[i : i + 1], along_y[i : i + 1], right[i : i + 1])


@pytest.mark.parametrize("cells", [8, 32])
@pytest.mark.parametrize("link", [1e-15, 1e-18])
def test_a_part_whose_links_are_below_round_off_is_refused(cells, link):
    """The matrix contains the links, but its diagonal has lost them: its rounding would act as a held value or as a source."""
    matrix = weakly_linked(link, cells)
    for i in range(20):
        with pytest.raises(ValueError, match="the system of sample 0 is singular"):
            solve_five_point(*(part[i : i + 1] for part in matrix))


def test_a_part_whose_links_are_weak_but_above_round_off_is_solved():
    link = 1e-9
    *matrix, right = weakly_linked(link, 8)
    pressure = solve_five_point(*matrix, right)
    across = (matrix[1][:, 3] * (pressure[:, 4] - pressure[:, 3])).sum(1)
    # The flow into the part leaves it through the links. They are stored in diagonals 1e9 times larger: 7 digits are left.
    torch.testing.assert_close(across, right[:, 4:].sum((1, 2)), rtol=1e-5, atol=0)


def weakly_linked(link, cells):
    """Return 20 systems of `five_point` with the coefficients across the middle times `link`, and positive sources."""
    centre, along_x, along_y, right = five_point(20, cells, cells)
    middle = cells // 2 - 1
    lost = along_x[:, middle] * (1 - link)
    along_x[:, middle] *= link
    centre[:, middle] -= lost
    centre[:, middle + 1] -= lost
    return centre, along_x, along_y, right.abs()


# Exact solutions


@pytest.mark.parametrize("axis", [0, 1])
def test_layers_conduct_as_resistances_in_series_or_side_by_side(axis):
    layers = tensor([1.0, 1.0, 4.0, 4.0, 0.1, 0.1], [2.0, 3.0, 1.0, 1.0, 1.0, 5.0])
    field = layers[:, :, None].expand(2, 6, 4)
    step, across = LENGTHS[axis] / 6, LENGTHS[1 - axis]
    resistances = step / layers
    pressures, lengths = [(2.0, -1.0), (None, None)], [LENGTHS[axis], across]
    flow = solve_darcy(field, torch.zeros(2, 6, 4), lengths=lengths, pressures=pressures)
    through = 3 / resistances.sum(1)
    exact = 2 - through[:, None] * (resistances.cumsum(1) - resistances / 2)
    torch.testing.assert_close(flow.pressure, exact[..., None].expand(2, 6, 4), rtol=0, atol=1e-13)
    zero = torch.zeros(2).double()
    torch.testing.assert_close(flow.outflow, torch.stack([-through * across, through * across, zero, zero, zero], 1))
    beside = solve_darcy(field, torch.zeros(2, 6, 4), lengths=lengths, pressures=pressures[::-1])
    torch.testing.assert_close(beside.outflow[:, 3], (layers * step).sum(1) * 3 / across, rtol=1e-12, atol=0)
    torch.testing.assert_close(beside.pressure, (2 - 3 * centres(4, across) / across).expand(2, 6, 4), rtol=0, atol=1e-13)


def vanishing(x, y):
    return 0.5 + torch.sin(2 * pi * x / LENGTHS[0]) * torch.sin(pi * y / LENGTHS[1])


def sliding(x, y):
    return 2 - 3 * x / LENGTHS[0] + torch.sin(pi * x / LENGTHS[0]) * torch.cos(2 * pi * y / LENGTHS[1])


SMOOTH = {"held all round": (vanishing, [(0.5, 0.5), (0.5, 0.5)]), "with sides without flow": (sliding, THROUGH)}


@pytest.mark.parametrize("case", SMOOTH)
def test_manufactured_pressures_are_found_with_order_two(case):
    solution, pressures = SMOOTH[case]
    errors = []
    for cells in (16, 32, 64):
        x = centres(cells, LENGTHS[0])[:, None].expand(cells, cells).clone().requires_grad_()
        y = centres(cells, LENGTHS[1])[None].expand(cells, cells).clone().requires_grad_()
        permeability = torch.exp(0.8 * torch.sin(3 * x + 4 * y))
        p = solution(x, y)
        slopes = torch.autograd.grad(p.sum(), [x, y], create_graph=True)
        divergence = sum(
            torch.autograd.grad((permeability * slope).sum(), position, retain_graph=True)[0]
            for slope, position in zip(slopes, (x, y), strict=True)
        )
        flow = solve_darcy(permeability.detach()[None], -divergence[None], lengths=LENGTHS, pressures=pressures)
        errors.append(float((flow.pressure[0] - p.detach()).square().mean().sqrt()))
    assert orders(errors) == pytest.approx([2, 2], abs=0.05)
    assert errors[-1] < 1e-3


# Mass and the maximum principle


# Each face's flow has an error of 2e-16 of k p, however small the pressure difference that drives it.
@pytest.mark.parametrize(("decades", "accuracy"), [(1.0, 1e-13), (6.0, 1e-11)])
@pytest.mark.parametrize("pressures", [CLOSED, THROUGH, [(None, 1.0), (None, None)]])
def test_the_injected_flow_equals_the_outflow(pressures, decades, accuracy):
    permeability, source = rough(3, 24, 16, decades)
    held = torch.zeros(24, 16, dtype=torch.bool)
    held[3:6, 10:] = True
    flow = solve_darcy(permeability, source, lengths=LENGTHS, pressures=pressures, held=held)
    cell = LENGTHS[0] * LENGTHS[1] / 24 / 16
    torch.testing.assert_close(flow.injected, cell * source[:, ~held].sum(1), rtol=1e-13, atol=0)
    assert flow.residual().max() < accuracy
    assert (flow.outflow[:, 4] > 0).all()  # fluid flows into the drain


def test_a_fault_in_a_flow_shows_in_the_residual():
    permeability, source = rough(2, 8, 8)
    flow = solve_darcy(permeability, source, lengths=LENGTHS, pressures=CLOSED)
    wrong = replace(flow, outflow=flow.outflow + tensor(0.1, 0, 0, 0, 0) * flow.injected.max())
    largest = torch.cat([wrong.outflow, flow.injected[:, None]], 1).amax(1)
    torch.testing.assert_close(wrong.residual(), 0.1 * flow.injected.max() / largest, rtol=1e-9, atol=0)


def test_pressures_stay_above_the_sides_where_fluid_is_injected_and_between_them_where_none_is():
    permeability, source = rough(4, 20, 20, decades=6.0)
    assert solve_darcy(permeability, source, lengths=LENGTHS, pressures=CLOSED).pressure.min() > 0
    driven = solve_darcy(permeability, 0 * source, lengths=LENGTHS, pressures=[(2.0, -1.0), (0.5, None)]).pressure
    assert -1 < driven.min() < driven.max() < 2


def test_pressure_scales_with_the_source_and_against_the_permeability():
    permeability, source = rough(2, 8, 8)
    once = solve_darcy(permeability, source, lengths=LENGTHS, pressures=CLOSED)
    twice = solve_darcy(1e-9 * permeability, 2 * source, lengths=LENGTHS, pressures=CLOSED)
    torch.testing.assert_close(twice.pressure, 2e9 * once.pressure, rtol=1e-12, atol=0)


# Solid and held cells


def test_a_solid_band_is_a_side_without_flow_and_a_held_band_a_side_at_pressure_zero():
    permeability, source = rough(2, 12, 10)
    band = torch.zeros(12, 10, dtype=torch.bool)
    band[8:] = True
    left = {"lengths": [LENGTHS[0] * 8 / 12, LENGTHS[1]]}
    inside = permeability[:, :8], source[:, :8]
    solid = solve_darcy(torch.where(band, 0, permeability), source, lengths=LENGTHS, pressures=[(2.0, 7.0), (None, 0.5)])
    smaller = solve_darcy(*inside, **left, pressures=[(2.0, None), (None, 0.5)])
    torch.testing.assert_close(solid.pressure[:, :8], smaller.pressure, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(solid.outflow, smaller.outflow, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(solid.injected, smaller.injected)
    assert (solid.pressure[:, 8:] == 0).all()
    held = solve_darcy(permeability, source, lengths=LENGTHS, pressures=[(2.0, 7.0), (None, 0.5)], held=band)
    smaller = solve_darcy(*inside, **left, pressures=[(2.0, 0.0), (None, 0.5)])
    torch.testing.assert_close(held.pressure[:, :8], smaller.pressure, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(held.outflow[:, [0, 4, 2, 3, 1]], smaller.outflow, rtol=1e-11, atol=1e-12)
    assert (held.pressure[:, 8:] == 0).all()
    assert solid.residual().max() < 1e-13
    assert held.residual().max() < 1e-13


@pytest.mark.parametrize("solid", [True, False])
def test_the_corners_of_a_hole_lower_the_order_to_four_thirds(solid):
    pressures, flows = [], []
    for cells in (16, 32, 64, 128):
        inside = (torch.arange(cells) + 0.5 - cells / 2).abs() < cells / 4
        hole = inside[:, None] & inside
        permeability = torch.ones(1, cells, cells).double()
        flow = solve_darcy(
            torch.where(hole, 0, permeability) if solid else permeability,
            0 * permeability,
            lengths=[1, 1],
            pressures=[(1.0, 0.0), (None, None)],
            held=None if solid else hole,
        )
        pressures.append(avg_pool2d(flow.pressure, cells // 16))
        flows.append(float(flow.outflow[0, 0]))
    changes = [float((coarse - fine).norm()) for coarse, fine in pairwise(pressures)]
    assert orders(changes) == pytest.approx([4 / 3, 4 / 3], abs=0.06)
    assert orders([abs(a - b) for a, b in pairwise(flows)]) == pytest.approx([4 / 3, 4 / 3], abs=0.05)


# Symmetries and rows


def test_a_mirrored_or_transposed_body_has_the_corresponding_solution():
    permeability, source = rough(2, 12, 9)
    held = torch.zeros(12, 9, dtype=torch.bool)
    held[2:4, 5:7] = True
    permeability[0, 8, 3] = 0
    ends, others = (2.0, None), (-1.0, 0.5)
    flow = solve_darcy(permeability, source, lengths=LENGTHS, pressures=[ends, others], held=held)
    same = {"rtol": 1e-12, "atol": 1e-13}
    mirrored = solve_darcy(
        permeability.flip(1), source.flip(1), lengths=LENGTHS, pressures=[ends[::-1], others], held=held.flip(0)
    )
    torch.testing.assert_close(mirrored.pressure.flip(1), flow.pressure, **same)
    torch.testing.assert_close(mirrored.outflow[:, [1, 0, 2, 3, 4]], flow.outflow, **same)
    turned = solve_darcy(permeability.mT, source.mT, lengths=LENGTHS[::-1], pressures=[others, ends], held=held.T)
    torch.testing.assert_close(turned.pressure.mT, flow.pressure, **same)
    torch.testing.assert_close(turned.outflow[:, [2, 3, 0, 1, 4]], flow.outflow, **same)


def test_a_batch_equals_its_rows():
    permeability, source = rough(5, 16, 16, decades=6.0)
    together = solve_darcy(permeability, source, lengths=LENGTHS, pressures=THROUGH)
    for i in range(5):
        row = slice(i, i + 1)
        alone = solve_darcy(permeability[row], source[row], lengths=LENGTHS, pressures=THROUGH)
        torch.testing.assert_close(together.pressure[row], alone.pressure, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(together.outflow[row], alone.outflow, rtol=1e-11, atol=1e-13)


# Refused arguments

ONES = torch.ones(2, 6, 4).double()
MOAT = ONES.clone()
MOAT[1, 1:4, 0:3] = 0
MOAT[1, 2, 1] = 1
GOOD = {"permeability": ONES, "source": ONES, "lengths": LENGTHS, "pressures": CLOSED}
REFUSED = {
    r"two cells or more along each axis, got \(1, 4\)": {"permeability": ONES[:, :1], "source": ONES[:, :1]},
    r"source must have the shape of permeability, \(2, 6, 4\), got \(2, 6, 5\)": {"source": torch.ones(2, 6, 5)},
    r"held must have the shape of one field, \(6, 4\), got \(4, 6\)": {"held": torch.ones(4, 6, dtype=torch.bool)},
    r"permeability must not be negative, got -2 m\^2/\(Pa s\) in sample 1": {
        "permeability": ONES * tensor(1, -2)[:, None, None]
    },
    "permeability must be finite, it is not in sample 0": {"permeability": ONES * tensor(math.inf, 1)[:, None, None]},
    "source must be finite, it is not in sample 1": {"source": ONES * tensor(1, math.nan)[:, None, None]},
    r"lengths must be two positive numbers \[m\], got \(1\.0, 0\.0\)": {"lengths": [1.0, 0.0]},
    r"pressures must be two pairs \(low, high\), along x and along y, got 1": {"pressures": CLOSED[:1]},
    r"a pressure must be finite, or None for a side without flow, got \[nan, 0\.0": {
        "pressures": [(math.nan, 0.0), (0.0, 0.0)]
    },
    "the pressure of a side or of a cell must be held, none is: replace a None by a number": {"pressures": [(None, None)] * 2},
    "the system of sample 1 is singular to double precision": {"permeability": MOAT},
}


@pytest.mark.parametrize("message", REFUSED)
def test_invalid_arguments_are_refused_in_one_line(message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its type checks would come before ours
    with pytest.raises(ValueError, match=message) as refusal:
        solve_darcy(**{**GOOD, **REFUSED[message]})
    assert "\n" not in str(refusal.value)


def test_a_held_cell_suffices_where_no_side_is_held():
    held = torch.zeros(6, 4, dtype=torch.bool)
    held[3, 2] = True
    flow = solve_darcy(ONES, ONES, lengths=LENGTHS, pressures=[(None, None)] * 2, held=held)
    torch.testing.assert_close(flow.outflow[:, 4], flow.injected)
    assert flow.pressure[:, 3, 2].abs().max() == 0


# The ensemble

ENSEMBLES = {
    "plain": Darcy(cells=32),
    "coarse": Darcy(cells=8),
    "through": Darcy(cells=32, pressure_drop=700.0, injection=0.0),
    "hole": Darcy(cells=32, hole_radius=0.125),
    "well": Darcy(cells=32, hole_radius=0.125, hole_held=True),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_the_ensemble_returns_what_it_declares(name):
    ensemble = ENSEMBLES[name]
    assert isinstance(ensemble, Ensemble)
    assert json.loads(json.dumps(asdict(ensemble), allow_nan=False))["cells"] == ensemble.cells
    inputs = ensemble.draw(generator(), 3)
    outputs, residual = ensemble.solve(inputs)
    assert {key: (tuple(array.shape), array.dtype) for key, array in inputs.items()} == {
        "permeability": ((3, 32, 32), torch.float32)
    }
    assert {key: (tuple(array.shape), array.dtype) for key, array in outputs.items()} == {
        "pressure": ((3, 32, 32), torch.float64)
    }
    for quantities, arrays in ((ensemble.inputs, inputs), (ensemble.outputs, outputs)):
        assert [(q.name, (3, *q.shape)) for q in quantities] == [(key, tuple(array.shape)) for key, array in arrays.items()]
    assert ensemble.size == ensemble.cells**2
    assert [len(c.values) for c in ensemble.coordinates] == [32, 32]
    assert residual.shape == (3,)
    assert 0 < residual.max() < 1e-12
    assert torch.equal(inputs["permeability"], ensemble.draw(generator(), 3)["permeability"])
    assert not torch.equal(inputs["permeability"], ensemble.draw(generator(1), 3)["permeability"])
    assert (outputs["pressure"] >= 0).all()
    assert 100 < outputs["pressure"].max() < 5000  # [Pa]
    alone, _ = ensemble.solve({"permeability": inputs["permeability"][1:2]})
    torch.testing.assert_close(alone["pressure"], outputs["pressure"][1:2], rtol=1e-12, atol=1e-9)


def test_the_logarithm_of_the_permeability_has_the_stated_deviation():
    inputs = Darcy(median=3e-9, log_deviation=1.5).draw(generator(), 500)
    logarithm = torch.log(inputs["permeability"].double() / 3e-9)
    assert float(logarithm.square().mean().sqrt()) == pytest.approx(1.5, rel=0.03)
    assert float(logarithm.mean()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("name", ["plain", "through", "hole", "well"])
def test_the_ensemble_converges_with_its_order(name):
    ensemble = replace(ENSEMBLES[name], modes=2)  # 32 cells resolve these two modes well
    inputs = ensemble.draw(generator(), 2)
    answers = [ensemble.solve(inputs, factor)[0]["pressure"] for factor in (1, 2, 4)]
    (order,) = orders([float((coarse - fine).norm()) for coarse, fine in pairwise(answers)])
    if ensemble.hole_radius:
        assert math.isnan(ensemble.order)
        assert 4 / 3 < order < 2  # the corners' contribution to the error is still small compared with that of the smooth field
    else:
        assert order == pytest.approx(ensemble.order, abs=0.05)


def test_a_coarse_solver_works_on_block_averages_and_interpolates():
    inputs = Darcy().draw(generator(), 2)
    found = Darcy(cells=8).solve(inputs)[0]["pressure"]
    blocks = torch.exp(avg_pool2d(torch.log(inputs["permeability"].double()), 4))
    p = solve_darcy(blocks, torch.full_like(blocks, 1e-4), lengths=[1, 1], pressures=CLOSED).pressure
    # The centre of the second of four cells lies 1/8 of a block before the centre of its block, 7/8 after the previous centre.
    mixed = 0.125 * p[:, :-1] + 0.875 * p[:, 1:]
    mixed = 0.125 * mixed[:, :, :-1] + 0.875 * mixed[:, :, 1:]
    torch.testing.assert_close(found[:, 5::4, 5::4], mixed, rtol=1e-10, atol=0)


def test_a_hole_is_where_it_is_declared_and_nothing_else_differs():
    whole, hole, well = Darcy(cells=32), ENSEMBLES["hole"], ENSEMBLES["well"]
    assert (whole.inputs, whole.outputs, whole.coordinates) == (hole.inputs, hole.outputs, hole.coordinates)
    inputs = whole.draw(generator(), 2)
    solid, drained = (ensemble.solve(inputs)[0]["pressure"] for ensemble in (hole, well))
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[12:20, 12:20] = True
    for pressure in (solid, drained):
        assert (pressure[:, inside] == 0).all()
        assert (pressure[:, ~inside] > 0).all()
    assert (solid > drained)[:, ~inside].all()  # a well lowers the pressure everywhere
    around = whole.solve(inputs)[0]["pressure"]
    assert float((around - solid)[:, ~inside].norm() / solid.norm()) > 0.03  # the flow passes around the hole
    coarse = replace(hole, cells=16).solve(inputs)[0]["pressure"]  # the interpolation from 16 cells reaches into the hole
    assert (coarse[:, inside] == 0).all()
    finer = replace(hole, cells=64).solve(inputs)[0]["pressure"]
    assert (finer[:, inside] == 0).all()
    assert float((finer - solid).norm() / finer.norm()) < 0.03
    assert "no flow at a square hole" in hole.equation
    assert "p = 0 at a square hole" in well.equation
    assert "hole" not in whole.equation


@pytest.mark.parametrize(("cells", "radius"), [(32, 0.1), (8, 0.0625), (31, 0.125), (32, 0.5)])
def test_a_hole_between_faces_is_refused(cells, radius):
    ensemble = Darcy(cells=cells, hole_radius=radius, reported=cells)
    with pytest.raises(
        ValueError, match=f"hole_radius must be a multiple of the cells' width.*got {radius:g} m for {cells} cells"
    ):
        ensemble.solve(ensemble.draw(generator(), 1))


def test_a_pressure_drop_drives_a_flow_along_x():
    ensemble = ENSEMBLES["through"]
    pressure = ensemble.solve(ensemble.draw(generator(), 4))[0]["pressure"]
    assert (pressure.mean(2).diff(dim=1) < 0).float().mean() > 0.9
    assert (pressure[:, 0] > 500).float().mean() > 0.9
    assert (pressure[:, -1] < 200).float().mean() > 0.9
    assert "p = 700 Pa at x = 0" in ensemble.equation
