"""Weights of candidates in an answer, by stacking their leave-one-out residuals, and what is said of the choice."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from scipy.optimize import nnls
from scipy.special import stdtr
from torch import Tensor

from pac_surrogate.data.repeats import count_of, group_mean, sample_weights
from pac_surrogate.predictors import LeftOut, Mixture
from pac_surrogate.predictors.choice import CandidateError, Choice

SHRINKAGE = 10.0  # of the weights towards those by evidence; 1 did alike on the tuned pairs of benchmarks/choice.py
LEAST_WEIGHT = 0.01  # members below it are left out
SUM = 1e4  # weight of the row of the sum
LEAST_PULL = 1e-9  # relative to the mean square, so that the least squares problem has one answer
WEIGHED = 50  # fits of the weights without a part of the samples, at most one a sample


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
    found: Mapping[str, LeftOut],
    weights: Float[Tensor, " candidate"],
    answer: Float[Tensor, " sample"],
    group: Int[Tensor, " sample"],
) -> Choice:
    """Say what was chosen, and why.

    Args:
        found: all candidates by name.
        weights: of them.
        answer: mean squared residual that their mixture leaves on each sample, unseen.
        group: number of each sample's input.
    """
    table, answer = [], group_mean(answer, group)
    by_name = {name: group_mean(candidate.squared, group) for name, candidate in found.items()}
    rows = zip(by_name.items(), weights, strict=True)
    for (name, square), weight in sorted(rows, key=lambda row: float(row[0][1].mean())):
        mean, count = float(square.mean()), len(square)
        spread = float(square.std()) / count**0.5
        table.append(CandidateError(name, mean**0.5, spread / (2 * mean**0.5) if mean else 0.0, float(weight)))
    method, *others = (one.name for one in sorted(table, key=lambda one: -one.weight) if one.weight)
    mixed = f", averaged with {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}" if others else ""
    error, best, worst = float(answer.mean()) ** 0.5, table[0].error, table[-1].error
    reason = f"{method}{mixed}: leave-one-out error {error:.3g}; {len(found)} candidates have {best:.3g} to {worst:.3g}"
    runner_up = next((one.name for one in table if one.name != method), "")
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


def mix(found: Mapping[str, LeftOut], group: Int[Tensor, " sample"]) -> Mixture:
    """Weigh candidates, and say why.

    Args:
        found: candidates by name.
        group: number of each sample's input.
    """
    residuals = torch.stack([candidate.residual for candidate in found.values()])
    # Each input counts once, however many samples it has.
    counted = residuals * sample_weights(group)[:, None].sqrt()
    weights = weigh(counted, count_of(group))
    # Weights that have seen a sample's residuals make too little of them, so each sample is weighed by the others.
    fold = group % WEIGHED
    folds = int(fold.max()) + 1
    others = [weigh(counted[:, fold != k], len(torch.unique(group[fold != k]))) for k in range(folds)]
    apart = torch.stack(others)[fold]
    residual = torch.einsum("nk,kno->no", apart, residuals)
    variance = torch.einsum("nk,kno->no", apart, torch.stack([candidate.expected(group) for candidate in found.values()]))
    studentised = residual.abs() / variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
    order = [int(k) for k in weights.argsort(descending=True, stable=True) if weights[k] > 0]
    members = [list(found.values())[k] for k in order]
    squares = torch.stack([member.residual.square().mean(0) for member in members])
    choice = explain(found, weights, residual.square().mean(1), group)
    return Mixture(weights[order], tuple(member.predictor for member in members), choice, studentised, squares, group)
