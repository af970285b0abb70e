"""How good is the choice? `method="auto"` against every method in hindsight, its intervals, and its price.

    python benchmarks/choice.py                33 pairs (1-D fields, ODEs, tables) x 6 sizes x 5 seeds: hours on 2 cores
    python benchmarks/choice.py --workers 2    the same, two pairs at a time with one thread each
    python benchmarks/choice.py --report       tables and figures of what is finished
    python benchmarks/choice.py --times        the price alone, against training and two libraries
    python benchmarks/choice.py --quick        a look at everything in a minute; its numbers mean nothing

For every pair, size and seed: the error of `transfer(method="auto")` on the target test split over that of the best of METHODS
in hindsight (regret), and over each of them; and how often its intervals cover the test samples. The methods are those of the
leaderboard, with the same source surrogates, samples and budgets; in the leaderboard's own results the best of METHODS errs
0.9 % more than the best of all 41 (geometric mean). What the rule leaves open was settled on the pairs of TUNED. Writes
<out>/choice.csv, coverage.csv, summary.json and figures.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import leaderboard
import matplotlib as mpl
import numpy as np
import torch
from candidates import CANDIDATES
from comparison import QUICK, Spending, model_of, open_pair, run, sources, write_config
from leaderboard import Setting
from outputs import write_json
from prices import measure_prices, print_prices
from regret import Cell, draw, report_cells, write_cells

import pac_surrogate as pac
from pac_surrogate.curves.errors import METRICS
from pac_surrogate.intervals.bands import studentised_band
from pac_surrogate.predictors import Mixture
from pac_surrogate.runner import Solver
from pac_surrogate.surrogates.surrogate import Surrogate
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
DEFAULT = Spending(sizes=(3, 5, 8, 10, 20, 50), pretrain_steps=3000, source_steps=1000, steps=400)
LEVELS = (0.5, 0.8, 0.9, 0.95)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a look at everything in a minute")
    parser.add_argument("--report", action="store_true", help="compute nothing: tables and figures of what is finished")
    parser.add_argument("--times", action="store_true", help="measure the price alone")
    parser.add_argument("--pairs", nargs="+", help="names of pairs")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of target samples")
    parser.add_argument("--seeds", type=int, help="how many, at most 20")
    parser.add_argument("--workers", type=int, default=1, help="pairs at a time, with one thread each if more than one")
    parser.add_argument("--device", default="auto", help="auto means CUDA where there is one")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data files")
    parser.add_argument("--out", type=Path, help="folder to write, results/choice[_quick] by default")
    return parser.parse_args()


def main() -> None:
    mpl.use("Agg")
    began = time.perf_counter()
    flags = arguments()
    spending = replace(QUICK, sizes=(4, 10)) if flags.quick else DEFAULT
    spending = replace(spending, sizes=tuple(flags.sizes or spending.sizes), seeds=flags.seeds or spending.seeds)
    pairs = tuple(flags.pairs or (("forrester", "branin") if flags.quick else (*TUNED, *REPORTED)))
    for name in pairs:
        find_pair(name)
    out = flags.out or Path(f"results/choice{'_quick' if flags.quick else ''}")
    methods = ("source unchanged", "scratch", "fine-tune", "GP") if flags.quick else METHODS
    setting = Setting(spending, methods, out, flags.data, flags.device, flags.workers > 1)
    if not (flags.report or flags.times):
        for line in compute(pairs, setting, flags.workers):
            print(f"failed: {line}", file=sys.stderr)
        described = {**asdict(spending), "pairs": pairs, "workers": flags.workers}
        write_config(out, described, {name: CANDIDATES[name] for name in methods}, time.perf_counter() - began, flags.device)
    if flags.times or flags.quick:
        prices = measure_prices(pairs, setting)
        write_json(out / "prices.json", prices)
        print_prices(prices)
    if not flags.times:
        report(pairs, setting)
    print(f"\n{time.perf_counter() - began:.0f} s; results in {out}")


def compute(pairs: tuple[str, ...], setting: Setting, workers: int) -> list[str]:
    """Compute what is missing, method after method and then auto; a pair that fails leaves the others alone."""
    failures = leaderboard.compute(pairs, setting, workers)
    if workers == 1:
        return failures + [line for name in pairs for line in measure_pair(name, setting)]
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # read by the workers as they start
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return failures + [line for lines in pool.map(measure_pair, pairs, [setting] * len(pairs)) for line in lines]


def measure_pair(pair: str, setting: Setting) -> list[str]:
    """Measure auto on a pair, if that is not done: errors, intervals, seconds."""
    if measured(pair, setting) is not None:
        return []
    spending = setting.spending
    source, target = open_pair(pair, setting.data, spending.samples)
    solver = Solver(setting.device, cache=setting.out / pair / "stacks")
    surrogates = sources(source, model_of(target), spending, solver)
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
    found = {"setting": json.dumps(asdict(spending)), "cells": cells}
    write_json(setting.out / pair / "auto.json", found)
    return []


def measure(adapted: Surrogate, target: pac.Dataset) -> dict[str, Any]:
    """Error on the test split, and coverage and width of the intervals that the sample size allows."""
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
    """Return the cells of auto on a pair, if they are there and of this setting."""
    path = setting.out / pair / "auto.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    return found["cells"] if found["setting"] == json.dumps(asdict(setting.spending)) else None


def report(pairs: tuple[str, ...], setting: Setting) -> None:
    """Gather what is finished: the tidy files, the summary, its tables and figures."""
    cells, missing = [], []
    for pair in pairs:
        autos = measured(pair, setting)
        curves = {name: leaderboard.finished(pair, name, setting) for name in setting.methods}
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
    draw(cells, setting.out, LEVELS)
    if missing:
        print(f"\nmissing: {', '.join(missing)}")


if __name__ == "__main__":
    run(main)
