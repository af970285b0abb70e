"""Batched solvers of the equations behind the data: torch in, torch out, one sample a row."""

from simulators.boundaries import Dirichlet, Neumann, Periodic, Robin
from simulators.heat import Heat, solve_heat

__all__ = ["Dirichlet", "Heat", "Neumann", "Periodic", "Robin", "solve_heat"]
