"""Cost of a choice: seconds of auto and of its closed forms beside those of training and other libraries, in turn."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import pac_surrogate as pac
from pac_surrogate.curves.errors import METRICS
from pac_surrogate.selection.candidates import BLOCK_ROWS, plans_around
from pac_surrogate.solvers.closed_form import RATIOS, linearise
from pac_surrogate.surrogates.batch_prediction import predict_many
from pac_surrogate.surrogates.outputs import with_outputs_of
from pac_surrogate.surrogates.surrogate import Surrogate
from shared.setting import Setting
from shared.tables import markdown_table

SAMPLES = 20
STEPS = 2000  # of fine-tuning
TURNS = 3
FIELDS = (64, 4096)  # outputs of the larger models, MLP 3 x 128


def measure_prices(setting: Setting) -> dict[str, Any]:
    """Measure every pair with its own model, and two larger models on synthetic fields; run each way TURNS times, in turn."""
    found: dict[str, Any] = {"pairs": {}, "fields": {}}
    steps, turns = (10, 1) if setting.quick else (STEPS, TURNS)
    for pair in setting.pairs:
        source, target, (surrogate, *_), _ = setting.pretrain(pair)
        found["pairs"][pair] = _compare(surrogate, source, target, steps, turns, setting.device)
        print(f"{pair}: {_line(found['pairs'][pair]['seconds'])}", flush=True)
    for outputs in FIELDS[: 1 if setting.quick else None]:
        source, target = _made_up(outputs, 0.0), _made_up(outputs, 0.3)
        model = pac.MLP(hidden=(128, 128, 128))
        surrogate = pac.pretrain(source.train, model=model, steps=steps // 10, valid=0, device=setting.device)
        found["fields"][str(outputs)] = _compare(surrogate, source, target, steps, turns, setting.device, others=False)
        print(f"{outputs} outputs: {_line(found['fields'][str(outputs)]['seconds'])}", flush=True)
    return found


def _compare(
    surrogate: Surrogate, source: pac.Dataset, target: pac.Dataset, steps: int, turns: int, device: str, *, others: bool = True
) -> dict[str, Any]:
    """Return the seconds and errors of each way."""
    data = target.subset(0, SAMPLES) if len(target.train) >= SAMPLES else target.train
    options: dict[str, Any] = {"source": source.train, "intervals": False, "device": device}
    ways: dict[str, Callable[[], Any]] = {
        "auto": lambda: pac.transfer(surrogate, data, **options),
        "closed forms": lambda: _closed_forms(surrogate, data),
        "one closed form": lambda: _closed_forms(surrogate, data, only="all weights, variance as |w|"),
        "fine-tune": lambda: pac.transfer(surrogate, data, method=pac.FineTune(), steps=steps, **options),
    }
    if others:
        ways["GP on the residual"] = lambda: pac.transfer(surrogate, data, method=pac.GP(on="residual"), **options)
        ways["co-kriging"] = lambda: pac.transfer(surrogate, data, method=pac.CoKriging(), **options)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    errors: dict[str, float] = {}
    for turn in range(turns + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            try:
                answer = way()
            except ValueError:
                if name == "co-kriging":
                    continue  # it does not apply to this number of outputs
                raise
            if turn:  # the first turn includes imports and compilation
                seconds[name].append(time.perf_counter() - began)
            errors[name] = _error(answer, target)
    return {"seconds": {name: times for name, times in seconds.items() if times}, "errors": errors}


def _closed_forms(surrogate: Surrogate, data: pac.Dataset, only: str = "") -> Surrogate:
    """Solve auto's Plans, or one of them, in closed form for 21 ratios each; predict by that of least leave-one-out error."""
    surrogate = with_outputs_of(surrogate, data)
    plans = plans_around(surrogate)
    plans = {name: plan for name, plan in plans.items() if name == only} or plans
    scaled = surrogate.scaling.standardise(data)
    x, y = (torch.as_tensor(matrix).double() for matrix in (scaled.input_matrix, scaled.output_matrix))
    kernel = "block" if y.numel() <= BLOCK_ROWS else "shared"
    solved = linearise(surrogate.network, list(plans.values()), x, y, kernel=kernel, ratio=RATIOS)
    best = min(solved, key=lambda found: float(found.left_out.square().mean()))  # type: ignore[union-attr]
    return replace(surrogate, predictor=best.predictor)


def _error(answer: Surrogate, target: pac.Dataset) -> float:
    headline = METRICS[str(target.attributes.get("headline", "rel_l2"))]
    return float(headline(predict_many([answer], [target.test])[0], target.test.output_matrix))


def _made_up(outputs: int, shift: float) -> pac.Dataset:
    """Return fields of 20 modes that depend on 8 inputs; a shift of the inputs turns them into another task."""
    numbers = np.random.default_rng(0)
    x = numbers.uniform(-1, 1, (600, 8))
    mixed = np.sin((x + shift) @ numbers.normal(0, 0.7, (8, 20)) + numbers.uniform(0, 6, 20))
    places = np.linspace(0, 1, outputs)
    modes = np.cos(np.pi * np.arange(20)[:, None] * places) / (1 + np.arange(20)[:, None])
    return pac.Dataset.from_arrays(x, mixed @ modes, test=0.2)


def _line(seconds: Mapping[str, list[float]]) -> str:
    return ", ".join(f"{name} {statistics.median(times):.2f} s" for name, times in seconds.items())


def print_prices(prices: Mapping[str, Any]) -> None:
    """Print the cost of each way, and of large fields."""
    print(f"\nmedians at n = {SAMPLES}; fine-tuning of {STEPS} steps; {TURNS} turns after a first one that is not counted")
    print(price_table(prices))
    for outputs, found in prices["fields"].items():
        slowest = max(found["seconds"]["auto"])
        print(f"MLP 3 x 128, {outputs} outputs, n = {SAMPLES}: {_line(found['seconds'])}; slowest auto {slowest:.2f} s")


def price_table(prices: Mapping[str, Any]) -> str:
    """Return median seconds, ratios of time with quartiles over pairs and turns, and median ratios of error, as Markdown."""
    head = ("", "pairs", "seconds", "seconds of fine-tuning / seconds [quartiles]", "error / error of fine-tuning")
    rows = []
    pairs = prices["pairs"].values()
    for name in ("auto", "closed forms", "one closed form", "GP on the residual", "co-kriging"):
        own = [found for found in pairs if name in found["seconds"]]
        if not own:
            continue
        ratios = [b / a for f in own for a, b in zip(f["seconds"][name], f["seconds"]["fine-tune"], strict=True)]
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        taken = statistics.median(statistics.median(found["seconds"][name]) for found in own)
        error = statistics.median(found["errors"][name] / found["errors"]["fine-tune"] for found in own)
        rows.append((name, len(own), f"{taken:.3f}", f"{middle:.1f} [{low:.1f}, {high:.1f}]", f"{error:.2f}"))
    return markdown_table(head, rows)
