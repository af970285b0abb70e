"""Conversion of what a user passes as a model to an architecture."""

from typing import Any

from torch import nn

from pac_surrogate.models.cnn import CNN
from pac_surrogate.models.mlp import MLP
from pac_surrogate.models.module import Module
from pac_surrogate.models.network import Architecture
from pac_surrogate.utilities.arguments import got

NAMED: dict[str, type] = {"mlp": MLP, "cnn": CNN}


def as_architecture(given: Any) -> Architecture:
    """Return an architecture unchanged, `MLP()` for None, `pac.MLP()` for `pac.MLP` or "MLP", a `Module` for a torch module.

    Raises:
        ValueError: if the argument is none of these.
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
