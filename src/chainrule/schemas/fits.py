"""Whether a value that was read is what a schema says: of JSON Schema, what files of runs need."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "object": ("an object", (dict,)), "array": ("a list", (list,)), "string": ("a text", (str,)),
    "boolean": ("true or false", (bool,)), "integer": ("a whole number", (int,)),
    "number": ("a number", (int, float)), "null": ("null", (type(None),)),
}  # fmt: skip
LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<="}
PARTS = frozenset({"properties", "additionalProperties", "required", "items", "anyOf"})
SAYS = frozenset({"type", "title", "description", "$schema", "$id"})
"""Words of a schema that are followed, with LIMITS and PARTS."""


class Misfit(NamedTuple):
    """Where a value is no such thing, what was expected there and what there is."""

    place: str
    expected: str
    got: Any


def misfit(value: Any, schema: Mapping[str, Any], place: str = "") -> Misfit | None:
    """The first part of a value that is not what a schema asks for; None where all of it fits.

    Stricter than JSON Schema: 1.0 is no whole number, and a whole number too large for a float is
    no number.  Only a schema of the words in LIMITS, PARTS and SAYS.

    >>> from chainrule.schemas import schema
    >>> misfit({"stopped": None, "labels": [1]}, schema("result"))
    Misfit(place='labels[0]', expected='an object', got=1)
    """
    if "anyOf" in schema:
        found = [misfit(value, one, place) for one in schema["anyOf"]]
        whole = [m for m in found if m is not None]
        if len(whole) < len(found):
            return None
        return Misfit(place, " or ".join(m.expected for m in whole if m.place == place), value)
    if not _is(value, schema):
        return Misfit(place, _wanted(schema), value)
    if isinstance(value, dict):
        return _of_object(value, schema, place)
    items = schema.get("items")
    if isinstance(value, list) and items is not None:
        each = (misfit(v, items, f"{place}[{i}]") for i, v in enumerate(value))
        return next((m for m in each if m is not None), None)
    return None


def _is(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether kind and limits are kept, of the value itself."""
    kind = schema.get("type")
    if kind is None:
        return True
    if type(value) not in KINDS[kind][1]:
        return False
    if kind != "number" and kind != "integer":
        return True
    return (
        (kind == "integer" or abs(value) <= sys.float_info.max)
        and ("minimum" not in schema or value >= schema["minimum"])
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("maximum" not in schema or value <= schema["maximum"])
    )


def _wanted(schema: Mapping[str, Any]) -> str:
    limits = (f" {sign} {schema[name]}" for name, sign in LIMITS.items() if name in schema)
    return KINDS[schema["type"]][0] + "".join(limits)


def _of_object(value: dict[str, Any], schema: Mapping[str, Any], place: str) -> Misfit | None:
    gone = next((name for name in schema.get("required", ()) if name not in value), None)
    if gone is not None:
        return Misfit(place, f"with {gone}", value)
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if others is True:
        parts = [(name, one) for name, one in known.items() if name in value]
    else:
        parts = [(name, known.get(name, others)) for name in value]
    for name, one in parts:
        found = misfit(value[name], one, _within(place, name))
        if found is not None:
            return found
    return None


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
