"""The playground: a page that steps through a small network, forward and backward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nn import Module
    from .document import Page


def page(
    model: Module, loss: Module, x: Any, y: Any, title: str = "a network", *,
    data: tuple[Any, Any] | None = None, moments: Iterable[tuple[str, Mapping[str, Any]]] = (),
) -> Page:  # fmt: skip
    """A page that steps through `model` and its loss on one example, number by number.

    model: Linear layers with activations, at most 16 inputs, 32 units a layer, 10 outputs and
    2000 weights.  loss: CrossEntropyLoss, MSELoss, QuadraticCost, BCELoss or BCEWithLogitsLoss, a
    mean without weights.  x: the example's inputs.  y: its class for CrossEntropyLoss, else its
    targets.  title: what the page is called.  moments: what there was while it was trained, as
    (name, copy of state_dict) in order; the page goes through them.  data: inputs (rows, inputs)
    and classes (rows,) that were learned; with two inputs the page draws the border between the
    classes, at every moment.

    `.write(path)` writes the file, which needs no network and no server; a notebook shows it.  The
    numbers are the engine's, in float64.  Raises ArgumentError for what it can't step through.
    PyTorch has no such thing.

    >>> from chainrule import nn, playground
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    >>> page = playground.page(model, nn.MSELoss(), x=[0.5, 0.3], y=[0.8])
    >>> page
    Page('a network', 22 steps)
    """
    from .document import Page, Subject
    from .network import one_hot, small
    from .proof import proved
    from .training import told

    net = small(model, loss)
    target = one_hot(y, net.sizes[-1]) if net.loss.kind == "cross_entropy" else y
    about = f"{net.words()}, one example"
    training = told(net, list(moments), data, x, target)
    return Page(Subject(net, x, target, title, about, proof=proved(net, model, loss, x, y),
                        training=training))  # fmt: skip
