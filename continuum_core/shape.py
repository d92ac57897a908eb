"""Checks what is handed in by name, where the machine's code is not here, against its stored definition.

Without the classes only the shape can be checked: that the event exists, that the JSON is sound, and that
an object has the fields it needs and no others. The values are typed by the worker that takes them.
"""

from __future__ import annotations

import difflib
import json
from typing import Any, cast

from continuum_core.codec import Codec, Json, codec_for
from continuum_core.errors import PayloadRefused, UnexpectedEvent
from continuum_core.journal.records import Definition

__all__ = ["check_context", "check_event", "check_input", "parse_json"]

_json = codec_for(Json)


def parse_json(codec: Codec[Any], value: Any) -> Any:
    """JSON values as a value of the codec's type, read strictly. Raises PayloadRefused."""
    return codec.parse(_json.encode(value))


def check_input(definition: Definition, value: Any) -> bytes:
    """The JSON of an input. Raises PayloadRefused."""
    graph = json.loads(definition.body)
    return _checked(graph["types"]["input"], value)


def check_context(definition: Definition, value: Any) -> bytes:
    """The JSON of a context. Raises PayloadRefused."""
    graph = json.loads(definition.body)
    return _checked(graph["types"]["context"], value)


def check_event(definition: Definition, name: str, value: Any) -> bytes:
    """The JSON of an event's data; None stands for an event without fields.

    Raises UnexpectedEvent, PayloadRefused.
    """
    events = json.loads(definition.body)["events"]
    if name not in events:
        raise UnexpectedEvent(definition.machine, name, sorted(events))
    return _checked(events[name]["type"], {} if value is None else value)


def _checked(described: dict[str, Any], value: Any) -> bytes:
    data: bytes = _json.encode(value)
    if isinstance(described["type"], dict):
        top = cast("dict[str, Any]", described["type"])
        body: dict[str, Any] = described["classes"].get(top.get("class"), {})
        if body.get("kind") == "object":
            _check_fields(top["class"], body["fields"], value)
    return data


def _check_fields(cls: str, fields: list[dict[str, Any]], value: Any) -> None:
    if not isinstance(value, dict):
        raise PayloadRefused("$", f"{cls} is an object with fields, not {type(value).__name__}")
    given = cast("dict[str, Any]", value)
    names = [field["name"] for field in fields]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has: {', '.join(names) or 'none'}"
            raise PayloadRefused(f"$.{name}", f"{cls} has no such field{hint}")
    # A default is told as its value, as "made" when a function makes it, or as "optional".
    missing = [
        field["name"]
        for field in fields
        if field["name"] not in given and not field.keys() & {"default", "made", "optional"}
    ]
    if missing:
        raise PayloadRefused("$", f"{cls} needs {', '.join(missing)}")
