"""Karpathy's microgpt: a GPT of 4,192 parameters that learns names, one document a step.

The network is the original's: RMSNorm without weights (also right after the embeddings), no biases,
relu in the MLP, Adam with rate 0.01 and betas 0.85 and 0.99.  What differs: the names are made by a
seeded generator and padded to the block with a mask, and the rate stays where the original lowers
it on a line.  Published for it, a document: CPython 36-51 ms, PyTorch 0.83 ms, hand-written NumPy
0.15-0.22 ms, Rust 0.118 ms.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from harness.dense import jax_cross_entropy
from harness.workload import Rule, Workload, linear_flops

WIDTH, HEADS, LENGTH, VOCAB = 16, 4, 16, 27
HEAD = WIDTH // HEADS
BOS = VOCAB - 1


def names(rows: int) -> list[list[int]]:
    """Names of 2 to 15 letters in which consonants and vowels mostly alternate."""
    rng = np.random.default_rng(0)
    vowels = np.array([0, 4, 8, 14, 20])
    consonants = np.setdiff1d(np.arange(BOS), vowels)
    found = []
    for length in np.clip(rng.poisson(6, size=rows), 2, LENGTH - 1):
        turn = rng.integers(2)
        kinds = [consonants if (i + turn) % 2 else vowels for i in range(length)]
        found.append([int(rng.choice(kind)) for kind in kinds])
    return found


class MicroGpt(Workload):
    """One layer of width 16 with 4 heads, 16 positions, 27 tokens."""

    title = "microgpt: 4,192 parameters, one document a step, Adam"
    batch, batches, epochs = 1, 100, 2
    optimizer = Rule("Adam", lr=0.01, options={"betas": (0.85, 0.99)})
    needs = ("nn.functional.embedding", "nn.functional.scaled_dot_product_attention")
    absent: ClassVar = {"sklearn": "scikit-learn has no attention", "numpy": "dense networks only"}

    def data(self) -> tuple[np.ndarray, ...]:
        """Tokens, the next tokens, and 1 where a position belongs to the document."""
        tokens = np.full((self.rows, LENGTH), BOS)
        targets = np.full((self.rows, LENGTH), BOS)
        mask = np.zeros((self.rows, LENGTH), dtype=np.float32)
        for row, name in enumerate(names(self.rows)):
            tokens[row, 1 : len(name) + 1] = name
            targets[row, : len(name)] = name
            mask[row, : len(name) + 1] = 1.0
        return tokens, targets, mask

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "wte": (VOCAB, WIDTH), "wpe": (LENGTH, WIDTH),
            "attn_wq.weight": (WIDTH, WIDTH), "attn_wk.weight": (WIDTH, WIDTH),
            "attn_wv.weight": (WIDTH, WIDTH), "attn_wo.weight": (WIDTH, WIDTH),
            "mlp_fc1.weight": (4 * WIDTH, WIDTH), "mlp_fc2.weight": (WIDTH, 4 * WIDTH),
            "lm_head.weight": (VOCAB, WIDTH),
        }  # fmt: skip

    def flops(self) -> int:
        layers = [(WIDTH, WIDTH)] * 4 + [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH), (WIDTH, VOCAB)]
        return linear_flops(self.batch * LENGTH, *layers) + 12 * self.batch * LENGTH**2 * WIDTH

    def module(self, lib: Any) -> Any:
        nn, functional = lib.nn, lib.nn.functional

        def rmsnorm(x: Any) -> Any:
            return x * ((x * x).mean(-1, keepdim=True) + 1e-5).rsqrt()

        class GPT(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.wte = nn.Parameter(lib.zeros(VOCAB, WIDTH))
                self.wpe = nn.Parameter(lib.zeros(LENGTH, WIDTH))
                self.attn_wq = nn.Linear(WIDTH, WIDTH, bias=False)
                self.attn_wk = nn.Linear(WIDTH, WIDTH, bias=False)
                self.attn_wv = nn.Linear(WIDTH, WIDTH, bias=False)
                self.attn_wo = nn.Linear(WIDTH, WIDTH, bias=False)
                self.mlp_fc1 = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
                self.mlp_fc2 = nn.Linear(4 * WIDTH, WIDTH, bias=False)
                self.lm_head = nn.Linear(WIDTH, VOCAB, bias=False)

            def heads(self, x: Any) -> Any:
                return x.reshape(-1, LENGTH, HEADS, HEAD).transpose(1, 2)

            def forward(self, tokens: Any) -> Any:
                x = rmsnorm(functional.embedding(tokens, self.wte) + self.wpe)
                h = rmsnorm(x)
                mixed = functional.scaled_dot_product_attention(
                    self.heads(self.attn_wq(h)), self.heads(self.attn_wk(h)),
                    self.heads(self.attn_wv(h)), is_causal=True,
                )  # fmt: skip
                x = x + self.attn_wo(mixed.transpose(1, 2).reshape(-1, LENGTH, WIDTH))
                x = x + self.mlp_fc2(lib.relu(self.mlp_fc1(rmsnorm(x))))
                return self.lm_head(x)

        return GPT()

    def loss(self, lib: Any, module: Any, tokens: Any, targets: Any, mask: Any) -> Any:
        logits = module(tokens).reshape(-1, VOCAB)
        each = lib.nn.functional.cross_entropy(logits, targets.reshape(-1), reduction="none")
        return (each * mask.reshape(-1)).sum() / mask.sum()

    def jax_loss(self, jax: Any, params: Any, tokens: Any, targets: Any, mask: Any) -> Any:
        jnp = jax.numpy

        def rmsnorm(x: Any) -> Any:
            return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)

        def heads(x: Any, name: str) -> Any:
            return (x @ params[f"{name}.weight"]).reshape(-1, LENGTH, HEADS, HEAD)

        x = rmsnorm(params["wte"][tokens] + params["wpe"])
        h = rmsnorm(x)
        q, k, v = heads(h, "attn_wq"), heads(h, "attn_wk"), heads(h, "attn_wv")
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * HEAD**-0.5
        scores = jnp.where(jnp.tril(jnp.ones((LENGTH, LENGTH), bool)), scores, -jnp.inf)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
        x = x + mixed.reshape(-1, LENGTH, WIDTH) @ params["attn_wo.weight"]
        hidden = jax.nn.relu(rmsnorm(x) @ params["mlp_fc1.weight"])
        logits = (x + hidden @ params["mlp_fc2.weight"]) @ params["lm_head.weight"]
        return (jax_cross_entropy(jax, logits, targets) * mask).sum() / mask.sum()

    def tinygrad_loss(self, tinygrad: Any, params: dict[str, Any], *batch: Any) -> Any:
        tokens, targets, mask = batch

        def rmsnorm(x: Any) -> Any:
            return x * ((x * x).mean(-1, keepdim=True) + 1e-5).rsqrt()

        def linear(x: Any, name: str) -> Any:
            return x @ params[f"{name}.weight"].transpose()

        def heads(x: Any) -> Any:
            return x.reshape(-1, LENGTH, HEADS, HEAD).transpose(1, 2)

        x = rmsnorm(params["wte"][tokens] + params["wpe"])
        h = rmsnorm(x)
        q, k, v = (heads(linear(h, name)) for name in ("attn_wq", "attn_wk", "attn_wv"))
        mixed = q.scaled_dot_product_attention(k, v, is_causal=True)
        x = x + linear(mixed.transpose(1, 2).reshape(-1, LENGTH, WIDTH), "attn_wo")
        x = x + linear(linear(rmsnorm(x), "mlp_fc1").relu(), "mlp_fc2")
        each = linear(x, "lm_head").sparse_categorical_crossentropy(targets, reduction="none")
        return (each * mask).sum() / mask.sum()


WORKLOAD = MicroGpt()
