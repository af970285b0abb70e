"""Write the files that `files/test_earlier.py` loads: what version 0.1.0 saved before the frame of methods was changed.

    python tests/earlier/make.py FOLDER

They are committed, and are not to be made anew: a later version must read what this one wrote. Beside each surrogate stand what
it predicts, and its intervals where it has them, at inputs of the test split.
"""

import dataclasses
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

import pac_surrogate as pac
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import Folds, Mixture
from pac_surrogate.solvers.closed_form import RATIOS, linearise

SMALL = pac.MLP(hidden=(6,))
BUDGET = {"steps": 30, "source_steps": 30}


def tables() -> tuple[pac.Dataset, pac.Dataset]:
    """A source and a target with two outputs, of units and real names."""
    x = np.random.default_rng(0).uniform(size=(60, 3))

    def data(shift: float) -> pac.Dataset:
        y = np.stack([np.sin(shift * x[:, 0] + x[:, 1]), 10 + x[:, 2] * x[:, 0] * shift], axis=1)
        inputs, outputs = {"angle": x[:, :2], "load": x[:, 2]}, {"force": y[:, 0], "stress": y[:, 1]}
        return pac.Dataset.from_arrays(inputs, outputs, units={"load": "N", "stress": "Pa"}, valid=0.1, test=0.2)

    return data(2.0), data(2.5)


def fields() -> tuple[pac.Dataset, pac.Dataset]:
    """A source and a target with a field on 8 points."""
    a = np.random.default_rng(1).normal(size=(40, 8))

    def data(shift: float) -> pac.Dataset:
        u = np.cumsum(np.tanh(shift * a), axis=1)
        return pac.Dataset.from_arrays({"a": a}, {"u": u}, axes={"a": ("x",), "u": ("x",)}, valid=0.1, test=0.2)

    return data(1.0), data(1.3)


TABLE_METHODS = {
    "network": pac.PAC(),
    "delta network": pac.DeltaNetwork(hidden=(3,)),
    "input augmentation": pac.InputAugmentation(hidden=(3,)),
    "multi-fidelity network": pac.MFNN(hidden=(3,)),
    "feature readout": pac.ATL(),
    "process on the target": pac.GP(on="target"),
    "process on the residual": pac.GP(on="residual", kernel="rbf"),
    "augmented process": pac.GP(on="augmented"),
    "correction": pac.LinearCorrection(),
    "co-kriging": pac.CoKriging(source_samples=20),
    "auto": "auto",
}


def surrogates() -> dict[str, tuple[pac.Surrogate, pac.Dataset]]:
    """A surrogate of every kind of predictor, and inputs to predict."""
    source, target = tables()
    before, few = pac.pretrain(source, model=SMALL, steps=100), target.train[:12]
    options = {"source": source.train, **BUDGET}
    found = {"pretrained": (before, target.test)}
    for name, method in TABLE_METHODS.items():
        found[name] = (pac.transfer(before, few, method=method, **options), target.test)
        if name not in ("auto", "co-kriging"):
            found[f"{name} without folds"] = (pac.transfer(before, few, method=method, intervals=False, **options), target.test)
    fresh = target.train[:12]
    renamed = pac.Dataset.from_arrays({n: fresh[n] for n in ("angle", "load")}, {"heat": fresh["force"] ** 2})
    found["new output"] = (pac.transfer(before, renamed, method=pac.FineTune(), **options), target.test)
    module = pac.Module(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)))
    found["module"] = (pac.pretrain(source, model=module, steps=20), target.test)
    scaled = before.scaling.standardise(few)
    x, y = (torch.as_tensor(np.asarray(matrix)).double() for matrix in (scaled.input_matrix, scaled.output_matrix))
    for kernel in ("block", "shared"):
        plan = make_plan(before.weights, anchor=before.weights, strength=1.0)
        (solution,) = linearise(before.network, [plan], x, y, kernel=kernel, ratio=RATIOS)
        found[f"linearised, {kernel} kernel"] = (dataclasses.replace(before, predictor=solution.predictor), target.test)
    source, target = fields()
    cnn = pac.pretrain(source, model=pac.CNN(channels=3, blocks=1), steps=20)
    found["CNN"] = (cnn, target.test)
    found["auto of fields"] = (pac.transfer(cnn, target.train[:10], source=source.train), target.test)
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    values: dict[str, np.ndarray] = {}
    for name, (surrogate, data) in surrogates().items():
        surrogate.save(folder / f"{name}.safetensors")
        model = surrogate.network.architecture if name == "module" else None
        loaded = pac.Surrogate.load(folder / f"{name}.safetensors", model=model)
        values[f"{name}/prediction"] = loaded.predict(data)
        print(f"{name}: {type(loaded.predictor).__name__}, folds {isinstance(loaded.folds, Folds)}")
        if loaded.folds is not None or isinstance(loaded.predictor, Mixture):
            interval = loaded.predict_interval(data)
            values |= {f"{name}/lower": interval.lower, f"{name}/upper": interval.upper}
    np.savez_compressed(folder / "values.npz", **values)
    source, target = tables()
    source.save(folder / "source.h5")
    target.save(folder / "target.h5")
    methods = {"PAC": pac.PAC(), "FT": pac.FineTune()}
    steps = dict.fromkeys(("steps", "source_steps", "pretrain_steps"), 10)
    pac.transfer_curve(source, target, methods=methods, sizes=(0, 4), seeds=2, model=SMALL, **steps, out=folder / "curve")
    for extra in ("surrogates", "curve.csv", "seconds.csv"):
        path = folder / "curve" / extra
        for file in path.iterdir() if path.is_dir() else (path,):
            file.unlink()
    (folder / "curve" / "surrogates").rmdir()


if __name__ == "__main__":
    main()
