"""Predictors as programs, from standardised inputs to standardised outputs."""

from pac_surrogate.exports.networks import NotExportableError, network
from pac_surrogate.exports.program import Program, Value
from pac_surrogate.predictors import Network, Predictor


def predicted(program: Program, predictor: Predictor, x: Value) -> Value:
    """Add the steps of a predictor, and return its prediction in double precision.

    Raises:
        NotExportableError: if the predictor cannot be written as a program.
    """
    match predictor:
        case Network():
            import torch

            own = network(program, predictor, program.cast(x, double=predictor.dtype == torch.float64))
            return program.cast(own.prediction, double=True)
        case _:
            raise NotExportableError(f"a {type(predictor).__name__} has no program yet")
