"""Co-kriging of source and target samples, fitted by the package `smt`."""

from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.case import Case, widened
from pac_surrogate.methods.hyper_parameters import Count
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.predictors import CoKriging as CoKrigingPredictor
from pac_surrogate.predictors import Network
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings
from pac_surrogate.utilities.display import one_line
from pac_surrogate.utilities.process import numpy_threads_for

OUTPUTS = 8  # each has a model of its own; more outputs need principal components
TRUNCATION = 0.1  # largest truncation error of the components, relative to the error of the unchanged source
ENTIRE = 1e-3  # a smaller source error, relative to the deviation of the outputs, is replaced by this one


@settings
class CoKriging:
    """Autoregressive co-kriging of first order: y_T(x) = rho y_S(x) + delta(x), both Gaussian processes.

    Trends are linear if there are enough samples (more target samples than inputs + 2, more source samples than inputs + 1),
    else constant. By default there is one model for each output. With `components` there is one for each principal component of
    the source and target outputs, of which the fewest are used whose truncation error on the target samples is at most a tenth
    of the error of the unchanged source.
    Source: Kennedy & O'Hagan, Biometrika 87 (2000); Le Gratiet (2013) for the recursive fit.

    Args:
        source_samples: number of source samples that are used, from the first on; the time of the fit grows with its cube.
        components: largest number of components; None, for at most 8 outputs, gives each output a model of its own.
        starts: number of starting points of the search for hyper-parameters.
    """

    source_samples: Count = 100
    components: Count | None = None
    starts: Count = 2
    needs_source: ClassVar[bool] = True

    def adapt(self, case: Case) -> Surrogate:
        """Fit the models on samples of both; see `solve`."""
        source, surrogate = case.source_samples(), case.for_target()
        if len(case.target) == 0:
            return widened(surrogate, source)
        low = case.surrogate.scaling.standardise(source[: self.source_samples])
        predictor = self.solve(surrogate.network, low, surrogate.scaling.standardise(case.target))
        return case.answer(surrogate, predictor, source)

    def solve(self, network: Network, source: Dataset, data: Dataset) -> CoKrigingPredictor:
        """Fit the models to standardised samples, float64.

        Args:
            network: the source, whose error determines how many components are needed.
            source: samples of the source.
            data: samples of the target.

        Raises:
            NotApplicableError: if source or target have fewer than 3 samples, outputs are new, too many components are needed,
                or the models cannot be fitted to the samples.
        """
        low_x, low_y = (np.array(matrix, dtype=np.float64) for matrix in (source.input_matrix, source.output_matrix))
        x, y = (np.asarray(matrix, dtype=np.float64) for matrix in (data.input_matrix, data.output_matrix))
        if network.new_readout or low_y.shape[1] != y.shape[1]:
            raise NotApplicableError(
                "co-kriging relates outputs of the source to the same outputs of the target; these are new"
            )
        if min(len(x), len(low_x)) < 3:
            raise NotApplicableError(f"co-kriging needs 3 samples on each side, got {len(low_x)} and {len(x)}")
        with torch.no_grad():
            error = y - network.predict(torch.as_tensor(x)).double().numpy()
        mean, basis = self._basis(low_y, y, float(np.sqrt(np.mean(error**2))))
        fits = [
            fit_levels(low_x, (low_y - mean) @ row, x, (y - mean) @ row, starts=self.starts)
            for row in basis  # its rows are orthonormal
        ]
        shared = ("offset", "scale", "points")
        stacked = {name: np.stack([fit[name] for fit in fits], axis=1) for name in ("theta", "trend")}
        stacked |= {name: np.stack([fit[name] for fit in fits]) for name in ("gamma", "rho")}
        arrays = {name: fits[0][name] for name in shared} | stacked | {"basis": basis, "mean": mean}
        tensors = {name: torch.from_numpy(np.array(array, dtype=np.float64)) for name, array in arrays.items()}
        return CoKrigingPredictor(**tensors, low=len(low_x))

    def _basis(
        self, low: Float[np.ndarray, "low output"], high: Float[np.ndarray, "high output"], error: float
    ) -> tuple[Float[np.ndarray, " output"], Float[np.ndarray, "component output"]]:
        """Return the mean and the orthonormal rows of the basis in which the outputs are expanded."""
        outputs = low.shape[1]
        if self.components is None:
            if outputs > OUTPUTS:
                raise NotApplicableError(
                    f"co-kriging fits a model for each output, at most {OUTPUTS}, got {outputs}: set components=20, say"
                )
            return np.zeros(outputs), np.eye(outputs)
        mean = low.mean(0)
        _, _, right = np.linalg.svd(np.concatenate([low, high]) - mean, full_matrices=False)
        # The rows are orthonormal, so the truncation error is the sum of squares less that of the coefficients.
        coefficients = (high - mean) @ right.T
        lost = np.sum((high - mean) ** 2) - np.cumsum(np.sum(coefficients**2, axis=0))
        limit = TRUNCATION * max(error, ENTIRE * float(high.std()))
        enough = np.flatnonzero(lost <= high.size * limit**2)
        needed = int(enough[0]) + 1 if len(enough) else len(right)
        if needed > self.components:
            raise NotApplicableError(
                f"co-kriging needs components={needed} to leave out at most {TRUNCATION} of the source's error, "
                f"got {self.components}"
            )
        return mean, right[:needed]


def fit_levels(
    low_x: Float[np.ndarray, "low input"],
    low_y: Float[np.ndarray, " low"],
    high_x: Float[np.ndarray, "high input"],
    high_y: Float[np.ndarray, " high"],
    *,
    starts: int,
) -> dict[str, np.ndarray]:
    """Fit smt's MFK to one output, and return the arrays from which its predictive mean is computed."""
    model = _train(low_x, low_y, high_x, high_y, starts=starts)
    (low, high), inputs = model.optimal_par, low_x.shape[1]
    # smt works on outputs of mean 0 and deviation 1; a constant trend has no slopes.
    trend = np.zeros((2, 1 + inputs))
    for row, coefficients in zip(trend, (low["beta"], high["beta"][1:]), strict=True):
        row[: len(coefficients)] = np.ravel(coefficients)
    deviation, rho = float(np.ravel(model.y_std)[0]), float(high["beta"][0, 0])
    trend *= deviation
    # Here rho multiplies the entire prediction of the low level, in smt only its deviation from the mean.
    mean = float(np.ravel(model.y_mean)[0])
    trend[:, 0] += mean * np.array([1.0, 1.0 - rho])
    return {
        "offset": np.ravel(model.X_offset),
        "scale": np.ravel(model.X_scale),
        "points": np.concatenate(model.X_norma_all),
        "theta": np.stack([np.ravel(theta) for theta in model.optimal_theta]),
        "trend": trend,
        "gamma": deviation * np.concatenate([np.ravel(low["gamma"]), np.ravel(high["gamma"])]),
        "rho": np.array(rho),
    }


def _train(
    low_x: Float[np.ndarray, "low input"],
    low_y: Float[np.ndarray, " low"],
    high_x: Float[np.ndarray, "high input"],
    high_y: Float[np.ndarray, " high"],
    *,
    starts: int,
) -> Any:
    """Train smt's model; its random numbers start from the same seed for every model."""
    try:
        from smt.applications import MFK
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "smt":  # smt is installed, but a package that it needs is not
            raise
        raise ValueError("co-kriging needs the package smt, which is not installed: pip install 'smt>=2.13'") from error
    inputs = low_x.shape[1]
    linear = len(high_x) > inputs + 2 and len(low_x) > inputs + 1
    model = MFK(
        poly="linear" if linear else "constant",
        rho_regr="constant",
        corr="squar_exp",
        theta0=[1.0 / inputs] * inputs,
        n_start=starts,
        seed=0,
        print_global=False,
    )
    model.set_training_values(low_x, low_y[:, None], name=0)
    model.set_training_values(high_x, high_y[:, None])
    try:
        with numpy_threads_for(float(len(low_x)) ** 3):
            model.train()
    except Exception as error:  # smt raises no narrower exception
        raise NotApplicableError(
            f"co-kriging has no fit to these samples ({one_line(error)}): "
            "source outputs may hardly vary beside those of the target"
        ) from error
    return model
