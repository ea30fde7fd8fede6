"""A step that went to nan or infinity, kept so small that it can be made again by itself.

nan/nan.json            what was found, where, and the settings of the step; written last
nan/model.safetensors   the weights after the last good step
nan/batch.safetensors   the rows of the step that failed
nan/state.safetensors   the optimizer's state, the loss's, the random numbers
nan/repro.py            makes the model, loads all that, and makes the step
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..nn import Module
from ..tensor.random import generator_in_use
from ..version import __version__
from .files import check_writable, remove_file, save_tensors, worded, write_json, write_text
from .inputs import Batch
from .packing import pack
from .spelling import Spelling, UnknownSpellingError
from .state import named_state

if TYPE_CHECKING:
    from .guard import Diverged
    from .trainer import Trainer

FOLDER, FOUND, SCRIPT = "nan", "nan.json", "repro.py"
FORMAT, VERSION = "chainrule-nan", 1


def keep(trainer: Trainer, group: Sequence[Batch], error: Diverged, folder: Path) -> Path:
    """Writes the reproduction of a step into `folder`, and gives the script's path.

    To be called while everything is as it was before the step.  Raises OutputError.
    """
    check_writable(folder)
    remove_file(folder / FOUND)  # what is there belongs to it, or to nothing
    frozen = [n for n, p in trainer.model.named_parameters() if not p.requires_grad]
    loss = trainer.loss
    body, tensors = pack({
        "optimizer": named_state(trainer.optimizer, trainer.model),
        "loss": dict(loss.state_dict()) if isinstance(loss, Module) else {},
        "rng": generator_in_use().get_state(), "norms": list(trainer.guard.norms),
        "last_loss": trainer.guard.last_loss, "epoch": trainer.epoch, "step": trainer.step,
        "clip_grad_norm": trainer.clip_grad_norm, "clip_grad_value": trainer.clip_grad_value,
        "frozen": frozen,
    })  # fmt: skip
    step = {"step": str(error.step)}
    save_tensors(folder / "model.safetensors", dict(trainer.model.state_dict()), step)
    rows = {f"{i}.{j}": t for i, batch in enumerate(group) for j, t in enumerate(batch)}
    save_tensors(folder / "batch.safetensors", rows, step)
    save_tensors(folder / "state.safetensors", tensors, step)
    write_text(folder / SCRIPT, _script(trainer, error))
    write_json(folder / FOUND, {
        "format": FORMAT, "version": VERSION, "chainrule": __version__, "epoch": error.epoch,
        "step": error.step, "last_good_step": error.last_good_step, "lr": worded(error.lr),
        "advised_lr": error.advised_lr,
        "error": error.problem, "found": error.got, **error.origin.to_json(),
        "config": {} if trainer.run is None else trainer.run.config, "state": body,
    })  # fmt: skip
    return folder / SCRIPT


# ---------------------------------------------------------------- the script


def _script(trainer: Trainer, error: Diverged) -> str:
    run = trainer.run
    written = None if run is None else run.building
    body = _building(trainer) if written is None else written
    lines = [f"    {line}" if line else "" for line in body.rstrip().split("\n")]
    system = ["import sys"] if "sys." in body else []
    return "\n".join([
        f'"""Makes step {error.step} again, which ended a training: python {SCRIPT}"""', "",
        *system, "from pathlib import Path", "",
        "from chainrule.train import reproduce", "",
        "HERE = Path(__file__).resolve().parent", "", "",
        "def make():",
        '    """Model, loss and optimizer as they were made; their numbers are loaded after it."""',
        *lines, "", "",
        'if __name__ == "__main__":',
        "    reproduce(HERE, *make())", "",
    ])  # fmt: skip


def _building(trainer: Trainer) -> str:
    """The lines that make what was trained, as far as they can be known."""
    spelling = Spelling()
    lines = []
    for name, thing in (("model", trainer.model), ("loss", trainer.loss)):
        lines += _made(name, thing, spelling.of)
    kind = type(trainer.optimizer)
    lines += _made("optimizer", kind, lambda k: f"{spelling.named(k)}(model.parameters(), lr=0.1)")
    lines.append("return model, loss, optimizer")
    folders = [f"sys.path.insert(0, {folder!r})" for folder in sorted(spelling.folders)]
    if folders:
        folders.insert(0, "# what is imported runs: let it train under `if __name__ == "
                       "'__main__':` only")  # fmt: skip
    return "\n".join([*folders, *sorted(spelling.imports), "", *lines])


def _made(name: str, thing: Any, text: Callable[[Any], str]) -> list[str]:
    try:
        return [f"{name} = {text(thing)}"]
    except UnknownSpellingError as error:
        kind = getattr(thing, "__qualname__", type(thing).__qualname__)
        return [
            f"# {error.problem}: make it here, as it was made",
            f"{name} = sys.exit({f'{SCRIPT}: make() has to make the {name}, {kind}'!r})",
        ]
