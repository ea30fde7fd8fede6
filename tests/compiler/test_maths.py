"""The spelled functions: their error over all numbers, and what they give at the edges."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from chainrule.compiler.loops import interpret, maths
from chainrule.compiler.loops.expr import walk
from chainrule.compiler.loops.maths import SPELLED
from chainrule.ops import REGISTRY
from compiler.spelled import BOUNDS, COUNTS, evaluate, operations, spell, ulp_error

FLOATS = (np.float32, np.float64)
WHOLE = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64)
TWO = ("pow", "floor_div", "remainder")
ONE = tuple(name for name in SPELLED if name not in TWO)
ROOMY = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="no type here is wider than float64"
)
# fmt: off
EDGES = np.array([
    0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 1e-45, -1e-45, 1e-40, -1e-40, 2e-38, -2e-38, 1e-20,
    -1e-20, 0.3, -0.3, 0.5, -0.5, 1, -1, 1.5, -1.5, 2, -2, 3, -3, 17, -17, 88.7, 88.8, -87, -100,
    -103.9, -104.1, -110, 709.7, 709.8, -708, -740, -745, -746, 1e4, -1e4, 7e5, -7e5, 3e38, -3e38,
    1e300, -1e300, np.inf, -np.inf, np.nan,
])
# fmt: on


def patterns(step, start=0):
    """Every step-th float32 in the order of their bits."""
    return np.arange(start, 1 << 32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def edges(dtype):
    with np.errstate(all="ignore"):
        return EDGES.astype(dtype)


def any_float(rng, count, dtype):
    """Numbers with random bits: of every size, inf and nan among them."""
    size = np.dtype(dtype).itemsize
    return np.frombuffer(rng.bytes(count * size), dtype)


def wider(x):
    with np.errstate(all="ignore"):
        return x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)


def exact(name, *arrays):
    """A reference, computed in a type that is wider than what is tested."""
    with np.errstate(all="ignore"):
        if name == "erf" and arrays[0].dtype == np.float64:
            return np.array([math.erf(v) for v in arrays[0]])  # within 1 ulp itself
        return np.asarray(REGISTRY[name].forward(*map(wider, arrays)))


def reduced(name, x):
    """x, for sin and cos without what is too large to be reduced."""
    return np.where(np.abs(x) > 1e5, x.dtype.type(0), x) if name in ("sin", "cos") else x


def same(y, wanted, ulps=0):
    """Whether results agree: nan with nan, signs with signs, zeros' included."""
    y, wanted = np.asarray(y), np.asarray(wanted)
    with np.errstate(all="ignore"):
        close = (y == wanted) | (np.abs(y - wanted) <= ulps * np.spacing(np.abs(wanted)))
    alike = close & (np.signbit(y) == np.signbit(wanted))
    return alike | (np.isnan(y) & np.isnan(wanted))


# ------------------------------------------------------------ errors


@pytest.fixture(params=["fused", "apart"])
def fma(request, monkeypatch):
    """Runs a test as on a processor that multiplies and adds in one rounding, and in two."""
    if request.param == "apart":
        monkeypatch.setitem(interpret.FUNCTIONS, "fma", lambda a, b, c: a * b + c)


@pytest.mark.parametrize("name", ONE)
def test_float32_is_within_its_bound_over_its_whole_range(name, fma):
    x = reduced(name, patterns(20011))
    assert ulp_error(evaluate(name, x), exact(name, x)).max() <= BOUNDS[name][0]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("name", ONE)
def test_float32_is_within_its_bound_at_one_number_in_251(name, part):
    x = reduced(name, patterns(251 * 4, 251 * part))
    assert ulp_error(evaluate(name, x), exact(name, x)).max() <= BOUNDS[name][0]


@ROOMY
@pytest.mark.parametrize("name", ONE)
def test_float64_is_within_its_bound(name, fma):
    rng = np.random.default_rng(5)
    usual = [rng.normal(size=8000) * scale for scale in (0.3, 1, 5, 300)]
    x = reduced(name, np.concatenate([any_float(rng, 8000, np.float64), *usual]))
    own = 1 if name == "erf" else 0  # the reference's
    assert ulp_error(evaluate(name, x), exact(name, x)).max() <= BOUNDS[name][1] + own


@ROOMY
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["any", "any base", "usual", "near 1"])
def test_a_power_is_within_its_bound(kind, dtype, fma):
    rng = np.random.default_rng(6)
    base, exponent = {
        "any": lambda n: (any_float(rng, n, dtype), any_float(rng, n, dtype)),
        "any base": lambda n: (any_float(rng, n, dtype), rng.normal(size=n)),
        "usual": lambda n: (np.exp(rng.normal(size=n) * 3), rng.normal(size=n) * 10),
        "near 1": lambda n: (1 + rng.normal(size=n) * 1e-3, rng.normal(size=n) * 3e4),
    }[kind](40000)
    a, b = base.astype(dtype), exponent.astype(dtype)
    error = ulp_error(evaluate("pow", a, b), exact("pow", a, b))
    assert error.max() <= BOUNDS["pow"][FLOATS.index(dtype)]


@pytest.mark.parametrize(
    "exponent", [0, 1, 2, 3, 4, 5, 11, 64, -1, -2, -3, -9, 0.5, -0.5, 1.5, -1.5, 2.5]
)
def test_a_known_exponent(exponent):
    x = np.concatenate([edges(np.float32), patterns(100003)])
    with np.errstate(all="ignore"):
        wanted = np.sqrt(wider(x)) if exponent == 0.5 else np.power(wider(x), float(exponent))
    assert ulp_error(evaluate("pow", x, number=exponent), wanted).max() <= 2


@ROOMY
@pytest.mark.parametrize("exponent", [2, 3, 4, 7, 16, 17, -1, -2, -8, -0.5, 1.5, -1.5, 2.5])
def test_a_known_exponent_of_float64(exponent):
    x = np.random.default_rng(7).normal(size=20000) * 5
    with np.errstate(all="ignore"):
        wanted = np.power(wider(x), np.longdouble(exponent))
    error = ulp_error(evaluate("pow", x, number=exponent), wanted)
    assert error.max() <= max(2, abs(exponent))


def test_nothing_but_what_a_processor_does():
    """The blocks that machine code is made of; shifts are by a number known beforehand."""
    blocks = {
        "const", "load", "add", "sub", "mul", "div", "neg", "fma", "abs", "sqrt", "floor", "round",
        "select", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "shl", "shr", "cast",
        "bits", "idiv",
    }  # fmt: skip
    for name in SPELLED:
        for dtype in (*FLOATS, *WHOLE) if name in (*TWO, "sign", "relu") else FLOATS:
            for e in walk(spell(name, *[dtype] * (2 if name in TWO else 1))[1]):
                assert e.op in blocks
                assert e.op not in ("shl", "shr") or e.args[1].op == "const"
                assert e.op != "idiv" or e.dtype.kind in "iu"
                assert e.op != "bits" or e.dtype.itemsize == e.args[0].dtype.itemsize
                assert e.op != "cast" or e.dtype.kind == "f" or e.args[0].dtype.kind != "f"


def test_few_operations():
    """What a function costs; a change is made on purpose or not at all."""
    for name, wanted in COUNTS.items():
        arity = 2 if name in TWO else 1
        assert tuple(operations(name, *[d] * arity) for d in FLOATS) == wanted, name


def test_the_page_says_what_is_tested():
    page = (Path(maths.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert BOUNDS.keys() == COUNTS.keys() == SPELLED.keys()
    for name, (few, many) in COUNTS.items():
        narrow, wide = BOUNDS[name]
        assert f"| {name} | {narrow:g} | {few} | {wide:g} | {many} |" in page


# ------------------------------------------------------------ edges


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ONE)
def test_the_edges_are_numpys(name, dtype):
    with np.errstate(all="ignore"):
        x = reduced(name, edges(dtype))
        wanted = REGISTRY[name].forward(x)
        if name == "relu":  # which of two zeros is the larger one NumPy leaves open
            x, wanted = x + 0, wanted + 0
    y = evaluate(name, x)
    assert y.dtype == dtype
    assert np.all(ok := same(y, wanted, 3)), (x[~ok], y[~ok], wanted[~ok])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", TWO)
def test_the_edges_of_two_are_numpys(name, dtype):
    with np.errstate(all="ignore"):
        a, b = (x.ravel() for x in np.meshgrid(edges(dtype), edges(dtype)))
        if name != "pow" and dtype == np.float64:
            a, b = (x[~(np.abs(a / b) > 2.0**115)] for x in (a, b))
        wanted = REGISTRY[name].forward(a, b)
    y = evaluate(name, a, b)
    ok = same(y, wanted, 4 if name == "pow" else 0)
    assert np.all(ok), (a[~ok], b[~ok], y[~ok], wanted[~ok])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["floor_div", "remainder"])
def test_a_division_of_floats_is_exact(name, dtype):
    rng = np.random.default_rng(8)
    a = np.concatenate([any_float(rng, 9000, dtype), (rng.normal(size=9000) * 99).astype(dtype)])
    b = np.concatenate([any_float(rng, 9000, dtype), rng.integers(-9, 9, 9000).astype(dtype)])
    with np.errstate(all="ignore"):
        if dtype == np.float64:
            a = np.where(np.abs(a / b) > 2.0**115, b, a)
        wanted = REGISTRY[name].forward(a, b)
    assert np.all(same(evaluate(name, a, b), wanted))


def test_a_remainder_of_very_different_float64_stays_below_the_divisor():
    y = evaluate("remainder", np.array([1e300, -1e300, 1e308]), np.array([3.0, 3.0, 1e-320]))
    assert np.array_equal(y, [0, 0, 0])


@pytest.mark.parametrize("dtype", WHOLE)
def test_divisions_and_powers_of_whole_numbers(dtype):
    rng = np.random.default_rng(9)
    limits = np.iinfo(dtype)
    edges = np.array([limits.min, limits.max, 0, 1, 2, limits.max // 2 + 1], dtype)
    a, b = (x.ravel() for x in np.meshgrid(edges, edges))
    draw = [rng.integers(limits.min, limits.max, 3000, dtype, endpoint=True) for _ in range(2)]
    small = rng.integers(0, 9, 3000).astype(dtype)
    if dtype in (np.int8, np.int16, np.int32, np.int64):
        small -= small.dtype.type(4)
    a, b = np.concatenate([a, *draw, edges]), np.concatenate([b, draw[1], small, edges * 0 - 1])
    with np.errstate(all="ignore"):
        assert np.array_equal(evaluate("floor_div", a, b), np.floor_divide(a, b))
        assert np.array_equal(evaluate("remainder", a, b), np.remainder(a, b))
        b = np.where(b < 0, ~b, b)
        assert np.array_equal(evaluate("pow", a, b), np.power(a, b))
        assert np.array_equal(evaluate("pow", a, number=5), np.power(a, dtype(5)))


def test_a_negative_exponent_of_whole_numbers_leaves_what_is_whole():
    a = np.array([1, -1, -1, 2, 0], np.int64)
    assert evaluate("pow", a, np.array([-3, -3, -2, -1, -1])).tolist() == [1, -1, 1, 0, 0]


@pytest.mark.parametrize("dtype", WHOLE)
def test_steps_of_whole_numbers(dtype):
    x = np.arange(10).astype(dtype) - dtype(0 if np.iinfo(dtype).min == 0 else 5)
    assert np.array_equal(evaluate("sign", x), np.sign(x))
    assert np.array_equal(evaluate("relu", x), np.maximum(x, 0))


# ------------------------------------------------------------ properties


@pytest.mark.parametrize("name", ["tanh", "sin", "erf", "sign"])
def test_odd_functions_are_odd(name):
    x = reduced(name, patterns(100003))
    assert np.array_equal(evaluate(name, -x), -evaluate(name, x), equal_nan=True)


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "cos"])
def test_what_lies_within_1_never_leaves(name):
    x = patterns(20011)
    y = evaluate(name, x)
    assert np.nanmax(np.abs(y)) <= 1
    assert np.array_equal(np.isnan(y), np.isnan(x) | (np.isinf(x) & (name in ("sin", "cos"))))


def test_two_sigmoids_make_one():
    x = patterns(100003)
    x = x[~np.isnan(x)]
    total = evaluate("sigmoid", x).astype(np.float64) + evaluate("sigmoid", -x)
    assert np.abs(total - 1).max() <= 2.0**-23


@pytest.mark.parametrize("step", [20011, pytest.param(4099, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf"])
def test_what_grows_never_falls(name, step):
    x = np.sort(patterns(step))
    y = evaluate(name, x)
    y = y[~np.isnan(y)]
    assert np.all(y[1:] >= y[:-1])


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_number_between_two_branches(dtype):
    """The intervals of the polynomials meet without a step."""
    for name, point in (("erf", 1.2), ("softplus", math.log(math.sqrt(2) - 1)), ("log", 2**0.5)):
        x = np.full(64, point, dtype) + np.arange(-32, 32).astype(dtype) * np.finfo(dtype).eps
        y = evaluate(name, x)
        assert np.abs(np.diff(y)).max() <= 4 * np.finfo(dtype).eps


@pytest.mark.parametrize(("dtype", "least"), [(np.float32, 3.9), (np.float64, 5.93)])
def test_erf_ends_at_one(dtype, least, fma):
    """Or gelu, which is x (erf(x / sqrt 2) + 1) / 2, would grow again far below 0."""
    x = np.concatenate([np.linspace(least, 8, 4001), [1e2, 1e4, 1e30, np.inf]]).astype(dtype)
    assert (evaluate("erf", x) == 1).all()
    assert (evaluate("erf", -x) == -1).all()
    within = np.linspace(3.5, least, 4001).astype(dtype)
    assert (evaluate("erf", within) <= 1).all()
