"""Gaussian processes: on the target alone, on the source's residual, and on inputs augmented by the source (NARGP)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import groups_of
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import one_of
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.predictors import GaussianProcess, LeftOut, Predictor
from pac_surrogate.processes.covariance import Shape
from pac_surrogate.processes.fits import FOLDS, Problems, fit, left_out, matrix, safe_cholesky, search_operations, weights_of
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.process import threads_for

COMPONENTS = 3  # largest number of principal components of the source's prediction among the inputs
SAMPLES = 1000  # the time of the fit grows with the cube of this number


@settings
class GP:
    """A Gaussian process with white noise, fitted to the target by restricted likelihood; outputs share its hyper-parameters.

        target     y = g(x)
        residual   y = f_S(x) + g(x)
        augmented  y = g(x, f_S(x)),  k = k_rho(x, x') k_f(f, f') + k_delta(x, x')

    The mean of g is an unknown constant for each output, with a flat prior. Up to 12 inputs have a length scale each; so have
    more if there are ten samples for each, and otherwise they share one.
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
        posed = self._pose(base, data)
        return self._solved(posed, base, self._fitted(posed, torch.ones(1, len(posed.z), dtype=torch.bool))[0])

    def left_out(self, base: Predictor, data: Dataset) -> LeftOut:
        """Return the process with its leave-one-out residuals.

        A sample is left out of the mean and of the process, and its fold (every fifth input) is left out of the fit of the
        hyper-parameters, as hyper-parameters that have seen a sample predict it far too well; see `fits.left_out`.

        Args:
            base: the predictor of f_S, which has not seen the samples.
            data: standardised samples.

        Raises:
            NotApplicableError: if there are fewer than 2 samples, or more than 1,000.
        """
        posed = self._pose(base, data)
        group = groups_of(torch.from_numpy(data.input_matrix))
        fold = group % FOLDS
        held_out = torch.arange(min(FOLDS, int(group.max()) + 1))
        seen = torch.cat([torch.ones(1, len(group), dtype=torch.bool), fold != held_out[:, None]])
        whole, *others = self._fitted(posed, seen)
        factors = safe_cholesky(posed.shape.covariance(torch.stack(others), posed.z))
        residual = left_out(factors, posed.values.expand(len(others), -1, -1), group)[fold, torch.arange(len(group))]
        return LeftOut(self._solved(posed, base, whole), residual)

    def _pose(self, base: Predictor, data: Dataset) -> "_Posed":
        if not 2 <= len(data) <= SAMPLES:
            raise NotApplicableError(f"a Gaussian process takes 2 to {SAMPLES} target samples, got {len(data)}")
        x, y = matrix(data.input_matrix), matrix(data.output_matrix)
        projection, z = y.new_zeros(y.shape[1], 0), x
        if self.on != "target":
            with torch.no_grad():
                prediction = base.predict(x).double()
        if self.on == "augmented":
            projection = _principal(prediction)
            z = torch.cat([x, prediction @ projection], 1)
        shape = Shape.suited(self.kernel, x.shape[1], len(x), projection.shape[1])
        return _Posed(shape, z, y - prediction if self.on == "residual" else y, projection)

    def _fitted(self, posed: "_Posed", seen: Bool[Tensor, "set sample"]) -> Float[Tensor, "set parameter"]:
        """Return the hyper-parameters that are fitted to each set of samples.

        The evidence depends on the values Y through Y Y' alone, so that at most n columns serve for all outputs.
        """
        columns, outputs = posed.values, posed.values.shape[1]
        if outputs > len(columns):
            columns = columns @ torch.linalg.svd(columns, full_matrices=False)[2].T
        with threads_for(search_operations(len(columns))):
            return fit(Problems(posed.shape, posed.z, columns.expand(len(seen), -1, -1), seen, outputs))[0]

    def _solved(self, posed: "_Posed", base: Predictor, parameters: Float[Tensor, " parameter"]) -> GaussianProcess:
        with threads_for(float(len(posed.z)) ** 3):
            factor = safe_cholesky(posed.shape.covariance(parameters[None], posed.z)[0])
        weights, mean = weights_of(factor, posed.values)
        amplitudes, inverse, noise = posed.shape.decode(parameters, len(posed.z))
        below = None if self.on == "target" else base
        return GaussianProcess(
            below, self.on, self.kernel, posed.z, weights, mean, amplitudes, inverse, posed.projection, noise[None]
        )


@dataclass(frozen=True, eq=False, repr=False)
class _Posed(Shown):
    """The samples of a process: its shape, its inputs z, its values, and the components of f_S among the inputs."""

    shape: Shape
    z: Float[Tensor, "sample dimension"]
    values: Float[Tensor, "sample output"]
    projection: Float[Tensor, "output component"]


def _principal(prediction: Float[Tensor, "sample output"]) -> Float[Tensor, "output component"]:
    """Return the projection onto the leading principal components, scaled so that the first has unit deviation."""
    _, values, right = torch.linalg.svd(prediction - prediction.mean(0), full_matrices=False)
    count = max(1, min(COMPONENTS, int((values > 1e-8 * values[0]).sum()), len(prediction) - 1))
    scale = float(values[0]) / len(prediction) ** 0.5
    return right[:count].T.contiguous() / (scale if scale > 0 else 1.0)
