"""Query → text, which `reading.parse` reads as the same query."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from continuum_core.query.reading import UNITS
from continuum_core.query.tree import Ago, And, Compare, Exists, In, Literal, Not, Or, RunQuery, Term

__all__ = ["write"]


def write(query: RunQuery) -> str:
    """The text of a query."""
    told = [] if query.where is None else [_term(query.where)]
    if query.sort is not None:
        told.append(f"sort by {query.sort.field}{' desc' if query.sort.descending else ''}")
    return " ".join(told)


def _term(term: Term) -> str:
    match term:
        case Compare(field, operator, value):
            return f"{field} {operator} {_value(value)}"
        case In(field, values):
            return f"{field} in ({', '.join(map(_value, values))})"
        case Exists(field):
            return f"exists({field})"
        case Not(inner):
            return f"not {_inside(inner, And, Or)}"
        case And(terms):
            return " and ".join(_inside(each, And, Or) for each in terms)
        case Or(terms):
            return " or ".join(_inside(each, Or) for each in terms)
        case _:
            raise TypeError(f"{term!r} is no condition")


def _inside(term: Term, *looser: type[Term]) -> str:
    return f"({_term(term)})" if isinstance(term, looser) else _term(term)


def _value(value: Literal) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Decimal():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Ago(micros):
            return _length(micros) if micros else "now"


def _length(micros: int) -> str:
    told, left = "-" if micros < 0 else "+", abs(micros)
    for unit, size in UNITS.items():
        count, left = divmod(left, size)
        told += f"{count}{unit}" if count else ""
    return told
