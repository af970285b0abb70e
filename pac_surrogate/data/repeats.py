"""Groups of samples with equal inputs, which are left out of a fit together, and the weights of their samples.

A model that was fitted to one sample of an input can predict another sample of it up to noise. Samples whose inputs are equal,
or nearly equal, are therefore left out together whenever one of them tests a fit: in leave-one-out residuals, cross-validation
and the residuals of intervals. In the weights and the table of the automatic choice and in the ranks of intervals each input
counts once, regardless of its number of samples. Everywhere else every sample counts: in the fit itself, so that repeats of a
noisy measurement inform the estimate of the noise, and in the error by which hyper-parameters are chosen.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

NEAR = 1e-4  # inputs are equal if they differ by at most this in every standardised column


def groups_of(x: Float[Tensor, "sample input"]) -> Int[Tensor, " sample"]:
    """Number the different inputs, 0, 1, ... in the order of their first samples.

    Two inputs are equal if no standardised column differs by more than NEAR, a ten-thousandth of a deviation, or if both are
    equal to a third.
    """
    samples = len(x)
    if samples < 2 or x.shape[1] == 0:
        return torch.zeros(samples, dtype=torch.int64)
    pairs = cKDTree(x.numpy(force=True)).query_pairs(NEAR, p=np.inf, output_type="ndarray")
    if not len(pairs):
        return torch.arange(samples)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(samples, samples))
    label = connected_components(graph, directed=False)[1]
    _, first, back = np.unique(label, return_index=True, return_inverse=True)
    return torch.from_numpy(np.argsort(np.argsort(first))[back])


def count_of(group: Int[Tensor, " sample"]) -> int:
    """Return the number of different inputs."""
    return int(group.max()) + 1 if len(group) else 0


def sample_weights(group: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Weight each sample by one over the number of samples of its input, so that the weights of every input add up to 1."""
    return 1 / torch.bincount(group).double()[group]


def repeated(group: Int[Tensor, " sample"]) -> list[Int[Tensor, " member"]]:
    """Return the samples of each input that has more than one sample."""
    sizes = torch.bincount(group)
    return [torch.nonzero(group == number)[:, 0] for number in torch.nonzero(sizes > 1)[:, 0].tolist()]


def group_sum(values: Float[Tensor, "sample ..."], group: Int[Tensor, " sample"]) -> Float[Tensor, "sample ..."]:
    """Return for each sample the sum over all samples of its input."""
    sums = values.new_zeros(count_of(group), *values.shape[1:]).index_add(0, group, values)
    return sums[group]


def group_mean(values: Float[Tensor, "sample ..."], group: Int[Tensor, " sample"]) -> Float[Tensor, "group ..."]:
    """Return the mean over the samples of each input."""
    weight = sample_weights(group).to(values)
    weighted = values * weight.view(-1, *(1,) * (values.ndim - 1))
    return values.new_zeros(count_of(group), *values.shape[1:]).index_add(0, group, weighted)
