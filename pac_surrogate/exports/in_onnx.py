"""A program as an ONNX model."""

import importlib
import json
import logging
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pac_surrogate.exports.description import Export
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_onnx_steps import Graph
from pac_surrogate.exports.in_torch import ProgramModule

OPSET = 13  # the lowest in which ReduceSum takes its axes as newer ones do, so that the operators are those of all later sets
IR_VERSION = 7  # of the same release, onnx 1.8 of November 2020
OPSET_OF_MODULES = 18  # the only one that torch's exporter writes without converting
LARGEST = 2**31 - 2**24  # bytes of constants: the format cannot hold 2^31 bytes with the rest
TRIED = 16  # samples for which a new model is compared with the program


def write_onnx(export: Export, file: Path) -> None:
    """Write an ONNX model of operator set 13 to a file.

    Its input `x` (batch, inputs) and its output `y` (batch, outputs), with a second output `std` if the program has that
    result, are in float32, for any number of samples. Scaling and kernels are computed in double precision inside. Names,
    units and ranges of the columns are JSON in the model's metadata: `inputs`, `outputs` and `about`. The model is checked by
    `onnx.checker` and run with onnxruntime before the file is written. The same export gives the same bytes.

    Raises:
        NotExportableError: if onnx or onnxruntime are not installed, the model takes more than the 2 GB that the format can
            hold, or its predictions differ from those of the program.
    """
    onnx, runtime = imported()
    graph = Graph(export.program)
    for result in export.program.results:
        graph.result(result)
    found = onnx.helper.make_graph(
        graph.nodes,
        "surrogate",
        [_rows(onnx, "x", len(export.inputs))],
        [_rows(onnx, result, len(export.outputs)) for result in export.program.results],
        graph.initializers,
    )
    model = onnx.helper.make_model(
        found, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="pac_surrogate"
    )
    describe(onnx, model, export)
    accept(onnx, runtime, model, export, ProgramModule(export.program, single=True), file)


def imported(*others: str) -> tuple[ModuleType, ModuleType]:
    """Return onnx and onnxruntime, and check that other packages are installed.

    Raises:
        NotExportableError: if one is not installed.
    """
    try:
        import onnx
        import onnxruntime

        for other in others:
            importlib.import_module(other)
    except ModuleNotFoundError as error:
        raise NotExportableError(f'ONNX needs the package {error.name}: pip install "pac_surrogate[deploy]"') from error
    return onnx, onnxruntime


def _rows(onnx: ModuleType, name: str, columns: int) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", columns])


def describe(onnx: ModuleType, model: Any, export: Export) -> None:
    """Write names, units and ranges into a model, as JSON of ASCII characters, which hold any name."""
    inputs, outputs = ([column.to_json() for column in columns] for columns in (export.inputs, export.outputs))
    onnx.helper.set_model_props(
        model, {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "about": json.dumps(dict(export.about))}
    )
    model.doc_string = (
        "A surrogate model: y (batch, outputs) for x (batch, inputs), both in physical units. "
        "The metadata inputs and outputs hold name, unit and range of each column as JSON. "
        "An input that is not a finite number gives the prediction NaN."
    )


def accept(onnx: ModuleType, runtime: ModuleType, model: Any, export: Export, original: nn.Module, file: Path) -> None:
    """Check a model, compare its results with those of a torch module in float32, and write it to a file.

    Raises:
        NotExportableError: if it is too large, or its results differ.
    """
    size = sum(len(one.raw_data) for one in model.graph.initializer)
    if size >= LARGEST:
        raise NotExportableError(
            f"a file of ONNX holds 2 GB at most, this model takes {size / 1e9:.1f} GB: choose another format"
        )
    onnx.checker.check_model(model, full_check=True)
    written = model.SerializeToString(deterministic=True)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
    low, high = (np.array([getattr(column, end) for column in export.inputs]) for end in ("low", "high"))
    x = np.random.default_rng(0).uniform(low, high, (TRIED, len(low))).astype(np.float32)
    with torch.no_grad():
        required = original(torch.from_numpy(x))
    allowed_of_range = 1e-5 * np.array([column.high - column.low for column in export.outputs])
    for name, own in zip(required, session.run(list(required), {"x": x}), strict=True):
        result = required[name].numpy()
        allowed = allowed_of_range + 1e-5 * np.abs(result)
        with np.errstate(invalid="ignore"):  # of two infinite numbers, which are equal below
            difference = np.abs(own - result)
        if not ((difference <= allowed) | (own == result) | (np.isnan(own) & np.isnan(result))).all():
            raise NotExportableError(
                f"the ONNX model's {name} must agree with that of the surrogate to 1e-5 of the range of each output, but "
                f"differs by up to {np.nanmax(difference):.3g} in onnxruntime: choose another format"
            )
    file.write_bytes(written)


class _Single(nn.Module):
    """The prediction of a module in float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.module(x)["y"].float()}


def write_onnx_of_module(module: nn.Module, export: Export, file: Path) -> None:
    """Write a torch module as an ONNX model of operator set 18, like `write_onnx`, through the exporter of torch.

    Args:
        module: maps inputs (batch, inputs) to a dictionary whose `y` is the prediction (batch, outputs).
        export: its description, with a program that is not used.
        file: the file.

    Raises:
        NotExportableError: if onnx, onnxruntime or onnxscript are not installed, torch cannot convert the module, or the
            model's predictions differ from those of the module.
    """
    onnx, runtime = imported("onnxscript")
    original = _Single(module).eval()
    batch = torch.export.Dim("batch", min=1)
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")  # it reports that torchvision is not installed
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, of its parts
            exported = torch.onnx.export(
                original,
                (torch.ones(2, len(export.inputs)),),
                dynamo=True,
                opset_version=OPSET_OF_MODULES,
                input_names=["x"],
                output_names=["y"],
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        kind = type(error).__name__
        raise NotExportableError(
            f"torch cannot convert this module to ONNX ({kind}, whose text is the cause of this error): train a network on its "
            "predictions with surrogate.distil(model=pac.MLP(...)), and export that"
        ) from error
    finally:
        logger.setLevel(level)
    assert exported is not None
    model = exported.model_proto
    _without_notes(model)
    describe(onnx, model, export)
    accept(onnx, runtime, model, export, original, file)


def _without_notes(model: Any) -> None:
    """Remove what torch writes of the machine: lines of code with their paths, and versions."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
    model.producer_name, model.producer_version = "pac_surrogate", ""
