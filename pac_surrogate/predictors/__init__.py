"""Predictors: maps from standardised inputs to standardised outputs, saved as arrays and JSON; each kind has its own file."""

from pac_surrogate.predictors.autoregressive import Autoregressive
from pac_surrogate.predictors.co_kriging import CoKriging
from pac_surrogate.predictors.correction import Correction
from pac_surrogate.predictors.feature_readout import FeatureReadout
from pac_surrogate.predictors.fold_fits import Folds
from pac_surrogate.predictors.gaussian_process import GaussianProcess
from pac_surrogate.predictors.left_out import LeftOut
from pac_surrogate.predictors.linearised import Linearised, SharedKernel
from pac_surrogate.predictors.mixture import Mixture
from pac_surrogate.predictors.network import Network, build_network
from pac_surrogate.predictors.output_groups import OutputGroups
from pac_surrogate.predictors.predictor import Predictor
from pac_surrogate.predictors.processes import Processes

KINDS = (
    *(Network, Correction, FeatureReadout, GaussianProcess, Processes, Autoregressive, CoKriging),
    *(Linearised, SharedKernel, Mixture, OutputGroups),
)
PREDICTORS = {kind.__name__: kind for kind in KINDS}

__all__ = [
    "PREDICTORS",
    "Autoregressive",
    "CoKriging",
    "Correction",
    "FeatureReadout",
    "Folds",
    "GaussianProcess",
    "LeftOut",
    "Linearised",
    "Mixture",
    "Network",
    "OutputGroups",
    "Predictor",
    "Processes",
    "SharedKernel",
    "build_network",
]
