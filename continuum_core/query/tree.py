"""A query as frozen values, and how one is written in Python.

Rule: what a query may hold is checked where a value is made, so that each tree can be written as text, and
that text reads as the same tree. Where in a text something stood is kept beside it, and makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from attrs import field as attribute
from attrs import frozen

from continuum_core.clock import span
from continuum_core.definition.searchable import plain
from continuum_core.errors import UsageError
from continuum_core.journal.records import RunStatus

__all__ = [
    "DEEPEST",
    "LITERALS",
    "OPERATORS",
    "RESERVED",
    "Ago",
    "And",
    "Compare",
    "Exists",
    "Field",
    "In",
    "Literal",
    "Not",
    "Or",
    "RunQuery",
    "SortBy",
    "Term",
    "field",
    "is_name",
    "literal",
]

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
LITERALS = 500  # values of a query
DEEPEST = 50  # conditions in one another
RESERVED = frozenset({"and", "or", "not", "in", "exists", "sort", "by"})
_TEXT = 1_000  # characters of a text
_DIGITS = 100  # of a number
_FAR = 10**17  # microseconds: three thousand years


@frozen
class Ago:
    """A moment as far from now as `micros` microseconds: before it where that is negative."""

    micros: int


Literal = str | bool | Decimal | datetime | Ago


def literal(value: Any) -> Literal:
    """A Python value as a query holds it: a timedelta is that long before now if negative, else after.

    Raises UsageError for a type or a size that queries do not have.
    """
    if isinstance(value, RunStatus):
        return value.name.lower()
    if isinstance(value, UUID):
        return str(value)
    value = plain(value) if isinstance(value, Enum) else value
    if isinstance(value, (bool, Ago)):
        return value
    if isinstance(value, (int, float, Decimal)):
        return _number(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
    if isinstance(value, timedelta):
        if abs(span(value)) > _FAR:
            raise UsageError(f"{value} is farther from now than queries reach")
        return Ago(span(value))
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UsageError(
                f"{value} has no time zone, so that nobody knows when it is; give it one, such as UTC"
            )
        return value
    if isinstance(value, str):
        if len(value) > _TEXT or "\x00" in value or any("\ud800" <= each <= "\udfff" for each in value):
            raise UsageError(
                f"a text of a query has at most {_TEXT} characters, no NUL and no half of a surrogate"
            )
        return value
    raise UsageError(f"queries compare texts, numbers, truth values and times, not {type(value).__name__}")


def _number(value: Decimal) -> Decimal:
    if not value.is_finite() or len(value.as_tuple().digits) > _DIGITS or abs(value.adjusted()) > 10_000:
        raise UsageError(f"a number of a query is finite, with at most {_DIGITS} digits")
    return value


def _literals(values: Iterable[Any]) -> tuple[Literal, ...]:
    return tuple(map(literal, values))


class Term:
    """A condition. `a & b`, `a | b` and `~a` join conditions as `and`, `or` and `not` do."""

    __slots__ = ()

    def __and__(self, other: Term) -> And:
        mine = self.terms if isinstance(self, And) else (self,)
        return And((*mine, other))

    def __or__(self, other: Term) -> Or:
        mine = self.terms if isinstance(self, Or) else (self,)
        return Or((*mine, other))

    def __invert__(self) -> Not:
        return Not(self)

    def __bool__(self) -> bool:
        raise UsageError("a condition is not true or false here: join conditions with &, | and ~")


def _several(_: object, __: object, terms: tuple[Term, ...]) -> None:
    if len(terms) < 2:
        raise UsageError("`and` and `or` join two conditions or more")


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def is_name(text: str) -> bool:
    """Whether a field may be called so."""
    return _NAME.fullmatch(text) is not None and text.lower() not in RESERVED


def _named(_: object, __: object, name: str) -> None:
    if not is_name(name):
        raise UsageError(f"{name!r} is no name of a field")


def _operates(_: object, __: object, operator: str) -> None:
    if operator not in OPERATORS:
        raise UsageError(f"{operator!r} is no operator; there are {' '.join(OPERATORS)} and in")


_at: Any = attribute(default=0, eq=False, repr=False)


@frozen
class Compare(Term):
    """``total >= 100``. `at` is where the field stands in the text, `value_at` where its value does."""

    field: str = attribute(validator=_named)
    operator: str = attribute(validator=_operates)
    value: Literal = attribute(converter=literal)
    at: int = _at
    value_at: int = _at


@frozen
class In(Term):
    """``status in (running, parked)``."""

    field: str = attribute(validator=_named)
    values: tuple[Literal, ...] = attribute(converter=_literals)
    at: int = _at
    values_at: tuple[int, ...] = attribute(default=(), eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not 1 <= len(self.values) <= LITERALS:
            raise UsageError(f"`in` takes from one value to {LITERALS:,}")


@frozen
class Exists(Term):
    """``exists(total)``: the run has it."""

    field: str = attribute(validator=_named)
    at: int = _at


@frozen
class And(Term):
    terms: tuple[Term, ...] = attribute(validator=_several)


@frozen
class Or(Term):
    terms: tuple[Term, ...] = attribute(validator=_several)


@frozen
class Not(Term):
    term: Term


@frozen
class SortBy:
    """``sort by total desc``."""

    field: str = attribute(validator=_named)
    descending: bool = False
    at: int = _at


@frozen
class RunQuery:
    """A whole query: which runs (None: all), and their order (None: newest first)."""

    where: Term | None = None
    sort: SortBy | None = None


class Field:
    """A field of runs, to be compared with Python values; made by `field`."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # == makes a condition, which no dict could go by

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, value: object) -> Compare:  # type: ignore[override]  # a condition, as in other languages of queries
        return Compare(self.name, "=", value)

    def __ne__(self, value: object) -> Compare:  # type: ignore[override]  # as above
        return Compare(self.name, "!=", value)

    def __lt__(self, value: Any) -> Compare:
        return Compare(self.name, "<", value)

    def __le__(self, value: Any) -> Compare:
        return Compare(self.name, "<=", value)

    def __gt__(self, value: Any) -> Compare:
        return Compare(self.name, ">", value)

    def __ge__(self, value: Any) -> Compare:
        return Compare(self.name, ">=", value)

    def among(self, *values: Any) -> In:
        return In(self.name, values)

    def exists(self) -> Exists:
        return Exists(self.name)


def field(name: str) -> Field:
    """A field of runs by its name, such as ``field("total") >= 100``."""
    return Field(name)
