"""Dates as texts, in the program of a table's C file: the forms in which tables have them."""

from __future__ import annotations

import re

from ..data.tables.blocks import DateBlock
from ..data.tables.cells import ISO
from .table_text import literal_text

READ = re.compile(r"(?:%[YymbBdHMS]|[^%])*")
"""The forms that the program reads; dates of others are given in seconds."""

DATES = r"""
/* The month whose name begins a text, whole or its first three letters; 0 where there is none. */
static int named_month(const char **at, int whole)
{
    static const char *const months[] = {
        "january", "february", "march", "april", "may", "june",
        "july", "august", "september", "october", "november", "december"};
    for (int k = 0; k < 12; k++) {
        int n = 0, most = whole ? (int)strlen(months[k]) : 3;
        while (n < most && ((*at)[n] | 32) == months[k][n])
            n++;
        if (n == most) {
            *at += n;
            return k + 1;
        }
    }
    return 0;
}

/* Year, month, day, hour, minute, second by a form such as %d.%m.%Y; gives whether they fit. */
static int fits(const char **at, const char *form, int least, int *v)
{
    static const char order[] = "YmdHMS";
    for (; *form; form++) {
        const char *part = *form == '%' ? strchr(order, form[1]) : NULL;
        int n = 0, value = 0, most = part == order ? 4 : 2;
        if (*form == '%' && (form[1] == 'b' || form[1] == 'B')) {
            v[1] = named_month(at, *++form == 'B');
            if (!v[1])
                return 0;
            continue;
        }
        if (*form == '%' && form[1] == 'y') { /* 69 is 1969, 68 is 2068 */
            for (; n < 2 && **at >= '0' && **at <= '9'; n++)
                value = 10 * value + *(*at)++ - '0';
            if (n < 2)
                return 0;
            v[0] = value + (value < 69 ? 2000 : 1900);
            form++;
            continue;
        }
        if (*form == ' ') {
            if (**at != ' ')
                return 0;
            while (**at == ' ')
                (*at)++;
            continue;
        }
        if (!part) {
            if (*(*at)++ != *form)
                return 0;
            continue;
        }
        for (; n < most && **at >= '0' && **at <= '9'; n++)
            value = 10 * value + *(*at)++ - '0';
        if (n < (part == order ? 4 : least))
            return 0;
        v[part - order] = value;
        form++;
    }
    return 1;
}

/* What follows the day in ISO 8601: a time, parts of a second, a distance from UTC. */
static int iso_time(const char **at, int *v, double *rest)
{
    if (!**at)
        return 1;
    if ((**at != 'T' && **at != ' ') || !(*at)++ || !fits(at, "%H:%M", 2, v))
        return 0;
    if (**at == ':') {
        if (!fits(at, ":%S", 2, v))
            return 0;
        if (**at == '.' || **at == ',') {
            double part = 0.0, whole = 1.0;
            for ((*at)++; whole < 1e6 && **at >= '0' && **at <= '9'; whole *= 10.0)
                part = 10.0 * part + (*(*at)++ - '0');
            if (whole == 1.0)
                return 0;
            *rest += part / whole;
        }
    }
    if (**at == 'Z') {
        (*at)++;
    } else if (**at == '+' || **at == '-') {
        int away[6] = {0}, sign = *(*at)++ == '+' ? -1 : 1;
        if (!fits(at, "%H", 2, away))
            return 0;
        *at += **at == ':';
        if (!fits(at, "%M", 2, away) || away[3] > 23 || away[4] > 59)
            return 0;
        *rest += sign * (3600.0 * away[3] + 60.0 * away[4]);
    }
    return 1;
}

/* The seconds since 1970 of a date; of a form that is NULL in ISO 8601. */
static double moment(const char *cell, const char *form, const char *column)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int v[6] = {0, 1, 1, 0, 0, 0}, ok, leap, year;
    double rest = 0.0, days;
    char text[LONGEST];
    const char *at = text;
    size_t size;
    while (*cell == ' ')
        cell++;
    size = strlen(strcpy(text, cell));
    while (size && text[size - 1] == ' ')
        text[--size] = 0;
    if (chainrule_place(text, missing, MISSING) >= 0)
        return NAN;
    ok = form ? fits(&at, form, 1, v) : fits(&at, "%Y-%m-%d", 2, v) && iso_time(&at, v, &rest);
    year = v[0];
    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (!ok || *at || !year || !v[1] || v[1] > 12 || !v[2]
        || v[2] > before[v[1]] - before[v[1] - 1] + (leap && v[1] == 2) || v[3] > 23 || v[4] > 59
        || v[5] > 59)
        stop("a cell is no date of the column's form", column);
    days = 365.0 * year + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + before[v[1] - 1]
           + v[2] + (leap && v[1] > 2) - 719528.0;
    return 86400.0 * days + 3600.0 * v[3] + 60.0 * v[4] + v[5] + rest;
}
"""


def form_of(block: DateBlock) -> str | None:
    """The form of a column's dates as an argument in C; None where only seconds are read."""
    if block.form in (None, ISO):
        return "NULL"
    return literal_text(block.form) if READ.fullmatch(block.form) else None
