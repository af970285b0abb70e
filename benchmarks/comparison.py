"""What every comparison of methods shares: data and curve of a pair, its table, and what made the results."""

import argparse
import datetime
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from outputs import write_figure, write_json

import pac_surrogate as pac
from pac_surrogate import console
from pac_surrogate.methods.method import Method
from pac_surrogate.models import Architecture
from pac_surrogate.pipeline import pretrain_seeds
from pac_surrogate.runner import Solver
from pac_surrogate.surrogates.surrogate import Surrogate
from simulators.generate import generate
from simulators.pairs import find_pair

Methods = Mapping[str, Method | Sequence[Method]]


@dataclass(frozen=True)
class Spending:
    """What every method of a comparison may spend."""

    sizes: tuple[int, ...] = (4, 8, 16, 32)
    seeds: int = 5
    samples: int | None = None
    pretrain_steps: int = 3000
    source_steps: int = 1000
    steps: int = 500
    folds: int = 2
    batch_size: int = 128


QUICK = Spending(sizes=(4, 8), seeds=2, samples=120, pretrain_steps=20, source_steps=20, steps=10)


def arguments(
    description: str | None, script: str, *, pairs: Sequence[str], spending: Spending, full: Spending, known: Sequence[str]
) -> argparse.Namespace:
    """Read the flags that all comparisons share; `spending`, `pairs` and `out` come back settled.

    Raises:
        ValueError: if a pair or method is unknown.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--quick", action="store_true", help="a look at everything in seconds; its numbers mean nothing")
    budget.add_argument("--full", action="store_true", help="more seeds and longer training")
    parser.add_argument("--pairs", nargs="+", help=f"names of pairs, by default {' '.join(pairs)}")
    parser.add_argument("--methods", nargs="+", help=f"from: {', '.join(known)}")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of target samples")
    parser.add_argument("--seeds", type=int, help="how many, at most 20")
    parser.add_argument("--device", default="auto", help="auto means CUDA where there is one")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data files")
    parser.add_argument("--out", type=Path, help=f"folder to write, results/{script}[_quick|_full] by default")
    flags = parser.parse_args()
    chosen = QUICK if flags.quick else full if flags.full else spending
    flags.spending = replace(chosen, sizes=tuple(flags.sizes or chosen.sizes), seeds=flags.seeds or chosen.seeds)
    flags.pairs = tuple(flags.pairs or (pairs[:1] if flags.quick else pairs))
    flags.methods = tuple(flags.methods or known)
    flags.out = flags.out or Path(f"results/{script}{'_quick' if flags.quick else '_full' if flags.full else ''}")
    for name in flags.pairs:
        find_pair(name)
    for name in flags.methods:
        if name not in known:
            raise ValueError(f"unknown method {name!r}: choose from {', '.join(known)}")
    return flags


def open_pair(name: str, data: Path, samples: int | None = None) -> tuple[pac.Dataset, pac.Dataset]:
    """Generate a pair's data if they are not there; a small sample goes to a folder of its own."""
    folder = data / "quick" if samples is not None else data
    paths = generate(find_pair(name), folder, samples=samples, say=lambda line: print(f"  {line}", flush=True))
    source, target = (pac.open_dataset(path) for path in paths.values())
    return source, target


def model_of(target: pac.Dataset) -> Architecture:
    """A CNN for fields in two dimensions, an MLP for all else."""
    two = all({"x", "y"} <= set(variable.axes) for variable in target.outputs)
    return pac.CNN(channels=8, blocks=1, levels=2, padding="zero") if two else pac.MLP(hidden=(64, 64))


def sources(source: pac.Dataset, model: Architecture, spending: Spending, solver: Solver) -> list[Surrogate]:
    """Pretrain the source surrogates of all seeds, as `transfer_curve` does: in a common folder of stacks only once."""
    return pretrain_seeds(
        source.train,
        model=model,
        seeds=range(spending.seeds),
        steps=spending.pretrain_steps,
        batch_size=spending.batch_size,
        valid=source.valid,
        solver=solver,
    )


def compare(pair: str, methods: Methods, flags: argparse.Namespace) -> "xr.Dataset":
    """Draw the transfer curves of methods on a pair and print their table; an interrupted run goes on in its folder."""
    began = time.perf_counter()
    spending: Spending = flags.spending
    source, target = open_pair(pair, flags.data, spending.samples)
    budget = {name: value for name, value in asdict(spending).items() if name != "samples"}
    folder = flags.out / pair
    model = model_of(target)
    curve = pac.transfer_curve(source, target, methods=methods, model=model, device=flags.device, out=folder, **budget)
    write_figure(folder / "curve.png", pac.plot_curve(curve))
    seconds = time.perf_counter() - began
    write_config(folder, asdict(spending), methods, seconds, flags.device)
    print(
        f"\n{pair}: {len(source.train)} source samples, {len(target.test)} test samples, {seconds:.0f} s; results in {folder}"
    )
    print_table(curve)
    return curve


def print_table(curve: "xr.Dataset") -> None:
    """Median and quartiles over seeds, a row for each method; and what each was allowed to spend."""
    headline = curve.attrs["headline"]
    budget = json.loads(curve.attrs["budget"])
    print(f"  {curve.attrs['model']}; {budget['pretrain_steps']} steps of pretraining, {budget['source_steps']} of allocate,")
    print(
        f"  {budget['steps']} on the target; tuned by {budget['folds']}-fold cross-validation, below n = 4 the first candidate"
    )
    print(f"\n  {headline} on the target test split, median [quartiles] over {curve.sizes['seed']} seeds; * least median")
    summary = pac.summarise(curve)
    least = summary["median"].min("approach")
    width = max(24, 2 + max(len(str(name)) for name in curve["approach"].values))
    print(
        "  "
        + f"{'method':{width}s}{'trials':>7s}"
        + "".join(f"{f'n = {n}':>25s}" for n in curve["size"].values)
        + f"{'source error':>15s}"
    )
    forgotten = curve["source_error"].sel(size=curve["size"].max()).median("seed")
    for name in curve["approach"].values:
        cells = []
        for n in curve["size"].values:
            low, median, high = (float(summary[part].sel({"approach": name, "size": n})) for part in ("low", "median", "high"))
            broken = int(curve["diverged"].sel({"approach": name, "size": n}).sum())
            mark = "*" if median == float(least.sel(size=n)) else " "
            text = "n/a" if np.isnan(median) else f"{median:.4f}{mark}[{low:.4f}, {high:.4f}]"
            cells.append(text + (f" {broken} diverged" if broken else ""))
        trials = budget["candidates"][str(name)]
        print(
            "  "
            + f"{name:{width}s}{trials:7d}"
            + "".join(f"{cell:>25s}" for cell in cells)
            + f"{float(forgotten.loc[{'approach': name}]):15.4f}"
        )


def write_config(folder: Path, setting: Mapping[str, Any], methods: Methods, seconds: float, device: str = "auto") -> None:
    """Write what made these results: flags, versions, hardware, date."""
    device = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    config = {
        "command": " ".join(["python", *sys.argv]),
        "setting": {name: list(v) if isinstance(v, tuple) else v for name, v in setting.items()},
        "candidates": {name: repr(candidates) for name, candidates in methods.items()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "hardware": {
            "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds, 1),
        "peak_memory_gigabytes": round(peak_memory(), 2),
    }
    write_json(folder / "config.json", config)


def peak_memory() -> float:
    """Largest resident memory of this process so far [GB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def run(main: Callable[[], None]) -> None:
    """Run a script: what a user did wrong is one line, and exit status 2."""

    def kept() -> None:
        with console.keeping("finished data, stacks and curves are kept, the same command goes on from there"):
            main()

    console.run(kept)
