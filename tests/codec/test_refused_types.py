"""What cannot be carried is refused before any value exists, each field named, with a remedy."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import attrs
import msgspec
import pytest

from continuum_core.codec import codec_for, unsupported
from continuum_core.errors import CodecError

T = TypeVar("T")


class Money(Decimal):
    pass


class Name(str):
    __slots__ = ()


class Plain:
    pass


class Mixed(enum.Enum):
    A = 1
    B = "b"


class Empty(enum.Enum):
    pass


@attrs.frozen
class A:
    x: int


@attrs.frozen
class B:
    x: int


def another_a() -> type:
    return attrs.make_class("A", {"y": attrs.field(type=int)})


@attrs.frozen
class Box(Generic[T]):
    item: T


@attrs.frozen
class Computed:
    a: int
    b: int = attrs.field(init=False, default=0)


@attrs.frozen
class FromSelf:
    a: int
    b: int = attrs.field(default=attrs.Factory(lambda self: self.a, takes_self=True))


@attrs.frozen(cache_hash=True)
class CachesHash:
    a: int


@attrs.frozen
class WrongDefault:
    a: int = None  # type: ignore[assignment]  # the fault under test


@attrs.define
class Untyped:
    a = attrs.field()  # type: ignore[var-annotated]  # the fault under test


@attrs.define
class Oops(Exception):
    a: int


@attrs.frozen
class Lost:
    a: Nowhere  # type: ignore[name-defined]  # noqa: F821 the fault under test


@dataclass
class Initial:
    a: int
    b: InitVar[int]


@dataclass
class NotTaken:
    a: int = field(init=False)


class Array(msgspec.Struct, array_like=True):
    a: int


class BadRename(msgspec.Struct, rename={"a": "$type"}):
    a: int


class Loose(NamedTuple):
    a: Any


@attrs.frozen
class Parcel:
    label: str
    when: list[Money]


@attrs.frozen
class Ctx:
    parcels: tuple[Parcel, ...]
    by_name: dict[str, Plain]
    pay: A | Box[Money]
    ok: int
    call: Callable[[], None]
    parent: Ctx | None = None


REFUSED: list[tuple[Any, str, str]] = [
    (Any, "x", "Json"),
    (object, "x", "Json"),
    (Plain, "x", "attrs class"),
    (Money, "x", "declare Decimal"),
    (Name, "x", "declare str"),
    (complex, "x", "two floats"),
    (bytearray, "x", "use bytes"),
    (Callable[[int], int], "x", "function"),
    (Callable, "x", "function"),
    (T, "x", "not bound"),
    (Box, "x.item", "Box[int]"),
    (list, "x", "list[T]"),
    (tuple, "x", "tuple[T, ...]"),
    (dict, "x", "dict[str, T]"),
    (set, "x", "set[T]"),
    (Sequence[int], "x", "tuple[T, ...]"),
    (AbstractSet[int], "x", "frozenset[T]"),
    (set[list[int]], "x[]", "no hash"),
    (frozenset[dict[str, int]], "x[]", "no hash"),
    (tuple[int, *tuple[str, ...]], "x", "any length"),
    (dict[float, int], "x (key)", "use str"),
    (dict[bool, int], "x (key)", "use str"),
    (dict[tuple[int, int], int], "x (key)", "use str"),
    (dict[str | int, int], "x (key)", "use str"),
    (dict[A, int], "x (key)", "use str"),
    (dict[timedelta, int], "x (key)", "use str"),
    (dict[str, Plain], "x{}", "attrs class"),
    (list["A"], "x[]", "put the class itself"),
    (str | UUID, "x", "told apart"),
    (datetime | str, "x", "told apart"),
    (date | datetime, "x", "told apart"),
    (Decimal | str, "x", "told apart"),
    (Literal["a"] | str, "x", "told apart"),
    (list[int] | tuple[int, ...], "x", "told apart"),
    (A | dict[str, int], "x", "told apart"),
    (A | another_a(), "x", "rename one"),
    (Box[int] | Box[str], "x", "rename one"),
    (Literal[True], "x", "literals are"),
    (Mixed, "x", "all str or all int"),
    (Empty, "x", "all str or all int"),
    (Computed, "x.b", "init=False"),
    (NotTaken, "x.a", "init=False"),
    (FromSelf, "x.b", "classmethod"),
    (CachesHash, "x", "cache_hash"),
    (WrongDefault, "x.a", "default does not fit"),
    (Untyped, "x.a", "annotate"),
    (Oops, "x", "exception"),
    (Lost, "x", "Nowhere"),
    (Initial, "x.b", "InitVar"),
    (Array, "x", "array_like"),
    (BadRename, "x.a", "rename it otherwise"),
    (Loose, "x.a", "Json"),
    (list[Annotated[Decimal, msgspec.Meta(gt=0)]], "x[]", "validator"),
    (Annotated[list[int], msgspec.Meta(min_length=1)], "x", "scalars only"),
]


@pytest.mark.parametrize(("tp", "path", "remedy"), REFUSED, ids=lambda part: repr(part)[-40:])
def test_refused_type_names_place_and_remedy(tp: Any, path: str, remedy: str) -> None:
    (fault,) = unsupported(tp, "x")
    assert fault.path == path
    assert remedy in fault.reason


def test_every_offending_field_is_named_once() -> None:
    assert [fault.path for fault in unsupported(Ctx, "Ctx")] == [
        "Ctx.parcels[].when[]",
        "Ctx.by_name{}",
        "Ctx.pay(Box[Money]).item",
        "Ctx.call",
    ]


def test_codec_for_raises_the_first_fault_under_the_name_of_the_type() -> None:
    with pytest.raises(CodecError) as caught:
        codec_for(Ctx)
    assert caught.value.path == "Ctx.parcels[].when[]"


def test_carried_type_has_no_faults() -> None:
    assert unsupported(A | B | None, "x") == []


def test_local_class_with_forward_reference_is_refused_with_its_name() -> None:
    @attrs.frozen
    class Inner:
        a: int

    @attrs.frozen
    class Outer:
        inner: Inner

    (fault,) = unsupported(Outer, "Outer")
    assert "'Inner' is not defined" in fault.reason
    assert "module level" in fault.reason
