"""Exports as C: surrogates and programs of every kind of step, compiled together as one library."""

import ctypes
import itertools
import math
import subprocess

import numpy as np

from pac_surrogate.exports import in_c
from pac_surrogate.exports.complete import program_of
from pac_surrogate.exports.description import Column, Export, labels_of
from pac_surrogate.exports.networks import patches_of
from pac_surrogate.exports.program import FUNCTIONS, Program, Window

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")


def export_of(program, name="model", inputs=None, outputs=None):
    sides = [
        side or tuple(Column(f"{letter}{i}", "m", 0.0, 1.0, 0.0, 1.0) for i in range(count))
        for side, letter, count in ((inputs, "x", program.x.rows), (outputs, "y", program.results["y"].size))
    ]
    return Export(program, name, *sides, {"version": "1"})


def export_of_surrogate(surrogate, name, **options):
    sides = [
        [Column(*label, 0.0, 1.0, 1.0, 2.0) for label in labels_of(side)] for side in (surrogate.inputs, surrogate.outputs)
    ]
    given = tuple(np.arange(len(side)) for side in sides)
    program = program_of(surrogate.predictor, surrogate.scaling, surrogate.outputs, given, **options)
    return export_of(program, name, *map(tuple, sides))


class Library:
    """Several exports in one library."""

    def __init__(self, folder, exports, flags=("-O0",)):
        for export in exports:
            in_c.write_c(export, folder)
        names = [export.name for export in exports]
        external = "".join(f"#define {name.upper()}_FUNCTION\n" for name in names)
        (folder / "all.c").write_text(external + "".join(f'#include "{name}.h"\n' for name in names))
        command = ["cc", "-std=c99", *STRICT, *flags, "-shared", "-fPIC", "all.c", "-o", "all.so", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        self.library = ctypes.CDLL(str(folder / "all.so"))

    def __call__(self, export, x, dtype=np.float64, results=("y",)):
        x = np.ascontiguousarray(x, dtype=dtype)
        found = [np.empty((len(x), len(export.outputs)), dtype) for _ in results]
        name = "_".join([export.name, *results[1:], "float" if dtype == np.float32 else "double", "rows"])
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, *found)]
        getattr(self.library, name)(ctypes.c_size_t(len(x)), *pointers)
        return found if len(results) > 1 else found[0]


def steps(double):
    """A program with every kind of step, in the shapes that have loops of their own, and its number of inputs."""
    random = np.random.default_rng(0)
    program = Program(48)
    x = program.cast(program.x, double=double)
    parts = [program.apply(name, program.gather(x, random.integers(0, 48, (5, 3)))) for name in FUNCTIONS]
    parts += [program.linear(x, random.normal(size=(o, 48)), random.normal(size=o)) for o in (1, 4, 63, 75)]
    parts += [program.linear(program.gather(x, np.arange(k)[:, None]), random.normal(size=(37, k))) for k in (1, 11)]
    for columns in (2, 4, 7, 16, 24, 40):
        wide = program.gather(x, random.integers(-1, 48, (3, columns)))
        parts.append(program.linear(wide, random.normal(size=(5, 3)), random.normal(size=5)))
        parts.append(program.product(parts[-1], program.scale(wide, 0.5, random.normal(size=(3, columns)))))
    matrix = program.reshape(x, 6, 8)
    parts += [
        program.scale(matrix, random.normal(size=factor), random.normal(size=offset))
        for factor, offset in (((6, 8), (1, 1)), ((1, 8), (6, 1)), ((6, 1), (6, 1)), ((1, 1), (1, 1)))
    ]
    parts += [program.transpose(matrix), program.repeat(matrix, 3), program.constant(random.normal(size=(3, 2)), like=x)]
    rows = np.stack([np.arange(8), np.full(8, 40), np.arange(47, 31, -2)])
    parts += [
        program.gather(x, rows),
        program.multiply(matrix, matrix),
        program.add([matrix, program.multiply(matrix, matrix)]),
    ]
    parts += [program.clamp(matrix, np.full(6, -0.5), np.array([np.inf, *np.linspace(0, 1, 5)])), program.not_negative(x)]
    parts += [program.distances(x, random.normal(size=(n, 48))) for n in (2, 61)]
    parts.append(program.cast(program.cast(parts[-1], double=not double), double=double))
    for grid, kernel, padding in itertools.product(((7,), (8, 5)), (3, 5), ("periodic", "zero", "replicate")):
        window, channels = Window(grid, kernel, padding), 2
        field = program.gather(x, random.integers(0, 48, (channels, math.prod(grid))))
        index = patches_of(window, channels)
        patches = program.gather(field, index, window)
        parts += [program.linear(patches, random.normal(size=(o, len(index))), random.normal(size=o)) for o in (1, 3)]
    column = [program.reshape(part, part.size) for part in parts]
    program.results["y"] = program.cast(program.join([program.reshape(x, 48), *column]), double=True)
    return export_of(program, "double_steps" if double else "single_steps")
