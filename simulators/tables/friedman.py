"""Friedman's first regression function, and related functions of adjustable dissimilarity as sources."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simulators.numerics.random_inputs import random_numbers
from simulators.quantities import Coordinate, Quantity, number

Arrays = dict[str, Tensor]

FEATURES = 10


def solve_friedman(
    features: Float[Tensor, "sample feature"],
    amplitudes: Sequence[float] = (1, 1, 1, 1),
    slopes: Sequence[float] = (1, 1, 1, 1, 1),
    offsets: Sequence[float] = (0, 0, 0, 0, 0),
) -> Float[Tensor, " sample"]:
    """Compute y = 10 a1 sin(pi u1 u2) + 20 a2 (u3 - 0.5)^2 + 10 a3 u4 + 5 a4 u5 with u_i = b_i x_i + c_i, without noise.

    With the defaults it is Friedman #1 (Friedman, Ann. Stat. 19 (1991) 1-67).
    Source: Pardoe & Stone, Boosting for regression transfer, ICML 2010, section 5.

    Args:
        features: x1, x2, ... as columns, five or more; the function does not depend on those after the fifth.
        amplitudes: a1 to a4.
        slopes: b1 to b5.
        offsets: c1 to c5.

    Returns:
        y, float64.

    Raises:
        ValueError: if there are fewer than five features, or not four amplitudes, five slopes and five offsets.
    """
    if features.shape[1] < 5:
        raise ValueError(f"Friedman's function needs 5 features or more, got {features.shape[1]}")
    lengths = len(amplitudes), len(slopes), len(offsets)
    if lengths != (4, 5, 5):
        raise ValueError(f"4 amplitudes, 5 slopes and 5 offsets are required, got {lengths}")
    x = features.double()[:, :5]
    u1, u2, u3, u4, u5 = (x * x.new_tensor(slopes) + x.new_tensor(offsets)).unbind(1)
    a1, a2, a3, a4 = amplitudes
    return 10 * a1 * torch.sin(math.pi * u1 * u2) + 20 * a2 * (u3 - 0.5) ** 2 + 10 * a3 * u4 + 5 * a4 * u5


@dataclass(frozen=True)
class Friedman:
    """Ten features drawn uniformly from (0, 1), and a response that depends on five of them.

    For a dissimilarity d the coefficients are drawn once for the whole data set: amplitudes and slopes from a normal
    distribution of mean 1 and standard deviation 0.1 d, offsets from one of mean 0 and standard deviation 0.05 d (the paper
    writes N(1, 0.1 d), which we read as a standard deviation). For one seed, the coefficients are linear functions of d.

    Attributes:
        dissimilarity: d, 0 for Friedman #1 itself; in the paper, sources have a positive d and the target has d = 0.
        task_seed: seed of the coefficients, which selects one of the sources of this dissimilarity.
        relevant: numbers of the features that are used as x1 to x5; with (6, 7, 8, 9, 10) a source does not depend on the
            features of the target.
    """

    dissimilarity: float = 0.0
    task_seed: int = 0
    relevant: tuple[int, ...] = (1, 2, 3, 4, 5)

    simulator = "simulators.friedman.solve_friedman"
    scheme = "closed form"
    order = math.nan
    invariant = ""
    size = FEATURES + 1

    def __post_init__(self) -> None:
        if not 0 <= self.dissimilarity < math.inf:
            raise ValueError(f"dissimilarity must be finite and not negative, got {self.dissimilarity}")
        if len(set(self.relevant)) != 5 or len(self.relevant) != 5 or not set(self.relevant) <= set(range(1, FEATURES + 1)):
            raise ValueError(f"relevant must be 5 different numbers from 1 to {FEATURES}, got {tuple(self.relevant)}")

    @property
    def equation(self) -> str:
        """The equation with its coefficients, so that a file can be checked without our random numbers."""
        amplitudes, slopes, offsets = self.coefficients()
        terms = zip(self.relevant, slopes, offsets, strict=True)
        u1, u2, u3, u4, u5 = (
            f"x{i}" if b == 1 and c == 0 else f"({b:.6g} x{i} {'-' if c < 0 else '+'} {abs(c):.6g})" for i, b, c in terms
        )
        a1, a2, a3, a4 = (f"{factor * a:.6g}" for factor, a in zip((10, 20, 10, 5), amplitudes, strict=True))
        return f"y = {a1} sin(pi {u1} {u2}) + {a2} ({u3} - 0.5)^2 + {a3} {u4} + {a4} {u5}"

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        """All features as the columns of one variable; its axis has no grid, so that each column is scaled separately."""
        return (Quantity("features", ("feature",), (FEATURES,), "1", "features x1 to x10"),)

    @property
    def outputs(self) -> tuple[Quantity, ...]:
        """The response."""
        return (number("y", "1", "response"),)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The numbers of the features."""
        return (Coordinate("feature", tuple(float(i) for i in range(1, FEATURES + 1)), "1", "number of the feature"),)

    def coefficients(self) -> tuple[list[float], list[float], list[float]]:
        """Return amplitudes, slopes and offsets."""
        generator = torch.Generator().manual_seed(self.task_seed)
        normal = self.dissimilarity * torch.randn(14, generator=generator, dtype=torch.float64)
        return (1 + 0.1 * normal[:4]).tolist(), (1 + 0.1 * normal[4:9]).tolist(), (0.05 * normal[9:]).tolist()

    def draw(self, generator: torch.Generator, samples: int) -> Arrays:
        """Draw inputs in float32, as they are stored."""
        return {"features": random_numbers(generator, samples, [(0.0, 1.0)] * FEATURES).float()}

    def solve(self, inputs: Arrays, refinement: float = 1) -> tuple[Arrays, Float[Tensor, " sample"]]:
        """Return the outputs of stored inputs, without noise, and NaN, because there is no invariant.

        Args:
            inputs: as `draw` returns them.
            refinement: has no effect.
        """
        features = inputs["features"].double()[:, [i - 1 for i in self.relevant]]
        values = solve_friedman(features, *self.coefficients())
        return {"y": values}, torch.full_like(values, math.nan)
