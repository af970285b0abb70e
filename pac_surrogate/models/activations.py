"""Activation functions by name, so that an architecture is plain data."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pac_surrogate.utilities.arguments import got

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}
# The same functions, written into an existing array: h = act(z).
VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gelu": lambda z, h: torch.ops.aten.gelu.out(z, out=h),
    "relu": lambda z, h: torch.clamp_min(z, 0, out=h),
    "silu": lambda z, h: torch.ops.aten.silu.out(z, out=h),
    "tanh": lambda z, h: torch.tanh(z, out=h),
}
# The derivative by the argument z, in place of the derivative by the value h = act(z), with the functions that autograd calls.
SLOPES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "gelu": lambda slope, z, h: torch.ops.aten.gelu_backward.grad_input(slope, z, grad_input=slope),
    "relu": lambda slope, z, h: torch.ops.aten.threshold_backward.grad_input(slope, z, 0, grad_input=slope),
    "silu": lambda slope, z, h: torch.ops.aten.silu_backward.grad_input(slope, z, grad_input=slope),
    "tanh": lambda slope, z, h: torch.ops.aten.tanh_backward.grad_input(slope, h, grad_input=slope),
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the function of this name.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in list(ACTIVATIONS):  # a list, because values without a hash must be compared too
        raise ValueError(f"unknown activation {got(name)}: choose from {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
