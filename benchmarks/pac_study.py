"""Study when PAC-Net wins against a pull towards the source, by how much, and what decides it.

    python benchmarks/pac_study.py              4 pairs, 3 seeds: one to two hours on 2 cores with --workers 2
    python benchmarks/pac_study.py --quick      a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/pac_study.py --full       a wider network, longer allocation, more sparsities, 5 seeds: a day
    python benchmarks/pac_study.py --report     compute nothing; print the tables and draw the figure of finished curves

PAC prunes the source and trains what is left on the source task (Allocate) before it sees the target; the paper's premise is
that this loses nothing of the source. The study crosses the width of the network, the steps of Allocate, the sparsity, and
whether biases are free or frozen. Every PAC is compared with L2-SP from the dense source, and with the control: L2-SP from the
dense source after as many further steps on the source samples as Allocate takes. L2-SP, fine-tuning and the PAC that tunes its
sparsity have fifteen candidates (with --full, PAC has twenty), among which cross-validation on the target's training samples
chooses; PAC of a given sparsity has only five, its strengths.

Writes <out>/<pair>/<width>_<steps of Allocate>/curve.nc with config.json and further files, <out>/pac_study.csv with a row for
each cell, and <out>/pac_study.png. An interrupted run continues where it stopped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import pac_surrogate as pac
from pac_surrogate.plots.panels import panels_or_new
from pac_surrogate.plots.style import COLOURS, in_style
from shared.command import Report, Workers
from shared.comparison import Comparison, Methods, compare
from shared.controls import TrainedLonger
from shared.figures import write_figure
from shared.pool import work_through
from shared.setting import Setting, Spending
from shared.tables import markdown_table, write_csv

RATE = 3e-3  # learning rate on the target of all methods but fine-tuning, which tunes it
PULLS = (0.1, 0.0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.06, 0.2, 0.3, 1.0, 3.0, 10.0, 100.0)
RATES = (1e-3, 1e-5, 3e-5, 1e-4, 2e-4, 3e-4, 6e-4, 1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3, 0.01, 0.02, 0.03)
STRENGTHS = (0.02, 0.0, 0.002, 0.2, 2.0)
BIASES = ("free", "frozen")
MARKERS = "osD^vP"  # of the pairs in the figure
HEADS = ("PAC / L2-SP", "PAC / L2-SP, source longer", "PAC / fine-tune, source longer", "better than L2-SP, source longer")
PAIRS = ("heat_equation", "friedman_4", "borehole", "oscillator_duffing")
SPENDING = Spending(sizes=(8, 16, 64), seeds=3, pretrain_steps=4000, source_steps=1000, steps=500)
COMPARISON = Comparison("pac_study", PAIRS, (), SPENDING)


@dataclass(frozen=True)
class Factors:
    """The levels of the factors that are crossed."""

    widths: tuple[int, ...] = (64, 256)
    allocations: tuple[int, ...] = (1000, 4000)
    sparsities: tuple[float, ...] = (0.3, 0.6, 0.9)


QUICK = Factors((4, 8), (10, 20), (0.3, 0.6))
FULL = Factors((64, 256, 512), (1000, 4000, 10_000), (0.3, 0.6, 0.9, 0.95))


def main(setting: Setting, workers: Workers = 1, report: Report = False) -> None:
    factors = QUICK if setting.quick else FULL if setting.full else Factors()
    if setting.full:
        setting = setting.allow(replace(SPENDING, seeds=5))
    if not report:
        work_through(partial(compute_pair, setting=setting, factors=factors), setting.pairs, workers)
    rows = rows_of({key: pac.open_curve(path) for key, path in finished(setting, factors).items()}, factors)
    write_csv(
        setting.out / "pac_study.csv", [each.name for each in fields(Row)], [list(vars(r).values()) for r in rows], digits=5
    )
    print(
        f"\nerror of PAC / error of L2-SP with as many steps on the source, geometric mean over {setting.spending.seeds} seeds"
    )
    print(winner_table(rows))
    print("\nthe tuned PAC, geometric mean over pairs and networks; in brackets the middle half of the cells")
    print(size_table(rows))
    print("\nPAC of each sparsity, geometric mean over all cells of a level; in brackets the middle half of the cells")
    print(factor_table(rows))
    write_figure(setting.figure("pac_study"), draw(rows))


def folder_of(setting: Setting, pair: str, width: int, steps: int) -> Path:
    """Return the folder of the curve of a pair, a width and a number of steps of Allocate."""
    return setting.out / pair / f"{width}_{steps}"


def finished(setting: Setting, factors: Factors) -> dict[tuple[str, int, int], Path]:
    """Return the folders of finished curves by pair, width and steps of Allocate.

    Raises:
        ValueError: if there are none.
    """
    keys = [(pair, width, steps) for pair in setting.pairs for width in factors.widths for steps in factors.allocations]
    found = {key: folder_of(setting, *key) for key in keys if (folder_of(setting, *key) / "curve.nc").exists()}
    if not found:
        raise ValueError("nothing is finished yet: run without --report")
    return found


def compute_pair(pair: str, setting: Setting, factors: Factors) -> list[str]:
    """Compute the missing curves of a pair."""
    for width in factors.widths:
        for steps in factors.allocations:
            folder = folder_of(setting, pair, width, steps)
            own = replace(
                setting,
                model=pac.MLP(hidden=(width, width)),
                spending=replace(setting.spending, source_steps=steps),
            )
            methods = methods_of(factors)
            described = json.dumps([own.described(), {name: repr(candidates) for name, candidates in methods.items()}])
            if (folder / "curve.nc").exists() and pac.open_curve(folder).attrs.get("setting") == described:
                continue
            curve = compare(pair, methods, own, folder=f"{pair}/{folder.name}")
            curve.attrs["setting"] = described
            pac.save_curve(curve, folder)
    return []


def methods_of(factors: Factors) -> Methods:
    """Return PAC at each sparsity and over all of them, L2-SP, and the controls of L2-SP and of fine-tuning."""
    pulled = pac.grid(pac.L2SP, learning_rate=RATE, strength=PULLS)
    tuned = pac.grid(pac.FineTune, learning_rate=RATES)
    methods: dict[str, Any] = {"source unchanged": pac.SourceUnchanged(), "L2-SP": pulled}
    methods["L2-SP, source longer"] = tuple(map(TrainedLonger, pulled))
    methods["fine-tune, source longer"] = tuple(map(TrainedLonger, tuned))
    for biases in BIASES:
        own = {
            s: pac.grid(pac.PAC, sparsity=s, strength=STRENGTHS, biases=biases, learning_rate=RATE) for s in factors.sparsities
        }
        methods |= {f"PAC, {biases}, {sparsity}": candidates for sparsity, candidates in own.items()}
        methods[f"PAC, {biases}, tuned"] = tuple(candidate for candidates in own.values() for candidate in candidates)
    return methods


@dataclass(frozen=True)
class Row:
    """A PAC of a given or tuned sparsity on a pair and size, compared with its rivals.

    Attributes:
        pair, width, allocation, sparsity, biases, size: the cell; a tuned sparsity is "tuned".
        kept: error of the allocated source over that of the dense one, on the source's test samples; median over seeds.
        error: headline error of PAC on the target; median over seeds, as the next three.
        l2_sp: error of L2-SP from the dense source.
        l2_sp_longer, fine_tune_longer: error of the rivals from the dense source that was trained as long.
        ratio, ratio_longer: error of PAC over that of L2-SP and over that of its control; geometric mean over seeds.
        ratio_tuned: the same over that of the control of fine-tuning.
    """

    pair: str
    width: int
    allocation: int
    sparsity: str
    biases: str
    size: int
    kept: float
    error: float
    l2_sp: float
    l2_sp_longer: float
    fine_tune_longer: float
    ratio: float
    ratio_longer: float
    ratio_tuned: float


def rows_of(curves: Mapping[tuple[str, int, int], "xr.Dataset"], factors: Factors) -> list[Row]:
    """Return a row for each PAC, pair and size of the curves; one in which a training diverged is left out, and named."""
    rows: list[Row] = []
    rivals = ("L2-SP", "L2-SP, source longer", "fine-tune, source longer")
    for (pair, width, allocation), curve in curves.items():
        errors = curve[curve.attrs["headline"]]
        for biases in BIASES:
            for sparsity in (*map(str, factors.sparsities), "tuned"):
                name = f"PAC, {biases}, {sparsity}"
                kept = (curve["allocated_error"] / curve["dense_error"]).sel(approach=name)
                for size in map(int, curve["size"].values):
                    own, *others = (errors.sel(approach=one, size=size).values for one in (name, *rivals))
                    if not np.isfinite([own, *others]).all():
                        print(
                            f"left out, as a training diverged: {pair}, {width} units, {allocation} steps, {name}, n = {size}"
                        )
                        continue
                    middles = [float(np.median(values)) for values in (kept.sel(size=size), own, *others)]
                    ratios = [geometric_mean(own / other) for other in others]
                    rows.append(Row(pair, width, allocation, sparsity, biases, size, *middles, *ratios))
    return rows


def geometric_mean(values: Any) -> float:
    return float(np.exp(np.log(values).mean()))


def winner_table(rows: Sequence[Row]) -> str:
    """Return the ratio of errors of the tuned PAC to the control's, by pair and network and by biases and size, as Markdown."""
    tuned = {(r.pair, r.width, r.allocation, r.biases, r.size): r.ratio_longer for r in rows if r.sparsity == "tuned"}
    sizes, cells = sorted({r.size for r in rows}), dict.fromkeys((r.pair, r.width, r.allocation) for r in rows)
    head = ("pair", "width", "Allocate", *(f"{biases}, n = {size}" for biases in BIASES for size in sizes))
    columns = [(biases, size) for biases in BIASES for size in sizes]
    lines = [(*c, *(f"{tuned[*c, *o]:.2f}" if (*c, *o) in tuned else "n/a" for o in columns)) for c in cells]
    return markdown_table(head, lines)


def size_table(rows: Sequence[Row]) -> str:
    """Return the ratios of the tuned PAC's error to those of its rivals by biases and number of samples, as Markdown."""
    lines = []
    for biases in BIASES:
        for size in sorted({row.size for row in rows}):
            own = [row for row in rows if (row.sparsity, row.biases, row.size) == ("tuned", biases, size)]
            if own:
                lines.append((biases, size, *_ratios(own)))
    return markdown_table(("biases", "n", *HEADS), lines)


def _ratios(rows: Sequence[Row]) -> list[str]:
    """Return geometric means and the middle half of the ratios to each rival, and how often PAC is better than the control."""
    cells = []
    for name in ("ratio", "ratio_longer", "ratio_tuned"):
        ratios = np.array([getattr(row, name) for row in rows])
        low, high = np.quantile(ratios, (0.25, 0.75))
        cells.append(f"{geometric_mean(ratios):.2f} [{low:.2f}, {high:.2f}]")
    return [*cells, f"{np.mean([row.ratio_longer < 1 for row in rows]):.0%}"]


def factor_table(rows: Sequence[Row]) -> str:
    """Return, for each level of each factor, the ratios of PAC's error to those of its rivals, as Markdown."""
    levels = {
        "width": lambda r: r.width,
        "steps of Allocate": lambda r: r.allocation,
        "sparsity": lambda r: r.sparsity,
        "biases": lambda r: r.biases,
        "n": lambda r: r.size,
        "pair": lambda r: r.pair,
        "allocated / dense source error": lambda r: "at most 1" if r.kept <= 1 else "1 to 2" if r.kept <= 2 else "above 2",
    }
    lines = []
    for factor, level_of in levels.items():
        for level in dict.fromkeys(map(level_of, rows)):
            own = [row for row in rows if level_of(row) == level and (factor == "sparsity" or row.sparsity != "tuned")]
            if not own:
                continue
            lines.append((factor, level, *_ratios(own)))
    return markdown_table(("factor", "level", *HEADS), lines)


@in_style()
def draw(rows: Sequence[Row]) -> Figure:
    """Draw PAC's error over that of both L2-SPs against what Allocate kept of the source, with a point for each cell.

    A colour stands for a number of samples, a marker for a pair, and an open marker for frozen biases.
    """
    given = [row for row in rows if row.sparsity != "tuned"]
    sizes, pairs = sorted({row.size for row in given}), list(dict.fromkeys(row.pair for row in given))
    panels = panels_or_new(None, (1, 2), figsize=(9.5, 4.8), sharey=True)[0]
    figure = panels[0].get_figure()
    for axes, (name, rival) in zip(panels, (("ratio", "L2-SP"), ("ratio_longer", "L2-SP, source longer")), strict=True):
        axes.axhline(1, color="0.4", linewidth=0.8)
        axes.axvline(1, color="0.4", linewidth=0.8, linestyle="--")
        for row in given:
            colour, marker = COLOURS[sizes.index(row.size)], MARKERS[pairs.index(row.pair)]
            filled = colour if row.biases == "free" else "none"
            axes.scatter(row.kept, getattr(row, name), s=18, marker=marker, facecolor=filled, edgecolor=colour, alpha=0.7)
        axes.set(xscale="log", yscale="log", xlabel="source error, allocated / dense", title=f"against {rival}")
        axes.set_ylabel(f"error of PAC / error of {rival}")
    labels: list[tuple[str, dict[str, Any]]] = [(f"n = {n}", {"color": COLOURS[i]}) for i, n in enumerate(sizes)]
    labels += [(pair, {"marker": MARKERS[i], "color": "0.3"}) for i, pair in enumerate(pairs)]
    labels += [("biases frozen", {"facecolor": "none", "edgecolor": "0.3"})]
    for label, look in labels:
        panels[0].scatter([], [], s=18, label=label, **look)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


if __name__ == "__main__":
    COMPARISON.run(main, __doc__, without=("methods",))
