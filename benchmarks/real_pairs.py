"""Compare methods on pairs whose sources and targets were made by others: libraries of many fields, and a measurement.

    python benchmarks/real_pairs.py                    16 pairs x 4 sizes x 3 seeds: one to two minutes a pair on 2 busy cores
    python benchmarks/real_pairs.py --workers 2        the same, two pairs at a time with one thread each
    python benchmarks/real_pairs.py --report           tables of the finished results; computes nothing
    python benchmarks/real_pairs.py --quick            a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/real_pairs.py --regenerate --pairs diode neuron    computes the data of these pairs anew (by default all)
    python benchmarks/real_pairs.py --pictures         draws the stored data of all pairs anew

The data are stored in benchmarks/real/data, below 1 MB each, so that a comparison needs none of the packages that made them;
--regenerate needs them: pip install 'pac_surrogate[real]'. It writes the data and the pictures of the pairs.

A comparison prints a table of the pairs and the errors of all methods, each tuned by 2-fold cross-validation on the target
training samples, and then their geometric means over the pairs. Writes <out>/<pair>/curve.nc and further files, and
<out>/means.json. An interrupted run continues where it stopped.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import xarray as xr

import pac_surrogate as pac
from real.pictures import draw_pair
from real.stored import DATA, NAMES, common_outputs, find_real_pair, open_pair, unchanged_error, write_pair
from shared.candidates import CANDIDATES
from shared.command import Report, Workers
from shared.comparison import Comparison, Methods, compare
from shared.figures import write_small_figure
from shared.files import write_json
from shared.pool import work_through
from shared.setting import QUICK, Setting, Spending
from shared.tables import markdown_table

SHOWN = ("fine-tune", "L2-SP", "PAC", "co-kriging", "GP on the residual", "GP", "scratch", "linear correction")
METHODS: Methods = {"auto": pac.Auto()} | {name: CANDIDATES[name] for name in (*SHOWN, "source unchanged")}
COMPARISON = Comparison(
    "real_pairs",
    NAMES,
    tuple(METHODS),
    Spending(sizes=(5, 10, 20, 50), seeds=3, pretrain_steps=3000, source_steps=1000, steps=400),
    quick_pairs=("water_saturation", "cantilever"),
    quick_spending=QUICK,
    stored=DATA,
)
PICTURES = Path(__file__).parent / "real" / "pictures"


def main(
    setting: Setting,
    workers: Workers = 1,
    report: Report = False,
    regenerate: Annotated[bool, typer.Option("--regenerate", help="Compute and draw the data of the pairs anew.")] = False,
    pictures: Annotated[bool, typer.Option("--pictures", help="Draw the stored data of the pairs anew.")] = False,
) -> None:
    if regenerate or pictures:
        for name in setting.pairs:
            make(name, regenerate)
        return
    if not report:
        work_through(partial(compare_pair, setting=setting), setting.pairs, workers)
    curves = finished(setting.out, setting.pairs)
    print(f"\n{pairs_table(setting.pairs, curves)}\n\n{means_table(curves)}")
    missing = [name for name in setting.pairs if name not in curves]
    if missing:
        print(f"\nmissing: {', '.join(missing)}")
    write_json(setting.out / "means.json", means(curves))


def make(name: str, regenerate: bool) -> None:
    """Draw a pair, after its data were computed anew if that is asked for."""
    began, pair = time.perf_counter(), find_real_pair(name)
    if regenerate:
        write_pair(pair)
    PICTURES.mkdir(exist_ok=True)
    write_small_figure(PICTURES / f"{name}.png", draw_pair(pair))
    print(f"{name}: {time.perf_counter() - began:.0f} s")


def compare_pair(name: str, setting: Setting) -> list[str]:
    """Compare the methods on a pair; no line is returned."""
    compare(name, {method: METHODS[method] for method in setting.methods}, setting)
    return []


def finished(folder: Path, names: Sequence[str]) -> dict[str, xr.Dataset]:
    """Return the finished curves in a folder of results by pair."""
    return {name: pac.open_curve(folder / name) for name in names if (folder / name / "curve.nc").exists()}


def pairs_table(names: Sequence[str], curves: Mapping[str, xr.Dataset]) -> str:
    """Return sizes, costs, correlations and the errors of the unchanged source as Markdown, with a row for each pair.

    The correlation is that of the outputs at the inputs of the test split, the mean over outputs. The errors are those of the
    source itself, and of the networks that were trained on it, of which there are none without results.
    """
    rows = []
    for name in names:
        source, target = open_pair(name)
        costs = (float(side.attributes["cost_seconds_per_sample"]) for side in (source, target))
        headline, unchanged = str(target.attributes["headline"]), "source unchanged"
        rows.append(
            (
                f"`{name}`",
                sum(variable.size for variable in target.inputs),
                sum(variable.size for variable in target.outputs),
                *(f"{len(side.train)} + {len(side.valid)}" for side in (source, target)),
                len(target.test),
                *("measured" if np.isnan(cost) else f"{cost:.1e}" for cost in costs),
                f"{float(target.attributes['correlation']):.2f}",
                headline,
                f"{unchanged_error(*common_outputs(name), headline):.3f}",
                _shown(float(curves[name][headline].sel(approach=unchanged).isel(size=-1).median()))
                if name in curves and unchanged in curves[name]["approach"].values
                else "",
            )
        )
    samples = ("source samples", "target samples", "test samples")
    costs_head = ("seconds a source sample", "a target sample")
    errors = ("correlation", "metric", "error of the source", "of its network")
    return markdown_table(("pair", "inputs", "outputs", *samples, *costs_head, *errors), rows)


def means(curves: Mapping[str, xr.Dataset]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return for each method and size the geometric mean of the median errors over pairs, and the number of these pairs.

    A pair counts where the method has a result at this size; the ratio is that to fine-tuning on the same pairs. A mean of no
    pair is None.
    """
    medians = {name: pac.summarise(curve)["median"] for name, curve in curves.items()}
    methods = list(dict.fromkeys(str(name) for median in medians.values() for name in median["approach"].values))
    sizes = sorted({int(n) for median in medians.values() for n in median["size"].values})

    def errors(method: str, size: int) -> dict[str, float]:
        known = {
            pair: float(median.sel(approach=method, size=size))
            for pair, median in medians.items()
            if method in median["approach"].values and size in median["size"].values
        }
        return {pair: error for pair, error in known.items() if np.isfinite(error)}

    found: dict[str, dict[str, dict[str, Any]]] = {}
    for method in methods:
        found[method] = {}
        for size in sizes:
            own, other = errors(method, size), errors("fine-tune", size)
            both = [own[pair] / other[pair] for pair in own if pair in other]
            found[method][str(size)] = {"error": _geometric(list(own.values())), "ratio": _geometric(both), "pairs": len(own)}
    return found


def means_table(curves: Mapping[str, xr.Dataset]) -> str:
    """Return what `means` returns as Markdown; a number of pairs stands where it is not that of all."""
    found, count = means(curves), len(curves)
    sizes = list(next(iter(found.values()), {}))

    def cell(entry: Mapping[str, Any]) -> str:
        some = "" if entry["pairs"] == count else f" ({entry['pairs']} of {count} pairs)"
        if entry["error"] is None:
            return "n/a"
        ratio = "" if entry["ratio"] is None else f", {entry['ratio']:.2f}"
        return f"{entry['error']:.3f}{ratio}{some}"

    rows = [(method, *(cell(entries[size]) for size in sizes)) for method, entries in found.items()]
    head = ("geometric mean of the error, and of its ratio to fine-tuning", *(f"n = {size}" for size in sizes))
    return markdown_table(head, rows)


def _geometric(values: Sequence[float]) -> float | None:
    return float(np.exp(np.mean(np.log(values)))) if values else None


def _shown(error: float) -> str:
    return "n/a" if np.isnan(error) else f"{error:.3f}"


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
