"""Nests as native loops, with one axis in the lanes of vectors."""

from __future__ import annotations

from ...dtypes import DType
from ..loops.expr import START, Buffer, Expr
from ..loops.index import Axis, Index
from ..loops.program import Nest, Write
from .called import CALLED, function
from .lanes import CHAINS, Access, abreast, accesses, chains, choose, inner_axis, lanes_of
from .loop import Loops
from .scalar import Scalars
from .text import V, const, whole
from .turn import Turn, turner
from .turn import find as turned_copy
from .values import memory_type

COMBINING = {"sum": "add", "dot": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


class Nests(Loops):
    """Writes nests into a function."""

    inside: dict[int, list[Access]]
    shared: bool = False  # several threads run the nest, each a part of its outermost loop

    def nest(self, nest: Nest) -> None:
        """One nest, whole."""
        if any(a.extent == 0 for a in nest.axes):
            return
        turn = turned_copy(nest)
        if turn is not None:
            self.turn(nest, turn)
            return
        self.width = lanes_of(nest, self.target)
        lane_axis = choose(nest, self.width)
        self.width *= abreast(nest, lane_axis, self.width, self.target)
        found, combinations = accesses(nest)
        self.inside = {id(e): [a for a in found if a.inside is e] for e, _ in combinations}
        outer = [a for a in nest.axes if a is not lane_axis]
        few = [a for a in outer[1:][-1:] if a.extent <= CHAINS and not nest.in_order]
        outer = outer[: len(outer) - len(few)]
        values = [w.value for w in nest.writes]
        split = lane_axis is not None and self.shared and not outer

        def place(_: list[V]) -> list[V]:
            self.open_loops(few, values, None, lambda: self.writes(nest))
            return []

        def everything() -> None:
            if lane_axis is None:
                place([])
            elif split:
                self.share_lanes(lane_axis, place)
            else:
                self.along_lanes(lane_axis, [], place)

        self.push()
        within = sum(a.bit for a in few)
        self.open_loops(outer, values, lane_axis, everything, within, shared=self.shared)
        self.pop()

    def turn(self, nest: Nest, t: Turn) -> None:
        """A copy that turns rows into columns, by a function that all of them share."""
        name = turner(self.f.module, self.target, t.source.dtype)
        outer = [a for a in nest.axes if a is not t.u and a is not t.v]
        along, across = t.source_flat.coefficient(t.v), t.target_flat.coefficient(t.u)
        assert along is not None
        assert across is not None

        def body() -> None:
            self.axes[t.u] = self.axes[t.v] = whole(0)
            ends = [self.place_of(t.source, t.source_flat), self.place_of(t.target, t.target_flat)]
            del self.axes[t.u], self.axes[t.v]
            split = self.shared and not outer
            first, end = self.span(t.u, split)
            steps = self.size(along, "along"), self.size(across, "across")
            args = [ends[0], steps[0], ends[1], steps[1], first, end, self.extent(t.v)]
            self.f.do(f"call void @{name}({', '.join(map(str, args))})")

        self.push()
        self.open_loops(outer, [], None, body, t.u.bit | t.v.bit, shared=self.shared)
        self.pop()

    def place_of(self, buffer: Buffer, flat: Index) -> V:
        """The address of an element."""
        return self.f.shifted(self.pointers[buffer.name], self.index(flat),
                              memory_type(buffer.dtype))  # fmt: skip

    def writes(self, nest: Nest) -> list[V]:
        """The writes at one place: all values first, since memory may be read and written."""
        if nest.in_order:
            for w in nest.writes:
                self.write_in_order(w)
            return []
        values = [self.value(w.value) for w in nest.writes]
        for w, v in zip(nest.writes, values, strict=True):
            self.store(w.buffer, w.place, v)
        return []

    def write_in_order(self, w: Write) -> None:
        """A write whose place is read: adds to what is there, or replaces it."""
        v = self.value(w.value)
        if w.adds:
            old = self.make.load(w.buffer, w.place)
            self.push()
            now = self.value(old)
            self.pop()
            now, v = self.f.alike(now, v)
            v = self.together("sum", now, v, w.buffer.dtype)
        self.store(w.buffer, w.place, v)

    def spelled(self, e: Expr) -> V:
        """A function that is no instruction; long ones of single numbers are called."""
        if e.op not in CALLED or e.dtype.kind != "f" or e.args[1].op == "const":
            return super().spelled(e)
        args = [self.value(a) for a in e.args]
        if any(v.lanes for v in args):
            return super().spelled(e)
        name = function(self.f.module, self.target, e.op, e.dtype)
        room = self.f.room(args[0].scalar, 1, e.op)
        self.f.do(f"call void @{name}({', '.join(map(str, [*args, room]))})")
        return self.read(room, e.dtype)

    # ------------------------------------------------------------ combinations

    def combine(self, e: Expr) -> V:
        """Many values as one, in an order that nothing but the sizes decides."""
        kind, axes = e.at
        if any(a.extent == 0 for a in axes):
            return const(START[kind](e.dtype), e.dtype)
        if self.varies(e.free):
            return self.combine_each_lane(e)
        axis = inner_axis(e, self.inside.get(id(e), []), self.width)
        outer = self.lane_axis, self.lanes, self.mask
        self.lane_axis, self.lanes, self.mask = None, 0, None
        v = self.combine_plain(e) if axis is None else self.combine_lanes(e, axis)
        self.lane_axis, self.lanes, self.mask = outer
        return v

    def start(self, e: Expr, lanes: int) -> V:
        """What a combination begins with."""
        v = const(START[e.at[0]](e.dtype), e.dtype)
        return self.f.splat(v, lanes) if lanes else v

    def together(self, kind: str, a: V, b: V, dtype: DType) -> V:
        """Two values combined."""
        made = Expr(COMBINING[kind], (), dtype, 0, 0)
        made.args = (made, made)  # operands of the same type; only that is asked
        return Scalars(self.f, self.target).emit(made, [a, b])

    def step(self, e: Expr, total: V) -> V:
        """One more value taken in; a product that is summed is one instruction."""
        values = [self.value(x) for x in self.terms(e)]
        if len(values) > 1:
            v = self.scalars.fma("fma", self.f.alike(*values, total), e.dtype)
        else:
            total, value = self.f.alike(total, *values)
            v = self.together(e.at[0], total, value, e.dtype)
        if self.mask is not None and self.lane_axis in e.at[1]:
            return self.scalars.select(self.mask, *self.f.alike(v, total))
        return v

    def terms(self, e: Expr) -> tuple[Expr, ...]:
        """What `step` takes in: the factors of a product that becomes one with its sum."""
        inner = e.args[0]
        fused = e.at[0] == "dot" and inner.op == "mul" and inner.dtype.kind == "f"
        return inner.args if fused else (inner,)

    def combine_plain(self, e: Expr) -> V:
        """One after the other, or several chains where there is one long axis."""
        return self.loops_carrying(list(e.at[1]), e, self.start(e, 0))

    def combine_each_lane(self, e: Expr) -> V:
        """For every lane by itself."""
        return self.loops_carrying(list(e.at[1]), e, self.start(e, self.lanes))

    def loops_carrying(self, axes: list[Axis], e: Expr, total: V) -> V:
        """Loops over axes that carry a total."""
        rest = 0
        for a in axes:
            rest |= a.bit
        self.hoist(self.terms(e), rest)
        if not axes:
            return self.step(e, total)
        axis, *inner = axes
        blocks = e.args[0].op == "reduce"
        if not inner and not blocks and chains(e, axis, 4) > 1:
            return self.chained(axis, e, total)

        def turn(i: V, carried: list[V]) -> list[V]:
            self.enter(axis, i)
            result = self.loops_carrying(inner, e, carried[0])
            self.leave(axis)
            return [result]

        return self.f.loop(whole(0), self.extent(axis), 1, [total], turn)[0]

    def chained(self, axis: Axis, e: Expr, total: V) -> V:
        """A long loop with several totals, which are added at the end."""
        start = self.start(e, total.lanes)
        count = 3 if axis.extent % 3 == 0 and axis.extent % CHAINS else CHAINS
        stop = axis.extent // count * count

        def turn(i: V, carried: list[V]) -> list[V]:
            results = []
            for c, value in enumerate(carried):
                at = i if not c else self.f.binary("add", i, whole(c))
                self.enter(axis, at)
                results.append(self.step(e, value))
                self.leave(axis)
            return results

        totals = [total, *[start] * (count - 1)]
        end = self.size(stop, ("chained", axis))
        totals = self.f.loop(whole(0), end, count, totals, turn)
        if stop < axis.extent:
            totals[:1] = self.f.loop(end, self.extent(axis), 1, totals[:1], turn)
        return self.tree(e, totals)

    def tree(self, e: Expr, totals: list[V]) -> V:
        """Several totals combined pair by pair."""
        while len(totals) > 1:
            half = (len(totals) + 1) // 2
            pairs = zip(totals[:half], totals[half:], strict=False)
            joined = [self.together(e.at[0], a, b, e.dtype) for a, b in pairs]
            totals = joined + totals[len(joined) : half]
        return totals[0]

    def combine_lanes(self, e: Expr, axis: Axis) -> V:
        """Along one of its own axes in vectors, whose lanes are combined at the end."""
        _, axes = e.at
        outer = [a for a in axes if a is not axis]
        width = self.width
        masked = axis.extent if self.target.masks else axis.extent // width * width
        count = chains(e, axis, 2 * width)
        totals = [self.start(e, width)] * count

        def rows(left: list[Axis], carried: list[V]) -> list[V]:
            rest = axis.bit
            for a in left:
                rest |= a.bit
            self.hoist(self.terms(e), rest)
            if not left:
                return self.row(axis, masked, e, carried, count)
            first, *after = left

            def turn(i: V, values: list[V]) -> list[V]:
                self.enter(first, i)
                results = rows(after, values)
                self.leave(first)
                return results

            return self.f.loop(whole(0), self.extent(first), 1, carried, turn)

        total = self.across(e, self.tree(e, rows(outer, totals)))
        if masked < axis.extent:
            total = self.rest_of_row(outer, axis, masked, e, total)
        return total

    def row(self, axis: Axis, stop: int, e: Expr, carried: list[V], sums: int) -> list[V]:
        """One row in vectors."""
        if stop == 0:
            return carried
        short = axis if stop == axis.extent else Axis(axis.name, stop, axis.bit)
        if short is axis:
            return self.along_lanes(axis, list(carried), lambda v: [self.step(e, v[0])], sums)
        inner, width = lambda v: [self.step(e, v[0])], self.width

        def turns(i: V, values: list[V], n: int) -> list[V]:
            found: list[V] = []
            for c in range(n):
                at = i if not c else self.f.binary("add", i, whole(c * width))
                found += self.at_lanes(axis, at, [values[c]], inner)
            return found

        carried = list(carried)
        middle = stop // (width * sums) * width * sums
        if middle:
            end = self.size(middle, ("chains", axis.name))
            carried = self.f.loop(whole(0), end, width * sums, carried,
                                  lambda i, v: turns(i, v, sums))  # fmt: skip
        if middle < stop:
            first, end = (self.size(middle, ("chains", axis.name)),
                          self.size(stop, ("stop", axis.name)))  # fmt: skip
            carried[:1] = self.f.loop(first, end, width, carried[:1],
                                      lambda i, v: turns(i, v, 1))  # fmt: skip
        return carried

    def across(self, e: Expr, v: V) -> V:
        """The lanes of a vector combined, half by half."""
        while v.lanes > 1:
            half = v.lanes // 2
            parts = []
            for first in (0, half):
                places = ", ".join(f"i32 {first + n}" for n in range(half))
                text = f"shufflevector {v}, {v.type} poison, <{half} x i32> <{places}>"
                parts.append(self.f.emit(text, v.scalar, half))
            v = self.together(e.at[0], parts[0], parts[1], e.dtype)
        return self.f.emit(f"extractelement {v}, i32 0", v.scalar)

    def rest_of_row(self, outer: list[Axis], axis: Axis, start: int, e: Expr, total: V) -> V:
        """What no whole vector holds, one by one, where the processor masks nothing."""

        def go(left: list[Axis], value: V) -> V:
            first = left[0]
            begin = start if first is axis else 0

            def turn(i: V, carried: list[V]) -> list[V]:
                self.enter(first, i)
                after = left[1:]
                result = go(after, carried[0]) if after else self.step(e, carried[0])
                self.leave(first)
                return [result]

            at = self.size(begin, ("begin", first))
            return self.f.loop(at, self.extent(first), 1, [value], turn)[0]

        return go([*outer, axis], total)
