"""Every method on every kind of shift: errors, ranks, win rates.

    python benchmarks/leaderboard.py                14 pairs (1-D fields, ODEs, tables) x 5 sizes x 5 seeds: hours on 2 cores
    python benchmarks/leaderboard.py --workers 2    the same, two pairs at a time with one thread each
    python benchmarks/leaderboard.py --report       tables and figures of the finished results
    python benchmarks/leaderboard.py --quick        a short run of every part, in a minute; its numbers mean nothing
    python benchmarks/leaderboard.py --full         all pairs, 2-D with CNNs, bigger budgets: days on 2 cores

Every method has the same source surrogates, target samples and steps, and two candidates among which 2-fold cross-validation on
the target training samples chooses (one candidate if nothing is tuned). The curve of a method on a pair is not computed again
if it is finished under <out>. Writes <out>/leaderboard.csv (tidy: pair, kind, method, size, seed, metric, value), ranking.json,
ranks.png and kinds.png.
"""

import sys
import time

from pac_surrogate.plots.panels import whole_figure
from shared.candidates import CANDIDATES, VARIANTS
from shared.command import Report, Workers
from shared.comparison import Comparison
from shared.curves import compute, finished
from shared.figures import write_figure
from shared.files import write_json
from shared.provenance import write_config
from shared.ranking import Cells, draw_kinds, draw_ranks, rank, ranking_table, ratio_table, remarks, write_tidy
from shared.setting import Setting, Spending
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
COMPARISON = Comparison(
    "leaderboard",
    CHOSEN,
    tuple(name for name in CANDIDATES if name not in VARIANTS),
    Spending(sizes=(4, 8, 16, 32, 64), pretrain_steps=3000, source_steps=1000, steps=400),
    full_pairs=tuple(PAIRS),
    quick_pairs=("heat_equation", "friedman_4"),
)


def main(setting: Setting, workers: Workers = 1, report: Report = False) -> None:
    began = time.perf_counter()
    if not report:
        failures = compute(setting, workers)
        described = {**setting.described(), "pairs": setting.pairs, "workers": workers}
        methods = {name: CANDIDATES[name] for name in setting.methods}
        write_config(setting.out, described, methods, time.perf_counter() - began, setting.device)
        for line in failures:
            print(f"failed: {line}", file=sys.stderr)
    report_finished(setting)
    print(f"\n{time.perf_counter() - began:.0f} s; results in {setting.out}")


def report_finished(setting: Setting) -> None:
    """Write the tidy file, the ranking and the figures of all finished results, and print the table."""
    curves = {(pair, name): finished(pair, name, setting) for pair in setting.pairs for name in setting.methods}
    cells = Cells.gather(
        {key: curve for key, curve in curves.items() if curve is not None},
        kinds={pair: find_pair(pair).shift for pair in setting.pairs},
        methods=setting.methods,
    )
    missing = [f"{name} on {pair}" for (pair, name), curve in curves.items() if curve is None]
    write_tidy(cells, setting.out / "leaderboard.csv")
    ranking = rank(cells)
    write_json(setting.out / "ranking.json", {**ranking, "missing": missing})
    write_figure(setting.figure("ranks"), whole_figure(draw_ranks(ranking)))
    write_figure(setting.figure("kinds"), whole_figure(draw_kinds(ranking)))
    for table in (ranking_table(ranking), ratio_table(ranking, "size"), ratio_table(ranking, "kind"), remarks(ranking)):
        print(table + "\n")
    hours = sum(float(curve.attrs["wall_seconds"]) for curve in curves.values() if curve is not None) / 3600
    print(f"{sum(curve is not None for curve in curves.values())} curves took {hours:.1f} worker-hours, without pretraining")
    if missing:
        print(f"\nmissing, {len(missing)} of {len(curves)}: {'; '.join(missing)}")


if __name__ == "__main__":
    COMPARISON.run(main, __doc__)
