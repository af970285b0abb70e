"""Work on several pairs at a time, each in a process of its own."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor


def work_through(work: Callable[[str], list[str]], pairs: Sequence[str], workers: int) -> list[str]:
    """Do the work of every pair and return the lines of all, such as failures, in the order of the pairs.

    Args:
        work: function of a pair's name that other processes can import, or a `functools.partial` of one.
        pairs: names of the pairs.
        workers: number of processes, each with one thread; a single worker is this process itself.
    """
    if workers == 1:
        return [line for pair in pairs for line in work(pair)]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the workers as they start
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [line for lines in pool.map(work, pairs) for line in lines]
