"""Query → what a journal has to search for, held against what machines declare.

Rule: a field is one of a few that every run has, or an attribute that a machine known here declares; each
takes the operators of its kind, and values of its kind alone. What is refused is refused here, with its place
in the text, before any journal is asked. What is handed on are values to be bound, never text.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NoReturn
from uuid import UUID

from attrs import field, frozen

from continuum_core.clock import from_datetime
from continuum_core.definition.searchable import FIELDS
from continuum_core.errors import QueryRefused
from continuum_core.journal.attributes import STATE, key_of, kind_range, name_of_kind
from continuum_core.journal.records import Definition, RunStatus
from continuum_core.journal.searching import (
    ALL,
    NEWEST,
    AttributeIn,
    Column,
    ColumnIn,
    Condition,
    End,
    Every,
    Not,
    Search,
    Some,
    Sort,
    Span,
)
from continuum_core.query import tree
from continuum_core.query.tree import DEEPEST, LITERALS, Ago, Literal, RunQuery, Term
from continuum_core.query.writing import write

__all__ = ["Schema", "compiled", "declared", "schema_of"]

_COLUMNS = {
    "machine": Column.MACHINE,
    "fingerprint": Column.FINGERPRINT,
    "key": Column.KEY,
    "parent": Column.PARENT,
    "root": Column.ROOT,
    "started": Column.STARTED,
    "updated": Column.UPDATED,
    "status": Column.STATUS,
}
_EQUALS = ("=", "!=")
_WORDS = {"text": "a text", "number": "a number", "flag": "true or false", "time": "a time"}
_BY_NAME = {status.name.lower(): status for status in RunStatus}


@frozen
class Schema:
    """What is known of the machines whose runs may be here.

    :ivar kinds: of attributes, by name: text, number, flag, time; several where machines differ.
    :ivar versions: (version, fingerprint) of each definition.
    :ivar finds_states: one of them keeps the states of its runs.
    """

    kinds: Mapping[str, frozenset[str]] = field(factory=dict[str, "frozenset[str]"])
    versions: tuple[tuple[int, str], ...] = ()
    finds_states: bool = False

    def names(self) -> list[str]:
        return sorted({*FIELDS, *self.kinds})


def schema_of(definitions: Iterable[Definition]) -> Schema:
    """What definitions say of what their runs are found by."""
    kinds: dict[str, set[str]] = {}
    versions: list[tuple[int, str]] = []
    finds_states = False
    for each in definitions:
        graph = json.loads(each.body)
        versions.append((each.version, each.fingerprint))
        finds_states = finds_states or bool(graph.get("finds_states"))
        for name, told in graph.get("attributes", {}).items():
            kinds.setdefault(name, set()).add(told["kind"])
    return Schema({name: frozenset(found) for name, found in kinds.items()}, tuple(versions), finds_states)


def declared(definition: Definition) -> Mapping[str, tuple[str, bool]]:
    """The attributes of a machine: of each its kind, and whether the machine computes it itself."""
    told = json.loads(definition.body).get("attributes", {})
    return {name: (each["kind"], each["of"] is not None) for name, each in told.items()}


def compiled(query: RunQuery, schema: Schema, now: int, text: str | None = None) -> Search:
    """What a journal has to search for.

    :param now: the journal's clock, microseconds, which relative times count from.
    :param text: that the query was read from, for errors; else it is written anew.

    Raises QueryRefused.
    """
    compiler = _Compiler(schema, now, write(query) if text is None else text, text is not None)
    if query.where is not None and (wrong := _too_much(query.where)):
        compiler.refuse(-1, wrong)
    where = ALL if query.where is None else compiler.condition(query.where)
    return Search(where, NEWEST if query.sort is None else compiler.sort(query.sort))


def _too_much(where: Term) -> str:
    """What of a condition no journal is to be asked, or ""."""
    values, waiting = 0, [(where, 1)]
    while waiting:
        term, depth = waiting.pop()
        if depth > DEEPEST + 1:
            return f"conditions stand at most {DEEPEST} deep in one another"
        match term:
            case tree.And(terms) | tree.Or(terms):
                waiting += [(each, depth + 1) for each in terms]
            case tree.Not(inner):
                waiting.append((inner, depth + 1))
            case tree.In(_, several):
                values += len(several)
            case _:
                values += 1
    return (
        f"a query compares with at most {LITERALS} values, this one with {values:,}"
        if values > LITERALS
        else ""
    )


@frozen
class _Compiler:
    schema: Schema
    now: int
    text: str
    placed: bool  # places are those of `text`

    def refuse(self, at: int, why: str, hint: str = "") -> NoReturn:
        raise QueryRefused(self.text, at if self.placed else -1, why, hint)

    def condition(self, term: Term) -> Condition:
        match term:
            case tree.And(terms):
                return Every(tuple(map(self.condition, terms)))
            case tree.Or(terms):
                return Some(tuple(map(self.condition, terms)))
            case tree.Not(inner):
                return Not(self.condition(inner))
            case tree.Exists(name, at):
                return self._within(name, at, (Span(),))
            case tree.Compare(name, "!=", value, at, value_at):
                return Not(self._compared(name, "=", (value,), at, (value_at,), "!="))
            case tree.Compare(name, operator, value, at, value_at):
                return self._compared(name, operator, (value,), at, (value_at,), operator)
            case tree.In(name, values, at, places):
                return self._compared(name, "=", values, at, places or (at,) * len(values), "in")
            case _:
                raise TypeError(f"{term!r} is no condition")

    def sort(self, by: tree.SortBy) -> Sort:
        if by.field in ("started", "updated"):
            return Sort(_COLUMNS[by.field], by.descending)
        if by.field in FIELDS:
            self.refuse(by.at, f"runs are sorted by started, updated or an attribute, not by {by.field}")
        self._known(by.field, by.at)
        return Sort(by.field, by.descending)

    # --- fields

    def _known(self, name: str, at: int) -> None:
        if name == STATE and not self.schema.finds_states:
            what = "no machine here keeps the states that its runs are in"
            self.refuse(
                at, what, "call index_states() on the root of its class; its runs follow turn by turn"
            )
        if name in FIELDS or name in self.schema.kinds:
            return
        near = difflib.get_close_matches(name, self.schema.names(), n=3)
        shown = f"did you mean {' or '.join(map(repr, near))}?" if near else ""
        self.refuse(
            at, f"runs have no field {name!r}", shown or f"they have {', '.join(self.schema.names())}"
        )

    def _within(self, name: str, at: int, spans: tuple[Span, ...]) -> Condition:
        self._known(name, at)
        if name == "version":
            return ColumnIn(Column.FINGERPRINT, spans)
        if name in _COLUMNS:
            return ColumnIn(_COLUMNS[name], spans)
        return AttributeIn(name, spans)

    def _compared(
        self,
        name: str,
        operator: str,
        values: tuple[Literal, ...],
        at: int,
        places: tuple[int, ...],
        told: str,
    ) -> Condition:
        self._known(name, at)
        if name in ("status", "parent", "root", STATE) and operator not in _EQUALS:
            self.refuse(at, f"{name} has no order: compare it with =, != or in, not with {told}")
        if name == "version":
            return ColumnIn(Column.FINGERPRINT, self._versions(operator, values, places))
        make = self._makers().get(name, self._key)
        spans: list[Span] = []
        for value, place in zip(values, places, strict=True):
            spans.append(_span(operator, make(name, value, place, operator)))
        return self._within(name, at, tuple(spans))

    def _makers(self) -> Mapping[str, Callable[[str, Literal, int, str], End]]:
        return {
            "machine": self._text,
            "fingerprint": self._text,
            "key": self._text,
            "parent": self._id,
            "root": self._id,
            "status": self._status,
            "started": self._time,
            "updated": self._time,
            STATE: self._state,
        }

    # --- values

    def _text(self, name: str, value: Literal, at: int, _: str) -> str:
        if not isinstance(value, str):
            self.refuse(at, f"{name} is a text, in quotation marks")
        return value

    def _id(self, name: str, value: Literal, at: int, _: str) -> UUID:
        try:
            return UUID(self._text(name, value, at, _))
        except ValueError:
            self.refuse(at, f"{name} is the id of a run")

    def _status(self, name: str, value: Literal, at: int, _: str) -> int:
        known = _BY_NAME.get(value.lower()) if isinstance(value, str) else None
        if known is None:
            self.refuse(at, f"a status is one of {', '.join(_BY_NAME)}")
        return int(known)

    def _time(self, name: str, value: Literal, at: int, _: str) -> int:
        moment = self._moment(value)
        if moment is None:
            self.refuse(at, f"{name} is a time, such as 2024-05-31, 2024-05-31T12:00Z or -7d")
        return moment

    def _moment(self, value: Literal) -> int | None:
        if isinstance(value, Ago):
            return self.now + value.micros
        if isinstance(value, str):
            try:
                read = datetime.fromisoformat(value)
            except ValueError:
                return None
            value = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
        return from_datetime(value) if isinstance(value, datetime) else None

    def _state(self, name: str, value: Literal, at: int, _: str) -> bytes:
        key = key_of(self._text(name, value, at, _))
        return key or b""

    def _key(self, name: str, value: Literal, at: int, operator: str) -> bytes:
        kinds = self.schema.kinds[name]
        key = self._as_kind(value, kinds)
        if key is None or name_of_kind(key) not in kinds:
            told = " or ".join(_WORDS[kind] for kind in sorted(kinds))
            self.refuse(at, f"{name} is {told}")
        if name_of_kind(key) == "flag" and operator not in _EQUALS:
            self.refuse(at, f"{name} is true or false: compare it with = or !=")
        return key

    def _as_kind(self, value: Literal, kinds: frozenset[str]) -> bytes | None:
        if isinstance(value, Ago) or (isinstance(value, str) and "text" not in kinds and "time" in kinds):
            moment = self._moment(value)
            return None if moment is None else _time_key(moment)
        try:
            return key_of(value)
        except ValueError:
            return None

    def _versions(
        self, operator: str, values: tuple[Literal, ...], places: tuple[int, ...]
    ) -> tuple[Span, ...]:
        """A version is that of a definition, which runs name by its fingerprint."""
        for value, place in zip(values, places, strict=True):
            if isinstance(value, bool) or not isinstance(value, Decimal):
                self.refuse(place, "a version is a whole number")
        wanted = tuple(value for value in values if isinstance(value, Decimal))
        return tuple(
            Span.of(print_)
            for number, print_ in self.schema.versions
            if any(_compare(Decimal(number), operator, each) for each in wanted)
        )


def _time_key(moment: int) -> bytes:
    from_epoch = key_of(datetime(1970, 1, 1, tzinfo=UTC)) or b""
    middle = int.from_bytes(from_epoch[1:], "big")
    return from_epoch[:1] + (middle + moment).to_bytes(8, "big")


def _compare(one: Decimal, operator: str, other: Decimal) -> bool:
    return {
        "=": one == other,
        "<": one < other,
        "<=": one <= other,
        ">": one > other,
        ">=": one >= other,
    }[operator]


def _span(operator: str, end: End) -> Span:
    """The values that compare so; of keys, those of the same kind."""
    low, high = kind_range(end) if isinstance(end, bytes) else (None, None)
    match operator:
        case "=":
            return Span.of(end)
        case "<" | "<=":
            return Span(low, end, below=operator == "<")
        case _:
            return Span(end, high, above=operator == ">", below=high is not None)
