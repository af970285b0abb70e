"""Fraction of the memory bandwidth that our steps use on a GPU, where memory limits them."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shared.measurement import Record, errors
from speed.evolutions import Evolution


class Traffic(TorchDispatchMode):
    """Counter of the bytes that tensor operations, except views, read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            touched = [value for value in tree_leaves((args, kwargs, result)) if isinstance(value, Tensor)]
            self.bytes += sum(value.numel() * value.element_size() for value in touched)
        return result


def count_traffic(evolution: Evolution, initial: Tensor) -> int:
    """Return the bytes that one step of one row reads and writes."""
    counted = []
    for steps in (1, 2):
        with Traffic() as traffic:
            replace(evolution, steps=steps).solve(initial)
        counted.append(traffic.bytes)
    return (counted[1] - counted[0]) // len(initial)


def seconds_of(run: Callable[[], object], device: str) -> float:
    """Return the seconds that a run takes until the device has finished it."""
    began = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def copy_bandwidth(size: int, device: str) -> float:
    """Return the bytes per second that the fastest copy of `size` bytes reads and writes."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    copy = partial(torch.empty_like(source).copy_, source)
    seconds = [seconds_of(copy, device) for _ in range(11)]
    return 2 * size / min(seconds[1:])


def use_of_bandwidth(evolutions: dict[str, Evolution], device: str, *, rounds: int, checked: int, copied: int) -> list[Record]:
    """Measure every evolution in both precisions.

    Args:
        evolutions: evolutions by name.
        device: device of PyTorch.
        rounds: number of runs of each.
        checked: number of rows compared with the reference.
        copied: bytes of the copy that gives the bandwidth.
    """
    bandwidth = copy_bandwidth(copied, device)
    records = []
    for name, evolution in evolutions.items():
        initial = evolution.draw()
        true = evolution.refer(initial[:checked])
        for precision in ("float64", "float32"):
            few = initial.to(getattr(torch, precision))
            many = few.to(device).repeat(max(1, evolution.crowd // len(few)), *(1,) * len(evolution.points))
            both = {"ours": errors(evolution.solve(many)[:checked].cpu().numpy(), true)}
            traffic = count_traffic(evolution, few[:2]) * len(many)
            seconds = [seconds_of(partial(evolution.solve, many), device) for _ in range(rounds)]
            fraction = [evolution.steps * traffic / bandwidth / wall for wall in seconds]
            described = {"equation": name, "points": evolution.points, "precision": precision, "samples": len(many)}
            measured = {
                "seconds": seconds,
                "bytes_per_step": traffic,
                "copy_bandwidth": bandwidth,
                "fraction_of_copy": fraction,
            }
            records.append(described | {"steps": evolution.steps, "errors": both} | measured)
    return records
