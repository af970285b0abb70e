"""The memory of a prediction: apart from inputs and outputs, no array grows with the number of rows.

The tests measure the largest array that is allocated, not the memory of the process, because this number is the same on
every machine.
"""

import numpy as np
import pytest
import torch
from cases import initial_network
from drawing import normal
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pac_surrogate as pac
from pac_surrogate.intervals import bands as intervals
from pac_surrogate.intervals.bands import cross_validation_band
from pac_surrogate.kernels import jacobian
from pac_surrogate.kernels import readout as readouts
from pac_surrogate.kernels import tangent as tangents
from pac_surrogate.kernels.tangent import Tangent
from pac_surrogate.models import activation_size, evaluate_many
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import (
    CoKriging,
    Correction,
    FeatureReadout,
    GaussianProcess,
    co_kriging,
    feature_readout,
    gaussian_process,
    linearised,
    network,
)
from pac_surrogate.solvers.closed_form import linearise

INPUTS, OUTPUTS, SAMPLES, FEATURES, ROWS = 4, 2, 40, 32, 1000
BUDGET = 2**13  # numbers in one piece: 1,000 rows times 32 features or 40 samples are four to five times as many


class Largest(TorchDispatchMode):
    """Record the size of the largest array that is allocated, and the number of joined rows; views allocate nothing."""

    def __init__(self):
        super().__init__()
        self.numbers = self.joined = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        held = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        for t in tree_leaves(found):
            if isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() not in held:
                self.numbers = max(self.numbers, t.untyped_storage().nbytes() // t.element_size())
        if func is torch.ops.aten.cat.default and args[1:] in ((), (0,)):
            self.joined = max(self.joined, len(found))
        return found


@pytest.fixture
def small_pieces(monkeypatch):
    """Reduce the budget of every piece, as on a computer with little memory."""
    for module, names in {
        network: ["PREDICT_NUMBERS"],
        feature_readout: ["PREDICT_NUMBERS"],
        linearised: ["PREDICT_NUMBERS", "CROSS_NUMBERS"],
        gaussian_process: ["ROWS"],
        co_kriging: ["ROWS"],
        tangents: ["NUMBERS"],
        readouts: ["NUMBERS"],
        jacobian: ["NUMBERS"],
        intervals: ["BAND_NUMBERS"],
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, BUDGET)


def base(inputs=INPUTS, outputs=OUTPUTS, model=None):
    data = pac.Dataset.from_arrays(np.zeros((2, inputs)), np.zeros((2, outputs)))
    return initial_network(model or pac.MLP(hidden=(FEATURES,)), data, seed=1)


def closed(kernel, samples=SAMPLES, inputs=INPUTS, outputs=OUTPUTS):
    own = base(inputs, outputs)
    plan = make_plan(own.weights, anchor=own.weights, strength=0.1)
    return linearise(own, [plan], normal(samples, inputs, seed=2), normal(samples, outputs, seed=3), kernel=kernel)[0].predictor


def process(on, samples=SAMPLES, inputs=INPUTS, outputs=OUTPUTS):
    components = 2 if on == "augmented" else 0
    dimension = inputs + components
    return GaussianProcess(
        None if on == "target" else base(inputs, outputs),
        on,
        "matern",
        points=normal(samples, dimension),
        alpha=normal(samples, outputs),
        mean=normal(outputs),
        amplitudes=torch.ones(1).double(),
        inverse_lengths=torch.full((1, 1, dimension), 0.3).double(),
        projection=normal(outputs, components),
    )


def kriging(samples=SAMPLES, inputs=INPUTS, components=2):
    return CoKriging(
        offset=normal(inputs),
        scale=torch.ones(inputs).double(),
        points=normal(samples, inputs),
        theta=torch.full((2, components, inputs), 0.3).double(),
        trend=normal(2, components, 1 + inputs),
        gamma=normal(components, samples),
        rho=normal(components),
        basis=normal(components, OUTPUTS),
        mean=normal(OUTPUTS),
        low=samples // 2,
    )


def readout():
    width = INPUTS + FEATURES
    arrays = {"mean": normal(width), "deviation": torch.ones(width).double(), "coefficients": normal(width, OUTPUTS)}
    return FeatureReadout(base(), (0, 1), **arrays, intercept=normal(OUTPUTS), corrects=True)


PREDICTIONS = {
    "network": lambda: base().predict,
    "many networks": lambda: lambda x: evaluate_many(base().module, [base().weights] * 2, [x] * 2, numbers=BUDGET)[1],
    "correction": lambda: Correction(base(), normal(OUTPUTS), normal(OUTPUTS), normal(INPUTS, OUTPUTS)).predict,
    "feature readout": lambda: readout().predict,
    "process": lambda: process("target").predict,
    "process on the residual": lambda: process("residual").predict,
    "process on the augmented inputs": lambda: process("augmented").predict,
    "co-kriging": lambda: kriging().predict,
    "linearised": lambda: closed("block").predict,
    "shared kernel": lambda: closed("shared").predict,
    "variance of the linearised": lambda: closed("block").variance,
    "variance of the shared kernel": lambda: closed("shared").variance,
}


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_no_array_of_a_prediction_is_larger_than_a_piece(kind, small_pieces):
    """The 2,000 outputs and 4,000 inputs are smaller than a piece; rows times features and rows times samples are larger."""
    predict, x = PREDICTIONS[kind](), normal(ROWS, INPUTS, seed=4)
    with torch.no_grad(), Largest() as largest:
        predict(x)
    # The augmented inputs are 6,000 numbers, less than a piece.
    assert ROWS * OUTPUTS <= largest.numbers <= BUDGET
    # Pieces that are kept separately until the end would fragment the memory.
    assert largest.joined < ROWS


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_prediction_in_pieces_equals_the_prediction_at_once(kind, request):
    predict, x = PREDICTIONS[kind](), normal(300, INPUTS, seed=4)
    with torch.no_grad():
        whole = predict(x)
        request.getfixturevalue("small_pieces")
        # Sums of at most some hundred products of order 1 to 10, in another order.
        torch.testing.assert_close(predict(x), whole, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", [kind for kind in PREDICTIONS if kind != "many networks"])
def test_a_prediction_in_pieces_has_the_same_gradient(kind, request):
    predict, x = PREDICTIONS[kind](), normal(200, INPUTS, seed=4).requires_grad_()
    (whole,) = torch.autograd.grad(predict(x).sum(), x)
    request.getfixturevalue("small_pieces")
    (pieces,) = torch.autograd.grad(predict(x).sum(), x)
    torch.testing.assert_close(pieces, whole, rtol=1e-10, atol=1e-10)  # as above, but derivatives are larger


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_prediction_of_no_rows_is_empty(kind):
    with torch.no_grad():
        assert PREDICTIONS[kind]()(normal(0, INPUTS)).shape == (0, OUTPUTS)


WIDE = {
    "process": lambda: process("target", samples=1, inputs=200, outputs=1).predict,
    "co-kriging": lambda: kriging(samples=2, inputs=200).predict,
    "components": lambda: kriging(samples=2, components=200).predict,
    "shared kernels": lambda: lambda x: linearised.variances([closed("shared", samples=1, outputs=12)] * 3, x),
}


@pytest.mark.parametrize("kind", WIDE)
def test_few_samples_of_many_inputs_components_or_features_make_no_larger_piece(kind, small_pieces):
    predict, x = WIDE[kind](), normal(400, 200 if kind in ("process", "co-kriging") else INPUTS, seed=4)
    with torch.no_grad(), Largest() as largest:
        predict(x)
    # 400 rows times 200 inputs or components would be 80,000 numbers; 400 rows times 3 kernels of 12 projections, 14,400.
    assert largest.numbers <= BUDGET


@pytest.mark.parametrize("kernel", ["block", "shared"])
def test_the_diagonal_of_a_kernel_is_computed_without_the_kernel(kernel, small_pieces):
    own = base()
    at, prior = Tangent(own.module, own.weights, "readout"), {n: torch.ones_like(w) for n, w in own.weights.items()}
    options = {"projections": 12, "seed": 0} if kernel == "shared" else {}
    with torch.no_grad(), Largest() as largest:
        getattr(at, f"{kernel}_diagonals")([prior], normal(500, INPUTS, seed=4), **options)
    # The kernel of 500 samples would be 250,000 numbers.
    assert largest.numbers <= BUDGET


def test_the_variance_of_one_sample_of_many_outputs_takes_pieces_of_its_outputs(small_pieces):
    """The derivatives of 80 outputs with respect to the 128 weights of the hidden layer are 10,240 numbers."""
    predictor = closed("block", samples=1, outputs=80)
    with torch.no_grad(), Largest() as largest:
        predictor.variance(normal(1, INPUTS, seed=4))
    assert largest.numbers <= BUDGET


@pytest.mark.parametrize("kernel", ["block", "shared"])
def test_a_kernel_of_many_samples_holds_the_features_of_few_at_once(kernel, small_pieces):
    """Only the readout is free: 1,000 samples of 32 features are 32,000 numbers, their kernel with one sample 1,000."""
    own = base(outputs=1)
    last = {n: torch.full_like(w, float(n.startswith("readout."))) for n, w in own.weights.items()}
    at = Tangent(own.module, own.weights, "readout")
    with torch.no_grad(), Largest() as largest:
        getattr(at, kernel)([last], normal(1, INPUTS, seed=4), normal(1000, INPUTS, seed=5))
    assert largest.numbers <= BUDGET


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize(("rows", "outputs"), [(500, 3), (3, 500), (0, 3)])
def test_a_cross_validation_band_in_pieces_has_the_same_bits(rows, outputs, simultaneous, request):
    left_out, fold, residual = normal(5, rows, outputs), torch.arange(40) % 5, normal(40, outputs, seed=1)
    whole = cross_validation_band(left_out, fold, residual, torch.arange(40), 0.8, simultaneous=simultaneous)
    request.getfixturevalue("small_pieces")
    with Largest() as largest:
        pieces = cross_validation_band(left_out, fold, residual, torch.arange(40), 0.8, simultaneous=simultaneous)
    assert torch.equal(torch.stack(pieces), torch.stack(whole))
    # All samples at all rows would be 60,000 numbers; at one row there are as many as residuals, which are given.
    assert largest.numbers <= max(BUDGET, 40 * outputs)


class Convolutions(nn.Module):
    """A field of 16 points; it returns its prediction, and the features of its last hidden layer on request."""

    def __init__(self, returns):
        super().__init__()
        self.returns, self.first, self.second = returns, nn.Conv1d(1, 6, 3, padding=1), nn.Conv1d(6, 5, 3, padding=1)
        self.bend, self.head = nn.Tanh(), nn.Conv1d(5, 1, 1)

    def forward(self, x):
        last = self.bend(self.second(self.bend(self.first(x[:, None]))))
        prediction = self.head(last)[:, 0]
        return (prediction, (last,)) if self.returns else prediction


@pytest.mark.parametrize("returns", [False, True])
def test_memory_is_planned_by_all_layers_of_a_module_regardless_of_what_it_returns(returns):
    own = base(16, 16, pac.Module(Convolutions(returns), readout="head"))
    # Inputs, outputs and three times the results of the layers at 16 points: 6 and 5 channels, each also after its activation,
    # and 1 channel.
    assert activation_size(own.module, 16) == 16 + 16 + 3 * 16 * (6 + 6 + 5 + 5 + 1)
    assert not any(layer._forward_hooks for layer in own.module.modules())
