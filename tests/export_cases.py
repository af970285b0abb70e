"""Surrogates of every kind of predictor, small and quickly made, for the tests of exports."""

import dataclasses
import functools

import numpy as np
import torch
from cases import initial_network
from paths import EARLIER

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.plan import make_plan
from pac_surrogate.predictors import (
    Autoregressive,
    CoKriging,
    Correction,
    GaussianProcess,
    Linearised,
    Mixture,
    OutputGroups,
    Processes,
    SharedKernel,
)
from pac_surrogate.solvers.closed_form import linearise

INPUTS = np.random.default_rng(0).uniform(1.0, 2.0, size=(60, 3))
NEW = np.random.default_rng(1).uniform(1.0, 2.0, size=(17, 3))
FIELDS = np.random.default_rng(2).normal(size=(40, 8))
OPTIONS = {"steps": 20, "source_steps": 20, "seed": 0}


def table(shift, scaling=None):
    x = INPUTS
    y = np.stack([3 + np.sin(shift * x[:, 0] + x[:, 1]), 10 + x[:, 2] * np.tanh(3 * x[:, 0] - 4) * shift], axis=1)
    inputs, outputs = {"angle": x[:, :2], "load": x[:, 2]}, {"force": y[:, 0], "stress": y[:, 1]}
    return pac.Dataset.from_arrays(inputs, outputs, scaling=scaling)


def fields(shift):
    u = np.cumsum(np.tanh(shift * FIELDS), axis=1)
    return pac.Dataset.from_arrays({"a": FIELDS}, {"u": u}, axes={"a": ("x",), "u": ("x",)})


@functools.cache
def source(activation="gelu", **options):
    return pac.pretrain(table(2.0, **options), model=pac.MLP(hidden=(7, 6), activation=activation), steps=60)


@functools.cache
def cnn(**options):
    return pac.pretrain(fields(1.0), model=pac.CNN(**{"channels": 3, "blocks": 1, **options}), steps=20)


def transferred(method):
    return pac.transfer(source(), table(2.5)[:12], method=method, source=table(2.0), intervals=False, **OPTIONS)


METHODS = {
    "Correction": lambda: pac.LinearCorrection(),
    "FeatureReadout": lambda: pac.ATL(),
    "Network of a delta network": lambda: pac.DeltaNetwork(hidden=(3,)),
    "Network of input augmentation": lambda: pac.InputAugmentation(hidden=(3,)),
    "Network of multi-fidelity": lambda: pac.MFNN(hidden=(3,)),
    "GaussianProcess on the target": lambda: pac.GP(on="target"),
    "GaussianProcess on the residual": lambda: pac.GP(on="residual", kernel="rbf"),
    "GaussianProcess augmented": lambda: pac.GP(on="augmented"),
    "Autoregressive": lambda: pac.CoKriging(source_samples=15),
}


def closed_form(before, data, kernel, prior="varied"):
    """A closed form at a trained network, whose prior variances differ from weight to weight."""
    scaled = before.scaling.standardise(data)
    x, y = (torch.as_tensor(np.asarray(matrix)).double() for matrix in (scaled.input_matrix, scaled.output_matrix))
    generator = torch.Generator().manual_seed(5)
    strength = {n: 0.1 + torch.rand(w.shape, generator=generator) for n, w in before.weights.items()}
    anchor = {n: w + 0.1 * torch.rand(w.shape, generator=generator) for n, w in before.weights.items()}
    plan = make_plan(before.weights, anchor=anchor, strength=strength if prior == "varied" else 0.3)
    (found,) = linearise(before.network, [plan], x, y, kernel=kernel, ratio=0.1)
    return dataclasses.replace(before, predictor=found.predictor)


def wide():
    """Fields of more points than there are random projections, as a table."""
    u = np.concatenate([FIELDS, np.sin(FIELDS), FIELDS**2], axis=1)
    data = pac.Dataset.from_arrays({"a": FIELDS[:, :3]}, {"u": u})
    network, scaling = initial_network(pac.MLP(hidden=(5, 4)), data, torch.float32), fit_scaling(data)
    return pac.Surrogate(network, scaling, data.inputs, data.outputs), data


def closed_forms():
    surrogate, data = wide()
    return {
        "Linearised": closed_form(source(), table(2.5)[:9], "block"),
        "Linearised of one strength": closed_form(source("tanh"), table(2.5)[:9], "block", "constant"),
        "Linearised of a CNN": closed_form(cnn(), fields(1.3)[:4], "block"),
        "SharedKernel": closed_form(source("silu"), table(2.5)[:9], "shared"),
        "SharedKernel of one strength": closed_form(source("relu"), table(2.5)[:9], "shared", "constant"),
        "SharedKernel of a CNN": closed_form(cnn(padding="zero"), fields(1.3)[:5], "shared"),
        "SharedKernel of a U-Net": closed_form(cnn(levels=1, padding="periodic"), fields(1.3)[:5], "shared", "constant"),
        "SharedKernel of many outputs": closed_form(surrogate, data[:6], "shared"),
    }


@functools.cache
def surrogates():
    """Surrogates by the kind of their predictor."""
    found = {"Network": source(), "CNN": cnn(), "U-Net": cnn(levels=2, activation="tanh", blocks=2)}
    found |= {name: transferred(method()) for name, method in METHODS.items()}
    found |= closed_forms()
    found["Processes"] = dataclasses.replace(found["Autoregressive"], predictor=found["Autoregressive"].predictor.base)
    few = table(2.5)[:12]
    gaps = {name: np.where(np.arange(12) < bad, np.nan, few[name]) for name, bad in (("force", 2), ("stress", 0))}
    masked = pac.Dataset.from_arrays({name: few[name] for name in ("angle", "load")}, gaps, missing="mask")
    method = pac.GP(on="target")
    found["OutputGroups"] = pac.transfer(source(), masked, method=method, source=table(2.0), intervals=False, **OPTIONS)
    names = ("Correction", "GaussianProcess on the residual", "SharedKernel", "FeatureReadout")
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    mixture = Mixture(weights, tuple(found[name].predictor for name in names))
    found["Mixture"] = dataclasses.replace(found["Correction"], predictor=mixture)
    return found


@functools.cache
def with_the_first_co_kriging():
    """Return `surrogates`, and the co-kriging that only files of the first version hold."""
    return surrogates() | {"CoKriging": pac.Surrogate.load(EARLIER / "co-kriging.safetensors")}


def inputs_within(surrogate, rows):
    """Random inputs in the range of the training data, which float32 holds."""
    low, high = (end.numpy() for end in (surrogate.scaling.inputs.low, surrogate.scaling.inputs.high))
    return np.random.default_rng(4).uniform(low, high, size=(rows, len(low))).astype(np.float32).astype(np.float64)


def inputs_of(surrogate):
    """New inputs for a surrogate, as rows of its arrays."""
    columns = sum(variable.size for variable in surrogate.inputs)
    generator = np.random.default_rng(3)
    return NEW.copy() if surrogate.inputs[0].name == "angle" else generator.normal(size=(9, columns))


def rounding_of(predictor):
    """Bound the rounding of a prediction in float64, in units of the outputs' deviations.

    A sum of kernels may be a small difference of large terms. Each of them is a product of a few numbers that are rounded by
    1.1e-16 of their size, and sums are rounded by as much at most for each term, so that 32 times 2.2e-16 of the sum of the
    sizes is not exceeded by fifty terms.
    """
    eps = 32 * float(np.finfo(float).eps)
    match predictor:
        case Mixture() | OutputGroups():
            return sum(map(rounding_of, predictor.members))
        case Correction():
            return eps + float(predictor.slope.abs().max()) * rounding_of(predictor.base)
        case GaussianProcess():
            own = eps * float(predictor.amplitudes.sum() * predictor.alpha.abs().sum(0).max())
            below = 0.0 if predictor.base is None else rounding_of(predictor.base)
            # The covariance changes with the base's prediction by its amplitude over the length scale at most.
            steep = float(predictor.inverse_lengths.max()) if predictor.on == "augmented" else 0.0
            return eps + own + below + own / eps * steep * below
        case Processes():
            sizes = predictor.amplitudes * predictor.weights.abs().sum(0) * largest(predictor, predictor.points)
            return eps * (1 + float((sizes[:, None] * predictor.basis.abs()).sum(0).max()))
        case Autoregressive():
            base, own = predictor.base, predictor.weights
            lower = base.amplitudes * (predictor.base_weights.abs().sum(0) + predictor.rho**2 * own.abs().sum(0))
            upper = predictor.amplitudes * own.abs().sum(0) * largest(predictor, predictor.points)
            sizes = lower * largest(base, base.points) + upper
            return eps * (1 + float((sizes[:, None] * base.basis.abs()).sum(0).max()))
        case CoKriging():
            # Correlations of 1 at most times weights of both signs, whose sizes add up to 1e10: only sums are rounded here.
            return eps / 8 * float(predictor.gamma.abs().sum(1).max())
        case Linearised() | SharedKernel():
            return 100 * eps  # sums over the weights and the samples, without cancellation
        case _:
            return eps


def largest(predictor, points):
    """The largest correlation of the points: 1, or for polynomials its value at the farthest point."""
    sizes = (points * predictor.inverse_lengths[:, None]).square().sum(-1).max(1).values
    quadratic = torch.tensor([kernel == "quadratic" for kernel in predictor.kernels])
    return torch.where(quadratic, (1 + sizes).square(), 1.0)
