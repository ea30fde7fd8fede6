"""Everything that reads a file which somebody else may have written, with good files of each."""

from __future__ import annotations

import io
import os
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mutations import mutated

import chainrule
from chainrule import functional as F
from chainrule import nn, optim
from chainrule.cli import recipe as recipes
from chainrule.cli import train
from chainrule.cli.rows import read_rows
from chainrule.cli.runs import summary
from chainrule.cli.settings import read_settings, to_toml
from chainrule.data.tables import Schema, read_table
from chainrule.data.tables.preprocessing import Preprocessing
from chainrule.derivation import record
from chainrule.errors import ChainruleError
from chainrule.train import EarlyStopping, Run, Trainer
from chainrule.train.checkpoint import Checkpoints
from chainrule.train.files import load_metadata, load_tensors, read_json, read_json_lines, writing
from chainrule.train.files.tensors import save_tensors
from chainrule.train.packing import pack
from chainrule.train.state import capture
from chainrule.train.watch.look import looks_in

SECONDS = 1.0
"""More than any file of this size may take."""
SPARE = 2**20
"""Bytes that reading takes whatever the size: errors, tables, the trainer."""


class Memory(writing.Disk):
    """A disk that holds a few files by name."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}

    def open(self, path):
        try:
            return io.BufferedReader(io.BytesIO(self.files[os.path.basename(path)]))
        except KeyError:
            raise FileNotFoundError(2, "no such file", path) from None

    def list_folder(self, path):
        return list(self.files)


@dataclass
class Reader:
    """Something that reads: good files, the kind of their content, what is done with one.

    count: how many changed files it gets in CI, about two seconds' worth.
    """

    name: str
    kind: str
    count: int
    seeds: list[bytes]
    read: Callable[[bytes], object]


def on(disk, act):
    """The action, with all files in this disk."""
    before, writing.disk = writing.disk, disk
    try:
        return act()
    finally:
        writing.disk = before


def made_trainer() -> Trainer:
    """A small trainer with every part that has state."""
    chainrule.manual_seed(0)
    net = nn.Linear(2, 2)
    adam = optim.Adam(net.parameters(), 0.01)
    return Trainer(
        net, F.mse_loss, adam, scheduler=optim.lr_scheduler.StepLR(adam, 2), ema=0.9, seed=1,
        callbacks=[EarlyStopping("loss")], compile=False,
    )  # fmt: skip


def content_of(trainer: Trainer) -> str:
    """Everything of a trainer's state, as a text."""
    body, tensors = pack(capture(trainer))
    return repr(body) + repr({k: t.tolist() for k, t in tensors.items()}) + repr(trainer.pending)


def _files_of_a_run() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        r = recipes.Recipe("xor", layers=(2,), epochs=1, batch_size=400)
        run = Run.create("r", folder, {"recipe": r.to_config(), "model": "mlp", "parameters": 9})
        t = made_trainer()
        t.run = run
        x = np.ones((8, 2), np.float32)
        t.fit((x, x), epochs=2, batch_size=4)
        held = {p.name: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
        save_tensors(run.path / "x", {"w": np.arange(6.0).reshape(2, 3), "e": np.zeros((0, 2)),
                                      "b": np.array([True, False])}, {"about": "ä"})  # fmt: skip
        return held | {"tensors": (run.path / "x").read_bytes()}


LOOK = (
    b'{"step": 25, "epoch": 1, "lr": 0.01, "loss": 0.7, "overhead": 0.1, "layers": [{"name": "fc1",'
    b' "kind": "Linear", "grad": 0.003, "weights": "inf", "dead_units": [2], "activations": '
    b'{"low": -1.0, "high": "nan", "counts": [' + b", ".join([b"1"] * 40) + b"]}}]}\n"
)
ROWS = b"a,b\n1,2\n3.5,-4e3\n", b"1;2,5\n3;4\n", b"\xef\xbb\xbf1\t2\r\n3\t4\r\n"
TABLES = (
    b"a,t,when\n" + b"1,x,2024-01-02\n2.5,y,2024-01-03\n,x,2024-02-01\n" * 4,
    b'n;"a b";y\n' + b'1,5;"p;q";ja\n2,5;"r ""s""";nein\n-;"t";ja\n' * 4,
    b"\xef\xbb\xbfa\tb\r\n" + b"1\t2\r\n3\t4\r\n5\t7\r\n" * 4,
)
LINES = b'{"a": 1, "t": "x"}\n{"a": 2.5, "t": "y"}\n{"a": null, "t": "x"}\n' * 4
RESULT = (
    b'{"stopped": "epochs", "epochs": 3, "steps": 9, "last": {"epoch": 3}, "best_epochs": [2, 3],'
    b' "test_f1": 0.5, "test_rows": 9, "test_accuracy": 0.5, "confusion": [[3, 1], [2, 3]],'
    b' "labels": [{"name": "big", "rows": 4, "predicted": 5, "right": 3, "roc_auc": 0.75}],'
    b' "advised_lr": null, "threads": 2}'
)
SETTINGS = (
    to_toml(recipes.Recipe("xor")).encode(),
    b'data = "a.csv"\ntarget = ["t"]\nkind = ["a=categorical"]\nlayers = [8, 8]\nseed = 3\n'
    b'header = true\ndelimiter = ";"\nlr = 0.01\nearly_stopping = false\nkeep = 2\n',
)
TOML = b"x = [1]\ny = [0]\n[[layers]]\nweight = [[1]]\nbias = [0]\n"
YAML = b"x: [1]\ny: [0]\nlayers:\n- weight: [[1]]\n  bias: [0.5]\n"
YAML_LIKE = (
    b'{"x": [1], "y": [0], "layers": [{"weight": [[1]], "bias": [0], "activation": "tanh"}]}'
)


NAMES = (
    "tensors", "metadata", "json", "json lines", "checkpoint", "checkpoint's tensors", "resume",
    "run", "log", "looks", "result", "toml", "example in json", "example in yaml", "rows",
    "settings", "table", "table in json lines",
)  # fmt: skip


def _of_users(folder: Path) -> list[Reader]:
    """Those of files that are no part of a run: they go through a folder."""

    def through(name, read):
        path = folder / f"{os.getpid()}-{name}"

        def run(data):
            path.write_bytes(data)
            return read(path)

        return run

    def of_table(path):
        table = read_table(path)
        return Preprocessing.fit(table, Schema.infer(table, table.names[-1]))

    toml = record.CASE_STUDY.read_bytes()
    return [
        Reader("toml", "text", 6000, [toml, TOML],
               through("x.toml", record.read)),
        Reader("example in json", "json", 6000, [YAML_LIKE], through("x.json", record.read)),
        Reader("example in yaml", "text", 4000, [YAML_LIKE, YAML],
               through("x.yaml", record.read)),
        Reader("rows", "text", 10000, list(ROWS),
               through("x.csv", lambda path: read_rows(str(path), 2, "xor"))),
        Reader("settings", "text", 2000, list(SETTINGS),
               through("s.toml", lambda path: read_settings(str(path), train.command))),
        Reader("table", "text", 2000, list(TABLES), through("t.csv", of_table)),
        Reader("table in json lines", "lines", 2000, [LINES], through("t.jsonl", of_table)),
    ]  # fmt: skip


def readers(folder: Path) -> list[Reader]:
    """All of them."""
    held = _files_of_a_run()
    newest = max(n for n in held if n[0] == "0" and n.endswith(".json"))
    manifest, tensors = held[newest], held[newest.replace("json", "safetensors")]

    def generation(data, act):
        m, t = (data, tensors) if data[:1] == b"{" else (manifest, data)
        files = {newest: m, newest.replace("json", "safetensors"): t}
        disk = Memory()
        disk.files = files
        return on(disk, act)

    trainer = made_trainer()
    blank = content_of(trainer)

    def resumed(data):
        nonlocal trainer
        run = Run("c", say=lambda text: None)
        try:
            generation(data, lambda: trainer.resume(run))
        except ChainruleError:
            assert content_of(trainer) == blank, "the trainer has changed"
            raise
        trainer = made_trainer()

    def of_run(data):
        disk = Memory(**{"config_json": data, "metrics_jsonl": held["metrics.jsonl"],
                         "result_json": held["result.json"]})  # fmt: skip
        return on(disk, lambda: (summary(Run("c")), recipes.from_config(Run("c").config, "c")))

    def logged(data):
        return on(Memory(config_json=held["config.json"], metrics_jsonl=data),
                  lambda: (summary(Run("c")), Run("c").rows))  # fmt: skip

    def ended(data):
        disk = Memory(config_json=held["config.json"], metrics_jsonl=held["metrics.jsonl"],
                      result_json=data)  # fmt: skip
        return on(disk, lambda: (Run("c").result, summary(Run("c")), chainrule.diagnose(Run("c"))))

    def memory(read):
        return lambda data: on(Memory(x=data), lambda: read("x"))

    return [
        Reader("tensors", "tensors", 40000, [held["tensors"], held["model.safetensors"]],
               memory(load_tensors)),
        Reader("metadata", "tensors", 10000, [held["tensors"]], memory(load_metadata)),
        Reader("json", "json", 20000, [held["config.json"], held["result.json"]],
               memory(read_json)),
        Reader("json lines", "lines", 10000, [held["metrics.jsonl"]], memory(read_json_lines)),
        Reader("checkpoint", "manifest", 6000, [manifest],
               lambda data: generation(data, Checkpoints(Path("c")).load)),
        Reader("checkpoint's tensors", "tensors", 6000, [tensors],
               lambda data: generation(data, Checkpoints(Path("c")).load)),
        Reader("resume", "manifest", 4000, [manifest], resumed),
        Reader("run", "json", 5000, [held["config.json"]], of_run),
        Reader("log", "lines", 5000, [held["metrics.jsonl"]], logged),
        Reader("looks", "lines", 10000, [LOOK], memory(lambda name: looks_in(Path(name)))),
        Reader("result", "json", 4000, [held["result.json"], RESULT], ended),
        *_of_users(folder),
    ]  # fmt: skip


@dataclass
class Count:
    """What became of the inputs of one reader."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    peak: float = 0.0  # bytes above the spare ones, by byte of the file
    wrong: list[str] = field(default_factory=list)

    def add(self, other):
        """Takes in another part of the work."""
        self.read += other.read
        self.refused += other.refused
        self.slowest, self.peak = max(self.slowest, other.slowest), max(self.peak, other.peak)
        self.wrong += other.wrong


def one(reader: Reader, number: int, count: Count, *, measured: bool) -> None:
    """Reads the changed file of this number, and notes what should not be."""
    rng = random.Random(number)
    data = mutated(rng, rng.choice(reader.seeds), reader.kind)
    tried(reader, data, number, count, measured=measured)


def tried(reader: Reader, data: bytes, number: int, count: Count, *, measured: bool) -> None:
    """Reads a file: only errors of ours, within a second, in memory of its own size."""
    with ExitStack() as stack:
        if measured:
            tracemalloc.start()
            stack.callback(tracemalloc.stop)
        began = time.process_time()
        try:
            reader.read(data)
            count.read += 1
        except ChainruleError:
            count.refused += 1
        except Exception as error:
            count.wrong.append(f"{reader.name} {number}: {type(error).__name__}: {error}"[:300])
        seconds = time.process_time() - began
        if measured:
            peak = tracemalloc.get_traced_memory()[1]
            count.peak = max(count.peak, (peak - SPARE) / max(len(data), 1))
            if peak > 2 * len(data) + SPARE:
                count.wrong.append(f"{reader.name} {number}: {peak:,} bytes for {len(data):,}")
    count.slowest = max(count.slowest, seconds)
    if seconds > SECONDS:
        count.wrong.append(f"{reader.name} {number}: {seconds:.1f} s")
