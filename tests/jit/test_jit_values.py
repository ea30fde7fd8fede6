"""Values in Python: looks at them are refused with the line, checks of them are made all the same,
and whatever goes wrong, nothing has changed."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    GradError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
    TraceError,
)

F = nn.functional

LOOKS = {
    "if": (lambda x: 1 if x.sum() > 1 else 2, "the truth of a tensor"),
    "item": (lambda x: x.sum().item(), "item"),
    "float": (lambda x: float(x.sum()), r"float\(\)"),
    "int": (lambda x: int(x.sum()), r"int\(\)"),
    "format": (lambda x: f"{x.sum():.3f}", "item"),
    "NumPy": (lambda x: np.asarray(x), "NumPy"),
    "a function of NumPy": (lambda x: np.sin(x), "NumPy"),
    "numpy": (lambda x: x.numpy(), "NumPy"),
    "tolist": (lambda x: x.tolist(), "tolist"),
    "in": (lambda x: 1.0 in x, "in"),
    "equal": (lambda x: x.equal(x), "equal"),
    "allclose": (lambda x: chainrule.allclose(x, x), "allclose"),
    "range": (lambda x: range(x.sum().long()), "an index"),
    "slice": (lambda x: x[: x.sum().long()], "an index"),
    "nonzero": (lambda x: chainrule.nonzero(x), "nonzero"),
    "unique": (lambda x: chainrule.unique(x), "unique"),
    "multinomial": (lambda x: chainrule.multinomial(x, 1), "multinomial"),
    "one_hot": (lambda x: F.one_hot(x.long()), "one_hot without num_classes"),
    "mask": (lambda x: x[x > 0], r"x\[mask\]"),
    "list": (lambda x: chainrule.tensor([x[0], x[1]]), "a list of tensors"),
    "state": (lambda x: chainrule.initial_seed(), "initial_seed"),
    "seed": (lambda x: chainrule.manual_seed(3), "manual_seed"),
}


@pytest.mark.parametrize("kind", ["argument", "closure", "computed"])
@pytest.mark.parametrize("name", LOOKS)
def test_looks_at_values(name, kind):
    look, text = LOOKS[name]
    outside = chainrule.tensor([1.0, 2.0])

    def f(x):
        t = {"argument": x, "closure": outside, "computed": x * 1.0}[kind]
        return look(t)

    with pytest.raises(TraceError, match=f"(?s)({text}).*test_jit_values.py:\\d+") as error:
        chainrule.compile(f)(chainrule.tensor([1.0, 2.0]))
    assert len(str(error.value).splitlines()) <= 6
    assert "try" in str(error.value)


def test_the_line_and_the_maker_are_named():
    def f(x):
        y = x.exp()
        if y[0] > 1:
            return x
        return y

    with pytest.raises(TraceError) as error:
        chainrule.compile(f)(chainrule.ones(2))
    lines = str(error.value).splitlines()
    assert lines[0].startswith("the truth of a tensor: values are not known")
    assert "the result of gt, bool[]" in lines[2]
    assert lines[3].split("  ")[-1] == "y[0] > 1"
    assert "chainrule.where(condition, a, b)" in lines[4]


def test_a_number_that_is_needed_can_be_part_of_the_program():
    def f(x, n):
        return x.reshape(n, -1)

    with pytest.raises(TraceError, match=r"(?s)int\(\): values.*static=\['n'\]"):
        chainrule.compile(f)(chainrule.ones(4), 2)
    assert chainrule.compile(f, static=["n"])(chainrule.ones(4), 2).shape == (2, 2)


def test_what_may_be_read():
    seen = []

    def f(x):
        seen.append((x.shape, x.dtype, x.ndim, len(x), x.numel(), x.is_contiguous(), repr(x * 2)))
        known = chainrule.tensor([3, 1])
        return [x * n for n in known.tolist()], sum(row.sum() for row in x)

    a, b = chainrule.compile(f)(chainrule.ones(2, 3))
    assert [t[0, 0].item() for t in a] == [3, 1]
    assert b.item() == 6
    assert seen[0][:-1] == ((2, 3), chainrule.float32, 2, 2, 6, True)
    assert "float32[2,3]" in seen[0][-1]


def test_a_value_that_leaves_by_a_side_door():
    kept, params = [], {"w": chainrule.ones(2)}

    def collect(x):
        kept.append(x * 2.0)
        return x

    def exchange(x):
        params["w"] = params["w"] - x
        return x

    for f in (collect, exchange):
        with pytest.raises(TraceError, match=r"(?s)put into a list, a dict.*(mul|sub) at test_jit"):
            chainrule.compile(f)(chainrule.ones(2))
    for use in (lambda t: t + 1, lambda t: t.numpy(), lambda t: t.sum(), lambda t: t.tolist()):
        with pytest.raises(TraceError, match="after the function was recorded"):
            use(kept[0])
    assert "not known" in repr(kept[0])
    with pytest.raises(TraceError, match="after the function was recorded"):
        chainrule.compile(lambda x: x + kept[0])(chainrule.ones(2))
    params["w"] = chainrule.ones(2)

    def write(x):
        params["w"].copy_(params["w"] - x)
        return x

    chainrule.compile(write)(chainrule.ones(2))
    assert params["w"].tolist() == [0, 0]


class Keeps(nn.Module):
    def __init__(self):
        super().__init__()
        self.count, self.last = 0, None

    def forward(self, x, what):
        if what == "count":
            self.count += 1
        else:
            self.last = x * 2.0
        return x


@pytest.mark.parametrize("what", ["count", "last"])
def test_attributes_that_are_set(what):
    model = Keeps()
    with pytest.raises(TraceError, match=rf"(?s)an attribute of a module is set.*Keeps\.{what}"):
        chainrule.compile(lambda x: model(x, what))(chainrule.ones(2))
    assert (model.count, model.last) == (0, None)


def test_variables_that_are_set():
    total = chainrule.zeros(2)

    def f(x):
        nonlocal total
        total = total + x
        return total

    with pytest.raises(TraceError, match="the variable total is set"):
        chainrule.compile(f)(chainrule.ones(2))
    assert total.tolist() == [0, 0]


def test_a_history_from_outside():
    w = chainrule.ones(2).requires_grad_()
    h = w * 2.0
    with pytest.raises(TraceError, match="history from outside"):
        chainrule.compile(lambda x: (h * x).sum())(chainrule.ones(2))
    with pytest.raises(TraceError, match="history from outside"):
        chainrule.compile(lambda x: x * 2)(h)
    with chainrule.no_grad():
        assert chainrule.compile(lambda x: h * x)(chainrule.ones(2)).tolist() == [2, 2]


def test_a_result_has_no_history_outside():
    w = chainrule.ones(2).requires_grad_()
    loss = chainrule.compile(lambda: (w * w).sum())()
    with pytest.raises(GradError, match=r"(?s)computed inside a compiled function"):
        loss.backward()


# ---------------------------------------------------------------- checks of values


def test_class_numbers_are_checked_before_each_call():
    model = nn.Linear(2, 3)
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()

    @chainrule.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_of(model(x), y.squeeze(1))
        loss.backward()
        optimizer.step()
        return loss

    x, y = chainrule.randn(4, 2), chainrule.tensor([[0], [2], [1], [1]])
    bad = chainrule.tensor([[0], [3], [1], [1]])
    for _ in range(2):
        before = [p.detach().clone() for p in model.parameters()], repr(optimizer.state_dict())
        with pytest.raises(IndexRangeError, match=r"(?s)a class number is out of range.*line"):
            step(x, bad)
        with pytest.raises(ShapeError, match="all 4 targets are ignore_index"):
            step(x, chainrule.full((4, 1), -100))
        assert all(a.equal(b) for a, b in zip(before[0], model.parameters(), strict=True))
        assert repr(optimizer.state_dict()) == before[1]
        step(x, y)
    eager = loss_of(model(x), chainrule.tensor([0, -100, 1, 1])).item()
    assert step(x, chainrule.tensor([[0], [-100], [1], [1]])).item() == eager
    assert step.traces == 1


REFUSED = {
    "index": (lambda x, i: x[i], [0, 4], IndexRangeError, "index 4 is out of range"),
    "negative": (lambda x, i: x[i], [0, -5], IndexRangeError, r"index -\d is out of range"),
    "item": (lambda x, i: x[0, i], [0, 4], IndexRangeError, "index 4 is out of range"),
    "embedding": (lambda x, i: F.embedding(i, x), [0, 7], IndexRangeError, "index 7 is out"),
    "gather": (
        lambda x, i: chainrule.gather(x, 0, i.reshape(1, 2)), [0, 9], IndexRangeError,
        "gather: index 9",
    ),
    "one_hot": (lambda x, i: F.one_hot(i, 3), [0, 3], IndexRangeError, "one_hot: index 3"),
    "division": (lambda x, i: 7 // i, [1, 0], ChainruleError, "whole numbers divided by 0"),
    "power": (lambda x, i: 2**i, [1, -1], ChainruleError, "negative integer powers"),
    "probability": (
        lambda x, i: F.binary_cross_entropy(i.float(), x[0, :2] * 0.0), [1, 5], ArgumentError,
        "must hold probabilities|not admitted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.native
def test_values_that_are_refused(name, computed):
    """An input is checked before the call, what was computed after it: nothing was updated."""
    f, values, error, text = REFUSED[name]
    table = chainrule.randn(4, 4)
    count = chainrule.zeros(1)

    @chainrule.compile
    def step(i):
        count.add_(1.0)
        chainrule.rand(2)
        return f(table, i + 0 if computed else i)

    good = chainrule.tensor([1, 1])
    step(good)
    drawn = chainrule.get_rng_state()
    if computed:
        error, text = ChainruleError, "not admitted where it is used"
    with pytest.raises(error, match=text) as caught:
        step(chainrule.tensor(values))
    assert "test_jit_values.py" in caught.value.line
    assert count.tolist() == [1]
    assert chainrule.get_rng_state().equal(drawn)
    step(good)
    assert count.tolist() == [2]
    assert step.traces == 1


def clipped(kind, clip):
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.Linear(3, 1))
    optimizer = getattr(optim, kind)(model.parameters(), 0.1)

    @chainrule.compile
    def step(x, limit):
        optimizer.zero_grad()
        loss = model(x).mean()
        loss.backward()
        clip(model.parameters(), limit)
        optimizer.step()
        return loss

    return model, optimizer, step


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("clip", [nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
def test_a_gradient_that_is_not_finite_changes_nothing(kind, clip):
    model, optimizer, step = clipped(kind, clip)
    bad = chainrule.full((2, 2), float("nan"))
    for n in range(2):
        state = {k: v.clone() for k, v in model.state_dict().items()}
        before, drawn = repr(optimizer.state_dict()), chainrule.get_rng_state()
        text = "total norm of the gradients is not finite|holds nan|not admitted"
        with pytest.raises(ChainruleError, match=text):
            step(bad, 1.0)
        with pytest.raises(ArgumentError, match="must be >= 0"):
            step(chainrule.ones(2, 2), -1.0)
        assert repr(optimizer.state_dict()) == before
        assert all(v.equal(state[k]) for k, v in model.state_dict().items())
        assert chainrule.get_rng_state().equal(drawn)
        step(chainrule.ones(2, 2), 0.5 + n)
    assert step.traces == 1
    if kind == "Adam":
        assert optimizer.state_dict()["state"][0]["step"] == 2


def test_the_norm_is_said_where_it_is_not_finite():
    _, _, step = clipped("SGD", nn.utils.clip_grad_norm_)
    with pytest.raises(NonFiniteError, match="norm nan"):
        step(chainrule.full((2, 2), float("nan")), 1.0)


# ---------------------------------------------------------------- nothing has changed


class Stop(Exception):
    pass


def everything(model, optimizer):
    grads = [None if p._grad is None else p._grad.tolist() for p in model.parameters()]
    values = {k: v.tolist() for k, v in model.state_dict(keep_vars=True).items()}
    attributes = {name: sorted(vars(m)) for name, m in model.named_modules()}
    state = repr(optimizer.state_dict())
    leaves = [p.is_leaf and p.requires_grad for p in model.parameters()]
    return grads, values, attributes, state, leaves, chainrule.get_rng_state().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("started", [False, True])
def test_an_error_at_any_op_changes_nothing(started, monkeypatch):
    """A failure is injected at every recorded op in turn."""
    from chainrule.graph.trace import Recorder

    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.Linear(3, 2))
    model.register_buffer("seen", chainrule.zeros(1))
    optimizer = optim.Adam(model.parameters(), 0.1, amsgrad=True)

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        model.seen += 1
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    x, y = chainrule.randn(4, 2), chainrule.tensor([0, 1, 1, 0])
    if started:
        step(x, y)
        model.train()
    before = everything(model, optimizer)
    record, left = Recorder.__call__, [0]

    def failing(self, *args):
        left[0] -= 1
        if left[0] == 0:
            raise Stop
        return record(self, *args)

    monkeypatch.setattr(Recorder, "__call__", failing)
    for n in range(1, 1000):
        left[0] = n
        try:
            chainrule.compile(step)(x, y)
        except Stop:
            assert everything(model, optimizer) == before, n
        else:
            break
    assert n > 100
    assert everything(model, optimizer) != before


def test_an_error_of_the_program_changes_nothing(monkeypatch):
    from chainrule.jit import program as programs

    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)

    @chainrule.compile
    def step(x):
        optimizer.zero_grad()
        (model(x) + chainrule.rand(2)).sum().backward()
        optimizer.step()

    class Failing:
        def __init__(self, graph):
            pass

        def run(self, arrays, ran):
            raise Stop

    before = everything(model, optimizer)
    with monkeypatch.context() as m:
        m.setattr(programs, "build", Failing)
        for _ in range(2):
            with pytest.raises(Stop):
                step(chainrule.ones(1, 2))
            assert everything(model, optimizer) == before


@pytest.mark.parametrize(
    "use", [lambda x, k: F.dropout(x, k), lambda x, k: chainrule.full((3,), k), lambda x, k: f"{k}"]
)
def test_a_recorded_number_where_python_needs_one(use):
    with pytest.raises(TraceError, match=r"(?s)test_jit_values.py:.*static=\['k'\]"):
        chainrule.compile(lambda x, k: use(x, k))(chainrule.ones(3), 0.5)


def test_numpy_of_what_requires_grad_is_no_matter_of_detach():
    w = chainrule.ones(3, requires_grad=True)
    with pytest.raises(TraceError, match="return the tensor and read it outside"):
        chainrule.compile(lambda x: (w * x).numpy())(chainrule.ones(3))


def test_a_result_among_what_gradients_flow_through():
    w = chainrule.ones(3, requires_grad=True)
    f = chainrule.compile(lambda x: w * x)
    y = f(chainrule.ones(3))
    with pytest.raises(GradError, match=r"backward\(\) in the compiled function"):
        y.sum().backward()
    with pytest.raises(GradError, match=r"(?s)no history outside.*\.detach\(\)"):
        y.sum() + (w * w).sum()
    with chainrule.no_grad():
        scale = y.sum()
    for constant in (y.detach(), (y > 0).float(), y.argmax().float(), scale):
        (constant * w).sum().backward()
    assert (y * 2).mean().item() == 2.0
