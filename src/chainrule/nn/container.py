"""Modules that hold modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import ArgumentTypeError, IndexRangeError
from .module import Module


def _require_module(owner: str, module: Any) -> Module:
    if not isinstance(module, Module):
        raise ArgumentTypeError(
            f"{owner}: holds Modules", got=type(module).__name__,
            fix="nn.ReLU() rather than relu" if callable(module) else None,
        )  # fmt: skip
    return module


class _Numbered(Module):
    """Base of the containers whose modules are called '0', '1', ..."""

    def _listed(self) -> list[Module]:
        return [m for m in self.__dict__.values() if isinstance(m, Module)]

    def _renumber(self, modules: Iterable[Module]) -> None:
        for name in [n for n, m in self.__dict__.items() if isinstance(m, Module)]:
            del self.__dict__[name]
        for i, m in enumerate(modules):
            self.__dict__[str(i)] = m

    def __len__(self) -> int:
        return len(self._listed())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._listed())

    def __getitem__(self, index: Any) -> Any:
        listed = self._listed()
        if isinstance(index, slice):
            return type(self)(*listed[index]) if isinstance(self, Sequential) else type(self)(
                listed[index])  # type: ignore[call-arg]  # fmt: skip
        if not -len(listed) <= index < len(listed):
            raise IndexRangeError(
                f"{type(self).__name__}: index {index} is out of range",
                expected=f"0 to {len(listed) - 1}",
            )
        return listed[index]

    def __setitem__(self, index: int, module: Module) -> None:
        listed = self._listed()
        listed[index] = _require_module(type(self).__name__, module)
        names = [n for n, m in self.__dict__.items() if isinstance(m, Module)]
        self.__dict__[names[index]] = module

    def append(self, module: Module) -> Any:
        """Adds a module at the end; returns the container."""
        self.__dict__[str(len(self))] = _require_module(type(self).__name__, module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Adds several modules at the end; returns the container."""
        for m in modules:
            self.append(m)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Puts a module before place `index`; returns the container."""
        listed = self._listed()
        listed.insert(index, _require_module(type(self).__name__, module))
        self._renumber(listed)
        return self


class Sequential(_Numbered):
    """y = f_n(.. f_2(f_1(x))): modules one after another, by number or by name (OrderedDict).

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
            for m in modules:
                self.append(m)

    def forward(self, x: Any) -> Any:
        """x through every module in turn."""
        for module in self._listed():
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules whose parameters are found; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())


class ModuleDict(Module):
    """A dict of modules whose parameters are found; it has no forward of its own."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def _named(self) -> dict[str, Module]:
        return {n: m for n, m in self.__dict__.items() if isinstance(m, Module)}

    def update(self, modules: Mapping[str, Module]) -> None:
        """Adds or replaces modules by name."""
        for name, m in modules.items():
            self[name] = m

    def __getitem__(self, name: str) -> Module:
        return self._named()[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, _require_module("ModuleDict", module))

    def __delitem__(self, name: str) -> None:
        del self.__dict__[name]

    def __len__(self) -> int:
        return len(self._named())

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def __contains__(self, name: object) -> bool:
        return name in self._named()

    def keys(self) -> Any:
        """The names."""
        return self._named().keys()

    def values(self) -> Any:
        """The modules."""
        return self._named().values()

    def items(self) -> Any:
        """(name, module) pairs."""
        return self._named().items()
