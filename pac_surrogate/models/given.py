"""A model as users give it."""

from typing import Any

from torch import nn

from pac_surrogate.models.cnn import CNN
from pac_surrogate.models.mlp import MLP
from pac_surrogate.models.module import Module
from pac_surrogate.models.network import Architecture
from pac_surrogate.utilities.arguments import got

NAMED: dict[str, type] = {"mlp": MLP, "cnn": CNN}


def as_architecture(given: Any) -> Architecture:
    """An architecture: one as it is, `MLP()` for None, `pac.MLP` and "MLP" for `pac.MLP()`, a module of torch as a `Module`.

    Raises:
        ValueError: if it is none of these.
    """
    if given is None:
        return MLP()
    if isinstance(given, nn.Module):
        return Module(given)
    kind = NAMED.get(given.lower()) if isinstance(given, str) else given if given in (MLP, CNN) else None
    if kind is not None:
        return kind()
    if isinstance(given, type | str) or not isinstance(given, Architecture):
        raise ValueError(f"model must be pac.MLP(...), pac.CNN(...) or a torch.nn.Module, got {got(given)}")
    return given
