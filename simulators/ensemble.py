"""The interface of a simulator (`Ensemble`: random inputs and their solver), and pairs of two simulators."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.quantities import Coordinate, Quantity

Shift = Literal["parameter", "physics", "fidelity", "boundary", "input", "noise", "output", "negative"]
Difficulty = Literal["easy", "moderate", "hard"]
STORED_AS = {"pde": "law"}  # fields renamed since the first version, and the names that data files still use for them


@runtime_checkable
class Ensemble(Protocol):
    """Random inputs and their solver: a frozen dataclass whose fields can be written as JSON."""

    @property
    def simulator(self) -> str:
        """Name of the solver in data files; it does not change when modules move, so that existing files stay valid."""

    @property
    def equation(self) -> str:
        """The equation that is solved."""

    @property
    def scheme(self) -> str:
        """The numerical scheme, in a few words for tables."""

    @property
    def order(self) -> float:
        """Order of convergence as `refinement` grows; NaN if round-off is the only error."""

    @property
    def invariant(self) -> str:
        """The conserved or balanced quantity that `solve` checks; "" if no such quantity exists."""

    @property
    def size(self) -> int:
        """Number of cells of the solver, or of other values that one sample keeps in memory."""

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """Descriptions of the arrays that `draw` returns."""

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """Descriptions of the outputs that `solve` returns."""

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Coordinates of the cells or points along each axis."""

    def draw(self, generator: torch.Generator, samples: int) -> dict[str, Float[Tensor, "sample ..."]]:
        """Draw the inputs of all samples at once, in float32 as they are stored."""

    def solve(
        self, inputs: dict[str, Float[Tensor, "sample ..."]], refinement: float = 1
    ) -> tuple[dict[str, Float[Tensor, "sample ..."]], Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and the relative violation of the invariant; NaN if there is no invariant.

        Args:
            inputs: as `draw` returns them, on any device.
            refinement: factor on the numbers of cells and time steps.
        """


@dataclass(frozen=True)
class Side:
    """One side of a pair.

    Attributes:
        name: names of the pair and the side; it identifies the stream of random numbers.
        ensemble: inputs and solver.
        train: number of samples in the train split.
        valid: number of samples in the valid split.
        test: number of samples in the test split.
        resolved: the smallest refinement at which the cells resolve the inputs; the order of convergence is measured from it.
        noise: standard deviation of the normal noise on every output in the train and valid splits, in the outputs' unit.
            Test samples have no noise, so that errors are measured against the truth.
    """

    name: str
    ensemble: Ensemble
    train: int
    valid: int
    test: int
    resolved: float = 1.0
    noise: float = 0.0

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the ensemble, and the noise if it is not 0."""
        numbers = asdict(self.ensemble)  # type: ignore[call-overload]  # a protocol cannot declare that it is a dataclass
        numbers = {STORED_AS.get(name, name): value for name, value in numbers.items()}
        return numbers | ({"noise": self.noise} if self.noise else {})

    def counts(self, samples: int | None = None) -> tuple[int, int, int]:
        """Return the sizes of (train, valid, test), scaled by one factor to a total of `samples`.

        Raises:
            ValueError: if `samples` does not leave at least one sample for each split.
        """
        total = self.train + self.valid + self.test
        if samples is None or samples == total:
            return self.train, self.valid, self.test
        valid, test = (max(1, count * samples // total) for count in (self.valid, self.test))
        if samples < valid + test + 1:
            raise ValueError(f"{self.name} needs 3 samples or more, one for each split, got {samples}")
        return samples - valid - test, valid, test

    def draw(self, seed: int, samples: int) -> dict[str, Float[Tensor, "sample ..."]]:
        """Draw inputs from a stream of random numbers that only this side with this seed uses."""
        return self.ensemble.draw(self._stream(f"{seed}"), samples)

    def add_noise(
        self, outputs: dict[str, Float[Tensor, "sample ..."]], seed: int, first: int, measured: list[bool]
    ) -> dict[str, Float[Tensor, "sample ..."]]:
        """Add noise to the outputs of the samples marked as measured; each sample has its own stream of random numbers.

        Args:
            outputs: outputs of consecutive samples.
            seed: seed of the file.
            first: number of the first of these samples.
            measured: for each sample, whether it gets noise.
        """
        if not self.noise:
            return outputs
        noisy = {name: values.clone() for name, values in outputs.items()}
        for i in (i for i, chosen in enumerate(measured) if chosen):
            stream = self._stream(f"{seed} noise {first + i}")
            for values in noisy.values():
                values[i] += self.noise * torch.randn(values.shape[1:], generator=stream, dtype=values.dtype)
        return noisy

    def _stream(self, purpose: str) -> torch.Generator:
        digest = hashlib.sha256(f"{self.name} {purpose}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass(frozen=True)
class Pair:
    """A source and a target with the same inputs and outputs.

    Attributes:
        name: name of the pair and of its folder.
        title: description of what changes from source to target.
        shift: kind of the change.
        difficulty: class of the error of the unchanged source surrogate on the target's test inputs, in the metric `headline`,
            which `benchmarks/difficulty.py` measures: "easy" below 0.2, "moderate" below 0.4, "hard" above; also "hard" if
            source and target have different outputs.
        headline: the metric in its tables.
        source: the cheap side.
        target: the expensive side.
    """

    name: str
    title: str
    shift: Shift
    difficulty: Difficulty
    headline: Literal["rel_l2", "rmse_std"]
    source: Side
    target: Side


def make_pair(
    name: str,
    title: str,
    shift: Shift,
    difficulty: Difficulty,
    source: Ensemble,
    target: Ensemble,
    *,
    headline: Literal["rel_l2", "rmse_std"] = "rel_l2",
    counts: tuple[int, int, int] = (2000, 200, 200),
    resolved: tuple[float, float] = (1.0, 1.0),
    noise: tuple[float, float] = (0.0, 0.0),
) -> Pair:
    """Return a pair whose sides are named after it and whose target has 320 train, 80 valid and 200 test samples.

    Args:
        name: name of the pair.
        title: description of what changes from source to target.
        shift: kind of the change.
        difficulty: class of difficulty, see `Pair`.
        source: the cheap ensemble.
        target: the expensive ensemble.
        headline: the metric in its tables.
        counts: numbers of train, valid and test samples of the source.
        resolved: smallest resolving refinement of source and target, see `Side`.
        noise: standard deviation of the noise of source and target, see `Side`.
    """
    cheap = Side(f"{name} source", source, *counts, resolved[0], noise[0])
    expensive = Side(f"{name} target", target, 320, 80, 200, resolved[1], noise[1])
    return Pair(name, title, shift, difficulty, headline, cheap, expensive)
