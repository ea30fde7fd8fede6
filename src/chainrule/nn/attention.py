"""Attention: the function, and the layer with several heads."""

from __future__ import annotations

import math
from typing import Any

from .. import functional as F
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..functional.arguments import SettingError, need_values
from ..functional.attention import attention_weights, causal_mask, check_mask, mask_of, without
from ..ops.core import broadcast_shapes
from ..tensor.core import Tensor
from ..tensor.create import empty, zeros
from . import init
from .dropout import check_probability, dropout
from .linear import Linear
from .module import Module
from .parameter import Parameter


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """y = softmax(query key^T scale + mask) value.

    query (..., L, E), key (..., S, E), value (..., S, D), y (..., L, D).
    attn_mask: what broadcasts to (..., L, S): bools, True where a query may look, or numbers that
    are added.  is_causal: query i looks at the keys up to i; excludes a mask.  dropout_p: the share
    of weights set to 0, in evaluation too.  scale: 1 / sqrt(E) unless said.  enable_gqa: each head
    of key and value (the dimension before S) serves several heads of query.  A query that may look
    nowhere gives 0.  Vaswani et al. 2017.

    >>> from chainrule import nn, tensor
    >>> q, v = tensor([[0.0], [0.0]]), tensor([[1.0], [3.0]])
    >>> nn.functional.scaled_dot_product_attention(q, q, v, is_causal=True)
    tensor([[1.],
            [2.]])
    """
    name = "scaled_dot_product_attention"
    need_values(name, query=query, key=key, value=value)
    check_probability(name, dropout_p)
    if is_causal and attn_mask is not None:
        raise SettingError(
            f"{name}: attn_mask and is_causal exclude each other",
            fix="is_causal=True alone, or a mask that holds both",
        )
    if enable_gqa:
        key, value = _shared_heads(name, query, key), _shared_heads(name, query, value)
    query, key, value = _one_batch(name, query, key, value)
    mask = attn_mask
    if mask is not None:
        check_mask(name, "attn_mask", mask, (*query.shape[:-1], key.shape[-2]))
        mask = mask_of(name, "attn_mask", mask, query.dtype, forbids=False)
    factor = 1 / math.sqrt(query.shape[-1] or 1) if scale is None else scale
    weights, lost = attention_weights(query, key, mask, is_causal, factor)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return without(lost, F.matmul(weights, value))


def _shared_heads(name: str, query: Tensor, x: Tensor) -> Tensor:
    """Every head of x as often as there are heads of the query for it."""
    if len(query.shape) < 3 or len(x.shape) < 3 or query.shape[-3] % (x.shape[-3] or 1):
        raise ShapeError(
            f"{name}: enable_gqa needs heads of query for every head of key and value",
            expected="(..., heads, length, size), the query's heads a multiple",
            got=f"{query.shape} and {x.shape}",
        )
    *lead, heads, length, size = x.shape
    times = query.shape[-3] // heads
    wide = F.expand(F.unsqueeze(x, -3), (*lead, heads, times, length, size))
    return F.reshape(wide, (*lead, heads * times, length, size))


def _one_batch(name: str, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three with the same leading dimensions; raises where they do not fit."""
    shapes = f"query {q.shape}, key {k.shape}, value {v.shape}"
    ranks = all(len(x.shape) >= 2 for x in (q, k, v))
    if not ranks or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{name}: query, key and value do not fit",
            expected="(..., L, E), (..., S, E) and (..., S, D)",
            got=shapes,
        )
    if not q.dtype == k.dtype == v.dtype:
        raise DTypeError(
            f"{name}: query, key and value have different dtypes",
            got=f"{q.dtype.name}, {k.dtype.name} and {v.dtype.name}",
        )
    batch = broadcast_shapes(name, q.shape[:-2], k.shape[:-2], v.shape[:-2])
    q, k, v = (F.expand(x, (*batch, *x.shape[-2:])) for x in (q, k, v))
    return q, k, v


class HeadsError(ArgumentError, AssertionError):
    """Sizes of attention that PyTorch asserts."""


class AttentionShapeError(ShapeError, AssertionError):
    """Shapes of attention that PyTorch asserts."""


class MultiheadAttention(Module):
    """y = (heads side by side) Wo^T + bo, with head i = softmax(Q_i K_i^T / sqrt(d) + mask) V_i.

    Q = query Wq^T + bq, K and V alike, each cut into num_heads parts of d = embed_dim / num_heads;
    in_proj_weight (3 E, E) and in_proj_bias (3 E) hold those of q, k and v behind one another.
    query (L, B, E), key and value (S, B, E), y (L, B, E); with batch_first (B, L, E) and so on;
    without a batch (L, E).

    embed_dim: E.  num_heads: a divisor of E.  dropout: the share of weights set to 0 in training.
    bias (True): whether biases exist.  batch_first (False).
    Called with key_padding_mask (B, S) and attn_mask (L, S) or (B num_heads, L, S): bools, True
    where it is forbidden to look, or numbers that are added.  is_causal: query i looks at the keys
    up to i; attn_mask must be given, says the same, and is not read.  need_weights (True): also
    the weights (B, L, S), averaged over heads unless average_attn_weights is False; else None.

    The projections start Xavier-uniform, Wo as in Linear, the biases at 0.  Differs from PyTorch: a
    query that may look nowhere gives 0, where PyTorch gives nan with need_weights; key and value
    have the size E too; no add_bias_kv or add_zero_attn.  Vaswani et al. 2017.

    >>> from chainrule import nn, ones
    >>> y, weights = nn.MultiheadAttention(8, 2, batch_first=True)(*[ones(3, 5, 8)] * 3)
    >>> y.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
        batch_first: bool = False, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for what, n in (("embed_dim", embed_dim), ("num_heads", num_heads)):
            if isinstance(n, bool) or not isinstance(n, int):
                raise ArgumentTypeError(
                    f"MultiheadAttention: {what} must be a whole number", got=repr(n)
                )
            if n < 1:
                raise ArgumentError(f"MultiheadAttention: {what} must be >= 1", got=str(n))
        if embed_dim % num_heads:
            raise HeadsError(
                "MultiheadAttention: num_heads must divide embed_dim",
                got=f"embed_dim {embed_dim}, num_heads {num_heads}",
            )
        check_probability("MultiheadAttention", dropout)
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.dropout, self.batch_first = dropout, batch_first
        self.head_dim = embed_dim // num_heads
        self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, dtype=dtype))
        self.in_proj_bias = Parameter(zeros(3 * embed_dim, dtype=dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the projections anew."""
        init.xavier_uniform_(self.in_proj_weight)
        self.out_proj.reset_parameters()
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                init.zeros_(b)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None,
        average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """(y, weights or None)."""
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise SettingError(
                "MultiheadAttention: is_causal says what attn_mask is, so that must be given too"
            )
        single = len(query.shape) == 2
        parts = self._project(query, key, value)
        at = 0 if self.batch_first else 1
        q, k, v = (self._heads(F.unsqueeze(x, at) if single else x) for x in parts)
        masks = self._masks(q, k, attn_mask, key_padding_mask, is_causal)
        weights, lost = attention_weights(q, k, masks, False, 1 / math.sqrt(self.head_dim))
        if self.dropout and self.training:
            weights = dropout(weights, self.dropout)
        y = self.out_proj(self._joined(without(lost, F.matmul(weights, v))))
        y = F.squeeze(y, at) if single else y
        if not need_weights:
            return y, None
        weights = without(lost, weights)
        if average_attn_weights:
            weights = F.mean(weights, 1)
        return y, F.squeeze(weights, 0) if single else weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        need_values("MultiheadAttention", query=query, key=key, value=value)
        shapes = [x.shape for x in (query, key, value)]
        q, k, v = shapes
        batch = 0 if self.batch_first else 1
        fits = len(q) == len(k) in (2, 3) and k == v and q[-1] == k[-1] == self.embed_dim
        if not fits or (len(q) == 3 and q[batch] != k[batch]):
            order = "(B, L, E) and (B, S, E)" if self.batch_first else "(L, B, E) and (S, B, E)"
            raise AttentionShapeError(
                "MultiheadAttention: query, key and value do not fit",
                expected=f"{order}, or without B, with E = {self.embed_dim}",
                got=f"query {q}, key {k}, value {v}",
            )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Q, K and V: one matmul where they come from one tensor."""
        e, w, b = self.embed_dim, self.in_proj_weight, self.in_proj_bias

        def linear(x: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
            if last - first == 3:
                return F.chunk(F.linear(x, w, b), 3, -1)
            rows = F.narrow(w, 0, first * e, (last - first) * e)
            bias = None if b is None else F.narrow(b, 0, first * e, (last - first) * e)
            return F.chunk(F.linear(x, rows, bias), last - first, -1)

        if key is value:
            return (
                linear(query, 0, 3) if query is key else (*linear(query, 0, 1), *linear(key, 1, 3))
            )
        return (*linear(query, 0, 1), *linear(key, 1, 2), *linear(value, 2, 3))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, heads, L, d), whichever of B and L came first."""
        cut = F.reshape(x, (*x.shape[:2], self.num_heads, self.head_dim))
        return F.permute(cut, (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3))

    def _joined(self, y: Tensor) -> Tensor:
        """The heads side by side, B and L in the order of the input."""
        back = F.permute(y, (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3))
        return F.reshape(back, (*back.shape[:2], self.embed_dim))

    def _masks(
        self, q: Tensor, k: Tensor, attn_mask: Tensor | None, padding: Tensor | None, causal: bool
    ) -> Tensor | None:
        """Both masks in one, as numbers to add to the scores (B, heads, L, S)."""
        name, total = "MultiheadAttention", None
        batch, heads, rows, columns = *q.shape[:3], k.shape[2]
        if causal:
            total = causal_mask(rows, columns, q.dtype)
        elif attn_mask is not None:
            if len(attn_mask.shape) == 3 and attn_mask.shape[0] == batch * heads:
                attn_mask = F.reshape(attn_mask, (batch, heads, *attn_mask.shape[1:]))
            if attn_mask.shape[-2:] != (rows, columns) or len(attn_mask.shape) == 3:
                raise ShapeError(
                    f"{name}: attn_mask does not fit",
                    expected=f"({rows}, {columns}) or ({batch * heads}, {rows}, {columns})",
                    got=str(attn_mask.shape),
                )
            total = mask_of(name, "attn_mask", attn_mask, q.dtype, forbids=True)
        if padding is not None:
            if len(padding.shape) == 1:
                padding = F.unsqueeze(padding, 0)
            if padding.shape != (batch, columns):
                raise AttentionShapeError(
                    f"{name}: key_padding_mask does not fit",
                    expected=f"({batch}, {columns}): one entry a key",
                    got=str(padding.shape),
                )
            mask = mask_of(name, "key_padding_mask", padding, q.dtype, forbids=True)
            mask = F.reshape(mask, (batch, 1, 1, columns))
            total = mask if total is None else total + mask
        return total
