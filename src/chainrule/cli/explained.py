"""The gradients of a run of `chainrule train`, explained."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..derivation.models import Explanation, Steps, explain, explain_optimizer
from ..nn import CrossEntropyLoss, Module
from ..tensor.core import Tensor, wrap
from ..train import Run
from ..train.evaluation import mode
from ..train.files import load_tensors, read_json
from ..train.kept_step import FOLDER, FOUND, VALIDATION
from ..train.state import load_named_state
from .app import UsageProblem
from .predict import newest_with_model, restored
from .recipe import OPTIMIZERS, Recipe, Sets, from_config, load


def explanation(
    name: str, folder: str, *, weight: str | None, example: int | None, optimizer: bool,
    lr: float | None, top: int,
) -> tuple[Explanation, Steps | None]:  # fmt: skip
    """Of one held-out row (example), or of the first batch of the rows that it learned from.

    With the optimizer and without one entry also the table of its next step.
    """
    run = newest_with_model(name, folder)
    r = from_config(run.config, str(run.path))
    sets = load(r.data)
    broken = None if run.has_model else kept_step(run)
    weights, batch, told = broken or (None, None, "")
    if broken and (example is not None or optimizer):
        raise UsageProblem(
            f"{run.name} broke off before its first model: what is kept is the step that failed",
            expected="no --example and no --optimizer: the rows are those of that step",
            line="",
        )  # fmt: skip
    model, _ = restored(run, r, len(sets.names), weights)
    stepping, ended, _ = optimizer_of(run, r, model) if optimizer else (None, told, 0)
    model.eval()  # without dropout: the gradient of the model as it predicts
    found = of_model(
        model, r, sets, weight, example=example, optimizer=stepping, lr=lr, top=top,
        title=run.name, ended=ended, batch=batch,
    )  # fmt: skip
    if not optimizer or found.value is not None:
        return found, None
    return found, _steps(model, r, batch_of(sets, r, example), stepping, weight, top)


def _steps(
    model: Module, r: Recipe, batch: tuple[Tensor, Tensor], optimizer: Any, weight: str | None,
    top: int,
) -> Steps:  # fmt: skip
    """The optimizer's next step; weight: of this parameter or layer alone."""
    loss, (x, y) = CrossEntropyLoss(label_smoothing=r.label_smoothing), batch
    found = explain_optimizer(
        lambda: loss(model(x), y), model, optimizer, clip_grad_norm=r.clip_grad_norm, top=top
    )
    if weight is not None:
        found.entries = [e for e in found.entries if f"{e.parameter}.".startswith(f"{weight}.")]
    return found


def next_steps(run: Run, r: Recipe, sets: Sets, top: int) -> tuple[Steps, int]:
    """What the optimizer of the last checkpoint would do next, and how many steps it had made.

    Raises ChainruleError where there is no checkpoint that can be read.
    """
    model, _ = restored(run, r, len(sets.names))
    optimizer, _, step = optimizer_of(run, r, model)
    with mode(model, False):
        return _steps(model, r, batch_of(sets, r, None), optimizer, None, top), step


def batch_of(sets: Sets, r: Recipe, example: int | None) -> tuple[Tensor, Tensor]:
    """Inputs and classes of one held-out row, or of the first batch to learn from."""
    rows = _rows(sets, r, example)
    x, y = (wrap(np.ascontiguousarray(np.asarray(t)[rows])) for t in (
        sets.test if example is not None else sets.train).tensors)  # fmt: skip
    return x, y


def kept_step(run: Run) -> tuple[dict[str, Tensor], tuple[Tensor, ...], str] | None:
    """(weights, rows, what is to be said) of the step that broke a training off, if it is kept."""
    folder = run.path / FOLDER
    if not (folder / FOUND).is_file():
        return None
    held = read_json(folder / FOUND)
    if not isinstance(held, dict) or not isinstance(held.get("error"), str):
        return None
    rows = load_tensors(folder / "batch.safetensors")
    whose = (
        "those of the validation, and the rows are those of its batch"
        if (held.get("of") == VALIDATION)
        else "those before that step, and the rows are its own"
    )
    said = f"The training broke off: {held['error']}. The weights are {whose}"
    return load_tensors(folder / "model.safetensors"), (rows["0.0"], rows["0.1"]), said


def of_model(
    model: Module, r: Recipe, sets: Sets, weight: str | None, *, title: str, top: int,
    example: int | None = None, optimizer: Any = None, lr: float | None = None, ended: str = "",
    batch: tuple[Tensor, ...] | None = None,
) -> Explanation:  # fmt: skip
    """The gradients of a model in evaluation mode, on rows of the data of its recipe.

    title: what it is the model of.  ended: what else is to be said of the rows.  batch: rows that
    are none of these.
    """
    rows = _rows(sets, r, example)
    x, y = batch or batch_of(sets, r, example)
    loss = CrossEntropyLoss(label_smoothing=r.label_smoothing)
    found = explain(
        lambda: loss(model(x), y), weight, model, optimizer=optimizer, lr=lr, top=top,
        clip_grad_norm=r.clip_grad_norm if optimizer else None,
    )  # fmt: skip
    d = found.derivation
    d.title = f"{title}: {d.title}"
    said = "" if batch else _said(r, example, rows, sets.names, y)
    d.conventions.insert(1, said + ended)
    return found


def _rows(sets: Any, r: Recipe, example: int | None) -> slice:
    """Which rows: one held-out row, or the first batch to learn from."""
    if example is None:
        return slice(0, min(r.batch_size, len(sets.train)))
    if example >= len(sets.test):
        raise UsageProblem(
            f"--example must be from 0 to {len(sets.test) - 1}: there are {len(sets.test)} "
            "held-out rows", got=str(example), line="",
        )  # fmt: skip
    return slice(example, example + 1)


def _said(r: Recipe, example: int | None, rows: slice, names: tuple[str, ...], y: Any) -> str:
    """On which rows, and how the model is run."""
    which = f"{rows.stop} rows" if rows.stop > 1 else "row"
    what = f"The first {which} of the training set of {r.data}"
    if example is not None:
        what = f"Held-out row {example} of {r.data}, whose class is {names[int(np.asarray(y)[0])]}"
    said = [what]
    if r.dropout:
        said.append("dropout is off, as when it predicts")
    if r.label_smoothing:
        said.append(f"label smoothing {r.label_smoothing:g} is part of the loss")
    return "; ".join(said) + "."


def optimizer_of(run: Run, r: Recipe, model: Module) -> tuple[Any, str, int]:
    """The optimizer as the last checkpoint holds it, with the weights of that moment; what else is
    to be said of it, and its step.
    """
    state = run.checkpoints.load().state
    model.load_state_dict(state["model"])
    made = OPTIMIZERS[r.optimizer](model.named_parameters(), r)
    load_named_state(made, model, state["optimizer"])
    said = f" The weights and the optimizer are those of the last checkpoint, step {state['step']}"
    for group in made.param_groups:
        if not group["lr"]:
            group["lr"] = r.lr
            said += f"; the schedule has ended with an lr of 0, so the update is one with {r.lr:g}"
    return made, said + ".", int(state["step"])
