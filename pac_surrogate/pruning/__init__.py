"""Pruning of weights to an essential mask, one file for each criterion, and the costs of the pruned network."""

from pac_surrogate.pruning.compaction import compact_network
from pac_surrogate.pruning.cost import flops, nonzeros
from pac_surrogate.pruning.erk import erk_mask, erk_sparsities
from pac_surrogate.pruning.groups import group_importance, keep_highest_groups
from pac_surrogate.pruning.importance import dead_units, report
from pac_surrogate.pruning.magnitude import magnitude_mask
from pac_surrogate.pruning.random import random_mask
from pac_surrogate.pruning.wood_fisher import fisher_blocks, surgeon_update, wood_fisher_importance

__all__ = [
    "compact_network",
    "dead_units",
    "erk_mask",
    "erk_sparsities",
    "fisher_blocks",
    "flops",
    "group_importance",
    "keep_highest_groups",
    "magnitude_mask",
    "nonzeros",
    "random_mask",
    "report",
    "surgeon_update",
    "wood_fisher_importance",
]
