"""Finding runs by what they are and by their attributes, and setting those that are for clients to set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from continuum_core.arguments import whole
from continuum_core.client.handle import Ref
from continuum_core.client.ordering import Ordering
from continuum_core.errors import PayloadRefused, UsageError
from continuum_core.journal.attributes import Attribute, Value, value_of
from continuum_core.journal.commit import OrderKind, Page
from continuum_core.journal.records import Definition, Run
from continuum_core.journal.searching import Search, Searcher, searcher_of
from continuum_core.mapper import given
from continuum_core.query import RunQuery, Schema, Term, compiled, declared, parse, schema_of
from continuum_core.view import RunView, page_views

__all__ = ["Count", "Finding", "Wanted", "attributes_given"]

Wanted = str | RunQuery | Term
"""A query: its text, or what `continuum_core.query` makes in Python."""

_MOST = 10_000


@frozen
class Count:
    """How many runs there are.

    :ivar capped: there are more than `number`, and nobody counted how many.
    """

    number: int
    capped: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.capped else ''}"


def attributes_given(definition: Definition, values: Mapping[str, Any]) -> tuple[Attribute, ...]:
    """What a client sets on runs of a machine. Raises UsageError."""
    try:
        return given(declared(definition), values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"attributes of {definition.machine}: {error}") from error


class Finding(Ordering):
    """The part of a client that searches."""

    async def find(
        self, query: Wanted = "", *, limit: int = 100, cursor: str | None = None
    ) -> tuple[Sequence[RunView], str | None]:
        """One page of the runs that a query finds, and the cursor of the next page (None: there is none).

        A run whose place in the order stays what it is appears exactly once over all pages, whatever is
        written meanwhile. Relative times count from when the first page was asked for.

        Raises QueryRefused, which says what is wrong and where; UsageError where the journal cannot search.
        """
        self._check()
        runs, following = await self._found(query, limit, cursor)
        return page_views(runs, self._registry), following

    async def count(self, query: Wanted = "", *, exact: bool = False) -> Count:
        """How many runs a query finds. From 10,000 on nobody counts further, unless `exact`; see `find`."""
        self._check()
        search = await self._search(query, await self._patience(self.journal.now))
        most = None if exact else _MOST
        number = await self._patience(lambda: self._searcher().count(search.where, most))
        return Count(number) if exact or number <= _MOST else Count(_MOST, capped=True)

    async def attributes(self, run: Ref) -> Mapping[str, Value | tuple[Value, ...]]:
        """What a run is found by, beside what all have; several values are a tuple. Raises RunNotFound."""
        self._check()
        run_id, _ = self._ref(run)
        [found] = await self._patience(lambda: self._searcher().attributes([run_id]))
        if not found:
            await self._row(run_id)
        return {each.name: _shown(each) for each in found}

    async def set_attributes(
        self, run: Ref, values: Mapping[str, Any], why: str = "", *, who: str = ""
    ) -> None:
        """Set attributes that the run's machine declares for clients to set; None takes one away.

        It is an order: journaled, and acknowledged it is not lost. Raises UsageError for a name or a value
        that the machine does not declare, RunOver, RunNotFound.
        """
        self._check()
        self._searcher()
        run_id, entry = self._ref(run)
        if entry is None:
            row = await self._row(run_id)
            definition = await self._definitions.of_run(row.fingerprint, row.machine)
        else:
            definition = entry.definition
        attributes = attributes_given(definition, values)
        await self._order(run, OrderKind.SET, who, why, attributes=attributes)

    # --- asking

    def _searcher(self) -> Searcher:
        return searcher_of(self.journal)

    async def _search(self, query: Wanted, now: int) -> Search:
        text = query if isinstance(query, str) else None
        tree = parse(query) if isinstance(query, str) else query
        whole = tree if isinstance(tree, RunQuery) else RunQuery(tree)
        self._searcher()
        return compiled(whole, await self._schema(), now, text)

    async def _schema(self) -> Schema:
        return schema_of(await self._definitions.every())

    async def _found(self, query: Wanted, limit: int, cursor: str | None) -> tuple[Sequence[Run], str | None]:
        if cursor is None:
            now, inner = await self._patience(self.journal.now), None
        else:
            now, inner = _read(cursor)
        search = await self._search(query, now)
        whole("limit", limit)
        page = await self._paged(cursor, lambda: self._searcher().search(search, limit, inner))
        return page.runs, None if page.cursor is None else f"{now:x}.{page.cursor}"

    async def _paged(self, cursor: str | None, verb: Callable[[], Awaitable[Page]]) -> Page:
        """One page of the journal's. Raises UsageError for a cursor that it did not give."""
        try:
            return await self._patience(verb)
        except PayloadRefused as error:
            if cursor is None or error.path != "cursor":
                raise
            raise _no_cursor(cursor) from None

    async def _pages(self, query: Wanted, limit: int = 100) -> AsyncIterator[Sequence[Run]]:
        cursor: str | None = None
        while True:
            runs, cursor = await self._found(query, limit, cursor)
            yield runs
            if cursor is None:
                return


def _read(cursor: str) -> tuple[int, str]:
    """A cursor has the time that relative times count from. Raises UsageError."""
    now, dot, inner = cursor.partition(".")
    try:
        return int(now, 16), inner if dot else ""
    except ValueError:
        raise _no_cursor(cursor) from None


def _no_cursor(cursor: str) -> UsageError:
    return UsageError(
        f"cursor={cursor!r} goes on with nothing: pass the one that the page before gave, with the same "
        "question, or none for the first page"
    )


def _shown(attribute: Attribute) -> Value | tuple[Value, ...]:
    values = tuple(map(value_of, attribute.keys))
    return values[0] if len(values) == 1 else values
