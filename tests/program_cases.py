"""Programs of one kind of step each, on vectors and matrices, in single and double precision, for the tests of formats."""

import numpy as np

from pac_surrogate.exports.description import Column, Export
from pac_surrogate.exports.networks import patches_of
from pac_surrogate.exports.program import FUNCTIONS, Program, Window

HOSTILE = (
    'quote " and \' and """ and \\',
    '"""\nimport pathlib; pathlib.Path(\'executed\').touch()\n"""',
    "*/ ??/ %s {0} {x} $x",
    "class",
    "温度\u2028\x00\ud800",
    "long" * 2000,
)


def columns(names, low=-2.0, high=2.0, unit="m"):
    return tuple(Column(name, unit, low, high, low - 0.5, high + 0.5) for name in names)


def export_of(program, name="surrogate", inputs=None, outputs=None):
    """Describe a program, by default with plain names."""
    widths = program.x.size, program.results["y"].size
    inputs, outputs = (given or [f"v{i}" for i in range(width)] for given, width in zip((inputs, outputs), widths, strict=True))
    return Export(program, name, columns(inputs), columns(outputs), {"method": "a test"})


def step_programs(double):
    """Return programs of six inputs by the name of their step."""
    generator = np.random.default_rng(0)
    found = {}

    def begun():
        program = Program(6)
        vector = program.cast(program.x, double=double)
        return program, vector, program.gather(vector, np.array([[0, 1, 2], [3, 4, 5], [5, 0, 3], [1, 1, 2]]))

    def ended(name, program, value):
        program.results["y"] = value
        found[name] = program

    for name, place in (("vector", 1), ("matrix", 2)):
        made = begun()
        program, value = made[0], made[place]
        weight, bias = generator.normal(size=(5, value.rows)), generator.normal(size=5)
        ended(f"linear, {name}", program, program.add([program.linear(value, weight, bias), program.linear(value, weight**2)]))
        for function in FUNCTIONS:
            made = begun()
            ended(f"{function}, {name}", made[0], made[0].apply(function, made[place]))
        program, *made = begun()
        value = made[place - 1]
        both = program.multiply(value, program.scale(value, 2.0, 1.0))
        ended(f"combine, {name}", program, program.add([both, value]))
        program, *made = begun()
        value = made[place - 1]
        rows, numbers = generator.normal(size=(2, value.rows)), generator.normal(size=(2, value.rows, value.columns))
        row = generator.normal(size=(1, value.columns))
        scaled = program.scale(program.scale(value, rows[0], rows[1]), row, numbers[0])
        ended(f"scale, {name}", program, program.scale(program.scale(scaled, numbers[1], 0.0), 1.0, -0.5))
        program, *made = begun()
        value = made[place - 1]
        ended(f"join, {name}", program, program.join([value, program.apply("square", value), value]))
        program, *made = begun()
        value = made[place - 1]
        bounds = np.where(np.arange(value.rows) % 3 == 0, np.inf, 0.3)
        ended(f"clamp, {name}", program, program.clamp(value, -2 * bounds, bounds))
    for name, index in {
        "slice": np.arange(2, 5).reshape(-1, 1),
        "order": np.array([[5], [0], [0], [2]]),
        "zeros": np.array([[5, -1], [0, 3]]),
        "nothing but zeros": np.full((2, 3), -1),
        "matrix": np.arange(6).reshape(3, 2),
    }.items():
        program, vector, _ = begun()
        ended(f"gather, {name} of a vector", program, program.scale(program.gather(vector, index), 1.5, 0.25))
        program, _, matrix = begun()
        ended(f"gather, {name} of a matrix", program, program.scale(program.gather(matrix, index), 1.5, 0.25))
    program, _, matrix = begun()
    ended("gather, a matrix as a vector", program, program.reshape(matrix, 12))
    program, vector, _ = begun()
    ended("distances", program, program.distances(vector, generator.normal(size=(7, 6))))
    for name, places in {"vectors": (1, 1), "matrices": (2, 2)}.items():
        made = begun()
        left, right = (made[place] for place in places)
        ended(f"product, {name}", made[0], made[0].product(left, made[0].scale(right, 0.5, 1.0)))
    program, _, matrix = begun()
    ended("product with a row", program, program.product(matrix, program.linear(matrix, generator.normal(size=(1, 4)))))
    for padding in ("periodic", "zero", "replicate"):
        for grid, kernel in (((6,), 5), ((3, 2), 3)):
            program, vector, _ = begun()
            window = Window(grid, kernel, padding)
            fields = program.join([program.reshape(vector, 1, 6), program.apply("square", program.reshape(vector, 1, 6))])
            patches = program.gather(fields, patches_of(window, 2), window)
            weight, bias = generator.normal(size=(3, patches.rows)), generator.normal(size=3)
            ended(f"{padding} convolution on {grid}", program, program.linear(patches, weight, bias))
    return found


def inputs_of_steps(rows=9):
    """Inputs of these programs, none near a step of a function."""
    return np.random.default_rng(1).normal(size=(rows, 6)).astype(np.float32).astype(np.float64)
