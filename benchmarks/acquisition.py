"""Measure how many target samples `next_samples` saves: chosen inputs against inputs drawn at random.

    python benchmarks/acquisition.py                 13 tables and 9 ODEs x 8 sizes x 5 seeds: an hour on one core
    python benchmarks/acquisition.py --estimator gp  a Gaussian process on the residual of the source instead of "auto"
    python benchmarks/acquisition.py --report        table and figure of the finished results
    python benchmarks/acquisition.py --quick         a short run of every part, in seconds; its numbers mean nothing

The pool is the target's train split, 320 inputs. For each seed, a source is pretrained, and the estimator is fitted to the
first n inputs of one greedy order and of four random orders (four others for every seed). Curves are means of log errors on the
test split over seeds (and orders), made monotone by isotonic regression, so that neither side profits from a lucky dip. For the
error that random samples reach at each size, the required n is interpolated in log n; the ratio of a pair is the median over
these errors. Luck is the largest saving of one of the random orders against the other three. Kernel, criterion and noise were
set on TUNED; results of an earlier kernel on the tables of the other half were seen before that, but influenced no decision.
The curves of a pair and a seed are not computed again if they are finished. Writes <out>/acquisition.csv (tidy) and
acquisition.png.
"""

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from jaxtyping import Float
from matplotlib.figure import Figure

import pac_surrogate as pac
from pac_surrogate.curves.savings import first_sizes
from pac_surrogate.data.data_warnings import ExtrapolationWarning
from pac_surrogate.data.metrics import rmse_std
from pac_surrogate.plots.style import in_style, small_print
from pac_surrogate.selection.acquisition import NOISE, next_samples
from pac_surrogate.surrogates.surrogate import Surrogate
from shared.command import Out, Report, check_known
from shared.comparison import Comparison
from shared.figures import write_figure
from shared.provenance import write_config
from shared.setting import Setting, Spending
from shared.tables import text_table, write_csv

TUNED = (
    *("borehole", "piston", "wing", "currin", "park_b", "friedman_1", "friedman_shuffled"),
    *("oscillator_duffing", "oscillator_energy", "pendulum", "sir"),
)
HELD_OUT = (
    *("hartmann", "circuit", "branin", "park_a", "forrester", "friedman_4"),
    *("oscillator_damped", "oscillator_noise", "oscillator_stiff", "lotka_volterra", "lorenz_63"),
)
HALVES = {"tuned on": TUNED, "held out": HELD_OUT}
ESTIMATORS: dict[str, Any] = {"auto": "auto", "gp": pac.GP(on="residual")}
ORDERS = 4  # random orders of a seed; 20 orders are stored
SHOWN = (6, 12, 24)  # sizes of random samples whose errors the table shows
SAVINGS = ("seeds", *(f"random {n}" for n in SHOWN), "saved", "over seeds", "luck", "error")  # columns of the table
ENOUGH = 0.8  # ratio of samples that counts as a saving

COMPARISON = Comparison(
    "acquisition",
    TUNED + HELD_OUT,
    tuple(ESTIMATORS),
    Spending(sizes=(3, 4, 6, 8, 12, 16, 24, 32), seeds=5),
    quick_pairs=("forrester", "branin"),
)
COLUMNS = ("pair", "seed", "samples", "order", "size", "rmse_std")
Result = dict[str, Any]


def main(
    setting: Setting,
    estimator: Annotated[str, typer.Option(help=f"Estimator fitted to the samples: {' or '.join(ESTIMATORS)}.")] = "auto",
    report: Report = False,
    out: Out = None,
) -> None:
    began = time.perf_counter()
    check_known("estimator", [estimator], tuple(ESTIMATORS))
    kind = "" if estimator == "auto" else f"_{estimator}"
    out = out or Path(f"results/acquisition{kind}{'_quick' if setting.quick else ''}")
    setting = replace(setting, out=out, device="cpu")
    if setting.spending.seeds * ORDERS > 20:
        raise ValueError(f"a seed has {ORDERS} of 20 stored orders, so seeds must be 1 to 5, got {setting.spending.seeds}")
    for pair in () if report else setting.pairs:
        compute(pair, setting, estimator)
    spent = {**setting.described(), "seeds": report_finished(setting, estimator)}
    spent |= {"orders": ORDERS, "noise": NOISE, "estimator": estimator}
    write_config(out, spent, {}, time.perf_counter() - began, setting.device)


def compute(pair: str, setting: Setting, estimator: str) -> None:
    """Compute and write the missing errors of each seed of a pair."""
    files = {seed: setting.out / pair / f"{seed}.csv" for seed in range(setting.spending.seeds)}
    if all(path.exists() for path in files.values()):
        return
    _, target, surrogates, _ = setting.pretrain(pair)
    for seed, path in files.items():
        if not path.exists():
            began = time.perf_counter()
            write_csv(path, COLUMNS, errors_of(pair, seed, surrogates[seed], target, setting.spending.sizes, estimator))
            print(f"{pair}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)


def errors_of(
    pair: str, seed: int, surrogate: Surrogate, target: pac.Dataset, sizes: tuple[int, ...], estimator: str
) -> list[tuple[Any, ...]]:
    """Return test errors with chosen samples (order -1) and random ones at every size, as rows of COLUMNS."""
    pool = target.train
    rows = next_samples(surrogate, None, pool, sizes[-1])
    orders = {-1: pool[rows]} | {draw: target.subset(draw, sizes[-1]) for draw in range(seed * ORDERS, (seed + 1) * ORDERS)}
    found = []
    for order, samples in orders.items():
        for size in sizes:
            adapted = pac.transfer(surrogate, samples[:size], method=ESTIMATORS[estimator], intervals=False)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExtrapolationWarning)
                error = rmse_std(adapted.predict(target.test), target.test.y)
            found.append((pair, seed, "chosen" if order < 0 else "random", order, size, error))
    return found


def report_finished(setting: Setting, estimator: str) -> dict[str, int]:
    """Write the tidy file and figure of the finished results, print the table; return the number of seeds of each pair."""
    paths = [path for pair in setting.pairs for path in sorted((setting.out / pair).glob("[0-9]*.csv"))]
    if not paths:
        raise ValueError(f"nothing is finished under {setting.out}: run without --report")
    errors = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
    write_csv(setting.out / "acquisition.csv", COLUMNS, errors.itertuples(index=False), digits=6)
    results = compare_pairs(errors)
    write_figure(setting.figure("acquisition"), draw(errors, results))
    print_savings(results, estimator)
    return {pair: found["seeds"] for pair, found in results.items()}


def compare_pairs(errors: pd.DataFrame) -> dict[str, Result]:
    """Compare chosen and random samples on each pair of acquisition.csv."""
    return {str(pair): compare(part) for pair, part in errors.groupby("pair", sort=False)}


def compare(errors: pd.DataFrame) -> Result:
    """Compare the samples that chosen and random orders of a pair need for the same errors."""
    sizes, random = curve(errors[errors["samples"] == "random"])
    _, chosen = curve(errors[errors["samples"] == "chosen"])
    seeds = [ratio_of(part) for _, part in errors.groupby("seed")]
    middle = errors.groupby("samples")["rmse_std"].apply(lambda values: float(np.log(values).mean()))
    return {
        "seeds": len(seeds),
        "needed": {int(n): needed(sizes, chosen, error) for n, error in zip(sizes, random, strict=True)},
        "ratio": ratio_of(errors),
        "ratio_of_seeds": sorted(seeds, key=lambda ratio: (math.isnan(ratio), ratio)),
        "luck": luck(errors),
        "error_ratio": math.exp(middle["chosen"] - middle["random"]),
    }


def ratio_of(errors: pd.DataFrame) -> float:
    """Return the median of n chosen / n random over the errors that random samples reach at each size except the first.

    It is infinite if chosen samples reach most of these errors at no measured size, and NaN if more random samples do not
    reduce the error.
    """
    sizes, random = curve(errors[errors["samples"] == "random"])
    _, chosen = curve(errors[errors["samples"] == "chosen"])
    levels = sorted({float(error) for error in random if error < random[0]})
    ratios = [needed(sizes, chosen, error) / needed(sizes, random, error) for error in levels]
    return float(np.median(ratios)) if ratios else math.nan


def luck(errors: pd.DataFrame) -> float:
    """Return the least ratio if a random order of each seed takes the place of the chosen one: the saving by chance alone."""
    random = errors[errors["samples"] == "random"]
    places = [random.assign(samples=np.where(random["order"] % ORDERS == i, "chosen", "random")) for i in range(ORDERS)]
    return float(np.nanmin([ratio_of(placed) for placed in places]))


def needed(sizes: Float[np.ndarray, " size"], values: Float[np.ndarray, " size"], error: float) -> float:
    return float(first_sizes(sizes, values[:, None], error)[0])


def curve(errors: pd.DataFrame) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, " size"]]:
    """Return the sizes and the geometric means of the errors there, made monotone."""
    from sklearn.isotonic import IsotonicRegression

    logs = np.log(errors["rmse_std"]).groupby(errors["size"]).mean()
    sizes = logs.index.to_numpy(dtype=float)
    return sizes, np.exp(IsotonicRegression(increasing=False).fit_transform(sizes, logs.to_numpy()))


def print_savings(results: Mapping[str, Result], estimator: str) -> None:
    """Print a table for each half, and how many pairs save samples."""
    print(f"\n  estimator: {estimator}. Samples that chosen inputs need for the error of n random ones;")
    print("  saved: median over all errors, in brackets the range over seeds; error: geometric mean ratio at equal n\n")
    for half, pairs in {**HALVES, "others": tuple(set(results) - set(TUNED) - set(HELD_OUT))}.items():
        there = {pair: results[pair] for pair in pairs if pair in results}
        if not there:
            continue
        print(text_table((f"pairs {half}", *SAVINGS), savings(there)))
        enough = sum(found["ratio"] <= ENOUGH for found in there.values())
        print(f"  at least {1 - ENOUGH:.0%} fewer samples on {enough} of {len(there)} pairs\n")
    found = totals(results)
    print(f"  of all {len(results)}: that much, and more than luck, on {found['beyond']};", end=" ")
    print(f"error at equal n more than 10% lower on {found['lower']}, at least 5% higher on {found['higher']}\n")


def savings(results: Mapping[str, Result]) -> list[tuple[str, ...]]:
    """Return a row for each pair, with the columns SAVINGS; the errors are those of random samples at the sizes SHOWN."""
    rows = []
    for pair, found in results.items():
        samples = (shown(found["needed"].get(n)) for n in SHOWN)
        spread = f"[{saved(found['ratio_of_seeds'][-1])}, {saved(found['ratio_of_seeds'][0])}]"
        ratios = (saved(found["ratio"]), spread, saved(found["luck"]), f"{found['error_ratio']:.2f}")
        rows.append((pair, str(found["seeds"]), *samples, *ratios))
    return rows


def totals(results: Mapping[str, Result]) -> dict[str, int]:
    """Return on how many pairs samples are saved, saved beyond luck, and the error at equal n is lower and higher."""
    errors = np.array([found["error_ratio"] for found in results.values()])
    return {
        "saved": sum(found["ratio"] <= ENOUGH for found in results.values()),
        "beyond": sum(found["ratio"] <= ENOUGH and found["ratio"] < found["luck"] for found in results.values()),
        "lower": int(np.sum(errors < 0.9)),
        "higher": int(np.sum(errors >= 1.05)),
    }


def shown(n: float | None) -> str:
    return "-" if n is None else f"{n:.1f}" if math.isfinite(n) else "more"


def saved(ratio: float) -> str:
    return "n/a" if math.isnan(ratio) else "none" if math.isinf(ratio) else f"{1 - ratio:.0%}"


@in_style()
@small_print()
def draw(errors: pd.DataFrame, results: Mapping[str, Result]) -> Figure:
    """Draw the error against n for each pair: quartiles and median of random samples, median of the chosen ones."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, ScalarFormatter

    columns = min(4, len(results))
    rows = math.ceil(len(results) / columns)
    figure = Figure(figsize=(2.5 * columns, 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).flat
    for panel, (pair, found) in zip(panels, results.items(), strict=False):
        own = errors[errors["pair"] == pair]
        low, middle, high = (own[own["samples"] == "random"].groupby("size")["rmse_std"].quantile(q) for q in (0.25, 0.5, 0.75))
        chosen = own[own["samples"] == "chosen"].groupby("size")["rmse_std"].median()
        panel.fill_between(low.index, low, high, color="0.85", label="random, quartiles")
        panel.plot(middle.index, middle, color="0.4", label="random, median")
        panel.plot(chosen.index, chosen, color="C0", marker=".", label="next_samples, median")
        panel.set(xscale="log", yscale="log")
        panel.set_title(f"{pair}{'' if pair in TUNED else ' *'}: saved {saved(found['ratio'])}")
        panel.set_xticks(sorted(own["size"].unique())[::2])
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.xaxis.set_minor_locator(NullLocator())
        decades = math.log10(own["rmse_std"].max() / own["rmse_std"].min())
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.5 else (1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_locator(NullLocator())
    for panel in list(figure.axes)[len(results) :]:
        panel.set_axis_off()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    title = "target samples; * held out from tuning"
    figure.legend(handles, labels, loc="outside lower center", ncols=3, title=title)
    figure.supylabel("RMSE on the target test split / standard deviation")
    return figure


if __name__ == "__main__":
    COMPARISON.run(main, __doc__, without=("full", "methods", "device"))
