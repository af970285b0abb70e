"""Surrogates as ONNX models."""

import dataclasses
import json
import math
import re
import sys

import numpy as np
import pytest
import torch
from export_cases import cnn, inputs_of, inputs_within, rounding_of, source, table, with_the_first_co_kriging
from program_cases import HOSTILE, columns, export_of, inputs_of_steps, step_programs

import pac_surrogate as pac
from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.exports import in_onnx
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_onnx import OPSET, check_columns, write_onnx
from pac_surrogate.exports.in_onnx_steps import Graph
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.program import ACTIVATIONS, Program
from pac_surrogate.surrogates.exported import description

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning")
STEPS = {double: step_programs(double) for double in (False, True)}


def session(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])


def runner(export, file):
    write_onnx(export, file)
    loaded = session(file)
    return lambda x: loaded.run(None, {"x": x.astype(np.float32)})


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("name", STEPS[True])
def test_every_step_means_what_it_means_in_torch(name, double, tmp_path):
    program, x = STEPS[double][name], inputs_of_steps()
    expected = ProgramModule(program)(torch.from_numpy(x))["y"].numpy()
    run = runner(export_of(program), tmp_path / "surrogate.onnx")
    # In double precision the result is rounded to float32 once; in single, sums of at most 18 products of numbers below 20 are.
    bound = 1.2e-7 if double else 2e-5
    for rows in (slice(None), slice(0, 1)):
        (found,) = run(x[rows])
        assert found.dtype == np.float32
        assert found.shape == expected[rows].shape
        np.testing.assert_allclose(found, expected[rows], rtol=bound, atol=0.0 if double else bound)


SURROGATES = {
    **{activation: lambda activation=activation: source(activation) for activation in ACTIVATIONS},
    "float64": lambda: in_double(source("gelu")),
    **{name: lambda name=name: with_the_first_co_kriging()[name] for name in with_the_first_co_kriging()},
}
WITH_DEVIATION = ("SharedKernel", "GaussianProcess on the residual")


def in_double(surrogate):
    weights = {name: weight.double() for name, weight in surrogate.weights.items()}
    return dataclasses.replace(surrogate, predictor=dataclasses.replace(surrogate.network, weights=weights))


@pytest.mark.parametrize("name", SURROGATES)
def test_a_model_predicts_what_the_surrogate_predicts(name, tmp_path):
    surrogate = SURROGATES[name]()
    x = inputs_within(surrogate, 1000)
    expected = surrogate.predict(x).reshape(len(x), -1)
    run = runner(description(surrogate, "model", interval=name in WITH_DEVIATION), tmp_path / "surrogate.onnx")
    found = run(x)
    # Networks in float32 differ by sums of at most 60 terms, and the result is rounded to float32.
    bound = 1e-5 + rounding_of(surrogate.predictor)
    allowed = bound * surrogate.scaling.outputs.deviation.numpy() + 1.2e-7 * np.abs(expected)
    assert (np.abs(found[0] - expected) <= allowed).all()
    assert (np.abs(run(x[:1])[0] - expected[:1]) <= allowed[:1]).all()
    assert run(x[:0])[0].shape == (0, expected.shape[1])
    assert len(found) == 1 + (name in WITH_DEVIATION)
    if name in WITH_DEVIATION:
        np.testing.assert_allclose(found[1], np.sqrt(surrogate.posterior(x).variance), rtol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_not_a_number_reaches_every_output(activation, tmp_path):
    run = runner(description(source(activation), "model", interval=False), tmp_path / "surrogate.onnx")
    x = inputs_of(source())[:5]
    x[0, 1], x[1, 1], x[2, 1] = math.nan, math.inf, -math.inf
    (found,) = run(x)
    assert np.isnan(found[:3]).all()
    assert np.isfinite(found[3:]).all()


def test_logarithms_and_bounds(tmp_path):
    before = pac.pretrain(table(2.0, scaling={"load": "log", "force": "log"}), model=pac.MLP(hidden=(7,)), steps=30)
    x = inputs_of(source()).astype(np.float32)
    bounds = tuple(np.quantile(before.predict(x.astype(float))[:, 1], (0.3, 0.7)).tolist())
    force, stress = before.outputs
    surrogate = dataclasses.replace(before, outputs=(force, dataclasses.replace(stress, bounds=bounds)))
    run = runner(description(surrogate, "model", interval=False), tmp_path / "surrogate.onnx")
    np.testing.assert_allclose(run(x)[0], surrogate.predict(x.astype(np.float64)), rtol=1e-5)
    assert {np.float32(bound) for bound in bounds} < set(run(x)[0][:, 1])
    assert np.isnan(run(np.array([[1.5, 1.5, 0.0], [1.5, 1.5, -1.0]]))[0]).all()


def test_a_network_consists_of_the_operators_that_other_tools_expect(tmp_path):
    file = tmp_path / "surrogate.onnx"
    write_onnx(description(source("relu"), "model", interval=False), file)
    model = onnx.load(file)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    networks = [node.op_type for node in model.graph.node if node.op_type in ("Gemm", "Relu", "MatMul")]
    assert networks == ["Gemm", "Relu", "Gemm", "Relu", "Gemm", "Gemm"], "the last makes outputs NaN where an input is"
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", 3]
    assert [dim.dim_param or dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim] == ["batch", 2]


@pytest.mark.parametrize("name", ["silu, vector", "gelu, vector", "product, matrices", "periodic convolution on (6,)"])
def test_double_precision_has_no_operators_that_lack_there_in_older_runtimes(name, tmp_path):
    write_onnx(export_of(STEPS[True][name]), tmp_path / "surrogate.onnx")
    operators = {node.op_type for node in onnx.load(tmp_path / "surrogate.onnx").graph.node}
    # onnxruntime 1.18 itself makes operators of z Sigmoid(z) and of MatMul with Transpose that have no kernels.
    assert operators.isdisjoint({"Erf", "Conv", "Sigmoid", "Transpose"})


@pytest.mark.parametrize("padding", ["periodic", "zero", "replicate"])
def test_convolutions_in_single_precision_gather_no_neighbours(padding, tmp_path):
    file = tmp_path / "surrogate.onnx"
    write_onnx(description(cnn(padding=padding), "model", interval=False), file)
    model = onnx.load(file)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 3  # the two of the block and the one before them
    # A gathering of neighbours has an index for each of 3 channels, 3 places and 8 points.
    assert max(math.prod(one.dims) for one in model.graph.initializer) < 72


def test_any_names_are_data(tmp_path):
    file = tmp_path / "surrogate.onnx"
    write_onnx(export_of(STEPS[True]["tanh, vector"], "model", HOSTILE, HOSTILE), file)
    metadata = session(file).get_modelmeta().custom_metadata_map
    for side in ("inputs", "outputs"):
        assert [column["name"] for column in json.loads(metadata[side])] == list(HOSTILE)
    assert json.loads(metadata["inputs"])[0] == {
        "name": HOSTILE[0],
        "unit": "m",
        "low": -2,
        "high": 2,
        "lower": -2.5,
        "upper": 2.5,
        "logarithmic": False,
    }
    assert json.loads(metadata["about"]) == {"method": "a test"}


def test_the_same_export_gives_the_same_bytes(tmp_path):
    export = description(cnn(), "model", interval=False)
    for name in ("first", "second"):
        write_onnx(export, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_model_that_predicts_something_else_is_not_written(tmp_path, monkeypatch):
    number = Graph._number
    monkeypatch.setattr(Graph, "_number", lambda self, value, *, double: number(self, 1.0001 * value, double=double))
    file = tmp_path / "surrogate.onnx"
    with pytest.raises(
        NotExportableError, match=r"y must agree .* to 1e-5 of the range of each output, but differs by up to 0\.0"
    ):
        write_onnx(export_of(STEPS[True]["gelu, vector"]), file)
    assert not file.exists()


COARSE = "ignore:inputs and outputs of ONNX are float32:pac_surrogate.data.data_warnings.DataWarning"


@pytest.mark.filterwarnings(COARSE)
def test_a_large_mean_hides_no_wrong_function(tmp_path, monkeypatch):
    """1e-5 of an output near 101325 is twice its deviation of 0.5; float32 rounds it to 0.004."""
    program = Program(6)
    hidden = program.apply("gelu", program.linear(program.x, np.random.default_rng(0).normal(size=(5, 6))))
    program.results["y"] = program.scale(program.sum_of_rows(hidden), 0.05, 101325.0)
    export = dataclasses.replace(export_of(program), outputs=columns(["p"], 101324.5, 101325.5, "Pa"))
    write_onnx(export, tmp_path / "surrogate.onnx")
    apply = Graph._apply
    monkeypatch.setattr(Graph, "_apply", lambda self, function, z, double: apply(self, "relu", z, double))
    with pytest.raises(NotExportableError, match=r"y must agree with that of the surrogate .* differs by up to 0\.\d+ "):
        write_onnx(export, tmp_path / "wrong.onnx")
    assert not (tmp_path / "wrong.onnx").exists()


def test_an_output_far_beyond_its_range_is_held_to_what_float32_computes(tmp_path):
    """In a corner of the inputs, an exponential is e^40 times its range, and a network in float32 errs by 1e-6 of that."""
    program, weight = Program(6), np.random.default_rng(0).normal(size=(40, 6))
    hidden = program.apply("tanh", program.linear(program.cast(program.x, double=False), weight))
    program.results["y"] = program.apply("exp", program.cast(program.linear(hidden, np.ones((1, 40))), double=True))
    write_onnx(export_of(program), tmp_path / "surrogate.onnx")


def with_ends(low, high, side):
    program = STEPS[True]["tanh, vector"]
    name = 'Young\'s "modulus"\n'
    replaced = (*columns(["first"]), *columns([name], low, high), *columns(["v2", "v3", "v4", "v5"]))
    return dataclasses.replace(export_of(program), **{side: replaced})


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (1e-60, 3e-60, "reaches 3e-60: use a smaller unit"),
        (-1e-39, 0.0, "reaches -1e-39: use a smaller unit"),  # float32 holds it with 20 bits
        (1.0, 1e60, r"reaches 1e\+60: use a larger unit"),
        (-4e38, 0.0, r"reaches -4e\+38: use a larger unit"),
    ],
)
def test_what_float32_cannot_hold_is_refused(low, high, message, side, tmp_path):
    match = rf"""float32, .* but the {side[:-1]} Young's "modulus" {message}, or format='numpy' or 'c'$"""
    with pytest.raises(NotExportableError, match=match) as refused:
        write_onnx(with_ends(low, high, side), tmp_path / "surrogate.onnx")
    assert "\n" not in str(refused.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (101324.5, 101325.5, "0.00781 m, while its range is 1 m"),  # 2^-7
        (-1.7e9 - 100.0, -1.7e9, "128 m, while its range is 100 m"),  # 2^7
        (101325.0, 101325.0, None),  # what never varies
        (101000.0, 102000.0, None),  # 2^-7 is 8e-6 of this range
        (1022.9, 1023.9, None),  # 2^-14 is 6e-5 of this range below 2^10
        (1023.9, 1024.9, "0.000122 m, while its range is 1 m"),  # and 2^-13 above it
    ],
)
def test_offsets_that_float32_holds_coarsely_are_told(low, high, told, side, tmp_path):
    export = with_ends(low, high, side)
    if told is None:
        check_columns(export)  # a warning is an error
        return
    with pytest.warns(DataWarning, match=re.escape(told)) as found:
        check_columns(export)
    (line,) = (str(one.message) for one in found)
    assert "\n" not in line
    assert f'the {side[:-1]} Young\'s "modulus" only to multiples of' in line
    assert line.endswith("give it as a difference from a reference, or use format='numpy' or 'c'")


def pretrained(model, force=1.0, offset=0.0):
    data = table(2.0)
    x = {"angle": data["angle"], "pressure": data["load"] + offset}
    moved = pac.Dataset.from_arrays(x, {"force": data["force"] * force}, units={"pressure": "Pa", "force": "N"})
    return pac.pretrain(moved, model=model, steps=60)


def test_exporting_tells_of_a_coarse_column(tmp_path):
    surrogate = pretrained(pac.MLP(hidden=(7,)), offset=101325.0)
    with pytest.warns(DataWarning, match=r"the input pressure only to multiples of 0\.00781 Pa, while its range is 0\.9"):
        surrogate.export(tmp_path / "surrogate.onnx", format="onnx")


def test_a_module_of_the_users_own_is_refused_such_columns_too(tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    surrogate = pretrained(pac.Module(torch.nn.Linear(3, 1)), force=1e60)
    with pytest.raises(NotExportableError, match=r"the output force reaches 2.*e\+60: use a larger unit"):
        surrogate.export(tmp_path / "surrogate.onnx", format="onnx")
    assert not any(tmp_path.iterdir())


def test_a_model_larger_than_the_format_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(in_onnx, "LARGEST", 100)
    with pytest.raises(NotExportableError, match=r"a file of ONNX holds 2 GB at most, this model takes 0\.0 GB"):
        write_onnx(export_of(STEPS[True]["distances"]), tmp_path / "surrogate.onnx")


def test_a_package_that_lacks_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        NotExportableError, match=r"^ONNX needs the package onnxruntime: pip install -e '\.\[deploy\]' -c constraints\.txt$"
    ):
        write_onnx(export_of(STEPS[True]["distances"]), tmp_path / "surrogate.onnx")


class Residual(torch.nn.Module):
    """A module of a user."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = torch.nn.Linear(3, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 2)

    def forward(self, x):
        h = torch.nn.functional.gelu(self.first(x))
        return self.last(h + torch.tanh(self.second(h)))


class Singular(torch.nn.Module):
    """A module that torch cannot convert."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.first(x) + torch.linalg.svdvals(x[:, :, None] * x[:, None, :])[:, :2]


def test_a_module_of_the_users_own(tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    surrogate = pac.pretrain(table(2.0, scaling={"load": "log"}), model=pac.Module(Residual()), steps=5)
    x = inputs_of(source()).astype(np.float32)
    expected = surrogate.predict(x.astype(np.float64))
    for name in ("first", "second"):
        surrogate.export(tmp_path / f"{name}.onnx", format="onnx")
    file = tmp_path / "first.onnx"
    assert file.read_bytes() == (tmp_path / "second.onnx").read_bytes()
    assert b"forward" not in file.read_bytes(), "no lines of code, which come with the paths of their files"
    loaded = session(file)
    assert [column["name"] for column in json.loads(loaded.get_modelmeta().custom_metadata_map["inputs"])][2] == "load"
    allowed = 1e-5 * surrogate.scaling.outputs.deviation.numpy() + 1.2e-7 * np.abs(expected)
    for rows in (slice(None), slice(0, 1)):
        assert (np.abs(loaded.run(None, {"x": x[rows]})[0] - expected[rows]) <= allowed[rows]).all()
    x[0, 0], x[1, 2] = math.nan, -1.0
    assert np.isnan(loaded.run(None, {"x": x})[0][:2]).all()


def test_a_module_that_torch_cannot_convert_is_refused_with_the_remedy(tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    surrogate = pac.pretrain(table(2.0), model=pac.Module(Singular()), steps=1)
    with pytest.raises(
        NotExportableError, match=r"torch cannot convert this module to ONNX \(ConversionError.*surrogate\.distil\("
    ):
        surrogate.export(tmp_path / "surrogate.onnx", format="onnx")
    assert not any(tmp_path.iterdir())
