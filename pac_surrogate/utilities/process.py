"""Settings of the whole process, which are changed during this package's computations and restored afterwards."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock

import numpy as np
import torch

LONG = 1e7  # floating-point operations of a call above which several threads are faster: 0.1 to 0.2 ms of one core

_allowed: ContextVar[int | None] = ContextVar("allowed", default=None)


class _Shared:
    """Settings that torch shares among all threads; the first thread that computes changes them, the last restores them."""

    lock = Lock()
    computing = 0
    precision = torch.float32
    threads = 1

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
            # A thread that started while another one computed has inherited the other's setting of a single thread of torch.
            torch.set_num_threads(cls.threads)
            if not cls.computing:
                torch.set_default_dtype(cls.precision)


def _begin_fork() -> None:
    """Reset the settings in a forked process, which has none of its parent's threads, neither ours nor torch's.

    GNU's OpenMP, on which torch's threads are based, would wait forever for the threads that the parent had started. A single
    thread needs no others; torch's own workers that load data use a single thread, too.
    """
    _Shared.lock, _Shared.computing = Lock(), 0
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_fork)


def allowed_threads() -> int:
    """Return how many threads the caller allows torch, and therefore this package, to use."""
    return _allowed.get() or torch.get_num_threads()


def begin_worker() -> None:
    """Set a new thread of this package to compute without further threads."""
    _allowed.set(1)
    torch.set_num_threads(1)


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """Compute with all threads that the caller allows, if each call of torch is long enough to become faster.

    OpenMP's threads synchronise at the end of every call of torch, and wait for each other in a loop that keeps a core busy.
    For products of some microseconds this costs more than it saves. If other processes use the cores, every synchronisation
    waits until the operating system has run each thread, and a call can take ten times as long (`benchmarks/busy_cores.py`).
    One thread is therefore the default (`own_settings`), and several are the exception.

    Args:
        operations: floating-point operations of each of the calls.
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
def one_thread() -> Iterator[None]:
    """Compute with a single thread within `own_settings`, also in `threads_for`, as to measure the time of this thread."""
    allowed = _allowed.set(1)
    try:
        with threads_for(0):
            yield
    finally:
        _allowed.reset(allowed)


@contextmanager
def own_settings(*, gradients: bool | None = True) -> Iterator[None]:
    """Compute with the settings that this package requires, regardless of the settings of the process; also a decorator.

    In the process, gradients may be off, floating-point errors of NumPy may raise, a default precision or device of torch may
    be set, and products may be cast to half precision. Each of these would change results, or cause errors deep inside the
    package. Torch computes with one thread, except in `threads_for`.

    Args:
        gradients: whether torch records operations for gradients; None keeps the caller's setting, as for a prediction that
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
