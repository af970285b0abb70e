"""The only training loop of the package: Adam on a stack of Plans.

The first axis of every tensor of a stack is `run`, and every product is batched over it, so the numbers of a run never mix with
those of other runs. Which runs share a stack therefore changes results by rounding alone, and a run that diverges does not
affect the others.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.models import evaluate_stack
from pac_surrogate.models.weights import Weights, stack
from pac_surrogate.perturbation import perturbed, random_start
from pac_surrogate.plan import Plan, stack_plans
from pac_surrogate.solvers.adam import Adam
from pac_surrogate.solvers.batches import Batch, PaddedData
from pac_surrogate.solvers.cache import cache_path, check_cache, load_stack, save_stack
from pac_surrogate.solvers.runs import Fit, Options, Run, fits_of, runs_of
from pac_surrogate.solvers.stacks import StoppedError, at_once, stacks_of
from pac_surrogate.solvers.validation import Best, mean_squared_error
from pac_surrogate.utilities.process import own_settings
from pac_surrogate.utilities.progress import progress_bar

VALIDATIONS = 100  # number of evaluations of the validation data during a training


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
    schedule: str = "constant",
    device: str | torch.device = "auto",
    stack_memory: int | None = None,
    cache: Path | None = None,
    progress: bool | None = None,
) -> list[Fit]:
    """Train any number of Plans with Adam (Kingma & Ba 2015), divided into stacks.

    Args:
        model: the module that all Plans are for.
        plans: one Plan per run.
        datasets: one dataset per run, used without scaling: standardise it first. Runs may share a dataset.
        seeds: one seed per run; it determines the order of the run's minibatches and its perturbations.
        steps: gradient steps of every run.
        learning_rate: one number for all runs, or one per run.
        batch_size: samples per step; a run that has no more samples than this uses all of them in every step.
        dtype: precision of the training.
        valid: one dataset per run; the result then has the weights of the least validation error.
        schedule: learning rate over the steps of this call, constant or half a cosine down to zero.
        device: "auto" means CUDA if it is available.
        stack_memory: approximate number of bytes that one stack may take; longer lists are split, in a way that depends on the
            list alone. By default 64 MB on the CPU and 512 MB on a GPU. On the CPU as many stacks train at once as torch has
            threads.
        cache: folder in which finished stacks are kept; a later call with the same content loads them from there. It is not
            used for a user's module, as a digest cannot cover its code.
        progress: whether to show a progress bar; by default only if standard error is a terminal.

    Returns:
        One result per Plan, in their order. A Plan that trains no weight, or has no samples, returns its start.

    Raises:
        ValueError: if lengths disagree, widths do not fit the model, or a number is out of range.
    """
    options = Options.of(steps, batch_size, dtype, schedule, device)
    runs = runs_of(model, plans, datasets, seeds, learning_rate, valid, options)
    cache = check_cache(cache, model)
    results = {run.index: run.start(dtype) for run in runs if run.idle or options.steps == 0}
    stacks = list(stacks_of(model, [run for run in runs if run.index not in results], options, stack_memory))
    stop = Event()
    with (
        progress_bar(progress) as bar,
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        task = bar.add_task("training", total=len(stacks) * options.steps)

        def advance(done: int) -> None:
            if stop.is_set():
                raise StoppedError
            bar.advance(task, done)

        def trained(stack: list[Run]) -> list[Fit]:
            path = cache and cache_path(cache, model, stack, options)
            if path and (fits := load_stack(path, stack, options)):
                advance(options.steps)
                return fits
            fits = _train(model, stack, options, advance)
            if path:
                save_stack(path, fits)
            return fits

        for stack, fits in zip(stacks, at_once(trained, stacks, model, options, stop), strict=True):
            results |= {run.index: result for run, result in zip(stack, fits, strict=True)}
    return [results[i] for i in range(len(runs))]


def _train(model: nn.Module, runs: list[Run], options: Options, advance: Callable[[int], None]) -> list[Fit]:
    began = time.perf_counter()
    plan = stack_plans([run.plan for run in runs], options.dtype, options.device)
    weights = {name: tensor.clone() for name, tensor in plan.start.items()}
    trained = {name: weights[name] for name in plan.live}
    gradient = {name: torch.zeros_like(tensor) for name, tensor in trained.items()}
    rate = {name: [run.learning_rate * run.plan.rate[name] for run in runs] for name in plan.live}
    adam = Adam(trained, gradient, rate)
    data = PaddedData([run.data for run in runs], options.dtype, options.device)
    task = _Task(model, runs, options, gradient)
    best = Best(model, task.seen, weights, [run.valid for run in runs if run.valid is not None], options)
    history = torch.empty(options.steps, len(runs), dtype=options.dtype, device=options.device)

    batches = data.batches([run.seed for run in runs], options.batch_size, options.steps)
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
            objective += task.add_gradient(weights, batch, step)
            for name, free in plan.free.items():
                gradient[name] *= free
            adam.step(options.factor(step))
            if step % 16 == 15 or step + 1 == options.steps:
                advance(step % 16 + 1)
    best.look(weights)

    # A step of zero may change the sign of a frozen zero, and a diverged run may leave NaN in it: restore the exact bits.
    final = {n: torch.where(plan.trainable[n], tensor, plan.start[n]).cpu() for n, tensor in best.weights_or(weights).items()}
    broken = ~torch.isfinite(history)
    for weight in trained.values():
        broken[-1] |= ~torch.isfinite(weight).flatten(1).all(1)
    first_broken = torch.where(broken.any(0), broken.int().argmax(0), -1).tolist()
    results = [
        {"diverged": None if step < 0 else step, "valid_error": best.valid_error(i)} for i, step in enumerate(first_broken)
    ]
    seconds = (time.perf_counter() - began) / len(runs)
    return fits_of(runs, final, history.T.cpu(), [{**result, "seconds": seconds} for result in results])


def _pull_(away: Tensor, strength: Tensor) -> Float[Tensor, " run"]:
    """Return 1/2 sum_k strength_k away_k^2 of each run, and multiply `away` by the strength, which gives the gradient."""
    if strength.numel() == len(strength):  # one number per run: the sum takes one pass, without a temporary array
        energy = torch.linalg.vector_norm(away.flatten(1), dim=1).square_().mul_(strength.flatten())
        away *= strength
    else:
        pull = strength * away
        energy = torch.mul(pull, away, out=away).flatten(1).sum(1)
        away.copy_(pull)
    return energy.div_(2)


class _Task:
    """The objective of a stack's runs without the pull towards their anchors."""

    def __init__(self, model: nn.Module, runs: list[Run], options: Options, gradient: Weights) -> None:
        self.model, self.runs, self.rows = model, runs, [run.rows for run in runs]
        self.gradient = gradient
        self.regulariser, self.reparametrisation = runs[0].plan.regulariser, runs[0].plan.reparametrisation
        self.perturbations = [run.plan.perturbation for run in runs if run.plan.perturbation is not None]
        arrays = [run.plan.regulariser.arrays for run in runs if run.plan.regulariser is not None]
        self.arrays = {n: w.to(options.device, options.dtype) for n, w in stack(arrays).items()} if arrays else {}
        written_out = self.regulariser is None and self.reparametrisation is None and hasattr(model, "gradient_stack")
        self.by_chain_rule = model.gradient_stack(gradient) if written_out else None  # type: ignore[operator]  # a method
        self.entered: tuple[Tensor, Tensor] | None = None

    def seen(self, weights: Weights) -> Weights:
        """Return the weights of the model."""
        return weights if self.reparametrisation is None else self.reparametrisation(weights)

    def add_gradient(self, weights: Weights, batch: Batch, step: int) -> Float[Tensor, " run"]:
        """Return the mean squared error plus the regulariser's term at the weights, and add its gradient to `gradient`."""
        x, y, sample_weight = batch
        if self.perturbations:
            seen = self.seen(weights)
            origin = random_start([run.seed for run in self.runs], self.rows, step, x)
            x = perturbed(x, self.perturbations, origin, lambda at: self._slope_by_inputs(seen, at, y, sample_weight))
        found: list[Tensor] = []

        def slope(prediction: Tensor) -> Tensor:
            error, by_prediction = mean_squared_error(prediction, y, sample_weight)
            found.append(error)
            return by_prediction

        if self.by_chain_rule is not None:
            if self.entered is None or self.entered[0] is not x:  # if all steps share a batch, it is set up once
                self.entered = x, self.by_chain_rule.enter(weights, x)
            self.by_chain_rule.add(weights, self.entered[1], slope)
            return found[0]
        with torch.enable_grad():
            leaves = {name: weight.detach().requires_grad_(name in self.gradient) for name, weight in weights.items()}
            prediction, features = evaluate_stack(self.model, self.seen(leaves), x)
            roots, slopes = [prediction], [slope(prediction.detach())]
            if self.regulariser is not None:
                term = self.regulariser.term(self.arrays, self.model, x, sample_weight, prediction, features)
                found[0] = found[0] + term.detach()
                roots, slopes = [prediction, term], [*slopes, torch.ones_like(term)]
        for name, tensor in self.gradient.items():
            leaves[name].grad = tensor  # autograd adds to it in place
        torch.autograd.backward(roots, slopes)
        return found[0]

    def _slope_by_inputs(self, weights: Weights, at: Tensor, y: Tensor, sample_weight: Tensor) -> Tensor:
        """Return the gradient of the runs' errors with respect to the inputs."""
        with torch.enable_grad():
            moved = at.detach().requires_grad_()
            prediction, _ = evaluate_stack(self.model, weights, moved)
        return torch.autograd.grad(prediction, moved, mean_squared_error(prediction.detach(), y, sample_weight)[1])[0]
