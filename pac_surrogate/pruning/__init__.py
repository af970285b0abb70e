"""Pruning: weights to an essential mask, a file for each criterion."""

from pac_surrogate.pruning.magnitude import magnitude_mask
from pac_surrogate.pruning.random import random_mask
from pac_surrogate.pruning.scores import dead_units, report

__all__ = ["dead_units", "magnitude_mask", "random_mask", "report"]
