"""Derivatives of a network in a program with respect to its weights, as further steps of the same program.

They are what the closed forms are made of. The weights are those of the `Linear` steps that name them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pac_surrogate.exports.program import ACTIVATIONS, Apply, Cast, Combine, Gather, Join, Linear, Program, Scale, Value
from pac_surrogate.utilities.display import Shown


def along(
    program: Program, steps: Sequence[int], result: Value, change: Mapping[str, Float[np.ndarray, "..."]]
) -> Value | None:
    """Add J(x) change, the derivative of a value in a direction of the weights; None if it is 0 for all inputs.

    Args:
        program: the program.
        steps: numbers of the steps of the network.
        result: the value to differentiate.
        change: the direction, by names of the weights.
    """
    found: dict[int, Value] = {}
    for number in steps:
        step = program.steps[number]
        match step:
            case Linear():
                parts = _linear_along(program, step, found.get(step.value.number), change)
            case Gather():
                inner = found.get(step.value.number)
                parts = [] if inner is None else [program.gather(inner, step.index, step.window)]
            case Apply():
                inner = found.get(step.value.number)
                parts = [] if inner is None else [program.multiply(_slope(program, step), inner)]
            case Scale():
                inner = found.get(step.value.number)
                parts = [] if inner is None else [program.scale(inner, step.factor)]
            case Combine(operation="add"):
                parts = [found[value.number] for value in (step.left, step.right) if value.number in found]
            case Join():
                parts = []
                if any(value.number in found for value in step.values):
                    nothing = [found.get(value.number) or program.scale(value, 0.0) for value in step.values]
                    parts = [program.join(nothing)]
            case _:
                raise TypeError(f"no network has a step {type(step).__name__}")
        if parts:
            found[number] = program.add(parts)
    return found.get(result.number)


def _linear_along(
    program: Program, step: Linear, inner: Value | None, change: Mapping[str, Float[np.ndarray, "..."]]
) -> list[Value]:
    parts = [] if inner is None else [program.linear(inner, step.weight)]
    if step.names is None:
        return parts
    weight, bias = (change.get(name) for name in step.names)
    moved = weight is not None and bool(np.any(weight))
    shifted = bias is not None and bool(np.any(bias))
    if moved or shifted:
        flat = np.zeros_like(step.weight) if weight is None else weight.reshape(step.weight.shape)
        parts.append(program.linear(step.value, flat, bias if shifted else None))
    return parts


@dataclass(frozen=True, eq=False, repr=False)
class LayerDerivative(Shown):
    """The derivative of projected outputs with respect to the result of a `Linear` step.

    Attributes:
        step: the step.
        value: derivative of projection p by entry (o, s) of the result, at row o and column p * s; or a constant array of this
            shape where it does not depend on x.
    """

    step: Linear
    value: Value | np.ndarray

    def constant(self) -> bool:
        """Whether the derivative does not depend on x."""
        return isinstance(self.value, np.ndarray)


def reverse(
    program: Program, steps: Sequence[int], result: Value, mix: Float[np.ndarray, "projection output"], names: Sequence[str]
) -> list[LayerDerivative]:
    """Add the derivatives of projections of a value by the results of the `Linear` steps that name these weights.

    Args:
        program: the program.
        steps: numbers of the steps of the network.
        result: the value (output, 1) that is projected.
        mix: the projections.
        names: names of weights or biases.
    """
    count = len(mix)
    found: dict[int, list[Value | np.ndarray]] = {result.number: [mix.T.copy()]}
    made = []
    first = _first(program, steps, names)
    for number in reversed(steps):
        parts = found.pop(number, None)
        if parts is None:
            continue
        step, own = program.steps[number], _sum(program, parts)
        if isinstance(step, Linear) and step.names is not None and set(step.names) & set(names):
            made.append(LayerDerivative(step, own))
        for value, part in _reverse(program, step, own, count):
            if value.number >= first:
                found.setdefault(value.number, []).append(part)
    return made


def _first(program: Program, steps: Sequence[int], names: Sequence[str]) -> int:
    """Return the number of the first step whose result depends on one of these weights."""
    for number in steps:
        step = program.steps[number]
        if isinstance(step, Linear) and step.names is not None and set(step.names) & set(names):
            return number
    return len(program.steps)


def _sum(program: Program, parts: Sequence[Value | np.ndarray]) -> Value | np.ndarray:
    constants = [part for part in parts if isinstance(part, np.ndarray)]
    values = [part for part in parts if isinstance(part, Value)]
    if not values:
        return sum(constants[1:], constants[0])
    total = program.add(values)
    return program.scale(total, 1.0, sum(constants[1:], constants[0])) if constants else total


def _reverse(program: Program, step: object, own: Value | np.ndarray, count: int) -> list[tuple[Value, Value | np.ndarray]]:
    """Return the derivatives by what a step reads, from those by its result."""
    match step:
        case Linear():
            return [(step.value, _times(program, step.weight.T, own))]
        case Gather():
            return [(step.value, _scattered(program, step, own, count))]
        case Apply():
            slope = program.repeat(_slope(program, step), count)
            return [(step.value, program.scale(slope, own) if isinstance(own, np.ndarray) else program.multiply(slope, own))]
        case Scale():
            shape = step.value.rows, step.value.columns
            factor = np.tile(np.broadcast_to(step.factor, shape), (1, count))
            return [(step.value, own * factor if isinstance(own, np.ndarray) else program.scale(own, factor))]
        case Combine(operation="add"):
            return [(step.left, own), (step.right, own)]
        case Join():
            ends = np.cumsum([0, *(value.rows for value in step.values)])
            return [(value, _rows(program, own, a, b)) for value, a, b in zip(step.values, ends, ends[1:], strict=False)]
        case Cast():
            return []
        case _:
            raise TypeError(f"no network has a step {type(step).__name__}")


def _times(program: Program, matrix: np.ndarray, own: Value | np.ndarray) -> Value | np.ndarray:
    return matrix @ own if isinstance(own, np.ndarray) else program.linear(own, matrix)


def _rows(program: Program, own: Value | np.ndarray, first: int, end: int) -> Value | np.ndarray:
    if isinstance(own, np.ndarray):
        return own[first:end]
    return program.gather(own, np.arange(first * own.columns, end * own.columns).reshape(end - first, own.columns))


def _scattered(program: Program, step: Gather, own: Value | np.ndarray, count: int) -> Value | np.ndarray:
    """Return the transpose of a gathering: each entry of its value receives the sum of all that were read from it.

    The sum over the k-th uses of all entries is a gathering; there are as many of these as an entry has uses at most.
    """
    flat, size = step.index.ravel(), step.value.size
    order = np.argsort(flat, kind="stable")
    order = order[flat[order] >= 0]
    entries = flat[order]
    place = np.arange(len(entries)) - np.searchsorted(entries, entries)  # the number of earlier uses of its entry
    uses = np.full((place.max(initial=-1) + 1, size), -1)
    uses[place, entries] = order
    rows, columns = step.index.shape

    def lifted(use: np.ndarray) -> np.ndarray:
        """Return the numbers of the entries (row, projection and column) of `own` that each entry of the value receives."""
        blocks = []
        for projection in range(count):
            place = use // columns * (columns * count) + projection * columns + use % columns
            blocks.append(np.where(use < 0, -1, place).reshape(step.value.rows, step.value.columns))
        return np.concatenate(blocks, axis=1)

    if isinstance(own, np.ndarray):
        padded = np.append(own.ravel(), 0.0)
        return sum((padded[lifted(use)] for use in uses), np.zeros((step.value.rows, step.value.columns * count)))
    assert own.rows == rows
    return program.add([program.gather(own, lifted(use)) for use in uses])


def _slope(program: Program, step: Apply) -> Value:
    assert step.function in ACTIVATIONS, step.function
    return program.apply(f"slope of {step.function}", step.value)
