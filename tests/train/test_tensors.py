"""Tensor files: every changed bit is noticed, what is intact is said, nothing bad is believed."""

from __future__ import annotations

import io
import json
import resource
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule
from chainrule import dtypes
from chainrule.errors import ArgumentError, ArgumentTypeError, FormatError
from chainrule.train import files
from chainrule.train.files import tensors as layer
from chainrule.train.files import writing

SMALL = {
    "fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fc.bias": np.array([0.5, -0.5]),
    "mask": np.array([True, False, True]),
    "empty": np.zeros((0, 3), np.int64),
    "step": np.array(7),
}


class Memory(writing.Disk):
    """A disk that holds one file."""

    def __init__(self, data=b""):
        self.data = data

    def open(self, path):
        return io.BufferedReader(io.BytesIO(self.data))


@pytest.fixture
def memory(monkeypatch):
    disk = Memory()
    monkeypatch.setattr(writing, "disk", disk)
    return disk


def packed(tmp_path, tensors=SMALL, metadata=None):
    path = tmp_path / "packed.safetensors"
    files.save_tensors(path, tensors, metadata)
    return path.read_bytes()


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        x, y = np.asarray(a[name]), np.asarray(b[name])
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())


# ---------------------------------------------------------------- good files


@settings(max_examples=25)
@given(st.dictionaries(
    st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="./\\"), min_size=1),
    st.sampled_from(dtypes.ALL).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    ),
    max_size=5,
))  # fmt: skip
def test_what_is_saved_is_loaded(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("files") / "x.safetensors"
    chainrule.save(tensors, path)
    same(chainrule.load(path), tensors)


def test_other_programs_read_these_files(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    packed(tmp_path, metadata={"about": "grüße"})
    read = theirs.load_file(tmp_path / "packed.safetensors")
    same({k: read[k] for k in SMALL}, SMALL)
    assert files.load_metadata(tmp_path / "packed.safetensors") == {"about": "grüße"}


def test_files_of_other_programs_are_read(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    theirs.save_file(SMALL, tmp_path / "x", metadata={"format": "np"})
    loaded = chainrule.load(tmp_path / "x")
    same({k: loaded[k] for k in SMALL}, SMALL)
    assert files.load_metadata(tmp_path / "x") == {"format": "np"}


def test_metadata_of_any_name_come_back(tmp_path):
    about = {"sha256": "0" * 64, "format": "pt", "chainrule": '{"sha256":', "": "\u2028\x00"}
    packed(tmp_path, metadata=about)
    same(chainrule.load(tmp_path / "packed.safetensors"), SMALL)
    assert files.load_metadata(tmp_path / "packed.safetensors") == about


def test_arrays_of_any_layout_are_saved(tmp_path):
    arrays = {
        "transposed": SMALL["fc.weight"].T,
        "strided": np.arange(10.0)[::3],
        "big-endian": np.arange(3, dtype=">f4"),
        "tensor": chainrule.tensor([1.0, 2.0], requires_grad=True),
    }
    chainrule.save(arrays, tmp_path / "x")
    for name, value in chainrule.load(tmp_path / "x").items():
        wanted = arrays[name].detach() if name == "tensor" else arrays[name]
        assert value.tolist() == wanted.tolist()


def test_the_same_tensors_make_the_same_bytes(tmp_path):
    assert packed(tmp_path) == packed(tmp_path)


# ---------------------------------------------------------------- damaged files


def test_every_flipped_bit_of_the_header_is_noticed(tmp_path, memory):
    good = packed(tmp_path)
    header = 8 + int.from_bytes(good[:8], "little")
    for bit in range(8 * header):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        memory.data = bytes(bad)
        with pytest.raises(FormatError):
            chainrule.load("x")


@pytest.mark.slow
def test_4096_flipped_bits_are_noticed_and_named(tmp_path, memory):
    tensors = {"a": np.arange(300.0), "b": np.ones((20, 30), np.float32)}
    good = packed(tmp_path, tensors)
    header = 8 + int.from_bytes(good[:8], "little")
    rng = np.random.default_rng(0)
    for bit in rng.choice(8 * (len(good) - header), 4096, replace=False) + 8 * header:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        memory.data = bytes(bad)
        with pytest.raises(FormatError) as e:
            chainrule.load("x")
        broken = "ab"[int(bit) // 8 >= header + tensors["a"].nbytes]
        assert f"broken: {broken}\n" in str(e.value)
        assert f"intact: {'b' if broken == 'a' else 'a'}" in str(e.value)


def test_a_file_cut_at_any_length_is_refused(tmp_path, memory):
    good = packed(tmp_path)
    memory.data = good
    same(chainrule.load("x"), SMALL)
    for size in range(len(good)):
        memory.data = good[:size]
        with pytest.raises(FormatError) as e:
            chainrule.load("x")
        text = str(e.value)
        assert f"{size:,} bytes" in text
        assert len(text.splitlines()) <= 6
    assert f"expected  {len(good):,} bytes" in text
    assert "broken: mask" in text
    assert "intact: fc.weight, fc.bias, empty, step" in text


def test_a_cut_file_of_another_program_is_explained_too(tmp_path, memory):
    theirs = pytest.importorskip("safetensors.numpy")
    good = theirs.save(SMALL)
    memory.data = good[:-4]
    with pytest.raises(FormatError, match=r"cut short; broken: fc\.weight, mask") as e:
        chainrule.load("x")
    assert f"expected  {len(good):,} bytes" in str(e.value)
    assert "intact: empty, step, fc.bias" in str(e.value)


@settings(max_examples=50)
@given(st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["sha256", "tensors", "metadata", "w"]), inner),
))  # fmt: skip
def test_checksums_of_any_shape_are_refused(held):
    about = {"chainrule": json.dumps(held)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "disk", Memory(crafted({"__metadata__": about, "w": A}, bytes(8))))
        with pytest.raises(FormatError, match="header was altered"):
            chainrule.load("x")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("files"))


@settings(max_examples=150)
@given(st.data())
def test_a_mutated_file_gives_a_format_error_or_its_content(good, data):
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 40))
    bad = good[:at] + data.draw(st.binary(max_size=40)) + good[at + cut :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "disk", Memory(bad))
        if bad == good:
            chainrule.load("x")
        else:
            with pytest.raises(FormatError):
                chainrule.load("x")


# ---------------------------------------------------------------- files that mean harm


EVIL = b"cbuiltins\nexec\n(S'raise SystemExit(1)'\ntR."  # runs when it is unpickled


def pickled(protocol):
    """A pickle that stops the program that loads it."""
    return (b"\x80" + bytes([protocol]) if protocol > 1 else b"") + EVIL


def zipped(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("archive/data.pkl", content)
    return out.getvalue()


def crafted(header, data=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def one(dtype="F32", shape=(2,), offsets=(0, 8), name="w", data=bytes(8), **more):
    entry = {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}
    return crafted({name: entry}, data)


A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HUGE = 2**63
REFUSED = "the library safetensors refuses it"
MALICIOUS = {
    **{f"pickle, protocol {p}": (pickled(p), "pickle") for p in range(2, 6)},
    "pickle without its mark": (pickled(0), "not in the safetensors format"),
    "PyTorch zip": (zipped(pickled(2)), "PyTorch zip"),
    "zip bomb": (zipped(bytes(20_000_000)), "PyTorch zip"),
    "npy": (b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}", "NumPy"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "gzip"),
    "nothing": (b"", "0 bytes"),
    "eight zeros": (bytes(8), "8 bytes"),
    "zeros": (bytes(1000), "1,000 bytes"),
    "header of 100 MB claimed": (struct.pack("<Q", 100_000_000) + b"{" + bytes(100), "109 bytes"),
    "header of 2^64 - 1 claimed": (b"\xff" * 8 + b"{}", "not in the safetensors format"),
    "header cut": (struct.pack("<Q", 500) + b'{"w": ', "more than 508 bytes"),
    "empty header": (crafted(b""), "not in the safetensors format"),
    "header no JSON": (crafted(b"{w}"), "the header"),
    "header a list": (crafted(b"[1, 2]"), "not in the safetensors format"),
    "deep header": (crafted(b'{"a":' * 100_000), "deep"),
    "nan": (crafted(b'{"w": NaN}'), "NaN"),
    "endless number": (crafted(b'{"w": ' + b"9" * 10_000 + b"}"), "4300"),
    "name twice": (
        crafted(f'{{"w": {json.dumps(A)}, "w": {json.dumps(A)}}}'.encode(), bytes(8)), "twice"),
    "key of an entry twice": (
        crafted(b'{"w": {"dtype": "F32", "dtype": "I8"}}'), "'dtype' stands twice"),
    "overlap": (crafted({"a": A, "b": {**A, "data_offsets": [4, 12]}}, bytes(12)), REFUSED),
    "same place": (crafted({"a": A, "b": A}, bytes(8)), REFUSED),
    "gap": (crafted({"a": A, "b": {**A, "data_offsets": [12, 20]}}, bytes(20)), REFUSED),
    "begins late": (one(offsets=(4, 12), data=bytes(12)), REFUSED),
    "backwards": (one(offsets=(8, 0)), REFUSED),
    "negative offset": (one(offsets=(-8, 0)), REFUSED),
    "huge offsets": (one(shape=(HUGE // 2,), offsets=(0, 2 * HUGE)), REFUSED),
    "huge shape": (one(shape=(HUGE, HUGE)), REFUSED),
    "huge shape of no elements": (one(shape=(HUGE, 0), offsets=(0, 0), data=b""), "no array can"),
    "shape that overflows to 2": (one(shape=(2**32, 2**32 + 1)), REFUSED),
    "negative shape": (one(shape=(-1, -2)), REFUSED),
    "float shape": (one(shape=(2.0,)), REFUSED),
    "bool shape": (one(shape=(True, 2)), REFUSED),
    "text shape": (one(shape="2"), REFUSED),
    "too many dimensions": (one(shape=(1,) * 99 + (2,)), "no array can have"),
    "one offset": (one(offsets=(8,)), REFUSED),
    "unknown dtype": (one(dtype="O"), "'O'"),
    "dtype no text": (one(dtype=["F32"]), "type"),
    "half precision": (one(dtype="F16", shape=(4,)), "convert it to F32"),
    "more keys": (one(more=1), "no more"),
    "entry no object": (crafted({"w": 3}), "needs dtype"),
    "path as a name": (one(name="../../etc/passwd"), "not a name"),
    "backslashes as a name": (one(name="..\\x"), "not a name"),
    "control characters": (one(name="a\x1b[2Jb"), "not a name"),
    "metadata no texts": (crafted({"__metadata__": {"a": 1}, "w": A}, bytes(8)), "texts by name"),
    "metadata a list": (crafted({"__metadata__": [], "w": A}, bytes(8)), "texts by name"),
    "bytes behind": (one(data=bytes(9)), "bytes follow"),
    "a zip behind": (one(data=bytes(8) + zipped(b"x")), "bytes follow"),
    "bool of 2": (one(dtype="BOOL", shape=(8,), data=b"\1\0\2\0\0\0\0\0"), "altered"),
    "checksums taken out": (
        crafted({"__metadata__": {"chainrule": "{}"}, "w": A}, bytes(8)), "header was altered"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALICIOUS.values(), ids=MALICIOUS)
def test_malicious_files_are_refused(memory, case):
    data, text = case
    memory.data = data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError) as e:
        chainrule.load("model.bin")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    message = str(e.value)
    assert text in message
    assert "model.bin" in message
    assert len(message.splitlines()) <= 6
    assert max(map(len, message.splitlines())) < 250
    assert grown < 2**15  # kilobytes: nothing of the claimed size was allocated


def test_a_pickle_is_told_how_to_become_a_file_of_tensors(memory):
    for data in (pickled(2), zipped(pickled(2))):
        memory.data = data
        with pytest.raises(FormatError, match="PyTorch") as e:
            chainrule.load("x.pt")
        assert "safetensors.torch.save_file(model.state_dict(), path)" in str(e.value)
        assert "never loaded" in str(e.value)


@pytest.mark.reference
def test_files_of_torch_save_are_named(tmp_path):
    torch = pytest.importorskip("torch")
    for zipfile_format in (True, False):
        torch.save({"w": torch.ones(3)}, tmp_path / "x.pt",
                   _use_new_zipfile_serialization=zipfile_format)  # fmt: skip
        with pytest.raises(FormatError, match="PyTorch"):
            chainrule.load(tmp_path / "x.pt")


# ---------------------------------------------------------------- what can't be saved

UNSAVED = {
    "a module": (lambda p: chainrule.save(chainrule.nn.Linear(1, 1), p), "state_dict()"),
    "swapped": (lambda p: chainrule.save({"w": np.ones(1)}, {"w": 1}), "path"),
    "nested": (lambda p: chainrule.save({"state": {"w": np.ones(1)}}, p), "checkpoint"),
    "a PyTorch habit": (lambda p: chainrule.save({"model": {"w": np.ones(1)}}, p), "one save for"),
    "a number": (lambda p: chainrule.save({"lr": 0.1}, p), "'lr' is not a tensor"),
    "objects": (lambda p: chainrule.save({"w": np.array([None])}, p), "object"),
    "name of a path": (lambda p: chainrule.save({"../w": np.ones(1)}, p), "not a name"),
    "name no text": (lambda p: chainrule.save({3: np.ones(1)}, p), "not a name"),
    "metadata no text": (lambda p: files.save_tensors(p, {}, {"epoch": 3}), "texts by name"),
}


@pytest.mark.parametrize("case", UNSAVED.values(), ids=UNSAVED)
def test_what_is_no_tensor_is_refused(tmp_path, case):
    run, text = case
    with pytest.raises((ArgumentTypeError, ArgumentError)) as e:
        run(tmp_path / "x")
    assert text in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_too_long_a_header_is_not_written(monkeypatch, tmp_path):
    monkeypatch.setattr(layer, "HEADER_LIMIT", 500)
    files.save_tensors(tmp_path / "x", {"w": np.ones(1)})
    with pytest.raises(ArgumentError, match="too many tensors"):
        files.save_tensors(tmp_path / "x", SMALL)
    same(chainrule.load(tmp_path / "x"), {"w": np.ones(1)})


def test_too_long_a_header_is_not_read(monkeypatch, memory):
    memory.data = crafted({"__metadata__": {"a": "x" * 200}})
    assert chainrule.load("x") == {}
    monkeypatch.setattr(layer, "HEADER_LIMIT", 100)
    with pytest.raises(FormatError, match="not in the safetensors format"):
        chainrule.load("x")
