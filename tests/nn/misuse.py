"""How a misuse is written down, and what every error must be like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import chainrule
from chainrule import ops
from chainrule.errors import ChainruleError


class Row(NamedTuple):
    """A misuse: what is run with a model, the type of the error, and what it must say."""

    name: str
    run: Callable[[Any], Any]
    kind: type[Exception]
    says: tuple[str, ...]


def weights_hash(model):
    digest = hashlib.sha256()
    for name, t in model.state_dict().items():
        digest.update(name.encode() + t.numpy().tobytes())
    return digest.hexdigest()


def check_misuse(row, model, line):
    """PyTorch's type, all that it must say, short, with the user's line, and nothing changed."""
    before = weights_hash(model)
    with pytest.raises(row.kind) as info:
        row.run(model)
    error = info.value
    assert isinstance(error, ChainruleError)
    text = str(error)
    for part in row.says:
        assert part in text, f"{part!r} is not in:\n{text}"
    assert line in text, text
    assert len(text.splitlines()) <= 6
    assert max(len(line) for line in text.splitlines()) <= 160
    assert weights_hash(model) == before
    assert chainrule.is_grad_enabled()
    assert ops.core.current.module is None
