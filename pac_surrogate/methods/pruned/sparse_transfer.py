"""Sparse transfer: a pruned source is trained on a target with its mask kept."""

from dataclasses import field, replace
from typing import Annotated, TypeAlias

from pac_surrogate.methods.biases import Biases, pulled_tensors, trained_tensors
from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import NotNegative, Positive, one_of
from pac_surrogate.methods.method import Adaptation, Method, needs_source
from pac_surrogate.methods.pruned.gmp import GMP
from pac_surrogate.models.weights import inside
from pac_surrogate.plan import Plan, make_plan
from pac_surrogate.surrogates.surrogate import Surrogate
from pac_surrogate.utilities.arguments import settings

Regime: TypeAlias = Annotated[str, one_of("full", "linear")]


@settings
class SparseTransfer:
    """Prune a source by a recipe, then transfer the pruned network.

    Source: Iofinova, Peste, Kurtz & Alistarh, "How Well Do Sparse ImageNet Models Transfer?", CVPR 2022, arXiv:2111.13445.

    Args:
        recipe: the method that prunes the source on source data: GMP, ACDC, STR, RigL, WoodFisher, or a ticket.
        regime: full (all kept weights are trained, mask fixed) or linear (frozen body, dense readout).
        strength: strength of the pull towards the pruned source.
        biases: free, pulled (as the weight tensors are) or frozen: what the pull does with biases and norm layers.
        learning_rate: learning rate of Adam on the target.
    """

    recipe: Method = field(default_factory=GMP)
    regime: Regime = "full"
    strength: NotNegative = 0.0
    biases: Biases = "free"
    learning_rate: Positive = 1e-3

    def __post_init__(self) -> None:
        if not hasattr(self.recipe, "adapt") or isinstance(self.recipe, type):
            raise ValueError(f"recipe must be a pruning recipe such as GMP(), got {self.recipe!r}")

    @property
    def needs_source(self) -> bool:
        """Whether the recipe needs source samples."""
        return needs_source(self.recipe)

    def adapt(self, case: Case) -> Adaptation:
        """Prune the source by the recipe, then train the kept weights on the target."""
        (found,) = yield [(self.recipe, case)]
        if not found.sound:
            return replace(found, method=self)
        pruned = case.for_target(found.surrogate)
        plan = kept_plan(pruned, self.regime, self.strength, self.biases)
        return (yield case.on_target(pruned, plan, self.learning_rate))


def kept_plan(surrogate: Surrogate, regime: str, strength: float = 0.0, biases: str = "free") -> Plan:
    """Return the Plan that trains a pruned source on a target, from its own weights and pulled towards them.

    In the regime full, all kept weights are trained and pruned ones stay +0.0. In the regime linear, the body is frozen and the
    readout is trained as a dense one, including pruned weights of a kept readout (ours: the papers' readout is always new, and
    dense). A new readout is dense and trained in both. Trained weights count as essential afterwards.

    Args:
        surrogate: the pruned source, with the target's outputs.
        regime: full or linear.
        strength: strength of the pull of weight tensors towards the pruned source, of a new readout towards 0.
        biases: free, pulled or frozen; a frozen bias keeps the value that it has in the pruned source.
    """
    essential, weights = surrogate.essential, surrogate.weights
    if essential is None:
        raise ValueError("sparse transfer needs a pruned source; this one has no essential mask: prune it first")
    readout = inside(weights, surrogate.readout)
    trainable = readout
    if regime == "full":
        trainable = essential | {name: readout[name] for name in surrogate.new_readout}
    kept = {name: mask | trainable[name] for name, mask in essential.items()}
    trainable = {name: trainable[name] & trained for name, trained in trained_tensors(surrogate, biases).items()}
    strengths = dict.fromkeys(pulled_tensors(surrogate, biases), strength)
    return make_plan(weights, trainable=trainable, anchor=weights, strength=strengths, essential=kept)
