"""Module: a function with parameters, made of other modules.

Parameters, buffers and submodules are plain attributes, found by their type, so reading one costs
what reading any attribute costs.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..errors import ArgumentTypeError, ChainruleError, StateError
from ..ops.core import current, quietly
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor
from .state import check_state

M = TypeVar("M", bound="Module")


class Parameter(Tensor):
    """A tensor that is learned: it requires grad, and modules list it.

    >>> import chainrule
    >>> chainrule.nn.Parameter(chainrule.tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise ArgumentTypeError(
                "Parameter: needs a Tensor", got=type(data).__name__, fix="chainrule.tensor(data)"
            )
        self._value = data._value
        if requires_grad:
            self.requires_grad_()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        out = Parameter(Tensor.__deepcopy__(self, memo), self.requires_grad)
        memo[id(self)] = out
        return out


class Handle:
    """Removes a hook: `handle.remove()`."""

    def __init__(self, hooks: list[Any], function: Any) -> None:
        self._hooks, self._function = hooks, function

    def remove(self) -> None:
        """Takes the hook away; a second call does nothing."""
        if self._function in self._hooks:
            self._hooks.remove(self._function)


class Module:
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
    _forward_hooks: list[Any]
    _forward_pre_hooks: list[Any]
    _buffer_names: dict[str, bool]

    def __init__(self) -> None:
        d = self.__dict__
        d["_forward_hooks"] = []
        d["_forward_pre_hooks"] = []
        d["_buffer_names"] = {}  # name -> whether state_dict holds it

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): write one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = current
        outer = state.module
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
            raise _init_missing(self) from None
        if not pre and not post:
            return self.forward(*args, **kwargs)
        for hook in list(pre):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        y = self.forward(*args, **kwargs)
        for hook in list(post):
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
        if isinstance(value, (Parameter, Module)) and "_buffer_names" not in self.__dict__:
            raise _init_missing(self)
        if isinstance(self.__dict__.get(name), Parameter) and not (
            value is None or isinstance(value, Parameter)
        ):
            raise ArgumentTypeError(
                f"cannot assign '{type(value).__name__}' as parameter '{name}'",
                expected="a Parameter or None",
                fix=f"nn.Parameter(...), or self.{name}.data = ... for new values",
            )
        self.__dict__[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under a name; None reserves the name."""
        self._check_new(name)
        self.__dict__[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is part of the state but is not learned."""
        self._check_new(name)
        self._buffer_names[name] = persistent
        self.__dict__[name] = tensor

    def register_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule under a name."""
        self._check_new(name)
        self.__dict__[name] = module

    add_module = register_module

    def _check_new(self, name: str) -> None:
        if "_buffer_names" not in self.__dict__:
            raise _init_missing(self)
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentTypeError("a name must be a text without dots", got=repr(name))
        if name in self.__dict__ and not isinstance(self.__dict__[name], (Parameter, Module)):
            raise KeyError(f"attribute '{name}' already exists")

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
        self, memo: set[Module] | None = None, prefix: str = ""
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all below it, each once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        memo.add(self)
        yield prefix, self
        for name, value in list(self.__dict__.items()):
            if isinstance(value, Module):
                yield from value.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (m for _, m in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and all below it; a shared one once."""
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, p in module._own_parameters():
                if remove_duplicate and id(p) in seen:
                    continue
                seen.add(id(p))
                yield (f"{path}.{name}" if path else name), p

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer) of this module and all below it."""
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, b in module._own_buffers():
                yield (f"{path}.{name}" if path else name), b

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
        for module in self.modules():
            module.__dict__["training"] = mode
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
        for p in self.parameters():
            if set_to_none or p._grad is None:
                p._grad = None
            else:
                p._grad = p._grad.detach().zero_()

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Calls fn on all modules below this one, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Parameters and buffers of float types in another float type."""
        for module in self.modules():
            for _, t in (*module._own_parameters(), *module._own_buffers()):
                if t.dtype.kind == "f":
                    t.data = t.detach().to(*args, **kwargs)
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
        self._forward_hooks.append(hook)
        return Handle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Calls hook(module, args) before forward; what it returns replaces the arguments."""
        self._forward_pre_hooks.append(hook)
        return Handle(self._forward_pre_hooks, hook)

    def state_dict(self, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by path, in order, sharing memory with the module."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules(memo=set()):
            head = prefix + (f"{path}." if path else "")
            saved = [(n, b) for n, b in module._own_buffers() if module._buffer_names[n]]
            for name, t in (*module._own_parameters(), *saved):
                state[head + name] = t if keep_vars else t.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Copies values in by name; raises before anything changes, listing what does not fit."""
        own = self.state_dict(keep_vars=True)
        report = check_state(type(self).__name__, own, state_dict, strict)
        with no_grad():
            for name, t in own.items():
                if name in state_dict:
                    t.copy_(state_dict[name])
        return report

    def extra_repr(self) -> str:
        """What the layer's line says in brackets."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, child in self.__dict__.items():
            if isinstance(child, Module):
                text = repr(child).replace("\n", "\n  ")
                lines.append(f"  ({name}): {text}")
        extra = self.extra_repr()
        head = type(self).__name__
        if not lines:
            return f"{head}({extra})"
        return "\n".join([f"{head}({extra}", *lines, ")"])

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


class ModuleInitError(ChainruleError, AttributeError):
    """A module used before its __init__ ran."""


def _init_missing(module: Module) -> ModuleInitError:
    name = type(module).__name__
    return ModuleInitError(
        "cannot assign module before Module.__init__() call",
        got=f"{name}.__init__ without super().__init__()",
        fix=f"super().__init__() as the first line of {name}.__init__",
    )
