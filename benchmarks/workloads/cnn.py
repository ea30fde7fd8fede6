"""A convolutional network for images: 2 convolutions with pooling, 2 dense layers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from harness.dense import jax_cross_entropy
from harness.workload import Rule, Workload, linear_flops

SIDE, CHANNELS, HIDDEN, CLASSES = 28, (1, 32, 64), 128, 10
PIXELS = (SIDE // 4) ** 2  # left of an image after both poolings


class Cnn(Workload):
    """3 x 3 convolutions to 32 and 64 channels, each with relu and 2 x 2 pooling; 128; 10."""

    title = "cnn: 2 conv(32, 64)+pool, 2 dense, batch 64x1x28x28, AdamW"
    batch, batches, epochs = 64, 5, 1
    optimizer = Rule("AdamW", lr=1e-3)
    needs = ("nn.Conv2d", "nn.MaxPool2d")
    absent: ClassVar = {
        "sklearn": "scikit-learn has no convolution",
        "numpy": "dense networks only",
    }

    def data(self) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        labels = rng.integers(CLASSES, size=self.rows)
        images = rng.normal(size=(self.rows, 1, SIDE, SIDE))
        images += rng.normal(size=(CLASSES, 1, SIDE, SIDE))[labels]
        return images.astype(np.float32), labels

    def shapes(self) -> dict[str, tuple[int, ...]]:
        one, two, three = CHANNELS
        return {
            "0.weight": (two, one, 3, 3), "0.bias": (two,),
            "3.weight": (three, two, 3, 3), "3.bias": (three,),
            "7.weight": (HIDDEN, three * PIXELS), "7.bias": (HIDDEN,),
            "9.weight": (CLASSES, HIDDEN), "9.bias": (CLASSES,),
        }  # fmt: skip

    def flops(self) -> int:
        one, two, three = CHANNELS
        dense = linear_flops(self.batch, (three * PIXELS, HIDDEN), (HIDDEN, CLASSES))
        first = linear_flops(self.batch * SIDE**2, (9 * one, two), first=True)
        return first + linear_flops(self.batch * (SIDE // 2) ** 2, (9 * two, three)) + dense

    def module(self, lib: Any) -> Any:
        nn = lib.nn
        one, two, three = CHANNELS
        return nn.Sequential(
            nn.Conv2d(one, two, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(two, three, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(three * PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES),
        )  # fmt: skip

    def loss(self, lib: Any, module: Any, x: Any, y: Any) -> Any:
        return lib.nn.functional.cross_entropy(module(x), y)

    # JAX keeps the channels last, which its convolution on a CPU asks for.

    def jax_layout(self, weights: dict[str, np.ndarray]) -> Any:
        side = SIDE // 4
        turned = {k: w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T for k, w in weights.items()}
        first = weights["7.weight"].reshape(HIDDEN, -1, side, side)
        turned["7.weight"] = first.transpose(2, 3, 1, 0).reshape(-1, HIDDEN)
        return {k: np.ascontiguousarray(w) for k, w in turned.items()}

    def jax_data(self) -> tuple[np.ndarray, ...]:
        images, labels = self.arrays
        return images.reshape(-1, SIDE, SIDE, 1), labels.astype(np.int32)

    def jax_loss(self, jax: Any, params: Any, x: Any, y: Any) -> Any:
        for name in ("0", "3"):
            x = jax.lax.conv_general_dilated(
                x, params[f"{name}.weight"], (1, 1), "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip
            x = jax.nn.relu(x + params[f"{name}.bias"])
            n, height, width, channels = x.shape
            x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))
        x = jax.nn.relu(x.reshape(len(x), -1) @ params["7.weight"] + params["7.bias"])
        logits = x @ params["9.weight"] + params["9.bias"]
        return jax_cross_entropy(jax, logits, y).mean()

    def tinygrad_loss(self, tinygrad: Any, params: dict[str, Any], x: Any, y: Any) -> Any:
        for name in ("0", "3"):
            x = x.conv2d(params[f"{name}.weight"], params[f"{name}.bias"], padding=1)
            x = x.relu().max_pool2d((2, 2))
        x = x.flatten(1).linear(params["7.weight"].transpose(), params["7.bias"]).relu()
        logits = x.linear(params["9.weight"].transpose(), params["9.bias"])
        return logits.sparse_categorical_crossentropy(y)


WORKLOAD = Cnn()
