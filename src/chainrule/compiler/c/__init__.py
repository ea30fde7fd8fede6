"""From loops to C: what `llvm` does for the processor at hand, for a compiler anywhere."""

from .emit import Emitted as Emitted
from .emit import emit as emit
from .types import literal as literal
from .types import literals as literals
from .types import memory_type as memory_type
