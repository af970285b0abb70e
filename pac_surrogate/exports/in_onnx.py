"""A program as an ONNX model."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from pac_surrogate.exports.description import Export
from pac_surrogate.exports.in_onnx_steps import Graph
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.networks import NotExportableError

OPSET = 13  # the lowest in which ReduceSum takes its axes as newer ones do, so that the operators are those of all later sets
IR_VERSION = 7  # of the same release, onnx 1.8 of November 2020
TRIED = 16  # samples for which a new model is compared with the program


def write_onnx(export: Export, file: Path) -> None:
    """Write an ONNX model of operator set 13 to a file.

    Its input `x` (batch, inputs) and its outputs `y`, and `std` if the program has that result, (batch, outputs), are in float32,
    for any number of samples. Scaling and kernels are computed in double precision inside. Names, units and ranges of the
    columns are JSON in the model's metadata: `inputs`, `outputs` and `about`. The model is checked by `onnx.checker` and run
    with onnxruntime before the file is written. The same export gives the same bytes.

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
    accept(onnx, runtime, model, export, file)


def imported() -> tuple[ModuleType, ModuleType]:
    """Return onnx and onnxruntime.

    Raises:
        NotExportableError: if one is not installed.
    """
    try:
        import onnx
        import onnxruntime
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


def accept(onnx: ModuleType, runtime: ModuleType, model: Any, export: Export, file: Path) -> None:
    """Check a model, compare it with the program, and write it to a file.

    Raises:
        NotExportableError: if it is too large, or its predictions differ from those of the program.
    """
    if model.ByteSize() >= 2**31:
        raise NotExportableError(f"a file of ONNX holds 2 GB at most, this model takes {model.ByteSize() / 1e9:.1f} GB: choose another format")
    onnx.checker.check_model(model, full_check=True)
    written = model.SerializeToString(deterministic=True)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
    low, high = (np.array([getattr(column, end) for column in export.inputs]) for end in ("low", "high"))
    x = np.random.default_rng(0).uniform(low, high, (TRIED, len(low))).astype(np.float32)
    with torch.no_grad():
        required = ProgramModule(export.program, single=True)(torch.from_numpy(x))
    range_of_outputs = np.array([column.high - column.low for column in export.outputs])
    for name, own in zip(required, session.run(list(required), {"x": x}), strict=True):
        result = required[name].numpy()
        allowed = 1e-5 * range_of_outputs + 1e-5 * np.abs(result)
        if not ((np.abs(own - result) <= allowed) | (own == result) | (np.isnan(own) & np.isnan(result))).all():
            raise NotExportableError(
                f"the ONNX model's {name} must agree with that of the surrogate to 1e-5 of the range of each output, but differs by up to "
                f"{np.nanmax(np.abs(own - result)):.3g} in onnxruntime {runtime.__version__}: choose another format"
            )
    file.write_bytes(written)
