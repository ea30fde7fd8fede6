"""Derivations on a user's own model: any entry, any layer, any update."""

from .explanation import Explanation as Explanation
from .explanation import explain as explain
