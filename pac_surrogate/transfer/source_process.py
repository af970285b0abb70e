"""A Gaussian process of the source samples: where outputs are few and smooth, a better source than the network."""

import dataclasses
from dataclasses import dataclass

import torch

from pac_surrogate.dataset import Dataset
from pac_surrogate.predictors import GaussianProcess, Network
from pac_surrogate.predictors.gaussian_process import ARRAYS
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer.gaussian_process import GP

CARRIED = "source process, {kernel}"
OUTPUTS = 8  # more need a process each, or components
SAMPLES = 200  # the fit takes time of the cube of these
KERNELS = ("matern", "rbf")


@dataclass(frozen=True)
class CarryProcess:
    """Carry a Gaussian process of source samples along, with the kernel that errs less on others.

    It is made of the first 200 samples, or the first three quarters if those are fewer; they should come in no order.
    """

    def solve(self, surrogate: Surrogate, data: Dataset) -> Network:
        """Fit it, float64; where outputs are more than 8 or samples fewer than 4, carry none."""
        network, seen = surrogate.network, min(SAMPLES, 3 * len(data) // 4)
        if seen < 3 or data.output_matrix.shape[1] > OUTPUTS:
            return network
        unseen = data[seen : seen + SAMPLES]
        x, y = (torch.as_tensor(matrix).double() for matrix in (unseen.input_matrix, unseen.output_matrix))
        fitted = [GP(on="target", kernel=kernel).solve(surrogate, data[:seen]) for kernel in KERNELS]
        best = min(fitted, key=lambda process: float((process.predict(x) - y).square().mean()))
        assert isinstance(best, GaussianProcess)
        arrays = {name: getattr(best, name) for name in ARRAYS}
        return dataclasses.replace(network, carried={**network.carried, CARRIED.format(kernel=best.kernel): arrays})


def carried_process(network: Network) -> GaussianProcess | None:
    """The process that a network carries, if there is one."""
    for kernel in KERNELS:
        if (arrays := network.carried.get(CARRIED.format(kernel=kernel))) is not None:
            return GaussianProcess(None, "target", kernel, **arrays)
    return None
