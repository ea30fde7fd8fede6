"""Asking for gradients: backward(), grad(), hooks, and switching recording off and on."""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    GradError,
    ShapeError,
    describe_site,
    source_of,
    user_site,
)
from ..grad import Handle, Leaf, Reader, Route, sweep
from ..graph.node import Node as GraphNode
from ..ops.core import current, quietly
from . import core
from .looking import SWITCHED_OFF, WAYS_BACK
from .memory import in_words_of
from .readers import PLAIN, RECORDING, TRACED, accumulate

if TYPE_CHECKING:
    from .core import Tensor

F = TypeVar("F", bound=Callable[..., Any])


class GradMode:
    """Base of the switches: `with no_grad():`, `@no_grad()` and, as in PyTorch, `@no_grad`."""

    enabled: bool

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        made.outer = []
        return made(function) if callable(function) else made

    outer: list[bool]

    def __enter__(self) -> None:
        self.outer.append(current.grad_enabled)
        self._switch()

    def _switch(self) -> None:
        current.grad_enabled = self.enabled
        if not self.enabled:
            current.switched_off = SWITCHED_OFF, user_site(3)

    def __exit__(self, *exc: object) -> None:
        current.grad_enabled = self.outer.pop()

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(GradMode):
    """Within the block nothing is recorded: results require no gradient.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> with chainrule.no_grad():
    ...     w -= 0.1
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    enabled = False


class enable_grad(GradMode):
    """Within the block operations are recorded again, inside `no_grad` too."""

    enabled = True


class set_grad_enabled(GradMode):
    """Recording on or off by a flag; as a context manager or, like PyTorch's, at once."""

    def __new__(cls, mode: bool) -> Any:
        return super().__new__(cls)

    def __init__(self, mode: bool) -> None:
        self.enabled = mode
        self.before = current.grad_enabled
        self._switch()

    def __enter__(self) -> None:
        self.outer.append(self.before)
        self._switch()

    def __call__(self, function: F) -> F:
        current.grad_enabled = self.before
        return (enable_grad() if self.enabled else no_grad())(function)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded."""
    return current.grad_enabled


def _seed(output: Tensor, gradient: Tensor | None, name: str) -> Tensor:
    if gradient is None:
        if output._value.size != 1:
            raise GradError(
                "grad can be implicitly created only for scalar outputs",
                expected="a loss with one element",
                got=f"{name} on shape {output.shape}",
                fix=".mean() or .sum() first, or gradient=chainrule.ones_like(y)",
            )
        return core.constant(np.ones(output._value.shape, output._value.dtype))
    if not isinstance(gradient, core.Tensor):
        raise ArgumentTypeError(f"{name}: gradient must be a Tensor", got=type(gradient).__name__)
    if gradient.shape != output.shape:
        raise ShapeError(
            f"{name}: the gradient has another shape than the output",
            expected=str(output.shape),
            got=str(gradient.shape),
        )
    if gradient.dtype != output.dtype:
        raise DTypeError(
            f"{name}: the gradient has another dtype than the output",
            expected=output.dtype.name,
            got=gradient.dtype.name,
        )
    return gradient


def _require_history(output: Any, name: str) -> None:
    if not isinstance(output, core.Tensor):
        raise ArgumentTypeError(f"{name}: needs a Tensor", got=type(output).__name__)
    if output._node_now() is None:
        why, fix = "no tensor it was computed from requires grad", "requires_grad=True there"
        if output._lost is not None:
            how, site = output._lost
            why = f"{how} at {describe_site(site)}  {source_of(site)}".rstrip()
            fix = WAYS_BACK.get(how, "leave that out between the parameters and the loss")
        raise GradError(
            f"{name}: element 0 of tensors does not require grad and does not have a grad_fn",
            got=why,
            fix=fix,
        )


def _run(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    route: Route | None,
    retain_graph: bool,
    create_graph: bool,
    name: str,
) -> Any:
    state = current
    trace = state.trace
    seeds = []
    for output, gradient in zip(outputs, gradients, strict=True):
        seed: Any = _seed(output, gradient, name)
        if not create_graph:
            seed = seed._value if trace is None else trace.value(seed)
        seeds.append((output._node_now(), seed))
    reader: Reader = RECORDING
    if not create_graph:
        reader = PLAIN if trace is None else TRACED
    if state.anomaly is not None and trace is None:
        state.anomaly.began(outputs)
        reader = copy.copy(reader)
        reader.watch = state.anomaly.rule
    outer = state.interpreter, state.grad_enabled
    state.interpreter = state.tensors if create_graph else state.compute
    state.grad_enabled = create_graph
    try:
        with quietly():
            return sweep(seeds, reader, route=route, retain_graph=retain_graph)
    except MemoryError as error:
        raise in_words_of(name, error) from None
    finally:
        state.interpreter, state.grad_enabled = outer


def drop_gradients(tensors: Iterable[Tensor], set_to_none: bool) -> None:
    """Forgets gradients, or fills them with zeros."""
    trace = current.trace
    for p in tensors:
        if trace is not None:
            if not set_to_none and trace.gradient(p) is None:
                continue
            trace.hold(p, grad=True)
        if p._used is not None:
            p._used = None
        if set_to_none:
            p._grad = None
        elif p._grad is not None:
            p._grad = p._grad.detach().zero_()


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Adds dL/dx to x.grad for every leaf x (or for `inputs` only), for L = sum(grad * tensor).

    `grad_tensors` is needed for outputs with more than one element.  The values that the graph
    saved are freed, unless `retain_graph`; `create_graph` records the backward pass itself.
    """
    outputs = [tensors] if isinstance(tensors, core.Tensor) else list(tensors)
    single = grad_tensors is None or isinstance(grad_tensors, core.Tensor)
    gradients: list[Any] = [grad_tensors] * len(outputs) if single else list(grad_tensors)  # type: ignore[arg-type]
    for output in outputs:
        _require_history(output, "backward")
    keep = create_graph if retain_graph is None else retain_graph
    route = None
    if inputs is not None:
        wanted = [inputs] if isinstance(inputs, core.Tensor) else list(inputs)
        if not wanted:
            raise ArgumentError(
                "backward: inputs is an empty list", fix="inputs=None for all leaves"
            )
        for x in wanted:
            _require_history(x, "backward: inputs")
        route = Route([o._node_now() for o in outputs], [x._node_now() for x in wanted])
    done = _run(outputs, gradients, route, keep, create_graph, "backward")
    trace = current.trace
    if route is not None:
        for x in wanted:
            if (node := x._node_now()) in done.ends:
                accumulate(x, _own(done.ends[node], node in done.shared), trace)
        return
    for node, g in done.ends.items():
        holder = node.ref() if type(node) is Leaf else None
        if holder is not None:
            accumulate(holder, _own(g, node in done.shared), trace)


def _own(g: Any, shared: bool) -> Tensor:
    """The gradient as a Tensor that nobody else writes to."""
    if isinstance(g, core.Tensor):
        if not shared and g._base is None:
            return g
        with enable_grad():
            return g.clone()
    if type(g) is not np.ndarray:
        return core.wrap(g if isinstance(g, GraphNode) else np.array(g))
    return core.wrap(g.copy() if shared or g.base is not None else g)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of outputs with respect to inputs, returned and not stored in .grad.

    `create_graph` makes the result differentiable: call grad again for higher derivatives.
    Raises for inputs that the outputs do not depend on, unless `allow_unused` (None is returned).

    >>> import chainrule
    >>> x = chainrule.tensor(3.0, requires_grad=True)
    >>> (dy,) = chainrule.autograd.grad(x**3, x, create_graph=True)
    >>> chainrule.autograd.grad(dy, x)
    (tensor(18.),)
    """
    outs = [outputs] if isinstance(outputs, core.Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, core.Tensor) else list(inputs)
    single = grad_outputs is None or isinstance(grad_outputs, core.Tensor)
    gradients: list[Any] = [grad_outputs] * len(outs) if single else list(grad_outputs)  # type: ignore[arg-type]
    for t in outs:
        _require_history(t, "grad")
    for i, x in enumerate(ins):
        if not isinstance(x, core.Tensor) or x._node_now() is None:
            raise GradError(
                f"grad: input {i} does not require grad", fix="requires_grad=True when it is made"
            )
    keep = create_graph if retain_graph is None else retain_graph
    done = _run(outs, gradients, _route(outs, ins), keep, create_graph, "grad")
    return tuple(_result(i, x, done, allow_unused, materialize_grads) for i, x in enumerate(ins))


def _route(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Route:
    return Route([t._node_now() for t in outputs], [x._node_now() for x in inputs])


def gradients_to_read(output: Tensor, inputs: Sequence[Tensor]) -> list[Any]:
    """As `grad` of a scalar, but arrays that are only to be read, since several may be one memory.

    None where the output does not depend on an input.
    """
    done = _run([output], [None], _route([output], inputs), False, False, "grad")
    return [done.ends.get(x._node_now()) for x in inputs]


def _result(i: int, x: Tensor, done: Any, unused: bool | None, zeros: bool) -> Tensor | None:
    node = x._node_now()
    if node in done.ends:
        return _own(done.ends[node], True)
    if zeros:
        return core.constant(np.zeros(x.shape, x.dtype))
    if not unused:
        raise GradError(
            f"One of the differentiated Tensors (index {i}) appears to not have been used in the "
            "graph.",
            got=f"input {i} of shape {x.shape}",
            fix="allow_unused=True if that is intended, or materialize_grads=True for zeros",
        )
    return None


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Calls `hook(gradient)` once the gradient is complete; what it returns replaces it."""
    node = tensor._node_now()
    if node is None:
        raise GradError("register_hook: this tensor does not require grad")
    if node.hooks is None:
        node.hooks = {}
    return Handle(node.hooks, hook)


def retain_grad(tensor: Tensor) -> None:
    """Makes backward() keep the gradient of a tensor that is not a leaf in `.grad`."""
    node = tensor._node_now()
    if node is None:
        raise GradError("retain_grad: this tensor does not require grad")
    if type(node) is not Leaf:
        node.retained = weakref.ref(tensor)
