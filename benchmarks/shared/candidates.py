"""The methods that benchmarks compare, each with the candidates among which cross-validation on the target chooses.

Every method that has something to tune has eight candidates. The first one is used where there are too few samples to tune, so
it has the method's defaults except for the learning rate, and the strength of scratch. A method has the learning rate `FAST`
unless it tunes the rate. A grid is wide enough if the median choice over seeds lies inside it; `shared.grids` prints this.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pac_surrogate as pac
from pac_surrogate.methods.method import Method
from shared.controls import TrainedLonger
from shared.grids import HELD

FAST = 3e-3  # learning rate of methods that tune something else
RATES = (1e-3, 1e-5, 1e-4, 3e-4, 3e-3, 6e-3, 1e-2, 3e-2)
PULLS = (0.1, 0.0, 1e-3, 1e-2, 0.03, 0.3, 1.0, HELD)  # strengths of a pull towards the source
FEATURES = (0.01, 0.0, 1e-4, 1e-3, 0.1, 1.0, 10.0, 100.0)  # strengths of a pull of the features
RIDGES = (0.1, 0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1.0, 10.0)


def at_rates(method: Any) -> tuple[Any, ...]:
    """Return a method with each of the learning rates."""
    return tuple(replace(method, learning_rate=rate) for rate in RATES)


def longer(candidates: Sequence[Any]) -> tuple[TrainedLonger, ...]:
    """Return the control: the same candidates, from the dense source after as many further steps as PAC's Allocate takes."""
    return tuple(TrainedLonger(candidate) for candidate in candidates)


def pac_candidates(**options: Any) -> tuple[pac.PAC, ...]:
    """Return PAC with its defaults, then with sparsities and strengths whose ends are each tried once."""
    pairs = ((0.8, 0.02), (0.5, 0.02), (0.5, 0.2), (0.5, HELD), (0.3, 0.0), (0.3, 0.002), (0.3, 0.2), (0.1, 0.02))
    return tuple(pac.PAC(sparsity, strength=strength, learning_rate=FAST, **options) for sparsity, strength in pairs)


def lora_candidates(**options: Any) -> tuple[pac.LoRA, ...]:
    """Return LoRA with its default rank, then with other ranks, and other learning rates at the default one."""
    ranks = [pac.LoRA(rank=rank, learning_rate=FAST, **options) for rank in (4, 1, 2, 8)]
    return (*ranks, *(replace(ranks[0], learning_rate=rate) for rate in (3e-4, 1e-3, 1e-2, 3e-2)))


# PAC-Net, the methods with which it was first compared, and their controls.
RIVALS = (
    *("source unchanged", "scratch", "fine-tune", "fine-tune, source longer", "last-layer ridge"),
    *("L2-SP", "L2-SP, source longer", "PackNet", "PAC", "PAC, frozen biases"),
)
FINE_TUNE = at_rates(pac.FineTune())
PACKNET = pac.grid(pac.PackNet, learning_rate=(FAST,), sparsity=(0.8, 0.05, 0.1, 0.2, 0.3, 0.5, 0.65, 0.9))
L2SP = pac.grid(pac.L2SP, learning_rate=(FAST,), strength=PULLS)
CANDIDATES: dict[str, Method | Sequence[Method]] = {
    "source unchanged": (pac.SourceUnchanged(),),
    "scratch": (
        *pac.grid(pac.Scratch, learning_rate=(FAST,), strength=(1e-3, 0.0, 1e-4, 1e-2)),
        *pac.grid(pac.Scratch, learning_rate=(3e-4, 1e-3, 1e-2, 3e-2), strength=(1e-3,)),
    ),
    # Corrections of the source's prediction.
    "linear correction": pac.grid(pac.LinearCorrection, strength=RIDGES),
    "linear correction with c'x": pac.grid(pac.LinearCorrection, linear=(True,), strength=RIDGES),
    "delta net": at_rates(pac.DeltaNetwork()),
    "input augmentation": at_rates(pac.InputAugmentation()),
    "MFNN": at_rates(pac.MFNN()),
    "GP": (pac.GP(on="target"),),
    "GP on the residual": (pac.GP(on="residual"),),
    "NARGP": (pac.GP(on="augmented"),),
    "co-kriging": (pac.CoKriging(),),
    # Methods that differ in which weights train.
    "fine-tune": FINE_TUNE,
    "fine-tune, source longer": longer(FINE_TUNE),
    "fine-tune, body x 0.1": at_rates(pac.FineTune(body_rate=0.1)),
    "linear probe": pac.grid(pac.LinearProbe, learning_rate=(FAST,), strength=(0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)),
    "last-layer ridge": pac.grid(pac.LastLayerRidge, strength=RIDGES),
    "LP-FT": tuple(pac.LPFT(learning_rate=rate, probe_learning_rate=rate) for rate in RATES),
    "surgical, first": at_rates(pac.Surgical(block="first")),
    "surgical, last": at_rates(pac.Surgical(block="last")),
    "LoRA": lora_candidates(),
    "LoRA, frozen biases": lora_candidates(biases="frozen"),
    "scale-shift": pac.grid(pac.ScaleShift, learning_rate=(FAST,), strength=PULLS),
    "ATL": (pac.ATL(),),
    "ATL, towards 0": (pac.ATL(anchor="zero"),),
    "ATL, group lasso": (pac.ATL(form="group lasso"),),
    # Regularised training.
    "L2": pac.grid(pac.L2, learning_rate=(FAST,), strength=PULLS),
    "L2-SP": L2SP,
    "L2-SP, source longer": longer(L2SP),
    "EWC": pac.grid(pac.EWC, learning_rate=(FAST,), strength=PULLS),
    "EWC, pulled biases": pac.grid(pac.EWC, learning_rate=(FAST,), biases=("pulled",), strength=PULLS),
    "DELTA": pac.grid(pac.DELTA, learning_rate=(FAST,), strength=FEATURES),
    "feature map": pac.grid(pac.DELTA, learning_rate=(FAST,), attention=("uniform",), strength=FEATURES),
    "LwF": pac.grid(pac.LwF, learning_rate=(FAST,), strength=(2.0, 0.0, 0.02, 0.06, 0.2, 0.6, 6.0, 20.0)),
    "BSS": pac.grid(pac.BSS, learning_rate=(FAST,), strength=(2e-3, 0.0, 2e-5, 2e-4, 2e-2, 0.2, 2.0, 20.0)),
    # Pruning.
    "PackNet": PACKNET,
    "PackNet, frozen biases": tuple(replace(candidate, biases="frozen") for candidate in PACKNET),
    "PAC": pac_candidates(),
    "PAC, frozen biases": pac_candidates(biases="frozen"),
    "PAC, readout pruned": pac_candidates(exempt=()),
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
# Controls, and other policies for biases or the readout; a ranking would count such a method twice.
VARIANTS = tuple(name for name in CANDIDATES if name.endswith((", source longer", " biases", ", readout pruned")))
