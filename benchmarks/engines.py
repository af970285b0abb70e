"""Measure how fast a pruned network predicts with each engine of `Surrogate.optimise`, on one thread.

    python benchmarks/engines.py                4 x 1,024 units, sparsity 0.9 and 0.95, batches of 1, 64 and 1,024: a minute
    python benchmarks/engines.py --quick        a short run of every part, in seconds; its numbers mean nothing
    python benchmarks/engines.py --activation gelu --sparsities 0.9 --batches 1

The network has 8 inputs, 1 output and random weights. Between hidden layers a fraction of them, the sparsity, is 0.
A time is the processor time of a call from physical inputs to physical outputs in NumPy. All engines are measured in turn, each
for blocks of some milliseconds after a call that brings its numbers into the cache; a ratio is the time of the dense network in
torch over that of the engine in the same round. Numbers in parentheses are quartiles over rounds. The deviation is the largest
difference from `Surrogate.predict` in standard deviations of the output.
"""

import dataclasses
from typing import Annotated, Any

import numpy as np
import torch
import typer

import pac_surrogate as pac
from pac_surrogate.data.scaling import fit_scaling
from pac_surrogate.files.replacing import check_output
from pac_surrogate.models import initial_weights
from pac_surrogate.predictors import build_network
from shared.command import NUMBERS, OutFile, Quick, run
from shared.files import JSON, write_json
from shared.provenance import machine


def pruned(width: int, activation: str, sparsity: float) -> pac.Surrogate:
    """Return a network of four hidden layers whose weights are drawn, and 0 with the probability of the sparsity."""
    draw = np.random.default_rng(0)
    data = pac.Dataset.from_arrays(draw.random((100, 8)), draw.random((100, 1)))
    network = build_network(pac.MLP(hidden=(width,) * 4, activation=activation), data.inputs, data.outputs)
    weights = initial_weights(network.module, torch.Generator().manual_seed(0))
    for layer in (1, 2, 3):
        weight = weights[f"hidden.{layer}.weight"]
        kept = torch.from_numpy(draw.random(weight.shape) >= sparsity)
        # Scaled as if the layer had been drawn with the inputs that remain, so that the output keeps its size.
        weights[f"hidden.{layer}.weight"] = torch.where(kept, weight, 0.0) / (1 - sparsity) ** 0.5
    network = dataclasses.replace(network, weights=weights)
    return pac.Surrogate(network, fit_scaling(data), data.inputs, data.outputs)


def main(
    quick: Quick = False,
    width: Annotated[int, typer.Option(min=1, help="Units of each hidden layer.")] = 1024,
    activation: Annotated[str, typer.Option(help="gelu, relu, silu or tanh.")] = "relu",
    sparsities: Annotated[list[float] | None, typer.Option(metavar=NUMBERS, min=0.0, max=0.999)] = None,
    batches: Annotated[list[int] | None, typer.Option(metavar=NUMBERS, min=1, help="Samples a call.")] = None,
    seconds: Annotated[float, typer.Option(min=0.001, help="Time of each table.")] = 10.0,
    out: OutFile = None,
) -> None:
    if out:
        check_output(out, JSON)
    width, seconds = (64, 0.01) if quick else (width, seconds)
    print(f"{machine()}; MLP of 4 x {width:,} {activation}, 8 inputs, 1 output, one thread")
    rows: list[dict[str, Any]] = []
    for sparsity in sparsities or (0.9, 0.95):
        surrogate = pruned(width, activation, sparsity)
        for batch in batches or (1, 64, 1024):
            found = surrogate.optimise(batch, seconds=seconds)
            print(f"\nsparsity {sparsity:g}: {found}", flush=True)
            rows += [{"sparsity": sparsity, "batch": batch, **row.to_json()} for row in found.measured]
    if out:
        write_json(out, {"hardware": machine(), "width": width, "activation": activation, "rows": rows})


if __name__ == "__main__":
    run(main, __doc__)
