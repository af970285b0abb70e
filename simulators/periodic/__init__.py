"""Semilinear PDEs on a periodic box, u_t = L u + N(u): their solver, a file for each PDE, and random initial fields."""
