"""What is carried comes back equal and of the same type, by `decode` and by `parse`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_core.codec import Json, codec_for

T = TypeVar("T")
Key = NewType("Key", str)
ID = UUID(int=7)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@attrs.frozen
class Card:
    number: str


@attrs.frozen
class Cash:
    amount: Decimal


@dataclass(frozen=True)
class Cheque:
    bank: str
    tags: list[str] = field(default_factory=list)


@attrs.frozen
class Order:
    id: str
    pay: Card | Cash | Cheque | None = None
    also: tuple[Card | Cash, ...] = ()
    by_name: dict[str, Card | Cash] = attrs.field(factory=dict)


@attrs.frozen
class Tree:
    name: str
    kids: tuple[Tree, ...] = ()


@attrs.frozen
class Leaf:
    value: int


@attrs.frozen
class Branch:
    left: Leaf | Branch
    right: Leaf | Branch


@attrs.frozen
class Box(Generic[T]):
    item: T
    more: list[T] = attrs.field(factory=list)


@attrs.frozen
class IntBox(Box[int]):
    extra: str = ""


@attrs.define
class Private:
    _balance: int
    __pin: int = 0
    plain: str = attrs.field(default="x", alias="other")


@attrs.define(slots=False)
class Open:
    a: int


@attrs.frozen
class Cached:
    a: int

    @cached_property
    def twice(self) -> float:
        return float("nan")


def one_more(given: int) -> int:
    return given + 1


@attrs.frozen(kw_only=True)
class Converted:
    a: int = attrs.field(converter=one_more, validator=attrs.validators.ge(2))


@attrs.frozen
class WithJson:
    note: Json
    amount: Annotated[int, msgspec.Meta(gt=0)]


class Point(NamedTuple):
    x: int
    y: float = 0.0
    pay: Card | Cash | None = None


class Options(TypedDict):
    name: str
    pay: NotRequired[Card | Cash]


class Native(msgspec.Struct, rename="camel"):
    first_name: str
    seen: frozenset[str] = frozenset()


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: set[str]


def made(cls: Any, **values: Any) -> Any:
    """An instance whose cached properties have been looked at and which has a stray attribute."""
    instance = cls(**values)
    if hasattr(instance, "twice") or hasattr(instance, "__dict__"):
        instance.__dict__["stray"] = object() if hasattr(instance, "__dict__") else None
    return instance


CARRIED: list[tuple[Any, Any]] = [
    (None, None),
    (bool, True),
    (int, -(2**70)),
    (int, 10**4000),
    (float, -0.0),
    (float, 1e22),
    (str, 'ü€😀 "\\u0000" \\ \n \x7f'),
    (bytes, bytes(range(256))),
    (UUID, ID),
    (date, date.min),
    (datetime, datetime(2024, 2, 29, 1, 2, 3, 4)),
    (datetime, datetime.max),
    (datetime, datetime(2024, 2, 29, tzinfo=UTC)),
    (datetime, datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30)))),
    (time, time(23, 59, 59, 999999)),
    (time, time(1, tzinfo=UTC)),
    (timedelta, timedelta.min),
    (timedelta, timedelta.max),
    (timedelta, timedelta(microseconds=-1)),
    (Decimal, Decimal("1.10")),
    (Decimal, Decimal("-0E-30")),
    (Decimal, Decimal("1E+400")),
    (Colour, Colour.BLUE),
    (Level, Level.HIGH),
    (Access, Access.READ | Access.WRITE),
    (Key, "k"),
    (Literal["a", 1, None], 1),
    (Literal["a", 1, None], None),
    (list[int], [3, 1, 2]),
    (tuple[int, ...], (3, 1)),
    (tuple[int, str, float], (1, "a", 1.5)),
    (tuple[()], ()),
    (set[str], {"b", "a"}),
    (frozenset[tuple[int, str]], frozenset({(2, "b"), (1, "a")})),
    (frozenset[Card], frozenset({Card("2"), Card("1")})),
    (frozenset[Card | Cash], frozenset({Card("2"), Cash(Decimal(1))})),
    (frozenset[Colour], frozenset(Colour)),
    (dict[str, int], {"b": 1, "a": 2, "$type": 3}),
    (Mapping[str, int], {"b": 1}),
    (dict[int, str], {-1: "a", 2**70: "b"}),
    (dict[UUID, int], {ID: 1}),
    (dict[Colour, int], {Colour.RED: 1}),
    (dict[Level, int], {Level.LOW: 1}),
    (dict[date, int], {date(2024, 1, 1): 1}),
    (dict[Key, int], {Key("a"): 1}),
    (dict[Literal["a", "b"], int], {"a": 1}),
    (dict[int, Card | Cash], {1: Card("1"), 2: Cash(Decimal("2.50"))}),
    (Optional[int], None),  # noqa: UP045 the old spelling is carried, too
    (int | None | str, "1"),
    (float | int | None, 2**53 + 1),
    (int | float, 1),
    (int | float, 1.0),
    (int | float | bool, True),
    (Decimal | int, Decimal(1)),
    (Decimal | float, 1.0),
    (datetime | int, datetime(2024, 1, 1)),
    (list[int] | dict[str, int] | None, {"a": 1}),
    (Colour | Level, Level.LOW),
    (Json, {"a": [1, 1.0, True, None, "x", {"b": 10**30}]}),
    (Card, Card("1")),
    (Card | None, Card("1")),
    (Card | Cash, Cash(Decimal("1.00"))),
    (Card | Cheque | int, Cheque("b", ["t"])),
    (Card | Cash | Point, Point(1)),
    (list[Card | Cash | None], [Card("1"), None, Cash(Decimal(2))]),
    (Order, Order("1")),
    (Order, Order("1", Cheque("b"), (Card("1"), Cash(Decimal("0.10"))), {"x": Card("2")})),
    (Tree, Tree("a", (Tree("b", (Tree("c"),)), Tree("d")))),
    (Branch, Branch(Leaf(1), Branch(Leaf(2), Leaf(3)))),
    (Box[int], Box(1, [2])),
    (Box[Card | Cash], Box(Card("1"), [Cash(Decimal(1))])),
    (Box[Box[str]], Box(Box("a"))),
    (IntBox, IntBox(1, [2], "x")),
    (Private, Private(1, 2, other="y")),
    (Open, made(Open, a=1)),
    (Converted, Converted(a=7)),
    (WithJson, WithJson({"free": [1]}, 5)),
    (Cheque, Cheque("b", ["t"])),
    (Point, Point(1, 2.5, Cash(Decimal(1)))),
    (Options, {"name": "n"}),
    (Options, {"name": "n", "pay": Card("1")}),
    (Native, Native("a", frozenset({"x", "y"}))),
    (Cat | Dog, Dog({"sit"})),
    (Cat | Card, Cat(9)),
    (list[Cat], [Cat(9)]),
]


def same(one: Any, other: Any) -> bool:
    """Equal, of one class, and so all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return all(map(same, one, other))
    if attrs.has(type(one)):
        names = [f.name for f in attrs.fields(type(one))]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return isinstance(one, set | frozenset) or repr(one) == repr(other)


# By position: the text of a set differs from process to process, and tests run in several.
@pytest.mark.parametrize(
    ("tp", "value"), CARRIED, ids=[f"{n}-{tp!s:.60}" for n, (tp, _) in enumerate(CARRIED)]
)
def test_carried_type_comes_back(tp: Any, value: Any) -> None:
    codec = codec_for(tp)
    data = codec.encode(value)
    assert same(codec.decode(data), value)
    assert same(codec.parse(data), value)
    assert same(codec.parse(data.decode()), value)


def test_cached_property_is_not_written() -> None:
    """What was looked at must not change the bytes: digests compare them."""
    fresh, seen = Cached(1), Cached(1)
    assert seen.twice != 0
    codec = codec_for(Cached)
    assert codec.encode(seen) == codec.encode(fresh) == b'{"a":1}'


def test_stray_attribute_is_not_written() -> None:
    assert codec_for(Open).encode(made(Open, a=1)) == b'{"a":1}'


def test_converter_is_not_run_again() -> None:
    assert codec_for(Converted).decode(b'{"a":8}').a == 8


def test_sets_have_one_encoding() -> None:
    one, other = {"a", "b", "c"}, {"c", "b", "a"}
    codec = codec_for(dict[str, set[str]])
    assert codec.encode({"k": one}) == codec.encode({"k": other}) == b'{"k":["a","b","c"]}'


def test_dicts_keep_their_order() -> None:
    codec = codec_for(dict[str, set[str]])
    assert list(codec.decode(codec.encode({"b": set(), "a": set()}))) == ["b", "a"]


def test_int_is_taken_for_float_and_comes_back_as_float() -> None:
    codec = codec_for(list[float])
    assert same(codec.decode(codec.encode([1])), [1.0])


def test_numbers_with_a_point_keep_their_digits_for_decimal() -> None:
    digits = "0.12345678901234567890123456789"
    assert codec_for(Cash).parse(f'{{"amount": {digits}}}').amount == Decimal(digits)
    assert codec_for(Card | Cash).parse(f'{{"$type":"Cash","amount": {digits}}}') == Cash(Decimal(digits))


def test_codec_is_kept() -> None:
    assert codec_for(Card) is codec_for(Card)


def test_classes_of_one_hash_but_other_literals_are_kept_apart() -> None:
    codec_for(Literal[1])
    assert codec_for(Literal["1"]).decode(b'"1"') == "1"


# --- generated types ------------------------------------------------------------------------------

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
finite = st.floats(allow_nan=False, allow_infinity=False)
zones = st.none() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))

SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (bool, st.booleans()),
    (str, text),
    (float, finite),
    (bytes, st.binary(max_size=5)),
    (UUID, st.uuids()),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=zones)),
    (time, st.times(timezones=zones)),
    (timedelta, st.timedeltas()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Literal["a", 3], st.sampled_from(["a", 3])),
]
KEYS = [SCALARS[i] for i in (0, 2, 5, 6, 11, 12)]
Pair = tuple[Any, st.SearchStrategy[Any]]


def _class(name: str, pairs: list[Pair]) -> Pair:
    fields = {f"f{i}": attrs.field(type=tp) for i, (tp, _) in enumerate(pairs)}
    cls = attrs.make_class(name, fields, frozen=True, slots=True)
    return cls, st.builds(cls, *[values for _, values in pairs])


def _of(generic: Any, *arguments: Any) -> Any:
    """`generic[arguments]`, which type checkers read as a type of theirs and refuse: it is made here."""
    return generic[arguments]


def _tuple(pairs: list[Pair]) -> Pair:
    return _of(tuple, *[tp for tp, _ in pairs]), st.tuples(*[values for _, values in pairs])


def _union(pairs: list[list[Pair]]) -> Pair:
    one, other = (_class(f"U{i}", fields) for i, fields in enumerate(pairs))
    return one[0] | other[0], one[1] | other[1]


def _wider(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    several = st.lists(inner, max_size=3)
    return st.one_of(
        inner.map(lambda p: (_of(list, p[0]), st.lists(p[1], max_size=3))),
        inner.map(lambda p: (_of(tuple, p[0], ...), st.lists(p[1], max_size=3).map(tuple))),
        inner.map(lambda p: (p[0] | None, p[1] | st.none())),
        several.filter(bool).map(_tuple),
        st.sampled_from(SCALARS).map(lambda p: (_of(frozenset, p[0]), st.frozensets(p[1], max_size=3))),
        st.tuples(st.sampled_from(KEYS), inner).map(
            lambda kv: (_of(dict, kv[0][0], kv[1][0]), st.dictionaries(kv[0][1], kv[1][1], max_size=3))
        ),
        several.map(lambda pairs: _class("C", pairs)),
        st.lists(several, min_size=2, max_size=2).map(_union),
    )


pairs_of_type_and_values = st.recursive(st.sampled_from(SCALARS), _wider, max_leaves=6)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_generated_types_come_back(data: st.DataObject) -> None:
    tp, values = data.draw(pairs_of_type_and_values)
    codec = codec_for(tp)
    value = data.draw(values)
    encoded = codec.encode(value)
    assert codec.encode(codec.decode(encoded)) == encoded
    for back in (codec.decode(encoded), codec.parse(encoded)):
        assert back == value
        assert type(back) is type(value)
