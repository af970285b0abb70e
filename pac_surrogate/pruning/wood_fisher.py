"""WoodFisher: the increase of the loss if a weight is pruned and the others of its block compensate for it."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pac_surrogate.kernels.cholesky import cholesky
from pac_surrogate.kernels.jacobian import output_jacobian
from pac_surrogate.models import evaluate
from pac_surrogate.models.weights import Mask, Weights, prunable

ROWS = 2000  # approximate number of derivative rows in a Fisher matrix


def fisher_blocks(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    x: Float[Tensor, "sample input"],
    y: Float[Tensor, "sample output"],
    *,
    alive: Mask | None = None,
    damping: float = 1e-2,
    block: int = 256,
    empirical: bool = False,
) -> Weights:
    """Compute the Fisher matrix of each weight tensor, in blocks of consecutive weights, in float64.

        F = 1/N sum_samples sum_o (df_o/dw)(df_o/dw)' + damping I

    which is the damped Fisher matrix of Gaussian outputs of unit variance. With `empirical`, the only row of a sample is the
    gradient of half its squared error, sum_o (f_o - y_o) df_o/dw, as in the paper; it vanishes where the source fits its data.
    If samples x outputs is above 2,000, the rows of each sample are random +-1 projections of its outputs, with a fixed seed,
    which give F in expectation.

    Args:
        model: the module.
        weights: weights by name.
        x: standardised inputs.
        y: standardised outputs.
        alive: mask of the weights that are not pruned yet, by default all; pruned ones stay 0 and cannot compensate for others,
            so their derivatives count as 0.
        damping: multiple of the identity that is added, positive.
        block: weights per block; the last block of a tensor is padded with weights of zero derivative. No block spans tensors.
        empirical: whether the gradients of the squared error are taken.

    Returns:
        name -> (block, weight, weight), for tensors of two axes or more.
    """
    names, double = prunable(weights), {name: weight.double() for name, weight in weights.items()}
    x, y = x.double(), y.double()
    count = {name: -(-weights[name].numel() // block) for name in names}
    total = {name: torch.zeros(count[name], block, block, dtype=torch.float64) for name in names}
    if empirical:
        with torch.no_grad():
            mix = (evaluate(model, double, x)[0] - y)[:, None]
    else:
        mix = _projections(*y.shape)
    for piece in output_jacobian(model, double, x, names, mix):
        for name in names:
            rows = piece[name].flatten(0, 1).flatten(1)
            rows = rows if alive is None else rows * alive[name].flatten()
            blocks = functional.pad(rows, (0, count[name] * block - rows.shape[1])).unflatten(1, (-1, block)).transpose(0, 1)
            total[name] += blocks.mT @ blocks
    return {name: total[name] / max(1, len(x)) + damping * torch.eye(block, dtype=torch.float64) for name in names}


def _projections(samples: int, outputs: int) -> Float[Tensor, "sample row output"]:
    """Return rows z of each sample with E sum_r z_r z_r' = I: the unit vectors if there are few outputs, else random signs."""
    rows = max(1, ROWS // max(1, samples))
    if outputs <= rows:
        return torch.eye(outputs, dtype=torch.float64).expand(samples, -1, -1)
    signs = torch.randint(2, (samples, rows, outputs), generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    return signs / rows**0.5


def wood_fisher_importance(weights: Mapping[str, Tensor], fisher: Mapping[str, Tensor]) -> Weights:
    """Compute w_i^2 / (2 [F^-1]_ii), the increase of the loss if weight i is pruned and its block compensates for it.

    Source: Singh & Alistarh, NeurIPS 2020, arXiv:2004.14340 (whose Woodbury updates give the same inverse).

    Args:
        weights: weights by name.
        fisher: Fisher matrices from `fisher_blocks`.

    Returns:
        Importance in float64; 0 for tensors that have no Fisher matrix.

    Raises:
        ValueError: if a block has no inverse in float64.
    """
    importance = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()}
    for name, blocks in fisher.items():
        factor, singular = cholesky(blocks)
        if bool(singular.any()):
            raise ValueError(f"the Fisher matrix of {name} has no inverse in float64: raise damping")
        inverse = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2).flatten()
        weight = weights[name].double()
        importance[name] = weight.square() / (2 * inverse[: weight.numel()].view_as(weight))
    return importance


def surgeon_update(weights: Mapping[str, Tensor], mask: Mask, fisher: Mapping[str, Tensor]) -> Weights:
    """Update the kept weights so that they best compensate for all pruned weights of their block (optimal brain surgeon).

        minimise  dw' F dw / 2  with  w_Q + dw_Q = 0:   dw = -F^-1[:, Q] (F^-1[Q, Q])^-1 w_Q

    solved as dw_K = F[K, K]^-1 F[K, Q] w_Q over the kept K, which is the same and needs no inverse.
    Source: Hassibi & Stork 1993; Singh & Alistarh, NeurIPS 2020, arXiv:2004.14340.

    Args:
        weights: weights by name.
        mask: mask of the kept weights.
        fisher: Fisher matrices from `fisher_blocks`.

    Returns:
        Weights with +0.0 where pruned, in their own precision.
    """
    updated = {name: torch.where(mask[name], weight, 0.0) for name, weight in weights.items()}
    for name, blocks in fisher.items():
        size, shape = blocks.shape[-1], weights[name].shape
        flat, kept = weights[name].flatten().double(), mask[name].flatten()
        moved = flat.clone()
        for i, matrix in enumerate(blocks):
            part = slice(i * size, (i + 1) * size)
            keep = torch.nonzero(kept[part])[:, 0]
            gone = torch.nonzero(~kept[part])[:, 0]
            pull = matrix[keep[:, None], gone] @ flat[part][gone]
            moved[part][keep] += torch.linalg.solve(matrix[keep[:, None], keep], pull)
        updated[name] = torch.where(mask[name], moved.view(shape), 0.0).to(weights[name].dtype)
    return updated
