"""A walk through one piece of bytecode, for `reads`: what the stack and the variables may hold."""

from __future__ import annotations

import builtins
import dis
import functools
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from ..tensor.reached import ModuleLike
from .instructions import (
    GETTERS,
    IN_PLACE,
    KEPT,
    NOTHING,
    NULL,
    PASSED_ON,
    Found,
    Nested,
    Stack,
    Super,
    Values,
    either,
    is_library,
    one,
)  # fmt: skip

if TYPE_CHECKING:
    from .reads import Walk


@functools.lru_cache(maxsize=1024)
def instructions_of(code: CodeType) -> tuple[dis.Instruction, ...]:
    """What a piece of code consists of; most pieces are walked through many times."""
    return tuple(dis.get_instructions(code))


class Code:
    """One walk through a piece of code, with what its stack and its variables may hold."""

    def __init__(
        self, walk: Walk, code: CodeType, space: dict[str, Any], env: dict[str, Values]
    ) -> None:
        self.to, self.code, self.space, self.env = walk, code, space, env
        self.stack = Stack()
        self.keywords: tuple[str, ...] = ()

    def run(self) -> None:
        """Instruction by instruction, as they lie."""
        at_target: dict[int, list[Any]] = {}
        for at in instructions_of(self.code):
            self.stack.arrive(at_target.pop(at.offset, None))
            if at.opcode in dis.hasjrel or at.opcode in dis.hasjabs:
                change = dis.stack_effect(at.opcode, at.arg, jump=True)
                if at.argval > at.offset:
                    there = self.stack.after(change)
                    before = at_target.get(at.argval)
                    at_target[at.argval] = there if before is None else either(before, there)
            step = getattr(self, f"_{at.opname.lower()}", None)
            if step is not None:
                step(at)
            else:
                self._other(at)
            if at.opname in ("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE") or (
                at.opname.startswith(("JUMP_FORWARD", "JUMP_BACKWARD"))
            ):
                self.stack.leave()

    def _other(self, at: dis.Instruction) -> None:
        """An instruction that makes nothing that is known."""
        change = dis.stack_effect(at.opcode, at.arg, jump=False)
        for _ in range(-change):
            self.to.used(self.stack.pop())
        for _ in range(change):
            self.stack.push(NOTHING)
        if not change and at.opname.startswith(KEPT):
            return
        if change <= 0 and not at.opname.startswith(KEPT):
            self.to.used(self.stack.pop())
            self.stack.push(NOTHING)

    # ------------------------------------------------------------ variables

    def _load_fast(self, at: dis.Instruction) -> None:
        for name in at.argval if isinstance(at.argval, tuple) else (at.argval,):
            self.stack.push(self.env.get(name, NOTHING))

    _load_fast_check = _load_fast_borrow = _load_fast_and_clear = _load_deref = _load_fast
    _load_classderef = _load_fast_load_fast = _load_fast_borrow_load_fast_borrow = _load_fast

    def _store_fast(self, at: dis.Instruction) -> None:
        for name in at.argval if isinstance(at.argval, tuple) else (at.argval,):
            self._store(name)

    _store_fast_store_fast = _store_fast

    def _store_fast_load_fast(self, at: dis.Instruction) -> None:
        stored, loaded = at.argval
        self._store(stored)
        self.stack.push(self.env.get(loaded, NOTHING))

    def _store_deref(self, at: dis.Instruction) -> None:
        self.to.conditions.sites[at.argval] = self.code, at.offset
        self._store(at.argval)

    def _store(self, name: str) -> None:
        self.env[name] = either([self.env.get(name, NOTHING)], [self.stack.pop()])[0]

    def _load_global(self, at: dis.Instruction) -> None:
        name, space = at.argval, self.space
        value = NOTHING
        if name in space:
            value = one(space[name], name)
            if not isinstance(space[name], ModuleType) or not is_library(space[name]):
                self.to.conditions.item(space, name, name)
            self.to.reached(value)
        elif hasattr(builtins, name):
            value = one(getattr(builtins, name), name)
        for _ in range(dis.stack_effect(at.opcode, at.arg) - 1):
            self.stack.push(NULL)
        self.stack.push(value)
        self.stack.callable_below(at)

    _load_name = _load_global

    def _load_const(self, at: dis.Instruction) -> None:
        self.stack.push(one(at.argval, repr(at.argval)))

    _load_small_int = _load_const

    def _push_null(self, at: dis.Instruction) -> None:
        self.stack.push(NULL)

    def _copy(self, at: dis.Instruction) -> None:
        self.stack.push(self.stack.peek(at.arg or 1))

    def _swap(self, at: dis.Instruction) -> None:
        self.stack.swap(at.arg or 1)

    def _pop_top(self, at: dis.Instruction) -> None:
        self.stack.pop()

    # ------------------------------------------------------------ attributes and items

    def _load_attr(self, at: dis.Instruction) -> None:
        x = self.stack.pop()
        name = at.argval
        if name not in IN_PLACE and any(type(f.value) in (list, dict) for f in x.founds):
            value = self.to.each(x)  # .items(), .get(...)
        else:
            value = self.to.attribute(x, name)
        method = at.opname == "LOAD_METHOD" or dis.stack_effect(at.opcode, at.arg) == 1
        if method:
            self.stack.push(NULL)
        self.stack.push(value)
        if method:
            self.stack.callable_below(at)

    _load_method = _load_attr

    def _binary_subscr(self, at: dis.Instruction) -> None:
        index, x = self.stack.pop(), self.stack.pop()
        self.stack.push(self.to.subscript(x, index))

    def _binary_op(self, at: dis.Instruction) -> None:
        if at.argrepr == "[]":
            self._binary_subscr(at)
        else:
            self._other(at)

    def _precall(self, at: dis.Instruction) -> None:
        """Python 3.11 announces a call."""

    def _store_subscr(self, at: dis.Instruction) -> None:
        index, x, _ = self.stack.pop(), self.stack.pop(), self.stack.pop()
        for found in index.founds:
            self.to.conditions.sites.setdefault(f"[{found.name}]", (self.code, at.offset))
        if index.founds:  # it would be set only once, so that it is compared
            self._set(at, self.to.subscript(x, index))

    def _store_attr(self, at: dis.Instruction) -> None:
        x, _ = self.stack.pop(), self.stack.pop()
        objects = tuple(f for f in x.founds if not isinstance(f.value, ModuleLike))
        self._set(at, self.to.attribute(Values(objects), at.argval))

    def _store_global(self, at: dis.Instruction) -> None:
        self.stack.pop()
        if at.argval in self.space:
            name = at.argval
            self._set(at, Values((self.to.conditions.item(self.space, name, name),)))

    def _set(self, at: dis.Instruction, values: Values) -> None:
        for found in values.founds:
            self.to.conditions.sites[found.name] = self.code, at.offset

    def _get_iter(self, at: dis.Instruction) -> None:
        self.stack.push(self.to.each(self.stack.pop()))

    def _for_iter(self, at: dis.Instruction) -> None:
        self.stack.push(self.stack.peek(1))

    def _unpack_sequence(self, at: dis.Instruction) -> None:
        items = self.to.each(self.stack.pop())
        for _ in range(at.arg or 0):
            self.stack.push(items)

    def _build_tuple(self, at: dis.Instruction) -> None:
        parts = [self.stack.pop() for _ in range(at.arg or 0)]
        for part in parts:
            self.to.used(part)
        self.stack.push(Values(tuple(f for p in parts[::-1] for f in p.founds), each=True))

    _build_list = _build_tuple

    # ------------------------------------------------------------ functions

    def _make_function(self, at: dis.Instruction) -> None:
        code = self.stack.pop()
        change = dis.stack_effect(at.opcode, at.arg)
        for _ in range(-change):
            self.stack.pop()
        made = [Found(Nested(f.value, self.env, self.space), "") for f in code.founds
                if isinstance(f.value, CodeType)]  # fmt: skip
        for found in made:
            self.to.waiting[id(found.value)] = found
        self.stack.push(Values(tuple(made)))

    def _kw_names(self, at: dis.Instruction) -> None:
        self.keywords = self.code.co_consts[at.arg or 0]

    def _call(self, at: dis.Instruction) -> None:
        args = [self.stack.pop() for _ in range(at.arg or 0)][::-1]
        upper, lower = self.stack.pop(), self.stack.pop()
        if lower is NULL:
            callee = upper
        elif upper is NULL:
            callee = lower
        else:
            callee, args = lower, [upper, *args]
        names, self.keywords = self.keywords, ()
        named = dict(zip(names, args[len(args) - len(names) :], strict=True))
        self.stack.push(self._result(callee, args[: len(args) - len(names)], named))

    def _call_kw(self, at: dis.Instruction) -> None:
        names = self.stack.pop()
        self.keywords = names.founds[0].value if names.founds else ()
        self._call(at)

    def _result(self, callee: Values, args: list[Values], named: dict[str, Values]) -> Values:
        known = {id(f.value) for f in callee.founds}
        if id(super) in known:
            return self._super(args)
        if known & GETTERS and len(args) > 1 and args[1].founds:
            name = args[1].founds[0].value
            return self.to.attribute(args[0], name) if isinstance(name, str) else NOTHING
        if known & PASSED_ON:
            parts = [self.to.each(a) for a in args]
            return Values(tuple(f for p in parts for f in p.founds), each=True)
        seen = False
        for found in callee.founds:
            self.to.waiting.pop(id(found.value), None)
            seen = seen or isinstance(found.value, (FunctionType, MethodType, Nested))
            self.to.call(found, args, named)
        for value in () if seen else (*args, *named.values()):
            self.to.used(value)
        return NOTHING

    def _super(self, args: list[Values]) -> Values:
        cls = args[0] if args else self.env.get("__class__", NOTHING)
        first = self.code.co_varnames[0] if self.code.co_varnames else ""
        instance = args[1] if len(args) > 1 else self.env.get(first, NOTHING)
        if not cls.founds or not instance.founds:
            return NOTHING
        return one(Super(cls.founds[0].value, instance.founds[0]), instance.founds[0].name)

    def _load_super_attr(self, at: dis.Instruction) -> None:
        instance, cls, _ = self.stack.pop(), self.stack.pop(), self.stack.pop()
        if dis.stack_effect(at.opcode, at.arg) == -1:
            self.stack.push(NULL)
        self.stack.push(self.to.attribute(self._super([cls, instance]), at.argval))
