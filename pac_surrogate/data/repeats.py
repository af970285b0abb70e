"""Samples of equal inputs: what is left out together, and how much each counts.

A model that has seen a sample's input knows its output but for noise. So samples whose inputs are equal, or nearly so, leave a
fit together whenever one of them judges it: in leave-one-out residuals, cross-validation and the residuals of intervals. Each
input counts once there, whatever number of samples it has; for the fit itself every sample counts, so that repeats of a noisy
measurement inform the noise.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

NEAR = 1e-4  # standardised: inputs that differ by no more than this in any column are equal


def groups_of(x: Float[Tensor, "sample input"]) -> Int[Tensor, " sample"]:
    """Number the different inputs, 0, 1, ... in the order of their first samples.

    Two inputs are equal if no standardised column differs by more than NEAR, a ten-thousandth of a deviation; so are two that
    are equal to a third.
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
    """How many different inputs there are."""
    return int(group.max()) + 1 if len(group) else 0


def sample_weights(group: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Give each sample one over the number of samples of its input, so that the weights of every input add up to 1."""
    return 1 / torch.bincount(group).double()[group]


def repeated(group: Int[Tensor, " sample"]) -> list[Int[Tensor, " member"]]:
    """The samples of each input that has more than one."""
    sizes = torch.bincount(group)
    return [torch.nonzero(group == number)[:, 0] for number in torch.nonzero(sizes > 1)[:, 0].tolist()]


def group_sum(values: Float[Tensor, "sample ..."], group: Int[Tensor, " sample"]) -> Float[Tensor, "sample ..."]:
    """Sum over the samples of equal input, given to each of them."""
    sums = values.new_zeros(count_of(group), *values.shape[1:]).index_add(0, group, values)
    return sums[group]


def group_mean(values: Float[Tensor, "sample ..."], group: Int[Tensor, " sample"]) -> Float[Tensor, "group ..."]:
    """Mean over the samples of each input."""
    weight = sample_weights(group).to(values)
    weighted = values * weight.view(-1, *(1,) * (values.ndim - 1))
    return values.new_zeros(count_of(group), *values.shape[1:]).index_add(0, group, weighted)
