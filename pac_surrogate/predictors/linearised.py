"""Predictors of the closed form: a linearised network, and a network with a kernel on top; both with their variance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture
from pac_surrogate.predictors.network import Network
from pac_surrogate.predictors.predictor import part, shapes
from pac_surrogate.tangent import Tangent
from pac_surrogate.weights import Weights

VARIANCE_ROWS = 2**22  # numbers of one piece of a cross kernel


@dataclass(frozen=True)
class Linearised:
    """A network along its tangent: f(x; start) + J(x) change. Exact block kernel.

    Attributes:
        base: the network at the start, float64.
        change: posterior mean of the weights, less the start.
        inputs: the training inputs, standardised.
        prior: variance of each weight, in units of the scale.
        ratio: t^2 / s^2.
        scale: s^2, (output,), one number.
    """

    base: Network
    change: Weights
    inputs: Float[Tensor, "sample input"]
    prior: Weights
    ratio: float
    scale: Float[Tensor, " output"]

    @property
    def tangent(self) -> Tangent:
        """Where the derivatives come from."""
        return Tangent(self.base.module, self.base.weights, str(self.base.module.readout_name))

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, float64."""
        size = batch_size or 1024
        tangent = _on(self.tangent, x)
        parts = [tangent.predict(rows) + tangent.along(rows, self.change) for rows in x.double().split(size)]
        return torch.cat(parts)

    def variance(self, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
        """Posterior variance of the outputs, without noise, standardised: s^2 [k(x, x) - k(x)' (K + ratio I)^-1 k(x)]."""
        tangent, x = self.tangent, x.double()
        (gram,) = tangent.block([self.prior], self.inputs)
        factor = torch.linalg.cholesky(gram + self.ratio * torch.eye(len(gram), dtype=torch.float64))
        outputs, parts = len(self.scale), []
        for rows in x.split(max(1, VARIANCE_ROWS // (outputs * len(gram)))):
            (cross,) = tangent.block([self.prior], self.inputs, rows)
            seen = torch.linalg.solve_triangular(factor, cross, upper=False).square().sum(0).reshape(len(rows), outputs)
            parts.append((tangent.block_diagonal(self.prior, rows) - seen).clamp_min(0.0))
        return self.scale * torch.cat(parts)

    @property
    def noise(self) -> Float[Tensor, " output"]:
        """Variance of the noise of each output, t^2."""
        return self.ratio * self.scale

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the base's state, the change and what the variance is made of."""
        return _state(self, "Linearised", {"change": self.change}, {})

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "Linearised":
        """Rebuild from a saved state."""
        shared, change = _from_state(tensors, description, inputs, outputs, model, "change")
        if change is None:
            raise ValueError("the closed form lacks its change of the weights")
        return cls(shared["base"], change, shared["inputs"], shared["prior"], shared["ratio"], shared["scale"])


@dataclass(frozen=True)
class SharedKernel:
    """A network with a kernel that all outputs share on top: f(x; start) + J(x) offset + k(x)' a.

    Attributes:
        base: the network at the start, float64.
        offset: mean of the prior, less the start; None where that is 0.
        inputs: the training inputs, standardised.
        coefficients: a = (k + ratio I)^-1 r.
        prior: variance of each weight, in units of the scale.
        ratio: t^2 / s^2.
        scale: s^2 of each output.
        combinations: of the outputs, from which the body's part of the kernel is made.
        seed: of the combinations.
    """

    base: Network
    offset: Weights | None
    inputs: Float[Tensor, "sample input"]
    coefficients: Float[Tensor, "sample output"]
    prior: Weights
    ratio: float
    scale: Float[Tensor, " output"]
    combinations: int
    seed: int

    @property
    def tangent(self) -> Tangent:
        """Where the derivatives come from."""
        return Tangent(self.base.module, self.base.weights, str(self.base.module.readout_name))

    def _kernel(self, a: Tensor, b: Tensor | None = None) -> Float[Tensor, "sample other"]:
        (found,) = self.tangent.shared([self.prior], a, b, combinations=self.combinations, seed=self.seed)
        return found

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict in batches, float64."""
        tangent, parts = self.tangent, []
        for rows in x.double().split(batch_size or 256):
            prediction = tangent.predict(rows) + self._kernel(rows, self.inputs) @ self.coefficients
            parts.append(prediction if self.offset is None else prediction + tangent.along(rows, self.offset))
        return torch.cat(parts)

    def variance(self, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
        """Posterior variance of the outputs, without noise, standardised: one shape, scaled by the s^2 of each output."""
        gram = self._kernel(self.inputs)
        factor = torch.linalg.cholesky(gram + self.ratio * torch.eye(len(gram), dtype=torch.float64))
        parts = []
        for rows in x.double().split(256):
            seen = torch.linalg.solve_triangular(factor, self._kernel(self.inputs, rows), upper=False).square().sum(0)
            parts.append((self._kernel(rows).diagonal() - seen).clamp_min(0.0))
        return torch.cat(parts)[:, None] * self.scale

    @property
    def noise(self) -> Float[Tensor, " output"]:
        """Variance of the noise of each output, t^2."""
        return self.ratio * self.scale

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the base's state, the coefficients and what the kernel is made of."""
        tensors, description = _state(
            self, "SharedKernel", {"offset": self.offset or {}}, {"combinations": self.combinations, "seed": self.seed}
        )
        return tensors | {"closed/coefficients": self.coefficients}, description

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "SharedKernel":
        """Rebuild from a saved state."""
        shared, offset = _from_state(tensors, description, inputs, outputs, model, "offset")
        coefficients, points = tensors["closed/coefficients"], shared["inputs"]
        if coefficients.shape != (len(points), len(shared["scale"])) or coefficients.dtype != torch.float64:
            raise ValueError("the coefficients of the closed form do not fit its samples and outputs")
        combinations, seed = int(description["combinations"]), int(description["seed"])
        if not 1 <= combinations <= 10_000:
            raise ValueError("the closed form has an impossible number of combinations")
        return cls(
            shared["base"], offset, points, coefficients, shared["prior"], shared["ratio"], shared["scale"], combinations, seed
        )


def _state(
    predictor: Linearised | SharedKernel, kind: str, named: Mapping[str, Weights], settings: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, description = predictor.base.state()
    for group, weights in {"prior": predictor.prior, **named}.items():
        tensors |= {f"{group}/{name}": weight for name, weight in weights.items()}
    tensors |= {"closed/inputs": predictor.inputs, "closed/scale": predictor.scale.contiguous()}
    return tensors, {"kind": kind, "base": description, "ratio": predictor.ratio, **settings}


def _from_state(
    tensors: Mapping[str, Tensor],
    description: Mapping[str, Any],
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    model: Architecture | None,
    group: str,
) -> tuple[dict[str, Any], Weights | None]:
    base = Network.from_state(tensors, description["base"], inputs, outputs, model)
    prior, moved = part(tensors, "prior/"), part(tensors, f"{group}/")
    points, scale, ratio = tensors["closed/inputs"], tensors["closed/scale"], float(description["ratio"])
    rows, columns = (sum(variable.size for variable in side) for side in (inputs, outputs))
    if shapes(prior) != shapes(base.weights) or (moved and shapes(moved) != shapes(base.weights)):
        raise ValueError("the closed form does not fit the network's weights")
    if points.ndim != 2 or points.shape[1] != rows or scale.shape != (columns,) or not 0 < ratio < float("inf"):
        raise ValueError("the closed form does not fit the inputs and outputs")
    if {t.dtype for t in (*prior.values(), *moved.values(), points, scale, *base.weights.values())} != {torch.float64}:
        raise ValueError("a closed form is kept in float64")
    order = list(base.weights)
    common = {"base": base, "prior": {n: prior[n] for n in order}, "inputs": points, "scale": scale, "ratio": ratio}
    return common, {name: moved[name] for name in order} if moved else None


def _on(tangent: Tangent, x: Tensor) -> Tangent:
    return Tangent(tangent.model, {name: weight.to(x.device) for name, weight in tangent.start.items()}, tangent.readout)
