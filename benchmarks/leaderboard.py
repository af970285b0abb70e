"""Every method on every kind of shift: errors, ranks, win rates.

    python benchmarks/leaderboard.py                14 pairs (1-D fields, ODEs, tables) x 5 sizes x 5 seeds: hours on 2 cores
    python benchmarks/leaderboard.py --workers 2    the same, two pairs at a time with one thread each
    python benchmarks/leaderboard.py --report       tables and figures of what is finished
    python benchmarks/leaderboard.py --quick        a look at everything in a minute; its numbers mean nothing
    python benchmarks/leaderboard.py --full         all pairs, 2-D with CNNs, bigger budgets: days on 2 cores

Every method gets the same source surrogates, target samples, steps and two trials by 2-fold cross-validation on the target
training samples (one trial where nothing is to tune). A pair and a method are the unit of resuming: what is finished under
<out> is not computed again. Writes <out>/leaderboard.csv (tidy: pair, kind, method, size, seed, metric, value), ranking.json,
ranks.png and kinds.png.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import matplotlib as mpl
import xarray as xr
from candidates import CANDIDATES
from comparison import QUICK as LOOK
from comparison import Spending, model_of, open_pair, run, sources, write_config
from outputs import write_json
from ranking import Cells, draw, rank, table, write_tidy

import pac_surrogate as pac
from pac_surrogate.runner import Solver
from simulators.pairs import PAIRS, find_pair

CHOSEN = (
    "heat_equation",
    "heat_equation_losses",
    "heat_equation_robin",
    "burgers",
    "advection_diffusion_rough",
    "kuramoto_sivashinsky",
    "lotka_volterra",
    "oscillator_duffing",
    "oscillator_noise",
    "oscillator_energy",
    "oscillator_stiff",
    "borehole",
    "friedman_4",
    "friedman_shuffled",
)
DEFAULT = Spending(sizes=(4, 8, 16, 32, 64), pretrain_steps=3000, source_steps=1000, steps=400)
FULL = replace(DEFAULT, seeds=10, pretrain_steps=10_000, source_steps=3000, steps=2000)


@dataclass(frozen=True)
class Setting:
    """What a worker must know to compute the cells of a pair."""

    spending: Spending
    methods: tuple[str, ...]
    out: Path
    data: Path
    device: str
    one_thread: bool


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--quick", action="store_true", help="a look at everything in a minute")
    budget.add_argument("--full", action="store_true", help="all pairs and bigger budgets")
    parser.add_argument("--pairs", nargs="+", help="names of pairs")
    parser.add_argument("--methods", nargs="+", help=f"from: {', '.join(CANDIDATES)}")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of target samples")
    parser.add_argument("--seeds", type=int, help="how many, at most 20")
    parser.add_argument("--workers", type=int, default=1, help="pairs at a time, with one thread each if more than one")
    parser.add_argument("--report", action="store_true", help="compute nothing: tables and figures of what is finished")
    parser.add_argument("--device", default="auto", help="auto means CUDA where there is one")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data files")
    parser.add_argument("--out", type=Path, help="folder to write, results/leaderboard[_quick|_full] by default")
    return parser.parse_args()


def main() -> None:
    mpl.use("Agg")
    began = time.perf_counter()
    flags = arguments()
    spending = LOOK if flags.quick else FULL if flags.full else DEFAULT
    spending = replace(spending, sizes=tuple(flags.sizes or spending.sizes), seeds=flags.seeds or spending.seeds)
    pairs = flags.pairs or (("heat_equation", "friedman_4") if flags.quick else tuple(PAIRS) if flags.full else CHOSEN)
    for name in pairs:
        find_pair(name)
    for name in flags.methods or ():
        if name not in CANDIDATES:
            raise ValueError(f"unknown method {name!r}: choose from {', '.join(CANDIDATES)}")
    out = flags.out or Path(f"results/leaderboard{'_quick' if flags.quick else '_full' if flags.full else ''}")
    methods = tuple(flags.methods or CANDIDATES)
    setting = Setting(spending, methods, out, flags.data, flags.device, flags.workers > 1)
    if not flags.report:
        failures = compute(pairs, setting, flags.workers)
        write_config(
            out,
            {**asdict(spending), "pairs": pairs, "workers": flags.workers},
            {name: CANDIDATES[name] for name in methods},
            time.perf_counter() - began,
            flags.device,
        )
        for line in failures:
            print(f"failed: {line}", file=sys.stderr)
    report(pairs, setting)
    print(f"\n{time.perf_counter() - began:.0f} s; results in {out}")


def compute(pairs: tuple[str, ...], setting: Setting, workers: int) -> list[str]:
    """Compute what is missing; a pair that fails leaves the others alone."""
    if workers == 1:
        return [line for name in pairs for line in compute_pair(name, setting)]
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # read by the workers as they start
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [line for lines in pool.map(compute_pair, pairs, [setting] * len(pairs)) for line in lines]


def compute_pair(pair: str, setting: Setting) -> list[str]:
    """Compute the missing curves of a pair, a method at a time; return a line for each that failed."""
    spending, failures = setting.spending, []
    missing = [name for name in setting.methods if finished(pair, name, setting) is None]
    if not missing:
        return []
    source, target = open_pair(pair, setting.data, spending.samples)
    began = time.perf_counter()
    solver = Solver(setting.device, cache=setting.out / pair / "stacks")
    surrogates = sources(source, model_of(target), spending, solver)
    print(f"{pair}: {spending.seeds} sources in {time.perf_counter() - began:.0f} s", flush=True)
    for name in missing:
        began = time.perf_counter()
        try:
            curve = pac.transfer_curve(
                source,
                target,
                methods={name: CANDIDATES[name]},
                sizes=spending.sizes,
                seeds=spending.seeds,
                surrogates=surrogates,
                steps=spending.steps,
                source_steps=spending.source_steps,
                folds=spending.folds,
                batch_size=spending.batch_size,
                device=setting.device,
            )
        except ValueError as error:
            failures.append(f"{pair}, {name}: {error}")
            continue
        curve.attrs["setting"] = described(name, setting)
        curve.attrs["wall_seconds"] = time.perf_counter() - began
        pac.save_curve(curve, folder_of(pair, name, setting))
        middle, largest = pac.summarise(curve)["median"], spending.sizes[-1]
        found = float(middle.sel(size=largest).item())
        print(f"{pair}: {name} {found:.4f} at n = {largest}, {curve.attrs['wall_seconds']:.0f} s", flush=True)
    return failures


def folder_of(pair: str, name: str, setting: Setting) -> Path:
    return setting.out / pair / name.replace(" ", "_").replace(",", "").replace("/", "_")


def described(name: str, setting: Setting) -> str:
    """What a finished curve depends on; another setting computes it anew."""
    return json.dumps({"candidates": repr(CANDIDATES[name]), **asdict(setting.spending)})


def finished(pair: str, name: str, setting: Setting) -> "xr.Dataset | None":
    """Return a method's curve on a pair, if it is there and of this setting."""
    folder = folder_of(pair, name, setting)
    if not (folder / "curve.nc").exists():
        return None
    curve = pac.open_curve(folder)
    return curve if curve.attrs.get("setting") == described(name, setting) else None


def report(pairs: tuple[str, ...], setting: Setting) -> None:
    """Gather what is finished: the tidy file, the ranking, its figures and its table."""
    curves = {(pair, name): finished(pair, name, setting) for pair in pairs for name in setting.methods}
    cells = Cells.gather(
        {key: curve for key, curve in curves.items() if curve is not None},
        kinds={pair: find_pair(pair).shift for pair in pairs},
        methods=setting.methods,
    )
    missing = [f"{name} on {pair}" for (pair, name), curve in curves.items() if curve is None]
    write_tidy(cells, setting.out / "leaderboard.csv")
    ranking = rank(cells)
    write_json(setting.out / "ranking.json", {**ranking, "missing": missing})
    draw(cells, ranking, setting.out)
    print(table(ranking))
    hours = sum(float(curve.attrs["wall_seconds"]) for curve in curves.values() if curve is not None) / 3600
    print(f"\n{sum(curve is not None for curve in curves.values())} curves took {hours:.1f} worker-hours, sources not counted")
    if missing:
        print(f"\nmissing, {len(missing)} of {len(curves)}: {'; '.join(missing)}")


if __name__ == "__main__":
    run(main)
