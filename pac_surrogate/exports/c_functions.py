"""Functions of one number in C: those of the standard library in double precision, and approximations in single precision.

In single precision, all that needs an exponential function uses powers of two, whose integer part goes into the bits of the
exponent, so that compilers vectorise the loops. Two polynomials were fitted for them; the test repeats the comparison with
exact values over the whole range.

    2^f = 1 + f P(f)                              |f| <= 1/2, P of degree 5: relative error of the fit 2.0e-9
    erfc(a / sqrt(2)) = 2^(-a R(a))               a >= 0, R of degree 9: absolute error of the fit 3.9e-10

How they were fitted: least squares in the basis of Chebyshev, at 1,000 Chebyshev points on each side of f = 0 for (2^f - 1) / f
with the weight |f| 2^-f, and at 4,000 on [0, 6] for -log2(erfc(a / sqrt(2))) / a with the weight
ln(2) a max(1, a) erfc(a / sqrt(2)), so that the residual is the error of erfc, and for a > 1 that of 2 gelu. By Lawson's rule,
least squares were repeated 200 times, each time with the squared weights multiplied by the size of the residuals, which
reduces the largest one. a R(a) increases beyond 6 too. With the rounding of single precision, 1 - 2^(-a R(a)) differs from
erf(a / sqrt(2)) by at most 9e-8, which is 1.5 spacings of the numbers below 1.
"""

from string import Template

POWER = (1.0, 0.693147203, 0.240226479, 0.0555033247, 0.00961843736, 0.0013398875, 0.000153533631)
TAIL = (
    *(1.15110412, 0.459223882, 0.0524215116, -0.00689695903, -6.31522367e-05),
    *(0.000324071699, -9.45571592e-05, 1.52123211e-05, -1.3898687e-06, 5.62642435e-08),
)


def _horner(coefficients: tuple[float, ...], variable: str) -> str:
    """Return a polynomial by Horner's rule, with the constant first."""
    *rest, text = (f"{c!r}f" for c in coefficients)
    for one in reversed(rest):
        text = f"({text}) * {variable} + {one}"
    return text


_POWER = f"""
/* 2^p for p between -126 and 127, and the nearer end beyond; the number at the lower end if p is NaN. */
static inline float ${{n}}_power(float p)
{{
    float f, scale;
    int32_t k;
    p = p > -126.0f ? p : -126.0f;
    p = p < 127.0f ? p : 127.0f;
    k = (int32_t)(p + 127.5f);
    f = p - (float)(k - 127);
    k *= 8388608; /* into the bits of the exponent */
    memcpy(&scale, &k, sizeof scale);
    return ({_horner(POWER, "f")}) * scale;
}}
"""
# erfc(|z| / sqrt(2)); from 30 on, the bound of the powers is returned.
_TAIL = f"""
static inline float ${{n}}_tail(float z)
{{
    const float size = fabsf(z), a = size < 30.0f ? size : 30.0f;
    return ${{n}}_power(-a * ({_horner(TAIL, "a")}));
}}
"""
_SINGLE = {
    "relu": "z < 0.0f ? 0.0f : z",
    # z (1 + erf(z / sqrt(2))) / 2 = max(z, 0) - |z| erfc(|z| / sqrt(2)) / 2, where nothing cancels for negative z
    "gelu": "(z < 0.0f ? 0.0f : z) - 0.5f * (fabsf(z) < 30.0f ? fabsf(z) : 30.0f) * ${n}_tail(z)",
    "silu": "z / (1.0f + ${n}_power(-1.44269504f * z))",
    "tanh": "${n}_hyperbolic(z)",
    "slope of relu": "z > 0.0f ? 1.0f : 0.0f",
    "slope of gelu": "${n}_normal(z)",
    "slope of silu": "${n}_of_sigmoid_f(z, 1.0f / (1.0f + ${n}_power(-1.44269504f * z)))",
    "slope of tanh": "1.0f - ${n}_hyperbolic(z) * ${n}_hyperbolic(z)",
    "exp": "expf(z)",
    "log": "z > 0.0f ? logf(z) : NAN",
    "sqrt": "sqrtf(z)",
    "square": "z * z",
}
_HYPERBOLIC = """
static inline float ${n}_hyperbolic(float z)
{
    const float e = ${n}_power(-2.88539008f * fabsf(z)), size = (1.0f - e) / (1.0f + e);
    return z != z ? z : z < 0.0f ? -size : size;
}
"""
# Distribution function of the normal distribution, and z times its density.
_NORMAL = """
static inline float ${n}_normal(float z)
{
    const float half = 0.5f * ${n}_tail(z);
    return (z < 0.0f ? half : 1.0f - half) + z * (0.398942280f * ${n}_power(-0.721347520f * z * z));
}
"""
_SLOPE = """
static inline $T ${n}_of_sigmoid_$s($T z, $T sigmoid)
{
    return sigmoid * (1 + z * (1 - sigmoid));
}
"""
_DOUBLE = {
    "relu": "z < 0 ? 0 : z",
    "gelu": "0.5 * z * (1 + erf(z * 0.70710678118654752))",
    "silu": "z / (1 + exp(-z))",
    "tanh": "tanh(z)",
    "slope of relu": "z > 0 ? 1 : 0",
    "slope of gelu": "0.5 * (1 + erf(z * 0.70710678118654752)) + z * exp(-0.5 * z * z) * 0.39894228040143268",
    "slope of silu": "${n}_of_sigmoid_d(z, 1 / (1 + exp(-z)))",
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
    calls = {"power": _POWER, "tail": _TAIL, "normal": _NORMAL, "hyperbolic": _HYPERBOLIC, "of_sigmoid": _SLOPE}
    needed = {called for called in calls if f"${{n}}_{called}" in formula}
    needed |= {"tail"} if "normal" in needed else set()
    needed |= {"power"} if {"tail", "hyperbolic"} & needed else set()
    found = [(f"{called}_{suffix}", fill(text)) for called, text in calls.items() if called in needed]
    return [*found, (f"{role}_{suffix}", fill(_APPLY, role=role, formula=fill(formula)))]
