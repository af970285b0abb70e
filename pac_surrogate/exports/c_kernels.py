"""Templates of the C functions in an exported header, each of which is written only if the surrogate calls it.

Every name begins with `$n`, the name of the export, so that one file can include several headers. `$T` is the type in which a
step computes and `$W` that of its constants: float and float (suffix f), double and float (m), or double and double (d).
Loops are written such that GCC and Clang vectorise them without permission to reorder sums: the innermost loop always runs
over independent sums, whose number is fixed, and which are held in registers.
"""

from string import Template

TYPES = {"f": ("float", "float"), "m": ("double", "float"), "d": ("double", "double")}
PANELS = (32, 16, 8, 4)  # numbers of outputs whose sums are held in registers together
WIDEST = {"f": 32, "m": 16, "d": 16}  # 8 registers of 128 bits

# Sums for N outputs at once. x has one number for each k, and w has N numbers for each k, `stride` apart. The sums begin with 0
# and the bias is added at the end, because GCC would copy the biases to memory as a block, and keep the sums there.
_PANEL = """
static inline void ${n}_${role}_panel_${N}_$s(int inputs, const $X *x, const $Y *w, int stride, const $W *bias, $T *y)
{
    $T sums[$N] = {0};
    int j, k;
    for (k = 0; k < inputs; k++, w += stride) {
        const $T one = x[k];
        for (j = 0; j < $N; j++)
            $term
    }
    for (j = 0; j < $N; j++)
        y[j] = sums[j] + $bias;
}
"""
_TERMS = {  # a term of a sum, and its bias
    "linear": ("sums[j] += one * w[j];", "bias[j]"),
    "tile": ("sums[j] += one * w[j];", "*bias"),
    "distances": ("sums[j] += (one - w[j]) * (one - w[j]);", "*bias"),
}

# Eight partial sums, which are added in a fixed order.
_DOT = """
static inline $T ${n}_dot_$s(int size, const $T *x, const $W *w)
{
    $T sums[8] = {0}, rest = 0;
    int i, j;
    for (i = 0; i + 8 <= size; i += 8)
        for (j = 0; j < 8; j++)
            sums[j] += x[i + j] * w[i + j];
    for (; i < size; i++)
        rest += x[i] * w[i];
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])) + rest;
}
"""

# The constants hold panels of 32 rows, then perhaps one of 16, one of 8 and one of 4, each transposed, and then single rows.
_PANELLED = """
static inline void ${n}_${role}_$s(int inputs, int outputs, const $T *x, const $W *w, const $W *bias, $T *y)
{
    int j, width, part;
    for (j = 0; outputs - j >= 4; j += width, w += width * inputs) {
        width = outputs - j >= 32 ? 32 : outputs - j >= 16 ? 16 : outputs - j >= 8 ? 8 : 4;
        if (width >= $widest)
            for (part = 0; part < width; part += $widest)
                ${n}_${role}_panel_${widest}_$s(inputs, x, w + part, width, $bias_of_part, y + j + part);
        else if (width == 16)
            ${n}_${role}_panel_16_$s(inputs, x, w, 16, $bias, y + j);
        else if (width == 8)
            ${n}_${role}_panel_8_$s(inputs, x, w, 8, $bias, y + j);
        else
            ${n}_${role}_panel_4_$s(inputs, x, w, 4, $bias, y + j);
    }
    for (; j < outputs; j++, w += inputs)
        $single
}
"""
_SINGLES = {  # one output, and the biases of panels
    "linear": ("y[j] = ${n}_dot_$s(inputs, x, w) + bias[j];", "bias + j", "bias + j + part"),
    "distances": (
        """for (y[j] = 0, part = 0; part < inputs; part++)
            y[j] += (x[part] - w[part]) * (x[part] - w[part]);""",
        *("bias", "bias"),
    ),
}

# A tile holds the inputs of $N columns side by side, so that one panel gives one output at all of them.
_TILED = """
static inline void ${n}_tiled_${N}_$s(int inputs, int outputs, int columns, int first, const $T *tile, const $W *w,
                                      const $W *bias, $T *y)
{
    const int filled = columns - first < $N ? columns - first : $N;
    int o, l;
    for (o = 0; o < outputs; o++) {
        $T sums[$N];
        ${n}_tile_panel_${N}_$s(inputs, w + o * inputs, tile, $N, bias + o, sums);
        for (l = 0; l < filled; l++)
            y[o * columns + first + l] = sums[l];
    }
}
"""
_COLUMNS = """
static inline void ${n}_columns_${N}_$s(int inputs, int outputs, int columns, const $T *x, const $W *w, const $W *bias,
                                        $T *tile, $T *y)
{
    int first, k, l;
    for (first = 0; first < columns; first += $N) {
        for (k = 0; k < inputs; k++)
            for (l = 0; l < $N; l++)
                tile[k * $N + l] = first + l < columns ? x[k * columns + first + l] : 0;
        ${n}_tiled_${N}_$s(inputs, outputs, columns, first, tile, w, bias, y);
    }
}
"""

# Place of a neighbour on a periodic axis, on one whose last points are repeated, or -1 beyond one with zeros around it.
_NEIGHBOUR = """
static inline int ${n}_neighbour(int place, int size, char padding)
{
    if (padding == 'p')
        return (place % size + size) % size;
    if (padding == 'r')
        return place < 0 ? 0 : place < size ? place : size - 1;
    return place < 0 || place >= size ? -1 : place;
}
"""
_CONVOLVE = """
static inline void ${n}_convolve_${N}_$s(int channels, int high, int wide, char padding, int height, int width, int outputs,
                                         const $T *x, const $W *w, const $W *bias, $T *tile, $T *y)
{
    const int columns = height * width, inputs = channels * high * wide;
    int first, c, p, q, l, rows[$N], places[$N], from[$N];
    for (first = 0; first < columns; first += $N) {
        for (l = 0; l < $N; l++) {
            const int column = first + l < columns ? first + l : columns - 1;
            rows[l] = column / width;
            places[l] = column % width;
        }
        for (p = 0; p < high; p++)
            for (q = 0; q < wide; q++) {
                for (l = 0; l < $N; l++) {
                    const int row = ${n}_neighbour(rows[l] + p - high / 2, height, padding);
                    const int place = ${n}_neighbour(places[l] + q - wide / 2, width, padding);
                    from[l] = row < 0 || place < 0 ? -1 : row * width + place;
                }
                for (c = 0; c < channels; c++)
                    for (l = 0; l < $N; l++)
                        tile[((c * high + p) * wide + q) * $N + l] = from[l] < 0 ? 0 : x[c * columns + from[l]];
            }
        ${n}_tiled_${N}_$s(inputs, outputs, columns, first, tile, w, bias, y);
    }
}
"""

_SIMPLE = {
    "product": """
static inline void ${n}_product_$s(int rows, int columns, int size, const $T *left, const $T *right, $T *y)
{
    int i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++)
            y[i * columns + j] = ${n}_dot_$s(size, left + i * size, right + j * size);
}
""",
    "add": """
static inline void ${n}_add_$s(int size, $T *y, const $T *x)
{
    int i;
    for (i = 0; i < size; i++)
        y[i] += x[i];
}
""",
    "multiply": """
static inline void ${n}_multiply_$s(int size, $T *y, const $T *x)
{
    int i;
    for (i = 0; i < size; i++)
        y[i] *= x[i];
}
""",
    "scale": """
static inline void ${n}_scale_$s(int rows, int columns, $T *y, const $W *factor, const $W *offset)
{
    int i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++)
            y[i * columns + j] = y[i * columns + j] * factor[i] + offset[i];
}
""",
    # The difference is 0 for finite numbers only; NaN and infinite numbers are not moved to a bound.
    "clamp": """
static inline void ${n}_clamp_$s(int rows, int columns, $T *y, const $W *lower, const $W *upper)
{
    int i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++) {
            const $T one = y[i * columns + j];
            if (one - one == 0)
                y[i * columns + j] = one < lower[i] ? lower[i] : one > upper[i] ? upper[i] : one;
        }
}
""",
    "gather": """
static inline void ${n}_gather_$s(int size, const int *index, const $T *x, $T *y)
{
    int i;
    for (i = 0; i < size; i++)
        y[i] = index[i] < 0 ? 0 : x[index[i]];
}
""",
    "lines": """
static inline void ${n}_lines_$s(int rows, int columns, const int *first, const int *stride, const $T *x, $T *y)
{
    int i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++)
            y[i * columns + j] = x[first[i] + j * stride[i]];
}
""",
}


def kernel(prefix: str, name: str, suffix: str, width: int = 0) -> list[tuple[str, str]]:
    """Return the name and the text of a function and of those that it calls, in the order in which they must be defined.

    Args:
        prefix: the beginning of all names.
        name: linear | distances | columns | convolve | product | add | multiply | scale | clamp | gather | lines.
        suffix: the types; see `TYPES`.
        width: number of columns in a tile, of those in `PANELS`.
    """
    value, constant = TYPES[suffix]
    names = {"n": prefix, "s": suffix, "T": value, "W": constant, "widest": str(WIDEST[suffix])}

    def fill(template: str, **more: str) -> str:
        return Template(template).substitute(names | more)

    def panel(role: str, size: int) -> tuple[str, str]:
        term, bias = _TERMS[role]
        types = (constant, value) if role == "tile" else (value, constant)
        made = fill(_PANEL, N=str(size), role=role, term=term, bias=bias, X=types[0], Y=types[1])
        return f"{role}_panel_{size}_{suffix}", made

    dot = (f"dot_{suffix}", fill(_DOT))
    match name:
        case "linear" | "distances":
            needed = [panel(name, size) for size in PANELS if size <= WIDEST[suffix]]
            single, bias, part = _SINGLES[name]
            made = fill(_PANELLED, role=name, single=fill(single), bias=bias, bias_of_part=part)
            return [*needed, *([dot] if name == "linear" else []), (f"{name}_{suffix}", made)]
        case "columns" | "convolve":
            size = str(width)
            own = fill(_COLUMNS if name == "columns" else _CONVOLVE, N=size)
            neighbour = [("neighbour", fill(_NEIGHBOUR))] if name == "convolve" else []
            tiled = (f"tiled_{size}_{suffix}", fill(_TILED, N=size))
            return [panel("tile", width), tiled, *neighbour, (f"{name}_{size}_{suffix}", own)]
        case _:
            return [*([dot] if name == "product" else []), (f"{name}_{suffix}", fill(_SIMPLE[name]))]
