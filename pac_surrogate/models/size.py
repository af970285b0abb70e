"""Check whether a model is too large for the available memory."""

from collections.abc import Sequence

import torch

from pac_surrogate.files import Variable
from pac_surrogate.models.cnn import CNN
from pac_surrogate.models.mlp import MLP
from pac_surrogate.models.network import Architecture
from pac_surrogate.utilities.arguments import got
from pac_surrogate.utilities.memory import memory_bytes

NUMBERS_PER_WEIGHT = 6  # numbers that are in memory at once for each weight during training


def check_size(model: Architecture, inputs: Sequence[Variable], outputs: Sequence[Variable], runs: int) -> None:
    """Refuse a model whose training the memory cannot hold, before any memory is allocated.

    Raises:
        ValueError: if the model is too large.
    """
    if not isinstance(model, MLP | CNN):
        return
    try:
        with torch.device("meta"):
            numbers = sum(weight.numel() for weight in model.build(inputs, outputs).parameters())
    except (RuntimeError, TypeError, OverflowError) as error:  # torch cannot even count them
        raise ValueError(f"{got(repr(model))} has more weights than can be counted: use a smaller one") from error
    needed, there = NUMBERS_PER_WEIGHT * 4.0 * numbers * runs, memory_bytes()
    if needed > there:
        raise ValueError(
            f"{got(repr(model))} has {numbers:.2g} weights, whose training takes {needed / 1e9:.2g} GB, but there are "
            f"{there / 1e9:.2g} GB: use a smaller one"
        )
