"""No file, whatever is in it, gives more than an error of ours: no crash, no wait, no memory."""

from __future__ import annotations

import random
import time

import pytest
from mutations import REBUILT, mutated
from readers import (
    LOOK,
    NAMES,
    Count,
    Memory,
    Reader,
    content_of,
    made_trainer,
    on,
    one,
    readers,
    tried,
)  # fmt: skip

from chainrule.errors import ChainruleError, StateError
from chainrule.train.files import read_json
from chainrule.train.files.text import JSON_LIMIT
from chainrule.train.state import capture, restore


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    found = {r.name: r for r in readers(tmp_path_factory.mktemp("fuzz"))}
    assert tuple(found) == NAMES
    return found


@pytest.mark.parametrize("name", NAMES)
def test_good_files_are_read(every, name):
    for data in every[name].seeds:
        every[name].read(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_changed_files_are_read_or_refused(every, name):
    count = Count()
    for number in range(every[name].count):
        one(every[name], number, count, measured=number % 16 == 0)
    assert count.wrong == []
    assert count.read > 0, "some changes do no harm"
    assert count.refused > count.read / 10


def test_what_should_not_be_is_noticed(monkeypatch):
    def bad(data):
        until = time.process_time() + 0.1
        while b"slow" in data and time.process_time() < until:
            pass
        if b"large" in data:
            bytearray(10 * 2**20)
        raise KeyError("x") if b"crash" in data else ChainruleError("refused")

    monkeypatch.setattr("readers.SECONDS", 0.09)
    reader = Reader("bad", "text", 1, [], bad)
    for data, wrong in ((b"fine", 0), (b"crash", 1), (b"large", 1), (b"slow", 1)):
        count = Count()
        tried(reader, data, 0, count, measured=True)
        assert len(count.wrong) == wrong, count.wrong


def test_changes_are_many_and_come_again(every):
    for reader in every.values():
        made = [mutated(random.Random(n), reader.seeds[0], reader.kind) for n in range(200)]
        assert made == [mutated(random.Random(n), reader.seeds[0], reader.kind) for n in range(200)]
        assert len(set(made)) > 140, reader.name
    assert {r.kind for r in every.values()} - set(REBUILT) == {"text"}


def test_a_claimed_size_costs_nothing(monkeypatch):
    """A file of JSON is measured before memory is asked for."""
    count = Count()
    reader = Reader("json", "json", 1, [], lambda data: on(Memory(x=data), lambda: read_json("x")))
    tried(reader, b"[1]", 0, count, measured=True)
    assert count.wrong == []
    with pytest.raises(ChainruleError, match="too large"):
        on(Memory(x=b" " * (JSON_LIMIT + 1)), lambda: read_json("x"))


SLOW = {
    "rows": (b"1" * 20_000 + b"x", "a line of numbers with a letter at its end"),
    "example in yaml": (b"[" * 30_000, "lists within lists"),
    "example in json": (b"[" * 30_000, "lists within lists"),
    "looks": (LOOK.replace(b"0.003", b"1" * 400), "a number beyond float64"),
}
"""Files that once took a minute, or were not refused."""


@pytest.mark.parametrize("number", [11334, 27468])
def test_a_log_with_a_number_beyond_float64_is_a_damaged_run(every, number):
    count = Count()
    one(every["log"], number, count, measured=False)
    assert count.wrong == []


@pytest.mark.parametrize("name", SLOW)
def test_files_that_were_too_much(every, name):
    count = Count()
    tried(every[name], SLOW[name][0], 0, count, measured=False)
    assert count.wrong == []
    assert count.refused == 1


def test_a_trainer_that_refuses_a_state_is_as_it_was():
    trainer = made_trainer()
    before = content_of(trainer)
    good = capture(trainer)
    for key in good:
        for bad in ({k: v for k, v in good.items() if k != key}, {**good, key: object()}):
            with pytest.raises(StateError, match=f"the checkpoint's {key} is not"):
                restore(trainer, bad)
            assert content_of(trainer) == before
    group = good["optimizer"]["param_groups"][0]
    odd = {**good["optimizer"], "param_groups": [{**group, "new": 1}]}
    for late in (
        {"optimizer": odd, "scheduler": {}},
        {"optimizer": {}},
        {"ema": {"decay": 0.5}},
        {"scheduler": {}},
        {"callbacks": [1]},
    ):
        with pytest.raises(StateError):
            restore(trainer, {**good, **late})
        assert content_of(trainer) == before
