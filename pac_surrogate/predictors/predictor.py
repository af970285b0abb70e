"""What every predictor is: a map between standardised inputs and outputs, arrays and JSON."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
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


def check_groups(group: Int[Tensor, " sample"]) -> None:
    """Refuse saved numbers of inputs that no samples can have.

    Raises:
        ValueError: in one line.
    """
    numbers = torch.unique(group)
    if not torch.equal(numbers, torch.arange(len(numbers))):
        raise ValueError("the numbers of the samples' inputs must be 0, 1, ... without a gap")


def check_finite(what: str, arrays: Mapping[str, Tensor], *, positive: bool = False, not_negative: bool = False) -> None:
    """Refuse numbers of a saved surrogate that are not finite, or of the wrong sign.

    Args:
        what: they are, in the plural.
        arrays: by name; those of whole numbers and masks pass.
        positive: whether they must be above 0.
        not_negative: whether they must be 0 or above.

    Raises:
        ValueError: in one line.
    """
    bound = " and above 0" if positive else " and not negative" if not_negative else ""
    for name, array in arrays.items():
        if not array.is_floating_point() or not array.numel():
            continue
        low, high = torch.aminmax(array)  # NaN reaches both; quicker than all
        sound = low > 0 if positive else low >= 0 if not_negative else low.isfinite()
        if not (sound and low.isfinite() and high.isfinite()):
            raise ValueError(f"{what} must be finite{bound}, {name} is not")


def shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Shape of each tensor."""
    return {name: weight.shape for name, weight in weights.items()}
