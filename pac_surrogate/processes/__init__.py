"""Gaussian processes: covariance functions, evidence, the search for hyper-parameters, and the fits of one level and of two."""
