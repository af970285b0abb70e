"""What happens to biases and norm layers while a pull or a mask acts on the weight tensors: one policy for all methods."""

from typing import Annotated, TypeAlias

import torch

from pac_surrogate.methods.hyper_parameters import one_of
from pac_surrogate.models.weights import Mask, prunable
from pac_surrogate.surrogates.surrogate import Surrogate

Biases: TypeAlias = Annotated[str, one_of("free", "pulled", "frozen")]
UnpulledBiases: TypeAlias = Annotated[str, one_of("free", "frozen")]  # of a method without a pull


def trained_tensors(surrogate: Surrogate, biases: str) -> Mask:
    """Return the mask of all weights but frozen biases and norm layers; those of a new readout train, as they start at 0."""
    trained = {*prunable(surrogate.weights), *surrogate.new_readout}
    return {name: torch.tensor(biases != "frozen" or name in trained) for name in surrogate.weights}


def pulled_tensors(surrogate: Surrogate, biases: str) -> list[str]:
    """Return the names of the tensors that are pulled: the weight tensors, and biases and norm layers if these are pulled too.

    The bias of a new readout, which has no value to return to, is not pulled.
    """
    names, new = prunable(surrogate.weights), surrogate.new_readout
    return [name for name in surrogate.weights if name in names or (biases == "pulled" and name not in new)]
