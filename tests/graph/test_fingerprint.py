"""Two programs have one fingerprint only if they compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import graph as G
from chainrule import ops
from chainrule.graph.fingerprint import exact
from chainrule.ops import REGISTRY
from chainrule.ops.pointwise import Pointwise

NAN = float(np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0])
X = np.zeros((2, 3), np.float32)


def spelled(f=lambda x: x + 1.0, *specs, **more):
    return G.fingerprint(G.trace(f, *(specs or (X,)), **more))


def test_a_program_recorded_again_has_the_same():
    assert spelled() == spelled()


VALUES = [
    1, 1.0, True, 0, 0.0, -0.0, False, None, "1", "True", 1e-45, 0.1, 0.1 + 1e-17 + 1e-16,
    float("inf"), float("-inf"), float("nan"), NAN, -1, (), (1,), (1.0,), [1], ((1,), 1), (1, (1,)),
    np.float32(1), np.float64(1), np.int64(1), np.zeros(1), np.zeros((1, 1)), np.zeros(2),
    np.dtype("f4"), np.dtype("f8"), "a,b", ("a", "b"), "a\nb", "a\\nb",
]  # fmt: skip


def test_values_that_differ_in_type_or_bits_differ():
    texts = [exact(v) for v in VALUES]
    assert len(set(texts)) == len(texts)
    assert not [t for t in texts if "\n" in t]


def with_updates(swap):
    graph = G.trace(lambda a, b: [a + 1.0, b * 2.0], X, X)
    one, two = graph.outputs
    a, b = graph.inputs
    return G.Graph(graph.inputs, graph.nodes, (), [(a, two), (b, one)] if swap else [(a, one)])


def test_programs_that_differ_differ():
    y = np.zeros((3, 2), np.float32)
    programs = [
        spelled(),
        spelled(lambda x: x + 2.0),
        spelled(lambda x: x + 1),
        spelled(lambda x: x - 1.0),
        spelled(lambda x: 1.0 - x),
        spelled(lambda x: (x + 1.0, x)),
        spelled(lambda x: (x, x + 1.0)),
        spelled(lambda x: (x + 1.0, x + 1.0)),
        spelled(lambda x: x + 1.0, y),
        spelled(lambda x: x + 1.0, X.astype(np.float64)),
        spelled(lambda x, z: x + 1.0, X, X),
        spelled(lambda x, z: z + 1.0, X, X),
        spelled(lambda x, z: x + 1.0, X, X, names=["a", "a"]),
        spelled(lambda x, z: z + 1.0, X, X, names=["a", "a"]),
        spelled(lambda x: ops.sum(x, axis=(0,), keepdim=True)),
        spelled(lambda x: ops.sum(x, axis=(1,), keepdim=True)),
        spelled(lambda x: ops.sum(x, axis=(0,), keepdim=False)),
        spelled(lambda x: 3.0),
        spelled(lambda x: 3),
        G.fingerprint(with_updates(False)),
        G.fingerprint(with_updates(True)),
    ]
    assert None not in programs
    assert len(set(programs)) == len(programs)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_op_has_one_and_every_setting_counts(name):
    op = REGISTRY[name]
    seen = {}
    for s in op.samples(np.random.default_rng(2)):
        graph = G.trace(lambda *xs, s=s: op(*xs, **s.params), *s.inputs)
        text = G.fingerprint(graph)
        assert text is not None
        assert seen.setdefault(text, str(graph)) == str(graph)


def test_ops_of_others_have_none():
    """What they mean can change while their name stays."""

    class Foreign(Pointwise):
        def forward(self, x):
            return x

    foreign = Foreign()
    try:
        assert spelled(lambda x: foreign(x)) is None
    finally:
        REGISTRY.pop("foreign")


def test_settings_without_exact_text_give_none():
    graph = G.trace(lambda x: ops.sum(x, axis=(0,), keepdim=True), X)
    graph.nodes[0].params["axis"] = object()
    assert G.fingerprint(graph) is None
    graph.nodes[0].params["axis"] = np.array([None])
    assert G.fingerprint(graph) is None
