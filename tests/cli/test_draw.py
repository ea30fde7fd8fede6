"""The view is drawn from plain numbers: it fits, says what it knows, and needs no colour."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainrule.cli.terminal import ASCII, UNICODE, Terminal, detect, text_of, words, wrap
from chainrule.cli.view.draw import draw
from chainrule.cli.view.facts import OK, Facts, Series, Verdict
from chainrule.cli.view.log import facts_in_words, log_line
from chainrule.cli.view.screen import Log, Plain, Silent, screen_for
from chainrule.cli.view.trend import in_words, sparkline
from chainrule.cli.view.verdict import verdict_of
from chainrule.diagnosis import Finding
from chainrule.train.progress import clock
from chainrule.train.watch import Layer


def some_facts(layers: int = 3) -> Facts:
    f = Facts(
        data="moons", model="mlp 2-8-8-1 tanh", parameters=105, optimizer="adam",
        schedule="cosine", run="moons-0007", epochs=60, epoch=34, progress=0.57, eta_s=3,
        step=1088, lr=3e-3, samples_per_s=412345.0, overhead=0.018, patience=10,
        steps_per_s=51543.0, compiled=True, compile_s=0.62, threads=2,
    )  # fmt: skip
    f.loss.values = [0.3 * 0.97**i for i in range(33)] + [0.1084]
    f.val_loss.values = [0.3 * 0.97**i for i in range(31)] + [0.1180, 0.1192, 0.1192]
    f.val_acc.values = [0.9 + 0.0018 * i for i in range(32)] + [0.958, 0.957]
    f.layers = [
        Layer(f"fc{i}", grad=3.1e-3, ratio=1.2e-3, dead=0.0, saturated=0.03, gain=0.61,
              weights=0.88, slope=0.69)
        for i in range(1, layers)
    ]  # fmt: skip
    f.moved_at, f.probed = 1001, "at step 1001"
    f.layers.append(Layer("out", grad=6.8e-3, ratio=1.1e-3))
    f.verdict = verdict_of([], f)
    return f


def test_the_log_line():
    f = some_facts()
    assert log_line(f) == (
        "epoch=34 loss=0.1084 val_loss=0.1192 val_acc=0.957 lr=0.003 worst=fc1:1.2e-03 "
        "look=1001 verdict=healthy"
    )


def test_the_log_line_has_no_entry_for_what_was_not_computed():
    f = Facts(epoch=1, lr=0.1)
    f.loss = Series([0.5])
    f.verdict = verdict_of([], f)
    assert log_line(f) == "epoch=1 loss=0.5000 lr=0.1 verdict=healthy"


def test_the_view_at_80_columns():
    lines = [text_of(line).rstrip() for line in draw(some_facts(), Terminal(width=80))]
    assert lines == [
        "moons · mlp 2-8-8-1 tanh · 105 params · adam lr 3.0e-03 (cosine) · moons-0007",
        "epoch 34/60  ━━━━━━━━━━━━━━━━━━━━━━━━━━╸────────────────────   57 %  eta 0:00:03",
        "step 1088   samples/s 412 k   51.5 k/s compiled in 0.6 s, 2 threads",
        "watch overhead 1.8 %",
        "          now     best (epoch)  last 10 epochs  trend",
        "loss  tr  0.1084  0.1084 (34)   █▇▆▆▅▄▃▃▂▁      falling 3.1 %/epoch",
        "      va  0.1192  0.1180 (32)   █▇▆▅▄▃▂▁▁▁      falling 2.3 %/epoch",
        "acc   va  0.9570  0.9580 (33)   ▁▂▃▄▄▅▆▇██      flat since 23",
        "layer   |grad|  upd:weight  dead  flat  gain = weights \u00d7 slope",
        "fc1    3.1e-03  1.2e-03 ok   0 %   3 %  0.61 = 0.88 \u00d7 0.69",
        "fc2    3.1e-03  1.2e-03 ok   0 %   3 %  0.61 = 0.88 \u00d7 0.69",
        "out    6.8e-03  1.1e-03 ok     -     -  -",
        "seen at step 1001",
        "✔ healthy. Validation has not improved for 2 epochs (patience 10).",
    ]


def test_keys_are_the_last_line_and_say_what_they_do_while_it_waits():
    f = some_facts()
    f.keys = True
    last = text_of(draw(f, Terminal(width=80))[-1])
    assert last == "[e]xplain  [d]iagnose  [r]eport  [p]ause  [q]uit"
    f.paused = True
    last = text_of(draw(f, Terminal(width=80))[-1])
    assert last == "paused after step 1088  [e]xplain  [d]iagnose  [r]eport  [p] go on  [q]uit"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
@pytest.mark.parametrize("signs", [UNICODE, ASCII])
@pytest.mark.parametrize("layers", [1, 3, 40])
def test_no_line_is_wider_than_the_terminal(width, signs, layers):
    t = Terminal(width=width, height=24, signs=signs)
    lines = draw(some_facts(layers), t)
    assert max(len(text_of(line)) for line in lines) <= width
    if width >= 40:
        assert len(lines) <= 24, "a view that is higher than the terminal can't be redrawn"
        assert any("healthy" in text_of(line) for line in lines)
    if signs is ASCII:
        assert all(text_of(line).isascii() for line in lines)


def test_before_the_first_epoch_nothing_is_invented():
    f = Facts(data="xor", epochs=3)
    text = "\n".join(text_of(line) for line in draw(f, Terminal()))
    assert "eta -:--:--" in text
    assert "samples/s -" in text
    assert "loss" not in text


def test_colour_only_repeats():
    lines = draw(some_facts(), Terminal(colour=True))
    for line in lines:
        painted = Terminal(colour=True).paint(line)
        assert re.sub(r"\x1b\[\d*m", "", painted).rstrip() == text_of(line).rstrip()
        assert "\x1b" not in Terminal().paint(line)


def test_many_layers_show_the_worst():
    f = some_facts(40)
    f.layers[20].ratio = 0.5
    text = "\n".join(text_of(line) for line in draw(f, Terminal(height=24)))
    assert "fc21" in text
    assert "5.0e-01 high" in text
    assert "more layers" in text


@example([1.7e308, -1.7e308, 5e-324], 80)
@example([1e-298, 1e11], 80)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20),
    st.integers(20, 130),
)
def test_any_curve_can_be_shown(values, width):
    f = some_facts()
    f.loss = Series(values)
    f.verdict = verdict_of([], f)
    assert all(len(text_of(line)) <= width for line in draw(f, Terminal(width=width)))
    assert len(sparkline(values, UNICODE.spark)) == min(len(values), 10)
    assert "\n" not in log_line(f)


@given(st.lists(st.sampled_from(["a", "bb", "ccccccc", "12 %", "3 %.", "%x"])), st.integers(20, 60))
def test_words_keep_every_word(listed, width):
    lines = [text_of(x) for x in words(" ".join(listed), width)]
    assert " ".join(lines) == " ".join(listed)
    assert all(len(x) <= width for x in lines)
    assert not any(x.startswith(("% ", "%.")) for x in lines), "a sign stays with its number"


def test_wrap_keeps_parts_whole():
    parts = [[("a" * 8, "")], [("b" * 8, "")], [("c" * 8, "")]]
    assert [text_of(x) for x in wrap(parts, 20, [(" ", "")])] == ["aaaaaaaa bbbbbbbb", "cccccccc"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00:00"), (3.4, "0:00:03"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""), ([1.0], ""), ([1.0, 0.5, 0.25], "falling 50.0 %/epoch"),
        ([1.0, 2.0], "rising 100.0 %/epoch"), ([9.0, 1.0] + [1.0] * 12, "flat since 2"),
        ([1.0, float("nan")], "not finite"), ([0.5, 0.0], ""),
    ],
)  # fmt: skip
def test_trend_in_words(values, text):
    assert in_words(values) == text


# ---------------------------------------------------------------- verdicts


def finding(severity: str) -> Finding:
    return Finding("dead-relu", severity, "dead units", "62 % of fc1's units are 0", "lr too high")


def test_the_verdict_is_the_worst_finding():
    f = some_facts()
    found = verdict_of([finding("note"), finding("warning")], f)
    assert found == Verdict(
        "warn", "suspected:dead-relu", "62 % of fc1's units are 0. Suspected: lr too high"
    )
    assert verdict_of([finding("error")], f).severity == "bad"
    assert verdict_of([finding("note")], f).severity == OK


def test_a_low_rate_that_the_schedule_asks_for_is_no_fault():
    f = some_facts()
    f.layers[0].ratio = 5e-5
    assert "5.0e-05 low" in text_of(draw(f, Terminal())[9])
    f.lifted = 10.0
    assert "5.0e-05 ok" in text_of(draw(f, Terminal())[9])


# ---------------------------------------------------------------- terminals


class Stream(io.StringIO):
    def __init__(self, tty: bool, encoding: str) -> None:
        super().__init__()
        self.tty, self.named = tty, encoding

    def isatty(self) -> bool:
        return self.tty

    @property
    def encoding(self) -> str:
        return self.named


@pytest.mark.parametrize(
    ("tty", "env", "plain", "live", "colour"),
    [
        (True, {"TERM": "xterm"}, False, True, True),
        (False, {"TERM": "xterm"}, False, False, False),
        (True, {"TERM": "dumb"}, False, False, False),
        (True, {"TERM": "xterm", "CI": "true"}, False, False, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False, True, False),
        (False, {"FORCE_COLOR": "1"}, False, False, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, False, True, True),
        (True, {"TERM": "xterm"}, True, False, False),
    ],
)
def test_what_a_terminal_can_do(tty, env, plain, live, colour):
    t = detect(Stream(tty, "utf-8"), env, plain)
    assert (t.live, t.colour, t.plain) == (live, colour, plain)


@pytest.mark.parametrize(("encoding", "signs"), [
    ("utf-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII), ("cp437", ASCII), ("nonsense", ASCII),
])  # fmt: skip
def test_signs_follow_the_encoding(encoding, signs):
    assert detect(Stream(True, encoding), {}).signs is signs


def test_screens():
    stream = io.StringIO()
    assert type(screen_for(Terminal(), stream, quiet=True)) is Silent
    assert type(screen_for(Terminal(), stream, quiet=False)) is Log
    assert type(screen_for(Terminal(plain=True), stream, quiet=False)) is Plain


def test_plain_says_one_fact_a_line():
    stream = io.StringIO()
    screen = Plain(stream)
    f = some_facts()
    screen.begin(f)
    f.progress = 1.0
    screen.epoch(f)
    said = stream.getvalue()
    assert said.isascii()
    assert not re.search(r"[|%\x1b]", said)
    assert all(line.endswith(".") for line in said.splitlines())
    assert "Training loss 0.1084, falling 3.1 per cent an epoch." in facts_in_words(f)
