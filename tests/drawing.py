"""Random numbers that are the same in every run, on every machine."""

import numpy as np
import torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    """Draw normal numbers as a tensor in double precision."""
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed))


def normal_array(*shape, seed=0):
    """Draw normal numbers as a NumPy array."""
    return np.random.default_rng(seed).normal(size=shape)
