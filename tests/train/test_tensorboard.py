"""The callback TensorBoard: what TensorBoard itself reads back is what the training gave."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from train_cases import data, model

from chainrule import nn, optim
from chainrule.errors import ArgumentError, OutputError
from chainrule.train import LambdaCallback, Run, TensorBoard, Trainer, Watch
from chainrule.train.tensorboard import export

pytestmark = pytest.mark.skipif(find_spec("tensorboardX") is None, reason="no tensorboardX")


def fitted(folder, run=None, epochs=4, resume=False, stop_at=None):
    net = model()
    watch = Watch(every=5)
    stop = LambdaCallback(on_step_end=lambda t: t.interrupt("x") if t.step == stop_at else None)
    callbacks = [watch, TensorBoard(folder), *([stop] if stop_at else [])]
    optimizer = optim.Adam(net.parameters(), 0.02)
    t = Trainer(net, nn.CrossEntropyLoss(), optimizer, run=run, seed=1, callbacks=callbacks)
    if resume:
        t.resume(run)
    t.fit(data(), validation=data(), epochs=epochs, batch_size=4)
    return t, watch


def read(folder):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reading.EventAccumulator(str(folder), {"scalars": 0, "histograms": 0})
    found.Reload()
    return found


def scalars(found):
    held = {tag: [(e.step, e.value) for e in found.Scalars(tag)]
            for tag in found.Tags()["scalars"]}  # fmt: skip
    return {tag: dict(values) for tag, values in held.items()}


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ArgumentError, match=r"chainrule\[tensorboard\]"):
        TensorBoard("logs")


@pytest.mark.slow
def test_tensorboard_reads_what_the_training_gave(tmp_path):
    t, watch = fitted(tmp_path / "tb")
    found = read(tmp_path / "tb")
    for name in ("loss", "val_loss", "grad_norm"):
        tag = f"validation/{name[4:]}" if name.startswith("val_") else f"train/{name}"
        events = found.Scalars(tag)
        assert [e.step for e in events] == t.history["step"]
        np.testing.assert_allclose([e.value for e in events], t.history[name], 1e-6)
    assert watch.looks
    for layer in watch.looks[0].layers:
        events = found.Scalars(f"layers/{layer.name}/grad")
        assert [e.step for e in events] == [x.step for x in watch.looks]
        tag = f"layers/{layer.name}/activations"
        assert sum(found.Histograms(tag)[0].histogram_value.bucket) == sum(layer.activations.counts)
    with pytest.raises(OutputError, match="there already"):
        fitted(tmp_path / "tb")


@pytest.mark.slow
def test_it_writes_what_an_export_of_the_run_writes_and_takes_back_after_a_resume(tmp_path):
    run = Run.create("w", tmp_path)
    fitted(tmp_path / "tb", run, stop_at=9)
    again = Run(run.path)
    fitted(tmp_path / "tb", again, resume=True)
    export(again, tmp_path / "exported")
    ours, theirs = (scalars(read(tmp_path / f / run.name)) for f in ("tb", "exported"))
    for held in (ours, theirs):
        del held["train/seconds"]
    assert ours == theirs
    assert len(ours["train/loss"]) == 4
