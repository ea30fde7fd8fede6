"""The writer: whatever stops or fails, the path holds the old content or the new."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from faults import MODELS, Crash, CrashingDisk, FailingDisk

import chainrule
from chainrule.errors import ArgumentError, ArgumentTypeError, FormatError, OutputError
from chainrule.train import files
from chainrule.train.files import writing

CODES = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT, errno.EROFS, errno.EINTR,
         errno.ESTALE]  # fmt: skip
"""Full, broken, forbidden, over quota, read-only, interrupted, a network disk that is gone."""
OLD, NEW = b"old" * 50, b"new!" * 70
WRITERS = {
    "write_bytes": lambda path: files.write_bytes(path, NEW),
    "write_parts": lambda path: files.write_parts(path, [NEW[:7], NEW[7:100], b"", NEW[100:]]),
    "write_text": lambda path: files.write_text(path, NEW.decode()),
}
SAVERS = {
    "save_tensors": lambda path: files.save_tensors(
        path, {"w": np.ones((5, 3), np.float32), "b": np.arange(4)}
    ),
    "write_json": lambda path: files.write_json(path, {"epoch": 3, "loss": [0.5, 0.25]}),
}


def operations(monkeypatch, tmp_path, write):
    """How many operations a write takes, and what the file then holds."""
    path = tmp_path / "counted"
    path.write_bytes(OLD)
    counted = CrashingDisk()
    monkeypatch.setattr(writing, "disk", counted)
    write(path)
    monkeypatch.undo()
    new = path.read_bytes()
    path.unlink()
    return counted.count, new


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("write", [*WRITERS.values(), *SAVERS.values()], ids=[*WRITERS, *SAVERS])
@pytest.mark.parametrize("before", [OLD, None], ids=["replaced", "fresh"])
def test_a_crash_at_any_operation_leaves_old_or_new(monkeypatch, tmp_path, write, model, before):
    count, new = operations(monkeypatch, tmp_path, write)
    assert count >= 6  # create, write, sync, close, rename, sync_folder
    path = tmp_path / "file"
    seen = set()
    for k in range(count + 1):
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)
        crashing = CrashingDisk(at=k)
        monkeypatch.setattr(writing, "disk", crashing)
        if k < count:
            with pytest.raises(Crash):
                write(path)
        else:
            write(path)
        monkeypatch.undo()
        crashing.lose(model)
        held = path.read_bytes() if path.exists() else None
        assert held in ((new,) if k == count else (before, new)), f"operation {k}"
        seen.add(held)
        left = [p.name for p in tmp_path.iterdir() if p != path]
        assert sorted(files.sweep(tmp_path)) == sorted(left), "nothing but temporary files is left"
        assert [p for p in tmp_path.iterdir() if p != path] == []
    assert seen == {before, new}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("write", [*WRITERS.values(), *SAVERS.values()], ids=[*WRITERS, *SAVERS])
def test_a_failure_at_any_operation_keeps_the_old_file(monkeypatch, tmp_path, write, code):
    count, new = operations(monkeypatch, tmp_path, write)
    path = tmp_path / "file"
    for k in range(count):
        path.write_bytes(OLD)
        failing = FailingDisk(at=k, code=code)
        monkeypatch.setattr(writing, "disk", failing)
        with pytest.raises(OutputError) as e:
            write(path)
        monkeypatch.undo()
        renamed = failing.names.count("rename") == 1 and failing.names[k] == "sync_folder"
        assert path.read_bytes() == (new if renamed else OLD), failing.names
        assert [p for p in tmp_path.iterdir() if p != path] == []
        text = str(e.value)
        assert e.value.errno == code
        assert str(path) in text
        assert f"{len(new):,} bytes to be written" in text
        assert "12,345 bytes free" in text
        assert len(text.splitlines()) <= 6


def test_short_writes_are_continued(monkeypatch, tmp_path):
    class Slow(writing.Disk):
        def write(self, handle, data):
            return os.write(handle, data[:3])

    monkeypatch.setattr(writing, "disk", Slow())
    files.write_bytes(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW


def test_links_are_followed_and_permissions_kept(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(OLD)
    target.chmod(0o640)
    link.symlink_to(target)
    files.write_bytes(link, NEW)
    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_umask_is_honoured(tmp_path, mask):
    before = os.umask(mask)
    try:
        files.write_bytes(tmp_path / "file", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.write_text(path, "abc")
        assert os.read(reader, 9) == b"abc"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_folder_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(OutputError, match="directory"):
        files.write_bytes(tmp_path, NEW)
    with pytest.raises(OutputError, match="make the folder") as e:
        files.write_bytes(tmp_path / "no" / "file", NEW)
    assert isinstance(e.value, OSError)
    assert e.value.errno == errno.ENOENT
    assert list(tmp_path.iterdir()) == []


def test_sweep_spares_files_of_living_programs(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        host = writing._HOST
        names = {
            "living": f".a.{host}-{living.pid}-0.tmp",
            "own, being written": f".a.{host}-{os.getpid()}-1.tmp",
            "own, left": f".a.{host}-{os.getpid()}-2.tmp",
            "dead": f".a.{host}-4194304999-0.tmp",
            "other machine, young": ".a.elsewhere-1-0.tmp",
            "other machine, old": ".b.elsewhere-1-0.tmp",
            "of the user": "notes.tmp",
            "another of the user": ".notes.tmp",
        }
        for name in names.values():
            (tmp_path / name).write_text("x")
        old = (tmp_path / names["other machine, old"]).stat().st_mtime - 2 * 24 * 3600
        os.utime(tmp_path / names["other machine, old"], (old, old))
        writing._active.add(str(tmp_path / names["own, being written"]))
        try:
            swept = files.sweep(tmp_path)
        finally:
            writing._active.clear()
            living.communicate(b"\n")
    assert set(swept) == {names[k] for k in ("own, left", "dead", "other machine, old")}
    assert {p.name for p in tmp_path.iterdir()} == set(names.values()) - set(swept)


SAVING = (
    "import sys, numpy as np; from chainrule.train.files import save_tensors, sweep\n"
    "for i in range(int(sys.argv[4])):\n"
    "    save_tensors(sys.argv[1], {'w': np.full(5000, float(sys.argv[2])), 'i': np.array(i)})\n"
    "    sweep(sys.argv[3])\n"
)
LOADING = (
    "import os, sys, time, numpy as np, chainrule\n"
    "n = 0\n"
    "while not os.path.exists(sys.argv[2]):\n"
    "    w = np.asarray(chainrule.load(sys.argv[1])['w'])\n"
    "    assert w.min() == w.max()\n"
    "    n += 1\n"
    "print(n)\n"
)


@pytest.mark.slow
@pytest.mark.parametrize(("writers", "readers", "saves"), [(8, 1, 100), (1, 7, 200)])
def test_1000_saves_of_one_file_by_many(tmp_path, writers, readers, saves):
    path, end = tmp_path / "model.safetensors", tmp_path / "end"
    files.save_tensors(path, {"w": np.zeros(5000)})

    def python(program, *words):
        command = [sys.executable, "-c", program, *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    saving = [python(SAVING, path, i, tmp_path, saves) for i in range(writers)]
    loading = [python(LOADING, path, end) for _ in range(readers)]
    assert [w.communicate()[0] for w in saving] == [""] * writers
    end.touch()
    loads = [int(r.communicate()[0]) for r in loading]
    assert [p.returncode for p in (*saving, *loading)] == [0] * (writers + readers)
    assert min(loads) > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["end", path.name]


# ---------------------------------------------------------------- before training starts


def test_check_writable_makes_the_folder_and_leaves_nothing(tmp_path):
    folder = tmp_path / "a" / "b"
    files.check_writable(folder, 1000)
    assert list(folder.iterdir()) == []


def test_check_writable_sweeps(tmp_path):
    (tmp_path / f".model.{writing._HOST}-{os.getpid()}-0.tmp").write_text("x")
    files.check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_check_writable_tells_what_is_free_in_that_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(writing.disk, "free_bytes", {str(tmp_path / "small"): 12345}.__getitem__)
    with pytest.raises(OutputError) as caught:
        files.check_writable(tmp_path / "small", 10**6)
    assert caught.value.got == "12,345 bytes free"


def test_check_writable_asks_for_space(monkeypatch, tmp_path):
    monkeypatch.setattr(writing, "disk", FailingDisk())
    files.check_writable(tmp_path, 12345)
    with pytest.raises(OutputError, match="No space left") as e:
        files.check_writable(tmp_path, 12346)
    text = str(e.value)
    assert str(tmp_path) in text
    assert "12,346" in text
    assert "12,345 bytes free" in text


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_check_writable_fails_as_training_would(monkeypatch, tmp_path, code):
    for k in range(5):
        failing = FailingDisk(at=k, code=code)
        monkeypatch.setattr(writing, "disk", failing)
        with pytest.raises(OutputError) as e:
            files.check_writable(tmp_path / "run", 10)
        assert e.value.errno == code
    monkeypatch.undo()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        files.check_writable(tmp_path / "file")


# ---------------------------------------------------------------- lines


def test_lines_are_added_whole_or_not_at_all(monkeypatch, tmp_path):
    path = tmp_path / "metrics.jsonl"
    files.append_line(path, '{"epoch": 1}')
    for k in range(3):
        before = path.read_bytes()
        monkeypatch.setattr(writing, "disk", FailingDisk(at=k))
        with pytest.raises(OutputError, match="No space"):
            files.append_line(path, '{"epoch": 2}')
        monkeypatch.undo()
        whole = k == 2  # the close after the write
        assert path.read_bytes() == before + (b'{"epoch": 2}\n' if whole else b"")
    for k in range(3):
        before = files.read_json_lines(path)
        monkeypatch.setattr(writing, "disk", CrashingDisk(at=k))
        with pytest.raises(Crash):
            files.append_line(path, '{"epoch": 3}')
        monkeypatch.undo()
        assert files.read_json_lines(path)[: len(before)] == before
        files.append_line(path, '{"epoch": 4}')
        assert files.read_json_lines(path)[-1] == {"epoch": 4}


def test_an_unfinished_line_is_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for tail in (b'{"ep', b"x" * 10000):
        path.write_bytes(b'{"epoch": 1}\n' + tail)
        assert files.read_json_lines(path) == [{"epoch": 1}]
        files.append_line(path, '{"epoch": 2}')
        assert files.read_json_lines(path) == [{"epoch": 1}, {"epoch": 2}]
    path.write_bytes(b"x" * 5000)
    files.append_line(path, "1")
    assert path.read_bytes() == b"1\n"
    with pytest.raises(ArgumentError, match="one line"):
        files.append_line(path, "a\nb")
    path.write_bytes(b"1\nxx\n2\n")
    with pytest.raises(FormatError, match=r"jsonl:2"):
        files.read_json_lines(path)


# ---------------------------------------------------------------- JSON

BAD_JSON = {
    "nan": (b'{"a": NaN}', "NaN"),
    "infinity": (b"[-Infinity]", "-Infinity"),
    "a number beyond float64": (b"[1e999]", "1e999"),
    "a key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
    "cut": (b'{"a": 1,\n', "line 2"),
    "no UTF-8": (b'{"\xff": 1}', "byte 2"),
    "depth": (b"[" * 100_000, "deep"),
    "endless number": (b"1" * 5000, "4300"),
    "nothing": (b"", "line 1"),
    "more behind": (b"{} {}", "Extra data"),
}


@pytest.mark.parametrize("case", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_refused(tmp_path, case):
    data, text = case
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(FormatError) as e:
        files.read_json(path)
    assert text in str(e.value)
    assert "config.json" in str(e.value)
    assert len(str(e.value).splitlines()) <= 6


def test_json_comes_back_as_it_went(tmp_path):
    path = tmp_path / "config.json"
    value = {"a": [1, -2.5, 1e-300, 0.1], "b": {"c": None, "d": True}, "ä": "\u2028\n", "": 2**80}
    files.write_json(path, value)
    assert files.read_json(path) == value
    files.write_json(path, {"x": np.float32(0.5), "t": chainrule.tensor(2), "p": tmp_path})
    assert files.read_json(path) == {"x": 0.5, "t": 2, "p": str(tmp_path)}
    with pytest.raises(FormatError, match="too large"):
        files.read_json(path, limit=10)


def test_json_that_would_not_come_back_is_refused(tmp_path):
    for bad in (float("nan"), float("inf"), np.float64("nan"), np.float32("inf")):
        with pytest.raises(ArgumentError, match="no nan"):
            files.write_json(tmp_path / "x", {"a": [1.0, bad]})
    with pytest.raises(ArgumentError, match=r"value\['a'\]\[1\] = nan"):
        files.write_json(tmp_path / "x", {"a": [1.0, float("nan")]})
    with pytest.raises(ArgumentTypeError, match="object"):
        files.write_json(tmp_path / "x", object())
    assert list(tmp_path.iterdir()) == []


def test_missing_files_suggest_the_nearest_name(tmp_path):
    files.write_json(tmp_path / "config.json", {})
    with pytest.raises(files.MissingFileError, match=r"did you mean .*config\.json") as e:
        files.read_json(tmp_path / "confg.json")
    assert isinstance(e.value, FileNotFoundError)
    with pytest.raises(files.MissingFileError):
        chainrule.load(tmp_path / "no" / "x")
    with pytest.raises(FormatError, match="folder") as e:
        chainrule.load(tmp_path)
    assert "line      test_files.py" in str(e.value)


def test_sha256_of_a_file(tmp_path):
    files.write_bytes(tmp_path / "x", b"abc")
    assert files.file_sha256(tmp_path / "x").startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize(
    ("asked", "there", "near"),
    [
        ("nope.st", ["e.st"], None),
        ("f.st", ["e.st"], None),
        ("data.csv", ["rows.csv", "a.csv"], None),
        ("modle.st", ["model.st", "e.st"], "model.st"),
        ("model.st", ["model.safetensors", "a.st"], "model.safetensors"),
        ("model", ["model.safetensors"], "model.safetensors"),
        ("penguin.csv", ["penguins.json", "penguins.csv"], "penguins.csv"),
        ("x.csv", [], None),
    ],
)
def test_only_a_name_that_is_near_is_suggested(asked, there, near, tmp_path):
    for name in there:
        (tmp_path / name).write_text("")
    with pytest.raises(files.MissingFileError) as caught:
        chainrule.load(tmp_path / asked)
    wanted = None if near is None else f"did you mean {tmp_path / near}?"
    assert caught.value.fix == wanted
