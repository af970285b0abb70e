"""Repeated failures: kills, full disks, folders that cannot be written or that vanish, two processes at once.

    python tests/soak.py            50 kills of each kind of work, fewer of other failures: about 10 minutes on 2 cores
    python tests/soak.py --quick    one of each, in half a minute

Prints a line for each kind of work and failure; exit status 1 if anything went wrong. Every work runs in its own forked
process, so that its failure can be observed from outside.
"""

import argparse
import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from fuzz import LONGEST, watch

import pac_surrogate as pac
from simulators.generate import generate
from simulators.pairs import find_pair

PATIENCE = 300.0  # seconds after which a process counts as hanging, far longer than any work takes


@dataclass(frozen=True)
class Work:
    """A task that writes files below a folder, with the same results in every run.

    Attributes:
        run: function that does the work, or the missing part of it.
        content: function that digests the written results, without times; equal for equal results.
        kept: pattern of files that are complete once they exist; a later run must not write them again.
    """

    run: Callable[[Path], object]
    content: Callable[[Path], str]
    kept: str


def _data(shift: float) -> pac.Dataset:
    x = np.random.default_rng(0).normal(size=(60, 2))
    return pac.Dataset.from_arrays(x, np.tanh(x @ [1.0, shift]), valid=0.1, test=0.2)


def _generation(folder: Path) -> None:
    generate(find_pair("heat_equation"), folder, samples=120, chunk=5)


def _generated(folder: Path) -> str:
    return "".join(_numbers(path) for path in sorted(folder.rglob("*.h5")))


def _curve(folder: Path) -> None:
    methods = {"fine-tune": pac.FineTune(), "PAC": pac.PAC()}
    options = {"sizes": (4,), "seeds": 2, "model": pac.MLP(hidden=(6,)), "stack_memory": 1}  # bytes: a stack for each run
    steps = dict.fromkeys(("steps", "source_steps", "pretrain_steps"), 30)
    pac.transfer_curve(_data(1.0), _data(2.0), methods=methods, **options, **steps, out=folder / "curve")


def _measured(folder: Path) -> str:
    return "".join(_numbers(path, without=("seconds",)) for path in sorted(folder.rglob("curve.nc")))


_SAVED: list[pac.Surrogate] = []


def _saves(folder: Path) -> None:
    for _ in range(20):
        for surrogate in _SAVED:
            surrogate.save(folder / "surrogate.safetensors")


def _saved(folder: Path) -> str:
    loaded = pac.Surrogate.load(folder / "surrogate.safetensors")
    return hashlib.blake2b(loaded.predict(np.ones((3, 2))).tobytes()).hexdigest()


WORKS = {
    "generation": Work(_generation, _generated, "*.h5"),
    "curve": Work(_curve, _measured, "stacks/*.safetensors"),
    "save": Work(_saves, _saved, ""),
}


def _numbers(path: Path, without: tuple[str, ...] = ()) -> str:
    """Return a digest of all numbers in an HDF5 file."""
    digest = hashlib.blake2b(digest_size=8)

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name not in without:
            values = item[()]
            digest.update(f"{path.name} {name} {values.shape}".encode() + (repr(values.tolist()).encode()))

    with h5py.File(path) as file:
        file.visititems(add)
    return digest.hexdigest()


# Processes ----------------------------------------------------------------------------------------------------------------


class Child:
    """A forked process that works in a folder and reports in one line how it ended."""

    def __init__(self, function: Callable[[Path], object], folder: Path) -> None:
        reads, writes = os.pipe()
        self.reads = reads
        self.process = os.fork()
        if self.process == 0:
            os.close(reads)
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            try:
                warnings.simplefilter("ignore")
                outside = watch(folder.parent)
                function(folder)
                said = f"outside: {outside}" if outside else "done"
            except (ValueError, OSError) as error:
                clear = str(error).isprintable() and len(str(error)) <= LONGEST
                said = f"refused: {error}" if clear else f"unclear: {str(error)[:2000]}"
            except BaseException:  # also exceptions that no handler expects
                said = "exception: " + traceback.format_exc()[-2000:]
            os.write(writes, said.encode(errors="replace"))
            os._exit(0)
        os.close(writes)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)

    def end(self) -> str:
        """Return its report: done, refused, unclear, outside, exception, hang, or the signal that ended it."""
        until = time.monotonic() + PATIENCE
        while True:
            ended, status = os.waitpid(self.process, os.WNOHANG)
            if ended or time.monotonic() > until:
                break
            time.sleep(0.002)
        if not ended:
            self.kill()
            os.waitpid(self.process, 0)
        said = os.read(self.reads, 8192).decode() if ended else "hang"
        os.close(self.reads)
        return said or f"signal {os.WTERMSIG(status)}"


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name) / "work"


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


class Reference:
    """The results of a work that runs without interference."""

    def __init__(self, work: Work) -> None:
        self.work = work
        with _folder() as folder:
            work.run(folder)  # in this process, so that its forks need no imports
            self.content, self.files = work.content(folder), _files(folder)
        with _folder() as folder:
            began = time.monotonic()
            said = Child(work.run, folder).end()
            self.seconds = time.monotonic() - began
            if said != "done" or work.content(folder) != self.content:
                raise RuntimeError(f"without any failure, the work ended with: {said}")

    def finish(self, folder: Path, counts: Counter[str]) -> None:
        """Run the work to its end in a folder after a failure, and count what is wrong with the results."""
        finished = {path: path.stat().st_mtime_ns for path in folder.rglob(self.work.kept)} if self.work.kept else {}
        said = Child(self.work.run, folder).end()
        if said != "done":
            _complain("resumed", said)
            counts["not resumed"] += 1
            return
        counts["changed numbers"] += self.work.content(folder) != self.content
        stray = _files(folder) ^ self.files
        if stray:
            _complain("stray", ", ".join(sorted(stray)))
        counts["stray files"] += bool(stray)
        counts["repeated work"] += any(path.stat().st_mtime_ns != time_ns for path, time_ns in finished.items())


def _complain(what: str, line: str) -> None:
    print(f"  {what}: {line}", file=sys.stderr, flush=True)


def _count(said: str, counts: Counter[str]) -> None:
    """Count how a process ended; it is correct if the work was done, or refused in one line."""
    kind = said.split(":")[0]
    counts["clean refusals"] += kind == "refused"
    counts["done"] += kind == "done"
    if kind not in ("done", "refused"):
        _complain("ended with", said)
        named = {"hang": "hangs", "outside": "touched outside"}
        counts[named.get(kind, "other exceptions")] += 1


# Days ---------------------------------------------------------------------------------------------------------------------


def kills(reference: Reference, times: int, chance: random.Random) -> Counter[str]:
    """Kill the work at random moments, up to three times, and then run it to its end."""
    counts: Counter[str] = Counter()
    for _ in range(times):
        with _folder() as folder:
            for _ in range(chance.randint(1, 3)):
                child = Child(reference.work.run, folder)
                time.sleep(chance.uniform(0, reference.seconds))
                child.kill()
                counts["killed"] += child.end() == f"signal {int(signal.SIGKILL)}"
                if reference.work is WORKS["save"] and (folder / "surrogate.safetensors").exists():
                    try:  # the old file or the new one, never half of one
                        reference.work.content(folder)
                    except ValueError as error:
                        _complain("half-written", str(error))
                        counts["half-written"] += 1
            reference.finish(folder, counts)
    return counts


def full_disks(reference: Reference, times: int, chance: random.Random) -> Counter[str]:
    """Limit the size of files, as on a full disk; then run the work to its end without the limit."""
    counts: Counter[str] = Counter()

    def limited(folder: Path) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        reference.work.run(folder)

    for _ in range(times):
        with _folder() as folder:
            size = int(10 ** chance.uniform(2, 5.5))
            _count(Child(limited, folder).end(), counts)
            reference.finish(folder, counts)
    return counts


def read_only(reference: Reference, times: int, chance: random.Random) -> Counter[str]:
    """Run the work in a folder without write permission; root, who may write anywhere, changes to another user first."""
    counts: Counter[str] = Counter()

    def as_another(folder: Path) -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        reference.work.run(folder)

    for _ in range(min(times, 3)):
        with _folder() as folder:
            folder.mkdir()
            folder.parent.chmod(0o755)
            folder.chmod(0o555)
            _count(Child(as_another, folder).end(), counts)
            counts["touched outside"] += bool(_files(folder))
            folder.chmod(0o755)
            reference.finish(folder, counts)
    return counts


def two_at_once(reference: Reference, times: int, chance: random.Random) -> Counter[str]:
    """Run the same work in one folder in two processes at once."""
    counts: Counter[str] = Counter()
    for _ in range(times):
        with _folder() as folder:
            first = Child(reference.work.run, folder)
            time.sleep(chance.uniform(0, reference.seconds / 2))
            second = Child(reference.work.run, folder)
            for child in (first, second):
                _count(child.end(), counts)
            reference.finish(folder, counts)
    return counts


def vanishing_folder(reference: Reference, times: int, chance: random.Random) -> Counter[str]:
    """Remove the folder while the work is running."""
    counts: Counter[str] = Counter()
    for _ in range(times):
        with _folder() as folder:
            child = Child(reference.work.run, folder)
            time.sleep(chance.uniform(0, reference.seconds))
            shutil.rmtree(folder, ignore_errors=True)
            _count(child.end(), counts)
            reference.finish(folder, counts)
    return counts


DAYS = {
    "killed": kills,
    "full disk": full_disks,
    "read-only folder": read_only,
    "two at once": two_at_once,
    "vanishing folder": vanishing_folder,
}
GOOD = ("done", "clean refusals", "killed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one of each, in half a minute")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--days", nargs="+", default=list(DAYS), choices=list(DAYS))
    parser.add_argument("--works", nargs="+", default=list(WORKS), choices=list(WORKS))
    flags = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    _SAVED.extend(pac.pretrain(_data(1.0), model=pac.MLP(hidden=(6,)), steps=20, seed=seed) for seed in (0, 1))
    bad = 0
    for name in flags.works:
        reference = Reference(WORKS[name])
        for day in flags.days:
            began = time.monotonic()
            times = {"killed": 50, "full disk": 20}.get(day, 10)
            counts = DAYS[day](reference, 1 if flags.quick else times, random.Random(flags.seed))
            wrong = {what: count for what, count in counts.items() if count and what not in GOOD}
            fine = ", ".join(f"{counts[what]} {what}" for what in GOOD if counts[what])
            faults = ", ".join(f"{count} {what}" for what, count in wrong.items()) or "nothing wrong"
            print(f"{name}, {day}: {fine}; {faults}; {time.monotonic() - began:.0f} s", flush=True)
            bad += sum(wrong.values())
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
