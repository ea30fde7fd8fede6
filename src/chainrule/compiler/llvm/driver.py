"""The native loop: many steps of one program or two without going back to Python.

`drive(ptr rounds, i64 tid, i64 threads, ptr sync)` is compiled once for all programs.  A program
and its batches are a leg; in every round each leg makes its steps, one leg after the other: whole
batches, then the smaller rest of an epoch.  `rounds` is a row of whole numbers of 64 bits:

    0  rounds to run          1  legs
    2  ... for each leg: the address of its plan, of its function `step`, of its table

A leg's plan is such a row too:

    0  steps of a round       1  steps done, as it goes on     2  address of a flag: not 0 ends it
    3  moving addresses       4  gathered inputs               5  rows of a batch
    6  address of the order: the row numbers of all steps, one batch behind the other
    7  whether to stop (the loop's own)
    8  watched outputs
    9  ... for each moving address: place in the table, the address, bytes to move each step, the
       address behind the last and the first one, where it begins again
       ... for each gathered input: where its rows lie, where the batch goes, bytes of a row
       ... for each watched output: its place in the table; it is a bool, and false ends the loop

Before each step thread 0 moves the addresses (batches that lie in order, learning rates, losses),
and all threads copy the rows of gathered inputs, each its share.
"""

from __future__ import annotations

from .sync import NAME, define_barrier, share
from .target import Target
from .text import Function, Module, V, whole

DRIVE, LEG = "drive", "drive_leg"
ROUNDS_HEAD, LEG_NUMBERS = 2, 3
HEAD, MOVING, STOP = 9, 5, 7


def driver(target: Target) -> str:
    """The module that holds `drive`."""
    module = Module()
    define_barrier(module, target)
    _leg(module)
    f = module.function(DRIVE, "ptr %rounds, i64 %tid, i64 %threads, ptr %sync", "#0 ")
    count, legs = (_number(f, "%rounds", whole(n)) for n in range(2))

    def leg(n: V, r: V) -> list[V]:
        place = f.binary("add", f.binary("mul", n, whole(LEG_NUMBERS)), whole(ROUNDS_HEAD))
        given = []
        for i in range(LEG_NUMBERS):
            number = _number(f, "%rounds", f.binary("add", place, whole(i)))
            given.append(f.emit(f"inttoptr {number} to ptr", "ptr"))
        listed = ", ".join(map(str, given))
        f.do(f"call void @{LEG}({listed}, {r}, i64 %tid, i64 %threads, ptr %sync)")
        f.do(f"call void @{NAME}(ptr %sync, i64 %threads)")  # what thread 0 has found out
        _end_if(f, _number(f, given[0].ref, whole(STOP)))
        return []

    def turn(r: V, _: list[V]) -> list[V]:
        f.loop(whole(0), legs, 1, [], lambda n, _: leg(n, r), first_is_sure=False)
        return []

    f.loop(whole(0), count, 1, [], turn, first_is_sure=False)
    f.do("br label %end")
    f.label("end")
    return f'{module}\nattributes #0 = {{ nounwind "target-cpu"="{target.cpu}" }}\n'


def _leg(module: Module) -> None:
    """The steps of a leg in one round."""
    f = module.function(
        LEG,
        "ptr %plan, ptr %step, ptr %table, i64 %round, i64 %tid, i64 %threads, ptr %sync",
        "#0 ",
    )
    first = f.emit("icmp eq i64 %tid, 0", "i1")
    steps = _slot(f, 0)
    begin = f.binary("mul", V("%round", "i64"), steps)
    end = f.binary("add", begin, steps)
    f.loop(begin, end, 1, [], lambda s, _: _step(f, s, first), first_is_sure=False)
    f.do("br label %end")
    f.label("end")


def _end_if(f: Function, number: V) -> None:
    """Leaves the function where a number is not 0."""
    stop = f.emit(f"icmp ne i64 {number.ref}, 0", "i1")
    f.count += 1
    go = f"go{f.count}"
    f.do(f"br {stop}, label %end, label %{go}")
    f.label(go)


def _number(f: Function, row: str, place: V) -> V:
    """A number of a row."""
    at = f.shifted(V(row, "ptr"), place, "i64")
    return f.emit(f"load i64, {at}, align 8", "i64")


def _slot(f: Function, place: int) -> V:
    """A number of the plan."""
    return _number(f, "%plan", whole(place))


def _at(f: Function, place: V, offset: int) -> V:
    """A number of the plan at a place that is computed."""
    at = f.shifted(V("%plan", "ptr"), place, "i64")
    at = f.shifted(at, whole(offset), "i64")
    return f.emit(f"load i64, {at}, align 8", "i64")


def _step(f: Function, s: V, first: V) -> list[V]:
    """One turn: what thread 0 prepares, what all copy, the program itself."""
    f.when(first, lambda: _prepare(f))
    _gather(f, s)
    f.do(f"call void @{NAME}(ptr %sync, i64 %threads)")
    _end_if(f, _slot(f, STOP))
    f.do("call void %step(ptr %table, i64 %tid, i64 %threads, ptr %sync)")
    f.when(first, lambda: _count(f, s))
    return []


def _watch(f: Function) -> V:
    """Whether a watched output of the last step is false, as 0 or 1."""
    moving = f.emit(f"mul i64 {_slot(f, 3).ref}, {MOVING}", "i64")
    behind = f.binary("add", moving, f.emit(f"mul i64 {_slot(f, 4).ref}, 3", "i64"))

    def look(i: V, found: list[V]) -> list[V]:
        slot = _at(f, f.binary("add", behind, i), HEAD)
        place = f.shifted(V("%table", "ptr"), slot, "ptr")
        output = f.emit(f"load ptr, {place}, align 8", "ptr")
        held = f.emit(f"load i8, {output}, align 1", "i8")
        failed = f.emit(f"icmp eq i8 {held.ref}, 0", "i1")
        return [f.binary("or", found[0], failed)]

    (failed,) = f.loop(
        whole(0), _slot(f, 8), 1, [V("false", "i1")], look, first_is_sure=False
    )  # fmt: skip
    return f.emit(f"zext {failed} to i64", "i64")


def _count(f: Function, s: V) -> None:
    """Notes that a step is done, and whether it was the last."""
    done = f.emit(f"add i64 {s.ref}, 1", "i64")
    at = f.shifted(V("%plan", "ptr"), whole(1), "i64")
    f.do(f"store {done}, {at}, align 8")
    flag = f.shifted(V("%plan", "ptr"), whole(STOP), "i64")
    f.do(f"store {_watch(f)}, {flag}, align 8")


def _prepare(f: Function) -> None:
    """The moving addresses, and whether somebody wants it to end."""
    flag = f.emit(f"inttoptr i64 {_slot(f, 2).ref} to ptr", "ptr")
    asked = f.emit(f"load atomic i64, {flag} monotonic, align 8", "i64")
    at = f.shifted(V("%plan", "ptr"), whole(STOP), "i64")
    failed = f.emit(f"load i64, {at}, align 8", "i64")
    f.do(f"store {f.binary('or', asked, failed)}, {at}, align 8")

    def move(i: V, _: list[V]) -> list[V]:
        place = f.emit(f"mul i64 {i.ref}, {MOVING}", "i64")
        slot, address, stride, end, begin = (_at(f, place, HEAD + n) for n in range(MOVING))
        target = f.shifted(V("%table", "ptr"), slot, "i64")
        f.do(f"store {address}, {target}, align 8")
        after = f.binary("add", address, stride)
        over = f.emit(f"icmp eq i64 {after.ref}, {end.ref}", "i1")
        after = f.emit(f"select {over}, {begin}, {after}", "i64")
        kept = f.shifted(f.shifted(V("%plan", "ptr"), place, "i64"), whole(HEAD + 1), "i64")
        f.do(f"store {after}, {kept}, align 8")
        return []

    f.loop(whole(0), _slot(f, 3), 1, [], move, first_is_sure=False)


def _gather(f: Function, s: V) -> None:
    """This thread's rows of every gathered input."""
    rows = _slot(f, 5)
    begin, end = share(f, rows)
    moving = f.emit(f"mul i64 {_slot(f, 3).ref}, {MOVING}", "i64")
    behind = f.emit(f"add i64 {moving.ref}, {HEAD}", "i64")
    order = f.emit(f"inttoptr i64 {_slot(f, 6).ref} to ptr", "ptr")
    mine = f.shifted(order, f.binary("mul", s, rows), "i64")

    def copy(i: V, _: list[V]) -> list[V]:
        place = f.binary("add", f.emit(f"mul i64 {i.ref}, 3", "i64"), behind)
        source, target, size = (_at(f, place, n) for n in range(3))

        def row(r: V, _: list[V]) -> list[V]:
            number = f.emit(f"load i64, {f.shifted(mine, r, 'i64')}, align 8", "i64")
            a = f.binary("add", source, f.binary("mul", number, size))
            b = f.binary("add", target, f.binary("mul", r, size))
            pointers = [f.emit(f"inttoptr {v} to ptr", "ptr") for v in (b, a)]
            f.call_void("llvm.memcpy.p0.p0.i64", [*pointers, size, V("false", "i1")])
            return []

        f.loop(begin, end, 1, [], row, first_is_sure=False)
        return []

    f.loop(whole(0), _slot(f, 4), 1, [], copy, first_is_sure=False)
