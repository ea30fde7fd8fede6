"""What went to nan or infinity, kept so small that it can be made again by itself.

It is a step, or the loss of a batch of the validation data.

nan/nan.json            what was found, where, and the settings of the step; written last
nan/model.safetensors   the weights after the last good step
nan/batch.safetensors   the rows of the step that failed, or of the validation's batch
nan/state.safetensors   the optimizer's state, the loss's, the random numbers
nan/repro.py            makes the model, loads all that, and makes the step or the loss
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import NonFiniteError
from ..nn import Module
from ..ops.core import current
from ..tensor.core import Tensor
from ..tensor.random import generator_in_use
from ..version import __version__
from .files import check_writable, remove_file, save_tensors, worded, write_json, write_text
from .guard import Diverged, Origin, advised_rate, told_by
from .hooks import Hook, hooks_of
from .inputs import Batch
from .packing import pack
from .spelling import Spelling, UnknownSpellingError
from .state import named_state

if TYPE_CHECKING:
    from .trainer import Trainer

FOLDER, FOUND, SCRIPT = "nan", "nan.json", "repro.py"
FORMAT, VERSION = "chainrule-nan", 1
STEP, VALIDATION = "step", "validation"


@dataclass
class Failure:
    """What is not finite: a step, or a batch of the validation data (its number, from 1).

    state: of the random numbers before it; None: as they are now.
    """

    error: NonFiniteError
    group: Sequence[Batch]
    origin: Origin
    of: str = STEP
    batch: int | None = None
    state: Tensor | None = None

    @property
    def words(self) -> str:
        """What is made again."""
        return "this step" if self.of == STEP else "this loss"


def failed_step(trainer: Trainer, group: Sequence[Batch], error: NonFiniteError) -> None:
    """Keeps a step in the run, if there is one, and says so in its error.

    To be called while everything is as it was before the step.
    """
    origin = error.origin if isinstance(error, Diverged) else told_by(error, trainer)
    keep(trainer, Failure(error, group, origin))


def keep(trainer: Trainer, failure: Failure) -> None:
    """Writes the reproduction of what failed into the run's folder; says so in the error."""
    if trainer.run is None:
        return
    with suppress(OSError):  # a full disk is not what ended the training
        _write(trainer, failure)
        path = shlex.quote(str(trainer.run.path / FOLDER / SCRIPT))
        advice = f"{failure.error.fix}; " if failure.error.fix else ""
        failure.error.fix = f"{advice}python {path} makes {failure.words} again"


def _write(trainer: Trainer, failure: Failure) -> None:
    assert trainer.run is not None
    folder, error, origin = trainer.run.path / FOLDER, failure.error, failure.origin
    check_writable(folder)
    remove_file(folder / FOUND)  # what is there belongs to it, or to nothing
    spelling = Spelling()
    hooks = hooks_of(trainer.model, spelling)
    body, tensors = pack(_state(trainer, failure))
    number = trainer.step + (failure.of == STEP)
    step = {"step": str(number)}
    weights = trainer.evaluated_weights() if failure.of == VALIDATION else (
        dict(trainer.model.state_dict()))  # fmt: skip
    save_tensors(folder / "model.safetensors", weights, step)
    rows = {f"{i}.{j}": t for i, batch in enumerate(failure.group) for j, t in enumerate(batch)}
    save_tensors(folder / "batch.safetensors", rows, step)
    save_tensors(folder / "state.safetensors", tensors, step)
    write_text(folder / SCRIPT, _script(trainer, failure, spelling, hooks))
    write_json(folder / FOUND, {
        "format": FORMAT, "version": VERSION, "chainrule": __version__, "of": failure.of,
        "batch": failure.batch, "epoch": trainer.epoch + 1, "step": number,
        "last_good_step": trainer.step, "lr": worded(trainer.lr),
        "advised_lr": advised_rate(trainer), "anomaly": current.anomaly is not None,
        "weighted": trainer.weighted is not None,
        "hooks_left_out": [str(h) for h in hooks if h.text is None],
        "error": error.problem, "found": error.got or "", **origin.to_json(),
        "config": trainer.run.config, "state": body,
    })  # fmt: skip


def _state(trainer: Trainer, failure: Failure) -> dict[str, Any]:
    """All else that the step, or the loss, depends on."""
    loss = trainer.loss
    rng = generator_in_use().get_state() if failure.state is None else failure.state
    return {
        "optimizer": named_state(trainer.optimizer, trainer.model),
        "loss": dict(loss.state_dict()) if isinstance(loss, Module) else {},
        "rng": rng, "norms": list(trainer.guard.norms),
        "last_loss": trainer.guard.last_loss, "epoch": trainer.epoch, "step": trainer.step,
        "clip_grad_norm": trainer.clip_grad_norm, "clip_grad_value": trainer.clip_grad_value,
        "frozen": [n for n, p in trainer.model.named_parameters() if not p.requires_grad],
    }  # fmt: skip


# ---------------------------------------------------------------- the script


def _script(trainer: Trainer, failure: Failure, spelling: Spelling, hooks: list[Hook]) -> str:
    run = trainer.run
    written = None if run is None else run.building
    body = _building(trainer) if written is None else written
    lines = [f"    {line}" if line else "" for line in body.rstrip().split("\n")]
    system = ["import sys"] if "sys." in body or (hooks and spelling.folders) else []
    number = trainer.step + (failure.of == STEP)
    what = f"Makes step {number} again" if failure.of == STEP else (
        f"Computes the loss of the validation's batch {failure.batch} after step {number} again"
    )  # fmt: skip
    given = ", hooks=hooks()" if hooks else ""
    return "\n".join([
        f'"""{what}, which ended a training: python {SCRIPT}"""', "",
        *system, "from pathlib import Path", "",
        "from chainrule.train import reproduce", "",
        "HERE = Path(__file__).resolve().parent", "", "",
        "def make():",
        '    """Model, loss and optimizer as they were made; their numbers are loaded after it."""',
        *lines, "", "",
        *(_hooking(hooks, spelling) if hooks else []),
        'if __name__ == "__main__":',
        f"    reproduce(HERE, *make(){given})", "",
    ])  # fmt: skip


def _hooking(hooks: Sequence[Hook], spelling: Spelling) -> list[str]:
    """A function that gives the hooks which took part: (where, which kind, the function)."""
    lines = ["def hooks():", '    """Where a hook was registered, of which kind, the function."""']
    known = [h for h in hooks if h.text is not None]
    if known:
        lines += [f"    {line}" for line in _imports(spelling)]
    lines += [
        f"    # {h}: no text is known for it, so add it here" for h in hooks if h not in known
    ]
    rows = [f"        ({h.place!r}, {h.kind!r}, {h.text})," for h in known]
    return [*lines, "    return [", *rows, "    ]", "", ""]


def _imports(spelling: Spelling) -> list[str]:
    folders = [f"sys.path.insert(0, {folder!r})" for folder in sorted(spelling.folders)]
    if folders:
        folders.insert(0, "# what is imported runs: let it train under `if __name__ == "
                       "'__main__':` only")  # fmt: skip
    return [*folders, *sorted(spelling.imports)]


def _building(trainer: Trainer) -> str:
    """The lines that make what was trained, as far as they can be known."""
    spelling = Spelling()
    lines = []
    for name, thing in (("model", trainer.model), ("loss", trainer.loss)):
        lines += _made(name, thing, spelling.of)
    kind = type(trainer.optimizer)
    lines += _made("optimizer", kind, lambda k: f"{spelling.named(k)}(model.parameters(), lr=0.1)")
    lines.append("return model, loss, optimizer")
    return "\n".join([*_imports(spelling), "", *lines])


def _made(name: str, thing: Any, text: Callable[[Any], str]) -> list[str]:
    try:
        return [f"{name} = {text(thing)}"]
    except UnknownSpellingError as error:
        kind = getattr(thing, "__qualname__", type(thing).__qualname__)
        return [
            f"# {error.problem}: make it here, as it was made",
            f"{name} = sys.exit({f'{SCRIPT}: make() has to make the {name}, {kind}'!r})",
        ]
