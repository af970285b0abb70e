"""Measure how large the exports of each kind of predictor are.

    python benchmarks/export_sizes.py            every kind in four formats; a minute
    python benchmarks/export_sizes.py --quick    three kinds in three formats

Each surrogate is a small one, made of 200 source and 16 target samples of a function of three inputs, or of fields on 16
points. Prints and writes <out>/export_sizes.json: the bytes of the export in each format beside the number of non-zero
constants, or "distil" where a format cannot hold the predictor and says so.
"""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import pac_surrogate as pac
from pac_surrogate.exports.errors import NotExportableError
from shared.command import Out, Quick, run
from shared.files import write_json
from shared.provenance import origin
from shared.tables import text_table

PATHS = {"c": "c", "numpy": "numpy", "onnx": "surrogate.onnx", "torch": "surrogate.pt2"}
METHODS: dict[str, Any] = {
    "network": pac.FineTune(),
    "Gaussian process on the target": pac.GP(on="target"),
    "delta network": pac.DeltaNetwork(),
    "multi-fidelity network": pac.MFNN(),
    "linear correction": pac.LinearCorrection(),
    "readout of features": pac.ATL(),
    "Gaussian process on the residual": pac.GP(on="residual"),
    "co-kriging": pac.CoKriging(),
    "auto": "auto",
}
HEADER = ("surrogate", "predictor", "non-zero constants", *PATHS)


def surrogates(quick: bool) -> dict[str, pac.Surrogate]:
    """Make a small surrogate of every kind of predictor."""
    rng = np.random.default_rng(0)
    x, steps = rng.uniform(size=(200, 3)), 20 if quick else 200

    def table(shift: float, rows: slice) -> pac.Dataset:
        return pac.Dataset.from_arrays(x[rows], np.sin(shift * x[rows, 0]) + x[rows, 1] * x[rows, 2])

    source, target = table(2.0, slice(None)), table(2.5, slice(16))
    before = pac.pretrain(source, model=pac.MLP(hidden=(32, 32)), steps=steps)
    options: dict[str, Any] = {"source": source, "steps": steps, "source_steps": steps}
    chosen = dict(list(METHODS.items())[:2]) if quick else METHODS
    found = {name: pac.transfer(before, target, method=method, **options) for name, method in chosen.items()}
    module = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    found["module of your own"] = pac.pretrain(source, model=pac.Module(module), steps=steps)
    if quick:
        return found
    fields = rng.normal(size=(40, 16))
    axes = {"a": ("x",), "u": ("x",)}
    source, target = (
        pac.Dataset.from_arrays({"a": fields}, {"u": np.cumsum(np.tanh(shift * fields), 1)}, axes=axes) for shift in (1.0, 1.2)
    )
    cnn = pac.pretrain(source, model=pac.CNN(channels=8, blocks=1), steps=steps)
    return found | {"CNN": cnn, "auto on a CNN": pac.transfer(cnn, target[:10], source=source)}


def sizes(name: str, surrogate: pac.Surrogate, folder: Path, formats: tuple[str, ...]) -> list[str]:
    """Return a row of the table."""
    found, numbers = [], 0
    for format in formats:
        try:
            exported = surrogate.export(folder / PATHS[format], format)
        except NotExportableError:
            found.append("distil")
        else:
            numbers = exported.numbers
            found.append(f"{exported.size:,}")
    return [name, type(surrogate.predictor).__name__, f"{numbers:,}", *found]


def main(quick: Quick = False, out: Out = None) -> None:
    """Export every kind in every format."""
    out = out or Path("results") / ("export_sizes_quick" if quick else "export_sizes")
    formats = tuple(PATHS)[:3] if quick else tuple(PATHS)
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", pac.DataWarning)  # of networks of a few steps
        rows = [
            sizes(name, surrogate, Path(folder) / str(place), formats)
            for place, (name, surrogate) in enumerate(surrogates(quick).items())
        ]
    print(text_table(HEADER[: 3 + len(formats)], rows))
    write_json(out / "export_sizes.json", {"config": origin(), "header": HEADER[: 3 + len(formats)], "table": rows})


if __name__ == "__main__":
    run(main, __doc__)
