"""The playground: a page that steps through a small network, forward and backward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nn import Module


def write(
    path: str | Path, model: Module, loss: Module, x: Any, y: Any, title: str = "a network"
) -> None:
    """Writes a page that steps through `model` and its loss on one example, number by number.

    path: the .html file.  model: Linear layers with activations, at most 16 inputs, 32 units a
    layer, 10 outputs and 2000 weights.  loss: CrossEntropyLoss, MSELoss, QuadraticCost, BCELoss or
    BCEWithLogitsLoss, a mean without weights.  x: the example's inputs.  y: its class for
    CrossEntropyLoss, else its targets.  title: what the page is called.

    The page needs no network and no server.  Its numbers are the engine's, in float64.  Raises
    ArgumentError for what it can't step through.  PyTorch has no such thing.

    >>> from chainrule import nn, playground
    >>> import tempfile, pathlib
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    >>> page = pathlib.Path(tempfile.mkdtemp()) / "play.html"
    >>> playground.write(page, model, nn.MSELoss(), x=[0.5, 0.3], y=[0.8])
    >>> page.stat().st_size < 100_000
    True
    """
    from ..train.files import write_text
    from .network import one_hot, small
    from .page import Subject, html_of, trace_of
    from .proof import proved

    net = small(model, loss)
    target = one_hot(y, net.sizes[-1]) if net.loss.kind == "cross_entropy" else y
    about = f"{net.words()}, one example"
    subject = Subject(net, x, target, title, about, proof=proved(net, model, loss, x, y))
    write_text(path, html_of(subject, trace_of(subject)))
