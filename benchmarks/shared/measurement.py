"""How ways to the same answer are timed in turn, and how their answers are compared."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

Record = dict[str, Any]
Way = Callable[[], tuple[float, float]]  # one run: wall-clock seconds, processor seconds


def timed(run: Callable[[], object]) -> Way:
    def way() -> tuple[float, float]:
        began, worked = time.perf_counter(), time.process_time()
        run()
        return time.perf_counter() - began, time.process_time() - worked

    return way


def compare(rounds: int, ways: dict[str, Way], samples: dict[str, int]) -> Record:
    """Run two ways, ours first, in turn; return their seconds and the ratios of their times for a sample."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            runs[name].append(way())
    seconds = {name: [wall for wall, _ in found] for name, found in runs.items()}
    cores = {name: sum(cpu for _, cpu in found) / sum(seconds[name]) for name, found in runs.items()}
    ours, theirs = ([wall / samples[name] for wall in seconds[name]] for name in ways)
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {"samples": samples, "seconds": seconds, "cores": cores, "ratios": ratios}


def errors(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    difference = found.astype(float) - true
    return {"largest": float(np.abs(difference).max()), "relative": float(np.linalg.norm(difference) / np.linalg.norm(true))}


def agree(name: str, difference: float, ours: float, floor: float) -> None:
    """Check that two solvers solve the same equation.

    Raises:
        ValueError: if they differ by more than 10 errors of ours, or ours errs by more than 1 %.
    """
    if not ours <= 0.01:
        raise ValueError(f"{name}: ours errs by {ours:.1e} (relative L2), 0.01 at most is compared: take shorter steps")
    if not difference <= max(10 * ours, floor):
        raise ValueError(
            f"{name}: solutions differ by {difference:.1e} (relative L2) where ours errs by {ours:.1e}, ten times that is"
            " allowed: they are not of one equation, or scheme; compare signs and factors"
        )
