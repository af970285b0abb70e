"""Fit emukit's AR(1) and SMT's MFK to a draw; a Python that has these packages runs this file, which imports nothing of ours.

    python peers.py draw.npz answers.json

The arrays of the draw are those of `two_fidelity.problems.Draw.unit`. The answers hold the versions of the packages, and for
each library its prediction at the test points, or the message with which it failed, with the seconds of fit and prediction.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import GPy
import numpy as np
from emukit.multi_fidelity.convert_lists_to_array import convert_x_list_to_array, convert_xy_lists_to_arrays
from emukit.multi_fidelity.kernels import LinearMultiFidelityKernel
from emukit.multi_fidelity.models import GPyLinearMultiFidelityModel
from smt.applications import MFK

STARTS = 10  # of the search for hyper-parameters
PACKAGES = ("emukit", "GPy", "smt", "numpy", "scipy")


def fit_emukit(low_x: np.ndarray, low_y: np.ndarray, high_x: np.ndarray, high_y: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    """Predict with the linear multi-fidelity model of emukit, whose joint likelihood GPy maximises, as emukit's example does.

    Kernels are RBF with a length scale for each input. The noise is fixed at 0, to which GPy adds 1e-8. Both levels are scaled
    alike, to mean 0 and deviation 1, since the model has no mean function and its first parameters are 1.
    """
    values = np.concatenate([low_y, high_y])
    mean, deviation = values.mean(), values.std()
    x, y = convert_xy_lists_to_arrays([low_x, high_x], [(level[:, None] - mean) / deviation for level in (low_y, high_y)])
    kernel = LinearMultiFidelityKernel([GPy.kern.RBF(low_x.shape[1], ARD=True) for _ in range(2)])
    model = GPyLinearMultiFidelityModel(x, y, kernel, n_fidelities=2)
    model.mixed_noise.Gaussian_noise.fix(0)
    model.mixed_noise.Gaussian_noise_1.fix(0)
    np.random.seed(0)  # noqa: NPY002  # GPy draws its starting points from the global generator
    model.optimize_restarts(STARTS, verbose=False, robust=True)
    points = convert_x_list_to_array([test_x[:0], test_x])
    predicted, _ = model.predict(points, Y_metadata={"output_index": points[:, -1:].astype(int)})
    return mean + deviation * predicted[:, 0]


def fit_smt(low_x: np.ndarray, low_y: np.ndarray, high_x: np.ndarray, high_y: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    """Predict with the recursive co-kriging of SMT, with its defaults: a squared exponential kernel and constant trends."""
    model = MFK(n_start=STARTS, seed=0, print_global=False)
    model.set_training_values(low_x, low_y[:, None], name=0)
    model.set_training_values(high_x, high_y[:, None])
    model.train()
    return model.predict_values(test_x)[:, 0]


LIBRARIES: dict[str, Callable[..., np.ndarray]] = {"emukit": fit_emukit, "SMT": fit_smt}


def main(draw: str, answers: str) -> None:
    warnings.simplefilter("ignore")
    with np.load(draw, allow_pickle=False) as file:
        arrays = dict(file)
    found: dict[str, Any] = {"versions": {name: metadata.version(name) for name in PACKAGES}}
    for name, fit in LIBRARIES.items():
        began = time.perf_counter()
        try:
            found[name] = {"prediction": fit(**arrays).tolist()}
        except Exception as error:  # the libraries raise no narrower exception
            found[name] = {"failed": f"{type(error).__name__}: {error}"}
        found[name]["seconds"] = time.perf_counter() - began
    Path(answers).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
