"""What a pair of third-party simulators consists of: its inputs with their ranges, its two functions, and where they come from.

The module of a pair defines one `RealPair`. It imports the packages that it needs when a function is called, through `need`, so
that stored pairs can be read without any of them.
"""

import importlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from pac_surrogate.files import Coordinate, Variable

Arrays = Mapping[str, Float[np.ndarray, "sample ..."]]
Points = Float[np.ndarray, "sample input"]


@dataclass(frozen=True)
class Input:
    """A number that varies from sample to sample, uniformly between two limits, or uniformly in its logarithm.

    Attributes:
        name: name of the variable.
        low, high: limits, in `units`.
        units: units as UDUNITS writes them.
        long_name: description for readers.
        log: whether its logarithm is distributed uniformly; a surrogate then scales the logarithm too.
    """

    name: str
    low: float
    high: float
    units: str
    long_name: str
    log: bool = False

    @property
    def variable(self) -> Variable:
        """The description for a data file."""
        return Variable(self.name, units=self.units, long_name=self.long_name, scaling="log" if self.log else "standard")

    def place(self, fraction: Float[np.ndarray, " sample"]) -> Float[np.ndarray, " sample"]:
        """Return the values at fractions of the range, from 0 to 1."""
        if self.log:
            return self.low * (self.high / self.low) ** fraction
        return self.low + (self.high - self.low) * fraction


def sobol(inputs: tuple[Input, ...], samples: int, seed: int) -> Points:
    """Return the first points of a scrambled Sobol sequence, which fill the ranges of the inputs evenly."""
    power = max(0, int(samples - 1).bit_length())
    return qmc.Sobol(len(inputs), rng=np.random.default_rng((seed, 2))).random_base2(power)[:samples]


def latin_hypercube(inputs: tuple[Input, ...], samples: int, seed: int) -> Points:
    """Return a Latin hypercube: each of as many equal parts of a range holds one of the samples."""
    return qmc.LatinHypercube(len(inputs), rng=np.random.default_rng((seed, 3))).random(samples)


@dataclass(frozen=True)
class Side:
    """One side of a pair.

    Attributes:
        simulator: the library and its function, with authors and year.
        equation: the equation that is solved.
        solve: function of the inputs, one array for each name, that returns the outputs in the same way.
    """

    simulator: str
    equation: str
    solve: Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class RealPair:
    """A source and a target with the same inputs and outputs.

    Attributes:
        name: name of the pair, of its module and of its folder.
        title: description of what changes from source to target.
        inputs: inputs with their ranges.
        outputs: descriptions of the outputs.
        coordinates: coordinates of the outputs' axes.
        source: the cheap side.
        target: the expensive side.
        reference: the function whose outputs are the target's test split, if `target` is noisy: an average of many runs.
        packages: names under which pip installs what the two sides need beyond NumPy and SciPy.
        licence: licences of the packages or of the data.
        citation: publications of the models or of the data.
        headline: the metric in its tables.
        counts: numbers of train and valid samples of the source, and of train, valid and test samples of the target.
        designs: inputs of all samples, in place of Sobol points and Latin hypercubes, for data that were measured.
    """

    name: str
    title: str
    inputs: tuple[Input, ...]
    outputs: tuple[Variable, ...]
    coordinates: tuple[Coordinate, ...]
    source: Side
    target: Side
    packages: tuple[str, ...]
    licence: str
    citation: str
    reference: Callable[[Arrays], Arrays] | None = None
    headline: Literal["rel_l2", "rmse_std"] = "rmse_std"
    counts: tuple[tuple[int, int], tuple[int, int, int]] = ((1000, 100), (80, 20, 150))
    designs: Callable[[int], tuple[Points, Points, Points]] | None = None

    def draw(self, seed: int) -> tuple[Arrays, Arrays, Arrays]:
        """Return the inputs of the source's samples, of the target's, and of the test split that both have in common.

        They are rounded to float32, as they are stored, so that the stored inputs give the stored outputs.
        """
        (train, valid), (few, kept, test) = self.counts
        if self.designs is not None:
            chosen = self.designs(seed)
        else:
            points = (
                sobol(self.inputs, train + valid, seed),
                latin_hypercube(self.inputs, few + kept, seed),
                latin_hypercube(self.inputs, test, seed + 1),
            )
            chosen = tuple(  # type: ignore[assignment]
                np.stack([one.place(column) for one, column in zip(self.inputs, unit.T, strict=True)], 1) for unit in points
            )
        source, target, both = (self.named(values.astype(np.float32).astype(np.float64)) for values in chosen)
        return source, target, both

    def named(self, points: Points) -> Arrays:
        """Return columns of inputs by their names."""
        return {one.name: column for one, column in zip(self.inputs, points.T, strict=True)}


def need(module: str, package: str, pair: str) -> Any:
    """Import a module of a package that only some pairs need.

    Args:
        module: full name of the module.
        package: name under which pip installs it.
        pair: name of the pair that needs it.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"the pair {pair} needs {package}, which cannot be imported ({error}): pip install 'pac_surrogate[real]'"
        ) from error


def rows_of(inputs: Arrays) -> list[dict[str, float]]:
    """Return the inputs of each sample as plain numbers by name."""
    names = list(inputs)
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*inputs.values(), strict=True)]


def seed_of(row: Mapping[str, float]) -> int:
    """Return a seed that follows from the inputs of a sample, so that each sample can be computed again by itself."""
    return zlib.crc32(np.array(list(row.values()), "<f4").tobytes())


def solve_rows(solve: Callable[[dict[str, float]], dict[str, Any]], inputs: Arrays) -> Arrays:
    """Return the outputs of a function that takes the inputs of one sample at a time."""
    rows = [solve(row) for row in rows_of(inputs)]
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}


def scalar(name: str, units: str, long_name: str) -> Variable:
    """Return the description of one number for each sample."""
    return Variable(name, units=units, long_name=long_name)
