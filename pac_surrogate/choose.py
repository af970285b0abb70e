"""Which method? Candidates in closed form, scored by their leave-one-out errors on the target samples.

No gradient step is taken: a choice costs a Jacobian of the samples and a few factorisations. Trained candidates may join, with
the residuals of their cross-validation; `tasks` trains them.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.optimize import nnls
from scipy.special import stdtr
from torch import Tensor

from pac_surrogate.arguments import settings
from pac_surrogate.choice import Choice, Score
from pac_surrogate.dataset import Dataset
from pac_surrogate.display import Shown
from pac_surrogate.leave_one_out import chosen_by_others
from pac_surrogate.linearise import RATIOS, linearise
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.predictors import Correction, Mixture, Predictor
from pac_surrogate.pruning import magnitude_mask
from pac_surrogate.repeats import count_of, group_mean, group_sum, groups_of, share_of_group
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.tangent import KERNEL_ROWS
from pac_surrogate.transfer import ATL, GP, L2SP, PAC, FineTune, Method, NotApplicableError, Scratch
from pac_surrogate.transfer.atl import CARRIED, MeasureFeatures
from pac_surrogate.transfer.linear_correction import RidgeLines
from pac_surrogate.transfer.method import Stage
from pac_surrogate.transfer.source_process import CarryProcess, carried_process
from pac_surrogate.weights import Mask, inside, prunable, redundant

BLOCK_ROWS = 512  # samples x outputs up to which the exact kernel serves
SHRINKAGE = 10.0  # of the weights towards those by evidence; 1 did alike on the tuned pairs of benchmarks/choice.py
LEAST_WEIGHT = 0.01  # members below it are left out
SUM = 1e4  # weight of the row of the sum
LEAST_PULL = 1e-9  # relative to the mean square, so that the least squares problem has one answer
WEIGHED = 50  # fits of the weights without a part of the samples, at most one a sample
SPARSITY = 0.8  # of the essential mask among the candidates
LAYERS = 6  # single layers among the candidates, at most
RIDGES = (1.0, 0.1, 0.01, 1e-4, 1e-7)  # of the linear corrections
PROCESS_SAMPLES = 200  # up to which Gaussian processes are among the candidates
RATE = 3e-3  # of the trained candidates
TRAINED: Mapping[str, Method] = {
    "PAC": PAC(learning_rate=RATE),
    "PAC, sparsity 0.5": PAC(learning_rate=RATE, sparsity=0.5),
    "L2-SP, strength 0.1": L2SP(learning_rate=RATE, strength=0.1),
    "L2-SP, strength 0.01": L2SP(learning_rate=RATE, strength=0.01),
    "fine-tune": FineTune(learning_rate=RATE),
    "fine-tune, slow": FineTune(learning_rate=RATE / 3),
    "scratch": Scratch(learning_rate=RATE, strength=1e-3),
}


@dataclass(frozen=True, eq=False, repr=False)
class Candidate(Shown):
    """A method, fitted, with the residuals that it leaves on samples that it has not seen.

    Attributes:
        name: of the method.
        predictor: what predicts.
        left_out: leave-one-out residuals, standardised.
        variance: what it expects of the square of each residual, if it is a posterior.
    """

    name: str
    predictor: Predictor
    left_out: Float[Tensor, "sample output"]
    variance: Float[Tensor, "sample output"] | None = None

    def left_out_variance(self, group: Int[Tensor, " sample"]) -> Float[Tensor, "sample output"]:
        """Variance that the candidate expects of each sample left out; the others' mean square where it expects none.

        Args:
            group: number of each sample's input.
        """
        if self.variance is not None:
            return self.variance
        square, own = self.left_out.square(), torch.bincount(group).double()[group, None]
        return (square.sum(0) - group_sum(square, group)).clamp_min(0.0) / (len(square) - own)

    @property
    def squared(self) -> Float[Tensor, " sample"]:
        """Mean squared residual of each sample."""
        return self.left_out.square().mean(1)


@dataclass(frozen=True)
class Choose:
    """The rule of `Auto` on the target.

    Attributes:
        others: candidates beyond the closed forms.
    """

    others: tuple[Candidate, ...] = ()

    def solve(self, surrogate: Surrogate, data: Dataset) -> Mixture:
        """Fit all candidates, weigh them, and say why."""
        network = surrogate.network
        group = groups_of(torch.from_numpy(data.input_matrix))
        inputs = count_of(group)
        if inputs < 2 and network.new_readout:
            raise NotApplicableError(
                f"a choice for outputs that the source lacks takes target samples of 2 different inputs, got {inputs}"
            )
        if inputs < 2:
            why = "no sample can be left out" if inputs else "there are no target samples"
            choice = Choice("source unchanged", "", f"the source as it is: {why}", ())
            return Mixture(torch.ones(1, dtype=torch.float64), (network,), choice)
        found = candidates(surrogate, data, self.others)
        residuals = torch.stack([candidate.left_out for candidate in found])
        # Each input counts once, however many samples it has.
        counted = residuals * share_of_group(group)[:, None].sqrt()
        weights = weigh(counted, inputs)
        # Weights that have seen a sample's residuals make too little of them, so each sample is weighed by the others.
        fold = group % WEIGHED
        folds = int(fold.max()) + 1
        others = [weigh(counted[:, fold != k], len(torch.unique(group[fold != k]))) for k in range(folds)]
        apart = torch.stack(others)[fold]
        residual = torch.einsum("nk,kno->no", apart, residuals)
        variance = torch.einsum("nk,kno->no", apart, torch.stack([candidate.left_out_variance(group) for candidate in found]))
        scores = residual.abs() / variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
        order = [int(k) for k in weights.argsort(descending=True, stable=True) if weights[k] > 0]
        members = [found[k] for k in order]
        squares = torch.stack([member.left_out.square().mean(0) for member in members])
        choice = explain(found, weights, residual.square().mean(1), group)
        return Mixture(weights[order], tuple(member.predictor for member in members), choice, scores, squares, group)


@settings
class Auto:
    """Choose among methods in closed form by their leave-one-out errors, and average the best.

    Candidates: the unchanged source, a shift, linear corrections and a Gaussian process on the residual; the same, and
    co-kriging, around a process of the source's samples where outputs are few; the tangent of the network with priors on
    readout, biases, single layers, essential, redundant and all weights, by the block kernel and the shared one; a process of
    the target alone; ATL. The answer is their mean with weights that minimise the leave-one-out error, shrunk towards weights
    by evidence (see `weigh`). What a candidate tunes (a ratio, a ridge, length scales, layers) is tuned without the sample that
    judges it. Processes join up to 200 target samples, tangents up to 4,000.

    Args:
        on_source: with the candidates that need source samples: ATL, which standardises features by them, and their process.
        trained: also train PAC, L2-SP, fine-tuning and scratch, each with two settings but the last, on all samples and without
            each of at most 10 folds, in one stack with the source's stages before it and one without; their residuals on the
            folds stand beside those of the closed forms. One that diverges, or is not applicable, does not join. Takes minutes
            where closed forms take seconds.
    """

    on_source: bool = True
    trained: bool = False

    def stages(self) -> tuple[Stage, ...]:
        """Measure the source's features and fit its process, then choose on the target."""
        first: tuple[Stage, ...] = (("source", MeasureFeatures()), ("source", CarryProcess())) if self.on_source else ()
        return (*first, ("target", Choose()))


def weigh(
    residuals: Float[Tensor, "candidate sample output"], inputs: int, shrinkage: float = SHRINKAGE
) -> Float[Tensor, " candidate"]:
    """Weights of the candidates in the answer: not negative, of sum 1, none between 0 and 0.01.

        minimise  mean (sum_k w_k e_k)^2 + shrinkage / n median_k(mean e_k^2) ||w - v||^2,   v_k ~ (mean e_k^2)^(-n/4)

    e_k are leave-one-out residuals. The first term is stacking (Wolpert 1992; Breiman 1996); v are the pseudo-evidence weights
    to which it is shrunk, the more so the fewer inputs there are.

    Args:
        residuals: of each candidate; those of an input with several samples, divided by the root of their number.
        inputs: n, how many different inputs the samples have.
        shrinkage: see above.
    """
    flat = residuals.flatten(1)
    gram = flat @ flat.T / (inputs * residuals.shape[2])
    square = gram.diagonal().clamp_min(torch.finfo(gram.dtype).tiny)
    prior = torch.softmax(-inputs / 4 * square.log(), dim=0)
    # Least squares with the sum as one more row, of a weight that leaves it 1e-8 from 1 (Lawson & Hanson 1974, chapter 22).
    pull = max(shrinkage / inputs * float(square.median() / square.mean()), LEAST_PULL)
    root = torch.linalg.cholesky(gram / square.mean() + pull * torch.eye(len(flat), dtype=gram.dtype)).T
    aim = torch.linalg.solve_triangular(root.T, pull * prior[:, None], upper=False)[:, 0]
    rows = torch.cat([root, torch.full((1, len(flat)), SUM, dtype=gram.dtype)])
    weights = torch.from_numpy(nnls(rows.numpy(), torch.cat([aim, torch.tensor([SUM]).to(aim)]).numpy())[0])
    weights = torch.where(weights < LEAST_WEIGHT * weights.sum(), 0.0, weights)
    return weights / weights.sum()


def explain(
    found: Sequence[Candidate],
    weights: Float[Tensor, " candidate"],
    answer: Float[Tensor, " sample"],
    group: Int[Tensor, " sample"],
) -> Choice:
    """Say what was chosen, and why.

    Args:
        found: all candidates.
        weights: of them.
        answer: mean squared residual that their mixture leaves on each sample, unseen.
        group: number of each sample's input.
    """
    table, answer = [], group_mean(answer, group)
    squared = [group_mean(candidate.squared, group) for candidate in found]
    for candidate, square, weight in sorted(zip(found, squared, weights, strict=True), key=lambda row: float(row[1].mean())):
        mean, count = float(square.mean()), len(square)
        spread = float(square.std()) / count**0.5
        table.append(Score(candidate.name, mean**0.5, spread / (2 * mean**0.5) if mean else 0.0, float(weight)))
    method, *others = (score.name for score in sorted(table, key=lambda score: -score.weight) if score.weight)
    by_name = {candidate.name: square for candidate, square in zip(found, squared, strict=True)}
    mixed = f", averaged with {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}" if others else ""
    error, best, worst = float(answer.mean()) ** 0.5, table[0].error, table[-1].error
    reason = f"{method}{mixed}: leave-one-out error {error:.3g}; {len(found)} candidates have {best:.3g} to {worst:.3g}"
    runner_up = next((score.name for score in table if score.name != method), "")
    source, scratch = by_name.get("source unchanged"), by_name.get("scratch", by_name.get("GP on the target"))
    return Choice(method, runner_up, reason, tuple(table), chance_worse(answer, source), chance_worse(answer, scratch))


def chance_worse(ours: Float[Tensor, " sample"], theirs: Float[Tensor, " sample"] | None) -> float | None:
    """Chance that our mean squared error is the larger one, from paired leave-one-out errors and Student's t."""
    if theirs is None:
        return None
    difference = ours - theirs
    spread = float(difference.std()) / len(difference) ** 0.5
    if spread == 0:
        return 0.5 if float(difference.mean()) == 0 else float(difference.mean() > 0)
    return float(stdtr(len(difference) - 1, float(difference.mean()) / spread))


def candidates(surrogate: Surrogate, data: Dataset, others: Sequence[Candidate] = ()) -> list[Candidate]:
    """Fit all candidates that the case allows; samples of two different inputs or more.

    Args:
        surrogate: the source, with the target's outputs.
        data: target samples, standardised.
        others: candidates that are there already.

    Raises:
        NotApplicableError: if the case allows none.
    """
    network = surrogate.network
    x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
    found: list[Candidate] = []
    knows = not network.new_readout or any(bool(w.any()) for w in readout_weights(surrogate))
    if knows:
        found.append(Candidate("source unchanged", network, y - _predict(network, x)))
        found += _around(network, data, x, y)
        process = None if network.new_readout else carried_process(network)
        if process is not None:
            found.append(Candidate("the source's process", process, y - process.predict(x)))
            found += _around(process, data, x, y, of=" of the source's process")
    plans, outputs = plans_around(surrogate), y.shape[1]
    kernels = ["block"] * (y.numel() <= BLOCK_ROWS or outputs == 1) + ["shared"] * (outputs > 1)
    kernels = kernels if len(data) <= KERNEL_ROWS else []
    for kernel in kernels:
        solved = linearise(network, list(plans.values()), x, y, kernel=kernel, ratio=RATIOS)
        for name, solution in zip(plans, solved, strict=True):
            assert solution.unseen is not None
            label = f"{name}, {kernel} kernel" if len(kernels) > 1 else name
            found.append(Candidate(label, solution.predictor, *solution.unseen))
    if len(data) <= PROCESS_SAMPLES:
        found.append(Candidate("GP on the target", *GP(on="target").fit(network, data)))
    if CARRIED in network.carried:
        # A model without features has none: no candidate here.
        with contextlib.suppress(NotApplicableError):
            found.append(Candidate("ATL", *ATL().fit(surrogate, data)))
    found = [candidate for candidate in (*found, *others) if bool(torch.isfinite(candidate.left_out).all())]
    if not found:
        raise NotApplicableError(f"auto has no candidate for {len(data)} samples of new outputs: name a method")
    return found


def readout_weights(surrogate: Surrogate) -> list[Tensor]:
    """The weights of the readout, all 0 where no output is known to the source."""
    return [surrogate.weights[name] for name, own in inside(surrogate.weights, surrogate.readout).items() if bool(own)]


def _predict(base: Predictor, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
    with torch.no_grad():
        return base.predict(x).double()


def plans_around(surrogate: Surrogate) -> dict[str, Plan]:
    """Priors around the source: which weights may move, and how far."""
    weights, readout = surrogate.weights, surrogate.readout

    def plan(trainable: bool | Mask, strength: float | Mapping[str, float | Tensor] = 1.0) -> Plan:
        return make_plan(weights, trainable=trainable, anchor=weights, strength=strength)

    plans = {"readout": plan(inside(weights, readout))}
    if not any(bool(w.any()) for w in readout_weights(surrogate)):
        return plans  # no other weight moves a prediction that is 0 everywhere
    names = prunable(weights)
    biases = {name: torch.tensor(name not in names) for name in weights}
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    essential = magnitude_mask(weights, SPARSITY)
    inert = redundant(essential) | {name: torch.tensor(True) for name in weights if name not in names}
    sizes = {name: 1 / weight.double().abs().clamp_min(1e-6) if name in names else 1.0 for name, weight in weights.items()}
    plans["biases"] = plan(biases)
    plans |= {f"layer {module}": plan(inside(weights, module)) for module in [m for m in modules if m != readout][:LAYERS]}
    plans |= {"essential weights": plan(essential), "redundant weights": plan(inert)}
    return plans | {"all weights": plan(True), "all weights, variance as |w|": plan(True, sizes)}


def _around(
    base: Predictor, data: Dataset, x: Float[Tensor, "sample input"], y: Float[Tensor, "sample output"], *, of: str = ""
) -> list[Candidate]:
    """Corrections of a source: a shift, lines, a process of what is left."""
    before = _predict(base, x)
    (samples, outputs), group = y.shape, groups_of(x)
    residual, none = y - before, torch.zeros(x.shape[1], outputs, dtype=torch.float64)
    shift = Correction(base, torch.ones(outputs).double(), residual.mean(0), none)
    own = torch.bincount(group).double()[group, None]
    others = (residual.sum(0) - group_sum(residual, group)) / (samples - own)
    found = [Candidate(f"shift{of}", shift, residual - others)]
    for name, linear in (("linear correction", False), ("linear correction with c'x", True)):
        tried = RidgeLines.grid(before, x, y, RIDGES, linear=linear)
        errors = torch.stack([lines.left_out for lines in tried])
        squares = errors.square().mean(2)
        best = tried[int(squares.mean(1).argmin())]
        corrected = Correction(base, *best.lines(x, linear=linear))
        found.append(Candidate(name + of, corrected, errors[chosen_by_others(squares, group), torch.arange(samples)]))
        if of and not linear and samples <= PROCESS_SAMPLES:  # around the network this adds nothing to the one below
            fitted = GP(on="residual").fit(corrected, data, best.without)
            found.append(Candidate(f"GP and linear correction{of}", *fitted))
    if samples <= PROCESS_SAMPLES:
        found.append(Candidate(f"GP on the residual{of}", *GP(on="residual").fit(base, data)))
    return found
