"""Models: frozen descriptions of an architecture that build ordinary modules returning (prediction, features).

A description has `build(inputs, outputs)`, which takes the variables of a dataset. The module that it builds has an attribute
`readout_name`, the submodule that makes the prediction, and may have `forward_stack(weights, x)` for many runs at once;
a module without one is run through `torch.func.vmap`.
"""

from pac_surrogate.models.cnn import CNN
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
    "Module",
    "activation_size",
    "check_model",
    "evaluate",
    "evaluate_many",
    "evaluate_stack",
    "initial_weights",
]
