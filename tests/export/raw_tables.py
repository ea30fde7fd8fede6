"""Tables with all kinds of columns, models of them, and what other programs are given and give."""

from __future__ import annotations

import csv
import io
import subprocess

import numpy as np

import chainrule
from chainrule.data import Preprocessing, Schema
from chainrule.data.tables import read_table
from chainrule.data.tables.cells import Cells
from chainrule.export.answering import TEXT, columns_of
from chainrule.nn import TabularMLP
from chainrule.train.tabular import TableModel, TabularEnsemble
from compiler.in_c import CC, STRICT

TOLERANCE = 3e-6
"""Of probabilities, and of amounts in units of their deviation."""


def model_of(table, target, members=2, seed=0, **options):
    """Networks that have learned nothing: what they say is as good as any to be compared."""
    chainrule.manual_seed(seed)
    schema = Schema.infer(table, target, **options)
    held = Preprocessing.fit(table, schema)
    task = schema.target.task
    kind = task if task in ("regression", "multilabel") else "classification"
    networks = TabularMLP(
        len(held.numeric_names), held.cardinalities, schema.target.outputs, hidden=[12],
        unknown=True, regression=kind == "regression", members=members, max_one_hot=4,
    )  # fmt: skip
    for p in networks.parameters():
        p.data.copy_(chainrule.randn(*p.shape))
    return TableModel(held, TabularEnsemble(networks, kind))


def raw(model, table):
    """The columns of a table as other programs give them, in the model's order."""
    found = []
    for column in columns_of(model):
        name = column.block.name
        cells = Cells(table[name], model.preprocessing.schema.missing, table.decimal)
        if column.kind == TEXT:
            values = np.array([str(v) for v in cells.texts.tolist()], object)
        elif column.kind == "number":
            values = cells.numbers[0]
        else:
            moments = cells.dates(column.block.form)[0]
            values = np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)
        found.append((name, values))
    return found


# ---------------------------------------------------------------- the tables

WORDS = ["red", 'bl"ue', "grün, hell", "??=", "back\\slash", "tab\there", "0x10", "x" * 70]


def mixed(rows=60, seed=0, *, of="learned"):
    """All kinds of columns with gaps, as the text of a CSV file; of="new": categories and values
    that are new."""
    rng = np.random.default_rng(seed)
    words = [*WORDS, *(["never seen", "redd", "re"] if of == "new" else [])]

    def gaps(values, spelled=("", "NA", "?")):
        return [rng.choice(spelled) if rng.random() < 0.15 else v for v in values]

    stretch = 1e3 if of == "new" else 1.0
    start = np.datetime64("1931-02-03T04:05:06")
    moments = start + (rng.random(rows) * 100 * 366 * 86400).astype("m8[s]")
    columns = {
        "x1": gaps([repr(float(v)) for v in rng.normal(0, stretch, rows)]),
        "large": [repr(float(v)) for v in 1.7e12 + rng.integers(0, 5000, rows).astype(float)],
        "tiny and, wide": [f"{v:.9f}e{rng.integers(-300, 300)}" for v in rng.random(rows).tolist()],
        "flat": ["4" if i else "5" for i in range(rows)],
        "word": gaps([words[i] for i in rng.integers(0, len(words), rows)]),
        "size": [f"  s{i} " for i in rng.integers(0, 3, rows)],
        "is it": gaps([["yes", "No", "YES"][i] for i in rng.integers(0, 3, rows)]),
        "label": [["t", "f"][i] for i in rng.integers(0, 2, rows)],
        "when": gaps([str(m) for m in moments]),
        "day": [str(m)[:10] for m in moments[::-1]],
    }  # fmt: skip
    columns |= {
        "class": [WORDS[i % 3] for i in range(rows)],
        "whole": [str(i % 3 - 1) for i in range(rows)],
        "amount": [repr(float(v)) for v in 2.5e9 + rng.normal(size=rows)],
        "other": [repr(float(v)) for v in rng.normal(size=rows) * 1e-3],
        "a": [str(i % 2) for i in range(rows)], "b": [str(i // 2 % 2) for i in range(rows)],
        "tags": [["u|v", "v", "u|w", "w"][i % 4] for i in range(rows)],
    }  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    return text.getvalue()


TARGETS = {
    "texts": ("class", {}), "whole numbers": ("whole", {"task": "multiclass"}),
    "amounts": ("amount", {}), "two amounts": (["amount", "other"], {}),
    "two labels": (["a", "b"], {"task": "multilabel"}),
    "tags": ("tags", {}),
}  # fmt: skip
ALL = ["class", "whole", "amount", "other", "a", "b", "tags"]


def read(folder, text, name="t.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return read_table(folder / name)


def made(folder, kind, members=2, **options):
    """(a model for a kind of target, the table that it learned from, one with what is new)."""
    target, settings = TARGETS[kind]
    targets = [target] if isinstance(target, str) else target
    table = read(folder, mixed())
    drop = [n for n in ALL if n not in targets]
    model = model_of(table, target, members, drop=drop, **settings, **options)
    return model, table, read(folder, mixed(seed=1, of="new"), "new.csv")


def unit(model):
    """What a deviation of an answer is compared with."""
    held = model.preprocessing
    return np.array(held.std) if model.target.task == "regression" else 1.0


def compared(model, table, found, tolerance=TOLERANCE):
    """What came out against TableModel: amounts and probabilities, then labels."""
    wanted = model.scores(table)
    regression = model.target.task == "regression"
    y = found[0] if regression else found[1]
    assert y.shape == wanted.shape
    assert np.abs((y - wanted) / unit(model)).max() <= tolerance
    if regression:
        assert y.dtype == np.float64
    elif model.target.task == "multilabel":
        clear = np.abs(wanted - 0.5) > tolerance
        np.testing.assert_array_equal(found[0][clear], (wanted > 0.5)[clear])
    else:
        top = np.sort(wanted, 1)
        clear = top[:, -1] - top[:, -2] > tolerance
        np.testing.assert_array_equal(found[0][clear], model.predict(table)[clear])


def program(path):
    command = [CC, *STRICT, "-DCHAINRULE_MAIN", str(path), "-o", str(path.with_suffix("")), "-lm"]
    subprocess.run(command, check=True)
    return path.with_suffix("")
