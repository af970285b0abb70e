"""Measure the library's calls alone and beside processes that keep cores busy, with one thread and with several.

    python benchmarks/busy_cores.py             pretrain, PAC, auto: about 3 minutes on 2 cores
    python benchmarks/busy_cores.py --quick     a look, in seconds; its numbers mean nothing

Each call runs alone and beside `--busy` processes that do nothing but count, in turns, with `torch.set_num_threads` of each of
`--threads`. Prints the wall time and the CPU time of each. A call whose threads wait for each other in a loop takes more of
both beside busy processes; one that does not takes its CPU time over its share of the cores.
"""

import argparse
import contextlib
import multiprocessing
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from measurement import timed
from outputs import JSON, write_json

import pac_surrogate as pac
from pac_surrogate import console
from pac_surrogate.files.replacing import check_output


def count() -> None:
    """Keep a core busy until killed."""
    while True:
        pass


@contextlib.contextmanager
def beside(busy: int) -> Iterator[None]:
    """Some processes that keep cores busy."""
    processes = [multiprocessing.get_context("spawn").Process(target=count, daemon=True) for _ in range(busy)]
    for process in processes:
        process.start()
    if processes:
        time.sleep(2)  # until they count
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def data(samples: int, shift: float) -> pac.Dataset:
    """A function of five inputs, at another place on the target."""
    x = np.random.default_rng(int(10 * shift)).random((samples, 5))
    return pac.Dataset.from_arrays(x, np.sin(4 * x[:, :1] + shift) * x[:, 1:2] + x[:, 2:3] ** 2)


def works(steps: int) -> dict[str, Callable[[], object]]:
    """The calls that are measured."""
    source, target = data(500, 0.0), data(20, 0.3)
    model = pac.MLP(hidden=(32, 32))
    surrogate = pac.pretrain(source, model=model, steps=steps)
    return {
        "pretrain": lambda: pac.pretrain(source, model=model, steps=steps),
        "PAC": lambda: pac.transfer(surrogate, target, method=pac.PAC(), source=source, steps=steps, source_steps=steps),
        "auto": lambda: pac.transfer(surrogate, target, source=source),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a look at everything in seconds")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1, help="processes that keep cores busy")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    flags = parser.parse_args()
    if flags.out:
        check_output(flags.out, JSON)
    steps, rounds = (20, 1) if flags.quick else (1000, flags.rounds)
    warnings.simplefilter("ignore", pac.DataWarning)
    calls = works(steps)
    for call in calls.values():
        call()  # what is imported at the first use
    seconds: dict[tuple[str, int, int], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for busy in (0, flags.busy):
            with beside(busy):
                for threads in flags.threads:
                    torch.set_num_threads(threads)
                    for name, call in calls.items():
                        seconds.setdefault((name, threads, busy), []).append(timed(call)())
    hardware = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{hardware}; MLP 32-32, {steps} steps, {rounds} rounds; median wall and CPU seconds")
    rows = []
    for (name, threads, busy), spent in sorted(seconds.items(), key=lambda row: (list(calls).index(row[0][0]), *row[0][1:])):
        wall, cpu = (statistics.median(values) for values in zip(*spent, strict=True))
        rows.append({"call": name, "threads": threads, "busy": busy, "wall": wall, "cpu": cpu, "rounds": spent})
        print(f"  {name:10s} {threads} threads, {busy} busy processes: {wall:7.2f} s wall, {cpu:7.2f} s CPU")
    if flags.out:
        write_json(flags.out, {"hardware": hardware, "steps": steps, "rows": rows})


if __name__ == "__main__":
    console.run(main)
