"""The same number in the line that a view shows."""

from __future__ import annotations

import numpy as np

from ... import ops
from ..elements import Place


def behind_views(place: Place) -> Place:
    """The same number in the line that a reshape or a permutation shows."""
    node, at = place
    while node.op in (ops.reshape, ops.permute):
        (x,) = node.inputs
        if node.op is ops.permute:
            axes = node.params["axes"]
            at = tuple(at[axes.index(i)] for i in range(len(axes)))
        else:
            flat = int(np.ravel_multi_index(at, node.shape)) if at else 0
            at = tuple(int(i) for i in np.unravel_index(flat, x.shape))
        node = x
    return Place(node, at)
