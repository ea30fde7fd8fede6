"""Compiled code is kept, found again by other processes, and never trusted when it is damaged."""

from __future__ import annotations

import errno
import os
import sys
import time

import numpy as np
import pytest
from kept import X, entry, forget, works

from chainrule import compiler, dtypes
from chainrule import graph as G
from chainrule.compiler import cache, hardware, key
from chainrule.compiler.sealed import seal
from chainrule.ops import REGISTRY
from chainrule.ops.pointwise import Pointwise
from small_programs import same, scaled, training_step

pytestmark = pytest.mark.usefixtures("empty")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX's")


# ---------------------------------------------------------------- finding again


def test_a_program_is_compiled_once(empty):
    first, counted = works()
    assert (counted.hits, counted.misses) == (0, 1)
    assert not first.times.cached
    assert first.times.llvm > 0
    forget()
    second, counted = works()
    assert (counted.hits, counted.misses, counted.damaged) == (1, 0, 0)
    assert second.times.cached
    assert second.times.llvm == 0
    assert second.times.record()["link"] > 0
    assert counted.bytes == entry(empty).stat().st_size
    assert counted.seconds > 0


def test_a_program_built_twice_in_a_process_shares_its_code():
    first, _ = works()
    second, counted = works()
    assert first.code is second.code
    assert first.arena is not second.arena
    assert (counted.hits, counted.misses) == (0, 1)
    assert second.times.cached


def test_code_in_memory_goes_with_its_last_user(monkeypatch):
    from weakref import WeakValueDictionary

    monkeypatch.setattr(compiler, "_loaded", WeakValueDictionary())
    executable, _ = works()
    assert len(compiler._loaded) == 1
    del executable
    assert not compiler._loaded


def test_a_whole_training_step_is_the_same_from_the_cache():
    graph, arrays = training_step()
    first = compiler.build(graph).run([a.copy() for a in arrays])
    forget()
    executable = compiler.build(training_step()[0])
    assert executable.times.cached
    assert same(first, executable.run([a.copy() for a in arrays]))


def test_other_programs_processors_compilers_and_defaults_are_told_apart(monkeypatch):
    target = compiler.host()
    known = hardware.processor()
    names = {key.key_of(scaled(), target, known), key.key_of(scaled(3.0), target, known)}
    names.add(key.key_of(scaled(), target._replace(cpu="other"), known))
    names.add(key.key_of(scaled(), target, "other"))
    dtypes.set_default_dtype(np.float64)
    try:
        names.add(key.key_of(scaled(), target, known))
    finally:
        dtypes.set_default_dtype(np.float32)
    monkeypatch.setattr(key, "_makers", lambda: "another compiler")
    names.add(key.key_of(scaled(), target, known))
    assert len(names) == 6
    assert None not in names


def test_the_compilers_own_files_count(monkeypatch, tmp_path):
    before = key._makers.__wrapped__()
    assert before == key._makers.__wrapped__()
    monkeypatch.setattr(key, "MAKERS", ("ops", "graph", "runtime", "compiler"))
    assert key._makers.__wrapped__() != before
    monkeypatch.setattr(key, "MAKERS", ("nowhere",))
    assert key._makers.__wrapped__() is None


def test_a_changed_processor_never_runs_code_made_for_another(monkeypatch):
    works()
    forget()
    monkeypatch.setattr(compiler, "processor", lambda: "a new processor")
    _, counted = works()
    assert (counted.hits, counted.misses) == (0, 1)


def test_the_processor_is_described_by_its_features(tmp_path, monkeypatch):
    def described(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(hardware, "CPUINFO", str(tmp_path / "cpuinfo"))
        return hardware.processor.__wrapped__()

    text = "processor : 0\nmodel name : A\ncpu MHz : {}\nflags : sse {}\n\nprocessor : 1\nflags : x"
    assert described(text.format(1, "avx")) == described(text.format(2, "avx"))
    assert described(text.format(1, "avx")) != described(text.format(1, "avx2"))
    assert described("processor : 0\nFeatures : fp\n") is not None
    assert described("processor : 0\n") is None
    monkeypatch.setattr(hardware, "CPUINFO", str(tmp_path / "nowhere"))
    assert hardware.processor.__wrapped__() is None


def test_the_processor_is_asked_of_llvm_once(empty, monkeypatch):
    asked = hardware.host.__wrapped__()
    if hardware.processor() is None:
        pytest.skip("the system does not say which processor it has")
    from chainrule.compiler.llvm import build

    monkeypatch.setattr(build, "host", lambda: pytest.fail("LLVM was asked"))
    assert hardware.host.__wrapped__() == asked
    (path,) = empty.glob("host-*")
    path.write_bytes(seal(path.stem, {"target": {"triple": "x86_64"}}))
    monkeypatch.setattr(build, "host", lambda: asked)
    assert hardware.host.__wrapped__() == asked
    assert cache.statistics().damaged == 1


def test_an_op_of_the_users_is_compiled_anew(empty):
    """What it means can change while its name stays."""

    class Tripled(Pointwise):
        def forward(self, x):
            return x * 3

        def lower(self, b, x):
            return b.mul(x, b.const(3.0, x.dtype))

    tripled = Tripled()
    try:
        executable = compiler.build(G.trace(lambda x: tripled(x), X))
    finally:
        REGISTRY.pop("tripled")
    assert executable.run([X])[0].tolist() == [0, 3, 6, 9, 12]
    assert not list(empty.glob("*"))


# ---------------------------------------------------------------- folders


def unused(reason):
    executable, counted = works()
    assert cache.folder() is None
    assert reason in counted.off
    assert not executable.times.cached
    assert cache.clear() == 0


def test_it_can_be_switched_off(monkeypatch, empty):
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    unused("CHAINRULE_CACHE=0")
    assert not empty.exists()


def test_no_home_folder(monkeypatch):
    monkeypatch.delenv("CHAINRULE_CACHE_DIR")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    unused("no home")


@pytest.mark.parametrize("name", ["linux", "darwin", "win32"])
def test_the_folder_is_where_the_platform_keeps_caches(name, monkeypatch):
    monkeypatch.delenv("CHAINRULE_CACHE_DIR")
    monkeypatch.setattr(cache.sys, "platform", name)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: "/someone")
    wanted = {"linux": ".cache", "darwin": "Library/Caches", "win32": "AppData/Local"}[name]
    assert cache._wanted() == os.path.join("/someone", *wanted.split("/"), "chainrule")
    if name == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
        assert cache._wanted() == "/someone/.cache/chainrule"
        monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
        assert cache._wanted() == "/caches/chainrule"


def test_the_home_folder_in_what_the_user_says(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", os.path.join("~", "zz"))
    assert cache._wanted() == os.path.join(os.path.expanduser("~"), "zz")


def test_a_folder_that_cant_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    unused("file")


@POSIX
def test_the_folder_is_for_this_user_alone(empty):
    works()
    assert empty.stat().st_mode & 0o777 == 0o700
    assert entry(empty).stat().st_mode & 0o777 == 0o600


@POSIX
def test_a_folder_of_another_user_is_not_trusted(empty, monkeypatch):
    works()
    forget()
    monkeypatch.setattr(os, "geteuid", lambda: empty.stat().st_uid + 1)
    unused("another user")


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_into_which_others_write_is_not_trusted(empty, mode):
    works()
    forget()
    empty.chmod(mode)
    unused("by others")


@POSIX
def test_files_that_others_could_have_written_are_not_run(empty, tmp_path):
    works()
    path = entry(empty)
    path.chmod(0o606)
    forget()
    assert works()[1].hits == 0
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    forget()
    assert works()[1].hits == 0


def refusing(number):
    real = os.open

    def opened(path, flags, *args):
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *args)

    return opened


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_takes_nothing_is_only_read(empty, monkeypatch, number):
    works()
    monkeypatch.setattr(os, "open", refusing(number))
    forget()
    assert works()[1].hits == 1
    _, counted = works(5.0)
    assert (counted.misses, counted.unwritten) == (1, 1)


@pytest.mark.parametrize("step", ["replace", "fdopen"])
def test_a_write_that_fails_half_way_leaves_nothing(empty, monkeypatch, step):
    def fails(*args, **kwargs):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as m:
        m.setattr(os, step, fails)
        _, counted = works()
    assert counted.unwritten == 1
    assert not list(empty.glob("*"))


# ---------------------------------------------------------------- size


def test_what_was_used_longest_ago_goes_first(empty, monkeypatch):
    paths = []
    for i, factor in enumerate((3.0, 4.0, 5.0)):
        before = set(empty.glob("*"))
        works(factor)
        (path,) = set(empty.glob("*")) - before
        os.utime(path, (time.time() - 100_000 + i, time.time() - 100_000 + i))
        paths.append(path)
    forget()
    works(3.0)  # used again
    size = paths[0].stat().st_size
    monkeypatch.setattr(cache, "MOST_BYTES", int(3.5 * size))
    forget()
    works(6.0)
    assert [p.exists() for p in paths] == [True, False, True]
    assert len(list(empty.glob("*"))) == 3


def test_what_a_stopped_process_left_goes(empty):
    empty.mkdir(mode=0o700)
    (empty / "code-0.1-0-0.tmp").write_bytes(b"half")
    (empty / "code-1.1-0-0.tmp").write_bytes(b"being written")
    (empty / "notes").write_bytes(b"somebody's")
    os.utime(empty / "code-0.1-0-0.tmp", (0, 0))
    works()
    assert not (empty / "code-0.1-0-0.tmp").exists()
    assert (empty / "code-1.1-0-0.tmp").exists()
    assert cache.clear() == 2
    assert [p.name for p in empty.glob("*")] == ["notes"]
    assert cache.clear() == 0
