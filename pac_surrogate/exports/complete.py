"""The whole prediction of a surrogate as a program, from physical inputs to physical outputs."""

import math
from collections.abc import Sequence

import numpy as np

from pac_surrogate.data.scaling import Columns, Scaling
from pac_surrogate.exports.predictors import predicted
from pac_surrogate.exports.program import Program, Value
from pac_surrogate.files import Variable
from pac_surrogate.predictors import Predictor


def program_of(
    predictor: Predictor,
    scaling: Scaling,
    outputs: Sequence[Variable],
    given: tuple[np.ndarray, np.ndarray],
) -> Program:
    """Return a program that maps inputs to the result `y`, as `Surrogate.predict` does for arrays.

    A sample with an input that is not finite, or not positive on a logarithmic scale, has the prediction NaN in all outputs.

    Args:
        predictor: the map between standardised units.
        scaling: scaling to and from physical units.
        outputs: the output variables, whose bounds the results respect.
        given: for each column of the predictor's inputs, its place in the arrays; for each column of the arrays of outputs,
            its place among the predictor's.
    """
    program = Program(len(given[0]))
    x = standardised(program, scaling.inputs, program.gather(program.x, given[0].reshape(-1, 1)))
    y = predicted(program, predictor, x)
    y = restored(program, scaling.outputs, outputs, _poisoned(program, x, y))
    program.results["y"] = program.gather(y, given[1].reshape(-1, 1))
    return program


def standardised(program: Program, columns: Columns, x: Value) -> Value:
    """Convert physical to standardised units; see `Columns.standardise`."""
    x = _where(program, x, columns.logarithmic.numpy(), "log")
    mean, deviation = columns.mean.numpy(), columns.deviation.numpy()
    factor = 1 / np.where(deviation > 0, deviation, np.inf)
    return program.scale(program.scale(x, 1.0, -mean), factor)


def restored(program: Program, columns: Columns, outputs: Sequence[Variable], y: Value) -> Value:
    """Convert standardised to physical units, and project onto the bounds; see `surrogates.restored`."""
    y = program.scale(y, columns.deviation.numpy(), columns.mean.numpy())
    y = _where(program, y, columns.logarithmic.numpy(), "exp")
    sizes = [variable.size for variable in outputs]
    lower, upper = (
        np.repeat([end if (one := variable.bounds[side]) is None else one for variable in outputs], sizes)
        for side, end in enumerate((-math.inf, math.inf))
    )
    return program.clamp(y, lower, upper)


def _where(program: Program, value: Value, chosen: np.ndarray, function: str) -> Value:
    """Apply a function to some rows of a column, and leave the others as they are."""
    rows = [np.flatnonzero(one).reshape(-1, 1) for one in (chosen, ~chosen)]
    if not len(rows[0]):
        return value
    changed = program.apply(function, program.gather(value, rows[0]))
    if not len(rows[1]):
        return changed
    joined = program.join([changed, program.gather(value, rows[1])])
    return program.gather(joined, np.argsort(np.concatenate(rows).ravel(), kind="stable").reshape(-1, 1))


def _poisoned(program: Program, x: Value, y: Value) -> Value:
    """Add 0 times the sum of the inputs, which is 0, or NaN where an input is not a finite number."""
    nothing = program.linear(x, np.zeros((1, x.rows)))
    return program.add([y, program.gather(nothing, np.zeros((y.rows, 1), dtype=np.int64))])
