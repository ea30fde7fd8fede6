"""The bar on stderr: when it shows itself, what it says, and that it goes away."""

from __future__ import annotations

import io
import itertools
import re
import time
from contextlib import redirect_stderr

import pytest
import train_cases as cases

from chainrule.train import progress
from chainrule.train.progress import Bar, amount, can_be_redrawn, clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    for name in ("CI", "TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "BEGINS_S", 0.0)
    return Terminal()


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_fit_shows_steps_rate_and_loss_and_changes_no_bit(stderr):
    x, y = cases.data()
    found = []
    for shown in (None, False):
        trainer = cases.trainer()
        with redirect_stderr(stderr):
            trainer.fit((x, y), epochs=3, validation=(x, y), batch_size=4, progress=shown)
        found.append(cases.bits(trainer))
        said = plain(stderr.getvalue())
        if shown is None:
            assert re.search(r"fit .*steps/s.*epoch 3, loss \d", said, re.S)
        stderr.truncate(0)
    assert not stderr.getvalue()
    assert found[0] == found[1]


def test_without_a_terminal_there_is_a_line_now_and_then(stderr, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    for lines in (False, True):
        with redirect_stderr(stderr), Bar("rows", "rows", live=False, lines=lines) as bar:
            bar.at(1, 4, "half way")
            bar.at(3, None)
    said = stderr.getvalue().splitlines()
    assert len(said) == 2
    assert re.fullmatch(r"rows: 1 of 4 rows, .* rows/s, 0:00:0\d left; half way", said[0])
    assert re.fullmatch(r"rows: 3 rows, .* rows/s", said[1])


@pytest.mark.parametrize("width", [50, 60, 80, 100, 200])
def test_a_narrow_terminal_keeps_the_numbers(stderr, monkeypatch, width):
    """The bar goes and the note is cut; what is done, the rate and the time left stay whole."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(time, "monotonic", itertools.count(0, 10).__next__)
    note = "loss 0.5069, validation accuracy 0.9437"
    with redirect_stderr(stderr), Bar("training", "epochs", live=True) as bar:
        for done in range(1, 5):
            bar.at(done, 8, note)
        bar.bar.refresh()
        said = plain(stderr.getvalue()).replace("\r", "\n").splitlines()
    shown = [line.rstrip() for line in said if "50%" in line]
    assert shown
    assert all(re.search(r"training .*50% [\d.]+ epochs/s \S+ loss 0", x) for x in shown), shown
    assert max(len(line) for line in said) <= width
    assert any(note in line for line in shown) == (width >= 80)
    assert any("━" in line for line in shown) == (width >= 100)


@pytest.mark.parametrize(
    ("name", "value", "able"),
    [("CI", "true", False), ("TERM", "dumb", False), ("CI", "0", True), ("TERM", "xterm", True)],
)
def test_where_it_is_not_shown(stderr, monkeypatch, name, value, able):
    monkeypatch.setenv(name, value)
    with redirect_stderr(stderr):
        assert can_be_redrawn() == able
    with redirect_stderr(io.StringIO()):
        assert not can_be_redrawn()


def test_numbers():
    assert [clock(s) for s in (0, 59.6, 12345)] == ["0:00:00", "0:01:00", "3:25:45"]
    assert [amount(v) for v in (None, 0.5, 412_345, 2e6)] == ["-", "0.5", "412 k", "2 M"]
