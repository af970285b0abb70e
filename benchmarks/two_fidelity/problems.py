"""The functions in two fidelities, with the numbers of samples of each, and the samples of a draw."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from simulators.numerics.random_inputs import random_numbers
from simulators.tables import multi_fidelity_functions as functions
from simulators.tables.multi_fidelity_families import FAMILIES, Function
from two_fidelity import formulas

TEST = 1000  # test points of a draw


@dataclass(frozen=True)
class Draw:
    """The samples of one draw: inputs in physical units, and the same in the unit cube, for both levels and the test.

    Attributes:
        low_x, high_x, test_x: inputs, each a Latin hypercube of its own, (sample, input).
        low_y, high_y, test_y: values, the test's on the high level.
        bounds: low and high ends of the inputs, (2, input).
    """

    low_x: Float[np.ndarray, "low input"]
    low_y: Float[np.ndarray, " low"]
    high_x: Float[np.ndarray, "high input"]
    high_y: Float[np.ndarray, " high"]
    test_x: Float[np.ndarray, "test input"]
    test_y: Float[np.ndarray, " test"]
    bounds: Float[np.ndarray, "2 input"]

    def unit(self) -> dict[str, np.ndarray]:
        """Return the arrays, without the test's values, with inputs in the unit cube."""
        low, high = self.bounds
        inputs = {name: (getattr(self, name) - low) / (high - low) for name in ("low_x", "high_x", "test_x")}
        return inputs | {"low_y": self.low_y, "high_y": self.high_y}

    def digest(self) -> str:
        """Return a digest of all numbers, values relative to the largest, to six decimals, so that rounding does not matter."""
        arrays = {**self.unit(), "test_y": self.test_y}
        scaled = [array / np.abs(array).max() if name.endswith("_y") else array for name, array in arrays.items()]
        text = " ".join(f"{value:.6f}" for array in scaled for value in array.ravel())
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def error(self, predicted: Float[np.ndarray, " test"]) -> float:
        """Return the root mean square error on the test points over the standard deviation of their values."""
        return math.sqrt(np.mean((predicted - self.test_y) ** 2)) / float(self.test_y.std())


@dataclass(frozen=True)
class Problem:
    """A function in two fidelities.

    Attributes:
        low_samples, high_samples: numbers of samples.
        high, low: the levels, functions of points (sample, input).
        bounds: low and high end of each input.
        title: the function in words, with what sets its low level apart from others.
    """

    low_samples: int
    high_samples: int
    high: Function
    low: Function
    bounds: tuple[tuple[float, float], ...]
    title: str

    def draw(self, number: int) -> Draw:
        """Return the samples of a draw; equal numbers give equal samples."""
        generator = torch.Generator().manual_seed(number)
        sizes = (self.low_samples, self.high_samples, TEST)
        low, high, test = (random_numbers(generator, size, self.bounds, "latin hypercube") for size in sizes)
        return Draw(
            low_x=low.numpy(),
            low_y=self.low(low).numpy(),
            high_x=high.numpy(),
            high_y=self.high(high).numpy(),
            test_x=test.numpy(),
            test_y=self.high(test).numpy(),
            bounds=np.array(self.bounds).T,
        )


def _simulated(name: str, low_samples: int, high_samples: int, title: str) -> Problem:
    family = FAMILIES[name]
    bounds = tuple((bound.low, bound.high) for bound in family.bounds)
    return Problem(low_samples, high_samples, family.high, family.low, bounds, title)


_BRANIN = ((-5.0, 10.0), (0.0, 15.0))
PROBLEMS = {
    "borehole": _simulated("borehole", 100, 20, "flow through a borehole"),
    "Park A": _simulated("park_a", 60, 15, "Park's first function"),
    "Park B": _simulated("park_b", 60, 15, "Park's second function; the low level is linear in the high one"),
    "Currin": _simulated("currin", 40, 10, "Currin's function; the low level averages four neighbours"),
    "Branin": Problem(
        *(40, 10, formulas.tilted_branin_high, formulas.tilted_branin_low),
        *(_BRANIN, "Branin's function with a slope; low level by Dong et al."),
    ),
    "Hartmann-3": Problem(
        *(60, 15, formulas.hartmann_3_high, formulas.hartmann_3_low),
        *(((0.0, 1.0),) * 3, "Hartmann's function of three variables; low level of emukit"),
    ),
    "Hartmann-6": _simulated("hartmann", 120, 30, "Hartmann's function of six variables; low level by Park et al."),
    "Forrester": _simulated("forrester", 20, 5, "Forrester's function"),
    "bent Branin": Problem(
        *(40, 10, functions.branin_high, functions.branin_low),
        *(_BRANIN, "Branin's function; low level is the middle one by Perdikaris et al."),
    ),
    "camelback": Problem(
        *(40, 10, formulas.camelback_high, formulas.camelback_low),
        *(((-2.0, 2.0),) * 2, "six-hump camelback function; low level by Dong et al."),
    ),
    "Himmelblau": Problem(
        *(40, 10, formulas.himmelblau_high, formulas.himmelblau_low),
        *(((-4.0, 4.0),) * 2, "Himmelblau's function; low level by Dong et al."),
    ),
    "Bohachevsky": Problem(
        *(40, 10, formulas.bohachevsky_high, formulas.bohachevsky_low),
        *(((-5.0, 5.0),) * 2, "Bohachevsky's function; low level by Dong et al."),
    ),
}
