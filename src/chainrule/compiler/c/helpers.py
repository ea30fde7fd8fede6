"""Small functions that C lacks, written into a file where they are used.

T is the type, F what the functions of <math.h> for it end with, N what tells the types apart.
"""

from __future__ import annotations

from ...dtypes import DType
from .types import memory_type, suffix

CLAMPED = """\
/* A number that was read as a place, kept within [0, top]: memory stays safe whatever it is. */
static intptr_t clamped(int64_t i, int64_t top)
{
    return (intptr_t)(i < 0 ? 0 : i > top ? top : i);
}
"""

FLOAT = {
    "maximum": "T maximumN(T a, T b) { return a > b || a != a ? a : b; }",
    "minimum": "T minimumN(T a, T b) { return a < b || a != a ? a : b; }",
    "sign": "T signN(T x) { return x > 0 ? 1 : x < 0 ? -1 : x + 0; }",
    "relu": "T reluN(T x) { return x < 0 ? 0 : x; }",
    "rsqrt": "T rsqrtN(T x) { return 1 / sqrtF(x); }",
    "sigmoid": """\
T sigmoidN(T x)
{
    T z = expF(-fabsF(x));
    return x >= 0 ? 1 / (1 + z) : z / (1 + z);
}""",
    "softplus": "T softplusN(T x) { return (x > 0 ? x : 0) + log1pF(expF(-fabsF(x))); }",
    "remainder": """\
T remainderN(T a, T b)
{
    T r = fmodF(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r == 0 ? copysignF(0, b) : r;
}""",
    "floor_div": """\
T floor_divN(T a, T b)
{
    T r = fmodF(a, b), q = (a - r) / b, y;
    if (b == 0)
        return a / b;
    if (r != 0 && (r < 0) != (b < 0))
        q -= 1;
    y = floorF(q);
    return q - y > (T)0.5 ? y + 1 : y;
}""",
}
"""Functions of floats by their op; the sign of 0 and nan are NumPy's."""

WHOLE = {
    "maximum": "T maximumN(T a, T b) { return a > b ? a : b; }",
    "minimum": "T minimumN(T a, T b) { return a < b ? a : b; }",
    "abs": "T absN(T x) { return x < 0 ? (T)(-x) : x; }",
    "sign": "T signN(T x) { return (T)(x < 0 ? -1 : x > 0); }",
    "relu": "T reluN(T x) { return x < 0 ? 0 : x; }",
    "remainder": """\
T remainderN(T a, T b)
{
    T r = (T)(b == 0 || b == -1 ? 0 : a % b);
    return (T)(r != 0 && (r < 0) != (b < 0) ? r + b : r);
}""",
    "floor_div": """\
T floor_divN(T a, T b)
{
    T q = (T)(b == 0 ? 0 : b == -1 ? -a : a / b);
    return (T)(b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q);
}""",
    "pow": """\
T powN(T a, T b)
{
    uint64_t y = 1, x = (uint64_t)a, n = (uint64_t)b;
    for (; n; n >>= 1, x *= x)
        if (n & 1)
            y *= x;
    return (T)y;
}""",
}
"""The same of signed whole numbers; division by 0 gives 0."""

UNSIGNED = {
    **{k: WHOLE[k] for k in ("maximum", "minimum", "pow")},
    "sign": "T signN(T x) { return x > 0; }",
    "remainder": "T remainderN(T a, T b) { return (T)(b == 0 ? 0 : a % b); }",
    "floor_div": "T floor_divN(T a, T b) { return (T)(b == 0 ? 0 : a / b); }",
}

BITS = """\
static TO bits_TO(FROM x)
{
    TO y;
    memcpy(&y, &x, sizeof y);
    return y;
}
"""
"""The bits of a number read as another type."""

_NAMES = {"float": "f", "double": "d"}


def name_of(op: str, dtype: DType) -> str:
    """What a function is called for a type."""
    kind = memory_type(dtype)
    return f"{op}_{_NAMES.get(kind, kind.removesuffix('_t'))}"


def helper(op: str, dtype: DType) -> str | None:
    """The text of a function for a type; None where C has it."""
    table = {"f": FLOAT, "u": UNSIGNED}.get(dtype.kind, WHOLE)
    if op not in table:
        return None
    text = table[op].replace(f"{op}N", name_of(op, dtype))
    words = {"T ": f"{memory_type(dtype)} ", "(T)": f"({memory_type(dtype)})"}
    for old, new in words.items():
        text = text.replace(old, new)
    for function in ("exp", "sqrt", "fabs", "log1p", "fmod", "floor", "copysign"):
        text = text.replace(f"{function}F(", f"{function}{suffix(dtype)}(")
    return f"static {text}\n"


def bits(old: DType, new: DType) -> tuple[str, str]:
    """The name and the text of what reads the bits of one type as another."""
    to, source = memory_type(new), memory_type(old)
    text = BITS.replace("bits_TO", f"bits_{to}_of_{source}").replace("TO", to)
    return f"bits_{to}_of_{source}", text.replace("FROM", source)
