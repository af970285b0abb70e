"""The problems that a method may pose to the runner: the training of a Plan, and a measurement."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.plan import Plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.display import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Train(Shown):
    """The training of a Plan by gradient descent; its solution is the surrogate with the trained weights.

    A method that needs the trained tensors of a reparametrised Plan sets `with_tensors`; the solution is then the pair
    (surrogate, tensors).

    Attributes:
        surrogate: the surrogate whose network is trained; data are standardised by its scales.
        plan: the objective, the start and the trainable weights.
        data: samples of the surrogate's variables.
        steps: number of steps of Adam.
        learning_rate: learning rate of Adam, for the tensors of relative rate 1.
        with_tensors: whether the solution includes the trained tensors.
    """

    surrogate: Surrogate
    plan: Plan
    data: Dataset
    steps: int
    learning_rate: float = 1e-3
    with_tensors: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Measure(Shown):
    """The call of a pure function, function(surrogate, data, *settings), which is made once for all methods that need it.

    Attributes:
        function: a function defined at the top level of a module, as equal measurements must have the same function object.
        surrogate: a surrogate that is a network.
        data: samples of the surrogate's variables; the function receives them in the surrogate's scales.
        settings: further arguments, plain values.
    """

    function: Callable[..., Any]
    surrogate: Surrogate
    data: Dataset
    settings: tuple[Any, ...] = ()
