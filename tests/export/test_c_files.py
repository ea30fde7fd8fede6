"""C files against the engine: predictors of every layer, trainers over 50 steps, what they say."""

from __future__ import annotations

import ctypes
import re
import subprocess

import numpy as np
import pytest
from nn_cases import CASES

import chainrule
from chainrule import export_c, nn, optim, tensor
from chainrule.compiler.c import literal, literals
from chainrule.errors import ArgumentTypeError, ChainruleError, ExportError
from compiler.in_c import CC, STRICT, address, library, needs_cc
from export.exported import HOLD, eagerly, exported, worst

pytestmark = needs_cc
TOLERANCE = 1e-6
LISTED = [case for case in CASES if case.name not in HOLD]


def state_of(path, made):
    """The state that train_init fills, in more memory than it needs."""
    size = int(re.search(r"state +([\d,]+) bytes", path.read_text())[1].replace(",", ""))
    state = np.zeros(2 * size + 4096, np.uint8)
    made.train_init(address(state))
    return state


def predicted(model, arrays, folder):
    """What the predictor of a model gives."""
    path = folder / "model.c"
    export_c(model, tuple(arrays), path)
    results = [np.zeros(w.shape, w.dtype) for w in eagerly(model.eval(), arrays)]
    library(path, folder).predict(*map(address, [*arrays, *results]))
    return results


def held(case, folder):
    """The worst difference of a layer's predictor."""
    made = exported(case)
    return worst(predicted(made.model, made.arrays, folder), eagerly(made.model, made.arrays))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({case.name.split("(")[0] for case in LISTED}))
def test_the_predictor_of_a_layer(name, tmp_path):
    """At some of its cases: at all of them would take minutes of compiling."""
    own = [case for case in LISTED if case.name.split("(")[0] == name]
    for case in own[:: -(-len(own) // 4)]:
        assert held(case, tmp_path) <= TOLERANCE, case.name


def network(dtype=np.float32):
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.2), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 3),
    )  # fmt: skip
    return model.double() if dtype == np.float64 else model


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, TOLERANCE), (np.float64, 1e-14)])
def test_a_predictor(dtype, bound, tmp_path):
    model = network(dtype)
    x = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(dtype)
    assert worst(predicted(model, [x], tmp_path), eagerly(model.eval(), [x])) <= bound


# ---------------------------------------------------------------- trainers

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.002, momentum=0.5, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.05),
}


def step_of(model, optimizer):
    loss_fn = nn.CrossEntropyLoss()

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        return loss

    return chainrule.compile(step)


def test_all_optimizers_are_among_them():
    kinds = {name for name, c in vars(optim).items() if isinstance(c, type)}
    assert kinds - {"Optimizer"} == OPTIMIZERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-5), (np.float64, 1e-11)])
def test_a_trainer(name, dtype, bound, tmp_path):
    """50 steps with dropout and running statistics; then the trained weights predict."""
    model = nn.Sequential(  # a bias before the normalization would have no gradient but rounding
        nn.Linear(6, 24, bias=False), nn.BatchNorm1d(24), nn.Tanh(), nn.Dropout(0.3),
        nn.Linear(24, 3),
    )  # fmt: skip
    model = model.double() if dtype == np.float64 else model
    step = step_of(model, OPTIMIZERS[name](model.parameters()))
    rng = np.random.default_rng(1)
    batches = [(rng.normal(size=(40, 6)).astype(dtype), rng.integers(0, 3, 40)) for _ in range(50)]
    step(*map(tensor, batches[-1]))  # the state is no longer what it was at first
    path = tmp_path / "trainer.c"
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    generator = chainrule.get_rng_state().numpy().copy()
    export_c(step, batches[0], path, predict=(model, batches[0][0]))
    assert model.training
    assert all((model.state_dict()[k].numpy() == v).all() for k, v in state.items())
    assert (chainrule.get_rng_state().numpy() == generator).all()
    made = library(path, tmp_path)
    held, loss = state_of(path, made), np.zeros((), dtype)
    for x, y in batches:
        assert made.train_step(address(held), address(x), address(y), address(loss)) == 0
        np.testing.assert_allclose(loss, step(tensor(x), tensor(y)).numpy(), rtol=bound)
    x, y = batches[0][0], np.zeros((40, 3), dtype)
    made.predict(address(held), address(x), address(y))
    assert worst([y], eagerly(model.eval(), [x])) <= bound


@pytest.mark.slow
def test_the_first_step_of_a_new_optimizer(tmp_path):
    """There the rule finds no value in its slots; the state of the optimizer stays empty."""
    model = nn.Linear(3, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, dampening=0.5)
    step = step_of(model, optimizer)
    x, y = np.ones((2, 3), np.float32), np.array([0, 2])
    export_c(step, (x, y), tmp_path / "t.c")
    assert not optimizer.state
    assert not step.graphs
    made = library(tmp_path / "t.c", tmp_path)
    state, loss = state_of(tmp_path / "t.c", made), np.zeros((), np.float32)
    for _ in range(4):
        made.train_step(address(state), address(x), address(y), address(loss))
        np.testing.assert_allclose(loss, step(tensor(x), tensor(y)).numpy(), rtol=1e-6)


@pytest.mark.parametrize("shift", [0, 1], ids=["given", "computed"])
def test_a_step_that_is_refused_updates_nothing(shift, tmp_path):
    """Labels out of range, as they are given or as the step makes them: it returns 1."""
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.5)

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y - shift if shift else y)
        loss.backward()
        optimizer.step()
        return loss

    x, good, bad = np.ones((1, 2), np.float32), np.array([1 + shift]), np.array([7])
    export_c(step, (x, good), tmp_path / "t.c")
    made = library(tmp_path / "t.c", tmp_path)
    state, loss = state_of(tmp_path / "t.c", made), np.zeros((), np.float32)
    before = state.copy()
    assert made.train_step(address(state), address(x), address(bad), address(loss)) == 1
    assert (state == before).all()
    assert made.train_step(address(state), address(x), address(good), address(loss)) == 0
    assert (state != before).any()


def test_a_predictor_that_is_refused_says_so(tmp_path):
    model = nn.Sequential(nn.Embedding(4, 2), nn.Flatten())
    export_c(model, np.array([[1, 2]]), tmp_path / "m.c")
    made, y = library(tmp_path / "m.c", tmp_path), np.zeros((1, 4), np.float32)
    given = [np.array([row]) for row in ((1, 2), (0, 4), (-1, 0), (3, 3))]
    assert [made.predict(address(x), address(y)) for x in given] == [0, 1, 1, 0]
    np.testing.assert_array_equal(y, eagerly(model, given[-1:])[0])


# ---------------------------------------------------------------- the file


def test_a_program_of_its_own(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3), nn.Softmax(1))
    path, program = tmp_path / "m.c", tmp_path / "m"
    export_c(model, chainrule.ones(1, 2), path)
    command = [CC, *STRICT, "-DCHAINRULE_MAIN", str(path), "-o", str(program), "-lm"]
    subprocess.run(command, check=True)
    rows = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)
    text = "\n".join(" ".join(map(str, r)) for r in rows)
    printed = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    found = np.array([line.split() for line in printed.stdout.splitlines()], np.float32)
    np.testing.assert_allclose(found, eagerly(model, [rows])[0], rtol=1e-6)


class OfTheProgram(nn.Module):
    """Inputs whose names the program in the file has for itself."""

    def forward(self, stop, numbers):
        return stop - numbers


def test_its_program_takes_csv_and_refuses_what_is_no_row(tmp_path):
    """A row that is torn and a word among numbers end it with 1, and say where."""
    for model, example in (
        (OfTheProgram(), (chainrule.ones(1), chainrule.ones(1))),
        (nn.Linear(2, 1), chainrule.ones(1, 2)), (nn.Embedding(4, 2), np.array([[1, 2]])),
    ):  # fmt: skip
        path, program = tmp_path / "m.c", tmp_path / "m"
        export_c(model, example, path)
        command = [CC, *STRICT, "-DCHAINRULE_MAIN", str(path), "-o", str(program), "-lm"]
        subprocess.run(command, check=True)

        def told(text, program=program):
            done = subprocess.run(
                [program], input=text, capture_output=True, text=True, check=False
            )
            return done.returncode, done.stdout, done.stderr

        usual = told("1 2\n3 0\n")
        assert (usual[0], usual[1].count("\n"), usual[2]) == (0, 2, "")
        for text in ("1,2\r\n3,0\r\n", " 1;2\n\n3 ; 0", "1,\t2 3,0"):
            assert told(text) == usual
        assert told("") == (0, "", "")
        one = usual[1].splitlines(keepends=True)[0]
        wrong = {
            "1,2\n3": "number 4: the input ends here", "1,2\nx,0\n": "number 3: not a number",
            "1,2y\n": "number 3: not a number", "a,b\n1,2\n": "number 1: not a number",
        }  # fmt: skip
        for text, said in wrong.items():
            code, out, err = told(text)
            assert (code, err) == (1, f"error: stdin, {said}\n")
            assert out == ("" if text[0] == "a" else one)


def test_its_head_says_shapes_and_sizes(tmp_path):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    export_c(model, chainrule.ones(5, 4), tmp_path / "m.c")
    text = (tmp_path / "m.c").read_text()
    assert re.search(r"x +in +float32\[5,4\], 80 bytes", text)
    assert re.search(r"y +out +float32\[5,2\], 40 bytes", text)
    assert re.search(rf"constants +{4 * (4 * 8 + 8 + 8 * 2 + 2)} bytes", text)
    assert "malloc" not in text
    includes = set(re.findall(r"#include <(\w+)\.h>", text.split("CHAINRULE_MAIN\n")[0]))
    assert includes <= {"math", "stdint", "string"}


class Named(nn.Module):
    """Names that C keeps for itself, and names like those of loops and functions."""

    def __init__(self):
        super().__init__()
        self.int = nn.Linear(2, 2)
        self.exp = nn.Parameter(chainrule.ones(2))
        self.größe = nn.Parameter(chainrule.ones(2))

    def forward(self, v1, double, exp, i1):
        return (self.int(v1) * self.exp * self.größe + double).exp() * exp - i1


def test_names_that_c_keeps_for_itself(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 2)).astype(np.float32) for _ in range(4)]
    model = Named()
    assert worst(predicted(model, arrays, tmp_path), eagerly(model, arrays)) <= TOLERANCE
    assert (tmp_path / "model.c").read_text().isascii()
    text = (tmp_path / "model.c").read_text()
    export_c(chainrule.compile(model), tuple(arrays), tmp_path / "model.c")
    assert (tmp_path / "model.c").read_text() == text


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_literals_hold_every_bit(dtype, tmp_path):
    rng = np.random.default_rng(0)
    bits = np.uint32 if dtype == np.float32 else np.uint64
    x = rng.integers(0, np.iinfo(bits).max, 500, bits, endpoint=True).view(dtype)
    x = np.concatenate([x[np.isfinite(x)], np.array([0.0, -0.0, 5e-324, np.inf, -np.inf, 1e6, 3.0],
                                                    dtype)])  # fmt: skip
    kind = "float" if dtype == np.float32 else "double"
    held = [*literals(x), *(literal(v, x.dtype) for v in x.tolist())]
    source = tmp_path / "numbers.c"
    source.write_text(
        f"#include <math.h>\nconst {kind} numbers[{len(held)}] = {{{', '.join(held)}}};\n"
    )
    made = library(source, tmp_path)
    found = (getattr(ctypes, f"c_{kind}") * len(held)).in_dll(made, "numbers")
    assert np.frombuffer(found, dtype).tobytes() == 2 * x.tobytes()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("thing", "example", "kind", "message"),
    [
        (3, np.ones(2), ArgumentTypeError, "needs a model, or a function"),
        (nn.Linear(2, 2), "x", ArgumentTypeError, "the example is what"),
        (nn.Linear(2, 2), np.ones((1, 3), np.float32), ChainruleError, "inner sizes differ"),
        (lambda x, n: x * n, (np.ones(2), 3.0), ArgumentTypeError, "n is a Python number"),
        (lambda x: x, tensor([1.0]), ChainruleError, "returns what it was given"),
    ],
)
def test_what_is_refused(thing, example, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        export_c(thing, example, tmp_path / "m.c")
    assert not list(tmp_path.iterdir())


def test_too_many_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.export.c.LARGEST", 5)
    with pytest.raises(ExportError, match="too many numbers for a file of C"):
        export_c(nn.Linear(2, 2), chainrule.ones(1, 2), tmp_path / "m.c")
