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


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of this name.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in list(ACTIVATIONS):  # what has no hash is compared too
        raise ValueError(f"unknown activation {got(name)}: choose from {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
