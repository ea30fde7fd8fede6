"""Loops over axes: one place after the other, or in vectors, with what is known kept outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..loops.expr import Expr
from ..loops.index import Axis
from .sync import share
from .text import V, whole
from .values import Values, first_lanes, mask_of

MASKED = 8
"""Fewer vectors than that are all masked where the last is."""
FEW = 16
"""Fewer turns than that are a number in the code, so that LLVM may write them out."""


class Loops(Values):
    """Opens loops around code."""

    width: int  # elements of a vector

    def open_loops(
        self, axes: Sequence[Axis], values: Sequence[Expr], lane_axis: Axis | None,
        body: Callable[[], object], later: int = 0, shared: bool = False,
    ) -> None:  # fmt: skip
        """Loops around a body; before each, what does not depend on it is computed.

        `later` are axes that the body opens by itself.  `shared`: each thread runs a part of the
        outermost loop.
        """
        inner = later | (lane_axis.bit if lane_axis is not None else 0)
        for a in axes:
            inner |= a.bit
        self.hoist(values, inner)
        if not axes:
            body()
            return
        axis, *rest = axes

        def turn(i: V, _: list[V]) -> list[V]:
            self.enter(axis, i)
            self.open_loops(rest, values, lane_axis, body, later)
            self.leave(axis)
            return []

        first, end = self.span(axis, shared)
        self.f.loop(first, end, 1, [], turn, first_is_sure=not shared)

    def extent(self, axis: Axis) -> V:
        """How many places an axis has: a number where LLVM may write the turns of a loop out."""
        few = axis.extent < FEW
        return whole(axis.extent) if few else self.size(axis.extent, ("extent", axis))

    def span(self, axis: Axis, shared: bool) -> tuple[V, V]:
        """(first, end) of an axis, or of this thread's part of it."""
        end = self.extent(axis)
        return share(self.f, end) if shared else (whole(0), end)

    def enter(self, axis: Axis, i: V) -> None:
        """A loop's variable becomes known."""
        self.push()
        self.axes[axis] = i
        self.open |= axis.bit

    def leave(self, axis: Axis) -> None:
        """And unknown again."""
        self.pop()
        del self.axes[axis]
        self.open &= ~axis.bit

    def along_lanes(
        self, axis: Axis, carried: list[V], body: Callable[[list[V]], list[V]], chains: int = 1
    ) -> list[V]:
        """Goes along an axis in vectors, then through the rest in one that is masked.

        With several chains the carried values are those of all chains, one chain after the other.
        """
        width, n = self.width, axis.extent
        count = len(carried) // chains

        def turns(i: V, values: list[V]) -> list[V]:
            results: list[V] = []
            for c in range(chains):
                at = i if not c else self.f.binary("add", i, whole(c * width))
                results += self.at_lanes(axis, at, values[c * count : (c + 1) * count], body)
            return results

        if chains == 1 and self.masks_all(n):
            return self.f.loop(
                whole(0), self.extent(axis), width, carried,
                lambda i, values: self.masked(axis, i, values, body),
            )  # fmt: skip
        start = 0
        if chains > 1 and n >= width * chains:
            stop = n // (width * chains) * width * chains
            end = self.size(stop, ("chains", axis))
            carried = self.f.loop(whole(0), end, width * chains, carried, turns)
            start = stop
        if n - start >= width:
            stop = n // width * width
            carried[:count] = self.f.loop(
                self.size(start, ("chains", axis)), self.size(stop, ("full", axis)), width,
                carried[:count],
                lambda i, values: self.at_lanes(axis, i, values, body),
            )  # fmt: skip
            start = stop
        if start < n and self.target.masks:
            self.mask = V(mask_of(n - start, width), "i1", width)
            rest = self.size(start, ("full", axis))
            carried[:count] = self.at_lanes(axis, rest, carried[:count], body)
            self.mask = None
        elif start < n:
            return self.one_by_one(axis, start, carried, body)
        return carried

    def masks_all(self, n: int) -> bool:
        """Whether all vectors of an axis of n places are masked, not only the last.

        That takes half the text, and time where there are many.
        """
        return self.target.masks and n % self.width > 0 and self.width < n < MASKED * self.width

    def masked(
        self, axis: Axis, i: V, carried: list[V], body: Callable[[list[V]], list[V]]
    ) -> list[V]:  # fmt: skip
        """The body with as many of the places from i on as there are."""
        self.mask = first_lanes(self.f, self.f.binary("sub", self.extent(axis), i), self.width)
        carried = self.at_lanes(axis, i, carried, body)
        self.mask = None
        return carried

    def share_lanes(self, axis: Axis, body: Callable[[list[V]], list[V]]) -> None:
        """This thread's vectors of an axis; the last thread takes what no whole vector holds."""
        width, n = self.width, axis.extent
        full = n // width * width
        units = self.size(full // width, ("units", axis))
        first, end = (self.f.binary("mul", v, whole(width)) for v in share(self.f, units))
        self.f.loop(
            first, end, width, [], lambda i, _: self.at_lanes(axis, i, [], body),
            first_is_sure=False,
        )  # fmt: skip
        if full == n:
            return

        def rest() -> None:
            if not self.target.masks:
                self.one_by_one(axis, full, [], body)
                return
            self.mask = V(mask_of(n - full, width), "i1", width)
            self.at_lanes(axis, self.size(full, ("full", axis)), [], body)
            self.mask = None

        last = self.f.emit("add i64 %tid, 1", "i64")
        self.f.when(self.f.emit(f"icmp eq i64 {last.ref}, %threads", "i1"), rest)

    def at_lanes(
        self, axis: Axis, i: V, carried: list[V], body: Callable[[list[V]], list[V]]
    ) -> list[V]:
        """The body with the places from i on in the lanes."""
        outer = self.lane_axis, self.lanes
        self.lane_axis, self.lanes = axis, self.width
        self.enter(axis, i)
        results = body(carried)
        self.leave(axis)
        self.lane_axis, self.lanes = outer
        return results

    def one_by_one(
        self, axis: Axis, start: int, carried: list[V], body: Callable[[list[V]], list[V]]
    ) -> list[V]:
        """The rest of an axis without vectors; only bodies that carry nothing come here."""
        assert not carried

        def turn(i: V, _: list[V]) -> list[V]:
            self.enter(axis, i)
            body([])
            self.leave(axis)
            return []

        first = self.size(start, ("full", axis))
        return self.f.loop(first, self.extent(axis), 1, [], turn)
