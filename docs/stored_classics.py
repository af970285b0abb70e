"""Tables of the page on the classic functions, made from benchmarks/results/classics; see `stored`."""

import csv
from functools import cache

import stored

from shared.tables import markdown_table
from two_fidelity import comparison
from two_fidelity.comparison import PEERS, Result
from two_fidelity.problems import PROBLEMS


@cache
def results() -> tuple[Result, ...]:
    """Return the stored fits in the order of the file."""
    with (stored.RESULTS / "classics" / "errors.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Result(row["function"], int(row["draw"]), row["method"], float(row["error"]), float(row["seconds"])) for row in rows
    )


def methods() -> list[str]:
    """Return the names of the methods, those of the other libraries first."""
    return sorted(dict.fromkeys(result.method for result in results()), key=lambda name: name not in PEERS)


def functions_table() -> str:
    """Return the functions with their numbers of inputs and samples."""
    rows = [
        (name, problem.title, len(problem.bounds), f"{problem.low_samples} + {problem.high_samples}")
        for name, problem in PROBLEMS.items()
    ]
    return markdown_table(("function", "what it is", "inputs", "low + high samples"), rows)


def error_table() -> str:
    """Return median errors, with the least of each function in bold, and the ratios to the better of the other libraries."""
    medians, names = comparison.medians_of(results()), methods()
    ratios = {name: comparison.ratios_of(medians, name) for name in comparison.JUDGED}
    rows = []
    for function, own in medians.items():
        least = min(error for error, _ in own.values())
        errors = (f"**{own[name][0]:.2g}**" if own[name][0] == least else f"{own[name][0]:.2g}" for name in names)
        rows.append((function, *errors, *(f"{ratio[function]:.2f}" for ratio in ratios.values())))
    return markdown_table(("function", *names, *(f"{name} / better" for name in ratios)), rows)


def seconds_table() -> str:
    """Return the median seconds of a fit with its predictions."""
    names = methods()
    rows = [
        (function, *(f"{own[name][1]:.1f}" for name in names)) for function, own in comparison.medians_of(results()).items()
    ]
    return markdown_table(("function", *names), rows)


def counts_table() -> str:
    """Return on how many functions the median error is at most some multiple of that of the better of the other libraries."""
    head = ("method", "draws", "functions", "lower", *(f"at most {limit} times" for limit in comparison.LIMITS))
    groups = {"all eight": results()}
    for name, numbers in comparison.STORED.items():
        groups[name.removeprefix("draws ")] = tuple(result for result in results() if result.draw in numbers)
    medians = {name: comparison.medians_of(group) for name, group in groups.items()}
    both = [(method, name) for method in comparison.JUDGED for name in medians]
    rows = [(method, name, len(medians[name]), *comparison.counts_of(medians[name], method)) for method, name in both]
    return markdown_table(head, rows)


def versions_sentence() -> str:
    """Return a sentence with the versions of the other libraries."""
    versions = stored.read("classics/peers.json")["config"]["versions"]
    return f"The versions are {stored.listed(f'{name} {version}' for name, version in versions.items())}."
