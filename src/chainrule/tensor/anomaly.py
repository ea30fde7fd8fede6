"""Finding the first operation that makes a nan or an infinity, forward or backward.

A Watch is an interpreter that computes as usual and looks at every result.  An op has *made* what
is not finite if it was given finite numbers, or if it made nan of infinities; a mask that writes
-inf, and what passes that on, has made nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentTypeError, NonFiniteError, Site, describe_site, user_site
from ..ops.core import Op, Params, current, is_number
from .core import Tensor
from .interpreter import apply


class Found(NamedTuple):
    """An operation, its operands and its result, with the layer and the user's line."""

    op: Op
    inputs: Sequence[Any]
    y: Any
    module: Any
    site: Site | None

    def describe(self, layer: str) -> str:
        """`log at model.py:12 (layer fc1)`; a command line has no line to name."""
        return self.op.name + (f" at {self.line}" if self.line else "") + f" (layer {layer})"

    @property
    def line(self) -> str | None:
        """The user's line that called it: `model.py:12`."""
        return describe_site(self.site)

    @property
    def numbers(self) -> str:
        """`result[0, 2] = -inf at x = 0; 1 of 6; x float32[2,3] from 0 to 7`."""
        return _where(self.y, _named(self.op, self.inputs), "result")


class Watch:
    """An interpreter of Tensors that notes, or raises at, the first result that is not finite.

    made: the first op that made one.  met: the first that had one among its results at all.
    """

    def __init__(self, raises: bool) -> None:
        self.raises = raises
        self.made: Found | None = None
        self.met: Found | None = None

    def __call__(self, op: Op, inputs: Sequence[Any], params: Params) -> Tensor:
        y = apply(op, inputs, params)
        value = y._value
        if value.dtype.kind != "f" or (self.made is not None and not self.raises):
            return y
        if np.isfinite(value).all():
            return y
        found = Found(op, inputs, value, current.module, user_site(2))
        if self.met is None:
            self.met = found
        if _made(op, inputs, value, params):
            self.made = found
            if self.raises:
                raise _located(_of_forward(found), found.op, found.site, found.module)
        return y

    def began(self, outputs: Sequence[Any]) -> None:
        """Backward starts: raises where outputs are not finite, though no op has made them so."""
        for output in outputs:
            if np.isfinite(output._value).all():
                continue
            met = self.met
            raise NonFiniteError(
                "detect_anomaly: backward starts at a value that is not finite",
                got="no operation made it so of finite numbers"
                + (f"; it came in with the operands of {met.op.name} at {describe_site(met.site)}"
                   if met is not None else ", within the context"),
                fix="a look at the data and the parameters",
            )  # fmt: skip
        self.met = None

    def rule(self, node: Any, g: Any, r: Any) -> None:
        """Raises where the rule of an op gave a gradient that is not finite."""
        value = getattr(r, "_value", r)
        if np.isfinite(value).all():
            return
        arrived = getattr(g, "_value", g)
        inputs = [x for x in node.inputs if x is not None] if type(node.inputs) is tuple else []
        name = node.op.name
        problem = f"detect_anomaly: the gradient of {name} is {_kinds(value)}"
        if not np.isfinite(arrived).all():
            problem = f"detect_anomaly: what arrives at {name} on the way back is {_kinds(arrived)}"
        error = NonFiniteError(
            problem, expected="finite gradients",
            got=_where(value, [("dy", arrived), *_named(node.op, inputs)], "gradient"),
            fix="values away from where the derivative is infinite, or chainrule.where on the "
            "operand, not on the result", line="",
        )  # fmt: skip
        raise _located(error, node.op, node.site, node.module)


def _made(op: Op, inputs: Sequence[Any], y: Any, params: Params) -> bool:
    given = [x._value if isinstance(x, Tensor) else x for x in inputs]
    given += [v for v in params.values() if type(v) is float]
    floats = [v for v in given if type(v) is float or getattr(v, "dtype", y.dtype).kind == "f"]
    if all(np.isfinite(v).all() for v in floats):
        return True
    return bool(np.isnan(y).any()) and not any(np.isnan(v).any() for v in floats)


def _of_forward(found: Found) -> NonFiniteError:
    op, inputs, y = found.op, found.inputs, found.y
    return NonFiniteError(
        f"detect_anomaly: {op.name} made {_kinds(y)}",
        expected="finite numbers",
        got=_where(y, _named(op, inputs), "result"),
        fix="operands within the domain of the operation, or smaller ones", line="",
    )  # fmt: skip


def _kinds(y: Any) -> str:
    """`nan`, `inf` or both."""
    nan, inf = np.isnan(y).any(), np.isinf(y).any()
    return "nan and inf" if nan and inf else "nan" if nan else "inf"


def _named(op: Op, inputs: Sequence[Any]) -> list[tuple[str, Any]]:
    names = op.input_names if not op.variadic else tuple(f"x{i}" for i in range(len(inputs)))
    return [
        (n, getattr(x, "_value", x))
        for n, x in zip(names, inputs, strict=False)
        if is_number(x) or hasattr(x, "dtype")
    ]


def _where(y: Any, operands: list[tuple[str, Any]], what: str) -> str:
    """The first place that is not finite, how many there are, and the operands' ranges."""
    bad = ~np.isfinite(y)
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    shown = f"[{', '.join(map(str, place))}]" if place else ""
    text = f"{what}{shown} = {y[place]:g}"
    fitting = [(n, v) for n, v in operands if np.shape(v) == y.shape]
    if fitting:
        text += " at " + ", ".join(f"{n} = {np.asarray(v)[place]:g}" for n, v in fitting)
    text += f"; {int(bad.sum())} of {y.size}"
    for n, v in operands:
        text += f"; {n} {_range(v)}"
    return text


def _range(v: Any) -> str:
    if is_number(v):
        return f"{v:g}"
    shape = f"{v.dtype}[{','.join(map(str, v.shape))}]"
    if not v.size:
        return shape
    with np.errstate(all="ignore"):
        return f"{shape} from {v.min():g} to {v.max():g}"


def _located(error: NonFiniteError, op: Op, site: Site | None, module: Any) -> NonFiniteError:
    error.op = op.name
    error.site, error.line = site, describe_site(site)
    if module is not None:
        error.module, error.layer = module, type(module).__name__
    return error


# ---------------------------------------------------------------- the switch


def _switch(mode: bool) -> tuple[Any, Any, Any]:
    """Watches in this thread, or no longer; gives what was there before."""
    state = current
    if state.trace is not None:
        raise ArgumentTypeError(
            "detect_anomaly: not within a compiled function",
            fix="around the call of the compiled function: its step is examined as a whole",
        )
    before = state.interpreter, state.tensors, state.anomaly
    watch = Watch(raises=True) if mode else None
    new: Any = watch or apply
    if state.interpreter is state.tensors:
        state.interpreter = new
    state.tensors, state.anomaly = new, watch
    return before


def _put_back(before: tuple[Any, Any, Any]) -> None:
    state = current
    if state.interpreter is state.tensors:
        state.interpreter = before[0]
    _, state.tensors, state.anomaly = before


class detect_anomaly:
    """Within the block the first operation that makes a nan or an infinity raises NonFiniteError.

    The error names the operation, the line that called it, the layer, the place, the operands; in
    backward the operation whose rule gave it.  A compiled step is examined after it has run: if
    anything is not finite, its state is put back, and it is run again uncompiled to find where.
    Costs a look at every result, and nothing outside.  It holds for the running thread.
    check_nan=False watches nothing.

    Differs from PyTorch: infinities count, and the forward pass is examined too.

    >>> import chainrule
    >>> x = chainrule.tensor([1.0, 0.0], requires_grad=True)
    >>> with chainrule.detect_anomaly():
    ...     x.log().sum().backward()
    Traceback (most recent call last):
        ...
    chainrule.errors.NonFiniteError: detect_anomaly: log made inf
      expected  finite numbers
      got       result[1] = -inf at x = 0; 1 of 2; x float32[2] from 0 to 1
      ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self.before: list[tuple[Any, Any, Any]] = []

    def __enter__(self) -> None:
        self.before.append(_switch(self.check_nan))

    def __exit__(self, *exc: object) -> None:
        _put_back(self.before.pop())


class set_detect_anomaly:
    """detect_anomaly on or off by a flag; as a context manager or, like PyTorch's, at once."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = _switch(bool(mode) and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _put_back(self.before)
