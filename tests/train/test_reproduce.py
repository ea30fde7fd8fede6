"""A step that went to nan is kept in the run, and its script raises the same error again."""

import importlib
import re
import runpy
import subprocess
import sys

import pytest
from train_cases import data

import chainrule
from chainrule import nn, optim
from chainrule.errors import FormatError, NonFiniteError, StateError
from chainrule.train import LambdaCallback, Run, Trainer, reproduce
from chainrule.train.files import load_tensors, read_json
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


def net(plain=False):
    chainrule.manual_seed(0)
    inner = nn.Tanh() if plain else Root(0.0001)
    return nn.Sequential(nn.Linear(3, 7), nn.Dropout(0.3), inner, nn.Linear(7, 1)).double()


def train(folder, loss=None, lr=0.1, optimizer="Adam", **settings):
    model = net(plain=loss or lr > 1)
    model = model.float() if loss else model
    kind = np.float32 if loss else np.float64
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(kind)
    optimizer = getattr(optim, optimizer)(model.parameters(), lr)
    loss, run = loss or nn.MSELoss(), Run.create("own", folder)
    trainer = Trainer(model, loss, optimizer, seed=2, run=run, **settings)
    trainer.fit((x, x[:, :1]), epochs=2000, batch_size=8)


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
