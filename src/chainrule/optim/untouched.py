"""Settings and state of an optimizer, which a compiled function may not set by itself: that would
happen once, while it is recorded, and take effect before what is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import TraceError, describe_site
from ..tensor.core import Tensor

if TYPE_CHECKING:
    from ..errors import Site
    from ..tensor.tracing import Trace
    from .optimizer import Optimizer

PLAIN = (bool, int, float, str, tuple, type(None))


def note_optimizer(trace: Trace, optimizer: Optimizer) -> AsBefore:
    """Remembers how an optimizer is, where the recording meets it for the first time."""
    held: AsBefore | None = trace.untouched.get(optimizer)
    if held is None:
        held = trace.untouched[optimizer] = AsBefore(optimizer)
        trace.undo.insert(0, held.restore)  # after everything else is undone
    return held


class AsBefore:
    """An optimizer as it was before the function."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.groups, self.state = optimizer.param_groups, optimizer.state
        self.held = [(group, dict(group), list(group["params"])) for group in self.groups]
        self.entries = [(p, s, dict(s)) for p, s in self.state.items()]

    def check(self, sites: dict[str, Site]) -> None:
        """Raises where the function has set something; sites: where it sets items of a name."""
        found = self._set()
        if found is None:
            return
        name, what, got = found
        raise TraceError(
            f"{what} of {type(self.optimizer).__name__} is set in a compiled function: that would "
            "happen once, while it is recorded",
            got=got,
            fix="set it outside, between two calls (the new value compiles nothing again); for a "
            "schedule: scheduler.step() outside, or step.loop(..., scheduler=scheduler)",
            line=describe_site(sites.get(f"[{name!r}]")),
        )

    def _set(self) -> tuple[str, str, str] | None:
        """(name, what it is a setting of, what it is now) of something that was set."""
        groups, held = self.optimizer.param_groups, [group for group, _, _ in self.held]
        if len(groups) != len(held) or any(a is not b for a, b in zip(groups, held, strict=True)):
            return "param_groups", "the list of groups", f"{len(groups)} groups"
        for i, (group, before, params) in enumerate(self.held):
            now = group["params"]
            if len(now) != len(params) or any(a is not b for a, b in zip(now, params, strict=True)):
                return "params", f"the list of parameters of group {i}", f"{len(now)} parameters"
            for name in {**before, **group}:
                old, new = before.get(name, self), group.get(name, self)
                if old is not new and not _equal(old, new):
                    got = "nothing" if new is self else _brief(new)
                    return name, f"{name} of group {i}", f"{name} = {got}"
        for p, s, before in self.entries:
            if self.optimizer.state.get(p) is not s or any(name not in s for name in before):
                return "state", "the state", "a parameter without its state"
            if not _equal(before.get("step"), s.get("step")):
                return "step", "the count of steps", f"step = {_brief(s.get('step'))}"
        return None

    def restore(self) -> None:
        """Puts everything back as it was."""
        optimizer = self.optimizer
        optimizer.param_groups, optimizer.state = self.groups, self.state
        self.groups[:] = [group for group, _, _ in self.held]
        for group, before, params in self.held:
            group.clear()
            group.update(before)
            group["params"][:] = params
        self.state.clear()
        for p, s, before in self.entries:
            s.clear()
            s.update(before)
            self.state[p] = s


def _equal(old: Any, new: Any) -> bool:
    if old is new:
        return True
    return isinstance(old, PLAIN) and type(old) is type(new) and bool(old == new)


def _brief(x: Any) -> str:
    return f"a tensor {x.shape}" if isinstance(x, Tensor) else repr(x)[:60]
