"""Ordinary differential equations: a file for each system, and their trajectories from random starts."""
