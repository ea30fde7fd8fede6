"""The learning curve as it is heard, and the scale that it has."""

from __future__ import annotations

import math

import pytest

from chainrule.report.build import build
from report_cases import full_subject, rows

pytestmark = pytest.mark.browser
TONES = """
window.heard = { made: 0, pitches: [], clicks: [], loud: [] };
class Node_ {
  connect(next) { return next; }
  start(time) { this.began = time; if (this.frequency.value) heard.clicks.push(time); }
  stop(time) { if (time === undefined) this.onended(); }
  frequency = { setValueAtTime: (hz, time) => heard.pitches.push([hz, time]) };
  gain = { setValueAtTime: (v, time) => heard.loud.push(v) };
}
window.AudioContext = class {
  constructor() { heard.made += 1; }
  currentTime = 7;
  createOscillator() { return new Node_(); }
  createGain() { return new Node_(); }
  close() { heard.closed = true; }
};
"""


def test_the_curve_can_be_heard(opened, tmp_path):
    """A higher loss is a higher tone, what has no logarithm is silent, a click is where it says."""
    losses = {1: 8.0, 2: 4.0, 3: 0.0, 4: math.nan, 5: 1.0, 6: 2.0}
    finding = {"id": "vanishing-gradient", "severity": "warning", "steps": [20, 40]}
    steps = rows(6, loss=losses.get, val_loss=None)
    s = full_subject(tmp_path, rows=steps, findings=[finding])
    path = tmp_path / "heard.html"
    path.write_text(build(s), encoding="utf-8")
    found = opened(path, before=TONES)
    shown = found.drawn()
    play = shown.get_by_role("button", name="Play the curve")
    assert shown.evaluate("heard.made") == 0, "nothing is played unless asked for"
    play.focus()
    shown.keyboard.press("Enter")
    heard = shown.evaluate("heard")
    assert [hz for hz, _ in heard["pitches"]] == [
        pytest.approx(220 * 4 ** (math.log(v) / math.log(8))) for v in (8.0, 4.0, 1.0, 2.0)
    ]
    assert heard["loud"] == [0.1, 0.1, 0, 0, 0.1, 0.1]
    times = [t for _, t in heard["pitches"]]
    assert times == sorted(times)
    assert heard["clicks"] == [pytest.approx(times[1])], "the finding begins at the second epoch"
    assert "Vanishing gradient at step 20" in shown.inner_text("#learning-said")
    shown.keyboard.press("Enter")
    assert shown.evaluate("heard.closed"), "a second press stops it"
    assert play.is_visible()
    shown.emulate_media(media="print")
    assert not play.is_visible()
    assert found.wrong == []


def test_the_curve_ends_by_itself(opened, tmp_path):
    path = tmp_path / "played.html"
    path.write_text(build(full_subject(tmp_path)), encoding="utf-8")
    found = opened(path)
    shown = found.drawn()
    shown.get_by_role("button", name="Play the curve").click()
    stop = shown.get_by_role("button", name="Stop", exact=True)
    assert stop.is_visible()
    stop.wait_for(state="hidden", timeout=15_000)
    assert shown.get_by_role("button", name="Play the curve").is_visible()
    assert found.wrong == []


def test_the_loss_is_logarithmic_where_it_spans_much_and_can_be_turned(opened, tmp_path):
    steps = rows(12, loss=lambda e: 900.0 if e == 1 else 1 / e)
    path = tmp_path / "steep.html"
    path.write_text(build(full_subject(tmp_path, rows=steps)), encoding="utf-8")
    found = opened(path)
    shown = found.drawn()
    turn = shown.get_by_role("button", name="Logarithmic loss")
    for pressed in ("true", "false", "true"):
        assert turn.get_attribute("aria-pressed") == pressed
        shown.wait_for_function(
            """pressed => document
            .querySelector(".plot[data-chart=learning] .live")
            .textContent.includes("(log scale)") === (pressed === "true")""",
            arg=pressed,
        )
        turn.focus()
        shown.keyboard.press("Enter")
    assert found.wrong == []
    plain = opened(path, java_script_enabled=False).page
    assert "loss (log scale)" in plain.inner_text(".plot[data-chart=learning] .still")
