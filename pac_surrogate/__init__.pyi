# What `import pac_surrogate` gives, each name once: `__init__.py` imports a module when one of its names is first asked for.

from .curves.costs import break_even as break_even
from .curves.costs import simulation_costs as simulation_costs
from .curves.results import open_curve as open_curve
from .curves.results import save_curve as save_curve
from .curves.results import summarise as summarise
from .curves.savings import (
    samples_needed as samples_needed,
)
from .curves.savings import (
    samples_needed_interval as samples_needed_interval,
)
from .curves.savings import (
    samples_saved as samples_saved,
)
from .curves.transfer_curve import transfer_curve as transfer_curve
from .data.data_warnings import DataWarning as DataWarning
from .data.data_warnings import ExtrapolationWarning as ExtrapolationWarning
from .data.dataset import Dataset as Dataset
from .data.opening import open_dataset as open_dataset
from .files.attributes import DatasetError as DatasetError
from .methods.around.co_kriging import CoKriging as CoKriging
from .methods.around.delta_net import DeltaNetwork as DeltaNetwork
from .methods.around.gaussian_process import GP as GP
from .methods.around.input_augmentation import InputAugmentation as InputAugmentation
from .methods.around.linear_correction import LinearCorrection as LinearCorrection
from .methods.around.multi_fidelity_network import MFNN as MFNN
from .methods.pruned.ac_dc import ACDC as ACDC
from .methods.pruned.gmp import GMP as GMP
from .methods.pruned.lth_t import LTHT as LTHT
from .methods.pruned.pac import PAC as PAC
from .methods.pruned.pac import PackNet as PackNet
from .methods.pruned.rigl import RigL as RigL
from .methods.pruned.soft_threshold import STR as STR
from .methods.pruned.sparse_transfer import SparseTransfer as SparseTransfer
from .methods.pruned.ticket import Ticket as Ticket
from .methods.pruned.wood_fisher import WoodFisher as WoodFisher
from .methods.pulled.bss import BSS as BSS
from .methods.pulled.delta import DELTA as DELTA
from .methods.pulled.ewc import EWC as EWC
from .methods.pulled.l2 import L2 as L2
from .methods.pulled.l2_sp import L2SP as L2SP
from .methods.pulled.lwf import LwF as LwF
from .methods.specification import grid as grid
from .methods.tuned.atl import ATL as ATL
from .methods.tuned.fine_tune import FineTune as FineTune
from .methods.tuned.last_layer_ridge import LastLayerRidge as LastLayerRidge
from .methods.tuned.linear_probe import LinearProbe as LinearProbe
from .methods.tuned.lora import LoRA as LoRA
from .methods.tuned.lp_ft import LPFT as LPFT
from .methods.tuned.scale_shift import ScaleShift as ScaleShift
from .methods.tuned.scratch import Scratch as Scratch
from .methods.tuned.source_unchanged import SourceUnchanged as SourceUnchanged
from .methods.tuned.surgical import Surgical as Surgical
from .models.cnn import CNN as CNN
from .models.mlp import MLP as MLP
from .models.module import Module as Module
from .pipeline import (
    draw_ticket as draw_ticket,
)
from .pipeline import (
    prune_and_allocate as prune_and_allocate,
)
from .pipeline import (
    transfer as transfer,
)
from .plan import Plan as Plan
from .plan import make_plan as make_plan
from .plots.curves import plot_curve as plot_curve
from .plots.curves import plot_fields as plot_fields
from .plots.samples import plot_samples as plot_samples
from .plots.savings import plot_savings as plot_savings
from .pretraining import pretrain as pretrain
from .selection.acquisition import next_samples as next_samples
from .selection.auto import Auto as Auto
from .solvers.training import fit as fit
from .surrogates.surrogate import Surrogate as Surrogate

__version__: str
