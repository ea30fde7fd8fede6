"""A model, or a whole training step, as one file of C that needs nothing but the C library."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..compiler.c import literal, literals, memory_type
from ..dtypes import DType
from ..errors import ExportError
from ..graph import Node
from ..graph.node import type_text
from ..nn import Module
from ..train.files import write_text
from ..version import __version__
from .functions import Function, Value, arena_name, function_of, shared_values, write
from .recording import example_of, module_of, record_model, record_step

OWNER = "export_c"
LARGEST = 5_000_000
"""Numbers that a file holds at most: compilers take a hundred bytes and more for each."""
MATHS = re.compile(r"\b(?:INFINITY|NAN|isnan|(?:exp|expm1|log|log1p|sin|cos|tanh|erf|sqrt|floor"
                   r"|rint|fabs|pow|fmod|copysign|hypot)f?)\b")  # fmt: skip
STRINGS = re.compile(r"\b(?:mem|str)\w+\(")
STATE = "chainrule_state"


def export_c(
    model_or_step: Any, example: Any, path: Any, *, predict: tuple[Any, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Writes a file of C99 that computes what a model, or a training step, computes.

    model_or_step: a Module gives `void predict(const float *x, float *y)`, its forward pass in
    evaluation mode.  A function that takes a whole training step, compiled or not, gives
    `int train_step(chainrule_state *s, const float *x, ...)`: forward, backward and the optimizer's
    update, with weights, the optimizer's state and numbers, counts and the random generator in the
    struct, which `train_init` fills with what they are now.  It returns 0, or 1 where it refuses
    what it was given, such as a label out of its range, and then nothing was updated.  A `predict`
    that can refuse, of an index, returns an int too.
    example: what it is called with, a tensor or an array; a tuple for several arguments.  The
    file has its shapes, the batch size too.  path: the file; one that is there is replaced.
    predict: with a step, a model and its example: also its `predict`, on the weights of the state.
    metadata: texts by name that stand in the head of the file (None).

    The file needs <math.h>, <stdint.h> and <string.h>, no malloc and no thread: weights are arrays
    with every bit, temporary values lie in static arrays, so one call may run at a time.  Its head
    says shapes and sizes in bytes.  Compiled with -DCHAINRULE_MAIN it is a program that reads
    numbers from stdin and prints results.  Dropout and other random numbers have the engine's bits;
    sums may be rounded in another order.

    Raises ExportError for more than 5 million numbers, ArgumentTypeError for Python numbers among
    the arguments.  Model, optimizer and generator are as before.  PyTorch has no such function.

    >>> import chainrule, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.c")
    >>> chainrule.export_c(chainrule.nn.Linear(2, 1), chainrule.ones(1, 2), path)
    >>> with open(path) as file:
    ...     print([line for line in file if line.startswith("void")][0], end="")
    void predict(const float *x, float *y)
    """
    functions = _functions(model_or_step, example, predict)
    values = shared_values(functions)
    check_size(OWNER, values)
    helpers: dict[str, str] = {}
    for f in functions:
        helpers |= write(f)
    lines = _file(functions, values, helpers, metadata or {})
    write_text(path, "\n".join(lines) + "\n")


def check_size(owner: str, values: list[Value]) -> None:
    """Raises where a file would hold too many numbers for compilers."""
    total = sum(v.array.size for v in values)
    if total > LARGEST:
        raise ExportError(
            f"{owner}: too many numbers for a file of C", expected=f"at most {LARGEST:,}",
            got=f"{total:,}", fix="chainrule.onnx, or chainrule.save",
        )  # fmt: skip


def _functions(thing: Any, example: Any, predict: Any) -> list[Function]:
    args, thing = example_of(OWNER, example), module_of(thing)
    if isinstance(thing, Module):
        return [function_of("predict", record_model(OWNER, thing, args), False)]
    functions = [function_of("train_step", record_step(OWNER, thing, args), True)]
    if predict is not None:
        model, given = predict
        recorded = record_model(OWNER, model, example_of(OWNER, given))
        functions.append(function_of("predict", recorded, False))
    return functions


# ---------------------------------------------------------------- the file


def _file(
    functions: list[Function], values: list[Value], helpers: dict[str, str],
    metadata: Mapping[str, str],
) -> Iterator[str]:  # fmt: skip
    constants = [v for v in values if not v.field]
    fields = [v for v in values if v.field]
    arenas = arenas_of(functions)
    body = [line for f in functions for line in definition(f)]
    rest = [
        *_state(fields),
        *constant_arrays(constants),
        *arena_arrays(arenas),
        *helpers.values(),
        *body,
    ]
    yield from _head(functions, constants, fields, arenas, metadata)
    yield from includes("\n".join(rest))
    yield from rest
    yield from _main(functions, bool(fields))


def arenas_of(functions: list[Function]) -> dict[DType, int]:
    """How many temporary values of each type the functions need, one at a time."""
    found: dict[DType, int] = {}
    for f in functions:
        for dtype, size in f.arena.items():
            found[dtype] = max(found.get(dtype, 0), size)
    return found


def includes(text: str) -> Iterator[str]:
    """The headers that a text needs."""
    if MATHS.search(text):
        yield "#include <math.h>"
    yield "#include <stdint.h>"
    if STRINGS.search(text):
        yield "#include <string.h>"
    yield ""


def _head(
    functions: list[Function], constants: list[Value], fields: list[Value],
    arenas: dict[DType, int], metadata: Mapping[str, str],
) -> Iterator[str]:  # fmt: skip
    """The comment at the head: what goes in and comes out, and how large everything is."""
    yield f"/* Written by Chainrule {__version__}. C99; needs no library but the C library's."
    yield " *"
    for f in functions:
        yield f" * {signature(f)}"
        for name, n in f.takes:
            yield f" *     {name:<16} in   {type_text(n)}, {_bytes(n.size, n.dtype)}"
        for name, b in f.gives:
            yield f" *     {name:<16} out  {type_text(b)}, {_bytes(b.size, b.dtype)}"
    yield " *"
    sizes = {"constants": constants, "state": fields}
    for what, listed in sizes.items():
        yield f" * {what:<10} {sum(v.array.nbytes for v in listed):>12,} bytes"
    arena = sum(n * d.itemsize for d, n in arenas.items())
    yield f" * {'temporary':<10} {arena:>12,} bytes, static: one call at a time"
    yield " *"
    for name, text in metadata.items():
        yield from commented(f"{name}: {text}")
        yield " *"
    yield " * A program that reads numbers and prints results: cc -O3 -DCHAINRULE_MAIN file.c -lm"
    yield " */"
    yield ""


def commented(text: str) -> Iterator[str]:
    """A text as lines within a comment, which it can't end."""
    safe = re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)", " ", " ".join(text.split()))
    for line in textwrap.wrap(safe, 94, subsequent_indent="    ", break_on_hyphens=False):
        yield f" * {line}"


def _bytes(size: int, dtype: DType) -> str:
    return f"{size * dtype.itemsize:,} bytes"


def signature(f: Function) -> str:
    """The head of a function."""
    given = []
    if f.uses:
        given.append(f"{'' if f.writes else 'const '}{STATE} *s")
    for name, n in f.takes:
        const = "" if n in f.changed else "const "
        given.append(f"{const}{memory_type(n.dtype)} *{name}")
    given += [f"{memory_type(b.dtype)} *{name}" for name, b in f.gives]
    kind = ("static " if f.local else "") + ("int" if f.answers else "void")
    return f"{kind} {f.name}({', '.join(given) or 'void'})"


def definition(f: Function) -> Iterator[str]:
    """A function, whole."""
    yield ""
    yield signature(f)
    yield "{"
    yield from (f"    {line}" for line in f.lines)
    if f.answers:
        yield "    return 0;"
    yield "}"


def arena_arrays(arenas: dict[DType, int]) -> Iterator[str]:
    """The memory for temporary values."""
    for dtype, size in arenas.items():
        if size:
            yield f"static {memory_type(dtype)} {arena_name(dtype)}[{size}];"
    yield ""


# ---------------------------------------------------------------- numbers


def constant_arrays(values: list[Value]) -> Iterator[str]:
    """The arrays of constants."""
    for v in values:
        yield f"/* {_shown(v)} */"
        yield from _array(f"static const {memory_type(v.array.dtype)} {v.name}", v.array)
    yield ""


def _shown(v: Value) -> str:
    label = re.sub(
        r"[^\w.#]", "_", v.label, flags=re.ASCII
    )  # whatever a name holds, it ends no comment
    return f"{label}: {type_text(v.array)}"


def _array(head: str, array: Any) -> Iterator[str]:
    """An array with all its numbers."""
    texts = literals(array) or ["0"]
    yield f"{head}[{len(texts)}] = {{"
    width = max(map(len, texts)) + 2
    columns = max(96 // width, 1)
    for i in range(0, len(texts), columns):
        yield f"    {', '.join(texts[i : i + columns])},"
    yield "};"


def _state(fields: list[Value]) -> Iterator[str]:
    """The struct, and what fills it."""
    if not fields:
        return
    yield "typedef struct {"
    for v in fields:
        size = "" if not v.array.ndim else f"[{max(v.array.size, 1)}]"
        yield f"    {memory_type(v.array.dtype)} {v.name}{size}; /* {_shown(v)} */"
    yield f"}} {STATE};"
    yield ""
    starts: list[str] = []
    lines: list[str] = []
    for v in fields:
        kind = memory_type(v.array.dtype)
        if not v.array.ndim:
            lines.append(f"s->{v.name} = {literal(v.array.item(), v.array.dtype)};")
        elif v.array.any() or np.signbit(v.array.astype(float)).any():
            starts += _array(f"static const {kind} start_{v.name}", v.array)
            lines.append(f"memcpy(s->{v.name}, start_{v.name}, sizeof s->{v.name});")
        else:
            lines.append(f"memset(s->{v.name}, 0, sizeof s->{v.name});")
    yield from starts
    yield ""
    yield f"void train_init({STATE} *s)"
    yield "{"
    yield from (f"    {line}" for line in lines)
    yield "}"
    yield ""


# ---------------------------------------------------------------- a program of its own

SCANNED = {"float": "%f", "double": "%lf"}
PRINTED = {"float": "%.9g", "double": "%.17g"}


READING = r"""#include <stdio.h>

/* Goes to the next number, past blanks, commas and semicolons; gives 0 where the input ends. */
static int find_number(void)
{
    int c = getchar();
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ';')
        c = getchar();
    ungetc(c, stdin);
    return c != EOF;
}

static int stop(const char *what, long number)
{
    fprintf(stderr, "error: stdin, number %ld: %s\n", number, what);
    return 1;
}
"""


def _main(functions: list[Function], state: bool) -> Iterator[str]:
    """A main() that calls the first function on whatever stdin holds.

    It ends with 0 after a whole call's numbers, with 1 within them and at what is no number.
    """
    f = functions[0]
    yield ""
    yield "#ifdef CHAINRULE_MAIN"
    yield from READING.splitlines()
    yield ""
    yield "int main(void)"
    yield "{"
    yield "    long numbers = 0;"
    if state:
        yield f"    static {STATE} s;"
    for name, n in f.takes:
        yield f"    static {memory_type(n.dtype)} {name}[{max(n.size, 1)}];"
    for name, b in f.gives:
        yield f"    static {memory_type(b.dtype)} {name}[{max(b.size, 1)}];"
    if state:
        yield "    train_init(&s);"
    yield "    for (;;) {"
    yield "        const long before = numbers;"
    for name, n in f.takes:
        yield from _read(name, n)
    given = [*(["&s"] if f.uses else []), *(name for name, _ in f.takes),
             *(name for name, _ in f.gives)]  # fmt: skip
    call = f"{f.name}({', '.join(given)})"
    refusal = ['            fputs("refused\\n", stderr);']
    yield f"        if ({call})" if f.answers else f"        {call};"
    yield from refusal if f.answers else ()
    for name, b in f.gives:
        kind = memory_type(b.dtype)
        shown = (
            f'"{PRINTED[kind]} ", {name}[i]'
            if kind in PRINTED
            else f'"%lld ", (long long){name}[i]'
        )
        yield f"        for (int i = 0; i < {b.size}; i++)"
        yield f"            printf({shown});"
    yield '        printf("\\n");'
    yield "    }"
    yield "}"
    yield "#endif"


def _read(name: str, n: Node) -> Iterator[str]:
    """Numbers of an argument from stdin; where they end, so does the program."""
    kind = memory_type(n.dtype)
    yield f"        for (int i = 0; i < {math.prod(n.shape)}; i++) {{"
    if kind not in SCANNED:
        yield "            long long number;"
    yield "            if (!find_number())"
    yield '                return numbers == before ? 0 : stop("the input ends here", numbers + 1);'
    yield "            numbers++;"
    form, to = (SCANNED[kind], f"{name}[i]") if kind in SCANNED else ("%lld", "number")
    yield f'            if (scanf("{form}", &{to}) != 1)'
    yield '                return stop("not a number", numbers);'
    if kind not in SCANNED:
        yield f"            {name}[i] = ({kind})number;"
    yield "        }"
