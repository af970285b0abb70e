"""Surrogate: scaling and one predictor; predicts in physical units, saves and loads as arrays and JSON."""

import dataclasses
import json
import operator
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.choice import Choice
from pac_surrogate.dataset import Dataset
from pac_surrogate.files import DatasetError, Variable
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.intervals import Interval, cross_validation_band, normal_band, promise, studentised_band
from pac_surrogate.models import Architecture, evaluate_many
from pac_surrogate.predictors import PREDICTORS, Folds, Mixture, Network, Predictor, build_network
from pac_surrogate.scaling import Columns, Scaling, fit_new_outputs
from pac_surrogate.weights import Mask, Weights

SCHEMA = 1


class ExtrapolationWarning(UserWarning):
    """Inputs leave the range of the training data."""


@dataclass(frozen=True)
class Surrogate:
    """A predictor between standardised inputs and outputs, with the scaling to and from physical units.

    Attributes:
        predictor: what maps standardised inputs to standardised outputs.
        scaling: to and from physical units.
        inputs: the input variables, in the order of the columns.
        outputs: the output variables, in the order of the columns.
        provenance: how it was made: data hash, seed, versions.
        folds: the same method fitted without parts of the target samples, by which intervals are calibrated.
    """

    predictor: Predictor
    scaling: Scaling
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    folds: Folds | None = None

    @property
    def network(self) -> Network:
        """The predictor, if it is a network: only then can another transfer start from here.

        Raises:
            ValueError: if it is not.
        """
        if not isinstance(self.predictor, Network):
            raise ValueError(
                f"a transfer starts from a network; this surrogate is a {type(self.predictor).__name__}: use its source"
            )
        return self.predictor

    @property
    def model(self) -> nn.Module:
        """The network's module."""
        return self.network.module

    @property
    def weights(self) -> Weights:
        """The network's weights."""
        return self.network.weights

    @property
    def essential(self) -> Mask | None:
        """The network's essential mask, or None before pruning."""
        return self.network.essential

    @property
    def choice(self) -> Choice | None:
        """Which method was chosen and why, if `method="auto"` made this surrogate."""
        return getattr(self.predictor, "choice", None)

    @property
    def readout(self) -> str:
        """Name of the network's readout module."""
        return str(self.model.readout_name)

    def predict(self, x: Any, *, batch_size: int | None = None) -> Any:
        """Predict in physical units.

        What goes in decides what comes out: an array laid out as `Dataset.x` gives an array laid out as `Dataset.y`, NumPy or
        torch (differentiable, on the tensor's own device) as it was given; a dictionary of named variables gives one; a
        Dataset gives a NumPy array. Warns when inputs leave the range of the training data.

        Args:
            x: inputs [physical units].
            batch_size: samples at a time; by default as many as keep the memory near 256 MB.

        Raises:
            ValueError: if shapes or names do not fit, or a value is not finite.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        given = next(iter(x.values())) if isinstance(x, Mapping) and x else x
        columns = self.input_columns(x)
        gradient = isinstance(given, Tensor) and torch.is_grad_enabled()
        if bool(self.scaling.inputs.outside(columns.detach()).any()):
            warnings.warn(
                "inputs leave the range of the training data: predictions extrapolate", ExtrapolationWarning, stacklevel=2
            )
        with torch.set_grad_enabled(gradient):
            # Scaled in float64: in float32 a pressure of 1e5 Pa would lose what a deviation of 1 Pa says.
            scaled = self.scaling.inputs.standardise(columns.double())
            prediction = self.scaling.outputs.restore(self.predictor.predict(scaled, batch_size=batch_size).double())
        return self._laid_out(prediction.to(columns.dtype), x)

    def predict_interval(
        self, x: Any, level: float = 0.9, *, interval: str = "jackknife", simultaneous: bool = False
    ) -> Interval:
        """Predict with an interval for every output.

        "jackknife" calibrates by target samples that were left out: jackknife+ or CV+ by the folds of `transfer`, or, for
        `method="auto"`, the posterior's shape scaled by leave-one-out residuals. "posterior" is the model's own belief, or the
        spread of the folds and their residuals; it works at any number of samples and promises nothing.

        Args:
            x: inputs, as for `predict`; mean and bounds are laid out like its answer.
            level: nominal coverage, 1 - alpha.
            interval: jackknife | posterior.
            simultaneous: one band that holds for all outputs of a sample together (a whole field).

        Returns:
            Mean, bounds, what coverage is promised (1 - 2 alpha or CV+'s own bound; None where the choice of method was not
            made anew without each sample), and which samples extrapolate.

        Raises:
            ValueError: if the samples are too few for the level (it names how many are needed), or none were left out.
        """
        if interval not in ("jackknife", "posterior"):
            raise ValueError(f"unknown interval {interval!r}: choose jackknife or posterior")
        given = next(iter(x.values())) if isinstance(x, Mapping) and x else x
        columns = self.input_columns(x).detach()
        promised = None
        with torch.no_grad():
            scaled = self.scaling.inputs.standardise(columns.double())
            mean = self.predictor.predict(scaled).double()
            folds, predictor = self.folds, self.predictor
            options = {"simultaneous": simultaneous}
            if interval == "jackknife" and folds is not None:
                bounds = cross_validation_band(folds.predict(scaled), folds.fold, folds.residual, level, **options)
                promised = promise(level, len(folds.fold), len(folds.members))
            elif interval == "jackknife" and isinstance(predictor, Mixture) and predictor.scores is not None:
                bounds = studentised_band(mean, predictor.deviation(scaled), predictor.scores, level, **options)
            elif interval == "posterior" and isinstance(predictor, Mixture) and predictor.scores is not None:
                bounds = normal_band(mean, predictor.deviation(scaled), level, **options)
            elif interval == "posterior" and folds is not None:
                spread = folds.predict(scaled).var(0) + folds.residual.square().mean(0)
                bounds = normal_band(mean, spread.sqrt(), level, **options)
            else:
                raise ValueError(
                    "an interval needs fits without parts of the target samples: transfer 2 samples or more with intervals=True"
                )
        restored = (self.scaling.outputs.restore(values).to(columns.dtype) for values in (mean, *bounds))
        centre, lower, upper = (self._laid_out(values, x) for values in restored)
        outside = self.scaling.inputs.outside(columns)
        return Interval(centre, lower, upper, level, promised, outside if isinstance(given, Tensor) else outside.numpy())

    def _laid_out(self, values: Float[Tensor, "sample output"], x: Any) -> Any:
        """Outputs as the inputs were given: arrays or dictionaries, NumPy or torch."""
        named = isinstance(x, Mapping)
        given = next(iter(x.values())) if named and x else x
        array: Any = values if isinstance(given, Tensor) else values.numpy()
        last = np.cumsum([variable.size for variable in self.outputs])
        arrays = {
            variable.name: array[:, end - variable.size : end].reshape(len(values), *variable.shape)
            for variable, end in zip(self.outputs, last, strict=True)
        }
        if named:
            return arrays
        return next(iter(arrays.values())) if len(arrays) == 1 else array

    def input_columns(self, x: Any) -> Float[Tensor, "sample input"]:
        """Inputs in physical units, given in any of the ways that `predict` takes, as one matrix."""
        if isinstance(x, Dataset):
            check_variables("inputs", x.inputs, self.inputs)
            x = x.input_matrix
        if isinstance(x, Mapping):
            names = [variable.name for variable in self.inputs]
            if set(x) != set(names):
                raise ValueError(f"predict needs the inputs {', '.join(names)}, got {', '.join(map(str, x)) or 'none'}")
            parts = [_rows(x[variable.name], variable.name, (variable,)) for variable in self.inputs]
            if len({len(part) for part in parts}) > 1:
                lengths = ", ".join(f"{name} {len(part)}" for name, part in zip(names, parts, strict=True))
                raise ValueError(f"the inputs must have the same number of samples, got {lengths}")
            columns = torch.cat(parts, dim=1)
        else:
            columns = _rows(x, "x", self.inputs)
        if not bool(torch.isfinite(columns).all()):
            sample, column = torch.nonzero(~torch.isfinite(columns))[0].tolist()
            raise ValueError(f"inputs must be finite, got {float(columns[sample, column])} at sample {sample}, column {column}")
        return columns

    def save(self, path: str | Path) -> None:
        """Write the surrogate as safetensors with a JSON header, whole or not at all."""
        tensors, description = self.predictor.state()
        for side in ("inputs", "outputs"):
            columns = getattr(self.scaling, side)
            tensors |= {f"scaling/{side}/{f.name}": getattr(columns, f.name) for f in dataclasses.fields(columns)}
        header = {
            "format": "pac_surrogate",
            "schema": SCHEMA,
            "predictor": description,
            "inputs": [dataclasses.asdict(variable) for variable in self.inputs],
            "outputs": [dataclasses.asdict(variable) for variable in self.outputs],
            "provenance": dict(self.provenance),
        }
        if self.folds is not None:
            parts, header["folds"] = self.folds.state()
            tensors |= parts
        save_tensors(path, tensors, header)

    @classmethod
    def load(cls, path: str | Path, *, model: Architecture | None = None) -> "Surrogate":
        """Read a saved surrogate; in a fresh process it predicts the same bits.

        Args:
            path: the file.
            model: the architecture, needed if it is a module of your own: code is never loaded from a file.

        Raises:
            DatasetError: if the file is missing, damaged or not a surrogate.
        """
        tensors, header = load_tensors(path)
        if not isinstance(header, dict) or header.get("format") != "pac_surrogate":
            raise DatasetError(f"{path} holds no surrogate: save one with Surrogate.save")
        if header.get("schema") != SCHEMA:
            raise DatasetError(f"{path} has surrogate schema {header.get('schema')}, this version reads {SCHEMA}")
        try:
            inputs, outputs = (tuple(_variable(entry) for entry in header[side]) for side in ("inputs", "outputs"))
            scaling = Scaling(_columns(tensors, "inputs", inputs), _columns(tensors, "outputs", outputs))
            kind = PREDICTORS[header["predictor"]["kind"]]
            predictor = kind.from_state(tensors, header["predictor"], inputs, outputs, model)
            folds = Folds.from_state(tensors, header["folds"], inputs, outputs, model) if header.get("folds") else None
            return cls(predictor, scaling, inputs, outputs, dict(header["provenance"]), folds)
        except KeyError as error:
            raise DatasetError(f"{path} is not a whole surrogate: it lacks {error}") from error
        except (TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
            raise DatasetError(
                f"{path} is not a whole surrogate: {(str(error) or type(error).__name__).splitlines()[0]}"
            ) from error


def predict_many(surrogates: Sequence[Surrogate], datasets: Sequence[Dataset]) -> list[Float[np.ndarray, "_sample _output"]]:
    """Predictions of many surrogates in physical units, networks of one shape as stacks; no warnings."""
    scaled_by: dict[tuple[int, int, int], Tensor] = {}
    scaled = []
    for surrogate, data in zip(surrogates, datasets, strict=True):
        columns = surrogate.scaling.inputs
        key = (id(columns.mean), id(columns.deviation), id(data))
        if key not in scaled_by:
            scaled_by[key] = columns.standardise(torch.as_tensor(np.asarray(data.input_matrix, dtype=np.float64)))
        scaled.append(scaled_by[key])
    predictions: dict[int, Tensor] = {}
    groups: dict[Any, list[int]] = {}
    for i, surrogate in enumerate(surrogates):
        if isinstance(surrogate.predictor, Network):
            groups.setdefault(surrogate.predictor.shape_key, []).append(i)
        else:
            predictions[i] = surrogate.predictor.predict(scaled[i])
    for members in groups.values():
        networks = [surrogates[i].network for i in members]
        dtype = networks[0].dtype
        cast = {id(scaled[i]): scaled[i].to(dtype) for i in members}
        outputs = evaluate_many(networks[0].module, [n.weights for n in networks], [cast[id(scaled[i])] for i in members])
        predictions |= dict(zip(members, outputs, strict=True))
    return [surrogates[i].scaling.outputs.restore(predictions[i].double()).numpy() for i in range(len(surrogates))]


def same_variables(some: Sequence[Variable], others: Sequence[Variable]) -> bool:
    """Whether the columns of two sides mean the same: equal names and shapes in the same order."""
    return [(v.name, v.shape) for v in some] == [(v.name, v.shape) for v in others]


def check_variables(side: str, got: Sequence[Variable], expected: Sequence[Variable]) -> None:
    """Refuse data whose variables are not those of the surrogate.

    Raises:
        ValueError: in one line.
    """
    if not same_variables(got, expected):
        described = [", ".join(f"{v.name} {v.shape}" for v in variables) for variables in (expected, got)]
        raise ValueError(f"the surrogate has the {side} {described[0]}, the data have {described[1]}")
    for ours, theirs in zip(expected, got, strict=True):
        if ours.units != theirs.units:
            raise ValueError(f"{ours.name} is in {ours.units} in the surrogate and in {theirs.units} in the data: convert one")


def with_outputs_of(surrogate: Surrogate, data: Dataset) -> Surrogate:
    """Give a surrogate the outputs of other data: a new readout of zero weights, and their scaling.

    A surrogate that has these outputs already comes back as it is.

    Raises:
        ValueError: if the network cannot be rebuilt, or there are no samples to scale by.
    """
    if same_variables(surrogate.outputs, data.outputs):
        return surrogate
    if len(data) == 0:
        raise ValueError("outputs that the source lacks need at least one target sample")
    network = surrogate.network
    fresh = build_network(network.architecture, surrogate.inputs, data.outputs)
    readout = fresh.module.readout_name
    weights, essential = {}, {}
    for name, weight in fresh.module.named_parameters():
        is_readout = name.startswith(f"{readout}.")
        weights[name] = torch.zeros_like(weight, dtype=network.dtype).detach() if is_readout else network.weights[name]
        if network.essential is not None:
            # Nothing in a new readout is known to the source, so all of it is free to train.
            essential[name] = torch.zeros_like(weight, dtype=torch.bool) if is_readout else network.essential[name]
    predictor = dataclasses.replace(
        fresh, weights=weights, essential=essential or None, new_readout=True, carried=network.carried
    )
    scaling = Scaling(surrogate.scaling.inputs, fit_new_outputs(data))
    return dataclasses.replace(surrogate, predictor=predictor, scaling=scaling, outputs=data.outputs)


def provenance(data: Dataset, **settings: Any) -> dict[str, Any]:
    """What a surrogate remembers of its making; JSON only."""
    versions = {name: version(name) for name in ("torch", "numpy", "pac_surrogate")} | {"python": platform.python_version()}
    return {"data": data.digest(), "samples": len(data), "versions": versions, **json.loads(json.dumps(settings, default=repr))}


def _rows(values: Any, name: str, variables: Sequence[Variable]) -> Float[Tensor, "sample column"]:
    """Inputs as a matrix: laid out as the variable if there is one, or flat."""
    if not isinstance(values, Tensor):
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
        single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
        # Copied, for torch takes no read-only memory, backward strides or foreign byte order.
        values = torch.from_numpy(np.array(array, dtype=np.float32 if single else np.float64, order="C"))
    if values.is_complex():
        raise ValueError(f"{name} must hold real numbers, got {values.dtype}")
    width = sum(variable.size for variable in variables)
    layouts = {(width,), variables[0].shape} if len(variables) == 1 else {(width,)}
    if values.ndim == 0 or tuple(values.shape[1:]) not in layouts:
        layout = ", ".join(f"{variable.name} {variable.shape}" for variable in variables)
        raise ValueError(f"{name} must hold {width} numbers a sample ({layout}), got an array of shape {tuple(values.shape)}")
    values = values.reshape(len(values), width)
    return values if values.is_floating_point() else values.double()


def _columns(tensors: Mapping[str, Tensor], side: str, variables: Sequence[Variable]) -> Columns:
    """Scaling as saved, a number for each column."""
    saved = {field.name: tensors[f"scaling/{side}/{field.name}"] for field in dataclasses.fields(Columns)}
    width = sum(variable.size for variable in variables)
    for name, tensor in saved.items():
        kind = torch.bool if name == "logarithmic" else torch.float64
        if tensor.shape != (width,) or tensor.dtype != kind:
            raise ValueError(
                f"scaling/{side}/{name} must be {kind} of shape ({width},), got {tensor.dtype} {tuple(tensor.shape)}"
            )
    return Columns(**saved)


def _variable(entry: Mapping[str, Any]) -> Variable:
    return Variable(**{**entry, "axes": tuple(entry["axes"]), "shape": tuple(map(operator.index, entry["shape"]))})
