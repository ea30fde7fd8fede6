"""The recorded program: its nodes and text, recording and running it, and its verifier."""

from .fingerprint import fingerprint as fingerprint
from .node import Graph as Graph
from .node import Node as Node
from .trace import run as run
from .trace import trace as trace
from .verify import verify as verify
