"""The header of an export as C: names, warnings of compilers, memory, and that its text depends on the surrogate alone."""

import ctypes
import dataclasses
import math
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compiling import STRICT, Library, export_of, export_of_surrogate, steps
from export_cases import inputs_of, source, surrogates

import pac_surrogate as pac
from pac_surrogate.exports import in_c
from pac_surrogate.exports.c_text import lines, numbers, string
from pac_surrogate.exports.description import Column
from pac_surrogate.exports.program import Program

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler with the name cc")

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
    values = [0.1, 1.0, -0.0, 1e300, 5e-324, 1 / 3, 2.0**60, 1e15, 1e16, float(np.float32(0.1)), 1e-45]
    for value, text in zip(values, numbers(values, double=True), strict=True):
        assert re.fullmatch(r"-?[\d.e+-]*[.e][\d.e+-]*", text), text
        assert float(text) == value
        assert math.copysign(1, float(text)) == math.copysign(1, value)
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)  # floats of all magnitudes
    singles = np.concatenate([np.float32([0.1, 1.0, -0.0, 1e-45, 1 / 3, 2.0**60, 3.4e38]), bits[np.isfinite(bits)]])
    for value, text in zip(singles, numbers(singles, double=False), strict=True):
        assert re.fullmatch(r"-?[\d.e+-]*[.e][\d.e+-]*f", text), text
        assert np.float32(text[:-1]).tobytes() == value.tobytes()
    assert numbers([math.inf, math.nan, 1.0], double=True) == ["INFINITY", "NAN", "1.0"]
    assert numbers(-1e300, double=False) == ["-INFINITY"]
    assert string('a"\\?\n\xe4') == '"a\\042\\134\\077\\012\\303\\244"'


def test_a_list_keeps_its_order_in_lines_that_are_not_too_long():
    for count in (1, 2, 12, 13, 100):
        parts = [f"{place:06d}" for place in range(count)]
        found = lines(parts)
        assert " ".join(found).split(", ") == parts
        assert max(map(len, found)) <= 100
    assert lines(["a" * 1000, "b"]) == ["a" * 1000 + ",", "b"]
