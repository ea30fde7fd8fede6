"""A small model, data and Trainer with every part that has state, for the tests of training."""

from __future__ import annotations

import hashlib

import numpy as np

import chainrule
from chainrule import nn, optim
from chainrule.train import EarlyStopping, Trainer
from chainrule.train.files import writing


class QuickDisk(writing.Disk):
    """A disk that does not wait."""

    def sync(self, handle):
        pass

    def sync_folder(self, path):
        pass


class Normed(nn.Module):
    """Has a buffer that changes at every step in training, as running statistics do."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", chainrule.zeros(3))

    def forward(self, x):
        if self.training:
            with chainrule.no_grad():
                self.mean.copy_(self.mean * 0.9 + x.detach().mean(0) * 0.1)
        return x - self.mean


def data(rows=23):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64) + (x[:, 0] > 1)
    return x, y


def model():
    chainrule.manual_seed(5)
    return nn.Sequential(Normed(), nn.Linear(3, 7), nn.Tanh(), nn.Dropout(0.2), nn.Linear(7, 3))


def trainer(**changes):
    net = model()
    optimizer = optim.Adam(net.parameters(), 0.02)
    settings = {
        "scheduler": optim.lr_scheduler.StepLR(optimizer, 2, 0.7), "accumulate": 2, "ema": 0.9,
        "clip_grad_norm": 1.0, "seed": 3, "callbacks": [EarlyStopping(patience=50)],
    }  # fmt: skip
    return Trainer(net, nn.CrossEntropyLoss(), optimizer, **{**settings, **changes})


def bits(t):
    """Everything that must not differ, as one text: weights, state, generator, losses."""
    digest = hashlib.sha256()
    state = t.optimizer.state_dict()["state"]
    tensors = [*t.model.state_dict().values()]
    tensors += [v for s in state.values() for v in s.values() if hasattr(v, "_value")]
    if t.ema is not None:
        tensors += list(t.ema.weights.values())
    if t.generator is not None:
        tensors.append(t.generator.get_state())
    for v in tensors:
        digest.update(np.ascontiguousarray(v._value).tobytes())
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in t.history.rows]
    return f"{digest.hexdigest()} {t.epoch} {t.step} {t.lr!r} {rows!r}"


def looked(t):
    """The looks without what differs from run to run."""
    return [{**x.to_json(), "overhead": None} for x in t.history.watch.looks]
