"""Which runs train together as a stack, and which stacks at once."""

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
PADDING = 5e7  # floating-point operations that padding may add to a step: one stack more would cost as much in calls


def stacks_of(model: nn.Module, runs: list[Run], options: Options, stack_memory: int | None) -> Iterator[list[Run]]:
    """Runs of like size, in stacks of about `stack_memory` bytes, by default STACK_MEMORY."""
    if not runs:
        return
    if stack_memory is None:
        stack_memory = STACK_MEMORY[options.device.type]
    width = activation_size(model, runs[0].data.widths[0])
    widened: list[object] = []

    def pulled(run: Run) -> bool:
        return any(bool((strength > 0).any()) for strength in run.plan.strength.values())

    def kind(run: Run) -> tuple[bool, bool, int, tuple[bool, ...]]:
        """Runs that differ in this cannot share a stack, or would cost each other time: a probe needs no body gradients."""
        plan = run.plan
        live = tuple(bool(mask.any()) for mask in plan.trainable.values())
        attack = None if plan.perturbation is None else plan.perturbation.steps
        extras = (plan.regulariser, plan.reparametrisation, attack, {name: w.shape for name, w in plan.start.items()})
        if extras not in widened:
            widened.append(extras)
        return run.rows < len(run.data), run.valid is not None, widened.index(extras), live

    kinds = {run.index: kind(run) for run in runs}
    operations = 3 * _forward_operations(model)  # forward, and backward to the weights and to what enters a layer
    stack: list[Run] = []
    filled = 0  # rows of the stack that hold samples
    # Runs that nothing pulls come first: where a whole stack is such, it does without the pull.
    for run in sorted(runs, key=lambda run: (*kinds[run.index], run.rows, pulled(run), run.index)):
        arrays = run.plan.regulariser.arrays if run.plan.regulariser is not None else {}
        size = sum(tensor.numel() for part in (run.plan.start, arrays) for tensor in part.values())
        memory = (len(stack) + 1) * options.dtype.itemsize * (12 * size + 2 * run.rows * width)
        # Padding to the largest costs time: sizes that differ by more than half share a stack only if that is small.
        padding = operations * (len(stack) * run.rows - filled)
        uneven = bool(stack) and 2 * run.rows > 3 * stack[0].rows and padding > PADDING
        if stack and (kinds[run.index] != kinds[stack[0].index] or uneven or memory > stack_memory):
            yield sorted(stack, key=_rates)
            stack, filled = [], 0
        stack.append(run)
        filled += run.rows
    yield sorted(stack, key=_rates)


def _rates(run: Run) -> list[float]:
    """Learning rates: runs of the same ones stand side by side in a stack, where one call of Adam moves them all."""
    return [run.learning_rate * rate for rate in run.plan.rate.values()]


class StoppedError(Exception):
    """Another stack has failed, or the user has interrupted: what this one does is no longer wanted."""


def at_once(
    train: Callable[[list[Run]], list[Fit]], stacks: list[list[Run]], model: nn.Module, options: Options, stop: Event
) -> list[list[Fit]]:
    """Train stacks, one thread to each and as many at once as torch has threads; a few large ones by all threads together.

    An error or an interrupt sets `stop`, and `train` should then raise StoppedError.
    """
    own = hasattr(model, "forward_stack")  # a module of the user's is one at a time
    workers = min(allowed_threads(), len(stacks)) if own and options.device.type == "cpu" else 1
    each = [_operations(model, stack) for stack in stacks]
    if workers < 2 or (len(stacks) < allowed_threads() and min(each) >= LONG):
        results = []
        for stack, operations in zip(stacks, each, strict=True):
            with threads_for(operations):
                results.append(train(stack))
        return results
    with ThreadPoolExecutor(workers, initializer=begin_worker) as pool:
        # The longest first, so that no core is left with a long one at the end.
        order = sorted(range(len(stacks)), key=lambda i: -each[i])
        futures = {i: pool.submit(train, stacks[i]) for i in order}
        try:
            for future in as_completed(futures.values()):
                future.result()  # an error ends the others at once
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [futures[i].result() for i in range(len(stacks))]


def _operations(model: nn.Module, stack: list[Run]) -> float:
    """Floating-point operations of the average product in a step of a stack."""
    rows = max(run.rows for run in stack)
    return _forward_operations(model) * len(stack) * rows / max(1, len(prunable(dict(model.named_parameters()))))


def _forward_operations(model: nn.Module) -> float:
    """Floating-point operations of a prediction for one sample."""
    weights = dict(model.named_parameters())
    counted = isinstance(getattr(model, "architecture", None), MLP | CNN)
    return flops(model, weights) if counted else 2 * sum(weight.numel() for weight in weights.values())
