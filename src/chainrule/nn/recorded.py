"""Modules in a compiled function: what their attributes were when it was recorded.

A program holds as long as the modules that it calls are as they were: training mode, settings, and
which tensors and submodules they have.  That is compared only after something has changed
anywhere (`ops.core.changes`), so it costs nothing at an ordinary call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import TraceError
from ..ops.core import changes
from ..tensor.core import Tensor

if TYPE_CHECKING:
    from ..tensor.tracing import Trace
    from .module import Module

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
PLAIN = (bool, int, float, str, tuple, type(None))


def note_call(trace: Trace, module: Module) -> None:
    """Makes a module's attributes part of the program's conditions."""
    part = _part(trace)
    if module not in part.held or module in part.modeless:
        if not part.named:
            part.named = True
            for name, t in (*module.named_parameters(), *module.named_buffers()):
                trace.names.setdefault(t, name)
        part.hold(trace, module)
        part.modeless.discard(module)


def note_holder(trace: Trace, module: Module) -> None:
    """The same, but for the mode, for a module whose submodules are called one by one."""
    part = _part(trace)
    if module not in part.held:
        part.hold(trace, module)
        part.modeless.add(module)


def note_mode(trace: Trace, module: Module, mode: bool) -> None:
    """`train()` inside the function: it is done at every call."""
    part = _part(trace)
    if module not in part.held or module in part.modeless:
        part.hold(trace, module)
        part.modeless.discard(module)
        part.started[module] = part.held[module].pop("training", True)
    part.modes[module] = mode


def _part(trace: Trace) -> Modules:
    part = trace.parts.get(Modules)
    if part is None:
        part = trace.parts[Modules] = Modules()
    found: Modules = part
    return found


class Modules:
    """The modules of one program."""

    def __init__(self) -> None:
        self.held: dict[Module, dict[str, Any]] = {}
        self.started: dict[Module, bool] = {}  # modes before the function set them
        self.modes: dict[Module, bool] = {}
        self.seen = 0
        self.modeless: set[Module] = set()  # whose mode is no condition
        self.named = False  # whether the parameters have been given names
        self.inputs: list[Any] = []

    def hold(self, trace: Trace, module: Module) -> None:
        """Notes how a module is now."""
        found = dict(module.__dict__)
        found.setdefault("training", module.training)
        for name in HOOKS:
            found[name] = tuple(found.get(name, ()))
        self.held[module] = found
        for value in found.values():
            if isinstance(value, Tensor):
                trace.pin(value)

    def finish(self, trace: Trace) -> list[Any]:
        """After the function: a buffer that was exchanged for a new value is an update of it."""
        for module, held in self.held.items():
            now = module.__dict__
            for name in {**held, **now}:
                if name == "training" and (self._sets(module) or name not in now):
                    continue
                old, new = held.get(name, self), now.get(name, self)
                if name in HOOKS:
                    new = tuple(now[name])
                if old is new or (isinstance(old, PLAIN) and type(old) is type(new) and old == new):
                    continue
                fits = isinstance(old, Tensor) and isinstance(new, Tensor)
                if not fits or (old.shape, old.dtype) != (new.shape, new.dtype):
                    raise _attribute_changed(module, name, old, new)
                trace.write(old, trace.value(new))
                now[name] = old
        self.restore()
        self.seen = changes.now
        return []

    def _sets(self, module: Module) -> bool:
        """Whether the mode before the function does not matter."""
        return module in self.modes or module in self.modeless

    def restore(self) -> None:
        """Puts attributes back as they were before the recording."""
        for module, held in self.held.items():
            now = module.__dict__
            for name in [n for n in now if n not in held and n != "training"]:
                del now[name]
            for name, value in held.items():
                if name in HOOKS:
                    for handle in [h for h in now[name] if h not in value]:
                        del now[name][handle]
                elif name != "training" or name in now:
                    now[name] = value
        for module, mode in self.started.items():
            module.__dict__["training"] = mode

    def changed(self) -> str | None:
        """Which attribute is not as it was, or None."""
        if changes.now == self.seen:
            return None
        count = changes.now
        for module, held in self.held.items():
            now = module.__dict__
            for name in now:
                if name not in held and not (name == "training" and self._sets(module)):
                    return f"{name} of {type(module).__name__} is new"
            for name, old in held.items():
                if name == "training" and module in self.modeless:
                    continue
                new = now.get(name, module.training if name == "training" else None)
                if name in HOOKS:
                    new = tuple(new or ())
                if old is not new and not (
                    isinstance(old, PLAIN) and type(old) is type(new) and old == new
                ):
                    return f"{name} of {type(module).__name__} {_change(old, new)}"
        self.seen = count
        return None

    def alternates(self, other: Any) -> bool:
        """Whether another program's steps may stand between: they find modules as they were."""
        return type(other) is Modules and self.modes == other.modes

    def arrays(self) -> list[Any]:
        """Nothing: modules are conditions, not inputs."""
        return []

    def done(self, times: int = 1) -> None:
        """Sets the modes that the function sets."""
        for module, mode in self.modes.items():
            if module.training is not mode:
                module.__dict__["training"] = mode
                changes.note()

    def failed(self) -> None:
        """Nothing was changed."""


def _change(old: Any, new: Any) -> str:
    if isinstance(old, PLAIN) and isinstance(new, PLAIN):
        return f"changed from {old!r} to {new!r}"
    return "is another object"


def _attribute_changed(module: Module, name: str, old: Any, new: Any) -> TraceError:
    what = f"{type(module).__name__}.{name}"
    if isinstance(new, Tensor):
        got, fix = f"{what} = a tensor of shape {new.shape}", "return it from the function"
    else:
        got = f"{what} = {new!r}"[:80]
        fix = "a buffer that is written in place: register_buffer(...), then self.count += 1"
    return TraceError(
        "an attribute of a module is set in a compiled function: that would happen once, while "
        "it is recorded",
        expected="buffers written in place, or set to a tensor of the same shape and dtype",
        got=got,
        fix=fix,
    )
