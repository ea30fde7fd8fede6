"""reproduce: what went to nan or infinity, made again from what was kept of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import FormatError, NonFiniteError, StateError
from ..nn import Module
from ..ops.core import quietly
from ..optim import Optimizer
from ..tensor.anomaly import detect_anomaly
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor
from ..tensor.random import Generator, drawing_from, generator_in_use
from .evaluation import mode
from .files import load_tensors, read_json
from .guard import Origin
from .hooks import register
from .inputs import Batch
from .kept_step import FORMAT, FOUND, VALIDATION, VERSION
from .losses import RowWeighted
from .packing import unpack
from .state import load_named_state
from .steps import EagerSteps
from .trainer import Trainer
from .validation import loss_origin, said


def reproduce(
    folder: str | Path, model: Module, loss: Callable[..., Tensor], optimizer: Optimizer, *,
    hooks: Sequence[tuple[str, str, Callable[..., Any]]] = (),
) -> NoReturn:  # fmt: skip
    """Makes the step again that a Trainer kept in a run's folder `nan`: raises the same error.

    Where the validation was not finite, it is the loss of that batch.
    folder: with the files of the step.  model, loss, optimizer: made as they were for the training;
    what they had learned is loaded into them.  hooks: (path in the model, 'forward', 'forward_pre'
    or 'gradient', function), registered where they are not yet.  The step is made operation by
    operation, uncompiled, and within detect_anomaly if the training was.
    Raises NonFiniteError as the training did; StateError where all numbers are finite this time,
    and where model, loss or optimizer are others.  PyTorch has no such function.
    """
    folder = Path(folder)
    held = read_json(folder / FOUND)
    if not isinstance(held, dict) or (held.get("format"), held.get("version")) != (FORMAT, VERSION):
        raise FormatError(f"{folder / FOUND} tells of no step that can be made again",
                          expected=f"format {FORMAT}, version {VERSION}", line="")  # fmt: skip
    state = unpack(held["state"], load_tensors(folder / "state.safetensors"))
    _load(model, load_tensors(folder / "model.safetensors"), state["frozen"])
    register(model, hooks)
    if isinstance(loss, Module):
        loss.load_state_dict(state["loss"])
    load_named_state(optimizer, model, state["optimizer"])
    group = _batches(load_tensors(folder / "batch.safetensors"))
    trainer = _trainer(model, loss, optimizer, held, state, len(group))
    generator = Generator()
    generator.set_state(state["rng"])
    with drawing_from(generator), quietly(), detect_anomaly(held["anomaly"]):
        try:
            again = _loss if held["of"] == VALIDATION else _step
            value = again(trainer, group, held)
        except NonFiniteError as error:
            error.add_note(error.problem)  # the last line, below the traceback
            raise
    left = held["hooks_left_out"]
    raise StateError(
        "reproduce: every number of this step is finite here",
        expected=held["error"], got=f"loss {value:g}",
        fix=f"hooks=[..] with {'; '.join(left)}" if left else
        "what else took part: a callback, a hook, another version of the model", line="",
    )  # fmt: skip


def _trainer(
    model: Module, loss: Any, optimizer: Optimizer, held: dict[str, Any], state: dict[str, Any],
    batches: int,
) -> Trainer:  # fmt: skip
    """The Trainer as it was before the step."""
    trainer = Trainer(
        model, loss, optimizer, clip_grad_norm=state["clip_grad_norm"],
        clip_grad_value=state["clip_grad_value"], accumulate=batches, compile=False,
    )  # fmt: skip
    trainer.epoch, trainer.step = state["epoch"], state["step"]
    trainer.weighted = RowWeighted(loss) if held["weighted"] else None
    trainer.guard.norms.extend(state["norms"])
    trainer.guard.last_loss = state["last_loss"]
    trainer.guard.advised = held.get("advised_lr")
    return trainer


def _step(trainer: Trainer, group: Sequence[Batch], held: dict[str, Any]) -> float:
    with mode(trainer.model, True):
        return EagerSteps(trainer).step(group).losses[0]


def _loss(trainer: Trainer, group: Sequence[Batch], held: dict[str, Any]) -> float:
    """The loss of the validation's batch, as `evaluate` computes it."""
    state = generator_in_use().get_state()
    (batch,) = group
    with mode(trainer.model, False), no_grad():
        value = trainer.loss(trainer.model(*batch[:-1]), batch[-1]).item()
        if math.isfinite(value):
            return float(value)
        origin = loss_origin(trainer, batch, state) or Origin()
    raise NonFiniteError(held["error"], expected="a finite loss on every example",
                         got=said(held["batch"], origin), line="")  # fmt: skip


def _load(model: Module, weights: dict[str, Tensor], frozen: Sequence[str]) -> None:
    kinds = {t.dtype for t in weights.values() if t.dtype.kind == "f"}
    if len(kinds) == 1:
        model.to(kinds.pop())
    model.load_state_dict(weights)
    for name, p in model.named_parameters():
        p.requires_grad_(name not in frozen)


def _batches(rows: dict[str, Tensor]) -> list[Batch]:
    """The batches of a step, in their order."""
    found: dict[int, dict[int, Tensor]] = {}
    for name, t in rows.items():
        i, j = map(int, name.split("."))
        found.setdefault(i, {})[j] = t
    return [tuple(found[i][j] for j in sorted(found[i])) for i in sorted(found)]
