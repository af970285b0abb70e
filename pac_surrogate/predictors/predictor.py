"""What every predictor is: a map between standardised inputs and outputs, arrays and JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture

BASES = ("Network", "Correction", "GaussianProcess")  # what another predictor may stand on


@runtime_checkable
class Predictor(Protocol):
    """What a surrogate puts between its scalings."""

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict standardised outputs."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give tensors and JSON for saving."""
        ...


def base_state(base: Predictor) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State of a predictor on which another stands; a network's tensors keep their names."""
    tensors, description = base.state()
    prefix = "" if description["kind"] == "Network" else "base/"
    return {prefix + name: tensor for name, tensor in tensors.items()}, description


def base_from_state(
    tensors: Mapping[str, Tensor],
    description: Mapping[str, Any],
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    model: Architecture | None,
) -> Any:
    """Rebuild what `base_state` gave."""
    from pac_surrogate.predictors import PREDICTORS

    kind = description["kind"]
    if kind not in BASES:
        raise ValueError(f"no predictor stands on one of the kind {kind!r}")
    own = tensors if kind == "Network" else part(tensors, "base/")
    return PREDICTORS[kind].from_state(own, description, inputs, outputs, model)


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def check_groups(group: Tensor, samples: int) -> None:
    """Refuse saved numbers of inputs that no samples can have.

    Raises:
        ValueError: in one line.
    """
    if group.dtype != torch.int64 or group.shape != (samples,):
        raise ValueError("the numbers of the samples' inputs do not fit the samples")
    numbers = torch.unique(group)
    if not torch.equal(numbers, torch.arange(len(numbers))):
        raise ValueError("the numbers of the samples' inputs must be 0, 1, ... without a gap")


def check_finite(what: str, arrays: Mapping[str, Tensor], *, positive: Sequence[str] = ()) -> None:
    """Refuse numbers of a saved surrogate that are not finite, and scales that are not positive.

    Args:
        what: they are, in the plural.
        arrays: by name; those of whole numbers and masks pass.
        positive: names of those by which is divided.

    Raises:
        ValueError: in one line.
    """
    for name, array in arrays.items():
        ends = torch.aminmax(array) if array.is_floating_point() and array.numel() else ()  # NaN reaches both; quicker than all
        if not all(math.isfinite(end) for end in ends):
            raise ValueError(f"{what} must be finite, {name} is not")
        if name in positive and not bool((array > 0).all()):
            raise ValueError(f"{what} must have scales above 0, {name} has not")


def shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Shape of each tensor."""
    return {name: weight.shape for name, weight in weights.items()}
