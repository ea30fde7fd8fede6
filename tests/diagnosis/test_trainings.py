"""Real trainings: what is planted is found, and healthy ones of many kinds are called healthy."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule
from chainrule import nn, optim
from chainrule.cli import recipe as recipes
from chainrule.cli.app import app
from chainrule.cli.recipe import Recipe
from chainrule.diagnosis import RULES, Story, diagnose
from chainrule.errors import NonFiniteError
from chainrule.runtime.blas import one_blas_thread
from chainrule.train import EarlyStopping, Trainer, Watch, open_run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread():
    with one_blas_thread():
        yield


def trained(data, **choices):
    """A recipe, trained as `chainrule train` does."""
    r = Recipe(data, **{**recipes.DATA[data], **choices})
    p = recipes.build(r)
    stopper = [] if r.patience is None else [EarlyStopping("val_loss", r.patience)]
    trainer = Trainer(
        p.model, p.loss, p.optimizer, scheduler=p.scheduler, schedule_by=p.schedule_by,
        callbacks=[*stopper, Watch()], seed=r.seed, clip_grad_norm=r.clip_grad_norm,
    )  # fmt: skip
    trainer.fit(p.train, validation=p.validation, epochs=r.epochs, batch_size=r.batch_size)
    return trainer


def fitted(model, loss, x, y, lr=0.1, optimizer=optim.SGD, epochs=30, batch=32, parameters=None,
           validation=None):  # fmt: skip
    held = optimizer(parameters or model.parameters(), lr)
    trainer = Trainer(model, loss, held, callbacks=[Watch()], seed=0, compile=False)
    try:
        trainer.fit((x, y), epochs=epochs, batch_size=batch, validation=validation)
    except NonFiniteError:
        assert trainer.history.stopped == "failed"
    return trainer


def sums(rows=320, features=4):
    x = np.random.default_rng(0).normal(size=(rows, features)).astype(np.float32)
    return x, x.sum(1, keepdims=True)


def mlp(activation=nn.Tanh, depth=3, width=16, inputs=4, outputs=1):
    parts = []
    for i in range(depth):
        parts += [nn.Linear(inputs if i == 0 else width, width), activation()]
    return nn.Sequential(*parts, nn.Linear(width, outputs))


def started(model, how):
    with chainrule.no_grad():
        for p in model.parameters():
            how(p)
    return model


# ---------------------------------------------------------------- healthy

DEEP, WIDE = (8,) * 6, (1024,)
HEALTHY = {
    "digits": lambda: trained("digits"),
    "moons": lambda: trained("moons"),
    "circles": lambda: trained("circles"),
    "spiral": lambda: trained("spiral"),
    "xor": lambda: trained("xor"),
    "digits tanh": lambda: trained("digits", activation="tanh"),
    "digits sigmoid": lambda: trained("digits", activation="sigmoid", init="xavier"),
    "digits gelu": lambda: trained("digits", activation="gelu"),
    "digits momentum": lambda: trained(
        "digits", optimizer="sgd", lr=0.1, momentum=0.9, weight_decay=0.0),
    "digits deep": lambda: trained("digits", layers=(64,) * 4, dropout=0.0),
    "digits linear": lambda: trained("digits", layers=()),
    "digits wide": lambda: trained("digits", layers=WIDE),
    "digits onecycle": lambda: trained("digits", schedule="onecycle"),
    "digits plateau": lambda: trained("digits", schedule="plateau", optimizer="adagrad", lr=0.01),
    "digits by heart": lambda: trained(
        "digits", dropout=0.0, weight_decay=0.0, label_smoothing=0.0, patience=None),
    "moons on and on": lambda: trained("moons", epochs=1500, patience=None),
    "moons few steps": lambda: trained("moons", epochs=6),
    "moons relu": lambda: trained("moons", activation="relu"),
    "moons sgd": lambda: trained("moons", optimizer="sgd", lr=0.1),
    "moons large batch": lambda: trained("moons", batch_size=400),
    "moons deep": lambda: trained("moons", layers=DEEP),
    "moons deep relu": lambda: trained("moons", layers=DEEP, activation="relu", init="kaiming"),
    "spiral long": lambda: trained("spiral", epochs=200, activation="silu"),
    "spiral relu": lambda: trained("spiral", activation="relu", layers=(64, 64, 64)),
    "xor constant": lambda: trained("xor", schedule="constant", epochs=200),
    "circles rmsprop": lambda: trained(
        "circles", activation="leaky_relu", optimizer="rmsprop", lr=1e-3),
    "sums": lambda: fitted(mlp(), nn.MSELoss(), *sums()),
    "sums adam": lambda: fitted(mlp(nn.ReLU), nn.MSELoss(), *sums(), 0.01, optim.Adam),
    "sums l1": lambda: fitted(mlp(nn.GELU), nn.L1Loss(), *sums(), 0.01, optim.Adam),
    "tokens": lambda: fitted(
        nn.Sequential(nn.Embedding(9, 16), nn.Flatten(), nn.Linear(80, 3)), nn.CrossEntropyLoss(),
        *tokens(), 0.01, optim.Adam),
    "images": lambda: fitted(
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                      nn.Linear(128, 2)), nn.CrossEntropyLoss(), *images(), 0.01, optim.Adam),
    "series": lambda: fitted(
        Series(), nn.MSELoss(), *series(), 0.01, optim.Adam, epochs=20),
    "frozen": lambda: fitted(frozen(), nn.MSELoss(), *sums()),
}  # fmt: skip


def tokens():
    x = np.random.default_rng(0).integers(0, 9, (320, 5))
    return x, (x[:, 0] % 3).astype(np.int64)


def images():
    x = np.random.default_rng(0).normal(size=(320, 1, 6, 6)).astype(np.float32)
    return x, (x[:, 0, :3].sum((1, 2)) > 0).astype(np.int64)


def series():
    x = np.random.default_rng(0).normal(size=(320, 6, 2)).astype(np.float32)
    return x, x[:, :, 0].sum(1, keepdims=True)


class Series(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(2, 12, batch_first=True), nn.Linear(12, 1)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


def frozen():
    model = mlp()
    model[0].requires_grad_(False)
    return model


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_training_is_called_healthy(name):
    trainer = HEALTHY[name]()
    losses = trainer.history["loss"]
    assert losses[-1] < 0.75 * losses[0], "the training itself is no good"
    said = diagnose(trainer)
    assert said.healthy, str(said)
    assert "batch-leak" in said.asked


# ---------------------------------------------------------------- planted


class Leaky(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x):
        h = chainrule.tanh(self.a(x))
        return self.b(h - h.mean(0, keepdim=True))


class Detached(Leaky):
    def forward(self, x):
        return self.b(chainrule.tanh(self.a(x)).detach())


def without_the_first():
    model = mlp()
    parameters = [p for n, p in model.named_parameters() if not n.startswith("0.")]
    return fitted(model, nn.MSELoss(), *sums(), parameters=parameters)


def few_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 20)).astype(np.float32)
    y = ((x[:, 0] + rng.normal(size=80)) > 0).astype(np.int64)
    return fitted(mlp(nn.ReLU, width=64, inputs=20, outputs=2), nn.CrossEntropyLoss(), x[:40],
                  y[:40], 0.01, optim.Adam, 60, validation=(x[40:], y[40:]))  # fmt: skip


def rare():
    x, _ = sums()
    y = (np.random.default_rng(1).random(320) < 0.05).astype(np.int64)
    return fitted(mlp(outputs=2), nn.CrossEntropyLoss(), x, y)


def far_bias():
    model = mlp(nn.ReLU)
    with chainrule.no_grad():
        model[0].bias.fill_(-50.0)
    return fitted(model, nn.MSELoss(), *sums(), lr=0.01)


def unrelated():
    x, _ = sums()
    y = np.random.default_rng(1).normal(size=(320, 1)).astype(np.float32)
    return fitted(mlp(), nn.MSELoss(), x, y, lr=0.01)


def swinging():
    """Steps that land by turns farther off and nearer on the other side: 1 - 2 lr = -1.3, -0.77."""
    rng = np.random.default_rng(0)
    x = np.array([[-1.0], [1.0]], np.float32).repeat(16, 0)
    y = 2 * x + 0.1 * rng.normal(size=x.shape).astype(np.float32)
    model = nn.Linear(1, 1)
    with chainrule.no_grad():
        model.weight.fill_(-1.0)
    rates = [1.15 if i % 2 else 0.885 for i in range(20)]
    held = optim.SGD(model.parameters(), 1.0)
    scheduler = optim.lr_scheduler.LambdaLR(held, lambda i: rates[i])
    trainer = Trainer(model, nn.MSELoss(), held, scheduler=scheduler, callbacks=[Watch()],
                      compile=False)  # fmt: skip
    trainer.fit((x, y), epochs=12, batch_size=32)
    return trainer


def weak():
    """Half of what there is to learn lies in what the model can't see."""
    x, y = sums()
    x = x.copy()
    x[:, :3] = 0
    return fitted(nn.Linear(4, 1), nn.MSELoss(), x, y, lr=0.1, epochs=40)


def noise(target):
    """A table of chance, learned by the command."""
    rng = np.random.default_rng({"class": 1, "amount": 3, "labels": 2}[target])
    made = zip(rng.random(500), rng.random(500), rng.integers(0, 2, 500), rng.random(500),
               rng.integers(0, 3, 500), strict=True)  # fmt: skip
    with TemporaryDirectory() as folder:
        file = Path(folder, "t.csv")
        lines = [f"{a},{b},{'uv'[c]},{y},{('s|t', 't', 's')[k]}" for a, b, c, y, k in made]
        file.write_text("\n".join(["a,b,class,amount,labels", *lines]))
        words = ["train", str(file), "--target", target, "--epochs", "30", "--layers", "32"]
        more = ["--no-report", "-q", "--runs-dir", folder]
        assert CliRunner().invoke(app, [*words, *more]).exit_code == 0
        return Story.of(open_run("t", folder))


PLANTED = {
    "vanishing: sigmoid": ("vanishing", lambda: trained(
        "moons", layers=DEEP, activation="sigmoid", optimizer="sgd", lr=0.1)),
    "vanishing: small weights": ("vanishing", lambda: fitted(
        started(mlp(depth=5), lambda p: p.mul_(0.05)), nn.MSELoss(), *sums())),
    "exploding: rate": ("exploding", lambda: fitted(
        mlp(nn.ReLU), nn.MSELoss(), sums()[0], sums()[1] * 1e3, lr=1.0)),
    "exploding: weights": ("exploding", lambda: fitted(
        started(mlp(nn.ReLU, depth=6), lambda p: p.mul_(12.0)), nn.MSELoss(), *sums(), lr=1e-16)),
    "update-ratio: high": ("update-ratio", lambda: trained(
        "moons", optimizer="sgd", lr=50.0, epochs=30, patience=None)),
    "update-ratio: low": ("update-ratio", lambda: trained(
        "digits", optimizer="sgd", lr=1e-7, weight_decay=0.0, epochs=15, patience=None)),
    "unchanged: not in the optimizer": ("unchanged-weight", without_the_first),
    "unchanged: detached": ("unchanged-weight", lambda: fitted(
        Detached(), nn.MSELoss(), *sums())),
    "symmetry: zeros": ("symmetry", lambda: fitted(
        started(mlp(), lambda p: p.fill_(0.0)), nn.MSELoss(), *sums())),
    "symmetry: constant": ("symmetry", lambda: fitted(
        started(mlp(), lambda p: p.fill_(0.1)), nn.MSELoss(), *sums())),
    "dead: rate": ("dead-relu", lambda: trained("digits", lr=1.0, epochs=15, patience=None)),
    "dead: bias": ("dead-relu", far_bias),
    "saturated: weights": ("saturated", lambda: fitted(
        started(mlp(), lambda p: p.mul_(30.0)), nn.MSELoss(), *sums(), lr=1e-3)),
    "saturated: rate": ("saturated", lambda: trained(
        "moons", optimizer="sgd", lr=50.0, epochs=30, patience=None)),
    "scale: weights": ("activation-scale", lambda: fitted(
        started(mlp(nn.ReLU), lambda p: p.mul_(20.0)), nn.MSELoss(), *sums(), 1e-9, epochs=5)),
    "scale: inputs": ("activation-scale", lambda: fitted(
        mlp(nn.ReLU), nn.MSELoss(), sums()[0] * 1000, sums()[1], lr=1e-9, epochs=5)),
    "start: targets": ("loss-at-init", lambda: fitted(
        mlp(), nn.MSELoss(), sums()[0], sums()[1] + 100, lr=1e-3, epochs=5)),
    "start: last layer": ("loss-at-init", lambda: fitted(
        started(mlp(outputs=2), lambda p: p.mul_(20.0)), nn.CrossEntropyLoss(), sums()[0],
        (sums()[1][:, 0] > 0).astype(np.int64), lr=1e-3, epochs=5)),
    "flat: unrelated": ("loss-flat", unrelated),
    "flat: rate": ("loss-flat", lambda: trained(
        "digits", optimizer="sgd", lr=1e-5, weight_decay=0.0, epochs=8, patience=None)),
    "flat: one layer killed": ("loss-flat", lambda: trained(
        "digits", layers=(32,), optimizer="sgd", lr=30.0, epochs=10)),
    "dead: one layer killed": ("dead-relu", lambda: trained(
        "digits", layers=(32,), optimizer="sgd", lr=30.0, epochs=10)),
    "dead: in five epochs": ("dead-relu", lambda: trained(
        "digits", optimizer="adam", lr=1.0, epochs=5)),
    "flat: sigmoids pushed out": ("loss-flat", lambda: trained(
        "moons", layers=(8,) * 4, activation="sigmoid", optimizer="sgd", lr=30.0, epochs=20)),
    "saturated: sigmoids pushed out": ("saturated", lambda: trained(
        "moons", layers=(8,) * 4, activation="sigmoid", optimizer="sgd", lr=30.0, epochs=20)),
    "update-ratio: few steps": ("update-ratio", lambda: trained(
        "moons", layers=(16,), optimizer="sgd", lr=30.0)),
    "oscillating": ("loss-oscillating", swinging),
    "diverging": ("loss-diverging", lambda: trained(
        "moons", optimizer="sgd", lr=5.0, epochs=30, patience=None, schedule="constant")),
    "overfit": ("overfit", few_rows),
    "underfit": ("underfit", weak),
    "imbalance": ("imbalance", rare),
    "held out: class": ("held-out", lambda: noise("class")),
    "held out: amount": ("held-out", lambda: noise("amount")),
    "held out: labels": ("held-out", lambda: noise("labels")),
    "leak": ("batch-leak", lambda: fitted(Leaky(), nn.MSELoss(), *sums())),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name):
    rule, make = PLANTED[name]
    said = diagnose(make())
    assert rule in [f.id for f in said], str(said)


@pytest.mark.parametrize("name", [n for n in PLANTED if "killed" in n or "pushed" in n])
def test_a_dead_network_is_an_error_and_no_higher_rate_mends_it(name):
    said = diagnose(PLANTED[name][1]())
    assert said.failed
    rates = [x.changes["lr"] for f in said for x in f.fixes if "lr" in x.changes]
    assert rates
    assert max(rates) < 30.0, str(said)


def test_every_rule_is_planted_in_a_training():
    assert {rule for rule, _ in PLANTED.values()} == set(RULES)
