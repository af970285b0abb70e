"""Common parts of the command lines: an error is one line and exit code 2, and a stopped run reports how to continue it."""

import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from pac_surrogate.utilities.display import one_line

LONGEST = 390  # largest number of characters of a message
MISTAKES = (ValueError, OSError, RuntimeError, MemoryError, ArithmeticError)  # torch's errors are RuntimeErrors
STOPPING = {signal.SIGINT: "stopped by Ctrl-C", signal.SIGTERM: "stopped by the system (SIGTERM)"}
NOTHING = "nothing is kept, the same command starts again"
ADVICE = re.compile(r"\bmissing=['\"](\w+)['\"]")  # an argument in Python that is an option of a command line
OPTIONS = re.compile(r"\b(inputs|outputs|sample|units)=(?= )")
BROKEN_PIPE = 128 + 13  # the exit code of a process that SIGPIPE ends


class StoppedError(BaseException):
    """A request by the user or the system to end the process; `number` is that of the signal."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        self.number = number


@contextmanager
def keeping(line: str) -> Iterator[None]:
    """If a block is stopped, report what is kept of its work and how to continue.

    Args:
        line: a line such as "finished stacks are kept in results/stacks, the same command continues from there".
    """
    try:
        yield
    except (StoppedError, KeyboardInterrupt) as stopped:
        stopped.add_note(line)
        raise


def run(command: Callable[[], object]) -> None:
    """Run a command line: an error, a warning or a signal is reported as one line on standard error.

    Args:
        command: the function to run; one of typer needs `standalone_mode=False`. An integer that it returns is the exit code.

    Raises:
        SystemExit: with code 2 after a user's error, 130 after Ctrl-C, 143 after SIGTERM, 141 if the output is a closed pipe.
    """
    code: object = 0
    with _signals(), warnings.catch_warnings():
        warnings.showwarning = show_warning  # a user of the console does not need our file and line
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
            if not hasattr(error, "format_message"):  # not typer's, whose module differs between versions
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
    return OPTIONS.sub(r"--\1", ADVICE.sub(r"--missing \1", str(error))) or type(error).__name__


def print_line(line: str) -> None:
    """Print a line on standard error; do nothing if it is closed."""
    with suppress(OSError):
        print(one_line(line, LONGEST), file=sys.stderr, flush=True)


@contextmanager
def _signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise a StoppedError; a second signal ends the process at once. Ignored signals stay ignored."""
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise StoppedError(number)

    if threading.current_thread() is not threading.main_thread():  # other threads receive no signals
        yield
        return
    before |= {each: signal.signal(each, stop) for each in STOPPING if signal.getsignal(each) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _flush() -> None:
    """Flush the output; if that fails, discard it, so that Python does not fail at its exit with a message of its own."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                if stream.fileno() == descriptor:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def show_warning(message: Warning | str, *where: Any, **options: Any) -> None:
    """Print a warning as one line, without our file and line number; this replaces `warnings.showwarning`."""
    print_line(f"warning: {message}")
