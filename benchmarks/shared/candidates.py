"""The methods that benchmarks compare, each with the two candidates among which cross-validation on the target chooses.

The first candidate is used where there are too few samples to tune, so it has the method's defaults except for the learning
rate, and the strength of scratch. The learning rate of every method that trains is one of the same two values. A method without
parameters to tune has one candidate.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pac_surrogate as pac
from pac_surrogate.methods.method import Method

RATES = (1e-3, 3e-3)
FAST = RATES[1]  # for methods that tune something else


def at_rates(method: Any) -> tuple[Any, ...]:
    """Return a method with each of the two learning rates."""
    return tuple(replace(method, learning_rate=rate) for rate in RATES)


# PAC-Net and the methods with which it was first compared.
RIVALS = (
    *("source unchanged", "scratch", "fine-tune", "linear probe", "last-layer ridge"),
    *("L2-SP", "PackNet", "PAC", "PAC, open biases"),
)
CANDIDATES: dict[str, Method | Sequence[Method]] = {
    "source unchanged": (pac.SourceUnchanged(),),
    "scratch": pac.grid(pac.Scratch, learning_rate=(FAST,), strength=(1e-3, 0.0)),
    # Corrections of the source's prediction.
    "linear correction": pac.grid(pac.LinearCorrection, strength=(0.1, 0.001)),
    "linear correction with c'x": pac.grid(pac.LinearCorrection, linear=(True,), strength=(0.1, 0.001)),
    "delta net": at_rates(pac.DeltaNetwork()),
    "input augmentation": at_rates(pac.InputAugmentation()),
    "MFNN": at_rates(pac.MFNN()),
    "GP": (pac.GP(on="target"),),
    "GP on the residual": (pac.GP(on="residual"),),
    "NARGP": (pac.GP(on="augmented"),),
    "co-kriging": (pac.CoKriging(),),
    # Methods that differ in which weights train.
    "fine-tune": at_rates(pac.FineTune()),
    "fine-tune, body x 0.1": at_rates(pac.FineTune(body_rate=0.1)),
    "linear probe": pac.grid(pac.LinearProbe, learning_rate=(FAST,), strength=(0.0, 0.01)),
    "last-layer ridge": pac.grid(pac.LastLayerRidge, strength=(0.1, 0.001)),
    "LP-FT": (pac.LPFT(), pac.LPFT(learning_rate=FAST, probe_learning_rate=FAST)),
    "surgical, first": at_rates(pac.Surgical(block="first")),
    "surgical, last": at_rates(pac.Surgical(block="last")),
    "LoRA": (pac.LoRA(rank=4, learning_rate=FAST), pac.LoRA(rank=1, learning_rate=FAST)),
    "scale-shift": at_rates(pac.ScaleShift()),
    "ATL": (pac.ATL(),),
    "ATL, group lasso": (pac.ATL(form="group lasso"),),
    # Regularised training.
    "L2": pac.grid(pac.L2, learning_rate=(FAST,), strength=(0.1, 0.001)),
    "L2-SP": pac.grid(pac.L2SP, learning_rate=(FAST,), strength=(0.1, 0.01)),
    "EWC": pac.grid(pac.EWC, learning_rate=(FAST,), strength=(0.1, 0.01)),
    "DELTA": pac.grid(pac.DELTA, learning_rate=(FAST,), strength=(0.01, 0.1)),
    "feature map": pac.grid(pac.DELTA, learning_rate=(FAST,), attention=("uniform",), strength=(0.01, 0.1)),
    "LwF": pac.grid(pac.LwF, learning_rate=(FAST,), strength=(2.0, 0.2)),
    "BSS": pac.grid(pac.BSS, learning_rate=(FAST,), strength=(2e-3, 2e-2)),
    # Pruning.
    "PackNet": pac.grid(pac.PackNet, learning_rate=(FAST,), sparsity=(0.8, 0.5)),
    "PAC": (pac.PAC(learning_rate=FAST), pac.PAC(learning_rate=FAST, sparsity=0.5)),
    "PAC, open biases": pac.grid(pac.PAC, learning_rate=(FAST,), train_bias=(True,), sparsity=(0.8, 0.5)),
    "GMP 0.9": at_rates(pac.SparseTransfer(pac.GMP())),
    "AC/DC 0.9": at_rates(pac.SparseTransfer(pac.ACDC())),
    "STR 0.9": at_rates(pac.SparseTransfer(pac.STR())),
    "RigL 0.9": at_rates(pac.SparseTransfer(pac.RigL())),
    "WoodFisher 0.9": at_rates(pac.SparseTransfer(pac.WoodFisher())),
    "LTH-T 0.9": at_rates(pac.SparseTransfer(pac.LTHT(sparsity=0.9))),
    "ticket, natural": at_rates(pac.Ticket(scheme="OMP")),
    "ticket, robust": at_rates(pac.Ticket(scheme="OMP", radius=0.05)),
    "ticket, learned mask": at_rates(pac.Ticket(scheme="LMP")),
}
