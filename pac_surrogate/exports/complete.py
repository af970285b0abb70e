"""The whole prediction of a surrogate as a program, from physical inputs to physical outputs."""

from collections.abc import Sequence

import numpy as np

from pac_surrogate.data.scaling import Columns, Scaling
from pac_surrogate.exports.predictors import predicted
from pac_surrogate.exports.program import Program, Value
from pac_surrogate.exports.variances import variance
from pac_surrogate.files import Variable
from pac_surrogate.files.variables import bounds_of_columns
from pac_surrogate.predictors import Predictor


def program_of(
    predictor: Predictor,
    scaling: Scaling,
    outputs: Sequence[Variable],
    given: tuple[np.ndarray, np.ndarray],
    *,
    deviation: bool = False,
) -> Program:
    """Return a program that maps inputs to the result `y`, as `Surrogate.predict` does for arrays.

    A sample with an input that is not finite, or not positive on a logarithmic scale, has the prediction NaN in all outputs.

    Args:
        predictor: the map between standardised units.
        scaling: scaling to and from physical units.
        outputs: the output variables, whose bounds the results respect.
        given: for each column of the predictor's inputs, its place in the arrays; for each column of the arrays of outputs,
            its place among the predictor's.
        deviation: whether to add the result `std`, the root of the variance of `Surrogate.posterior`, without noise.

    Raises:
        NotExportableError: if the predictor cannot be written as a program, or has no posterior variance.
    """
    program = Program(len(given[0]))
    x = standardised(program, scaling.inputs, program.gather(program.x, given[0].reshape(-1, 1)))
    standard = _poisoned(program, x, predicted(program, predictor, x))
    y = restored(program, scaling.outputs, outputs, standard)
    program.results["y"] = program.gather(y, given[1].reshape(-1, 1))
    if deviation:
        known = _poisoned(program, x, variance(program, predictor, x))
        std = _deviation(program, scaling.outputs, standard, known)
        program.results["std"] = program.gather(std, given[1].reshape(-1, 1))
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
    return program.clamp(y, *bounds_of_columns(outputs))


def _deviation(program: Program, columns: Columns, standard: Value, variance: Value) -> Value:
    """Return the deviation in physical units: on a logarithmic scale, that of a lognormal distribution.

        (exp(v) - 1) exp(2 m + v),   exp(v) - 1 = tanh(v / 2) (exp(v) + 1)

    The second form has no cancellation where v is small.
    """
    unit, curved = columns.deviation.numpy(), columns.logarithmic.numpy()
    physical = program.scale(variance, unit**2)
    if curved.any():
        logarithm = program.scale(standard, 2 * unit, 2 * columns.mean.numpy())
        grown = program.apply("exp", program.add([logarithm, physical]))
        excess = program.multiply(
            program.apply("tanh", program.scale(physical, 0.5)), program.scale(program.apply("exp", physical), 1.0, 1.0)
        )
        both = program.join([physical, program.multiply(excess, grown)])
        rows = np.arange(len(unit))
        physical = program.gather(both, np.where(curved, rows + len(unit), rows).reshape(-1, 1))
    return program.apply("sqrt", physical)


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
