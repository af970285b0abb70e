"""Functions of one number in C: those of the standard library in double precision, and approximations in single precision.

In single precision, all that needs an exponential function uses powers of two, whose integer part goes into the bits of the
exponent, so that compilers vectorise the loops. Two polynomials were fitted for this purpose. A test compares the functions
with exact values over their whole range.

    2^f = 1 + f P(f)                              |f| <= 1/2, P of degree 5: relative error of the fit 2.0e-9
    erfc(a / sqrt(2)) = 2^(-a R(a))               a >= 0, R of degree 9: absolute error of the fit 3.9e-10

Both were fitted by weighted least squares in the Chebyshev basis. P is fitted to (2^f - 1) / f at 1,000 Chebyshev points on
each side of f = 0, with the weight |f| 2^-f. R is fitted to -log2(erfc(a / sqrt(2))) / a at 4,000 Chebyshev points on [0, 6],
with the weight ln(2) a max(1, a) erfc(a / sqrt(2)), so that the residual is the error of erfc, and for a > 1 that of 2 gelu. By
Lawson's algorithm, each fit was repeated 200 times, and each time the squared weights were multiplied by the absolute
residuals, which reduces the largest residual. a R(a) also increases beyond 6. With the rounding of single precision,
1 - 2^(-a R(a)) differs from erf(a / sqrt(2)) by at most 9e-8, which is 1.5 spacings of the numbers below 1.
"""

from collections.abc import Mapping
from string import Template

POWER = (1.0, 0.693147203, 0.240226479, 0.0555033247, 0.00961843736, 0.0013398875, 0.000153533631)
TAIL = (
    *(1.15110412, 0.459223882, 0.0524215116, -0.00689695903, -6.31522367e-05),
    *(0.000324071699, -9.45571592e-05, 1.52123211e-05, -1.3898687e-06, 5.62642435e-08),
)
FARTHEST = 9.0  # of a, where erfc(a / sqrt(2)) is 0 in comparison with 1; it is taken for all beyond


def _horner(coefficients: tuple[float, ...], variable: str) -> str:
    """Return a polynomial by Horner's rule, with the constant first."""
    *rest, text = (f"{c!r}f" for c in coefficients)
    for one in reversed(rest):
        text = f"({text}) * {variable} + {one}"
    return text


# A comparison with a constant would become a branch, since compilers compute the result for the constant beforehand, and the
# loop would not be vectorised. The minimum of two integers needs no branch, and the bits of positive floats, read as integers,
# have the order of the floats.
_BOUNDED = """
/* The number in [-limit, limit] that is nearest to z; one of the ends if z is NaN. */
static inline float ${n}_bounded(float z, float limit)
{
    int32_t bits, sign, size, most;
    memcpy(&bits, &z, sizeof bits);
    memcpy(&most, &limit, sizeof most);
    size = bits & 0x7fffffff;
    sign = bits ^ size;
    size = size < most ? size : most;
    bits = size | sign;
    memcpy(&z, &bits, sizeof z);
    return z;
}
"""
_POWER = f"""
/* 2^p for p between -126 and 127. */
static inline float ${{n}}_power(float p)
{{
    int32_t k = (int32_t)(p + 127.5f);
    const float f = p - (float)(k - 127);
    float scale;
    k *= 8388608; /* into the bits of the exponent */
    memcpy(&scale, &k, sizeof scale);
    return ({_horner(POWER, "f")}) * scale;
}}
"""
# erfc(a / sqrt(2)) for a between 0 and FARTHEST, where the power is 2^-69.
_TAIL = f"""
static inline float ${{n}}_tail(float a)
{{
    return ${{n}}_power(-a * ({_horner(TAIL, "a")}));
}}
"""
_GELU = f"""
/* z (1 + erf(z / sqrt(2))) / 2 = max(z, 0) - |z| erfc(|z| / sqrt(2)) / 2, where nothing cancels for negative z. */
static inline float ${{n}}_normal_part(float z)
{{
    const float a = fabsf(${{n}}_bounded(z, {FARTHEST}f));
    return 0.5f * ((z + fabsf(z)) - a * ${{n}}_tail(a));
}}
"""
_SINGLE = {
    "relu": "z < 0.0f ? 0.0f : z",
    "gelu": "${n}_normal_part(z)",
    "silu": "z / (1.0f + ${n}_power(-1.44269504f * ${n}_bounded(z, 87.0f)))",
    "tanh": "${n}_hyperbolic(z)",
    "slope of relu": "z > 0.0f ? 1.0f : 0.0f",
    "slope of gelu": "${n}_normal(z)",
    "slope of silu": "${n}_sigmoidal(z, ${n}_power(-1.44269504f * ${n}_bounded(z, 87.0f)))",
    "slope of tanh": "1.0f - ${n}_hyperbolic(z) * ${n}_hyperbolic(z)",
    "exp": "expf(z)",
    "log": "z > 0.0f ? logf(z) : NAN",
    "sqrt": "sqrtf(z)",
    "square": "z * z",
}
_HYPERBOLIC = """
/* tanh(z): the absolute value is given the sign of z, or the bits of NaN if z is NaN, whose bits exceed those of infinity. */
static inline float ${n}_hyperbolic(float z)
{
    const float e = ${n}_power(-2.88539008f * fabsf(${n}_bounded(z, 43.0f)));
    float size = (1.0f - e) / (1.0f + e);
    int32_t bits, own;
    memcpy(&bits, &z, sizeof bits);
    memcpy(&own, &size, sizeof own);
    own |= bits ^ (bits & 0x7fffffff);
    own |= -((bits & 0x7fffffff) > 0x7f800000) & 0x7fc00000;
    memcpy(&size, &own, sizeof size);
    return size;
}
"""
# The distribution function of the normal distribution plus z times its density.
_NORMAL = f"""
static inline float ${{n}}_normal(float z)
{{
    const float half = 0.5f * ${{n}}_tail(fabsf(${{n}}_bounded(z, {FARTHEST}f))), a = ${{n}}_bounded(z, 13.0f);
    return (z < 0.0f ? half : 1.0f - half) + z * (0.398942280f * ${{n}}_power(-0.721347520f * a * a));
}}
"""
_OF_SIGMOID = """
static inline double ${n}_of_sigmoid(double z, double sigmoid)
{
    return sigmoid * (1 + z * (1 - sigmoid));
}
"""
_SIGMOIDAL = """
/* The same from e = exp(-z): 1 - sigmoid is e sigmoid, whose digits are not cancelled. */
static inline float ${n}_sigmoidal(float z, float e)
{
    const float sigmoid = 1.0f / (1.0f + e);
    return sigmoid * (1.0f + z * (e * sigmoid));
}
"""
_DOUBLE = {
    "relu": "z < 0 ? 0 : z",
    "gelu": "0.5 * z * (1 + erf(z * 0.70710678118654752))",
    "silu": "z / (1 + exp(-z))",
    "tanh": "tanh(z)",
    "slope of relu": "z > 0 ? 1 : 0",
    "slope of gelu": "0.5 * (1 + erf(z * 0.70710678118654752)) + z * exp(-0.5 * z * z) * 0.39894228040143268",
    "slope of silu": "${n}_of_sigmoid(z, 1 / (1 + exp(-z)))",
    "slope of tanh": "1 - tanh(z) * tanh(z)",
    "exp": "exp(z)",
    "log": "z > 0 ? log(z) : NAN",
    "sqrt": "sqrt(z)",
    "square": "z * z",
}
_APPLY = """
static inline void ${n}_${role}_$s(int size, $T *y)
{
    int i;
    for (i = 0; i < size; i++) {
        const $T z = y[i];
        y[i] = $formula;
    }
}
"""


def function(prefix: str, name: str, suffix: str) -> list[tuple[str, str]]:
    """Return the name and the text of a function that changes an array entry by entry, after those that it calls.

    Args:
        prefix: the beginning of all names.
        name: a name of `program.FUNCTIONS`.
        suffix: f for float, d for double.
    """
    role, names = name.replace(" ", "_"), {"n": prefix, "s": suffix, "T": "float" if suffix == "f" else "double"}

    def fill(template: str, **more: str) -> str:
        return Template(template).substitute(names | more)

    formula = (_SINGLE if suffix == "f" else _DOUBLE)[name]
    calls = {
        **{"bounded": _BOUNDED, "power": _POWER, "tail": _TAIL, "normal_part": _GELU, "normal": _NORMAL},
        **{"hyperbolic": _HYPERBOLIC, "of_sigmoid": _OF_SIGMOID, "sigmoidal": _SIGMOIDAL},
    }
    needed = _called(formula, calls)
    found = [(f"{called}_{suffix}", fill(text)) for called, text in calls.items() if called in needed]
    return [*found, (f"{role}_{suffix}", fill(_APPLY, role=role, formula=fill(formula)))]


def _called(text: str, functions: Mapping[str, str]) -> set[str]:
    """Return the names of the functions that a text calls, and that these call."""
    found = {name for name in functions if f"${{n}}_{name}(" in text or f"${{n}}_{name}_" in text}
    return found.union(*(_called(_inner(functions[name]), functions) for name in found))


def _inner(text: str) -> str:
    """Return the body of a function."""
    return text.rpartition(")\n{")[2]
