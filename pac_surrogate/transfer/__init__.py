"""Transfer methods, a file each: they pose Plans and never train."""

from pac_surrogate.transfer.ac_dc import ACDC
from pac_surrogate.transfer.atl import ATL
from pac_surrogate.transfer.bss import BSS
from pac_surrogate.transfer.co_kriging import CoKriging
from pac_surrogate.transfer.delta import DELTA
from pac_surrogate.transfer.delta_net import DeltaNetwork
from pac_surrogate.transfer.ewc import EWC
from pac_surrogate.transfer.fine_tune import FineTune
from pac_surrogate.transfer.gaussian_process import GP
from pac_surrogate.transfer.gmp import GMP
from pac_surrogate.transfer.input_augmentation import InputAugmentation
from pac_surrogate.transfer.l2 import L2
from pac_surrogate.transfer.l2_sp import L2SP
from pac_surrogate.transfer.last_layer_ridge import LastLayerRidge
from pac_surrogate.transfer.linear_correction import LinearCorrection
from pac_surrogate.transfer.linear_probe import LinearProbe
from pac_surrogate.transfer.lora import LoRA
from pac_surrogate.transfer.lp_ft import LPFT
from pac_surrogate.transfer.lth_t import LTHT
from pac_surrogate.transfer.lwf import LwF
from pac_surrogate.transfer.method import (
    ClosedFormRule,
    Method,
    NotApplicableError,
    PlanRule,
    learns_outputs,
    needs_target,
    share_of,
)
from pac_surrogate.transfer.multi_fidelity_network import MFNN
from pac_surrogate.transfer.names import grid, make_described, make_method, method_class
from pac_surrogate.transfer.pac import PAC, Allocate, Calibrate, PackNet
from pac_surrogate.transfer.rigl import RigL
from pac_surrogate.transfer.scale_shift import ScaleShift
from pac_surrogate.transfer.scratch import Scratch
from pac_surrogate.transfer.soft_threshold import STR
from pac_surrogate.transfer.source_unchanged import SourceUnchanged
from pac_surrogate.transfer.sparse_transfer import SparseTransfer
from pac_surrogate.transfer.surgical import Surgical
from pac_surrogate.transfer.ticket import Ticket
from pac_surrogate.transfer.wood_fisher import WoodFisher

__all__ = [
    "ACDC",
    "ATL",
    "BSS",
    "DELTA",
    "EWC",
    "GMP",
    "GP",
    "L2",
    "L2SP",
    "LPFT",
    "LTHT",
    "MFNN",
    "PAC",
    "STR",
    "Allocate",
    "Calibrate",
    "ClosedFormRule",
    "CoKriging",
    "DeltaNetwork",
    "FineTune",
    "InputAugmentation",
    "LastLayerRidge",
    "LinearCorrection",
    "LinearProbe",
    "LoRA",
    "LwF",
    "Method",
    "NotApplicableError",
    "PackNet",
    "PlanRule",
    "RigL",
    "ScaleShift",
    "Scratch",
    "SourceUnchanged",
    "SparseTransfer",
    "Surgical",
    "Ticket",
    "WoodFisher",
    "grid",
    "learns_outputs",
    "make_described",
    "make_method",
    "method_class",
    "needs_target",
    "share_of",
]
