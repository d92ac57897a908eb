"""What `encode` would write differently, `decode` cannot read and `parse` should not take."""

from __future__ import annotations

import enum
import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from continuum_core.codec import Json, Limits, codec_for
from continuum_core.errors import PayloadRefused, UnknownVersion


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


@attrs.frozen
class Item:
    name: str
    price: float = 0.0


@attrs.frozen
class Special(Item):
    more: int = 0


@attrs.frozen
class Card:
    number: str


@attrs.frozen
class Cash:
    amount: Decimal


@attrs.frozen
class Order:
    id: str
    items: tuple[Item, ...] = ()
    pay: Card | Cash | None = None
    when: datetime | None = None
    totals: dict[str, Decimal] = attrs.field(factory=dict)


@attrs.frozen
class Tree:
    kids: tuple[Tree, ...] = ()


@attrs.define
class Ring:
    next: Ring | None = None


@attrs.frozen
class Fitless:
    a: tuple[int, ...] = attrs.field(factory=list)  # a list is the fault under test


@attrs.define
class Angry:
    a: int = attrs.field(validator=attrs.validators.lt(10))

    def __attrs_post_init__(self) -> None:
        if self.a < 0:
            raise RuntimeError("negative")


class Options(TypedDict):
    name: str


def ring() -> Ring:
    one = Ring()
    one.next = one
    return one


def tree(depth: int) -> Tree:
    made = Tree()
    for _ in range(depth):
        made = Tree((made,))
    return made


def unset() -> Item:
    return Item.__new__(Item)


def _number(part: object) -> str:
    """Ids of the tables: the reason says most; values may be too large to print."""
    return part if isinstance(part, str) and part.isprintable() and len(part) < 60 else ""


NAN, INF = float("nan"), float("inf")
ENCODE: list[tuple[Any, Any, str, str]] = [
    (int, "1", "$", "expected int, got str"),
    (int, True, "$", "expected int"),
    (int, Level.LOW, "$", "its subclass Level"),
    (float, NAN, "$", "not finite"),
    (float, -INF, "$", "not finite"),
    (float, 2**53 + 1, "$", "no equal float"),
    (float, 10**400, "$", "no equal float"),
    (list[float], [1.0, INF], "$[1]", "not finite"),
    (float | None, NAN, "$", "not finite"),
    (str, Text("x"), "$", "its subclass Text"),
    (str, UUID(int=1), "$", "expected str"),
    (str, "a\0", "$", "U+0000"),
    (str, "a\ud800", "$", "U+D800"),
    (list[str], ["a", "\udfff"], "$[1]", "U+DFFF"),
    (dict[str, int], {"a\0": 1}, "$", "a key"),
    (dict[str, int], {"\ud800": 1}, "$", "a key"),
    (dict[str, int], {Text("a"): 1}, "$", "its key"),
    (dict[int, int], {"1": 1}, "$", "its key"),
    (Decimal, 5, "$", "expected Decimal, got int"),
    (Decimal, Decimal("NaN"), "$", "not finite"),
    (Decimal, Decimal("sNaN"), "$", "not finite"),
    (int, 10**5000, "$", "digits"),
    (datetime, datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "$", "astimezone"),
    (datetime, datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=90))), "$", "whole minutes"),
    (tuple[int, ...], [1], "$", "expected tuple, got list"),
    (tuple[int, str], (1,), "$", "2 items"),
    (frozenset[str], {"a"}, "$", "expected frozenset"),
    (Literal["a", 1], True, "$", "one of"),
    (Literal["a", 1], "b", "$", "one of"),
    (Annotated[int, msgspec.Meta(gt=3)], 3, "$", ">= 4"),
    (Json, {"a": [1, (1,)]}, "$['a'][1]", "tuple is not JSON"),
    (Json, {1: 2}, "$", "keys are str"),
    (Json, [NAN], "$[0]", "not finite"),
    (Item, Special("x"), "$", "its subclass Special"),
    (Item, None, "$", "expected Item"),
    (Item, Item(1), "$.name", "expected str, got int"),  # type: ignore[arg-type]  # the fault under test
    (Item, unset(), "$", "cannot be written"),
    (Order, Order("1", (Item("a"), Item("b", NAN))), "$.items[1].price", "not finite"),
    (Order, Order("1", pay=Item("a")), "$.pay", "expected Card"),  # type: ignore[arg-type]  # as above
    (Order, Order("1", pay=Card("\0")), "$.pay.number", "U+0000"),
    (Order, Order("1", totals={"a": Decimal("Infinity")}), "$.totals['a']", "not finite"),
    (Card | Cash, Item("a"), "$", "expected Card | Cash"),
    (Options, {"name": "a", "nam": "b"}, "$", "did you mean 'name'"),
    (Options, {}, "$", "missing"),
    (Tree, tree(40), "$" + ".kids[0]" * 32, "deeper"),
    (Ring, ring(), "$" + ".next" * 64, "contains itself"),
]


@pytest.mark.parametrize(("tp", "value", "path", "reason"), ENCODE, ids=_number)
def test_encode_refuses(tp: Any, value: Any, path: str, reason: str) -> None:
    with pytest.raises(PayloadRefused) as caught:
        codec_for(tp).encode(value)
    assert caught.value.path == path
    assert reason in caught.value.reason


def test_encode_refuses_beyond_the_size_limit() -> None:
    codec = codec_for(str, Limits(size=10))
    assert codec.encode("12345678") == b'"12345678"'
    with pytest.raises(PayloadRefused, match="11 bytes, the limit is 10"):
        codec.encode("123456789")


def test_escape_spelled_out_in_text_is_not_a_nul() -> None:
    assert codec_for(str).decode(codec_for(str).encode("\\u0000")) == "\\u0000"


DEEP = b"[" * 100_000
PARSE: list[tuple[Any, bytes | str, str, str]] = [
    (Json, DEEP, "$", "deeper"),
    (Json, b"[" * 100_000 + b"]" * 100_000, "$", "deeper"),
    (Json, b'{"a":' * 100_000, "$", "deeper"),
    (Json, b"[" * 65 + b"]" * 65, "$" + "[0]" * 64, "deeper"),
    (Tree, b'{"kids":[' * 33 + b"]}" * 33, "$" + ".kids[0]" * 32, "deeper"),
    (Item, b'{"name":' + b"[" * 65 + b"]" * 65 + b"}", "$.name" + "[0]" * 63, "deeper"),
    (Fitless, b"{}", "$.a", "expected tuple, got list"),
    (float, b"NaN", "$", "NaN is not JSON"),
    (Item, b'{"name":"a","price":-Infinity}', "$.price", "-Infinity is not JSON"),
    (Item, b'{"name":"a","price":1e400}', "$.price", "larger than a float"),
    (list[int], b"[1," + b"9" * 5000 + b"]", "$[1]", "5,000 digits"),
    (Item, b'{"name":"a","name":"b"}', "$.name", "twice"),
    (Json, b'{"x":[{"a b":1,"a b":1}]}', "$.x[0]['a b']", "twice"),
    (Item, b'{"name":"a\\u0000"}', "$.name", "U+0000"),
    (Item, b'{"name":"\\ud800"}', "$.name", "U+D800"),
    (dict[str, int], b'{"a\\u0000":1}', "$", "U+0000"),
    (str, '"\udc00"', "$", "U+DC00"),
    (Item, b'{"name":"\xff"}', "$", "not UTF-8"),
    (Item, '{"name":"ä"}'.encode("utf-16"), "$", "not UTF-8"),
    (Item, b'\xef\xbb\xbf{"name":"a"}', "$", "byte order mark"),
    (Item, '\ufeff{"name":"a"}', "$", "byte order mark"),
    (Item, b'{"name":"a"} x', "$", "something follows"),
    (Item, b'{"name":"a"', "$", "not JSON"),
    (Item, b"{'name':'a'}", "$", "not JSON"),
    (Item, b"", "$", "empty"),
    (Item, b" \n", "$", "empty"),
    (Item, b'{"name":"a","pric":1}', "$", "did you mean 'price'?"),
    (Item, b'{"name":"a","zzz":1}', "$", "known: name, price"),
    (Order, b'{"id":"1","items":[{"name":"a"},{"name":"b","cost":1}]}', "$.items[1]", "'cost'"),
    (Item, b'{"price":1}', "$", "`name` is missing"),
    (Item, b'{"name":1}', "$.name", "Expected `str`, got `int`"),
    (Item, b'{"name":1.5}', "$.name", "Expected `str`, got `float`"),
    (Item, b"[]", "$", "Expected `object`, got `array`"),
    (Order, b'{"id":"1","pay":{"$type":"os.system","number":"1"}}', "$.pay", "none of its classes"),
    (Order, b'{"id":"1","pay":{"$type":"card","number":"1"}}', "$.pay", "did you mean 'Card'?"),
    (Order, b'{"id":"1","pay":{"$type":["Card"]}}', "$.pay", "none of its classes"),
    (Order, b'{"id":"1","pay":{"number":"1"}}', "$.pay", "`$type` is missing"),
    (Order, b'{"id":"1","pay":{"$type":"Card","amount":"1"}}', "$.pay", "'amount'"),
    (Order, b'{"id":"1","pay":{"$type":"Cash","amount":"NaN"}}', "$.pay.amount", "not finite"),
    (Order, b'{"id":"1","pay":[]}', "$.pay", "expected Card | Cash | None, got JSON's array"),
    (Order, b'{"id":"1","when":"yesterday"}', "$.when", "RFC3339"),
    (Order, b'{"id":"1","totals":{"a":"x"}}', "$.totals['a']", "decimal"),
    (dict[UUID, int], b'{"00000000000000000000000000000001":1,"00000000-0000-0000-0000-000000000001":2}', "$",
     "same value"),
    (Angry, b'{"a":10}', "$", "'a' must be < 10"),
    (Angry, b'{"a":-1}', "$", "negative"),
    (Item, pickle.dumps(Item("a")), "$", "not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("tp", "text", "path", "reason"), PARSE, ids=_number)
def test_parse_refuses(tp: Any, text: bytes | str, path: str, reason: str) -> None:
    with pytest.raises(PayloadRefused) as caught:
        codec_for(tp).parse(text)
    assert caught.value.path == path
    assert reason in caught.value.reason


@pytest.mark.parametrize("text", [b'"12345678901"', '"ääääää"'], ids=["bytes", "text"])
def test_parse_refuses_beyond_the_size_limit(text: bytes | str) -> None:
    with pytest.raises(PayloadRefused, match="larger than 12 bytes"):
        codec_for(str, Limits(size=12)).parse(text)


def test_parse_takes_as_deep_as_encode_writes() -> None:
    codec = codec_for(Tree)
    assert codec.parse(codec.encode(tree(31))) == tree(31)


DECODE: list[tuple[Any, bytes, str, str]] = [
    (Item, b'{"name":1}', "$.name", "Expected `str`"),
    (Order, b'{"id":"1","pay":{"$type":"Card","number":5}}', "$.pay.number", "Expected `str`"),
    (Tree, b'{"kids":[{"kids":[]},{"kids":[3]}]}', "$.kids[1].kids[0]", "Expected `object`"),
    (Item, b"{", "$", "cannot be read as Item"),
    (Item, b'{"name":"\xff"}', "$", "cannot be read as Item"),
    (Item, b'{"name":"\\ud800"}', "$", "cannot be read as Item"),
    (Tree, b'{"kids":[' * 100_000, "$", "cannot be read as Tree"),
    (Order, b'{"a":' * 100_000, "$", "cannot be read as Order"),
    (Angry, b'{"a":-1}', "$", "negative"),
    (Item, pickle.dumps(Item("a")), "$", "cannot be read as Item"),
]


@pytest.mark.parametrize(("tp", "data", "path", "reason"), DECODE, ids=_number)
def test_decode_refuses(tp: Any, data: bytes, path: str, reason: str) -> None:
    with pytest.raises(PayloadRefused) as caught:
        codec_for(tp).decode(data)
    assert caught.value.path == path
    assert reason in caught.value.reason


def test_decode_of_a_class_only_newer_code_knows_is_the_operators_to_solve() -> None:
    with pytest.raises(UnknownVersion, match=r"Order at \$\.pay: .*'Voucher'"):
        codec_for(Order).decode(b'{"id":"1","pay":{"$type":"Voucher"}}')


@pytest.mark.parametrize("tp", [Item, Card | Cash])
def test_decode_ignores_fields_of_another_version(tp: Any) -> None:
    data = b'{"$type":"Card","number":"1","name":"a","new":1}'
    assert codec_for(tp).decode(data) in (Item("a"), Card("1"))


SHAPES = [
    Item,
    Order,
    Tree,
    Json,
    Card | Cash,
    dict[int, Card | Cash],
    tuple[int, str],
    frozenset[str],
    Options,
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SHAPES), st.binary(max_size=40) | st.text(max_size=40).map(lambda s: s.encode("utf-8"))
)
@example(Json, b"\x00")
@example(Order, DEEP)
def test_arbitrary_bytes_raise_nothing_else(tp: Any, data: bytes) -> None:
    assert _refused_or_carried(tp, data)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$type", "id", "name", "items", "pay", "kids", "when", "totals", "1"]),
            inner | st.sampled_from(["Card", "Cash"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SHAPES), json_values.map(msgspec.json.encode))
def test_arbitrary_json_raises_nothing_else(tp: Any, data: bytes) -> None:
    assert _refused_or_carried(tp, data)


def _refused_or_carried(tp: Any, data: bytes) -> bool:
    """Whether what is taken can be stored and read again. Raises what a codec raises besides its refusals."""
    codec = codec_for(tp)
    with suppress(PayloadRefused, UnknownVersion):
        codec.decode(data)
    try:
        taken = codec.parse(data)
    except PayloadRefused:
        return True
    return bool(codec.decode(codec.encode(taken)) == taken)


def test_aware_times_at_a_fixed_offset_are_carried() -> None:
    codec = codec_for(datetime)
    berlin = datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    assert codec.decode(codec.encode(berlin.astimezone(UTC))) == berlin
