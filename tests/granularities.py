"""Groups of weights that are pruned together, formed by reshaping."""

import numpy as np

AXES = {"weight": 0, "row": 1, "kernel": -2, "channel": -1, "unit": -1}


def grouped(tensor, granularity):
    """Reshape a tensor to (group, weight in the group)."""
    axes = AXES[granularity]
    leading = tensor.ndim - axes if axes >= 0 else -axes
    return tensor.reshape(int(np.prod(tensor.shape[:leading])), -1)
