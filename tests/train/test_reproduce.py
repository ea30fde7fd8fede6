"""A step that went to nan is kept in the run, and its script raises the same error again."""

import importlib
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
from train_cases import data

import chainrule
from chainrule import nn, optim
from chainrule.errors import FormatError, NonFiniteError, StateError
from chainrule.schemas import schema
from chainrule.train import LambdaCallback, Run, Trainer, reproduce
from chainrule.train.files import load_tensors, read_json
from chainrule.train.hooks import hooks_of, register
from chainrule.train.spelling import Spelling
from made_modules import MADE, MODULES

PROGRAM = """
import numpy as np
import chainrule
from chainrule import nn, optim
from chainrule.train import Run, Trainer


class Root(nn.Module):
    def __init__(self, power, name="root"):
        super().__init__()
        self.power, self.name = power, name

    def forward(self, x):
        return chainrule.log(x.abs() - self.power)  # the culprit


def far(x, y):
    return ((x - y) * 1e19).pow(2).mean()


def steep(x, y):
    return x.mean() * 1e10


def endless(g):
    return g * float("inf")


def logged(module, args, y):
    return (-1 - y * y).log()


def judged(module, args, y):
    return y if module.training else logged(module, args, y)


def strict(g):
    if abs(g).max().item() > 1e-9:
        raise chainrule.errors.NonFiniteError("strict: the gradient is too large", got="more")
    return None


def hook_in(model, kind):
    first = model[0]
    if kind == "gradient":
        first.weight.register_hook(endless)
    elif kind == "strict":
        first.weight.register_hook(strict)
    elif kind:
        first.register_forward_hook(judged if kind == "judged" else logged)


def net(plain=False):
    chainrule.manual_seed(0)
    inner = nn.Tanh() if plain else Root(0.0001)
    return nn.Sequential(nn.Linear(3, 7), nn.Dropout(0.3), inner, nn.Linear(7, 1)).double()


def train(folder, loss=None, lr=0.1, optimizer="Adam", hook=None, rows=None, **settings):
    given = {} if rows is None else {"sample_weight": rows}
    model = net(plain=loss or lr > 1 or hook or "validation" in settings)
    hook_in(model, hook)
    given["validation"] = settings.pop("validation", None)
    model = model.float() if loss else model
    kind = np.float32 if loss else np.float64
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(kind)
    optimizer = getattr(optim, optimizer)(model.parameters(), lr)
    loss, run = loss or nn.MSELoss(), Run.create("own", folder)
    trainer = Trainer(model, loss, optimizer, seed=2, run=run, **settings)
    trainer.fit((x, x[:, :1]), epochs=2000, batch_size=8, **given)


if __name__ == "__main__":
    import sys
    train(sys.argv[1])
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program of somebody's own, and its module."""
    file = tmp_path / "someones_program.py"
    file.write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(file.stem)
    del sys.modules[file.stem]


def again(folder):
    """The error that the script raises."""
    with pytest.raises(NonFiniteError) as caught:
        runpy.run_path(str(folder / "repro.py"), run_name="__main__")
    return caught.value


@pytest.mark.parametrize("settings", [
    {}, {"accumulate": 2, "clip_grad_norm": 1.0}, {"compile": False}, {"lr": 1e300},
    {"loss": "far"}, {"loss": "steep", "lr": 1e30, "optimizer": "SGD"}], ids=str)  # fmt: skip
def test_the_script_of_a_run_raises_the_same_error(program, tmp_path, settings):
    given = dict(settings)
    loss = getattr(program, given.pop("loss", ""), None)
    with pytest.raises(NonFiniteError) as caught:
        program.train(tmp_path / "runs", loss, **given)
    error, folder = caught.value, tmp_path / "runs" / "own-0001" / "nan"
    assert str(folder / "repro.py") in error.fix
    other = again(folder)
    assert (other.problem, other.expected) == (error.problem, error.expected)
    at = rf" at ({program.__name__}|repro)\.py:\d+"  # the loop is another, see the test below
    assert re.sub(at, "", other.got) == re.sub(at, "", error.got)
    assert other.origin._replace(line="", text="") == error.origin._replace(line="", text="")
    held = read_json(folder / "nan.json")
    assert (held["step"], held["error"], held["found"]) == (error.step, error.problem, error.got)
    assert (held["op"], held["line"]) == (error.origin.op, error.origin.line)
    assert held["last_good_step"] == error.last_good_step
    assert load_tensors(folder / "model.safetensors")


def same(error, other):
    """Whether two errors say the same, but for the file and line of the loop."""
    at = r"( at | line )?\b\w+\.py:\d+"
    texts = [re.sub(at, "", f"{e.problem}; {e.got}; {e.layer}") for e in (error, other)]
    return texts[0] == texts[1]


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("hook", [None, "gradient", "forward", "strict"])
@pytest.mark.parametrize("anomaly", [False, True], ids=["", "anomaly"])
def test_hooks_and_detect_anomaly_are_made_again(program, tmp_path, hook, anomaly, compile):
    if hook == "strict" and compile:
        pytest.skip("a hook that looks at values can't be compiled")
    with pytest.raises(NonFiniteError) as caught, chainrule.detect_anomaly(anomaly):
        program.train(tmp_path / "runs", hook=hook, compile=compile)
    folder = tmp_path / "runs" / "own-0001" / "nan"
    assert str(folder / "repro.py") in caught.value.fix
    other = again(folder)
    assert same(caught.value, other)
    assert type(other) is type(caught.value)
    held = read_json(folder / "nan.json")
    assert held["anomaly"] is anomaly
    assert held["hooks_left_out"] == []
    assert held["error"] == caught.value.problem
    if anomaly and hook != "strict":
        assert held["op"] == (None if hook == "gradient" else "log")
        assert hook == "gradient" or held["values"] == caught.value.got
    assert set(held) == set(schema("nan")["required"])


def test_a_step_with_weights_of_rows_is_made_again(program, tmp_path):
    with pytest.raises(NonFiniteError) as caught:
        program.train(tmp_path, rows=np.linspace(0.1, 1.0, 64))
    assert same(caught.value, again(tmp_path / "own-0001" / "nan"))


def held_out(bad_row, rows=600):
    x = np.random.default_rng(1).normal(size=(rows, 3))
    x[bad_row] = 1e200  # whose square is infinite
    return x, x[:, :1]


VALIDATED = {}, {"compile": False}, {"ema": 0.9}, {"hook": "judged"}, {"anomaly": True}


@pytest.mark.parametrize("settings", VALIDATED, ids=str)
def test_the_loss_of_a_validation_that_is_not_finite_is_made_again(program, tmp_path, settings):
    given = dict(settings)
    anomaly = given.pop("anomaly", False)
    held_rows = held_out(0 if "hook" in given else 300)
    with pytest.raises(NonFiniteError) as caught, chainrule.detect_anomaly(anomaly):
        program.train(tmp_path, validation=held_rows, **given)
    folder = tmp_path / "own-0001" / "nan"
    assert "repro.py makes this loss again" in caught.value.fix
    assert same(caught.value, again(folder))
    held = read_json(folder / "nan.json")
    assert set(held) == set(schema("nan")["required"])
    number = 1 if "hook" in given else 2
    assert (held["of"], held["batch"], held["step"]) == ("validation", number, 8)
    rows = load_tensors(folder / "batch.safetensors")
    whole = held_rows[0][(number - 1) * 256 : number * 256]
    assert np.array_equal(np.asarray(rows["0.0"]), whole)
    assert held["line"]
    if not anomaly:
        assert f"batch {number} of the validation data, first in " in caught.value.got


def test_hooks_without_a_text_are_named(tmp_path):
    model = nn.Linear(3, 3)
    model.register_forward_hook(lambda module, args, y: y * float("nan"))
    run = Run.create("hooked", tmp_path)
    with pytest.raises(NonFiniteError):
        Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1), run=run).fit(
            data(), epochs=1)  # fmt: skip
    (left,) = read_json(run.path / "nan" / "nan.json")["hooks_left_out"]
    named = r"the forward hook \S+<lambda> of the model at test_reproduce.py:\d+"
    assert re.fullmatch(named, left)
    assert left in (run.path / "nan" / "repro.py").read_text()
    with pytest.raises(StateError, match="the forward hook"):
        runpy.run_path(str(run.path / "nan" / "repro.py"), run_name="__main__")


def test_a_hook_that_a_module_registers_itself_is_not_there_twice(program):
    model = program.net(plain=True)
    program.hook_in(model, "gradient")
    found = hooks_of(model, Spelling())
    register(model, [(h.place, h.kind, h.function) for h in found])
    assert hooks_of(model, Spelling()) == found
    twin = program.net(plain=True)
    register(twin, [(h.place, h.kind, h.function) for h in found])
    assert hooks_of(twin, Spelling()) == found


def test_the_error_of_an_operation_names_it_and_its_line(program, tmp_path):
    with pytest.raises(NonFiniteError):
        program.train(tmp_path)
    found = read_json(tmp_path / "own-0001" / "nan" / "nan.json")
    number = 1 + PROGRAM.split("\n").index(
        next(line for line in PROGRAM.split("\n") if "the culprit" in line))  # fmt: skip
    assert (found["op"], found["line"]) == ("log", f"someones_program.py:{number}")
    assert found["layer"] == "2"
    assert "nan at x = -" in found["values"]


@pytest.mark.slow
def test_a_program_and_its_script_in_processes_of_their_own(program, tmp_path):
    def run(*command):
        return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True,
                              check=False, cwd=tmp_path)  # fmt: skip

    first = run("someones_program.py", "runs")
    script = tmp_path / "runs" / "own-0001" / "nan" / "repro.py"
    second = run(script)
    assert first.returncode == second.returncode == 1
    told = [t.stderr[t.stderr.index("Diverged: ") :].split("\n  try")[0] for t in (first, second)]
    assert told[0] == told[1]
    assert "first in log at someones_program.py" in told[0]


def test_what_no_program_can_make_is_left_to_the_reader(tmp_path):
    class Inner(nn.Module):
        def forward(self, x):
            return chainrule.log(x - 1e4)

    model = nn.Sequential(nn.Linear(3, 3), Inner())
    optimizer = optim.SGD(model.parameters(), 0.1)
    run = Run.create("local", tmp_path)
    with pytest.raises(NonFiniteError) as caught:
        Trainer(model, nn.CrossEntropyLoss(), optimizer, run=run).fit(data(), epochs=1)
    with pytest.raises(SystemExit, match=r"make the model, Sequential"):
        runpy.run_path(str(run.path / "nan" / "repro.py"), run_name="__main__")
    twin = nn.Sequential(nn.Linear(3, 3), Inner())
    with pytest.raises(NonFiniteError) as other:
        reproduce(run.path / "nan", twin, nn.CrossEntropyLoss(), optim.SGD(twin.parameters(), 1.0))
    assert other.value.got == caught.value.got


def test_a_step_that_is_finite_this_time_is_said(tmp_path):
    def spoil(t):
        t.model.weight.register_hook(lambda g: g * float("inf"))

    model = nn.Linear(3, 3)
    run = Run.create("hooked", tmp_path)
    t = Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1), run=run,
                callbacks=[LambdaCallback(on_epoch_end=spoil)])  # fmt: skip
    with pytest.raises(NonFiniteError, match="gradient of weight"):
        t.fit(data(), epochs=2)
    with pytest.raises(StateError, match="every number of this step is finite here"):
        runpy.run_path(str(run.path / "nan" / "repro.py"), run_name="__main__")
    (run.path / "nan" / "nan.json").write_text("{}")
    with pytest.raises(FormatError, match="no step that can be made again"):
        runpy.run_path(str(run.path / "nan" / "repro.py"), run_name="__main__")


def plain(module):
    kinds = (int, float, str, bool, tuple, type(None))
    own = {k: v for k, v in vars(module).items() if isinstance(v, kinds)}
    return own, {k: v.shape for k, v in module.state_dict().items()}, repr(module)


@pytest.mark.parametrize("name", [n for n in MADE if n != "ModuleDict"])
def test_every_layer_has_a_text_that_makes_it(name):
    module = MADE[name][0](MODULES[name])
    spelling = Spelling()
    text, names = spelling.of(module), {}
    exec("\n".join(spelling.imports), names)
    assert plain(eval(text, names)) == plain(module)
