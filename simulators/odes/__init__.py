"""Ordinary differential equations: a file for each system, and ensembles of trajectories from random initial values."""
