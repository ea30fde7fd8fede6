"""From a model to the bytes of an ONNX file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..errors import ArgumentError, ChainruleError, ExportError
from ..export.recording import Recorded, example_of, module_of, record_model
from ..graph import Node
from ..nn import Module
from ..train.files import write_bytes
from ..version import __version__
from . import moving, pointwise, reducing
from .axes import Asked, Axes, Straight, chosen, recorded, resized
from .growth import Dim, Size, Sizes, Spec, points
from .patterns import merged
from .recurrent import Own, in_one_line
from .writer import ENTRIES, Line, Writer, unused

OPSET, OLDEST, NEWEST = 18, 18, 22
"""The version of ONNX's operators that is written, and the oldest and newest that can be."""
LARGEST = 2**31 - 2**20
"""Bytes of weights that one file holds: its format counts to 2 GiB."""
OWNER = "onnx.export"
WRITTEN = (pointwise, moving, reducing)
"""What fills ENTRIES."""


def export(
    model: Module, example_input: Any, path: Any, *, opset: int = OPSET, dynamic_batch: bool = True,
    batch_dim: int | None = None, dynamic_axes: Asked | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Any:  # fmt: skip
    """Writes a model in evaluation mode as an ONNX file, and gives the onnx.ModelProto.

    model: any Module, of yours too.  example_input: what it is called with, a tensor or an array; a
    tuple for several arguments.  path: the file; one that is there is replaced.  opset: the version
    of ONNX's operators, 18 to 22.  dynamic_batch: the file takes any batch size; else the example's
    alone.  batch_dim: the dimension of every input that is the batch; None: the one that nn.RNN,
    LSTM or GRU has it in where the input goes straight into such a layer, else 0.  dynamic_axes:
    more dimensions that may have any size, {input: {dimension: name of its size}}, such as
    {'x': {1: 'time'}}, or {input: [dimensions]}; one name is one size; 'batch' is the batch, and
    so is another name at its dimension.  metadata: texts by name that the file also holds (None).

    Inputs are named after the arguments of `forward`, weights as in the state_dict; the results are
    `output`, or output_0, output_1, ... in the order in which they stand in what it returns.  All
    other sizes are those of the example.  Values are float32 or float64 as in the model; nothing
    is rounded.

    Recurrent layers are written step by step, for the example's length; with a dynamic axis other
    than the batch as ONNX's own RNN, LSTM and GRU, for any length.

    Raises ExportError, with the op, the layer and the line, for what ONNX can't say: random draws,
    steps or sizes that depend on the batch or another dynamic axis in their own way (as loops of
    yours over time do, LSTM with projections, and recurrent layers in double, for which runtimes
    have no operator), more than 2 GB of weights.  The model and its mode are as before; other
    threads may call it meanwhile, in evaluation mode.  Differs from torch.onnx.export: the batch is
    dynamic unless said otherwise, and the file is checked by onnx.checker before it is written.

    >>> import chainrule, os, tempfile
    >>> model = chainrule.nn.Sequential(chainrule.nn.Linear(4, 3), chainrule.nn.ReLU())
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> made = chainrule.onnx.export(model, chainrule.ones(1, 4), path)
    >>> [node.op_type for node in made.graph.node], [w.name for w in made.graph.initializer]
    (['Gemm', 'Relu', 'Identity'], ['0.weight', '0.bias'])

    Source: https://onnx.ai/onnx/operators/ (version 18).
    """
    onnx = library(OWNER, opset)
    args = example_of(OWNER, example_input)
    check_size(OWNER, model)
    example, straight = recorded(OWNER, model, args)
    axes = chosen(OWNER, example, straight, _names(example), dynamic_batch=dynamic_batch,
                  batch_dim=batch_dim, dynamic_axes=dynamic_axes)  # fmt: skip
    told = straight if dynamic_batch and batch_dim is None else Straight({}, [])
    w = begun(onnx, sizes_of(model, args, example, axes, told), axes)
    write_lines(w)
    outputs = _outputs(w)
    inputs = [_info(w, w.names[n], w.sizes.specs[n]) for n in w.sizes.recorded.arguments]
    return finished(onnx, w, inputs, outputs, {"": opset}, metadata, path)


def library(owner: str, opset: int) -> Any:
    """The package onnx, where it can write this version of the operators."""
    if type(opset) is not int or not OLDEST <= opset <= NEWEST:
        raise ArgumentError(f"{owner}: opset must be a whole number in [{OLDEST}, {NEWEST}]",
                            got=repr(opset))  # fmt: skip
    try:
        import onnx
    except ModuleNotFoundError:
        raise ArgumentError(
            f"{owner}: writing ONNX files needs a package that is not installed", expected="onnx",
            fix="pip install 'chainrule[onnx]'", line="",
        ) from None  # fmt: skip
    return onnx


def check_size(owner: str, model: Any) -> None:
    """Raises where the weights are too many for one file."""
    model = module_of(model)
    if not isinstance(model, Module):
        return
    held = {id(t): t for t in (*model.parameters(), *model.buffers())}.values()
    total = sum(t.numel() * t.element_size() for t in held)
    if total > LARGEST:
        raise ExportError(
            f"{owner}: the weights are too large for one ONNX file",
            expected=f"at most {LARGEST / 1e9:.2f} GB, since the format counts bytes to 2 GiB",
            got=f"{total / 1e9:.2f} GB", fix="the parts of the model as files of their own",
        )  # fmt: skip


def _names(found: Recorded) -> list[str]:
    """The names of the file's inputs."""
    taken: set[str] = set()
    named = [unused(n.name.replace("#", "_"), taken) for n in (*found.values, *found.arguments)]
    return named[len(found.values) :]


def sizes_of(
    model: Any, args: tuple[Any, ...], example: Recorded, axes: Axes, straight: Straight
) -> Sizes:
    """The program for any sizes of the axes that grow."""
    if not axes.names:
        return Sizes(OWNER, [example], [{}])
    at = points(axes.names)
    steps = in_one_line() if set(axes.names) - {axes.batch} else nullcontext()
    try:
        with steps:
            recordings = [record_model(OWNER, model, resized(args, axes, p)) for p in at]
        return Sizes(OWNER, recordings, at, axes.batch)
    except ChainruleError as error:
        if straight.beyond:
            error.fix = (f"batch_dim=1 where {straight.beyond[0]} gets (time, batch, ..): it is "
                         f"not batch_first; or {error.fix or 'dynamic_batch=False'}")  # fmt: skip
        raise


def begun(onnx: Any, sizes: Sizes, axes: Axes, taken: Iterable[str] = ()) -> Writer:
    """A writer in which weights and arguments have names, none of them one of those taken."""
    recorded = sizes.recorded
    w = Writer(onnx.helper, sizes)
    w.taken.update(taken)
    for node in (*recorded.values, *recorded.arguments):
        w.names[node] = w.fresh(node.name.replace("#", "_"))
    for node, grows in zip(recorded.arguments, axes.inputs, strict=True):
        for axis, name in grows.items():
            w.growing.setdefault(name, (w.names[node], axis))
    return w


def write_lines(w: Writer) -> None:
    """Adds the whole program, line by line."""
    for node in w.sizes.recorded.graph.nodes:
        write(w, node)


def finished(
    onnx: Any, w: Writer, inputs: list[Any], outputs: list[Any], opsets: Mapping[str, int],
    metadata: Mapping[str, str] | None, path: Any,
) -> Any:  # fmt: skip
    """The whole file, checked and written."""
    helper, recorded = onnx.helper, w.sizes.recorded
    nodes = _needed(w.nodes, {o.name for o in outputs})
    _renamed(nodes, {w.names[n] for n in (*recorded.values, *recorded.arguments)}
             | {x.name for x in (*inputs, *outputs)}
             | {name for name, _ in w.constants.values()})  # fmt: skip
    read = {x for node in nodes for x in node.input}
    arrays = [(w.names[n], a) for n, a in recorded.values.items()]
    held = [onnx.numpy_helper.from_array(np.ascontiguousarray(a).reshape(a.shape), name)
            for name, a in (*arrays, *w.constants.values()) if name in read]  # fmt: skip
    graph = helper.make_graph(nodes, "chainrule", inputs, outputs, held)
    ids = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    proto = helper.make_model(
        graph, opset_imports=ids, ir_version=helper.find_min_ir_version_for(ids),
        producer_name="chainrule", producer_version=__version__,
    )  # fmt: skip
    if metadata:
        helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto, full_check=True)
    write_bytes(path, proto.SerializeToString())
    return proto


def write(w: Writer, node: Node) -> None:
    """Adds what a line is in ONNX."""
    assert node.op is not None
    w.place = w.sizes.recorded.paths.get(node.module, "") or ""
    line = line_of(w, node)
    if isinstance(node.op, Own):
        w.names[node] = node.op.write(w, line)
        return
    how = ENTRIES.get(node.op.name, "there is no entry for this op")
    if isinstance(how, str):
        raise w.refused(line, how)
    w.names[node] = merged(w, line) or how(w, line)


def line_of(w: Writer, node: Node) -> Line:
    """A line with the names of its operands."""
    op: Any = node.op
    spec = w.sizes.specs[node]
    operands: Sequence[Any] = w.sizes.operands[node]
    if op.pointwise:
        operands = _unexpanded(w, spec, operands)
    names, specs = [], []
    for x in operands:
        if isinstance(x, Node):
            names.append(w.names[x])
            specs.append(w.sizes.specs[x])
        else:
            dtype = op.meeting_dtype(node.inputs)
            names.append(w.number(x, dtype))
            specs.append(Spec((), dtype))
    return Line(node, op.name, names, specs, w.sizes.params[node], spec.shape, node.dtype)


def _unexpanded(w: Writer, spec: Spec, operands: Sequence[Any]) -> Sequence[Any]:
    """Operands that were repeated, as they were before: ONNX repeats them itself."""

    def repeated(x: Any) -> bool:
        return isinstance(x, Node) and x.op is not None and x.op.name == "expand"

    full = [x for x in operands if isinstance(x, Node) and not repeated(x)]
    if not any(w.sizes.specs[x].shape == spec.shape for x in full):
        return operands
    return [w.sizes.operands[x][0] if repeated(x) else x for x in operands]


def _outputs(w: Writer) -> list[Any]:
    """The results under names of their own."""
    recorded = w.sizes.recorded
    results = recorded.graph.outputs[: recorded.returned]
    w.place, infos = "", []
    for i, x in enumerate(results):
        name = w.fresh("output" if len(results) == 1 else f"output_{i}")
        w.put("Identity", w.names[x], output=name)
        infos.append(_info(w, name, w.sizes.specs[x]))
    return infos


def _info(w: Writer, name: str, spec: Spec) -> Any:
    return w.helper.make_tensor_value_info(
        name, w.type_of(spec.dtype), [_label(n) for n in spec.shape]
    )


def _label(n: Size) -> int | str:
    """A size as ONNX names it."""
    return str(n) if isinstance(n, Dim) else n


def _renamed(nodes: list[Any], kept: set[str]) -> None:
    """Numbers those of a kind again, now that some are left out; what is kept has its name."""
    names: dict[str, str] = {}
    taken = set(kept)
    for node in nodes:
        base = re.sub(r"_\d+$", "", node.name)
        node.name = label = unused(base, taken)
        for i, x in enumerate(node.input):
            node.input[i] = names.get(x, x)
        for i, y in enumerate(node.output):
            if y not in kept:
                names[y] = node.output[i] = label if i == 0 else unused(f"{label}:{i}", taken)


def _needed(nodes: list[Any], wanted: set[str]) -> list[Any]:
    """The nodes on which the results depend, in order."""
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted = wanted | set(node.input)
    return kept[::-1]
