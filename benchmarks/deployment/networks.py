"""Pruned networks on a target: the methods that make them, and their sizes and times as they are deployed."""

import importlib.util
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pac_surrogate as pac
from pac_surrogate.curves.folder import surrogate_path
from pac_surrogate.methods.method import Method
from pac_surrogate.pruning import nonzeros
from shared.comparison import compare
from shared.controls import TrainedLonger
from shared.setting import Setting


def wood_fisher(sparsity: float, granularity: str) -> pac.WoodFisher:
    """Return WoodFisher in two rounds with blocks of 64 weights, whose Fisher matrices take no longer than the trainings."""
    return pac.WoodFisher(sparsity, rounds=2, block=64, granularity=granularity)


RECIPES: dict[str, Callable[[float, str], Method]] = {
    "GMP": lambda sparsity, granularity: pac.GMP(sparsity, granularity=granularity),
    "WoodFisher": wood_fisher,
    "AC/DC": lambda sparsity, granularity: pac.ACDC(sparsity, granularity=granularity),
    "STR": lambda sparsity, granularity: pac.STR(sparsity, granularity=granularity),
    "RigL": lambda sparsity, granularity: pac.RigL(sparsity, granularity=granularity),
    "LTH-T": lambda sparsity, granularity: pac.LTHT(sparsity, granularity=granularity),
}
FORMS = {"unstructured": "weight", "structured": "unit"}  # what is pruned, and its granularity
DENSE = "dense"
BATCHES = (1, 64)
RATES = (1e-3, 1e-6, 1e-5, 1e-4, 3e-3, 1e-2, 1e-1)  # learning rates on the target, among which cross-validation chooses
PACKAGES = ("onnx", "onnxruntime", "onnxscript", "numba")


def check_installed() -> None:
    """Check that the packages of the extra `deploy` are installed.

    Raises:
        ValueError: if one is missing.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"all engines and exports are measured, which need {', '.join(missing)}: pip install -e '.[deploy]'")


def fraction_of_groups(sparsity: float, form: str) -> float:
    """Return the fraction of the groups to prune for a sparsity of the weights.

    Of a square layer between layers of which a fraction u of the units is pruned, (1 - u)^2 of the weights remain, so that

        u = 1 - sqrt(1 - sparsity)
    """
    return sparsity if FORMS[form] == "weight" else 1 - math.sqrt(1 - sparsity)


def name_of(recipe: str, sparsity: float, form: str) -> str:
    return f"{recipe} {sparsity} {form}"


def methods_of(recipes: Iterable[str], sparsities: Sequence[float]) -> dict[str, tuple[Method, ...]]:
    """Return each recipe at each sparsity in both forms, and before them the dense network with as many steps on the source.

    Each is tuned over the same learning rates on the target, as wide networks with few samples depend on it.
    """
    pruned = {
        name_of(recipe, sparsity, form): RECIPES[recipe](fraction_of_groups(sparsity, form), granularity)
        for form, granularity in FORMS.items()
        for sparsity in sparsities
        for recipe in recipes
    }
    dense = tuple(TrainedLonger(pac.FineTune(learning_rate=rate)) for rate in RATES)
    return {DENSE: dense} | {
        name: tuple(pac.SparseTransfer(recipe, learning_rate=rate) for rate in RATES) for name, recipe in pruned.items()
    }


def measure(
    pair: str, recipes: Sequence[str], sparsities: Sequence[float], setting: Setting, seconds: float, *, every: bool = False
) -> dict[str, Any]:
    """Train all networks of a pair, and measure those of the first seed as they are deployed.

    Args:
        pair: name of the pair.
        recipes: names of the recipes.
        sparsities: fractions of the weights to prune.
        setting: budget of the methods, device and folders.
        seconds: how long to measure the times of a network and a batch size.
        every: whether the times of all engines are returned and printed, and not only those of the fastest.

    Returns:
        By the name of the network its errors for all seeds, and what `deployed` returns if the first training was sound.
    """
    curve = compare(pair, methods_of(recipes, sparsities), setting)
    errors = curve[curve.attrs["headline"]].isel(size=-1)
    found: dict[str, Any] = {}
    for name in map(str, curve["approach"].values):
        own = [float(error) for error in errors.sel(approach=name).values]
        found[name] = {"errors": own}
        if math.isfinite(own[0]):
            surrogate = pac.Surrogate.load(surrogate_path(setting.out / pair, name))
            found[name] |= deployed(surrogate, seconds, every=every, label=f"{pair}, {name}")
    return found


def deployed(surrogate: pac.Surrogate, seconds: float, *, every: bool = False, label: str = "") -> dict[str, Any]:
    """Return the size of a surrogate without the units that pruning has disconnected, and the times of a prediction.

    The ratio of a time is that of the dense network in torch, with all units and zeros, over that of the engine, measured in
    turn. Each time and ratio is a median with both quartiles.
    """
    compacted = surrogate.compact()
    with tempfile.TemporaryDirectory() as folder:
        files = {"c": Path(folder) / "c", "onnx": Path(folder) / "surrogate.onnx"}
        sizes = {f"{format}_bytes": compacted.export(path, format).size for format, path in files.items()}
    speed = {}
    for batch in BATCHES:
        fast = surrogate.optimise(batch, seconds=seconds)
        rows = {row.engine: {"microseconds": rounded(row.microseconds), "ratio": rounded(row.ratio)} for row in fast.measured}
        speed[str(batch)] = {"engine": fast.engine, **rows[fast.engine], **({"engines": rows} if every else {})}
        if every:
            print(f"\n{label}: {fast}", flush=True)
    return {"weights": nonzeros(compacted.weights), "units": _units(compacted), **sizes, "speed": speed}


def _units(surrogate: pac.Surrogate) -> list[int]:
    architecture = surrogate.network.architecture
    return list(architecture.hidden) if isinstance(architecture, pac.MLP) else []


def rounded(values: Iterable[float]) -> list[float]:
    """Return numbers with four significant digits, more than a time has."""
    return [float(f"{value:.4g}") for value in values]
