"""Searches cut to a few steps, which changes the numbers and not what is compared with what."""

import pytest

from pac_surrogate.processes import fits, joint
from pac_surrogate.processes.maximise import maximise

ITERATIONS = 3


def shorten_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut every search for the hyper-parameters of a Gaussian process to a few steps from each of its starts."""

    def shorter(function, start, bounds):
        return maximise(function, start, bounds, iterations=ITERATIONS)

    for module in (fits, joint):
        monkeypatch.setattr(module, "maximise", shorter)
