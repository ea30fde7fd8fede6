"""Damaged files of the cache are made again, and processes that race leave whole ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import entry, forget, works

from chainrule.compiler import cache, hardware
from chainrule.compiler.sealed import seal, unseal
from chainrule.errors import FormatError

pytestmark = pytest.mark.usefixtures("empty")
TESTS = Path(__file__).parents[1]


# ---------------------------------------------------------------- damage


def rebuilt(path, data):
    """Builds again where a file holds `data`: right, and noticed."""
    path.write_bytes(data)
    forget()
    _, counted = works()
    assert (counted.hits, counted.misses, counted.damaged) == (0, 1, 1)


def test_files_that_were_cut_or_altered_are_made_again(empty):
    works()
    path = entry(empty)
    whole = path.read_bytes()
    rebuilt(path, b"")
    rebuilt(path, whole[:-1])
    rebuilt(path, whole + b"\0")
    rebuilt(path, bytes(len(whole)))
    assert path.read_bytes() == whole


def test_wherever_a_file_was_cut_or_altered_the_program_is_right(empty):
    works()
    path = entry(empty)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 15):
        rebuilt(path, whole[:place])
        altered = bytearray(whole)
        altered[place] ^= int(rng.integers(1, 256))
        rebuilt(path, bytes(altered))


def test_a_folder_in_the_place_of_a_file_is_left_alone(empty):
    works()
    path = entry(empty)
    path.unlink()
    path.mkdir()
    forget()
    _, counted = works()
    assert (counted.hits, counted.misses, counted.unwritten) == (0, 1, 1)
    assert path.is_dir()


def test_a_file_under_the_name_of_another_is_made_again(empty):
    works(3.0)
    foreign = entry(empty).read_bytes()
    cache.clear()
    works()
    rebuilt(entry(empty), foreign)


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ({}, [b""]),
        ({"inputs": 1, "results": [[[5], "float32"]], "arena": -1, "shared_work": 0}, [b""]),
        ({"inputs": 1, "results": [[[5], "float32"]], "arena": 0}, [b""]),
        ({"inputs": "1", "results": [[[5], "float32"]], "arena": 0, "shared_work": 0}, [b""]),
        ({"inputs": 1, "results": [[["5"], "float32"]], "arena": 0, "shared_work": 0}, [b""]),
        ({"inputs": 1, "results": [[5, "float32"]], "arena": 0, "shared_work": 0}, [b""]),
        ({"inputs": 1, "results": [[[5], "float7"]], "arena": 0, "shared_work": 0}, [b""]),
        ({"inputs": 1, "results": [[[5], "float32"]], "arena": 0, "shared_work": 0}, []),
        ({"inputs": 1, "results": [[[5], "float32"]], "arena": 0, "shared_work": 0}, [b"no code"]),
    ],
)
def test_a_sealed_file_that_holds_nonsense_is_made_again(empty, header, parts):
    works()
    rebuilt(entry(empty), seal(entry(empty).stem, header, parts))


SEALED = seal("k", {"a": [1, 2.5]}, [b"one", b"", b"three" * 50])


def test_what_was_sealed_comes_out():
    assert unseal("k", SEALED) == ({"a": [1, 2.5]}, [b"one", b"", b"three" * 50])


def test_every_cut_is_noticed():
    for n in range(len(SEALED)):
        with pytest.raises(FormatError):
            unseal("k", SEALED[:n])


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_every_altered_byte_is_noticed(place, change):
    data = bytearray(SEALED)
    data[place] ^= change
    with pytest.raises(FormatError):
        unseal("k", bytes(data))


@given(st.binary(max_size=100))
@settings(max_examples=50)
def test_a_checksum_over_nonsense_is_noticed(body):
    import hashlib

    from chainrule.compiler.sealed import MAGIC

    with pytest.raises(FormatError):
        unseal("k", MAGIC + hashlib.sha256(body).digest() + body)


# ---------------------------------------------------------------- other processes

CHILD = """
import sys, time
start = time.perf_counter()
import numpy as np
from small_programs import training_step
from chainrule import compiler
imported = time.perf_counter()
graph, arrays = training_step()
traced = time.perf_counter()
executable = compiler.build(graph)
built = time.perf_counter()
out = executable.run(arrays)
done = time.perf_counter()
compiler.drive()
import hashlib
print(hashlib.sha256(b"".join(a.tobytes() for a in out)).hexdigest())
print(executable.times.cached, "llvmlite" in sys.modules, compiler.cache.statistics().damaged)
steps = (imported - start, traced - imported, built - traced, done - built)
print(*(f"{1e3 * t:.1f}" for t in steps))
"""


def child():
    command = [sys.executable, "-W", "error", "-c", CHILD]
    return subprocess.Popen(
        command, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def told(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.splitlines()


@pytest.mark.slow
def test_a_process_that_finds_its_programs_does_not_load_llvm(empty):
    cold = told(child())
    warm = told(child())
    assert cold[0] == warm[0]
    assert cold[1].split() == ["False", "True", "0"]
    if hardware.processor() is not None:
        assert warm[1].split() == ["True", "False", "0"]
    for name, lines in (("cold", cold), ("cached", warm)):
        print(f"{name}: import, trace, build, first run: {lines[2]} ms")


@pytest.mark.slow
def test_processes_that_race_for_one_program_all_get_it(empty):
    first = [told(p) for p in [child() for _ in range(4)]]
    again = [told(p) for p in [child() for _ in range(2)]]
    assert len({lines[0] for lines in first + again}) == 1
    assert {lines[1].split()[2] for lines in first + again} == {"0"}
    assert not list(empty.glob("*.tmp"))
    assert len(list(empty.glob("code-*"))) == 1


@pytest.mark.slow
def test_a_reader_never_sees_half_a_file(empty):
    """One process writes a program again and again while others build it."""
    works()
    name, data = entry(empty).stem, entry(empty).read_bytes()
    program = (
        "import sys, time\nfrom chainrule.compiler import cache, sealed\n"
        f"header, parts = sealed.unseal({name!r}, open({str(entry(empty))!r}, 'rb').read())\n"
        "end = time.time() + 1.5\n"
        f"while time.time() < end: cache.write({name!r}, header, parts)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program])
    count = 0
    while writer.poll() is None:
        forget()
        _, counted = works()
        assert (counted.hits, counted.damaged) == (1, 0)
        count += 1
    assert writer.returncode == 0
    assert count > 10
    assert entry(empty).read_bytes() == data
