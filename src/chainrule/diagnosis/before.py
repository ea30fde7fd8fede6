"""preflight: what can be known before the first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, ChainruleError
from ..nn import Module
from ..optim import Optimizer
from ..tensor.core import Tensor
from ..train.inputs import as_input, check_model_and_loss
from .bench import Bench, undisturbed
from .checks import CHECKS
from .finding import ERROR
from .show import Block, as_html, as_text


@dataclass(frozen=True)
class Outcome:
    """What one check saw: state is ok, warning, error or skipped."""

    id: str
    state: str
    title: str
    text: str
    fix: str | None
    seconds: float


@dataclass
class Preflight:
    """The outcomes of all checks, in order.  Prints as text, shows as HTML in a notebook."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no check has failed; warnings and skipped ones do not count."""
        return all(o.state != ERROR for o in self.outcomes)

    @property
    def seconds(self) -> float:
        """What all of it took."""
        return sum(o.seconds for o in self.outcomes)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def __getitem__(self, name: str) -> Outcome:
        return next(o for o in self.outcomes if o.id == name)

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {"ok": self.ok, "seconds": self.seconds, "checks": [asdict(o) for o in self]}

    def blocks(self) -> list[Block]:
        """What is shown, in any form."""
        return [
            Block(o.state, f"{o.id}: {o.text}", "", [("fix", o.fix)] if o.fix else [])
            for o in self.outcomes
        ]

    def __str__(self) -> str:
        return as_text(self.blocks())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.blocks(), "Preflight")


def preflight(
    model: Module, loss: Callable[..., Tensor], x: Any, y: Any, *,
    optimizer: Optimizer | None = None, step: Callable[..., Any] | None = None,
) -> Preflight:  # fmt: skip
    """Checks a model before it is trained, on one batch and in seconds.

    The loss at the start against that of an ignorant answer, gradients against finite differences
    in float64, parameters that no gradient reaches or no optimizer holds, units that are alike,
    examples that see each other, a batch learned by heart, and whether the inputs help.

    model: in any mode.  loss: Module or function of (prediction, target).  x, y: a batch, 32 rows
    and more; x a tuple where the model takes several inputs.  optimizer: the one that will train.
    step: your own training step, a function of (x, y): called twice, to see whether it zeroes
    gradients and moves every weight.  The weights are afterwards what they were; the state of an
    optimizer that `step` uses is not.  Everything else runs on copies.

    PyTorch has nothing like it; after A. Karpathy, A Recipe for Training Neural Networks, 2019.

    >>> import chainrule
    >>> from chainrule import nn
    >>> _ = chainrule.manual_seed(0)
    >>> x = chainrule.randn(64, 3)
    >>> y = (x.sum(1) > 0).to(chainrule.int64)
    >>> model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
    >>> checked = chainrule.preflight(model, nn.CrossEntropyLoss(), x, y)
    >>> checked.ok, checked["loss-at-init"].state
    (True, 'ok')
    """
    bench = _bench(model, loss, x, y, optimizer, step)
    out = Preflight()
    for name, check in CHECKS.items():
        began = time.perf_counter()
        try:
            with undisturbed():
                state, text, fix = check().run(bench)
        except ChainruleError as error:
            state, text, fix = ERROR, f"it can't be run: {error.problem}", error.fix
        except Exception as error:  # of the model's own code
            state, text, fix = ERROR, f"it can't be run: {type(error).__name__}: {error}", None
        title = str(check.__doc__).splitlines()[0]
        out.outcomes.append(Outcome(name, state, title, text, fix, time.perf_counter() - began))
    return out


def _bench(model: Any, loss: Any, x: Any, y: Any, optimizer: Any, step: Any) -> Bench:
    check_model_and_loss("preflight", model, loss)
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(
            "preflight: the optimizer must be an Optimizer", got=type(optimizer).__name__
        )
    inputs = tuple(as_input(a, model) for a in (x if isinstance(x, (tuple, list)) else (x,)))
    target = as_input(y, model)
    sizes = {t.shape[0] if t.ndim else 0 for t in (*inputs, target)}
    if len(sizes) != 1 or 0 in sizes:
        raise ArgumentError(
            "preflight: x and y must be a batch of as many rows each",
            got=", ".join(str(tuple(t.shape)) for t in (*inputs, target)),
        )
    return Bench(model, loss, inputs, target, optimizer, step)
