"""The rules, in the order in which they are asked: first what breaks off, then what slows down."""

from . import gradients as gradients
from . import loss as loss
from . import units as units
from . import updates as updates

from . import fitting as fitting  # isort: skip
from . import held_out as held_out  # isort: skip
from . import model as model  # isort: skip
