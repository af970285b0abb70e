"""A functional regulariser that holds the features and predictions of a network near those of a reference network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.methods.method import NotApplicableError
from pac_surrogate.models import evaluate, evaluate_stack
from pac_surrogate.models.weights import Weights
from pac_surrogate.surrogates.surrogate import Surrogate


@dataclass(frozen=True)
class Resemblance:
    """The distance of hidden features and predictions from those of a reference network w_S; means run over the samples.

        1/2 sum_l sum_c a_lc mean_x |h_lc(x; w) - h_lc(x; w_S)|^2  +  lambda mean_x mean_o |f_o(x; w) - f_o(x; w_S)|^2

    On grids |.|^2 is the mean over the points. The reference is evaluated again in every step, as minibatches and perturbed
    inputs change its inputs.

    Args:
        layers: indices of the feature layers in the sum.
        arrays: `reference/name`, the weights of the reference; `attention/l`, a_l (channel,) of each such layer; `prediction`,
            lambda.
    """

    layers: tuple[int, ...]
    arrays: Weights = field(compare=False, repr=False)

    def term(
        self,
        arrays: Weights,
        model: nn.Module,
        x: Float[Tensor, "run sample input"],
        sample_weight: Float[Tensor, "run sample"],
        prediction: Float[Tensor, "run sample output"],
        features: tuple[Tensor, ...],
    ) -> Float[Tensor, " run"]:
        """Return the term of each run."""
        with torch.no_grad():
            held, held_features = evaluate_stack(model, _reference(arrays), x)
        total = arrays["prediction"] * ((prediction - held).square().mean(-1) * sample_weight).sum(-1)
        for layer in self.layers:
            attention = arrays[f"attention/{layer}"][:, None]
            change = (features[layer] - held_features[layer]).square().flatten(2).unflatten(2, (attention.shape[-1], -1))
            total = total + 0.5 * ((change.mean(-1) * attention).sum(-1) * sample_weight).sum(-1)
        return total


def resemble(
    reference: Mapping[str, Tensor], *, attention: Sequence[Float[Tensor, " _channel"]] = (), prediction: float = 0.0
) -> Resemblance:
    """Return the regulariser that holds a network near a reference.

    Args:
        reference: weights of the reference.
        attention: a_lc of all feature layers in their order; if empty, the features are free.
        prediction: lambda.
    """
    arrays = {f"reference/{name}": weight for name, weight in reference.items()}
    arrays |= {f"attention/{layer}": weight for layer, weight in enumerate(attention)}
    return Resemblance(tuple(range(len(attention))), arrays | {"prediction": torch.tensor(prediction, dtype=torch.float64)})


def _reference(arrays: Weights) -> Weights:
    return {name.removeprefix("reference/"): tensor for name, tensor in arrays.items() if name.startswith("reference/")}


def feature_widths(surrogate: Surrogate, name: str) -> list[int]:
    """Return the number of channels of each feature layer.

    Args:
        surrogate: the surrogate whose network is evaluated.
        name: name of the method, for the message.

    Raises:
        NotApplicableError: if the model returns no features.
    """
    row = torch.zeros(1, sum(variable.size for variable in surrogate.inputs), dtype=surrogate.network.dtype)
    with torch.no_grad():
        _, features = evaluate(surrogate.network.module, surrogate.weights, row)
    if not features:
        raise NotApplicableError(
            f"{name} needs a model that returns (prediction, features), this one returns no features: use L2SP"
        )
    return [feature.shape[1] for feature in features]
