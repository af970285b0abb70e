"""The header of an export as C: names, warnings of compilers, memory, and that its text depends on the surrogate alone."""

import ctypes
import dataclasses
import math
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compiling import STRICT, Library, export_of, export_of_surrogate, steps
from export_cases import inputs_of, source, surrogates

import pac_surrogate as pac
from pac_surrogate.exports import in_c
from pac_surrogate.exports.c_names import STANDARD_HEADERS
from pac_surrogate.exports.c_text import lines, numbers, string
from pac_surrogate.exports.description import Column
from pac_surrogate.exports.errors import NotExportableError
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


def written(folder, name="beam", **ranges):
    """Write a header whose outputs are all the last input, and whose first column has another range where it is given."""
    program = Program(2)
    program.results["y"] = program.gather(program.x, np.array([[1]]))
    export = export_of(program, name)
    sides = {
        side: (dataclasses.replace(getattr(export, side)[0], **ends), *getattr(export, side)[1:])
        for side, ends in ranges.items()
    }
    folder.mkdir(exist_ok=True)
    in_c.write_c(dataclasses.replace(export, **sides), folder)
    return (folder / f"{name}.h").read_text()


def checked(folder, source, *flags, compiler="cc"):
    """Return what the compiler says of a source, nothing if it has no objection."""
    language = ("-x", "c", "-std=c99") if compiler == "cc" else ("-x", "c++", "-std=c++11")
    command = [compiler, *STRICT, "-Wundef", *language, *flags, "-fsyntax-only", "-"]
    done = subprocess.run(command, cwd=folder, input=source, text=True, capture_output=True)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


def test_two_different_surrogates_of_one_name_do_not_compile_together(tmp_path):
    written(tmp_path / "first")
    written(tmp_path / "same")
    written(tmp_path / "second", inputs={"high": 2.0})
    written(tmp_path / "capital", "Beam")
    assert checked(tmp_path, '#include "first/beam.h"\n#include "first/beam.h"\n#include "same/beam.h"\n') == ""
    message = "two different surrogates have the name (beam|Beam), in upper or lower case: export one with another name="
    for other in ("second/beam.h", "capital/Beam.h"):
        assert checked(tmp_path, f'#include "{other}"\n') == ""
        for pair in (("first/beam.h", other), (other, "first/beam.h")):
            assert re.search(message, checked(tmp_path, "".join(f'#include "{one}"\n' for one in pair)))


def test_options_that_drop_nan_are_refused_unless_they_are_allowed(tmp_path):
    written(tmp_path)
    source = '#include "beam.h"\n'
    for flag in ("-Ofast", "-ffast-math", "-ffinite-math-only"):
        assert re.search(
            "#error .*turn the NaN .* into numbers: .* define BEAM_ALLOW_FAST_MATH", checked(tmp_path, source, flag)
        )
        assert checked(tmp_path, source, flag, "-DBEAM_ALLOW_FAST_MATH", "-w") == ""
    assert checked(tmp_path, source, "-O3") == ""


def test_there_are_functions_for_float_where_it_holds_the_training_data(tmp_path):
    largest, smallest = 3.4028234e38, 1.1754944e-38
    call = '#include "beam.h"\nvoid f(const float *x, float *y);\nvoid f(const float *x, float *y) { beam_float(x, y); }\n'
    double = call.replace("float", "double")
    cases = [(0.0, 1.0, True), (-largest, largest, True), (smallest, 1.0, True), (-1.0, -smallest, True)]
    cases += [
        (0.0, 3.5e38, False),
        (-3.5e38, 0.0, False),
        (1e-60, 1.0, True),
        (0.0, 1.17e-38, False),
        (-1e-60, 0.0, False),
        (0.0, 1e60, False),
    ]
    for side in ("inputs", "outputs"):
        for low, high, holds in cases:
            text = written(tmp_path, **{side: {"low": low, "high": high}})
            assert (checked(tmp_path, call) == "") == holds == ("There are no functions for float" not in text)
            assert ("beam_float" in text) == holds
            assert checked(tmp_path, double) == ""
            assert "1.2e-38 to 3.4e38" in text


@pytest.mark.skipif(sys.platform != "linux", reason="the headers of other systems are not known")
@pytest.mark.parametrize(
    ("command", "headers"),
    [
        ("cc -x c", ["stdio.h", "stdlib.h", "time.h", "wchar.h", "inttypes.h", "tgmath.h"]),
        ("c++ -x c++", ["iostream", "thread", "regex", "cmath"]),
    ],
)
def test_the_headers_of_this_compiler_are_no_names(tmp_path, command, headers):
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"there is no compiler for {command}")
    source = "".join(f"#include <{one}>\n" for one in headers)
    done = subprocess.run([*command.split(), "-H", "-E", "-"], input=source, text=True, capture_output=True, check=True)
    read = [line.split("/include/")[1] for line in done.stderr.splitlines() if "/include/" in line]
    found = {one.removesuffix(".h") for one in read if re.fullmatch("[A-Za-z][A-Za-z0-9_]*[.]h", one)}
    assert {"math", "wchar", "features"} <= found <= STANDARD_HEADERS
    for name in (*found, "STDIO"):
        with pytest.raises(NotExportableError, match=rf"{name.lower()}\.h is a header of the C library"):
            written(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_all_that_a_header_defines_is_told_apart_by_its_first_63_characters():
    name = "n" * 40
    exports = [dataclasses.replace(one, name=name) for one in (steps(True), steps(False))]
    exports.append(export_of_surrogate(surrogates()["OutputGroups"], name, deviation=True))
    longest = {max(re.findall(rf"\b{name}_\w+", in_c.header(export)), key=len) for export in exports}
    assert max(map(len, longest)) == 40 + 21 <= 63, longest


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
