"""The query language: text and trees are the same thing, and what is wrong is said, with its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_core.errors import QueryRefused, UsageError
from continuum_core.journal.attributes import key_of
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import (
    ALL,
    NEWEST,
    AttributeIn,
    Column,
    ColumnIn,
    Every,
    Not,
    Search,
    Some,
    Sort,
    Span,
)
from continuum_core.query import (
    Ago,
    And,
    Compare,
    Exists,
    In,
    Or,
    RunQuery,
    Schema,
    SortBy,
    Term,
    compiled,
    field,
    parse,
    write,
)
from continuum_core.query import Not as NotTerm
from continuum_core.query.tree import OPERATORS, RESERVED

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000
SCHEMA = Schema(
    {
        "total": frozenset({"number"}),
        "region": frozenset({"text"}),
        "vip": frozenset({"flag"}),
        "ready": frozenset({"time"}),
        "mixed": frozenset({"number", "text"}),
    },
    ((1, "one"), (2, "two"), (3, "three")),
    finds_states=True,
)


def key(value: Any) -> bytes:
    found = key_of(value)
    assert found is not None
    return found


# --- text and trees

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in RESERVED
)
literals = st.one_of(
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40),
    st.datetimes(timezones=st.just(UTC)),
    st.builds(Ago, st.integers(-(10**16), 10**16)),
)
terms = st.recursive(
    st.builds(Compare, names, st.sampled_from(OPERATORS), literals)
    | st.builds(In, names, st.lists(literals, min_size=1, max_size=4))
    | st.builds(Exists, names),
    lambda inner: (
        st.builds(NotTerm, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=12,
)
queries = st.builds(RunQuery, st.none() | terms, st.none() | st.builds(SortBy, names, st.booleans()))


@given(queries)
def test_a_query_is_read_as_it_was_written(query: RunQuery) -> None:
    assert parse(write(query)) == query


@given(st.text(max_size=60) | st.text("abc andornt()=<>!,'\"\\-+.:127dhT\n", max_size=60))
def test_any_text_is_a_query_or_is_refused(text: str) -> None:
    try:
        query = parse(text)
        compiled(query, SCHEMA, NOW, text)
    except QueryRefused as refused:
        told = refused
    else:
        assert parse(write(query)) == query
        return
    assert told.at <= len(text)
    assert str(told)


@given(
    st.lists(
        st.sampled_from(
            ["total", "and", "or", "not", "(", ")", "=", "in", "1", '"x"', "exists", ",", "sort", "by"]
        ),
        max_size=12,
    )
)
def test_words_in_any_order_are_a_query_or_are_refused(words: list[str]) -> None:
    text = " ".join(words)
    try:
        query = parse(text)
    except QueryRefused as refused:
        told = refused
    else:
        assert parse(write(query)) == query
        return
    assert 0 <= told.at <= len(text)


def test_a_query_in_python_is_the_same_as_in_text() -> None:
    total, status = field("total"), field("status")
    made = (field("machine") == "order") & status.among("running", RunStatus.PARKED) & (total >= 100)
    made &= field("started") > timedelta(days=-7)
    text = 'machine = "order" and status in (running, parked) and total >= 100 and started > -7d'
    assert RunQuery(made) == parse(text)
    assert ~(field("vip") == True) | field("total").exists() == Or(  # noqa: E712 (it makes a condition)
        (NotTerm(Compare("vip", "=", True)), Exists("total"))
    )
    parent = UUID(int=7)
    assert (field("parent") != parent) == Compare("parent", "!=", str(parent))
    assert (total < 1.5, total <= Decimal("1.50"), total > 2) == (
        Compare("total", "<", Decimal("1.5")),
        Compare("total", "<=", Decimal("1.5")),
        Compare("total", ">", Decimal(2)),
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: field("total") >= object(),
        lambda: field("total") >= float("nan"),
        lambda: field("total") >= datetime(2024, 1, 1),
        lambda: field("region") == "\x00",
        lambda: field("region") == "\ud800",
        lambda: field("region") == "x" * 1_001,
        lambda: field("no name") == 1,
        lambda: field("and") == 1,
        lambda: field("total").among(),
        lambda: field("total").among(*range(501)),
        lambda: Compare("total", "~", 1),
        lambda: And((Exists("total"),)),
        lambda: bool(field("total") == 1),
    ],
)
def test_what_no_text_could_say_is_not_made(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


# --- what is refused, and where

REFUSED = [
    ("totl >= 1", 0, "runs have no field 'totl'", "did you mean 'total'?"),
    ("total >= 1 and regoin = x", 15, "runs have no field 'regoin'", "did you mean 'region'?"),
    ("sort by totals", 8, "runs have no field 'totals'", "did you mean 'total'?"),
    ("total >= x", 9, "total is a number", ""),
    ("region = 5", 9, "region is a text", ""),
    ("vip = 1", 6, "vip is true or false", ""),
    ("vip > true", 6, "vip is true or false: compare it with = or !=", ""),
    ("mixed = true", 8, "mixed is a number or a text", ""),
    ("ready > soon", 8, "ready is a time", ""),
    ("status = runing", 9, "a status is one of running, completed", ""),
    ("status > running", 0, "status has no order", ""),
    ("parent = x", 9, "parent is the id of a run", ""),
    ("started > 5", 10, "started is a time, such as", ""),
    ("version = x", 10, "a version is a whole number", ""),
    ("machine = 5", 10, "machine is a text", ""),
    ("sort by state", 8, "runs are sorted by started, updated or an attribute, not by state", ""),
    ("total >=", 8, "a value must stand here, not the end", ""),
    ("total 5", 6, "an operator (= != < <= > >= in) must follow it, not '5'", ""),
    ("total = 5 region = x", 10, "'and', 'or' or 'sort by' must come before 'region'", ""),
    ("(total = 5", 10, "')' must follow the condition, not the end", ""),
    ("total in 5", 9, "'(' must follow 'in', not '5'", ""),
    ("total in ()", 10, "a value must stand here, not ')'", ""),
    ("total not = 5", 10, "'in' must follow 'not', not '='", ""),
    ("exists total", 7, "'(' must follow 'exists', not 'total'", ""),
    ('region = "x', 9, 'the text that begins here has no closing "', ""),
    ("total = 5d", 8, "this is no number, no date", ""),
    ("started > 2024-13-01", 10, "'2024-13-01' is no value", ""),
    ("total; drop", 5, "';' means nothing in a query", ""),
    ("not " * 60 + "vip = true", 204, "conditions stand at most 50 deep", ""),
    (
        "total = 1" + " or total = 1" * 500,
        -1,
        "a query compares with at most 500 values, this one with 501",
        "",
    ),
    ("x" * 10_001, 0, "a query has at most 10,000 characters", ""),
    ('region = "\\u0000"', 9, "a text of a query has", ""),
    ('region = "\\x"', 9, "is no value", ""),
    ("total = 1e999999", 8, "a number of a query is finite", ""),
]


@pytest.mark.parametrize(("text", "at", "reason", "hint"), REFUSED, ids=[each[0][:30] for each in REFUSED])
def test_what_is_wrong_is_said_with_its_place(text: str, at: int, reason: str, hint: str) -> None:
    with pytest.raises(QueryRefused) as caught:
        compiled(parse(text), SCHEMA, NOW, text)
    refused = caught.value
    assert (refused.at, refused.hint) == (at, hint)
    assert reason in refused.reason


def test_the_error_points() -> None:
    text = 'machine = "order" and totl >= 100'
    with pytest.raises(QueryRefused) as caught:
        compiled(parse(text), SCHEMA, NOW, text)
    assert str(caught.value).splitlines() == [
        "the query cannot be carried out: runs have no field 'totl' (did you mean 'total'?)",
        '  machine = "order" and totl >= 100',
        "                        ^",
    ]


def test_states_are_found_where_somebody_keeps_them() -> None:
    with pytest.raises(QueryRefused, match=r"call index_states\(\)"):
        compiled(parse("state = paying"), Schema(), NOW)


def test_a_tree_that_is_too_deep_or_too_wide_is_refused() -> None:
    deep: Term = Exists("total")
    for _ in range(51):
        deep = ~deep
    with pytest.raises(QueryRefused, match="50 deep"):
        compiled(RunQuery(deep), SCHEMA, NOW)


# --- what it means

MEANT = [
    ("total = 5", AttributeIn("total", (Span.of(key(5)),))),
    ("total != 5", Not(AttributeIn("total", (Span.of(key(5)),)))),
    ("total >= 5", AttributeIn("total", (Span(key(5), b"o", below=True),))),
    ("total > 5", AttributeIn("total", (Span(key(5), b"o", above=True, below=True),))),
    ("total < 5", AttributeIn("total", (Span(b"n", key(5), below=True),))),
    ("total in (1, 2)", AttributeIn("total", (Span.of(key(1)), Span.of(key(2))))),
    ("total not in (1)", Not(AttributeIn("total", (Span.of(key(1)),)))),
    ("mixed >= a", AttributeIn("mixed", (Span(key("a"), b"t", below=True),))),
    ("exists(total)", AttributeIn("total", (Span(),))),
    ("state = paying", AttributeIn("state", (Span.of(key("paying")),))),
    ("status in (running, parked)", ColumnIn(Column.STATUS, (Span.of(0), Span.of(6)))),
    ("started > -7d", ColumnIn(Column.STARTED, (Span(NOW - 7 * DAY, None, above=True),))),
    ("updated <= now", ColumnIn(Column.UPDATED, (Span(None, NOW),))),
    ("started >= 1970-01-02", ColumnIn(Column.STARTED, (Span(DAY),))),
    ("started >= '1970-01-01T12:00+12:00'", ColumnIn(Column.STARTED, (Span(0),))),
    (
        "ready > +1h30m",
        AttributeIn(
            "ready",
            (
                Span(
                    key(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=NOW + 5_400_000_000)),
                    b"u",
                    above=True,
                    below=True,
                ),
            ),
        ),
    ),
    ("version >= 2", ColumnIn(Column.FINGERPRINT, (Span.of("two"), Span.of("three")))),
    ("version = 9", ColumnIn(Column.FINGERPRINT, ())),
    ("key >= k", ColumnIn(Column.KEY, (Span("k"),))),
    (f"root = '{UUID(int=3)}'", ColumnIn(Column.ROOT, (Span.of(UUID(int=3)),))),
    (
        "vip = true and (total = 1 or not region = x)",
        Every(
            (
                AttributeIn("vip", (Span.of(key(True)),)),
                Some(
                    (
                        AttributeIn("total", (Span.of(key(1)),)),
                        Not(AttributeIn("region", (Span.of(key("x")),))),
                    )
                ),
            )
        ),
    ),
]


@pytest.mark.parametrize(("text", "where"), MEANT, ids=[each[0] for each in MEANT])
def test_a_query_means(text: str, where: object) -> None:
    assert compiled(parse(text), SCHEMA, NOW, text) == Search(where, NEWEST)  # type: ignore[arg-type]  # of MEANT


def test_sorts() -> None:
    assert compiled(parse(""), SCHEMA, NOW) == Search(ALL, NEWEST)
    assert compiled(parse("sort by total desc"), SCHEMA, NOW).sort == Sort("total", descending=True)
    assert compiled(parse("sort by started asc"), SCHEMA, NOW).sort == Sort(Column.STARTED)
    assert compiled(parse("SORT BY updated DESC"), SCHEMA, NOW).sort == Sort(Column.UPDATED, descending=True)
