"""A small network, whose time is that of the calls around it: from Python and from C, and for a table of many rows."""

import runpy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pac_surrogate as pac
from deployment.networks import rounded
from pac_surrogate.engines.timing import time_in_turn
from shared.compiled import KINDS, compiled, compiler, export_of, trained

WAYS = ("Surrogate.predict", "torch, the module alone", "Surrogate.optimise", "NumPy export", "ONNX Runtime")
REFERENCE = "torch, the module alone"
FROM_PYTHON, IN_C, ROWS = "C export from Python", "C export in C", "seconds of the rows"


def measure(activation: str, seconds: float, rows: int, loops: int) -> dict[str, Any]:
    """Return the microseconds of one prediction in each way, and the seconds of a table of rows through the C export.

    What Python calls is timed in turn: least, median and quartiles of a call, and quartiles of the ratio of the module's time
    to it. Through C, a way is measured for both precisions, and has the least time of several loops.

    Args:
        activation: activation function of a network with 8 inputs, 3 x 64 units and 1 output.
        seconds: how long to measure the calls from Python.
        rows: number of rows of the table.
        loops: number of loops of a thousand calls.
    """
    surrogate = trained(activation)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calls = calls_from_python(surrogate, folder)
        found: dict[str, Any] = {}
        if compiler() is not None:
            (folder / "c").mkdir()
            made = compiled(export_of(surrogate), folder / "c")
            for real in KINDS:
                calls[f"{FROM_PYTHON}, {real}"], _, _ = made.one(real)
                found[f"{IN_C}, {real}"] = {"least": rounded([1e6 * made.seconds_in_c(real, loops)])[0]}
                found[f"{ROWS}, {real}"] = rounded([made.seconds_for_rows(real, rows)])[0]
        took = time_in_turn(calls, seconds)
    for way, times in took.items():
        ratios = took[REFERENCE] / times
        found[way] = {
            "least": rounded([1e6 * times.min()])[0],
            "microseconds": rounded(1e6 * np.quantile(times, (0.5, 0.25, 0.75))),
            "ratio": rounded(np.quantile(ratios, (0.5, 0.25, 0.75))),
        }
    return found


def calls_from_python(surrogate: pac.Surrogate, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return functions without arguments that predict one sample in each of `WAYS`."""
    import onnxruntime

    x = np.full((1, sum(variable.size for variable in surrogate.inputs)), 0.1)
    single = x.astype(np.float32)
    module, standardised = surrogate.model, torch.from_numpy(single)
    fast = surrogate.optimise(1, seconds=0.2)
    surrogate.export(folder / "numpy", "numpy")
    exported = runpy.run_path(str(folder / "numpy" / "surrogate.py"))["predict"]
    path = folder / "surrogate.onnx"
    surrogate.export(path, "onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    calls: tuple[Callable[[], Any], ...] = (
        lambda: surrogate.predict(x),
        lambda: module(standardised),
        lambda: fast.predict(x),
        lambda: exported(x),
        lambda: session.run(["y"], {"x": single}),
    )
    return dict(zip(WAYS, calls, strict=True))
