"""pac_surrogate: surrogate models that transfer from a cheap source to a dear target.

import pac_surrogate as pac

source = pac.open_dataset("data/heat_equation/source.h5")
target = pac.open_dataset("data/heat_equation/target.h5")
surrogate = pac.pretrain(source.train, model=pac.MLP(hidden=(64, 64)), seed=0)
adapted = pac.transfer(surrogate, target.train[:20], source=source.train)  # chooses the method: print(adapted.choice)
adapted.predict_interval(target.test.x, level=0.9)
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pac_surrogate.acquisition import next_samples
    from pac_surrogate.choose import Auto
    from pac_surrogate.costs import break_even, simulation_costs
    from pac_surrogate.curve import open_curve, save_curve, summarise, transfer_curve
    from pac_surrogate.dataset import Dataset, open_dataset
    from pac_surrogate.files import DatasetError
    from pac_surrogate.models import CNN, MLP, Module
    from pac_surrogate.pipeline import draw_ticket, pretrain, prune_and_allocate, transfer
    from pac_surrogate.plan import Plan, make_plan
    from pac_surrogate.plots import plot_curve, plot_fields
    from pac_surrogate.sample_plots import plot_samples
    from pac_surrogate.savings import samples_needed, samples_needed_interval, samples_saved
    from pac_surrogate.savings_plots import plot_savings
    from pac_surrogate.surrogate import DataWarning, ExtrapolationWarning, Surrogate
    from pac_surrogate.training import fit
    from pac_surrogate.transfer import (
        ACDC,
        ATL,
        BSS,
        DELTA,
        EWC,
        GMP,
        GP,
        L2,
        L2SP,
        LPFT,
        LTHT,
        MFNN,
        PAC,
        STR,
        CoKriging,
        DeltaNetwork,
        FineTune,
        InputAugmentation,
        LastLayerRidge,
        LinearCorrection,
        LinearProbe,
        LoRA,
        LwF,
        PackNet,
        RigL,
        ScaleShift,
        Scratch,
        SourceUnchanged,
        SparseTransfer,
        Surgical,
        Ticket,
        WoodFisher,
        grid,
    )

_FACE = {
    "acquisition": ("next_samples",),
    "choose": ("Auto",),
    "costs": ("break_even", "simulation_costs"),
    "curve": ("open_curve", "save_curve", "summarise", "transfer_curve"),
    "dataset": ("Dataset", "open_dataset"),
    "files": ("DatasetError",),
    "models": ("CNN", "MLP", "Module"),
    "pipeline": ("draw_ticket", "pretrain", "prune_and_allocate", "transfer"),
    "plan": ("Plan", "make_plan"),
    "plots": ("plot_curve", "plot_fields"),
    "sample_plots": ("plot_samples",),
    "savings": ("samples_needed", "samples_needed_interval", "samples_saved"),
    "savings_plots": ("plot_savings",),
    "surrogate": ("DataWarning", "ExtrapolationWarning", "Surrogate"),
    "training": ("fit",),
    "transfer": (
        "ACDC",
        "ATL",
        "BSS",
        "CoKriging",
        "DELTA",
        "DeltaNetwork",
        "EWC",
        "FineTune",
        "GMP",
        "GP",
        "InputAugmentation",
        "L2",
        "L2SP",
        "LPFT",
        "LTHT",
        "LastLayerRidge",
        "LinearCorrection",
        "LinearProbe",
        "LoRA",
        "LwF",
        "MFNN",
        "PAC",
        "PackNet",
        "RigL",
        "STR",
        "ScaleShift",
        "Scratch",
        "SourceUnchanged",
        "SparseTransfer",
        "Surgical",
        "Ticket",
        "WoodFisher",
        "grid",
    ),
}
_HOME = {name: module for module, names in _FACE.items() for name in names}

__all__ = [  # noqa: RUF022  in the order of the pipeline
    "Dataset",
    "DatasetError",
    "open_dataset",
    "CNN",
    "MLP",
    "Module",
    "Surrogate",
    "DataWarning",
    "ExtrapolationWarning",
    "pretrain",
    "prune_and_allocate",
    "draw_ticket",
    "transfer",
    "next_samples",
    "Auto",
    "SourceUnchanged",
    "Scratch",
    "LinearCorrection",
    "DeltaNetwork",
    "InputAugmentation",
    "MFNN",
    "GP",
    "CoKriging",
    "FineTune",
    "LinearProbe",
    "LastLayerRidge",
    "LPFT",
    "Surgical",
    "LoRA",
    "ScaleShift",
    "ATL",
    "L2",
    "L2SP",
    "EWC",
    "DELTA",
    "LwF",
    "BSS",
    "PackNet",
    "PAC",
    "SparseTransfer",
    "GMP",
    "ACDC",
    "STR",
    "RigL",
    "WoodFisher",
    "LTHT",
    "Ticket",
    "grid",
    "Plan",
    "make_plan",
    "fit",
    "transfer_curve",
    "open_curve",
    "save_curve",
    "summarise",
    "samples_needed",
    "samples_needed_interval",
    "samples_saved",
    "simulation_costs",
    "break_even",
    "plot_curve",
    "plot_savings",
    "plot_fields",
    "plot_samples",
]


class _Face(ModuleType):
    """The package as a module in which `transfer` is the function, though a subpackage of that name is imported too."""

    @property
    def transfer(self) -> Any:
        return import_module("pac_surrogate.pipeline").transfer

    @transfer.setter
    def transfer(self, subpackage: ModuleType) -> None:
        """Importing the subpackage binds its name here: let it pass."""


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> Any:
    # torch alone takes seconds to import; the command line's --help and the reading of files do without it.
    if name in _HOME:
        return getattr(import_module(f"pac_surrogate.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
