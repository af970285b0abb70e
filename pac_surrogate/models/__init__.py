"""Models: frozen descriptions of an architecture that build ordinary modules returning (prediction, features).

A description has `build(inputs, outputs)`, which takes the variables of a dataset. The module that it builds has an attribute
`readout_name`, the submodule that makes the prediction, and may have `forward_stack(weights, x)` for many runs at once;
a module without it is run through `torch.func.vmap`. It may also have `rows_of`, the number of rows of the readout for an
output, so that known outputs keep their rows when new outputs are added, and `blind_to`, the weights of a network that does not
see some inputs. The last feature is what the readout reads, pointwise on its last axes.
"""

from pac_surrogate.models.cnn import CNN
from pac_surrogate.models.composite import Composite, DeltaNet, InputAugmentation, MultiFidelity
from pac_surrogate.models.conversion import as_architecture
from pac_surrogate.models.mlp import MLP
from pac_surrogate.models.module import Module
from pac_surrogate.models.network import (
    Architecture,
    activation_size,
    check_model,
    evaluate,
    evaluate_many,
    evaluate_stack,
    initial_weights,
)

__all__ = [
    "CNN",
    "MLP",
    "Architecture",
    "Composite",
    "DeltaNet",
    "InputAugmentation",
    "Module",
    "MultiFidelity",
    "activation_size",
    "as_architecture",
    "check_model",
    "evaluate",
    "evaluate_many",
    "evaluate_stack",
    "initial_weights",
]
