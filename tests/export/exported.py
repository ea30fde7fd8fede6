"""The registry of layer cases as modules that can be exported, and what runs an ONNX file."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import chainrule
from chainrule import nn, tensor
from chainrule.nn.summary import tensors_in
from chainrule.tensor.core import Tensor


class Noted:
    """A layer that a case has made, which notes what it is called with last."""

    def __init__(self, layer, calls):
        self.__dict__.update(layer=layer, calls=calls)

    def __getattr__(self, name):
        return getattr(self.layer, name)

    def __setattr__(self, name, value):
        setattr(self.layer, name, value)

    def __delattr__(self, name):
        delattr(self.layer, name)

    def train(self, mode=True):
        self.layer.train(mode)
        return self

    def eval(self):
        return self.train(False)

    def double(self):
        self.layer.double()
        return self

    def __call__(self, *args, **kwargs):
        self.calls.append((self.layer, args, kwargs))
        return self.layer(*args, **kwargs)


class Library:
    """What a case asks of a library: `chainrule`, whose layers note their calls."""

    __name__ = "chainrule"

    def __init__(self):
        self.calls = []
        self.nn = Layers(self.calls)

    def __getattr__(self, name):
        return getattr(chainrule, name)


class Layers:
    def __init__(self, calls):
        self.calls = calls

    def __getattr__(self, name):
        made = getattr(nn, name)
        if not isinstance(made, type) or not issubclass(made, nn.Module) or made is nn.Module:
            return made
        if made in (nn.ModuleList, nn.ModuleDict):
            return lambda held: made(_plain(held))
        return lambda *args, **settings: Noted(made(*map(_plain, args), **settings), self.calls)


def _plain(x):
    """The layers themselves: what a container holds is not noted on its own."""
    if isinstance(x, dict):
        return type(x)((k, _plain(v)) for k, v in x.items())
    if isinstance(x, list):
        return [_plain(v) for v in x]
    return x.layer if isinstance(x, Noted) else x


class Called(nn.Module):
    """A layer with the arguments of one call that are no tensors."""

    def __init__(self, layer, args, kwargs):
        super().__init__()
        self.layer = layer
        self.template = (args, kwargs)

    def forward(self, *tensors):
        rest = iter(tensors)

        def filled(x):
            if isinstance(x, Tensor):
                return next(rest)
            if isinstance(x, (tuple, list)):
                return type(x)([filled(v) for v in x])
            return x

        args, kwargs = self.template
        return self.layer(*[filled(x) for x in args], **{k: filled(v) for k, v in kwargs.items()})


RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)
TOLERANCE = 2e-6
"""In units of the largest number of a result: some tens of float32 roundings."""
HOLD = ("nn.Module()", "nn.ModuleList()", "nn.ModuleDict()")
"""Cases of what computes nothing itself."""


class Exported(NamedTuple):
    """A layer of a case, and the arrays of its call."""

    name: str
    model: Any
    arrays: list[Any]


def exported(case) -> Exported:
    """The last layer that a case calls, in float32."""
    library = Library()
    case.run(library, *map(tensor, map(narrowed, case.inputs)))
    layer, args, kwargs = library.calls[-1]
    for module in layer.modules():
        for name, value in list(vars(module).items()):
            if type(value) is Tensor and name not in module._buffer_names:
                delattr(module, name)
                setattr(module, name, nn.Parameter(value.detach()))
    model = Called(layer, args, kwargs)
    model.eval()
    return Exported(case.name, model, [t.numpy() for t in tensors_in([*args, *kwargs.values()])])


def ran(path, arrays):
    """What onnxruntime makes of a file; inputs that it does not read are not given."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    held = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return held.run(None, {i.name: a for i, a in zip(held.get_inputs(), arrays, strict=True)})


def eagerly(model, arrays):
    """What a model gives, as arrays."""
    with chainrule.no_grad():
        return [t.numpy() for t in tensors_in(model(*map(tensor, arrays)))]


def worst(found, wanted) -> float:
    """The greatest difference, in units of the largest number of each result where that is > 1."""
    differences = [0.0]
    assert len(found) == len(wanted)
    for y, w in zip(found, wanted, strict=True):
        assert (y.shape, y.dtype) == (w.shape, w.dtype)
        if not w.size:
            continue
        if w.dtype.kind != "f":
            np.testing.assert_array_equal(y, w)
            continue
        same = (y == w) | (np.isnan(y) & np.isnan(w))
        scale = max(1.0, float(np.abs(np.where(np.isfinite(w), w, 0)).max()))
        apart = np.abs(np.where(same, 0, y) - np.where(same, 0, w))
        differences.append(float(apart.max()) / scale)
    return max(differences)


def narrowed(x):
    """An array with float32 in place of float64."""
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype.kind == "f" else x
