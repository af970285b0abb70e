"""Surrogates of every kind of predictor, exported in every format, as a table of bytes that a page shows."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import pac_surrogate as pac

PATHS = {"c": "c", "numpy": "numpy", "onnx": "surrogate.onnx", "torch": "surrogate.pt2"}
METHODS = {
    "network": pac.FineTune(),
    "network and a small one": pac.DeltaNetwork(),
    "multi-fidelity network": pac.MFNN(),
    "linear correction": pac.LinearCorrection(),
    "readout of features": pac.ATL(),
    "Gaussian process on the target": pac.GP(on="target"),
    "Gaussian process on the residual": pac.GP(on="residual"),
    "co-kriging": pac.CoKriging(),
    "auto": "auto",
}


def surrogates() -> dict[str, pac.Surrogate]:
    """Return a small surrogate of every kind of predictor."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(200, 3))

    def table(shift: float, rows: slice) -> pac.Dataset:
        return pac.Dataset.from_arrays(x[rows], np.sin(shift * x[rows, 0]) + x[rows, 1] * x[rows, 2])

    source, target = table(2.0, slice(None)), table(2.5, slice(16))
    before = pac.pretrain(source, model=pac.MLP(hidden=(32, 32)), steps=300)
    options = {"source": source, "steps": 200, "source_steps": 200}
    found = {name: pac.transfer(before, target, method=method, **options) for name, method in METHODS.items()}
    fields = rng.normal(size=(40, 16))
    axes = {"a": ("x",), "u": ("x",)}
    source, target = (
        pac.Dataset.from_arrays({"a": fields}, {"u": np.cumsum(np.tanh(shift * fields), 1)}, axes=axes) for shift in (1.0, 1.2)
    )
    cnn = pac.pretrain(source, model=pac.CNN(channels=8, blocks=1), steps=100)
    found |= {"CNN": cnn, "CNN, auto": pac.transfer(cnn, target[:10], source=source, steps=100, source_steps=100)}
    module = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    found["module of your own"] = pac.pretrain(table(2.0, slice(None)), model=pac.Module(module), steps=100)
    return found


def table() -> pd.DataFrame:
    """Return the bytes of each surrogate in each format, or what refuses it, beside the numbers that are not 0."""
    rows = {}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", pac.DataWarning)
        for place, (name, surrogate) in enumerate(surrogates().items()):
            row: dict[str, object] = {"predictor": type(surrogate.predictor).__name__}
            for format, path in PATHS.items():
                try:
                    exported = surrogate.export(Path(folder) / str(place) / path, format)
                except ValueError:
                    row[format] = "distil it"
                else:
                    row["numbers not 0"] = f"{exported.numbers:,}"
                    row[format] = f"{exported.size:,}"
            rows[name] = row
    return pd.DataFrame(rows).T[["predictor", "numbers not 0", *PATHS]]
