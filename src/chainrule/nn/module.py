"""Module: a function with parameters, made of other modules.

Parameters, buffers and submodules are plain attributes, found by their type, so reading one costs
what reading any attribute costs.
"""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..errors import ArgumentTypeError, ChainruleError, StateError
from ..grad import Handle, clock
from ..ops.core import changes, current, quietly
from ..tensor.autograd import drop_gradients, no_grad
from ..tensor.core import Tensor
from ..tensor.create import empty
from ..tensor.reached import ModuleLike
from .parameter import Parameter
from .recorded import note_call, note_mode
from .registration import NameTaken, init_missing
from .state import check_state, loaded_values

M = TypeVar("M", bound="Module")

called: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
"""Modules that were called by themselves, not by others, and when last: they name parameters."""


class Module(ModuleLike):
    """Base of layers and models: write `__init__` and `forward`.

    >>> import chainrule
    >>> from chainrule import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(2, 1)
    ...     def forward(self, x):
    ...         return self.fc(x).relu()
    >>> [name for name, _ in Net().named_parameters()]
    ['fc.weight', 'fc.bias']
    """

    training: bool = True
    _forward_hooks: dict[Any, Any]
    _forward_pre_hooks: dict[Any, Any]
    _buffer_names: dict[str, bool]
    _reserved: dict[str, type]

    def __init__(self) -> None:
        d = self.__dict__
        d["_forward_hooks"] = {}
        d["_forward_pre_hooks"] = {}
        d["_buffer_names"] = {}  # name -> whether state_dict holds it
        d["_reserved"] = {}  # name -> Parameter or Module, where None stands for one

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): write one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = current
        outer = state.module
        if outer is None:
            called[self] = next(clock)
        if state.trace is not None:
            note_call(state.trace, self)
        state.module = self
        try:
            if outer is None and not state.quiet:
                with quietly():
                    return self._call(args, kwargs)
            return self._call(args, kwargs)
        except ChainruleError as error:
            self._locate(error, outer is None)
            raise
        finally:
            state.module = outer

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            pre, post = self._forward_pre_hooks, self._forward_hooks
        except AttributeError:
            raise init_missing(self) from None
        if not pre and not post:
            return self.forward(*args, **kwargs)
        for hook in list(pre.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        y = self.forward(*args, **kwargs)
        for hook in list(post.values()):
            changed = hook(self, args, y)
            y = y if changed is None else changed
        return y

    def _locate(self, error: ChainruleError, outermost: bool) -> None:
        """Writes this layer's name into an error that passes through."""
        if error.module is None:
            error.module = self
            error.layer = type(self).__name__
        if outermost:
            for name, module in self.named_modules():
                if module is error.module and name:
                    error.layer = f"{name} ({type(module).__name__})"

    # ------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        kind = _kind(value)
        if kind is not None and "_buffer_names" not in d:
            raise init_missing(self)
        held = self._kind_of(name)
        if kind is None and held is not None:
            self._check_replacement(name, value, held)
            if value is None and held is not Tensor:
                self._reserved[name] = held
        elif kind is not None and held is not kind:
            d.pop(name, None)  # listed by the time of its registration, as in PyTorch
            self._buffer_names.pop(name, None)
            self._reserved.pop(name, None)
        d[name] = value
        changes.note()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        changes.note()
        self.__dict__.get("_buffer_names", {}).pop(name, None)
        self.__dict__.get("_reserved", {}).pop(name, None)

    def _kind_of(self, name: str) -> type | None:
        """What is registered under a name: Parameter, Module, Tensor (a buffer) or None."""
        d = self.__dict__
        kind = _kind(d.get(name))
        if kind is None and "_buffer_names" in d:
            kind = Tensor if name in self._buffer_names else self._reserved.get(name)
        return kind

    def _check_replacement(self, name: str, value: Any, held: type) -> None:
        """Raises unless a registered name gets None, or a buffer gets a tensor."""
        if value is None or (held is Tensor and isinstance(value, Tensor)):
            return
        what, fix = {
            Parameter: ("parameter", f"nn.Parameter(...), or self.{name}.data = ... for values"),
            Module: ("child module", None),
            Tensor: ("buffer", "chainrule.tensor(...)"),
        }[held]
        raise ArgumentTypeError(
            f"cannot assign '{type(value).__name__}' as {what} '{name}'",
            expected=f"a {held.__name__} or None",
            fix=fix,
        )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under a name; None reserves the name."""
        self._check_new(name, param, Parameter)
        self._reserve(name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is part of the state but is not learned."""
        self._check_new(name, tensor, Tensor)
        self._buffer_names[name] = persistent
        self.__dict__[name] = tensor
        changes.note()

    def register_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule under a name."""
        self._check_new(name, module, Module)
        self._reserve(name, module, Module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule under a name."""
        self.register_module(name, module)

    def _reserve(self, name: str, value: Any, kind: type) -> None:
        if value is None:
            self._reserved[name] = kind
        self.__dict__[name] = value
        changes.note()

    def _check_new(self, name: str, value: Any, kind: type) -> None:
        if "_buffer_names" not in self.__dict__:
            raise init_missing(self)
        if not isinstance(name, str):
            raise ArgumentTypeError("a name must be a text", got=repr(name)[:60])
        if not name or "." in name:
            raise NameTaken("a name must be a text without dots, and not empty", got=repr(name))
        if hasattr(self, name) and self._kind_of(name) is not kind:
            raise NameTaken(
                f"attribute '{name}' already exists", fix="another name, or del the attribute first"
            )
        if value is not None and not isinstance(value, kind):
            raise ArgumentTypeError(
                f"cannot assign '{type(value).__name__}' as '{name}'",
                expected=f"a {kind.__name__} or None",
            )

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for name, value in self.__dict__.items():
            if isinstance(value, Parameter):
                yield name, value

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        for name in self._buffer_names:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                yield name, value

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the direct submodules; the same one only once."""
        seen = set()
        for name, value in self.__dict__.items():
            if isinstance(value, Module) and value not in seen:
                seen.add(value)
                yield name, value

    def children(self) -> Iterator[Module]:
        """The direct submodules."""
        return (m for _, m in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all below it, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, value in list(self.__dict__.items()):
            if isinstance(value, Module):
                path = f"{prefix}.{name}" if prefix else name
                yield from value.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (m for _, m in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and all below it; a shared one once."""
        seen: set[int] = set()
        for path, module in self._walk(prefix, recurse, remove_duplicate):
            for name, p in module._own_parameters():
                if remove_duplicate and id(p) in seen:
                    continue
                seen.add(id(p))
                yield (f"{path}.{name}" if path else name), p

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer) of this module and all below it; a shared one once."""
        seen: set[int] = set()
        for path, module in self._walk(prefix, recurse, remove_duplicate):
            for name, b in module._own_buffers():
                if remove_duplicate and id(b) in seen:
                    continue
                seen.add(id(b))
                yield (f"{path}.{name}" if path else name), b

    def _walk(self, prefix: str, recurse: bool, once: bool) -> Iterable[tuple[str, Module]]:
        if not recurse:
            return [(prefix, self)]
        return self.named_modules(prefix=prefix, remove_duplicate=once)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as 'encoder.0'."""
        module: Any = self
        for part in target.split(".") if target else []:
            module = module.__dict__.get(part)
            if not isinstance(module, Module):
                raise AttributeError(f"{type(self).__name__} has no module {target!r}")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as 'fc1.weight'."""
        path, _, name = target.rpartition(".")
        p = self.get_submodule(path).__dict__.get(name)
        if not isinstance(p, Parameter):
            raise AttributeError(f"{type(self).__name__} has no parameter {target!r}")
        return p

    # ------------------------------------------------------------ modes

    def train(self: M, mode: bool = True) -> M:
        """Training mode for this module and all below it (dropout active, ...)."""
        if not isinstance(mode, bool):
            raise ArgumentTypeError("train: mode must be True or False", got=repr(mode))
        trace = current.trace
        for module in self.modules():
            if trace is not None:
                note_mode(trace, module, mode)
            module.__dict__["training"] = mode
        changes.note()
        return self

    def eval(self: M) -> M:
        """Evaluation mode: train(False)."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Learns the parameters, or freezes them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops every gradient (or fills it with zeros)."""
        drop_gradients(self.parameters(), set_to_none)

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Calls fn on all modules below this one, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Parameters and buffers of float types in another float type; a device must be the CPU."""
        wanted = empty(0).to(*args, **kwargs).dtype if args or kwargs else None
        if wanted is not None and wanted.kind != "f":
            raise ArgumentTypeError(
                "Module.to: parameters are of a float type",
                expected="float32 or float64",
                got=wanted.name,
            )
        for module in self.modules():
            for _, t in (*module._own_parameters(), *module._own_buffers()):
                new = t.detach().to(*args, **kwargs)
                if t.dtype.kind == "f" and new.dtype != t.dtype:
                    t.data = new
                    if t._grad is not None:
                        t._grad = t._grad.to(*args, **kwargs)
        return self

    def float(self: M) -> M:
        """In float32."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """In float64."""
        return self.to(np.float64)

    def cpu(self: M) -> M:
        """This module: everything is on the CPU."""
        return self

    # ------------------------------------------------------------ hooks and state

    def register_forward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Calls hook(module, args, output) after forward; what it returns replaces the output."""
        return Handle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Calls hook(module, args) before forward; what it returns replaces the arguments."""
        return Handle(self._forward_pre_hooks, hook)

    def state_dict(self, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by path, in order, sharing memory with the module."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules(remove_duplicate=False):
            head = prefix + (f"{path}." if path else "")
            saved = [(n, b) for n, b in module._own_buffers() if module._buffer_names[n]]
            for name, t in (*module._own_parameters(), *saved):
                state[head + name] = t if keep_vars else t.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Copies values in by name; raises before anything changes, listing what does not fit.

        The values may be Tensors or NumPy arrays.
        """
        own = self.state_dict(keep_vars=True)
        report = check_state(type(self).__name__, own, state_dict, strict)
        values = loaded_values(own, state_dict)
        with no_grad():
            for name, value in values.items():
                own[name].copy_(value)
        return report

    def extra_repr(self) -> str:
        """What the layer's line says in brackets."""
        return ""

    def _child_lines(self) -> list[str]:
        children = [(n, m) for n, m in self.__dict__.items() if isinstance(m, Module)]
        return [f"({name}): {child!r}" for name, child in children]

    def __repr__(self) -> str:
        head, extra, children = type(self).__name__, self.extra_repr(), self._child_lines()
        if not children and "\n" not in extra:
            return f"{head}({extra})"
        lines = "\n".join([*([extra] if extra else []), *children])
        return f"{head}(\n  " + lines.replace("\n", "\n  ") + "\n)"

    def _repr_html_(self) -> str:
        from .html import module_html

        return module_html(self)

    def __getstate__(self) -> Any:
        raise StateError(
            f"{type(self).__name__}: models are not pickled",
            fix="model.state_dict() with chainrule.save(...), or copy.deepcopy(model)",
        )

    def __deepcopy__(self: M, memo: dict[int, Any]) -> M:
        out = type(self).__new__(type(self))
        memo[id(self)] = out
        for name, value in self.__dict__.items():
            out.__dict__[name] = copy.deepcopy(value, memo)
        return out


def _kind(value: Any) -> type | None:
    if isinstance(value, Parameter):
        return Parameter
    return Module if isinstance(value, Module) else None
