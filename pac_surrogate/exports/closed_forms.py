"""Closed forms of a network as programs: a network along its tangent, and a network with a kernel that all outputs share.

The kernel of an input and the training inputs is a sum over the layers of the network. A layer's part is computed from what the
layer reads, a, and the derivatives delta of projected outputs by its result: of weights with prior variances D,

    k(x, x_i) = sum over projections of  < delta(x) a(x)', D * delta(x_i) a(x_i)' >

so that a program keeps a and delta of the training inputs, and not the derivatives themselves, which are as many as the weights
for each of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.exports.covariances import array
from pac_surrogate.exports.derivatives import LayerDerivative, along, reverse
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.networks import Evaluated, network
from pac_surrogate.exports.program import Linear, Program, Value
from pac_surrogate.kernels.readout import Readout
from pac_surrogate.kernels.tangent import mixes
from pac_surrogate.models.weights import Weights
from pac_surrogate.predictors import Linearised, Network, SharedKernel
from pac_surrogate.utilities.display import Shown


def linearised(program: Program, predictor: Linearised, x: Value) -> Value:
    """Add f(x; start) + J(x) change."""
    base = Base.of(program, predictor.base, x)
    return program.add([base.own.prediction, *base.along(predictor.change)])


def shared_kernel(program: Program, predictor: SharedKernel, x: Value) -> Value:
    """Add f(x; start) + J(x) offset + k(x)' a."""
    base = Base.of(program, predictor.base, x)
    cross, _ = shared_cross(base, predictor)
    parts = [base.own.prediction, *([] if predictor.offset is None else base.along(predictor.offset))]
    return program.add([*parts, program.linear(cross, array(predictor.coefficients).T)])


@dataclass(frozen=True, eq=False, repr=False)
class Base(Shown):
    """A network in a program, in double precision."""

    program: Program
    network: Network
    steps: Sequence[int]
    own: Evaluated

    @property
    def readout(self) -> str:
        """Name of the readout module."""
        return str(self.network.module.readout_name)

    @classmethod
    def of(cls, program: Program, base: Network, x: Value) -> "Base":
        """Add the steps of a network."""
        own = network(program, base, x)
        return cls(program, base, program.between(x, own.prediction), own)

    def along(self, change: Weights) -> list[Value]:
        """Add J(x) change, if it is not 0."""
        arrays = {name: array(one) for name, one in change.items()}
        self.check([name for name, one in arrays.items() if one.any()])
        moved = along(self.program, self.steps, self.own.prediction, arrays)
        return [] if moved is None else [moved]

    def check(self, names: Sequence[str]) -> None:
        """Refuse weights that are not those of a layer."""
        steps = [self.program.steps[number] for number in self.steps]
        layers = {name for step in steps if isinstance(step, Linear) for name in step.names or ()}
        strange = sorted(set(names) - layers)
        if strange:
            raise NotExportableError(
                f"the closed form of a network that varies {strange[0]} cannot be exported: train a network on its predictions "
                "with surrogate.distil(model=pac.MLP(...)), and export that"
            )


@dataclass(frozen=True, eq=False, repr=False)
class Body(Shown):
    """The part of a tangent kernel that is computed from derivatives.

    Attributes:
        layers: the layers, with the derivatives of projected outputs at x.
        known: what they read, and their derivatives, at the training inputs.
        variances: prior variances of the weight and the bias of each layer; None where it has none in the body.
        count: number of projections.
        scale: factor of the sum over the projections.
    """

    layers: tuple[LayerDerivative, ...]
    known: tuple["Known", ...]
    variances: tuple[tuple[np.ndarray | None, np.ndarray | None], ...]
    count: int
    scale: float

    @classmethod
    def of(
        cls, base: Base, prior: Mapping[str, np.ndarray], names: Sequence[str], mix: np.ndarray, x: Tensor, scale: float
    ) -> "Body":
        """Add the derivatives of the layers that hold these weights to the program of a network."""
        base.check(names)
        if not names:
            return cls((), (), (), len(mix), scale)
        made = reverse(base.program, base.steps, base.own.prediction, mix, names)
        variances = []
        for layer in made:
            assert layer.step.names is not None
            weight, bias = (prior[name] if name in names else None for name in layer.step.names)
            variances.append((None if weight is None else weight.reshape(layer.step.weight.shape), bias))
        return cls(tuple(made), tuple(_at(base, x, mix, names)), tuple(variances), len(mix), scale)


def split_prior(base: Base, prior: Weights, samples: Tensor) -> tuple[dict[str, np.ndarray], int | None, list[str]]:
    """Return the prior variances, the positions of a readout whose part needs no derivatives, and the names of the others.

    The number of positions is None if the features that the readout reads are not known; see `kernels.readout`.
    """
    readout = base.readout
    positions = Readout(base.network.module, base.network.weights, readout).positions(samples[:1])
    return (
        {name: array(one) for name, one in prior.items()},
        positions,
        [name for name, one in prior.items() if bool(one.any())],
    )


def shared_cross(base: Base, predictor: SharedKernel) -> tuple[Value, Body]:
    """Add the shared kernel of the input and the training inputs, (sample, 1); see `kernels.tangent`."""
    program, samples = base.program, predictor.inputs.cpu()
    prior, positions, names = split_prior(base, predictor.prior, samples)
    direct = positions is not None
    body = [name for name in names if not (direct and name.startswith(f"{base.readout}."))]
    outputs = base.own.prediction.rows
    mix = mixes(outputs, predictor.projections, predictor.seed).numpy()
    scale = 1 / (outputs if outputs <= predictor.projections else outputs * predictor.projections)
    derivatives = Body.of(base, prior, body, mix, samples, scale)
    parts = _readout(base, prior, samples) if direct else []
    for layer, known, variances in zip(derivatives.layers, derivatives.known, derivatives.variances, strict=True):
        parts += _layer(program, layer, known, variances, len(mix), scale)
    cross = program.add(parts) if parts else program.constant(np.zeros((len(samples), 1)), like=base.own.prediction)
    return cross, derivatives


def readout_variances(base: Base, prior: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the prior variances of the readout's weight (channel, feature) and bias (channel,)."""
    weight = prior[f"{base.readout}.weight"]
    return weight.reshape(len(weight), -1), prior.get(f"{base.readout}.bias", np.zeros(len(weight)))


def features_at(base: Base, samples: Float[Tensor, "sample input"]) -> Float[np.ndarray, "sample feature position"]:
    """Return what the readout reads at some inputs."""
    scratch = Program(samples.shape[1])
    features = network(scratch, base.network, scratch.x).features[-1]
    scratch.results["features"] = features
    return ProgramModule(scratch)(samples)["features"].numpy().reshape(len(samples), features.rows, features.columns)


def _readout(base: Base, prior: Mapping[str, np.ndarray], samples: Tensor) -> list[Value]:
    """Add the readout's part, from the features that it reads, averaged over their positions and the channels."""
    program, features = base.program, base.own.features[-1]
    weight, bias = readout_variances(base, prior)
    variance, constant = weight.mean(0), float(bias.mean())
    if not variance.any() and not constant:
        return []
    rows = features_at(base, samples)
    matrix = (rows * variance[:, None] / features.columns).reshape(len(samples), -1)
    return [program.linear(program.reshape(features, features.size), matrix, np.full(len(samples), constant))]


@dataclass(frozen=True, eq=False, repr=False)
class Known(Shown):
    """What a layer reads, and its derivatives, at the training inputs.

    Attributes:
        read: (sample, k, s).
        derivative: (sample, o, projection * s).
    """

    read: Float[np.ndarray, "sample k s"]
    derivative: Float[np.ndarray, "sample o column"]


def _at(base: Base, samples: Float[Tensor, "sample input"], mix: np.ndarray, names: Sequence[str]) -> list[Known]:
    """Evaluate the layers and their derivatives at the training inputs, by a program of these alone."""
    scratch = Program(samples.shape[1])
    own = Base.of(scratch, base.network, scratch.x)
    made = reverse(scratch, own.steps, own.own.prediction, mix, names)
    for place, layer in enumerate(made):
        scratch.results[f"read {place}"] = layer.step.value
        if isinstance(layer.value, Value):
            scratch.results[f"derivative {place}"] = layer.value
    with torch.no_grad():
        found = ProgramModule(scratch)(samples)
    known = []
    for place, layer in enumerate(made):
        inner, value = layer.step.value, layer.value
        read = found[f"read {place}"].numpy().reshape(len(samples), inner.rows, inner.columns)
        if isinstance(value, Value):
            derivative = found[f"derivative {place}"].numpy().reshape(len(samples), value.rows, value.columns)
        else:
            derivative = np.broadcast_to(value, (len(samples), *value.shape))
        known.append(Known(read, derivative))
    return known


def _layer(
    program: Program,
    layer: LayerDerivative,
    known: Known,
    variances: tuple[np.ndarray | None, np.ndarray | None],
    count: int,
    scale: float,
) -> list[Value]:
    """Add a layer's part of the kernel of the input and the training inputs."""
    inner, samples = layer.step.value, len(known.read)
    positions = inner.columns
    weight, bias = variances
    shape = layer.step.weight.shape
    apart = known.derivative.reshape(samples, shape[0], count, positions)
    parts = []
    if bias is not None:
        summed = scale * bias[:, None, None] * apart.sum(-1, keepdims=True)  # (sample, o, projection, 1)
        matrix = np.broadcast_to(summed, apart.shape).reshape(samples, -1)
        if isinstance(layer.value, Value):
            parts.append(program.linear(program.reshape(layer.value, layer.value.size), matrix))
        else:
            constant = matrix @ layer.value.ravel()
            parts.append(program.linear(program.reshape(inner, inner.size), np.zeros((samples, inner.size)), constant))
    if weight is None:
        return parts
    variance = scale * weight
    if not isinstance(layer.value, Value):
        own = layer.value.reshape(shape[0], count, positions)
        derivatives = np.einsum("iops,iks->iopk", apart, known.read)  # of the weights, at the training inputs
        matrix = np.einsum("ops,ok,iopk->iks", own, variance, derivatives, optimize=True).reshape(samples, -1)
        parts.append(program.linear(program.reshape(inner, inner.size), matrix))
    elif positions > 1:
        for p in range(count):
            columns = np.arange(layer.value.size).reshape(shape[0], count, positions)[:, p]
            here = program.product(program.gather(layer.value, columns), inner)
            matrix = variance * np.einsum("ios,iks->iok", apart[:, :, p], known.read)
            parts.append(program.linear(program.reshape(here, here.size), matrix.reshape(samples, -1)))
    elif (variance == variance[0, 0]).all():
        derivatives = program.linear(program.reshape(layer.value, layer.value.size), known.derivative.reshape(samples, -1))
        parts.append(program.multiply(program.linear(inner, variance[0, 0] * known.read[:, :, 0]), derivatives))
    else:
        varied = program.linear(program.scale(program.repeat(inner, samples), known.read[:, :, 0].T), variance)
        columns = np.arange(layer.value.size).reshape(shape[0], count)
        each = [
            program.scale(program.repeat(program.gather(layer.value, columns[:, [p]]), samples), apart[:, :, p, 0].T)
            for p in range(count)
        ]
        both = program.multiply(varied, program.add(each))
        parts.append(program.reshape(program.linear(both, np.ones((1, shape[0]))), samples))
    return parts
