"""The model of a table as one file of C: a row of raw columns goes in, what it means comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..data.tables.blocks import CategoricalBlock
from ..data.tables.scaling import CLIP, HUGE, PARTS
from ..train.files import write_text
from ..train.tabular import TableModel
from ..version import __version__
from .answering import (
    ABSENT,
    DAY,
    END,
    FIRST_SECOND,
    NEITHER,
    NUMBER,
    SECONDS,
    TEXT,
    Answering,
    Given,
    columns_of,
    names_of,
    need_model,
    prepared,
)
from .c import arena_arrays, arenas_of, check_size, commented, constant_arrays, definition, includes
from .functions import WORDS, function_of, shared_values, write
from .recording import record_model
from .table_main import main_of
from .table_text import double, literal_text, text_lists

OWNER = "export_table_c"
ROW = "chainrule_row"
MACROS = (
    "BUFSIZ EOF INFINITY LONGEST MISSING COLUMNS MOST NAN NULL NFDBITS stdin stdout stderr errno "
)
MACROS += "linux unix i386 alloca asm typeof"
"""What headers and compilers may define, and this file."""
LIKE_MACROS = re.compile(r"_.*|[A-Z][A-Z0-9]*_.*|[EW][A-Z0-9]+")
"""Names as headers define more of them: M_PI, RAND_MAX, EDOM."""

SCALED = f"""
static double chainrule_scaled(double x, double half_median, double half_spread)
{{
    double z = isnan(x) ? 0.0 : (x * 0.5 - half_median) / half_spread;
    z = z > {HUGE!r} ? {HUGE!r} : z < -{HUGE!r} ? -{HUGE!r} : z;
    return z / hypot(1.0, z / {CLIP!r});
}}"""

REST = """
static double chainrule_rest(double x, double n)
{
    return x - floor(x / n) * n;
}"""

MONTH = """
/* The month from 0 of a day since 1970, by years that begin in March, in eras of 400 years. */
static double chainrule_month(double day)
{
    double n = chainrule_rest(day + 719468.0, 146097.0);
    double year = floor((n - floor(n / 1460.0) + floor(n / 36524.0) - floor(n / 146096.0)) / 365.0);
    double in_year = n - (365.0 * year + floor(year / 4.0) - floor(year / 100.0));
    return chainrule_rest(floor((5.0 * in_year + 2.0) / 153.0) + 2.0, 12.0);
}"""

SHARES = {
    "month": "chainrule_month(floor(x / 86400.0)) / 12.0",
    "weekday": "chainrule_rest(floor(x / 86400.0) + 3.0, 7.0) / 7.0",
    "hour": "chainrule_rest(x, 86400.0) / 86400.0",
}
"""How far a moment is in its year, week or day."""

PLACE = """
/* The place of a text, without blanks around it, among sorted ones; -1 where it is none. */
static int chainrule_place(const char *text, const char *const *texts, int count)
{
    int low = 0, high = count;
    size_t size;
    while (*text == ' ')
        text++;
    size = strlen(text);
    while (size && text[size - 1] == ' ')
        size--;
    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = strncmp(texts[middle], text, size);
        if (!order && !texts[middle][size])
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}"""

CODE = """
/* The code of a text; of NULL `missing`, of one that is not listed `other`. */
static int chainrule_code(
    const char *text, int missing, int other, const char *const *texts, const int *codes, int count)
{
    int at = text ? chainrule_place(text, texts, count) : -1;
    return !text ? missing : at < 0 ? other : codes[at];
}"""


class Member(NamedTuple):
    """A column as a member of the row's struct; texts: the number of its list of texts."""

    column: Given
    name: str
    texts: int

    @property
    def type(self) -> str:
        """With the blank or star before the name."""
        return "const char *" if self.column.kind == TEXT else "double "


def export_table_c(model: TableModel, path: Any) -> None:
    """Writes a file of C99 that predicts a row of a table from its raw columns.

    model: what TableFit gives, or TableModel.load.  path: the file; one that is there is replaced.

    `chainrule_row` is a struct with a member for every column: a double for a number, NAN where it
    is missing; a double for a date, seconds since 1970-01-01 in UTC; a `const char *` for a
    category and for true or false, as it stands in the table, NULL where it is missing.
    `int predict(const chainrule_row *row, double *probabilities, int *label)` fills in the
    probability of each class and the place of the likeliest in `chainrule_labels`; for a multilabel
    target `label` holds 0 or 1 for each label; a regression has `int predict(const chainrule_row
    *row, double *y)`, in the targets' units.  It returns 0; 1 where the row holds what
    TableModel.predict refuses: an infinite number, a word that is no truth, a date outside of the
    years 1 to 9999.  Answers are those of TableModel.scores but for rounding.

    The file predicts and does not learn.  What `export_c` says of memory and libraries holds here.
    Compiled with -DCHAINRULE_MAIN it is a program that reads a table as CSV, a file that is named
    or stdin, with its line of names, in UTF-8, and prints what `chainrule predict` prints, within
    rounding.  Cells stand between commas, semicolons, tabs or bars, as the names do; where it is
    not commas, decimals may have one.  Dates have the form of the column, or are in seconds where
    it has parts that C can't read.  Raises ExportError for more than 5 million numbers.  PyTorch
    has no such function.

    >>> import chainrule, os, tempfile
    >>> from chainrule.train.tabular import Recipe, TableFit
    >>> recipe = Recipe(epochs=2, hidden=(4,))
    >>> model = TableFit(chainrule.data.penguins(), "species", recipe=recipe, seed=0).run()
    >>> path = os.path.join(tempfile.mkdtemp(), "penguins.c")
    >>> chainrule.export_table_c(model, path)
    >>> with open(path) as file:
    ...     print([line for line in file if line.startswith("int predict")][0], end="")
    int predict(const chainrule_row *row, double *probabilities, int *label)
    """
    need_model(OWNER, model)
    f = function_of("networks", record_model(OWNER, Answering(model), prepared(model)), False)
    f.local = True
    values = shared_values([f])
    check_size(OWNER, values)
    helpers = write(f)
    columns = columns_of(model)
    lists, numbers = text_lists(columns)
    names = _member_names([c.block.name for c in columns])
    members = list(map(Member, columns, names, numbers))
    own = [*_row(members), *_labels(model), *_helpers(columns), *lists,
           *_predict(model, members, f.answers)]  # fmt: skip
    text = [*constant_arrays(values), *arena_arrays(arenas_of([f])), *helpers.values(),
            *definition(f), *own]  # fmt: skip
    rest = main_of(model, [(m.name, m.column) for m in members], PLACE)
    size = sum(v.array.nbytes for v in values)
    head = [*_head(model, members, size), *includes("\n".join(text))]
    write_text(path, "\n".join([*head, *text, *rest]) + "\n")


def _member_names(names: list[str]) -> list[str]:
    """A name of C for each column."""
    taken = {*WORDS.split(), *MACROS.split()}
    found = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "column"
        plain = f"column_{plain}" if plain[0].isdigit() else plain
        plain = f"column{plain}" if plain[0] == "_" else plain
        plain = f"{plain}_column" if LIKE_MACROS.fullmatch(plain) else plain
        wanted, count = plain, 1
        while wanted in taken:
            count += 1
            wanted = f"{plain}_{count}"
        taken.add(wanted)
        found.append(wanted)
    return found


def _head(model: TableModel, members: list[Member], size: int) -> Iterator[str]:
    """The comment at the head: what goes in and comes out."""
    target = model.target
    yield f"/* Written by Chainrule {__version__}. C99; needs no library but the C library's."
    yield " *"
    yield f" * {_signature(model)}"
    texts = [
        "It takes the raw columns of a table, a row a call, and prepares them itself. It returns "
        "0; 1 where a number is infinite, a word neither true nor false, a date not of the years "
        "1 to 9999. One call at a time: temporary values are static. It predicts and does not "
        "learn. Not for -ffast-math, which knows no NAN.",
        *(f"{m.name}: {m.column.block.name!r}: {m.column.said}" for m in members),
        f"{target.task} of {', '.join(target.names)}: {', '.join(names_of(model))}",
        f"constants: {size:,} bytes",
        "A program that reads a table as CSV and predicts its rows: cc -O3 -DCHAINRULE_MAIN "
        "file.c -lm",
    ]
    for text in texts:
        yield " *"
        yield from commented(_readable(text))
    yield " */"
    yield ""


def _readable(text: str) -> str:
    """What turns the direction of writing, or is no sign at all, as its escape; no trigraph."""
    signs = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return signs.replace("??", "? ?")


def _signature(model: TableModel) -> str:
    results = "double *y" if model.target.task == "regression" else (
        "double *probabilities, int *label")  # fmt: skip
    return f"int predict(const {ROW} *row, {results})"


def _row(members: list[Member]) -> Iterator[str]:
    yield ""
    yield "typedef struct {"
    yield from (f"    {m.type}{m.name}; /* {m.column.kind} */" for m in members)
    yield f"}} {ROW};"


def _labels(model: TableModel) -> Iterator[str]:
    if model.target.task != "regression":
        names = names_of(model)
        yield ""
        yield f"const char *const chainrule_labels[{len(names)}] = {{"
        yield from (f"    {literal_text(name)}," for name in names)
        yield "};"


def _helpers(columns: list[Given]) -> Iterator[str]:
    """The functions that some column needs."""
    kinds = {c.kind for c in columns}
    rounds = {part for c in columns for part in getattr(c.block, "rounds", ())}
    if kinds & {NUMBER, SECONDS}:
        yield SCALED
    if rounds:
        yield REST
    if "month" in rounds:
        yield MONTH
    if TEXT in kinds:
        yield PLACE
        yield CODE


# ---------------------------------------------------------------- a row


def _predict(model: TableModel, members: list[Member], answers: bool) -> Iterator[str]:
    """From the raw columns through the networks to the answer."""
    numbers = len(model.preprocessing.numeric_names)
    codes = len(model.preprocessing.cardinalities)
    given = []
    yield ""
    yield _signature(model)
    yield "{"
    if numbers:
        yield f"    float numeric[{numbers}];"
        given.append("numeric")
    if codes:
        yield f"    int64_t categorical[{codes}];"
        given.append("categorical")
    n = k = 0
    for m in members:
        if isinstance(m.column.block, CategoricalBlock):
            yield f"    categorical[{k}] = {_code(m, 1)};"
            k += 1
            continue
        yield "    {"
        for line in _numbers(m, n):
            yield f"        {line}"
        yield "    }"
        n += len(m.column.block.numeric_names)
    y = "y" if model.target.task == "regression" else "probabilities"
    call = f"networks({', '.join([*given, y])})"
    yield from ([f"    if ({call})", "        return 1;"] if answers else [f"    {call};"])
    yield from _decision(model)
    yield "    return 0;"
    yield "}"


def _code(m: Member, missing: int) -> str:
    c = m.column
    return (f"chainrule_code(row->{m.name}, {missing}, {c.other}, texts_{m.texts}, "
            f"codes_{m.texts}, {_count(c)})")  # fmt: skip


def _count(c: Given) -> int:
    return sum("\0" not in text for text in c.codes)


def _numbers(m: Member, n: int) -> Iterator[str]:
    """What a column is for the networks, from place n on."""
    block: Any = m.column.block
    at = n + len(block.parts)
    if m.column.kind == TEXT:
        yield f"int code = {_code(m, ABSENT)};"
        yield f"if (code == {NEITHER})"
        yield "    return 1;"
        yield f"numeric[{n}] = (float)(code - {ABSENT});"
        missing = f"code == {ABSENT}"
    else:
        yield f"double x = row->{m.name};"
        yield from _checked(m.column)
        value = "x" if m.column.kind == NUMBER else f"x / {DAY!r}"
        half = block.scaling.half_spread
        spread = double(half) if half else "INFINITY"
        yield (f"numeric[{n}] = (float)chainrule_scaled({value}, "
               f"{double(block.scaling.half_median)}, {spread});")  # fmt: skip
        missing = "isnan(x)"
        for i, part in enumerate(getattr(block, "rounds", ())):
            yield f"numeric[{n + 1 + 2 * i}] = {_turned('sin', part)};"
            yield f"numeric[{n + 2 + 2 * i}] = {_turned('cos', part)};"
    if block.indicator:
        yield f"numeric[{at}] = {missing} ? 1.0f : 0.0f;"


def _checked(c: Given) -> Iterator[str]:
    for gap in c.gaps:
        yield f"if (x == {double(gap)})"
        yield "    x = NAN;"
    if c.kind == SECONDS:
        yield f"if (x < {FIRST_SECOND!r} || x >= {END!r})"
    else:
        yield "if (x == INFINITY || x == -INFINITY)"
    yield "    return 1;"


def _turned(function: str, part: str) -> str:
    assert part in PARTS
    return f"isnan(x) ? 0.0f : (float){function}(6.283185307179586 * ({SHARES[part]}))"


def _decision(model: TableModel) -> Iterator[str]:
    """The label, from the probabilities."""
    count = model.target.outputs
    if model.target.task == "multilabel":
        yield f"    for (int i = 0; i < {count}; i++)"
        yield "        label[i] = probabilities[i] > 0.5;"
    elif model.target.task != "regression":
        yield "    *label = 0;"
        yield f"    for (int i = 1; i < {count}; i++)"
        yield "        if (probabilities[i] > probabilities[*label])"
        yield "            *label = i;"
