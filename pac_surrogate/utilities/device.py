"""Devices on which tensors are stored."""

import torch

TYPES = ("cpu", "cuda")  # "mps" has no float64, in which closed forms are computed


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device of this name; "auto" means CUDA if it is available.

    Raises:
        ValueError: if the device is unknown, not available, or of another type than CPU and CUDA.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.zeros(1, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device {str(device)!r} is not available: use 'auto' or 'cpu'") from error
    if resolved.type not in TYPES:
        raise ValueError(f"device {str(device)!r} is not supported: use 'auto', 'cpu' or 'cuda'")
    return resolved
