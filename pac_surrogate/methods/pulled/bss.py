"""BSS, batch spectral shrinkage: the smallest singular values of a batch's features are penalised."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Count, NotNegative, Positive
from pac_surrogate.methods.method import Adaptation, NotApplicableError
from pac_surrogate.methods.pulled.resemblance import feature_widths
from pac_surrogate.models.weights import Weights
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@dataclass(frozen=True)
class SpectralShrinkage:
    """The sum of the smallest squared singular values of a batch's last features, a (sample, feature) matrix, times a strength.

    On grids a feature is averaged over the points. A run has min(its own rows, features) singular values.

    Args:
        count: number of singular values in the sum.
        arrays: `strength`, a number.
    """

    count: int
    arrays: Weights = field(compare=False, repr=False)

    def term(
        self,
        arrays: Weights,
        model: nn.Module,
        x: Float[Tensor, "run sample input"],
        sample_weight: Float[Tensor, "run sample"],
        prediction: Float[Tensor, "run sample output"],
        features: tuple[Tensor, ...],
    ) -> Float[Tensor, " run"]:
        """Return the term of each run."""
        last = features[-1]
        matrix = last.flatten(2).unflatten(2, (last.shape[2], -1)).mean(-1) * (sample_weight > 0)[..., None]
        # LAPACK rejects a stack if one value is not finite; a run that diverges must not affect the others.
        sound = torch.isfinite(matrix).flatten(1).all(1)
        squared = torch.linalg.svdvals(torch.where(sound[:, None, None], matrix, 0.0)).square()
        # Rows of zeros add singular values of 0 at the end; a run's own values come first, in decreasing order.
        own = (sample_weight > 0).sum(-1, keepdim=True).clamp(max=last.shape[2])
        place = torch.arange(squared.shape[1], device=squared.device)
        smallest = (squared * ((place < own) & (place >= own - self.count))).sum(-1)
        return arrays["strength"] * torch.where(sound, smallest, torch.nan)


@settings
class BSS:
    """Train all weights from the source's while the smallest singular values of the batch's last features shrink.

        + strength/2 sum of the `count` smallest sigma_i^2 of the matrix (sample, feature) of the last features in a batch

    Directions that the features of a batch hardly span are those that transfer badly. The term is added to fine-tuning and does
    not pull towards the source. As in the paper, the sum is not divided by the number of samples: with very few samples it is
    close to 0, and the method is close to fine-tuning. It does not apply to fewer than count + 2 samples.
    Source: Chen, Wang, Fu, Long & Wang, "Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage for Safe
    Transfer Learning", NeurIPS 2019.

    Args:
        strength: 2 eta of the paper.
        count: k of the paper.
        learning_rate: learning rate of Adam.
    """

    strength: NotNegative = 2e-3
    count: Count = 1
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source and train all weights.

        Raises:
            NotApplicableError: if there are too few samples for a spectrum, or the model returns no features.
        """
        surrogate, samples = case.for_target(), len(case.target)
        if 0 < samples < self.count + 2:  # without samples nothing is trained, so the term has no effect
            raise NotApplicableError(
                f"BSS with count={self.count} needs at least {self.count + 2} target samples for a spectrum, got {samples}: "
                f"use FineTune"
            )
        feature_widths(surrogate, "BSS")
        arrays = {"strength": torch.tensor(0.5 * self.strength, dtype=torch.float64)}
        plan = make_plan(surrogate.weights, regulariser=SpectralShrinkage(self.count, arrays))
        return (yield case.on_target(surrogate, plan, self.learning_rate))
