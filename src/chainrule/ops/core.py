"""The contract of an op, the registry, and the interpreter that gives an op its meaning.

An op says four things about itself: its shapes (`spec`), its values (`forward`, in NumPy), its
derivative (`vjp`, written in ops) and where it may be tested (`samples`).  What a call such as
`exp(x)` *does* is the business of the current interpreter: compute on arrays, compute on Tensors
and record a tape, record a program, or work out shapes only.  A rule is therefore written once
and serves all of them.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..dtypes import DType
from ..errors import IndexRangeError, ShapeError

Value = Any
"""What ops work on: an array, a Tensor, a node of a program, or (pointwise) a Python number."""
Shape = tuple[int, ...]
Params = dict[str, Any]
Interpreter = Callable[["Op", Sequence[Value], Params], Value]

REGISTRY: dict[str, Op] = {}
"""Every op by name.  Tests, the tracer and the explanations iterate it."""


class Spec(NamedTuple):
    """Shape and type of a value, without the value."""

    shape: Shape
    dtype: DType

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


class Sample(NamedTuple):
    """One admissible call of an op: arrays that it takes and the parameters that go with them."""

    inputs: tuple[Any, ...]
    params: Params


class Scatter(NamedTuple):
    """y[i] = start(i) everywhere; then, over `axes` in order, y[place] = value, or += where `adds`.

    `axes` are loop variables of the builder, `place` and `value` what it made of them; `start`
    takes indices, or is None where every place is written.
    """

    axes: tuple[Any, ...]
    place: tuple[Any, ...]
    value: Any
    adds: bool = False
    start: Callable[..., Any] | None = None
    apart: bool = False  # no two places are one, so the order does not matter


class Op:
    """A primitive operation with one output.

    saves    which of the values `y`, `x`, `a`, ... the rule reads; the tape keeps those alive.
             A dict says it for each input's gradient by itself.  None: all of them.
    shapes   which of them the rule asks for shape and dtype only.
    view     the result shares memory with the first input (see `put`).
    singular the derivative can be infinite or nan where the incoming gradient is a masked 0.
    masks    the rule sets part of a gradient to 0 on purpose (see `grad.sweep`).
    moves    the result holds elements of the input as they are: in compiled code an index map.
    combines an element of the result combines many of the inputs.
    warns    NumPy may warn of overflow or of an invalid value while it runs.
    """

    name: ClassVar[str]
    math: ClassVar[str] = ""
    saves: ClassVar[frozenset[str] | Mapping[str, str] | None] = None
    shapes: ClassVar[frozenset[str]] = frozenset()
    pointwise: ClassVar[bool] = False
    view: ClassVar[bool] = False
    singular: ClassVar[bool] = False
    masks: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    combines: ClassVar[bool] = False
    warns: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower().strip("_")

    def __init__(self) -> None:
        assert self.name not in REGISTRY, f"two ops are called {self.name}"
        REGISTRY[self.name] = self
        self.input_names = _input_names(self)
        self.variadic = "*" in self.input_names
        self.spelled = type(self).spell is not Op.spell
        self.scatters = type(self).scatter is not Op.scatter
        if self.variadic:  # as many inputs as come: one answer for all of them, zip cuts the rest
            keeps = _keeps(self, 1)
            self.keeps: tuple[Keeps, ...] = (keeps._replace(inputs=keeps.inputs * 10_000),)
        else:
            self.keeps = tuple(_keeps(self, mask) for mask in range(1 << len(self.input_names)))

    def __call__(self, *inputs: Value, **params: Any) -> Value:
        return current.interpreter(self, inputs, params)

    def __repr__(self) -> str:
        return f"ops.{self.name}"

    def mask_of(self, edges: Sequence[Any]) -> int:
        """The inputs whose gradient is wanted, as bits: the place in `keeps`."""
        if self.variadic:
            return 0
        mask = 0
        bit = 1
        for edge in edges:
            if edge is not None:
                mask += bit
            bit += bit
        return mask

    def spec(self, *inputs: Any, **params: Any) -> Spec:
        """Shape and dtype of the result; raises with a full message on inputs that do not fit."""
        raise NotImplementedError(f"{self.name} has no spec: add it in {type(self).__module__}")

    def forward(self, *inputs: Any, **params: Any) -> Any:
        """The value, in NumPy: the reference, and eager mode."""
        raise NotImplementedError(f"{self.name} has no forward: add it in {type(self).__module__}")

    def vjp(self, g: Value, y: Value, *inputs: Value, **params: Any) -> tuple[Value, ...]:
        """The gradients of the inputs, from the gradient `g` of the output, written in ops.

        One entry an input: a value, None where there is no gradient, or a function without
        arguments that is called only when that gradient is wanted.
        """
        raise NotImplementedError(f"{self.name} has no vjp: add it in {type(self).__module__}")

    def spell(self, *inputs: Value, **params: Any) -> Value:
        """The same value in other ops, where compiled code is to use those; else None."""
        return None

    def element(self, make: Any, i: Any, *inputs: Any, **params: Any) -> Any:
        """One element of the result as a scalar expression, for the compiler.

        `i` holds an index for every dimension, `inputs` are functions that give the element at
        such indices (with .shape and .dtype), and `make` builds expressions: see
        `compiler.loops.expr`.
        """
        raise NotImplementedError(
            f"{self.name} has no element or scatter: add one in {type(self).__module__}"
        )

    def scatter(self, make: Any, y: Any, *inputs: Any, **params: Any) -> list[Scatter]:
        """For ops that write where their inputs say: how `y` is filled, one part after the other.

        Nothing, where `element` serves better.
        """
        return []

    def looks_at(self, inputs: Sequence[Any]) -> int | None:
        """Which input's values may be refused, beyond shapes and dtypes; None: any will do."""
        return None

    def admit(self, value: Any, *inputs: Any, **params: Any) -> None:
        """Raises where that input holds what this op refuses, such as an index out of range."""

    def admissible(self, value: Value, *inputs: Value, **params: Any) -> Value:
        """Whether `admit` lets all the numbers pass, as a value written in ops; None: always."""
        raise NotImplementedError(f"{self.name} refuses no values")

    def bound(self, *inputs: Any, **params: Any) -> int | None:
        """All elements are whole numbers in [0, bound) by the way they are made; None: or not."""
        return None

    def put(self, x: Value, v: Value, **params: Any) -> Value:
        """For views: x with the part that this op shows replaced by v, written in ops."""
        raise NotImplementedError(f"{self.name} is not a view")

    def fits(self, values: Sequence[Any]) -> bool:
        """Whether arrays and numbers can go into `forward` without `align`."""
        return True

    def align(self, inputs: Sequence[Value]) -> Sequence[Value]:
        """Inputs brought to one shape and dtype (pointwise ops); others take them as they are."""
        return inputs

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        """Admissible calls, away from kinks and poles, in float64 where there is a derivative."""
        raise NotImplementedError(
            f"{self.name} has no samples: add them in {type(self).__module__}"
        )


def _input_names(op: Op) -> tuple[str, ...]:
    code = type(op).forward.__code__
    names = code.co_varnames[1 : code.co_argcount]
    variadic = bool(code.co_flags & 0x04)
    return (*names, "*") if variadic else names


class Keeps(NamedTuple):
    """What the tape holds on to: for each input 2 its value, 1 its shape, 0 nothing; and y."""

    inputs: tuple[int, ...]
    y: bool
    values: bool
    everything: bool
    nothing: bool


def _keeps(op: Op, mask: int) -> Keeps:
    """What the rule reads when the gradients of the inputs in the bit mask are wanted."""
    names = op.input_names
    if op.saves is None:
        read = {*names, "y"}
    elif isinstance(op.saves, Mapping):
        wanted = [n for i, n in enumerate(names) if mask >> i & 1]
        read = {name for n in wanted for name in op.saves.get(n, "").split()}
    else:
        read = set(op.saves)
    flags = tuple(2 if n in read else 1 if n in op.shapes else 0 for n in names)
    return Keeps(
        flags, "y" in read, bool(read), all(f == 2 for f in flags), not any(f for f in flags)
    )


def arrays(op: Op, inputs: Sequence[Value], params: Params) -> Value:
    """The plainest interpreter: NumPy arrays in, NumPy array out (NumPy broadcasts)."""
    return op.forward(*inputs, **params)


def shapes(op: Op, inputs: Sequence[Value], params: Params) -> Spec:
    """The shape-only interpreter: Specs (or arrays) in, Spec out, nothing computed."""
    return op.spec(*op.align(inputs), **params)


class State(threading.local):
    """What the running thread is doing.  Class attributes are the defaults of a new thread."""

    interpreter: Interpreter = staticmethod(arrays)
    tensors: Interpreter = staticmethod(arrays)  # what an op call on Tensors means
    compute: Interpreter = staticmethod(arrays)  # and on their values: arrays, or nodes
    anomaly: Any = None  # what looks at every result, within detect_anomaly
    trace: Any = None  # the recording of a compiled function that is going on
    grad_enabled: bool = True
    switched_off: Any = None  # where recording was last switched off
    quiet: bool = False  # NumPy's floating-point warnings are already silenced further out
    module: Any = None  # the nn.Module whose forward is running


current = State()


class Changes:
    """Counts what recorded programs rely on without looking: attributes, modes, hooks.

    Every count is given out once, so a count that is the same means that nothing has changed.
    """

    now: int = 0
    _counter = itertools.count(1)

    def note(self) -> None:
        """Something has changed."""
        self.now = next(self._counter)


changes = Changes()


class interpret:
    """Within the block an op call means what `interpreter` says."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter

    def __enter__(self) -> None:
        self.outer = current.interpreter
        current.interpreter = self.interpreter

    def __exit__(self, *exc: object) -> None:
        current.interpreter = self.outer


class quietly:
    """Silences NumPy's warnings (log of 0, overflow): inf and nan follow IEEE, as in PyTorch.

    Entering NumPy's own block costs a microsecond, so it is entered once, as far out as possible.
    """

    silence: np.errstate | None = None

    def __enter__(self) -> None:
        if not current.quiet:
            current.quiet = True
            self.silence = np.errstate(all="ignore")
            self.silence.__enter__()

    def __exit__(self, *exc: object) -> None:
        if self.silence is not None:
            current.quiet = False
            self.silence.__exit__(None, None, None)


NUMBERS = frozenset({bool, int, float})


def is_number(x: Any) -> bool:
    """Whether x is a Python number, which pointwise ops take as it stands.

    NumPy's float64 is a float by inheritance, but a value with a dtype: it is none here.
    """
    return type(x) in NUMBERS


def broadcast_shapes(op_name: str, *shapes: Shape) -> Shape:
    """The common shape of values that meet element by element; raises where there is none."""
    if shapes.count(shapes[0]) == len(shapes):  # as nearly always
        return shapes[0]
    ndim = max(len(s) for s in shapes)
    result = []
    for axis in range(-ndim, 0):
        sizes = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(sizes) > 1:
            listed = " and ".join(str(s) for s in shapes)
            raise ShapeError(
                f"{op_name}: shapes {listed} do not broadcast",
                expected=f"equal sizes, or 1, at dimension {axis}",
                got=" against ".join(str(s[axis]) for s in shapes if len(s) >= -axis),
                fix="reshape or unsqueeze one of them so that the dimensions line up",
            )
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def normalize_axis(op_name: str, axis: int, ndim: int) -> int:
    """A dimension counted from the front; raises where there is none."""
    if not -max(ndim, 1) <= axis < max(ndim, 1):
        raise IndexRangeError(
            f"{op_name}: dimension out of range",
            expected=f"a dimension in [{-max(ndim, 1)}, {max(ndim, 1) - 1}]",
            got=str(axis),
        )
    return axis + max(ndim, 1) if axis < 0 else axis


def normalize_axes(op_name: str, axes: Any, ndim: int) -> tuple[int, ...]:
    """None (all), a number or several numbers as a sorted tuple of dimensions."""
    if axes is None:
        return tuple(range(ndim))
    listed = (axes,) if isinstance(axes, int) else tuple(axes)
    if ndim == 0:
        for axis in listed:
            normalize_axis(op_name, axis, ndim)
        return ()
    found = sorted(normalize_axis(op_name, int(a), ndim) for a in listed)
    if len(set(found)) != len(found):
        raise ShapeError(f"{op_name}: a dimension is listed twice", got=str(listed))
    return tuple(found)


VALUE_X = frozenset({"x"})
VALUE_Y = frozenset({"y"})
NOTHING: frozenset[str] = frozenset()
OTHER: Mapping[str, str] = {"a": "b", "b": "a"}
"""Each gradient of a product reads the other factor."""
