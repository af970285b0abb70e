"""The only training loop: Adam on any stack of Plans at once.

Every tensor of a stack leads with a `run` axis, and every product is batched over it, so a run's numbers never meet those of
its neighbours: which runs share a stack changes results by rounding alone, and a run that diverges stays alone with it.
"""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.adam import Adam, AdamState
from pac_surrogate.arguments import check_numbers, got, whole_numbers
from pac_surrogate.batches import Batch, PaddedData
from pac_surrogate.dataset import Dataset, as_dataset
from pac_surrogate.device import resolve_device
from pac_surrogate.display import Shown, one_line
from pac_surrogate.files import DatasetError
from pac_surrogate.files.attributes import LONGEST_MESSAGE
from pac_surrogate.files.replacing import check_output, check_own_folder
from pac_surrogate.files.tensors import UncheckedError, load_tensors, save_tensors
from pac_surrogate.memory import memory_bytes
from pac_surrogate.models import CNN, COMPOSITES, MLP, activation_size, check_model, evaluate, evaluate_stack
from pac_surrogate.perturbation import perturbed, random_start
from pac_surrogate.plan import Plan, stack_plans
from pac_surrogate.process import LONG, allowed_threads, begin_worker, own_settings, threads_for
from pac_surrogate.progress import progress_bar
from pac_surrogate.pruning.cost import flops
from pac_surrogate.surrogate import DataWarning
from pac_surrogate.weights import Weights, digest, prunable, stack, unstack

TRAINER = 3  # raise it whenever this file computes something else: finished stacks of an older one are then not used
VALIDATIONS = 100  # how often a training looks at its validation data
STACK_MEMORY = {"cpu": 2**26, "cuda": 2**29}  # on the CPU 32 to 128 MB are equally fast
PADDING = 5e7  # floating-point operations that padding may add to a step: one stack more would cost as much in calls


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Shown):
    """What one run of `fit` ended with.

    Attributes:
        weights: the last weights, or those of the least validation error if validation data were given; on the CPU. They are
            what the model sees, also where the Plan trained something else.
        objective: the Plan's objective before each step (of the step's minibatch, where there are minibatches).
        diverged: the first step whose objective was not finite, or None.
        valid_error: the least mean squared error on the validation data, or None.
        seconds: the run's share of its stack's time.
        state: the optimiser's state, if it was asked for.
    """

    weights: Weights
    objective: Float[Tensor, " step"]
    diverged: int | None = None
    valid_error: float | None = None
    seconds: float = 0.0
    state: AdamState | None = None


@dataclass(frozen=True, eq=False, repr=False)
class _Run(Shown):
    index: int
    plan: Plan
    data: Dataset
    rows: int  # samples a step
    seed: int
    learning_rate: float
    valid: Dataset | None
    state: AdamState | None


@dataclass(frozen=True)
class _Options:
    steps: int
    batch_size: int | None
    dtype: torch.dtype
    schedule: str
    device: torch.device
    keep_state: bool

    def factor(self, step: int) -> float:
        return 1.0 if self.schedule == "constant" else 0.5 * (1 + math.cos(math.pi * step / self.steps))


@own_settings()
def fit(
    model: nn.Module,
    plans: Sequence[Plan],
    datasets: Sequence[Dataset],
    *,
    seeds: Sequence[int],
    steps: int,
    learning_rate: float | Sequence[float],
    batch_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    valid: Sequence[Dataset] | None = None,
    resume: Sequence[Fit] | None = None,
    schedule: str = "constant",
    device: str | torch.device = "auto",
    keep_state: bool = False,
    stack_memory: int | None = None,
    cache: Path | None = None,
    progress: bool | None = None,
) -> list[Fit]:
    """Follow the gradient of any number of Plans with Adam (Kingma & Ba 2015), all as stacks.

    Args:
        model: the module that all Plans are for.
        plans: one Plan a run.
        datasets: one dataset a run, used as it is: standardise first. Runs may share one.
        seeds: one seed a run; it orders the run's minibatches and nothing else.
        steps: gradient steps of every run.
        learning_rate: one for all, or one a run.
        batch_size: samples a step; a run with no more samples than that uses all of them in every step.
        dtype: precision of the training.
        valid: one dataset a run; then the weights of the least validation error come back.
        resume: earlier results of the same runs, made with `keep_state=True`: their optimiser and minibatches go on, from
            the weights of the Plans given here.
        schedule: learning rate over the steps of this call, constant or half a cosine down to zero.
        device: "auto" means CUDA where there is one.
        keep_state: return the optimiser's state with each result.
        stack_memory: bytes that one stack may take, about; long lists are split. How depends on the list alone. By default
            64 MB on the CPU, and 512 MB on a GPU. On the CPU as many stacks train at once as torch has threads.
        cache: folder in which finished stacks are kept; a later call with the same content takes them from there. Not used
            for a user's module, whose code has no name.
        progress: show a progress bar; by default, if standard error is a terminal.

    Returns:
        One result a Plan, in their order. A Plan that trains nothing, or has no samples, returns its start.

    Raises:
        ValueError: if lengths disagree, widths do not fit the model, or a number is out of range.
    """
    plans, datasets = _as_runs(model, plans, datasets)
    check_model(model)
    (steps,) = whole_numbers(None, steps=steps)
    rates: list[Any] = list(learning_rate) if isinstance(learning_rate, list | tuple) else [learning_rate] * len(plans)
    check_numbers(**{f"learning_rate {run}": rate for run, rate in enumerate(rates)})
    for label, given in (
        ("datasets", datasets),
        ("seeds", seeds),
        ("learning_rate", rates),
        ("valid", valid),
        ("resume", resume),
    ):
        if given is not None and len(given) != len(plans):
            raise ValueError(f"fit needs one entry of {label} for each of the {len(plans)} plans, got {len(given)}")
    if steps < 0 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"fit needs steps >= 0 and batch_size >= 1, got steps={steps}, batch_size={batch_size}")
    if schedule not in ("constant", "cosine"):
        raise ValueError(f"unknown schedule {schedule!r}: choose constant or cosine")
    if any(not 0 <= rate < math.inf for rate in rates):
        raise ValueError(f"learning_rate must be finite and not negative, got {rates}")
    if resume is not None and any(
        e.state is None and p.trains and len(d) for e, p, d in zip(resume, plans, datasets, strict=True)
    ):
        raise ValueError("resume needs results that carry the optimiser's state: fit them with keep_state=True")
    if keep_state and cache is not None:
        raise ValueError("finished stacks on disk do not hold the optimiser's state: give cache or keep_state, not both")
    if keep_state and any(plan.reparametrisation is not None for plan in plans):
        raise ValueError("a result holds the model's weights, so a reparametrised plan cannot go on: keep_state must be False")
    architecture = getattr(model, "architecture", None)
    while isinstance(architecture, COMPOSITES):
        architecture = architecture.base
    if not isinstance(architecture, MLP | CNN):
        cache = None  # the code of a user's module cannot be named by its content, so nothing vouches for a stack on disk
    if cache is not None:
        check_own_folder(cache)
    _check_widths(model, plans, [*datasets, *(valid or ())])
    if (held := 4 * steps * len(plans)) > memory_bytes():  # the history of the objective alone
        raise ValueError(
            f"steps={steps} of {len(plans)} runs would take {held:.1e} bytes, more than there is memory: ask for fewer"
        )

    options = _Options(steps, batch_size, dtype, schedule, resolve_device(device), keep_state)
    lengths = [len(data) for data in datasets]
    runs = [
        _Run(
            i,
            plan,
            datasets[i],
            min(lengths[i], batch_size or lengths[i]),
            seeds[i],
            rates[i],
            valid[i] if valid else None,
            resume[i].state if resume else None,
        )
        for i, plan in enumerate(plans)
    ]
    idle = {run.index for run in runs if not (run.plan.trains and len(run.data) and steps)}
    results = {
        i: Fit({n: w.to(dtype) for n, w in runs[i].plan.seen().items()}, torch.zeros(0, dtype=dtype), state=runs[i].state)
        for i in idle
    }
    moving = [run for run in runs if run.index not in idle]
    stacks = list(_split(model, moving, options, STACK_MEMORY[options.device.type] if stack_memory is None else stack_memory))
    stop = Event()
    with (
        progress_bar(progress) as bar,
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        task = bar.add_task("training", total=len(stacks) * steps)

        def advance(done: int) -> None:
            if stop.is_set():
                raise _StoppedError
            bar.advance(task, done)

        def trained(stack: list[_Run]) -> list[Fit]:
            finished = cache / f"{_name(model, stack, options)}.safetensors" if cache else None
            fits = _load(finished, stack, options) if finished else None
            if fits is not None:
                advance(steps)
                return fits
            fits = _train(model, stack, options, advance)
            if finished:
                _save(finished, fits)
            return fits

        for stack, fits in zip(stacks, _at_once(trained, stacks, model, options, stop), strict=True):
            results |= {run.index: result for run, result in zip(stack, fits, strict=True)}
    return [results[i] for i in range(len(runs))]


class _StoppedError(Exception):
    """Another stack has failed, or the user has interrupted: what this one does is no longer wanted."""


def _at_once(
    train: Callable[[list[_Run]], list[Fit]], stacks: list[list[_Run]], model: nn.Module, options: _Options, stop: Event
) -> list[list[Fit]]:
    """Train stacks, one thread to each and as many at once as torch has threads; a few large ones by all threads together."""
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


def _operations(model: nn.Module, stack: list[_Run]) -> float:
    """Floating-point operations of the average product in a step of a stack."""
    rows = max(run.rows for run in stack)
    return _forward_operations(model) * len(stack) * rows / max(1, len(prunable(dict(model.named_parameters()))))


def _forward_operations(model: nn.Module) -> float:
    """Floating-point operations of a prediction for one sample."""
    weights = dict(model.named_parameters())
    counted = isinstance(getattr(model, "architecture", None), MLP | CNN)
    return flops(model, weights) if counted else 2 * sum(weight.numel() for weight in weights.values())


def _check_widths(model: nn.Module, plans: Sequence[Plan], datasets: Sequence[Dataset]) -> None:
    """Refuse what would fail deep inside, or worse, broadcast."""
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    for plan in plans:
        if {name: weight.shape for name, weight in plan.seen().items()} != shapes:
            raise ValueError(f"a plan is for other weights than the model's: {', '.join(shapes)}")
    widths = {data.widths for data in datasets}
    for inputs, outputs in widths:
        weights = dict(model.named_parameters())
        try:
            with torch.no_grad():
                predicted = evaluate(model, weights, torch.zeros(1, inputs, dtype=next(iter(weights.values())).dtype))[0].shape[
                    1
                ]
        except RuntimeError as error:
            raise ValueError(f"the model does not take the {inputs} input columns of the data") from error
        if predicted != outputs:
            raise ValueError(f"the model predicts {predicted} output columns, the data have {outputs}")


def _as_runs(model: Any, plans: Any, datasets: Any) -> tuple[list[Plan], list[Dataset]]:
    """Plans and datasets of the runs, if they are such."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"fit trains a torch.nn.Module, such as surrogate.model, got {got(model)}")
    if isinstance(plans, Plan) or not isinstance(datasets, list | tuple):
        raise ValueError("fit takes lists, with an entry for each run, as in fit(model, [plan], [data], seeds=[0], ...)")
    if strange := [plan for plan in plans if not isinstance(plan, Plan)]:
        raise ValueError(f"fit follows Plans, as make_plan gives them, got {got(strange[0])}: transfer takes methods")
    return list(plans), [as_dataset("a run's dataset", data) for data in datasets]


def _split(model: nn.Module, runs: list[_Run], options: _Options, stack_memory: int) -> Iterator[list[_Run]]:
    """Runs of like size, in stacks that fit memory."""
    if not runs:
        return
    width = activation_size(model, runs[0].data.widths[0])
    widened: list[object] = []

    def pulled(run: _Run) -> bool:
        return any(bool((strength > 0).any()) for strength in run.plan.strength.values())

    def kind(run: _Run) -> tuple[bool, bool, int, int, tuple[bool, ...]]:
        """Runs that differ in this cannot share a stack, or would cost each other time: a probe needs no body gradients."""
        plan = run.plan
        live = tuple(bool(mask.any()) for mask in plan.trainable.values())
        attack = None if plan.perturbation is None else plan.perturbation.steps
        extras = (plan.behaviour, plan.reparametrisation, attack, {name: w.shape for name, w in plan.start.items()})
        if extras not in widened:
            widened.append(extras)
        steps = run.state.steps if run.state else 0
        return run.rows < len(run.data), run.valid is not None, steps, widened.index(extras), live

    kinds = {run.index: kind(run) for run in runs}
    operations = 3 * _forward_operations(model)  # forward, and backward to the weights and to what enters a layer
    stack: list[_Run] = []
    filled = 0  # rows of the stack that hold samples
    # Runs that nothing pulls come first: where a whole stack is such, it does without the pull.
    for run in sorted(runs, key=lambda run: (*kinds[run.index], run.rows, pulled(run), run.index)):
        arrays = run.plan.behaviour.arrays if run.plan.behaviour is not None else {}
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


def _rates(run: _Run) -> list[float]:
    """Learning rates: runs of the same ones stand side by side in a stack, where one call of Adam moves them all."""
    return [run.learning_rate * rate for rate in run.plan.rate.values()]


def _train(model: nn.Module, runs: list[_Run], options: _Options, advance: Callable[[int], None]) -> list[Fit]:
    began = time.perf_counter()
    plan = stack_plans([run.plan for run in runs], options.dtype, options.device)
    weights = {name: tensor.clone() for name, tensor in plan.start.items()}
    trained = {name: weights[name] for name in plan.live}
    gradient = {name: torch.zeros_like(tensor) for name, tensor in trained.items()}
    rate = {name: [run.learning_rate * run.plan.rate[name] for run in runs] for name in plan.live}
    adam = Adam(trained, gradient, rate, [run.state for run in runs])
    data = PaddedData([run.data for run in runs], options.dtype, options.device)
    task = _Task(model, runs, options, gradient)
    best = _Best(model, task.seen, weights, [run.valid for run in runs if run.valid is not None], options)
    history = torch.empty(options.steps, len(runs), dtype=options.dtype, device=options.device)

    batches = data.batches([run.seed for run in runs], options.batch_size, options.steps, first=adam.steps)
    with torch.no_grad():
        for step, batch in enumerate(batches):
            if step % max(1, options.steps // VALIDATIONS) == 0:
                best.look(weights)
            objective = history[step].zero_()
            for name, into in gradient.items():
                if name in plan.strength:
                    torch.sub(weights[name], plan.anchor[name], out=into)
                    objective += _pull_(into, plan.strength[name])
                else:
                    into.zero_()
            objective += task.add_gradient(weights, batch, adam.steps)
            for name, free in plan.free.items():
                gradient[name] *= free
            adam.step(options.factor(step))
            if step % 16 == 15 or step + 1 == options.steps:
                advance(step % 16 + 1)
    best.look(weights)

    # A step of zero may change a frozen weight's sign of zero, and a diverged run may leave NaN there: restore its bits.
    final = {n: torch.where(plan.trainable[n], tensor, plan.start[n]) for n, tensor in best.weights_or(weights).items()}
    final = {name: tensor.cpu() for name, tensor in task.seen(final).items()}
    broken = ~torch.isfinite(history)
    for weight in trained.values():
        broken[-1] |= ~torch.isfinite(weight).flatten(1).all(1)
    first_broken = torch.where(broken.any(0), broken.int().argmax(0), -1).tolist()
    states = adam.states() if options.keep_state else [None] * len(runs)
    history = history.cpu()
    seconds = (time.perf_counter() - began) / len(runs)
    return [
        Fit(
            weights=run_weights,
            objective=history[:, i].clone(),
            diverged=None if first_broken[i] < 0 else first_broken[i],
            valid_error=best.valid_error(i),
            seconds=seconds,
            state=states[i],
        )
        for i, run_weights in enumerate(unstack(final))
    ]


def _pull_(away: Tensor, strength: Tensor) -> Float[Tensor, " run"]:
    """Return 1/2 sum_k strength_k away_k^2 of each run, and multiply `away` by the strength: the gradient."""
    if strength.numel() == len(strength):  # one number a run: the sum in one pass, without an array between
        energy = torch.linalg.vector_norm(away.flatten(1), dim=1).square_().mul_(strength.flatten())
        away *= strength
    else:
        pull = strength * away
        energy = torch.mul(pull, away, out=away).flatten(1).sum(1)
        away.copy_(pull)
    return energy.div_(2)


class _Task:
    """What the runs of a stack minimise beside the pull towards their anchors."""

    def __init__(self, model: nn.Module, runs: list[_Run], options: _Options, gradient: Weights) -> None:
        self.model, self.runs, self.rows = model, runs, [run.rows for run in runs]
        self.gradient = gradient
        self.behaviour, self.reparametrisation = runs[0].plan.behaviour, runs[0].plan.reparametrisation
        self.perturbations = [run.plan.perturbation for run in runs if run.plan.perturbation is not None]
        arrays = [run.plan.behaviour.arrays for run in runs if run.plan.behaviour is not None]
        self.arrays = {n: w.to(options.device, options.dtype) for n, w in stack(arrays).items()} if arrays else {}
        written_out = self.behaviour is None and self.reparametrisation is None and hasattr(model, "gradient_stack")
        self.by_chain_rule = model.gradient_stack(gradient) if written_out else None  # type: ignore[operator]  # a method
        self.entered: tuple[Tensor, Tensor] | None = None

    def seen(self, weights: Weights) -> Weights:
        """The weights that the model sees."""
        return weights if self.reparametrisation is None else self.reparametrisation(weights)

    def add_gradient(self, weights: Weights, batch: Batch, step: int) -> Float[Tensor, " run"]:
        """Return the mean squared error, with the behaviour's term, at the weights, and add its gradient to `gradient`."""
        x, y, share = batch
        if self.perturbations:
            seen = self.seen(weights)
            origin = random_start([run.seed for run in self.runs], self.rows, step, x)
            x = perturbed(x, self.perturbations, origin, lambda at: self._slope_by_inputs(seen, at, y, share))
        found: list[Tensor] = []

        def slope(prediction: Tensor) -> Tensor:
            error, by_prediction = mean_squared_error(prediction, y, share)
            found.append(error)
            return by_prediction

        if self.by_chain_rule is not None:
            if self.entered is None or self.entered[0] is not x:  # where all steps share a batch, it enters once
                self.entered = x, self.by_chain_rule.enter(weights, x)
            self.by_chain_rule.add(weights, self.entered[1], slope)
            return found[0]
        with torch.enable_grad():
            leaves = {name: weight.detach().requires_grad_(name in self.gradient) for name, weight in weights.items()}
            prediction, features = evaluate_stack(self.model, self.seen(leaves), x)
            roots, slopes = [prediction], [slope(prediction.detach())]
            if self.behaviour is not None:
                term = self.behaviour.term(self.arrays, self.model, x, share, prediction, features)
                found[0] = found[0] + term.detach()
                roots, slopes = [prediction, term], [*slopes, torch.ones_like(term)]
        for name, tensor in self.gradient.items():
            leaves[name].grad = tensor  # to which autograd adds in place
        torch.autograd.backward(roots, slopes)
        return found[0]

    def _slope_by_inputs(self, weights: Weights, at: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Gradient of the runs' errors with respect to the inputs."""
        with torch.enable_grad():
            moved = at.detach().requires_grad_()
            prediction, _ = evaluate_stack(self.model, weights, moved)
        return torch.autograd.grad(prediction, moved, mean_squared_error(prediction.detach(), y, share)[1])[0]


def mean_squared_error(
    prediction: Float[Tensor, "run sample output"], y: Float[Tensor, "run sample output"], share: Float[Tensor, "run sample"]
) -> tuple[Float[Tensor, " run"], Float[Tensor, "run sample output"]]:
    """Mean squared error of each run, and its derivative by the prediction.

    Args:
        prediction: of the stack.
        y: outputs.
        share: of each sample in its run's mean.
    """
    difference = prediction - y
    error = torch.linalg.vecdot(torch.linalg.vector_norm(difference, dim=2).square_(), share) / y.shape[-1]
    return error, difference.mul_((share * (2 / y.shape[-1])).unsqueeze(-1))


class _Best:
    """Each run's weights of least validation error so far; idle without validation data."""

    def __init__(
        self,
        model: nn.Module,
        seen: Callable[[Weights], Weights],
        weights: Weights,
        valid: list[Dataset],
        options: _Options,
    ) -> None:
        self.model, self.seen = model, seen
        self.data = PaddedData(valid, options.dtype, options.device) if valid else None
        self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()} if valid else {}
        self.error = torch.full((len(valid),), math.inf, dtype=options.dtype, device=options.device)

    @torch.no_grad()
    def look(self, weights: Weights) -> None:
        if self.data is None:
            return
        error = self._mean_squared_error(self.data, self.seen(weights))
        better = error < self.error
        self.error = torch.where(better, error, self.error)
        for name, kept in self.weights.items():
            kept.copy_(torch.where(better.view(-1, *(1,) * (kept.ndim - 1)), weights[name], kept))

    def _mean_squared_error(self, data: PaddedData, weights: Weights, chunk: int = 256) -> Float[Tensor, " run"]:
        total = torch.zeros_like(self.error)
        for first in range(0, max(data.lengths), chunk):
            x, y, share = data.whole(slice(first, first + chunk))
            prediction, _ = evaluate_stack(self.model, weights, x)
            total += mean_squared_error(prediction, y, share)[0]
        return total

    def weights_or(self, last: Weights) -> Weights:
        return self.weights if self.data is not None else last

    def valid_error(self, run: int) -> float | None:
        return float(self.error[run]) if self.data is not None else None


def _name(model: nn.Module, runs: list[_Run], options: _Options) -> str:
    """A name for a stack by all that its result depends on."""
    digests = {id(data): data.digest() for run in runs for data in (run.data, run.valid) if data is not None}
    settings = [
        (
            run.seed,
            run.learning_rate,
            run.plan.rate,
            run.plan.behaviour,
            run.plan.reparametrisation,
            run.plan.perturbation,
            digests[id(run.data)],
            digests.get(id(run.valid)),
            run.state and run.state.steps,
        )
        for run in runs
    ]
    plans = [part for run in runs for part in (run.plan.start, run.plan.trainable, run.plan.anchor, run.plan.strength)]
    plans += [run.plan.behaviour.arrays for run in runs if run.plan.behaviour is not None]
    states = [moment for run in runs if run.state for moment in (run.state.first, run.state.second)]
    return digest(
        (TRAINER, version("pac_surrogate"), model.architecture, replace(options, keep_state=False), settings), plans + states
    )


def _save(path: Path, fits: list[Fit]) -> None:
    tensors = {f"weights/{name}": torch.stack([result.weights[name] for result in fits]) for name in fits[0].weights}
    results = [{"diverged": f.diverged, "valid_error": f.valid_error, "seconds": f.seconds} for f in fits]
    objective = torch.stack([f.objective for f in fits])
    header = {"stack": path.stem, "runs": results, "order": list(fits[0].weights)}
    save_tensors(path, tensors | {"objective": objective}, header, cache=True)


def _load(path: Path, runs: list[_Run], options: _Options) -> list[Fit] | None:
    """The finished stack of these runs; None if there is none, or none that is whole, as a warning then says.

    One without a checksum, of an earlier version, counts as none.
    """
    if not os.path.lexists(path):
        return None
    check_output(path)
    try:
        tensors, header = load_tensors(path, checked=True)
        if header.get("stack") != path.stem:
            raise DatasetError(f"{path} holds another stack than its name says")
        return _fits(tensors, header, runs, options)
    except UncheckedError:
        return None
    except DatasetError as error:
        reason = error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = DatasetError(f"{path} is no whole stack ({one_line(error)})")
    warnings.warn(DataWarning(one_line(f"{reason}: it is trained anew", LONGEST_MESSAGE)), stacklevel=2)
    return None


def _fits(tensors: Weights, header: dict[str, Any], runs: list[_Run], options: _Options) -> list[Fit]:
    """What a stack holds, if it is what these runs give."""
    expected = {n: (len(runs), *w.shape) for n, w in runs[0].plan.seen().items()}
    # safetensors sorts names; the order of weights is the order in which penalties are added, and so part of the result's bits.
    stacked = {name: tensors[f"weights/{name}"] for name in header["order"]}
    objective, results = tensors["objective"], header["runs"]
    if {name: tuple(w.shape) for name, w in stacked.items()} != expected or len(results) != len(runs):
        raise ValueError("its weights are not those of the runs")
    if objective.shape != (len(runs), options.steps) or {t.dtype for t in (objective, *stacked.values())} != {options.dtype}:
        raise ValueError("its history is not that of the runs")
    return [Fit(w, objective[i].clone(), **results[i]) for i, w in enumerate(unstack(stacked))]
