"""reproduce: a step that went to nan or infinity, made again from what was kept of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from ..errors import FormatError, NonFiniteError, StateError
from ..nn import Module
from ..ops.core import quietly
from ..optim import Optimizer
from ..tensor.core import Tensor
from ..tensor.random import Generator, drawing_from
from .evaluation import mode
from .files import load_tensors, read_json
from .inputs import Batch
from .kept_step import FORMAT, FOUND, VERSION
from .packing import unpack
from .state import load_named_state
from .steps import EagerSteps
from .trainer import Trainer


def reproduce(folder: str | Path, model: Module, loss: Callable[..., Tensor], optimizer: Optimizer
              ) -> NoReturn:  # fmt: skip
    """Makes the step again that a Trainer kept in a run's folder `nan`: raises the same error.

    folder: with the files of the step.  model, loss, optimizer: made as they were for the training;
    what they had learned is loaded into them.  The step is made operation by operation, uncompiled.
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
    if isinstance(loss, Module):
        loss.load_state_dict(state["loss"])
    load_named_state(optimizer, model, state["optimizer"])
    group = _batches(load_tensors(folder / "batch.safetensors"))
    trainer = Trainer(
        model, loss, optimizer, clip_grad_norm=state["clip_grad_norm"],
        clip_grad_value=state["clip_grad_value"], accumulate=len(group), compile=False,
    )  # fmt: skip
    trainer.epoch, trainer.step = state["epoch"], state["step"]
    trainer.guard.norms.extend(state["norms"])
    trainer.guard.last_loss = state["last_loss"]
    trainer.guard.advised = held.get("advised_lr")
    generator = Generator()
    generator.set_state(state["rng"])
    with drawing_from(generator), mode(model, True), quietly():
        try:
            done = EagerSteps(trainer).step(group)
        except NonFiniteError as error:
            error.add_note(error.problem)  # the last line, below the traceback
            raise
    raise StateError(
        "reproduce: every number of this step is finite here",
        expected=held["error"], got=f"loss {done.losses[0]:g}",
        fix="what else took part: a callback, a hook, another version of the model", line="",
    )  # fmt: skip


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
