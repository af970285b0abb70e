"""What a simulator is to a pair, and what a pair is: random inputs, their solver, and two sides that share them."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.quantities import Coordinate, Quantity

Shift = Literal["parameter", "physics", "fidelity", "boundary", "input", "noise", "output", "negative"]
Difficulty = Literal["easy", "moderate", "hard"]
STORED_AS = {"pde": "law"}  # names in data files of fields that have been renamed since the first version


@runtime_checkable
class Ensemble(Protocol):
    """Random inputs and their solver, as a frozen dataclass whose fields are numbers that JSON can hold."""

    @property
    def simulator(self) -> str:
        """Name of the solver in data files; it stays when modules move, so that files that stand are left alone."""

    @property
    def equation(self) -> str:
        """What is solved."""

    @property
    def scheme(self) -> str:
        """How, in a few words for tables."""

    @property
    def order(self) -> float:
        """Of the error's fall as `refinement` grows; NaN if round-off is all the error there is."""

    @property
    def invariant(self) -> str:
        """What `solve` holds the solution against: what is conserved or balanced; "" if nothing is."""

    @property
    def size(self) -> int:
        """Cells of the solver, or whatever else one sample keeps in memory."""

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """What `draw` returns."""

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """What `solve` returns."""

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Where the cells of each axis lie."""

    def draw(self, generator: torch.Generator, samples: int) -> dict[str, Float[Tensor, "sample ..."]]:
        """Draw inputs as they are stored, float32, all samples at once."""

    def solve(
        self, inputs: dict[str, Float[Tensor, "sample ..."]], refinement: float = 1
    ) -> tuple[dict[str, Float[Tensor, "sample ..."]], Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, and by how much the invariant is missed, relative; NaN without one.

        Args:
            inputs: as `draw` returns them, on any device.
            refinement: factor on the numbers of cells and time steps.
        """


@dataclass(frozen=True)
class Side:
    """One side of a pair.

    Attributes:
        name: of the pair and the side; names the stream of its random numbers.
        ensemble: inputs and solver.
        train: samples in the train split.
        valid: samples in the valid split.
        test: samples in the test split.
        resolved: refinement from which the cells resolve the inputs: an order of convergence is measured from there on.
        noise: standard deviation of the normal error of every output in the train and valid splits, in the outputs' unit.
            Test samples are free of it, so that errors are errors against the truth.
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
        """The ensemble's numbers, and the noise if there is any."""
        numbers = asdict(self.ensemble)  # type: ignore[call-overload]  # a protocol cannot say that it is a dataclass
        numbers = {STORED_AS.get(name, name): value for name, value in numbers.items()}
        return numbers | ({"noise": self.noise} if self.noise else {})

    def counts(self, samples: int | None = None) -> tuple[int, int, int]:
        """Return the sizes of (train, valid, test), shrunk or stretched alike to a total of `samples`.

        Raises:
            ValueError: if there is not one sample for each split.
        """
        total = self.train + self.valid + self.test
        if samples is None or samples == total:
            return self.train, self.valid, self.test
        valid, test = (max(1, count * samples // total) for count in (self.valid, self.test))
        if samples < valid + test + 1:
            raise ValueError(f"{self.name} needs 3 samples or more, one for each split, got {samples}")
        return samples - valid - test, valid, test

    def draw(self, seed: int, samples: int) -> dict[str, Float[Tensor, "sample ..."]]:
        """Draw inputs from a stream that belongs to this side and this seed alone."""
        return self.ensemble.draw(self._stream(f"{seed}"), samples)

    def add_noise(
        self, outputs: dict[str, Float[Tensor, "sample ..."]], seed: int, first: int, measured: list[bool]
    ) -> dict[str, Float[Tensor, "sample ..."]]:
        """Add noise to the outputs of those samples that count as measured; each sample has a stream of its own.

        Args:
            outputs: of consecutive samples.
            seed: of the file.
            first: number of the first of them.
            measured: which of them get noise.
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
        name: also that of its folder.
        title: what changes from source to target.
        shift: what kind of change.
        difficulty: error of the unchanged source surrogate on the target's test inputs, as `benchmarks/difficulty.py` measures
            it: below 0.2, below 0.4, above 0.4 of `headline`; "hard" where the outputs are others.
        headline: the metric of its tables.
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
    """Return a pair whose sides are named after it, the target with 320 train, 80 valid and 200 test samples.

    Args:
        name: of the pair.
        title: what changes from source to target.
        shift: what kind of change.
        difficulty: see `Pair`.
        source: the cheap ensemble.
        target: the expensive ensemble.
        headline: the metric of its tables.
        counts: train, valid and test samples of the source.
        resolved: of source and target, see `Side`.
        noise: of source and target, see `Side`.
    """
    cheap = Side(f"{name} source", source, *counts, resolved[0], noise[0])
    expensive = Side(f"{name} target", target, 320, 80, 200, resolved[1], noise[1])
    return Pair(name, title, shift, difficulty, headline, cheap, expensive)
