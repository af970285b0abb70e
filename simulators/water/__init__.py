"""The shallow water equations: their solver, and basins with random surfaces."""
