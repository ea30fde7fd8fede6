"""What lines of a user's program are called: by the layer that made them, else by their op.

fc1[17,3] is an output of the layer fc1, in row 17; dL/dfc1[17,3] the gradient of it.  A line that a
layer has laid out flat has the places of what it shows: see `shown`.  Parameters
have their names in state_dict(), 0.weight in a Sequential; an output of its first layer is
0:Linear[17,3], because 0 alone would be a number.  Indices count from 0, as in Python.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...errors import source_of
from ...graph import Node
from ..elements import Place
from ..naming import ASCII, UNICODE
from .shown import Shown

if TYPE_CHECKING:
    from .program import Program

LONGEST = 60
LONG = 24
"""A line that is made of more numbers with names than these gets a name of its own."""
VIEWS = frozenset({"reshape", "permute"})
PLAIN = frozenset({"add", "sub", "neg", "reshape", "permute"})
"""What may stand around a product in one line."""


class Labels:
    """The names of a program's lines."""

    def __init__(self, program: Program) -> None:
        self.names: dict[Node, str] = {}
        self.taken: Counter[str] = Counter()
        self.of_gradient: dict[Node, Node] = {}
        self.outputs: dict[Node, Any] = {}  # the last line of a layer -> the layer
        self.results: dict[Node, Any] = {}  # the same, and what functions in forward() gave
        modules, paths = program.recording.modules, program.recording.paths
        self.layer_of = {node: paths.get(modules.get(line), "") for line, node in
                         program.now.items() if isinstance(node, Node)}  # fmt: skip
        self._layers(program)
        self._functions(program)
        self._inputs(program)
        self._lines(program)
        self._long(program.forward)
        for line, g in program.gradient.items():
            held = self.of_gradient.get(g)
            if g in program.backward and (held is None or self._says_more(line, held)):
                self.of_gradient[g] = line
        self._rules(program)
        self._long([n for n in program.graph.nodes if n in program.backward])
        self.shown = Shown(program, self)

    # ------------------------------------------------------------ giving names

    def _says_more(self, line: Node, held: Node) -> bool:
        """Whether a gradient is better called after a line than after another: layers first."""
        return (line in self.outputs, line in self.names) > (
            held in self.outputs, held in self.names
        )  # fmt: skip

    def _layers(self, program: Program) -> None:
        """The result of a layer: the last line that was made while it was the innermost."""
        recording = program.recording
        last: dict[Any, Node] = {}
        for line in program.lines:
            module = recording.modules.get(line)
            if module is not None and line.dtype.kind == "f":
                last[module] = line
        for module, line in last.items():
            node = program.now[line]
            if isinstance(node, Node) and node is not program.loss and node.op is not None:
                path = recording.paths.get(module)
                if path:
                    self.outputs[node] = self.results[node] = module
                    self.give(node, output_name(path, module))

    def _functions(self, program: Program) -> None:
        """The results of functions that are called between layers: relu for F.relu(x)."""
        modules = program.recording.modules
        lines = [n for n in program.lines if n.op is not None]
        for line, following in zip(lines, [*lines[1:], None], strict=True):
            module = modules.get(line)
            last = following is None or (following.site, modules.get(following)) != (
                line.site, module)  # fmt: skip
            inside = module is not None and not any(True for _ in module.children())
            node = program.now[line]
            if not last or inside or line.dtype.kind != "f" or not isinstance(node, Node):
                continue
            moves = line.op is not None and (line.op.moves or line.op.view)
            name = "" if moves else called(source_of(line.site))
            if name and node in program.gradient and node is not program.loss and node.shape:
                path = program.recording.paths.get(module, "")
                self.results.setdefault(node, module)
                self.give(node, f"{path}.{name}" if path else name)

    def _inputs(self, program: Program) -> None:
        for name, leaf in program.leaves.items():
            self.give(leaf, name)
        for node in program.graph.inputs:
            self.give(node, node.name or "x")

    def _lines(self, program: Program) -> None:
        """Lines that combine many numbers have a name; others are written out where they stand."""
        self.give(program.loss, "L")
        recording = program.recording
        readers = _readers(program.forward)
        for line in program.lines:
            node = program.now[line]
            if not isinstance(node, Node) or node in self.names or self._stands_in(node, readers):
                continue
            if _combines(node, line):
                path = recording.paths.get(recording.modules.get(line), "")
                op = line.op.name if line.op is not None else "x"
                self.give(node, f"{path}.{op}" if path else op)
        for node in program.forward:
            if node in self.names or self._stands_in(node, readers):
                continue
            if _combines(node, node):
                assert node.op is not None
                self.give(node, f"{self._reader(node, program.forward)}.{node.op.name}")

    def _stands_in(
        self, node: Node, readers: dict[Node, list[Node]], plain: frozenset[str] = PLAIN
    ) -> bool:
        """Whether a line is only the greater part of another with a name: a W before + b."""
        if node.op is None or node.op.name not in ("matmul", "sum"):
            return False
        while not self.named(node):
            following = readers.get(node, [])
            if len(following) != 1 or following[0].op is None:
                return False
            (node,) = following
            if node.op is None or node.op.name not in plain:
                return False
        return node in self.outputs or node in self.of_gradient

    def _rules(self, program: Program) -> None:
        """Sums within a rule, on the way back."""
        lines = [n for n in program.graph.nodes if n in program.backward]
        readers = _readers(lines)
        for node in lines:
            value = self.of_gradient.get(node)
            if node in self.names or value in self.names or not _combines(node, node):
                continue
            if self._stands_in(node, readers, VIEWS):
                continue
            assert node.op is not None
            if value is not None and value.op is not None:
                self.give(node, f"∂L/∂{self._within(value)}{value.op.name}")
            else:
                self.give(node, f"{node.op.name} in {self._reader(node, lines)}")

    def _within(self, node: Node) -> str:
        """The layer that made a line, and a dot; nothing for what is between layers."""
        path = self.layer_of.get(node, "")
        return f"{path}." if path else ""

    def _long(self, lines: list[Node]) -> None:
        """Lines that would be too long where they stand have a name, too."""
        sizes: dict[Node, int] = {}
        for node in lines:
            if self.named(node):
                sizes[node] = 1
                continue
            parts = [sizes.get(x, 1) for x in node.inputs if isinstance(x, Node)]
            chooses = node.op is not None and node.op.name == "where"
            size = max(parts, default=0) if chooses else sum(parts)
            if node.dtype.kind != "f":
                size = 0
            elif size > LONG and node.op is not None and not node.op.moves:
                value = self.of_gradient.get(node, node)
                partial = "∂L/∂" if value is not node else ""
                self.give(node, f"{partial}{self._within(value)}{node.op.name}")
                size = 1
            sizes[node] = size

    def _reader(self, node: Node, lines: list[Node]) -> str:
        """The first line with a name that a line leads to."""
        reached = {node}
        for other in lines[lines.index(node) :]:
            if any(x in reached for x in other.inputs if isinstance(x, Node)):
                if other in self.names:
                    return self.names[other]
                if other in self.of_gradient and self.of_gradient[other] in self.names:
                    return f"∂L/∂{self.names[self.of_gradient[other]]}"
                reached.add(other)
        return "a rule"

    def give(self, node: Node, name: str) -> None:
        """Calls a line so, unless it has a name already."""
        if node in self.names:
            return
        name = harmless(name)
        self.taken[name] += 1
        count = self.taken[name]
        self.names[node] = name if count == 1 else f"{name}#{count}"

    # ------------------------------------------------------------ asking

    def named(self, node: Node) -> bool:
        """Whether a line has a name; gradients have one where their values do."""
        return node in self.names or self.of_gradient.get(node) in self.names

    def of(self, node: Node, ascii_only: bool = False) -> str:
        """The name of a line."""
        letters = ASCII if ascii_only else UNICODE
        if node in self.names:
            name = self.names[node]
            return name.replace("∂", letters.partial).replace("′", "'") if ascii_only else name
        value = self.of_gradient.get(node)
        if value is not None and value in self.names:
            return f"{letters.partial}L/{letters.partial}{self.names[value]}"
        return node.op.name if node.op is not None else node.name

    def __call__(self, place: Place, ascii_only: bool = False) -> str:
        """The name of a number."""
        return self._written(self.shown(place), ascii_only)

    def _written(self, place: Place, ascii_only: bool) -> str:
        where = f"[{','.join(map(str, place.at))}]" if place.at else ""
        name = self.of(place.node, ascii_only) + where
        return name.encode("ascii", "backslashreplace").decode() if ascii_only else name


def _combines(node: Node, line: Node) -> bool:
    """Whether one number of a line is made of many, so that it would not do within another."""
    return any(n.op is not None and (n.op.combines or n.op.scatters or n.op.spelled)
               for n in (node, line) if n.op is not None and n.op.name != "concat")  # fmt: skip


def _readers(lines: list[Node]) -> dict[Node, list[Node]]:
    found: dict[Node, list[Node]] = {}
    for node in lines:
        for x in node.inputs:
            if isinstance(x, Node):
                found.setdefault(x, []).append(node)
    return found


def called(source: str) -> str:
    """The name of the function whose result an expression is, if it is one."""
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError):
        return ""
    if not isinstance(tree, ast.Call):
        return ""
    function = tree.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def output_name(path: str, module: Any) -> str:
    """What a layer gives: its path; with its type where the path alone reads as a number."""
    return f"{path}:{type(module).__name__}" if path.replace(".", "").isdigit() else path


def harmless(name: str) -> str:
    """A name without what a terminal would obey, and not without end."""
    text = "".join(c if c.isprintable() else "?" for c in name)
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + ".."
