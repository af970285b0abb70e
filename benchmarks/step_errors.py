"""Measure the errors of the time steps of every pair, and the cost of estimating them.

    python benchmarks/step_errors.py                          all sides with fixed steps: 2 minutes on 2 cores, 1 thread
    python benchmarks/step_errors.py --pairs burgers lorenz_63 --out /tmp/steps.md

Prints a section of the book and writes it to a file, which the page docs/simulators/verification.md includes. The table has
a row for each side that is solved in fixed steps, but none for linear PDEs that are solved exactly, closed forms, steady
fields, and steps that adapt to a tolerance or to the waves.
"""

import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from pac_surrogate.files.replacing import check_output
from shared.command import Pairs, Seed, run
from shared.files import MARKDOWN, write_text
from shared.provenance import today
from shared.tables import markdown_table
from simulators.ensemble import Ensemble, Side
from simulators.generate import CHUNK_CELLS
from simulators.numerics.step_error import LostSolutionError, error_limit, tolerate
from simulators.pairs import PAIRS, find_pair

ESTIMATED, MEASURED, ROUNDS, FINER = 64, 16, 9, 4
HARDWARE = "Intel Xeon, 2 cores, one thread"
TEXT = f"""\
## Time steps

Every solver with fixed steps estimates the error of its steps. It rejects a sample whose estimated error is above 0.1 of the
solution, or whose solution is not finite; the message names the sample, the time and the remedy
(`simulators/numerics/step_error.py`; `tolerate(limit)` sets another limit, and `tolerate(math.inf)` switches the estimate off).
ETDRK4 and the classical Runge-Kutta method compare their steps with an embedded solution of order 3. The solver of the heat
equation takes differences of its last temperatures. The error of the leapfrog's phases follows from the initial field. The
steps of shallow water adapt to its waves, and their errors are not estimated; a solution that is not finite is rejected.

Estimated: the largest estimate over {ESTIMATED} samples. Measured: the largest relative difference from the outputs of
{FINER} times the steps on the same cells, over {MEASURED} of these samples. Cost: processor time of the estimate, as a fraction
of that of a generation without it (one chunk, with and without it in turn, median of {ROUNDS} rounds; the scatter is some 3 %).
The embedded solutions overestimate the error, by a factor of a hundred or more where it is tiny. The estimate for the heat
equation is relative to the largest temperature, most of which has decayed in the outputs; that for waves is relative to the
energy, to which short waves contribute more than to the outputs."""
LONG = """\
Three sources have an estimate above 1 %. Their steps are long on purpose, which makes these sources cheap.
`navier_stokes` and `membranes` stay below the limit. `lorenz_63` has the limit 1 (`looseness` in
`simulators/odes/lorenz.py`): its steps alone have an error of a tenth or more, and chaos amplifies this error within the
reported time, which no estimate of the steps includes. All other steps are accurate to 1 %."""
Arrays = Mapping[str, torch.Tensor]


HEAD = ("pair, side", "time integration", "steps", "step", "estimated", "measured", "cost")


def main(
    pairs: Pairs = None,
    seed: Seed = 0,
    out: Annotated[
        Path,
        typer.Option(help="Markdown file to write, by default results/step_errors.md beside this script.", show_default=False),
    ] = Path(__file__).parent / "results" / "step_errors.md",
) -> None:
    check_output(out, MARKDOWN)
    torch.set_num_threads(1)
    sides = [getattr(find_pair(name), role) for name in pairs or PAIRS for role in ("source", "target")]
    rows = [cells_of(measure(side, seed)) for side in sides if steps_of(side.ensemble)]
    made = f"{today()}, seed {seed}, {HARDWARE}, torch {torch.__version__}"
    command = " ".join(["python benchmarks/step_errors.py", *sys.argv[1:]])
    section = "\n".join([TEXT, "", markdown_table(HEAD, rows), "", LONG, "", f"{made}: `{command}`"])
    write_text(out, section + "\n", MARKDOWN)
    print(section)


def steps_of(ensemble: Any) -> int:
    """Return the number of fixed steps from t = 0 to the end; 0 if there are none, or if they have no error."""
    if math.isnan(ensemble.order) or not hasattr(ensemble, "steps"):
        return 0
    each = ensemble.steps or ensemble.cells
    return each * ensemble.reported if hasattr(ensemble, "integrator") else each


def measure(side: Side, seed: int) -> dict[str, Any]:
    ensemble: Any = side.ensemble
    inputs = side.draw(seed, ESTIMATED)
    chunk = max(1, CHUNK_CELLS["cpu"] // ensemble.size)
    estimated = max(estimate(ensemble, some) for some in chunks(inputs, chunk))
    few = {name: values[:MEASURED] for name, values in inputs.items()}
    finer = replace(ensemble, steps=FINER * (ensemble.steps or ensemble.cells))
    found, exact = (torch.cat([v.flatten(1) for v in e.solve(few)[0].values()], 1) for e in (ensemble, finer))
    full = side.draw(seed, chunk)
    rounds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for way, limit in zip(rounds, (math.inf, error_limit()), strict=True):
            way.append(seconds(ensemble, full, limit))
    return {
        "side": side.name,
        "scheme": ensemble.scheme,
        "steps": steps_of(ensemble),
        "step": ensemble.time / steps_of(ensemble),
        "estimated": estimated,
        "measured": float(((found - exact).norm(dim=1) / exact.norm(dim=1)).max()),
        "cost": statistics.median(watched / free for free, watched in zip(*rounds, strict=True)) - 1,
    }


def chunks(inputs: Arrays, size: int) -> Iterator[dict[str, torch.Tensor]]:
    for first in range(0, len(next(iter(inputs.values()))), size):
        yield {name: values[first : first + size] for name, values in inputs.items()}


def estimate(ensemble: Ensemble, inputs: Arrays) -> float:
    """Return the largest estimated error of these samples, which a solver with the limit 0 reports."""
    try:
        with tolerate(0):
            ensemble.solve(dict(inputs))
    except LostSolutionError as error:
        return error.error
    return 0.0


def seconds(ensemble: Ensemble, inputs: Arrays, limit: float) -> float:
    with tolerate(limit):
        begin = time.process_time()
        ensemble.solve(dict(inputs))
        return time.process_time() - begin


def cells_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        record["side"],
        record["scheme"].rpartition("; ")[2].partition(", order")[0],
        str(record["steps"]),
        f"{record['step']:.3g}",
        f"{record['estimated']:.0e}",
        f"{record['measured']:.0e}",
        f"{100 * max(0.0, record['cost']):.0f} %",
    )


if __name__ == "__main__":
    run(main, __doc__)
