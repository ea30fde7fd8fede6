"""The keys of the live view, pressed on a pseudo-terminal while `chainrule train` runs in it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from chainrule.cli.terminal import Terminal
from chainrule.cli.view.keys import ESCAPES
from chainrule.cli.view.screen import screen_for

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

OFFERED = "[p]ause"
LONG = ("train", "xor", "--layers", "8", "--epochs", "100000", "--no-early-stopping")
SHORT = ("train", "xor", "--layers", "8", "--epochs", "300", "--no-early-stopping",
         "--dropout", "0.3", "--no-report")  # fmt: skip
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnATerminal:
    """`chainrule` with a pseudo-terminal for stdin and stdout; `said` is what it wrote so far."""

    def __init__(self, *args: str, lines: int = 200, **env: str) -> None:
        self.main, self.side = pty.openpty()
        self.before = termios.tcgetattr(self.side)
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chainrule", *args],
            stdin=self.side, stdout=self.side, stderr=self.side, process_group=0,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": str(lines),
                 "NO_COLOR": "1", **env},
        )  # fmt: skip

    def __enter__(self) -> OnATerminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.main)
        os.close(self.side)

    def _read(self, wait_s: float) -> None:
        if select.select([self.main], [], [], wait_s)[0]:
            text = os.read(self.main, 65536).decode("utf-8", "ignore")
            self.said += CONTROL.sub("", text)

    def until(self, text: str, after: int = 0) -> int:
        """Waits for a text; gives where it ends."""
        end = time.monotonic() + 60
        while text not in self.said[after:]:
            assert time.monotonic() < end, f"no {text!r} in {self.said[-3000:]}"
            assert self.process.poll() is None or select.select([self.main], [], [], 0)[0]
            self._read(0.1)
        return after + self.said[after:].index(text) + len(text)

    def press(self, keys: str, text: str) -> str:
        """Presses keys; gives what was said from then up to a text."""
        after = len(self.said)
        os.write(self.main, keys.encode())
        end = self.until(text, after)
        return self.said[after:end]

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self.side)

    @property
    def listens(self) -> bool:
        """Whether keys come one by one, unseen."""
        return not int(termios.tcgetattr(self.side)[3]) & (termios.ICANON | termios.ECHO)

    def end(self) -> int:
        while self.process.poll() is None:
            self._read(0.05)
        while select.select([self.main], [], [], 0.1)[0]:
            self._read(0)
        return self.process.returncode


@pytest.mark.slow
def test_each_key_does_what_it_says(tmp_path):
    with OnATerminal(*LONG) as t:
        t.until(OFFERED)
        assert t.listens
        assert "rules asked" in t.press("d", "rules asked")
        assert "CHECK" in t.press("e", "finite difference, h")
        assert "fc1.weight[" in t.said or "out.weight[" in t.said
        assert "as of step" in t.press("r", "as of step")
        assert (tmp_path / "runs" / "xor-0001" / "report.html").stat().st_size > 10_000
        waiting = t.press("p", "[p] go on")
        step = int(re.findall(r"paused after step (\d+)", waiting)[-1])
        time.sleep(0.3)
        t.press("d", "rules asked")  # answered while it waits
        assert re.findall(r"paused after step (\d+)", t.said)[-1] == str(step)
        t.press("p", OFFERED)
        os.write(t.main, b"\x1b[D\x1bOQ?")  # an arrow and a function key are no d and no q
        assert "rules asked" in t.press("d", "rules asked"), "it goes on"
        os.write(t.main, b"q")
        assert t.end() == 130
        assert t.settings == t.before
        assert "stopped by the key q after step" in t.said
        assert "chainrule train --resume xor-0001" in t.said
        assert "Traceback" not in t.said


@pytest.mark.slow
def test_keys_change_no_bit(tmp_path):
    with OnATerminal(*SHORT) as t:
        t.until(OFFERED)
        t.press("p", "[p] go on")
        t.press("der", "as of step")
        time.sleep(1.2)  # beyond the time after which a checkpoint is due
        t.press("p", OFFERED)
        assert t.end() == 0, t.said
    with OnATerminal(*SHORT, "--quiet") as t:
        assert t.end() == 0, t.said
        assert OFFERED not in t.said
    weights = [tmp_path / "runs" / f"xor-000{n}" / "model.safetensors" for n in (1, 2)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "twice", "end", "error"])
def test_the_terminal_is_as_before_on_every_way_out(tmp_path, way):
    args = {"end": SHORT, "error": (*SHORT, "--optimizer", "sgd", "--lr", "1e38")}.get(way, LONG)
    with OnATerminal(*args) as t:
        if way != "error":  # that may be over before it is seen
            t.until(OFFERED)
            assert t.listens
        if way in ("SIGINT", "twice"):
            t.press("p", "[p] go on")  # a signal ends the waiting, too
        if way.startswith("SIG"):
            t.process.send_signal(signal.Signals[way])
        if way == "twice":
            os.kill(t.process.pid, signal.SIGINT)
            os.kill(t.process.pid, signal.SIGINT)
        code = t.end()
        assert code == {"end": 0, "error": 1, "SIGTERM": 143}.get(way, 130), t.said
        assert t.settings == t.before


@pytest.mark.slow
def test_ctrl_z_gives_the_terminal_back_and_going_on_takes_it_up_again(tmp_path):
    with OnATerminal(*LONG) as t:
        t.until(OFFERED)
        t.process.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(t.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert t.settings == t.before
        t.process.send_signal(signal.SIGCONT)
        assert "rules asked" in t.press("d", "rules asked")
        assert t.listens
        os.write(t.main, b"q")
        assert t.end() == 130
        assert t.settings == t.before


@pytest.mark.slow
def test_a_job_in_the_background_is_not_stopped_for_the_keys(tmp_path):
    code = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'chainrule', *{SHORT!r}], process_group=0)\n"
        "sys.exit(p.wait(60))"
    )
    child, main = pty.fork()  # a terminal that controls its session
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", code], {**os.environ, "TERM": "xterm"})
    with contextlib.suppress(OSError):  # Linux ends a terminal without a writer with EIO
        while os.read(main, 65536):
            pass
    os.close(main)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["CI", "dumb", "plain", "piped"])
def test_no_keys_where_nothing_is_redrawn(tmp_path, how):
    env = {"CI": {"CI": "1"}, "dumb": {"TERM": "dumb"}}.get(how, {})
    args = (*SHORT, "--plain") if how == "plain" else SHORT
    if how == "piped":
        main, side = pty.openpty()
        before = termios.tcgetattr(side)
        command = [sys.executable, "-m", "chainrule", *SHORT]
        said = subprocess.run(command, stdin=side, capture_output=True, text=True, check=True)
        assert OFFERED not in said.stdout
        assert termios.tcgetattr(side) == before
        os.close(main)
        os.close(side)
        return
    with OnATerminal(*args, **env) as t:
        t.until("poch")
        assert t.settings == t.before
        assert t.end() == 0
        assert OFFERED not in t.said


def test_no_keys_without_a_terminal_to_press_them_on(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    screen = screen_for(Terminal(live=True), sys.stdout, quiet=False)
    assert not screen.hears
    assert screen.key() is None


def test_no_keys_where_there_are_none_to_ask(monkeypatch):
    monkeypatch.setattr("chainrule.cli.view.keys.termios", None)  # as on Windows
    assert screen_for(Terminal(live=True), sys.stdout, quiet=False).keys is None


@pytest.mark.parametrize("sent", ["\x1b[D", "\x1b[1;5D", "\x1bOP", "\x1b[15~", "\x1bd", "\x1b"])
def test_an_escape_sequence_is_no_key(sent):
    assert ESCAPES.sub("", f"p{sent}q") in ("pq", "p")
