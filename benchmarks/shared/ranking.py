"""From errors to ranks: mean ranks, win rates with their intervals, ratios for each kind of shift, and their figures."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

from pac_surrogate.plots.panels import panel_or_new, whole_figure
from pac_surrogate.plots.style import COLOURS, SIGNED, in_style
from shared.candidates import CANDIDATES
from shared.controls import TrainedLonger
from shared.tables import markdown_table, write_csv

REFERENCES = ("fine-tune", "scratch")
RESAMPLES = 2000
# Kinds of methods, by the folder of pac_surrogate/methods in which they are, with their names in figures.
KINDS = {
    "pulled": "trained with a regulariser",
    "around": "corrections and Gaussian processes",
    "tuned": "differ in which weights train",
    "pruned": "pruned",
    "": "other",
}


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
    """Return the ranking as Markdown, with the mean rank and the win rates of each method."""

    def rate(entry: Mapping[str, Any], reference: str) -> str:
        value, interval = entry.get(f"wins_{reference}"), entry.get(f"wins_{reference}_interval")
        return (
            "n/a"
            if value is None or interval is None
            else f"{100 * value:.0f} [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"
        )

    head = ("method", "mean rank", "blocks", "error / fine-tune", "beats fine-tune, %", "beats scratch, %")
    rows = [
        (
            *(name, _number(entry["mean_rank"], 1), entry["blocks"], _number(entry["ratio"])),
            *(rate(entry, reference) for reference in REFERENCES),
        )
        for name, entry in ranking["methods"].items()
    ]
    return markdown_table(head, rows)


def ratio_table(ranking: Mapping[str, Any], parts: str) -> str:
    """Return the ratios of error to that of fine-tuning as Markdown, for each size ("size") or kind of shift ("kind")."""
    entries = {name: entry[f"ratio_by_{parts}"] for name, entry in ranking["methods"].items()}
    columns = list(next(iter(entries.values())))
    head = ("method", *(f"n = {column}" if parts == "size" else column for column in columns))
    return markdown_table(head, [(name, *(_number(entry[c]) for c in columns)) for name, entry in entries.items()])


def remarks(ranking: Mapping[str, Any]) -> str:
    """Return a list in Markdown of the methods that diverged or are n/a, with the reasons."""
    methods = ranking["methods"].items()
    notes = [f"- {name}: {entry['diverged']} cells diverged" for name, entry in methods if entry["diverged"]]
    notes += [f"- {name} is n/a where: {entry['reason']}" for name, entry in methods if entry["reason"]]
    return "\n".join(notes)


def _number(value: float | None, digits: int = 2) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


@in_style()
def draw_ranks(ranking: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Draw the mean rank of every method, the best at the top, with a colour for its kind.

    A grey band reaches from the best method as far as the critical distance of Nemenyi's test: a method to the right of it
    differs from the best one. A method that is n/a in some cells, of a pair and a size each, has an open circle, and the number
    of its cells beside its name; the test is for the others.

    Args:
        ranking: the contents of ranking.json, as `rank` returns them.
        ax: axes to draw on; those of a new figure, 7 inches wide, by default.

    Returns:
        The axes.

    Raises:
        ValueError: if no method has a rank.
    """
    entries = {name: entry for name, entry in ranking["methods"].items() if entry["mean_rank"] is not None}
    if not entries:
        raise ValueError("the ranking has no method with a rank")
    names = sorted(entries, key=lambda name: entries[name]["mean_rank"])
    blocks = max(entry["blocks"] for entry in entries.values())
    complete = [name for name in names if entries[name]["blocks"] == blocks]
    axes = panel_or_new(ax, (7.0, 1.4 + 0.185 * len(names)))
    if len(complete) > 1 and blocks > 1:
        best, distance = entries[complete[0]]["mean_rank"], critical_distance(len(names), blocks)
        axes.axvspan(best, best + distance, color="0.92", zorder=0, label=f"critical distance, {distance:.1f}")
    for kind, label, colour in zip(KINDS, KINDS.values(), COLOURS, strict=False):
        own = [row for row, name in enumerate(names) if kind_of(name) == kind]
        if not own:
            continue
        ranks = np.array([entries[names[row]]["mean_rank"] for row in own])
        filled = [colour if names[row] in complete else "white" for row in own]
        axes.hlines(own, 0, ranks, color=colour, linewidth=0.8, alpha=0.4, zorder=2)
        axes.scatter(ranks, own, s=32, c=filled, edgecolors=colour, linewidths=1.4, zorder=3)
        axes.plot([], [], "o", color=colour, label=label)
    shown = [name if name in complete else f"{name} ({entries[name]['blocks']} of {blocks} cells)" for name in names]
    axes.set_yticks(range(len(names)), shown, fontsize="small")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.03 * max(entry["mean_rank"] for entry in entries.values()))
    axes.set_xlabel(f"mean rank among {len(names)} methods over {blocks} cells; 1 is the best")
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", frameon=True, framealpha=1.0)
    return axes


def critical_distance(methods: int, blocks: int, level: float = 0.05) -> float:
    """Return the difference of mean ranks above which Nemenyi's test distinguishes two methods (Demsar 2006).

    Where methods are n/a in some blocks, ranks are scaled to the number of all methods (see `rank`), and the distance is an
    approximation: with 37 ranks scaled to 41, their standard deviation is larger by 0.3 %.

    Args:
        methods: number of methods, at least 2.
        blocks: number of rankings of all methods.
        level: probability that two of several equal methods are distinguished.
    """
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - level, methods, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def kind_of(name: str) -> str:
    """Return the kind of a method of the benchmarks, a key of KINDS: the folder of its class; "" if its name is unknown.

    A variant, which is named after a comma, has the kind of its method.
    """
    given = CANDIDATES.get(name, CANDIDATES.get(name.partition(",")[0], ()))
    first = given[0] if isinstance(given, Sequence) and given else given
    first = first.method if isinstance(first, TrainedLonger) else first
    return next((kind for kind in KINDS if kind in type(first).__module__.split(".")), "")


@in_style()
def draw_kinds(ranking: Mapping[str, Any]) -> Axes:
    """Draw a table of the ratios of errors to those of fine-tuning, for each method and kind of shift.

    Args:
        ranking: the contents of ranking.json, as `rank` returns them.
    """
    names = list(ranking["methods"])
    kinds = list(next(iter(ranking["methods"].values()))["ratio_by_kind"])
    values = np.array([[ranking["methods"][n]["ratio_by_kind"][k] or np.nan for k in kinds] for n in names], dtype=float)
    axes = panel_or_new(None, (4.5 + 0.8 * len(kinds), 1.5 + 0.24 * len(names)))
    image = axes.imshow(np.log2(values), cmap=SIGNED, vmin=-1.5, vmax=1.5, aspect="auto")
    axes.grid(False)
    axes.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(np.log2(value)) > 1 else "black"
        text = f"{value:.2f}" if np.isfinite(value) else "n/a"
        axes.text(column, row, text, ha="center", va="center", fontsize="x-small", color=colour)
    axes.set_title("error / error of fine-tuning, geometric mean")
    whole_figure(axes).colorbar(image, label="log2", shrink=0.5)
    return axes
