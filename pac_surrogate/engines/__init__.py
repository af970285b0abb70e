"""Engines: several ways to compute the same predictions, of which the fastest depends on network, batch and processor."""
