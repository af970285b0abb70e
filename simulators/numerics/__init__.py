"""Numerics that the solvers share: boundaries, time steps and their errors, Fourier modes, and random inputs."""
