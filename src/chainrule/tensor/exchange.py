"""DLPack: memory shared with NumPy, PyTorch and whoever else speaks it, without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentTypeError, ChainruleError
from .looking import look

if TYPE_CHECKING:
    from .core import Tensor


class ExchangeError(ChainruleError, BufferError, RuntimeError):
    """Memory that can't be shared: DLPack asks for a BufferError, PyTorch raises others too."""


def capsule(t: Tensor, settings: dict[str, Any]) -> Any:
    """What `t.__dlpack__(...)` gives: the tensor's own memory, or with copy=True other memory."""
    array = look(t, "DLPack")
    if t.requires_grad:
        raise ExchangeError(
            "DLPack: a tensor that requires grad can't be shared, since a write from outside would "
            "not be noticed", got=f"shape {t.shape}", fix=".detach()",
        )  # fmt: skip
    if not array.flags.writeable and not settings.get("copy"):
        raise ExchangeError(
            "DLPack: this tensor's memory is read-only, and not every program that takes it would "
            "heed that", got=f"shape {t.shape}", fix=".clone()",
        )  # fmt: skip
    return array.__dlpack__(**settings)


def array_from(data: Any, copy: bool | None, device: Any) -> Any:
    """The array that shares the memory of an object that speaks DLPack."""
    if not hasattr(data, "__dlpack__"):
        raise ArgumentTypeError(
            "from_dlpack: needs an object that speaks DLPack", expected="an object with __dlpack__",
            got=type(data).__name__, fix="chainrule.tensor(data)",
        )  # fmt: skip
    place = data.__dlpack_device__()
    if place[0] != 1:
        raise ExchangeError(
            "from_dlpack: the memory is on another device", expected="the CPU",
            got=f"device {tuple(map(int, place))}", fix="data.cpu()",
        )  # fmt: skip
    try:
        return np.from_dlpack(data, device=device, copy=copy)
    except ChainruleError:
        raise
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ExchangeError(
            f"from_dlpack: this {type(data).__module__.split('.')[0]} {type(data).__name__} can't "
            "be shared", got=str(error)[:160],
            fix="detach it, or convert it to float32, where it was made",
        ) from None  # fmt: skip
