"""Damage files at random and read them: each damaged file must be refused in a line, or give the numbers of the whole one.

    python tests/fuzz.py                               200 mutants of every target
    python tests/fuzz.py native part --mutants 1000    more, of some
    python tests/fuzz.py native --seed 3 --mutants 1 --first 17 --keep native.h5    write one to look at

A target makes a whole file and reads one; add one to `TARGETS` for another kind of file. Mutant k of a seed is always the
same. Mutants are read by child processes with a limit of memory and a limit of time for each mutant. Prints a row for each
target; exit status 1 if there is anything but refusals and equal numbers, or, where a target has no checksum, other numbers.
"""

import argparse
import contextlib
import hashlib
import json
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
import xarray as xr

import pac_surrogate as pac
from pac_surrogate.files import (
    Coordinate,
    DatasetError,
    DatasetWriter,
    NetcdfVariable,
    Variable,
    describe,
    make_split,
    make_subset_order,
    read_description,
    read_netcdf,
    read_rows,
    validate,
    write_netcdf,
)

SECONDS = 5  # for a mutant
MEMORY = 2**30  # above what the process has after its imports
LONGEST = 400  # characters of a refusal
SAMPLES = 40


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        name: of the file in an empty folder.
        make: writes a whole file at this path.
        read: what is read from a file: numbers that damage must not change in silence, by name.
        checked: whether the file has checksums, so that numbers which differ are a fault.
    """

    name: str
    make: Callable[[Path], object]
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


def complete(path: Path) -> None:
    with DatasetWriter(path, **options()) as writer:
        while writer.written < SAMPLES:
            writer.write(samples(writer.written, min(SAMPLES, writer.written + 7)))
        writer.finish()


def begin(part: Path) -> None:
    with DatasetWriter(part.with_suffix(""), **options()) as writer:
        for first in range(0, 28, 7):
            writer.write(samples(first, first + 7))


def read_native(path: Path) -> dict[str, Any]:
    with contextlib.suppress(DatasetError):
        describe(path)
    with contextlib.suppress(DatasetError):
        read_netcdf(path)
    validate(path)
    found = read_description(path)
    numbers = {v.name: read_rows(path, v.name, np.arange(len(found.split))) for v in (*found.inputs, *found.outputs)}
    places = {name: coordinate.values for name, coordinate in found.coordinates.items()}
    return {**numbers, **places, "split": found.split, "subset_order": found.subset_order}


def read_resumed(part: Path) -> dict[str, Any]:
    path = part.with_suffix("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a part is damaged is said in one
        complete(path)
    left = sorted(found.name for found in path.parent.iterdir())
    if left != [path.name]:
        raise AssertionError(f"files are left: {left}")
    return {"bytes": np.frombuffer(path.read_bytes(), "u1")}


def make_table(path: Path) -> None:
    errors = {"rel_l2": NetcdfVariable(("method", "size"), np.arange(6.0).reshape(2, 3), {"units": "1"})}
    names = {"size": NetcdfVariable(("size",), np.array([0, 4, 8])), "budget": NetcdfVariable((), np.float64(600.0))}
    write_netcdf(path, {**errors, **names, "method": NetcdfVariable(("method",), np.array(["PAC", "L2-SP"]))}, {"title": "a"})


def make_foreign(path: Path) -> None:
    data = xr.Dataset({"u": (("time", "x"), np.arange(15.0).reshape(3, 5)), "n": ("time", [1, 2, 3])}, {"x": np.arange(5)})
    data.to_netcdf(path, engine="h5netcdf", encoding={"u": {"zlib": True, "chunksizes": (1, 5)}})


def read_table(path: Path) -> dict[str, Any]:
    variables, _ = read_netcdf(path)
    return {name: variable.values for name, variable in variables.items()}


def make_surrogate(path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    pac.pretrain(pac.Dataset.from_arrays(x, np.tanh(x)), model=pac.MLP(hidden=(4,)), steps=2).save(path)


def read_surrogate(path: Path) -> dict[str, Any]:
    loaded = pac.Surrogate.load(path)
    return {"prediction": loaded.predict(np.ones((3, 2))), **{name: weight.numpy() for name, weight in loaded.weights.items()}}


TARGETS = {
    "native": Target("data.h5", complete, read_native),
    "part": Target("data.h5.part", begin, read_resumed),
    "table": Target("table.nc", make_table, read_table),
    "surrogate": Target("surrogate.safetensors", make_surrogate, read_surrogate),
    "foreign": Target("foreign.nc", make_foreign, read_table, checked=False),
}


def mutate(whole: bytes, generator: np.random.Generator) -> tuple[str, bytes]:
    """What was done, and the damaged bytes."""
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
    """What became of reading a mutant; "equal" and "refused" are right."""
    try:
        found = digest(target.read(path))
    except DatasetError as error:
        line = str(error)
        return "refused" if len(line) < LONGEST and line.isprintable() else f"no clear refusal: {line!r:.200}"
    except TimeoutError:
        return f"hang: over {SECONDS} s"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"raised: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    changed = [name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]
    return f"other numbers: {', '.join(sorted(changed))}" if changed else "equal"


def read_mutants(name: str, seed: int, first: int, last: int) -> None:
    """In a child process: print a line of JSON for each mutant, before and after it is read."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole" / target.name
        path.parent.mkdir()
        target.make(path)
        whole = path.read_bytes()
        wanted = digest(target.read(path))
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        signal.signal(signal.SIGALRM, _stop)
        for number in range(first, last):
            what, data = mutate(whole, np.random.default_rng((seed, number)))
            path = Path(folder) / str(number) / target.name
            path.parent.mkdir()
            path.write_bytes(data)
            print(json.dumps([number, what]), flush=True)
            signal.alarm(SECONDS)
            found = outcome(target, path, wanted)
            signal.alarm(0)
            print(json.dumps([number, what, found]), flush=True)


def _stop(*_: object) -> None:
    raise TimeoutError


def fuzz(name: str, mutants: int, seed: int = 0) -> list[tuple[int, str, str]]:
    """Number, damage and outcome of each mutant of a target."""
    found: list[tuple[int, str, str]] = []
    while len(found) < mutants:  # a child that dies loses one mutant
        command = [sys.executable, __file__, name, "--seed", str(seed), "--first", str(len(found)), "--child"]
        limit = 60 + 2 * SECONDS + mutants // 2
        try:
            child = subprocess.run([*command, "--mutants", str(mutants)], capture_output=True, text=True, timeout=limit)
            printed, ended = child.stdout, f"crash: exit code {child.returncode} {child.stderr[-200:]}"
        except subprocess.TimeoutExpired as error:  # inside a library that does not return
            printed, ended = (error.stdout or b"").decode(), f"hang: over {limit} s"
        lines = [json.loads(line) for line in printed.splitlines()]
        found += [(number, what, result) for number, what, *results in lines for result in results]
        if len(found) < mutants:
            if not lines:
                raise RuntimeError(f"{name}: {ended}")
            found.append((len(found), lines[-1][1], ended))
    return found


def faults(name: str, found: list[tuple[int, str, str]]) -> list[str]:
    """The outcomes that are not right, a line each."""
    right = ("equal", "refused") if TARGETS[name].checked else ("equal", "refused", "other numbers")
    return [f"{name} {number} ({what}): {result}" for number, what, result in found if result.split(":")[0] not in right]


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
            path = Path(folder) / TARGETS[names[0]].name
            TARGETS[names[0]].make(path)
            what, data = mutate(path.read_bytes(), np.random.default_rng((given.seed, given.first)))
        given.keep.write_bytes(data)
        return print(f"{given.keep}: {what}")
    wrong = []
    for name in names:
        began, found = time.perf_counter(), fuzz(name, given.mutants, given.seed)
        counts = Counter(result.split(":")[0] for _, _, result in found)
        shown = ", ".join(f"{result} {count}" for result, count in counts.most_common())
        print(f"{name:12} {given.mutants} mutants in {time.perf_counter() - began:.0f} s: {shown}", flush=True)
        wrong += faults(name, found)
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
