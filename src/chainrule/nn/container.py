"""Modules that hold modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ArgumentTypeError, ChainruleError, IndexRangeError
from ..ops.core import changes
from .module import Module
from .recorded import note_holder

if TYPE_CHECKING:
    from ..tensor.tracing import Trace

C = TypeVar("C", bound="_Numbered")


class MissingModule(ChainruleError, KeyError):
    """A name under which a ModuleDict holds nothing."""


def _require_module(owner: str, module: Any) -> Module:
    if not isinstance(module, Module):
        raise ArgumentTypeError(
            f"{owner}: holds Modules", got=type(module).__name__,
            fix="nn.ReLU() rather than relu" if callable(module) else None,
        )  # fmt: skip
    return module


class _Holder(Module):
    """Base of the containers: what they hold may be called without them."""

    def _reached(self, trace: Trace) -> None:
        note_holder(trace, self)


class _Numbered(_Holder):
    """Base of the containers whose modules are called '0', '1', ..."""

    def _named(self) -> dict[str, Module]:
        return {n: m for n, m in self.__dict__.items() if isinstance(m, Module)}

    def _listed(self) -> list[Module]:
        return [m for m in self.__dict__.values() if isinstance(m, Module)]

    def _renumber(self, modules: Iterable[Module]) -> None:
        for name in self._named():
            del self.__dict__[name]
        for i, m in enumerate(modules):
            self.__dict__[str(i)] = m
        changes.note()

    def _place(self, index: Any) -> int:
        count = len(self._listed())
        if not hasattr(index, "__index__"):
            raise ArgumentTypeError(
                f"{type(self).__name__}: an index is a whole number", got=repr(index)[:60]
            )
        if not -count <= index < count:
            raise IndexRangeError(
                f"{type(self).__name__}: index {index} is out of range",
                expected=f"{-count} to {count - 1}" if count else "nothing: it is empty",
            )
        return int(index) % count

    def __len__(self) -> int:
        return len(self._listed())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._listed())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        return self._listed()[self._place(index)]

    def _slice(self, index: slice) -> Any:
        part = type(self)()
        part._renumber(self._listed()[index])
        return part

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._named())[self._place(index)]
        self.__dict__[name] = _require_module(type(self).__name__, module)
        changes.note()

    def __delitem__(self, index: Any) -> None:
        listed = self._listed()
        del listed[index if isinstance(index, slice) else self._place(index)]
        self._renumber(listed)

    def __iadd__(self: C, modules: Iterable[Module]) -> C:
        return self.extend(modules)

    def __add__(self: C, modules: Iterable[Module]) -> C:
        return type(self)().extend(self).extend(modules)

    def append(self: C, module: Module) -> C:
        """Adds a module at the end; returns the container."""
        self.add_module(str(len(self)), _require_module(type(self).__name__, module))
        return self

    def extend(self: C, modules: Iterable[Module]) -> C:
        """Adds several modules at the end; returns the container."""
        for m in list(modules):
            self.append(m)
        return self

    def insert(self: C, index: int, module: Module) -> C:
        """Puts a module before place `index`; returns the container."""
        listed = self._listed()
        listed.insert(index, _require_module(type(self).__name__, module))
        self._renumber(listed)
        return self

    def pop(self, index: int) -> Module:
        """Takes a module out and returns it."""
        module = self._listed()[self._place(index)]
        del self[index]
        return module


class Sequential(_Numbered):
    """y = f_n(.. f_2(f_1(x))): modules one after another, by number or by name (OrderedDict).

    As in PyTorch, insert, slices and deletion included.

    >>> from chainrule import nn, ones
    >>> nn.Sequential(nn.Linear(2, 3), nn.Tanh())(ones(1, 2)).shape
    (1, 3)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, m in modules[0].items():
                self.add_module(name, _require_module("Sequential", m))
        else:
            self.extend(modules)

    def _slice(self, index: slice) -> Any:
        return type(self)(OrderedDict(list(self._named().items())[index]))  # names stay

    def forward(self, x: Any) -> Any:
        """x through every module in turn."""
        for module in self._listed():
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules whose parameters are found; it has no forward of its own.  As in PyTorch.

    >>> from chainrule import nn
    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(list(layers.parameters()))
    6
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def _child_lines(self) -> list[str]:
        """Equal neighbours in one line, as in PyTorch: (0-2): 3 x Linear(...)."""
        runs: list[tuple[int, int, str]] = []
        for i, module in enumerate(self._listed()):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], i, text)
            else:
                runs.append((i, i, text))
        return [
            f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}"
            for a, b, text in runs
        ]


class ModuleDict(_Holder):
    """A dict of modules whose parameters are found; it has no forward of its own.  As in PyTorch.

    >>> from chainrule import nn
    >>> heads = nn.ModuleDict({"mean": nn.Linear(2, 1), "scale": nn.Linear(2, 1)})
    >>> list(heads)
    ['mean', 'scale']
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        self.update(modules or {})

    def _named(self) -> dict[str, Module]:
        return {n: m for n, m in self.__dict__.items() if isinstance(m, Module)}

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds or replaces modules by name; a mapping, another ModuleDict or (name, module)s."""
        pairs = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules
        for name, m in pairs:
            self[name] = m

    def __getitem__(self, name: str) -> Module:
        named = self._named()
        if name not in named:
            raise MissingModule(
                f"ModuleDict: no module {name!r}",
                expected=", ".join(named) or "nothing: it is empty",
            )
        return named[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, _require_module("ModuleDict", module))

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def __contains__(self, name: object) -> bool:
        return name in self._named()

    def pop(self, name: str) -> Module:
        """Takes a module out and returns it."""
        module = self[name]
        delattr(self, name)
        return module

    def clear(self) -> None:
        """Takes all modules out."""
        for name in self._named():
            delattr(self, name)

    def keys(self) -> Any:
        """The names."""
        return self._named().keys()

    def values(self) -> Any:
        """The modules."""
        return self._named().values()

    def items(self) -> Any:
        """(name, module) pairs."""
        return self._named().items()
