"""Reference results for changes that are meant to change no number: write them before and after, and compare.

    python tests/reference.py write before                 curves of the quick benchmarks, choices and intervals: some minutes
    python tests/reference.py compare before after         the largest difference in each group

A difference of 0 means that all bits are equal, including signs of zeros; inf means that something is missing, or that texts,
shapes, precisions, places of NaN or signs of zeros differ. Write both on the same machine, with the same library versions.
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from paths import BENCHMARKS

import pac_surrogate as pac
from simulators.generate import generate
from simulators.pairs import find_pair

CURVES = (
    *("heat_equation", "friedman", "oscillator", "pde_suite", "ablation", "forgetting", "feature_selection"),
    *("sparse_transfer", "robust_tickets", "leaderboard"),
)
PAIRS = ("heat_equation", "burgers", "poisson", "darcy", "borehole", "friedman_4", "oscillator_damped", "lotka_volterra")
SIZES = (3, 10, 50)
METHODS = {
    "PAC": pac.PAC(),
    "fine-tune": pac.FineTune(),
    "GP": pac.GP(),
    "linear correction": pac.LinearCorrection(),
    "ATL": pac.ATL(),
}
Values = dict[str, np.ndarray]


def curves(folder: Path) -> None:
    """Run the quick benchmarks, each in its own process."""
    for name in CURVES:
        command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick", "--out", f"results/{name}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        print(f"  {name}", flush=True)


def choices(folder: Path) -> Values:
    """Compute predictions and tables of "auto", and intervals of "auto" and of five methods."""
    found: Values = {}
    for name in PAIRS:
        paths = generate(find_pair(name), folder / "data" / "choices", samples=120, say=lambda line: None)
        source, target = (pac.open_dataset(path) for path in paths.values())
        surrogate = pac.pretrain(source.train, model=pac.MLP(hidden=(32, 32)), steps=300)
        options = {"source": source.train, "steps": 100, "source_steps": 100}
        for size in SIZES:
            samples = target.train[: min(size, len(target.train))]
            adapted = pac.transfer(surrogate, samples, **options)
            assert adapted.choice is not None
            key = f"auto/{name}/{size}"
            found[f"{key}/prediction"] = adapted.predict(target.test).reshape(len(target.test), -1)
            table = [(one.error, one.standard_error, one.weight) for one in adapted.choice.table]
            found[f"{key}/table"] = np.array(table).reshape(-1, 3)
            found[f"{key}/names"] = np.array([one.name for one in adapted.choice.table])
            if size >= 10:  # fewer samples allow no interval of 90 %
                found |= bounds(adapted, target.test, key)
        for label, method in METHODS.items():
            adapted = pac.transfer(surrogate, target.train[:10], method=method, **options)
            found |= bounds(adapted, target.test, f"interval/{label}/{name}")
        print(f"  {name}", flush=True)
    return found


def bounds(adapted: pac.Surrogate, data: pac.Dataset, key: str) -> Values:
    """Return intervals, the samples that they mark as extrapolated, and the range of inputs behind these marks."""
    interval, inputs = adapted.predict_interval(data), adapted.scaling.inputs
    found = {name: np.asarray(getattr(interval, name)) for name in ("mean", "lower", "upper", "extrapolates")}
    found |= {"lowest input": inputs.low.numpy(), "highest input": inputs.high.numpy()}
    return {f"{key}/{name}": values for name, values in found.items()}


def numbers_of(content: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of nested dictionaries, each with its path."""
    if isinstance(content, dict):
        for key, part in content.items():
            yield from numbers_of(part, f"{name}/{key}" if name else key)
    else:
        yield name, np.array(content)


def read(folder: Path) -> Values:
    """Read all numbers and texts from a written folder; the oscillators' rollouts are not curves and are stored as JSON.

    Raises:
        ValueError: if the folder holds no numbers of a benchmark.
    """
    with np.load(folder / "choices.npz") as stored:
        found = dict(stored)
    for path in sorted(folder.glob("results/**/curve.nc")):
        curve = pac.open_curve(path)
        label = path.parent.relative_to(folder / "results")
        found |= {f"{label}/{name}": variable.values for name, variable in curve.variables.items()}
    for path in sorted(folder.glob("results/**/rollout.json")):
        label = path.parent.relative_to(folder / "results")
        found |= {f"{label}/{name}": values for name, values in numbers_of(json.loads(path.read_text(encoding="utf-8")))}
    missing = set(CURVES) - {name.split("/")[0] for name in found}
    if missing:
        raise ValueError(f"{folder} holds no numbers of {', '.join(sorted(missing))}: write it again")
    return found


def difference_of(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference relative to the largest size: 0 only for equal bits, infinity if anything else differs."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return np.inf
    if one.dtype.kind != "f":
        return 0.0 if np.array_equal(one, other) else np.inf
    missing = np.isnan(one)
    if not np.array_equal(missing, np.isnan(other)):
        return np.inf
    one, other = one[~missing], other[~missing]  # the bits of a NaN carry no meaning
    if one.tobytes() == other.tobytes():
        return 0.0
    apart = one != other
    if not apart.any():  # only the sign of a zero differs
        return np.inf
    scale = float(np.abs(one[np.isfinite(one)]).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        away = np.abs(one - other)[apart] / (scale or 1.0)
    return max(float(np.nan_to_num(away, nan=np.inf, posinf=np.inf).max()), float(np.finfo(np.float64).tiny))


def compare(before: Values, after: Values) -> dict[str, float]:
    """Return the largest difference in each group; see `difference_of`."""
    worst: dict[str, float] = {}
    for name in sorted(before.keys() | after.keys()):
        group = "/".join(name.split("/")[:2])
        there = name in before and name in after
        difference = difference_of(before[name], after[name]) if there else np.inf
        if difference == np.inf:
            print(f"  {name}: missing, or another shape, precision, text, place of NaN or sign of a zero")
        worst[group] = max(worst.get(group, 0.0), difference)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "compare"))
    parser.add_argument("folders", type=Path, nargs="+")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.what == "write":
        (folder,) = given.folders
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / "choices.npz", **choices(folder))  # type: ignore[arg-type]  # of NumPy's own stubs
        return curves(folder)
    try:
        before, after = map(read, given.folders)
    except ValueError as error:
        sys.exit(f"error: {error}")
    worst = compare(before, after)
    for group, difference in worst.items():
        print(f"{group:50} {difference:.1e}")
    print(f"{len(before)} arrays; largest difference {max(worst.values()):.1e}")
    sys.exit(max(worst.values()) > 0)


if __name__ == "__main__":
    main()
