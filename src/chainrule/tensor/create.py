"""Making tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional.arguments import shape_of
from ..ops.core import Shape, Spec, current
from .conversion import check_device
from .core import Tensor, constant
from .exchange import array_from
from .looking import look
from .memory import does_not_fit


def _dtype_of(data: Any, dtype: Any) -> dtypes.DType | None:
    return None if dtype is None else dtypes.as_dtype(dtype)


def tensor(
    data: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A copy of numbers, nested lists, an array or a tensor, as a new leaf.

    Python floats become the default float type (float32), ints int64; arrays keep their dtype.
    Raises for ragged lists and for text.

    >>> import chainrule
    >>> chainrule.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    check_device("tensor", device)
    wanted = _dtype_of(data, dtype)
    if current.trace is not None and isinstance(data, Tensor):
        out = data.detach().to(data.dtype if wanted is None else wanted, copy=True)
        return out.requires_grad_() if requires_grad else out
    value = _as_array(data)
    if wanted is None:
        from_python = not hasattr(data, "dtype")
        wanted = dtypes.get_default_dtype() if from_python and value.dtype.kind == "f" else None
    value = np.array(value, dtype=wanted or dtypes.as_dtype(value.dtype), order="C")
    return _make(value, requires_grad)


def _as_array(data: Any) -> Any:
    if isinstance(data, Tensor):
        return look(data, "tensor")
    if hasattr(data, "__array__") or isinstance(data, np.generic):
        return np.asarray(data)
    if isinstance(data, (list, tuple)):
        data = _plain(data)
    try:
        value = np.asarray(data)
    except ValueError as error:
        raise ShapeError(
            "tensor: the lists have different lengths",
            expected="rows of equal length",
            got=str(error).split(". ")[-1][:100],
        ) from None
    if value.size == 0 and value.dtype.kind == "f" and not hasattr(data, "dtype"):
        return value
    if value.dtype.kind not in "fiub":
        raise ArgumentTypeError(
            "tensor: can't make a tensor of this",
            expected="numbers, nested lists of numbers, an array or a tensor",
            got=f"{type(data).__name__} ({value.dtype})",
        )
    return value


def _plain(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        return [_plain(d) for d in data]
    return look(data, "a list of tensors") if isinstance(data, Tensor) else data


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Like `tensor`, without a copy where that is possible."""
    check_device("as_tensor", device)
    if isinstance(data, Tensor):
        return data.to(dtype) if dtype is not None else data
    if isinstance(data, np.ndarray) and data.dtype.isnative:
        out = from_numpy(data)
        return out.to(dtype) if dtype is not None else out
    return tensor(data, dtype=dtype)


def from_numpy(array: Any) -> Tensor:
    """A tensor that shares an array's memory."""
    if not isinstance(array, np.ndarray):
        raise ArgumentTypeError(
            "from_numpy: needs a NumPy array",
            got=type(array).__name__,
            fix="chainrule.tensor(data)",
        )
    dtype = dtypes.as_dtype(array.dtype)
    return constant(array if array.dtype == dtype else array.astype(dtype))


def from_dlpack(data: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of any object that speaks DLPack, as NumPy's and PyTorch's.

    copy: True for memory of its own, False to raise where sharing is not possible.  device: 'cpu'.
    Raises for memory on another device, and for element types that tensors do not hold; what the
    other side refuses (PyTorch: a tensor that requires grad) is raised as an ExchangeError.

    >>> import chainrule, numpy as np
    >>> a = np.zeros(2)
    >>> chainrule.from_dlpack(a).add_(1.0), a
    (tensor([1., 1.], dtype=float64), array([1., 1.]))
    """
    check_device("from_dlpack", device)
    return from_numpy(array_from(data, copy, device))


def _make(value: Any, requires_grad: bool) -> Tensor:
    out = constant(value)
    return out.requires_grad_() if requires_grad else out


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of one number."""
    check_device("full", device)
    if dtype is None:
        dtype = dtypes.result_type(fill_value)
    return _make(_full(shape_of((size,)), fill_value, dtypes.as_dtype(dtype)), requires_grad)


def _filled(
    value: float, size: tuple[Any, ...], dtype: Any, requires_grad: bool, device: Any
) -> Tensor:
    check_device("new tensor", device)
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return _make(_full(shape_of(size), value, dtype), requires_grad)


def _full(shape: Shape, value: Any, dtype: dtypes.DType) -> Any:
    if isinstance(value, Tensor):
        value = value._one("full")
    try:
        return np.full(shape, value, dtype)
    except MemoryError:
        raise does_not_fit("new tensor", Spec(shape, dtype)) from None


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor of zeros."""
    return _filled(0, size, dtype, requires_grad, device)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor of ones."""
    return _filled(1, size, dtype, requires_grad, device)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor to be filled; it holds zeros, so that nothing depends on what memory held before."""
    return _filled(0, size, dtype, requires_grad, device)


def full_like(
    x: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one number, shaped and typed as x."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad)


def zeros_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros, shaped and typed as x."""
    return full_like(x, 0, dtype=dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones, shaped and typed as x."""
    return full_like(x, 1, dtype=dtype, requires_grad=requires_grad)


empty_like = zeros_like


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return _make(np.eye(n, m, dtype=dtype), requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below end; int64 for whole numbers."""
    check_device("arange", device)
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ArgumentError("arange: step must not be 0")
    if (end - start) * step < 0:
        raise ShapeError("arange: end lies behind start", got=f"{start} to {end} by {step}")
    wanted = dtypes.result_type(start, end, step) if dtype is None else dtypes.as_dtype(dtype)
    return _make(np.arange(start, end, step).astype(wanted), requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` values from start to end, both included, equally far apart."""
    shape_of((steps,))
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return _make(np.linspace(start, end, steps).astype(dtype), requires_grad)


def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None
) -> Tensor:
    """base^x for `steps` equally spaced x from start to end."""
    shape_of((steps,))
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return constant((base ** np.linspace(start, end, steps)).astype(dtype))


def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid."""
    arrays = [look(t, "meshgrid") for t in tensors]
    grid = np.meshgrid(*arrays, indexing=indexing)  # type: ignore[call-overload]
    return tuple(constant(np.ascontiguousarray(a)) for a in grid)


def nonzero(x: Tensor) -> Tensor:
    """The indices of the elements that are not 0, one a row."""
    return constant(np.argwhere(look(x, "nonzero")))


def unique(x: Tensor) -> Tensor:
    """The different elements, sorted."""
    return constant(np.unique(look(x, "unique")))


def allclose(
    a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether |a - b| <= atol + rtol |b| everywhere."""
    values = look(a, "allclose"), look(b, "allclose")
    return bool(np.allclose(*values, rtol, atol, equal_nan))


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether shape and all elements are equal."""
    return bool(a.equal(b))


def is_tensor(x: Any) -> bool:
    """Whether x is a Tensor."""
    return isinstance(x, Tensor)


def numel(x: Tensor) -> int:
    """The number of elements."""
    return int(x._value.size)
