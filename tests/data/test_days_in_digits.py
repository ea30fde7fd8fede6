"""Days written as 20190525: dates where all are days and the column's name says so."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.data import Preprocessing, Schema, read_table
from chainrule.errors import ChainruleError

N = 60
BASE = {"x": np.linspace(0, 1, N) ** 2, "y": np.arange(N) % 3}


def cut(values):
    return [str(v) for v in values]


DAYS = (np.datetime64("1999-12-15") + np.arange(N) * 7 % 401).astype("M8[D]")
DIGITS = np.array([int(str(day).replace("-", "")) for day in DAYS])


@pytest.mark.parametrize("values", [DIGITS, cut(DIGITS), DIGITS.astype(float)])
@pytest.mark.parametrize("name", ["date", "sale_date", "Kaufdatum", "dayOfSale", "DATE_KEY"])
def test_days_in_digits_are_dates_where_the_name_says_so(name, values):
    table = read_table({**BASE, name: values})
    feature = Schema.infer(table, "y").features[-1]
    assert (feature.kind, feature.form) == ("date", "%Y%m%d")
    assert "as the name says" in feature.why
    assert f"kinds={{{name!r}: 'numeric'}} takes the numbers" in feature.why
    asked = Schema.infer(table, "y", kinds={name: "numeric"}).features[-1]
    assert (asked.kind, asked.form) == ("numeric", None)
    written = read_table({**BASE, name: cut(DAYS)})
    learned = [Preprocessing.fit(t, Schema.infer(t, "y")) for t in (table, written)]
    for a, b in zip(*(p.transform(t) for p, t in zip(learned, (table, written), strict=True)),
                    strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("gaps", [0, 5])
def test_a_model_of_days_in_digits_takes_texts_and_numbers(gaps):
    texts = np.array(["" if i < gaps else f"{v}" for i, v in enumerate(DIGITS)])
    numbers = np.where(np.arange(N) < gaps, np.nan, DIGITS)
    as_texts, as_numbers = (read_table({**BASE, "day": v}) for v in (texts, numbers))
    learned = Preprocessing.fit(as_texts, Schema.infer(as_texts, "y"))
    for a, b in zip(learned.transform(as_texts), learned.transform(as_numbers), strict=True):
        np.testing.assert_array_equal(a, b)
    wrong = read_table({**BASE, "day": np.where(np.arange(N) == 9, 20190231, DIGITS)})
    with pytest.raises(ChainruleError, match=r"20190231.* in row 9"):
        learned.transform(wrong)


@pytest.mark.parametrize(("name", "changed", "offered"), [
    ("date", 20190231, False), ("date", 18991231, False), ("date", 21010101, False),
    ("date", 0, False), ("date", 2019052, False), ("amount", None, True),
    ("customer", None, True),
])  # fmt: skip
def test_numbers_that_are_no_days_or_have_another_name_stay_numbers(name, changed, offered):
    values = DIGITS if changed is None else np.where(np.arange(N) == 7, changed, DIGITS)
    for column in (values, cut(values)):
        feature = Schema.infer(read_table({**BASE, name: column}), "y").features[-1]
        assert feature.kind == "numeric"
        assert (f"forms={{{name!r}: '%Y%m%d'}} takes them for that" in feature.why) is offered
    if offered:
        asked = Schema.infer(read_table({**BASE, name: values}), "y", forms={name: "%Y%m%d"})
        assert asked.features[-1].kind == "date"
