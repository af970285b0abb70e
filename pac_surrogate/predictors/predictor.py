"""What every predictor is: a map between standardised inputs and outputs, arrays and JSON."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Predictor(Protocol):
    """What a surrogate puts between its scalings."""

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict standardised outputs."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give tensors and JSON for saving."""
        ...


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Shape of each tensor."""
    return {name: weight.shape for name, weight in weights.items()}
