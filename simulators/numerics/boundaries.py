"""Boundary conditions of a domain; each value is one number, or one number per sample."""

from dataclasses import dataclass, fields
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Value: TypeAlias = float | Float[Tensor, " sample"]


@dataclass(frozen=True)
class Dirichlet:
    """A boundary that is held at a temperature: u = temperature.

    Attributes:
        temperature: temperature of the boundary [K].
    """

    temperature: Value = 0.0


@dataclass(frozen=True)
class Neumann:
    """A boundary through which a given heat flow enters: k du/dn = flux, n pointing outwards; 0 insulates the boundary.

    Attributes:
        flux: heat flow into the body [W/m^2]; a positive flux heats it.
    """

    flux: Value = 0.0


@dataclass(frozen=True)
class Robin:
    """A boundary that exchanges heat with the surroundings: k du/dn = coefficient (ambient - u), n pointing outwards.

    Attributes:
        coefficient: heat transfer coefficient [W/(m^2 K)], not negative.
        ambient: temperature of the surroundings [K].
    """

    coefficient: Value
    ambient: Value = 0.0


@dataclass(frozen=True)
class Periodic:
    """A boundary that is joined to the opposite one, which must be periodic too."""


Boundary: TypeAlias = Dirichlet | Neumann | Robin | Periodic


def spread_values(boundary: Boundary, samples: int, device: torch.device) -> dict[str, Float[Tensor, " sample"]]:
    """Return the values of a boundary in float64, one per sample, by name.

    Raises:
        ValueError: if a value is not finite, if it is neither one number nor one per sample, or if a heat transfer
            coefficient is negative.
    """
    spread = {}
    for field in fields(boundary):
        value = torch.as_tensor(getattr(boundary, field.name), dtype=torch.float64, device=device)
        name = f"{field.name} of a {type(boundary).__name__} boundary"
        if value.shape not in ((), (samples,)):
            raise ValueError(f"{name} must be one number or one per sample ({samples}), got shape {tuple(value.shape)}")
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} must be finite")
        if field.name == "coefficient" and bool((value < 0).any()):
            raise ValueError(f"{name} must not be negative, got {float(value.min()):.3g} W/(m^2 K)")
        spread[field.name] = value.expand(samples)
    return spread
