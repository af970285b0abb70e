"""A Gaussian process of the source samples: where outputs are few and smooth, a better source than the network."""

import torch

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.around.gaussian_process import GP
from pac_surrogate.predictors import GaussianProcess
from pac_surrogate.surrogates.surrogate import Surrogate

OUTPUTS = 8  # more need a process each, or components
SAMPLES = 200  # the fit takes time of the cube of these
KERNELS = ("matern", "rbf")


def source_process(surrogate: Surrogate, data: Dataset) -> GaussianProcess | None:
    """Fit it, float64, with the kernel that errs less on others; where outputs are more than 8 or samples fewer than 4, none.

    It is made of the first 200 samples, or the first three quarters if those are fewer; they should come in no order.

    Args:
        surrogate: the source.
        data: source samples, standardised.
    """
    seen = min(SAMPLES, 3 * len(data) // 4)
    if seen < 3 or data.output_matrix.shape[1] > OUTPUTS:
        return None
    unseen = data[seen : seen + SAMPLES]
    x, y = (torch.as_tensor(matrix).double() for matrix in (unseen.input_matrix, unseen.output_matrix))
    fitted = [GP(on="target", kernel=kernel).solve(surrogate.network, data[:seen]) for kernel in KERNELS]
    return min(fitted, key=lambda process: float((process.predict(x) - y).square().mean()))
