"""Exports as C, compiled by the system's compiler, against the programs and the surrogates that they are made of."""

import copy
import ctypes
import dataclasses
import itertools
import math
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from export_cases import inputs_of, rounding_of, source, surrogates, table
from scipy import special

import pac_surrogate as pac
from pac_surrogate.exports import in_c
from pac_surrogate.exports.c_text import number, string
from pac_surrogate.exports.complete import program_of
from pac_surrogate.exports.description import Column, Export, labels_of
from pac_surrogate.exports.in_torch import ProgramModule
from pac_surrogate.exports.networks import NotExportableError, patches_of
from pac_surrogate.exports.program import FUNCTIONS, Program, Window

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler with the name cc"),
    pytest.mark.filterwarnings("ignore::pac_surrogate.data.data_warnings.ExtrapolationWarning"),
]
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
EPS = float(np.finfo(float).eps)


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


def in_double(program):
    """Return a program that does all in double precision, with the constants in the precision that they have."""
    made = copy.copy(program)
    made.values = [dataclasses.replace(value, double=True) for value in program.values]
    made.steps = []
    for step, value in zip(program.steps, program.values, strict=True):
        arrays = {name: array for name, array in vars(step).items() if isinstance(array, np.ndarray) and name != "index"}
        rounded = {name: array if value.double else array.astype(np.float32).astype(float) for name, array in arrays.items()}
        made.steps.append(dataclasses.replace(step, **rounded))
    return made


def evaluated(program, x):
    return [found.numpy() for found in ProgramModule(program)(torch.from_numpy(x)).values()]


NAMES = sorted(surrogates())


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """All surrogates, compiled together: names of one header do not collide with those of another."""
    exports = {}
    for place, name in enumerate(NAMES):
        try:
            exports[name] = export_of_surrogate(surrogates()[name], f"model_{place}", deviation=True)
        except NotExportableError:
            exports[name] = export_of_surrogate(surrogates()[name], f"model_{place}")
    return exports, Library(tmp_path_factory.mktemp("c"), exports.values())


@pytest.mark.parametrize("name", NAMES)
def test_compiled_code_predicts_what_the_surrogate_predicts(library, name):
    exports, call = library
    surrogate, export = surrogates()[name], exports[name]
    x = inputs_of(surrogate)
    deviation = surrogate.scaling.outputs.deviation.numpy()
    # In double precision, sums in another order round differently, as between the program and the predictor.
    expected = evaluated(in_double(export.program), x)
    found = call(export, x, results=tuple(export.program.results))
    found = found if len(expected) > 1 else [found]
    bound = max(1e-12, rounding_of(surrogate.predictor))
    assert (np.abs(found[0] - expected[0]) <= bound * (deviation + np.abs(expected[0]))).all()
    if len(expected) > 1:
        # The variance is a difference from the prior variance, which rounding changes by some eps.
        np.testing.assert_allclose(found[1] ** 2, expected[1] ** 2, rtol=1e-9, atol=1e4 * EPS * deviation.max() ** 2)
        np.testing.assert_array_equal(call(export, x), found[0])
    x = x.astype(np.float32)
    single, predicted = call(export, x, np.float32), surrogate.predict(x.astype(float)).reshape(len(x), -1)
    assert (np.abs(single - predicted) <= 1e-5 * deviation + 1e-7 * np.abs(predicted)).all()
    assert (predicted.std(0) > 1e-3 * deviation).all(), "predictions are to vary, or a constant would pass"


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


@pytest.fixture(scope="module")
def step_library(tmp_path_factory):
    exports = [steps(True), steps(False)]
    return exports, Library(tmp_path_factory.mktemp("c"), exports, ("-O2",))


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kind_of_step_in_every_shape(step_library, place, dtype):
    exports, call = step_library
    export = exports[place]
    x = np.random.default_rng(1).normal(size=(20, 48)).astype(dtype)
    program = export.program if dtype == np.float32 else in_double(export.program)
    (expected,) = evaluated(program, x)
    found = call(export, x, dtype)
    assert np.isnan(expected).any(), "roots and logarithms of negative numbers"
    # Sums of at most 50 terms of size 10 or less, each of which is rounded by half an eps of the size of the sum.
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found, expected, rtol=10 * eps, atol=250 * eps)


APPLIED = tuple(name for name in FUNCTIONS if name not in ("exp", "log", "sqrt", "square"))


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """Return the functions of some numbers, by code in single precision, by name."""
    program = Program(8)
    x = program.cast(program.x, double=False)
    program.results["y"] = program.cast(program.join([program.apply(name, x) for name in APPLIED]), double=True)
    export = export_of(program)
    call = Library(tmp_path_factory.mktemp("c"), [export], ("-O3",))

    def evaluate(z):
        found = call(export, z.reshape(-1, 8), np.float32).astype(float)
        return {name: found[:, 8 * place : 8 * place + 8].ravel() for place, name in enumerate(APPLIED)}

    return evaluate


def test_functions_in_single_precision_over_their_whole_range(functions):
    """The error function is accurate to 1e-7; beside it, each result is rounded to single precision."""
    far = np.geomspace(1e-30, 1e30, 2_000)
    z = np.concatenate([np.linspace(-12, 12, 400_000), far, -far]).astype(np.float32)
    found, z, half_spacing = functions(z), z.astype(float), 2.0**-24
    size = np.abs(z)
    gelu = 0.5 * z * special.erfc(-z / math.sqrt(2))
    error = np.abs(found["gelu"] - gelu)
    assert (error <= size / 2 * 1e-7 + 2 * half_spacing * np.abs(gelu))[size < 6].all()
    assert error[z < 0].max() <= 1e-7
    assert (error <= 2 * half_spacing * np.abs(gelu))[z >= 6].all()
    assert np.abs(found["tanh"] - np.tanh(z)).max() <= 1.5e-7
    sigmoid = special.expit(z)
    # The exponent is rounded relatively, which changes the exponential function by |z| half spacings.
    allowed = half_spacing * (4 + 2 * size) * np.abs(z * sigmoid)
    assert (np.abs(found["silu"] - z * sigmoid) <= allowed)[size < 80].all()
    np.testing.assert_allclose(found["silu"][size >= 80], np.maximum(z, 0)[size >= 80], rtol=2 * half_spacing, atol=1e-7)
    np.testing.assert_array_equal(found["relu"], np.maximum(z, 0))
    # The slopes are sums of a few terms up to 1.1.
    slopes = {
        "gelu": special.ndtr(z) + z * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi),
        "silu": sigmoid * (1 + np.where(size < 80, z, 0) * (1 - sigmoid)),
        "tanh": 1 - np.tanh(z) ** 2,
        "relu": (z > 0).astype(float),
    }
    for name, slope in slopes.items():
        assert np.abs(found[f"slope of {name}"] - slope).max() <= 4e-7, name


def test_a_function_of_nan_is_nan(functions):
    found = functions(np.array([math.nan, -math.nan, 1.0, -1.0, 0.0, -0.0, 1e-40, -1e-40], np.float32))
    for name, values in found.items():
        assert np.isfinite(values[2:]).all()
        assert np.isnan(values[:2]).all() or name == "slope of relu"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_a_number_reaches_every_output(tmp_path, dtype):
    data = table(2.0, scaling={"load": "log"})
    made = {
        name: pac.pretrain(data, model=pac.MLP(hidden=(4,), activation=name), steps=5)
        for name in ("gelu", "relu", "silu", "tanh")
    }
    exports = [export_of_surrogate(surrogate, name) for name, surrogate in made.items()]
    call = Library(tmp_path, exports, ("-O3",))
    x = np.full((7, 3), 1.5)
    x[:3, 1] = math.nan, math.inf, -math.inf
    x[3:6, 2] = 0.0, -1.0, math.nan
    for export in exports:
        found = call(export, x, dtype)
        assert np.isnan(found[:6]).all()
        assert np.isfinite(found[6]).all()


HOSTILE = [
    *(
        'quotes " and \\"',
        "new\nline\r\n",
        "*/ int x; /*",
        "??/ ??) ??'",
        "%s %n %d",
        "back\\slash\\",
        '"""',
        "int",
        "\\x41 \\101",
    ),
    *("Größe ρ 温度 🔥", "\ud800", "//", "\\", "\t\x01\x7f", "a" * 10_000, "", "#include <x>", 'R"(x)"', "7" * 5),
]


MAIN = """
#include "int.h"
#include <stdio.h>
int main(void)
{
    int i;
    for (i = 0; i < INT_INPUTS; i++)
        printf("%s%c%s%c", int_input_names[i], 0, int_input_units[i], 0);
    return 0;
}
"""


def test_hostile_names_are_strings_and_nothing_else(tmp_path):
    program = Program(len(HOSTILE))
    program.results["y"] = program.gather(program.x, np.array([[0]]))
    inputs = tuple(Column(name, name[::-1], 0.0, 1.0, 0.0, 1.0) for name in HOSTILE)
    export = dataclasses.replace(export_of(program, "int", inputs), about={name: name for name in HOSTILE})
    in_c.write_c(export, tmp_path)
    (tmp_path / "main.c").write_text(MAIN)
    subprocess.run(["cc", "-std=c99", *STRICT, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout.split(b"\0")[:-1]
    expected = [text.encode(errors="backslashreplace") for name in HOSTILE for text in (name, name[::-1])]
    cut = [text if len(text) <= 1003 else text[:1000] + b"..." for text in expected]
    assert printed == cut


@pytest.mark.parametrize("stack", [in_c.STACK, 0])
@pytest.mark.parametrize("language", ["c -std=c99", "c -std=c11", "c++ -std=c++11"])
def test_the_header_compiles_without_warnings(tmp_path, monkeypatch, language, stack):
    compiler = "c++" if "++" in language else "cc"
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no compiler with the name {compiler}")
    monkeypatch.setattr(in_c, "STACK", stack)
    in_c.write_c(steps(False), tmp_path)
    in_c.write_c(export_of_surrogate(surrogates()["OutputGroups"], "groups", deviation=True), tmp_path)
    for external in ("", "-DSINGLE_STEPS_FUNCTION= -DGROUPS_FUNCTION="):
        (tmp_path / "both.source").write_text('#include "single_steps.h"\n#include "groups.h"\n')
        command = [compiler, *STRICT, *external.split(), "-x", *language.split(), "-fsyntax-only", "both.source"]
        subprocess.run(command, cwd=tmp_path, check=True)


def test_memory_of_the_caller_of_a_thread_and_of_the_stack_give_the_same_numbers(tmp_path, monkeypatch):
    surrogate = surrogates()["U-Net"]
    export = export_of_surrogate(surrogate, "model")
    x = inputs_of(surrogate)
    expected = Library(tmp_path, [export])(export, x)
    monkeypatch.setattr(in_c, "STACK", 0)
    (tmp_path / "thread").mkdir()
    call = Library(tmp_path / "thread", [export])
    np.testing.assert_array_equal(call(export, x), expected)
    with ThreadPoolExecutor(2) as threads:  # ctypes calls without the lock of Python
        found = list(threads.map(lambda shift: call(export, x + shift), [0, 1] * 20))
    for shift, one in zip([0, 1] * 20, found, strict=True):
        np.testing.assert_array_equal(one, found[shift])
    np.testing.assert_array_equal(found[0], expected)
    floats, doubles = map(
        int, re.search(r"float f\[(\d+)\];\n    double d\[(\d+)\];\n} model_double", in_c.header(export)).groups()
    )
    work = np.full(floats + doubles + 1, np.nan)
    y = x[0].copy()  # input and output may share their memory
    call.library.model_double_in(*(ctypes.c_void_p(array.ctypes.data) for array in (work, y, y)))
    np.testing.assert_array_equal(y, expected[0])


def test_memory_does_not_grow_with_the_number_of_layers():
    data = pac.Dataset.from_arrays(np.random.default_rng(0).normal(size=(9, 3)), np.ones((9, 1)) * np.arange(9)[:, None])
    sizes = set()
    for layers in (3, 9):
        export = export_of_surrogate(pac.pretrain(data, model=pac.MLP(hidden=(40,) * layers), steps=1), "model")
        sizes.add(int(re.search(r"float f\[(\d+)\]", in_c.header(export)).group(1)))
    assert sizes == {83}, "the inputs; one layer is read, and the next one is written"


def test_inputs_outside_the_range_of_the_training_data_are_counted(tmp_path):
    export = export_of_surrogate(source(), "model")  # ranges from 1 to 2
    call = Library(tmp_path, [export]).library.model_outside
    for x, expected in (([1, 2, 1.5], 0), ([0.99, 2.01, 1.5], 2), ([math.nan, 3, math.inf], 3)):
        assert call((ctypes.c_double * 3)(*x)) == expected


def test_the_same_surrogate_gives_the_same_bytes(tmp_path):
    texts = []
    for place in range(2):
        (tmp_path / str(place)).mkdir()
        in_c.write_c(export_of_surrogate(source(), "model"), tmp_path / str(place))
        (path,) = (tmp_path / str(place)).iterdir()
        assert path.name == "model.h"
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]


def test_constants_are_read_as_they_were():
    values = [0.1, 1.0, -0.0, 1e300, 5e-324, 1 / 3, 2.0**60, float(np.float32(0.1)), 1e-45]
    assert [float(number(value, double=True)) for value in values] == values
    singles = [np.float32(value) for value in (0.1, 1.0, -0.0, 1e-45, 1 / 3, 2.0**60, 3.4e38)]
    for value in singles:
        text = number(float(value), double=False)
        assert re.fullmatch(r"-?[\d.e+-]*[.e][\d.e+-]*f", text), text
        assert np.float32(text[:-1]) == value
    assert number(math.inf, double=True) == "INFINITY"
    assert number(-1e300, double=False) == "-INFINITY"
    assert string('a"\\?\n\xe4') == '"a\\042\\134\\077\\012\\303\\244"'
