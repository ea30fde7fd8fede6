"""Numbers that are not finite: refused before training, and stopped at the step they appear in."""

import numpy as np
import pytest
from train_cases import bits, data, trainer

import chainrule
from chainrule import nn, optim
from chainrule.data import ConcatDataset, Subset, TensorDataset
from chainrule.errors import NonFiniteError
from chainrule.train import LambdaCallback, Trainer
from chainrule.train.guard import gradient_norm

pytestmark = pytest.mark.usefixtures("both_ways")

FIT = {"epochs": 3, "batch_size": 4, "validation": data()}


def spoiled(kind):
    """A callback that spoils something after step 4, so that step 5 meets it."""

    def spoil(t):
        if t.step == 4:
            before.append(bits(t))
            if kind == "gradient":
                t.model[4].weight.register_hook(lambda g: g * float("nan"))
            elif kind == "loss":
                t.loss = lambda x, y: nn.CrossEntropyLoss()(x, y) * float("inf")
            elif kind == "overflow":
                t.loss = lambda x, y: nn.CrossEntropyLoss()(x, y) * 1e25
            else:
                t.optimizer.param_groups[0]["lr"] = {"lr": float("nan"), "large lr": 1e300}[kind]

    before = []
    return before, LambdaCallback(on_step_end=spoil)


@pytest.mark.parametrize("kind", ["gradient", "loss", "overflow", "lr", "large lr"])
def test_stops_at_the_step_with_the_weights_of_the_last_good_one(kind):
    before, callback = spoiled(kind)
    t = trainer(callbacks=[callback], scheduler=None, clip_grad_norm=None)
    with pytest.raises(NonFiniteError) as caught:
        t.fit(data(), **FIT)
    error = caught.value
    t.optimizer.param_groups[0]["lr"] = 0.02
    assert bits(t) == before[0]
    assert (error.epoch, error.step, error.last_good_step) == (2, 5, 4)
    assert len(error.grad_norms) == 4
    text = str(error)
    for part in ("epoch 2, step 5", "lr ", "last good step is 4", "gradient norms", "try"):
        assert part in text
    assert len(text.splitlines()) <= 6
    assert all(p.grad is None for p in t.model.parameters())


def test_the_error_names_the_operation_its_line_and_the_layer():
    class Log(nn.Module):
        def forward(self, x):
            return chainrule.log(x - 1e4)  # the culprit

    net = nn.Sequential(nn.Linear(3, 3), Log(), nn.Linear(3, 3))
    t = Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1))
    with pytest.raises(NonFiniteError, match=r"first in log at test_guard.py:\d+ \(layer 1\)"):
        t.fit(data(), epochs=1)


def test_before_the_first_update_no_learning_rate_is_advised():
    net = nn.Linear(3, 3)
    net.register_forward_hook(lambda module, args, y: (y * 0 - 1).log())
    t = Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1))
    with pytest.raises(NonFiniteError, match="no step has changed the weights yet") as told:
        t.fit(data(), epochs=1)
    assert "lr=" not in told.value.fix
    net = nn.Linear(3, 3)
    t = Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 1e39))
    with pytest.raises(NonFiniteError, match="the update is not finite") as told:
        t.fit(data(), epochs=1)
    assert told.value.fix == "lr=0.01, or clip_grad_norm=1.0"


def test_advice_speaks_of_the_scale_of_the_inputs():
    net = nn.Linear(2, 1)
    x = np.array([[1e5, 1.0], [-9e4, 2.0]] * 8, np.float32)
    t = Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), 0.1))
    with pytest.raises(NonFiniteError, match=r"lr=0.01.*scaled.*1e\+05"):
        t.fit((x, x[:, :1] * 2), epochs=1000)


def test_advice_for_an_absurd_rate_is_a_usual_one():
    net = nn.Linear(3, 1)
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    t = Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), 1e6))
    with pytest.raises(NonFiniteError, match=r"lr=0.01, or clip"):
        t.fit((x, x[:, :1]), epochs=1000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["inputs", "targets", "validation"])
def test_data_are_refused_before_the_first_step(value, what):
    x, y = data()
    y = y.astype(np.float32)[:, None]
    bad_x, bad_y = x.copy(), y.copy()
    bad_x[[3, 7], [1, 2]] = value
    bad_y[[3, 7]] = value
    net = nn.Linear(3, 1)
    t = Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), 0.1))
    train = {"inputs": (bad_x, y), "targets": (x, bad_y), "validation": (x, y)}[what]
    held = (bad_x, y) if what == "validation" else None
    with pytest.raises(NonFiniteError, match="2 nan or infinite in 2 rows") as caught:
        t.fit(train, validation=held, epochs=1)
    assert "3, 7" in str(caught.value)
    assert t.step == 0


def test_rows_are_numbered_as_in_the_data_beneath_a_subset():
    x, y = data()
    x[5, 0] = np.nan
    whole = TensorDataset(x, y)
    net = nn.Linear(3, 3)
    t = Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1))
    t.fit(Subset(whole, [0, 1, 2]), epochs=1)
    for dataset in (Subset(whole, [9, 5]), Subset(Subset(whole, [2, 9, 5]), [2]),
                    ConcatDataset([Subset(whole, [1]), Subset(whole, [9, 5])])):  # fmt: skip
        with pytest.raises(NonFiniteError, match=r"1 row \(number 5\)"):
            t.fit(dataset, epochs=1)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e25, 3e38])
def test_the_norm_of_large_gradients_is_finite(size):
    p = chainrule.zeros(4, requires_grad=True)
    p.grad = chainrule.full((4,), size)
    expected = 2.0 * float(np.float32(size)) if size >= 1.0 or size == 0.0 else 0.0
    assert gradient_norm([p]) == pytest.approx(expected)
    p.grad[1] = float("nan")
    assert not np.isfinite(gradient_norm([p]))


def test_columns_of_a_data_frame_are_named():
    class Frame:
        """What NumPy and Chainrule see of a data frame."""

        columns = ("age", "height", "weight")

        def __array__(self, dtype=None, copy=None):
            return x

    x, y = data()
    x[2, 1] = np.nan
    net = nn.Linear(3, 3)
    t = Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1))
    with pytest.raises(NonFiniteError, match="column height"):
        t.fit((Frame(), y), epochs=1)


def test_evaluation_refuses_and_says_what_is_not_finite():
    x, y = data()
    net = nn.Linear(3, 3)
    t = Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1))
    huge = np.full_like(x, 3e38)
    with pytest.raises(NonFiniteError, match=r"validation loss is (nan|inf) after epoch 1, step 1"):
        t.fit((x, y), validation=(huge, y), epochs=2)
    x[1, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"1 row \(number 1\), column 1"):
        t.evaluate((x, y))
