"""What happens to biases and norm layers while a pull or a mask acts on the weight tensors: one policy for all methods."""

from typing import Annotated, TypeAlias

import torch

from pac_surrogate.methods.hyper_parameters import one_of
from pac_surrogate.models.weights import Mask, prunable
from pac_surrogate.surrogates.surrogate import Surrogate

Biases: TypeAlias = Annotated[str, one_of("free", "pulled", "frozen")]


def trained_biases(surrogate: Surrogate, biases: str) -> Mask:
    """Return, for each bias and norm layer, whether it is trained; those of a new readout are, as they start at 0."""
    weights, new = surrogate.weights, surrogate.new_readout
    names = [name for name in weights if name not in prunable(weights)]
    return {name: torch.tensor(biases != "frozen" or name in new) for name in names}


def pulled_tensors(surrogate: Surrogate, biases: str) -> list[str]:
    """Return the names of the tensors that are pulled: the weight tensors, and biases and norm layers if these are pulled too.

    The bias of a new readout, which has no value to return to, is not pulled.
    """
    names, new = prunable(surrogate.weights), surrogate.new_readout
    return [name for name in surrogate.weights if name in names or (biases == "pulled" and name not in new)]
