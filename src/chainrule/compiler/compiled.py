"""What compiling a program gives, and the same brought into memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..dtypes import as_dtype
from ..errors import ArgumentTypeError, FormatError
from ..runtime.executable import Executable
from ..runtime.loader import Code
from .llvm.target import Target

Result = tuple[tuple[int, ...], str]


class Facts(NamedTuple):
    """What has to be known to call a program.

    inputs: how many there are.  results: shape and dtype of each.  arena: bytes of temporary
    memory.  shared_work: how many operations threads share.  updated: which inputs are written.
    entry: the function that is called.
    """

    inputs: int
    results: tuple[Result, ...]
    arena: int
    shared_work: int
    updated: tuple[int, ...]
    entry: str


class Compiled(NamedTuple):
    """Object files, and what has to be known to call them."""

    facts: Facts
    objects: list[bytes]


class Native:
    """A program in memory; any number of Executables may share it."""

    def __init__(self, compiled: Compiled, target: Target) -> None:
        self.facts = compiled.facts
        name = compiled.facts.entry
        if target.is_known_to_the_loader:
            self.code: Any = Code(compiled.objects)
            self.addresses = self.code.addresses
        else:
            from .llvm.build import Loaded  # LLVM can link for more processors than we

            self.code = Loaded(compiled.objects, target, (name,))
            self.addresses = self.code.addresses
        if name not in self.addresses:
            raise FormatError("machine code: a function is missing", expected=name)
        self.address: int = self.addresses[name]

    def executable(self) -> Executable:
        """The program with memory of its own."""
        facts = self.facts
        results = [(shape, as_dtype(name)) for shape, name in facts.results]
        return Executable(
            self, self.address, facts.inputs, results, facts.arena, facts.shared_work,
            facts.updated,
        )  # fmt: skip


def to_header(facts: Facts) -> dict[str, Any]:
    """Facts for a header in JSON."""
    return facts._asdict()


def from_header(header: dict[str, Any]) -> Facts:
    """The same facts again; raises FormatError on anything that is none."""
    try:
        results = tuple((tuple(shape), as_dtype(name).name) for shape, name in header["results"])
        updated = tuple(header["updated"])
        found = Facts(
            header["inputs"],
            results,
            header["arena"],
            header["shared_work"],
            updated,
            header["entry"],
        )
    except (KeyError, TypeError, ValueError, ArgumentTypeError) as error:
        raise FormatError("cache: a header without the facts") from error
    sizes = [found.inputs, found.arena, found.shared_work, *updated]
    sizes += [n for s, _ in results for n in s]
    if not isinstance(found.entry, str) or not all(type(n) is int and n >= 0 for n in sizes):
        raise FormatError("cache: a header with impossible sizes")
    return found
