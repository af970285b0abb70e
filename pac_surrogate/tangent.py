"""Kernels of a network's tangent: what a Gaussian prior on the weights says of the outputs at some samples.

With J(x) the Jacobian of the outputs at the start and D the prior's variance of each weight,

    block    K[(i, o), (j, p)] = J_o(x_i) D J_p(x_j)'                      exact, (samples x outputs)^2
    shared   k[i, j] = mean over o of  J_o(x_i) D J_o(x_j)'                samples^2, for any number of outputs

The readout's part of the shared kernel is exact, from the features that the readout reads. The body's part is the mean over
`combinations` random v, v_o = +-1, of (v'J) D (v'J)' / outputs, whose expectation it is; with no more outputs than combinations
it is exact too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.jacobian import output_jacobian
from pac_surrogate.models import evaluate
from pac_surrogate.weights import Weights

COMBINATIONS = 12


@dataclass(frozen=True)
class Tangent:
    """A model and the weights at which it is linearised; float64.

    Attributes:
        model: the module.
        start: its weights.
        readout: name of its readout module.
    """

    model: nn.Module
    start: Weights
    readout: str

    def block(
        self,
        variances: Sequence[Mapping[str, Tensor]],
        a: Float[Tensor, "sample input"],
        b: Float[Tensor, "other input"] | None = None,
    ) -> list[Float[Tensor, "row column"]]:
        """Block kernels of several priors between samples a and b (a itself by default); rows are (sample, output)."""
        kernels: list[Tensor | float] = [0.0] * len(variances)
        for name in self._varied(variances):
            left = self._rows(a, name)
            right = left if b is None else self._rows(b, name)
            _add(kernels, variances, name, left, right, 1.0)
        shape = [len(rows) * self._outputs(rows) for rows in (a, a if b is None else b)]
        return [k if isinstance(k, Tensor) else torch.zeros(shape, dtype=torch.float64, device=a.device) for k in kernels]

    def shared(
        self,
        variances: Sequence[Mapping[str, Tensor]],
        a: Float[Tensor, "sample input"],
        b: Float[Tensor, "other input"] | None = None,
        *,
        combinations: int = COMBINATIONS,
        seed: int = 0,
    ) -> list[Float[Tensor, "sample other"]]:
        """Shared kernels of several priors between samples a and b (a itself by default)."""
        kernels: list[Tensor | float] = [0.0] * len(variances)
        outputs, direct = self._outputs(a), self._reads_features(a)
        mix = mixes(outputs, combinations, seed).to(a.device)
        share = 1 / (len(mix) * (1 if outputs <= combinations else outputs))
        for name in self._varied(variances):
            if direct and name.startswith(f"{self.readout}."):
                self._add_readout(kernels, variances, name, a, b)
                continue
            for row in mix.split(1) if self.start[name].numel() * len(a) > 2**22 else (mix,):
                left = self._rows(a, name, row)
                right = left if b is None else self._rows(b, name, row)
                # Combinations of one sample are columns of one row: their products add up.
                _add(kernels, variances, name, _wide(left, len(row)), _wide(right, len(row)), share, copies=len(row))
        shape = (len(a), len(a if b is None else b))
        return [k if isinstance(k, Tensor) else torch.zeros(shape, dtype=torch.float64, device=a.device) for k in kernels]

    def block_diagonal(
        self, variance: Mapping[str, Tensor], a: Float[Tensor, "sample input"]
    ) -> Float[Tensor, "sample output"]:
        """The diagonal of the block kernel."""
        total = torch.zeros(len(a) * self._outputs(a), dtype=torch.float64, device=a.device)
        for name in self._varied([variance]):
            total = total + self._rows(a, name).square() @ variance[name].flatten()
        return total.reshape(len(a), -1)

    def along(self, x: Float[Tensor, "sample input"], change: Mapping[str, Tensor]) -> Float[Tensor, "sample output"]:
        """J(x) change, the derivative of the outputs in a direction of the weights."""
        moved = {name: change[name].to(x) for name in self.start}
        return torch.func.jvp(lambda w: evaluate(self.model, w, x)[0], (self.start,), (moved,))[1]

    def back(self, x: Float[Tensor, "sample input"], residual: Float[Tensor, "sample output"]) -> Weights:
        """J(X)' residual, the transpose of `along`."""
        with torch.no_grad():
            pull: Any = torch.func.vjp(lambda w: evaluate(self.model, w, x)[0], self.start)[1]
            return dict(pull(residual)[0])

    def predict(self, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
        """f(x; start)."""
        return evaluate(self.model, self.start, x)[0]

    def _varied(self, variances: Sequence[Mapping[str, Tensor]]) -> list[str]:
        return [name for name in self.start if any(bool((v[name] > 0).any()) for v in variances)]

    def _outputs(self, x: Float[Tensor, "sample input"]) -> int:
        return self.predict(x[:1]).shape[1]

    def _rows(self, x: Tensor, name: str, mix: Tensor | None = None) -> Float[Tensor, "row weight"]:
        pieces = [piece[name].flatten(2).flatten(0, 1) for piece in output_jacobian(self.model, self.start, x, [name], mix)]
        return torch.cat(pieces)

    def _features(self, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample position feature"] | None:
        """What the readout reads, if the model says so; see `models`."""
        with torch.no_grad():
            _, features = evaluate(self.model, self.start, x)
        weight = self.start.get(f"{self.readout}.weight")
        if not features or weight is None or math.prod(weight.shape[2:]) != 1 or features[-1].shape[1] != weight.shape[1]:
            return None
        return features[-1].flatten(2).mT if features[-1].ndim > 2 else features[-1][:, None]

    def _reads_features(self, x: Float[Tensor, "sample input"]) -> bool:
        features = self._features(x[:1])
        if features is None:
            return False
        (found,) = output_jacobian(self.model, self.start, x[:1], [f"{self.readout}.weight"])
        claimed = features[0].square().sum() * len(self.start[f"{self.readout}.weight"])
        return bool(torch.isclose(found[f"{self.readout}.weight"].square().sum(), claimed, rtol=1e-8))

    def _add_readout(
        self,
        kernels: list[Tensor | float],
        variances: Sequence[Mapping[str, Tensor]],
        name: str,
        a: Tensor,
        b: Tensor | None,
    ) -> None:
        left = self._features(a)
        right = left if b is None else self._features(b)
        assert left is not None
        assert right is not None
        for i, variance in enumerate(variances):
            own = variance[name].flatten(1).mean(0) if variance[name].ndim > 1 else variance[name].mean()
            if not bool((own > 0).any()):
                continue
            if name.endswith(".bias"):
                kernels[i] = kernels[i] + own.expand(len(left), len(right))
            else:
                kernels[i] = kernels[i] + torch.einsum("ipf,f,jpf->ij", left, own, right) / left.shape[1]


def mixes(outputs: int, combinations: int, seed: int) -> Float[Tensor, "row output"]:
    """Rows of +-1 that combine the outputs, or the outputs themselves while there are few; float64."""
    if outputs <= combinations:
        return torch.eye(outputs, dtype=torch.float64)
    signs = torch.randint(2, (combinations, outputs), generator=torch.Generator().manual_seed(seed))
    return signs.double() * 2 - 1


def _wide(rows: Float[Tensor, "row weight"], combinations: int) -> Float[Tensor, "sample weight"]:
    return rows.unflatten(0, (-1, combinations)).flatten(1)


def _add(
    kernels: list[Tensor | float],
    variances: Sequence[Mapping[str, Tensor]],
    name: str,
    left: Float[Tensor, "row weight"],
    right: Float[Tensor, "column weight"],
    share: float,
    copies: int = 1,
) -> None:
    """Add one tensor's part to every kernel; priors of one variance for the whole tensor share the product."""
    plain = None
    for i, variance in enumerate(variances):
        own = variance[name].flatten()
        if not bool((own > 0).any()):
            continue
        if bool((own == own[0]).all()):
            plain = left @ right.T if plain is None else plain
            kernels[i] = kernels[i] + share * own[0] * plain
        else:
            kernels[i] = kernels[i] + share * (left * own.repeat(copies)) @ right.T
