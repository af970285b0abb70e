"""Damage files at random and read them: each damaged file must be refused in one line, or give the numbers of the intact one.

    python tests/fuzz.py                               200 mutants of every target
    python tests/fuzz.py native part --mutants 1000    more mutants of some targets
    python tests/fuzz.py native --seed 3 --first 17 --keep native.h5    write one mutant for inspection

A target makes an intact file and reads a file; add one to `TARGETS` for another kind of file. Mutant k of a seed is always the
same. Mutants are read by child processes, which have a limit of memory and a limit of time for each mutant and record what is
written outside the mutant's folder. Prints a row for each target; exit status 1 if there is anything but refusals and equal
content, or other content where a target has no checksum.
"""

import argparse
import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import pac_surrogate as pac
from pac_surrogate.curves.results import save_curve
from pac_surrogate.files import (
    Coordinate,
    DatasetError,
    DatasetWriter,
    Variable,
    describe,
    make_split,
    make_subset_order,
    read_description,
    read_netcdf,
    read_rows,
    validate,
)
from pac_surrogate.plan import make_plan
from pac_surrogate.solvers.training import Fit, fit

SECONDS = 5  # time limit for a mutant
MEMORY = 2**30  # bytes above those that the process takes after its imports
LONGEST = 400  # largest number of characters of a refusal or a warning
SAMPLES = 40


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        make: function that writes an intact file into an empty folder and returns its path.
        read: function that reads a file: numbers and texts by name, which damage must not change without an error.
        checked: whether the file has checksums, so that different content is a fault.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Mapping[str, Any]]
    checked: bool = True


def options() -> dict[str, Any]:
    split = make_split(SAMPLES, valid=4, test=6, seed=0)
    told: dict[str, Any] = dict.fromkeys(("title", "pair", "simulator", "equation", "history"), "a text")
    told |= dict.fromkeys(("solver_order_measured", "conservation_residual", "cost_seconds_per_sample"), 1.0)
    return {
        "inputs": [Variable("a", units="m", dtype="float64"), Variable("k", ("x",), (5,), "W")],
        "outputs": [Variable("u", ("time", "x"), (3, 5), "K")],
        "coordinates": [Coordinate("x", np.linspace(0, 1, 5), "m")],
        "samples": SAMPLES,
        "split": split,
        "subset_order": make_subset_order(split, seed=0),
        "attributes": {**told, "side": "source", "headline": "rel_l2", "seed": 0, "parameters": {"length": 1}},
    }


def samples(first: int, last: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"a": (SAMPLES,), "k": (SAMPLES, 5), "u": (SAMPLES, 3, 5)}
    return {name: generator.normal(size=shape).astype("f4")[first:last] for name, shape in shapes.items()}


def make_native(folder: Path) -> Path:
    return complete(folder / "data.h5")


def complete(path: Path) -> Path:
    with DatasetWriter(path, **options()) as writer:
        while writer.written < SAMPLES:
            writer.write(samples(writer.written, min(SAMPLES, writer.written + 7)))
        writer.finish()
    return path


def make_part(folder: Path) -> Path:
    with DatasetWriter(folder / "data.h5", **options()) as writer:
        for first in range(0, 28, 7):
            writer.write(samples(first, first + 7))
    return folder / "data.h5.part"


def read_native(path: Path) -> dict[str, Any]:
    with contextlib.suppress(DatasetError):
        describe(path)
    with contextlib.suppress(DatasetError):
        read_netcdf(path)
    validate(path)
    found = read_description(path)
    numbers = {v.name: read_rows(path, v.name, np.arange(len(found.split))) for v in (*found.inputs, *found.outputs)}
    places = {name: coordinate.values for name, coordinate in found.coordinates.items()}
    meaning = {"variables": repr((found.inputs, found.outputs)), "attributes": repr(sorted(found.attributes.items()))}
    return {**numbers, **places, **meaning, "split": found.split, "subset_order": found.subset_order}


def read_part(part: Path) -> dict[str, Any]:
    path = complete(part.with_suffix(""))
    _check_alone(path)
    return {"bytes": np.frombuffer(path.read_bytes(), "u1")}


def _check_alone(path: Path) -> None:
    left = sorted(found.name for found in path.parent.iterdir())
    if left != [path.name]:
        raise AssertionError(f"files are left: {left}")


def make_curve(folder: Path) -> Path:
    shape = (2, 3, 2)
    dims = ("approach", "size", "seed")
    errors = {name: (dims, np.arange(12.0).reshape(shape), {"units": "1"}) for name in ("rel_l2", "mae")}
    others = {"diverged": np.zeros(shape, bool), "chosen": np.full(shape, "PAC(sparsity=0.5)", object)}
    told = {name: (dims, values) for name, values in others.items()}
    places = {"approach": ["PAC", "L2-SP"], "size": [0, 4, 8], "seed": [0, 1]}
    attributes = {"title": "transfer curve", "headline": "rel_l2", "budget": "{}"}
    save_curve(xr.Dataset(errors | told, places, attributes), folder)
    return folder / "curve.nc"


def read_curve(path: Path) -> dict[str, Any]:
    curve = pac.open_curve(path)
    attributes = {str(name): repr(sorted(variable.attrs.items())) for name, variable in curve.variables.items()}
    return {**{str(name): variable.values for name, variable in curve.variables.items()}, "attributes": repr(attributes)}


def make_foreign(folder: Path) -> Path:
    data = xr.Dataset({"u": (("time", "x"), np.arange(15.0).reshape(3, 5)), "n": ("time", [1, 2, 3])}, {"x": np.arange(5)})
    data.to_netcdf(folder / "foreign.nc", engine="h5netcdf", encoding={"u": {"zlib": True, "chunksizes": (1, 5)}})
    return folder / "foreign.nc"


def read_foreign(path: Path) -> dict[str, Any]:
    variables, _ = read_netcdf(path)
    return {name: variable.values for name, variable in variables.items()}


def make_surrogate(folder: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(40, 2))
    path = folder / "surrogate.safetensors"
    pac.pretrain(pac.Dataset.from_arrays(x, np.tanh(x)), model=pac.MLP(hidden=(4,)), steps=2).save(path)
    return path


def read_surrogate(path: Path) -> dict[str, Any]:
    loaded = pac.Surrogate.load(path)
    weights = {name: weight.numpy() for name, weight in loaded.weights.items()}
    meaning = {"layout": repr(loaded.layout), "provenance": repr(sorted(loaded.provenance.items()))}
    return {"prediction": loaded.predict(np.ones((3, 2))), **weights, **meaning}


def trained(folder: Path) -> list[Fit]:
    x = np.random.default_rng(0).normal(size=(12, 2))
    data = pac.Dataset.from_arrays(x, np.tanh(x[:, :1]))
    model = pac.MLP(hidden=(4,)).build(data.inputs, data.outputs)
    plan = make_plan({name: torch.linspace(-1, 1, w.numel()).view(w.shape) for name, w in model.named_parameters()})
    return fit(model, [plan] * 2, [data] * 2, seeds=[0, 1], steps=3, learning_rate=[0.01, 0.02], cache=folder)


def make_stack(folder: Path) -> Path:
    trained(folder)
    return next(folder.iterdir())


def read_stack(path: Path) -> dict[str, Any]:
    fits = trained(path.parent)
    _check_alone(path)
    results = [{**run.weights, "objective": run.objective} for run in fits]
    return {f"{name} of {run}": numbers.numpy() for run, result in enumerate(results) for name, numbers in result.items()}


TARGETS = {
    "native": Target(make_native, read_native),
    "part": Target(make_part, read_part),
    "curve": Target(make_curve, read_curve),
    "surrogate": Target(make_surrogate, read_surrogate),
    "stack": Target(make_stack, read_stack),
    "foreign": Target(make_foreign, read_foreign, checked=False),
}


def mutate(whole: bytes, generator: np.random.Generator) -> tuple[str, bytes]:
    """Damage the bytes of a file; return a description of the damage, and the damaged bytes."""
    data, size = bytearray(whole), len(whole)
    place, other = (int(number) for number in generator.integers(0, size, 2))
    length = int(2 ** generator.uniform(0, 8))
    kind = str(generator.choice(["flip", "flips", "byte", "word", "truncate", "splice", "zeros", "insert", "delete"]))
    if kind in ("flip", "flips"):
        for at in [place] if kind == "flip" else generator.integers(0, size, int(generator.integers(2, 20))):
            data[at] ^= 1 << int(generator.integers(0, 8))
    elif kind == "byte":
        data[place] = int(generator.choice([0, 1, 127, 128, 255]))
    elif kind == "word":
        number = int(generator.choice([0, 1, -1, 2**31 - 1, 2**31, 2**62, size, -(2**63)]))
        data[place : place + 8] = number.to_bytes(8, "little", signed=True)[: size - place]
    elif kind == "truncate":
        del data[place:]
    elif kind == "splice":
        data[place : place + length] = data[other : other + min(length, size - place)]
    elif kind == "zeros":
        data[place : place + length] = bytes(min(length, size - place))
    elif kind == "insert":
        data[place:place] = generator.bytes(length)
    else:
        del data[place : place + length]
    return f"{kind} at {place}", bytes(data)


def digest(numbers: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, values in numbers.items():
        array = np.asarray(values)
        content = array.tolist() if array.dtype.kind in "UOT" else (array.dtype.str, array.shape, array.tobytes())
        found[str(name)] = hashlib.blake2b(repr(content).encode(), digest_size=8).hexdigest()
    return found


def outcome(target: Target, path: Path, wanted: Mapping[str, str]) -> str:
    """Read a mutant and classify the outcome; "equal" and "refused" are correct."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = digest(target.read(path))
    except DatasetError as error:
        if isinstance(error.__cause__, MemoryError):
            return f"memory: over {MEMORY} bytes"
        return "refused" if _is_line(error) else f"unclear: {str(error)!r:.200}"
    except TimeoutError:
        return f"hang: over {SECONDS} s"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"raised: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    for warning in caught:
        if not _is_line(warning.message):
            return f"unclear: {str(warning.message)!r:.200}"
    changed = [name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]
    return f"other content: {', '.join(sorted(changed))}" if changed else "equal"


def _is_line(message: object) -> bool:
    return len(str(message)) < LONGEST and str(message).isprintable()


CHANGING = {
    "open": lambda path, mode, flags: [path] if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC) else [],
    "os.rename": lambda old, new, *_: [old, new],
    **dict.fromkeys(("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "os.utime"), lambda path, *_: [path]),
    **dict.fromkeys(("os.link", "os.symlink"), lambda old, new, *_: [new]),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.exec", "socket.connect"), lambda what, *_: [f"/process {what}"]),
}


def watch(folder: Path) -> list[str]:
    """Return a list to which every change outside a folder, and every process that is started, is added from now on.

    Python reports the files that it opens itself; the HDF5 library is given open files, and could open others only by links.
    """
    outside: list[str] = []
    whole = folder.resolve()

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        for path in CHANGING[event](*arguments) if event in CHANGING else ():
            if not isinstance(path, int) and not Path(os.fsdecode(path)).resolve().is_relative_to(whole):
                outside.append(f"{event} {path}")

    sys.addaudithook(hear)
    return outside


def read_mutants(name: str, seed: int, first: int, last: int) -> None:
    """Read mutants in a child process, and print a line of JSON before and after each one."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "whole"
        folder.mkdir()
        path = target.make(folder)
        whole = path.read_bytes()
        wanted = digest(target.read(path))
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        signal.signal(signal.SIGALRM, _stop)
        outside = watch(Path(base))
        for number in range(first, last):
            what, data = mutate(whole, np.random.default_rng((seed, number)))
            path = Path(base) / str(number) / path.name
            path.parent.mkdir()
            path.write_bytes(data)
            print(json.dumps([number, what]), flush=True)
            signal.alarm(SECONDS)
            found = outcome(target, path, wanted)
            signal.alarm(0)
            print(json.dumps([number, what, f"outside: {outside}" if outside else found]), flush=True)
            outside.clear()


def _stop(*_: object) -> None:
    raise TimeoutError


def fuzz(name: str, mutants: int, seed: int = 0) -> list[tuple[int, str, str]]:
    """Return number, damage and outcome of each mutant of a target."""
    found: list[tuple[int, str, str]] = []
    while len(found) < mutants:  # if a child dies, one mutant is lost
        command = [sys.executable, __file__, name, "--seed", str(seed), "--first", str(len(found)), "--child"]
        limit = 60 + 2 * SECONDS + mutants // 2
        try:
            child = subprocess.run([*command, "--mutants", str(mutants)], capture_output=True, text=True, timeout=limit)
            printed, ended = child.stdout, f"crash: exit code {child.returncode} {child.stderr[-200:]}"
        except subprocess.TimeoutExpired as error:  # a library did not return
            printed, ended = (error.stdout or b"").decode(), f"hang: over {limit} s"
        lines = [json.loads(line) for line in printed.splitlines()]
        found += [(number, what, result) for number, what, *results in lines for result in results]
        if len(found) < mutants:
            if not lines:
                raise RuntimeError(f"{name}: {ended}")
            found.append((len(found), lines[-1][1], ended))
    return found


def faults(name: str, found: list[tuple[int, str, str]]) -> list[str]:
    """Return the incorrect outcomes, with one line for each."""
    right = ("equal", "refused") if TARGETS[name].checked else ("equal", "refused", "other content")
    return [f"{name} {number} ({what}): {result}" for number, what, result in found if result.split(":")[0] not in right]


COLUMNS = ("refused", "equal", "other content", "raised", "unclear", "hang", "crash", "memory", "outside")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--child", action="store_true")
    given = parser.parse_args()
    names = given.targets or list(TARGETS)
    if given.child:
        return read_mutants(names[0], given.seed, given.first, given.mutants)
    if given.keep:
        with tempfile.TemporaryDirectory() as folder:
            path = TARGETS[names[0]].make(Path(folder))
            what, data = mutate(path.read_bytes(), np.random.default_rng((given.seed, given.first)))
        given.keep.write_bytes(data)
        return print(f"{given.keep}: {what}")
    wrong = []
    print(f"| {given.mutants} mutants, seed {given.seed} | {' | '.join(COLUMNS)} | seconds |", flush=True)
    print(f"|---|{'---|' * len(COLUMNS)}---|", flush=True)
    for name in names:
        began, found = time.perf_counter(), fuzz(name, given.mutants, given.seed)
        counts = Counter(result.split(":")[0] for _, _, result in found)
        shown = " | ".join(str(counts[column]) for column in COLUMNS)
        print(f"| {name} | {shown} | {time.perf_counter() - began:.0f} |", flush=True)
        wrong += faults(name, found)
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
