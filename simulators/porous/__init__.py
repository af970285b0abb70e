"""Flow through porous media, Darcy's law: its solver, and squares of random permeability."""
