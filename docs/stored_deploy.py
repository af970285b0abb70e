"""Tables and the figure of the page on pruned networks in use, made from benchmarks/results/deploy; see `stored`."""

import statistics
from typing import Any

import stored
from IPython.display import Image

from deployment import tables
from deployment.networks import BATCHES, DENSE
from shared.tables import markdown_table


def results(part: str) -> dict[str, Any]:
    """Return what was measured in a part of the benchmark: recipes, large or small."""
    found: dict[str, Any] = stored.read(f"deploy/{part}.json")["results"]
    return found


def figure() -> Image:
    """Return the figure of error against speed."""
    return stored.picture(tables.draw(*(stored.read(f"deploy/{part}.json") for part in ("recipes", "large"))))


def pairs_sections(savings: bool) -> str:
    """Return a table for each pair under its name: sizes and times, or every network."""
    table = tables.savings_table if savings else tables.networks_table
    return "\n\n".join(f"`{pair}`:\n\n{table(networks)}" for pair, networks in results("recipes").items())


def counts_sentence() -> str:
    """Return how many weights structured networks have for one of the unstructured ones of the same recipe and sparsity."""
    ratios = [
        one["weights"] / networks[name.replace("structured", "unstructured")]["weights"]
        for networks in results("recipes").values()
        for name, one in networks.items()
        if name != DENSE and tables.parts_of(name)[2] == "structured"
    ]
    return (
        f"For one weight that is not 0 in an unstructured network, the structured one of the same recipe and sparsity has"
        f" {statistics.median(ratios):.2f} in the median; half of the ratios are {quartiles(ratios)}, and all are"
        f" {min(ratios):.2f} to {max(ratios):.2f}."
    )


def quartiles(values: list[float]) -> str:
    """Return the lower and the upper quartile in words."""
    low, _, high = statistics.quantiles(values, method="inclusive")
    return f"{low:.2f} to {high:.2f}"


def aims_table() -> str:
    """Return what was aimed at, and what was measured."""
    return tables.aims_table(results("large"), results("small"))


def references_table() -> str:
    """Return how many times faster sparse networks were in other libraries."""
    rows = [
        (name, *(f"{ratio:g}" for batch in map(str, BATCHES) for ratio in ratios[batch].values()))
        for name, ratios in tables.REFERENCES.items()
    ]
    sparsities = next(iter(tables.REFERENCES.values()))["1"]
    head = (f"batch {batch}, {100 * sparsity:g} %" for batch in BATCHES for sparsity in sparsities)
    return markdown_table(("", *head), rows)
