"""What a method may wait for: a Plan that is trained, a measurement, other methods at work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.plan import Plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.display import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Train(Shown):
    """Follow the gradient of a Plan; what comes back is the surrogate with the weights that it ends with.

    Attributes:
        surrogate: whose network the Plan is for; data are taken in its scales.
        plan: what to minimise.
        data: samples, of the surrogate's variables.
        steps: of Adam.
        learning_rate: of Adam, for the tensors of relative rate 1.
    """

    surrogate: Surrogate
    plan: Plan
    data: Dataset
    steps: int
    learning_rate: float = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class Measure(Shown):
    """Apply a pure function, function(surrogate, data, *settings); it is applied once for all who ask for the same.

    Attributes:
        function: defined at the top of a module: one function object is one measurement.
        surrogate: a network.
        data: samples, of the surrogate's variables; the function gets them in its scales.
        settings: plain values, further arguments.
    """

    function: Callable[..., Any]
    surrogate: Surrogate
    data: Dataset
    settings: tuple[Any, ...] = ()
