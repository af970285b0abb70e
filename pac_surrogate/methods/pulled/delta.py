"""DELTA: hidden features are held near the source's, the more strongly the more the target depends on them."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive, one_of
from pac_surrogate.methods.method import Adaptation, NotApplicableError
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pulled.resemblance import feature_widths, resemble
from pac_surrogate.models import CNN, MLP, Architecture, evaluate_many
from pac_surrogate.models.weights import inside, prunable
from pac_surrogate.plan import make_plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings

TEMPERATURE = 5.0  # of the softmax, as in the authors' code


@settings
class DELTA:
    """Train all weights from the source's; hidden features are held near the source's, with a weight for each channel.

        + strength/2 sum_l sum_c a_lc mean_x |h_lc(x; w) - h_lc(x; w_S)|^2 + readout_strength/2 ||w_readout - anchor||^2
        a_l = channels x softmax_c (z_lc / 5)
        z_l = the increases of the source network's error on the target when channel c of layer l is zeroed, standardised over c

    The factor `channels` gives every layer a mean attention of 1; a = 1 everywhere is the paper's feature map. The readout's
    weight tensors are anchored at the source's, those of a new readout at 0. While a new readout is 0, no channel changes the
    loss, so a = 1. On grids |.|^2 is the mean over the points.
    Source: Li, Xiong, Wang, Rao, Liu, Chen & Huan, ICLR 2019 (arXiv:1901.09229). The standardisation, the division by 5 and the
    factor `channels` are those of the authors' code (github.com/lixingjian/DELTA); the paper states the softmax alone.

    Args:
        strength: alpha.
        readout_strength: beta.
        attention: loss (the formula above), or uniform (a = 1).
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 0.01
    readout_strength: NotNegative = 0.01
    attention: Annotated[str, one_of("loss", "uniform")] = "loss"
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source and train all weights.

        Raises:
            NotApplicableError: if the model returns no features or, with attention by the loss, is neither an MLP nor a CNN.
        """
        surrogate = case.for_target()
        weights, readout = surrogate.weights, inside(surrogate.weights, surrogate.readout)
        if self.attention == "loss":
            attention = yield Measure(loss_attention, surrogate, case.target)
        else:
            attention = uniform_attention(surrogate)
        plan = make_plan(
            weights,
            anchor=weights,
            strength={name: self.readout_strength for name in prunable(weights) if bool(readout[name])},
            regulariser=resemble(weights, attention=[self.strength * a for a in attention]),
        )
        return (yield case.on_target(surrogate, plan, self.learning_rate))


def uniform_attention(surrogate: Surrogate) -> tuple[Float[Tensor, " _channel"], ...]:
    """Return an attention of 1 for every channel of every feature layer.

    Raises:
        NotApplicableError: if the model returns no features.
    """
    return tuple(torch.ones(width, dtype=torch.float64) for width in feature_widths(surrogate, "DELTA"))


def loss_attention(surrogate: Surrogate, data: Dataset) -> tuple[Float[Tensor, " _channel"], ...]:
    """Return the attention of every channel of every feature layer; see `DELTA`.

    A channel is zeroed at the input of the one module that reads it, so that nothing else changes. Features that a skip
    connection of a U-Net reads as well keep an attention of 1. So do all features without samples, and layers whose channels
    increase the error equally, as they all do while a new readout is 0.

    Args:
        surrogate: the surrogate whose network is measured.
        data: samples in standardised units.

    Raises:
        NotApplicableError: if the model returns no features, or is neither an MLP nor a CNN, so that the readers are not known.
    """
    attention = uniform_attention(surrogate)
    model, readers = surrogate.network.module, readers_of(surrogate.network.architecture)
    if len(data) == 0:
        return attention
    x, y = (torch.as_tensor(matrix, dtype=torch.float64) for matrix in (data.input_matrix, data.output_matrix))
    weights = {name: weight.double() for name, weight in surrogate.weights.items()}

    def measured(reader: str, channels: int) -> Float[Tensor, " channel"]:
        name, errors = f"{reader}.weight", []
        for some in torch.arange(channels).split(16):  # 16 copies of the weights at once
            without = [weights | {name: weights[name].index_fill(1, channel, 0.0)} for channel in some]
            errors += [(f - y).square().mean() for f in evaluate_many(model, without, [x] * len(some))]
        return attention_of(torch.stack(errors))  # the error of the unchanged network cancels

    return tuple(a if reader is None else measured(reader, len(a)) for a, reader in zip(attention, readers, strict=True))


def attention_of(errors: Float[Tensor, " channel"]) -> Float[Tensor, " channel"]:
    """Return channels x softmax(z / 5) of the standardised errors z; 1 if the errors differ by no more than rounding."""
    deviation = errors.std(correction=0)
    if deviation <= 1e-12 * errors.abs().mean():
        return torch.ones_like(errors)
    return len(errors) * torch.softmax((errors - errors.mean()) / deviation / TEMPERATURE, dim=0)


def readers_of(architecture: Architecture) -> tuple[str | None, ...]:
    """Return the only module that reads each feature layer; None for a layer that a skip connection reads too.

    Raises:
        NotApplicableError: if the architecture is neither an MLP nor a CNN.
    """
    match architecture:
        case MLP(hidden=hidden):
            return (*(f"hidden.{layer}" for layer in range(1, len(hidden))), "readout")
        case CNN(levels=levels):
            return (*[None] * levels, *(f"narrow.{level}" for level in reversed(range(levels))), "readout")
    raise NotApplicableError(
        f'DELTA with attention="loss" needs an MLP or CNN, got {type(architecture).__name__}: choose attention="uniform"'
    )
