"""Every public name says what it is; layers, losses, optimizers and schedules say it in an equation
with an example that runs (the examples themselves are run by pytest)."""

from __future__ import annotations

import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import chainrule
from chainrule import nn, optim

PUBLIC = (
    "chainrule", "chainrule.nn", "chainrule.nn.functional", "chainrule.nn.init",
    "chainrule.nn.utils", "chainrule.functional", "chainrule.autograd", "chainrule.check",
    "chainrule.optim", "chainrule.optim.lr_scheduler", "chainrule.data", "chainrule.train",
    "chainrule.train.tabular", "chainrule.sklearn",
    "chainrule.jit", "chainrule.diagnosis", "chainrule.diagnosis.before", "chainrule.playground",
    "chainrule.onnx",
)  # fmt: skip


def symbols(module_name):
    module = importlib.import_module(module_name)
    for name, value in vars(module).items():
        ours = getattr(value, "__module__", "chainrule").startswith("chainrule")
        if name[0] != "_" and ours and (callable(value) or inspect.ismodule(value)):
            yield name, value


def modules():
    for info in pkgutil.walk_packages(chainrule.__path__, "chainrule."):
        if not info.name.endswith("__main__"):
            yield info.name


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_has_a_docstring(module):
    for name, symbol in symbols(module):
        doc = inspect.getdoc(symbol)
        assert doc, f"{name} has no docstring"
        first = doc.splitlines()[0]
        assert len(first) <= 100, name
        assert first[-1] in ".:)" or len(doc.splitlines()) > 1, name
        for method, member in vars(symbol).items() if inspect.isclass(symbol) else ():
            public = method[0] != "_" and inspect.isfunction(member)
            assert not public or inspect.getdoc(getattr(symbol, method)), (
                f"{name}.{method} has no docstring"
            )


def test_every_module_has_a_docstring():
    for name in modules():
        source = Path(importlib.util.find_spec(name).origin).read_text()
        # the first statement of a module is its docstring: no other needs to be parsed
        assert not source.strip() or re.match(r'\s*r?"""\s*[^\s"]', source), name


def described():
    """Layers, losses, optimizers and schedules, but not their abstract bases."""
    schedules = optim.lr_scheduler
    bases = ((nn, nn.Module), (optim, optim.Optimizer), (schedules, schedules.LRScheduler))
    for module, base in bases:
        for name, c in vars(module).items():
            if inspect.isclass(c) and issubclass(c, base) and c is not base:
                yield pytest.param(c, id=name)


@pytest.mark.parametrize("cls", list(described()))
def test_it_states_an_equation_an_example_and_its_relation_to_pytorch(cls):
    doc = cls.__doc__
    assert doc, "no docstring of its own"
    prose = doc.split(">>>")[0]
    holds_modules = cls in (nn.ModuleList, nn.ModuleDict)
    assert " = " in prose or holds_modules, "no equation"
    assert ">>>" in doc, "no example"
    assert "PyTorch" in prose, "not a word on how it differs from PyTorch, or that it does not"
