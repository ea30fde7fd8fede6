"""What a fit computes with: network, optimizer and compiled step; kept for the next one like it.

A fit of a network of known layers by scikit-learn's own solvers leaves its kit behind, so that the
folds of a cross-validation or the points of a grid are compiled once.  Learning rates, alpha and
the like are numbers that a program reads, and don't make it another one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from .. import functional as F
from ..jit import compile
from ..ops.core import quietly
from ..runtime.forks import renew_in_children
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor, wrap
from .network import Design, Network, dense
from .objective import Loss, objective
from .solvers import OWN, make_optimizer, own_settings

KEPT = 16
"""Kits that are kept."""
AT_A_TIME = 1 << 27
"""Numbers of a sparse matrix that are written out at a time (1 GiB of float64)."""
PAD_WORK = 5e5
"""Multiply-adds that may be wasted on filling up the last batch, instead of a program of its own:
what compiling one costs, in some hundred epochs."""
SIZES = 10
"""How many sizes the last batch may have: folds that differ by a row share its program."""


class Kit:
    """A network, what updates it, and the compiled functions of both."""

    def __init__(self, design: Design, loss: Loss, est: Any) -> None:
        self.design, self.loss = design, loss
        self.network = Network(design)
        dtype = self.network.linears[0].weight.dtype
        self.alpha = wrap(np.zeros((), dtype.numpy if hasattr(dtype, "numpy") else dtype))
        self.optimizer: Any = None
        if est.solver != "lbfgs":
            self.optimizer = make_optimizer(est, self.network.module.named_parameters())
        self.step = compile(self._step)
        self.loss_and_gradient = compile(self._loss_and_gradient)

    def _objective(self, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        weights = [layer.weight for layer in self.network.linears]
        return objective(self.loss, weights, self.alpha, self.network.module(x), y, w)

    def _step(self, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """One update; the loss before it."""
        self.optimizer.zero_grad()
        loss, shown = self._objective(x, y, w)
        loss.backward()
        self.optimizer.step()
        return shown.detach()

    def _loss_and_gradient(self, x: Tensor, y: Tensor, w: Tensor) -> tuple[Any, ...]:
        """The loss, as it is reported too, and its gradient by scikit-learn's order."""
        parameters = self.parameters()
        for p in self.network.module.parameters():
            p.grad = None
        loss, shown = self._objective(x, y, w)
        loss.backward()
        gradients = [p.grad for p in parameters]
        return loss.detach(), shown.detach(), [g for g in gradients if g is not None]

    def parameters(self) -> list[Tensor]:
        """Weights, then biases, then what other layers have."""
        linears = self.network.linears
        own: list[Tensor] = [layer.weight for layer in linears]
        own += [layer.bias for layer in linears if layer.bias is not None]
        known = {id(p) for p in own}
        return own + [p for p in self.network.module.parameters() if id(p) not in known]

    def begin(self, est: Any) -> None:
        """Everything as a new optimizer would have it, under the settings of an estimator."""
        self.network.module.train()
        self.alpha._value[...] = est.alpha
        if est.solver in OWN:
            (group,) = self.optimizer.param_groups
            group.pop("initial_lr", None)
            group.update(own_settings(est))
            for state in self.optimizer.state.values():
                for value in state.values():
                    if isinstance(value, Tensor):
                        value._value[...] = 0
                if "step" in state:
                    state["step"] = 0

    def kept(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Copies of the weights and of the optimizer's state, for `back_to`."""
        weights = [p._value.copy() for p in self.network.module.parameters()]
        states = [
            {k: v._value.copy() if isinstance(v, Tensor) else v for k, v in state.items()}
            for state in self.optimizer.state.values()
        ]
        return weights, states

    def back_to(self, kept: tuple[list[Any], list[dict[str, Any]]]) -> None:
        """Puts back what `kept` gave after a step or more."""
        weights, states = kept
        for p, held in zip(self.network.module.parameters(), weights, strict=True):
            p._value[...] = held
        for state, before in zip(self.optimizer.state.values(), states, strict=True):
            for name, value in before.items():
                if isinstance(state[name], Tensor):
                    state[name]._value[...] = value
                else:
                    state[name] = value

    def loss_of(self, x: Any, y: Any, w: Any) -> tuple[float, Any]:
        """The loss on data without the penalty, and the outputs, in evaluation mode."""
        z = self.network.outputs(x)
        with no_grad(), quietly():
            each = self.loss.by_row(wrap(z), wrap(y))
            value = each if each.ndim == 0 else _mean(each, wrap(w))
        scale = z.shape[1] if self.loss.mean else 1
        self.network.module.train()
        return float(value._value) / scale, z


def _mean(each: Tensor, w: Tensor) -> Tensor:
    rows = F.mean(F.reshape(each, (each.shape[0], -1)), 1) if each.ndim > 1 else each
    return F.sum(rows * w) / F.sum(w)


class Kits:
    """Kits that are not in use, the latest last; a thread takes one out to use it alone."""

    def __init__(self) -> None:
        self.free: OrderedDict[int, tuple[Any, Kit]] = OrderedDict()
        self.count = 0
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Nobody is at it."""
        self.lock = threading.Lock()

    def take(self, design: Design, loss: Loss, est: Any) -> Kit:
        """A kit for a fit: a kept one, or a new one."""
        key = self._key(design, loss, est)
        if key is not None:
            with self.lock:
                for number, (held, _) in reversed(self.free.items()):
                    if held == key:
                        return self.free.pop(number)[1]
        return Kit(design, loss, est)

    def give_back(self, kit: Kit, est: Any) -> None:
        """Keeps a kit, if another fit could use it."""
        key = self._key(kit.design, kit.loss, est)
        if key is None:
            return
        with self.lock:
            self.count += 1
            self.free[self.count] = (key, kit)
            while len(self.free) > KEPT:
                self.free.popitem(last=False)

    def _key(self, design: Design, loss: Loss, est: Any) -> Any:
        own = est.solver in (*OWN, "lbfgs") if isinstance(est.solver, str) else False
        if not (design.plain and loss.name and own):
            return None
        return design, loss.name, est.solver, est.solver == "sgd" and bool(est.nesterovs_momentum)


KITS = Kits()


class Data:
    """Rows to learn from: inputs, targets, weights; batches of one size, where that can be.

    The last batch is filled up with rows of weight 0 where that changes nothing but its size: to a
    whole one if it lacks little, else to one of few sizes, so that few programs are compiled.
    """

    def __init__(self, x: Any, y: Any, w: Any, batch: int, design: Design, fills: bool) -> None:
        self.rows, self.batch, self.dtype = x.shape[0], batch, np.dtype(design.dtype)
        self.steps = -(-self.rows // batch)
        missing = self.steps * batch - self.rows
        enough = missing * 3 * design.weights < PAD_WORK
        unit = 1 if enough else -(-batch // SIZES)
        self.missing = 0 if not fills else missing if enough else missing % unit
        self.sparse = hasattr(x, "toarray")
        self.counts = np.full(self.steps, float(batch))
        self.counts[-1] = batch - missing
        self.x, self.y, self.w = x, y, w
        if self.sparse and x.shape[0] * x.shape[1] <= AT_A_TIME:
            self.x, self.sparse = x.toarray(), False
        if self.missing and not self.sparse:  # one row of weight 0, taken as often as needed
            self.x, self.y, self.w = (_with_a_row(a) for a in (self.x, y, w))

    def epochs(self, kit: Kit, orders: list[Any], schedule: Any) -> Any:
        """The loss of every step of some epochs, given the order of the rows in each."""
        if self.sparse:
            return np.concatenate([self._written_out(kit, o, schedule) for o in orders])
        if self.missing:
            fill = np.full(self.missing, self.rows)
            orders = [np.concatenate([o, fill]) for o in orders]
        found = kit.step.loop(
            (self.x, self.y, self.w), self.batch, np.stack(orders), scheduler=schedule
        )
        return found._value

    def _written_out(self, kit: Kit, order: Any, schedule: Any) -> Any:
        """An epoch over a sparse matrix, so many whole batches at a time as may be written out."""
        most = max(AT_A_TIME // self.x.shape[1] // self.batch, 1) * self.batch
        found = []
        for start in range(0, self.rows, most):
            rows = order[start : start + most]
            part = dense(self.x[rows], self.dtype), self.y[rows], self.w[rows]
            found.append(kit.step.loop(part, min(self.batch, len(rows)), scheduler=schedule)._value)
        return np.concatenate(found)


def _with_a_row(a: Any) -> Any:
    out = np.zeros((len(a) + 1, *a.shape[1:]), a.dtype)
    out[:-1] = a
    return out
