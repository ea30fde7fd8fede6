"""The neutral tree that every derivation is: printed as text, as a page, or as JSON.

    derivation := title, conventions, section+
    section    := title, note, line+
    line       := name, form*, value, note         name = form = form ... = value

A form stands for itself in symbols and for itself in numbers; who prints decides how.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .elements import Place
from .forms import Form


class Name(NamedTuple):
    """What a line or an input of the program is called: a letter, and its layer above it.

    kind: "" a value, "gradient" d loss / d that value, "slope" the derivative of an activation.
    """

    letter: str
    layer: int | None = None
    kind: str = ""


@dataclass
class Line:
    """name = symbols = numbers = value.

    what: the place whose value it is, or words.  symbols, numbers: forms to be written so; None
    leaves the part out.
    """

    what: Place | str
    symbols: Form | None = None
    numbers: Form | None = None
    value: float | None = None
    note: str = ""


@dataclass
class Section:
    """Lines under a title."""

    title: str
    note: str = ""
    lines: list[Line] = field(default_factory=list)


@dataclass
class Derivation:
    """Sections, what the places in them are called, and what their numbers are.

    activations: of each layer, by its number.  label: what a place is called (with ASCII letters
    only), where names are not enough.  neuron: its weights are w, as they are no matrix.
    """

    title: str
    conventions: list[str]
    sections: list[Section]
    names: dict[int, Name]
    activations: dict[int, str]
    at: Callable[[Place], float]
    label: Callable[[Place, bool], str] | None = None
    neuron: bool = False
