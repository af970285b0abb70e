"""Measure one stack of runs against a plain PyTorch loop over them.

    python benchmarks/throughput.py             400 runs, 1 and 2 threads: about 5 minutes on 2 cores
    python benchmarks/throughput.py --quick     a look, in seconds; its ratios mean nothing
    python benchmarks/throughput.py --device cuda

The same 400 runs (MLP 2 x 64; fine-tune, L2-SP, linear probe, PAC's calibrate and L2, 80 seeds each; 32 samples of 33 inputs
and 32 outputs) are trained with the same steps by one call of `pac.fit`, and one by one as anybody would write it:
`torch.nn.Sequential`, autograd, `torch.optim.Adam`, once as it comes and once fused. The ways alternate within each round, and
set-up is timed with the steps. Ratios are loop time over stack time, median [least, largest] over rounds. The loop keeps no
objective history; the stack does.
"""

import argparse
import datetime
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from outputs import JSON, write_json
from torch import nn

import pac_surrogate as pac
from pac_surrogate import console
from pac_surrogate.files.replacing import check_output
from pac_surrogate.models import initial_weights
from pac_surrogate.models.weights import Weights, inside, masked, prunable, redundant
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning import magnitude_mask

INPUTS, OUTPUTS, SAMPLES, HIDDEN, LEARNING_RATE = 33, 32, 32, (64, 64), 1e-3


def make_runs(count: int) -> tuple[nn.Module, list[Plan], list[pac.Dataset]]:
    """Plans of five methods in turn, each with weights and data of its own seed."""
    generator = torch.Generator().manual_seed(0)
    datasets = [
        pac.Dataset.from_arrays(*(torch.randn(SAMPLES, width, generator=generator) for width in (INPUTS, OUTPUTS)))
        for _ in range(count)
    ]
    model = pac.MLP(hidden=HIDDEN).build(datasets[0].inputs, datasets[0].outputs)
    plans = []
    for run in range(count):
        w = initial_weights(model, generator)
        names, essential = prunable(w), magnitude_mask(w, 0.8)
        posed = (
            make_plan(w),
            make_plan(w, anchor=w, strength=dict.fromkeys(names, 0.1)),
            make_plan(w, trainable=inside(w, "readout")),
            make_plan(masked(w, essential), trainable=redundant(essential), strength=dict.fromkeys(names, 0.02)),
            make_plan(w, strength=dict.fromkeys(names, 1e-3)),
        )
        plans.append(posed[run % len(posed)])
    return model, plans, datasets


def train_loop(
    plans: list[Plan], datasets: list[pac.Dataset], steps: int, fused: bool, device: str, dtype: torch.dtype
) -> list[Weights]:
    """Train one network after the other."""
    results = []
    for plan, data in zip(plans, datasets, strict=True):
        widths = (INPUTS, *HIDDEN, OUTPUTS)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        network = nn.Sequential(*(part for layer in layers[:-1] for part in (layer, nn.GELU())), layers[-1]).to(device, dtype)
        weights = dict(zip(plan.start, network.parameters(), strict=True))
        for name, weight in weights.items():
            weight.data.copy_(plan.start[name])
            weight.requires_grad_(bool(plan.trainable[name].any()))
        free = {name: weight for name, weight in weights.items() if weight.requires_grad}
        masks = {name: plan.trainable[name].to(device) for name in free if plan.trainable[name].ndim}
        pulls = {name: float(plan.strength[name]) for name in free if float(plan.strength[name])}
        anchors = {name: plan.anchor[name].to(device, dtype) for name in pulls}
        x, y = (torch.as_tensor(matrix).to(device, dtype) for matrix in (data.input_matrix, data.output_matrix))
        adam = torch.optim.Adam(free.values(), lr=LEARNING_RATE, fused=fused or None)
        for _ in range(steps):
            adam.zero_grad()
            objective = (network(x) - y).square().mean()
            for name, strength in pulls.items():
                objective = objective + 0.5 * strength * (masks.get(name, 1.0) * (free[name] - anchors[name]).square()).sum()
            objective.backward()
            for name, mask in masks.items():
                free[name].grad *= mask  # type: ignore[operator]  # backward() has set it
            adam.step()
        results.append({name: weight.detach().cpu() for name, weight in weights.items()})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a look at everything in seconds")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    flags = parser.parse_args()
    if flags.out:
        check_output(flags.out, JSON)
    runs, steps, rounds = (20, 5, 1) if flags.quick else (flags.runs, flags.steps, flags.rounds)
    if min(runs, steps, rounds) < 1:
        raise ValueError(f"runs, steps and rounds must be at least 1, got {runs}, {steps} and {rounds}")
    model, plans, datasets = make_runs(runs)

    def stack(dtype: torch.dtype = torch.float32) -> list[Weights]:
        fits = pac.fit(
            model,
            plans,
            datasets,
            seeds=range(runs),
            steps=steps,
            learning_rate=LEARNING_RATE,
            device=flags.device,
            dtype=dtype,
        )
        return [result.weights for result in fits]

    def loop(fused: bool, dtype: torch.dtype = torch.float32) -> list[Weights]:
        return train_loop(plans, datasets, steps, fused, flags.device, dtype)

    ways: dict[str, Callable[[], list[Weights]]] = {
        "stack": stack,
        "loop, default Adam": lambda: loop(False),
        "loop, fused Adam": lambda: loop(True),
    }
    hardware = (
        torch.cuda.get_device_name() if flags.device.startswith("cuda") else f"{platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"{runs} runs, MLP {INPUTS}-64-64-{OUTPUTS}, {SAMPLES} samples, {steps} steps, float32, {rounds} rounds; {hardware}")
    results: dict[str, dict[str, list[float]]] = {}
    pac.fit(
        model, plans[:1], datasets[:1], seeds=[0], steps=1, learning_rate=0.0, device=flags.device
    )  # what torch imports at the first step
    for threads in flags.threads:
        torch.set_num_threads(threads)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        results[f"{threads} threads"] = seconds
        for name in list(ways)[1:]:
            ratios = [a / b for a, b in zip(seconds[name], seconds["stack"], strict=True)]
            print(
                f"  {threads} threads: {name} / stack = {statistics.median(ratios):.1f} [{min(ratios):.1f}, {max(ratios):.1f}]"
                f"   ({statistics.median(seconds[name]):.2f} s / {statistics.median(seconds['stack']):.2f} s)"
            )
    differences = {}
    for dtype in (torch.float32, torch.float64):
        pairs = zip(stack(dtype), loop(False, dtype), strict=True)
        differences[str(dtype)] = max(float((a[name] - b[name]).abs().max()) for a, b in pairs for name in a)
        print(f"  largest difference of any weight, stack against loop, {dtype}: {differences[str(dtype)]:.1e}")
    if flags.out:
        settings = {"runs": runs, "steps": steps, "rounds": rounds, "torch": torch.__version__, "hardware": hardware}
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        content = {"date": date, **settings, "seconds": results, "differences": differences}
        write_json(flags.out, content)


if __name__ == "__main__":
    console.run(main)
