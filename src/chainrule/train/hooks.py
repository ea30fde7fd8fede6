"""The user's hooks on a model: where they are, what text names them, and how they are put there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..nn import Module
from .spelling import Spelling, UnknownSpellingError

FORWARD, BEFORE, GRADIENT = "forward", "forward_pre", "gradient"


class Hook(NamedTuple):
    """A hook of a module ('forward', 'forward_pre') or of a parameter's gradient ('gradient').

    place: the path in the model.  text: what names the function; None where nothing does.
    """

    place: str
    kind: str
    function: Callable[..., Any]
    text: str | None

    def __str__(self) -> str:
        f = self.function
        name = getattr(f, "__qualname__", type(f).__name__)
        code = getattr(f, "__code__", None)
        where = f" at {Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""
        return f"the {self.kind} hook {name} of {self.place or 'the model'}{where}"


def hooks_of(model: Module, spelling: Spelling) -> list[Hook]:
    """All hooks of a model, in their order."""
    found = []
    for place, module in model.named_modules():
        for kind, hooks in ((BEFORE, module._forward_pre_hooks), (FORWARD, module._forward_hooks)):
            found += [(place, kind, f) for f in hooks.values()]
    for place, p in model.named_parameters():
        found += [(place, GRADIENT, f) for f in _of_gradient(p).values()]
    return [Hook(place, kind, f, _text(f, spelling)) for place, kind, f in found]


def register(model: Module, hooks: Sequence[tuple[str, str, Callable[..., Any]]]) -> None:
    """Registers (place, kind, function), but for those that a module has registered itself."""
    parameters = dict(model.named_parameters())
    for place, kind, f in hooks:
        if kind == GRADIENT:
            p = parameters[place]
            if f not in _of_gradient(p).values():
                p.register_hook(f)
            continue
        module = model.get_submodule(place)
        before = kind == BEFORE
        held = module._forward_pre_hooks if before else module._forward_hooks
        if f not in held.values():
            (module.register_forward_pre_hook if before else module.register_forward_hook)(f)


def _of_gradient(p: Any) -> dict[Any, Any]:
    return getattr(p._node_now(), "hooks", None) or {}


def _text(f: Callable[..., Any], spelling: Spelling) -> str | None:
    """Only of a function that stands in a module by itself: a method belongs to some object."""
    if not inspect.isfunction(f) or "." in f.__qualname__:
        return None
    try:
        return spelling.named(f)
    except UnknownSpellingError:
        return None
