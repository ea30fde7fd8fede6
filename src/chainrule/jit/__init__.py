"""compile(step): a function of Tensors recorded once and run as a program (see README.md)."""

from .compiled import Compiled as Compiled
from .compiled import assert_no_recompile as assert_no_recompile
from .compiled import compile as compile
