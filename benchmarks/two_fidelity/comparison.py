"""Errors of methods on the functions as tables and as a figure."""

import math
from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pac_surrogate.plots.style import COLOURS, MARKERS, in_style

PEERS = ("emukit", "SMT")
JUDGED = ("co-kriging", "auto")  # methods that are compared with the better of the peers
# Draws for which the results of the peers are stored, in two groups that show how much chance there is in a median.
STORED = {"draws 0 to 2": range(3), "draws 100 to 104": range(100, 105)}
LIMITS = (1.1, 1.2, 1.5)  # ratios up to which functions are counted


class Result(NamedTuple):
    """One fit: RMSE over the standard deviation of the test values (NaN if the fit failed), and seconds."""

    function: str
    draw: int
    method: str
    error: float
    seconds: float


Medians = dict[str, dict[str, tuple[float, float]]]  # error and seconds by function and method


def medians_of(results: Sequence[Result]) -> Medians:
    """Return median error and seconds over draws, in the order of the results; a failed fit has an infinite error."""
    found: Medians = {}
    order = {name: place for place, name in enumerate(dict.fromkeys(result.function for result in results))}
    for (function, method), group in groupby(
        sorted(results, key=lambda result: (order[result.function], result.method)), key=lambda r: (r.function, r.method)
    ):
        own = list(group)
        error = median(math.inf if math.isnan(result.error) else result.error for result in own)
        found.setdefault(function, {})[method] = (error, median(result.seconds for result in own))
    return found


def ratios_of(medians: Medians, method: str) -> dict[str, float]:
    """Return by function the median error of a method over the smaller one of the peers, where all of them have a result."""
    return {
        function: own[method][0] / min(own[peer][0] for peer in PEERS)
        for function, own in medians.items()
        if {method, *PEERS} <= own.keys()
    }


def cells(results: Sequence[Result], methods: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of the table: median error with median seconds in brackets, and the ratios."""
    medians = medians_of(results)
    ratios = {name: ratios_of(medians, name) for name in JUDGED if name in methods}
    head = ("function", *methods, *(f"{name} / better peer" for name in ratios))
    rows = []
    for function, own in medians.items():
        errors = (f"{own[name][0]:.2g} ({own[name][1]:.1f} s)" if name in own else "-" for name in methods)
        rows.append((function, *errors, *(f"{ratio[function]:.2f}" if function in ratio else "-" for ratio in ratios.values())))
    return head, rows


def counts_of(medians: Medians, method: str) -> tuple[int, ...]:
    """Return on how many functions the error of a method is below that of the better peer, and at most LIMITS times it."""
    ratios = list(ratios_of(medians, method).values())
    return sum(ratio < 1 for ratio in ratios), *(sum(ratio <= limit for ratio in ratios) for limit in LIMITS)


def count_sentences(results: Sequence[Result]) -> list[str]:
    """Return `counts_of` each judged method in words."""
    sentences, medians = [], medians_of(results)
    limits = ("lower", *(f"at most {limit} times it" for limit in LIMITS))
    for name in JUDGED:
        counts = ", ".join(f"{limit} on {count}" for limit, count in zip(limits, counts_of(medians, name), strict=True))
        compared = len(ratios_of(medians, name))
        if compared:
            sentences.append(f"{name}: of {compared} functions, beside the better peer's, the median error is {counts}")
    return sentences


@in_style()
def draw_errors(results: Sequence[Result], methods: Sequence[str]) -> Figure:
    """Draw the error of each method on each function: a point for each draw, a line at the median."""
    functions = list(dict.fromkeys(result.function for result in results))
    figure = Figure(figsize=(max(5.0, 0.85 * len(functions) + 1), 4.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(methods)
    medians = medians_of(results)
    for place, method in enumerate(methods):
        colour = COLOURS[place % len(COLOURS)]
        centres = {function: i + (place - (len(methods) - 1) / 2) * width for i, function in enumerate(functions)}
        own = [result for result in results if result.method == method]
        places, errors = [centres[result.function] for result in own], [result.error for result in own]
        axes.plot(places, errors, MARKERS[place % len(MARKERS)], color=colour, markersize=3.5, label=method)
        for function, centre in centres.items():
            if method in medians[function]:
                axes.hlines(medians[function][method][0], centre - width / 2, centre + width / 2, color=colour)
    axes.set(yscale="log", ylabel="RMSE / standard deviation on test points", xlim=(-0.6, len(functions) - 0.4))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.set_xticks(range(len(functions)), functions, rotation=35, ha="right", rotation_mode="anchor")
    figure.legend(loc="outside upper center", ncols=len(methods))
    return figure
