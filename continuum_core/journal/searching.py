"""Optional: a journal that finds runs by conditions over their rows and their attributes.

A backend that declares `Capability.SEARCH` gives handles with a `searcher`, and keeps the attributes that
starts, commits and orders carry: in the transaction of what carried them, gone with the run, and part of its
image. Another one ignores them.

A condition is a tree of frozen values, whatever language it was written in. It holds or it does not; there is
no third value: of a run that lacks an attribute no range holds, and so `Not` of each range does.

Pages come in the order of `Sort`, runs that lack the attribute it names last, newest first. A cursor is the
place of the last run shown, its value and its id: a run whose place stays what it is appears exactly once,
whatever is written between pages.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast
from uuid import UUID

import msgspec
from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.errors import PayloadRefused, UsageError
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Page
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.journal.records import Run, RunStatus

__all__ = [
    "ALL",
    "NEWEST",
    "AttributeIn",
    "Column",
    "ColumnIn",
    "Condition",
    "End",
    "Every",
    "Not",
    "Place",
    "Search",
    "Searcher",
    "Some",
    "Sort",
    "Span",
    "column_of",
    "conjuncts",
    "holds",
    "lacking",
    "may_lack",
    "place_of",
    "read_cursor",
    "searcher_of",
    "statuses_of",
    "write_cursor",
]


class Column(enum.Enum):
    """What of a run's row can be asked for, each with the type of its ends in a `Span`."""

    MACHINE = "machine"  # str
    FINGERPRINT = "fingerprint"  # str
    STATUS = "status"  # int
    KEY = "key"  # str, may be absent
    PARENT = "parent"  # UUID, may be absent
    ROOT = "root"  # UUID, may be absent
    STARTED = "started"  # int, microseconds
    UPDATED = "updated"  # int, microseconds


End = str | int | UUID | bytes


class Span(Struct, frozen=True):
    """From `low` to `high`, each included unless said otherwise; None: no end. All values: ``Span()``."""

    low: End | None = None
    high: End | None = None
    above: bool = False  # `low` itself is not in it
    below: bool = False  # `high` itself is not in it

    @classmethod
    def of(cls, value: End) -> Span:
        """Just this value."""
        return cls(value, value)

    def has(self, value: End) -> bool:
        mine, theirs = _ordered(value), (_ordered(self.low), _ordered(self.high))
        if self.low is not None and (mine < theirs[0] or (self.above and mine == theirs[0])):
            return False
        return self.high is None or mine < theirs[1] or (not self.below and mine == theirs[1])


def _ordered(value: End | None) -> Any:
    """Texts sort by their UTF-8 in every store, ids as numbers. Both ends are of the value's type."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, UUID):
        return value.int
    return 0 if value is None else value


class ColumnIn(Struct, frozen=True, tag="column"):
    """The run's value lies in one of the spans."""

    column: Column
    spans: tuple[Span, ...]


class AttributeIn(Struct, frozen=True, tag="attribute"):
    """One of the run's values of the attribute lies in one of the spans, whose ends are keys."""

    name: str
    spans: tuple[Span, ...]


class Every(Struct, frozen=True, tag="every"):
    """All hold; also where there are none."""

    terms: tuple[Condition, ...]


class Some(Struct, frozen=True, tag="some"):
    """At least one holds."""

    terms: tuple[Condition, ...]


class Not(Struct, frozen=True, tag="not"):
    term: Condition


Condition = ColumnIn | AttributeIn | Every | Some | Not

ALL = Every(())


class Sort(Struct, frozen=True):
    """By when runs were started, by when they changed last, or by an attribute that has one value.

    Ties go by the run's id, in the same direction.
    """

    by: Column | str
    descending: bool = False


NEWEST = Sort(Column.STARTED, descending=True)


class Search(Struct, frozen=True):
    where: Condition = ALL
    sort: Sort = NEWEST


class Searcher(Protocol):
    """Searches of an opened handle, in its namespace."""

    async def search(self, search: Search, limit: int = 100, cursor: str | None = None) -> Page:
        """One page of runs. Raises PayloadRefused for a cursor that this search did not give."""
        ...

    async def count(self, where: Condition, most: int | None = None) -> int:
        """How many runs there are; where there are more than `most`, any number above it."""
        ...

    async def attributes(self, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
        """The attributes of runs, by name; none for a run that is not in the namespace."""
        ...


def searcher_of(journal: Journal) -> Searcher:
    """The searches of a journal's handle. Raises UsageError where its backend has none."""
    if not can(journal, Capability.SEARCH):
        raise UsageError(
            "this journal's backend cannot search (capability 'search'): runs can be listed by machine, "
            "status and parent alone, and keep no attributes; its author finds how on the page "
            "'Write a backend'"
        )
    wide: Any = journal
    return cast(Searcher, wide.searcher())


# --- for backends: conditions


def holds(where: Condition, run: Run, attributes: Mapping[str, Sequence[bytes]]) -> bool:
    """Whether a condition holds for a run with these attributes."""
    match where:
        case ColumnIn(column, spans):
            value = column_of(run, column)
            return value is not None and any(span.has(value) for span in spans)
        case AttributeIn(name, spans):
            return any(span.has(key) for key in attributes.get(name, ()) for span in spans)
        case Every(terms):
            return all(holds(term, run, attributes) for term in terms)
        case Some(terms):
            return any(holds(term, run, attributes) for term in terms)
        case Not(term):
            return not holds(term, run, attributes)


def column_of(run: Run, column: Column) -> End | None:
    match column:
        case Column.STATUS:
            return int(run.status)
        case Column.STARTED:
            return run.created
        case Column.MACHINE | Column.FINGERPRINT | Column.KEY | Column.PARENT | Column.ROOT | Column.UPDATED:
            found: End | None = getattr(run, column.value)
            return found


def conjuncts(where: Condition) -> Iterator[Condition]:
    """What has to hold, each for itself, so that the whole does."""
    if isinstance(where, Every):
        for term in where.terms:
            yield from conjuncts(term)
    else:
        yield where


def statuses_of(where: Condition) -> frozenset[RunStatus]:
    """The statuses that a run may have where the condition holds, as far as its conjuncts tell."""
    found = frozenset(RunStatus)
    for each in conjuncts(where):
        if isinstance(each, ColumnIn) and each.column is Column.STATUS:
            found = frozenset(status for status in found if any(span.has(status) for span in each.spans))
    return found


def may_lack(search: Search) -> bool:
    """Whether a run that is found may lack the attribute that its search sorts by."""
    named = (each.name for each in conjuncts(search.where) if isinstance(each, AttributeIn))
    return isinstance(search.sort.by, str) and search.sort.by not in named


def lacking(search: Search) -> Search:
    """The runs of a search that lack the attribute it sorts by: they follow the others, newest first."""
    named = AttributeIn(str(search.sort.by), (Span(),))
    return Search(Every((search.where, Not(named))), NEWEST)


# --- for backends: pages


class Place(Struct, frozen=True):
    """Where a page ends.

    :ivar value: of the last run, what the search sorts by: microseconds, or a key.
    :ivar lacks: it is among those that lack the attribute; `value` is when it was started.
    """

    value: int | bytes
    run_id: UUID
    lacks: bool = False


class _Cursor(Struct, array_like=True):
    value: int | bytes
    run_id: bytes
    lacks: bool
    mark: bytes


def place_of(sort: Sort, run: Run, key: bytes | None = None) -> Place:
    """The place of a run in a sort. `key`: the run's, of the attribute it names; None if it has none."""
    if isinstance(sort.by, str) and key is not None:
        return Place(key, run.run_id)
    value: Micros = run.updated if sort.by is Column.UPDATED else run.created
    return Place(value, run.run_id, isinstance(sort.by, str))


def write_cursor(namespace: str, search: Search, place: Place) -> str:
    """The cursor of the page that follows the one which ends there."""
    cursor = _Cursor(place.value, place.run_id.bytes, place.lacks, _mark(namespace, search))
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode("ascii")


def read_cursor(namespace: str, search: Search, cursor: str | None) -> Place | None:
    """Where a page begins. Raises PayloadRefused for a cursor that this search did not give."""
    if cursor is None:
        return None
    try:
        data = base64.b64decode(cursor, altchars=b"-_", validate=True)
        found = msgspec.msgpack.decode(data, type=_Cursor)
        run_id = UUID(bytes=found.run_id)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise PayloadRefused("cursor", "it is no cursor of this journal") from None
    if found.mark != _mark(namespace, search):
        raise PayloadRefused("cursor", "it belongs to another query or namespace; begin again without one")
    if isinstance(found.value, bytes) == (found.lacks or isinstance(search.sort.by, Column)):
        raise PayloadRefused("cursor", "it is no cursor of this journal")
    return Place(found.value, run_id, found.lacks)


def _mark(namespace: str, search: Search) -> bytes:
    """Eight bytes that tell one search from another."""
    question = repr((namespace, search)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(question, digest_size=8).digest()
