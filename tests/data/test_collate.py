"""default_collate: what becomes a batch, and what can't."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import chainrule
from chainrule.data import DataLoader, default_collate
from chainrule.errors import ArgumentError, ArgumentTypeError, ShapeError

Point = namedtuple("Point", "x y")
GOOD = {
    "floats": [1.0, 2.0],
    "ints": [1, 2],
    "bools": [True, False],
    "texts": ["a", "b"],
    "arrays": [np.ones(2, np.float32), np.zeros(2, np.float32)],
    "scalars": [np.float32(1), np.float32(2)],
    "tuples": [(1, 2.0), (3, 4.0)],
    "lists": [[1, [2.0]], [3, [4.0]]],
    "dicts": [{"x": 1.0, "y": "a"}, {"x": 2.0, "y": "b"}],
    "named": [Point(1, 2.0), Point(3, 4.0)],
}


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return (type(x).__name__, [plain(v) for v in x])
    return (str(x.dtype).removeprefix("torch."), x.tolist()) if hasattr(x, "dtype") else x


@pytest.mark.reference
@pytest.mark.parametrize("batch", GOOD.values(), ids=GOOD)
def test_batches_are_those_of_pytorch(batch):
    torch = pytest.importorskip("torch")
    assert plain(default_collate(batch)) == plain(torch.utils.data.default_collate(batch))


def test_every_kind_of_example_makes_a_batch():
    for batch in GOOD.values():
        plain(default_collate(batch))
    assert default_collate([1, 2.5]).tolist() == [1.0, 2.5]
    x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    y = default_collate([x * 2, x * 3])
    y.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


BAD = {
    "ragged": ([np.zeros(2), np.zeros(3)], ShapeError, [r"\(2,\)", r"\(3,\)", "index 7", "pad"]),
    "ragged field": (
        [(np.zeros(2), 1), (np.zeros(3), 1)], ShapeError, ["index 7", "index 4", "collate_fn"]),
    "tuple lengths": ([(1, 2), (1,)], ShapeError, ["2 fields", "1 fields", "index 7"]),
    "dict keys": ([{"a": 1}, {"b": 1}], ShapeError, ["a", "b", "index 7"]),
    "kinds": ([1.0, "x"], ArgumentTypeError, ["float", "str at dataset index 7"]),
    "none": ([None, None], ArgumentTypeError, ["NoneType", "collate_fn"]),
    "objects": ([np.array(["a"]), np.array(["b"])], ArgumentTypeError, ["index 4", "numbers"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_errors_name_the_indices_of_the_dataset(case):
    batch, kind, texts = case
    data = {4: batch[0], 7: batch[1]}

    class Sparse:
        def __len__(self):
            return 8

        def __getitem__(self, i):
            return data[i]

    with pytest.raises(kind, match=texts[0]) as e:
        list(DataLoader(Sparse(), batch_sampler=[[4, 7]]))
    for text in texts[1:]:
        assert text.replace("\\", "") in str(e.value)
    assert len(str(e.value).splitlines()) <= 6


def test_an_empty_batch_is_refused():
    with pytest.raises(ArgumentError, match="empty batch"):
        default_collate([])
