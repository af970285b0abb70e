"""Programs against the predictors that they are made of, step by step as torch evaluates them."""

import dataclasses
import math

import export_cases
import numpy as np
import pytest
import torch
from export_cases import inputs_of, largest, rounding_of, source, surrogates, table

import pac_surrogate as pac
from pac_surrogate.exports.complete import program_of
from pac_surrogate.exports.derivatives import along, reverse
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.networks import network
from pac_surrogate.exports.program import ACTIVATIONS, Program
from pac_surrogate.predictors import (
    Autoregressive,
    FeatureReadout,
    GaussianProcess,
    Linearised,
    Mixture,
    Network,
    OutputGroups,
    Processes,
    SharedKernel,
)

pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning")
NAMES = sorted(surrogates())
POSTERIOR = GaussianProcess | Processes | Autoregressive | Linearised | SharedKernel | OutputGroups


def program(surrogate, **options):
    widths = [sum(variable.size for variable in side) for side in (surrogate.inputs, surrogate.outputs)]
    given = np.arange(widths[0]), np.arange(widths[1])
    return program_of(surrogate.predictor, surrogate.scaling, surrogate.outputs, given, **options)


def evaluated(program, x):
    return [found.numpy() for found in ProgramModule(program)(torch.from_numpy(x)).values()]


def assert_close(found, expected, surrogate, relative):
    """Compare to `relative` of each output's deviation, and of its magnitude."""
    expected = expected.reshape(len(expected), -1)
    allowed = relative * (surrogate.scaling.outputs.deviation.numpy() + np.abs(expected))
    assert (np.abs(found - expected) <= allowed).all(), np.max(np.abs(found - expected) / allowed)


@pytest.mark.parametrize("name", NAMES)
def test_a_program_predicts_what_the_surrogate_predicts(name):
    surrogate = surrogates()[name]
    x = inputs_of(surrogate)
    (found,) = evaluated(program(surrogate), x)
    # Networks are in float32: sums of at most 60 terms differ by some 1e-6.
    bound = 1e-5 if holds_a_network(surrogate.predictor) else rounding_of(surrogate.predictor)
    assert bound <= 1e-5
    assert_close(found, surrogate.predict(x), surrogate, bound)


def holds_a_network(predictor):
    if isinstance(predictor, Linearised | SharedKernel | FeatureReadout):
        return False  # they evaluate their network in float64
    parts = [getattr(predictor, "base", None), *(predictor.members if isinstance(predictor, Mixture | OutputGroups) else ())]
    return isinstance(predictor, Network) or any(holds_a_network(part) for part in parts if part is not None)


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(surrogates()[name].predictor, POSTERIOR)])
def test_a_program_has_the_deviation_of_the_posterior(name):
    surrogate = surrogates()[name]
    x = inputs_of(surrogate)
    if name == "Linearised of a CNN":
        with pytest.raises(NotExportableError, match="block kernel is exported for networks without a grid"):
            program(surrogate, deviation=True)
        return
    mean, std = evaluated(program(surrogate, deviation=True), x)
    expected = surrogate.posterior(x).variance.reshape(len(x), -1)
    # The variance is what the samples leave of the prior's, and both ways round by some eps of that for each sample.
    prior = prior_of(surrogate.predictor) * surrogate.scaling.outputs.deviation.square().numpy()
    np.testing.assert_allclose(std**2, expected, rtol=1e-9, atol=100 * np.finfo(float).eps * prior.max())
    assert_close(mean, surrogate.predict(x), surrogate, 1e-5)
    assert (expected.std(0) > 1e-3 * expected.mean(0)).all(), "the deviation is to vary, or a constant would pass"


def prior_of(predictor):
    """The prior variance of a standardised output, or more."""
    match predictor:
        case OutputGroups():
            return max(map(prior_of, predictor.members))
        case GaussianProcess():
            return float(predictor.amplitudes.sum())
        case Processes():
            return float((predictor.amplitudes * largest(predictor, predictor.points)).max())
        case Autoregressive():
            own = predictor.amplitudes * largest(predictor, predictor.points)
            return float((own + predictor.rho**2 * prior_of(predictor.base)).max())
        case _:
            return 100.0


def test_a_predictor_without_a_posterior_is_refused_a_deviation():
    with pytest.raises(NotExportableError, match=r"a Mixture has no posterior variance.*pac\.GP"):
        program(surrogates()["Mixture"], deviation=True)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_in_double_precision_agrees_to_rounding(activation):
    surrogate = source(activation)
    weights = {name: weight.double() for name, weight in surrogate.weights.items()}
    surrogate = dataclasses.replace(surrogate, predictor=dataclasses.replace(surrogate.network, weights=weights))
    x = inputs_of(surrogate)
    assert_close(evaluated(program(surrogate), x)[0], surrogate.predict(x), surrogate, 1e-12)


@pytest.mark.parametrize("padding", ["periodic", "zero", "replicate"])
@pytest.mark.parametrize(("grid", "kernel"), [((6, 4), 3), ((4, 8), 1), ((8,), 5)])
def test_convolutions_on_every_grid_with_every_padding(padding, grid, kernel):
    generator = np.random.default_rng(0)
    axes = ("x", "y")[: len(grid)]
    a, u = generator.normal(size=(30, *grid, 2)), generator.normal(size=(30, *grid))
    inputs, outputs = {"a": a, "k": generator.normal(size=30)}, {"u": u, "v": np.stack([u, -u], 1)}
    layout = {"a": (*axes, "species"), "u": axes, "v": ("species", *axes)}
    data = pac.Dataset.from_arrays(inputs, outputs, axes=layout)
    model = pac.CNN(channels=3, blocks=1, levels=1, padding=padding, kernel=kernel)
    surrogate = pac.pretrain(data, model=model, steps=5)
    x = data.input_matrix[:7].astype(float)
    assert_close(evaluated(program(surrogate), x)[0], surrogate.predict(x), surrogate, 1e-5)


@pytest.mark.parametrize("name", ["gaussian", "network"])
def test_logarithmic_and_bounded_variables(name):
    options = {"scaling": {"load": "log", "force": "log"}}
    data = table(2.5, **options)
    before = pac.pretrain(table(2.0, **options), model=pac.MLP(hidden=(7,)), steps=60)
    surrogate = before if name == "network" else pac.transfer(before, data[:12], method=pac.GP(on="target"), intervals=False)
    x = inputs_of(source())
    bounds = tuple(np.quantile(surrogate.predict(x)[:, 1], (0.3, 0.7)).tolist())
    force, stress = surrogate.outputs
    surrogate = dataclasses.replace(surrogate, outputs=(force, dataclasses.replace(stress, bounds=bounds)))
    expected = surrogate.predict(x)
    assert set(bounds) < set(expected[:, 1]), "some predictions are cut at each bound, and others are not"
    assert_close(evaluated(program(surrogate), x)[0], expected, surrogate, 1e-5)
    if name == "gaussian":
        std = evaluated(program(surrogate, deviation=True), x)[1]
        np.testing.assert_allclose(std, np.sqrt(surrogate.posterior(x).variance), rtol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_not_a_number_reaches_every_output(activation):
    data = table(2.0, scaling={"load": "log"})
    surrogate = pac.pretrain(data, model=pac.MLP(hidden=(4,), activation=activation), steps=5)
    x = inputs_of(surrogate)[:6]
    for row, value in enumerate((math.nan, math.inf, -math.inf)):
        x[row, 1] = value
    x[3:5, 2] = 0.0, -1.0
    (found,) = evaluated(program(surrogate), x)
    assert np.isnan(found[:5]).all()
    assert np.isfinite(found[5]).all()


def test_columns_follow_the_layout_of_the_arrays():
    surrogate = source()
    x = inputs_of(surrogate)
    swapped = program_of(surrogate.predictor, surrogate.scaling, surrogate.outputs, (np.array([2, 0, 1]), np.array([1, 0])))
    (found,) = evaluated(swapped, x[:, [1, 2, 0]])
    np.testing.assert_array_equal(found, evaluated(program(surrogate), x)[0][:, [1, 0]])


def test_a_module_of_the_users_own_is_refused_with_the_remedy():
    module = pac.Module(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)))
    surrogate = pac.pretrain(table(2.0), model=module, steps=5)
    with pytest.raises(NotExportableError, match=r"Sequential is a module of your own.*surrogate\.distil\("):
        program(surrogate)


@pytest.mark.parametrize("name", ["Network", "U-Net", "Network of input augmentation"])
def test_derivatives_of_a_program_are_those_of_torch(name):
    surrogate = surrogates()[name]
    base = dataclasses.replace(surrogate.network, weights={n: w.double() for n, w in surrogate.weights.items()})
    x = torch.from_numpy(export_cases.inputs_of(surrogate))
    generator = torch.Generator().manual_seed(0)
    change = {n: torch.randn(w.shape, generator=generator, dtype=torch.float64) for n, w in base.weights.items()}
    made = Program(x.shape[1])
    own = network(made, base, made.x)
    steps = made.between(made.x, own.prediction)
    moved = along(made, steps, own.prediction, {n: c.numpy() for n, c in change.items()})
    assert moved is not None
    mix = np.random.default_rng(0).normal(size=(2, own.prediction.rows))
    layers = reverse(made, steps, own.prediction, mix, list(base.weights))
    for place, layer in enumerate(layers):
        made.results[f"read {place}"] = layer.step.value
        if not isinstance(layer.value, np.ndarray):
            made.results[f"derivative {place}"] = layer.value
    made.results["moved"] = moved
    found = ProgramModule(made)(x)

    def outputs(weights, rows):
        return pac.models.evaluate(base.module, weights, rows)[0]

    expected = torch.func.vjp(lambda w: outputs(w, x), base.weights)
    push = torch.func.vjp(lambda u: expected[1](u)[0], torch.zeros_like(expected[0]))[1]
    torch.testing.assert_close(found["moved"], push(change)[0], rtol=1e-10, atol=1e-10)
    for place, layer in enumerate(layers):
        shape = len(x), layer.step.value.rows, layer.step.value.columns
        read = found[f"read {place}"].reshape(shape)
        if isinstance(layer.value, np.ndarray):
            derivative = torch.from_numpy(layer.value).expand(len(x), -1, -1)
        else:
            derivative = found[f"derivative {place}"].reshape(len(x), layer.value.rows, layer.value.columns)
        derivative = derivative.reshape(len(x), -1, len(mix), shape[2])
        for p, row in enumerate(mix):
            projection = torch.from_numpy(row).expand(len(x), -1)
            weight = expected[1](projection)[0][layer.step.names[0]]
            own_weight = torch.einsum("ios,iks->ok", derivative[:, :, p], read).reshape(weight.shape)
            torch.testing.assert_close(own_weight, weight, rtol=1e-10, atol=1e-10)
