"""All that the further course of a fit depends on, as one dict, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ChainruleError, StateError, some_names
from ..nn import Module
from ..optim import Optimizer
from ..tensor.core import Tensor
from ..tensor.random import drawing_from, generator_in_use
from .packing import pack, unpack
from .weights import copy_weights

if TYPE_CHECKING:
    from .trainer import Trainer

COUNTERS = (
    "epoch",
    "step",
    "batch",
    "loss_value",
    "grad_norm",
    "first_epoch",
    "first_step",
)
KINDS: dict[str, Any] = {
    **dict.fromkeys(COUNTERS, (int, float)), "trained": bool, "stop": (str, type(None)),
    "sums": dict, "norms": list, "last_loss": (int, float, type(None)), "rows": list,
    "seed": (int, type(None)), "rng": Tensor, "loader": (dict, type(None)), "model": dict,
    "loss": dict, "optimizer": dict, "scheduler": (dict, type(None)), "ema": (dict, type(None)),
    "callbacks": list,
}  # fmt: skip
"""What a state consists of."""


def capture(trainer: Trainer) -> dict[str, Any]:
    """The state of a trainer; tensors share memory with it, so it is to be written at once.

    Raises StateError where `on_step_end` tells of a step whose state is gone already.
    """
    if not trainer.current:
        raise StateError(
            f"the state after step {trainer.step} is not there any more: compiled steps went on",
            fix="checkpoints at multiples of the callback's every_steps",
        )
    return _state_of(trainer)


def _state_of(trainer: Trainer) -> dict[str, Any]:
    with drawing_from(trainer.generator):  # a loader that was not read yet draws its seed
        loader = None if trainer.loader is None else trainer.loader.state_dict()
        rng = generator_in_use().get_state()
    return {
        **{name: getattr(trainer, name) for name in COUNTERS},
        "trained": trainer.trained,
        "stop": trainer.stop_reason,
        "sums": trainer.sums,
        "norms": list(trainer.guard.norms),
        "last_loss": trainer.guard.last_loss,
        "rows": trainer.history.rows,
        "seed": trainer.seed,
        "rng": rng,
        "loader": loader,
        "model": dict(trainer.model.state_dict()),
        "loss": dict(trainer.loss.state_dict()) if isinstance(trainer.loss, Module) else {},
        "optimizer": named_state(trainer.optimizer, trainer.model),
        "scheduler": None if trainer.scheduler is None else trainer.scheduler.state_dict(),
        "ema": None if trainer.ema is None else trainer.ema.state_dict(),
        "callbacks": [
            [type(c).__name__, held] for c in trainer.callbacks if (held := c.state_dict())
        ],
    }


def restore(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Puts a captured state into a trainer made like the one that it was captured from.

    Raises StateError where it does not fit, and leaves the trainer as it was.
    """
    _check_whole(state)
    _check_alike(trainer, state)
    body, tensors = pack(_state_of(trainer))
    before = unpack(body, copy_weights(tensors))
    apart = trainer.row, trainer.pending
    known = [set(group) for group in trainer.optimizer.param_groups]
    try:
        _put(trainer, state)
    except Exception as error:
        _put(trainer, before)
        for group, names in zip(trainer.optimizer.param_groups, known, strict=True):
            for name in set(group) - names:  # settings that nobody had
                del group[name]
        trainer.row, trainer.pending = apart
        if isinstance(error, ChainruleError):
            raise
        raise StateError(
            "resume: the checkpoint does not hold the state of such a trainer",
            got=f"{type(error).__name__}: {error}"[:80], line="",
        ) from error  # fmt: skip


def _put(trainer: Trainer, state: Mapping[str, Any]) -> None:
    trainer.model.load_state_dict(state["model"])
    if isinstance(trainer.loss, Module):
        trainer.loss.load_state_dict(state["loss"])
    load_named_state(trainer.optimizer, trainer.model, state["optimizer"])
    if trainer.scheduler is not None:
        trainer.scheduler.load_state_dict(state["scheduler"])
    if trainer.ema is not None:
        trainer.ema.load_state_dict(state["ema"])
    for callback, held in _matched(trainer.callbacks, state["callbacks"]):
        callback.load_state_dict(held)
    for name in COUNTERS:
        setattr(trainer, name, state[name])
    trainer.trained = state["trained"]
    trainer.stop_reason = state["stop"]
    trainer.sums = dict(state["sums"])
    trainer.guard.norms.clear()
    trainer.guard.norms.extend(state["norms"])
    trainer.guard.last_loss = state["last_loss"]
    trainer.history.rows[:] = state["rows"]
    trainer.row = dict(trainer.history.last)
    trainer.pending = {"rng": state["rng"], "loader": state["loader"]}


def _check_whole(state: Mapping[str, Any]) -> None:
    """Raises where something is missing or of another kind, before anything changes."""
    for name, kind in KINDS.items():
        value = state.get(name, _check_whole)
        if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
            raise StateError(
                f"resume: the checkpoint's {name} is not what a trainer writes",
                got="nothing" if value is _check_whole else repr(value)[:40], line="",
            )  # fmt: skip


def _check_alike(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Raises, before anything changes, where the trainer has other parts than the checkpoint."""
    for part in ("scheduler", "ema"):
        if (getattr(trainer, part) is None) != (state[part] is None):
            raise StateError(
                f"resume: the checkpoint was made with{'out' if state[part] is None else ''} "
                f"{part}, this trainer is not",
                fix="a Trainer with the same parts as before",
            )
    _matched(trainer.callbacks, state["callbacks"])
    if trainer.seed != state["seed"]:
        raise StateError(
            "resume: the checkpoint was made with another seed",
            expected=f"seed={state['seed']}",
            got=f"seed={trainer.seed}",
        )


def _matched(callbacks: Sequence[Any], states: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Each saved state with the callback of its class; those that saved nothing are left alone."""
    left = list(callbacks)
    pairs = []
    for pair in states:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], dict):
            raise StateError("resume: the checkpoint's callbacks are none", got=repr(pair)[:40])
        name, held = pair
        found = next((c for c in left if type(c).__name__ == name), None)
        if found is None:
            raise StateError(
                f"resume: the checkpoint was made with the callback {name}",
                got=", ".join(type(c).__name__ for c in callbacks) or "no callbacks",
                fix=f"Trainer(..., callbacks=[{name}(...)])",
            )
        left.remove(found)
        pairs.append((found, held))
    return pairs


def parameter_names(optimizer: Optimizer, model: Module) -> list[str]:
    """The optimizer's parameters by their names in the model, in the optimizer's order."""
    names = {id(p): name for name, p in model.named_parameters()}
    listed = [p for group in optimizer.param_groups for p in group["params"]]
    return [names.get(id(p), f"parameter {i}") for i, p in enumerate(listed)]


def named_state(optimizer: Optimizer, model: Module) -> dict[str, Any]:
    """The optimizer's state_dict with the parameters' names in place of their numbers."""
    names = parameter_names(optimizer, model)
    state = optimizer.state_dict()
    groups = [
        {**{k: v for k, v in g.items() if k != "param_names"},
         "params": [names[i] for i in g["params"]]}
        for g in state["param_groups"]
    ]  # fmt: skip
    return {
        "state": {names[i]: s for i, s in state["state"].items()},
        "param_groups": groups,
    }


def load_named_state(optimizer: Optimizer, model: Module, state: Mapping[str, Any]) -> None:
    """Loads what `named_state` gave; raises where the parameters are others."""
    numbers = {name: i for i, name in enumerate(parameter_names(optimizer, model))}
    theirs = [name for g in state["param_groups"] for name in g["params"]]
    if set(theirs) != set(numbers):
        strange = [name for name in theirs if name not in numbers]
        gone = [name for name in numbers if name not in theirs]
        first = f"{strange[0]!r}, which is new" if strange else f"{gone[0]!r}, which is missing"
        raise StateError(
            "resume: the checkpoint's optimizer has other parameters",
            expected=f"{len(numbers)} parameters: {some_names(numbers)}",
            got=f"{len(theirs)} parameters, the first that differs is {first}",
            fix="the model of before, or a fit without resume",
        )
    groups = [  # in this optimizer's order: by numbers alone it goes by the place in the group
        {**g, "params": sorted(numbers[name] for name in g["params"])}
        for g in state["param_groups"]
    ]
    slots = {numbers[name]: s for name, s in state["state"].items()}
    optimizer.load_state_dict({"state": slots, "param_groups": groups})


def size_bytes(trainer: Trainer) -> int:
    """About how large a checkpoint will be, before the first step has made the optimizer's part."""
    weights = sum(t._value.nbytes for t in trainer.model.state_dict().values())
    slots = max(len(trainer.optimizer.slots_of(g)) for g in trainer.optimizer.param_groups)
    copies = 1 + slots + (trainer.ema is not None) + len(trainer.callbacks)
    return int(weights * copies) + 65536
