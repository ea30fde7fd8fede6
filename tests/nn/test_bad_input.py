"""What users do wrong: the error has PyTorch's type, says what came, names the layer and the line,
suggests the change, is short, and leaves every weight as it was."""

from __future__ import annotations

import numpy as np
import pytest
from misuse import Row, check_misuse, weights_hash

import chainrule
from chainrule import nn, ops, tensor, zeros
from chainrule.nn.utils import clip_grad_norm_


class Net(nn.Module):
    """784 -> 10 -> 3."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 10)
        self.body = nn.Sequential(nn.ReLU(), nn.Dropout(0.1), nn.Linear(10, 3))

    def forward(self, x):
        return self.body(self.fc1(x))


def longs(*numbers):
    return tensor(np.array(numbers, np.int64))


CE, MSE = nn.CrossEntropyLoss(), nn.MSELoss()
WEIGHTED = nn.CrossEntropyLoss(weight=zeros(4))
LINEAR = "fc1 (Linear)"
ROWS = [
    # 1: sizes that do not fit
    Row("inner size", lambda m: m(zeros(32, 783)), RuntimeError,
        ("(32, 783)", "(*, 784)", LINEAR, "Linear(783, 10)")),
    Row("transposed", lambda m: m(zeros(784, 32)), RuntimeError,
        ("(784, 32)", "(*, 784)", LINEAR, "x.T")),
    Row("unflattened", lambda m: m(zeros(32, 28, 28)), RuntimeError,
        ("(32, 28, 28)", "(*, 784)", LINEAR, "flatten(1)")),
    Row("one image", lambda m: m(zeros(28, 28)), RuntimeError,
        ("(28, 28)", "(*, 784)", LINEAR, "reshape(1, 784)")),
    Row("deeper layer", lambda m: m.body(zeros(2, 9)), RuntimeError,
        ("(2, 9)", "(*, 10)", "2 (Linear)", "Linear(9, 3)")),
    # 3: shapes that do not broadcast
    Row("broadcast", lambda m: zeros(3, 4) + zeros(3, 5), RuntimeError,
        ("(3, 4)", "(3, 5)", "4 against 5", "dimension -1")),
    # 4: a column against a row
    Row("column", lambda m: MSE(zeros(5, 1), zeros(5)), RuntimeError,
        ("(5, 1)", "(5,)", "(5, 5)", "MSELoss", "target.unsqueeze(-1)")),
    Row("row", lambda m: MSE(zeros(5), zeros(5, 1)), RuntimeError,
        ("(5, 1)", "(5,)", "(5, 5)", "MSELoss", "target.squeeze(-1)")),
    Row("other sizes", lambda m: MSE(zeros(5, 2), zeros(2, 5)), RuntimeError,
        ("(5, 2)", "(2, 5)", "target.reshape")),
    Row("pos_weight", lambda m: nn.BCEWithLogitsLoss(pos_weight=zeros(5))(zeros(2, 3), zeros(2, 3)),
        RuntimeError, ("pos_weight (5,)", "(2, 3)", "BCEWithLogitsLoss")),
    # 5: class targets that are floats
    Row("float classes", lambda m: CE(zeros(4, 3), zeros(4)), RuntimeError,
        ("float32 (4,)", "int64 (4,)", "float (4, 3)", "CrossEntropyLoss", "target.long()")),
    Row("float column", lambda m: CE(zeros(4, 3), zeros(4, 1)), RuntimeError,
        ("float32 (4, 1)", "target.squeeze(-1).long()")),
    Row("other probabilities", lambda m: CE(zeros(4, 3), zeros(4, 2)), RuntimeError,
        ("float32 (4, 2)", "float (4, 3)", "probabilities of the input's shape")),
    Row("class column", lambda m: CE(zeros(2, 3), longs([0], [1])), RuntimeError,
        ("(2, 1)", "(2,)", "target.squeeze(-1)")),
    # 6: class numbers out of range
    Row("class 3 of 3", lambda m: CE(zeros(4, 3), longs(0, 1, 2, 3)), IndexError,
        ("0 to 2", "from 0 to 3", "rows [3]", "4 classes", "CrossEntropyLoss")),
    Row("classes from 1", lambda m: CE(zeros(3, 3), longs(1, 2, 3)), IndexError,
        ("from 1 to 3", "rows [2]", "target - 1")),
    Row("negative class", lambda m: CE(zeros(3, 3), longs(1, -1, 0)), IndexError,
        ("from -1 to 1", "rows [1]", "ignore_index=-1")),
    Row("weights", lambda m: WEIGHTED(zeros(2, 3), longs(0, 1)), RuntimeError,
        ("(3,)", "(4,)", "one weight a class")),
    # 7: batches of different sizes
    Row("batch sizes", lambda m: CE(zeros(4, 3), longs(0, 1, 2)), ValueError,
        ("target (4,)", "input (4, 3)", "target (3,)", "loader", "CrossEntropyLoss")),
    # 8: logits where probabilities are needed
    Row("logits", lambda m: nn.BCELoss()(tensor([2.0, -1.5]), tensor([1.0, 0.0])), RuntimeError,
        ("[0, 1]", "from -1.5 to 2", "BCELoss", "binary_cross_entropy_with_logits")),
    Row("nan", lambda m: nn.BCELoss()(tensor([0.5, float("nan")]), tensor([1.0, 0.0])),
        RuntimeError, ("1 of 2 values are nan",)),
    # 9, 10: types
    Row("float64", lambda m: m(tensor(np.zeros((2, 784)))), RuntimeError,
        ("x float64", "x float32, as the weight", LINEAR, "x.float()")),
    Row("whole numbers", lambda m: m(tensor(np.zeros((2, 784), np.int64))), RuntimeError,
        ("x int64", "float32", LINEAR, "x.float()")),
    Row("whole numbers in a loss", lambda m: MSE(tensor([1]), tensor([1])), RuntimeError,
        ("int64", "MSELoss", "input.float()")),
    Row("an array", lambda m: m(np.zeros((2, 784), np.float32)), TypeError,
        ("ndarray", LINEAR, "chainrule.tensor(x)")),
    Row("a float64 array", lambda m: m(np.zeros((2, 784))), TypeError,
        ("linear", "ndarray", "chainrule.tensor(input)", LINEAR)),
    Row("a list for a layer", lambda m: m([1.0, 2.0]), TypeError, ("linear", "list", LINEAR)),
    Row("an array as target", lambda m: MSE(zeros(2), np.zeros(2)), TypeError,
        ("mse_loss", "target", "ndarray", "chainrule.tensor(target)")),
    Row("a list of weights", lambda m: nn.functional.cross_entropy(
        zeros(1, 3), longs(0), weight=[1, 2, 3]), TypeError, ("weight", "list")),
    Row("float64 weights", lambda m: nn.functional.cross_entropy(
        zeros(1, 3), longs(0), weight=zeros(3).double()), RuntimeError,
        ("float64", "float32", "weight.to(chainrule.float32)")),
    Row("weights of 0", lambda m: nn.functional.cross_entropy(
        zeros(1, 3), longs(0), weight=zeros(3)), RuntimeError,
        ("no elements", "weights", "(1, 3)")),
    Row("ignored probabilities", lambda m: nn.CrossEntropyLoss(ignore_index=1)(
        zeros(2, 3), zeros(2, 3)), RuntimeError, ("ignore_index=1", "float32 (2, 3)")),
    Row("windows without a step", lambda m: ops.windows(
        zeros(2, 3), grid=ops.Grid((2,), (0,), (0,), (1,))), ValueError,
        ("stride", ">= 1", "(0,)")),
    Row("a range the wrong way", lambda m: nn.init.uniform_(zeros(3), 2.0, 1.0), RuntimeError,
        ("uniform_", "a=2.0, b=1.0")),
    Row("a negative deviation", lambda m: nn.init.normal_(zeros(3), 0.0, -1.0), RuntimeError,
        ("normal_", "-1.0")),
    Row("a list", lambda m: CE(zeros(1, 3), [0]), TypeError,
        ("target", "list", "CrossEntropyLoss", "chainrule.tensor(target)")),
    # 26: a state of another model
    Row("prefixed state",
        lambda m: m.load_state_dict({f"module.{k}": v for k, v in m.state_dict().items()}),
        RuntimeError, ("Net", "missing: fc1.weight", "module.fc1.weight", "'module.'")),
    Row("renamed state",
        lambda m: m.load_state_dict({k.replace("fc1", "fcl"): v
                                     for k, v in m.state_dict().items()}),
        RuntimeError, ("is 'fcl.weight' of the state 'fc1.weight' of the model?",)),
    Row("misshaped state",
        lambda m: m.load_state_dict({**m.state_dict(), "fc1.weight": zeros(784, 10)}),
        RuntimeError, ("fc1.weight (784, 10) for (10, 784)", "fc1.weight.T")),
    # 30: nothing in the batch
    Row("empty batch", lambda m: CE(m(zeros(0, 784)), longs()), RuntimeError,
        ("(0, 3)", "CrossEntropyLoss", "empty batches")),
    Row("all ignored", lambda m: CE(zeros(2, 3), longs(-100, -100)), RuntimeError,
        ("all 2 targets are ignore_index -100",)),
    Row("empty mean", lambda m: MSE(zeros(0, 2), zeros(0, 2)), RuntimeError, ("(0, 2)", "MSELoss")),
    # 32: gradients that are not finite
    Row("clip", lambda m: clip_grad_norm_(_with_gradient(m, float("inf")), 1.0), RuntimeError,
        ("not finite", "inf", "error_if_nonfinite=False")),
    # 34: settings out of range
    Row("dropout", lambda m: nn.Dropout(1.5), ValueError, ("1.5", "between 0 and 1")),
    Row("dropout text", lambda m: nn.Dropout("half"), TypeError, ("'half'", "number")),
    Row("reduction", lambda m: nn.MSELoss("avg"), ValueError, ("'avg'", "'mean'", "'none'")),
    Row("smoothing", lambda m: nn.CrossEntropyLoss(label_smoothing=2), ValueError,
        ("label_smoothing", "0 to 1", "2")),
    Row("size", lambda m: nn.Linear(3.0, 2), TypeError, ("in_features", "3.0")),
    Row("negative size", lambda m: nn.Linear(3, -2), TypeError, ("out_features", "-2")),
    Row("function for layer", lambda m: nn.Sequential(nn.Linear(2, 2), chainrule.relu), TypeError,
        ("Relu", "nn.ReLU()")),
    # 36: __init__ without super().__init__()
    Row("no init", lambda m: _forgot(), AttributeError,
        ("before Module.__init__() call", "Forgot", "super().__init__()")),
]  # fmt: skip


def _with_gradient(model, value):
    for p in model.parameters():
        p.grad = chainrule.full(p.shape, value)
    return model.parameters()


def _forgot():
    class Forgot(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    return Forgot()


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_misuse(row):
    check_misuse(row, Net(), "test_bad_input.py:")


def test_clipping_that_raises_leaves_the_gradients():
    model = Net()
    model.body[2].bias.grad = tensor([1.0, 2.0, float("nan")])
    model.fc1.bias.grad = chainrule.ones(10)
    with pytest.raises(RuntimeError, match="not finite"):
        clip_grad_norm_(model.parameters(), 0.1)
    assert bool((model.fc1.bias.grad == 1).all())
    assert model.body[2].bias.grad.tolist()[:2] == [1.0, 2.0]


def test_out_of_memory_names_the_layer_and_the_size(monkeypatch):
    model = Net()
    before = weights_hash(model)
    x = zeros(2, 784).expand(1_000_000, 2, 784)  # a view: takes no memory

    def fail(*args, **kwargs):
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(type(ops.reshape), "forward", fail)
    with pytest.raises(MemoryError) as info:
        model(x)
    text = str(info.value)
    for part in ("5.84 GiB", "(2000000, 784)", LINEAR, "test_bad_input.py:", "smaller batch"):
        assert part in text, text
    assert len(text.splitlines()) <= 6
    monkeypatch.undo()
    assert weights_hash(model) == before
    model(zeros(2, 784)).sum().backward()  # and the model goes on


def test_the_line_is_that_of_the_innermost_user_code():
    model = Net()
    with pytest.raises(RuntimeError) as info:
        model(zeros(2, 3))
    text = str(info.value)
    first = Net.forward.__code__.co_firstlineno
    assert f"test_bad_input.py:{first + 1}" in text
