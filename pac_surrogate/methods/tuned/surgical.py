"""Surgical fine-tuning: one block of the network is trained."""

import torch

from pac_surrogate.methods.case import Case
from pac_surrogate.methods.hyper_parameters import Positive
from pac_surrogate.methods.method import Adaptation
from pac_surrogate.models.weights import inside
from pac_surrogate.plan import make_plan
from pac_surrogate.utilities.arguments import settings


@settings
class Surgical:
    """Train one block from the source's weights, all others frozen; a readout of new outputs is trained as well.

    The first block suits a shift of the inputs, the last a shift of the outputs. A new readout starts at 0; if it were frozen,
    no other block could learn anything.
    Source: Lee, Chen, Tajwar, Kumar, Yao, Liang & Finn, ICLR 2023 (arXiv:2210.11466).

    Args:
        block: first (the module that holds the first weight), last (the readout), or the name of a module: hidden.1, down.0.
        learning_rate: learning rate of Adam.
    """

    block: str = "first"
    learning_rate: Positive = 1e-3

    def adapt(self, case: Case) -> Adaptation:
        """Start at the source and train one block.

        Raises:
            ValueError: if no module of this name holds weights.
        """
        surrogate = case.for_target()
        weights = surrogate.weights
        ends = {"first": next(iter(weights)).rpartition(".")[0], "last": surrogate.readout}
        trainable = inside(weights, ends.get(self.block, self.block))
        trainable |= {name: torch.tensor(True) for name in surrogate.new_readout}
        return (yield case.on_target(surrogate, make_plan(weights, trainable=trainable), self.learning_rate))
