"""The model of a table for other programs, from raw columns to its answers, and how it is used."""

from __future__ import annotations

from pathlib import Path

from ... import onnx
from ...data.tables.table import shorten
from ...export.answering import TEXT, columns_of, listed, names_of
from ...export.table import export_table_c
from ...onnx.table import ML, ML_OPSET
from ...train.tabular import TableModel


def written(model: TableModel, path: Path, in_c: bool) -> str:
    """Writes it; gives the lines that say what goes in and what comes out."""
    if in_c:
        export_table_c(model, path)
        head = f"{path}: cc -O3 -DCHAINRULE_MAIN {path} -lm, which predicts rows of CSV"
    else:
        made = onnx.export_table(model, path)
        names = ", ".join(y.name for y in made.graph.output)
        head = f"{path}: raw columns (batch, 1) to {names}; opset {onnx.OPSET}, {ML} {ML_OPSET}"
    columns = columns_of(model)
    given = [f"{shorten(c.block.name)!r}: {c.said}" for c in columns]
    if not in_c and any(c.kind == TEXT for c in columns):
        given.append("texts without blanks around them: `chainrule predict` takes these off, the "
                     "graph does not, and ' a' is unknown where 'a' was learned")  # fmt: skip
    what = "amounts" if model.target.task == "regression" else "probabilities"
    return "\n  ".join([head, *given, f"{what} of {listed(names_of(model))}"])
