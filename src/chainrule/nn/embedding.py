"""Embedding: a table of vectors, read by number."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..errors import ArgumentTypeError, ShapeError
from ..functional.reading import padding_place
from ..tensor.core import Tensor
from ..tensor.create import empty
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """y = W[x]: for whole numbers x (...) in [0, N) the rows (..., D) of the table W (N, D).

    num_embeddings: N.  embedding_dim: D.  padding_idx: a row that starts at 0 and is not learned,
    counted from the end if below 0 (None).  W starts normal with mean 0 and variance 1.  Raises an
    IndexRangeError that names the place of a number out of range.

    Differs from PyTorch: no max_norm, scale_grad_by_freq or sparse.

    >>> from chainrule import nn, tensor
    >>> layer = nn.Embedding(10, 3, padding_idx=0)
    >>> layer(tensor([[1, 2, 0]])).shape
    (1, 3, 3)
    >>> layer(tensor([0])).tolist()
    [[0.0, 0.0, 0.0]]
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, n in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if isinstance(n, bool) or not isinstance(n, int) or n < 0:
                raise ArgumentTypeError(f"Embedding: {name} must be a whole number >= 0",
                                        got=repr(n))  # fmt: skip
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = (
            None if padding_idx is None else padding_place("Embedding", padding_idx, num_embeddings)
        )
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer with this table (N, D), which is learned further unless `freeze`."""
        if len(embeddings.shape) != 2:
            raise ShapeError("Embedding: the table is no matrix", got=str(embeddings.shape))
        layer = cls(*embeddings.shape, padding_idx=padding_idx, dtype=embeddings.dtype)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draws the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The rows that x names."""
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
