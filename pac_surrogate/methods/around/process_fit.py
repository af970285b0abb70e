"""The fit of a Gaussian process by scikit-learn: construction of its kernel, and extraction of its fitted parameters."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, Matern, WhiteKernel

from pac_surrogate.utilities.process import numpy_threads_for

SEPARATE = 12  # up to this number of dimensions each has a length scale of its own
LENGTHS, AMPLITUDES, NOISE = (1e-2, 1e4), (1e-6, 1e6), (1e-10, 1e2)
# Values of the noise from which the search for the greatest evidence starts. The evidence of ten samples has several maxima,
# and which of them one search finds can depend on rounding: one search missed the greatest by a factor of e^20 in likelihood.
STARTS = (1e-2, 1e-6)


def fit_process(
    z: Float[np.ndarray, "sample dimension"], values: Float[np.ndarray, "sample output"], kernel: Kernel
) -> tuple[GaussianProcessRegressor, Float[np.ndarray, "column output"]]:
    """Fit scikit-learn's regressor on at most n columns in place of all outputs.

    Let V be the right singular vectors of Y (n, outputs). As tr(K^-1 Y Y') = tr(K^-1 (Y V)(Y V)'), the evidence depends on Y
    through the columns of Y V alone. There are r <= n of them, and scikit-learn counts log det K once per column. If the
    columns are scaled by sqrt(r / outputs), their evidence is r / outputs times that of all outputs, up to a constant, and has
    the same maximiser.

    The search starts from the kernel, whose last parameter is its noise, once with each noise of `STARTS`.

    Returns:
        The regressor of the greatest evidence, and the matrix that maps its columns back to the outputs.
    """
    outputs, found = values.shape[1], []
    with numpy_threads_for(float(len(z)) ** 3), warnings.catch_warnings():
        rotation = np.linalg.svd(values, full_matrices=False)[2] if outputs > len(values) else np.eye(outputs)
        scale = (len(rotation) / outputs) ** 0.5
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound is an input that does not matter
        columns = scale * values @ rotation.T
        for noise in STARTS:
            start = kernel.clone_with_theta(np.append(kernel.theta[:-1], np.log(noise)))
            found.append(GaussianProcessRegressor(start, random_state=0).fit(z, columns))
    return max(found, key=lambda process: process.log_marginal_likelihood_value_), rotation / scale


def _lengths(dimensions: int) -> int:
    return dimensions if dimensions <= SEPARATE else 1


def make_kernel(kind: str, inputs: int, components: int) -> Kernel:
    """Compose the kernel of `GP` for points (x, principal components of f_S(x)), or without components a kernel of x alone."""

    def part(first: int, last: int) -> Kernel:
        # The length scale starts at sqrt(d): the distance of two standard normal points is about sqrt(2 d).
        length = np.full(_lengths(last - first), (last - first) ** 0.5)
        shape = RBF(length, LENGTHS) if kind == "rbf" else Matern(length, LENGTHS, nu=2.5)
        return _On(shape, first, last)

    constant, noise = ConstantKernel(1.0, AMPLITUDES), WhiteKernel(1e-2, NOISE)
    if not components:
        return constant * part(0, inputs) + noise
    related = constant * part(0, inputs) * part(inputs, inputs + components)
    return related + ConstantKernel(0.1, AMPLITUDES) * part(0, inputs) + noise


def decode(
    theta: Float[np.ndarray, " parameter"], inputs: int, components: int
) -> tuple[Float[np.ndarray, " term"], Float[np.ndarray, "term factor dimension"]]:
    """Return amplitudes and inverse length scales from scikit-learn's logarithms, in the order of `make_kernel`."""
    values = list(np.exp(theta))
    amplitudes: list[float] = []
    terms: list[list[np.ndarray]] = []

    def factor(first: int, last: int) -> Float[np.ndarray, " dimension"]:
        inverse = np.zeros(inputs + components)
        lengths = [values.pop(0) for _ in range(_lengths(last - first))]
        inverse[first:last] = 1 / np.array(lengths)
        return inverse

    for looks_at_source in (True, False) if components else (False,):
        amplitudes.append(values.pop(0))
        factors = [factor(0, inputs)]
        if components:
            factors.append(factor(inputs, inputs + components) if looks_at_source else np.zeros(inputs + components))
        terms.append(factors)
    return np.array(amplitudes), np.array(terms)


@dataclass(eq=False)
class _On(Kernel):
    """A kernel of some of the columns; scikit-learn has no such kernel, and requires subclasses of its base class."""

    kernel: Kernel
    first: int
    last: int

    @property
    def hyperparameters(self) -> list[Any]:
        return list(self.kernel.hyperparameters)

    @property
    def theta(self) -> Float[np.ndarray, " parameter"]:
        return self.kernel.theta

    @theta.setter
    def theta(self, theta: Float[np.ndarray, " parameter"]) -> None:
        self.kernel.theta = theta

    @property
    def bounds(self) -> Float[np.ndarray, "parameter 2"]:
        return self.kernel.bounds

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        columns = slice(self.first, self.last)
        return self.kernel(X[:, columns], None if Y is None else Y[:, columns], eval_gradient)

    def diag(self, X: Any) -> Any:
        return self.kernel.diag(X[:, self.first : self.last])

    def is_stationary(self) -> bool:
        return True
