"""Gaussian processes: on the target alone, on the source's residual, and on inputs augmented by the source (NARGP).

The fit is scikit-learn's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from pac_surrogate.dataset import Dataset
from pac_surrogate.predictors import GaussianProcess, Network
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.method import NotApplicableError, Stage

SCORES = 3  # principal components of the source's prediction among the inputs, at most
SAMPLES = 1000  # the fit takes time of the cube of these


@dataclass(frozen=True)
class GP:
    """A Gaussian process fitted to the target by evidence, white noise included; all outputs share its hyper-parameters.

        target     y = g(x)
        residual   y = f_S(x) + g(x)
        augmented  y = g(x, f_S(x)),  k = k_rho(x, x') k_f(f, f') + k_delta(x, x')

    g has the constant mean of its samples. With up to 12 inputs each has a length scale of its own, beyond that they share one.
    Augmented, many outputs of f_S enter as their first three principal components over the target samples.
    Sources: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006); Perdikaris, Raissi, Damianou, Lawrence &
    Karniadakis, "Nonlinear information fusion", Proc. R. Soc. A 473 (2017).

    Args:
        on: target | residual | augmented.
        kernel: matern (5/2) | rbf.
    """

    on: str = "residual"
    kernel: str = "matern"

    def __post_init__(self) -> None:
        if self.on not in ("target", "residual", "augmented"):
            raise ValueError(f"on must be 'target', 'residual' or 'augmented', got {self.on!r}")
        if self.kernel not in ("matern", "rbf"):
            raise ValueError(f"kernel must be 'matern' or 'rbf', got {self.kernel!r}")

    @property
    def needs_target(self) -> bool:
        """A process on the target alone makes nothing of the source."""
        return self.on == "target"

    def stages(self) -> tuple[Stage, ...]:
        """One stage on the target."""
        return (("target", self),)

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network | GaussianProcess:
        """Fit the process, float64.

        Raises:
            NotApplicableError: with one sample, or more than 1,000.
        """
        if len(data) == 0 and not self.needs_target:
            return surrogate.network
        return self.fit(surrogate, data)[0]

    def fit(self, surrogate: Surrogate, data: Dataset) -> tuple[GaussianProcess, Float[torch.Tensor, "sample output"]]:
        """Give the process and its leave-one-out residuals.

        A sample is left out of mean and process, not of the fit of the hyper-parameters.

        Raises:
            NotApplicableError: with fewer than 2 samples, or more than 1,000.
        """
        from pac_surrogate.transfer.process_fit import decode, fit_process, make_kernel  # scikit-learn is slow to import

        network = surrogate.network
        if not 2 <= len(data) <= SAMPLES:
            raise NotApplicableError(f"a Gaussian process takes 2 to {SAMPLES} target samples, got {len(data)}")
        x, y = (np.asarray(matrix, dtype=np.float64) for matrix in (data.input_matrix, data.output_matrix))
        projection, z = np.zeros((y.shape[1], 0)), x
        if self.on != "target":
            with torch.no_grad():
                prediction = network.predict(torch.as_tensor(x)).double().numpy()
        if self.on == "augmented":
            projection = _principal(prediction)
            z = np.concatenate([x, prediction @ projection], axis=1)
        values = y - prediction if self.on == "residual" else y
        mean = values.mean(0)
        process, rotation = fit_process(z, values - mean, make_kernel(self.kernel, x.shape[1], projection.shape[1]))
        amplitudes, inverse_lengths = decode(process.kernel_.theta, x.shape[1], projection.shape[1])
        arrays = (z, process.alpha_ @ rotation, mean, amplitudes, inverse_lengths, projection)
        base = None if self.on == "target" else network
        predictor = GaussianProcess(base, self.on, self.kernel, *(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays))
        return predictor, _left_out(torch.as_tensor(process.L_ @ process.L_.T), torch.as_tensor(values))


def _left_out(kernel: Float[torch.Tensor, "sample sample"], values: Float[torch.Tensor, "sample output"]) -> torch.Tensor:
    """Residuals of each sample under the process of all others, with their mean."""
    found = torch.empty_like(values)
    for i in range(len(values)):
        rest = torch.arange(len(values)) != i
        mean = values[rest].mean(0)
        guess = kernel[i, rest] @ torch.linalg.solve(kernel[rest][:, rest], values[rest] - mean)
        found[i] = values[i] - mean - guess
    return found


def _principal(prediction: Float[np.ndarray, "sample output"]) -> Float[np.ndarray, "output score"]:
    """Projection onto the leading principal components, scaled so that the first has unit deviation."""
    _, values, right = np.linalg.svd(prediction - prediction.mean(0), full_matrices=False)
    count = max(1, min(SCORES, int((values > 1e-8 * values[0]).sum()), len(prediction) - 1))
    scale = values[0] / len(prediction) ** 0.5
    return right[:count].T / (scale if scale > 0 else 1.0)
