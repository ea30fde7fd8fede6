"""The verifier of loop programs finds what is broken: a good program is spoiled in one place."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import dtypes, ops
from chainrule import graph as G
from chainrule.compiler.loops import index as ix
from chainrule.compiler.loops import verify as module
from chainrule.compiler.loops.expr import Buffer, Expr, substitute, walk
from chainrule.compiler.loops.group import Grouping
from chainrule.compiler.loops.index import Axis
from chainrule.compiler.loops.interpret import FUNCTIONS
from chainrule.compiler.loops.lower import lower
from chainrule.compiler.loops.maths import SPELLED
from chainrule.compiler.loops.products import arrange
from chainrule.compiler.loops.program import Nest, Write
from chainrule.compiler.loops.verify import TYPES, LoopError, check_types, verify, verify_meaning
from chainrule.ops import REGISTRY
from compiler.native import simplified
from compiler.spelled import spell

MATRIX = np.ones((4, 4), np.float32)
ROW = np.ones(6, np.float32)
LARGE = np.ones((24, 40), np.float32), np.ones((33, 40), np.float32)
PLACES = np.array([0, 1, 1])


def recorded(f, arrays, updates=()):
    graph = G.trace(f, *arrays)
    results = [(graph.inputs[i], graph.outputs[o]) for i, o in updates]
    return simplified(G.Graph(graph.inputs, graph.nodes, graph.outputs, results))


def made(f, *arrays, lanes=None):
    """A good program."""
    program = lower(recorded(f, arrays))
    verify(program)
    if lanes:
        verify(arrange(program, lanes))
    return program


def spoiled(program, problem):
    with pytest.raises(LoopError, match=problem):
        verify(program)


def value(program, nest=-1, **changes):
    """Changes the first write of a nest."""
    writes = program.nests[nest].writes
    writes[0] = writes[0]._replace(**changes)
    return program


def add(x, y):
    return ops.add(x, y)


# ---------------------------------------------------------------- types and axes


def test_operands_of_two_types():
    program = made(add, ROW, ROW)
    a, _ = program.nests[0].writes[0].value.args
    wide = program.make.cast(a, dtypes.float64)
    value(program, value=program.make.op("add", wide, a))
    spoiled(program, r"add\(float64, float32\) does not make float32")


def test_a_value_of_another_type_than_its_buffer():
    program = made(add, ROW, ROW)
    e = program.nests[0].writes[0].value
    value(program, value=program.make.cast(e, dtypes.float64))
    spoiled(program, "can't hold a float64")


@pytest.mark.parametrize(
    ("name", "problem"), [("cosh", "not in the table"), ("fma", "takes 3"), ("and", "not make")]
)
def test_a_function_that_is_none_of_these_operands(name, problem):
    program = made(add, ROW, ROW)
    e = program.nests[0].writes[0].value
    value(program, value=program.make.op(name, *e.args))
    spoiled(program, problem)


def test_a_number_that_its_type_can_not_hold():
    program = made(lambda x: x * 2, np.ones(3, np.int32))
    wrong = Expr("const", (), dtypes.int32, 0, 0, 1 << 40)
    e = program.nests[0].writes[0].value
    value(program, value=program.make.op("mul", e.args[0], wrong))
    spoiled(program, "does not make int32")


def test_an_axis_that_is_not_open():
    program = made(add, MATRIX, MATRIX)
    program.nests[0].axes = program.nests[0].axes[:1]
    spoiled(program, "axes that are not open")


def test_axes_that_an_expression_forgot():
    program = made(add, ROW, ROW)
    program.nests[0].writes[0].value.free = 0
    spoiled(program, "not those of its parts")


def test_a_combination_along_an_axis_of_its_nest():
    program = made(lambda x: ops.sum(x, axis=(1,), keepdim=False), MATRIX)
    e = program.nests[0].writes[0].value
    axes = program.nests[0].axes
    value(program, value=program.make.combine("sum", axes, e.args[0]))
    spoiled(program, "along an axis of its nest")


@pytest.mark.parametrize("name", SPELLED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_types_within_spelled_functions(name, dtype):
    arity = len(REGISTRY[name].input_names)
    _, e = spell(name, *[dtype] * arity)
    for part in walk(e):
        check_types(part)


def test_every_function_that_ops_use_has_its_types():
    assert set(FUNCTIONS) | set(SPELLED) <= set(TYPES)


# ---------------------------------------------------------------- places


def test_a_read_outside_of_its_buffer():
    program = made(lambda x: x * 2.0, ROW)
    e = program.nests[0].writes[0].value
    buffer, (i,) = e.args[0].at
    beyond = program.make.load(buffer, (i + 1,))
    value(program, value=program.make.mul(beyond, e.args[1]))
    spoiled(program, r"leaves \[0, 6\)")


def test_a_write_outside_of_its_buffer():
    program = made(lambda x: x * 2.0, ROW)
    (i,) = program.nests[0].writes[0].place
    value(program, place=(i - 1,))
    spoiled(program, r"leaves \[0, 6\)")


@pytest.mark.parametrize("way", ["bounds", "points"])
def test_a_condition_that_does_not_keep_a_read_inside(way):
    def padded(x):
        y = ops.pad(x, widths=((2, 1),), value=0.0)
        return y if way == "bounds" else ops.reshape(y, shape=(3, 3))

    program = made(padded, ROW)
    (load,) = [e for e in walk(program.nests[0].writes[0].value) if e.op == "load"]
    verify(program)
    below = next(e for e in walk(load.args[0]) if e.op == "lt")
    weaker = program.make.op("le", *below.args)
    known = {id(below): weaker}
    guard = substitute(program.make, load.args[0], known)
    load.args = (guard,)
    spoiled(program, r"leaves \[0, 6\)")


def test_conditions_on_what_is_read_and_on_windows_are_understood():
    grid = ops.Grid((3,), (2,), (1,), (1,))
    made(lambda x: ops.windows(x, grid=grid), ROW)
    made(lambda x: ops.fold(ops.windows(x, grid=grid), grid=grid, sizes=(6,)), ROW)
    made(lambda x, i: ops.pad(ops.gather(x, i, axis=0), widths=((1, 1),), value=0.0), ROW, PLACES)


# ---------------------------------------------------------------- order


def chain(x):
    y = ops.sum(ops.exp(x), axis=(1,), keepdim=True)
    return ops.div(x, ops.expand(y, shape=x.shape))


def test_a_read_before_the_write():
    program = made(chain, MATRIX)
    program.nests.reverse()
    spoiled(program, "read before it is written")


def test_a_temporary_that_is_written_in_part():
    program = made(chain, MATRIX)
    nest = program.nests[0]
    (axis,) = nest.axes
    short = Axis(axis.name, axis.extent - 1, axis.bit)
    i = ix.along(short)
    x = program.inputs[0]
    nest.axes = (short,)
    value(program, 0, place=(i, ix.constant(0)), value=program.make.load(x, (i, ix.constant(0))))
    spoiled(program, "read before it is written")


def test_an_output_that_is_written_in_part():
    program = made(lambda x: x * 2.0, MATRIX)
    nest = program.nests[0]
    a, b = nest.axes
    value(program, place=(ix.along(a), ix.constant(0)))
    nest.axes = (a,)
    e = program.make.load(program.inputs[0], (ix.along(a), ix.constant(0)))
    value(program, value=e)
    spoiled(program, "not every element of out0")
    assert b not in nest.axes


def test_a_sum_that_starts_from_nothing():
    program = made(lambda x, i: ops.index_add(x, i, axis=0, size=3), np.ones((3, 2)), PLACES)
    del program.nests[0]
    spoiled(program, "adds to what was not written")


def test_a_running_sum_that_reads_ahead():
    program = made(lambda x: ops.cumsum(x, axis=0), ROW)
    (nest,) = program.nests
    assert nest.in_order
    (i,) = nest.writes[0].place
    value(program, place=(i * -1 + 5,))
    spoiled(program, "read before it is written")


def test_a_value_that_was_overwritten(monkeypatch):
    """x is updated although its old value is read askew: only the trail can tell."""

    def step(x, y):
        return ops.mul(y, 2.0), ops.sum(ops.mul(x, ops.flip(x, axis=(0,))), axis=(0,), keepdim=True)

    graph = recorded(step, (ROW, ROW), updates=[(0, 0)])
    verify_meaning(graph, lower(graph))
    monkeypatch.setattr(Grouping, "may_write", lambda *_: True)
    monkeypatch.setattr(Grouping, "form", eager_updates)
    with pytest.raises(LoopError, match="is read for"):
        verify_meaning(graph, lower(graph))


def eager_updates(self):
    for root in self.roots:
        self.place(root)


def test_a_result_that_is_not_there_in_the_end():
    graph = recorded(lambda x, y: (y * 2.0, x), (ROW, ROW), updates=[(0, 0)])
    program = lower(graph)
    verify_meaning(graph, program)
    program.trail.pop()
    with pytest.raises(LoopError, match="in the end"):
        verify_meaning(graph, program)


# ---------------------------------------------------------------- races


def test_two_places_that_write_one_element():
    program = made(lambda x: ops.sum(x, axis=(1,), keepdim=False), MATRIX)
    nest = program.nests[0]
    e = nest.writes[0].value
    nest.axes = (*nest.axes, *e.at[1])
    value(program, value=e.args[0])
    spoiled(program, "may write one element")


def test_a_read_of_what_another_place_writes():
    program = made(lambda x: x * 2.0, MATRIX)
    (i, j) = program.nests[0].writes[0].place
    x = program.inputs[0]
    program.nests.append(
        Nest("x", program.nests[0].axes, [Write(x, (i, j), program.make.load(x, (j, i)))])
    )
    spoiled(program, "read at one place and written at another")


def test_two_writes_to_one_buffer():
    program = made(lambda x: x * 2.0, MATRIX)
    program.nests[0].writes *= 2
    spoiled(program, "two writes go to one buffer")


# ---------------------------------------------------------------- products, memory, names


def product(x, w):
    return ops.relu(ops.matmul(x, w, tb=True))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda p: p._replace(row=p.column, column=p.row), "is no operand along"),
        (lambda p: p._replace(rows=p.columns, columns=p.rows), "batch, the rows"),
        (lambda p: p._replace(dot=p.dot.args[0]), "not the one dot"),
        (lambda p: p._replace(inner=p.rows), "does not multiply"),
        (lambda p: p._replace(panel=p.panel and 2 * p.panel, row=p.row), "panels are not"),
    ],
)
def test_a_product_that_is_not_what_its_nest_computes(change, problem):
    program = made(product, *LARGE, lanes=4)
    (nest,) = [n for n in program.nests if n.product]
    assert nest.product.panel
    nest.product = change(nest.product)
    spoiled(program, problem)


def test_temporaries_over_one_another(monkeypatch):
    program = made(lambda x: chain(chain(x)), MATRIX)
    names = {b.name: 0 for b in program.temps}
    monkeypatch.setattr(module, "plan", lambda _: (names, 1 << 20))
    spoiled(program, "lie over one another")


def test_two_buffers_of_one_name():
    program = made(chain, MATRIX)
    program.temps.append(Buffer("x0", (2,), dtypes.float32, "temp"))
    spoiled(program, "one name")


def test_an_output_that_lies_in_another_order():
    program = made(add, MATRIX, MATRIX)
    program.outputs[0].lay((1, 0))
    spoiled(program, "can't lie in the order")
