"""The training step of a small network as the engine records it, and all of its numbers.

    program := {"inputs": {key: shape}, "nodes": [{"op", "in", "set", "shape"}],
                "outputs": {key: operand}}

An operand is the key of an input, the number of a node, or {"number": x}.  Keys: x, u (scaled), y,
t (smoothed target), W1, b1, z1, a1, s1 (slope), ..., p (probabilities), L; d and a key is the
gradient of the loss by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..errors import ArgumentError
from ..grad import gradients
from ..graph import Graph, Node, run, trace
from .network import Small

OPS = frozenset({
    "permute", "matmul", "expand", "add", "sub", "mul", "div", "neg", "sum", "full", "softmax",
    "log_softmax", "reshape", "exp", "expm1", "log", "log1p", "pow", "sqrt", "abs", "sign", "lt",
    "le", "gt", "ge", "eq", "ne", "logical_and", "logical_or", "where", "detach", "maximum",
    "minimum", "cast", "sigmoid", "tanh", "relu", "softplus", "erf",
})  # fmt: skip
"""What assets/evaluate.js knows."""


class Recorded:
    """A step, recorded: `program` for JSON, `values` of the engine by key."""

    def __init__(self, net: Small, x: Any, y: Any) -> None:
        self.net = net
        self.inputs = {"x": row("x", x, net.sizes[0]), "y": row("y", y, net.sizes[-1])}
        self.inputs |= net.arrays()
        self.graph = trace(self._step, *self.inputs.values(), names=list(self.inputs))
        self.program = as_data(self.graph, self.order)
        self.values = self.run(self.inputs)

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """All numbers by key, from other inputs of the same shapes."""
        found = run(self.graph, *inputs.values())
        return {**inputs, **dict(zip(self.order, found, strict=True))}

    def _step(self, *given: Any) -> list[Any]:
        named = dict(zip(self.inputs, given, strict=True))
        values = forward(self.net, named)
        net, made = self.net, dict(values)
        if net.loss.smoothing:
            n = net.sizes[-1]
            made["t"] = named["y"] * (1 - net.loss.smoothing) + net.loss.smoothing / n
        target = made.get("t", named["y"])
        last = made[output_key(net)]
        made["L"] = net.loss.of(last, target)
        if net.loss.kind == "cross_entropy":
            made["p"] = F.softmax(last, -1)
        elif net.loss.kind == "bce_with_logits":
            made["p"] = F.sigmoid(last)
        for i, layer in enumerate(net.layers, 1):
            if layer.activation is not None:
                total = ops.sum(made[f"a{i}"], axis=(0, 1), keepdim=False)
                made[f"s{i}"] = gradients(total, [made[f"z{i}"]])[0]
        wanted = {**{k: v for k, v in named.items() if k != "y"}, **values}
        for k, g in zip(wanted, gradients(made["L"], list(wanted.values())), strict=True):
            made[f"d{k}"] = g
        self.order = list(made)
        return list(made.values())


def forward(net: Small, named: dict[str, Any]) -> dict[str, Any]:
    """Scaled inputs, weighted sums and activations, by key."""
    a = named["x"]
    values = {}
    if net.scale is not None:
        a = values["u"] = (a - net.scale[0]) / net.scale[1]
    for i, layer in enumerate(net.layers, 1):
        z = ops.matmul(a, named[f"W{i}"])
        a = values[f"z{i}"] = z if layer.bias is None else z + named[f"b{i}"]
        if layer.activation is not None:
            a = values[f"a{i}"] = layer.activation.function(a)
    return values


def output_key(net: Small) -> str:
    """Where the network's output stands."""
    return f"{'z' if net.layers[-1].activation is None else 'a'}{len(net.layers)}"


def outputs_program(net: Small, rows: int) -> dict[str, Any]:
    """The forward pass alone for so many points: the output and the first layer's sums."""
    specs = {"x": np.zeros((rows, net.sizes[0])), **net.arrays()}
    graph = trace(
        lambda *given: forward(net, dict(zip(specs, given, strict=True)))[output_key(net)],
        *specs.values(), names=list(specs),
    )  # fmt: skip
    return as_data(graph, ["out"])


def loss_program(net: Small) -> dict[str, Any]:
    """The loss alone: what is asked of another activation."""
    recorded = Recorded(net, np.zeros(net.sizes[0]), np.full(net.sizes[-1], 0.5))
    wanted = {f"d{k}" for k in net.arrays()} | {"L"}
    outputs = recorded.program["outputs"]
    return pruned({**recorded.program, "outputs": {k: outputs[k] for k in outputs if k in wanted}})


def pruned(program: dict[str, Any]) -> dict[str, Any]:
    """A program without the lines that its outputs don't need."""
    nodes = program["nodes"]
    used: set[int] = set()
    todo = [i for i in program["outputs"].values() if isinstance(i, int)]
    while todo:
        i = todo.pop()
        if i not in used:
            used.add(i)
            todo += [x for x in nodes[i]["in"] if isinstance(x, int)]
    new = {old: i for i, old in enumerate(sorted(used))}

    def moved(x: Any) -> Any:
        return new[x] if isinstance(x, int) else x

    kept = [{**nodes[i], "in": [moved(x) for x in nodes[i]["in"]]} for i in sorted(used)]
    outputs = {k: moved(v) for k, v in program["outputs"].items()}
    return {"inputs": program["inputs"], "nodes": kept, "outputs": outputs}


def as_data(graph: Graph, order: list[str]) -> dict[str, Any]:
    """A program for JSON."""
    names: dict[int, Any] = {id(n): n.name for n in graph.inputs}
    nodes = []
    for i, node in enumerate(graph.nodes):
        assert node.op is not None
        if node.op.name not in OPS:
            raise ArgumentError(
                f"playground: the page can't compute {node.op.name} again",
                expected="an activation of single numbers", fix="nn.Tanh, nn.ReLU, nn.GELU, ...",
            )  # fmt: skip
        names[id(node)] = i
        settings = {k: _plain(v) for k, v in node.params.items() if k != "dtype"}
        operands = [names[id(x)] if isinstance(x, Node) else {"number": x} for x in node.inputs]
        nodes.append({"op": node.op.name, "in": operands, "set": settings,
                      "shape": list(node.shape)})  # fmt: skip
    outputs = {k: names[id(v)] for k, v in zip(order, graph.outputs, strict=True)}
    inputs = {n.name: list(n.shape) for n in graph.inputs}
    return pruned({"inputs": inputs, "nodes": nodes, "outputs": outputs})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def row(name: str, values: Any, width: int) -> Any:
    """Numbers as (1, width) in float64."""
    found = np.asarray(values, np.float64).reshape(1, -1)
    if found.shape[1] != width or not np.isfinite(found).all():
        raise ArgumentError(
            f"playground: {name} does not fit the network", expected=f"{width} finite numbers",
            got=str(found[0].tolist())[:80],
        )  # fmt: skip
    return found
