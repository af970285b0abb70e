"""From errors to regret: the choice against the best method in hindsight, the coverage of its intervals, and figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.ticker import NullFormatter

from pac_surrogate.plots.style import ZERO, in_style
from shared.figures import write_figure
from shared.tables import markdown_table, write_csv

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


def report_cells(cells: Sequence[Cell], levels: Sequence[float]) -> dict[str, Any]:
    """Print regret and coverage as tables, and return their numbers."""
    summary: dict[str, Any] = {}
    print("\nregret: error of auto over that of the best method in hindsight, cell by cell (pair, size, seed)")
    head = (
        "half",
        "n",
        "cells",
        "geometric mean",
        "median",
        "90th percentile",
        "better than fine-tune, %",
        "negative transfer, %",
    )
    rows = []
    for half in HALVES:
        for label, chosen in _sizes([cell for cell in cells if cell.half == half]):
            ratios = np.array([cell.ratio() for cell in chosen])
            against = [cell.ratio("fine-tune") < 1 for cell in chosen if "fine-tune" in cell.errors]
            found = {
                "cells": len(chosen),
                "geometric_mean": geometric(ratios),
                "median": float(np.median(ratios)),
                "percentile_90": float(np.quantile(ratios, 0.9)),
                "better_than_fine_tune": float(np.mean(against)),
                "negative_transfer": float(np.mean([cell.negative for cell in chosen])),
            }
            summary[f"{half}, {label}"] = found
            middle = (f"{found['geometric_mean']:.3f}", f"{found['median']:.3f}", f"{found['percentile_90']:.2f}")
            percentages = (f"{100 * found['better_than_fine_tune']:.0f}", f"{100 * found['negative_transfer']:.1f}")
            rows.append((half, label, found["cells"], *middle, *percentages))
    print(markdown_table(head, rows))
    summary["methods"] = _against_methods(cells)
    summary["pairs"] = _by_pair(cells)
    summary["coverage"] = _coverage(cells, levels)
    return summary


def _sizes(cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    parts = {f"n < {SMALL}": [c for c in cells if c.auto["size"] < SMALL]}
    parts[f"n >= {SMALL}"] = [c for c in cells if c.auto["size"] >= SMALL]
    return [(label, part) for label, part in parts.items() if part]


def _against_methods(cells: Sequence[Cell]) -> dict[str, Any]:
    """Print and return the error of auto over that of each fixed method."""
    print("\nauto against each method: geometric mean of the ratio of errors, and % of cells in which auto is better")
    found: dict[str, Any] = {}
    rows = []
    for name in sorted({name for cell in cells for name in cell.errors}):
        row = [name]
        for half in HALVES:
            ratios = np.array([c.ratio(name) for c in cells if c.half == half and name in c.errors])
            if len(ratios):
                found[f"{name}, {half}"] = {"ratio": geometric(ratios), "better": float(np.mean(ratios < 1))}
                row += [f"{geometric(ratios):.2f}", f"{100 * np.mean(ratios < 1):.0f}"]
            else:
                row += ["", ""]
        rows.append(row)
    print(markdown_table(("method", *(f"{half}, {what}" for half in HALVES for what in ("ratio", "%"))), rows))
    return found


def _by_pair(cells: Sequence[Cell]) -> dict[str, Any]:
    """Print and return the regret of each pair by size, and the coverage at 90 %."""
    sizes = sorted({cell.auto["size"] for cell in cells})
    print("\nregret of each pair by n, and coverage of its 90 % intervals at n >= 10")
    found: dict[str, Any] = {}
    rows = []
    for pair in dict.fromkeys(cell.pair for cell in cells):
        own = [cell for cell in cells if cell.pair == pair]
        regret = [geometric(np.array([c.ratio() for c in own if c.auto["size"] == n])) for n in sizes]
        covered = _mean([c.auto["covered_0.9"] for c in own if c.auto["size"] >= 10])
        found[pair] = {"half": own[0].half, "kind": own[0].kind, "regret": regret, "covered_90": covered}
        shown = "" if covered is None else f"{100 * covered:.0f}"
        rows.append((pair, own[0].half, *(f"{value:.2f}" for value in regret), shown))
    print(markdown_table(("pair", "half", *(f"n = {n}" for n in sizes), "covered, %"), rows))
    return found


def _coverage(cells: Sequence[Cell], levels: Sequence[float]) -> dict[str, Any]:
    """Print and return the mean coverage and median width by half, level and size."""
    sizes = sorted({cell.auto["size"] for cell in cells})
    print("\ncoverage of the intervals, %, and in brackets their median width over the standard deviation of the outputs")
    found: dict[str, Any] = {}
    rows = []
    for half in HALVES:
        for level in levels:
            row = []
            for label, inside in [*((f"n = {n}", (n,)) for n in sizes), ("n >= 10", tuple(n for n in sizes if n >= 10))]:
                own = [c.auto for c in cells if c.half == half and c.auto["size"] in inside]
                covered = _mean([auto[f"covered_{level:g}"] for auto in own])
                widths = [auto[f"width_{level:g}"] for auto in own if auto[f"width_{level:g}"] is not None]
                if covered is None:
                    row.append("")
                    continue
                found[f"{half}, {level:g}, {label}"] = {"covered": covered, "width": float(np.median(widths))}
                row.append(f"{100 * covered:.1f} ({np.median(widths):.2f})")
            if any(row):
                rows.append((half, f"{100 * level:g}", *row))
    print(markdown_table(("half", "level, %", *(f"n = {n}" for n in sizes), "n >= 10"), rows))
    return found


def geometric(ratios: Float[np.ndarray, " cell"]) -> float:
    """Return the geometric mean, or NaN of no ratios."""
    return float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else float("nan")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


@in_style()
def draw(cells: Sequence[Cell], path_of: Callable[[str], Path], levels: Sequence[float]) -> None:
    """Draw the figures "regret", with triangles for ratios outside the axis, and "coverage" to the files of these names."""
    sizes = sorted({cell.auto["size"] for cell in cells})
    halves = [half for half in HALVES if any(cell.half == half for cell in cells)]
    figure, axes = plt.subplots(1, len(halves), figsize=(5.2 * len(halves), 4), sharey=True, squeeze=False)
    for axis, half in zip(axes[0], halves, strict=True):
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
    axes[0][0].set_ylabel("error of auto / best method in hindsight")
    figure.tight_layout()
    write_figure(path_of("regret"), figure)
    figure, axes = plt.subplots(1, len(halves), figsize=(5.2 * len(halves), 4), sharey=True, squeeze=False)
    for axis, half in zip(axes[0], halves, strict=True):
        for place, level in enumerate(levels):
            colour, at, middle = f"C{place}", [], []
            for n in sizes:
                pairs = [
                    _mean([c.auto[f"covered_{level:g}"] for c in cells if (c.pair, c.auto["size"]) == (pair, n)])
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
    axes[0][0].set_ylabel("fraction of test outputs inside the interval")
    axes[0][0].legend(title="nominal")
    figure.tight_layout()
    write_figure(path_of("coverage"), figure)
