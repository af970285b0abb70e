"""Flow through porous media by Darcy's law: its solver, and squares of random permeability."""
