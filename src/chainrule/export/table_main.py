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

static FILE *file;
static const char *source = "stdin";
static char *head; /* the line of names as it stands in the file, with its end */
static size_t head_size, head_at;
static long line = 1, began = 1; /* that of the next byte, and where the row began */
static int between = ',';

static void stop(const char *what, const char *column)
{
    fprintf(stderr, "error: %s, line %ld: %s%s%s\n", source, began, column, *column ? ": " : "",
            what);
    exit(1);
}

static int next_byte(void)
{
    int c = head_at < head_size ? (unsigned char)head[head_at++] : getc(file);
    line += c == '\n';
    return c;
}

/* Reads a cell; gives what ended it: the sign between cells, '\n' or EOF. */
static int next_cell(char *cell)
{
    int size = 0, c = next_byte(), quoted = c == '"';
    for (c = quoted ? next_byte() : c; c != EOF; c = next_byte()) {
        if (quoted && c == '"') {
            c = next_byte();
            quoted = c == '"';
        }
        if (c == EOF || (!quoted && (c == between || c == '\n')))
            break;
        if (!quoted && c == '\r')
            continue;
        if (size == LONGEST - 1)
            stop("a cell is too long", "");
        cell[size++] = (char)c;
    }
    cell[size] = 0;
    return c;
}

/* Keeps the line of names, which tells what stands between cells. */
static void read_head(void)
{
    size_t room = 0;
    int c, before = ',', quoted = 0;
    do {
        c = getc(file);
        if (head_size == room && !(head = (char *)realloc(head, room += LONGEST)))
            stop("no memory for the names", "");
        if (c == EOF)
            break;
        if (c == '"')
            quoted = quoted ? 0 : head_size == 0 || strchr(",;|\t ", before) || before == '"';
        head[head_size++] = (char)c;
        before = c;
    } while (c != '\n' || quoted);
}
"""

NUMBERS = r"""
/* The number in a cell. Where cells stand between other signs than commas the first mark before
   decimals that a number has, point or comma, is that of the file; 1.234,5 is 1234.5. */
static double number(const char *cell, const char *column)
{
    static char mark;
    char text[LONGEST], *end, *comma, *point;
    double x;
    while (*cell == ' ')
        cell++;
    if (chainrule_place(cell, missing, MISSING) >= 0)
        return NAN;
    strcpy(text, cell);
    comma = between == ',' ? NULL : strchr(text, ',');
    point = strchr(text, '.');
    if (comma || point) {
        if (mark && mark != (comma ? ',' : '.'))
            stop("a number has another decimal mark than those above it", column);
        mark = comma ? ',' : '.';
    }
    if (comma && point) { /* points between thousands go */
        char *to = text + strspn(text, "+-"), *from = to;
        size_t digits = strspn(from, "0123456789");
        if (!digits || digits > 3 || from[digits] != '.')
            stop("a cell is no number", column);
        for (to += digits, from += digits; *from == '.'; from += 4, to += 3) {
            if (strspn(from + 1, "0123456789") != 3)
                stop("a cell is no number", column);
            memmove(to, from + 1, 3);
        }
        if (*from != ',')
            stop("a cell is no number", column);
        memmove(to, from, strlen(from) + 1);
        comma = to;
    }
    if (comma)
        *comma = '.';
    x = strtod(text, &end);
    if (end == text || text[strspn(text, "+-.0123456789eE ")])
        stop("a cell is no number", column);
    while (*end == ' ')
        end++;
    if (*end)
        stop("a cell is no number", column);
    if (x - x != 0.0)
        stop("a number is too large", column);
    return x;
}
"""

NAMES = r"""
static char cells[COLUMNS + 1][LONGEST]; /* the last for what is not used */
static int places[MOST], columns, found[COLUMNS];

/* Reads the names with a sign between them; gives how many of the model's columns are there. */
static int read_names(int sign)
{
    int end, count = 0;
    between = sign;
    head_at = head_size >= 3 && !memcmp(head, "\357\273\277", 3) ? 3 : 0; /* the byte order mark */
    line = 1;
    columns = 0;
    memset(found, 0, sizeof found);
    do {
        if (columns == MOST)
            stop("too many columns", "");
        end = next_cell(cells[COLUMNS]);
        places[columns] = COLUMNS;
        for (int k = 0; k < COLUMNS; k++)
            if (!strcmp(cells[COLUMNS], names[k])) {
                places[columns] = k;
                count += !found[k];
                found[k] = 1;
            }
        columns++;
    } while (end == between);
    return count;
}

int main(int argc, char **argv)
{
    static const char signs[] = ",;\t|";
    int end = 0, best = 0;
    file = stdin;
    if (argc > 2 || (argc == 2 && argv[1][0] == '-' && argv[1][1])) {
        int asked = argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"));
        fprintf(asked ? stdout : stderr,
                "usage: %s [FILE]   predicts the rows of a table as CSV; without FILE from stdin\n",
                argv[0]);
        return asked ? 0 : 2;
    }
    if (argc == 2 && strcmp(argv[1], "-")) {
        source = argv[1];
        file = fopen(source, "rb");
        if (!file) {
            fprintf(stderr, "error: can't read %s\n", source);
            return 1;
        }
    }
    read_head();
    for (int i = 1, most = read_names(signs[0]); signs[i]; i++) {
        int count = read_names(signs[i]);
        if (count > most) {
            most = count;
            best = i;
        }
    }
    read_names(signs[best]);
    for (int k = 0; k < COLUMNS; k++)
        if (!found[k]) {
            fprintf(stderr, "error: %s: no column %s\n", source, names[k]);
            return 1;
        }
    end = head_size && head[head_size - 1] == '\n' ? '\n' : EOF;
"""

ROWS = """
    for (long row = 0; end != EOF; row++) {
        chainrule_row given;
        int i = 0, blank;
        began = line;
        do {
            if (i == columns)
                stop("more cells than names", "");
            end = next_cell(cells[places[i]]);
            i++;
        } while (end == between);
        blank = i == 1 && !*cells[places[0]];
        if (blank && (end == EOF || columns > 1)) {
            row--;
            continue;
        }
        if (i != columns)
            stop("fewer cells than names", "");
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
        return f"moment(cells[{k}], {form}, names[{k}])"
    return f"number(cells[{k}], names[{k}])"


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
    yield '            stop("infinite, no truth, or a date out of range", "");'
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
