"""Times of several ways to compute the same, measured in turn so that all of them meet the same state of the machine.

The time of a call is that of the thread that computes: other processes that use the same core do not lengthen it, except by
what they take of the caches. Windows counts this time in steps of 16 ms, so that there the time on the clock is measured.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pac_surrogate.utilities.process import one_thread, own_settings

BLOCK_SECONDS = 0.005  # of each block of calls of one engine, after one call that brings its numbers into the cache
ROUNDS = (5, 51)  # fewest and most blocks of each engine
CLOCK = time.perf_counter if os.name == "nt" else time.thread_time
Quartiles = tuple[float, float, float]  # median, lower and upper quartile


@dataclass(frozen=True)
class Measurement:
    """What was measured of one engine.

    Attributes:
        engine: its name.
        microseconds: time of a call; median, lower and upper quartile.
        ratio: how many times faster it is than the dense network in torch, in the same round; quartiles likewise.
        deviation: largest difference from `Surrogate.predict`, in standard deviations of the output.
    """

    engine: str
    microseconds: Quartiles
    ratio: Quartiles
    deviation: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def time_in_turn(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, np.ndarray]:
    """Measure calls with one thread in turn, block by block, for about so many seconds.

    Returns:
        Seconds of a call by name, one number for each round.
    """
    with own_settings(gradients=False), one_thread(), threadpool_limits(1):
        repeats = {}
        for name, call in calls.items():
            call()  # compiles and allocates
            repeats[name] = max(1, round(BLOCK_SECONDS / _seconds(call, 1)))
        took: dict[str, list[float]] = {name: [] for name in calls}
        begun = time.perf_counter()
        while len(next(iter(took.values()))) < ROUNDS[0] or (
            time.perf_counter() - begun < seconds and len(next(iter(took.values()))) < ROUNDS[1]
        ):
            for name, call in calls.items():
                call()
                took[name].append(_seconds(call, repeats[name]))
    return {name: np.array(times) for name, times in took.items()}


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    """Return the seconds of one of several calls."""
    begun = CLOCK()
    for _ in range(repeats):
        call()
    return max(CLOCK() - begun, 1e-9) / repeats


def measurements(took: Mapping[str, np.ndarray], deviations: Mapping[str, float], dense: str) -> tuple[Measurement, ...]:
    """Return what was measured of each engine; ratios are those to the engine `dense` of the same round."""
    return tuple(
        Measurement(name, _quartiles(1e6 * times), _quartiles(took[dense] / times), deviations[name])
        for name, times in took.items()
    )


def _quartiles(values: np.ndarray) -> Quartiles:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return middle, low, high


def as_table(rows: Sequence[Measurement], chosen: str, notes: Sequence[str]) -> str:
    """Return measurements as plain text, with an asterisk at the engine that was chosen."""
    width = max(len(row.engine) for row in rows)
    lines = [f"  {'engine':{width}}  {'microseconds a call':>31}  {'times as fast as torch':>24}  {'deviation':>9}"]
    for row in rows:
        each = [f"{row.microseconds[0]:.1f} ({row.microseconds[1]:.1f} to {row.microseconds[2]:.1f})"]
        each.append(f"{row.ratio[0]:.2f} ({row.ratio[1]:.2f} to {row.ratio[2]:.2f})")
        mark = "*" if row.engine == chosen else " "
        lines.append(f"{mark} {row.engine:{width}}  {each[0]:>31}  {each[1]:>24}  {row.deviation:9.1e}")
    return "\n".join([*lines, *(f"  {note}" for note in notes)])
