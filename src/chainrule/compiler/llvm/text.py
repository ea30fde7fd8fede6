"""Writes the text of one LLVM function: typed values, blocks, loops that carry values.

Text, because making the same through llvmlite's own builder takes five times as long, and the
first step waits for it.  Every value carries its type and every instruction checks it.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

from ...dtypes import (
    DType,
    bool_,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint64,
)

SCALARS = {
    float32: "float", float64: "double", int8: "i8", int16: "i16", int32: "i32",
    int64: "i64", uint8: "i8", uint64: "i64", bool_: "i1",
}  # fmt: skip


IMPURE = ("load", "call", "phi", "atomicrmw", "cmpxchg")
"""Instructions that may give something else when they stand there again."""
_CALLED = re.compile(r"@([\w.]+)\(")


class V:
    """A value: how LLVM writes it, its element type, and how many lanes it has (0: a scalar)."""

    __slots__ = ("lanes", "ref", "scalar")

    def __init__(self, ref: str, scalar: str, lanes: int = 0) -> None:
        self.ref = ref
        self.scalar = scalar
        self.lanes = lanes

    @property
    def type(self) -> str:
        """The LLVM type."""
        return f"<{self.lanes} x {self.scalar}>" if self.lanes else self.scalar

    def __str__(self) -> str:
        return f"{self.type} {self.ref}"


def number(value: Any, scalar: str) -> str:
    """A constant as LLVM writes it: floats by their bits."""
    if scalar == "i1":
        return "true" if value else "false"
    if scalar in ("float", "double"):
        if scalar == "float":
            value = struct.unpack("f", struct.pack("f", value))[0]
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    bits = int(scalar[1:])
    value = int(value) & ((1 << bits) - 1)
    return str(value - (1 << bits) if value >> (bits - 1) else value)


def const(value: Any, dtype: DType) -> V:
    """A number as a value."""
    scalar = SCALARS[dtype]
    return V(number(value, scalar), scalar)


def whole(value: int) -> V:
    """A whole number of 64 bits."""
    return V(str(value), "i64")


class Function:
    """The body of one function, line by line."""

    def __init__(self, module: Module, name: str, params: str, attributes: str = "") -> None:
        self.module = module
        self.name = name
        self.head = f"define void @{name}({params}) {attributes}{{"
        self.lines: list[str] = ["entry:"]
        self.block = "entry"
        self.count = 0
        self.here: dict[str, V] = {}  # what the block at hand has computed
        self.rooms: dict[tuple[str, str, int], V] = {}
        self.given: dict[Any, int] = {}  # numbers that are arguments, by what they are
        self.cold = False  # runs so seldom that it is compiled in a hurry

    def new(self) -> str:
        """A fresh name."""
        self.count += 1
        return f"%v{self.count}"

    def emit(self, text: str, scalar: str, lanes: int = 0) -> V:
        """One instruction that gives a value; the same again in a block is the same value."""
        if text in self.here:
            return self.here[text]
        self.count += 1
        ref = f"%v{self.count}"
        self.lines.append(f"  {ref} = {text}")
        made = V(ref, scalar, lanes)
        if not text.startswith(IMPURE):
            self.here[text] = made
        return made

    def do(self, text: str) -> None:
        """One instruction that gives none."""
        self.lines.append(f"  {text}")

    def binary(self, name: str, a: V, b: V) -> V:
        """An instruction of two operands of one type."""
        assert (a.scalar, a.lanes) == (b.scalar, b.lanes), (name, a, b)
        return self.emit(f"{name} {a.type} {a.ref}, {b.ref}", a.scalar, a.lanes)

    def call(self, name: str, args: Sequence[V], scalar: str, lanes: int = 0) -> V:
        """A call of an intrinsic, which is declared as it is used."""
        result = f"<{lanes} x {scalar}>" if lanes else scalar
        self.module.declare(name, result, [a.type for a in args])
        return self.emit(f"call {result} @{name}({', '.join(map(str, args))})", scalar, lanes)

    def call_void(self, name: str, args: Sequence[V]) -> None:
        """A call of an intrinsic that gives nothing."""
        self.module.declare(name, "void", [a.type for a in args])
        self.do(f"call void @{name}({', '.join(map(str, args))})")

    # ------------------------------------------------------------ vectors

    def splat(self, v: V, lanes: int) -> V:
        """A scalar in every lane."""
        if v.lanes == lanes:
            return v
        assert not v.lanes, v
        if not v.ref.startswith("%"):
            inside = ", ".join([f"{v.scalar} {v.ref}"] * lanes)
            return V(f"<{inside}>", v.scalar, lanes)
        one = self.emit(f"insertelement <{lanes} x {v.scalar}> poison, {v}, i32 0", v.scalar, lanes)
        return self.emit(
            f"shufflevector {one}, {one.type} poison, <{lanes} x i32> zeroinitializer",
            v.scalar, lanes,
        )  # fmt: skip

    def alike(self, *values: V) -> list[V]:
        """Values brought to the same number of lanes."""
        lanes = max(v.lanes for v in values)
        return [self.splat(v, lanes) for v in values] if lanes else list(values)

    # ------------------------------------------------------------ addresses

    def shifted(self, pointer: V, offset: V, scalar: str) -> V:
        """A pointer so many elements further on."""
        if offset.ref == "0":
            return pointer
        return self.emit(f"getelementptr {scalar}, {pointer}, {offset}", "ptr", offset.lanes)

    def argument(self, n: int, key: Any) -> V:
        """A number that callers give: others may call the function with another one."""
        if key not in self.given:
            self.given[key] = n
            at = self.head.rindex(")")
            self.head = f"{self.head[:at]}, i64 %n{len(self.given) - 1}{self.head[at:]}"
        assert self.given[key] == n, (key, n)
        return V(f"%n{list(self.given).index(key)}", "i64")

    def room(self, scalar: str, count: int, use: str) -> V:
        """A little memory of the function's own, at a line of the cache."""
        key = (use, scalar, count)
        if key not in self.rooms:
            v = self.rooms[key] = V(f"%room{len(self.rooms)}", "ptr")
            self.lines[0] += f"\n  {v.ref} = alloca {scalar}, i64 {count}, align 64"
        return self.rooms[key]

    # ------------------------------------------------------------ control

    def label(self, name: str) -> None:
        """Starts a block."""
        self.lines.append(f"{name}:")
        self.block = name
        self.here = {}

    def loop(
        self, start: V, stop: V, step: int, carried: Sequence[V],
        body: Callable[[V, list[V]], Sequence[V]], first_is_sure: bool = True,
    ) -> list[V]:  # fmt: skip
        """for i in start, start + step, ... < stop; what `body` gives back is carried on.

        Where `first_is_sure` the test stands at the end only.
        """
        self.count += 1
        name, before = f"loop{self.count}", self.block
        head, done = name, f"{name}.done"
        if not first_is_sure:
            enter = self.emit(f"icmp slt i64 {start.ref}, {stop.ref}", "i1")
            self.do(f"br {enter}, label %{head}, label %{done}")
        else:
            self.do(f"br label %{head}")
        self.label(head)
        place = len(self.lines)
        i = V(self.new(), "i64")
        phis = [V(self.new(), v.scalar, v.lanes) for v in carried]
        self.lines.append("")
        results = list(body(i, phis))
        latch = self.block
        following = self.emit(f"add i64 {i.ref}, {step}", "i64")
        again = self.emit(f"icmp slt i64 {following.ref}, {stop.ref}", "i1")
        self.do(f"br {again}, label %{head}, label %{done}")
        lines = [f"  {i.ref} = phi i64 [{start.ref}, %{before}], [{following.ref}, %{latch}]"]
        for phi, v, r in zip(phis, carried, results, strict=True):
            assert (phi.scalar, phi.lanes) == (r.scalar, r.lanes), (phi, r)
            lines.append(f"  {phi.ref} = phi {phi.type} [{v.ref}, %{before}], [{r.ref}, %{latch}]")
        self.lines[place] = "\n".join(lines)
        self.label(done)
        if first_is_sure:
            return results
        ends = []
        for v, r in zip(carried, results, strict=True):
            sources = f"[{v.ref}, %{before}], [{r.ref}, %{latch}]"
            ends.append(self.emit(f"phi {r.type} {sources}", r.scalar, r.lanes))
        return ends

    def least(self, a: V, b: V) -> V:
        """The smaller of two whole numbers."""
        return self.call("llvm.smin.i64", [a, b], "i64")

    def either(self, condition: V, body: Callable[[], None], other: Callable[[], None]) -> None:
        """Runs one of two bodies."""
        self.count += 1
        then, otherwise, after = (f"{n}{self.count}" for n in ("then", "else", "after"))
        self.do(f"br {condition}, label %{then}, label %{otherwise}")
        for name, part in ((then, body), (otherwise, other)):
            self.label(name)
            part()
            self.do(f"br label %{after}")
        self.label(after)

    def choose(self, condition: V, body: Callable[[], Sequence[V]], others: Sequence[V]) -> list[V]:
        """What `body` gives where a condition holds, else the others."""
        self.count += 1
        before, then, after = self.block, f"then{self.count}", f"after{self.count}"
        self.do(f"br {condition}, label %{then}, label %{after}")
        self.label(then)
        made = list(body())
        end = self.block
        self.do(f"br label %{after}")
        self.label(after)
        return [
            self.emit(f"phi {a.type} [{a.ref}, %{end}], [{b.ref}, %{before}]", a.scalar, a.lanes)
            for a, b in zip(made, others, strict=True)
        ]

    def when(self, condition: V, body: Callable[[], object]) -> None:
        """Runs `body` where a condition holds."""
        self.count += 1
        then, after = f"then{self.count}", f"after{self.count}"
        self.do(f"br {condition}, label %{then}, label %{after}")
        self.label(then)
        body()
        self.do(f"br label %{after}")
        self.label(after)

    @property
    def declaration(self) -> str:
        """What modules without the body say of it."""
        return (
            f"declare void @{self.name}{self.head[self.head.index('(') : self.head.rindex(')')]})"
        )

    def body(self) -> str:
        """All but the name."""
        return "\n".join([self.head[self.head.index("(") :], *self.lines])

    def __str__(self) -> str:
        return "\n".join([self.head, *self.lines, "  ret void", "}"])


class Part(NamedTuple):
    """A module of some functions of a program: their names, its text, and whether all are cold."""

    names: list[str]
    text: str
    cold: bool


class Module:
    """Functions and the intrinsics that they use."""

    def __init__(self) -> None:
        self.functions: list[Function] = []
        self.declared: dict[str, str] = {}
        self.kernels: set[str] = set()  # microkernels that it holds
        self.outlined: dict[str, str] = {}  # functions that nests share, by what they do
        self.raw: list[str] = []  # functions that are text already

    def function(self, name: str, params: str, attributes: str = "") -> Function:
        """A new function."""
        made = Function(self, name, params, attributes)
        self.functions.append(made)
        return made

    def once(self, f: Function, caller: Function) -> str:
        """Puts a function before its caller, unless one that does the same is there; its name."""
        body = f.body()
        if body not in self.outlined:
            self.outlined[body] = f.name
            self.functions.insert(self.functions.index(caller), f)
        return self.outlined[body]

    def kernel(self, name: str, params: str) -> Function | None:
        """A new function that programs share; None where the module has it."""
        if name in self.kernels:
            return None
        self.kernels.add(name)
        return self.function(name, params, "#0 ")

    def declare(self, name: str, result: str, params: Sequence[str]) -> None:
        """Makes a function of another module known."""
        if name not in self.declared:
            self.declared[name] = f"declare {result} @{name}({', '.join(params)})"

    def __str__(self) -> str:
        own = {f.name for f in self.functions}
        outside = [text for name, text in self.declared.items() if name not in own]
        return "\n\n".join([*map(str, self.functions), *self.raw, "\n".join(outside)]) + "\n"

    def names(self) -> dict[str, str]:
        """Other names for all but the kernels, which follow from what the functions do.

        Those of two programs that do the same have the same name, and serve both.
        """
        found: dict[str, str] = {}
        for f in self.functions:
            if f.name not in self.kernels:
                body = _renamed(f.body(), found)  # what it calls stands before it
                body += " cold" if f.cold else ""
                found[f.name] = f"f{hashlib.sha256(body.encode()).hexdigest()[:24]}"
        return found

    def parts(
        self, size: int, most: int, names: dict[str, str], known: Container[str]
    ) -> list[Part]:
        """What is not known yet, and no kernel, as so many modules of `size` letters or more.

        Each with the `names()` of its functions, to be compiled apart: the code of a function is
        the same in whatever module it stands.  The one that calls all others stands alone, so that
        they can be used without it; so do all that are cold.
        """
        functions = {n: f for f in self.functions if (n := f.name) in names}
        texts = {n: _shared(str(f)) for n, f in functions.items() if names[n] not in known}
        last = list(names)[-1]
        cold = [n for n in texts if n != last and functions[n].cold]
        hot = [n for n in texts if n != last and not functions[n].cold]
        total = sum(len(texts[n]) for n in hot)
        shares: list[list[str]] = [[] for _ in range(max(1, min(most, total // size)))]
        filled = [0] * len(shares)
        for name in sorted(hot, key=lambda n: (-len(texts[n]), n)):
            lightest = filled.index(min(filled))
            shares[lightest].append(name)
            filled[lightest] += len(texts[name])
        shares += [cold, [last] if last in texts else []]
        return [
            Part(
                [names[n] for n in share],
                _renamed(self._part({n: texts[n] for n in share}), names),
                functions[share[0]].cold,
            )
            for share in shares
            if share
        ]

    def apart(self) -> list[Part]:
        """Every kernel as a module of its own: other programs use it too."""
        kernels = [f for f in self.functions if f.name in self.kernels]
        return [Part([f.name], self._part({f.name: str(f)}), f.cold) for f in kernels]

    def _part(self, texts: dict[str, str]) -> str:
        """A module of some functions, with what they call: raw ones copied, others declared."""
        names = called("\n".join(texts.values()))
        raw = [t for t in self.raw if names & called(t.partition("\n")[0])]
        for t in raw:
            names |= called(t)
        known = {f.name: f.declaration for f in self.functions} | self.declared
        outside = [text for name, text in known.items() if name in names and name not in texts]
        return "\n\n".join([*texts.values(), *raw, "\n".join(outside)]) + "\n"


def called(text: str) -> set[str]:
    """The functions that a text calls, defines or declares."""
    return set(_CALLED.findall(text))


def _shared(text: str) -> str:
    """A function of which another program may have brought its own, which is as good."""
    return text.replace("define void", "define weak_odr void", 1)


def _renamed(text: str, names: dict[str, str]) -> str:
    """A text with other names for the functions that it calls and defines."""
    return _CALLED.sub(lambda found: f"@{names.get(found[1], found[1])}(", text)
