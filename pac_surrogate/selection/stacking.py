"""Weights of candidates from their stacked leave-one-out residuals, and the explanation of the choice."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from scipy.optimize import nnls
from scipy.special import stdtr
from torch import Tensor

from pac_surrogate.data.repeats import count_of, group_mean, sample_weights
from pac_surrogate.predictors import LeftOut, Mixture
from pac_surrogate.predictors.choice import CandidateError, Choice

SHRINKAGE = 10.0  # strength towards the evidence weights; 1 gave similar results on the tuned pairs of benchmarks/choice.py
LEAST_WEIGHT = 0.01  # candidates of a smaller weight are left out
SUM = 1e4  # weight of the row that makes the sum 1
LEAST_PULL = 1e-9  # relative to the mean square; makes the solution of the least squares problem unique
NAMED = 3  # number of candidates that the reason names
WEIGHED = 50  # largest number of folds; for each, the weights are fitted again without it


def weigh(
    residuals: Float[Tensor, "candidate sample output"], inputs: int, shrinkage: float = SHRINKAGE
) -> Float[Tensor, " candidate"]:
    """Compute the weights of the candidates: not negative, with the sum 1, and none between 0 and 0.01.

        minimise  mean (sum_k w_k e_k)^2 + shrinkage / n median_k(mean e_k^2) ||w - v||^2,   v_k ~ (mean e_k^2)^(-n/4)

    e_k are leave-one-out residuals. The first term is stacking (Wolpert 1992; Breiman 1996); v are the pseudo-evidence weights
    towards which w is shrunk, more strongly when there are fewer inputs.

    Args:
        residuals: residuals of each candidate; those of an input with several samples are divided by the root of their number.
        inputs: n, the number of different inputs of the samples.
        shrinkage: strength of the second term.
    """
    flat = residuals.flatten(1)
    gram = flat @ flat.T / (inputs * residuals.shape[2])
    square = gram.diagonal().clamp_min(torch.finfo(gram.dtype).tiny)
    prior = torch.softmax(-inputs / 4 * square.log(), dim=0)
    # Least squares with the sum as an extra row, weighted so that the sum is 1 within 1e-8 (Lawson & Hanson 1974, chapter 22).
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
    """Describe what was chosen, and why.

    Args:
        found: all candidates by name.
        weights: weights of the candidates.
        answer: mean squared leave-one-out residual of their mixture on each sample.
        group: number of each sample's input.
    """
    table, answer = [], group_mean(answer, group)
    by_name = {name: group_mean(candidate.squared, group) for name, candidate in found.items()}
    rows = zip(by_name.items(), weights, strict=True)
    for (name, square), weight in sorted(rows, key=lambda row: float(row[0][1].mean())):
        mean, count = float(square.mean()), len(square)
        spread = float(square.std()) / count**0.5
        table.append(CandidateError(name, mean**0.5, spread / (2 * mean**0.5) if mean else 0.0, float(weight)))
    used = [one for one in sorted(table, key=lambda one: -one.weight) if one.weight]
    method = used[0].name
    named = ", ".join(f'"{one.name}" ({one.weight:.2f})' for one in used[:NAMED])
    more = f" and {len(used) - NAMED} more" if len(used) > NAMED else ""
    mixed = f"weighted mean of {named}{more}" if len(used) > 1 else f'"{method}"'
    error, best, worst = float(answer.mean()) ** 0.5, table[0].error, table[-1].error
    each = (
        f"each of the {len(table)} candidates alone has {best:.3g} to {worst:.3g}"
        if len(table) > 1
        else "no other candidate applies"
    )
    reason = f"{mixed}: standardised leave-one-out error {error:.3g}; {each}"
    runner_up = next((one.name for one in table if one.name != method), "")
    source, scratch = by_name.get("source unchanged"), by_name.get("scratch", by_name.get("GP on the target"))
    return Choice(method, runner_up, reason, tuple(table), chance_worse(answer, source), chance_worse(answer, scratch))


def chance_worse(ours: Float[Tensor, " sample"], theirs: Float[Tensor, " sample"] | None) -> float | None:
    """Return the probability that our mean squared error is the larger one, by Student's t on paired leave-one-out errors."""
    if theirs is None:
        return None
    difference = ours - theirs
    spread = float(difference.std()) / len(difference) ** 0.5
    if spread == 0:
        return 0.5 if float(difference.mean()) == 0 else float(difference.mean() > 0)
    return float(stdtr(len(difference) - 1, float(difference.mean()) / spread))


def mix(found: Mapping[str, LeftOut], group: Int[Tensor, " sample"]) -> Mixture:
    """Weigh candidates, and explain the weights.

    Args:
        found: candidates by name.
        group: number of each sample's input.
    """
    residuals = torch.stack([candidate.residual for candidate in found.values()])
    # Each input counts once, regardless of its number of samples.
    counted = residuals * sample_weights(group)[:, None].sqrt()
    weights = weigh(counted, count_of(group))
    # Weights fitted to a sample underestimate its residual, so each sample gets weights fitted without its fold.
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
