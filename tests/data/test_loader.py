"""The DataLoader: one indexing a batch, an order that is a function, exact resumption."""

from __future__ import annotations

import json
from itertools import chain
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from chainrule.errors import (
    ArgumentError,
    ArgumentTypeError,
    IndexRangeError,
    ShapeError,
    StateError,
)


def generator(seed=0):
    return chainrule.Generator().manual_seed(seed)


def pairs(n=10):
    x = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    return TensorDataset(x, np.arange(n))


class Rows(Dataset):
    """A dataset that can only give one example after the other, and counts."""

    def __init__(self, data):
        self.data, self.calls = data, 0

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        self.calls += 1
        return self.data[i]


class Counted(np.ndarray):
    """An array that counts how often it is indexed."""

    calls: ClassVar[list[str]] = []

    def take(self, *a, **k):
        Counted.calls.append("take")
        return np.asarray(self).take(*a, **k)

    def __getitem__(self, key):
        Counted.calls.append("getitem")
        return np.asarray(self)[key]


def counted(dataset):
    for t in dataset.tensors:
        t._value = t._value.view(Counted)
    Counted.calls.clear()
    return dataset


LOADERS = {
    "sequential": lambda data, **k: DataLoader(data, batch_size=3, **k),
    "shuffled": lambda data, **k: DataLoader(
        data, batch_size=3, shuffle=True, generator=generator(), **k
    ),
    "replacement": lambda data, **k: DataLoader(
        data, batch_size=3, sampler=RandomSampler(data, True, 25, generator()), **k
    ),
    "repeated": lambda data, **k: DataLoader(
        data, batch_size=3, sampler=RandomSampler(data, num_samples=25, generator=generator()), **k
    ),
    "subset": lambda data, **k: DataLoader(
        data, batch_size=3, sampler=SubsetRandomSampler([1, 3, 5, 7, 9, 2, 4], generator()), **k
    ),
    "weighted": lambda data, **k: DataLoader(
        data, batch_size=3,
        sampler=WeightedRandomSampler(np.arange(10.0), 20, generator=generator()), **k,
    ),
    "batches": lambda data, **k: DataLoader(
        data,
        batch_sampler=BatchSampler(RandomSampler(data, generator=generator()), 3, True), **k,
    ),
}  # fmt: skip


def listed(batches):
    return [[t.tolist() for t in b] for b in batches]


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_state_resumes_with_exactly_the_rest(make):
    loader = make(pairs())
    epochs = [listed(loader) for _ in range(3)]
    assert all(len(e) == len(loader) for e in epochs)
    for epoch in range(3):
        for position in range(len(loader) + 1):
            other = make(pairs())
            batches = None
            other.epoch = epoch
            batches = iter(other)
            for _ in range(position):
                next(batches)
            state = json.loads(json.dumps(other.state_dict()))
            fresh = make(pairs())
            fresh.load_state_dict(state)
            assert (fresh.epoch, fresh.position) == (epoch, position)
            assert listed(fresh) == epochs[epoch][position:]
            assert (fresh.epoch, fresh.position) == (epoch + 1, 0)
            if epoch < 2:
                assert listed(fresh) == epochs[epoch + 1]


def test_a_seeded_loader_takes_over_the_seed_of_the_state():
    one = DataLoader(pairs(), shuffle=True, generator=generator(1))
    two = DataLoader(pairs(), shuffle=True, generator=generator(2))
    assert listed(one) != listed(two)
    two.load_state_dict(one.state_dict())
    assert listed(one) == listed(two)


@settings(max_examples=60)
@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    seed=st.integers(0, 2**64 - 1),
    drop=st.booleans(),
)
def test_an_epoch_holds_each_example_once(n, size, seed, drop):
    if drop and size > n:
        with pytest.raises(ArgumentError, match="drop_last leaves no batch"):
            DataLoader(range(n), size, drop_last=True)
        return
    loader = DataLoader(range(n), size, shuffle=True, drop_last=drop, generator=generator(seed))
    batches = [b.tolist() for b in loader]
    assert len(batches) == len(loader) == (n // size if drop else -(-n // size))
    assert {len(b) for b in batches[:-1]} <= {size}
    seen = list(chain(*batches))
    assert len(set(seen)) == len(seen) == (n - n % size if drop else n)
    assert seen == np.concatenate(list(loader.batches(0))).tolist()


def test_orders_differ_by_epoch_and_seed_and_repeat_otherwise():
    a, b = (RandomSampler(range(50), generator=generator(s)) for s in (0, 1))
    orders = [tuple(s.order(e)) for s in (a, b) for e in range(4)]
    assert len(set(orders)) == 8
    assert orders == [tuple(s.order(e)) for s in (a, b) for e in range(4)]
    assert list(a) == list(orders[0])
    assert list(a) == list(orders[1])


def test_manual_seed_after_the_loader_was_made_still_counts():
    loaders = []
    for _ in range(2):
        loader = DataLoader(range(20), 5, shuffle=True)
        chainrule.manual_seed(3)
        loaders.append([b.tolist() for b in loader])
    assert loaders[0] == loaders[1]


def test_leaving_a_loop_ends_its_epoch():
    loader = DataLoader(range(20), 5, shuffle=True, generator=generator())
    first, second = next(iter(loader)).tolist(), next(iter(loader)).tolist()
    assert first == next(loader.batches(0)).tolist()
    assert second == next(loader.batches(1)).tolist()


def test_two_iterators_at_once_do_not_disturb_each_other():
    loader = DataLoader(range(6), 2, shuffle=True, generator=generator())
    outer = iter(loader)
    seen = [next(outer).tolist()]
    inner = [b.tolist() for b in loader]
    seen += [b.tolist() for b in outer]
    assert sorted(chain(*seen)) == sorted(chain(*inner)) == list(range(6))
    assert (loader.epoch, loader.position) == (2, 0)


# ---------------------------------------------------------------- a batch at a time


@pytest.mark.parametrize("wrapping", ["plain", "subset", "nested", "concat", "concat of subsets"])
@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_arrays_are_indexed_a_batch_at_a_time(make, wrapping):
    data = counted(pairs(20))
    backwards = list(range(20))[::-1]
    dataset = {
        "plain": lambda: Subset(data, range(10)),
        "subset": lambda: Subset(data, backwards[:10]),
        "nested": lambda: Subset(Subset(data, backwards), range(10)),
        "concat": lambda: Subset(ConcatDataset([data, data]), range(15, 25)),
        "concat of subsets": lambda: ConcatDataset(
            [Subset(data, [3, 1, 4, 1, 5]), Subset(data, backwards[:5])]
        ),
    }[wrapping]()
    loader = make(dataset)
    batches = listed(loader)
    parts = 2 if "concat" in wrapping else 1
    assert Counted.calls.count("getitem") == 0
    assert len(loader) <= len(Counted.calls) / 2 <= parts * len(loader)
    rows = [[[t.tolist() for t in dataset[i]] for i in b] for b in loader.batches(loader.epoch - 1)]
    assert batches == [[list(f) for f in zip(*b, strict=True)] for b in rows]


def test_arrays_and_tensors_are_datasets():
    x = np.arange(6.0).reshape(3, 2)
    for data in (x, chainrule.tensor(x)):
        (batch,) = DataLoader(data, batch_size=3)
        assert batch.tolist() == x.tolist()


def test_a_batch_is_a_copy():
    data = pairs()
    next(iter(DataLoader(data, 4)))[0].zero_()
    assert data.tensors[0][1].tolist() == [3.0, 4.0, 5.0]


def test_getitems_is_called_once_a_batch():
    class Several(Rows):
        def __getitems__(self, indices):
            self.calls += 1
            return [self.data[i] for i in indices]

    data = Several(list(range(10)))
    assert [b.tolist() for b in DataLoader(data, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert data.calls == 3
    assert [b.tolist() for b in DataLoader(Subset(data, [9, 8]), 4)] == [[9, 8]]
    assert data.calls == 4


def test_collate_fn_gets_the_list_of_examples():
    loader = DataLoader(pairs(), 4, collate_fn=lambda b: [int(y) for _, y in b])
    assert list(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_samplers_of_the_user_are_followed():
    class Evens(Sampler):
        def __len__(self):
            return 5

        def __iter__(self):
            return iter(range(0, 10, 2))

    class ByEpoch(Evens):
        def set_epoch(self, epoch):
            self.epoch = epoch

        def __iter__(self):
            return iter([self.epoch] * 5)

    assert [y.tolist() for _, y in DataLoader(pairs(), 2, sampler=Evens())] == [[0, 2], [4, 6], [8]]
    loader = DataLoader(pairs(), 5, sampler=ByEpoch())
    assert [[y.tolist() for _, y in loader] for _ in range(2)] == [[[0] * 5], [[1] * 5]]
    loader = DataLoader(pairs(), batch_sampler=[[1, 2], [0]])
    assert [y.tolist() for _, y in loader] == [[1, 2], [0]]
    batches = DataLoader(pairs(), batch_sampler=BatchSampler(Evens(), 2, False))
    assert [y.tolist() for _, y in batches] == [[0, 2], [4, 6], [8]]


def test_weights_decide_how_often():
    sampler = WeightedRandomSampler([1.0, 0.0, 3.0], 20000, generator=generator())
    counts = np.bincount(sampler.order(0), minlength=3) / 20000
    assert counts[1] == 0
    assert abs(counts[2] - 0.75) < 0.01


# ---------------------------------------------------------------- splits


def test_random_split_by_counts_and_fractions():
    for lengths, sizes in [([7, 3], [7, 3]), ([0.5, 0.25, 0.25], [6, 2, 2]), ([1.0], [10])]:
        parts = random_split(pairs(), lengths, generator=generator())
        assert [len(p) for p in parts] == sizes
        assert sorted(int(i) for p in parts for i in p.indices) == list(range(10))
        again = random_split(pairs(), lengths, generator=generator())
        assert all((a.indices == b.indices).all() for a, b in zip(parts, again, strict=True))


@pytest.mark.reference
def test_random_split_gives_the_sizes_of_pytorch():
    torch = pytest.importorskip("torch")
    for n in (10, 97):
        for lengths in ([0.5, 0.5], [0.8, 0.1, 0.1], [1 / 3] * 3, [0.9, 0.1]):
            theirs = [len(p) for p in torch.utils.data.random_split(range(n), lengths)]
            assert [len(p) for p in random_split(range(n), lengths)] == theirs


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("size", [0, -1, "8", 2.0, True, None])
def test_batch_size_must_be_a_whole_number_above_0(size):
    with pytest.raises(ArgumentError, match="positive integer value") as e:
        DataLoader(pairs(), batch_size=size)
    assert repr(size) in str(e.value)


def _change_length(loader):
    loader.dataset.data.append(1)
    iter(loader)


REFUSED = {
    "empty dataset": (lambda: DataLoader([]), ArgumentError, "empty"),
    "no dataset": (lambda: DataLoader(3), ArgumentTypeError, "__getitem__"),
    "sampler and shuffle": (
        lambda: DataLoader(pairs(), shuffle=True, sampler=[1]), ArgumentError, "exclusive"),
    "batch_sampler and size": (
        lambda: DataLoader(pairs(), 2, batch_sampler=[[1]]), ArgumentError, "exclusive"),
    "shuffle text": (lambda: DataLoader(pairs(), shuffle="yes"), ArgumentTypeError, "'yes'"),
    "an empty batch": (
        lambda: list(DataLoader(pairs(), batch_sampler=[[1], []])), ArgumentError, "empty batch"),
    "index outside": (
        lambda: list(DataLoader(pairs(), batch_sampler=[[1, 10]])), IndexRangeError, "0 to 9"),
    "subset outside": (lambda: Subset(pairs(), [3, 10]), IndexRangeError, "10"),
    "subset by mask": (
        lambda: Subset(pairs(), np.ones(10, bool)), ArgumentTypeError, "flatnonzero"),
    "unequal tensors": (
        lambda: TensorDataset(np.ones(20), np.ones(19)), AssertionError, r"\[20, 19\]"),
    "no tensors": (lambda: TensorDataset(), ArgumentError, "at least one"),
    "split sum": (lambda: random_split(pairs(), [3, 3]), ArgumentError, "add up to 6"),
    "split nan": (lambda: random_split(pairs(), [float("nan")]), ArgumentError, ">= 0"),
    "split empty part": (lambda: random_split(pairs(), [10, 0]), ArgumentError, "empty"),
    "weights nan": (
        lambda: WeightedRandomSampler([1.0, np.nan], 2), ArgumentError, "nan at place 1"),
    "too few weights": (
        lambda: WeightedRandomSampler([1.0, 0.0], 2, False), ArgumentError, "replacement=True"),
    "a seed for a generator": (
        lambda: DataLoader(pairs(), shuffle=True, generator=3), ArgumentTypeError, "Generator"),
    "length changed": (
        lambda: _change_length(DataLoader(Rows([1, 2]))), StateError, "changed its length"),
    "wrong __getitems__": (
        lambda: list(DataLoader(type("D", (Rows,), {"__getitems__": lambda s, i: [1]})([1, 2]), 2)),
        ShapeError, "one example an index"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_bad_use_is_refused(case):
    run, kind, text = case
    with pytest.raises(kind, match=text) as e:
        run()
    assert len(str(e.value).splitlines()) <= 6


STATES = {
    "batch_size": ({"batch_size": 5}, "batch_size 3"),
    "examples": ({"examples": 11}, "examples 10"),
    "shuffle": ({"seed": None}, "shuffle"),
    "position": ({"position": 5}, "behind the end"),
}


@pytest.mark.parametrize("case", STATES.values(), ids=STATES)
def test_a_state_of_other_data_is_refused_and_changes_nothing(case):
    change, text = case
    loader = LOADERS["shuffled"](pairs())
    next(iter(loader))
    before = loader.state_dict()
    with pytest.raises(StateError, match=text):
        loader.load_state_dict({**before, **change})
    with pytest.raises(StateError, match="missing: seed"):
        loader.load_state_dict({k: v for k, v in before.items() if k != "seed"})
    assert loader.state_dict() == before


def test_utils_data_is_data():
    import chainrule.utils.data

    for name, thing in vars(chainrule.data).items():
        if not name.startswith("_"):
            assert getattr(chainrule.utils.data, name) is thing
