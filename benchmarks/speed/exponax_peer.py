"""A child process in which exponax solves the same problems: JAX has one precision, and PyTorch is not imported.

The child reads a line of JSON with an evolution to compile, or an empty object to run it once more; it answers with a line of
seconds.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shared.measurement import Record, Way, timed


class Exponax:
    """The child process, as the parent process uses it."""

    def __init__(self, precision: str, threads: int) -> None:
        self.precision, self.threads = precision, threads
        flags = os.environ.get("XLA_FLAGS", "")
        if threads == 1:
            flags += " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        self.folder = tempfile.TemporaryDirectory()
        self.messages = Path(self.folder.name) / "messages.txt"
        with self.messages.open("w") as messages:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, precision],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            )

    def prepare(self, fields: np.ndarray, **order: object) -> tuple[np.ndarray, float]:
        """Compile an evolution; return its final fields and the seconds of the compilation."""
        path = Path(self.folder.name) / "fields.npy"
        np.save(path, fields)
        (seconds,) = self._ask(fields=str(path), **order)
        return np.load(path), seconds

    def run(self) -> tuple[float, float]:
        """Return wall-clock and processor seconds of one run."""
        wall, processor = self._ask()
        return wall, processor

    def close(self) -> None:
        """End the process."""
        with self.folder, self.process:
            pass

    def _ask(self, **order: object) -> list[float]:
        print(json.dumps(order), file=self.process.stdin, flush=True)
        answer = next(iter(self.process.stdout or ()), None)
        if answer is None:
            lines = self.messages.read_text().strip().splitlines() or ["it reported nothing"]
            raise ValueError(f"the process that runs exponax has ended: {lines[-1]}")
        return json.loads(answer)


def serve(precision: str) -> None:
    """Answer orders on standard input."""
    for line in sys.stdin:
        order = json.loads(line)
        if order:
            way, seconds = compile_evolution(order, precision)
            answer: tuple[float, ...] = (seconds,)
        else:
            answer = way()
        print(json.dumps(answer), flush=True)


def compile_evolution(order: Record, precision: str) -> tuple[Way, float]:
    """Compile the evolution of all rows and save its results; return it with the seconds of the compilation."""
    exponax, jax = (importlib.import_module(name) for name in ("exponax", "jax"))
    jax.config.update("jax_enable_x64", precision == "float64")
    axes, points, viscosity = order["axes"], order["points"], order["viscosity"]
    # Conservative forms take two transforms instead of three.
    steppers = {
        "Burgers": partial(exponax.stepper.Burgers, diffusivity=viscosity, conservative=True),
        "Kuramoto-Sivashinsky": partial(
            exponax.stepper.KuramotoSivashinskyConservative, fourth_order_scale=viscosity, conservative=True
        ),
        # exponax has u = psi_y, v = -psi_x with lap psi = +w, so that it rotates against w; hence -1.
        "Navier-Stokes": partial(exponax.stepper.NavierStokesVorticity, diffusivity=viscosity, vorticity_convection_scale=-1.0),
    }
    stepper = steppers[order["name"]](axes, order["length"], points, order["step"], order=4)

    def solve(field: Any) -> Any:
        modes = exponax.fft(field[None], num_spatial_dims=axes)
        modes, _ = jax.lax.scan(lambda modes, _: (stepper.step_fourier(modes), None), modes, None, length=order["steps"])
        return exponax.ifft(modes, num_spatial_dims=axes, num_points=points)[0]

    initial = jax.numpy.asarray(np.load(order["fields"]), dtype=precision)
    began = time.perf_counter()
    compiled = jax.jit(jax.vmap(solve)).lower(initial).compile()
    seconds = time.perf_counter() - began
    np.save(order["fields"], np.asarray(compiled(initial)))
    return timed(lambda: compiled(initial).block_until_ready()), seconds


if __name__ == "__main__":
    serve(sys.argv[1])
