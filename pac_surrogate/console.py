"""What the command lines share: a mistake is one line and exit code 2, and a run that is stopped says how to go on."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from pac_surrogate.utilities.display import one_line

LONGEST = 390  # characters of a message
MISTAKES = (ValueError, OSError, RuntimeError, MemoryError, ArithmeticError)  # torch's errors are RuntimeErrors
STOPPING = {signal.SIGINT: "stopped by Ctrl-C", signal.SIGTERM: "stopped by the system (SIGTERM)"}
NOTHING = "nothing is kept, the same command begins anew"
BROKEN_PIPE = 128 + 13  # the exit code of a process that SIGPIPE ends


class StoppedError(BaseException):
    """The user, or the system, wants the process to end; `number` is the signal's."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        self.number = number


@contextmanager
def keeping(line: str) -> Iterator[None]:
    """Say what is kept of the work of a block if it is stopped, and how to go on.

    Args:
        line: such as "finished stacks are kept in results/stacks, the same command goes on from there".
    """
    try:
        yield
    except (StoppedError, KeyboardInterrupt) as stopped:
        stopped.add_note(line)
        raise


def run(command: Callable[[], object]) -> None:
    """Run a command line: mistakes, warnings and signals are one line each on standard error.

    Args:
        command: what is run; typer's with `standalone_mode=False`. A whole number that it returns is the exit code.

    Raises:
        SystemExit: with 2 after a mistake, 130 after Ctrl-C, 143 after SIGTERM, 141 if nobody reads the output any more.
    """
    code: object = 0
    with _signals(), warnings.catch_warnings():
        warnings.showwarning = show_warning  # a user of the console has no use for our file and line
        try:
            code = command() or 0
            sys.stdout.flush()
        except (StoppedError, KeyboardInterrupt) as stopped:
            number = getattr(stopped, "number", signal.SIGINT)
            print_line(f"{STOPPING[number]}: {[NOTHING, *getattr(stopped, '__notes__', ())][-1]}")
            code = 128 + number
        except BrokenPipeError:
            code = BROKEN_PIPE
        except MISTAKES as error:
            print_line(f"error: {_reason(error)}")
            code = 2
        except Exception as error:
            if not hasattr(error, "format_message"):  # of typer, which keeps its errors in different places in its versions
                raise
            code = 2
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
            else:
                print_line(f"error: {error.format_message()}")
        _flush()
    if code:
        raise SystemExit(code)


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "the memory does not suffice: ask for less at once"
    if isinstance(error, OSError) and error.strerror:
        return f"{'' if error.filename is None else f'{error.filename}: '}{error.strerror}"
    return str(error) or type(error).__name__


def print_line(line: str) -> None:
    """Print a line on standard error, if there is one to read it."""
    with suppress(OSError):
        print(one_line(line, LONGEST), file=sys.stderr, flush=True)


@contextmanager
def _signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise a StoppedError; the second of them ends the process at once. Ignored ones stay ignored."""
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise StoppedError(number)

    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield
        return
    before |= {each: signal.signal(each, stop) for each in STOPPING if signal.getsignal(each) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _flush() -> None:
    """Give out what is left, or leave nothing behind on which Python would fail at its exit, with a message of its own."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                if stream.fileno() == descriptor:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def show_warning(message: Warning | str, *where: Any, **options: Any) -> None:
    """Print a warning as a line, without our file and line number; takes the place of `warnings.showwarning`."""
    print_line(f"warning: {message}")
