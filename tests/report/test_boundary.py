"""Pictures of a decision boundary: few, from the first step to the last, and true."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from chainrule import data, nn, optim
from chainrule.report import boundary
from chainrule.report.boundary import FILE, Frames, cells_of, read_frames, still
from chainrule.report.moments import MOST
from chainrule.train import Run, Trainer
from report_cases import mlp


def trainer(model, run=None):
    """On XOR, eager, with a boundary."""
    x, y = data.xor(40, seed=0)
    frames = Frames(np.asarray(x))
    t = Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1), run=run,
                callbacks=[frames], compile=False, seed=0)  # fmt: skip
    return t, frames, data.TensorDataset(x, y)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(boundary, "SIDE", 6)


def test_there_are_never_too_many_and_they_span_the_training():
    t, frames, rows = trainer(mlp((2, 3, 2)))
    t.fit(rows, epochs=3 * MOST, batch_size=40)
    steps = [f["step"] for f in frames.frames]
    assert (steps[0], steps[-1]) == (0, 3 * MOST)
    assert MOST / 3 < len(steps) <= MOST + 1
    gaps = np.diff(steps[:-1])
    assert len(set(gaps.tolist())) == 1, "evenly spread"


def test_the_last_picture_is_what_the_model_says():
    model = mlp((2, 3, 2))
    t, frames, rows = trainer(model)
    t.fit(rows, epochs=2, batch_size=40)
    cells = np.frombuffer(base64.b64decode(frames.frames[-1]["cells"]), np.uint8)
    said = np.asarray(model(frames.grid).argmax(1))
    assert (cells // boundary.LEVELS == said).all()
    grid = np.asarray(frames.grid).reshape(6, 6, 2)
    assert (grid[0, :, 1] > grid[-1, :, 1]).all(), "up is up"


def test_resuming_goes_on_with_the_pictures(tmp_path):
    run = Run.create("made", tmp_path)
    t, _, rows = trainer(mlp((2, 3, 2)), run)
    t.fit(rows, epochs=3, batch_size=40)
    before = read_frames(run.path / FILE)
    again, _, rows = trainer(mlp((2, 3, 2)), Run(run.path))
    again.resume(run)
    again.fit(rows, epochs=5, batch_size=40)
    after = read_frames(run.path / FILE)
    assert after["frames"][:3] == before["frames"][:3]
    assert [f["step"] for f in after["frames"]] == [0, 1, 2, 3, 4, 5]


def test_a_unit_is_0_on_its_line():
    model = mlp((2, 3, 2))
    w, b = (np.asarray(t.detach(), np.float64) for t in (model[0].weight, model[0].bias))
    for unit, (w0, w1, c) in enumerate(boundary.units_of(model)):
        x = np.array([0.3, -(w0 * 0.3 + c) / w1])
        assert abs(w[unit] @ x + b[unit]) < 1e-2 * (1 + abs(w[unit]).max() * abs(x).max())


def test_cells_say_class_and_confidence():
    p = np.array([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8], [np.nan, 0.5]])
    assert cells_of(p).tolist() == [0, 3, 4 + 2, 255]


def test_a_still_picture_covers_the_plane_once():
    t, frames, _ = trainer(mlp((2, 3, 2)))
    frames.on_fit_start(t)
    x, y = (np.asarray(v) for v in data.xor(40, seed=0))
    drawing = still(frames.as_data(), 0, x, y)
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-", drawing)
    covered = [(int(x) + k, int(y)) for x, y, wide in runs for k in range(int(wide))]
    assert sorted(covered) == sorted((i, j) for i in range(6) for j in range(6))


def test_rows_of_all_classes_are_drawn_whatever_their_order():
    x, y = np.zeros((400, 2)), np.arange(400) % 2
    held = {"low": [-1.0, -1.0], "high": [1.0, 1.0]}
    assert len(boundary.points(held, x, y, 300)) == 2
    assert len(boundary.points(held, x, np.sort(y), 300)) == 2
