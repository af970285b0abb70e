"""Co-kriging and the automatic choice on classic functions in two fidelities, beside emukit and SMT on the same draws.

    python benchmarks/classics.py                              12 functions x 8 draws: five minutes on one core
    python benchmarks/classics.py --first-draw 100 --draws 5   some of the draws
    python benchmarks/classics.py --out benchmarks/results/classics     the results that the book shows
    python benchmarks/classics.py --quick                      a short run of two functions; its numbers mean nothing

A draw is a Latin hypercube of 20 to 120 low-fidelity samples, one of 5 to 30 high-fidelity samples, and one of 1,000 test
points. The error is the RMSE on the test points divided by the standard deviation of their values. The table shows medians
over draws. Seconds are those of a fit with its predictions. For `auto` and other methods around a network they include its
pretraining (MLP 64-64); for co-kriging and Gaussian processes on the target alone they do not, since these do not use it.

emukit and SMT need not be installed: benchmarks/results/classics/peers.json holds their results for draws 0 to 2 and 100 to
104, which are used if the digest of the draw is the same. Other draws need a Python environment that has both packages:

    python3 -m venv peers
    peers/bin/pip install emukit==0.5.1 GPy==1.15.0 smt==2.15.0 numpy==2.4.6 scipy==1.17.1
    python benchmarks/classics.py --peers peers/bin/python --first-draw 200

Both have ten starting points; their other settings are in benchmarks/two_fidelity/peers.py. What is finished is kept in
<out>/peers.json, and the same command continues from there. Writes <out>/errors.csv, config.json and classics.png.
"""

import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import Option

import pac_surrogate as pac
from pac_surrogate.data.data_warnings import ExtrapolationWarning
from shared.command import FORMATS, NAMES, Figures, Out, Quick, check_known, run
from shared.figures import write_figure
from shared.provenance import write_config
from shared.tables import text_table, write_csv
from two_fidelity.comparison import JUDGED, PEERS, STORED, Result, cells, count_sentences, draw_errors
from two_fidelity.peer_results import PeerResults
from two_fidelity.problems import PROBLEMS, Draw

METHODS: dict[str, Any] = {
    "co-kriging": pac.CoKriging(),
    "auto": pac.Auto(),
    "GP on the residual": pac.GP(on="residual"),
    "GP on the target": pac.GP(on="target"),
    "fine-tune": pac.FineTune(),
    "source unchanged": pac.SourceUnchanged(),
}
WITHOUT_NETWORK = ("co-kriging", "GP on the target")  # methods that do not use the network
NAMED = (*PEERS, *METHODS)
MODEL = pac.MLP(hidden=(64, 64))
STEPS, QUICK_STEPS = (3000, 1000), (20, 10)  # of pretraining, and of a training on source or target
QUICK_FUNCTIONS = ("Forrester", "bent Branin")


def main(
    draws: Annotated[int | None, Option(min=1, help="Number of draws, by default the eight whose results are stored.")] = None,
    first_draw: Annotated[int | None, Option(min=0, help="Number of the first draw.")] = None,
    functions: Annotated[list[str] | None, Option(metavar=NAMES, help=f"From: {', '.join(PROBLEMS)}.")] = None,
    methods: Annotated[list[str] | None, Option(metavar=NAMES, help=f"From: {', '.join(NAMED)}.")] = None,
    peers: Annotated[Path | None, Option(help="Python that has emukit and SMT, for draws without stored results.")] = None,
    quick: Quick = False,
    figures: Figures = "png",
    out: Out = None,
) -> None:
    began = time.perf_counter()
    check_known("function", functions or (), tuple(PROBLEMS))
    check_known("method", methods or (), NAMED)
    check_known("format", [figures], FORMATS)
    functions = functions or list(QUICK_FUNCTIONS if quick else PROBLEMS)
    methods = methods or [*PEERS, *JUDGED]
    first = first_draw or 0
    numbers: Sequence[int] = range(first, first + (draws or 1))
    groups = STORED if draws is None and first_draw is None and not quick else {}
    numbers = [number for group in groups.values() for number in group] or numbers
    out = out or Path(f"results/classics{'_quick' if quick else ''}")
    steps = QUICK_STEPS if quick else STEPS
    known = PeerResults(out / "peers.json", peers) if set(PEERS) & set(methods) else None
    own = {name: METHODS[name] for name in methods if name in METHODS}
    results: list[Result] = []
    for function in functions:
        samples = {number: PROBLEMS[function].draw(number) for number in numbers}
        if known is not None:
            results += [result for result in of_peers(known, function, samples) if result.method in methods]
        for number, drawn in samples.items():
            results += fit_all(function, number, drawn, own, steps) if own else ()
        last = (f"{result.method} {result.error:.2g}" for result in results if result[:2] == (function, numbers[-1]))
        print(f"{function}: {', '.join(last)} on draw {numbers[-1]}", flush=True)
    if not results:
        raise ValueError("these draws have no results of emukit and SMT: give --peers, or methods of this library")
    print(f"\nmedian RMSE / standard deviation, and seconds, over draws {', '.join(map(str, numbers))}\n")
    print(text_table(*cells(results, methods)))
    print("\n".join(("", *count_sentences(results))))
    for name, group in groups.items():
        print("\n".join((f"\n{name}:", *count_sentences([result for result in results if result.draw in group]))))
    write_csv(out / "errors.csv", Result._fields, results, digits=4)
    write_figure(out / f"classics.{figures}", draw_errors(results, methods))
    setting = {"draws": list(numbers), "model": repr(MODEL), "pretrain_steps": steps[0], "steps": steps[1]}
    write_config(out, setting, own, time.perf_counter() - began, "cpu")


def of_peers(known: PeerResults, function: str, samples: dict[int, Draw]) -> list[Result]:
    """Return the results of emukit and SMT for all draws of a function; if those of a draw are missing, none, and say so."""
    results = {number: known.of(function, number, drawn) for number, drawn in samples.items()}
    missing = [str(number) for number, found in results.items() if not found]
    if missing:
        print(f"{function}: no results of emukit and SMT for draw {', '.join(missing)}; --help says how to measure them")
        return []
    return [result for found in results.values() for result in found]


def fit_all(function: str, number: int, drawn: Draw, methods: dict[str, Any], steps: Sequence[int]) -> list[Result]:
    """Fit methods of this library to a draw; a method that cannot be used has the error NaN, and the reason is printed."""
    source, target = (drawn.low_x, drawn.low_y), (drawn.high_x, drawn.high_y)
    began, results = time.perf_counter(), []
    surrogate = pac.pretrain(source, model=MODEL, seed=number, steps=steps[0], device="cpu")
    pretraining = time.perf_counter() - began
    for name, method in methods.items():
        began, error = time.perf_counter(), math.nan
        options: dict[str, Any] = {"seed": number, "steps": steps[1], "source_steps": steps[1], "device": "cpu"}
        try:
            adapted = pac.transfer(surrogate, target, method=method, source=source, intervals=False, **options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExtrapolationWarning)  # some test points lie outside all samples
                error = drawn.error(adapted.predict(drawn.test_x).ravel())
        except ValueError as refused:
            print(f"{function}, draw {number}: {name} is n/a: {refused}")
        seconds = time.perf_counter() - began + (0 if name in WITHOUT_NETWORK else pretraining)
        results.append(Result(function, number, name, error, seconds))
    return results


if __name__ == "__main__":
    run(main, __doc__, kept="new results of emukit and SMT are kept, the same command continues from there")
