"""Measurement of several ways to compute the same result: they are timed in turn, and their results are compared."""

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
    """Run two ways in turn, ours first; return their seconds, busy cores, and ratios of times per sample (theirs / ours)."""
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
        ValueError: if they differ by more than 10 times our error (and by more than `floor`), or if our error is above 1 %.
    """
    if not ours <= 0.01:
        raise ValueError(f"{name}: our relative L2 error is {ours:.1e}, but must be at most 0.01: take shorter steps")
    if not difference <= max(10 * ours, floor):
        raise ValueError(
            f"{name}: solutions differ by {difference:.1e} (relative L2), but at most ten times our error of {ours:.1e} is"
            " allowed: their equations or schemes are not the same; compare signs and factors"
        )
