"""Derivatives of a model with respect to its weights, a few samples at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.models import activation_size, evaluate
from pac_surrogate.models.weights import Weights

NUMBERS = 2**24  # approximate size of one piece of a Jacobian


def output_jacobian(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    x: Float[Tensor, "sample input"],
    names: Sequence[str] | None = None,
    mix: Float[Tensor, "*sample row output"] | None = None,
) -> Iterator[Weights]:
    """Compute the derivatives df_o/dw of the outputs at each sample, in pieces of a few samples.

    Args:
        model: the module.
        weights: weights at which to differentiate; their precision is that of the result.
        x: standardised inputs.
        names: names of the tensors by which to differentiate, all by default.
        mix: projections of the outputs, (row, output), that are differentiated instead of the outputs; or separate projections
            for each sample, (sample, row, output).

    Yields:
        Derivatives at the next few samples: name -> (sample, output, *shape of the weight), or (sample, row, ...) with `mix`.
        They are differentiable with respect to x, but not to the weights.
    """
    chosen = {name: weights[name].detach() for name in names or weights}
    rest = {name: weight.detach() for name, weight in weights.items() if name not in chosen}

    def outputs(free: Weights, row: Float[Tensor, " input"], own: Tensor | None) -> Float[Tensor, " output"]:
        found = evaluate(model, {**rest, **free}, row[None])[0][0]
        return found if own is None else own @ found

    if len(x) == 0:
        return
    with torch.no_grad():
        width = mix.shape[-2] if mix is not None else evaluate(model, weights, x[:1])[0].shape[1]
    # A backward pass holds the activations' derivatives besides those of the weights.
    each = activation_size(model, x.shape[1]) + sum(weight.numel() for weight in chosen.values())
    passes = max(1, NUMBERS // each)
    rows = max(1, passes // width)
    derivative = torch.func.jacrev(outputs, chunk_size=passes if passes < width else None)
    apart = mix is not None and mix.ndim == 3
    for i in range(0, len(x), rows):
        own = mix[i : i + rows] if mix is not None and apart else mix
        yield torch.func.vmap(derivative, in_dims=(None, 0, 0 if apart else None))(chosen, x[i : i + rows], own)


def pullback(
    model: nn.Module, weights: Weights, x: Float[Tensor, "sample input"]
) -> tuple[Float[Tensor, "sample output"], Callable[[Tensor], tuple[Weights]]]:
    """Return the outputs f(x), and the function that maps a residual r of their shape to J(x)' r, by names of the weights."""
    prediction, pull = torch.func.vjp(lambda w: evaluate(model, w, x)[0], weights)[:2]
    return prediction, pull


def along(
    model: nn.Module, weights: Weights, x: Float[Tensor, "sample input"], change: Mapping[str, Tensor]
) -> Float[Tensor, "sample output"]:
    """Return J(x) change, the derivative of the outputs in a direction of the weights."""
    moved = {name: change[name].to(x) for name in weights}
    # J'u is linear in u, and the transpose of its derivative is J. `torch.func.jvp` would compile for seconds first, and warn.
    prediction, pull = pullback(model, weights, x)
    push: Any = torch.func.vjp(lambda u: pull(u)[0], torch.zeros_like(prediction))[1]
    return push(moved)[0]


def fisher_diagonal(model: nn.Module, weights: Mapping[str, Tensor], x: Float[Tensor, "sample input"]) -> Weights:
    """Compute the diagonal Fisher information F_i = mean over samples of sum_o (df_o/dw_i)^2 for unit Gaussian errors.

    It is the diagonal of the Gauss-Newton matrix, and requires no targets.

    Args:
        model: the module.
        weights: weights at which to differentiate; their precision is that of the result.
        x: standardised inputs, one or more.
    """
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for piece in output_jacobian(model, weights, x):
        total = {name: sums + piece[name].square().sum((0, 1)) for name, sums in total.items()}
    return {name: sums / len(x) for name, sums in total.items()}


def loss_gradient(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    x: Float[Tensor, "sample input"],
    y: Float[Tensor, "sample output"],
) -> Weights:
    """Compute the gradient of the mean squared error over samples and outputs."""

    def loss(free: Weights) -> Float[Tensor, ""]:
        return (evaluate(model, free, x)[0] - y).square().mean()

    with torch.no_grad():
        return torch.func.grad(loss)(dict(weights))
