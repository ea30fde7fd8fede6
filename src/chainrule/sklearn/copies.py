"""Estimators copied and dumped: a Module among their arguments is copied, but not pickled."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from .. import nn
from ..errors import StateError


class Copied:
    """What an estimator does where one of its arguments may be a Module that is made already."""

    _instead: ClassVar[dict[str, str]]
    """By the name of an argument what to pass in place of a Module."""

    def __getstate__(self) -> Any:
        for name, value in self.get_params(deep=False).items():  # type: ignore[attr-defined]
            for each in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(each, nn.Module):
                    raise StateError(
                        f"{type(self).__name__}: {name} is a {type(each).__name__} that is made "
                        "already, and models are not pickled: it can't be dumped or sent to "
                        "another process", line="", fix=f"as {name} pass {self._instead[name]}",
                    )  # fmt: skip
        return super().__getstate__()

    def __copy__(self) -> Any:
        return self._with(dict(vars(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._with(copy.deepcopy(dict(vars(self)), memo))

    def _with(self, held: dict[str, Any]) -> Any:
        """The same with what it holds, which may not be pickled."""
        out = type(self).__new__(type(self))
        for name, value in held.items():
            setattr(out, name, value)
        return out
