"""The fastest way to predict on this machine: engines are measured, checked against `Surrogate.predict`, and one is kept."""

import dataclasses
import platform
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pac_surrogate.data.data_warnings import DataWarning, ExtrapolationWarning
from pac_surrogate.data.scaling import TINY
from pac_surrogate.engines.candidates import DENSE, candidates, installed
from pac_surrogate.engines.layers import Map
from pac_surrogate.engines.timing import Measurement, as_table, measurements, time_in_turn
from pac_surrogate.engines.units import in_units, largest_deviation, trial_inputs
from pac_surrogate.exports.errors import NotExportableError
from pac_surrogate.models.weights import fingerprint
from pac_surrogate.surrogates.layout import places_of_columns
from pac_surrogate.utilities.arguments import check_numbers, got, whole_numbers
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.environment import INSTALL_DEPLOY, PACKAGE, processor, version_of

ONNX = "onnxruntime"  # the engine that runs the exported surrogate
PREDICT = "predict"  # the engine that is `Surrogate.predict` itself
CHOICES = "engines"  # entry of the provenance with the choices, one for each machine and batch size
CHECKED = 256  # samples on which an engine must agree
PIECE = 4096  # samples that are computed at once, so that memory stays bounded
PACKAGES = ("torch", "numpy", "scipy", "numba", "onnxruntime")


@dataclass(frozen=True, eq=False, repr=False)
class Optimised(Shown):
    """A surrogate with the engine that was the fastest on this machine; `print` shows what was measured.

    Attributes:
        surrogate: the surrogate, whose provenance holds the choice; saved and loaded, it is not measured again.
        engine: name of the engine that predicts.
        batch_size: number of samples of a call for which it was chosen.
        measured: what was measured of each engine, in this process or in an earlier one.
        notes: which engines were not measured, and why.
    """

    surrogate: Any  # a Surrogate; its module imports this one
    engine: str
    batch_size: int
    measured: tuple[Measurement, ...]
    notes: tuple[str, ...]
    map: Map = field(repr=False)

    @property
    def table(self) -> str:
        """What was measured, as plain text with one line for each engine; the chosen one has an asterisk."""
        return as_table(self.measured, self.engine, self.notes)

    def __str__(self) -> str:
        return (
            f"{self.engine} predicts {self.batch_size:,} {'sample' if self.batch_size == 1 else 'samples'} a call\n{self.table}"
        )

    def _shown(self) -> dict[str, Any]:
        chosen = next(row for row in self.measured if row.engine == self.engine)
        speed = f"{chosen.microseconds[0]:.1f} microseconds, {chosen.ratio[0]:.2f} times as fast as {DENSE}"
        return {"engine": self.engine, "samples a call": self.batch_size, "a call": speed, "surrogate": self.surrogate}

    def predict(self, x: Any) -> Any:
        """Predict as `Surrogate.predict` does, with the same forms, errors and warnings, but without gradients.

        A NumPy matrix (sample, input) is answered fastest. The result differs from that of `Surrogate.predict` by less than the
        tolerance of the choice, in standard deviations of each output.

        Raises:
            ValueError: as for `Surrogate.predict`.
        """
        if self.engine == PREDICT:
            return self._by_predict(x)
        if torch.is_autocast_enabled("cpu"):  # products in half precision would miss the tolerance
            with torch.autocast("cpu", enabled=False):
                return self.predict(x)
        low, high, inputs, outputs, logarithmic = self._constants
        plain = type(x) is np.ndarray and x.dtype.char in "fd" and x.ndim == 2 and x.shape[1] == len(low)
        given = x if plain else self.surrogate.input_columns(x).detach()
        # Through float64 in torch, since NumPy has no bfloat16.
        columns = np.asarray(given if plain else given.double().cpu().numpy(), dtype=np.float64)
        columns = columns[:, inputs] if plain and inputs is not None else columns
        if not ((columns >= low) & (columns <= high)).all():  # outside, or not a number
            self.surrogate.standardised(self.surrogate.input_columns(x).detach())
            warnings.warn(
                "inputs leave the range of the training data: predictions extrapolate", ExtrapolationWarning, stacklevel=2
            )
        with np.errstate(all="ignore"):  # what is not finite is noticed below
            if len(columns) <= PIECE:
                y = self.map(columns)
            else:
                y = np.concatenate([self.map(columns[first : first + PIECE]) for first in range(0, len(columns), PIECE)])
        if not plain:  # float32 may not hold what float64 does, so that the check follows the conversion
            held = torch.from_numpy(np.ascontiguousarray(y)).to(given.device, self.surrogate._precision(given))
            y = held.double().cpu().numpy()
        if not np.isfinite(y).all() or (len(logarithmic) and bool((y[:, logarithmic] < TINY).any())):
            return self._by_predict(x)  # its errors name the output
        if plain:
            y = y if outputs is None else y[:, outputs]
            shape = self._shape
            return y if shape is None else y.reshape(len(y), *shape)
        return self.surrogate._laid_out(held, x)

    def _by_predict(self, x: Any) -> Any:
        with torch.no_grad():  # so that all engines agree, also for tensors that require gradients
            return self.surrogate.predict(x)

    @cached_property
    def _constants(self) -> tuple[Any, ...]:
        """Limits of the inputs, places of the columns of arrays on both sides or None, and logarithmic outputs."""
        scaling = self.surrogate.scaling
        low, high = (end.numpy() for end in scaling.inputs.ends())
        return low, high, *_places(self.surrogate), np.flatnonzero(scaling.outputs.logarithmic.numpy())

    @cached_property
    def _shape(self) -> tuple[int, ...] | None:
        """The shape of a sample if there is a single output variable, whose array has its shape."""
        outputs = self.surrogate.layout[1]
        return outputs[0].shape if len(outputs) == 1 else None


def optimised(surrogate: Any, batch_size: Any, tolerance: Any, seconds: Any) -> Optimised:
    """Choose the fastest engine; see `Surrogate.optimise`."""
    (batch_size,) = whole_numbers(least=1, batch_size=batch_size)
    check_numbers(tolerance=tolerance, seconds=seconds)
    for name, value in (("tolerance", tolerance), ("seconds", seconds)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {got(value)}")
    made, notes = _engines(surrogate, batch_size)
    own = {**_key(surrogate), "batch_size": batch_size, "tolerance": float(tolerance)}
    x = trial_inputs(surrogate.scaling, max(CHECKED, batch_size))
    # A full batch and another one, since engines treat them differently.
    reference = _in_predict(surrogate)
    checked = [(part, reference(part)) for part in (x[:batch_size], x[:CHECKED])]

    def deviation(engine: Map) -> float:
        with np.errstate(all="ignore"):
            return max(largest_deviation(surrogate.scaling, expected, engine(part)) for part, expected in checked)

    kept = _remembered(surrogate.provenance, own, made)
    if kept is not None:
        with suppress(NotExportableError):  # the export is tried again below, where a note says what was wrong
            engine = made[kept["engine"]]()
            if deviation(engine) <= tolerance:
                return Optimised(surrogate, kept["engine"], batch_size, kept["measured"], tuple(kept["notes"]), engine)
    maps = {name: make() for name, make in made.items() if name != ONNX}
    if ONNX in made:
        try:
            maps[ONNX] = made[ONNX]()
        except NotExportableError as error:
            notes.append(f"{ONNX}: {error}")
    deviations = {name: deviation(engine) for name, engine in maps.items()}
    took = time_in_turn({name: _call(engine, x[:batch_size]) for name, engine in maps.items()}, seconds)
    rows = measurements(took, deviations, DENSE)
    fit = [row for row in rows if row.deviation <= tolerance]
    notes += [f"{row.engine}: deviates by more than {tolerance:g}, so it is not chosen" for row in rows if row not in fit]
    chosen = min(fit, key=lambda row: row.microseconds[0]).engine
    choice = {**own, "engine": chosen, "measured": [row.to_json() for row in rows], "notes": notes}
    others = [one for one in _choices(surrogate.provenance) if not _same(one, own, ("machine", "batch_size"))]
    surrogate = dataclasses.replace(surrogate, provenance={**surrogate.provenance, CHOICES: [*others, choice]})
    return Optimised(surrogate, chosen, batch_size, rows, tuple(notes), maps[chosen])


def _call(engine: Map, x: np.ndarray) -> Callable[[], Any]:
    def call() -> Any:
        with np.errstate(all="ignore"):
            return engine(x)

    return call


def _engines(surrogate: Any, batch_size: int) -> tuple[dict[str, Callable[[], Map]], list[str]]:
    """Return functions that make the engines, between physical columns in the order of the surrogate's variables."""
    compacted = surrogate.compact()
    standard, notes = candidates(surrogate.predictor, compacted.predictor, batch_size)

    def around(make: Callable[[], Map]) -> Callable[[], Map]:
        return lambda: in_units(make(), surrogate.scaling, surrogate.outputs)

    made = {PREDICT: lambda: _in_predict(surrogate), **{name: around(make) for name, make in standard.items()}}
    if installed("onnx") and installed("onnxruntime"):
        made[ONNX] = lambda: _in_onnx(compacted)
    else:
        notes.append(f"{ONNX}: it is not installed, or onnx is not: {INSTALL_DEPLOY}")
    return made, notes


def _in_onnx(surrogate: Any) -> Map:
    """Return the exported surrogate in ONNX Runtime, with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # what float32 loses is part of the deviation that is measured
        path = Path(folder) / "surrogate.onnx"
        surrogate.export(path, format="onnx")
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    inputs, outputs = (None if place is None else np.argsort(place) for place in _places(surrogate))

    def predict(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x if inputs is None else x[:, inputs], dtype=np.float32)
        y = session.run(["y"], {"x": x})[0].astype(np.float64)
        return y if outputs is None else y[:, outputs]

    return predict


def _places(surrogate: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return `places_of_columns`, with None for a side whose order is the same."""
    places = places_of_columns(surrogate)
    first, second = (None if np.array_equal(place, np.arange(len(place))) else place for place in places)
    return first, second


def _in_predict(surrogate: Any) -> Map:
    """Return `Surrogate.predict` with the columns of both sides in the order of the surrogate's variables."""
    inputs, outputs = (None if place is None else np.argsort(place) for place in _places(surrogate))

    def predict(x: np.ndarray) -> np.ndarray:
        y = surrogate.predict(x if inputs is None else x[:, inputs]).reshape(len(x), -1)
        return y if outputs is None else y[:, outputs]

    return predict


def _key(surrogate: Any) -> dict[str, Any]:
    """Return what a choice depends on: the machine with its software, and the numbers of the predictor."""
    versions = {name: version_of(name) for name in (PACKAGE, *PACKAGES)} | {"python": platform.python_version()}
    machine = {"processor": processor(), "vectors": torch.backends.cpu.get_cpu_capability(), **versions}
    return {"machine": machine, "numbers": fingerprint(surrogate.predictor.state()[0]).hex()}


def _choices(provenance: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the choices that a provenance holds; that of a loaded file may hold anything."""
    kept = provenance.get(CHOICES)
    return [one for one in kept if isinstance(one, Mapping)] if isinstance(kept, Sequence) and not isinstance(kept, str) else []


def _same(one: Mapping[str, Any], own: Mapping[str, Any], names: Sequence[str]) -> bool:
    return all(one.get(name) == own[name] for name in names)


def _remembered(provenance: Mapping[str, Any], own: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the choice that was made under the same conditions, or None."""
    for one in _choices(provenance):
        if _same(one, own, list(own)) and one.get("engine") in list(made):
            try:
                rows = tuple(
                    Measurement(str(row["engine"]), _three(row["microseconds"]), _three(row["ratio"]), float(row["deviation"]))
                    for row in one["measured"]
                )
                notes = [str(note) for note in one["notes"]]
            except (TypeError, ValueError, LookupError):  # a file that was changed by hand: measured anew
                continue
            if one["engine"] in [row.engine for row in rows]:
                return {"engine": one["engine"], "measured": rows, "notes": notes}
    return None


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = map(float, values)
    return first, second, third
