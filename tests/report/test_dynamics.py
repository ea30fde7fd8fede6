"""Predictions for a few rows over the training: what the model said, when it said it."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import data, nn, optim
from chainrule.errors import FormatError
from chainrule.functional import softmax
from chainrule.report.dynamics import FILE, Batch, chart
from chainrule.report.moments import MOST, read_moments
from chainrule.train import Run, Trainer
from report_cases import mlp


@pytest.fixture
def run(tmp_path):
    run = Run.create("made", tmp_path)
    x, y = data.xor(40, seed=0)
    model = mlp((2, 3, 2))
    before = np.asarray(softmax(model(x[:5]), -1).detach())
    t = Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.5), run=run,
                callbacks=[Batch(x[:5], np.asarray(y[:5]), "of the rows")], compile=False,
                seed=0)  # fmt: skip
    t.fit(data.TensorDataset(x, y), epochs=2 * MOST + 3, batch_size=40)
    return run, before, np.asarray(softmax(model(x[:5]), -1).detach()), np.asarray(y[:5])


def test_the_first_and_the_last_are_what_the_model_gave(run):
    run, before, after, y = run
    held = read_moments(run.path / FILE)
    for frame, p in ((held["frames"][0], before), (held["frames"][-1], after)):
        assert np.allclose(frame["given"], p[np.arange(5), y], rtol=1e-3)
        assert frame["predicted"] == p.argmax(1).tolist()
    assert held["frames"][0]["accuracy"] is None, "nothing was measured before the first step"
    found = chart(held, ("no", "yes"))
    assert f"{int((before.argmax(1) == y).sum())} are right at first" in found.title
    assert len(found.picture.x) == len(held["frames"]) <= MOST + 1
    assert sorted(found.picture.names) == sorted(row[0] for row in found.rows)
    sums = [sum(row) for row in found.picture.values]
    assert sums == sorted(sums), "the one learned last stands on top"


@pytest.mark.parametrize("text", ["", "[]", '{"frames": [{}]}', '{"frames": 1}'])
def test_what_is_no_file_of_pictures_is_refused(tmp_path, text):
    path = tmp_path / FILE
    path.write_text(text)
    with pytest.raises(FormatError, match=r"predictions\.json"):
        read_moments(path)
    assert read_moments(tmp_path / "none.json") is None
