"""Steady fields on a periodic square, Poisson's and Helmholtz's equations: their solver, and fields that random blobs drive."""
