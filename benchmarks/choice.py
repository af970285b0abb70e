"""How good is the choice of `method="auto"`? Its error against every method in hindsight, its intervals, and its cost.

    python benchmarks/choice.py                33 pairs (1-D fields, ODEs, tables) x 6 sizes x 5 seeds: hours on 2 cores
    python benchmarks/choice.py --workers 2    the same, two pairs at a time with one thread each
    python benchmarks/choice.py --report       tables and figures of the finished results
    python benchmarks/choice.py --times        only the cost, against training and two libraries
    python benchmarks/choice.py --quick        a short run of every part, in a minute; its numbers mean nothing

For every pair, size and seed, this measures the error of `transfer(method="auto")` on the target test split relative to that of
the best of METHODS in hindsight (regret) and to that of each method, and how often the intervals cover the test samples. The
methods are taken from the leaderboard, with the same source surrogates, samples and budgets. In the leaderboard's results, the
error of the best of METHODS is 0.9 % above that of the best of all 41 methods (geometric mean). The open choices of the
selection rule were made on the pairs of TUNED. Writes <out>/choice.csv, coverage.csv, summary.json and figures.
"""

import json
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
import typer

import pac_surrogate as pac
from pac_surrogate.curves.errors import METRICS
from pac_surrogate.intervals.bands import studentised_band
from pac_surrogate.predictors import Mixture
from pac_surrogate.surrogates.surrogate import Surrogate
from shared.candidates import CANDIDATES
from shared.command import Report, Workers
from shared.comparison import Comparison
from shared.curves import compute, finished
from shared.figures import write_figure
from shared.files import write_json
from shared.pool import work_through
from shared.prices import measure_prices, print_prices
from shared.provenance import write_config
from shared.regret import Cell, draw_coverage, draw_regret, report_cells, write_cells
from shared.setting import QUICK, Setting, Spending
from simulators.pairs import find_pair

TUNED = (
    *("heat_equation", "heat_equation_losses", "advection_diffusion_rough", "kuramoto_sivashinsky"),
    *("oscillator_duffing", "oscillator_forced", "oscillator_energy", "lorenz_63"),
    *("forrester", "currin", "park_b", "piston", "wing", "friedman_1", "friedman_4", "friedman_shuffled"),
)
REPORTED = (
    *("heat_equation_robin", "burgers"),
    *("oscillator_damped", "oscillator_noise", "oscillator_stiff", "pendulum", "lotka_volterra", "sir", "lorenz_96"),
    *("branin", "park_a", "borehole", "hartmann", "circuit", "friedman_0", "friedman_2", "friedman_8"),
)
METHODS = (
    *("source unchanged", "scratch", "linear correction", "linear correction with c'x", "last-layer ridge"),
    *("GP", "GP on the residual", "NARGP", "co-kriging", "ATL", "ATL, group lasso"),
    *("fine-tune", "L2-SP", "LP-FT", "PAC", "LwF"),
)
COMPARISON = Comparison(
    "choice",
    (*TUNED, *REPORTED),
    METHODS,
    Spending(sizes=(3, 5, 8, 10, 20, 50), pretrain_steps=3000, source_steps=1000, steps=400),
    quick_pairs=("forrester", "branin"),
    quick_methods=("source unchanged", "scratch", "fine-tune", "GP"),
    quick_spending=replace(QUICK, sizes=(4, 10)),
)
LEVELS = (0.5, 0.8, 0.9, 0.95)


def main(
    setting: Setting,
    report: Report = False,
    times: Annotated[bool, typer.Option("--times", help="Measure only the cost.")] = False,
    workers: Workers = 1,
) -> None:
    began = time.perf_counter()
    if not (report or times):
        for line in compute(setting, workers) + work_through(partial(measure_pair, setting=setting), setting.pairs, workers):
            print(f"failed: {line}", file=sys.stderr)
        described = {**setting.described(), "pairs": setting.pairs, "workers": workers}
        methods = {name: CANDIDATES[name] for name in setting.methods}
        write_config(setting.out, described, methods, time.perf_counter() - began, setting.device)
    if times or setting.quick:
        prices = measure_prices(setting)
        write_json(setting.out / "prices.json", prices)
        print_prices(prices)
    if not times:
        report_finished(setting)
    print(f"\n{time.perf_counter() - began:.0f} s; results in {setting.out}")


def measure_pair(pair: str, setting: Setting) -> list[str]:
    """Measure the errors, intervals and seconds of auto on a pair, if they are not measured yet."""
    if measured(pair, setting) is not None:
        return []
    spending = setting.spending
    source, target, surrogates, _ = setting.pretrain(pair)
    cells = []
    for seed, surrogate in enumerate(surrogates):
        for size in spending.sizes:
            try:
                began = time.perf_counter()
                adapted = pac.transfer(surrogate, target.subset(seed, size), source=source.train, device=setting.device)
                seconds = time.perf_counter() - began
            except ValueError as error:
                return [f"{pair}, auto, n = {size}, seed {seed}: {error}"]
            cells.append({"size": size, "seed": seed, "seconds": seconds, **measure(adapted, target)})
        print(f"{pair}: auto, seed {seed}, {cells[-1]['error']:.4f} at n = {size}, {seconds:.1f} s", flush=True)
    found = {"setting": json.dumps(setting.described()), "cells": cells}
    write_json(setting.out / pair / "auto.json", found)
    return []


def measure(adapted: Surrogate, target: pac.Dataset) -> dict[str, Any]:
    """Return the error on the test split, and the coverage and width of the intervals that the sample size allows."""
    predictor, outputs = adapted.predictor, adapted.scaling.outputs
    assert isinstance(predictor, Mixture)
    assert predictor.studentised is not None
    assert predictor.group is not None
    assert adapted.choice is not None
    test = adapted.scaling.standardise(target.test)
    x, y = (torch.as_tensor(matrix).double() for matrix in (test.input_matrix, test.output_matrix))
    with torch.no_grad():
        mean, deviation = predictor.predict(x), predictor.deviation(x)
        headline = METRICS[str(target.attributes.get("headline", "rel_l2"))]
        found = {"chosen": adapted.choice.method, "error": headline(outputs.restore(mean).numpy(), target.test.output_matrix)}
        spread = float(outputs.restore(y).std(0).mean())
        for level in LEVELS:
            try:
                lower, upper = studentised_band(mean, deviation, predictor.studentised, predictor.group, level)
            except ValueError:  # too few samples for this level
                found |= {f"covered_{level:g}": None, f"width_{level:g}": None}
                continue
            width = float((outputs.restore(upper) - outputs.restore(lower)).mean()) / spread
            found |= {f"covered_{level:g}": float(((lower <= y) & (y <= upper)).double().mean()), f"width_{level:g}": width}
    return found


def measured(pair: str, setting: Setting) -> list[dict[str, Any]] | None:
    """Return the cells of auto on a pair, or None if they are missing or have another setting."""
    path = setting.out / pair / "auto.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    return found["cells"] if found["setting"] == json.dumps(setting.described()) else None


def report_finished(setting: Setting) -> None:
    """Write the tidy files, the summary and the figures of all finished results, and print the tables."""
    cells, missing = [], []
    for pair in setting.pairs:
        autos = measured(pair, setting)
        curves = {name: finished(pair, name, setting) for name in setting.methods}
        if autos is None or any(curve is None for curve in curves.values()):
            missing.append(pair)
            continue
        half = "tuned" if pair in TUNED else "reported"
        for found in autos:
            at = {"size": found["size"], "seed": found["seed"]}
            errors = {
                name: float(curve[curve.attrs["headline"]].isel(approach=0).sel(at))
                for name, curve in curves.items()
                if curve is not None
            }
            errors = {name: error for name, error in errors.items() if np.isfinite(error)}
            cells.append(Cell(pair, half, find_pair(pair).shift, found, errors))
    if not cells:
        raise ValueError("nothing is finished yet: run without --report")
    write_cells(cells, setting.out, LEVELS)
    summary = report_cells(cells, LEVELS)
    write_json(setting.out / "summary.json", {**summary, "missing": missing})
    write_figure(setting.figure("regret"), draw_regret(cells))
    write_figure(setting.figure("coverage"), draw_coverage(cells, LEVELS))
    if missing:
        print(f"\nmissing: {', '.join(missing)}")


if __name__ == "__main__":
    COMPARISON.run(main, __doc__, without=("full", "methods"))
