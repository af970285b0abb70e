"""Autoregressive co-kriging of source and target samples."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.around.levels import around
from pac_surrogate.methods.around.source_process import OUTPUTS, processes_of
from pac_surrogate.methods.case import Case, widened
from pac_surrogate.methods.hyper_parameters import Count
from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.predictors import Autoregressive, Network
from pac_surrogate.processes.fits import matrix
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings

SAMPLES = 1000  # largest number of target samples; the time of the fit grows with the cube of this number
FEWEST = 3  # smallest number of samples on each side
TRUNCATION = 0.1  # largest truncation error of the components, relative to the error of the unchanged source
ENTIRE = 1e-3  # a smaller source error, relative to the deviation of the outputs, is replaced by this one


@settings
class CoKriging:
    """Autoregressive co-kriging of first order: y_T(x) = rho y_S(x) + b + delta(x), with Gaussian processes y_S and delta.

    The process of the source's samples comes first, with an RBF or a Matern 5/2 kernel, whichever has the greater evidence.
    Given it, the slope rho and the discrepancy delta are fitted together, by the restricted likelihood of the target's samples,
    in which the source's process has its own uncertainty. Discrepancies with RBF and Matern 5/2 kernels, and quadratic
    polynomials, are averaged in the ratio of their evidence. With at most 250 samples on both sides together, the
    hyper-parameters of both levels are then fitted together.

    Up to 8 outputs have processes of their own. More outputs are expanded in principal components of the source's, of which the
    fewest are used whose truncation error on the target samples is at most a tenth of the error of the unchanged source.
    Sources: Kennedy & O'Hagan, Biometrika 87 (2000); Le Gratiet & Garnier, Int. J. Uncertain. Quantif. 4 (2014).

    Args:
        source_samples: number of source samples that are used, from the first on; the time of the fit grows with its cube, and
            the hyper-parameters are fitted to at most 250 of them.
        components: largest number of components.
    """

    source_samples: Count = 2000
    components: Count = 32
    needs_source: ClassVar[bool] = True

    def adapt(self, case: Case) -> Surrogate:
        """Fit the processes to samples of both; see `solve`."""
        source, surrogate = case.source_samples(), case.for_target()
        if len(case.target) == 0:
            return widened(surrogate, source)
        low = case.surrogate.scaling.standardise(source[: self.source_samples])
        predictor = self.solve(surrogate.network, low, surrogate.scaling.standardise(case.target))
        return case.answer(surrogate, predictor, source)

    def solve(self, network: Network, source: Dataset, data: Dataset) -> Autoregressive:
        """Fit the processes to standardised samples, in float64.

        Args:
            network: the source, whose error determines how many components are needed.
            source: samples of the source.
            data: samples of the target.

        Raises:
            NotApplicableError: if source or target have fewer than 3 samples, the target has more than 1,000, outputs are new,
                or too many components are needed.
        """
        low_x, low_y, x, y = (matrix(m) for one in (source, data) for m in (one.input_matrix, one.output_matrix))
        if network.new_readout or low_y.shape[1] != y.shape[1]:
            raise NotApplicableError(
                "co-kriging relates outputs of the source to the same outputs of the target; these are new"
            )
        if min(len(x), len(low_x)) < FEWEST or len(x) > SAMPLES:
            raise NotApplicableError(
                f"co-kriging needs {FEWEST} samples on each side and at most {SAMPLES} of the target, "
                f"got {len(low_x)} and {len(x)}"
            )
        with torch.no_grad():
            error = y - network.predict(x).double()
        return around(processes_of(low_x, low_y, *self._basis(low_y, y, float(error.square().mean().sqrt()))), x, y)

    def _basis(
        self, low: Float[Tensor, "low output"], high: Float[Tensor, "high output"], error: float
    ) -> tuple[Float[Tensor, "component output"], Float[Tensor, " output"]]:
        """Return the orthonormal rows of the basis in which the outputs are expanded, and the origin."""
        outputs = low.shape[1]
        if outputs <= OUTPUTS:
            return torch.eye(outputs, dtype=torch.float64), torch.zeros(outputs, dtype=torch.float64)
        mean = low.mean(0)
        right = torch.linalg.svd(low - mean, full_matrices=False)[2]
        # The rows are orthonormal, so the truncation error is the sum of squares less that of the coefficients. Constants are
        # not lost: `around` keeps the mean of what the components leave out.
        varying = high - high.mean(0)
        lost = varying.square().sum() - (varying @ right.T).square().sum(0).cumsum(0)
        limit = TRUNCATION * max(error, ENTIRE * float(high.std(correction=0)))
        enough = torch.nonzero(lost <= high.numel() * limit**2)
        if not len(enough):
            raise NotApplicableError(
                "co-kriging expands the target in components of the source's outputs, "
                f"which leave out more than {TRUNCATION} of the source's error"
            )
        needed = int(enough[0]) + 1
        if needed > self.components:
            raise NotApplicableError(
                f"co-kriging needs components={needed} to leave out at most {TRUNCATION} of the source's error, "
                f"got {self.components}"
            )
        return right[:needed].contiguous(), mean
