"""A compiled function as a method: `trainer.step` where `step` was decorated in the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .loop import run_loop

if TYPE_CHECKING:
    from .compiled import Compiled


class Bound:
    """A compiled method of one object.

    It is called, and looped, with the object in front; all else (`traces`, `graphs`, `seconds`,
    `explain_recompiles()`) is of the compiled function, and so of all objects together.
    """

    __slots__ = ("__func__", "__self__")

    def __init__(self, function: Compiled, owner: Any) -> None:
        self.__func__ = function
        self.__self__ = owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def loop(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """As `Compiled.loop`: the method on batch after batch."""
        return run_loop(self.__func__, (self.__self__,), data, *args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        """The uncompiled method, from which `inspect` has the arguments."""
        return self.__func__.function.__get__(self.__self__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__name__", "__qualname__"):
            raise AttributeError(name)
        return getattr(self.__func__, name)

    def __repr__(self) -> str:
        return f"{self.__func__!r} of {type(self.__self__).__name__}"
