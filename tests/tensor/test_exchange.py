"""DLPack: memory is shared both ways, and what must not be written is not given away."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import dtypes
from chainrule.errors import ArgumentError, ArgumentTypeError, ChainruleError, TraceError
from chainrule.tensor.exchange import ExchangeError


def arrays(dtype):
    """Arrays of many layouts."""
    a = np.arange(24).reshape(2, 3, 4).astype(dtype)
    return [a, a.T, a[:, ::2], a[1], a[..., 0], a[:, :, :0], np.asarray(a[0, 0, 0])]


def locked(array):
    array.flags.writeable = False
    return chainrule.from_numpy(array)


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_with_numpy(dtype):
    for a in arrays(dtype):
        t = chainrule.from_numpy(a)
        out = np.from_dlpack(t)
        back = chainrule.from_dlpack(out)
        for b in (out, back.numpy()):
            assert (b.shape, b.dtype) == (a.shape, a.dtype)
            assert np.array_equal(a, b)
            assert b.size == 0 or np.shares_memory(a, b)
        assert t.__dlpack_device__() == (1, 0)


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_with_torch(dtype):
    torch = pytest.importorskip("torch")
    for a in arrays(dtype):
        t = chainrule.from_numpy(a)
        theirs = torch.from_dlpack(t)
        back = chainrule.from_dlpack(theirs)
        assert np.array_equal(theirs.numpy(), a)
        assert (back.shape, back.dtype) == (t.shape, t.dtype)
        if a.size and dtype.kind == "f":
            theirs.fill_(7)
            assert t.numpy().ravel()[0] == back.numpy().ravel()[-1] == 7
    with pytest.raises(ExchangeError, match=r"torch Tensor can't be shared(.|\n)*detach"):
        chainrule.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(ChainruleError, match="can't be shared"):
        chainrule.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(BufferError, match="requires grad"):
        torch.from_dlpack(chainrule.ones(2).requires_grad_())


def test_a_copy_is_one():
    t = chainrule.ones(3)
    for copied in (np.from_dlpack(t, copy=True), chainrule.from_dlpack(t, copy=True).numpy()):
        assert not np.shares_memory(copied, t.numpy())
    ours = locked(np.ones(2))
    assert np.from_dlpack(ours, copy=True).tolist() == [1, 1]


@pytest.mark.parametrize("take", [np.from_dlpack, chainrule.from_dlpack])
def test_what_is_not_given_away(take):
    with pytest.raises(BufferError, match=r"requires grad(.|\n)*\.detach\(\)"):
        take(chainrule.ones(2).requires_grad_())
    with pytest.raises(BufferError, match=r"read-only(.|\n)*\.clone\(\)"):
        take(locked(np.ones(2)))
    with pytest.raises(BufferError, match="read-only"):
        take(chainrule.ones(1).expand(3))

    @chainrule.compile
    def step(x):
        return chainrule.ones(2) * float(take(x).sum())

    with pytest.raises(TraceError, match="DLPack"):
        step(chainrule.ones(2))


def test_what_is_not_taken():
    with pytest.raises(ArgumentTypeError, match=r"speaks DLPack(.|\n)*list"):
        chainrule.from_dlpack([1.0])
    with pytest.raises(ArgumentTypeError, match="not a type that tensors can hold"):
        chainrule.from_dlpack(np.ones(2, np.float16))
    with pytest.raises(ArgumentError, match="computes on the CPU"):
        chainrule.from_dlpack(np.ones(2), device="cuda")

    class Elsewhere:
        def __dlpack__(self, **settings):
            raise AssertionError

        def __dlpack_device__(self):
            return 2, 0

    with pytest.raises(ExchangeError, match=r"another device(.|\n)*cpu\(\)"):
        chainrule.from_dlpack(Elsewhere())


@pytest.mark.parametrize(
    "write",
    [
        lambda t: t.add_(1), lambda t: t.fill_(1), lambda t: t.zero_(), lambda t: t.copy_(t + 1),
        lambda t: t.__setitem__(0, 1), lambda t: t.mul_(t),
    ],
)  # fmt: skip
def test_read_only_memory_is_not_written(write):
    a = np.ones(2)
    t = locked(a)
    with pytest.raises(ArgumentError, match=r"read-only(.|\n)*\.clone\(\)"):
        write(t)
    assert a.tolist() == [1, 1]
    assert t.clone().add_(1).tolist() == [2, 2]
