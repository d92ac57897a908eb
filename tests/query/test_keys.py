"""Keys of attributes: their bytes sort as the values do, and tell the values again."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_core.journal.attributes import (
    LONGEST_TEXT,
    Attribute,
    Value,
    changes,
    key_of,
    kind_range,
    name_of_kind,
    sorted_keys,
    value_of,
)

numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=12),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
times = st.datetimes(timezones=st.just(UTC))


def key(value: Value) -> bytes:
    found = key_of(value)
    assert found is not None
    return found


def exact(value: int | float | Decimal) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def same_order(one: Any, other: Any, first: bytes, second: bytes) -> None:
    assert (one < other) == (first < second)
    assert (one == other) == (first == second)
    # So does what a store puts behind a key: a zero byte, then more.
    if first != second:
        assert (first < second) == (first + b"\x00\xff" < second + b"\x00\x00")


@given(numbers, numbers)
def test_numbers_sort_as_what_they_are(one: int | float | Decimal, other: int | float | Decimal) -> None:
    same_order(exact(one), exact(other), key(one), key(other))


@given(texts, texts)
def test_texts_sort_by_their_bytes(one: str, other: str) -> None:
    same_order(one.encode(), other.encode(), key(one), key(other))


@given(times, times)
def test_times_sort(one: datetime, other: datetime) -> None:
    same_order(one, other, key(one), key(other))


@given(st.one_of(numbers, texts, times, st.booleans()))
def test_a_key_tells_its_value_and_lies_within_its_kind(value: Value) -> None:
    told = key(value)
    back = value_of(told)
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    assert exact(back) == exact(value) if number else back == value  # type: ignore[arg-type]  # both are numbers
    low, high = kind_range(told)
    assert low <= told < high
    assert name_of_kind(told) in ("text", "number", "flag", "time")


def test_one_number_has_one_key() -> None:
    assert len({key(1), key(1.0), key(Decimal("1.00")), key(Decimal("1E+0"))}) == 1
    assert len({key(0), key(-0.0), key(Decimal("-0"))}) == 1
    assert key(0.1) == key(Decimal("0.1"))
    assert key(True) != key(1)


def test_long_texts_are_compared_by_their_beginning() -> None:
    assert key("é" * 400) == key("é" * 256)
    assert key("x" * (LONGEST_TEXT - 1) + "é") == key("x" * (LONGEST_TEXT - 1))


def test_what_is_no_value() -> None:
    assert [key_of(value) for value in (float("nan"), float("inf"), Decimal("-Infinity"))] == [None] * 3
    with pytest.raises(ValueError, match="out of the range"):
        key_of(Decimal("1e40000"))
    with pytest.raises(ValueError, match="time zone"):
        key_of(datetime(2024, 1, 1))
    with pytest.raises(TypeError, match="list is no type of attributes"):
        key_of([])


def test_only_what_changed_is_written() -> None:
    before = {"same": sorted_keys([1]), "other": sorted_keys([1]), "gone": sorted_keys(["x"])}
    after = {"same": sorted_keys([1]), "other": sorted_keys([2, 1, 2]), "new": sorted_keys([True])}
    assert changes(before, after) == (
        Attribute("gone", ()),
        Attribute("new", (key(True),)),
        Attribute("other", (key(1), key(2))),
    )
