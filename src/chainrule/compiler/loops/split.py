"""Axes that are divided become two, and axes that memory does not tell apart become one.

Why: what each part of an axis decides is known in a loop of its own.  The backward pass of a
pooling reads at i // 2 what it writes at i, so all but one of the reads of a window repeat what was
read already; and divisions cost more than the rest.  And the last dimension of an array may be
short, where vectors want long loops.

Before: nest %1 [i<8]:         %1[i] = select(%0[i // 2] = i % 2, g[i // 2], 0.0)
After:  nest %1 [i0<4, i1<2]:  %1[2*i0 + i1] = select(%0[i0] = i1, g[i0], 0.0)

Before: nest w [i<64, j<3, l<3]:  w[i, j, l] = w[i, j, l] * 0.5
After:  nest w [i<576]:           w[i // 9, i // 3 % 3, i % 3] = w[i // 9, i // 3 % 3, i % 3] * 0.5
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from . import index as ix
from .expr import Builder, Expr, rebuilt, substitute, walk
from .index import Axis, Index, Part
from .program import Nest, Write


def join(make: Builder, nest: Nest) -> None:
    """Makes one axis of neighbouring ones along which every place moves as along one."""
    if len(nest.axes) < 2:
        return
    flats, seen = [w.buffer.place(w.place) for w in nest.writes], set[int]()
    for e in (e for w in nest.writes for e in walk(w.value, seen)):
        if e.op == "load":
            flats.append(e.at[0].place(e.at[1]))
        elif e.op == "index":
            flats.append(e.at)
    run = list(nest.axes[-1:])
    for axis in reversed(nest.axes[:-1]):
        steps = [(f.coefficient(axis), f.coefficient(run[0])) for f in flats]
        if any(None in s or s[0] != (s[1] or 0) * run[0].extent for s in steps):
            break
        run.insert(0, axis)
    if len(run) < 2:
        return
    extents = tuple(a.extent for a in run)
    whole = make.axis(run[0].name, math.prod(extents))
    places = ix.unflatten(ix.along(whole), extents)
    for axis, place in zip(run, places, strict=True):
        _replace(make, nest, axis, place)
    nest.axes = (*nest.axes[: -len(run)], whole)


def _replace(make: Builder, nest: Nest, axis: Axis, place: Index) -> None:
    """Puts an index in the place of an axis."""
    known: dict[int, Expr] = {}
    nest.writes = [
        Write(w.buffer, tuple(i.replaced(axis, place) for i in w.place),
              _moved(make, w.value, axis, place, known), w.adds)
        for w in nest.writes
    ]  # fmt: skip


def split(make: Builder, nest: Nest, within: Callable[[Axis], bool]) -> None:
    """Splits the axes of a nest that are divided, but for those that `within` holds for."""
    indices = list(_divided(nest))
    for axis in nest.axes if indices else ():
        by = None if within(axis) else _divisor(indices, axis)
        if by is None:
            continue
        outer, inner = make.axis(axis.name, axis.extent // by), make.axis(axis.name, by)
        _replace(make, nest, axis, ix.along(outer) * by + ix.along(inner))
        nest.axes = tuple(b for a in nest.axes for b in ((outer, inner) if a is axis else (a,)))


def digits(make: Builder, nest: Nest) -> None:
    """Splits every axis wherever it is divided, those of combinations too, as a number into digits:
    where nothing runs in vectors, divisions are all that an axis of its own would save.

    Before: nest %1 [i<784]:            %1[i] = sum[k<9](x[i // 28 + k // 3, i % 28 + k % 3])
    After:  nest %1 [i0<28, i1<28]:     ... sum[k0<3, k1<3](x[i0 + k0, i1 + k1])
    """
    for axis in nest.axes:
        found = _digits(make, axis, list(_divided(nest)))
        if found is not None:
            axes, place = found
            _replace(make, nest, axis, place)
            nest.axes = tuple(b for a in nest.axes for b in (axes if a is axis else (a,)))
    nest.writes = [w._replace(value=_in_digits(make, w.value, nest)) for w in nest.writes]


def _in_digits(make: Builder, e: Expr, nest: Nest) -> Expr:
    """An expression with the axes of its combinations split."""
    looked: set[int] = set()
    while True:
        indices = list(_divided(nest, e))
        for x in walk(e):
            if x.op not in ("reduce", "dot") or id(x) in looked:
                continue
            looked.add(id(x))
            kind, axes = x.at
            inner = x.args[0]
            for axis in axes:
                found = _digits(make, axis, indices)
                if found is not None:
                    axes = tuple(b for a in axes for b in (found[0] if a is axis else (a,)))
                    inner = _moved(make, inner, axis, found[1], {})
            if axes != x.at[1]:
                new = make.combine(kind, axes, inner)
                looked.add(id(new))
                e = substitute(make, e, {id(x): new})
                break
        else:
            return e


def _digits(
    make: Builder, axis: Axis, indices: list[Index]
) -> tuple[tuple[Axis, ...], Index] | None:
    """(the axes of its digits, the index that they make up); None where it is not divided, or not
    as a number of such digits is."""
    places: set[int] = set()
    for i in indices:
        if i.reads(axis) or not all(_place(a, axis, places) for a in i.terms):
            return None
    steps = sorted(n for n in places if n < axis.extent)
    ends = [*steps[1:], axis.extent] if steps else []
    if not steps or any(b % a for a, b in zip(steps, ends, strict=True)):
        return None
    counts = [steps[0], *(b // a for a, b in zip(steps, ends, strict=True))]
    axes = tuple(make.axis(axis.name.rstrip("0123456789"), n) for n in reversed(counts))
    place = ix.constant(0)
    for digit, step in zip(axes, [*reversed(steps), 1], strict=True):
        place = place + ix.along(digit) * step
    return axes, place


def _place(atom: object, axis: Axis, places: set[int]) -> int | None:
    """The value of the last digit that an atom leaves of an axis, 1 for all of it; notes the values
    of digits on the way.  0 or None: it is divided otherwise."""
    if not isinstance(atom, Part) or not atom.free & axis.bit:
        return 1
    if len(atom.index.terms) != 1 or atom.index.const:
        return None
    ((inner, c),) = atom.index.terms.items()
    below = _place(inner, axis, places)
    if c != 1 or not below:
        return None
    places.add(below * atom.by)
    return below * atom.by if atom.sign == "//" else below


def _divided(nest: Nest, *values: Expr) -> Iterator[Index]:
    """The indices with divisions, or with numbers that are read, in all that a nest does, or in
    some values alone."""
    seen: set[int] = set()
    indices = [] if values else [i for w in nest.writes for i in w.place]
    for value in values or [w.value for w in nest.writes]:
        for e in walk(value, seen):
            indices += e.at[1] if e.op == "load" else (e.at,) if e.op == "index" else ()
    yield from (i for i in indices if not all(isinstance(a, Axis) for a in i.terms))


def _divisor(indices: list[Index], axis: Axis) -> int | None:
    """The one number by which an axis is divided wherever it is divided; None where there is none,
    or where numbers that are read depend on the axis."""
    found = set()
    for i in indices:
        if i.reads(axis):
            return None
        found |= {a.by if a.index.terms == {axis: 1} and not a.index.const else 0
                  for a in i.terms if isinstance(a, Part) and a.free & axis.bit}  # fmt: skip
    by = max(found, default=0)
    return by if found == {by} and by and not axis.extent % by and by < axis.extent else None


def _moved(make: Builder, e: Expr, axis: Axis, place: Index, known: dict[int, Expr]) -> Expr:
    """An expression with an index in the place of an axis."""
    if not e.free & axis.bit:
        return e
    found = known.get(id(e))
    if found is None:
        args = [_moved(make, a, axis, place, known) for a in e.args]
        if e.op == "load":
            buffer, index = e.at
            guard = args[0] if args else None
            found = make.load(buffer, tuple(i.replaced(axis, place) for i in index), guard)
        elif e.op == "index":
            found = make.whole(e.at.replaced(axis, place))
        else:
            found = rebuilt(make, e, args)
        known[id(e)] = found
    return found
