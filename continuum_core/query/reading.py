"""Text → query, by recursive descent.

    query      = [condition] ["sort" "by" NAME ["asc" | "desc"]]
    condition  = both {"or" both}
    both       = one {"and" one}
    one        = "not" one | "(" condition ")" | "exists" "(" NAME ")" | NAME comparison
    comparison = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | ["not"] "in" "(" value {"," value} ")"
    value      = TEXT | NUMBER | DATE | [+-]DURATION | "now" | "true" | "false" | WORD

Nothing else is ever raised for a text than QueryRefused, which says where. A text has at most 10,000
characters, and its conditions stand at most 50 deep in one another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple, NoReturn

from continuum_core.errors import QueryRefused, UsageError
from continuum_core.query.tree import (
    DEEPEST,
    OPERATORS,
    RESERVED,
    Ago,
    And,
    Compare,
    Exists,
    In,
    Literal,
    Not,
    Or,
    RunQuery,
    SortBy,
    Term,
    is_name,
    literal,
)

__all__ = ["LONGEST", "UNITS", "parse"]

LONGEST = 10_000

UNITS = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
"""Microseconds of each unit of time."""

_DATE = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?"
_TOKENS = re.compile(
    rf"""
    (?P<space>\s+)
  | (?P<date>{_DATE})(?![\w:.-])
  | (?P<duration>[+-](?:\d+(?:ms|us|[wdhms]))+)(?!\w)
  | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])
  | (?P<text>"(?:[^"\\]|\\.)*"|'[^']*')
  | (?P<word>[A-Za-z_][A-Za-z0-9_.-]*)
  | (?P<sign>!=|<=|>=|[=<>(),])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_PART = re.compile(r"(\d+)(ms|us|[wdhms])", re.ASCII)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> RunQuery:
    """The query that a text is. Raises QueryRefused."""
    if len(text) > LONGEST:
        raise QueryRefused(
            text[:60], 0, f"a query has at most {LONGEST:,} characters, this one {len(text):,}"
        )
    return _Reader(text).query()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokens())
        self.place = 0

    def _tokens(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text):
            found = _TOKENS.match(self.text, at)
            if found is None:
                self._refuse(at, _strange(self.text, at))
            if found.lastgroup != "space":
                yield _Token(str(found.lastgroup), found.group(), at)
            at = found.end()
        yield _Token("end", "", at)

    def _refuse(self, at: int, why: str) -> NoReturn:
        raise QueryRefused(self.text, at, why)

    # --- tokens

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def _is(self, *texts: str) -> bool:
        token = self.next
        known = token.text.lower() if token.kind == "word" else token.text
        return token.kind in ("word", "sign") and known in texts

    def _take(self) -> _Token:
        token = self.next
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def _skip(self, *texts: str) -> bool:
        if self._is(*texts):
            self._take()
            return True
        return False

    def _need(self, text: str, after: str) -> None:
        if not self._skip(text):
            self._refuse(self.next.at, f"{text!r} must follow {after}, not {_shown(self.next)}")

    # --- the grammar

    def query(self) -> RunQuery:
        where = None if self.next.kind == "end" or self._is("sort") else self._condition(0)
        sort = self._sort() if self._skip("sort") else None
        if self.next.kind != "end":
            self._refuse(self.next.at, f"'and', 'or' or 'sort by' must come before {_shown(self.next)}")
        return RunQuery(where, sort)

    def _sort(self) -> SortBy:
        self._need("by", "'sort'")
        name = self._name()
        descending = self._is("desc")
        self._skip("asc", "desc")
        return SortBy(name.text, descending, name.at)

    def _condition(self, depth: int) -> Term:
        terms = [self._both(depth)]
        while self._skip("or"):
            terms.append(self._both(depth))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _both(self, depth: int) -> Term:
        terms = [self._one(depth)]
        while self._skip("and"):
            terms.append(self._one(depth))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _one(self, depth: int) -> Term:
        if depth > DEEPEST:
            self._refuse(self.next.at, f"conditions stand at most {DEEPEST} deep in one another")
        if self._skip("not"):
            return Not(self._one(depth + 1))
        if self._skip("("):
            inner = self._condition(depth + 1)
            self._need(")", "the condition")
            return inner
        if self._skip("exists"):
            self._need("(", "'exists'")
            name = self._name()
            self._need(")", "the field's name")
            return Exists(name.text, name.at)
        return self._comparison(self._name())

    def _comparison(self, name: _Token) -> Term:
        if self._is(*OPERATORS):
            operator, value_at = self._take().text, self.next.at
            return Compare(name.text, operator, self._value(), name.at, value_at)
        negated = self._skip("not")
        if not self._skip("in"):
            told = "'in' must follow 'not'" if negated else "an operator (= != < <= > >= in) must follow it"
            self._refuse(self.next.at, f"{told}, not {_shown(self.next)}")
        self._need("(", "'in'")
        places, values = [self.next.at], [self._value()]
        while self._skip(","):
            places.append(self.next.at)
            values.append(self._value())
        self._need(")", "the values")
        try:
            among = In(name.text, values, name.at, tuple(places))
        except UsageError as error:
            self._refuse(name.at, str(error))
        return Not(among) if negated else among

    def _name(self) -> _Token:
        token = self.next
        if token.kind != "word" or not is_name(token.text):
            self._refuse(token.at, f"the name of a field must stand here, not {_shown(token)}")
        return self._take()

    # --- values

    def _value(self) -> Literal:
        token = self.next
        try:
            value = literal(_valued(token))
        except (UsageError, ValueError, InvalidOperation, OverflowError) as error:
            self._refuse(
                token.at, str(error) if isinstance(error, UsageError) else f"{_shown(token)} is no value"
            )
        self._take()
        return value


def _valued(token: _Token) -> object:
    match token.kind:
        case "text":
            return token.text[1:-1] if token.text[0] == "'" else json.loads(token.text, strict=False)
        case "number":
            return Decimal(token.text)
        case "date":
            moment = datetime.fromisoformat(token.text)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        case "duration":
            micros = sum(int(count) * UNITS[unit] for count, unit in _PART.findall(token.text))
            if micros > 10**17:
                raise UsageError(f"{token.text} is farther from now than queries reach")
            return Ago(-micros if token.text[0] == "-" else micros)
        case "word" if token.text.lower() not in RESERVED:
            known = {"true": True, "false": False, "now": Ago(0)}
            return known.get(token.text.lower(), token.text)
        case _:
            raise UsageError(f"a value must stand here, not {_shown(token)}")


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else f"{token.text[:40]!r}"


def _strange(text: str, at: int) -> str:
    if text[at] in "\"'":
        return f"the text that begins here has no closing {text[at]}"
    if text[at].isdigit() or text[at] in "+-":
        return "this is no number, no date (2024-05-31) and no length of time (-7d, +1h30m)"
    return f"{text[at]!r} means nothing in a query"
