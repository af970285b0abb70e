"""Settings of the whole process that a caller may have changed: ours while we compute, and the caller's again afterwards."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock

import numpy as np
import torch
from threadpoolctl import threadpool_limits

LONG = 1e7  # floating-point operations of a call from which on several threads pay: 0.1 to 0.2 ms of one core

_allowed: ContextVar[int | None] = ContextVar("allowed", default=None)


class _Shared:
    """What torch has once for all threads. The first thread that computes notes and changes it, the last one gives it back."""

    lock = Lock()
    computing = 0
    precision = torch.float32
    threads = 1
    limited = 0
    limits: threadpool_limits | None = None

    @classmethod
    def enter(cls) -> int:
        """Return how many threads the caller allows."""
        with cls.lock:
            if not cls.computing:
                cls.precision, cls.threads = torch.get_default_dtype(), torch.get_num_threads()
                torch.set_default_dtype(torch.float32)
            cls.computing += 1
            return cls.threads

    @classmethod
    def leave(cls) -> None:
        with cls.lock:
            cls.computing -= 1
            # A thread that began while another one computed has found that one's single thread of torch.
            torch.set_num_threads(cls.threads)
            if not cls.computing:
                torch.set_default_dtype(cls.precision)


def _begin_fork() -> None:
    """In a forked process none of its parent's threads is left, neither ours nor torch's.

    GNU's OpenMP, on which torch's rest, waits for ever for those that the parent had started. One thread needs none of them;
    torch's own workers that load data do likewise.
    """
    _Shared.lock, _Shared.computing, _Shared.limited = Lock(), 0, 0
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_fork)


def allowed_threads() -> int:
    """How many threads the caller lets torch use, and with it this package."""
    return _allowed.get() or torch.get_num_threads()


def begin_worker() -> None:
    """What a thread of our own does first: it computes alone."""
    _allowed.set(1)
    torch.set_num_threads(1)


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """Compute with all threads that the caller allows, if the single calls of torch are long enough to gain by it.

    OpenMP's threads meet at the end of every call of torch, and wait for each other in a loop that keeps a core busy. For
    products of some microseconds that costs more than it saves, and where other processes want the cores, every meeting waits
    until the operating system has let each thread run: a call can take ten times as long (`benchmarks/busy_cores.py`). So one
    thread is the rule (`own_settings`) and this the exception.

    Args:
        operations: floating-point operations of the calls in question, each.
    """
    before = torch.get_num_threads()
    wanted = allowed_threads() if operations >= LONG else 1
    if wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def numpy_threads_for(operations: float) -> Iterator[None]:
    """Do the same for the linear algebra of NumPy and SciPy, whose threads wait likewise. They are one setting for all threads.

    Args:
        operations: floating-point operations of the calls in question, each.
    """
    if operations >= LONG:
        yield
        return
    with _Shared.lock:
        if not _Shared.limited:
            _Shared.limits = threadpool_limits(1, user_api="blas")
        _Shared.limited += 1
    try:
        yield
    finally:
        with _Shared.lock:
            _Shared.limited -= 1
            if not _Shared.limited and _Shared.limits is not None:
                _Shared.limits.restore_original_limits()


@contextmanager
def own_settings(*, gradients: bool | None = True) -> Iterator[None]:
    """Compute under the settings that this package is written for, whatever those of the process are.

    Gradients may be off, floating-point errors of NumPy may raise, a default precision or device of torch may be set, and
    products may be cast to half precision; each would change results, or end in errors far inside. Torch computes with one
    thread, except in `threads_for`. Also a decorator.

    Args:
        gradients: whether torch records what gradients need; None leaves it to the caller, as in a prediction through which
            the caller differentiates.
    """
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
        if _allowed.get() is None:  # the outermost call of this thread
            settings.callback(_allowed.reset, _allowed.set(_Shared.enter()))
            settings.callback(_Shared.leave)
        settings.enter_context(threads_for(0))
        yield
