"""Semilinear equations on a periodic box, u_t = L u + N(u): their solver, a file for each, and random initial fields."""
