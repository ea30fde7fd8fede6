"""Tensor: a value, its gradient, and how it was made (read core.py first)."""

from .core import Tensor as Tensor
from .core import wrap as wrap
from .interpreter import apply as apply
