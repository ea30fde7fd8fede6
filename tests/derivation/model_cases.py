"""Models and losses to be explained: what layers, losses and ways of being written there are."""

from __future__ import annotations

from collections import OrderedDict

import chainrule
from chainrule import nn

F = nn.functional


class Block(nn.Module):
    """Embedding, layer norm, attention, residual, GELU: a small transformer."""

    def __init__(self, tokens=7, width=4, length=3):
        super().__init__()
        self.emb, self.pos = nn.Embedding(tokens, width), nn.Embedding(length, width)
        self.ln = nn.LayerNorm(width)
        self.att = nn.MultiheadAttention(width, 2, batch_first=True)
        self.fc, self.out = nn.Linear(width, 6), nn.Linear(6, tokens)

    def forward(self, index):
        h = self.emb(index) + self.pos(chainrule.arange(index.shape[1]))
        n = self.ln(h)
        h = h + self.att(n, n, n)[0]
        return self.out(F.gelu(self.fc(h)))


class Tied(nn.Module):
    """One weight that is used twice, and a number of its own."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(chainrule.randn(3, 3))
        self.scale = nn.Parameter(chainrule.tensor(1.5))

    def forward(self, x):
        return chainrule.tanh(x @ self.w) @ self.w.T * self.scale


def mlp(activation=nn.Tanh, out=3, last=None):
    parts = OrderedDict(fc1=nn.Linear(4, 5), act1=activation(), fc2=nn.Linear(5, 4),
                        act2=activation(), out=nn.Linear(4, out))  # fmt: skip
    if last is not None:
        parts["last"] = last
    return nn.Sequential(parts)


def numbers(*shape):
    return chainrule.randn(*shape)


def classes(n, *shape):
    return chainrule.randint(0, n, shape)


def cross_entropy(**options):
    def make():
        model, x, y = mlp(), numbers(5, 4), classes(3, 5)
        return model, lambda: F.cross_entropy(model(x.to(model.fc1.weight.dtype)), y, **options)

    return make


def ignored():
    model, x, y = mlp(), numbers(5, 4), chainrule.tensor([0, 2, -1, 1, -1])
    return model, lambda: F.cross_entropy(model(x.to(model.fc1.weight.dtype)), y, ignore_index=-1)


def weighted():
    model, x, y = mlp(), numbers(5, 4), classes(3, 5)
    w = chainrule.tensor([0.5, 1.0, 3.0])
    return model, lambda: F.cross_entropy(
        model(x.to(model.fc1.weight.dtype)), y, w.to(model.fc1.weight.dtype)
    )


def policy():
    """Advantages of both signs: what is multiplied to ln softmax need not be a target."""
    model, x = mlp(), numbers(4, 4)
    advantage, action = chainrule.tensor([1.0, -2.0, 0.0, 0.5]), classes(3, 4)

    def loss():
        dtype = model.fc1.weight.dtype
        chosen = F.log_softmax(model(x.to(dtype)), -1).gather(1, action.unsqueeze(1)).squeeze(1)
        return -(chosen * advantage.to(dtype)).mean()

    return model, loss


def regression(loss, activation=nn.Sigmoid, **options):
    def make():
        model, x, y = mlp(activation, 2), numbers(5, 4), numbers(5, 2)
        return model, lambda: loss(
            model(x.to(model.fc1.weight.dtype)), y.to(model.fc1.weight.dtype), **options
        )

    return make


def decayed():
    model, x, y = mlp(nn.ReLU, 2), numbers(5, 4), numbers(5, 2)

    def loss():
        dtype = model.fc1.weight.dtype
        decay = sum((p**2).sum() for p in model.parameters())
        return F.mse_loss(model(x.to(dtype)), y.to(dtype)) + 0.01 * decay

    return model, loss


def binary(logits):
    def make():
        model = mlp(nn.SiLU, 1, None if logits else nn.Sigmoid())
        x, y = numbers(4, 4), classes(2, 4, 1).float()
        loss = F.binary_cross_entropy_with_logits if logits else F.binary_cross_entropy
        return model, lambda: loss(
            model(x.to(model.fc1.weight.dtype)), y.to(model.fc1.weight.dtype)
        )

    return make


def image():
    model = nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(1, 3, 3, padding=1), act1=nn.ReLU(), pool=nn.MaxPool2d(2),
        conv2=nn.Conv2d(3, 2, 2, stride=1), bn=nn.BatchNorm2d(2), act2=nn.GELU(),
        drop=nn.Dropout(0.25), flat=nn.Flatten(), out=nn.Linear(8, 3),
    ))  # fmt: skip
    x, y = numbers(3, 1, 6, 6), classes(3, 3)
    return model, lambda: F.cross_entropy(model(x.to(model.conv1.weight.dtype)), y)


def tokens():
    model, index, target = Block(), classes(7, 2, 3), classes(7, 2, 3)
    return model, lambda: F.cross_entropy(model(index).reshape(-1, 7), target.reshape(-1))


def recurrent():
    model, x = nn.LSTM(2, 3, batch_first=True), numbers(2, 3, 2)
    return model, lambda: model(x.to(model.weight_ih_l0.dtype))[0].pow(2).mean()


def tied():
    model, x = Tied(), numbers(4, 3)
    return model, lambda: F.huber_loss(model(x.to(model.w.dtype)), x.to(model.w.dtype))


def sums():
    """No layer, no mean: functions on a model's numbers."""
    model, x = nn.Linear(3, 2), numbers(3)

    def loss():
        y = model(x.to(model.weight.dtype))
        return chainrule.logsumexp(y, 0) + chainrule.amax(y) * y.prod()

    return model, loss


CASES = {
    "cross-entropy": cross_entropy(),
    "smoothed": cross_entropy(label_smoothing=0.2),
    "summed": cross_entropy(reduction="sum"),
    "ignored": ignored,
    "weighted": weighted,
    "policy": policy,
    "mse": regression(F.mse_loss),
    "mse-sum": regression(F.mse_loss, nn.ELU, reduction="sum"),
    "l1": regression(F.l1_loss, nn.Softplus),
    "decayed": decayed,
    "logits": binary(True),
    "probabilities": binary(False),
    "image": image,
    "tokens": tokens,
    "recurrent": recurrent,
    "tied": tied,
    "sums": sums,
}
"""name -> what makes a model and the function that gives its loss."""
FAST = ("tied",)


def made(name, *, double=False):
    """(model, loss function) of a case, always the same numbers."""
    chainrule.manual_seed(3)
    model, loss = CASES[name]()
    return (model.double() if double else model), loss


def entry_of(name, at):
    return f"{name}[{','.join(map(str, at))}]" if at else name


def by_backward(model, loss):
    """The gradients that an ordinary step computes, by name."""
    state = chainrule.get_rng_state()
    loss().backward()
    chainrule.set_rng_state(state)
    found = {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found
