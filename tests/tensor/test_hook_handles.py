"""Handles of hooks remove what they stand for."""

from __future__ import annotations

import chainrule


def test_a_hook_registered_twice_is_removed_once_by_each_handle():
    x = chainrule.tensor([1.0], requires_grad=True)
    seen = []
    first, second = x.register_hook(seen.append), x.register_hook(seen.append)
    for handle, calls in ((first, 1), (first, 1), (second, 0)):
        handle.remove()
        seen.clear()
        (x * 2).sum().backward()
        assert len(seen) == calls
