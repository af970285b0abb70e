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

from pac_surrogate.data.data_warnings import DataWarning
from pac_surrogate.exports.description import Column, Export
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_onnx_steps import Graph
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.utilities.display import one_line
from pac_surrogate.utilities.environment import INSTALL_DEPLOY

OPSET = 13  # the lowest in which ReduceSum takes its axes as newer ones do, so that the operators are those of all later sets
IR_VERSION = 7  # of the same release, onnx 1.8 of November 2020
OPSET_OF_MODULES = 18  # the only one that torch's exporter writes without converting
LARGEST = 2**31 - 2**24  # bytes of constants: the format cannot hold 2^31 bytes with the rest
LONGEST_NAME = 60  # characters of a column's name or unit in a message
TRIED = 16  # samples for which a new model is compared with the program
ROUNDING = 1.2e-7  # of a number to float32, on both sides of a comparison: twice 2^-24

# A column is read or returned with an error of half float32's spacing s at its numbers. A smooth function changes by about its
# slope times the range R of an input, so the error of an input moves an output by about s / (2 R) of the output's range, as
# does that of the output itself. With s = 1e-4 R that is 5e-5, five times what networks in single precision are allowed.
COARSE = 1e-4


def write_onnx(export: Export, file: Path) -> None:
    """Write an ONNX model of operator set 13 to a file.

    Its input `x` (batch, inputs) and its output `y` (batch, outputs), with a second output `std` if the program has that
    result, are in float32, for any number of samples. Scaling and kernels are computed in double precision inside. Names,
    units and ranges of the columns are JSON in the model's metadata: `inputs`, `outputs` and `about`. The model is checked by
    `onnx.checker` and run with onnxruntime before the file is written. The same export gives the same bytes.

    Raises:
        NotExportableError: if onnx or onnxruntime are not installed, float32 cannot hold the size of a column's numbers, the
            model takes more than the 2 GB that the format can hold, or its predictions differ from those of the program.

    Warns:
        DataWarning: if float32 is coarse beside the range of a column.
    """
    onnx, runtime = imported()
    check_columns(export)
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
        raise NotExportableError(f"ONNX needs the package {error.name}: {INSTALL_DEPLOY}") from error
    return onnx, onnxruntime


def check_columns(export: Export) -> None:
    """Check that inputs and outputs can be float32, and warn of the column that loses the most if they lose much.

    Raises:
        NotExportableError: if float32 does not hold the numbers of a column; see `Column.beyond_float32`.

    Warns:
        DataWarning: if float32's spacing at the numbers of a column exceeds `COARSE` of their range.
    """
    found = []
    for kind, columns in (("input", export.inputs), ("output", export.outputs)):
        for column in columns:
            if (end := column.beyond_float32()) is not None:
                raise NotExportableError(
                    f"inputs and outputs of ONNX are float32, which holds sizes from 1.2e-38 to 3.4e38, but the "
                    f"{_named(kind, column)} reaches {end:.3g}: use a {'smaller' if abs(end) < 1 else 'larger'} unit, or "
                    "format='numpy' or 'c'"
                )
            spacing = float(np.spacing(np.float32(max(abs(column.low), abs(column.high)))))
            if column.high > column.low and spacing > COARSE * (column.high - column.low):
                found.append((spacing / (column.high - column.low), spacing, kind, column))
    if found:
        _, spacing, kind, column = max(found, key=lambda one: one[0])
        others = f", and likewise {len(found) - 1} other columns" if len(found) > 1 else ""
        warnings.warn(
            f"inputs and outputs of ONNX are float32, which holds the {_named(kind, column)} only to multiples of "
            f"{_with_unit(spacing, column)}, while its range is {_with_unit(column.high - column.low, column)}{others}: give "
            "it as a difference from a reference, or use format='numpy' or 'c'",
            DataWarning,
            stacklevel=8,  # the caller of `Surrogate.export`
        )


def _named(kind: str, column: Column) -> str:
    return one_line(f"{kind} {column.name}", LONGEST_NAME)


def _with_unit(number: float, column: Column) -> str:
    return f"{number:.3g} {one_line(column.unit, LONGEST_NAME)}" if column.unit not in ("", "1") else f"{number:.3g}"


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
    ranges = np.array([column.high - column.low for column in export.outputs])
    for name, own in zip(required, session.run(list(required), {"x": x}), strict=True):
        result = required[name].numpy()
        # In a corner of the inputs' box, an output, above all one on a logarithmic scale, may lie far beyond its range.
        finite = np.where(np.isfinite(result), result.astype(np.float64), np.nan)
        varies = np.fmax(ranges, np.fmax.reduce(finite) - np.fmin.reduce(finite))
        allowed = 1e-5 * varies + ROUNDING * np.abs(result)
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
        NotExportableError: if onnx, onnxruntime or onnxscript are not installed, float32 cannot hold the size of a column's
            numbers, torch cannot convert the module, or the model's predictions differ from those of the module.

    Warns:
        DataWarning: if float32 is coarse beside the range of a column.
    """
    onnx, runtime = imported("onnxscript")
    check_columns(export)
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
