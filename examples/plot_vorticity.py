"""
A flow that decays
==================

The simulators solve a batch of initial fields at once. Here they solve the Navier-Stokes equations in two dimensions,
in terms of the vorticity, from one random initial field: small vortices die out, and large ones remain.
"""

import matplotlib.pyplot as plt
import torch

from simulators.numerics.random_inputs import random_periodic_field
from simulators.periodic.navier_stokes import NavierStokes
from simulators.periodic.semilinear import solve_periodic

generator = torch.Generator().manual_seed(0)
start = 6.0 * random_periodic_field(generator, 1, (64, 64), modes=6, cutoff=4.0, power=2.0)
times = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)  # s
viscosity = torch.tensor([1e-3], dtype=torch.float64)  # m^2/s
vorticity = solve_periodic(NavierStokes(), start, {"viscosity": viscosity}, times, lengths=(1.0, 1.0), steps=400)

figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for ax, time, field in zip(axes, times, vorticity[0], strict=True):
    largest = float(field.abs().max())
    image = ax.imshow(field.T.numpy(), origin="lower", extent=(0, 1, 0, 1), cmap="RdBu_r", vmin=-largest, vmax=largest)
    figure.colorbar(image, ax=ax, location="bottom", label="vorticity [1/s]", shrink=0.8)
    ax.set_title(f"t = {time:g} s")
    ax.set_xlabel("x [m]")
axes[0].set_ylabel("y [m]")
plt.show()
