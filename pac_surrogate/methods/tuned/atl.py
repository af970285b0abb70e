"""ATL: a ridge readout of the best set of hidden layers, and a related method, a readout of the best single features.

Sources: Lee, Kvinge, Howland et al., arXiv:2111.10937; Evci, Dumoulin, Larochelle & Mozer, "Head2Toe", ICML 2022,
arXiv:2201.03529. The selection rule of the first paper is not public: the rule here is ours.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.data.repeats import count_of, group_mean, groups_of, repeated
from pac_surrogate.data.scaling import SET_POINT
from pac_surrogate.methods.case import Case, widened
from pac_surrogate.methods.hyper_parameters import one_of
from pac_surrogate.methods.method import Adaptation, NotApplicableError
from pac_surrogate.methods.problems import Measure
from pac_surrogate.predictors import FeatureReadout, LeftOut, Network
from pac_surrogate.predictors.feature_readout import pooled_features
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings
from pac_surrogate.utilities.display import Shown

SAMPLES = 1024  # source samples, enough for means and deviations
FOLDS = 5  # layers and strength are chosen again without each of these parts, for the residuals of its samples
FRACTIONS = (0.05, 0.1, 0.2, 0.5, 1.0)  # fractions of the features that are tried in the group lasso form
PENALTY = 0.05  # penalty of the group lasso, relative to the smallest that leaves no feature


Statistics: TypeAlias = tuple[
    Float[Tensor, " _feature"], Float[Tensor, " _feature"]
]  # mean and deviation of a layer's features


@settings
class ATL:
    """Read the target from the layers of the source that predict it best, by ridge regression.

        minimise  mean (phi c + b + a - y)^2 + strength/2 ||c||^2      for each output, over (c, b)

    phi are the standardised features of the chosen layers; layer 0 is the input. The anchor a is the source's prediction
    f(x; w_S), or 0. Outputs that the source lacks have a readout of zeros, so for them both anchors are 0. Features on a grid
    are averaged over it. The strength minimises the exact leave-one-out error of `fit_readout`. The greedy form adds the layer
    that reduces the error most, as long as the reduction is larger than one standard error (of the paired differences). The
    group lasso form keeps the features with the largest coefficients of a group lasso. In both, the last layer alone is a
    candidate. The last layer form, their control, reads only that layer.

    Args:
        strengths: strengths of the ridge, all of which are tried.
        form: greedy | group lasso | last layer.
        anchor: source (the readout corrects the source's prediction) | zero (the readout replaces it).
    """

    strengths: tuple[float, ...] = tuple(10.0 ** (exponent / 2) for exponent in range(-16, 5))
    form: Annotated[str, one_of("greedy", "group lasso", "last layer")] = "greedy"
    anchor: Annotated[str, one_of("source", "zero")] = "source"
    needs_source: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.strengths or not all(0 < strength < math.inf for strength in self.strengths):
            raise ValueError(f"strengths must be one or more positive numbers, got {self.strengths}: leave out 0")

    def adapt(self, case: Case) -> Adaptation:
        """Measure the features on the source, choose layers and strength, and fit the readout in float64."""
        statistics = yield Measure(feature_statistics, case.surrogate, case.source_samples())
        surrogate = case.for_target()
        if len(case.target) == 0:
            return widened(surrogate, case.source_samples())
        readout = self.solve(surrogate.network, surrogate.scaling.standardise(case.target), statistics)
        return case.answer(surrogate, readout, case.source_samples())

    def solve(self, network: Network, data: Dataset, statistics: Sequence[Statistics]) -> FeatureReadout:
        """Return the readout.

        Args:
            network: the source, with the target's outputs.
            data: target samples, standardised.
            statistics: means and deviations of the features on the source.

        Raises:
            NotApplicableError: if there is only one distinct input, or the model returns no features.
        """
        return self._fit(network, statistics, *self._standardised(network, data, statistics))

    def left_out(self, network: Network, data: Dataset, statistics: Sequence[Statistics]) -> LeftOut:
        """Return the readout with leave-one-out residuals; the choices leave out a sample's entire fold, every fifth input.

        See `solve` for the arguments and errors.
        """
        features, target, group = self._standardised(network, data, statistics)
        readout = self._fit(network, statistics, features, target, group)
        return LeftOut(readout, self.residuals(features, target, group))

    def _fit(
        self,
        network: Network,
        statistics: Sequence[Statistics],
        features: Sequence[Tensor],
        target: Float[Tensor, "sample output"],
        group: Int[Tensor, " sample"],
    ) -> FeatureReadout:
        kept = self._chosen(features, target, group)
        layers = tuple(layer for layer, mask in enumerate(kept) if bool(mask.any()))
        mask = torch.cat([kept[layer] for layer in layers])
        chosen = torch.cat([features[layer] for layer in layers], dim=1)
        fitted = fit_readout(chosen[:, mask], target, self.strengths, group)
        coefficients = torch.zeros(chosen.shape[1], target.shape[1], dtype=torch.float64)
        coefficients[mask] = fitted.coefficients
        mean, deviation = (torch.cat([statistics[layer][side] for layer in layers]) for side in (0, 1))
        return FeatureReadout(network, layers, mean, deviation, coefficients, fitted.intercept, self.anchor == "source")

    def _chosen(
        self, features: Sequence[Tensor], target: Float[Tensor, "sample output"], group: Int[Tensor, " sample"]
    ) -> list[Bool[Tensor, " _feature"]]:
        if self.form == "last layer":
            return _last_layer(features)
        choose = _greedy if self.form == "greedy" else _group_lasso
        return choose(features, target, self.strengths, group)

    def _standardised(
        self, network: Network, data: Dataset, statistics: Sequence[Statistics]
    ) -> tuple[list[Tensor], Float[Tensor, "sample output"], Int[Tensor, " sample"]]:
        """Return the standardised features of each layer, what the readout is fitted to, and the groups of equal inputs."""
        if count_of(groups_of(torch.as_tensor(data.input_matrix))) == 1:
            raise NotApplicableError("ATL chooses by leaving one sample out, which needs target samples of 2 inputs, got 1")
        x, y = (torch.as_tensor(matrix).double() for matrix in (data.input_matrix, data.output_matrix))
        with torch.no_grad():
            prediction, raw = pooled_features(network, x)
        if len(raw) == 1:
            raise NotApplicableError(f"ATL reads hidden features; {type(network.module).__name__} returns none")
        features = [(feature - mean) / deviation for feature, (mean, deviation) in zip(raw, statistics, strict=True)]
        return features, y - prediction if self.anchor == "source" else y, groups_of(x)

    def residuals(
        self, features: Sequence[Tensor], target: Float[Tensor, "sample output"], group: Int[Tensor, " sample"]
    ) -> Float[Tensor, "sample output"]:
        """Return leave-one-out residuals, with layers and strength that are chosen without the sample's fold."""
        phi, found = torch.cat(list(features), dim=1), torch.empty_like(target)
        for held_out in range(min(FOLDS, count_of(group))):
            rest = group % FOLDS != held_out
            strength, mask = max(self.strengths), torch.ones(phi.shape[1], dtype=torch.bool)
            inside = torch.unique(group[rest], return_inverse=True)[1]
            if count_of(inside) > 1:  # a choice needs two distinct inputs
                mask = torch.cat(self._chosen([feature[rest] for feature in features], target[rest], inside))
                strength = fit_readout(phi[rest][:, mask], target[rest], self.strengths, inside).strength
            found[~rest] = fit_readout(phi[:, mask], target, (strength,), group).errors[~rest]
        return found


def feature_statistics(surrogate: Surrogate, data: Dataset) -> list[Statistics]:
    """Return each layer's mean and deviation over the first 1,024 source samples; a constant feature has deviation 1."""
    with torch.no_grad():
        _, features = pooled_features(surrogate.network, torch.as_tensor(data[:SAMPLES].input_matrix).double())
    statistics = []
    for layer, feature in enumerate(features):
        deviation = feature.std(0, correction=0)
        # A smaller deviation of hidden features, which are of order 1, is rounding error; of inputs it is the jitter of a set
        # point, which the scaling of the target has made small (see `scaling.scaled_for`).
        least = 1e-12 if layer else 1 / SET_POINT
        statistics.append((feature.mean(0), torch.where(deviation > least, deviation, 1.0)))
    return statistics


@dataclass(frozen=True, eq=False, repr=False)
class ReadoutFit(Shown):
    """A ridge readout and its leave-one-out errors e_i = (y_i - yhat_i) / (1 - h_ii)."""

    coefficients: Float[Tensor, "feature output"]
    intercept: Float[Tensor, " output"]
    errors: Float[Tensor, "sample output"]
    strength: float

    @property
    def squared(self) -> Float[Tensor, " sample"]:
        """Mean squared leave-one-out error of each sample."""
        return self.errors.square().mean(1)


def fit_readout(
    features: Float[Tensor, "sample feature"],
    target: Float[Tensor, "sample output"],
    strengths: Sequence[float],
    group: Int[Tensor, " sample"],
) -> ReadoutFit:
    """Fit a ridge regression with a free intercept, its strength chosen by the exact leave-one-out error.

    One singular value decomposition suffices for all strengths. The ridge l = n strength / 2 is kept when a sample is left out,
    together with all samples of equal input. Among equal errors the largest strength is chosen.
    """
    samples = len(target)
    # In an orthonormal basis of the complement of the constants the free intercept vanishes and an ordinary ridge regression is
    # left; 1 - h_ii is then a sum of positive terms, and accurate even where it is small.
    basis = torch.linalg.qr(torch.cat([torch.ones(samples, 1), torch.eye(samples)[:, 1:]], dim=1).double()).Q[:, 1:]
    left, values, right = torch.linalg.svd(basis.T @ features, full_matrices=True)
    left, right = basis @ left, right[: len(values)]
    squares = torch.zeros(samples - 1, dtype=torch.float64)
    squares[: len(values)] = values.square()
    rotated = left.T @ target
    best = float("inf")
    for tried in sorted(strengths, reverse=True):
        remainder = 1 / (1 + squares / (0.5 * samples * tried))
        applied = left @ (remainder[:, None] * rotated)
        left_out = applied / (left.square() @ remainder)[:, None]
        for members in repeated(group):
            left_out[members] = torch.linalg.solve((left[members] * remainder) @ left[members].T, applied[members])
        error = float(left_out.square().mean())
        if error < best * (1 - 1e-9):  # a decrease by rounding error does not count
            best, strength, errors = error, tried, left_out
    shrunk = values / (values.square() + 0.5 * samples * strength)
    coefficients = right.T @ (shrunk[:, None] * rotated[: len(values)])
    intercept = target.mean(0) - features.mean(0) @ coefficients
    return ReadoutFit(coefficients, intercept, errors, strength)


def _greedy(
    features: Sequence[Tensor],
    target: Float[Tensor, "sample output"],
    strengths: Sequence[float],
    group: Int[Tensor, " sample"],
) -> list[Bool[Tensor, " _feature"]]:
    """Select layers by forward selection, and return them as masks of features."""
    chosen: tuple[int, ...] = ()
    error = fit_readout(features[0][:, :0], target, strengths, group).squared
    while len(chosen) < len(features):
        trials = {
            layer: fit_readout(torch.cat([features[i] for i in (*chosen, layer)], dim=1), target, strengths, group).squared
            for layer in range(len(features))
            if layer not in chosen
        }
        layer = min(trials, key=lambda i: float(trials[i].mean()))
        fall = group_mean(error - trials[layer], group)
        if float(fall.mean()) <= float(fall.std()) / len(fall) ** 0.5:
            break
        chosen, error = (*chosen, layer), trials[layer]
    # The first layer chosen is the best single one, so the last layer alone is a candidate only if none was chosen.
    return [torch.full(f.shape[1:], layer in chosen) for layer, f in enumerate(features)] if chosen else _last_layer(features)


def _last_layer(features: Sequence[Tensor]) -> list[Bool[Tensor, " _feature"]]:
    """Select the last layer, and return it as masks of features."""
    return [torch.full(f.shape[1:], layer == len(features) - 1) for layer, f in enumerate(features)]


def _group_lasso(
    features: Sequence[Tensor],
    target: Float[Tensor, "sample output"],
    strengths: Sequence[float],
    group: Int[Tensor, " sample"],
) -> list[Bool[Tensor, " _feature"]]:
    """Select the most relevant features of all layers, as masks; relevance is the norm of a feature's row over the outputs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import MultiTaskLasso

    phi = torch.cat(list(features), dim=1)
    centred, aim = phi - phi.mean(0), target - target.mean(0)
    # Norms of rows do not change under a rotation of the outputs; after this rotation at most n outputs are not 0.
    rotated = aim if aim.shape[1] <= len(aim) else aim @ torch.linalg.svd(aim, full_matrices=False)[2].T
    masks = [torch.cat(_last_layer(features))]
    largest = float((centred.T @ rotated).norm(dim=1).max()) / len(aim)
    if largest > 1e-12:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # only the ranking is needed, not the last digits
            lasso = MultiTaskLasso(alpha=PENALTY * largest, fit_intercept=False, tol=1e-3, max_iter=500)
            lasso.fit(centred.numpy(), rotated.numpy())
        relevance = torch.as_tensor(lasso.coef_).norm(dim=0)
        order = torch.argsort(relevance, descending=True, stable=True)[: int((relevance > 0).sum())]
        for fraction in FRACTIONS:
            mask = torch.zeros(phi.shape[1], dtype=torch.bool)
            mask[order[: max(1, round(fraction * phi.shape[1]))]] = True
            masks.append(mask)
    errors = [float(fit_readout(phi[:, mask], target, strengths, group).squared.mean()) for mask in masks]
    best = masks[min(range(len(masks)), key=errors.__getitem__)]
    return list(best.split([f.shape[1] for f in features]))
