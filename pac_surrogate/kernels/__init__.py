"""Derivatives of networks with respect to their weights, and the kernels that are computed from them."""
