"""Derivations on a user's own model: any entry, any layer, any update."""

from .explanation import Explanation as Explanation
from .explanation import explain as explain
from .stepping import Steps as Steps
from .stepping import explain_optimizer as explain_optimizer
