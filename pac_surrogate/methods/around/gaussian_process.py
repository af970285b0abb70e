"""Gaussian processes: on the target alone, on the source's residual, and on inputs augmented by the source (NARGP).

They are fitted by scikit-learn.
"""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import groups_of
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import one_of
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.predictors import GaussianProcess, LeftOut, Predictor
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings
from pac_surrogate.utilities.process import numpy_threads_for

COMPONENTS = 3  # largest number of principal components of the source's prediction among the inputs
SAMPLES = 1000  # the time of the fit grows with the cube of this number
FOLDS = 5  # the hyper-parameters are fitted again without each of these parts, for the residuals of its samples


@settings
class GP:
    """A Gaussian process with white noise, fitted to the target by maximum evidence; all outputs share its hyper-parameters.

        target     y = g(x)
        residual   y = f_S(x) + g(x)
        augmented  y = g(x, f_S(x)),  k = k_rho(x, x') k_f(f, f') + k_delta(x, x')

    The mean function of g is the mean of its samples, a constant. Up to 12 inputs have a length scale each, more share one.
    In the augmented form, f_S enters as at most three principal components of its outputs over the target samples.
    Sources: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006); Perdikaris, Raissi, Damianou, Lawrence &
    Karniadakis, "Nonlinear information fusion", Proc. R. Soc. A 473 (2017).

    Args:
        on: target | residual | augmented.
        kernel: matern (5/2) | rbf.
    """

    on: Annotated[str, one_of("target", "residual", "augmented")] = "residual"
    kernel: Annotated[str, one_of("matern", "rbf")] = "matern"

    @property
    def needs_target(self) -> bool:
        """Whether the process is fitted to the target alone, without the source."""
        return self.on == "target"

    def adapt(self, case: Case) -> Surrogate:
        """Fit the process in float64.

        Raises:
            NotApplicableError: if there is one sample, or more than 1,000; without samples, if the process ignores the source.
        """
        surrogate, data = case.for_target(), case.target
        if len(data) == 0 and not self.needs_target:
            return surrogate
        return case.answer(surrogate, self.solve(surrogate.network, surrogate.scaling.standardise(data)))

    def solve(self, base: Predictor, data: Dataset) -> GaussianProcess:
        """Return the process of standardised samples around a base that predicts f_S; see `left_out` for its errors."""
        return self._fit(base, data)[0]

    def left_out(
        self, base: Predictor, data: Dataset, without: Callable[[int], Float[Tensor, "sample output"]] | None = None
    ) -> LeftOut:
        """Return the process with its leave-one-out residuals.

        A sample is left out of the mean and of the process, and its fold (every fifth input) is left out of the fit of the
        hyper-parameters, as hyper-parameters that have seen a sample predict it far too well. Let r be the values minus the
        mean of the others, and C the covariance of all samples; the residuals of the samples G of one input are
        [C^-1]_GG^-1 [C^-1 r]_G.

        Args:
            base: the predictor of f_S.
            data: standardised samples.
            without: function of i that returns the predictions of all samples by the base fitted without sample i; None if the
                base has not seen the samples.

        Raises:
            NotApplicableError: if there are fewer than 2 samples, or more than 1,000.
        """
        from pac_surrogate.methods.around.process_fit import fit_process

        with numpy_threads_for(float(len(data)) ** 3):
            predictor, z, values, kernel = self._fit(base, data)
            group = groups_of(torch.from_numpy(data.input_matrix)).numpy()
            left_out = np.empty_like(values)
            for held_out in range(min(FOLDS, int(group.max()) + 1)):
                rest = group % FOLDS != held_out
                process, _ = fit_process(z[rest], values[rest] - values[rest].mean(0), kernel)
                # With long length scales and no noise the matrix is singular in float64, hence the pseudo-inverse.
                inverse = np.linalg.pinv(process.kernel_(z) + process.alpha * np.eye(len(z)), hermitian=True)
                for number in np.unique(group[~rest]):
                    own = group == number
                    seen = values if without is None else data.output_matrix - without(int(own.argmax())).numpy()
                    applied = inverse[own] @ (seen - seen[~own].mean(0))
                    left_out[own] = np.linalg.pinv(inverse[np.ix_(own, own)], hermitian=True) @ applied
        return LeftOut(predictor, torch.from_numpy(left_out))

    def _fit(
        self, base: Predictor, data: Dataset
    ) -> tuple[GaussianProcess, Float[np.ndarray, "sample dimension"], Float[np.ndarray, "sample output"], Any]:
        """Return the process, its inputs, its values, and the kernel from which the fit started."""
        from pac_surrogate.methods.around.process_fit import decode, fit_process, make_kernel  # scikit-learn is slow to import

        if not 2 <= len(data) <= SAMPLES:
            raise NotApplicableError(f"a Gaussian process takes 2 to {SAMPLES} target samples, got {len(data)}")
        x, y = (np.asarray(matrix, dtype=np.float64) for matrix in (data.input_matrix, data.output_matrix))
        projection, z = np.zeros((y.shape[1], 0)), x
        if self.on != "target":
            with torch.no_grad():
                prediction = base.predict(torch.as_tensor(x)).double().numpy()
        if self.on == "augmented":
            projection = _principal(prediction)
            z = np.concatenate([x, prediction @ projection], axis=1)
        values = y - prediction if self.on == "residual" else y
        mean, kernel = values.mean(0), make_kernel(self.kernel, x.shape[1], projection.shape[1])
        process, rotation = fit_process(z, values - mean, kernel)
        amplitudes, inverse_lengths = decode(process.kernel_.theta, x.shape[1], projection.shape[1])
        arrays = (z, process.alpha_ @ rotation, mean, amplitudes, inverse_lengths, projection)
        below = None if self.on == "target" else base
        predictor = GaussianProcess(below, self.on, self.kernel, *(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays))
        return predictor, z, values, kernel


def _principal(prediction: Float[np.ndarray, "sample output"]) -> Float[np.ndarray, "output component"]:
    """Return the projection onto the leading principal components, scaled so that the first has unit deviation."""
    _, values, right = np.linalg.svd(prediction - prediction.mean(0), full_matrices=False)
    count = max(1, min(COMPONENTS, int((values > 1e-8 * values[0]).sum()), len(prediction) - 1))
    scale = values[0] / len(prediction) ** 0.5
    return right[:count].T / (scale if scale > 0 else 1.0)
