"""The division of runs into stacks that train together, and the parallel training of stacks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event

from torch import nn

from pac_surrogate.models import CNN, MLP, activation_size
from pac_surrogate.models.weights import prunable
from pac_surrogate.pruning.cost import flops
from pac_surrogate.solvers.runs import Fit, Options, Run
from pac_surrogate.utilities.process import LONG, allowed_threads, begin_worker, threads_for

STACK_MEMORY = {"cpu": 2**26, "cuda": 2**29}  # on the CPU 32 to 128 MB are equally fast
PADDING = 5e7  # floating-point operations that padding may add to a step: the calls of another stack would cost as much


def stacks_of(model: nn.Module, runs: list[Run], options: Options, stack_memory: int | None) -> Iterator[list[Run]]:
    """Yield runs of similar size in stacks of about `stack_memory` bytes, by default STACK_MEMORY."""
    if not runs:
        return
    if stack_memory is None:
        stack_memory = STACK_MEMORY[options.device.type]
    width = activation_size(model, runs[0].data.widths[0])
    widened: list[object] = []

    def pulled(run: Run) -> bool:
        return any(bool((strength > 0).any()) for strength in run.plan.strength.values())

    def kind(run: Run) -> tuple[bool, bool, int, tuple[bool, ...]]:
        """Return a key; runs of different keys cannot share a stack, or would take longer (a probe needs no body gradients)."""
        plan = run.plan
        live = tuple(bool(mask.any()) for mask in plan.trainable.values())
        attack = None if plan.perturbation is None else plan.perturbation.steps
        extras = (plan.regulariser, plan.reparametrisation, attack, {name: w.shape for name, w in plan.start.items()})
        if extras not in widened:
            widened.append(extras)
        return run.rows < len(run.data), run.valid is not None, widened.index(extras), live

    kinds = {run.index: kind(run) for run in runs}
    operations = 3 * _forward_operations(model)  # forward, and backward to the weights and to a layer's inputs
    stack: list[Run] = []
    filled = 0  # rows of the stack that hold samples
    # Runs without a pull come first: a stack of such runs alone need not compute the pull.
    for run in sorted(runs, key=lambda run: (*kinds[run.index], run.rows, pulled(run), run.index)):
        arrays = run.plan.regulariser.arrays if run.plan.regulariser is not None else {}
        size = sum(tensor.numel() for part in (run.plan.start, arrays) for tensor in part.values())
        memory = (len(stack) + 1) * options.dtype.itemsize * (12 * size + 2 * run.rows * width)
        # Padding to the largest run costs time: sizes that differ by more than half share a stack only if the cost is small.
        padding = operations * (len(stack) * run.rows - filled)
        uneven = bool(stack) and 2 * run.rows > 3 * stack[0].rows and padding > PADDING
        if stack and (kinds[run.index] != kinds[stack[0].index] or uneven or memory > stack_memory):
            yield sorted(stack, key=_rates)
            stack, filled = [], 0
        stack.append(run)
        filled += run.rows
    yield sorted(stack, key=_rates)


def _rates(run: Run) -> list[float]:
    """Return the learning rates: runs of equal rates are adjacent in a stack, so that one call of Adam updates all of them."""
    return [run.learning_rate * rate for rate in run.plan.rate.values()]


class StoppedError(Exception):
    """The end of a stack's training because another stack has failed or the user has interrupted."""


def at_once(
    train: Callable[[list[Run]], list[Fit]], stacks: list[list[Run]], model: nn.Module, options: Options, stop: Event
) -> list[list[Fit]]:
    """Train stacks in parallel, with one thread each and as many at once as torch has threads.

    If there are fewer stacks than threads and all are large, they train one after another, each with all threads. An error or
    an interrupt sets `stop`, and `train` should then raise StoppedError.
    """
    own = hasattr(model, "forward_stack")  # stacks of a user's module train one after another
    workers = min(allowed_threads(), len(stacks)) if own and options.device.type == "cpu" else 1
    each = [_operations(model, stack) for stack in stacks]
    if workers < 2 or (len(stacks) < allowed_threads() and min(each) >= LONG):
        results = []
        for stack, operations in zip(stacks, each, strict=True):
            with threads_for(operations):
                results.append(train(stack))
        return results
    with ThreadPoolExecutor(workers, initializer=begin_worker) as pool:
        # The longest stack first, so that no core is left with a long one at the end.
        order = sorted(range(len(stacks)), key=lambda i: -each[i])
        futures = {i: pool.submit(train, stacks[i]) for i in order}
        try:
            for future in as_completed(futures.values()):
                future.result()  # an error ends the other stacks at once
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [futures[i].result() for i in range(len(stacks))]


def _operations(model: nn.Module, stack: list[Run]) -> float:
    """Return the floating-point operations of the average product in a step of a stack."""
    rows = max(run.rows for run in stack)
    return _forward_operations(model) * len(stack) * rows / max(1, len(prunable(dict(model.named_parameters()))))


def _forward_operations(model: nn.Module) -> float:
    """Return the floating-point operations of a prediction for one sample."""
    weights = dict(model.named_parameters())
    counted = isinstance(getattr(model, "architecture", None), MLP | CNN)
    return flops(model, weights) if counted else 2 * sum(weight.numel() for weight in weights.values())
