"""Chainrule trains neural networks by backpropagation; its names are PyTorch's.

>>> import chainrule
>>> w = chainrule.tensor(3.0, requires_grad=True)
>>> loss = (w * 2.0 - 1.0) ** 2
>>> loss.backward()
>>> w.grad
tensor(20.)
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import autograd as autograd
from . import dtypes as dtypes
from . import nn as nn
from . import optim as optim
from .dtypes import float32 as float32
from .dtypes import float64 as float64
from .dtypes import get_default_dtype as get_default_dtype
from .dtypes import int8 as int8
from .dtypes import int16 as int16
from .dtypes import int32 as int32
from .dtypes import int64 as int64
from .dtypes import set_default_dtype as set_default_dtype
from .dtypes import uint8 as uint8
from .functional import add as add
from .functional import addcdiv as addcdiv
from .functional import addcmul as addcmul
from .functional import addmm as addmm
from .functional import all as all
from .functional import amax as amax
from .functional import amin as amin
from .functional import any as any
from .functional import argmax as argmax
from .functional import argmin as argmin
from .functional import argsort as argsort
from .functional import bmm as bmm
from .functional import broadcast_tensors as broadcast_tensors
from .functional import broadcast_to as broadcast_to
from .functional import cat as cat
from .functional import ceil as ceil
from .functional import chunk as chunk
from .functional import clamp as clamp
from .functional import cumsum as cumsum
from .functional import div as div
from .functional import dot as dot
from .functional import exp2 as exp2
from .functional import flatten as flatten
from .functional import flip as flip
from .functional import fmax as fmax
from .functional import fmin as fmin
from .functional import frac as frac
from .functional import gather as gather
from .functional import index_select as index_select
from .functional import isfinite as isfinite
from .functional import isinf as isinf
from .functional import isnan as isnan
from .functional import lerp as lerp
from .functional import log2 as log2
from .functional import log10 as log10
from .functional import log_softmax as log_softmax
from .functional import logaddexp as logaddexp
from .functional import logsumexp as logsumexp
from .functional import matmul as matmul
from .functional import max as max
from .functional import mean as mean
from .functional import median as median
from .functional import min as min
from .functional import mm as mm
from .functional import movedim as movedim
from .functional import mv as mv
from .functional import nan_to_num as nan_to_num
from .functional import narrow as narrow
from .functional import norm as norm
from .functional import outer as outer
from .functional import permute as permute
from .functional import prod as prod
from .functional import reciprocal as reciprocal
from .functional import remainder as remainder
from .functional import reshape as reshape
from .functional import roll as roll
from .functional import round as round
from .functional import scatter_add as scatter_add
from .functional import select as select
from .functional import softmax as softmax
from .functional import sort as sort
from .functional import split as split
from .functional import square as square
from .functional import squeeze as squeeze
from .functional import stack as stack
from .functional import std as std
from .functional import sub as sub
from .functional import sum as sum
from .functional import tan as tan
from .functional import topk as topk
from .functional import transpose as transpose
from .functional import tril as tril
from .functional import triu as triu
from .functional import trunc as trunc
from .functional import unbind as unbind
from .functional import unflatten as unflatten
from .functional import unsqueeze as unsqueeze
from .functional import var as var
from .ops import abs as abs
from .ops import cos as cos
from .ops import eq as eq
from .ops import erf as erf
from .ops import exp as exp
from .ops import expm1 as expm1
from .ops import floor as floor
from .ops import ge as ge
from .ops import gt as gt
from .ops import le as le
from .ops import log as log
from .ops import log1p as log1p
from .ops import logical_and as logical_and
from .ops import logical_not as logical_not
from .ops import logical_or as logical_or
from .ops import logical_xor as logical_xor
from .ops import lt as lt
from .ops import maximum as maximum
from .ops import minimum as minimum
from .ops import mul as mul
from .ops import ne as ne
from .ops import neg as neg
from .ops import pow as pow
from .ops import relu as relu
from .ops import rsqrt as rsqrt
from .ops import sigmoid as sigmoid
from .ops import sign as sign
from .ops import sin as sin
from .ops import sqrt as sqrt
from .ops import tanh as tanh
from .ops import where as where
from .runtime.threads import get_num_threads as get_num_threads
from .runtime.threads import set_num_threads as set_num_threads
from .tensor.anomaly import detect_anomaly as detect_anomaly
from .tensor.anomaly import set_detect_anomaly as set_detect_anomaly
from .tensor.autograd import enable_grad as enable_grad
from .tensor.autograd import is_grad_enabled as is_grad_enabled
from .tensor.autograd import no_grad as no_grad
from .tensor.autograd import set_grad_enabled as set_grad_enabled
from .tensor.core import Tensor as Tensor
from .tensor.create import allclose as allclose
from .tensor.create import arange as arange
from .tensor.create import as_tensor as as_tensor
from .tensor.create import empty as empty
from .tensor.create import empty_like as empty_like
from .tensor.create import equal as equal
from .tensor.create import eye as eye
from .tensor.create import from_dlpack as from_dlpack
from .tensor.create import from_numpy as from_numpy
from .tensor.create import full as full
from .tensor.create import full_like as full_like
from .tensor.create import is_tensor as is_tensor
from .tensor.create import linspace as linspace
from .tensor.create import logspace as logspace
from .tensor.create import meshgrid as meshgrid
from .tensor.create import nonzero as nonzero
from .tensor.create import numel as numel
from .tensor.create import ones as ones
from .tensor.create import ones_like as ones_like
from .tensor.create import tensor as tensor
from .tensor.create import unique as unique
from .tensor.create import zeros as zeros
from .tensor.create import zeros_like as zeros_like
from .tensor.later import functions as _later
from .tensor.random import Generator as Generator
from .tensor.random import bernoulli as bernoulli
from .tensor.random import get_rng_state as get_rng_state
from .tensor.random import initial_seed as initial_seed
from .tensor.random import manual_seed as manual_seed
from .tensor.random import multinomial as multinomial
from .tensor.random import normal as normal
from .tensor.random import rand as rand
from .tensor.random import rand_like as rand_like
from .tensor.random import randint as randint
from .tensor.random import randn as randn
from .tensor.random import randn_like as randn_like
from .tensor.random import randperm as randperm
from .tensor.random import set_rng_state as set_rng_state
from .version import __version__ as __version__

# PyTorch's other names for the element types
bool, int, long, float, double = dtypes.bool_, int32, int64, float32, float64

if TYPE_CHECKING:
    from . import check as check
    from . import compiler as compiler
    from . import data as data
    from . import diagnosis as diagnosis
    from . import jit as jit
    from . import onnx as onnx
    from . import playground as playground
    from . import sklearn as sklearn
    from . import train as train
    from . import utils as utils
    from .derivation.models import explain as explain
    from .derivation.models import explain_optimizer as explain_optimizer
    from .diagnosis import diagnose as diagnose
    from .diagnosis.before import preflight as preflight
    from .diagnosis.tries import try_fixes as try_fixes
    from .diagnosis.what_if import what_if as what_if
    from .export import export_c as export_c
    from .export import export_table_c as export_table_c
    from .jit import assert_no_recompile as assert_no_recompile
    from .jit import compile as compile
    from .nn.diagram import diagram as diagram
    from .nn.summary import summary as summary
    from .train.files import load as load
    from .train.files import save as save

# Loaded when first used: together they would double the time that `import chainrule` takes.
_PARTS = {
    "check": ".check", "compiler": ".compiler", "data": ".data", "diagnosis": ".diagnosis",
    "jit": ".jit", "onnx": ".onnx", "playground": ".playground", "sklearn": ".sklearn",
    "train": ".train", "utils": ".utils",
}  # fmt: skip
_FUNCTIONS = {
    "load": ".train.files", "save": ".train.files",
    "diagnose": ".diagnosis", "preflight": ".diagnosis.before",
    "try_fixes": ".diagnosis.tries", "what_if": ".diagnosis.what_if",
    "compile": ".jit", "assert_no_recompile": ".jit", "explain": ".derivation.models",
    "explain_optimizer": ".derivation.models",
    "export_c": ".export", "export_table_c": ".export",
    "diagram": ".nn.diagram", "summary": ".nn.summary",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(_PARTS[name], __name__)
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name], __name__), name)
    raise AttributeError(f"module 'chainrule' has no attribute {name!r}")


_later["explain"] = lambda *args, **kwargs: __getattr__("explain")(*args, **kwargs)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS, *_FUNCTIONS})
