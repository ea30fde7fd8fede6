"""Graph in, graph out: each pass is a function of one idea."""

from .rewrite import dce as dce
from .simplify import simplify as simplify
from .spell import spell as spell
from .windows import border as border
