"""A surrogate exported to C, compiled by the system's compiler, and timed.

The times are those of a call with one sample in a loop in C, of a call from Python through ctypes, and of a table of a million
rows, all on one core; each is the least of several repeats, since other processes only lengthen them.
"""

import ctypes
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pac_surrogate as pac
from pac_surrogate.exports.description import Export
from pac_surrogate.exports.in_c import write_c
from pac_surrogate.surrogates.exported import description

FLAGS = ("-O3", "-std=c99")  # what any computer understands: no instructions of this processor, no other arithmetic
KINDS = {"float": np.float32, "double": np.float64}
_DRIVER = """
#include "{name}.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}}

/* The least time of a call in several loops of a thousand calls each. */
int main(int count, char **arguments)
{{
    const long loops = atol(arguments[count - 1]);
    {real} x[{inputs}] = {{0}}, y[{outputs}], sum = 0;
    double least = 1e9;
    for (long loop = 0; loop < loops; loop++) {{
        const double began = now();
        double seconds;
        for (int call = 0; call < 1000; call++) {{
            x[0] = ({real})(call % 64) / 64;
            {name}_{real}(x, y);
            sum += y[0];
        }}
        seconds = now() - began;
        least = seconds < least ? seconds : least;
    }}
    printf("%.17g %.17g\\n", least / 1000, (double)sum);
    return 0;
}}
"""


@dataclass(frozen=True)
class Compiled:
    """A compiled export.

    Attributes:
        export: the export.
        folder: where header and library lie.
        library: the library.
    """

    export: Export
    folder: Path
    library: ctypes.CDLL

    def one(self, real: str) -> tuple[Callable[[], None], np.ndarray, np.ndarray]:
        """Return a function without arguments that predicts one sample, and the arrays from which and to which it does so."""
        x, y = (np.zeros(len(side), KINDS[real]) for side in (self.export.inputs, self.export.outputs))
        call, pointers = self._function(real), [ctypes.c_void_p(array.ctypes.data) for array in (x, y)]
        return (lambda: call(*pointers)), x, y

    def rows(self, x: np.ndarray, results: tuple[str, ...] = ("y",)) -> list[np.ndarray]:
        """Return the results for a table of inputs (sample, input), in single precision if it is."""
        real = "float" if x.dtype == np.float32 else "double"
        x = np.ascontiguousarray(x, dtype=KINDS[real])
        found = [np.empty((len(x), len(self.export.outputs)), KINDS[real]) for _ in results]
        call = self._function("_".join([*results[1:], real, "rows"]))
        call(ctypes.c_size_t(len(x)), *(ctypes.c_void_p(array.ctypes.data) for array in (x, *found)))
        return found

    def outside(self, x: np.ndarray) -> int:
        """Return the number of inputs of a sample outside the range of the training data."""
        x = np.ascontiguousarray(x, dtype=np.float64)
        return int(getattr(self.library, f"{self.export.name}_outside")(ctypes.c_void_p(x.ctypes.data)))

    def _function(self, name: str) -> Callable[..., None]:
        function = getattr(self.library, f"{self.export.name}_{name}")
        function.restype = None
        return function

    def seconds_from_python(self, real: str, loops: int = 200) -> float:
        """Return seconds for a call with one sample through ctypes, with arrays that are kept."""
        call, _, _ = self.one(real)
        return min(_seconds(lambda: [call() for _ in range(1000)]) for _ in range(loops)) / 1000

    def seconds_in_c(self, real: str, loops: int = 500) -> float:
        """Return seconds for a call with one sample in a loop in C."""
        sizes = {"inputs": len(self.export.inputs), "outputs": len(self.export.outputs)}
        driver = _DRIVER.format(name=self.export.name, real=real, **sizes)
        (self.folder / "driver.c").write_text(driver, encoding="ascii")
        _compile(self.folder, "driver.c", "driver", ("-std=gnu99",))
        run = [str(self.folder / "driver"), str(loops)]
        return float(subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()[0])

    def seconds_for_rows(self, real: str, rows: int = 1_000_000, repeats: int = 3) -> float:
        """Return seconds for a table of samples, with the memory for the results."""
        x = np.random.default_rng(0).normal(size=(rows, len(self.export.inputs))).astype(KINDS[real])
        return min(_seconds(lambda: self.rows(x)) for _ in range(repeats))


def compiler() -> str | None:
    """Return the system's C compiler, if there is one."""
    return shutil.which("cc")


def compiled(export: Export, folder: Path, flags: tuple[str, ...] = ()) -> Compiled:
    """Write an export into an empty folder, compile it as a library, and load that.

    Raises:
        subprocess.CalledProcessError: if it does not compile.
    """
    write_c(export, folder)
    (folder / "library.c").write_text(f'#include "{export.name}.h"\n', encoding="ascii")
    shared = (f"-D{export.name.upper()}_FUNCTION=", "-shared", "-fPIC", *flags)
    _compile(folder, "library.c", "library.so", shared)
    return Compiled(export, folder, ctypes.CDLL(str(folder / "library.so")))


def _compile(folder: Path, source: str, result: str, flags: tuple[str, ...]) -> None:
    subprocess.run([str(compiler()), *FLAGS, *flags, source, "-o", result, "-lm"], cwd=folder, check=True)


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def trained(activation: str, inputs: int = 8, outputs: int = 1, hidden: tuple[int, ...] = (64, 64, 64)) -> pac.Surrogate:
    """Return a surrogate that is trained for a few steps, since the time of a prediction does not depend on the weights."""
    random = np.random.default_rng(0)
    data = pac.Dataset.from_arrays(random.normal(size=(64, inputs)), random.normal(size=(64, outputs)))
    return pac.pretrain(data, model=pac.MLP(hidden=hidden, activation=activation), steps=5)


def export_of(surrogate: pac.Surrogate) -> Export:
    """Return what is exported of a surrogate."""
    return description(surrogate, "surrogate", interval=False)
