"""Exports as C, compiled by the system's compiler, against the programs and the surrogates that they are made of."""

import copy
import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch
from compiling import Library, export_of, export_of_surrogate, steps
from export_cases import inputs_of, rounding_of, surrogates, table
from scipy import special

import pac_surrogate as pac
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.networks import NotExportableError
from pac_surrogate.exports.program import FUNCTIONS, Program

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler with the name cc"),
    pytest.mark.filterwarnings("ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning"),
]
EPS = float(np.finfo(float).eps)


def in_double(program):
    """Return a program that does all in double precision, with the constants in the precision that they have."""
    made = copy.copy(program)
    made.values = [dataclasses.replace(value, double=True) for value in program.values]
    made.steps = []
    for step, value in zip(program.steps, program.values, strict=True):
        arrays = {name: array for name, array in vars(step).items() if isinstance(array, np.ndarray) and name != "index"}
        rounded = {name: array if value.double else array.astype(np.float32).astype(float) for name, array in arrays.items()}
        made.steps.append(dataclasses.replace(step, **rounded))
    return made


def evaluated(program, x):
    return [found.numpy() for found in ProgramModule(program)(torch.from_numpy(x)).values()]


NAMES = sorted(surrogates())


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """All surrogates, compiled together: names of one header do not collide with those of another."""
    exports = {}
    for place, name in enumerate(NAMES):
        try:
            exports[name] = export_of_surrogate(surrogates()[name], f"model_{place}", deviation=True)
        except NotExportableError:
            exports[name] = export_of_surrogate(surrogates()[name], f"model_{place}")
    return exports, Library(tmp_path_factory.mktemp("c"), exports.values())


@pytest.mark.parametrize("name", NAMES)
def test_compiled_code_predicts_what_the_surrogate_predicts(library, name):
    exports, call = library
    surrogate, export = surrogates()[name], exports[name]
    x = inputs_of(surrogate)
    deviation = surrogate.scaling.outputs.deviation.numpy()
    # In double precision, sums in another order round differently, as between the program and the predictor.
    expected = evaluated(in_double(export.program), x)
    found = call(export, x, results=tuple(export.program.results))
    found = found if len(expected) > 1 else [found]
    bound = max(1e-12, rounding_of(surrogate.predictor))
    assert (np.abs(found[0] - expected[0]) <= bound * (deviation + np.abs(expected[0]))).all()
    if len(expected) > 1:
        # The variance is a difference from the prior variance, which rounding changes by some eps.
        np.testing.assert_allclose(found[1] ** 2, expected[1] ** 2, rtol=1e-9, atol=1e4 * EPS * deviation.max() ** 2)
        np.testing.assert_array_equal(call(export, x), found[0])
    x = x.astype(np.float32)
    single, predicted = call(export, x, np.float32), surrogate.predict(x.astype(float)).reshape(len(x), -1)
    assert (np.abs(single - predicted) <= 1e-5 * deviation + 1e-7 * np.abs(predicted)).all()
    assert (predicted.std(0) > 1e-3 * deviation).all(), "predictions are to vary, or a constant would pass"


@pytest.fixture(scope="module")
def step_library(tmp_path_factory):
    exports = [steps(True), steps(False)]
    return exports, Library(tmp_path_factory.mktemp("c"), exports, ("-O2",))


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kind_of_step_in_every_shape(step_library, place, dtype):
    exports, call = step_library
    export = exports[place]
    x = np.random.default_rng(1).normal(size=(20, 48)).astype(dtype)
    program = export.program if dtype == np.float32 else in_double(export.program)
    (expected,) = evaluated(program, x)
    found = call(export, x, dtype)
    assert np.isnan(expected).any(), "roots and logarithms of negative numbers"
    # Sums of at most 50 terms of size 10 or less, each of which is rounded by half an eps of the size of the sum.
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found, expected, rtol=10 * eps, atol=250 * eps)


APPLIED = tuple(name for name in FUNCTIONS if name not in ("exp", "log", "sqrt", "square"))


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """Return the functions of some numbers, by code in single precision, by name."""
    program = Program(8)
    x = program.cast(program.x, double=False)
    program.results["y"] = program.cast(program.join([program.apply(name, x) for name in APPLIED]), double=True)
    export = export_of(program)
    call = Library(tmp_path_factory.mktemp("c"), [export], ("-O3",))

    def evaluate(z):
        found = call(export, z.reshape(-1, 8), np.float32).astype(float)
        return {name: found[:, 8 * place : 8 * place + 8].ravel() for place, name in enumerate(APPLIED)}

    return evaluate


def test_functions_in_single_precision_over_their_whole_range(functions):
    """The error function is accurate to 1e-7; beside it, each result is rounded to single precision."""
    far = np.geomspace(1e-30, 1e30, 2_000)
    z = np.concatenate([np.linspace(-12, 12, 400_000), far, -far]).astype(np.float32)
    found, z, half_spacing = functions(z), z.astype(float), 2.0**-24
    size = np.abs(z)
    gelu = 0.5 * z * special.erfc(-z / math.sqrt(2))
    error = np.abs(found["gelu"] - gelu)
    assert (error <= size / 2 * 1e-7 + 2 * half_spacing * np.abs(gelu))[size < 6].all()
    assert error[z < 0].max() <= 1e-7
    assert (error <= 2 * half_spacing * np.abs(gelu))[z >= 6].all()
    assert np.abs(found["tanh"] - np.tanh(z)).max() <= 1.5e-7
    sigmoid = special.expit(z)
    # The exponent is rounded relatively, which changes the exponential function by |z| half spacings.
    allowed = half_spacing * (4 + 2 * size) * np.abs(z * sigmoid)
    assert (np.abs(found["silu"] - z * sigmoid) <= allowed)[size < 80].all()
    np.testing.assert_allclose(found["silu"][size >= 80], np.maximum(z, 0)[size >= 80], rtol=2 * half_spacing, atol=1e-7)
    np.testing.assert_array_equal(found["relu"], np.maximum(z, 0))
    # The slopes are sums of a few terms up to 1.1.
    slopes = {
        "gelu": special.ndtr(z) + z * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi),
        "silu": sigmoid * (1 + np.where(size < 80, z, 0) * (1 - sigmoid)),
        "tanh": 1 - np.tanh(z) ** 2,
        "relu": (z > 0).astype(float),
    }
    for name, slope in slopes.items():
        assert np.abs(found[f"slope of {name}"] - slope).max() <= 4e-7, name


def test_a_function_of_nan_is_nan(functions):
    found = functions(np.array([math.nan, -math.nan, 1.0, -1.0, 0.0, -0.0, 1e-40, -1e-40], np.float32))
    for name, values in found.items():
        assert np.isfinite(values[2:]).all()
        assert np.isnan(values[:2]).all() or name == "slope of relu"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_a_number_reaches_every_output(tmp_path, dtype):
    data = table(2.0, scaling={"load": "log"})
    made = {
        name: pac.pretrain(data, model=pac.MLP(hidden=(4,), activation=name), steps=5)
        for name in ("gelu", "relu", "silu", "tanh")
    }
    exports = [export_of_surrogate(surrogate, name) for name, surrogate in made.items()]
    call = Library(tmp_path, exports, ("-O3",))
    x = np.full((7, 3), 1.5)
    x[:3, 1] = math.nan, math.inf, -math.inf
    x[3:6, 2] = 0.0, -1.0, math.nan
    for export in exports:
        found = call(export, x, dtype)
        assert np.isnan(found[:6]).all()
        assert np.isfinite(found[6]).all()
