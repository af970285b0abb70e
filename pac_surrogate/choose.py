"""Which method? Candidates in closed form, scored by their exact leave-one-out errors on the target samples.

No gradient step is taken: a choice costs a Jacobian of the samples and a few factorisations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor

from pac_surrogate.choice import Choice, Score
from pac_surrogate.dataset import Dataset
from pac_surrogate.linearise import RATIOS, linearise
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.predictors import Correction, Mixture, Network, Predictor
from pac_surrogate.pruning import magnitude_mask
from pac_surrogate.surrogate import Surrogate
from pac_surrogate.transfer import ATL, GP, NotApplicableError
from pac_surrogate.transfer.atl import CARRIED, MeasureFeatures
from pac_surrogate.transfer.linear_correction import fit_lines
from pac_surrogate.transfer.method import Stage
from pac_surrogate.weights import Mask, inside, prunable, redundant

BLOCK_ROWS = 512  # samples x outputs up to which the exact kernel serves
SHRINKAGE = 1.0  # of the weights towards those by evidence; 0.1, 1 and 10 did alike in a first look at four pairs
LEAST_WEIGHT = 0.01  # members below it are left out
STEPS = 5000
SPARSITY = 0.8  # of the essential mask among the candidates
LAYERS = 6  # single layers among the candidates, at most
RIDGES = (1.0, 0.1, 0.01, 1e-4)  # of the linear correction


@dataclass(frozen=True)
class Candidate:
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

    def left_out_variance(self) -> Float[Tensor, "sample output"]:
        """Variance that the candidate expects of each sample left out; its mean square where it expects none."""
        return self.variance if self.variance is not None else self.left_out.square().mean(0).expand(self.left_out.shape)

    @property
    def squared(self) -> Float[Tensor, " sample"]:
        """Mean squared residual of each sample."""
        return self.left_out.square().mean(1)


@dataclass(frozen=True)
class Choose:
    """The rule of `Auto` on the target."""

    shrinkage: float = SHRINKAGE

    def solve(self, surrogate: Surrogate, data: Dataset) -> Mixture:
        """Fit all candidates, weigh them, and say why."""
        network = surrogate.network
        if len(data) < 2:
            why = "no sample can be left out" if len(data) else "there are no target samples"
            choice = Choice("source unchanged", "", f"the source as it is: {why}", ())
            return Mixture(torch.ones(1, dtype=torch.float64), (network,), choice)
        found = candidates(surrogate, data)
        weights = weigh(found, self.shrinkage)
        kept = [k for k in range(len(found)) if weights[k] >= LEAST_WEIGHT]
        weights = weights[kept] / weights[kept].sum()
        members = [found[k] for k in kept]
        choice = explain(found, members, weights)
        order = sorted(range(len(members)), key=lambda k: -float(weights[k]))
        members, weights = [members[k] for k in order], weights[order]
        squares = torch.stack([member.left_out.square().mean(0) for member in members])
        variance = sum(w * m.left_out_variance() for w, m in zip(weights, members, strict=True))
        residual = sum(w * m.left_out for w, m in zip(weights, members, strict=True))
        scores = residual.abs() / variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
        return Mixture(weights, tuple(member.predictor for member in members), choice, scores, squares)


@dataclass(frozen=True)
class Auto:
    """Choose among methods in closed form by their exact leave-one-out errors, and average the best.

    Candidates: the unchanged source, a shift, a linear correction; the tangent of the network with priors on readout, biases,
    single layers, essential, redundant and all weights, by the block kernel and the shared one; Gaussian processes on the
    target alone and on the residual; ATL. The answer is their mean with weights that minimise the leave-one-out error, shrunk
    towards weights by evidence (see `weigh`).

    Args:
        features: with ATL, which needs source samples to standardise features.
    """

    features: bool = True

    def stages(self) -> tuple[Stage, ...]:
        """Measure features on the source, then choose on the target."""
        return ((("source", MeasureFeatures()),) if self.features else ()) + (("target", Choose()),)


def weigh(found: Sequence[Candidate], shrinkage: float = SHRINKAGE) -> Float[Tensor, " candidate"]:
    """Weights of the candidates in the answer: not negative, of sum 1.

        minimise  mean (sum_k w_k e_k)^2 + shrinkage / n mean_k(mean e_k^2) ||w - v||^2,   v_k ~ (mean e_k^2)^(-n/4)

    e_k are leave-one-out residuals. The first term is stacking (Wolpert 1992; Breiman 1996); v are the pseudo-evidence weights
    to which it is shrunk, the more so the fewer samples there are.
    """
    residuals = torch.stack([candidate.left_out.reshape(-1) for candidate in found])
    gram = residuals @ residuals.T / residuals.shape[1]
    mean = gram.diagonal().clamp_min(torch.finfo(gram.dtype).tiny)
    samples = len(found[0].left_out)
    prior = torch.softmax(-samples / 4 * mean.log(), dim=0)
    pull = shrinkage * float(mean.mean()) / samples
    step = 1 / (float(torch.linalg.eigvalsh(gram)[-1]) + pull)
    weights = prior.clone()
    for _ in range(STEPS):
        moved = _onto_simplex(weights - step * (gram @ weights + pull * (weights - prior)))
        if float((moved - weights).abs().max()) < 1e-9:
            break
        weights = moved
    return weights


def _onto_simplex(point: Float[Tensor, " candidate"]) -> Float[Tensor, " candidate"]:
    """The nearest weights that are not negative and sum to 1."""
    falling = point.sort(descending=True).values
    excess = (falling.cumsum(0) - 1) / torch.arange(1, len(point) + 1)
    return (point - excess[int((falling > excess).sum()) - 1]).clamp_min(0.0)


def explain(found: Sequence[Candidate], members: Sequence[Candidate], weights: Float[Tensor, " member"]) -> Choice:
    """Say what was chosen, and why."""
    given = {member.name: float(weight) for member, weight in zip(members, weights, strict=True)}
    table = []
    for candidate in sorted(found, key=lambda c: float(c.squared.mean())):
        mean, count = float(candidate.squared.mean()), len(candidate.squared)
        spread = float(candidate.squared.std()) / count**0.5
        table.append(
            Score(candidate.name, mean**0.5, spread / (2 * mean**0.5) if mean else 0.0, given.get(candidate.name, 0.0))
        )
    method = max(given, key=lambda name: given[name])
    others = sorted((name for name in given if name != method), key=lambda name: -given[name])
    answer = sum(w * m.left_out for w, m in zip(weights, members, strict=True)).square().mean(1)
    by_name = {candidate.name: candidate.squared for candidate in found}
    mixed = f", averaged with {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}" if others else ""
    error, best, worst = float(answer.mean()) ** 0.5, table[0].error, table[-1].error
    reason = f"{method}{mixed}: leave-one-out error {error:.3g}; {len(found)} candidates have {best:.3g} to {worst:.3g}"
    runner_up = next((score.name for score in table if score.name != method), "")
    source, scratch = by_name.get("source unchanged"), by_name.get("GP on the target")
    return Choice(method, runner_up, reason, tuple(table), chance_worse(answer, source), chance_worse(answer, scratch))


def chance_worse(ours: Float[Tensor, " sample"], theirs: Float[Tensor, " sample"] | None) -> float | None:
    """Chance that our mean squared error is the larger one, from paired leave-one-out errors and Student's t."""
    if theirs is None:
        return None
    difference = ours - theirs
    spread = float(difference.std()) / len(difference) ** 0.5
    if spread == 0:
        return 0.5 if float(difference.mean()) == 0 else float(difference.mean() > 0)
    return float(student.cdf(float(difference.mean()) / spread, len(difference) - 1))


def candidates(surrogate: Surrogate, data: Dataset) -> list[Candidate]:
    """Fit all candidates that the case allows; two samples or more.

    Args:
        surrogate: the source, with the target's outputs.
        data: target samples, standardised.
    """
    network = surrogate.network
    x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
    found: list[Candidate] = []
    with torch.no_grad():
        before = network.predict(x).double()
    if not network.new_readout:
        found.append(Candidate("source unchanged", network, y - before))
        found += _corrections(network, x, y, before)
    plans, outputs = _plans(surrogate), y.shape[1]
    kernels = ["block"] * (y.numel() <= BLOCK_ROWS or outputs == 1) + ["shared"] * (outputs > 1)
    for kernel in kernels:
        solved = linearise(network, list(plans.values()), x, y, kernel=kernel, ratio=RATIOS)
        for name, solution in zip(plans, solved, strict=True):
            assert solution.left_out is not None
            label = f"{name}, {kernel} kernel" if len(kernels) > 1 else name
            found.append(Candidate(label, solution.predictor, solution.left_out, solution.left_out_variance))
    methods: dict[str, GP | ATL] = {"GP on the target": GP(on="target")}
    if not network.new_readout:
        methods["GP on the residual"] = GP(on="residual")
    if CARRIED in network.carried:
        methods["ATL"] = ATL()
    for name, method in methods.items():
        try:
            found.append(Candidate(name, *method.fit(surrogate, data)))
        except NotApplicableError:
            continue  # too few samples, or a model without features: no candidate here
    return [candidate for candidate in found if bool(torch.isfinite(candidate.left_out).all())]


def _plans(surrogate: Surrogate) -> dict[str, Plan]:
    """Priors around the source: which weights may move, and how far."""
    weights, readout = surrogate.weights, surrogate.readout

    def plan(trainable: bool | Mask, strength: float | Mapping[str, float | Tensor] = 1.0) -> Plan:
        return make_plan(weights, trainable=trainable, anchor=weights, strength=strength)

    plans = {"readout": plan(inside(weights, readout))}
    if surrogate.network.new_readout:
        return plans
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


def _corrections(network: Network, x: Tensor, y: Tensor, before: Tensor) -> list[Candidate]:
    """Shift and linear correction of each output, with exact leave-one-out residuals at a fixed ridge."""
    samples, outputs = y.shape
    residual = y - before
    none = torch.zeros(x.shape[1], outputs, dtype=torch.float64)
    shift = Correction(network, torch.ones(outputs).double(), residual.mean(0), none)
    design = torch.stack([before, torch.ones_like(before)], dim=2).transpose(0, 1)  # (output, sample, 2)

    def left_out(strength: float) -> Float[Tensor, "sample output"]:
        inverse = torch.linalg.inv(design.mT @ design + 0.5 * strength * samples * torch.eye(2).double())
        hat = torch.einsum("osi,oij,otj->ost", design, inverse, design)
        errors = residual - torch.einsum("ost,to->so", hat, residual)
        return errors / (1 - hat.diagonal(dim1=1, dim2=2).T).clamp_min(1e-9)

    strength, best = min(((s, left_out(s)) for s in RIDGES), key=lambda tried: float(tried[1].square().mean()))
    lines = Correction(network, *fit_lines(before, x, y, strength=strength, linear=False))
    return [
        Candidate("shift", shift, (residual - residual.mean(0)) * samples / (samples - 1)),
        Candidate("linear correction", lines, best),
    ]
