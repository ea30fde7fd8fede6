"""Tensors as numbers, arrays and text, in other types, and how large they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes, ops
from .. import functional as F
from ..errors import ArgumentError, ArgumentTypeError, ChainruleError, GradError
from ..ops.core import current
from . import show
from .exchange import capsule
from .looking import look

if TYPE_CHECKING:
    from .core import Tensor


class AmbiguousTruth(ChainruleError, RuntimeError):
    """The truth of a tensor that has several elements."""


DEVICES = ("cpu", "cuda", "mps", "xpu")


def check_device(name: str, device: Any) -> None:
    """Raises unless a device is the CPU, or None."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise ArgumentError(f"{name}: this library computes on the CPU", got=str(device),
                            fix="'cpu'")  # fmt: skip


class Conversions:
    """What a tensor can be turned into."""

    _value: Any

    # ------------------------------------------------------------ types and conversion
    def to(self, *args: Any, **kwargs: Any) -> Any:
        """This tensor in another dtype, or in that of another tensor.

        A device can be named if it is the CPU.  copy: a copy even where the dtype is the same.
        non_blocking is taken and changes nothing: there is one device.
        """
        unknown = set(kwargs) - {"device", "dtype", "non_blocking", "copy"}
        if unknown:
            raise ArgumentTypeError(
                f"to: unknown argument {min(unknown)!r}",
                expected="a dtype, a device, another tensor, copy=...",
            )
        dtype = kwargs.get("dtype")
        flags = [a for a in args if isinstance(a, bool)]  # non_blocking, copy
        copy = kwargs.get("copy", flags[1] if len(flags) > 1 else False)
        check_device("to", kwargs.get("device"))
        for a in args:
            if isinstance(a, str) and a.split(":")[0] in DEVICES:
                check_device("to", a)
            elif a is not None and not isinstance(a, bool):
                dtype = a.dtype if hasattr(a, "_value") else a
        wanted = self._value.dtype if dtype is None else dtypes.as_dtype(dtype)
        same = wanted == self._value.dtype and not copy
        return self if same else ops.cast(self, dtype=wanted)

    def type_as(self, other: Any) -> Any:
        """This tensor in the dtype of another."""
        return self.to(other.dtype)

    def float(self) -> Any:
        """In float32."""
        return self.to(dtypes.float32)

    def double(self) -> Any:
        """In float64."""
        return self.to(dtypes.float64)

    def long(self) -> Any:
        """In int64."""
        return self.to(dtypes.int64)

    def int(self) -> Any:
        """In int32."""
        return self.to(dtypes.int32)

    def bool(self) -> Any:
        """In bool: whether each element is not 0."""
        return self.to(dtypes.bool_)

    def cpu(self) -> Any:
        """This tensor: everything is on the CPU."""
        return self

    def is_floating_point(self) -> Any:
        """Whether the elements are float32 or float64."""
        return self._value.dtype.kind == "f"

    def numpy(self) -> Any:
        """The array itself, without a copy; raises on tensors that require grad, as in PyTorch."""
        if getattr(self, "requires_grad", False):
            if current.trace is not None:
                look(self, "NumPy")  # where nothing is known, .detach() is no help
            raise GradError(
                "Can't call numpy() on Tensor that requires grad.",
                fix="tensor.detach().numpy()",
            )
        return look(self, "NumPy")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        value = self.numpy()
        if dtype is not None and value.dtype != dtype:
            return value.astype(dtype)
        return value.copy() if copy else value

    def __dlpack__(self, **settings: Any) -> Any:
        """This tensor's memory for another program; raises where it must not be written."""
        return capsule(self, settings)  # type: ignore[arg-type]

    def __dlpack_device__(self) -> Any:
        return look(self, "DLPack").__dlpack_device__()

    def item(self) -> Any:
        """The one element as a Python number."""
        return self._one("item")

    def _one(self, what: str) -> Any:
        if self._value.size != 1:
            raise AmbiguousTruth(
                "item: only a tensor with one element is a number",
                expected="1 element",
                got=f"shape {self._value.shape}",
                fix=".tolist(), .sum() or an index",
            )
        return look(self, what).item()

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return look(self, "tolist").tolist()

    def __float__(self) -> Any:
        return float(self._one("float()"))

    def __int__(self) -> Any:
        return int(self._one("int()"))

    def __index__(self) -> Any:
        if self._value.dtype.kind not in "iu":
            raise ArgumentTypeError(
                "index: only an integer tensor can be an index", got=self._value.dtype.name
            )
        return int(self._one("an index"))

    def __bool__(self) -> Any:
        if self._value.size != 1:
            count = "more than one value" if self._value.size else "no values"
            raise AmbiguousTruth(
                f"Boolean value of Tensor with {count} is ambiguous",
                got=f"shape {self._value.shape}",
                fix=".any() or .all()",
            )
        return bool(look(self, "the truth of a tensor").item())

    def __len__(self) -> Any:
        if not self._value.shape:
            raise ArgumentTypeError("len() of a 0-d tensor")
        return self._value.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._value.shape:
            raise ArgumentTypeError("iteration over a 0-d tensor")
        return iter(F.unbind(self, 0))

    def __contains__(self, value: Any) -> Any:
        other = look(value, "in") if hasattr(value, "_value") else value
        return bool((look(self, "in") == other).any())

    def __repr__(self) -> str:
        return show.tensor_text(self)

    def _repr_html_(self) -> str:
        from .html import tensor_html

        return tensor_html(self)

    def __format__(self, spec: str) -> str:
        number = spec or getattr(self._value, "weak", False)  # a Python number, recorded
        return format(self.item(), spec) if number else repr(self)

    # ------------------------------------------------------------ size
    def size(self, dim: Any = None) -> Any:
        """The shape, or one of its sizes."""
        return self._value.shape if dim is None else self._value.shape[dim]

    def dim(self) -> Any:
        """The number of dimensions."""
        return self._value.ndim

    def numel(self) -> Any:
        """The number of elements."""
        return self._value.size

    nelement = numel

    def element_size(self) -> Any:
        """Bytes an element takes."""
        return self._value.itemsize

    def stride(self) -> Any:
        """How many elements apart neighbours lie, for every dimension."""
        return tuple(s // self._value.itemsize for s in look(self, "stride").strides)

    def data_ptr(self) -> Any:
        """The address of the first element."""
        return look(self, "data_ptr").__array_interface__["data"][0]

    @property
    def device(self) -> str:
        """'cpu', always."""
        return "cpu"

    def equal(self, other: Any) -> Any:
        """Whether shape and all elements are equal."""
        return bool(np.array_equal(look(self, "equal"), look(other, "equal")))
