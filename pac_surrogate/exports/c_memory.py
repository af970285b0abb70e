"""The places of intermediate values in C: an array of floats and one of doubles, whose parts are reused."""

import copy
from collections.abc import Sequence

import numpy as np

from pac_surrogate.exports.networks import patches_of
from pac_surrogate.exports.program import Cast, Gather, Linear, Program, Step, Value, reads

INPUT = -1  # the number of the program's input
ALWAYS = 1 << 62  # the last use of a result


def restricted(program: Program, names: Sequence[str]) -> Program:
    """Return the program of some of the results."""
    part = copy.copy(program)
    part.results = {name: program.results[name] for name in names}
    return part


class Memory:
    """The places of the values of a program whose steps are computed in order.

    A value that has the same numbers as another one, such as a vector that is read as a matrix, has the same place. A step
    that changes each number by itself works in place if the old numbers are not needed afterwards.

    Args:
        program: the program.
        double: whether all values are in double precision; the input is then read where the caller has it.

    Attributes:
        order: numbers of the steps that are computed.
        convolutions: steps that gather the neighbours for a convolution, which reads the field itself instead.
        sizes: how many floats ("f") and doubles ("d") are needed.
    """

    def __init__(self, program: Program, *, double: bool) -> None:
        self.program, self.double, self.sizes = program, double, {"f": 0, "d": 0}
        self._free: dict[str, list[tuple[int, int]]] = {"f": [], "d": []}  # sorted: first number, size
        self._places: dict[int, tuple[str, int, int]] = {}
        used, users = program.used(), dict[int, list[Step]]()
        for number in used:
            for value in reads(program.steps[number]):
                users.setdefault(value.number, []).append(program.steps[number])
        results = {value.number for value in program.results.values()}
        self.convolutions = {
            number for number in used if number not in results and _convolves(program.steps[number], users[number])
        }
        self.order = [number for number in used if number not in self.convolutions]
        self._roots = {INPUT: INPUT}
        for number in self.order:
            source = self._source(program.steps[number])
            self._roots[number] = number if source is None else self._roots[source.number]
        self._last: dict[int, int] = {}
        for position, number in enumerate(self.order):
            for value in self.read(number):
                self._last[self._roots[value.number]] = position
        self._last |= {self._roots[number]: ALWAYS for number in results}

    def _source(self, step: Step) -> Value | None:
        """Return the value that has the same numbers as the result of a step, in the same order and precision, if any."""
        if isinstance(step, Cast) and self.double:
            return step.value
        same = isinstance(step, Gather) and np.array_equal(step.index.ravel(), np.arange(step.value.size))
        return step.value if same else None  # type: ignore[union-attr]

    def read(self, number: int) -> list[Value]:
        """Return the values that a step reads in C."""
        found = []
        for value in reads(self.program.steps[number]):
            step = self.program.steps[value.number] if value.number in self.convolutions else None
            found.append(step.value if isinstance(step, Gather) else value)
        return found

    def is_view(self, number: int) -> bool:
        """Whether nothing is computed for a step."""
        return self._roots[number] != number

    def same(self, left: Value, right: Value) -> bool:
        """Whether two values lie at the same place."""
        return self._roots[left.number] == self._roots[right.number]

    def array(self, value: Value) -> str:
        """Return f or d, the array in which a value lies."""
        return "d" if value.double or self.double else "f"

    def pointer(self, value: Value) -> str:
        """Return the C expression of the address of a value."""
        root = self._roots[value.number]
        if root == INPUT and self.double:
            return "x"
        array, first, _ = self._places[root]
        return f"{array} + {first}"

    def place(self, value: Value) -> str:
        """Reserve a place for a value; return its address."""
        array = self.array(value)
        self._places[value.number] = (array, self._reserve(array, value.size), value.size)
        return self.pointer(value)

    def temporary(self, array: str, size: int) -> str:
        """Return the address of a place that may be used until another place is reserved."""
        first = self._reserve(array, size)
        self._return(array, first, size)
        return f"{array} + {first}"

    def take_over(self, value: Value, old: Value, position: int) -> bool:
        """Give a value the place of another one if no later step reads that one; return whether it was given."""
        root = self._roots[old.number]
        if self._last[root] != position or (root == INPUT and self.double):
            return False
        self._places[value.number] = self._places.pop(root)
        return True

    def release(self, position: int) -> None:
        """Return the places of all values that no step after this position reads."""
        for root in [root for root in self._places if self._last.get(root, position) == position]:
            self._return(*self._places.pop(root))

    def _reserve(self, array: str, size: int) -> int:
        free = self._free[array]
        for place, (first, room) in enumerate(free):
            if room >= size:
                free[place : place + 1] = [(first + size, room - size)] if room > size else []
                return first
        first = self.sizes[array]
        if free and sum(free[-1]) == first:
            first = free.pop()[0]
        self.sizes[array] = first + size
        return first

    def _return(self, array: str, first: int, size: int) -> None:
        merged: list[tuple[int, int]] = []
        for start, room in sorted([*self._free[array], (first, size)]):
            if merged and sum(merged[-1]) == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + room)
            else:
                merged.append((start, room))
        self._free[array] = merged


def _convolves(step: Step, users: Sequence[Step]) -> bool:
    """Whether a step gathers neighbours on one or two axes, which only convolutions read."""
    if not (isinstance(step, Gather) and step.window is not None and len(step.window.grid) in (1, 2)):
        return False
    channels, rest = divmod(step.value.size, int(np.prod(step.window.grid)))
    only = all(isinstance(user, Linear) for user in users)
    return only and rest == 0 and np.array_equal(step.index, patches_of(step.window, channels))
