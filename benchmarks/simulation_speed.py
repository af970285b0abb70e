"""Measure how many samples per second the simulators solve: against SciPy and exponax at equal accuracy, and on a GPU.

    python benchmarks/simulation_speed.py               all installed libraries, 1 and 2 threads: about 6 minutes on 2 cores
    python benchmarks/simulation_speed.py --quick       a short run of every part, in seconds; its ratios mean nothing
    python benchmarks/simulation_speed.py --against scipy --threads 1
    python benchmarks/simulation_speed.py --device cuda     only the table of the GPU

Our solver and the other one alternate in one run. A ratio is their time per sample over ours, median [least, largest] over
rounds; times are medians. The table also shows the errors of both: the largest difference from a reference, and the relative
L2 norm of the difference, over the rows that were checked.

SciPy: `solve_ivp`, one row after the other, with right-hand sides in plain Python or NumPy. Systems are solved by RK45 with the
tolerances of our Dormand-Prince 5(4); the reference is DOP853 at 1e-12. Burgers' equation is solved in the same Fourier modes
by the quickest of RK45, BDF and LSODA, each at the loosest tolerance (a power of ten) whose error is at most twice ours. The
references of fields are our solutions with 8 times the steps and twice the points along each axis, in float64.
exponax (JAX, on the CPU): the same ETDRK4, step, number of steps, fields and viscosity, in a child process for each precision
and number of threads; both solvers are restricted to the same cores. exponax compiles and computes its coefficients before the
timing starts, and its loop stays in Fourier space; our time includes checks, coefficients and the split into blocks. Our solver
keeps coefficients for each row, as viscosities may differ; here they are equal, since a stepper of exponax has only one. The
run stops if solutions differ by more than the scheme's error.
GPU: traffic counts every tensor operation of a step as reading its arguments and writing its results once; it is printed as a
fraction of the bandwidth of a copy.
"""

import importlib.metadata
import importlib.util
import os
import time
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from pac_surrogate.files.replacing import check_output
from pac_surrogate.utilities.environment import processor
from shared.command import NAMES, NUMBERS, Quick, check_known, run
from shared.files import JSON, write_json
from shared.measurement import Record, Way, agree, compare, errors, timed
from shared.provenance import origin
from speed.bandwidth import use_of_bandwidth
from speed.columns import DEVICE, EXPONAX, SCIPY, record_table
from speed.evolutions import EVOLUTIONS, Evolution
from speed.exponax_peer import Exponax
from speed.scipy_peer import SYSTEMS, TOLERANCE, solve_burgers, solve_system

INSTALL = "pip install -e '.[benchmarks]' -c constraints.txt"
AGAINST = ("scipy", "exponax")
AGREEMENT = {"float64": 1e-9, "float32": 1e-5}  # relative difference that round-off alone may cause


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    threads: tuple[int, ...] = (1, 2)
    rows: int = 2000  # rows of a system that one call of our solver solves
    scipy_rows: int = 40  # rows that SciPy solves: its time per row does not depend on their number
    methods: tuple[str, ...] = ("RK45", "BDF", "LSODA")
    checked: int = 8  # rows of fields compared with the reference
    copied: int = 2**28  # bytes of the copy that gives the bandwidth


QUICK = Size(rounds=1, threads=(1,), rows=40, scipy_rows=3, methods=("RK45",), checked=2, copied=2**20)


def against_scipy(size: Size, burgers: Evolution) -> list[Record]:
    records = []
    for name, (ensemble, system) in SYSTEMS.items():
        inputs = ensemble.draw(torch.Generator().manual_seed(0), size.rows)
        rows = torch.stack(list(inputs.values()), 1)[: size.scipy_rows].tolist()
        by_scipy = partial(solve_system, system, rows, np.array(ensemble.coordinates[0].values))
        ours = torch.stack(list(ensemble.solve(inputs)[0].values()), 2)[: len(rows)].numpy()
        true = by_scipy("DOP853", 1e-12)
        both = {"ours": errors(ours, true), "SciPy": errors(by_scipy("RK45", TOLERANCE), true)}
        agree(name, both["SciPy"]["relative"], both["ours"]["relative"], 1e-5)
        described = {"system": name, "method": "RK45", "tolerance": TOLERANCE, "errors": both}
        ways = {"ours": timed(partial(ensemble.solve, inputs)), "SciPy": timed(partial(by_scipy, "RK45", TOLERANCE))}
        records += compare_threads(size, described, ways, {"ours": size.rows, "SciPy": len(rows)})
    return records + burgers_against_scipy(size, replace(burgers, batch=size.rows // 2))


def burgers_against_scipy(size: Size, evolution: Evolution) -> list[Record]:
    initial = evolution.draw()
    fields = initial[: size.checked].numpy()
    true = evolution.refer(initial[: size.checked])
    ours = errors(evolution.solve(initial)[: size.checked].numpy(), true)
    trials: list[tuple[float, str, float]] = []
    for method in size.methods:
        for tolerance in (10.0**-exponent for exponent in range(3, 13)):
            began = time.perf_counter()
            found = solve_burgers(evolution, fields, method, tolerance)
            if errors(found, true)["relative"] <= 2 * ours["relative"]:
                trials.append((time.perf_counter() - began, method, tolerance))
                break
    if not trials:
        raise ValueError(f"SciPy does not reach an error of {2 * ours['relative']:.1e}: the equations are not the same")
    _, method, tolerance = min(trials)
    by_scipy = partial(solve_burgers, evolution, fields, method, tolerance)
    described = {"system": "Burgers", "method": method, "tolerance": tolerance, "trials": trials}
    described["errors"] = {"ours": ours, "SciPy": errors(by_scipy(), true)}
    ways = {"ours": timed(partial(evolution.solve, initial)), "SciPy": timed(by_scipy)}
    return compare_threads(size, described, ways, {"ours": len(initial), "SciPy": len(fields)})


def compare_threads(size: Size, described: Record, ways: dict[str, Way], samples: dict[str, int]) -> list[Record]:
    records = []
    for threads in size.threads:
        torch.set_num_threads(threads)
        records.append(described | {"threads": threads} | compare(size.rounds, ways, samples))
    return records


def against_exponax(size: Size, evolutions: dict[str, Evolution]) -> list[Record]:
    starts = {name: evolution.draw() for name, evolution in evolutions.items()}
    true = {name: evolution.refer(starts[name][: size.checked]) for name, evolution in evolutions.items()}
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    records = []
    for threads in size.threads:
        torch.set_num_threads(threads)
        if cores:
            os.sched_setaffinity(0, cores[:threads])  # the child inherits it
        for precision in AGREEMENT:
            with closing(Exponax(precision, threads)) as child:
                records += [beside(child, size, name, evolutions[name], starts[name], true[name]) for name in evolutions]
    if cores:
        os.sched_setaffinity(0, cores)
    return records


def beside(child: Exponax, size: Size, name: str, evolution: Evolution, initial: Tensor, true: np.ndarray) -> Record:
    """Measure one evolution with the precision and number of threads of the child process."""
    start = initial.to(getattr(torch, child.precision))
    order = {key: getattr(evolution, key) for key in ("length", "viscosity", "step", "steps")}
    theirs, seconds = child.prepare(start.numpy(), name=name, axes=len(evolution.points), points=evolution.points[0], **order)
    ours = evolution.solve(start).numpy()
    both = {"ours": errors(ours[: size.checked], true), "exponax": errors(theirs[: size.checked], true)}
    difference = errors(theirs, ours.astype(float))
    agree(f"{name}, {child.precision}", difference["relative"], both["ours"]["relative"], AGREEMENT[child.precision])
    described = {"equation": name, "points": evolution.points, **order, "precision": child.precision, "threads": child.threads}
    ways = {"ours": timed(partial(evolution.solve, start)), "exponax": child.run}
    compared = compare(size.rounds, ways, dict.fromkeys(ways, len(start)))
    return described | {"errors": both, "difference": difference, "compile_seconds": seconds} | compared


def main(
    quick: Quick = False,
    rounds: Annotated[int | None, typer.Option(help="5 by default, 1 with --quick.")] = None,
    threads: Annotated[list[int] | None, typer.Option(metavar=NUMBERS, help="1 2 by default, 1 with --quick.")] = None,
    against: Annotated[list[str] | None, typer.Option(metavar=NAMES, help=f"{' and '.join(AGAINST)} by default.")] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda: auto adds the table of the GPU if there is one, cuda prints only that.")
    ] = "auto",
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("results/simulation_speed.json"),
) -> None:
    check_known("device", [device], ("auto", "cpu", "cuda"))
    check_known("library", against or (), AGAINST)
    check_output(out, JSON)
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is not available: this PyTorch sees no CUDA; use --device cpu")
    size = QUICK if quick else Size()
    size = replace(size, rounds=size.rounds if rounds is None else rounds, threads=tuple(threads or size.threads))
    if size.rounds < 1 or min(size.threads) < 1:
        raise ValueError(f"rounds and threads must be 1 or more, got {size.rounds} and {min(size.threads)}")
    libraries = () if device == "cuda" else against or AGAINST
    evolutions = {name: evolution.shorten() for name, evolution in EVOLUTIONS.items()} if quick else EVOLUTIONS
    content: Record = {**origin(), "quick": quick, "rounds": size.rounds}
    versions, hardware = content["versions"], content["hardware"] | {"processor": processor()}
    versions["scipy"] = importlib.metadata.version("scipy")
    print(f"{hardware['processor']}, {hardware['cores']} cores; torch {torch.__version__}; {size.rounds} rounds")
    if "scipy" in libraries:
        content["scipy"] = against_scipy(size, evolutions["Burgers"])
        rows = " and ".join(str(content["scipy"][i]["samples"]["ours"]) for i in (0, -1))
        print(f"\nAgainst SciPy, which solves row by row; one call of ours solves {rows} (Burgers) rows, float64\n")
        print(record_table(content["scipy"], SCIPY))
    if "exponax" in libraries and importlib.util.find_spec("exponax") is None:
        print(f"\nexponax is not installed, so its table is left out: {INSTALL}")
    elif "exponax" in libraries:
        versions |= {name: importlib.metadata.version(name) for name in ("exponax", "jax")}
        content["exponax"] = against_exponax(size, evolutions)
        print(f"\nAgainst exponax {versions['exponax']} on the CPU; batches of {evolutions['Burgers'].batch}\n")
        print(record_table(content["exponax"], EXPONAX))
    if device != "cpu" and torch.cuda.is_available():
        hardware["gpu"] = torch.cuda.get_device_name()
        content["gpu"] = use_of_bandwidth(evolutions, "cuda", rounds=size.rounds, checked=size.checked, copied=size.copied)
        bandwidth = content["gpu"][0]["copy_bandwidth"] / 1e9
        print(f"\nOn {hardware['gpu']}; a copy reads and writes {bandwidth:.0f} GB/s\n")
        print(record_table(content["gpu"], DEVICE))
    write_json(out, content | {"hardware": hardware})


if __name__ == "__main__":
    run(main, __doc__)
