"""What tensors hold while a compiled function is recorded.

The tensors of the user keep their arrays.  What they would hold at this point of the function is
kept here, as a node of the program: a tensor that existed before is an input by reference, a write
gives its memory a new node, and views are worked out from the memory that they show.  So nothing
has to be put back after an error but the few attributes in `held`.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import Site, TraceError, describe_site, user_site
from ..grad import clock
from ..graph.node import Node, unknown
from ..graph.trace import Recorder
from ..ops import REGISTRY, full, iota
from ..ops.core import Op, Params, Spec, current, interpret
from .core import Tensor, repeats, wrap
from .looking import kept_outside, leaked
from .placing import Before, Chain, Check, Demand, GradOf, Input, Memory, Place, phantom_of

_EXPAND, _RESHAPE, _CAST = REGISTRY["expand"], REGISTRY["reshape"], REGISTRY["cast"]


class Trace:
    """One recording of a function: what is known of every tensor that it touches."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.places: dict[Tensor, Place] = {}
        self.made: list[weakref.ref[Tensor]] = []  # results of ops
        self.older: set[Tensor] = set()  # tensors of these that existed before
        self.memories: dict[int, Memory] = {}  # by the array that was there before
        self.loose: dict[Tensor, tuple[Memory, int]] = {}  # copies that elsewhere are views
        self.torn: dict[Tensor, Site | None] = {}  # those that were written, and where
        self.inputs: dict[Node, Input] = {}
        self.constants: dict[Node, Any] = {}
        self.held: dict[Tensor, Before] = {}
        self.arguments: dict[Tensor, int] = {}  # which tensors are which arguments
        self.pinned: set[Tensor] = set()  # arguments that must be the same tensors at every call
        self.replaced: set[Tensor] = set()  # whose gradient was exchanged by the function
        self.grads_read: dict[Tensor, bool] = {}  # whose gradient was looked at before: was there
        self.consumed: dict[Tensor, Site | None] = {}  # whose gradient an optimizer has used
        self.checks: list[Check] = []
        self.demands: list[Demand] = []
        self.trusted: set[Node] = set()
        self.parts: dict[Any, Any] = {}  # suppliers and guards by what they stand for
        self.undo: list[Callable[[], None]] = []
        self.sites: dict[str, Site] = {}  # where the function sets what
        self.untouched: dict[Any, Any] = {}  # optimizers as they were before
        self.names: dict[Tensor, str] = {}
        self.labels: dict[str, int] = {}
        self.began = next(clock)
        self.first = Node(None, (), {}, Spec((), np.dtype(np.bool_))).seq

    # ------------------------------------------------------------ values

    def value(self, t: Tensor) -> Node:
        """What a tensor holds at this point of the program."""
        place = self.places.get(t)
        if t in self.loose:
            memory, version = self.loose[t]
            if memory.version != version:
                raise self._torn(t, "read after x was written")
        if place is None:
            value = t._value
            if isinstance(value, Node):
                self._check_own(value)
                return value
            place = self._found(t)
        memory = place.memory
        if place.version != memory.version:
            node = memory.node
            for op, params in place.chain:
                node = self.recorder(op, (node,), params)
            place.node, place.version = node, memory.version
        return place.node

    def loosen(self, out: Tensor, x: Tensor) -> None:
        """Says that x[i] is a copy for a number i that is a tensor, where it would be a view."""
        memory = self._memory(x)
        self.loose[out] = memory, memory.version

    def settle(self, t: Any) -> None:
        """`x[i] = t`: what was written into the copy has come to its place (x[i] += 1)."""
        if t in self.loose:
            del self.loose[t]
            self.torn.pop(t, None)

    def check_torn(self) -> None:
        """Raises where something was written into a copy, and left there."""
        for t, site in self.torn.items():
            raise self._torn(t, f"written at {describe_site(site)}")

    def _torn(self, t: Tensor, how: str) -> TraceError:
        return TraceError(
            "x[i] with a tensor for a number i is a copy in a compiled function, and else a view",
            got=f"the result of shape {t.shape} is {how}",
            fix="x[i] = ... to write; x[i] again to read; or compile(..., static=...) for i",
        )

    def _check_own(self, node: Node) -> None:
        if node.seq < self.first:
            raise leaked(node)

    def existed(self, t: Tensor) -> bool:
        """Whether a tensor is older than the recording."""
        return t in self.older or (t not in self.places and not isinstance(t._value, Node))

    def _found(self, t: Tensor) -> Place:
        """The place of a tensor that is seen for the first time: an input, or a view of one."""
        self.older.add(t)
        if t in self.arguments:  # at the next call it may show something else
            return self.lift(t, self.arguments[t])
        memory = self.memories.get(id(t._value))
        if memory is not None and memory.tensor not in self.arguments:
            # another tensor of the very same array, as detach() makes one
            place = self.places[t] = Place(memory, (), memory.node)
            return place
        base = t._base
        if (
            base is not None
            and base not in self.arguments
            and np.may_share_memory(t._value, base._value)
        ):
            self.value(base)
            place = Place(self._memory(base), t._chain, self.places[base].node)
            place.version = -1
            self.places[t] = place
            return place
        return self.lift(t, t)

    def lift(self, t: Tensor, source: Any, name: str = "") -> Place:
        """Makes a tensor an input of the program."""
        label = name or self.names.get(t, "")
        node = self.input(t._value, source, label)
        memory = self.memories[id(t._value)] = Memory(node, t)
        place = self.places[t] = Place(memory, (), node)
        self.older.add(t)
        return place

    def input(self, like: Any, source: Any, name: str = "", *, weak: bool = False) -> Node:
        """A new input, shaped and typed as an array."""
        label = name or f"x{len(self.inputs)}"
        self.labels[label] = count = self.labels.get(label, 0) + 1
        label = label if count == 1 else f"{label}#{count}"
        node = Node(None, (), {}, Spec(tuple(like.shape), like.dtype), label, user_site(2))
        node.weak = weak
        self.inputs[node] = Input(node, source)
        return node

    def constant(self, array: Any) -> Node:
        """An array that is the same at every call."""
        first = array.reshape(-1)[:1]
        with interpret(self.recorder):
            if array.size and bool((array == first).all()):
                value = first[0].item()
                return full(shape=array.shape, value=value, dtype=array.dtype)
            if array.ndim == 1 and array.dtype.kind in "iu" and bool(
                (array == np.arange(array.size)).all()
            ):  # fmt: skip
                node: Node = iota(size=array.size, dtype=array.dtype)
            else:
                node = self.input(array, array.copy())
        self.constants[node] = array
        return node

    def tensor(self, array: Any) -> Tensor:
        """A Tensor that is the same at every call."""
        return wrap(self.constant(array))

    def known(self, t: Tensor) -> Any:
        """The array of a tensor that is the same at every call, or None."""
        node = self.value(t)
        if node.op is not None and node.op.name == "full":
            return node.op.forward(**node.params)
        return self.constants.get(node)

    # ------------------------------------------------------------ memory

    def _memory(self, t: Tensor) -> Memory:
        node = self.value(t)
        place = self.places.get(t)
        if place is None:
            place = self.places[t] = Place(Memory(node), (), node)
        return place.memory

    def alias(self, out: Tensor, x: Tensor, more: Chain = (), node: Node | None = None) -> None:
        """Records that a new tensor shows the memory of x, or a part of it."""
        memory = self._memory(x)
        chain = self.places[x].chain
        if x in self.loose:
            self.loose[out] = self.loose[x]
        self.places[out] = Place(memory, chain + more, self.value(x) if node is None else node)

    def write(self, t: Tensor, new: Node) -> None:
        """Replaces what a tensor shows, in the memory where it lies."""
        if t in self.loose:
            self.torn[t] = user_site(2)
        memory = self._memory(t)
        chain = self.places[t].chain
        levels = [memory.node]
        for op, params in chain[:-1]:
            levels.append(self.recorder(op, (levels[-1],), params))
        with interpret(self.recorder):
            for x, (op, params) in zip(reversed(levels), reversed(chain), strict=bool(chain)):
                if op is _EXPAND and x.size == new.size:  # nothing is repeated
                    op, params = _RESHAPE, {}
                new = op.put(x, new, **params)
        memory.node = new
        memory.version += 1
        memory.site = user_site(2)

    def replace(self, t: Tensor, value: Tensor) -> None:
        """`t.data = value`: a write, since the program keeps t's memory."""
        new = self.value(value)
        if not self.existed(t):  # made in this function: it may become anything
            self.places.pop(t, None)
            t._value = new
            return
        if new.shape != t.shape or new.dtype != t.dtype:
            raise TraceError(
                "data: a compiled function can't change the shape or dtype of a tensor in place",
                expected=f"{t.shape} {t.dtype}",
                got=f"{new.shape} {new.dtype}",
                fix="do this outside the compiled function",
            )
        self.write(t, new)

    def repeats(self, t: Tensor) -> bool:
        """Whether several elements of a tensor are one place in memory."""
        place = self.places.get(t)
        if place is None:
            return not isinstance(t._value, Node) and repeats(t._value)
        memory = place.memory
        shown = (
            memory.tensor._value
            if memory.tensor is not None
            else np.empty(memory.first.shape, np.int8)
        )
        for op, params in place.chain:
            shown = op.forward(shown, **params)
        return repeats(shown)

    def reshapes_in_place(self, t: Tensor, shape: tuple[int, ...]) -> bool:
        """Whether t under another shape is a view: whether its elements lie in a row."""
        place = self.places.get(t)
        if [n for n in t.shape if n != 1] == [n for n in shape if n != 1]:
            return True
        if place is None:
            shown = phantom_of(self.value(t))
        elif place.memory.tensor is not None:
            shown = place.memory.tensor._value
        else:
            shown = phantom_of(place.memory.first)
        for op, params in place.chain if place is not None else ():
            shown = op.forward(shown, **params)
        return bool(np.may_share_memory(shown.reshape(shape), shown)) or not shown.size

    # ------------------------------------------------------------ attributes of the user's tensors

    def hold(self, t: Tensor, *, grad: bool = False) -> None:
        """Remembers a tensor's node and gradient before they change."""
        if t not in self.held and self.existed(t):
            self.held[t] = Before(t._node, t._grad)
        if grad:
            self.replaced.add(t)

    def pin(self, t: Tensor) -> None:
        """Says that an argument is also reached another way: it must be the same at each call."""
        if t in self.arguments:
            self.pinned.add(t)

    def gradient(self, t: Tensor) -> Tensor | None:
        """t's gradient at this point; whether there was one before is part of the program."""
        self.hold(t)
        before = self.held.get(t)
        if before is not None and t not in self.replaced and t not in self.grads_read:
            self.grads_read[t] = before.grad is not None
            if before.grad is not None and before.grad not in self.places:
                self.lift(before.grad, GradOf(t), "grad")
        return t._grad

    def check_untouched(self, *optimizers: Any) -> None:
        """Raises where settings or state of optimizers (all) were set by the function."""
        for optimizer in optimizers or self.untouched:
            self.untouched[optimizer].check(self.sites)

    def restore(self) -> None:
        """Puts attributes back as they were."""
        for t, before in self.held.items():
            t._node, t._grad = before

    def close(self) -> None:
        """Lets go of all tensors; raises where somebody else has kept one that was computed."""
        for held in (self.places, self.loose, self.torn, self.replaced, self.consumed):
            held.clear()
        if any(made() is not None for made in self.made):
            gc.collect()
        for made in self.made:
            t = made()
            if t is not None:
                raise kept_outside(t._value)

    # ------------------------------------------------------------ conditions on values

    def check_history(self, t: Tensor) -> None:
        """Raises for a tensor that was computed, with history, before the recording."""
        node = t._node_now()
        if node.seq < self.began:
            raise TraceError(
                "a tensor with a history from outside is used in a compiled function, where no "
                "gradient can flow back to it",
                expected="leaves, constants, or tensors computed inside",
                got=f"{self.names.get(t, 'a tensor')} of shape {t.shape}, {node!r}",
                fix="compute it inside the compiled function, or .detach()",
            )

    def trust(self, t: Tensor) -> None:
        """Indices that were checked when they were made are not checked again."""
        self.trusted.add(self.value(t))

    def demand(self, x: Any, check: Callable[[Any], Any], holds: Callable[[Any], Any]) -> None:
        """Has `check` look at x's values: before each call if x is an input, else after it."""
        node = self.value(x) if isinstance(x, Tensor) else x
        path = []
        root = node
        while root.op is not None and (root.op.view or root.op is _CAST):
            if root in self.trusted:
                return
            path.append((root.op, root.params))
            root = root.inputs[0]
        if root in self.trusted:
            return
        site, module = user_site(2), current.module
        if root.op is None:
            self.checks.append(Check(root, tuple(reversed(path)), check, holds, site, module))
        elif root in self.constants:
            check(self.constants[root])
        else:
            with interpret(self.recorder):
                condition = holds(node)
            if condition is None:
                return
            value = node if not node.shape else None
            self.demands.append(Demand(condition, value, check, site, module))

    def admit(self, op: Op, inputs: Sequence[Any], values: Sequence[Any], params: Params) -> None:
        """Records what an op refuses."""
        place = op.looks_at(values)
        if place is None:
            return
        others = [v.spec if isinstance(v, Node) else v for v in values]
        if not isinstance(values[place], Node):
            op.admit(values[place], *others, **params)
            return
        self.demand(
            values[place],
            lambda array: op.admit(array, *others, **params),
            lambda node: op.admissible(node, *values, **params),
        )

    def refuse(self, t: Tensor, what: str) -> Any:
        """The array of a constant; a look at any other value raises."""
        array = self.known(t)
        if array is None:
            raise unknown(self.value(t), what)
        return array
