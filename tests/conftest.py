"""Every test starts from the same seed, and leaves the global switches as it found them."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import settings

import chainrule
from chainrule import dtypes
from chainrule.compiler.pipeline import observed
from chainrule.compiler.verify import verify_step
from chainrule.ops.core import current
from chainrule.runtime.pace import Pace

LONG = {
    "chainrule.train.tensorboard.TensorBoard",  # whose package imports PyTorch, if there is one
    "10-reading-a-run.md",  # every command that reads a run, each tested in tests/cli
}

# Machines differ in speed.  Runs of one commit draw the same examples in CI; elsewhere new ones.
drawn = settings(deadline=None, database=None, derandomize="CI" in os.environ)
settings.register_profile("chainrule", drawn)
settings.register_profile("few", drawn, max_examples=25)  # `make test`; `make slow` draws them all
settings.load_profile("chainrule")


SYNC = os.fsync
OF_THE_RUN = "CACHE_DIR_OF_THE_RUN"
COMPILING = {"compiler", "jit", "runtime", "fuzz"}
"""Folders whose tests compile anew: a program's name in the cache says all that its code depends
on, the compiler's own files too, but how it is compiled is what they are about."""


def pytest_configure(config):
    """Compiled code of tests, docstrings and pages is kept in a folder that goes with the run, and
    that all processes of the run share; see also `pytest_runtest_setup`.  What is collected stays,
    so no garbage is looked for."""
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="chainrule-")
        os.environ["CHAINRULE_CACHE_DIR"] = os.environ[OF_THE_RUN] = folder.name
        config.add_cleanup(folder.cleanup)
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # there is a worker a processor
            os.environ.setdefault(name, "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's `&` has it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.fsync = os.fstat  # files of tests need not outlive the machine; but see on_disk
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Examples and pages cannot mark themselves."""
    for item in items:
        if item.name in LONG:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """Garbage of tests is found, without a walk through thousands of collected tests, and with few
    through all that was imported since: they took a twentieth of the time."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """`make test` keeps compiled code from one run to the next; tests of compiling do without."""
    kept = None if item.path.parent.name in COMPILING else os.environ.get("KEPT_CACHE_DIR")
    os.environ["CHAINRULE_CACHE_DIR"] = kept or os.environ[OF_THE_RUN]


def switches() -> dict[str, object]:
    """Everything global that a test could leave changed."""
    return {
        "grad mode": current.grad_enabled,
        "interpreter": current.interpreter,
        "interpreters": (current.tensors, current.compute),
        "recording": current.trace,
        "running module": current.module,
        "silence": current.quiet,
        "default dtype": dtypes.get_default_dtype(),
        "NumPy's error state": tuple(sorted(np.geterr().items())),
    }


def restore(before: dict[str, object]) -> None:
    current.grad_enabled = before["grad mode"]
    current.interpreter = before["interpreter"]
    current.tensors, current.compute = before["interpreters"]
    current.trace = before["recording"]
    current.module = before["running module"]
    current.quiet = before["silence"]
    dtypes.set_default_dtype(before["default dtype"])
    np.seterr(**dict(before["NumPy's error state"]))


@pytest.fixture
def on_all_threads(monkeypatch):
    """Loops run on as many threads as were asked for, whichever number is faster now."""
    plan = Pace.plan
    monkeypatch.setattr("chainrule.runtime.threads.WORK_A_THREAD", 1)
    monkeypatch.setattr(
        Pace, "plan", lambda self, steps, threads: (plan(self, steps, threads)[0], threads)
    )


@pytest.fixture(autouse=True)
def sealed():
    """Seeds what is random, verifies every step of compiling, and fails a test that leaves a global
    switch changed."""
    state = chainrule.get_rng_state()
    chainrule.manual_seed(0)
    np.random.seed(0)
    before = switches()
    with observed(verify_step):
        yield
    after = switches()
    restore(before)
    chainrule.set_rng_state(state)
    left = [f"{k}: {before[k]} -> {after[k]}" for k in before if before[k] != after[k]]
    assert not left, "the test left changed: " + ", ".join(left)


@pytest.fixture
def on_disk(monkeypatch):
    """Files are waited for until the disk has them, as users wait."""
    monkeypatch.setattr(os, "fsync", SYNC)


@pytest.fixture
def no_warnings():
    """Any warning within the test is an error, whoever runs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
