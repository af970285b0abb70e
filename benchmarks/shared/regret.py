"""From errors to regret: the choice against the best method in hindsight, the coverage of its intervals, and figures."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pac_surrogate.plots.style import ZERO, in_style
from shared.tables import markdown_table, write_csv
from simulators.pairs import find_pair

HALVES = ("tuned", "reported")
SMALL = 8  # number of target samples from which a cell counts as large
SHOWN = (0.2, 5.0)  # limits of the ratios in the figure
GUARD = 1.05  # transfer is negative if the error is above this factor times the better of scratch and unchanged source
NAMED = {"fine_tune": "fine-tune", "scratch": "scratch", "source": "source unchanged"}


@dataclass(frozen=True)
class Cell:
    """One pair, size and seed.

    Attributes:
        pair, half, kind: name of the pair, its half (of HALVES) and its kind of shift.
        auto: size, seed, chosen, error, seconds, covered_<level>, width_<level> of the choice.
        errors: errors of the methods by name; a method that is n/a is left out.
    """

    pair: str
    half: str
    kind: str
    auto: dict[str, Any]
    errors: dict[str, float]

    @property
    def best(self) -> str:
        """The best method in hindsight."""
        return min(self.errors, key=self.errors.__getitem__)

    def ratio(self, method: str | None = None) -> float:
        """Return the error of the choice over that of a method, by default the best one in hindsight."""
        return self.auto["error"] / self.errors[method or self.best]

    @property
    def negative(self) -> bool:
        """Whether the error of the choice is more than 1.05 times that of the better of scratch and unchanged source."""
        least = min(self.errors[name] for name in ("scratch", "source unchanged") if name in self.errors)
        return self.auto["error"] > GUARD * least


def write_cells(cells: Sequence[Cell], out: Path, levels: Sequence[float]) -> None:
    """Write choice.csv with a row for each cell, and coverage.csv with a row for each cell and level."""
    names = ("pair", "half", "size", "seed", "chosen", "error", "best_method", "best_error", *NAMED, "covered_90", "width_90")
    rows = []
    for cell in cells:
        auto = cell.auto
        row = [cell.pair, cell.half, auto["size"], auto["seed"], auto["chosen"], auto["error"], cell.best]
        row += [cell.errors[cell.best], *(cell.errors.get(name) for name in NAMED.values())]
        rows.append([*row, auto["covered_0.9"], auto["width_0.9"], round(auto["seconds"], 3)])
    write_csv(out / "choice.csv", (*names, "seconds"), rows, digits=6)
    rows = [
        [cell.pair, cell.half, cell.auto["size"], cell.auto["seed"], level]
        + [cell.auto[f"{what}_{level:g}"] for what in ("covered", "width")]
        for cell in cells
        for level in levels
        if cell.auto[f"covered_{level:g}"] is not None
    ]
    write_csv(out / "coverage.csv", ("pair", "half", "size", "seed", "level", "covered", "width"), rows, digits=6)


def read_cells(choice: Path, covered: Path) -> list[Cell]:
    """Return the cells of a finished run from the files that `write_cells` has written.

    They hold the errors of the best method in hindsight and of the methods of NAMED, but not those of all other methods.
    """

    def rows(path: Path) -> list[dict[str, str]]:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    intervals: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows(covered):
        found = intervals.setdefault((row["pair"], row["size"], row["seed"]), {})
        found |= {f"{what}_{float(row['level']):g}": float(row[what]) for what in ("covered", "width")}
    cells = []
    for row in rows(choice):
        auto: dict[str, Any] = {"size": int(row["size"]), "seed": int(row["seed"]), "chosen": row["chosen"]}
        auto |= {"error": float(row["error"]), "seconds": float(row["seconds"])}
        auto |= intervals.get((row["pair"], row["size"], row["seed"]), {})
        errors = {name: float(row[column]) for column, name in NAMED.items() if row[column]}
        errors[row["best_method"]] = float(row["best_error"])
        cells.append(Cell(row["pair"], row["half"], find_pair(row["pair"]).shift, auto, errors))
    return cells


def report_cells(cells: Sequence[Cell], levels: Sequence[float]) -> dict[str, Any]:
    """Print regret and coverage as tables, and return their numbers."""
    print("\nregret: error of auto over that of the best method in hindsight, cell by cell (pair, size, seed)")
    summary = regret(cells)
    print(regret_table(summary))
    print("\nauto against each method: geometric mean of the ratio of errors, and % of cells in which auto is better")
    methods = against_methods(cells)
    print(methods_table(methods))
    print("\nregret of each pair by n, and coverage of its 90 % intervals at n >= 10")
    pairs = by_pair(cells)
    print(pairs_table(pairs, sorted({cell.auto["size"] for cell in cells})))
    print("\ncoverage of the intervals, %, and in brackets their median width over the standard deviation of the outputs")
    covered = coverage(cells, levels)
    print(coverage_table(covered))
    return {**summary, "methods": methods, "pairs": pairs, "coverage": covered}


def regret(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return the regret and the fractions of cells with a better result, by half and size: "half, n < 8" -> numbers."""
    found = {}
    for half in HALVES:
        for label, chosen in _sizes([cell for cell in cells if cell.half == half]):
            ratios = np.array([cell.ratio() for cell in chosen])
            against = [cell.ratio("fine-tune") < 1 for cell in chosen if "fine-tune" in cell.errors]
            found[f"{half}, {label}"] = {
                "cells": len(chosen),
                "geometric_mean": geometric(ratios),
                "median": float(np.median(ratios)),
                "percentile_90": float(np.quantile(ratios, 0.9)),
                "better_than_fine_tune": float(np.mean(against)),
                "negative_transfer": float(np.mean([cell.negative for cell in chosen])),
            }
    return found


def regret_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what `regret` returns as Markdown."""
    columns = ("cells", "geometric mean", "median", "90th percentile", "better than fine-tune, %", "negative transfer, %")
    rows = []
    for name, numbers in found.items():
        middle = (f"{numbers['geometric_mean']:.3f}", f"{numbers['median']:.3f}", f"{numbers['percentile_90']:.2f}")
        percentages = (f"{100 * numbers['better_than_fine_tune']:.0f}", f"{100 * numbers['negative_transfer']:.1f}")
        rows.append((*name.split(", "), numbers["cells"], *middle, *percentages))
    return markdown_table(("half", "n", *columns), rows)


def _sizes(cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    parts = {f"n < {SMALL}": [c for c in cells if c.auto["size"] < SMALL]}
    parts[f"n >= {SMALL}"] = [c for c in cells if c.auto["size"] >= SMALL]
    return [(label, part) for label, part in parts.items() if part]


def against_methods(cells: Sequence[Cell]) -> dict[str, dict[str, float]]:
    """Return the error of auto over that of each fixed method: "method, half" -> ratio and fraction of cells."""
    found = {}
    for name in sorted({name for cell in cells for name in cell.errors}):
        for half in HALVES:
            ratios = np.array([c.ratio(name) for c in cells if c.half == half and name in c.errors])
            if len(ratios):
                found[f"{name}, {half}"] = {"ratio": geometric(ratios), "better": float(np.mean(ratios < 1))}
    return found


def methods_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return what `against_methods` returns as Markdown, with a row for each method."""
    rows = []
    for name in dict.fromkeys(key.rpartition(", ")[0] for key in found):
        row = [name]
        for half in HALVES:
            own = found.get(f"{name}, {half}")
            row += [f"{own['ratio']:.2f}", f"{100 * own['better']:.0f}"] if own else ["", ""]
        rows.append(row)
    return markdown_table(("method", *(f"{half}, {what}" for half in HALVES for what in ("ratio", "%"))), rows)


def by_pair(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return the regret of each pair by size, and the coverage at 90 %."""
    sizes = sorted({cell.auto["size"] for cell in cells})
    found: dict[str, dict[str, Any]] = {}
    for pair in dict.fromkeys(cell.pair for cell in cells):
        own = [cell for cell in cells if cell.pair == pair]
        ratios = [geometric(np.array([c.ratio() for c in own if c.auto["size"] == n])) for n in sizes]
        covered = _mean([c.auto.get("covered_0.9") for c in own if c.auto["size"] >= 10])
        found[pair] = {"half": own[0].half, "kind": own[0].kind, "regret": ratios, "covered_90": covered}
    return found


def pairs_table(found: Mapping[str, Mapping[str, Any]], sizes: Sequence[int]) -> str:
    """Return what `by_pair` returns as Markdown, with a row for each pair."""
    rows = []
    for pair, numbers in found.items():
        covered = numbers["covered_90"]
        shown = "" if covered is None else f"{100 * covered:.0f}"
        rows.append((pair, numbers["half"], *(f"{value:.2f}" for value in numbers["regret"]), shown))
    return markdown_table(("pair", "half", *(f"n = {n}" for n in sizes), "covered, %"), rows)


def coverage(cells: Sequence[Cell], levels: Sequence[float]) -> dict[str, dict[str, float]]:
    """Return the mean coverage and the median width: "half, level, n = size" -> numbers; impossible levels are left out."""
    sizes = sorted({cell.auto["size"] for cell in cells})
    groups = {f"n = {n}": (n,) for n in sizes} | {"n >= 10": tuple(n for n in sizes if n >= 10)}
    found = {}
    for half in HALVES:
        for level in levels:
            for label, inside in groups.items():
                own = [c.auto for c in cells if c.half == half and c.auto["size"] in inside]
                covered = _mean([auto.get(f"covered_{level:g}") for auto in own])
                widths = [auto[f"width_{level:g}"] for auto in own if auto.get(f"width_{level:g}") is not None]
                if covered is not None:
                    found[f"{half}, {level:g}, {label}"] = {"covered": covered, "width": float(np.median(widths))}
    return found


def coverage_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return what `coverage` returns as Markdown, with a row for each half and level."""
    labels = sorted({key.split(", ")[2] for key in found}, key=lambda label: (">" in label, int(label.split()[-1])))
    rows = []
    for half, level in dict.fromkeys(tuple(key.split(", ")[:2]) for key in found):
        row = []
        for label in labels:
            own = found.get(f"{half}, {level}, {label}")
            row.append(f"{100 * own['covered']:.1f} ({own['width']:.2f})" if own else "")
        rows.append((half, f"{100 * float(level):g}", *row))
    return markdown_table(("half", "level, %", *labels), rows)


def geometric(ratios: Float[np.ndarray, " cell"]) -> float:
    """Return the geometric mean, or NaN of no ratios."""
    return float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else float("nan")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _panels(cells: Sequence[Cell]) -> tuple[Figure, list[tuple[Axes, str]]]:
    """Return a figure with a panel for each half that has cells."""
    halves = [half for half in HALVES if any(cell.half == half for cell in cells)]
    figure, axes = plt.subplots(1, len(halves), figsize=(5.2 * len(halves), 4), sharey=True, squeeze=False)
    return figure, list(zip(axes[0], halves, strict=True))


@in_style()
def draw_regret(cells: Sequence[Cell]) -> Figure:
    """Draw the regret of each cell against n, with triangles for ratios outside the axis."""
    sizes = sorted({cell.auto["size"] for cell in cells})
    figure, panels = _panels(cells)
    for axis, half in panels:
        own = [[c.ratio() for c in cells if c.half == half and c.auto["size"] == n] for n in sizes]
        axis.boxplot(own, whis=(10, 90), showfliers=False, tick_labels=[str(n) for n in sizes])
        for place, ratios in enumerate(own, start=1):
            across, seen = place + np.linspace(-0.2, 0.2, len(ratios)), np.clip(ratios, *SHOWN)
            for marker, inside in ((".", seen == ratios), ("^", seen < ratios), ("v", seen > ratios)):
                axis.plot(across[inside], seen[inside], marker, color="C0", alpha=0.35, markersize=4)
        axis.axhline(1, **ZERO)
        axis.set_yscale("log")
        axis.set_ylim(SHOWN[0] / 1.1, SHOWN[1] * 1.1)
        axis.set_yticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_title(f"{half} half: {len({c.pair for c in cells if c.half == half})} pairs")
        axis.set_xlabel("target samples n")
    panels[0][0].set_ylabel("error of auto / best method in hindsight")
    figure.tight_layout()
    return figure


@in_style()
def draw_coverage(cells: Sequence[Cell], levels: Sequence[float]) -> Figure:
    """Draw the fraction of the test outputs inside the intervals against n, for each level."""
    sizes = sorted({cell.auto["size"] for cell in cells})
    figure, panels = _panels(cells)
    for axis, half in panels:
        for place, level in enumerate(levels):
            colour, at, middle = f"C{place}", [], []
            for n in sizes:
                pairs = [
                    _mean([c.auto.get(f"covered_{level:g}") for c in cells if (c.pair, c.auto["size"]) == (pair, n)])
                    for pair in dict.fromkeys(c.pair for c in cells if c.half == half)
                ]
                known = [p for p in pairs if p is not None]
                if known:
                    axis.plot([n] * len(known), known, ".", color=colour, alpha=0.35, markersize=5)
                    at.append(n)
                    middle.append(float(np.mean(known)))
            axis.plot(at, middle, "o-", color=colour, markersize=4, label=f"{100 * level:g} %")
            axis.axhline(level, color=colour, linestyle=":", linewidth=1)
        axis.set_xscale("log")
        axis.set_xticks(sizes, [str(n) for n in sizes])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("target samples n")
        axis.set_title(f"{half} half: mean, and pairs as dots")
    panels[0][0].set_ylabel("fraction of test outputs inside the interval")
    panels[0][0].legend(title="nominal")
    figure.tight_layout()
    return figure
