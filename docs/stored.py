"""Tables in Markdown and figures for the pages of the book, made from the results of the benchmarks in benchmarks/results.

A page calls these functions in hidden cells, so that new results change the page without a change of its text. The numbers are
computed by the functions with which the benchmarks make their own tables.
"""

import csv
import io
import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from IPython.display import Image

import pac_surrogate as pac
from shared.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

    from shared.regret import Cell
    from simulators.ensemble import Pair

# The benchmarks import PyTorch, which takes seconds: each is imported by the functions that need it.
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PHYSICS = ("heat", "periodic", "odes", "waves", "water", "steady", "porous", "tables")  # folders of simulators
KINDS = {
    "parameter": "parameter: values inside or outside the range of the source",
    "physics": "physics: a term that the source lacks",
    "fidelity": "fidelity: a coarser grid, a longer step, a lower order or a cheaper formula in the source",
    "boundary": "boundary or geometry",
    "input": "input: other initial fields",
    "noise": "noise on the target",
    "output": "output: another quantity, or other sensors",
    "negative": "negative transfer, on purpose",
}


# Reading and showing


def read(name: str) -> Any:
    """Return the content of a stored JSON file."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


@cache
def curve(folder: str) -> xr.Dataset:
    """Return a stored transfer curve."""
    return pac.open_curve(RESULTS / folder)


def curves(folder: str) -> dict[str, xr.Dataset]:
    """Return the stored transfer curves of a benchmark by pair."""
    return {path.parent.name: curve(f"{folder}/{path.parent.name}") for path in sorted((RESULTS / folder).glob("*/curve.nc"))}


def picture(drawn: Any) -> Image:
    """Return a figure, or the figure of axes, as an image, and close it."""
    content = io.BytesIO()
    drawn.figure.savefig(content, dpi=110, format="png")
    plt.close(drawn.figure)
    return Image(content.getvalue())


def listed(parts: Iterable[object]) -> str:
    """Return parts as in running text: "4, 8 and 16"."""
    *first, last = map(str, parts)
    return f"{', '.join(first)} and {last}" if first else last


def number(value: float, least: bool = False) -> str:
    """Return an error with three decimals, in bold if it is the least of its column."""
    return "n/a" if np.isnan(value) else f"**{value:.3f}**" if least else f"{value:.3f}"


def unbroken(table: str) -> str:
    """Return a table whose cells break no line inside an interval, such as "63 [47, 79]"."""
    return re.sub(r"(?:(?<=[\d%]) )?\[[^\[\]|]*\]", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), table)


# Where results come from


def provenance(name: str, **more: str) -> str:
    """Return the seeds, budget, hardware, date and command that a stored JSON file states, as a paragraph.

    Args:
        name: the file below benchmarks/results.
        more: what the file does not state, as "date" or "command".
    """
    stored = read(name)
    stored = {**stored.get("config", stored), **more}
    folder = (RESULTS / name).parent
    if (folder / "curve.nc").exists():
        stored = {"model": curve(folder.relative_to(RESULTS).as_posix()).attrs["model"], **stored}
    setting = {**stored, **stored.get("setting", {})}
    hardware = stored["hardware"]
    if not isinstance(hardware, str):
        processor = hardware.get("processor") or hardware.get("device", "cpu")
        threads = hardware.get("threads")
        hardware = f"{processor}, {hardware['machine']}, {hardware['cores']} cores"
        hardware += f", {threads} thread{'s' if threads > 1 else ''}" if threads else ""
    parts = [
        str(setting.get("model", "")),
        _seeds(setting),
        *_steps(setting),
        f"{setting['folds']}-fold cross-validation" if "folds" in setting else "",
        f"{setting['samples']} source samples for each pair" if isinstance(setting.get("samples"), int) else "",
        f"{setting['rounds']} rounds" if isinstance(setting.get("rounds"), int) else "",
        hardware,
        str(stored.get("date", "")),
    ]
    command = f" Command: `{stored['command']}`." if "command" in stored else ""
    return f"*Measured with {'; '.join(filter(None, parts))}.*{command}"


def _seeds(setting: Mapping[str, Any]) -> str:
    if "seed" in setting:
        return f"seed {setting['seed']}"
    seeds = setting.get("seeds")
    if isinstance(seeds, dict):
        return f"{min(seeds.values())} to {max(seeds.values())} seeds for each pair"
    return f"{seeds} seeds" if seeds else ""


def _steps(setting: Mapping[str, Any]) -> list[str]:
    names = {"pretrain_steps": "of pretraining", "source_steps": "on the source", "steps": "on the target"}
    return [
        f"{setting[name]:,} steps {what}" for name, what in names.items() if name in setting and "pretrain_steps" in setting
    ]


def commands_table() -> str:
    """Return the date and the command of each stored result that states one of them."""
    rows: dict[tuple[str, str, str], None] = {}
    for path in sorted(RESULTS.rglob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        stored = stored.get("config", stored)
        if stored.keys() & {"command", "date", "hardware"}:
            command = f"`{stored['command']}`" if "command" in stored else "not stored"
            rows[path.relative_to(RESULTS).parts[0], str(stored.get("date", "not stored")), command] = None
    return markdown_table(("result", "date", "command"), [(f"`{name}`", date, command) for name, date, command in rows])


# Transfer curves


def median_table(folder: str) -> str:
    """Return median errors by method and size, the lowest of each size in bold, and the error on the source at the end."""
    found = curve(folder)
    medians = pac.summarise(found)["median"]
    kept = found["source_error"].isel(size=-1).median("seed")
    sizes, least = found["size"].values, medians.min("approach")
    rows = []
    for name in found["approach"].values:
        cells = (
            number(float(medians.sel(approach=name, size=n)), bool(medians.sel(approach=name, size=n) == least.sel(size=n)))
            for n in sizes
        )
        rows.append((name, *cells, number(float(kept.sel(approach=name)))))
    return markdown_table(("method", *(f"n = {n}" for n in sizes), f"source error, n = {sizes[-1]}"), rows)


def budget_table(folder: str) -> str:
    """Return what each method received, and the errors on the source task before the target was seen, as medians over seeds.

    The steps on the source are those of the largest size; those on the target are the budget, which closed forms do not use.
    What a curve of an earlier version does not state is "-".
    """
    found = curve(folder)
    budget = json.loads(found.attrs["budget"])

    def median(variable: str, name: str, digits: int) -> str:
        if variable not in found:
            return "-"
        cells = found[variable]
        cells = cells.sel(approach=name).isel(size=-1) if "approach" in cells.dims else cells
        middle = float(cells.median("seed"))
        return "-" if np.isnan(middle) else f"{middle:,.{digits}f}"

    rows = [
        (
            name,
            budget["candidates"][name],
            median("source_steps", name, 0),
            f"{budget['steps']:,}",
            median("allocated_error", name, 4),
            median("dense_error", name, 4),
        )
        for name in map(str, found["approach"].values)
    ]
    errors = ("source error, allocated", "source error, pretrained")
    return markdown_table(("method", "candidates", "steps on the source", "steps on the target, at most", *errors), rows)


def bounds(benchmark: str) -> dict[str, Any]:
    """Return by pair, method and hyper-parameter which values of its grid were chosen; see `shared.grids.bounds_of`."""
    folder = RESULTS / benchmark
    if (folder / "bounds.json").exists():
        return read(f"{benchmark}/bounds.json")
    paths = sorted(folder.glob("**/bounds.json"))
    return {path.parent.relative_to(folder).as_posix(): json.loads(path.read_text(encoding="utf-8")) for path in paths}


def grids_table(benchmark: str) -> str:
    """Return how often the ends of each grid were chosen with 8 samples or more, over all pairs of a benchmark.

    A dash is a natural bound, such as no pull at all. The last column counts the pairs in which the median choice over seeds
    lies inside the grid at every number of samples.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for by_method in bounds(benchmark).values():
        for method, own in by_method.items():
            for name, entry in own.items():
                found.setdefault((method, name.removeprefix("method.")), []).append(entry)
    rows = []
    for (method, name), entries in found.items():
        judged = [entry for entry in entries if entry["inside"] is not None]
        ends = []
        for end in ("least", "largest"):
            fractions = [entry[end] for entry in judged if entry[end] is not None]
            ends.append(f"{np.mean(fractions):.0%}" if fractions else "-")
        values = " ".join(f"{value:g}" for value in entries[0]["values"])
        inside = sum(entry["inside"] for entry in judged)
        rows.append((method, name.replace("_", " "), values, *ends, f"{inside} of {len(judged)}"))
    return markdown_table(("method", "hyper-parameter", "grid", "least chosen", "largest chosen", "median inside"), rows)


def study() -> list[Any]:
    """Return the rows of the study of PAC; see `pac_study.Row`."""
    import pac_study

    factors, found = pac_study.Factors(), {}
    for pair in pac_study.PAIRS:
        for width in factors.widths:
            for steps in factors.allocations:
                found[pair, width, steps] = curve(f"pac_study/{pair}/{width}_{steps}")
    return pac_study.rows_of(found, factors)


def quartile_table(folder: str) -> str:
    """Return the quartiles over seeds of the errors by method and size."""
    found = pac.summarise(curve(folder))
    sizes, rows = found["size"].values, []
    for name in found["approach"].values:
        ends = ([float(found[end].sel(approach=name, size=n)) for end in ("low", "high")] for n in sizes)
        rows.append((name, *("n/a" if np.isnan(low) else f"{low:.3f} to {high:.3f}" for low, high in ends)))
    return markdown_table(("method", *(f"n = {n}" for n in sizes)), rows)


def best_sentence(folder: str) -> str:
    """Return a sentence that names the method of lowest median error at each size."""
    medians = pac.summarise(curve(folder))["median"]
    best: dict[str, list[int]] = {}
    for n in medians["size"].values:
        if n:
            best.setdefault(str(medians["approach"].values[np.nanargmin(medians.sel(size=n).values)]), []).append(int(n))
    return f"The lowest median error is that of {'; '.join(f'{name} at n = {listed(ns)}' for name, ns in best.items())}."


def against_sentence(folder: str, method: str, other: str) -> str:
    """Return a sentence that says at which sizes a method has a lower median error than another one."""
    medians = pac.summarise(curve(folder))["median"]
    sizes = [int(n) for n in medians["size"].values if n]
    lower = [n for n in sizes if float(medians.sel(approach=method, size=n)) < float(medians.sel(approach=other, size=n))]
    if not lower or lower == sizes:
        return f"{method} has a {'lower' if lower else 'higher'} median error than {other} at every n."
    higher = [n for n in sizes if n not in lower]
    return f"{method} has a lower median error than {other} at n = {listed(lower)}, and a higher one at n = {listed(higher)}."


def pairs_table(folder: str, size: int, methods: Sequence[str] = (), head: Callable[[str], str] = str) -> str:
    """Return median errors of one size by method and pair, the lowest of each pair in bold.

    Args:
        folder: the benchmark's folder of results, with a curve for each pair.
        size: number of target samples.
        methods: names of the methods, by default all.
        head: turns the name of a pair into the head of its column.
    """
    medians = {pair: pac.summarise(found)["median"].sel(size=size) for pair, found in curves(folder).items()}
    names = methods or [str(name) for name in next(iter(medians.values()))["approach"].values]
    columns = [[float(found.sel(approach=name)) for name in names] for found in medians.values()]
    rows = [
        (name, *(number(column[row], column[row] == np.nanmin(column)) for column in columns)) for row, name in enumerate(names)
    ]
    return markdown_table(("method", *map(head, medians)), rows)


# Leaderboard and papers' questions


def rank_table() -> str:
    """Return mean ranks and win rates of all methods."""
    from shared import ranking

    return unbroken(ranking.ranking_table(read("leaderboard/ranking.json")))


def which_table() -> str:
    """Return the README's table: errors relative to fine-tuning of the best method and of three, by kind of shift.

    The best method is the one with the lowest geometric mean among those that have a result in every cell of these pairs.
    """
    with (RESULTS / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        counts = Counter((row["kind"], row["method"]) for row in csv.DictReader(file) if row["value"])
    stored = read("leaderboard/ranking.json")
    shown, rows = ("L2-SP", "PAC", "scratch"), []
    for kind, text in KINDS.items():
        ratios = {name: entry["ratio_by_kind"][kind] for name, entry in stored["methods"].items()}
        most = max(count for (of, _), count in counts.items() if of == kind)
        best = min((name for name in ratios if counts[kind, name] == most), key=ratios.__getitem__)
        pairs = list(stored["pairs"].values()).count(kind)
        rows.append((text, pairs, f"{best} {ratios[best]:.2g}", *(f"{ratios[name]:.2f}" for name in shown)))
    return markdown_table(("source and target differ by", "problems", "best method", *shown), rows)


def ratio_table(parts: str, methods: Sequence[str] = ()) -> str:
    """Return errors relative to fine-tuning by "size" or by "kind" of shift, of all methods or of some."""
    from shared import ranking

    stored = read("leaderboard/ranking.json")
    kept = {name: entry for name, entry in stored["methods"].items() if not methods or name in methods}
    return ranking.ratio_table({**stored, "methods": kept}, parts)


def rank_rows(methods: Sequence[str]) -> str:
    """Return mean ranks and win rates of some methods."""
    from shared import ranking

    stored = read("leaderboard/ranking.json")
    return unbroken(ranking.ranking_table({**stored, "methods": {n: e for n, e in stored["methods"].items() if n in methods}}))


def rank_remarks() -> str:
    """Return the list of the methods that diverged or are n/a somewhere."""
    from shared import ranking

    return ranking.remarks(read("leaderboard/ranking.json"))


def rollout_table(pair: str, measure: str = "trajectory") -> str:
    """Return median errors of rolled-out oscillators by method and size."""
    import oscillator

    return oscillator.error_table(read("oscillator/rollout.json")[pair], measure, rollout_sizes())


def oscillator_budget_table(pair: str) -> str:
    """Return the steps on the source of every method on a pair of oscillators, and the allocated error beside the dense one."""
    import oscillator

    return oscillator.source_table(read("oscillator/rollout.json")[pair])


def rollout_sizes() -> list[int]:
    """Return the numbers of target samples of the oscillators."""
    return read("oscillator/config.json")["setting"]["sizes"]


# Choice


@cache
def cells() -> "list[Cell]":
    """Return the cells of the benchmark of the choice."""
    from shared import regret

    return regret.read_cells(RESULTS / "choice.csv", RESULTS / "choice" / "coverage.csv")


def regret_table() -> str:
    """Return the error of the choice over that of the best method in hindsight, by half and size."""
    from shared import regret

    return regret.regret_table(regret.regret(cells()))


def wins_table() -> str:
    """Return the percentage of reported cells in which the choice has a smaller error than three methods, by size."""
    reported = [cell for cell in cells() if cell.half == "reported"]
    rows = []
    for n in sorted({cell.auto["size"] for cell in reported}):
        own = [cell for cell in reported if cell.auto["size"] == n]
        others = ("fine-tune", "scratch", "source unchanged")
        wins = [[cell.ratio(name) < 1 for cell in own if name in cell.errors] for name in others]
        rows.append((n, *(f"{statistics.fmean(won):.0%}" for won in wins)))
    return markdown_table(("target samples", "auto beats fine-tuning", "beats scratch", "beats the source"), rows)


def fixed_methods_table() -> str:
    """Return the error of the choice over that of each fixed method."""
    from shared import regret

    return regret.methods_table(read("choice/summary.json")["methods"])


def regret_of_pairs_table(half: str) -> str:
    """Return the regret of each pair of a half by size, and the coverage of its intervals."""
    from shared import regret

    own = [cell for cell in cells() if cell.half == half]
    return regret.pairs_table(regret.by_pair(own), sorted({cell.auto["size"] for cell in own}))


def coverage_table() -> str:
    """Return the coverage and the width of the intervals by half, level and size."""
    import choice
    from shared import regret

    return regret.coverage_table(regret.coverage(cells(), choice.LEVELS))


def price_table() -> str:
    """Return the cost of the choice and of other ways."""
    from shared import prices

    return unbroken(prices.price_table(read("choice/prices.json")))


def field_price_table() -> str:
    """Return the seconds of the choice and of fine-tuning on fields with many outputs."""
    rows = []
    for outputs, found in read("choice/prices.json")["fields"].items():
        for name in ("auto", "fine-tune"):
            seconds = found["seconds"][name]
            rows.append((outputs, name, f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}"))
    return markdown_table(("outputs", "method", "median [s]", "slowest [s]"), rows)


# Acquisition


@cache
def acquired() -> "tuple[pd.DataFrame, dict[str, Any]]":
    """Return the errors with chosen and random samples, and the comparison of both on each pair."""
    import pandas as pd

    import acquisition

    errors = pd.read_csv(RESULTS / "acquisition" / "acquisition.csv")
    return errors, acquisition.compare_pairs(errors)


def acquisition_table(half: str) -> str:
    """Return what chosen samples save on each pair of a half, "tuned on" or "held out"."""
    import acquisition

    found = acquired()[1]
    rows = acquisition.savings({pair: found[pair] for pair in acquisition.HALVES[half] if pair in found})
    return unbroken(markdown_table(("pair", *acquisition.SAVINGS), rows))


def acquisition_sentence() -> str:
    """Return how many pairs save samples, as two sentences."""
    import acquisition

    found = acquired()[1]
    total = acquisition.totals(found)
    halves = (
        f"{acquisition.totals({p: found[p] for p in pairs if p in found})['saved']} of the {len(pairs)} pairs {half}"
        for half, pairs in acquisition.HALVES.items()
    )
    return (
        f"Chosen samples reach the same error with at least {1 - acquisition.ENOUGH:.0%} fewer samples on {total['saved']} of"
        f" {len(found)} pairs: {listed(halves)}. On {total['beyond']} pairs this is more than the luckiest of four random"
        f" orders saves. At equal n, the error is more than 10 % lower on {total['lower']} pairs, and at least 5 % higher on"
        f" {total['higher']}."
    )


# Speed


def peer_table(peer: str, which: str, threads: int = 1) -> str:
    """Return times or errors of our simulators beside those of a peer, "scipy" or "exponax".

    Args:
        peer: the other library.
        which: "time" or "error".
        threads: number of threads.
    """
    from speed import columns

    shown = {
        ("scipy", "time"): ("system", "ours [samples/s]", "SciPy [samples/s]", "ratio"),
        ("scipy", "error"): (
            "system",
            "SciPy's method, tolerance",
            "largest error, ours / SciPy",
            "relative L2 error, ours / SciPy",
        ),
        ("exponax", "time"): ("equation", "precision", "ours [ms a step]", "exponax [ms a step]", "ratio"),
        ("exponax", "error"): ("equation", "precision", "largest error, ours / exponax", "relative L2 error, ours / exponax"),
    }[peer, which]
    known = {"scipy": columns.SCIPY, "exponax": columns.EXPONAX}[peer]
    records = [record for record in read("simulation_speed/cpu.json")[peer] if record["threads"] == threads]
    return unbroken(columns.record_table(records, {name: known[name] for name in shown}))


def throughput_table() -> str:
    """Return the time of loops over that of a stack, by number of threads."""
    import throughput

    seconds = read("throughput/cpu.json")["seconds"]
    loops = [name for name in next(iter(seconds.values())) if name != "stack"]
    rows = [
        (threads.replace("1 threads", "1 thread"), *(throughput.ratio(times, name) for name in loops))
        for threads, times in seconds.items()
    ]
    return unbroken(markdown_table(("", *loops), rows))


def busy_table() -> str:
    """Return wall and CPU times of calls alone and beside busy processes."""
    import busy_cores

    return markdown_table(busy_cores.HEAD, map(busy_cores.cells_of, read("busy_cores/cpu.json")["rows"]))


# Simulators


def pairs_of(physics: str) -> "list[Pair]":
    """Return the pairs of one physics, which is one of PHYSICS."""
    from simulators.pairs import PAIRS

    return [pair for pair in PAIRS.values() if type(pair.source.ensemble).__module__.split(".")[1] == physics]


def kinds_table() -> str:
    """Return the pairs by kind of shift."""
    from simulators.pairs import PAIRS

    rows = [
        (text, ", ".join(f"`{pair.name}`" for pair in PAIRS.values() if pair.shift == kind)) for kind, text in KINDS.items()
    ]
    return markdown_table(("kind of shift", "pairs"), rows)


def counts_table() -> str:
    """Return how many samples the sides of the pairs have, and how many pairs have these numbers."""
    from simulators.pairs import PAIRS

    found: dict[tuple[str, ...], list[str]] = {}
    for pair in PAIRS.values():
        counts = tuple(" + ".join(f"{n:,}" for n in side.counts()) for side in (pair.source, pair.target))
        found.setdefault(counts, []).append(pair.name)
    return markdown_table(("source", "target", "pairs"), [(*counts, len(names)) for counts, names in found.items()])


def difficulty_table(pairs: "Iterable[Pair]") -> str:
    """Return the measured difficulty of pairs: errors of the unchanged source, of scratch and of fine-tuning at some size."""
    stored = read("difficulty/difficulty.json")
    at = stored["config"]["sizes"].index(16)

    def shown(value: float | None) -> str:
        return "n/a" if value is None else f"{value:.3f}"

    rows = []
    for pair in pairs:
        entry = stored["pairs"][pair.name]
        errors = (shown(entry["errors"][name][at]) for name in ("source unchanged", "scratch", "fine-tune"))
        rows.append((f"`{pair.name}`", entry["shift"], entry["difficulty"], entry["metric"], *errors))
    return markdown_table(("pair", "shift", "difficulty", "metric", "source unchanged", "scratch", "fine-tune"), rows)


def training_table(pairs: "Iterable[Pair]") -> str:
    """Return the errors of scratch and of fine-tuning by size, without any tuning, on some pairs."""
    stored = read("difficulty/difficulty.json")
    sizes = [n for n in stored["config"]["sizes"] if n]
    rows = []
    for pair in pairs:
        errors = stored["pairs"][pair.name]["errors"]
        rows += [
            (f"`{pair.name}`", name, *(f"{e:.2f}" for e in errors[name][-len(sizes) :])) for name in ("scratch", "fine-tune")
        ]
    return markdown_table(("pair", "method", *(f"n = {n}" for n in sizes)), rows)


def equation_table(physics: str) -> str:
    """Return the equations of the pairs of one physics, one of PHYSICS, and their schemes."""
    import verification

    return verification.equation_table(_sides(physics))


def property_table(physics: str) -> str:
    """Return the measured orders and residuals of the equations of `equation_table`; "" of closed forms."""
    import verification

    return verification.property_table(_sides(physics))


def _sides(physics: str) -> list[dict[str, Any]]:
    names = {pair.name for pair in pairs_of(physics)}
    return [side for side in read("verification/verification.json")["sides"] if side["pair"] in names]


def pair_sections(physics: str, pictures: str = "../../simulators/pictures") -> str:
    """Return a section with title, equations, differences and picture for each pair of one physics."""
    import verification

    texts = []
    for pair in pairs_of(physics):
        title = f"{pair.title[0].upper()}{pair.title[1:]}."
        shown = f"![samples of {pair.name}]({pictures}/{pair.name}.png)"
        texts += [f"### {pair.name}", title, verification.section(pair), shown]
    return "\n\n".join(texts)
