"""Kernels of a network's tangent, compared with those from its explicit derivatives."""

import numpy as np
import pytest
import torch
from cases import initial_network
from drawing import normal
from torch import nn

import pac_surrogate as pac
from pac_surrogate.kernels import readout
from pac_surrogate.kernels import tangent as module_under_test
from pac_surrogate.kernels.jacobian import output_jacobian
from pac_surrogate.kernels.tangent import Tangent
from pac_surrogate.models import evaluate


class Own(nn.Module):
    """A user's module, whose features the test chooses."""

    def __init__(self, outputs, features):
        super().__init__()
        self.features, self.gain = features, nn.Linear(1, 1)
        self.body, self.head = nn.Linear(8, 5), nn.Linear(5, outputs)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        prediction = self.head(h)
        if self.features == "none":
            return prediction
        if self.features == "scaled":  # the derivative with respect to the readout differs from the features
            return self.gain.weight * prediction, (h,)
        return prediction.flip(1) if self.features == "turned" else prediction, (h,)


MODELS = {
    "MLP": lambda _: pac.MLP(hidden=(6, 5)),
    "CNN": lambda _: pac.CNN(channels=3, blocks=1, levels=1),
    **{
        kind: lambda outputs, kind=kind: pac.Module(Own(outputs, kind), readout="head")
        for kind in ("none", "given", "scaled", "turned")
    },
}


def tangent(kind, outputs=8):
    axes = {"a": ("x",), "b": ("x",)} if kind == "CNN" else {}
    data = pac.Dataset.from_arrays({"a": np.zeros((2, 8))}, {"b": np.zeros((2, outputs))}, axes=axes)
    network = initial_network(MODELS[kind](outputs), data, seed=1)
    return Tangent(network.module, network.weights, network.module.readout_name)


def derivatives(at, x):
    found = torch.func.jacrev(lambda w: evaluate(at.model, w, x)[0])(at.start)
    return {name: rows.flatten(2) for name, rows in found.items()}


def by_hand(at, variance, a, b, equation):
    left, right = derivatives(at, a), derivatives(at, b)
    return sum(torch.einsum(equation, left[n], variance[n].flatten(), right[n]) for n in at.start)


def priors(at):
    """Return three priors: equal for all weights, uneven, and uneven with a mask that freezes a complete tensor."""
    one = {n: torch.full_like(w, 0.7) for n, w in at.start.items()}
    uneven = {n: normal(*w.shape, seed=3).square() for n, w in at.start.items()}
    closed = next(iter(at.start))
    mask = {n: (normal(*w.shape, seed=4) > 0) & (n != closed) for n, w in at.start.items()}
    return [one, uneven, {n: torch.where(mask[n], w, 0.0) for n, w in uneven.items()}]


@pytest.mark.parametrize(
    ("kind", "numbers"), [*((kind, 2**25) for kind in MODELS), ("MLP", 700), ("MLP", 60), ("CNN", 300), ("none", 150)]
)
def test_kernels_are_products_of_the_derivatives(kind, numbers, monkeypatch):
    """The kernels are computed at once, in pieces of a few samples, and in pieces of the outputs of one sample."""
    for module in (module_under_test, readout):
        monkeypatch.setattr(module, "NUMBERS", numbers)
    at, a, b = tangent(kind), normal(3, 8, seed=5), normal(2, 8, seed=6)
    for other in (None, b):
        block, shared = at.block(priors(at), a, other), at.shared(priors(at), a, other, projections=8)
        for i, variance in enumerate(priors(at)):
            right = a if other is None else other
            whole = by_hand(at, variance, a, right, "iow,w,jpw->iojp").reshape(len(a) * 8, -1)
            mean = by_hand(at, variance, a, right, "iow,w,jow->ij") / 8
            # Sums of a few hundred products of order 1.
            torch.testing.assert_close(block[i], whole, rtol=0, atol=1e-12)
            torch.testing.assert_close(shared[i], mean, rtol=0, atol=1e-12)
            (diagonal,) = at.block_diagonals([variance], a)
            torch.testing.assert_close(diagonal.flatten(), at.block([variance], a)[0].diagonal(), rtol=0, atol=1e-12)
            torch.testing.assert_close(
                at.shared_diagonals([variance], a, projections=8, seed=0)[0],
                at.shared([variance], a, projections=8)[0].diagonal(),
                rtol=0,
                atol=1e-12,
            )


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("part", ["readout", "body", "both"])
def test_the_diagonals_are_those_of_the_kernels(kind, part):
    """The readout has one position and, for the CNN, eight: the diagonal is then a mean of squares over positions."""
    at, x = tangent(kind), normal(5, 8, seed=5)
    last = {n: n.startswith(f"{at.readout}.") for n in at.start}
    for prior in priors(at):
        variance = {n: v * (part == "both" or last[n] == (part == "readout")) for n, v in prior.items()}
        (block,), (own,) = at.block([variance], x), at.block_diagonals([variance], x)
        (shared,) = at.shared([variance], x, projections=3)
        (mean,) = at.shared_diagonals([variance], x, projections=3, seed=0)
        # All terms are squares, so nothing cancels: a few hundred rounding errors of 1e-16.
        torch.testing.assert_close(own.flatten(), block.diagonal(), rtol=1e-12, atol=0)
        torch.testing.assert_close(mean, shared.diagonal(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["MLP", "none"])
def test_a_mask_is_a_weighting(kind):
    at, x = tangent(kind), normal(4, 8, seed=5)
    uneven, masked = priors(at)[1:]
    rows = torch.cat([d.flatten(0, 1) for d in derivatives(at, x).values()], 1)
    kept, weight = (torch.cat([v[n].flatten() for n in at.start]) for v in (masked, uneven))
    columns = rows[:, kept > 0] * weight[kept > 0].sqrt()
    torch.testing.assert_close(at.block([masked], x)[0], columns @ columns.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["MLP", "CNN"])
def test_the_readouts_part_needs_no_projections(kind):
    """If only the readout is free, two projections of eight outputs give the exact mean, because the features alone give it."""
    at, x = tangent(kind), normal(4, 8, seed=5)
    readout = {n: normal(*w.shape, seed=3).square() * n.startswith("readout.") for n, w in at.start.items()}
    exact = by_hand(at, readout, x, x, "iow,w,jow->ij") / 8
    torch.testing.assert_close(at.shared([readout], x, projections=2)[0], exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["MLP", "none"])
def test_the_error_of_projections_falls_with_the_root_of_their_number(kind):
    at, x, seeds = tangent(kind, outputs=300), normal(3, 8, seed=5), range(24)
    body = {n: torch.full_like(w, float("readout" not in n and "head" not in n)) for n, w in at.start.items()}
    exact = by_hand(at, body, x, x, "iow,w,jow->ij") / 300
    counts = (4, 16, 64, 256)
    errors = []
    for count in counts:
        found = torch.stack([at.shared([body], x, projections=count, seed=seed)[0] for seed in seeds])
        errors.append(float((found - exact).square().mean().sqrt() / exact.norm()))
        # No bias: the error of the mean over seeds is smaller by the root of their number. The norm of 9 entries is 3 times
        # their root mean square, and 3 standard deviations are allowed.
        assert float((found.mean(0) - exact).norm() / exact.norm()) < 3 * 3 * errors[-1] / len(seeds) ** 0.5
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.15  # each error is estimated from 24 x 9 dependent numbers


@pytest.mark.parametrize("kind", MODELS)
def test_along_and_back_apply_the_derivatives_and_are_each_others_transpose(kind):
    at, x, residual = tangent(kind), normal(4, 8, seed=5), normal(4, 8, seed=6)
    change = {n: normal(*w.shape, seed=7) for n, w in at.start.items()}
    rows = derivatives(at, x)
    torch.testing.assert_close(at.along(x, change), sum(rows[n] @ change[n].flatten() for n in rows), rtol=0, atol=1e-12)
    pulled = at.back(x, residual)
    for name, found in rows.items():
        torch.testing.assert_close(pulled[name].flatten(), torch.einsum("iow,io->w", found, residual), rtol=0, atol=1e-12)


def test_derivatives_of_projections_are_projections_of_the_derivatives(monkeypatch):
    at, x = tangent("MLP"), normal(5, 8, seed=5)
    rows, own, common = derivatives(at, x), normal(5, 3, 8, seed=6), normal(3, 8, seed=7)
    for numbers in (2**24, 700, 1):
        monkeypatch.setattr("pac_surrogate.kernels.jacobian.NUMBERS", numbers)
        for mix, equation in ((own, "sro,sow->srw"), (common, "ro,sow->srw")):
            pieces = list(output_jacobian(at.model, at.start, x, mix=mix))
            assert (len(pieces) == 1) == (numbers == 2**24)
            for name, found in rows.items():
                whole = torch.cat([piece[name] for piece in pieces]).flatten(2)
                torch.testing.assert_close(whole, torch.einsum(equation, mix, found), rtol=0, atol=1e-12)
    assert list(output_jacobian(at.model, at.start, x[:0])) == []
