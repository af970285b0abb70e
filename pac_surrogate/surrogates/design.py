"""Random inputs inside the range of a surrogate's training data."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from pac_surrogate.data.scaling import GRID_AXES, Columns
from pac_surrogate.files import Variable


def uniform_inputs(
    inputs: Sequence[Variable], columns: Columns, samples: int, generator: np.random.Generator
) -> Float[np.ndarray, "sample input"]:
    """Draw inputs uniformly from the box of the training data [physical units].

    An input on a logarithmic scale is drawn uniformly in its logarithm. Of the inputs that are categories of one column of
    texts, `material=steel` and so on, one is 1 and the others are 0.

    Args:
        inputs: the input variables.
        columns: their scaling, which has the range of the training data.
        samples: number of samples.
        generator: random number generator.

    Raises:
        ValueError: if an input is a field, because independent numbers at its points are no field of the training data.
    """
    fields = [variable.name for variable in inputs if set(variable.axes) & set(GRID_AXES)]
    if fields:
        raise ValueError(
            f"{fields[0]} is a field, of which random numbers at each point are no example: pass inputs=, such as those of the "
            "source's samples"
        )
    drawn = columns.drawn(samples, generator)
    for places in _categories(inputs, columns):
        seen = np.flatnonzero(columns.high.numpy()[places] > 0)  # categories that the training data have
        drawn[:, places] = np.eye(len(places))[seen[generator.integers(len(seen), size=samples)]]
    return drawn


def _categories(inputs: Sequence[Variable], columns: Columns) -> list[list[int]]:
    """Return the columns of the categories of each column of texts: inputs `name=category` that are 0 or 1."""
    found: dict[str, list[int]] = {}
    first = 0
    for variable in inputs:
        name, equals, _ = variable.name.partition("=")
        if equals and variable.size == 1:
            found.setdefault(name, []).append(first)
        first += variable.size
    low, high = columns.low.numpy(), columns.high.numpy()

    def is_one_of_several(places: list[int]) -> bool:
        return len(places) > 1 and set(low[places]) | set(high[places]) <= {0.0, 1.0} and bool(high[places].any())

    return [places for places in found.values() if is_one_of_several(places)]
