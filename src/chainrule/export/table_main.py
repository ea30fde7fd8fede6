"""The program in the C file of a table: it reads a table as CSV and predicts its rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ..data.tables.blocks import DateBlock
from ..train.tabular import TableModel
from .answering import TEXT, Given, names_of
from .table_dates import DATES, form_of
from .table_text import literal_text, text_list

READING = r"""
enum { LONGEST = 4096, MOST = 16384 }; /* bytes of a cell, columns of a file */

static void stop(const char *what, const char *column, long row)
{
    fprintf(stderr, "error: row %ld: %s%s%s\n", row, column, *column ? ": " : "", what);
    exit(1);
}

/* Reads a cell; gives what ended it: ',', '\n' or EOF. */
static int next_cell(char *cell, long row)
{
    int size = 0, c = getchar(), quoted = c == '"';
    for (c = quoted ? getchar() : c; c != EOF; c = getchar()) {
        if (quoted && c == '"') {
            c = getchar();
            quoted = c == '"';
        }
        if (c == EOF || (!quoted && (c == ',' || c == '\n')))
            break;
        if (!quoted && c == '\r')
            continue;
        if (size == LONGEST - 1)
            stop("a cell is too long", "", row);
        cell[size++] = (char)c;
    }
    cell[size] = 0;
    return c;
}
"""

NUMBERS = r"""
static double number(const char *cell, const char *column, long row)
{
    char *end;
    double x;
    while (*cell == ' ')
        cell++;
    if (chainrule_place(cell, missing, MISSING) >= 0)
        return NAN;
    x = strtod(cell, &end);
    if (end == cell || cell[strspn(cell, "+-.0123456789eE ")])
        stop("a cell is no number", column, row);
    while (*end == ' ')
        end++;
    if (*end)
        stop("a cell is no number", column, row);
    return x;
}
"""

NAMES = """
int main(void)
{
    static char cells[COLUMNS + 1][LONGEST]; /* the last for what is not used */
    static int places[MOST];
    int columns = 0, end, found[COLUMNS] = {0};
    do {
        char *name = cells[COLUMNS];
        if (columns == MOST)
            stop("too many columns", "", 0);
        end = next_cell(name, 0);
        if (!columns && !strncmp(name, "\\357\\273\\277", 3))
            name += 3; /* the byte order mark */
        places[columns] = COLUMNS;
        for (int k = 0; k < COLUMNS; k++)
            if (!strcmp(name, names[k])) {
                places[columns] = k;
                found[k] = 1;
            }
        columns++;
    } while (end == ',');
    for (int k = 0; k < COLUMNS; k++)
        if (!found[k]) {
            fprintf(stderr, "error: no column %s\\n", names[k]);
            return 1;
        }
"""

ROWS = """
    for (long row = 0; end != EOF; row++) {
        chainrule_row given;
        int i = 0, blank;
        do {
            if (i == columns)
                stop("more cells than names", "", row);
            end = next_cell(cells[places[i]], row);
            i++;
        } while (end == ',');
        blank = i == 1 && !*cells[places[0]];
        if (blank && (end == EOF || columns > 1)) {
            row--;
            continue;
        }
        if (i != columns)
            stop("fewer cells than names", "", row);
"""


def main_of(model: TableModel, members: list[tuple[str, Given]], place: str) -> Iterator[str]:
    """Its lines.  place: the function that finds a text among others."""
    columns = [c for _, c in members]
    read = "".join(_read(c, k) for k, c in enumerate(columns))
    numbers, dates = "number(" in read, "moment(" in read
    yield ""
    yield "#ifdef CHAINRULE_MAIN"
    yield "#include <stdio.h>"
    yield "#include <stdlib.h>"
    yield "#include <string.h>"
    if (numbers or dates) and not any(c.kind == TEXT for c in columns):
        yield place
    yield ""
    yield f"#define COLUMNS {len(columns)}"
    yield from text_list("names", (c.block.name for c in columns))
    yield READING
    if numbers or dates:
        spelled = sorted(t for t in model.preprocessing.schema.missing if "\0" not in t)
        yield f"#define MISSING {len(spelled)}"
        yield from text_list("missing", spelled)
    yield from [NUMBERS.rstrip("\n")] * numbers
    yield from [DATES.rstrip("\n")] * dates
    yield NAMES.rstrip("\n")
    yield from _heading(model)
    yield ROWS.strip("\n")
    for k, (name, column) in enumerate(members):
        yield f"        given.{name} = {_read(column, k)};"
    yield from _answer(model)
    yield "    }"
    yield "    return 0;"
    yield "}"
    yield "#endif"


def _read(column: Given, k: int) -> str:
    """A cell as a member of the row."""
    if column.kind == TEXT:
        return f"cells[{k}]"
    form = form_of(column.block) if isinstance(column.block, DateBlock) else None
    if form is not None:
        return f"moment(cells[{k}], {form}, names[{k}], row)"
    return f"number(cells[{k}], names[{k}], row)"


def _heading(model: TableModel) -> Iterator[str]:
    """The line of names, and where results go."""
    target, names = model.target, names_of(model)
    if target.task == "regression":
        several = len(names) > 1
        heads = [f"predicted_{name}" if several else "predicted" for name in names]
    elif target.task == "multilabel":
        heads = [*(f"predicted_{n}" for n in names), *(f"p_{n}" for n in names)]
    else:
        heads = ["predicted", *(f"p_{n}" for n in names)]
    yield f"    puts({literal_text(','.join(map(_quoted, ['row', *heads])))});"
    yield f"    double y[{target.outputs}];"
    if target.task == "multilabel":
        yield f"    int label[{target.outputs}];"
    elif target.task != "regression":
        yield "    int label;"
        written = ", ".join(literal_text(_quoted(n)) for n in names)
        yield f"    const char *const labels[] = {{{written}}};"


def _answer(model: TableModel) -> Iterator[str]:
    """The call, and its line."""
    task = model.target.task
    given = {"regression": "", "multilabel": ", label"}.get(task, ", &label")
    digits = 9 if task == "regression" else 6
    yield f"        if (predict(&given, y{given}))"
    yield '            stop("infinite, no truth, or a date out of range", "", row);'
    yield '        printf("%ld", row);'
    if task == "multilabel":
        yield f"        for (int k = 0; k < {model.target.outputs}; k++)"
        yield '            printf(",%d", label[k]);'
    elif task != "regression":
        yield '        printf(",%s", labels[label]);'
    yield f"        for (int k = 0; k < {model.target.outputs}; k++)"
    yield f'            printf(",%.{digits}g", y[k]);'
    yield '        printf("\\n");'


def _quoted(cell: str) -> str:
    """A cell as CSV has it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([cell])
    return text.getvalue()
