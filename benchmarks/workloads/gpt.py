"""A small GPT over characters: 4 layers of width 128 with 4 heads."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from harness.dense import jax_cross_entropy
from harness.workload import Rule, Workload, linear_flops

LAYERS, WIDTH, HEADS, LENGTH, VOCAB = 4, 128, 4, 64, 65


def make_block(lib: Any) -> Any:
    """The class of one layer: attention and an MLP, each after a norm and around a residual."""
    nn = lib.nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln_1 = nn.LayerNorm(WIDTH)
            self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
            self.c_proj = nn.Linear(WIDTH, WIDTH)
            self.ln_2 = nn.LayerNorm(WIDTH)
            self.fc = nn.Linear(WIDTH, 4 * WIDTH)
            self.gelu = nn.GELU()
            self.proj = nn.Linear(4 * WIDTH, WIDTH)

        def attention(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = (
                part.reshape(n, t, HEADS, WIDTH // HEADS).transpose(1, 2)
                for part in self.c_attn(x).split(WIDTH, dim=2)
            )
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.c_proj(y.transpose(1, 2).reshape(n, t, WIDTH))

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.ln_1(x))
            return x + self.proj(self.gelu(self.fc(self.ln_2(x))))

    return Block


class Gpt(Workload):
    """Token and position embeddings, the layers, a norm, and logits for every position."""

    title = "gpt: 4 layers, d 128, 4 heads, 12x64 tokens, vocab 65, AdamW"
    batch, batches, epochs = 12, 5, 1
    optimizer = Rule("AdamW", lr=1e-3)
    needs = ("nn.Embedding", "nn.LayerNorm", "nn.functional.scaled_dot_product_attention")
    absent: ClassVar = {"sklearn": "scikit-learn has no attention", "numpy": "dense networks only"}

    def data(self) -> tuple[np.ndarray, ...]:
        """Walks over the alphabet with small steps, so that there is something to learn."""
        rng = np.random.default_rng(0)
        steps = rng.integers(1, 4, size=(self.rows, LENGTH + 1))
        text = steps.cumsum(1) % VOCAB
        return text[:, :-1].copy(), text[:, 1:].copy()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        found |= {"wte.weight": (VOCAB, WIDTH), "wpe.weight": (LENGTH, WIDTH)}
        sizes = {"ln_1": 0, "c_attn": (3, 1), "c_proj": (1, 1), "ln_2": 0, "fc": (4, 1)}
        for layer in range(LAYERS):
            for name, size in {**sizes, "proj": (1, 4)}.items():
                out, inputs = size or (1, 0)
                weight = (out * WIDTH, inputs * WIDTH) if inputs else (WIDTH,)
                found[f"blocks.{layer}.{name}.weight"] = weight
                found[f"blocks.{layer}.{name}.bias"] = (out * WIDTH,)
        found |= {"ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}
        return {**found, "lm_head.weight": (VOCAB, WIDTH)}

    def flops(self) -> int:
        rows = self.batch * LENGTH
        layer = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
        attention = 12 * rows * LENGTH * WIDTH * LAYERS  # both products over all pairs
        return linear_flops(rows, *layer * LAYERS, (WIDTH, VOCAB)) + attention

    def module(self, lib: Any) -> Any:
        nn, block = lib.nn, make_block(lib)

        class GPT(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.wte = nn.Embedding(VOCAB, WIDTH)
                self.wpe = nn.Embedding(LENGTH, WIDTH)
                self.blocks = nn.Sequential(*[block() for _ in range(LAYERS)])
                self.ln_f = nn.LayerNorm(WIDTH)
                self.lm_head = nn.Linear(WIDTH, VOCAB, bias=False)

            def forward(self, tokens: Any) -> Any:
                x = self.wte(tokens) + self.wpe.weight
                return self.lm_head(self.ln_f(self.blocks(x)))

        return GPT()

    def loss(self, lib: Any, module: Any, tokens: Any, targets: Any) -> Any:
        logits = module(tokens)
        return lib.nn.functional.cross_entropy(logits.reshape(-1, VOCAB), targets.reshape(-1))

    def jax_loss(self, jax: Any, params: Any, tokens: Any, targets: Any) -> Any:
        jnp = jax.numpy

        def linear(name: str, x: Any) -> Any:
            return x @ params[f"{name}.weight"] + params[f"{name}.bias"]

        def norm(name: str, x: Any) -> Any:
            x = x - x.mean(-1, keepdims=True)  # once: x.var would read x again, in twice the time
            scaled = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
            return scaled * params[f"{name}.weight"] + params[f"{name}.bias"]

        def attention(name: str, x: Any) -> Any:
            n, t, _ = x.shape
            parts = linear(f"{name}.c_attn", x).reshape(n, t, 3, HEADS, WIDTH // HEADS)
            q, k, v = parts.transpose(2, 0, 3, 1, 4)
            scores = q @ k.swapaxes(-1, -2) * (WIDTH // HEADS) ** -0.5
            scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -jnp.inf)
            y = (jax.nn.softmax(scores) @ v).swapaxes(1, 2)
            return linear(f"{name}.c_proj", y.reshape(n, t, WIDTH))

        x = params["wte.weight"][tokens] + params["wpe.weight"]
        for name in (f"blocks.{i}" for i in range(LAYERS)):
            x = x + attention(name, norm(f"{name}.ln_1", x))
            hidden = jax.nn.gelu(linear(f"{name}.fc", norm(f"{name}.ln_2", x)), approximate=False)
            x = x + linear(f"{name}.proj", hidden)
        logits = norm("ln_f", x) @ params["lm_head.weight"]
        return jax_cross_entropy(jax, logits, targets).mean()

    def tinygrad_loss(self, tinygrad: Any, params: dict[str, Any], tokens: Any, y: Any) -> Any:
        def linear(name: str, x: Any) -> Any:
            return x.linear(params[f"{name}.weight"].transpose(), params[f"{name}.bias"])

        def norm(name: str, x: Any) -> Any:
            return x.layernorm() * params[f"{name}.weight"] + params[f"{name}.bias"]

        def attention(name: str, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = (
                part.reshape(n, t, HEADS, WIDTH // HEADS).transpose(1, 2)
                for part in linear(f"{name}.c_attn", x).split(WIDTH, dim=2)
            )
            mixed = q.scaled_dot_product_attention(k, v, is_causal=True)
            return linear(f"{name}.c_proj", mixed.transpose(1, 2).reshape(n, t, WIDTH))

        x = params["wte.weight"][tokens] + params["wpe.weight"]
        for name in (f"blocks.{i}" for i in range(LAYERS)):
            x = x + attention(name, norm(f"{name}.ln_1", x))
            hidden = linear(f"{name}.fc", norm(f"{name}.ln_2", x)).gelu(approximate="none")
            x = x + linear(f"{name}.proj", hidden)
        logits = norm("ln_f", x) @ params["lm_head.weight"].transpose()
        return logits.sparse_categorical_crossentropy(y)


WORKLOAD = Gpt()
