"""Recurrent layers and their cells."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from .. import functional as F
from .. import ops
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..functional import recurrent
from ..functional.arguments import choice, need_values
from ..functional.recurrent import State, Step, Weights, input_gates, run_layer
from ..tensor.core import Tensor
from ..tensor.create import empty
from . import init
from .dropout import check_probability, dropout
from .module import Module
from .parameter import Parameter

KINDS: dict[str, Step] = {"tanh": recurrent.tanh_step, "relu": recurrent.relu_step}


class Instead(threading.local):
    """What an export puts into recurrent layers, for calls of its own thread alone.

    called(layer, x, hx): is told of every call.  run(layer, x, states, time): takes the place of
    the layer's `_run`.
    """

    called: Callable[..., Any] | None = None
    run: Callable[..., Any] | None = None


INSTEAD = Instead()


class _Recurrent(Module):
    """What the layers and cells share: sizes, the step, and how weights start."""

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    step: Step
    hidden_size: int

    def _check_sizes(self, **sizes: int) -> None:
        for name, n in sizes.items():
            if isinstance(n, bool) or not isinstance(n, int):
                raise ArgumentTypeError(
                    f"{type(self).__name__}: {name} must be a whole number", got=repr(n)
                )
            if n < 1:
                raise ArgumentError(f"{type(self).__name__}: {name} must be >= 1", got=str(n))

    def reset_parameters(self) -> None:
        """Draws all weights anew, uniform in +-1/sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _check_input(self, x: Any, size: int, ranks: tuple[int, int], like: Tensor) -> None:
        name = type(self).__name__
        need_values(name, input=x)
        if len(x.shape) not in ranks or x.shape[-1] != size:
            raise ShapeError(
                f"{name}: the input does not fit",
                expected=f"{ranks[0]} or {ranks[1]} dimensions, the last of size {size}",
                got=str(x.shape),
            )
        if x.dtype != like.dtype:
            raise DTypeError(
                f"{name}: input and weights have different dtypes",
                expected=f"x {like.dtype.name}, as the weights",
                got=f"x {x.dtype.name}",
                fix=f"x.to(chainrule.{like.dtype.name})",
            )

    def _given_states(self, hx: Any, shapes: list[tuple[int, ...]], x: Tensor) -> list[Tensor]:
        """The states that the call starts from: those given, or zeros."""
        name, letters = type(self).__name__, ("h", "c")
        if hx is None:
            return [ops.full(shape=s, value=0.0, dtype=x.dtype) for s in shapes]
        given = list(hx) if self.states == 2 and isinstance(hx, (tuple, list)) else [hx]
        if len(given) != self.states:
            raise ArgumentTypeError(f"{name}: the state must be a pair (h, c)",
                                    got=f"{type(hx).__name__}")  # fmt: skip
        for letter, s, shape in zip(letters, given, shapes, strict=False):
            need_values(name, **{letter: s})
            if s.shape != shape:
                raise ShapeError(
                    f"{name}: the state does not fit", expected=f"{letter} {shape}",
                    got=f"{letter} {s.shape} for input {x.shape}",
                )  # fmt: skip
        return given


class _Layers(_Recurrent):
    """Layers over a sequence, each reading what the one below made, in one or two directions."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        self._check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_probability(name, dropout)
        if dropout and num_layers == 1:
            raise ArgumentError(
                f"{name}: dropout acts between layers, and there is one layer",
                got=f"dropout={dropout}, num_layers=1",
                fix="dropout=0.0, nn.Dropout behind the layer, or more layers",
            )
        if not 0 <= proj_size < hidden_size:
            raise ArgumentError(f"{name}: proj_size must be in [0, hidden_size)",
                                got=str(proj_size))  # fmt: skip
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        rows, out = self.gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else out * (1 + bidirectional)
            shapes: dict[str, tuple[int, ...]]
            shapes = {"weight_ih": (rows, width), "weight_hh": (rows, out)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in self._suffixes(layer):
                for what, shape in shapes.items():
                    setattr(self, what + suffix, Parameter(empty(shape, dtype=dtype)))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        """The end of the weights' names, for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def _weights(self, suffix: str) -> Weights:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return Weights(*(getattr(self, name + suffix, None) for name in names))

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """The outputs of the last layer at all times, and the last states of all layers."""
        self._check_input(x, self.input_size, (2, 3), self._weights("_l0").ih)
        single = len(x.shape) == 2
        time = 1 if self.batch_first and not single else 0
        if not x.shape[time]:
            raise ShapeError(f"{type(self).__name__}: the sequence is empty", got=str(x.shape))
        many = self.num_layers * (1 + self.bidirectional)
        batch = () if single else (x.shape[1 - time],)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: self.states]
        states = self._given_states(hx, [(many, *batch, n) for n in sizes], x)
        if INSTEAD.called is not None:
            INSTEAD.called(self, x, hx)
        if single:
            x, states = F.unsqueeze(x, 1), [F.unsqueeze(s, 1) for s in states]
        run = type(self)._run if INSTEAD.run is None else INSTEAD.run
        y, last = run(self, x, states, time)
        finals = [F.stack(s) for s in zip(*last, strict=True)]
        if single:
            y, finals = F.squeeze(y, 1), [F.squeeze(s, 1) for s in finals]
        return y, tuple(finals) if self.states == 2 else finals[0]

    def _run(self, x: Tensor, states: list[Tensor], time: int) -> tuple[Tensor, list[State]]:
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = dropout(x, self.dropout, self.training)
            ways = []
            for backwards, suffix in enumerate(self._suffixes(layer)):
                start = tuple(F.select(s, 0, len(last)) for s in states)
                weights = self._weights(suffix)
                y, end = run_layer(self.step, x, start, weights, time, bool(backwards))
                ways.append(y)
                last.append(end)
            x = ways[0] if len(ways) == 1 else F.cat(ways, -1)
        return x, last

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (
            ("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False),
            ("dropout", 0.0), ("bidirectional", False),
        ):  # fmt: skip
            value = getattr(self, name)
            text += "" if value == usual else f", {name}={value}"
        return text


class RNN(_Layers):
    """h_t = tanh(W x_t + b + U h_(t-1) + b'), at every time t; relu instead of tanh if asked.

    x (T, B, in), y (T, B, hidden) holds all h_t, and hx, h_n (layers, B, hidden) the first and the
    last h of every layer; with batch_first x and y are (B, T, ..); without a batch (T, in).  A
    further layer reads the outputs of the one below.  bidirectional: a second pass from the end,
    whose outputs stand behind those of the first.

    input_size, hidden_size: sizes.  num_layers: 1.  nonlinearity: 'tanh' or 'relu'.  bias: True.
    batch_first: False.  dropout: a probability (0) of dropping outputs between layers in training.
    bidirectional: False.  hx starts at 0 unless given.  All weights start uniform in
    +-1/sqrt(hidden_size).  Differs from PyTorch: dropout with one layer raises, where PyTorch
    warns; no packed sequences.

    >>> from chainrule import nn, ones
    >>> y, h = nn.RNN(3, 4, num_layers=2)(ones(7, 5, 3))
    >>> y.shape, h.shape
    ((7, 5, 4), (2, 5, 4))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0,
        bidirectional: bool = False, dtype: Any = None,
    ) -> None:  # fmt: skip
        choice("RNN", "nonlinearity", nonlinearity, tuple(KINDS))
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, dtype=dtype)  # fmt: skip
        self.nonlinearity = nonlinearity

    @property
    def step(self) -> Step:  # type: ignore[override]
        """What happens at one time."""
        return KINDS[self.nonlinearity]


class LSTM(_Layers):
    """c_t = f c_(t-1) + i g and h_t = o tanh(c_t), at every time t.

    i, f, o = sigmoid(W x_t + b + U h_(t-1) + b') and g = tanh of the same, each with weights of its
    own, which lie behind one another in the order i, f, g, o.  Called with x and optionally
    (h_0, c_0); gives y and (h_n, c_n).  proj_size p > 0: h_t = P (o tanh(c_t)), of size p.

    Shapes, the other settings, start values and the differences from PyTorch are those of RNN.
    Hochreiter and Schmidhuber 1997, Gers et al. 2000.

    >>> from chainrule import nn, ones
    >>> y, (h, c) = nn.LSTM(3, 4, batch_first=True, bidirectional=True)(ones(5, 7, 3))
    >>> y.shape, h.shape, c.shape
    ((5, 7, 8), (2, 5, 4), (2, 5, 4))
    """

    gates, states, step = 4, 2, staticmethod(recurrent.lstm_step)


class GRU(_Layers):
    """h_t = (1 - z) n + z h_(t-1), at every time t.

    r, z = sigmoid(W x_t + b + U h_(t-1) + b') and n = tanh(W x_t + b + r (U h_(t-1) + b')), each
    with weights of its own, which lie behind one another in the order r, z, n.

    Shapes, settings, start values and the differences from PyTorch are those of RNN.
    Cho et al. 2014, with r applied after the product, as in PyTorch.

    >>> from chainrule import nn, ones
    >>> y, h = nn.GRU(3, 4)(ones(7, 5, 3))
    >>> y.shape, h.shape
    ((7, 5, 4), (1, 5, 4))
    """

    gates, step = 3, staticmethod(recurrent.gru_step)

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, dtype=dtype)  # fmt: skip


# ---------------------------------------------------------------- one step by itself


class _Cell(_Recurrent):
    """One step of one layer, for loops of one's own."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None
    ) -> None:
        super().__init__()
        self._check_sizes(input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, dtype=dtype))
        self.bias_ih = Parameter(empty(rows, dtype=dtype)) if bias else None
        self.bias_hh = Parameter(empty(rows, dtype=dtype)) if bias else None
        self.reset_parameters()

    def forward(self, x: Tensor, hx: Any = None) -> Any:
        """The next state."""
        self._check_input(x, self.input_size, (1, 2), self.weight_ih)
        shapes = [(*x.shape[:-1], self.hidden_size)] * self.states
        state = self._given_states(hx, shapes, x)
        single = len(x.shape) == 1
        if single:
            x, state = F.unsqueeze(x, 0), [F.unsqueeze(s, 0) for s in state]
        w = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        after = self.step(input_gates(self.step, x, w), tuple(state), w)
        if single:
            after = tuple(F.squeeze(s, 0) for s in after)
        return after if self.states == 2 else after[0]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias=False"


class RNNCell(_Cell):
    """h' = tanh(W x + b + U h + b'), one step: x (B, in) or (in), h of size hidden; or relu.

    input_size, hidden_size: sizes.  bias: True.  nonlinearity: 'tanh' or 'relu'.  h starts at 0
    unless given.  The weights start uniform in +-1/sqrt(hidden_size).  As in PyTorch.

    >>> from chainrule import nn, ones
    >>> nn.RNNCell(3, 4)(ones(5, 3)).shape
    (5, 4)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        dtype: Any = None,
    ) -> None:  # fmt: skip
        choice("RNNCell", "nonlinearity", nonlinearity, tuple(KINDS))
        super().__init__(input_size, hidden_size, bias, dtype)
        self.nonlinearity = nonlinearity

    @property
    def step(self) -> Step:  # type: ignore[override]
        """What happens in one step."""
        return KINDS[self.nonlinearity]

    def extra_repr(self) -> str:
        usual = self.nonlinearity == "tanh"
        return super().extra_repr() + ("" if usual else f", nonlinearity={self.nonlinearity}")


class LSTMCell(_Cell):
    """c' = f c + i g and h' = o tanh(c'), one step of an LSTM: (h, c) and x to (h', c').

    x (B, in) or (in), h and c of size hidden, at 0 unless given.  The gates are those of LSTM, the
    settings, start values and the relation to PyTorch those of RNNCell.

    >>> from chainrule import nn, ones
    >>> h, c = nn.LSTMCell(3, 4)(ones(5, 3))
    >>> h.shape, c.shape
    ((5, 4), (5, 4))
    """

    gates, states, step = 4, 2, staticmethod(recurrent.lstm_step)


class GRUCell(_Cell):
    """h' = (1 - z) n + z h, one step of a GRU: h and x to h'.

    x (B, in) or (in), h of size hidden, at 0 unless given.  The gates are those of GRU, the
    settings, start values and the relation to PyTorch those of RNNCell.

    >>> from chainrule import nn, ones
    >>> nn.GRUCell(3, 4)(ones(5, 3)).shape
    (5, 4)
    """

    gates, step = 3, staticmethod(recurrent.gru_step)
