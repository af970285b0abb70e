"""Batched solvers of the equations behind the data: they take and return torch tensors with one sample per row."""

from simulators.heat.heat_equation import Heat, solve_heat
from simulators.numerics.boundaries import Dirichlet, Neumann, Periodic, Robin

__all__ = ["Dirichlet", "Heat", "Neumann", "Periodic", "Robin", "solve_heat"]
