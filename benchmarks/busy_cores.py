"""Measure calls of the library alone and beside processes that keep cores busy, with one thread and with several.

    python benchmarks/busy_cores.py             pretrain, PAC, auto: about 3 minutes on 2 cores
    python benchmarks/busy_cores.py --quick     a short run of every part, in seconds; its numbers mean nothing

Each call runs in turn alone and beside `--busy` processes that run an empty loop, with each number of threads of `--threads`
(`torch.set_num_threads`). Prints the wall time and the CPU time of each call. If the threads of a call wait for each other in a
loop, both times grow beside busy processes; any other call takes its CPU time divided by the fraction of the cores that it
gets.
"""

import contextlib
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import torch
import typer

import pac_surrogate as pac
from pac_surrogate.files.replacing import check_output
from shared.command import OutFile, Quick, Rounds, Threads, run
from shared.files import JSON, write_json
from shared.measurement import timed
from shared.provenance import machine
from shared.tables import text_table

HEAD = ("call", "threads", "busy processes", "wall [s]", "CPU [s]")


def count() -> None:
    """Keep a core busy until killed."""
    while True:
        pass


@contextlib.contextmanager
def beside(busy: int) -> Iterator[None]:
    """Keep cores busy with this number of processes while the context lasts."""
    processes = [multiprocessing.get_context("spawn").Process(target=count, daemon=True) for _ in range(busy)]
    for process in processes:
        process.start()
    if processes:
        time.sleep(2)  # until they have started
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def data(samples: int, shift: float) -> pac.Dataset:
    """Return samples of a function of five inputs; a shift gives the target."""
    x = np.random.default_rng(int(10 * shift)).random((samples, 5))
    return pac.Dataset.from_arrays(x, np.sin(4 * x[:, :1] + shift) * x[:, 1:2] + x[:, 2:3] ** 2)


def works(steps: int) -> dict[str, Callable[[], object]]:
    """Return the calls that are measured, by name."""
    source, target = data(500, 0.0), data(20, 0.3)
    model = pac.MLP(hidden=(32, 32))
    surrogate = pac.pretrain(source, model=model, steps=steps, valid=0)
    return {
        "pretrain": lambda: pac.pretrain(source, model=model, steps=steps, valid=0),
        "PAC": lambda: pac.transfer(surrogate, target, method=pac.PAC(), source=source, steps=steps, source_steps=steps),
        "auto": lambda: pac.transfer(surrogate, target, source=source),
    }


def cells_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a measured row as cells of a table with the columns HEAD."""
    return (row["call"], str(row["threads"]), str(row["busy"]), f"{row['wall']:.2f}", f"{row['cpu']:.2f}")


def main(
    quick: Quick = False,
    threads: Threads = None,
    busy: Annotated[int, typer.Option(min=0, help="Processes that keep cores busy.")] = os.cpu_count() or 1,
    rounds: Rounds = 3,
    out: OutFile = None,
) -> None:
    if out:
        check_output(out, JSON)
    steps, rounds = (20, 1) if quick else (1000, rounds)
    warnings.simplefilter("ignore", pac.DataWarning)
    calls = works(steps)
    for call in calls.values():
        call()  # imports of the first use are not measured
    seconds: dict[tuple[str, int, int], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for there in (0, busy):
            with beside(there):
                for number in threads or (1, 2):
                    torch.set_num_threads(number)
                    for name, call in calls.items():
                        seconds.setdefault((name, number, there), []).append(timed(call)())
    print(f"{machine()}; MLP 32-32, {steps} steps, {rounds} rounds; median wall and CPU seconds")
    rows = []
    for (name, number, there), spent in sorted(seconds.items(), key=lambda row: (list(calls).index(row[0][0]), *row[0][1:])):
        wall, cpu = (statistics.median(values) for values in zip(*spent, strict=True))
        rows.append({"call": name, "threads": number, "busy": there, "wall": wall, "cpu": cpu, "rounds": spent})
    print(text_table(HEAD, map(cells_of, rows)))
    if out:
        write_json(out, {"hardware": machine(), "steps": steps, "rows": rows})


if __name__ == "__main__":
    run(main, __doc__)
