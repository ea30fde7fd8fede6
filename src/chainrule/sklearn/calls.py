"""What is made with arguments of the user's: a wrong one is said in the estimator's own terms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ArgumentTypeError


def called(
    name: str, wanted: Callable[..., Any], first: tuple[Any, ...], options: Mapping[str, Any],
    typed: str,
) -> Any:  # fmt: skip
    """`wanted(*first, **options)`; raises before the call where it has no such arguments.

    name: the estimator's argument that says what is made.  typed: how one of its options is said
    to the estimator, with {0} for its name.

    >>> from chainrule.sklearn.calls import called
    >>> called("module", complex, (1,), {"imag": 2}, "module__{0}=..")
    (1+2j)
    """
    try:
        known = inspect.signature(wanted)
    except (TypeError, ValueError):  # it does not tell
        return wanted(*first, **options)
    try:
        known.bind(*first, **options)
    except TypeError as error:
        raise _no_such(name, wanted, known, len(first), options, typed, str(error)) from None
    return wanted(*first, **options)


def _no_such(
    name: str, wanted: Any, known: inspect.Signature, first: int, options: Mapping[str, Any],
    typed: str, why: str,
) -> ArgumentTypeError:  # fmt: skip
    parameters = [*known.parameters.values()][first:]
    taken = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = [p.name for p in taken if p.default is p.empty and p.name not in options]
    said = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in taken]
    return ArgumentTypeError(
        f"{name}: {getattr(wanted, '__name__', type(wanted).__name__)} can't be made of what is "
        "given", expected=", ".join(said) or "no argument", got=why, line="",
        fix=", ".join(typed.format(n) for n in needed) or None,
    )  # fmt: skip
