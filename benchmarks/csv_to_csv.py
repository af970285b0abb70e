"""Measure the time from CSV files to predictions with intervals in a CSV file, in Python and on the command line.

    python benchmarks/csv_to_csv.py             2,000 rows of a source, 20 of a target, 1,000 new inputs; a minute
    python benchmarks/csv_to_csv.py --quick     few rows and steps; its numbers mean nothing

The files hold the deflection of loaded beams: a formula for slender beams, and one with shear. Every step is timed by the clock
and the median of several rounds is shown; a command includes the start of Python and the imports. Both ways have the same
settings, and it is checked that they write the same predictions. The error is that of the predictions on the new inputs,
divided by the deviation of the truth; the coverage is the fraction of the truth in the intervals. Writes <out>/csv_to_csv.json.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from pac_surrogate.data.metrics import rmse_std
from shared.command import Out, Quick, Rounds, run
from shared.files import write_json
from shared.provenance import origin
from shared.tables import text_table

LEVEL = 0.8
INPUTS = ("length", "height", "load")
STEPS = (
    "import the package",
    "open the source and pretrain",
    "open the target and transfer",
    "predict with intervals",
    "together",
)


def beams(rows: int, *, shear: float, seed: int) -> pd.DataFrame:
    """Return a table of random beams with the deflection of their tips."""
    rng = np.random.default_rng(seed)
    length, height, load = rng.uniform(0.3, 1, rows), rng.uniform(0.05, 0.2, rows), rng.uniform(1, 10, rows)
    tip = load * length**3 / (3 * 210e6 * 0.05 * height**3 / 12) + shear * load * length / (5 / 6 * 80e6 * 0.05 * height)
    return pd.DataFrame({"length [m]": length, "height [m]": height, "load [kN]": load, "tip [mm]": 1e3 * tip})


def in_python(folder: Path, steps: int) -> list[float]:
    """Take the way in a new process of Python, which prints the seconds of every step."""
    script = f"""
import time
seconds = [time.perf_counter()]
def done():
    seconds.append(time.perf_counter())
import pac_surrogate as pac
import pandas as pd
pac.pretrain, pac.transfer
done()
source = pac.open_dataset("source.csv", inputs={list(INPUTS)}, outputs="tip")
surrogate = pac.pretrain(source, steps={steps})
done()
adapted = pac.transfer(surrogate, "target.csv", source=source)
done()
new = pd.read_csv("new.csv")
table = adapted.predict_interval(new, {LEVEL}).to_pandas()
pd.concat([new, table], axis=1).to_csv("python.csv", index=False)
done()
print([after - before for before, after in zip(seconds, seconds[1:])])
"""
    printed = subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, capture_output=True, text=True).stdout
    return [float(one) for one in printed.strip().strip("[]").split(",")]


def on_the_command_line(folder: Path, steps: int) -> list[float]:
    """Take the way with three commands and return the seconds of each."""
    names = [word for name in INPUTS for word in ("--inputs", name)]
    pretrain = ["pretrain", "source.csv", *names, "--outputs", "tip", "--steps", str(steps), "--out", "source.safetensors"]
    transfer = ["transfer", "source.safetensors", "target.csv", "--source", "source.csv", "--out", "adapted.safetensors"]
    predict = ["predict", "adapted.safetensors", "new.csv", "--level", str(LEVEL), "--out", "shell.csv"]
    return [seconds(lambda c=command: _run(folder, c)) for command in (pretrain, transfer, predict)]  # type: ignore[misc]


def _run(folder: Path, command: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "pac_surrogate", *command], cwd=folder, check=True, capture_output=True)


def seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def check(folder: Path, truth: pd.Series) -> dict[str, float]:
    """Return error and coverage of the predictions, which must be the same both ways.

    Raises:
        RuntimeError: if they are not.
    """
    python, shell = (pd.read_csv(folder / f"{way}.csv") for way in ("python", "shell"))
    if not python.equals(shell):
        raise RuntimeError("Python and the command line must write the same predictions, they differ: this is a fault")
    inside = (python["tip_lower [mm]"] <= truth) & (truth <= python["tip_upper [mm]"])
    error = rmse_std(python[["tip [mm]"]].to_numpy(), truth.to_numpy()[:, None])
    return {"rmse_std": round(float(error), 4), "coverage": round(float(inside.mean()), 3)}


def main(quick: Quick = False, rounds: Rounds = 3, out: Out = None) -> None:
    """Time both ways in turns."""
    out = out or Path("results") / ("csv_to_csv_quick" if quick else "csv_to_csv")
    rows, steps, rounds = ((60, 12, 5), 20, 1) if quick else ((2000, 20, 1000), 3000, rounds)
    python, shell = [], []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, count, shear, seed in zip(("source", "target", "truth"), rows, (0, 1, 1), (0, 1, 2), strict=True):
            beams(count, shear=shear, seed=seed).to_csv(folder / f"{name}.csv", index=False)
        truth = pd.read_csv(folder / "truth.csv")
        truth.drop(columns="tip [mm]").to_csv(folder / "new.csv", index=False)
        for _ in range(rounds):
            python.append(in_python(folder, steps))
            shell.append(on_the_command_line(folder, steps))
        found: dict[str, Any] = check(folder, truth["tip [mm]"])
    table = rows_of(python, shell)
    print(text_table(("step", "Python, s", "command line, s"), table))
    print(f"\nrmse_std {found['rmse_std']}, coverage {found['coverage']} of intervals of {LEVEL:.0%} on {rows[2]} new inputs")
    setting = {"rows": dict(zip(("source", "target", "new"), rows, strict=True)), "steps": steps, "rounds": rounds}
    write_json(out / "csv_to_csv.json", {"config": {**setting, "level": LEVEL, **origin()}, "table": table, **found})


def rows_of(python: list[list[float]], shell: list[list[float]]) -> list[tuple[str, str, str]]:
    """Return the medians of each step as texts; imports are a part of every command."""
    medians = [statistics.median(step) for step in zip(*python, strict=True)]
    commands = [statistics.median(step) for step in zip(*shell, strict=True)]
    totals = [statistics.median(map(sum, way)) for way in (python, shell)]
    left = [*medians, totals[0]]
    right = ["", *(f"{one:.2f}" for one in (*commands, totals[1]))]
    return [(step, f"{one:.2f}", other) for step, one, other in zip(STEPS, left, right, strict=True)]


if __name__ == "__main__":
    run(main, __doc__)
