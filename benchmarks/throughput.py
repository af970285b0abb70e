"""Measure the time of a stack of runs against that of a plain PyTorch loop over them.

    python benchmarks/throughput.py             400 runs, 1 and 2 threads: about 5 minutes on 2 cores
    python benchmarks/throughput.py --quick     a short run of every part, in seconds; its ratios mean nothing
    python benchmarks/throughput.py --device cuda

The same 400 runs (MLP 2 x 64; fine-tune, L2-SP, linear probe, PAC's calibrate and L2, 80 seeds each; 32 samples of 33 inputs
and 32 outputs) are trained with the same steps by one call of `pac.fit`, and one by one in the usual PyTorch code:
`torch.nn.Sequential`, autograd, and `torch.optim.Adam`, once by default and once fused. Stack and loops alternate within each
round, and set-up is timed with the steps. Ratios are loop time over stack time, median [least, largest] over rounds. The loop
keeps no objective history; the stack does.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import torch
import typer
from torch import nn

import pac_surrogate as pac
from pac_surrogate.files.replacing import check_output
from pac_surrogate.models import initial_weights
from pac_surrogate.models.weights import Weights, inside, masked, prunable, redundant
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.pruning import magnitude_mask
from shared.command import OutFile, Quick, Rounds, Threads, run
from shared.files import JSON, write_json
from shared.provenance import machine, today

INPUTS, OUTPUTS, SAMPLES, HIDDEN, LEARNING_RATE = 33, 32, 32, (64, 64), 1e-3


def make_runs(count: int) -> tuple[nn.Module, list[Plan], list[pac.Dataset]]:
    """Return a network, plans of five methods in turn with weights of their own, and a dataset for each plan."""
    generator = torch.Generator().manual_seed(0)
    datasets = [
        pac.Dataset.from_arrays(*(torch.randn(SAMPLES, width, generator=generator) for width in (INPUTS, OUTPUTS)))
        for _ in range(count)
    ]
    model = pac.MLP(hidden=HIDDEN).build(datasets[0].inputs, datasets[0].outputs)
    plans = []
    for place in range(count):
        w = initial_weights(model, generator)
        names, essential = prunable(w), magnitude_mask(w, 0.8)
        posed = (
            make_plan(w),
            make_plan(w, anchor=w, strength=dict.fromkeys(names, 0.1)),
            make_plan(w, trainable=inside(w, "readout")),
            make_plan(masked(w, essential), trainable=redundant(essential), strength=dict.fromkeys(names, 0.02)),
            make_plan(w, strength=dict.fromkeys(names, 1e-3)),
        )
        plans.append(posed[place % len(posed)])
    return model, plans, datasets


def train_loop(
    plans: list[Plan], datasets: list[pac.Dataset], steps: int, fused: bool, device: str, dtype: torch.dtype
) -> list[Weights]:
    """Train one network after the other; return their weights."""
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


def ratio(seconds: Mapping[str, Sequence[float]], name: str) -> str:
    """Return the time of a loop over that of the stack, median [least, largest] over rounds."""
    ratios = [a / b for a, b in zip(seconds[name], seconds["stack"], strict=True)]
    return f"{statistics.median(ratios):.1f} [{min(ratios):.1f}, {max(ratios):.1f}]"


def main(
    quick: Quick = False,
    runs: Annotated[int, typer.Option(min=1, help="Number of networks that are trained.")] = 400,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each network.")] = 50,
    rounds: Rounds = 3,
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="Device of the training: cpu or cuda.")] = "cpu",
    out: OutFile = None,
) -> None:
    if out:
        check_output(out, JSON)
    if quick:
        runs, steps, rounds = 20, 5, 1
    model, plans, datasets = make_runs(runs)

    def stack(dtype: torch.dtype = torch.float32) -> list[Weights]:
        fits = pac.fit(
            model,
            plans,
            datasets,
            seeds=range(runs),
            steps=steps,
            learning_rate=LEARNING_RATE,
            device=device,
            dtype=dtype,
        )
        return [result.weights for result in fits]

    def loop(fused: bool, dtype: torch.dtype = torch.float32) -> list[Weights]:
        return train_loop(plans, datasets, steps, fused, device, dtype)

    ways: dict[str, Callable[[], list[Weights]]] = {
        "stack": stack,
        "loop, default Adam": lambda: loop(False),
        "loop, fused Adam": lambda: loop(True),
    }
    hardware = machine(device)
    print(f"{runs} runs, MLP {INPUTS}-64-64-{OUTPUTS}, {SAMPLES} samples, {steps} steps, float32, {rounds} rounds; {hardware}")
    results: dict[str, dict[str, list[float]]] = {}
    # The imports of torch at the first step are not measured.
    pac.fit(model, plans[:1], datasets[:1], seeds=[0], steps=1, learning_rate=0.0, device=device)
    for number in threads or (1, 2):
        torch.set_num_threads(number)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        results[f"{number} threads"] = seconds
        for name in list(ways)[1:]:
            print(
                f"  {number} threads: {name} / stack = {ratio(seconds, name)}"
                f"   ({statistics.median(seconds[name]):.2f} s / {statistics.median(seconds['stack']):.2f} s)"
            )
    differences = {}
    for dtype in (torch.float32, torch.float64):
        pairs = zip(stack(dtype), loop(False, dtype), strict=True)
        differences[str(dtype)] = max(float((a[name] - b[name]).abs().max()) for a, b in pairs for name in a)
        print(f"  largest difference of any weight between stack and loop, {dtype}: {differences[str(dtype)]:.1e}")
    if out:
        settings = {"runs": runs, "steps": steps, "rounds": rounds, "torch": torch.__version__, "hardware": hardware}
        write_json(out, {"date": today(), **settings, "seconds": results, "differences": differences})


if __name__ == "__main__":
    run(main, __doc__)
