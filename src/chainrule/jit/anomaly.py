"""A program within detect_anomaly: examined after it has run, and run again uncompiled to find the
operation that made a nan or an infinity.  Its state is then as it was before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NonFiniteError
from ..ops.core import current, quietly
from ..tensor.core import Tensor
from .arguments import Call
from .program import Program, Run


class Before:
    """What a run can change, as it is now: an uncompiled run may change it in other ways."""

    def __init__(self, program: Program, call: Call) -> None:
        tensors = {t: None for t, _ in program.references}
        tensors.update({t: None for t in call.tensors if isinstance(t, Tensor)})
        self.optimizers: list[tuple[Any, dict[Any, dict[str, Any]]]] = []
        for part in program.parts:
            if hasattr(part, "optimizer"):
                states = {p: dict(s) for p, s in part.optimizer.state.items()}
                self.optimizers.append((part.optimizer, states))
                slots = [v for s in states.values() for v in s.values()]
                tensors.update({t: None for t in slots if isinstance(t, Tensor)})
            if hasattr(part, "generator"):
                tensors[part.generator.state] = None
        for t in list(tensors):
            if t._grad is not None:
                tensors[t._grad] = None
        self.held = [(t, t._value, t._value.copy(), t._grad, t._used) for t in tensors]

    def put_back(self) -> None:
        """Undoes whatever was done since."""
        for t, array, copy, grad, used in self.held:
            np.copyto(array, copy)
            t._value, t._grad, t._used = array, grad, used
        for optimizer, states in self.optimizers:
            for p in [p for p in optimizer.state if p not in states]:
                del optimizer.state[p]
            for p, state in states.items():
                optimizer.state[p].clear()
                optimizer.state[p].update(state)
            optimizer._layouts.clear()  # they know the memory of the run that was undone


def run_watched(
    program: Program, call: Call, undo: list[Callable[[], None]], again: Callable[[], Any]
) -> Run:
    """As `Program.run`; raises NonFiniteError, with nothing changed, where a number went wrong.

    undo: how what the recording has made is undone.  again: runs the function uncompiled.
    """
    before = Before(program, call)
    try:
        run, name = _run(program, call)
        if name is None:
            return run
        before.put_back()
        watch = current.anomaly
        watch.met = None
        try:
            again()
        finally:
            before.put_back()
        if watch.met is None:
            raise NonFiniteError(
                f"detect_anomaly: {name} of a compiled function is not finite, though it is when "
                "the function runs uncompiled",
                fix="smaller numbers: they are at the edge of what the dtype can hold",
            )
        run, _ = _run(program, call, accepted=True)  # nothing made it: a mask of -inf, passed on
    except BaseException:
        for step in reversed(undo):
            step()
        raise
    return run


def _run(program: Program, call: Call, accepted: bool = False) -> tuple[Run, str | None]:
    """One run; and, where it is undone, the name of what is not finite."""
    with program.lock:
        try:
            arrays = program._collect(call)
            for check in program.checks:
                program._check(check, arrays, call)
            updated = [(x.name, arrays[program.number_of[x]]) for x, _ in program.graph.updates]
            held = [(name, array, array.copy()) for name, array in updated]
            with quietly():
                outputs = program.executable.run(arrays)
            bad = None if accepted else _not_finite(held, outputs)
            if bad is None:
                program._examine(outputs)
        except BaseException:
            for part in program.parts:
                part.failed()
            raise
        run = Run(call, outputs)
        if bad is not None:
            for _, array, copy in held:
                np.copyto(array, copy)
        for part in program.parts:
            part.failed() if bad is not None else part.done()
        if bad is None:
            program._after(run)
    return run, bad


def _not_finite(held: list[tuple[str, Any, Any]], outputs: list[Any]) -> str | None:
    for name, array, before in held:
        if not _finite(array) and _finite(before):
            return name
    return next((f"result {i}" for i, y in enumerate(outputs) if not _finite(y)), None)


def _finite(array: Any) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
