"""What Module says about names, and the handle by which a hook is taken away again."""

from __future__ import annotations

from typing import Any

from ..errors import ChainruleError


class NameTaken(ChainruleError, KeyError):
    """A name that a module can't give to a parameter, buffer or submodule."""


class ModuleInitError(ChainruleError, AttributeError):
    """A module used before its __init__ ran."""


def init_missing(module: Any) -> ModuleInitError:
    """The error for a module whose __init__ did not call Module's."""
    name = type(module).__name__
    return ModuleInitError(
        "cannot assign module before Module.__init__() call",
        got=f"{name}.__init__ without super().__init__()",
        fix=f"super().__init__() as the first line of {name}.__init__",
    )
