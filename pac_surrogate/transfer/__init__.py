"""Transfer methods, a file each: they pose Plans and never train."""

from pac_surrogate.transfer.fine_tune import FineTune
from pac_surrogate.transfer.l2 import L2
from pac_surrogate.transfer.l2_sp import L2SP
from pac_surrogate.transfer.linear_correction import LinearCorrection
from pac_surrogate.transfer.linear_probe import LinearProbe
from pac_surrogate.transfer.method import ClosedFormRule, Method, PlanRule, grid, learns_outputs, needs_target
from pac_surrogate.transfer.pac import PAC, Allocate, Calibrate, PackNet
from pac_surrogate.transfer.scratch import Scratch
from pac_surrogate.transfer.source_unchanged import SourceUnchanged

__all__ = [
    "L2",
    "L2SP",
    "PAC",
    "Allocate",
    "Calibrate",
    "ClosedFormRule",
    "FineTune",
    "LinearCorrection",
    "LinearProbe",
    "Method",
    "PackNet",
    "PlanRule",
    "Scratch",
    "SourceUnchanged",
    "grid",
    "learns_outputs",
    "needs_target",
]
