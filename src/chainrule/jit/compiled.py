"""compile: what the user calls; which program a call needs, and why another one was recorded."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, RecompileError, TraceError
from ..graph import Graph
from ..ops.core import current
from ..runtime.forks import renew_in_children
from .anomaly import run_watched
from .arguments import Call, differences
from .bound import Bound
from .loop import run_loop
from .program import Program
from .record import record

MOST = 64
"""Programs that a compiled function keeps, unless `programs` says otherwise."""


class _Watch(threading.local):
    """Whether recording is ruled out in the running thread."""

    forbidden: int = 0


_watch = _Watch()


class assert_no_recompile:
    """Within the block nothing is compiled: a call that would be recorded anew raises.

    The error is a RecompileError and says what has changed.  PyTorch has
    torch.compiler.set_stance("fail_on_recompile") for this.

    >>> import chainrule
    >>> double = chainrule.compile(lambda x: x * 2.0)
    >>> _ = double(chainrule.ones(3))
    >>> with chainrule.assert_no_recompile():
    ...     double(chainrule.ones(3))
    tensor([2., 2., 2.])
    """

    def __enter__(self) -> None:
        _watch.forbidden += 1

    def __exit__(self, *exc: object) -> None:
        _watch.forbidden -= 1


class Compiled:
    """A function that is recorded at its first call, and run as a program from then on."""

    def __init__(
        self, function: Callable[..., Any], static: Iterable[str | int], programs: int
    ) -> None:
        if not callable(function):
            raise ArgumentTypeError("compile: needs a function", got=type(function).__name__)
        if isinstance(programs, bool) or not isinstance(programs, int) or programs < 1:
            raise ArgumentError(
                "compile: programs says how many are kept", expected="an int >= 1",
                got=repr(programs),
            )  # fmt: skip
        self.function = function
        self.programs = programs
        self.traces = 0
        self.seconds = 0.0  # of recording and building all programs so far
        self._kept: dict[Any, list[Program]] = {}
        self._reasons: list[str] = []
        self.renew()
        renew_in_children(self)
        self._names = _argument_names(function)
        self._static = frozenset(self._both(static))
        functools.update_wrapper(self, function, updated=())

    def renew(self) -> None:
        """Nobody records."""
        self._lock = threading.RLock()

    def _both(self, static: Iterable[str | int]) -> Iterable[str | int]:
        """A static argument by name and by place: it may be given either way."""
        for name in [static] if isinstance(static, (str, int)) else static:
            yield name
            if name in self._names:
                yield self._names.index(name)
            elif isinstance(name, int) and name < len(self._names):
                yield self._names[name]
            else:
                raise ArgumentTypeError(
                    f"compile: no argument is called {name!r}",
                    expected=", ".join(self._names) or "none",
                )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = current
        if state.trace is not None:  # part of a function that is being recorded
            return self.function(*args, **kwargs)
        call = Call(args, kwargs, self._static)
        if state.anomaly is not None:
            program, undo = self.program_for(args, call, kwargs)
            run = run_watched(program, call, undo, lambda: self.function(*args, **kwargs))
            return program.result(run)
        key = call.key, state.grad_enabled, dtypes._default
        kept = self._kept.get(key)
        reason = None
        if kept is not None:
            for program in kept:
                why = program.changed(call)
                if why is None:
                    return program.run(call)
                reason = reason or why  # the newest program is the nearest
        return self._record(args, kwargs, call, key, reason)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        return Bound(self, instance)

    def __getattr__(self, name: str) -> Any:
        """What a compiled module has, as parameters() and eval(), is got from the module."""
        function = self.__dict__.get("function")
        if hasattr(type(function), "named_modules") and not name.startswith("__"):
            return getattr(function, name)
        raise AttributeError(
            f"a compiled function has no attribute {name!r}; what was compiled is its .function"
        )

    def program_for(
        self, args: tuple[Any, ...], call: Call, kwargs: dict[str, Any] | None = None
    ) -> tuple[Program, list[Any]]:
        """The program for arguments like these, recorded if there is none; nothing is run.

        Also, how what a recording has made is undone if the first run fails.
        """
        key = call.key, current.grad_enabled, dtypes._default
        program, reason = self._fitting(call, key)
        if program is not None:
            return program, []
        return self._add(args, kwargs or {}, call, key, reason)

    def recorded(self, call: Call) -> Program | None:
        """The program for arguments like these, if there is one."""
        return self._fitting(call, (call.key, current.grad_enabled, dtypes._default))[0]

    def _fitting(self, call: Call, key: Any) -> tuple[Program | None, str | None]:
        reason = None
        for program in self._kept.get(key, ()):
            why = program.changed(call)
            if why is None:
                return program, None
            reason = reason or why  # the newest program is the nearest
        return None, reason

    def known(self) -> list[Program]:
        """The programs recorded so far."""
        return [program for kept in self._kept.values() for program in kept]

    def loop(
        self, data: Any, batch_size: int | None = None, order: Any = None,
        epochs: int | None = None, *, shuffle: bool = False, drop_last: bool = False,
        scheduler: Any = None, on_turn: Callable[[int, int], Any] | None = None,
    ) -> Any:  # fmt: skip
        """step.loop((x, y), batch_size): the step on batch after batch, in machine code.

        The function is called as step(x[rows], y[rows]) for all rows, `epochs` times, and never
        with the data themselves: a step that writes into its batch leaves them as they are.  It
        comes back to Python about every 50 ms; Ctrl-C ends it there, after a whole step.

        data: tensors or arrays with a row for every example, in a tuple.  batch_size: rows of a
        step (all).  order: row numbers (rows,), or (epochs, rows); None: as they lie.  epochs: 1,
        or as many as `order` has.  shuffle: a new random order every epoch, from the default
        generator.  drop_last: leaves out a last, smaller batch, which is a program of its own.
        scheduler: stepped after every step.  on_turn: on_turn(done, steps) when it comes back; what
        is true ends the loop.

        Returns what the function returns, with a leading dimension of steps; arguments and
        parameters can't be returned as they are.  What can be known before the first step is raised
        before it: labels out of range, results of the last batch that have another shape.  Else
        the step that fails changes nothing.  Whatever ends the loop, Ctrl-C too, has an attribute
        `results`: what the steps before it returned.  PyTorch has no such loop.

        >>> import chainrule
        >>> w = chainrule.tensor([0.0], requires_grad=True)
        >>> optimizer = chainrule.optim.SGD([w], lr=0.5)
        >>> @chainrule.compile
        ... def step(x):
        ...     optimizer.zero_grad()
        ...     loss = ((w - x) ** 2).mean()
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        >>> step.loop(chainrule.tensor([1.0, 3.0]), batch_size=1)
        tensor([1., 4.])
        >>> w
        tensor([3.], requires_grad=True)
        """
        return run_loop(
            self, (), data, batch_size, order, epochs,
            shuffle=shuffle, drop_last=drop_last, scheduler=scheduler, on_turn=on_turn,
        )  # fmt: skip

    def _record(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], call: Call, key: Any,
        reason: str | None,
    ) -> Any:  # fmt: skip
        program, undo = self._add(args, kwargs, call, key, reason)
        try:
            result = program.run(call)
        except BaseException:
            _undo(undo)  # nothing, if the program has run
            raise
        return result

    def _add(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], call: Call, key: Any,
        reason: str | None,
    ) -> tuple[Program, list[Any]]:  # fmt: skip
        """A new program, and how what its recording has made is undone."""
        with self._lock:
            for program in self._kept.get(key, ()):  # another thread may have been first
                if program.changed(call) is None:
                    return program, []
            if self.traces:
                reason = reason or self._difference(key)
            self._check_allowed(reason)
            began = time.perf_counter()
            program = record(self.function, args, kwargs, call, self._static, self._names)
            undo = program.first_undo
            try:
                program.build()
            except BaseException:
                _undo(undo)
                raise
            self.seconds += time.perf_counter() - began
            program.seal()
            changed = program.changed(call)
            if changed is not None:
                raise TraceError(
                    "the compiled function changes what it depends on, so no program serves twice",
                    got=changed,
                    fix="change it outside of the compiled function",
                )
            self.traces += 1
            if reason is not None:
                self._reasons.append(reason)
            self._kept.setdefault(key, []).insert(0, program)
        return program, undo

    def _check_allowed(self, reason: str | None) -> None:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        if _watch.forbidden:
            raise RecompileError(
                f"{name} would be compiled {'again' if self.traces else 'for the first time'}",
                expected="no compilation within assert_no_recompile()",
                got=reason or "its first call",
                fix="call it before the block with arguments like these",
            )
        if sum(map(len, self._kept.values())) >= self.programs:
            raise RecompileError(
                f"{name} was compiled {self.traces} times, for ever new arguments",
                expected=f"at most {self.programs} programs",
                got=f"the last reason: {reason}",
                fix="pass numbers that change as arguments, pad to a few shapes, or "
                f"compile(..., programs={4 * self.programs})",
            )

    def _difference(self, key: Any) -> str:
        """What this call has that the nearest earlier one had not."""
        best: list[str] | None = None
        for old in self._kept:
            found = differences(old[0], key[0], self._names)
            if old[1] != key[1]:
                found.append(f"gradients are {'on' if key[1] else 'off'}")
            if old[2] != key[2]:
                found.append(f"the default dtype is {key[2]}")
            if best is None or len(found) < len(best):
                best = found
        return "; ".join(best or ["an earlier recording failed"])

    @property
    def graphs(self) -> list[Graph]:
        """The recorded programs; `chainrule.compiler.show` prints them."""
        return [p.graph for kept in self._kept.values() for p in kept]

    def explain_recompiles(self) -> list[str]:
        """Why each program after the first was recorded, in order."""
        return list(self._reasons)

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return f"<compiled {name}, {self.traces} recorded>"


def _undo(steps: list[Any]) -> None:
    """Takes back what a recording has made."""
    for step in reversed(steps):
        step()


def _argument_names(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def compile(function: Any = None, *, static: Iterable[str | int] = (), programs: int = MOST) -> Any:
    """step = compile(step): records a function of Tensors once, and runs it as one program.

    The function is Python as anybody writes it: a model's forward pass, or a whole training step
    with zero_grad(), backward(), clip_grad_norm_() and optimizer.step().  Parameters, optimizer
    state, buffers and random number generators are changed in place.  Learning rates and the other
    numbers of an optimizer are read at every call, so a schedule compiles nothing again.

    function: any callable; without it, `compile` is a decorator.  Arguments: Tensors, arrays and
    numbers (which may be different at every call), bools, strings, None and any other objects
    (which are part of the program), in tuples, lists and dicts; the result likewise.
    static: names or places of numbers that are part of the program, such as a size.
    programs: how many are kept (64).

    A compiled module has the attributes of the module: parameters(), eval(), state_dict().  A
    method that is decorated in its class is compiled for every object; the attributes of `self`
    that it reads are part of the program, as variables are.

    A new shape or dtype, training or evaluation mode, or a changed variable records another
    program: `step.traces` counts them, `step.explain_recompiles()` says why, and
    `assert_no_recompile()` rules it out.  Reading a value in the function (`if loss > 1`,
    `.item()`) raises TraceError with the line, and so does putting a result into a list or an
    attribute; shapes can be read.  What the function prints is printed once, while it is recorded.

    Variables are what the function, and the functions, methods and properties of yours that it
    reaches, read: globals, closures, defaults, attributes (self.cfg), items (cfg["clip"]).  Numbers
    and texts are compared at every call, other objects by identity.  Limits: not seen are changes
    within a set, an array of NumPy, or a list or dict of more than 64 items; what eval(), a
    metaclass, a descriptor of your own or code of an installed package reads; attributes with
    computed names; and what is put in place by a call, such as registry.find(name).beta.

    Differs from torch.compile: the backward pass and the optimizer belong to the program; nothing
    runs uncompiled when something can't be recorded, it raises; a gradient that the optimizer has
    used is not kept (return p.grad); results have no history outside.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = chainrule.optim.SGD([w], lr=0.1)
    >>> @chainrule.compile
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = ((w - x) ** 2).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> step(chainrule.zeros(2))
    tensor(5.)
    >>> optimizer.param_groups[0]["lr"] = 0.05
    >>> step(chainrule.zeros(2))
    tensor(3.2000)
    >>> w, step.traces
    (tensor([0.7200, 1.4400], requires_grad=True), 1)
    """
    if function is None:
        return functools.partial(compile, static=static, programs=programs)
    return Compiled(function, static, programs)
