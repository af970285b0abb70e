"""Poisson's and Helmholtz's equations on a periodic square: their solver, and ensembles with random blobs as sources."""
