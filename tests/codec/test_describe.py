"""Descriptions name a type's structure and nothing else; schemas say what `parse` takes."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pytest

from continuum_core.codec import Envelope, Json, codec_for, describe, schema, seal, unseal
from continuum_core.errors import CodecError, PayloadRefused, UnknownVersion

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = RED
    BLUE = "blue"


@attrs.frozen
class Card:
    number: str


@attrs.frozen
class Cash:
    amount: Annotated[int, msgspec.Meta(gt=0)]


@attrs.frozen
class Tree:
    kids: tuple[Tree, ...] = ()


@attrs.frozen
class Box(Generic[T]):
    item: T


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict):
    name: str
    more: NotRequired[Json]


@attrs.frozen
class Order:
    id: str
    pay: Card | Cash | None
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] = "a"
    names: dict[str, frozenset[int]] = attrs.field(factory=dict)
    at: tuple[int, str] = (1, "x")


def test_description_of_every_kind() -> None:
    assert describe(Order) == {
        "type": {"class": "Order"},
        "classes": {
            "Order": {
                "kind": "object",
                "fields": [
                    {"name": "id", "type": "str"},
                    {"name": "pay", "type": {"union": ["None", {"class": "Card"}, {"class": "Cash"}]}},
                    {
                        "name": "colour",
                        "type": {
                            "enum": "Colour",
                            "members": {"RED": "red", "CRIMSON": "red", "BLUE": "blue"},
                        },
                        "default": "red",
                    },
                    {"name": "kind", "type": {"literal": ["a", "b"]}, "default": "a"},
                    {"name": "names", "type": {"dict": ["str", {"frozenset": "int"}]}, "made": True},
                    {"name": "at", "type": {"tuple": ["int", "str"], "fixed": True}, "default": [1, "x"]},
                ],
            },
            "Card": {"kind": "object", "fields": [{"name": "number", "type": "str"}]},
            "Cash": {
                "kind": "object",
                "fields": [
                    {"name": "amount", "type": {"limited": "int", "by": {"exclusiveMinimum": 0}}}
                ],
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize("tp", [Order, Tree, Box[int], Point, Options, Card | Cash, None, Json])
def test_description_is_json(tp: Any) -> None:
    described = describe(tp)
    assert json.loads(json.dumps(described)) == described


def test_recursive_type_ends() -> None:
    described = describe(Tree)
    assert described["classes"]["Tree"]["fields"][0]["type"] == {"tuple": {"class": "Tree"}}


def test_description_does_not_know_the_module() -> None:
    def elsewhere() -> type:
        return attrs.make_class("Card", {"number": attrs.field(type=str)})

    assert describe(elsewhere()) == describe(Card)


def test_two_classes_of_one_name_are_told_apart() -> None:
    other = attrs.make_class("Card", {"pin": attrs.field(type=int)})
    described = describe(tuple[Card, other, Card])  # type: ignore[valid-type]  # made at run time
    assert described["type"]["tuple"] == [{"class": "Card"}, {"class": "Card#2"}, {"class": "Card"}]


def test_order_of_a_union_does_not_matter() -> None:
    assert describe(int | str | None) == describe(None | str | int)


@pytest.mark.parametrize(
    ("one", "other"), [(Box[int], Box[str]), (list[int], tuple[int, ...]), (Point, Card)]
)
def test_other_types_have_other_descriptions(one: Any, other: Any) -> None:
    assert describe(one) != describe(other)


def test_describing_what_cannot_be_carried_raises() -> None:
    with pytest.raises(CodecError):
        describe(object)


def test_schema_refers_to_classes_and_names_tags() -> None:
    found = schema(Order)
    assert found["$ref"] == "#/$defs/Order"
    order = found["$defs"]["Order"]
    assert order["required"] == ["id", "pay"]
    card = order["properties"]["pay"]["anyOf"][0]["allOf"]
    assert card == [
        {"$ref": "#/$defs/Card"},
        {"properties": {"$type": {"const": "Card"}}, "required": ["$type"]},
    ]
    assert order["properties"]["colour"] == {"enum": ["red", "blue"]}
    assert json.loads(json.dumps(found)) == found


def test_schema_of_shapes() -> None:
    assert schema(list[int]) == {"type": "array", "items": {"type": "integer"}}
    assert schema(Options)["$defs"]["Options"]["required"] == ["name"]
    assert schema(Point)["$defs"]["Point"]["minItems"] == 1


# --- envelopes ------------------------------------------------------------------------------------


def test_sealed_value_is_spliced_not_encoded_again() -> None:
    data = codec_for(Card).encode(Card("1"))
    sealed = seal("card", 2, data)
    assert sealed == b'{"type":"card","v":2,"data":{"number":"1"}}'
    assert unseal(sealed, newest=2) == Envelope("card", 2, data)


def test_newer_version_is_the_operators_to_solve() -> None:
    with pytest.raises(UnknownVersion, match=r"card was stored by version 3; .* up to 2"):
        unseal(seal("card", 3, b"1"), newest=2)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b'{"type":"a","v":"1","data":1}', b"\x80\x04", b"[" * 10**5]
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(PayloadRefused, match="no envelope"):
        unseal(data)
