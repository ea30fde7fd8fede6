"""Libraries that few tests need are not imported while tests are collected."""

from __future__ import annotations

from typing import Any

import pytest


class Later:
    """A library, imported at the first use; where it is missing, the test that uses it is skipped.

    >>> Later("math").floor(2.5)
    2
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_", "pytest")):  # pytest asks all that a module holds for marks
            raise AttributeError(attribute)
        return getattr(pytest.importorskip(self._name), attribute)
