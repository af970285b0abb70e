"""A Gaussian process of the source samples: a better source than the network if outputs are few and smooth."""

import torch

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.around.gaussian_process import GP
from pac_surrogate.predictors import GaussianProcess
from pac_surrogate.surrogates.surrogate import Surrogate

OUTPUTS = 8  # more outputs would need a process each, or components
SAMPLES = 200  # the time of the fit grows with the cube of this number
KERNELS = ("matern", "rbf")


def source_process(surrogate: Surrogate, data: Dataset) -> GaussianProcess | None:
    """Fit the process in float64, with the kernel that has the smaller error on other source samples.

    It is fitted to the first 200 samples, or to the first three quarters if those are fewer, so the samples should be in random
    order.

    Args:
        surrogate: the source.
        data: source samples, standardised.

    Returns:
        The process; None if there are more than 8 outputs or fewer than 4 samples.
    """
    seen = min(SAMPLES, 3 * len(data) // 4)
    if seen < 3 or data.output_matrix.shape[1] > OUTPUTS:
        return None
    unseen = data[seen : seen + SAMPLES]
    x, y = (torch.as_tensor(matrix).double() for matrix in (unseen.input_matrix, unseen.output_matrix))
    fitted = [GP(on="target", kernel=kernel).solve(surrogate.network, data[:seen]) for kernel in KERNELS]
    return min(fitted, key=lambda process: float((process.predict(x) - y).square().mean()))
