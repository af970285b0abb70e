"""WoodFisher: how much the loss grows when a weight goes and its neighbours make up for it."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pac_surrogate.kernels.cholesky import cholesky
from pac_surrogate.kernels.jacobian import output_jacobian
from pac_surrogate.models import evaluate
from pac_surrogate.models.weights import Mask, Weights, prunable

ROWS = 2000  # about how many derivative rows a Fisher matrix is made of


def fisher_blocks(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    x: Float[Tensor, "sample input"],
    y: Float[Tensor, "sample output"],
    *,
    damping: float = 1e-2,
    block: int = 256,
    empirical: bool = False,
) -> Weights:
    """Fisher matrix of each weight tensor, in blocks of consecutive weights, in float64.

        F = 1/N sum_samples sum_o (df_o/dw)(df_o/dw)' + damping I

    which is the Fisher matrix of Gaussian outputs of unit variance. With `empirical` a sample's one row is instead the gradient
    of its squared error, sum_o (f_o - y_o) df_o/dw: the paper's, which vanishes where the source fits its data. If samples x
    outputs is above 2,000, each sample's rows are random +-1 projections of its outputs, of a fixed seed: F in expectation.

    Args:
        model: the module.
        weights: by name.
        x: standardised inputs.
        y: standardised outputs.
        damping: positive.
        block: weights a block; the last of a tensor is filled up with weights of no derivative. None crosses tensors.
        empirical: take the gradients of the squared error.

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
            blocks = functional.pad(rows, (0, count[name] * block - rows.shape[1])).unflatten(1, (-1, block)).transpose(0, 1)
            total[name] += blocks.mT @ blocks
    return {name: total[name] / max(1, len(x)) + damping * torch.eye(block, dtype=torch.float64) for name in names}


def _projections(samples: int, outputs: int) -> Float[Tensor, "sample row output"]:
    """Rows z of each sample with E sum_r z_r z_r' = I: the outputs themselves while there are few, random signs beyond."""
    rows = max(1, ROWS // max(1, samples))
    if outputs <= rows:
        return torch.eye(outputs, dtype=torch.float64).expand(samples, -1, -1)
    signs = torch.randint(2, (samples, rows, outputs), generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    return signs / rows**0.5


def wood_fisher_importance(weights: Mapping[str, Tensor], fisher: Mapping[str, Tensor]) -> Weights:
    """Importance of each weight, w_i^2 / (2 [F^-1]_ii): the rise of the loss if it goes and its block makes up for it.

    Source: Singh & Alistarh, NeurIPS 2020, arXiv:2004.14340 (whose Woodbury updates give the same inverse).

    Args:
        weights: by name.
        fisher: of `fisher_blocks`.

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
    """Optimal brain surgeon: the kept weights that best make up for all the pruned ones of their block together.

        minimise  dw' F dw / 2  with  w_Q + dw_Q = 0:   dw = -F^-1[:, Q] (F^-1[Q, Q])^-1 w_Q

    solved as dw_K = F[K, K]^-1 F[K, Q] w_Q over the kept K, which is the same and needs no inverse.
    Source: Hassibi & Stork 1993; Singh & Alistarh, NeurIPS 2020, arXiv:2004.14340.

    Args:
        weights: by name.
        mask: kept weights.
        fisher: of `fisher_blocks`.

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
