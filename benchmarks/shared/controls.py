"""Controls: methods that give another method what a rival has received, so that the rest of the difference can be seen."""

from dataclasses import replace
from typing import ClassVar

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Positive
from pac_surrogate.methods.method import Adaptation, Method, learns_outputs, needs_target
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class TrainedLonger:
    """Train all weights of the dense source further on the source samples, then let a method adapt this source.

    This is the control of methods that train on the source before they see the target, such as PAC in its step Allocate. It has
    as many steps on the source, but prunes and freezes no weight. The runner makes equal trainings once, whatever the method.

    Args:
        method: the method that adapts the source.
        steps: gradient steps on the source, by default those of the budget.
        learning_rate: learning rate of Adam on the source.
    """

    method: Method
    steps: int | None = None
    learning_rate: Positive = 1e-3

    needs_source: ClassVar[bool] = True

    @property
    def needs_target(self) -> bool:
        """Whether the method needs target samples."""
        return needs_target(self.method)

    @property
    def learns_outputs(self) -> bool:
        """Whether the method learns outputs."""
        return learns_outputs(self.method)

    def adapt(self, case: Case) -> Adaptation:
        """Train the source, then wait for the method; its steps on the source are added to those of this training."""
        asked = case.on_source(case.surrogate, make_plan(case.surrogate.weights), self.learning_rate)
        asked = asked if self.steps is None else replace(asked, steps=self.steps)
        longer = yield asked
        (found,) = yield [(self.method, replace(case, surrogate=longer))]
        method = replace(self, method=found.method)
        return replace(found, method=method, source_steps=asked.steps + found.source_steps)
