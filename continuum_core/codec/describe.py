"""A type's structure as JSON: for fingerprints, lock files and the schema of what may be handed in.

The description names classes without their module and says nothing of Python's own representation,
so that moving a class or another Python version leaves it as it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from continuum_core.codec.codec import codec_for
from continuum_core.codec.container import Pairs, Series, Tuple
from continuum_core.codec.handled import Handled
from continuum_core.codec.node import Node
from continuum_core.codec.product import TAG, Field, Product, Row, Shape
from continuum_core.codec.scalar import Constrained, Enumeration, FreeJson, OneOf
from continuum_core.codec.union import Union

__all__ = ["describe", "schema"]


class _Names:
    """Class node → its name in one description; two classes of one name are numbered as they are met."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self.bodies: dict[str, Any] = {}

    def known(self, node: Node) -> str | None:
        return self._names.get(id(node))

    def name(self, node: Node) -> str:
        name, number = node.name, 2
        while name in self.bodies:
            name, number = f"{node.name}#{number}", number + 1
        self._names[id(node)] = name
        self.bodies[name] = None
        return name


def describe(tp: object) -> dict[str, Any]:
    """The structure of a type: `{"type": …, "classes": {name: …}}`, of JSON's own values.

    A class is written as `{"class": name}`, which `classes` explains once, so recursive types end.
    Raises CodecError for a type that cannot be carried.
    """
    names = _Names()
    top = _described(codec_for(tp).node, names)
    return {"type": top, "classes": names.bodies}


def _described(node: Node, names: _Names) -> Any:
    match node:
        case Product() | Row() | Shape():
            known = names.known(node)
            if known is None:
                known = names.name(node)
                fields = [_described_field(field, names) for field in node.fields]
                names.bodies[known] = {"kind": _KINDS[type(node)], "fields": fields}
            return {"class": known}
        case Series():
            return {node.name: _described(node.item, names)}
        case Tuple():
            return {"tuple": [_described(item, names) for item in node.items], "fixed": True}
        case Pairs():
            return {"dict": [_described(node.key, names), _described(node.value, names)]}
        case Union():
            members = [_described(member, names) for member in node.members]
            # `A | B` and `B | A` are one type.
            return {"union": sorted(members, key=msgspec.json.encode)}
        case Enumeration():
            return {"enum": node.name, "members": dict(node.members)}
        case OneOf():
            return {"literal": sorted(node.values, key=msgspec.json.encode)}
        case Handled():
            return {"handled": node.name}
        case Constrained():
            return {"limited": _described(node.inner, names), "by": _limits(node)}
        case _:
            return node.name


_KINDS = {Product: "object", Shape: "keys", Row: "row"}


def _described_field(field: Field, names: _Names) -> dict[str, Any]:
    described: dict[str, Any] = {"name": field.key, "type": _described(field.node, names)}
    if field.constant:
        lowered = field.node.lower(field.constant[0])
        described["default"] = msgspec.json.decode(msgspec.json.encode(lowered))
    elif field.default is not None:
        described["made"] = True
    elif not field.required:
        described["optional"] = True
    return described


def _limits(node: Constrained) -> dict[str, Any]:
    """What `msgspec.Meta` allows, in JSON Schema's words."""
    found = msgspec.json.schema(node.tp)
    return {key: found[key] for key in sorted(found) if key not in ("type", "anyOf", "title", "description")}


def schema(tp: object) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `parse` takes for a type.

    Raises CodecError for a type that cannot be carried.
    """
    names = _Names()
    top = _schema(codec_for(tp).node, names)
    return {**top, "$defs": names.bodies} if names.bodies else top


def _schema(node: Node, names: _Names) -> dict[str, Any]:
    match node:
        case Product() | Row() | Shape():
            known = names.known(node)
            if known is None:
                known = names.name(node)
                names.bodies[known] = _class_schema(node, names)
            return {"$ref": f"#/$defs/{known}"}
        case Series():
            unique = {"uniqueItems": True} if node.unordered else {}
            return {"type": "array", "items": _schema(node.item, names), **unique}
        case Tuple():
            items = [_schema(item, names) for item in node.items]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        case Pairs():
            return {"type": "object", "additionalProperties": _schema(node.value, names)}
        case Union():
            return {"anyOf": [_member_schema(member, node, names) for member in node.members]}
        case FreeJson():
            return {}
        case Handled():
            return {"title": node.name}  # what it is made of its handler alone knows
        case Enumeration():
            return {"enum": list(dict.fromkeys(node.members.values()))}
        case _:
            return msgspec.json.schema(node.tp)


def _member_schema(member: Node, union: Union, names: _Names) -> dict[str, Any]:
    found = _schema(member, names)
    if union.tag != TAG or not isinstance(member, Product):
        return found
    tag = {"properties": {TAG: {"const": member.cls.__name__}}, "required": [TAG]}
    return {"allOf": [found, tag]}


def _class_schema(node: Product | Row | Shape, names: _Names) -> dict[str, Any]:
    schemas = {field.key: _schema(field.node, names) for field in node.fields}
    required = [field.key for field in node.fields if field.required]
    if isinstance(node, Row):
        items = list(schemas.values())
        return {"type": "array", "prefixItems": items, "minItems": len(required), "items": False}
    body = {"title": node.name, "type": "object", "properties": schemas, "required": required}
    if isinstance(node, Product) and node.tag is not None:
        schemas[node.tag[0]] = {"const": node.tag[1]}
    return body
