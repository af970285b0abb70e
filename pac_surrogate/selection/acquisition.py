"""Active learning: choose the inputs to run on the target next, one after the other, that leave the least variance over a pool.

The posterior variance of a Gaussian process does not depend on outputs, so a batch can be planned before its first run. With C
the covariance of the pool given all earlier samples,

    gain of j     g_j = 1/m sum_i C_ij^2 / (C_jj + noise)      decrease of the mean variance over the m rows of the pool
    run j         C <- C - c c' / (C_jj + noise),              c the column j of C

The prior covariance is the mean of three, each of mean variance 1 over the pool: the network's tangent (see `tangent`) with the
variance |w| of each weight w and 1 of each bias; the tangent of its readout alone, with variance 1; and a Matern 5/2 kernel of
the standardised inputs, whose length scale is the square root of their number, for what the source has no information about.

Sources: Cohn, Ghahramani & Jordan, "Active learning with statistical models", J. Artif. Intell. Res. 4 (1996); Seo, Wallat,
Graepel & Obermayer, "Gaussian process regression: active data selection and test point rejection", IJCNN (2000). Choosing the
row of largest variance (MacKay 1992) prefers the edges of the pool: with the tangent it was no better than a random choice.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pac_surrogate.data.conversion import check_complete
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import groups_of
from pac_surrogate.kernels.cholesky import cholesky
from pac_surrogate.kernels.tangent import KERNEL_ROWS, Tangent
from pac_surrogate.models.weights import inside, prunable
from pac_surrogate.predictors import Network
from pac_surrogate.surrogates.surrogate import Surrogate, as_surrogate
from pac_surrogate.utilities.arguments import check_numbers, whole_numbers
from pac_surrogate.utilities.process import own_settings

NOISE = 1e-2  # variance of the noise, relative to the mean prior variance over the pool
LEAST_VARIANCE = 1e-6  # prior variance of a weight that is 0 in the source


@own_settings()
def next_samples(
    surrogate: Surrogate | Path | str, data: Any, pool: Any, k: int, *, noise: float = NOISE
) -> Int[np.ndarray, " k"]:
    """Choose k inputs of a pool to run on the target next, each the best one given those chosen before it.

    The best input lowers the mean posterior variance over the pool most (see `acquisition`). Outputs are not used, so the first
    5 of 8 are those that k = 5 gives. An input is run only once; inputs that differ by no more than a ten-thousandth of a
    standard deviation in every column count as one.

    Args:
        surrogate: surrogate pretrained on the source, or the path of a saved one.
        data: target samples that were already run: a Dataset, the path of a data file, or inputs alone; None if there are none.
        pool: inputs [physical units], an array or dictionary as for `Surrogate.predict`, or a Dataset, of which the inputs are
            used. The variance is lowered over these inputs, so draw them from the distribution of later use.
        k: number of inputs to choose.
        noise: variance of the noise, relative to the mean prior variance over the pool.

    Returns:
        Rows of the pool, in the order in which to run them.

    Raises:
        ValueError: if the surrogate is not a network, inputs do not fit it, the pool has fewer than k different inputs that
            were not run, there are more than 4,000 inputs, or noise is not positive or too small.
    """
    surrogate = as_surrogate(surrogate)
    network = surrogate.network
    (k,) = whole_numbers(k=k)
    if isinstance(data, Dataset):
        check_complete("data", data)
    check_numbers(noise=noise)
    if not 0 < noise < math.inf:
        raise ValueError(f"noise must be positive and finite, relative to the prior variance, got {noise}: try {NOISE}")
    candidates = surrogate.input_columns(pool).double()
    done = candidates[:0] if data is None else surrogate.input_columns(data).double()
    rows = len(candidates) + len(done)
    if rows > KERNEL_ROWS:
        raise ValueError(f"pool and data together must have at most {KERNEL_ROWS} inputs, got {rows}: pass a part of the pool")
    inputs = surrogate.standardised(torch.cat([candidates, done]))
    numbers = groups_of(inputs).numpy()
    groups, ran = numbers[: len(candidates)], np.isin(numbers[: len(candidates)], numbers[len(candidates) :])
    left = len(set(groups[~ran].tolist()))
    if not 1 <= k <= left:
        raise ValueError(
            f"k must be at least 1 and at most the {left} different inputs of the pool that were not run, got {k}: "
            "choose another k or enlarge the pool"
        )
    covariance = condition(prior_kernel(network, inputs, len(candidates)), len(candidates), noise)
    return choose_rows(covariance, k, noise, groups, ran)


def prior_kernel(network: Network, inputs: Float[Tensor, "row input"], pool: int) -> Float[Tensor, "row row"]:
    """Average the kernels of tangent, readout and Matern, each scaled to mean variance 1 over the first rows, the pool.

    Raises:
        ValueError: if the network's derivatives are not finite or are all 0.
    """
    start = {name: weight.double() for name, weight in network.weights.items()}
    readout, names = str(network.module.readout_name), prunable(start)
    every = {n: w.abs().clamp_min(LEAST_VARIANCE) if n in names else torch.ones_like(w) for n, w in start.items()}
    last = {n: mask.double().expand_as(start[n]) for n, mask in inside(start, readout).items()}
    exact = "donot_use_mm_for_euclid_dist"  # from matrix products, the distance of equal inputs would not be 0
    distance = torch.cdist(inputs, inputs, compute_mode=exact) * math.sqrt(5 / inputs.shape[1])
    matern = (1 + distance + distance.square() / 3) * torch.exp(-distance)
    kernels = [*Tangent(network.module, start, readout).shared([every, last], inputs), matern]
    variances = [float(kernel.diagonal()[:pool].mean()) for kernel in kernels]
    if not all(0 < variance < math.inf for variance in variances):
        found = min(variances[:2])
        raise ValueError(
            f"the surrogate's derivatives must be finite and not all 0, got a mean variance of {found:g}: check its weights"
        )
    mean = torch.zeros_like(matern)
    for kernel, variance in zip(kernels, variances, strict=True):
        mean += kernel / (len(kernels) * variance)
    return mean


def condition(kernel: Float[Tensor, "row row"], pool: int, noise: float) -> Float[Tensor, "pool pool"]:
    """Return the covariance of the first rows, the pool, given noisy samples at the other rows."""
    covariance, cross, seen = kernel[:pool, :pool], kernel[pool:, :pool], kernel[pool:, pool:]
    factor, singular = cholesky(seen + noise * torch.eye(len(seen), dtype=kernel.dtype))
    if bool(singular):
        raise ValueError(
            f"the kernel of the samples that were run has no inverse in float64 at noise {noise:g}: use a larger noise"
        )
    whitened = torch.linalg.solve_triangular(factor, cross, upper=False)
    return covariance - whitened.T @ whitened


def choose_rows(
    covariance: Float[Tensor, "pool pool"],
    k: int,
    noise: float,
    groups: Int[np.ndarray, " pool"],
    ran: Bool[np.ndarray, " pool"],
) -> Int[np.ndarray, " k"]:
    """Choose the rows of largest gain, one after the other: at most one of equal inputs, and none that was already run."""
    barred, chosen = torch.as_tensor(ran), []
    for _ in range(k):
        # Rounding may make a variance negative where it should be 0.
        variance = covariance.diagonal().clamp_min(0.0) + noise
        gain = covariance.square().sum(0) / variance
        best = int(gain.masked_fill(barred, -math.inf).argmax())
        column = covariance[best]
        covariance = covariance.addr(column, column / -variance[best])
        barred = barred | torch.as_tensor(groups == groups[best])
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)
