"""Which lines of a graph are computed together, and which values are kept in memory.

A line that combines many elements, that adds a product to a sum, or that many others read, is a
*root*: its value is worth keeping.  All other lines are computed again where they are read.  Roots
of one shape that read one another place by place form a *group*, which becomes one nest of loops:
the matrix product, its bias and activation; an optimizer's slots and its parameter.

Before: %0 = matmul(x, w)   %1 = add(%0, b)   %2 = relu(%1)
After:  group [64, 32]: %2 (with %1 and %0 inside)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ...graph import Graph, Node
from ...ops.broadcast import kept_shape
from ...ops.shape import FEW
from .expr import COSTS

CHEAP = 6
"""Up to this cost a value that several lines read is computed by each rather than kept."""
DEAR = 40
"""From this cost on even one number is computed once and kept."""
DEEP = 64
"""At this depth of lines within lines a value is kept, and a nest holds twice as many at most: what
goes down into expressions calls itself, and the length of a program must not decide how far."""


class Group:
    """Roots of one shape, in order: one nest of loops."""

    def __init__(self, place: int, root: Node) -> None:
        self.place = place
        self.domain = domain_of(root)
        self.roots: list[Node] = []
        self.closed = root.op is not None and scatters(root)
        self.has_dot = False

    def add(self, root: Node) -> None:
        """Takes a root in."""
        self.roots.append(root)
        self.has_dot = self.has_dot or is_dot(root)


def domain_of(node: Node) -> tuple[int, ...]:
    """The shape without dimensions of size 1."""
    return tuple([n for n in node.shape if n != 1])


def is_dot(node: Node) -> bool:
    """Whether a line is a matrix product."""
    return node.op is not None and node.op.name == "matmul"


def moves(node: Node) -> bool:
    """Whether a line holds elements of its input as they are."""
    assert node.op is not None
    return node.op.moves or (node.op.name == "windows" and not any(node.params["grid"].padding))


def scatters(node: Node) -> bool:
    """Whether a line writes where its inputs say."""
    assert node.op is not None
    if not node.op.scatters:
        return False
    if node.op.name == "concat":
        return len(node.inputs) > FEW
    if node.op.name != "scatter_add":
        return True
    index, axis, shape = node.inputs[1], node.params["axis"], node.params["shape"]
    rest = index.shape[:axis] + index.shape[axis + 1 :]
    return not (index.shape[axis] == 1 and rest == shape[:axis] + shape[axis + 1 :])


class Grouping:
    """Roots and groups of a graph.

    stored: the roots whose value is kept, as ids.  groups: in the order in which they run.
    of: the group of each root.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[int, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for x in node.inputs:
                if isinstance(x, Node):
                    self.readers[id(x)].append(node)
        self.targets: dict[int, list[Node]] = defaultdict(list)
        for x, v in graph.updates:
            if isinstance(v, Node):
                self.targets[id(v)].append(x)
        results = (*graph.outputs, *(v for _, v in graph.updates))
        self.results = {id(x) for x in results if isinstance(x, Node) and x.op is not None}
        self.cost: dict[int, int] = {}
        self.depth: dict[int, int] = {}  # of lines within lines, down to the next root
        self.height: dict[int, int] = {}  # of a root: the same, down to what its nest reads
        self.is_root: dict[int, bool] = {}
        self.light: set[int] = set()  # kept single numbers that readers would rather compute again
        self.roots = self.find_roots()
        self.kept = {id(r) for r in self.roots}
        self.needs = {id(r): self.needs_of(r) for r in self.roots}
        self.needed: dict[int, list[tuple[Node, bool]]] = defaultdict(list)  # the other way round
        for root in self.roots:
            for i, (_, straight) in self.needs[id(root)].items():
                self.needed[i].append((root, straight))
        self.groups: list[Group] = []
        self.of: dict[int, Group] = {}
        self.form()
        self.stored = {id(r) for r in self.roots if self.is_stored(r)}

    # ------------------------------------------------------------ roots

    def find_roots(self) -> list[Node]:
        """Lines whose value may be kept, in order."""
        roots = []
        for node in self.graph.nodes:
            assert node.op is not None
            cost = 0 if moves(node) else COSTS.get(node.op.name, 1)
            if node.op.name in ("uniform", "normal"):
                cost = 200
            depth = 1
            for x in node.inputs:
                if isinstance(x, Node):
                    cost += self.cost.get(id(x), 0)
                    depth = max(depth, self.depth.get(id(x), 0) + 1)
            root = id(node) in self.results or node.op.combines or scatters(node)
            root = root or depth >= DEEP or self.adds_up(node)
            if not root and not moves(node) and cost > 0:
                root = self.is_worth_keeping(node, cost)
            self.is_root[id(node)] = root
            if root:
                roots.append(node)
                self.height[id(node)] = depth
                if not node.shape and cost <= CHEAP and not node.op.combines and depth < DEEP:
                    self.light.add(id(node))
                else:
                    cost = depth = 0
            self.cost[id(node)] = cost
            self.depth[id(node)] = depth
        return roots

    def adds_up(self, node: Node) -> bool:
        """Whether a line adds a product that nobody else reads to another kept value.

        It is done as the product is made: of a sum of many products one value is kept at a time.
        """
        assert node.op is not None
        if node.op.name != "add":
            return False
        kept = [x for x in node.inputs if isinstance(x, Node) and self.is_root.get(id(x))]
        alone = [x for x in kept if is_dot(x) and len(self.readers[id(x)]) == 1]
        return len(kept) == 2 and bool(alone) and all(x.shape == node.shape for x in kept)

    def is_worth_keeping(self, node: Node, cost: int) -> bool:
        """Whether an elementwise line is read so often that it is computed once."""
        readers, repeated, dots = self.reached(node)
        if dots:
            return True
        if cost <= CHEAP:
            return False
        if not node.shape:
            return cost >= DEAR and len(readers) > 1
        return repeated or len(readers) > 1

    def reached(self, node: Node) -> tuple[set[int], bool, bool]:
        """(lines that read this one, also through moves; whether some read a place several times;
        whether a matrix product does)."""
        found: set[int] = set()
        repeated = dots = False
        stack = [node]
        while stack:
            for reader in self.readers[id(stack.pop())]:
                op = reader.op
                assert op is not None
                if moves(reader):
                    stack.append(reader)
                    wider = reader.spec.size > node.spec.size
                    repeated = repeated or (wider and op.name == "expand") or op.name in (
                        "index_select", "gather", "windows")  # fmt: skip
                else:
                    found.add(id(reader))
                    dots = dots or op.name == "matmul"
        return found, repeated, dots

    def needs_of(self, root: Node) -> dict[int, tuple[Node, bool]]:
        """The roots and inputs that a root reads; True where it does so place by place only."""
        found: dict[int, tuple[Node, bool]] = {}
        assert root.op is not None
        if "axis" in root.params and root.op.combines:
            stack = list(_reduced(root, self.kept))
        else:
            aligned = root.op.pointwise or _keeps_places(root)  # a draw reads a whole state
            stack = [(x, aligned) for x in root.inputs if isinstance(x, Node)]
        domain = domain_of(root)
        seen: set[tuple[int, bool]] = set()
        while stack:
            node, straight = stack.pop()
            straight = straight and domain_of(node) == domain
            if (id(node), straight) in seen:
                continue
            seen.add((id(node), straight))
            if (id(node) in self.kept and id(node) not in self.light) or node.op is None:
                before = found.get(id(node), (node, True))[1]
                found[id(node)] = node, before and straight
                continue
            assert node.op is not None
            same = straight and (node.op.pointwise or _keeps_places(node))
            stack.extend((x, same) for x in node.inputs if isinstance(x, Node))
        return found

    # ------------------------------------------------------------ groups

    def form(self) -> None:
        """Puts every root into a group: updates last, so that what they overwrite has been read;
        single numbers that follow from inputs alone first, so that nothing has to wait for them."""
        times: dict[int, int] = {}
        for root in self.roots:
            needs = self.needs[id(root)]
            before = [times.get(i, 0) for i, (n, _) in needs.items() if n.op is not None]
            late = id(root) in self.targets or 2 in before
            early = not domain_of(root) and not any(before)
            times[id(root)] = 2 if late else 0 if early else 1
        for time in (0, 1, 2):
            for root in self.roots:
                if times[id(root)] == time:
                    self.place(root)

    def place(self, root: Node) -> None:
        """Puts a root into the latest group that it fits, or into a new one."""
        for group in sorted(self.candidates(root), key=lambda g: -g.place):
            if self.fits(root, group):
                break
        else:
            group = Group(len(self.groups), root)
            self.groups.append(group)
        group.add(root)
        self.of[id(root)] = group
        self.height[id(root)] += self.below(root, group)

    def below(self, root: Node, group: Group) -> int:
        """How deep the roots of a group are that one more root reads."""
        there = [i for i in self.needs[id(root)] if self.of.get(i) is group]
        return max([self.height[i] for i in there], default=0)

    def candidates(self, root: Node) -> list[Group]:
        """Groups of the same shape that compute or read what this root reads."""
        if scatters(root):
            return []
        domain = domain_of(root)
        found: dict[int, Group] = {}
        for i, (node, straight) in self.needs[id(root)].items():
            whole = node.size == root.size > 1 and not is_dot(root)
            near = [i] if straight else []
            near += [id(reader) for reader, _ in self.needed[i] if straight or whole]
            for group in (self.of[j] for j in near if j in self.of):
                if straight or not group.has_dot:
                    found[group.place] = group
        return [g for g in found.values() if not g.closed and g.domain == domain]

    def fits(self, root: Node, group: Group) -> bool:
        """Whether everything that a root reads is there when a group runs."""
        if is_dot(root) and group.has_dot:
            return False
        if self.height[id(root)] + self.below(root, group) > 2 * DEEP:
            return False
        for i, (node, straight) in self.needs[id(root)].items():
            if node.op is None:
                continue
            there = self.of[i]
            if there.place > group.place or (there is group and not straight):
                return False
        targets = self.targets.get(id(root), ())  # what it overwrites must have been read
        return all(self.may_write(target, group) for target in targets)

    def may_write(self, target: Node, group: Group) -> bool:
        """Whether nobody reads the old value of an input after a group, or askew within it."""
        for root, straight in self.needed[id(target)]:
            there = self.of.get(id(root))
            if there is None or there.place > group.place or (there is group and not straight):
                if there is None and id(root) in self.targets and straight:
                    continue  # an update that is still to come: it will see to this itself
                return False
        return True

    def is_stored(self, root: Node) -> bool:
        """Whether a root's value is read outside its group, or askew within."""
        if id(root) in self.results:
            return True
        group = self.of[id(root)]
        return any(
            self.of[id(other)] is not group or not straight
            for other, straight in self.needed[id(root)]
        )


def _keeps_places(node: Node) -> bool:
    """Whether a line only adds or drops dimensions of size 1."""
    assert node.op is not None
    x = node.inputs[0] if node.inputs else None
    return (
        node.op.name in ("reshape", "expand")
        and isinstance(x, Node)
        and domain_of(x) == domain_of(node)
    )


def _reduced(root: Node, kept: set[int]) -> Iterator[tuple[Node, bool]]:
    """(line, whether it is read place by place) for what a reduction reads.

    Of values that are repeated along the reduced dimensions, as the maximum is within a softmax,
    each place reads its own one.
    """
    (x,) = root.inputs
    narrow = kept_shape(x.shape, root.params["axis"])
    stack, seen = [x], set()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.op is not None and node.op.name == "expand" and node.inputs[0].shape == narrow:
            yield node.inputs[0], True
        elif node.op is None or id(node) in kept or not node.op.pointwise:
            yield node, False
        else:
            stack.extend(y for y in node.inputs if isinstance(y, Node))
