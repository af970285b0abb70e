"""From errors to ranks: mean ranks, win rates with their intervals, ratios for each kind of shift, and their figures."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from jaxtyping import Float

from pac_surrogate.plots.style import SIGNED, in_style
from shared.figures import write_figure
from shared.tables import markdown_table, write_csv

REFERENCES = ("fine-tune", "scratch")
RESAMPLES = 2000


@dataclass(frozen=True)
class Cells:
    """Headline errors of all methods.

    Attributes:
        pairs, methods, sizes, seeds: labels of the axes of `errors`.
        kinds: kind of shift of each pair.
        metrics: headline metric of each pair.
        errors: headline errors; NaN where a method is n/a, missing or diverged.
        diverged: 1 for each cell whose training diverged, else 0.
        reasons: why a method is n/a, one reason for each method that is n/a anywhere.
    """

    pairs: tuple[str, ...]
    methods: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    kinds: Mapping[str, str]
    metrics: Mapping[str, str]
    errors: Float[np.ndarray, "pair method size seed"]
    diverged: Float[np.ndarray, "pair method size seed"]
    reasons: Mapping[str, str]

    @classmethod
    def gather(
        cls, curves: Mapping[tuple[str, str], "xr.Dataset"], kinds: Mapping[str, str], methods: Sequence[str]
    ) -> "Cells":
        """Put curves, one for each pair and method, on common axes.

        Raises:
            ValueError: if there are no curves.
        """
        if not curves:
            raise ValueError("nothing is finished yet: run without --report")
        first = next(iter(curves.values()))
        pairs = tuple(pair for pair in kinds if any(key[0] == pair for key in curves))
        shape = (len(pairs), len(methods), first.sizes["size"], first.sizes["seed"])
        errors, diverged = np.full(shape, np.nan), np.zeros(shape)
        reasons: dict[str, str] = {}
        metrics: dict[str, str] = {}
        for (pair, method), curve in curves.items():
            at = (pairs.index(pair), methods.index(method))
            metrics[pair] = curve.attrs["headline"]
            errors[at], diverged[at] = curve[metrics[pair]].values[0], curve["diverged"].values[0]
            for said in curve["chosen"].values.ravel():
                if str(said).startswith("n/a: "):
                    reasons.setdefault(method, str(said).removeprefix("n/a: "))
        sizes, seeds = (tuple(int(v) for v in first[axis].values) for axis in ("size", "seed"))
        return cls(pairs, tuple(methods), sizes, seeds, kinds, metrics, errors, diverged, reasons)


def write_tidy(cells: Cells, path: Path) -> None:
    """Write a row for each finished cell."""
    rows = []
    for (p, m, n, s), error in np.ndenumerate(cells.errors):
        if np.isfinite(error):
            pair = cells.pairs[p]
            row = (pair, cells.kinds[pair], cells.methods[m], cells.sizes[n], cells.seeds[s], cells.metrics[pair], error)
            rows.append(row)
    write_csv(path, ("pair", "kind", "method", "size", "seed", "metric", "value"), rows, digits=6)


def medians(cells: Cells) -> Float[np.ndarray, "block method"]:
    """Return the median over seeds for each pair and size; NaN unless more than half of the seeds have a result."""
    errors = cells.errors
    enough = np.isfinite(errors).sum(3) * 2 > errors.shape[3]
    filled = np.where(np.isfinite(errors), errors, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # from NumPy, for methods without a result
        middle = np.nanmedian(filled, axis=3)
    return np.where(enough, middle, np.nan).transpose(0, 2, 1).reshape(-1, len(cells.methods))


def rank(cells: Cells) -> dict[str, Any]:
    """Rank methods on every pair and size, and compare each with fine-tuning and scratch.

    Medians over seeds are ranked among the methods that have a result for that pair and size. Ranks are scaled to the number of
    all methods, so that a method that is n/a somewhere is neither penalised nor favoured. Win rates are over pairs, sizes and
    seeds; their 95 % intervals are percentiles over resampled pairs, since cells of one pair are not independent.
    """
    from scipy.stats import rankdata

    middle = medians(cells)
    ranks = np.full(middle.shape, np.nan)
    for block, row in enumerate(middle):
        there = np.isfinite(row)
        if there.sum() > 1:
            ranks[block, there] = 1 + (rankdata(row[there]) - 1) * (len(row) - 1) / (there.sum() - 1)
    found: dict[str, Any] = {}
    generator = np.random.default_rng(0)
    draws = generator.integers(len(cells.pairs), size=(RESAMPLES, len(cells.pairs)))
    for m, method in enumerate(cells.methods):
        own = cells.errors[:, m]
        entry: dict[str, Any] = {
            "mean_rank": average(ranks[:, m]),
            "blocks": int(np.isfinite(ranks[:, m]).sum()),
            "diverged": int(cells.diverged[:, m].sum()),
            "reason": cells.reasons.get(method),
        }
        for reference in REFERENCES:
            if reference not in cells.methods or reference == method:
                continue
            other = cells.errors[:, cells.methods.index(reference)]
            both = np.isfinite(own) & np.isfinite(other)
            # A tie is half a win.
            wins = np.where(both, (own < other) + 0.5 * (own == other), 0.0).sum((1, 2))
            count = both.sum((1, 2))
            entry[f"wins_{reference}"] = float(wins.sum() / count.sum()) if count.sum() else None
            totals = count[draws].sum(1)
            rates = wins[draws].sum(1)[totals > 0] / totals[totals > 0]
            entry[f"wins_{reference}_interval"] = [float(q) for q in np.quantile(rates, (0.025, 0.975))] if len(rates) else None
        everywhere = list(range(len(cells.pairs)))
        entry["ratio"] = ratio(cells, m, everywhere)
        entry["ratio_by_kind"] = {
            kind: ratio(cells, m, [p for p, pair in enumerate(cells.pairs) if cells.kinds[pair] == kind])
            for kind in dict.fromkeys(cells.kinds[pair] for pair in cells.pairs)
        }
        entry["ratio_by_size"] = {str(n): ratio(cells, m, everywhere, size=i) for i, n in enumerate(cells.sizes)}
        found[method] = entry
    ordered = dict(sorted(found.items(), key=lambda item: (item[1]["mean_rank"] is None, item[1]["mean_rank"] or 0)))
    return {"pairs": {pair: cells.kinds[pair] for pair in cells.pairs}, "methods": ordered}


def average(values: Float[np.ndarray, " block"]) -> float | None:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else None


def ratio(cells: Cells, method: int, pairs: list[int], size: int | None = None) -> float | None:
    """Return the geometric mean of the ratio of the error to that of fine-tuning, over these pairs, sizes and seeds."""
    if "fine-tune" not in cells.methods:
        return None
    chosen = cells.errors[pairs] if size is None else cells.errors[pairs][:, :, [size]]
    own, other = chosen[:, method], chosen[:, cells.methods.index("fine-tune")]
    both = np.isfinite(own) & np.isfinite(other) & (own > 0) & (other > 0)
    return float(np.exp(np.log(own[both] / other[both]).mean())) if both.any() else None


def ranking_table(ranking: Mapping[str, Any]) -> str:
    """Return the ranking as Markdown."""
    methods = ranking["methods"]
    kinds = list(next(iter(methods.values()))["ratio_by_kind"])
    sizes = list(next(iter(methods.values()))["ratio_by_size"])

    def number(value: float | None, digits: int = 2) -> str:
        return "n/a" if value is None else f"{value:.{digits}f}"

    def rate(entry: Mapping[str, Any], reference: str) -> str:
        value, interval = entry.get(f"wins_{reference}"), entry.get(f"wins_{reference}_interval")
        return (
            "n/a"
            if value is None or interval is None
            else f"{100 * value:.0f} [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"
        )

    head = ["method", "mean rank", "blocks", "error / fine-tune", "beats fine-tune, %", "beats scratch, %"]
    head += [f"n = {n}" for n in sizes] + kinds
    rows = []
    for name, entry in methods.items():
        cells = [name, number(entry["mean_rank"], 1), str(entry["blocks"]), number(entry["ratio"])]
        cells += [rate(entry, "fine-tune"), rate(entry, "scratch")]
        cells += [number(entry["ratio_by_size"][n]) for n in sizes] + [number(entry["ratio_by_kind"][kind]) for kind in kinds]
        rows.append(cells)
    notes = [f"- {name}: {entry['diverged']} cells diverged" for name, entry in methods.items() if entry["diverged"]]
    notes += [f"- {name} is n/a where: {entry['reason']}" for name, entry in methods.items() if entry["reason"]]
    return "\n".join([markdown_table(head, rows), "", *notes])


@in_style()
def draw(cells: Cells, ranking: Mapping[str, Any], folder: Path) -> None:
    """Draw the critical-difference diagram of methods with results everywhere, and the ratios for each kind of shift."""
    middle = medians(cells)
    complete = [m for m in range(len(cells.methods)) if np.isfinite(middle[:, m]).all()]
    if len(complete) > 2 and len(middle) > 2:
        draw_ranks([cells.methods[m] for m in complete], middle[:, complete], folder / "ranks.png")
    names = list(ranking["methods"])
    kinds = list(next(iter(ranking["methods"].values()))["ratio_by_kind"])
    values = np.array([[ranking["methods"][n]["ratio_by_kind"][k] or np.nan for k in kinds] for n in names], dtype=float)
    figure, axes = plt.subplots(figsize=(4.5 + 0.8 * len(kinds), 1.5 + 0.24 * len(names)), layout="constrained")
    image = axes.imshow(np.log2(values), cmap=SIGNED, vmin=-1.5, vmax=1.5, aspect="auto")
    axes.grid(False)
    axes.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(np.log2(value)) > 1 else "black"
        axes.text(
            column, row, f"{value:.2f}" if np.isfinite(value) else "n/a", ha="center", va="center", fontsize=7, color=colour
        )
    axes.set_title("error / error of fine-tuning, geometric mean")
    figure.colorbar(image, label="log2", shrink=0.5)
    write_figure(folder / "kinds.png", figure)


def draw_ranks(names: Sequence[str], middle: Float[np.ndarray, "block method"], path: Path) -> None:
    """Draw mean ranks; a bar joins methods that Nemenyi's test (5 %) does not distinguish (Demsar 2006)."""
    import pandas as pd
    import scikit_posthocs
    from scipy.stats import rankdata

    ranks = pd.Series(rankdata(middle, axis=1).mean(0), index=list(names))
    different = scikit_posthocs.posthoc_nemenyi_friedman(pd.DataFrame(middle, columns=list(names)))
    figure, axes = plt.subplots(figsize=(11, 1.5 + 0.17 * len(names)), layout="constrained")
    scikit_posthocs.critical_difference_diagram(ranks, different, ax=axes, label_props={"fontsize": 8})
    axes.set_title(
        f"mean rank over {len(middle)} pairs x sizes, {len(names)} methods; those joined by a bar do not differ at 5 %"
    )
    write_figure(path, figure)
