"""Activation functions by name, so that an architecture is plain data."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pac_surrogate.arguments import got

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}
# What autograd itself calls: the slope by the argument z, from the slope by the value h = act(z).
SLOPES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "gelu": lambda slope, z, h: torch.ops.aten.gelu_backward(slope, z),
    "relu": lambda slope, z, h: torch.ops.aten.threshold_backward(slope, z, 0),
    "silu": lambda slope, z, h: torch.ops.aten.silu_backward(slope, z),
    "tanh": lambda slope, z, h: torch.ops.aten.tanh_backward(slope, h),
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of this name.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in list(ACTIVATIONS):  # what has no hash is compared too
        raise ValueError(f"unknown activation {got(name)}: choose from {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
