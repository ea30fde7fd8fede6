"""Modules whose weights come from elsewhere."""

from __future__ import annotations

from typing import Any, TypeVar

from ...errors import ArgumentTypeError
from ..init import skipping
from ..module import Module

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """The module `module_cls(*args, **kwargs)`, without drawing its weights.

    What `nn.init` would have filled holds zeros: load a state_dict into it, or fill it.  All
    arguments after the class go to it.  Raises ArgumentTypeError for what is no class of modules.

    >>> from chainrule import nn
    >>> layer = nn.utils.skip_init(nn.Linear, 2, 1)
    >>> _ = layer.load_state_dict(nn.Linear(2, 1).state_dict())

    Differs from PyTorch: any module can be made so, and the generator counts the draws that were
    left out, so that what is drawn afterwards is the same with and without.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise ArgumentTypeError("skip_init: needs a class of modules", expected="such as nn.Linear",
                                got=repr(module_cls)[:60])  # fmt: skip
    with skipping():
        return module_cls(*args, **kwargs)
