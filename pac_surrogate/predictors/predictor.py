"""The protocol of all predictors, maps from standardised inputs to standardised outputs, and checks of saved ones."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Predictor(Protocol):
    """The map of a surrogate from standardised inputs to standardised outputs."""

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict standardised outputs."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and JSON for saving."""
        ...


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, under their names without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def check_groups(group: Int[Tensor, " sample"]) -> None:
    """Check that the saved numbers of the samples' inputs are 0, 1, ... without a gap.

    Raises:
        ValueError: if they are not; the message is one line.
    """
    numbers = torch.unique(group)
    if not torch.equal(numbers, torch.arange(len(numbers))):
        raise ValueError("the numbers of the samples' inputs must be 0, 1, ... without a gap")


def check_finite(what: str, arrays: Mapping[str, Tensor], *, positive: bool = False, not_negative: bool = False) -> None:
    """Check that the numbers of a saved surrogate are finite and have the required sign.

    Args:
        what: name of the numbers in messages, in the plural.
        arrays: arrays by name; those of whole numbers and masks are not checked.
        positive: whether the numbers must be above 0.
        not_negative: whether the numbers must be 0 or above.

    Raises:
        ValueError: if a number does not fit; the message is one line.
    """
    bound = " and above 0" if positive else " and not negative" if not_negative else ""
    for name, array in arrays.items():
        if not array.is_floating_point() or not array.numel():
            continue
        low, high = torch.aminmax(array)  # NaN propagates to both; this is faster than isfinite on all numbers
        sound = low > 0 if positive else low >= 0 if not_negative else low.isfinite()
        if not (sound and low.isfinite() and high.isfinite()):
            raise ValueError(f"{what} must be finite{bound}, {name} is not")


def shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Return the shape of each tensor."""
    return {name: weight.shape for name, weight in weights.items()}
