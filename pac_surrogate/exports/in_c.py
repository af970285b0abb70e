"""An export as a header of C99 without dependencies.

The header also compiles as C++, and as a library for Fortran, Julia or Python. From Python, for example:

    subprocess.run(["cc", "-DSURROGATE_FUNCTION=", "-O3", "-std=c99", "-shared", "-fPIC", "-x", "c", "surrogate.h",
                    "-o", "libsurrogate.so", "-lm"], check=True)
    library = ctypes.CDLL("./libsurrogate.so")
    x, y = np.empty(8), np.empty(1)                                  # kept, since the pointers hold their addresses
    pointers = ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data)
    x[:] = ...
    library.surrogate_double(*pointers)                              # fills y

See `c_kernels` for the arithmetic, `c_functions` for the functions, and `c_memory` for the memory.
"""

import hashlib
from pathlib import Path
from string import Template

from pac_surrogate.exports.c_body import Parts, body_of
from pac_surrogate.exports.c_memory import restricted
from pac_surrogate.exports.c_names import check_name
from pac_surrogate.exports.c_text import comment, numbers, string, table
from pac_surrogate.exports.description import Column, Export

STACK = 64 * 1024  # most bytes of intermediate values on the stack; the stacks of threads have 128 KiB or more

_HEAD = """\
/* $n.h: a surrogate model as C99 or C++, written by pac_surrogate; needs the C standard library alone (-lm).

   $n_double(x, y) predicts the $N_OUTPUTS numbers y of one sample from its $N_INPUTS numbers x, in physical units
   (the tables below name them), in double precision throughout. $n_double_rows does so for a table with a row for each
   sample. $n_outside(x) counts the inputs outside the range of the training data, where predictions extrapolate; NaN
   counts too.$deviation

$single

   An input that is not a finite number, or not positive on a logarithmic scale, gives NaN in all outputs. -ffast-math and
   -Ofast permit the compiler to drop that, so that this file refuses them; define ${N}_ALLOW_FAST_MATH if all
   inputs are checked before. x and y of one sample may be the same memory.

   All functions are static inline: include this file and call them. To make a library of external functions, compile
   it with -D${N}_FUNCTION= , here with GCC or Clang on Linux:

       cc -D${N}_FUNCTION= -O3 -std=c99 -shared -fPIC -x c $n.h -o lib$n.so -lm

   Nothing is allocated, and no state is kept between calls. Every function that computes has memory of its own for
   intermediate values, $where:
$bytes.
   The functions whose names end with _in use memory of the caller instead, for example a static variable of the type
   $n_double_workspace on a device with little stack. Every thread needs its own.

$about
*/
#ifdef ${N}_H
#if ${N}_H != $digest
#error "two different surrogates have the name $n, in upper or lower case: export one with another name="
#endif
#else
#define ${N}_H $digest /* from the content of this file */

#if !defined(${N}_ALLOW_FAST_MATH) && (defined(__FAST_MATH__) || defined(_M_FP_FAST) || \\
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__))
#error "-ffast-math and -Ofast turn the NaN of $n for invalid inputs into numbers: drop them or define ${N}_ALLOW_FAST_MATH"
#endif

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ${N}_FUNCTION
#define ${N}_FUNCTION static inline
#endif
$storage
#define ${N}_INPUTS $inputs
#define ${N}_OUTPUTS $outputs
"""
_BYTES = "#define ${N}_${REAL}_BYTES sizeof($n_${real}_workspace)\n"
_SINGLE = """\
   $n_float and $n_float_rows do the same for float, in the precision of the surrogate itself: a network computes in
   single precision, the conversion of units in double precision. A float holds 0 and the sizes from 1.2e-38 to 3.4e38. An
   input or an output below them loses digits or becomes 0, and one above them becomes infinite."""
_NO_SINGLE = """\
   There are no functions for float, which holds 0 and the sizes from 1.2e-38 to 3.4e38: an input or an output of the
   training data has a smallest or largest number beyond these (see the tables below)."""
_THREADS = "in static memory of each thread, which -D${N}_STORAGE= moves to the stack"
_ON_STACK = """
#ifndef ${N}_STORAGE
#define ${N}_STORAGE /* of the intermediate values: the stack */
#endif
"""
_BY_THREAD = """
#ifndef ${N}_STORAGE /* of the intermediate values: static memory of each thread, or of all where threads are unknown */
#if defined(__cplusplus)
#define ${N}_STORAGE static thread_local
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L && !defined(__STDC_NO_THREADS__)
#define ${N}_STORAGE static _Thread_local
#elif defined(__GNUC__)
#define ${N}_STORAGE static __thread
#elif defined(_MSC_VER)
#define ${N}_STORAGE static __declspec(thread)
#else
#define ${N}_STORAGE static
#endif
#endif
"""
_WORKSPACE = """
typedef struct {
    float f[$floats];
    double d[$doubles];
} $n_$real_workspace;
"""
_FUNCTIONS = """
${N}_FUNCTION void $name_in($n_$real_workspace *work, const $real *x, $pointers)
{
$body
}

${N}_FUNCTION void $name(const $real *x, $pointers)
{
    ${N}_STORAGE $n_$real_workspace work;
    $name_in(&work, x, $results);
}

${N}_FUNCTION void $name_rows(size_t rows, const $real *x, $pointers)
{
    ${N}_STORAGE $n_$real_workspace work;
    size_t row;
    for (row = 0; row < rows; row++)
        $name_in(&work, x + row * ${N}_INPUTS, $moved);
}
"""
_OUTSIDE = """
${N}_FUNCTION int $n_outside(const double *x)
{
    int i, found = 0;
    for (i = 0; i < ${N}_INPUTS; i++)
        found += !(x[i] >= $n_input_lower[i] && x[i] <= $n_input_upper[i]);
    return found;
}

#ifdef __cplusplus
}
#endif

#endif
"""
_DIGEST = "\0"  # the place of the digest, a character that no header contains


class _Template(Template):
    idpattern = "(?a:[a-zA-Z]+)"  # the name in $n_rows is n
    braceidpattern = "(?a:[a-zA-Z_]+)"


def write_c(export: Export, folder: Path) -> None:
    """Write the header `<name>.h`.

    Args:
        export: what is written.
        folder: an empty folder.

    Raises:
        NotExportableError: if the C library has a header of that name.
    """
    check_name(export.name)
    (folder / f"{export.name}.h").write_text(header(export), encoding="ascii", newline="\n")


def header(export: Export) -> str:
    """Return the text of the header; it depends on the export alone."""
    parts, bodies = Parts(export.name), []
    sizes: dict[str, dict[str, int]] = {}
    held = all(column.beyond_float32() is None for column in (*export.inputs, *export.outputs))
    reals = ("float", "double") if held else ("double",)
    for real in reals:
        ways = [["y"]] if len(export.program.results) == 1 else [["y"], list(export.program.results)]
        for results in ways:
            lines, needed = body_of(restricted(export.program, results), parts, double=real == "double")
            kept = sizes.setdefault(real, {"f": 1, "d": 1})
            sizes[real] = {array: max(kept[array], needed[array]) for array in kept}
            name = "_".join([export.name, *results[1:], real])
            bodies.append((name, real, results, _declared(lines, needed)))
    large = max(map(_bytes, sizes.values())) > STACK
    names = {"n": export.name, "N": export.name.upper()}

    def fill(template: str, **more: object) -> str:
        return _Template(template).substitute(names | {name: str(value) for name, value in more.items()})

    deviation = f"\n   {export.name}_std_double(x, y, std) and so on add the standard deviations of the outputs."
    head = fill(
        _HEAD,
        deviation=deviation if len(export.program.results) > 1 else "",
        single=fill(_SINGLE if "float" in reals else _NO_SINGLE),
        where=fill(_THREADS) if large else "on the stack",
        bytes=" and\n".join(
            f"   {_bytes(size)} bytes ({names['N']}_{real.upper()}_BYTES) in a function for {real}"
            for real, size in sizes.items()
        ),
        about="\n".join(f"   {line}" for line in comment(export.about)),
        storage=fill(_BY_THREAD if large else _ON_STACK),
        inputs=len(export.inputs),
        outputs=len(export.outputs),
        digest=_DIGEST,
    )
    sizes_in_bytes = "".join(fill(_BYTES, real=real, REAL=real.upper()) for real in reals)
    spaces = [fill(_WORKSPACE, real=real, floats=size["f"], doubles=size["d"]) for real, size in sizes.items()]
    functions = [
        fill(
            _FUNCTIONS,
            name=name,
            real=real,
            pointers=", ".join(f"{real} *{result}" for result in results),
            results=", ".join(results),
            moved=", ".join(f"{result} + row * {names['N']}_OUTPUTS" for result in results),
            body=body,
        )
        for name, real, results, body in bodies
    ]
    described = [
        *_columns(f"{export.name}_input", export.inputs, ranges=True),
        *_columns(f"{export.name}_output", export.outputs),
    ]
    rest = "\n".join([sizes_in_bytes, *described, *parts.tables.values()]) + "".join(
        [*parts.functions.values(), *spaces, *functions, fill(_OUTSIDE)]
    )
    digest = hashlib.sha256(f"{head}{rest}".encode("ascii")).hexdigest()[:15]  # the preprocessor computes with 63 bits
    return head.replace(_DIGEST, f"0x{digest}") + rest


def _bytes(size: dict[str, int]) -> int:
    """Return the bytes of a workspace, in which the doubles begin at a multiple of 8."""
    return 8 * ((size["f"] + 1) // 2 + size["d"])


def _declared(lines: list[str], needed: dict[str, int]) -> str:
    """Return the body of a function with the declarations of its variables."""
    declared = [f"{kind} *const {array} = work->{array};" for array, kind in (("f", "float"), ("d", "double")) if needed[array]]
    unused = [] if any(needed.values()) else ["(void)work;"]
    return "\n".join(f"    {line}" for line in [*declared, "int i;", *unused, *lines])


def _columns(prefix: str, columns: tuple[Column, ...], *, ranges: bool = False) -> list[str]:
    """Return tables of names, units and ranges of the training data."""
    ends = {"low": [column.low for column in columns], "high": [column.high for column in columns]}
    if ranges:
        ends |= {"lower": [column.lower for column in columns], "upper": [column.upper for column in columns]}
    texts = {"names": [column.name for column in columns], "units": [column.unit for column in columns]}
    return [
        *(table("char *const", f"{prefix}_{name}", [string(one) for one in own]) for name, own in texts.items()),
        *(table("double", f"{prefix}_{name}", numbers(own, double=True)) for name, own in ends.items()),
    ]
