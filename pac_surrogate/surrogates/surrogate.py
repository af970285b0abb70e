"""The surrogate: one predictor with its scaling, which predicts in physical units and is saved as arrays and JSON."""

import dataclasses
import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.data.data_warnings import DataWarning, ExtrapolationWarning
from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.labelled import is_labelled
from pac_surrogate.data.matching import match_all, strange_grids
from pac_surrogate.data.opening import open_inputs
from pac_surrogate.data.scaling import TINY, Scaling, check_reach, name_of_column
from pac_surrogate.data.tables import is_table
from pac_surrogate.files import Coordinate, Variable
from pac_surrogate.files.tensors import save_tensors
from pac_surrogate.files.variables import described, state_of
from pac_surrogate.intervals.bands import Interval
from pac_surrogate.models import Architecture, as_architecture
from pac_surrogate.models.weights import Mask, Weights, inside
from pac_surrogate.predictors import Folds, Network, Predictor
from pac_surrogate.predictors.choice import Choice
from pac_surrogate.predictors.predictor import check_finite
from pac_surrogate.surrogates.bounds import bounds_of
from pac_surrogate.surrogates.compacted import Compaction
from pac_surrogate.surrogates.exported import Exported, export
from pac_surrogate.surrogates.layout import columns_of_arrays, first_of, laid_out, per_sample
from pac_surrogate.surrogates.optimised import Optimised, optimised
from pac_surrogate.surrogates.origin import DISTILLED, distilled, samples_of, validated
from pac_surrogate.surrogates.posterior import Posterior, posterior_of
from pac_surrogate.surrogates.restored import restored
from pac_surrogate.surrogates.saved import ALLOCATED, SCHEMA, coordinate_state, read_fields, what_the_mask_lacks
from pac_surrogate.utilities.arguments import as_path, check_flags, check_numbers, got, whole_numbers
from pac_surrogate.utilities.display import Shown, listed
from pac_surrogate.utilities.process import own_settings, threads_for


@dataclass(frozen=True, eq=False, repr=False)
class Surrogate(Shown):
    """A predictor between standardised inputs and outputs, with the scaling to and from physical units.

    Attributes:
        predictor: the map from standardised inputs to standardised outputs.
        scaling: scaling to and from physical units.
        inputs: the input variables, in the order of the columns.
        outputs: the output variables, in the order of the columns.
        provenance: how it was made: data hash, seed, versions, and the error on validation samples; see `pretrain`.
        folds: the same method fitted without parts of the target samples; intervals are calibrated by these fits.
        given_inputs: the input variables in the order and layout of the data to which the surrogate was transferred, which
            arrays follow; None if arrays follow `inputs`.
        given_outputs: the output variables likewise.
        coordinates: coordinates of the variables' axes, as in the data.
        allocated: the allocated source of which PAC or PackNet calibrated the redundant weights; see `source_task`.
    """

    predictor: Predictor
    scaling: Scaling
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    folds: Folds | None = None
    given_inputs: tuple[Variable, ...] | None = None
    given_outputs: tuple[Variable, ...] | None = None
    coordinates: Mapping[str, Coordinate] = field(default_factory=dict)
    allocated: "Surrogate | None" = None

    def _shown(self) -> dict[str, Any]:
        adapted = self.provenance.get("transfer", {})
        inputs, outputs = (listed([described(variable) for variable in side]) for side in self.layout)
        folds = getattr(self.predictor, "folds", (self.folds,))  # every group of outputs may have its own
        fits = sum(len(one.members) for one in folds if one is not None)
        return {
            "predictor": self.predictor,
            "inputs": inputs,
            "outputs": outputs,
            "trained on": samples_of(self.provenance),
            "validated on": self.measured(),
            "transferred to": samples_of(adapted),
            "method": adapted.get("method"),
            "distilled from": distilled(self.provenance),
            "choice": self.choice and self.choice.reason,
            "intervals": f"from {fits} fits without a part of the samples" if fits else None,
        }

    @property
    def network(self) -> Network:
        """The predictor, if it is a network; another transfer can start only from a network.

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
        """A copy of the network as a module with the trained weights; it maps standardised inputs to (outputs, features).

        For a `Module`, your own module is its attribute `module`.
        """
        return self.network.as_module()

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
        return str(self.network.module.readout_name)

    @property
    def new_readout(self) -> set[str]:
        """Names of the readout's weights if some outputs are new to the source; otherwise empty."""
        own = inside(self.weights, self.readout) if self.network.new_readout else {}
        return {name for name, belongs in own.items() if bool(belongs)}

    def measured(self) -> str | None:
        """Return a text that states the error on validation samples, or None if it was not measured; see `pretrain`."""
        return validated(self.provenance)

    def source_task(self) -> "Surrogate":
        """Return the allocated source from which PAC or PackNet calibrated this surrogate, bit for bit.

        It costs almost no memory in a saved file: the essential mask restores the weights that the source task needs, and the
        file holds besides only what the mask does not restore, which are the biases unless they were frozen, and the readout if
        the outputs are new. Of the source's outputs it has those that the target has, or all of them if the target's are new.

        Raises:
            ValueError: if the surrogate was not calibrated from an allocated source.
        """
        if self.allocated is None:
            raise ValueError("this surrogate keeps no source task: transfer with PAC, PackNet or Calibrate, or use its source")
        return self.allocated

    def compact(self) -> "Surrogate":
        """Return the same surrogate with smaller networks: the units that pruning has disconnected are removed.

        It predicts the same up to the rounding of the network's precision, but faster, and is smaller in memory and on disk. A
        hidden unit without incoming weights is a constant, which is added to the biases that read it; a unit that nothing reads
        is removed. Only weights of exactly 0 count. Networks become smaller whose units are pruned as a whole
        (`granularity="unit"` of the pruning methods), and hardly those with scattered zeros. Of a CNN, the channels inside each
        residual block are removed; see `pruning.compact_network`.

        Intervals remain, with the fits without parts of the samples compacted as well. Closed forms of a network and modules of
        your own stay as they are. If anything is removed, the mask can no longer restore the allocated source of PAC, which is
        given up: call `source_task` before.
        """
        compaction = Compaction(self.inputs, self.outputs)
        predictor, folds = compaction.predictor(self.predictor), compaction.folds(self.folds)
        allocated = self.allocated if predictor is self.predictor else None
        return dataclasses.replace(self, predictor=predictor, folds=folds, allocated=allocated)

    def predict(self, x: Any, *, batch_size: int | None = None) -> Any:
        """Predict in physical units.

        The form of the inputs decides that of the outputs. An array laid out as `Dataset.x` gives an array laid out as
        `Dataset.y`, in NumPy or torch (differentiable, on the tensor's own device) like the inputs. A dictionary of named
        variables gives a dictionary. A DataFrame gives a DataFrame with the same index, and an xarray Dataset gives one with
        coordinates and units. A Dataset or the path of a file, whose variables are matched by name, gives a NumPy array; the
        file needs to hold the inputs only. The precision is float64 for NumPy arrays; for tensors it is the higher one of
        their own and that of the outputs in the training data. Warns when inputs leave the range of the training data. Outputs
        with bounds are projected onto them, which increases no error.

        Args:
            x: inputs [physical units].
            batch_size: samples per batch; by default a number that keeps the memory near 256 MB.

        Raises:
            ValueError: if shapes or names do not fit, a value is not finite, or floating point cannot hold a prediction.
        """
        if batch_size is not None:
            (batch_size,) = whole_numbers(least=1, batch_size=batch_size)
        columns = self.input_columns(x)
        gradient = isinstance(first_of(x), Tensor) and torch.is_grad_enabled()
        with own_settings(gradients=None), torch.set_grad_enabled(gradient):
            # Scaled in float64: in float32, a pressure of 1e5 Pa with a deviation of 1 Pa would lose most of its digits.
            scaled = self.standardised(columns)
            if bool(self.scaling.inputs.outside(columns.detach()).any()):
                warnings.warn(
                    "inputs leave the range of the training data: predictions extrapolate", ExtrapolationWarning, stacklevel=2
                )
            with threads_for(self._operations(scaled)):
                standard = self.predictor.predict(scaled, batch_size=batch_size).double()
                prediction = restored(self.scaling.outputs, self.outputs, standard, self._precision(columns))
        self._check_held(prediction)
        return self._laid_out(prediction, x)

    def optimise(self, batch_size: int = 1, *, tolerance: float = 1e-5, seconds: float = 2.0) -> Optimised:
        """Measure several engines on this machine, with one thread, and return the surrogate with the fastest that agrees.

        The engines are this `predict`, the dense network in torch and in NumPy, its compacted form, the export to ONNX in ONNX
        Runtime, and for networks with many weights of 0 the sparse products of torch, of SciPy and of kernels that numba
        compiles. Each has to agree with `predict` on samples of the training range. The choice depends on the size of the
        batches. The provenance of the result's surrogate holds it, so that `optimise` does not measure again on the same
        machine, also after the surrogate was saved and loaded.

        Args:
            batch_size: number of samples in most calls.
            tolerance: largest difference from `predict` that is accepted, in standard deviations of each output.
            seconds: about how long to measure; a start takes some seconds more, because kernels are compiled.

        Raises:
            ValueError: if the batch size is not a whole number of at least 1, or tolerance or seconds are not positive.
        """
        return optimised(self, batch_size, tolerance, seconds)

    @cached_property
    def _numbers(self) -> int:
        """Number of numbers that the predictor holds."""
        return sum(tensor.numel() for tensor in self.predictor.state()[0].values())

    def _operations(self, x: Tensor) -> float:
        """Estimate the operations of a prediction: every number of the predictor is used at least once for each row."""
        return 2.0 * len(x) * self._numbers

    def _precision(self, columns: Tensor) -> torch.dtype:
        """Return the precision of a prediction: the higher one of the inputs and the outputs of the training data."""
        trained = torch.float64 if any(variable.dtype == "float64" for variable in self.outputs) else torch.float32
        return torch.promote_types(columns.dtype, trained)

    def predict_interval(
        self, x: Any, level: float = 0.9, *, interval: str = "jackknife", simultaneous: bool = False
    ) -> Interval:
        """Predict with an interval for every output.

        "jackknife" calibrates with target samples that were left out: by jackknife+ or CV+ with the folds of `transfer`, or,
        for `method="auto"`, by the posterior deviation scaled by leave-one-out residuals. "posterior" takes the posterior
        variance of the model, or the spread of the folds and their residuals; it works for any number of samples and guarantees
        no coverage. The interval of an output with bounds is cut by them, which loses no coverage.

        Args:
            x: inputs, as for `predict`; mean and bounds have the form of its result.
            level: nominal coverage, 1 - alpha.
            interval: "jackknife" or "posterior".
            simultaneous: whether one band holds for all outputs of a sample together (a complete field).

        Returns:
            Mean, bounds, the guaranteed coverage (1 - 2 alpha or the bound of CV+; None for "posterior", and if the choice of
            method was not repeated without each sample), and which samples extrapolate.

        Raises:
            ValueError: if the samples are too few for the level (the message names the number needed), no samples were left
                out, or floating point cannot hold a prediction or a bound.
        """
        check_numbers(level=level)
        check_flags(simultaneous=simultaneous)
        if interval not in ("jackknife", "posterior"):
            raise ValueError(f"unknown interval {interval!r}: choose jackknife or posterior")
        if DISTILLED in self.provenance:
            raise ValueError("a distilled network has no intervals: ask the surrogate that it was distilled from for them")
        columns = self.input_columns(x).detach()
        scaled = self.standardised(columns)
        with own_settings(gradients=False), threads_for(self._operations(scaled)):
            mean = self.predictor.predict(scaled).double()
            bounds, promised = bounds_of(
                self.predictor, self.folds, scaled, mean, level, interval=interval, simultaneous=simultaneous
            )
            outside = self.scaling.inputs.outside(columns)
        precision = self._precision(columns)
        physical = [restored(self.scaling.outputs, self.outputs, values, precision) for values in (mean, *bounds)]
        for values, bound in zip(physical, (False, True, True), strict=True):
            self._check_held(values, bound=bound)
        centre, lower, upper = (self._laid_out(values, x) for values in physical)
        return Interval(centre, lower, upper, level, promised, per_sample(outside, self.layout[0], x))

    def posterior(self, x: Any, *, noise: bool = False) -> Posterior:
        """Return the posterior of the outputs at some inputs: mean, variance and joint draws, in physical units.

        Co-kriging and Gaussian processes have a joint posterior, closed forms of a network a variance. All other predictors
        have a mean only. Mean and draws of an output with bounds are projected onto them; the variance is that of the posterior
        without bounds.

        Args:
            x: inputs, as for `predict`; results have the form of its result.
            noise: whether to include the noise of a new target sample.

        Raises:
            ValueError: if shapes or names do not fit, a value is not finite, floating point cannot hold a prediction, or a
                closed form of the block kernel has more than 4,000 rows (samples times outputs).
        """
        check_flags(noise=noise)
        columns = self.input_columns(x).detach()
        scaled, precision = self.standardised(columns), self._precision(columns)
        with own_settings(gradients=False), threads_for(self._operations(scaled)):
            standard = self.predictor.predict(scaled).double()

            def in_units(rows: Tensor) -> Tensor:
                return restored(self.scaling.outputs, self.outputs, rows, precision)

            def laid_out(rows: Tensor) -> Any:
                return self._laid_out(rows.to(precision), x)

            def drawn(rows: Tensor) -> Any:
                return self._laid_out(rows, {} if is_table(x) or is_labelled(x) else x)

            self._check_held(in_units(standard))
            return posterior_of(self.predictor, self.scaling.outputs, scaled, standard, in_units, laid_out, drawn, noise=noise)

    def standardised(self, columns: Float[Tensor, "sample input"]) -> Float[Tensor, "sample input"]:
        """Return inputs in standardised units, in float64.

        Raises:
            ValueError: if an input is more than 9e18 deviations from the mean, or not positive on a logarithmic scale.
        """
        scaled = self.scaling.inputs.standardise(columns.double())
        check_reach(self.inputs, scaled)
        return scaled

    def _check_held(self, values: Float[Tensor, "sample output"], *, bound: bool = False) -> None:
        """Check that numbers are finite, and that predictions (not bounds) on a logarithmic scale are not rounded to 0."""
        found = values.detach().double()
        lost = ~torch.isfinite(found)
        if not bound:
            lost |= self.scaling.outputs.logarithmic.to(found.device) & (found < TINY)
        if bool(lost.any()):
            sample, column = torch.nonzero(lost)[0].tolist()
            raise ValueError(
                f"{'a bound' if bound else 'the prediction'} of {name_of_column(self.outputs, column)} must be a number that "
                f"{str(values.dtype).removeprefix('torch.')} holds, got {float(found[sample, column]):.3g} at sample {sample}: "
                "ask for inputs nearer to the training data, or use a larger unit"
            )

    @property
    def layout(self) -> tuple[tuple[Variable, ...], tuple[Variable, ...]]:
        """Input and output variables in the order in which the arrays of `predict` hold them."""
        return self.given_inputs or self.inputs, self.given_outputs or self.outputs

    def _laid_out(self, values: Float[Tensor, "sample output"], x: Any) -> Any:
        """Return outputs in the form of the inputs; see `predict`."""
        inputs, outputs = self.layout
        values = values[:, match_all("outputs", outputs, self.outputs)] if self.given_outputs else values
        return laid_out(values, inputs, outputs, x, self.coordinates)

    def input_columns(self, x: Any) -> Float[Tensor, "sample input"]:
        """Return inputs, in any form that `predict` accepts, as one matrix in physical units in the order of `inputs`.

        NumPy arrays become float64; tensors keep their precision and their gradients.
        """
        given = self.layout[0]
        if isinstance(x, str | Path):
            x = open_inputs(x)
        if isinstance(x, Dataset):
            x = x.aligned(self)
            columns = torch.from_numpy(np.asarray(self.arranged(x, outputs=False).input_matrix, dtype=np.float64))
            listed: Sequence[Variable] = self.inputs
            self._warn_of_grids(x)
        else:
            columns, listed = columns_of_arrays(x, given, self.coordinates), given
        if not bool(torch.isfinite(columns).all()):
            sample, column = torch.nonzero(~torch.isfinite(columns))[0].tolist()
            raise ValueError(f"inputs must be finite, got {float(columns[sample, column])} at sample {sample}, column {column}")
        if listed is self.inputs:
            return columns
        return columns[:, torch.from_numpy(match_all("inputs", self.inputs, listed))]

    def arranged(self, data: Dataset, *, outputs: bool = True) -> Dataset:
        """Return data with this surrogate's variables, in its order; `data` itself if it has them already.

        Args:
            data: data whose variables have the same names, or are matched by position.
            outputs: whether the outputs are matched too; otherwise they stay unchanged.

        Raises:
            ValueError: if a variable is missing, or has another unit or grid.
        """
        if self.inputs == data.inputs and (not outputs or self.outputs == data.outputs):
            return data
        given = self.layout
        # Matched in the layout of arrays first, because positions refer to that layout.
        inputs = match_all("inputs", given[0], data.inputs)[match_all("inputs", self.inputs, given[0])]
        if not outputs:
            return data.as_variables(self.inputs, inputs, data.outputs, np.arange(data.widths[1]))
        kept = match_all("outputs", given[1], data.outputs)[match_all("outputs", self.outputs, given[1])]
        return data.as_variables(self.inputs, inputs, self.outputs, kept)

    def _warn_of_grids(self, data: Dataset) -> None:
        """Warn if variables lie on other grid points in the data."""
        variables = [v for v in (*data.inputs, *data.outputs) if v.axes]
        for line in strange_grids(self.coordinates, variables, data.coordinates):
            remedy = "interpolate one onto the grid of the other, as data.regrid(surrogate) does"
            warnings.warn(f"{line}: {remedy}", DataWarning, stacklevel=4)

    def save(self, path: str | Path) -> None:
        """Write the surrogate as safetensors with a JSON header, either completely or not at all.

        Raises:
            ValueError: if a number of the surrogate is not finite; `load` would refuse the file.
            DatasetError: if the path holds anything but a saved surrogate, or the file cannot be written.
        """
        path = as_path("path", path)
        tensors, header = self._state()
        if self.allocated is not None:
            own, described = self.allocated._state()
            lacking = what_the_mask_lacks(tensors, own)
            header["allocated"] = described | {"tensors": sorted(name.removeprefix(ALLOCATED) for name in lacking)}
            tensors |= lacking
        check_finite("the numbers of a surrogate that is saved", tensors)
        save_tensors(path, tensors, header)

    def export(self, path: str | Path, format: str, *, name: str = "surrogate", interval: bool = False) -> Exported:
        """Write the surrogate for programs without pac_surrogate; scaling and units are inside.

        The inputs and outputs are the columns of the arrays of `predict`. A sample whose inputs are not finite, or not positive
        on a logarithmic scale, has the outputs NaN.

            onnx    a file .onnx: input `x` (batch, inputs) and output `y` (batch, outputs) in float32; needs the extra `deploy`
            numpy   a folder with an array file and a module of functions that needs NumPy alone
            c       a folder with one header of C99 and C++ without dependencies, for double, and float if it holds the data
            torch   a file .pt2 of `torch.export`, in float64

        Args:
            path: the file or the folder.
            format: onnx | numpy | c | torch.
            name: name of the files in a folder, and of their functions: at most 40 letters, digits and underscores. In C
                the name of a header of the C library, such as math, is refused, and in NumPy that of a module of Python.
            interval: whether to add the standard deviation of the posterior, without noise, as the output `std`.

        Returns:
            What was written: its files, their size, and the number of non-zero constants.

        Raises:
            NotExportableError: if the format cannot hold the predictor, as C cannot hold a module of your own, or if there is
                no posterior; the message names the remedy. It is a ValueError.
            ValueError: if the format is unknown, or the name or the path does not suit it.
            DatasetError: if a file of another kind would be replaced, or nothing can be written at the path.
        """
        return export(self, path, format, name=name, interval=interval)

    def distil(
        self,
        model: Any = None,
        *,
        inputs: Any = None,
        samples: int | None = None,
        seed: int = 0,
        steps: int = 3000,
        learning_rate: float = 3e-3,
        batch_size: int = 128,
        device: str = "auto",
    ) -> "Surrogate":
        """Train a network on this surrogate's own predictions, for a smaller and faster surrogate of the same outputs.

        The error that this adds is measured at further inputs, a tenth as many, and is shown with the result; as many others
        choose the best weights of the training. It is the root mean square of the difference of the predictions, in deviations
        of each output. The result has no intervals, and keeps no source task: ask this surrogate for these.

        Args:
            model: architecture of the network, `MLP()` by default; see `pretrain`.
            inputs: inputs at which the network learns the predictions, in any form that `predict` accepts; a tenth of them
                measures the error, and a tenth chooses the weights. By default `samples` random ones in the box of the training
                data, where predictions do not extrapolate.
            samples: number of these, 10,000 by default.
            seed: seed of the inputs, of the initial weights and of the minibatches.
            steps: number of steps of Adam.
            learning_rate: learning rate at the first step.
            batch_size: samples per step.
            device: "auto" means CUDA if it is available.

        Raises:
            ValueError: if an input is a field and no `inputs` are given, or the training diverges.
        """
        # What trains a network stands above this class, so that it is imported when it is needed, and not by its file.
        distil = importlib.import_module("pac_surrogate.pretraining").distil
        options = {"steps": steps, "learning_rate": learning_rate, "batch_size": batch_size, "device": device}
        return distil(self, model=model, inputs=inputs, samples=samples, seed=seed, **options)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything but the allocated source as tensors and as JSON."""
        tensors, description = self.predictor.state()
        for side in ("inputs", "outputs"):
            columns = getattr(self.scaling, side)
            tensors |= {f"scaling/{side}/{f.name}": getattr(columns, f.name) for f in dataclasses.fields(columns)}
        given = {"inputs": self.given_inputs, "outputs": self.given_outputs}
        header = {
            "format": "pac_surrogate",
            "schema": SCHEMA,
            "predictor": description,
            "inputs": [state_of(variable) for variable in self.inputs],
            "outputs": [state_of(variable) for variable in self.outputs],
            "provenance": dict(self.provenance),
            "given": {side: [state_of(v) for v in variables] for side, variables in given.items() if variables},
            "coordinates": [coordinate_state(coordinate) for coordinate in self.coordinates.values()],
        }
        if self.folds is not None:
            parts, header["folds"] = self.folds.state()
            tensors |= parts
        return tensors, header

    @classmethod
    @own_settings()
    def load(cls, path: str | Path, *, model: Architecture | None = None) -> "Surrogate":
        """Read a saved surrogate; its predictions are bitwise the same in a fresh process.

        Args:
            path: path of the file.
            model: the architecture, needed if it is a module of your own, because code is never loaded from a file.

        Raises:
            DatasetError: if the file is missing, damaged or not a surrogate.
        """
        path, model = as_path("path", path), None if model is None else as_architecture(model)
        fields, allocated = read_fields(path, model)
        return cls(**fields, allocated=cls(**allocated) if allocated else None)


def as_surrogate(given: Any) -> Surrogate:
    """Return a given surrogate, or load it from the path of a saved one.

    Raises:
        ValueError: if it is neither of these.
    """
    if isinstance(given, str | Path):
        return Surrogate.load(given)
    if not isinstance(given, Surrogate):
        raise ValueError(
            f"surrogate must be a Surrogate or the path of a saved one, got {got(given)}: pac.pretrain(source) makes one"
        )
    return given
