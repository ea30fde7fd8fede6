"""The commands as processes: signals, a terminal, start-up, and the main job itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest

pty = pytest.importorskip("pty")
pytestmark = pytest.mark.slow  # each starts a Python of its own

COMMAND = [sys.executable, "-m", "chainrule"]
LONG = ("--layers", "8", "--epochs", "400", "--no-early-stopping", "--dropout", "0.3")


def start(*args: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **env},
    )  # fmt: skip


def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    p = start(*args, **env)
    out, err = p.communicate(timeout=120)
    return subprocess.CompletedProcess(args, p.returncode, out, err)


def interrupted_after(epochs: int, *args: str) -> tuple[int, str]:
    """Sends SIGINT after a number of log lines; gives the exit code and stderr."""
    p = start(*args)
    assert p.stdout is not None
    for _ in range(epochs + 1):  # and one that says how steps are made
        p.stdout.readline()
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=60)
    return p.returncode, err


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    code, err = interrupted_after(3, "train", "xor", *LONG)
    assert code == 130
    assert "Traceback" not in err
    assert "chainrule train --resume xor-0001" in err
    (row,) = json.loads(run("runs", "--json").stdout)
    assert row["state"] == "interrupted"
    assert row["epochs"] >= 3


def test_resumed_ends_with_the_same_bits(tmp_path):
    code, err = interrupted_after(20, "train", "xor", *LONG, "--name", "cut")
    assert code == 130, err
    code, err = interrupted_after(15, "train", "--resume", "cut-0001")
    assert code == 130, err
    resumed = run("train", "--resume", "cut-0001", "--json")
    assert resumed.returncode == 0, resumed.stderr
    whole = run("train", "xor", *LONG, "--name", "whole", "--json")
    files = [tmp_path / "runs" / f"{n}-0001" / "model.safetensors" for n in ("cut", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    a, b = json.loads(resumed.stdout), json.loads(whole.stdout)
    assert [a[k] for k in ("matrix", "loss", "epochs", "steps")] == [
        b[k] for k in ("matrix", "loss", "epochs", "steps")
    ]
    last = [x.stderr.splitlines()[-1].split(" worst=")[0] for x in (resumed, whole)]
    assert last[0] == last[1]


def on_a_terminal(columns: int, *args: str, **env: str) -> str:
    """What the command writes to a terminal of so many columns."""
    main, side = pty.openpty()
    p = subprocess.Popen(
        [*COMMAND, *args], stdin=side, stdout=side, stderr=side,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "40", **env},
    )  # fmt: skip
    os.close(side)
    chunks = []
    with contextlib.suppress(OSError):  # Linux ends a terminal without a writer with EIO
        while chunk := os.read(main, 65536):
            chunks.append(chunk)
    os.close(main)
    assert p.wait(60) == 0
    return b"".join(chunks).decode()


@pytest.mark.parametrize("columns", [40, 80])
def test_the_live_view_is_redrawn_and_never_wraps(columns, tmp_path):
    said = on_a_terminal(columns, "train", "xor", "--layers", "4", "--epochs", "9", NO_COLOR="1")
    assert "\x1b[2K" in said, "lines are erased and drawn again"
    assert "watch overhead" in said
    assert "epoch=" not in said
    assert not re.search(r"\x1b\[\d+(;\d+)*m", said), "NO_COLOR"
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= columns
    assert said.rstrip().endswith("chainrule playground xor-0001")
    assert "\x1b[?25h" in said, "the cursor comes back"


@pytest.mark.parametrize("env", [{"CI": "true"}, {"TERM": "dumb"}], ids=str)
def test_no_redraw_in_ci_or_on_a_dumb_terminal(env, tmp_path):
    said = on_a_terminal(80, "train", "xor", "--layers", "4", "--epochs", "2", **env)
    assert "epoch=1 " in said
    assert "\x1b[2K" not in said


def test_a_terminal_without_utf_8_gets_ascii(tmp_path):
    said = run("train", "xor", "--layers", "4", "--epochs", "2", PYTHONIOENCODING="ascii")
    assert said.returncode == 0, said.stderr
    assert said.stdout.isascii()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">/dev/full"])
def test_closed_and_full_streams(tmp_path, closed):
    line = f"{sys.executable} -m chainrule train xor --epochs 1 -q --layers 4 --no-save {closed}"
    p = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert p.returncode == (3 if "full" in closed else 0)
    assert p.stderr == ("error: can't write: No space left on device\n" if p.returncode else "")


def test_nobody_reads_any_more(tmp_path):
    with start("train", "xor", *LONG) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        p.stdout.readline()
        p.stdout.close()
        assert p.stderr.read() == ""
    assert p.returncode == 1


def imported_by(*args: str) -> set[str]:
    """The top-level modules that a command brings in."""
    code = (
        "import sys\nfrom chainrule.cli import main\n"
        f"sys.argv = ['chainrule', *{args!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('\\n', *sorted({m.split('.')[0] for m in sys.modules}), sep=' ')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("args", [("runs",), ("train", "--help")], ids=str)
def test_start_up_loads_neither_the_compiler_nor_rich(args, tmp_path):
    loaded = imported_by(*args)
    assert "chainrule" in loaded
    assert not loaded & {"llvmlite", "rich", "jinja2", "torch", "sklearn", "pandas"}


def test_the_main_job(tmp_path):
    result = run("train", "digits", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["accuracy"] >= 0.975
    assert found["rows"] == 360
    assert 0 < found["overhead"] < 1  # its size is a figure of a quiet machine, not a test
