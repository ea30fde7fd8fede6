"""The map of a plane of inputs."""

from __future__ import annotations

import xml.etree.ElementTree as tree
from types import SimpleNamespace

from chainrule.playground.plane import Plane


def test_a_long_name_of_a_class_is_cut_between_letters():
    plane = object.__new__(Plane)
    plane.training = SimpleNamespace(names=("ab<cd&ef", '"quoted"'))
    words = [e.text for e in (tree.fromstring(p) for p in plane.legend()) if e.tag == "text"]
    assert words == ["class ab<cd&", 'class "quote']
