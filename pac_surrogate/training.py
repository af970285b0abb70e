"""The only training loop: Adam on any stack of Plans at once.

Every tensor of a stack leads with a `run` axis, and every product is batched over it, so a run's numbers never meet those of
its neighbours: which runs share a stack changes results by rounding alone, and a run that diverges stays alone with it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.arguments import check_numbers, got, whole_numbers
from pac_surrogate.batches import PaddedData
from pac_surrogate.dataset import Dataset, as_dataset
from pac_surrogate.device import resolve_device
from pac_surrogate.display import Shown
from pac_surrogate.files.tensors import load_tensors, save_tensors
from pac_surrogate.models import CNN, COMPOSITES, MLP, activation_size, check_model, evaluate, evaluate_stack
from pac_surrogate.perturbation import perturbed, random_start
from pac_surrogate.plan import Plan, stack_plans
from pac_surrogate.process import own_settings
from pac_surrogate.progress import progress_bar
from pac_surrogate.weights import Weights, digest, stack, unstack

TRAINER = 1  # raise it whenever this file computes something else: finished stacks of an older one are then not used
VALIDATIONS = 100  # how often a training looks at its validation data
STACK_MEMORY = 2**29


@dataclass(frozen=True, eq=False, repr=False)
class AdamState(Shown):
    """Where Adam stood: the moments of the weights that train, and the steps taken."""

    first: Weights
    second: Weights
    steps: int


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

    def rows(self, run: _Run) -> int:
        return min(len(run.data), self.batch_size or len(run.data))


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
    stack_memory: int = STACK_MEMORY,
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
        stack_memory: bytes that one stack may take, about; long lists are split. How depends on the list alone.
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
    _check_widths(model, plans, [*datasets, *(valid or ())])

    options = _Options(steps, batch_size, dtype, schedule, resolve_device(device), keep_state)
    runs = [
        _Run(i, plan, datasets[i], seeds[i], rates[i], valid[i] if valid else None, resume[i].state if resume else None)
        for i, plan in enumerate(plans)
    ]
    idle = {run.index for run in runs if not (run.plan.trains and len(run.data) and steps)}
    results = {
        i: Fit({n: w.to(dtype) for n, w in runs[i].plan.seen().items()}, torch.zeros(0, dtype=dtype), state=runs[i].state)
        for i in idle
    }
    stacks = list(_split(model, [run for run in runs if run.index not in idle], options, stack_memory))
    with progress_bar(progress) as bar:
        task = bar.add_task("training", total=len(stacks) * steps)
        for stack in stacks:
            finished = cache / f"{_name(model, stack, options)}.safetensors" if cache else None
            if finished and finished.exists():
                fits = _load(finished)
                bar.advance(task, steps)
            else:
                fits = _train(model, stack, options, lambda done: bar.advance(task, done))
                if finished:
                    _save(finished, fits)
            results |= {run.index: result for run, result in zip(stack, fits, strict=True)}
    return [results[i] for i in range(len(runs))]


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

    def kind(run: _Run) -> tuple[bool, bool, int, int, tuple[bool, ...]]:
        """Runs that differ in this cannot share a stack, or would cost each other time: a probe needs no body gradients."""
        plan = run.plan
        live = tuple(bool(mask.any()) for mask in plan.trainable.values())
        attack = None if plan.perturbation is None else plan.perturbation.steps
        extras = (plan.behaviour, plan.reparametrisation, attack, {name: w.shape for name, w in plan.start.items()})
        if extras not in widened:
            widened.append(extras)
        steps = run.state.steps if run.state else 0
        return options.rows(run) < len(run.data), run.valid is not None, steps, widened.index(extras), live

    kinds = {run.index: kind(run) for run in runs}
    stack: list[_Run] = []
    for run in sorted(runs, key=lambda run: (*kinds[run.index], options.rows(run), run.index)):
        arrays = run.plan.behaviour.arrays if run.plan.behaviour is not None else {}
        size = sum(tensor.numel() for part in (run.plan.start, arrays) for tensor in part.values())
        memory = (len(stack) + 1) * options.dtype.itemsize * (12 * size + 2 * options.rows(run) * width)
        # Padding to the largest costs time: sizes that differ by more than half do not share a stack.
        uneven = bool(stack) and 2 * options.rows(run) > 3 * options.rows(stack[0])
        if stack and (kinds[run.index] != kinds[stack[0].index] or uneven or memory > stack_memory):
            yield stack
            stack = []
        stack.append(run)
    yield stack


@torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
def _train(model: nn.Module, runs: list[_Run], options: _Options, advance: Callable[[int], None]) -> list[Fit]:
    began = time.perf_counter()
    plan = stack_plans([run.plan for run in runs], options.dtype, options.device)
    rates = torch.tensor([run.learning_rate for run in runs], dtype=options.dtype, device=options.device)
    rate = {name: plan.rate[name] * rates.view(-1, *(1,) * (plan.rate[name].ndim - 1)) for name in plan.live}
    weights = {name: tensor.clone().requires_grad_(name in plan.live) for name, tensor in plan.start.items()}
    trained = [weights[name] for name in plan.live]

    # Adam with unit rate moves `update` from zero; the weights follow it with every run's and tensor's own rate.
    update = {name: torch.zeros_like(weights[name], requires_grad=True) for name in plan.live}
    adam = torch.optim.Adam(list(update.values()), lr=1.0, betas=(0.9, 0.999), eps=1e-8, fused=True)
    done = _restore(adam, update, [run.state for run in runs])
    data = PaddedData([run.data for run in runs], options.dtype, options.device)
    reparametrise = runs[0].plan.reparametrisation or (lambda parameters: parameters)
    behaviour, perturbations = runs[0].plan.behaviour, [r.plan.perturbation for r in runs if r.plan.perturbation is not None]
    arrays = _stack_arrays([run.plan.behaviour.arrays for run in runs if run.plan.behaviour is not None], options)
    best = _Best(model, reparametrise, weights, [run.valid for run in runs if run.valid is not None], options)
    history = torch.empty(options.steps, len(runs), dtype=options.dtype, device=options.device)

    batches = data.batches([run.seed for run in runs], options.batch_size, options.steps, first=done)
    for step, (x, y, share) in enumerate(batches):
        if step % max(1, options.steps // VALIDATIONS) == 0:
            best.look(weights)
        seen = reparametrise(weights)
        if perturbations:
            origin = random_start([run.seed for run in runs], [options.rows(run) for run in runs], done + step, x)
            x = perturbed(x, perturbations, origin, partial(_slope, model, seen, y, share))
        prediction, features = evaluate_stack(model, seen, x)
        error = ((prediction - y).square().mean(-1) * share).sum(-1)
        if behaviour is not None:
            error = error + behaviour.term(arrays, model, x, share, prediction, features)
        gradients = torch.autograd.grad(error.sum(), trained)
        with torch.no_grad():
            history[step] = error.detach()
            for (name, moved), gradient in zip(update.items(), gradients, strict=True):
                # Fused Adam reads memory in storage order, whatever the strides: a transposed gradient would go astray.
                moved.grad = gradient.contiguous()
                if name in plan.strength:
                    away = weights[name] - plan.anchor[name]
                    pull = plan.strength[name] * away
                    moved.grad += pull
                    history[step] += 0.5 * torch.linalg.vecdot(pull.flatten(1), away.flatten(1))
            adam.param_groups[0]["lr"] = options.factor(step)
            adam.step()
            for name, moved in update.items():
                weights[name].addcmul_(rate[name], moved)
                moved.zero_()
        if step % 16 == 15 or step + 1 == options.steps:
            advance(step % 16 + 1)
    best.look(weights)

    # A step of zero may change a frozen weight's sign of zero, and a diverged run may leave NaN there: restore its bits.
    final = {n: torch.where(plan.trainable[n], tensor, plan.start[n]) for n, tensor in best.weights_or(weights).items()}
    final = {name: tensor.cpu() for name, tensor in reparametrise(final).items()}
    broken = ~torch.isfinite(history)
    for weight in trained:
        broken[-1] |= ~torch.isfinite(weight.detach()).flatten(1).all(1)
    first_broken = torch.where(broken.any(0), broken.int().argmax(0), -1).tolist()
    states = _states(adam, update, done + options.steps) if options.keep_state else [None] * len(runs)
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


def _slope(model: nn.Module, weights: Weights, y: Tensor, share: Tensor, at: Tensor) -> Tensor:
    """Gradient of the runs' errors with respect to the inputs."""
    moved = at.detach().requires_grad_()
    prediction, _ = evaluate_stack(model, weights, moved)
    error = ((prediction - y).square().mean(-1) * share).sum()
    return torch.autograd.grad(error, moved)[0]


def _stack_arrays(arrays: Sequence[Weights], options: _Options) -> Weights:
    return {name: tensor.to(options.device, options.dtype) for name, tensor in stack(arrays).items()} if arrays else {}


class _Best:
    """Each run's weights of least validation error so far; idle without validation data."""

    def __init__(
        self,
        model: nn.Module,
        reparametrise: Callable[[Weights], Weights],
        weights: Weights,
        valid: list[Dataset],
        options: _Options,
    ) -> None:
        self.model, self.reparametrise = model, reparametrise
        self.data = PaddedData(valid, options.dtype, options.device) if valid else None
        self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()} if valid else {}
        self.error = torch.full((len(valid),), math.inf, dtype=options.dtype, device=options.device)

    @torch.no_grad()
    def look(self, weights: Weights) -> None:
        if self.data is None:
            return
        error = self._mean_squared_error(self.data, self.reparametrise(weights))
        better = error < self.error
        self.error = torch.where(better, error, self.error)
        for name, kept in self.weights.items():
            kept.copy_(torch.where(better.view(-1, *(1,) * (kept.ndim - 1)), weights[name], kept))

    def _mean_squared_error(self, data: PaddedData, weights: Weights, chunk: int = 256) -> Float[Tensor, " run"]:
        total = torch.zeros_like(self.error)
        for first in range(0, max(data.lengths), chunk):
            x, y, share = data.whole(slice(first, first + chunk))
            prediction, _ = evaluate_stack(self.model, weights, x)
            total += ((prediction - y).square().mean(-1) * share).sum(-1)
        return total

    def weights_or(self, last: Weights) -> Weights:
        return self.weights if self.data is not None else {name: weight.detach() for name, weight in last.items()}

    def valid_error(self, run: int) -> float | None:
        return float(self.error[run]) if self.data is not None else None


def _restore(adam: torch.optim.Adam, update: Weights, states: list[AdamState | None]) -> int:
    """Give Adam its earlier moments back; weights that did not train then start with none. Returns the steps taken."""
    earlier = [state for state in states if state is not None]
    if not earlier:
        return 0
    for name, tensor in update.items():
        none = torch.zeros_like(tensor[0])
        adam.state[tensor] = {
            "step": torch.tensor(float(earlier[0].steps), device=tensor.device),
            "exp_avg": torch.stack([state.first.get(name, none).to(tensor) for state in earlier]),
            "exp_avg_sq": torch.stack([state.second.get(name, none).to(tensor) for state in earlier]),
        }
    return earlier[0].steps


def _states(adam: torch.optim.Adam, update: Weights, steps: int) -> list[AdamState | None]:
    first = unstack({name: adam.state[tensor]["exp_avg"].cpu() for name, tensor in update.items()})
    second = unstack({name: adam.state[tensor]["exp_avg_sq"].cpu() for name, tensor in update.items()})
    return [AdamState(a, b, steps) for a, b in zip(first, second, strict=True)]


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
    save_tensors(path, tensors | {"objective": objective}, {"runs": results, "order": list(fits[0].weights)})


def _load(path: Path) -> list[Fit]:
    tensors, header = load_tensors(path)
    # safetensors sorts names; the order of weights is the order in which penalties are added, and so part of the result's bits.
    weights = unstack({name: tensors[f"weights/{name}"] for name in header["order"]})
    return [Fit(w, tensors["objective"][i].clone(), **header["runs"][i]) for i, w in enumerate(weights)]
