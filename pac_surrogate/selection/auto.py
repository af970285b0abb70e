"""The method `Auto`: it weighs candidates by their leave-one-out residuals and reports why."""

from collections.abc import Generator, Mapping
from typing import Any, ClassVar

import torch

from pac_surrogate.data.repeats import count_of
from pac_surrogate.methods.around.source_process import source_process
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.folds import LeaveOut
from pac_surrogate.methods.method import Adaptation, Method, NotApplicableError, needs_source
from pac_surrogate.methods.problems import Measure
from pac_surrogate.methods.pruned.pac import PAC
from pac_surrogate.methods.pulled.l2_sp import L2SP
from pac_surrogate.methods.tuned.atl import feature_statistics
from pac_surrogate.methods.tuned.fine_tune import FineTune
from pac_surrogate.methods.tuned.scratch import Scratch
from pac_surrogate.predictors import LeftOut, Mixture
from pac_surrogate.predictors.choice import Choice
from pac_surrogate.selection.candidates import candidates
from pac_surrogate.selection.stacking import mix
from pac_surrogate.utilities.arguments import settings

RATE = 3e-3  # learning rate of the trained candidates
TRAINED: Mapping[str, Method] = {
    "PAC": PAC(learning_rate=RATE),
    "PAC, sparsity 0.5": PAC(learning_rate=RATE, sparsity=0.5),
    "L2-SP, strength 0.1": L2SP(learning_rate=RATE, strength=0.1),
    "L2-SP, strength 0.01": L2SP(learning_rate=RATE, strength=0.01),
    "fine-tune": FineTune(learning_rate=RATE),
    "fine-tune, slow": FineTune(learning_rate=RATE / 3),
    "scratch": Scratch(learning_rate=RATE, strength=1e-3),
}


@settings
class Auto:
    """Choose among methods in closed form by their leave-one-out errors, and average the best.

    Candidates: the unchanged source, a shift, linear corrections and a Gaussian process on the residual; the same, and
    co-kriging, around a process of the source's samples where outputs are few;
    the tangent of the network with priors on readout, biases, single layers, essential, redundant and all weights, with the
    block kernel and the shared one; a process of the target alone; ATL. The prediction is their mean with weights that minimise
    the leave-one-out error, shrunk towards evidence weights (see `weigh`). The settings that a candidate tunes (a ratio, a
    ridge, length scales, layers) are tuned without the sample on which it is judged. Gaussian processes are candidates up to
    200 target samples, tangents up to 4,000.

    Source samples, where there are any, add the candidates that need them: ATL, which standardises features by them, and the
    process of the source's samples.

    Args:
        trained: also train PAC, L2-SP and fine-tuning with two settings each, and scratch with one, on all samples and without
            each of at most 10 parts of them, in one batch. Their residuals on the parts are compared with those of the closed
            forms. A method that diverges or does not apply is not a candidate. Takes minutes where closed forms take seconds.
    """

    trained: bool = False
    chooses: ClassVar[bool] = True  # chooses itself, so it cannot be a candidate of another choice
    leaves_out: ClassVar[bool] = True  # leaves samples out itself: its result holds the residuals that intervals need

    def adapt(self, case: Case) -> Adaptation:
        """Measure the source's features and fit its process; fit all candidates on the target, weigh them, and report why."""
        seen = () if case.source is None else (case.source,)
        surrogate, inputs = case.for_target(), count_of(case.group)
        network = surrogate.network
        if inputs < 2 and network.new_readout:
            raise NotApplicableError(
                f"a choice for outputs that the source lacks takes target samples of 2 different inputs, got {inputs}"
            )
        if inputs < 2:
            why = "no sample can be left out" if inputs else "there are no target samples"
            choice = Choice("source unchanged", "", f"the source as it is: {why}", ())
            return case.answer(surrogate, Mixture(torch.ones(1, dtype=torch.float64), (network,), choice), *seen)
        trained = (yield from _trained(case)) if self.trained else {}
        statistics = process = None
        if case.source is not None:
            statistics = yield Measure(feature_statistics, case.surrogate, case.source)
            process = yield Measure(source_process, case.surrogate, case.source)
        data = surrogate.scaling.standardise(case.target)
        found = candidates(surrogate, data, statistics, process, trained)
        return case.answer(surrogate, mix(found, case.group), *seen)


def _trained(case: Case) -> Generator[Any, Any, dict[str, LeftOut]]:
    """Train candidates for a case on all samples and without each part of them."""
    methods = {name: method for name, method in TRAINED.items() if case.source is not None or not needs_source(method)}
    outcomes = yield [(LeaveOut(method), case) for method in methods.values()]
    return {
        name: LeftOut(outcome.surrogate.predictor, outcome.surrogate.folds.residual)
        for name, outcome in zip(methods, outcomes, strict=True)
        if outcome.sound and outcome.surrogate.folds is not None
    }
