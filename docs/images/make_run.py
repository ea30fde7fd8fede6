"""Writes run.svg, the picture in the README: a real run of `chainrule train digits`.

    python docs/images/make_run.py

The command runs in a pseudo-terminal, so that it draws its live view; the picture is what the
terminal shows at the end.  Needs a Unix with `chainrule` installed beside this Python.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH, HEIGHT = 88, 60
COMMAND = ["chainrule", "train", "digits"]


def run() -> str:
    """Everything that the command wrote to its terminal."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    program = Path(sys.executable).with_name(COMMAND[0])
    env = {k: v for k, v in os.environ.items() if k not in ("CI", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(
            [program, *COMMAND[1:]], stdin=inner, stdout=inner, stderr=inner, cwd=folder, env=env
        )
        os.close(inner)
        written = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            written += part
        if child.wait():
            raise SystemExit(written.decode())
    return written.decode()


def final_screen(written: str) -> str:
    """What is left on the terminal: text after the last time that it was drawn over."""
    last = written.rsplit("\x1b[1A", 1)[-1].rsplit("\x1b[2K", 1)[-1]
    kept = re.sub(r"\x1b\[[0-9;?]*[A-Zhl]", "", last)  # what moves; colours stay
    return kept.replace("\r", "").strip("\n")


def main() -> None:
    """Runs the command and draws its last screen."""
    text = f"$ {' '.join(COMMAND)}\n{final_screen(run())}"
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text), soft_wrap=True)
    svg = console.export_svg(title="", theme=MONOKAI, unique_id="run")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)  # a picture downloads nothing
    Path(__file__).with_name("run.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
