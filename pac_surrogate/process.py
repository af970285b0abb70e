"""Settings of the whole process that a caller may have changed: ours while we compute, and the caller's again afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch


@contextmanager
def own_settings(*, gradients: bool | None = True) -> Iterator[None]:
    """Compute under the settings that this package is written for, whatever those of the process are.

    Gradients may be off, floating-point errors of NumPy may raise, a default precision or device of torch may be set, and
    products may be cast to half precision; each would change results, or end in errors far inside. Also a decorator.

    Args:
        gradients: whether torch records what gradients need; None leaves it to the caller, as in a prediction through which
            the caller differentiates.
    """
    precision = torch.get_default_dtype()
    with ExitStack() as settings:
        settings.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if gradients is not None:
            settings.enter_context(torch.inference_mode(False))
            settings.enter_context(torch.set_grad_enabled(gradients))
        if torch.get_default_device().type != "cpu":
            settings.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                settings.enter_context(torch.autocast(device, enabled=False))
        if precision != torch.float32:
            torch.set_default_dtype(torch.float32)
            settings.callback(torch.set_default_dtype, precision)
        yield
